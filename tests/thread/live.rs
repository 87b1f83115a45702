use bobbin::agent::AgentEvent;
use bobbin::protocol::limits::{GUARD_MS, PAYLOAD_BYTES_MAX};
use bobbin::protocol::{Block, Json};
use serde_json::json;

use crate::harness::{Harness, cursor_of, finished, said, thought, thread, tokens};

fn begin_thought() -> AgentEvent {
    AgentEvent::Begin(Block::thinking(""))
}

fn begin_call() -> AgentEvent {
    AgentEvent::Begin(Block::tool_use("c1", "look", Json::Null))
}

fn grow(more: &str) -> AgentEvent {
    AgentEvent::Grow(more.to_owned())
}

fn call() -> AgentEvent {
    let input = Json::parse(r#"{"at":"the sky"}"#).unwrap();
    AgentEvent::Block(Block::tool_use("c1", "look", input))
}

fn data(value: u64, id: Option<&str>) -> AgentEvent {
    let data = Json::Number(value.to_string());
    AgentEvent::Block(Block::Data { name: "progress".into(), data, id: id.map(str::to_owned) })
}

/// Returns a thread in which Ann has sent a message and has seen it accepted.
fn asked() -> Harness {
    let mut h = thread();
    h.greet("ann");
    h.say("ann", "r1", "one");
    h.frames("ann");
    h
}

#[test]
fn a_thought_is_shown_while_it_is_thought() {
    let mut h = asked();
    h.agent("r1", vec![begin_thought(), grow("h")]);
    h.expect(
        "ann",
        &[
            json!({ "type": "block_start", "requestId": "r1", "index": 0, "block": { "type": "thinking", "text": null } }),
            json!({ "type": "block_delta", "requestId": "r1", "index": 0, "delta": "h" }),
        ],
    );
    h.agent("r1", vec![grow("m")]);
    h.agent("r1", vec![grow(", so")]);
    h.expect_nothing("ann");
    h.wait(20);
    h.expect("ann", &[json!({ "type": "block_delta", "delta": "m, so" })]);
    h.agent("r1", vec![grow(" it is"), thought("hm, so it is"), said("It is.")]);
    h.wait(20);
    h.expect(
        "ann",
        &[
            json!({ "type": "block", "index": 0, "block": { "type": "thinking", "text": "hm, so it is" } }),
            json!({ "type": "token", "token": "It is." }),
        ],
    );
}

#[test]
fn a_call_is_shown_as_soon_as_its_input_is_whole() {
    let mut h = asked();
    h.agent("r1", vec![begin_call(), grow(r#"{"at":"#)]);
    h.expect(
        "ann",
        &[
            json!({ "type": "block_start", "block": { "type": "tool_use", "id": "c1", "name": "look", "input": null } }),
            json!({ "type": "block_delta", "delta": "{\"at\":" }),
        ],
    );
    h.agent("r1", vec![call()]);
    h.expect("ann", &[json!({ "type": "block", "index": 0, "block": { "input": { "at": "the sky" } } })]);
}

#[test]
fn a_resume_in_the_middle_of_a_long_thought_costs_two_frames() {
    let mut h = asked();
    h.agent("r1", vec![begin_thought(), grow("")]);
    let begun = cursor_of(&h.frames("ann"));
    let long = "thought ".repeat(50_000);
    h.agent("r1", vec![grow(&long)]);
    h.wait(20);
    h.frames("ann");
    h.resume("bob", &begun);
    let frames = h.expect(
        "bob",
        &[
            json!({ "type": "connected", "resumed": true }),
            json!({ "type": "block_delta", "index": 0 }),
            json!({ "type": "block_delta", "index": 0 }),
        ],
    );
    assert_eq!(frames[1]["delta"].as_str().unwrap().len(), PAYLOAD_BYTES_MAX);
    h.resume("bob", &cursor_of(&frames[..2]));
    h.expect("bob", &[json!({ "resumed": true }), json!({ "type": "block_delta" })]);
    h.join("cid");
    h.expect(
        "cid",
        &[
            json!({ "type": "connected" }),
            json!({ "type": "snapshot", "inFlight": [{ "requestId": "r1", "content": "", "blocks": [] }] }),
            json!({ "type": "block_start", "index": 0 }),
            json!({ "type": "block_delta" }),
            json!({ "type": "block_delta" }),
        ],
    );
}

#[test]
fn a_block_that_was_finished_meanwhile_is_sent_alone() {
    let mut h = asked();
    h.agent("r1", vec![said("So: "), begin_thought(), grow("h")]);
    let within = cursor_of(&h.frames("ann"));
    h.agent("r1", vec![grow("m"), thought("hm"), begin_call(), grow("{")]);
    h.wait(20);
    h.resume("bob", &within);
    h.expect(
        "bob",
        &[
            json!({ "resumed": true }),
            json!({ "type": "block", "index": 0, "block": { "text": "hm" } }),
            json!({ "type": "block_start", "index": 1 }),
            json!({ "type": "block_delta", "index": 1, "delta": "{" }),
        ],
    );
    h.agent("r1", vec![call(), finished()]);
    h.resume("bob", &within);
    h.expect(
        "bob",
        &[
            json!({ "resumed": true }),
            json!({ "type": "block", "index": 0 }),
            json!({ "type": "block", "index": 1 }),
            json!({ "type": "final" }),
        ],
    );
}

#[test]
fn the_end_of_a_turn_keeps_its_thought_and_drops_half_a_call() {
    for events in [vec![begin_thought(), grow("hm")], vec![thought("hm"), begin_call(), grow("{")]] {
        let mut h = asked();
        h.agent("r1", events);
        h.wait(20);
        let within = cursor_of(&h.frames("ann"));
        h.send("ann", &json!({ "type": "cancel", "requestId": "r1" }));
        let end = json!({
            "type": "cancelled",
            "response": { "content": "", "blocks": [{ "type": "thinking", "text": "hm" }] },
        });
        let frames = h.frames("ann");
        let kinds: Vec<_> = frames.iter().map(|frame| frame["type"].as_str().unwrap()).collect();
        assert!(
            ["cancelled", "block,cancelled"].contains(&kinds[..kinds.len() - 1].join(",").as_str()),
            "{kinds:?}"
        );
        assert_eq!(frames[kinds.len() - 2]["response"]["blocks"], end["response"]["blocks"]);
        h.resume("bob", &within);
        assert_eq!(h.frames("bob")[0]["resumed"], true);
    }
}

#[test]
fn a_crash_keeps_what_was_journalled_of_a_thought() {
    let mut h = asked();
    h.agent("r1", vec![begin_thought(), grow("kept ")]);
    let stored = cursor_of(&h.frames("ann"));
    h.wait(490);
    h.agent("r1", vec![grow("lost")]);
    h.wait(20);
    let beyond = cursor_of(&h.frames("ann"));
    h.host.crash(false);
    h.wait(GUARD_MS);
    let kept = json!([{ "type": "thinking", "text": "kept " }]);
    h.resume("ann", &stored);
    h.expect(
        "ann",
        &[
            json!({ "resumed": true }),
            json!({ "type": "block", "index": 0, "block": { "text": "kept " } }),
            json!({ "type": "error", "error": { "code": "INTERRUPTED" }, "response": { "blocks": kept } }),
        ],
    );
    h.resume("bob", &beyond);
    h.expect("bob", &[json!({ "resumed": false }), json!({ "type": "snapshot", "reason": "reset" })]);
}

#[test]
fn a_thought_that_was_not_journalled_is_taken_back_by_a_reset() {
    let mut h = asked();
    h.agent("r1", vec![begin_thought(), grow("lost")]);
    let beyond = cursor_of(&h.frames("ann"));
    h.host.crash(false);
    h.wait(GUARD_MS);
    h.resume("ann", &beyond);
    h.expect("ann", &[json!({ "resumed": false }), json!({ "type": "snapshot", "reason": "reset" })]);
}

#[test]
fn a_client_that_was_sent_the_end_of_a_thought_that_a_crash_lost_is_reset() {
    let ends: [fn() -> AgentEvent; 2] = [|| thought("kept, and more"), || AgentEvent::Drop];
    for end in ends {
        let mut h = asked();
        h.agent("r1", vec![begin_thought(), grow("kept")]);
        let stored = cursor_of(&h.frames("ann"));
        h.wait(490);
        h.agent("r1", vec![end()]);
        h.say("ann", "r2", "and?");
        let beyond = cursor_of(&h.frames("ann"));
        h.host.crash(false);
        h.wait(GUARD_MS);
        h.resume("ann", &beyond);
        h.expect("ann", &[json!({ "resumed": false }), json!({ "type": "snapshot", "reason": "reset" })]);
        h.resume("bob", &stored);
        let kept = json!([{ "type": "thinking", "text": "kept" }]);
        h.expect(
            "bob",
            &[
                json!({ "resumed": true }),
                json!({ "type": "user_message", "requestId": "r2" }),
                json!({ "type": "block", "index": 0, "block": { "text": "kept" } }),
                json!({ "type": "error", "error": { "code": "INTERRUPTED" }, "response": { "blocks": kept } }),
            ],
        );
    }
}

#[test]
fn thinking_costs_as_many_rows_as_text() {
    let rows = |events: fn(usize) -> Vec<AgentEvent>| {
        let mut h = asked();
        let before = h.rows_written();
        for n in 0..400 {
            h.agent("r1", events(n));
            h.wait(20);
        }
        h.agent("r1", vec![finished()]);
        h.rows_written() - before
    };
    let text = rows(|_| vec![said("word ")]);
    let thinking = rows(|n| if n == 0 { vec![begin_thought(), grow("word ")] } else { vec![grow("word ")] });
    assert_eq!(thinking, text);
}

#[test]
fn text_after_an_unfinished_thought_keeps_the_thought() {
    let mut h = asked();
    h.agent("r1", vec![begin_thought(), grow("hm"), said("So.")]);
    let frames = h.frames("ann");
    assert_eq!(frames[frames.len() - 2]["block"], json!({ "type": "thinking", "text": "hm" }));
    assert_eq!(tokens(&frames, "r1"), "So.");
}

#[test]
fn data_with_the_name_and_the_id_of_earlier_data_replaces_it() {
    let mut h = asked();
    h.agent("r1", vec![data(1, Some("a")), said("x"), data(7, None)]);
    let early = cursor_of(&h.frames("ann"));
    h.agent("r1", vec![data(2, Some("a"))]);
    h.expect("ann", &[json!({ "type": "block", "index": 0, "block": { "data": 2 } })]);
    h.resume("bob", &early);
    let replaced = h.frames("bob");
    assert_eq!(replaced[0]["resumed"], true);
    assert!(replaced.iter().any(|frame| frame["index"] == 0 && frame["block"]["data"] == 2), "{replaced:?}");
    h.send("bob", &json!({ "type": "session_sync", "cursor": early }));
    assert_eq!(h.frames("bob")[0]["type"], "snapshot");
    h.agent("r1", vec![data(3, Some("a")), finished()]);
    h.resume("cid", &cursor_of(&replaced));
    let frames = h.frames("cid");
    assert_eq!(frames[0]["resumed"], true);
    let end = frames.iter().find(|frame| frame["type"] == "final").unwrap();
    let shown: Vec<_> =
        end["response"]["blocks"].as_array().unwrap().iter().map(|block| &block["data"]).collect();
    assert_eq!(json!(shown), json!([3, null, 7]));
    assert!(frames.iter().any(|frame| frame["index"] == 0 && frame["block"]["data"] == 3), "{frames:?}");
}

#[test]
fn a_call_that_asks_for_approval_after_it_was_announced_keeps_its_index() {
    let mut h = asked();
    h.agent("r1", vec![call(), said("I may?")]);
    h.frames("ann");
    let approval = bobbin::protocol::Approval {
        state: bobbin::protocol::ApprovalState::Requested.into(),
        reason: None,
        by: None,
    };
    let AgentEvent::Block(Block::ToolUse { id, name, input, title, kind, output, provider_data, .. }) =
        call()
    else {
        panic!("a call");
    };
    let approval = Some(approval);
    let asked = Block::ToolUse { id, name, input, title, kind, output, approval, provider_data };
    h.agent("r1", vec![AgentEvent::Block(asked)]);
    h.expect(
        "ann",
        &[json!({ "type": "block", "index": 0, "block": { "approval": { "state": "requested" } } })],
    );
}

#[test]
fn transient_data_reaches_connected_clients_and_is_not_kept() {
    let mut h = asked();
    h.greet("bob");
    let (name, data) = ("hint".to_owned(), Json::Bool(true));
    h.agent("r1", vec![said("a"), AgentEvent::Data { name, data, id: None }, finished()]);
    for who in ["ann", "bob"] {
        let frames = h.frames(who);
        let hint = frames.iter().find(|frame| frame["type"] == "data").unwrap();
        assert_eq!(*hint, json!({ "type": "data", "requestId": "r1", "name": "hint", "data": true }));
    }
    h.join("cid");
    assert_eq!(h.frames("cid")[1]["messages"][1]["content"], "a");
}

#[test]
fn a_file_that_is_too_large_for_an_answer_fails_it() {
    let mut h = asked();
    let url = format!("data:image/png;base64,{}", "A".repeat(200_000));
    let file = Block::File { media_type: "image/png".into(), url, name: None, size: None };
    h.agent("r1", vec![said("Here: "), AgentEvent::Block(file)]);
    let frames = h.frames("ann");
    let end = frames.iter().find(|frame| frame["type"] == "error").unwrap();
    assert_eq!(end["error"]["code"], "AGENT_ERROR");
    assert!(end["error"]["message"].as_str().unwrap().contains("128 KiB"));
    assert_eq!(end["response"]["content"], "Here: ");
}

#[test]
fn an_agent_that_runs_its_tools_may_be_silent_until_the_result_is_there() {
    let config = bobbin::thread::Config::default();
    for runs_tools in [true, false] {
        let mut h = thread();
        h.greet("ann");
        h.say("ann", "r1", "one");
        h.host.set_agent_runs_tool(runs_tools);
        h.agent("r1", vec![call()]);
        h.frames("ann");
        h.wait(10 * config.agent_idle_timeout_ms);
        if !runs_tools {
            h.expect("ann", &[json!({ "type": "error", "error": { "code": "AGENT_TIMEOUT" } })]);
            continue;
        }
        h.expect_nothing("ann");
        h.host.set_agent_runs_tool(false);
        let result = Json::String("blue".into());
        h.agent("r1", vec![AgentEvent::Block(Block::tool_result("c1", result, false))]);
        h.wait(config.agent_idle_timeout_ms - 1);
        h.expect("ann", &[json!({ "type": "block", "index": 1 })]);
        h.wait(1);
        h.expect("ann", &[json!({ "type": "error", "error": { "code": "AGENT_TIMEOUT" } })]);
    }
}
