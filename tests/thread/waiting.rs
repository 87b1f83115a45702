//! Turns that wait for people: approvals, and tools that run at a client.

use bobbin::agent::{AgentEvent, Finished};
use bobbin::protocol::limits::{GUARD_MS, QUEUED_TURNS_MAX, ROUNDS_MAX};
use bobbin::protocol::{Access, ApprovalState, Block, Content, Identity, Json, Read, to_json};
use bobbin::thread::store::RecordKind;
use bobbin::thread::{Config, Denied, Request};
use serde_json::{Value, json};

use crate::harness::{Harness, cursor_of, finished, said, thread, thread_of, thread_with, tokens};
use crate::support::{Host, Seen, Sudden};

/// Returns a call with these fields beside its id.
fn call(id: &str, fields: &Value) -> AgentEvent {
    let mut block = json!({ "type": "tool_use", "id": id, "name": "look", "input": { "at": 1 } });
    for (name, value) in fields.as_object().unwrap() {
        block[name] = value.clone();
    }
    AgentEvent::Block(Block::parse(&block.to_string()).unwrap())
}

fn asking(id: &str) -> AgentEvent {
    call(id, &json!({ "approval": { "state": "requested" } }))
}

fn at_client(id: &str) -> AgentEvent {
    call(id, &json!({ "output": "client" }))
}

fn decision(id: &str, approved: bool) -> Value {
    json!({ "type": "tool_decision", "requestId": "r1", "toolUseId": id, "approved": approved })
}

fn output(id: &str, content: &Value) -> Value {
    json!({ "type": "tool_output", "requestId": "r1", "toolUseId": id, "content": content })
}

fn refused(code: &str) -> Value {
    json!({ "type": "error", "cursor": null, "error": { "code": code, "retryable": false } })
}

/// Ann has asked something, and the turn waits for answers to these calls.
fn waiting_of(mut h: Harness, calls: Vec<AgentEvent>) -> Harness {
    h.greet("ann");
    h.say("ann", "r1", "one");
    let mut events = vec![said("Let me see. ")];
    events.extend(calls);
    events.push(finished());
    h.agent("r1", events);
    h.deliver();
    h.frames("ann");
    h.seen();
    h
}

fn waiting(calls: Vec<AgentEvent>) -> Harness {
    waiting_of(thread(), calls)
}

/// Returns the requests to the agent of `r1` since the last call.
fn asked(h: &mut Harness) -> Vec<Value> {
    let content = |seen| match seen {
        Seen::Started { request, .. } if request.request_id == "r1" => {
            Some(request.answer.map_or(Value::Null, |answer| json_of(&answer)))
        }
        _ => None,
    };
    h.seen().into_iter().filter_map(content).collect()
}

fn json_of(content: &Content) -> Value {
    serde_json::from_str(&to_json(content)).unwrap()
}

fn state(h: &mut Harness) -> String {
    if h.host.thread().is_none() {
        h.greet("zoe");
    }
    let session = h.host.thread().unwrap().shown_session().unwrap();
    session.state.unwrap().as_str().to_owned()
}

fn ends(h: &Harness) -> Vec<String> {
    let status = |kind: &RecordKind| match kind {
        RecordKind::Answer { status, .. } => Some(status.as_str().to_owned()),
        _ => None,
    };
    h.host.store.records.values().filter_map(|record| status(&record.kind)).collect()
}

/// Runs a scenario with a crash after each number of outputs, then checks the result.
fn wherever_it_crashes(
    before: impl Fn() -> Harness,
    happens: impl Fn(&mut Harness),
    check: impl Fn(&mut Harness),
) {
    for outputs in 0..24 {
        for sockets_survive in [false, true] {
            let mut h = before();
            h.host.faults.sudden = Some((outputs, Sudden::Crash { sockets_survive }));
            happens(&mut h);
            h.host.faults.sudden = None;
            h.wait(10 * GUARD_MS);
            check(&mut h);
        }
    }
}

#[test]
fn a_call_that_asks_for_approval_makes_its_turn_wait_and_goes_on_once_it_is_given() {
    let mut h = thread();
    h.greet("ann");
    h.greet("bob");
    h.say("ann", "r1", "one");
    h.frames("bob");
    h.agent("r1", vec![said("Let me see. "), asking("c1"), finished()]);
    assert!(h.aborted().is_empty());
    h.expect(
        "bob",
        &[
            json!({ "type": "token" }),
            json!({ "type": "block", "index": 0, "block": { "approval": { "state": "requested" } } }),
            json!({ "type": "waiting", "requestId": "r1", "toolUseIds": ["c1"] }),
        ],
    );
    assert_eq!(state(&mut h), "waiting");
    h.send("bob", &decision("c1", true));
    h.expect(
        "bob",
        &[json!({ "type": "tool_decided", "requestId": "r1", "toolUseId": "c1", "approved": true })],
    );
    let answers = asked(&mut h);
    assert_eq!(answers.len(), 1);
    assert_eq!(answers[0][1]["approval"]["state"], "approved");
    assert_eq!(state(&mut h), "running");
    h.agent("r1", vec![said("It is blue."), finished()]);
    let end = h.frames("bob").into_iter().find(|frame| frame["type"] == "final").unwrap();
    assert_eq!(end["response"]["content"], "Let me see. It is blue.");
    assert_eq!(end["response"]["metadata"]["tokensUsed"], 24);
    assert_eq!(ends(&h), ["complete"]);
}

#[test]
fn a_tool_that_runs_at_a_client_is_given_its_result_by_any_of_them() {
    let mut h = waiting(vec![at_client("c1"), at_client("c2")]);
    h.send("ann", &output("c1", &json!("blue")));
    h.send("ann", &output("c2", &json!({ "depth": 1.5 })));
    let frames = h.expect(
        "ann",
        &[
            json!({ "type": "block", "index": 2, "block": { "type": "tool_result", "toolUseId": "c1", "content": "blue", "isError": false } }),
            json!({ "type": "block", "index": 3, "block": { "content": "{\"depth\":1.5}", "output": { "depth": 1.5 } } }),
        ],
    );
    assert_eq!(frames.len(), 2);
    assert_eq!(asked(&mut h)[0].as_array().unwrap().len(), 5);
}

#[test]
fn of_two_decisions_that_race_the_first_counts_and_the_other_is_told() {
    let mut h = waiting(vec![asking("c1")]);
    h.greet("bob");
    h.send("ann", &decision("c1", false));
    h.send("bob", &decision("c1", true));
    let decided = json!({ "type": "tool_decided", "approved": false });
    h.expect("ann", std::slice::from_ref(&decided));
    let mut refusal = refused("ALREADY_ANSWERED");
    refusal["refused"] = json!("tool_decision");
    refusal["toolUseId"] = json!("c1");
    h.expect("bob", &[decided, refusal]);
    assert_eq!(asked(&mut h)[0][1]["approval"]["state"], "denied");
}

#[test]
fn of_a_decision_and_a_cancel_whichever_is_first_counts() {
    let mut h = waiting(vec![asking("c1")]);
    h.send("ann", &json!({ "type": "cancel", "requestId": "r1" }));
    h.send("ann", &decision("c1", true));
    let frames = h.expect("ann", &[json!({ "type": "cancelled", "reason": null }), refused("NOT_FOUND")]);
    assert_eq!(frames[0]["response"]["blocks"][1]["approval"]["state"], "denied");
    let mut h = waiting(vec![asking("c1")]);
    h.send("ann", &decision("c1", true));
    h.send("ann", &json!({ "type": "cancel", "requestId": "r1" }));
    let frames = h.expect("ann", &[json!({ "type": "tool_decided" }), json!({ "type": "cancelled" })]);
    assert_eq!(frames[1]["response"]["blocks"][1]["approval"]["state"], "approved");
}

#[test]
fn an_answer_while_the_agent_still_speaks_is_accepted_and_the_next_round_begins_at_once() {
    let mut h = thread();
    h.greet("ann");
    h.say("ann", "r1", "one");
    h.agent("r1", vec![asking("c1"), at_client("c2")]);
    h.frames("ann");
    h.send("ann", &decision("c1", true));
    h.send("ann", &output("c2", &json!("blue")));
    h.expect("ann", &[json!({ "type": "tool_decided" }), json!({ "type": "block", "index": 2 })]);
    h.seen();
    h.agent("r1", vec![said("So. "), finished()]);
    let answers = asked(&mut h);
    assert_eq!(answers.len(), 1);
    assert_eq!(answers[0][0]["approval"]["state"], "approved");
    assert!(h.frames("ann").iter().all(|frame| frame["type"] != "waiting"));
    h.finish("r1");
    assert_eq!(ends(&h), ["complete"]);
}

#[test]
fn a_result_that_comes_while_a_thought_grows_is_placed_before_it() {
    let mut h = thread();
    h.greet("ann");
    h.say("ann", "r1", "one");
    let grow = |more: &str| AgentEvent::Grow(more.to_owned());
    h.agent("r1", vec![at_client("c1"), AgentEvent::Begin(Block::thinking("")), grow("hm")]);
    h.wait(20);
    let within = cursor_of(&h.frames("ann"));
    h.send("ann", &output("c1", &json!("blue")));
    let shown = [
        json!({ "type": "block", "index": 1, "block": { "type": "tool_result" } }),
        json!({ "type": "block_start", "index": 2 }),
        json!({ "type": "block_delta", "index": 2, "delta": "hm" }),
    ];
    h.expect("ann", &shown);
    h.resume("bob", &within);
    let resumed = [&[json!({ "resumed": true })], &shown[..]].concat();
    h.expect("bob", &resumed);
    h.agent("r1", vec![AgentEvent::Block(Block::thinking("hm, so")), finished()]);
    h.expect("ann", &[json!({ "type": "block", "index": 2, "block": { "text": "hm, so" } })]);
}

#[test]
fn the_same_answer_again_does_nothing() {
    let mut h = waiting(vec![asking("c1"), at_client("c2")]);
    for _ in 0..2 {
        h.send("ann", &decision("c1", true));
        h.send("ann", &output("c2", &json!([1])));
    }
    h.expect("ann", &[json!({ "type": "tool_decided" }), json!({ "type": "block" })]);
    h.send("ann", &output("c2", &json!([2])));
    h.send("ann", &decision("c1", false));
    h.expect("ann", &[refused("ALREADY_ANSWERED"), refused("ALREADY_ANSWERED")]);
}

#[test]
fn a_meaningless_answer_to_a_call_is_refused() {
    let mut h = waiting(vec![asking("c1"), at_client("c2"), call("c3", &json!({}))]);
    let both = call("c4", &json!({ "output": "client", "approval": { "state": "requested" } }));
    for (frame, code) in [
        (decision("c9", true), "NOT_FOUND"),
        (decision("c2", true), "INVALID_MESSAGE"),
        (output("c1", &json!(1)), "INVALID_MESSAGE"),
        (output("c3", &json!(1)), "INVALID_MESSAGE"),
        (output("c2", &json!("x".repeat(200_000))), ""),
        (
            json!({ "type": "tool_decision", "requestId": "r9", "toolUseId": "c1", "approved": true }),
            "NOT_FOUND",
        ),
        (json!({ "type": "tool_decision", "requestId": "r1", "toolUseId": "c1" }), "INVALID_MESSAGE"),
        (json!({ "type": "tool_output", "requestId": "r1", "toolUseId": "c2" }), "INVALID_MESSAGE"),
        (json!({ "type": "tool_decision", "requestId": "r1", "approved": true }), "INVALID_MESSAGE"),
    ] {
        h.send("ann", &frame);
        let frames = h.frames("ann");
        if !code.is_empty() {
            assert_eq!(frames.last().unwrap()["error"]["code"], code, "{frame}");
            assert_eq!(frames.last().unwrap()["toolUseId"], frame["toolUseId"], "{frame}");
        }
    }
    let mut long = decision("c1", true);
    long["reason"] = json!("x".repeat(1_001));
    h.send("ann", &long);
    h.expect("ann", &[refused("INVALID_MESSAGE")]);
    let mut h = waiting(vec![both]);
    h.send("ann", &output("c4", &json!(1)));
    h.expect("ann", &[refused("INVALID_MESSAGE")]);
    h.send("ann", &decision("c4", true));
    h.send("ann", &output("c4", &json!(1)));
    h.expect("ann", &[json!({ "type": "tool_decided" }), json!({ "type": "block" })]);
    assert_eq!(asked(&mut h).len(), 1);
}

#[test]
fn an_output_that_is_too_large_for_the_answer_is_refused_and_a_smaller_one_accepted() {
    let mut h = thread();
    h.greet("ann");
    h.say("ann", "r1", "one");
    h.agent("r1", vec![said(&"x".repeat(400_000)), at_client("c1"), finished()]);
    h.frames("ann");
    h.send("ann", &output("c1", &json!("y".repeat(250_000))));
    h.expect("ann", &[refused("MESSAGE_TOO_LARGE")]);
    h.send("ann", &output("c1", &json!("y")));
    h.expect("ann", &[json!({ "type": "block" })]);
}

#[test]
fn ten_calls_of_which_nine_are_answered_wait_for_the_tenth() {
    let mut h = waiting((0..10).map(|n| asking(&format!("c{n}"))).collect());
    for n in 0..9 {
        h.send("ann", &decision(&format!("c{n}"), n % 2 == 0));
    }
    assert_eq!(asked(&mut h).len(), 0);
    assert_eq!(state(&mut h), "waiting");
    h.send("ann", &decision("c9", true));
    assert_eq!(asked(&mut h).len(), 1);
}

#[test]
fn a_second_round_may_wait_again_and_reuse_an_id() {
    let mut h = waiting(vec![at_client("c1")]);
    h.send("ann", &output("c1", &json!(1)));
    h.agent("r1", vec![said("And "), at_client("c1"), finished()]);
    let frames = h.frames("ann");
    assert_eq!(frames.iter().filter(|frame| frame["type"] == "waiting").count(), 1);
    assert_eq!(state(&mut h), "waiting");
    h.send("ann", &output("c1", &json!(2)));
    h.agent("r1", vec![said("done."), finished()]);
    let end = h.frames("ann").into_iter().find(|frame| frame["type"] == "final").unwrap();
    assert_eq!(end["response"]["content"], "Let me see. And done.");
    assert_eq!(end["response"]["metadata"]["tokensUsed"], 36);
}

#[test]
fn a_new_message_replaces_a_waiting_turn_and_runs_after_those_queued() {
    let mut h = thread();
    h.greet("ann");
    h.say("ann", "r1", "one");
    h.say("ann", "r2", "two");
    h.agent("r1", vec![asking("c1"), finished()]);
    h.frames("ann");
    h.seen();
    h.wait(60_000);
    assert!(h.started().is_empty(), "what is queued behind it stays queued");
    h.say("ann", "r3", "three");
    let frames = h.expect(
        "ann",
        &[
            json!({ "type": "cancelled", "requestId": "r1", "reason": "superseded" }),
            json!({ "type": "user_message", "requestId": "r3" }),
            json!({ "type": "queued", "requestId": "r3", "position": 2 }),
        ],
    );
    let approval = &frames[0]["response"]["blocks"][0]["approval"];
    assert_eq!(*approval, json!({ "state": "denied", "reason": "superseded" }));
    assert_eq!(h.started(), [h.turn("r2")]);
    h.finish("r2");
    assert_eq!(h.started(), [h.turn("r3")]);
}

#[test]
fn a_message_with_the_results_completes_the_turn_that_waited_for_them() {
    for concurrent_turns in [1, 2] {
        let mut h = waiting_of(thread_of(concurrent_turns), vec![at_client("c1"), asking("c2")]);
        let result = json!([{ "type": "tool_result", "toolUseId": "c1", "content": "blue" }]);
        h.send("ann", &json!({ "type": "message", "requestId": "r2", "content": result }));
        let frames = h.expect(
            "ann",
            &[
                json!({ "type": "final", "requestId": "r1" }),
                json!({ "type": "user_message", "requestId": "r2" }),
            ],
        );
        assert_eq!(frames[0]["response"]["blocks"][2]["approval"]["state"], "denied");
        assert_eq!(h.started(), [h.turn("r2")]);
    }
    let mut h = waiting_of(thread_of(2), vec![at_client("c1")]);
    h.say("ann", "r2", "something else");
    h.expect("ann", &[json!({ "type": "user_message", "requestId": "r2" })]);
    assert_eq!(state(&mut h), "waiting");
}

#[test]
fn waiting_turns_count_towards_the_queues_limit() {
    let mut h = thread_of(4);
    h.greet("ann");
    for n in 0..QUEUED_TURNS_MAX {
        h.say("ann", &format!("r{n}"), "hello");
        h.agent(&format!("r{n}"), vec![asking("c1"), finished()]);
    }
    h.deliver();
    h.frames("ann");
    assert_eq!((h.host.alarm, h.host.timer()), (None, None));
    h.say("ann", "more", "hello");
    h.expect("ann", &[json!({ "type": "error", "cursor": null, "error": { "code": "BUSY" } })]);
    h.send("ann", &decision("c1", true));
    h.finish("r1");
    h.frames("ann");
    h.say("ann", "more", "hello");
    h.expect("ann", &[json!({ "type": "user_message" })]);
    h.join("bob");
    let greeted = h.frames("bob");
    assert_eq!(greeted[0]["inFlight"].as_array().unwrap().len(), QUEUED_TURNS_MAX);
    assert_eq!(greeted[1]["inFlight"][0]["state"], "waiting");
    h.resume("bob", &cursor_of(&greeted));
    h.expect("bob", &[json!({ "resumed": true })]);
}

#[test]
fn a_turn_that_has_waited_runs_before_queued_ones() {
    let mut h = waiting_of(thread_of(2), vec![asking("c1")]);
    for request_id in ["r2", "r3", "r4"] {
        h.say("ann", request_id, "hello");
    }
    h.seen();
    h.send("ann", &decision("c1", true));
    assert!(h.started().is_empty(), "no place is free");
    h.finish("r2");
    assert_eq!(h.started(), [h.turn("r1")]);
    h.finish("r3");
    assert_eq!(h.started(), [h.turn("r4")]);
}

#[test]
fn the_permission_mode_decides_the_approvals_it_covers() {
    let kinds = ["read", "edit", "execute"];
    for (mode, said) in [
        ("default", ["requested", "requested", "requested"]),
        ("acceptEdits", ["approved", "approved", "requested"]),
        ("plan", ["approved", "denied", "denied"]),
        ("bypassPermissions", ["approved", "approved", "approved"]),
    ] {
        let mut h = thread();
        h.greet("ann");
        h.send("ann", &json!({ "type": "session_update", "permissionMode": mode }));
        h.say("ann", "r1", "one");
        h.frames("ann");
        let asks = |kind: &&str| call(kind, &json!({ "kind": kind, "approval": { "state": "requested" } }));
        let mut events: Vec<AgentEvent> = kinds.iter().map(asks).collect();
        events.push(asking("unknown"));
        h.agent("r1", events);
        let frames = h.frames("ann");
        let states: Vec<&Value> = frames.iter().map(|frame| &frame["block"]["approval"]["state"]).collect();
        let mut wanted = said.to_vec();
        wanted.push(said[2]);
        assert_eq!(json!(states), json!(wanted), "{mode}");
        let by = &frames[0]["block"]["approval"]["by"];
        assert_eq!(*by, if mode == "default" { Value::Null } else { json!("mode") });
        assert_eq!(frames.len(), 4, "no tool_decided");
    }
}

#[test]
fn a_change_of_the_mode_decides_open_approvals_and_no_outputs() {
    let mut h = waiting(vec![asking("c1"), at_client("c2")]);
    h.send("ann", &json!({ "type": "session_update", "permissionMode": "bypassPermissions" }));
    h.expect("ann", &[json!({ "type": "tool_decided", "toolUseId": "c1", "approved": true, "by": "mode" })]);
    assert_eq!(state(&mut h), "waiting");
    h.send("ann", &output("c2", &json!(1)));
    assert_eq!(asked(&mut h).len(), 1);
    let mut h = waiting(vec![asking("c1")]);
    h.send("ann", &json!({ "type": "session_update", "permissionMode": "plan" }));
    assert_eq!(asked(&mut h)[0][1]["approval"], json!({ "state": "denied", "by": "mode" }));
}

#[test]
fn a_mode_that_was_changed_right_before_a_crash_still_decides() {
    wherever_it_crashes(
        || waiting(vec![asking("c1"), asking("c2")]),
        |h| h.send("ann", &json!({ "type": "session_update", "permissionMode": "bypassPermissions" })),
        |h| {
            let mode = h.host.store.checkpoint.as_ref().unwrap().session.permission_mode.as_str().to_owned();
            let decided = |kind: &RecordKind| matches!(kind, RecordKind::Decision(_));
            let count = h.host.store.records.values().filter(|record| decided(&record.kind)).count();
            assert_eq!(count, if mode == "default" { 0 } else { 2 });
            assert_eq!(ends(h).len() + h.host.agents.len(), usize::from(count > 0));
        },
    );
}

#[test]
fn a_viewer_may_not_decide_and_the_subject_that_decides_is_named() {
    let mut h = thread();
    h.join_with_token("ann", None);
    h.say("ann", "r1", "one");
    h.agent("r1", vec![asking("c1"), at_client("c2"), finished()]);
    h.join_as_viewer("eve", None);
    h.frames("eve");
    h.send("eve", &decision("c1", true));
    h.send("eve", &output("c2", &json!(1)));
    h.expect("eve", &[refused("FORBIDDEN"), refused("FORBIDDEN")]);
    let granted = Some(Access::Editor);
    let bob =
        Identity { subject: Some("bob".into()), granted, may_create: false, expires_at: None, trace: None };
    h.join_as("bob", bob);
    h.frames("bob");
    let mut frame = decision("c1", false);
    frame["reason"] = json!("not now");
    h.send("bob", &frame);
    let decided = json!({ "type": "tool_decided", "approved": false, "reason": "not now", "by": "bob" });
    h.expect("bob", &[decided]);
}

#[test]
fn http_requests_can_answer_calls_with_the_same_results_as_frames() {
    let mut h = thread();
    h.join_with_token("ann", None);
    h.say("ann", "r1", "one");
    h.agent("r1", vec![asking("c1"), finished()]);
    h.frames("ann");
    let request = |text: &str| {
        let mut fields = Json::parse(text).unwrap().as_object().unwrap().clone();
        Request::Answer(bobbin::protocol::ToolAnswer::from_fields(&mut fields, false).unwrap())
    };
    let approve = request(r#"{"requestId":"r1","toolUseId":"c1","approved":true}"#);
    let identity = |subject: &str, granted| Identity {
        subject: Some(subject.into()),
        granted,
        may_create: false,
        expires_at: None,
        trace: None,
    };
    let eve = identity("eve", Some(Access::Viewer));
    assert!(matches!(h.host.request(&eve, approve.clone()), Err(Denied::Forbidden(_))));
    assert_eq!(h.host.request(&identity("cid", None), approve.clone()), Err(Denied::NoSession));
    assert_eq!(h.host.request(&identity("bob", Some(Access::Editor)), approve), Ok(()));
    h.expect("ann", &[json!({ "type": "tool_decided", "by": "bob" })]);
    let thread = h.host.thread().unwrap();
    let Request::Answer(deny) = request(r#"{"requestId":"r1","toolUseId":"c1","approved":false}"#) else {
        panic!("an answer")
    };
    assert_eq!(thread.refuses_answer(&deny).unwrap().code.as_str(), "ALREADY_ANSWERED");
}

#[test]
fn a_turn_that_waits_a_day_costs_its_own_rows_and_nothing_else() {
    let mut h = thread();
    h.greet("ann");
    h.say("ann", "r1", "one");
    h.agent("r1", vec![asking("c1"), finished()]);
    h.deliver();
    assert_eq!((h.host.alarm, h.host.timer()), (None, None));
    let rows = h.rows_written();
    assert!(h.host.may_be_evicted());
    h.host.evict();
    h.frames("ann");
    h.seen();
    h.wait(24 * 3_600_000);
    assert_eq!(h.rows_written(), rows);
    assert!(h.seen().is_empty());
    let frame = decision("c1", true);
    h.send("ann", &frame);
    let frames = h.expect("ann", &[json!({ "type": "tool_decided" })]);
    assert_eq!(frames[0]["cursor"].as_str().unwrap().split('.').count(), 2, "it names no turn");
    // The rows are the decision and its place in an index, the start, and the journal.
    assert_eq!(h.rows_written(), rows + 4);
    h.agent("r1", vec![said("x"), finished()]);
    let end = h.frames("ann").into_iter().find(|frame| frame["type"] == "final").unwrap();
    assert_eq!(end["response"]["metadata"]["latencyMs"], 0, "the time it waited is left out");
}

#[test]
fn a_token_that_expires_while_it_waits_closes_its_socket_and_the_turn_waits_on() {
    let mut h = thread();
    h.join_with_token("ann", Some(h.host.now + 60_000));
    h.say("ann", "r1", "one");
    h.agent("r1", vec![asking("c1"), finished()]);
    h.deliver();
    h.wait(3_600_000);
    assert!(!h.is_open("ann"));
    assert_eq!(state(&mut h), "waiting");
    h.join_with_token("ann", None);
    h.frames("ann");
    h.send("ann", &decision("c1", true));
    h.expect("ann", &[json!({ "type": "tool_decided", "by": "ann" })]);
}

#[test]
fn a_deletion_ends_waiting_turns() {
    let mut h = waiting(vec![asking("c1")]);
    h.host.request(&Identity::anyone(), Request::Delete).unwrap();
    h.deliver();
    h.wait(60_000);
    assert!(h.host.store.records.is_empty());
    h.greet("ann");
    h.send("ann", &decision("c1", true));
    assert!(h.frames("ann").iter().any(|frame| frame["error"]["code"] == "NOT_FOUND"));
}

#[test]
fn while_d1_is_down_a_turn_still_waits_and_goes_on() {
    let mut h = thread();
    h.greet("ann");
    h.say("ann", "r1", "one");
    h.agent("r1", vec![asking("c1"), finished()]);
    h.wait(200_000);
    assert_eq!(state(&mut h), "waiting");
    assert!(h.host.alarm.is_some(), "the outbox is tried again");
    h.frames("ann");
    h.send("ann", &decision("c1", true));
    h.agent("r1", vec![said("x"), finished()]);
    assert_eq!(ends(&h), ["complete"]);
}

#[test]
fn the_waiting_of_a_turn_is_delivered_at_once() {
    let mut h = waiting(vec![asking("c0")]);
    h.send("ann", &decision("c0", true));
    h.finish("r1");
    h.deliver();
    h.say("ann", "r2", "two");
    h.seen();
    h.agent("r2", vec![asking("c1"), finished()]);
    assert!(h.seen().iter().any(|seen| matches!(seen, Seen::Delivering(_))));
    let (delivery, _) = h.host.deliveries.back().unwrap().clone();
    let content = delivery.content.unwrap();
    assert_eq!(content.session.state.unwrap().as_str(), "waiting");
    assert!(content.records.iter().all(bobbin::thread::store::Record::is_message));
}

#[test]
fn the_answer_of_a_waiting_turn_is_in_flight_and_not_among_the_messages() {
    let mut h = waiting(vec![asking("c1")]);
    h.join("bob");
    let frames = h.frames("bob");
    assert_eq!(frames[1]["messages"].as_array().unwrap().len(), 1);
    let in_flight = &frames[1]["inFlight"][0];
    assert_eq!((&in_flight["state"], &in_flight["content"]), (&json!("waiting"), &json!("Let me see. ")));
    assert_eq!(in_flight["blocks"][1]["id"], "c1");
    h.send("bob", &decision("c1", true));
    h.join("cid");
    assert_eq!(h.frames("cid")[1]["inFlight"][0]["state"], "streaming");
}

#[test]
fn a_client_that_was_away_is_sent_everything_it_missed_across_waiting_and_rounds() {
    let mut h = thread();
    h.greet("ann");
    h.say("ann", "r1", "one");
    let mut places = vec![cursor_of(&h.frames("ann"))];
    let mut at = |h: &mut Harness| places.push(cursor_of(&h.frames("ann")));
    h.agent("r1", vec![said("a"), asking("c1"), at_client("c2")]);
    at(&mut h);
    h.send("ann", &decision("c1", true));
    at(&mut h);
    h.agent("r1", vec![said("b"), asking("c3"), finished()]);
    at(&mut h);
    h.send("ann", &output("c2", &json!(1)));
    at(&mut h);
    h.send("ann", &decision("c3", false));
    at(&mut h);
    h.agent("r1", vec![said("c"), at_client("c4")]);
    at(&mut h);
    h.send("ann", &output("c4", &json!(2)));
    at(&mut h);
    for (n, place) in places.iter().enumerate() {
        h.resume("bob", place);
        let frames = h.frames("bob");
        assert_eq!(frames[0]["resumed"], true, "place {n}");
        let text = tokens(&frames, "r1");
        assert!("abc".ends_with(&text), "place {n}: {frames:?}");
        let missed = frames.iter().filter(|frame| frame["type"] == "waiting").count();
        assert_eq!(missed, usize::from(n < 3), "place {n}: {frames:?}");
    }
    // A client that missed only a decision is sent only that.
    h.resume("bob", &places[4]);
    let frames = h.frames("bob");
    let decided = frames.iter().find(|frame| frame["type"] == "tool_decided").unwrap();
    assert_eq!((&decided["toolUseId"], &decided["approved"]), (&json!("c3"), &json!(false)));
}

/// A client that is cut off in a catch-up after a decision that it was not sent gets everything it lacks
/// later.
#[test]
fn a_client_cut_off_after_a_decision_that_it_was_not_sent_lacks_nothing_later() {
    let mut h = waiting_of(thread_of(2), vec![at_client("c1")]);
    h.send("ann", &output("c1", &json!(1)));
    let place = cursor_of(&h.frames("ann"));
    h.agent("r1", vec![said("And "), asking("c2")]);
    h.send("ann", &decision("c2", true));
    h.say("ann", "r2", "two");
    h.resume("bob", &place.split('.').take(2).collect::<Vec<_>>().join("."));
    let frames = h.frames("bob");
    let mut whole = None;
    for cut in 1..=frames.len() {
        let Some(at) = frames[cut - 1]["cursor"].as_str().map(str::to_owned) else { continue };
        h.resume("cid", &at);
        let rest = h.frames("cid");
        assert_eq!(rest[0]["resumed"], true);
        let sent = frames[..cut].iter().chain(&rest[1..]);
        let shown: Vec<&Value> = sent.filter(|frame| frame["requestId"] == "r1").collect();
        let text: String = shown.iter().filter_map(|frame| frame["token"].as_str()).collect();
        let blocks = shown.iter().filter(|frame| frame["type"] == "block").count();
        assert_eq!(*whole.get_or_insert((text.clone(), blocks)), (text, blocks), "cut at {at}");
    }
    assert_eq!(whole, Some(("And ".into(), 1)));
}

#[test]
fn a_waiting_turn_survives_a_crash_with_all_answers_to_its_calls() {
    let mut h = waiting(vec![asking("c1"), at_client("c2"), asking("c3")]);
    h.send("ann", &decision("c1", true));
    h.send("ann", &output("c2", &json!({ "a": 1 })));
    let place = cursor_of(&h.frames("ann"));
    h.host.crash(false);
    h.wait(3_600_000);
    h.resume("ann", &place);
    h.expect("ann", &[json!({ "type": "connected", "resumed": true, "inFlight": [{ "state": "waiting" }] })]);
    h.send("ann", &decision("c1", false));
    h.expect("ann", &[refused("ALREADY_ANSWERED")]);
    h.seen();
    h.send("ann", &decision("c3", true));
    let answers = asked(&mut h);
    assert_eq!(answers[0][4]["output"], json!({ "a": 1 }));
    h.agent("r1", vec![said("x"), finished()]);
    assert_eq!(ends(&h), ["complete"]);
}

#[test]
fn wherever_the_object_dies_a_turn_waits_or_is_interrupted_and_ends_once() {
    let before = || {
        let mut h = thread();
        h.greet("ann");
        h.say("ann", "r1", "one");
        h.agent("r1", vec![said("a"), asking("c1")]);
        h.wait(600);
        h
    };
    wherever_it_crashes(
        before,
        |h| h.agent("r1", vec![finished()]),
        |h| match ends(h).as_slice() {
            [] => {
                assert_eq!(state(h), "waiting");
                h.greet("ann");
                h.send("ann", &decision("c1", true));
                h.finish("r1");
                assert_eq!(ends(h), ["complete"]);
            }
            [end] => assert_eq!(end, "interrupted"),
            many => panic!("{many:?}"),
        },
    );
}

#[test]
fn wherever_the_object_dies_a_decision_is_stored_or_was_never_accepted() {
    wherever_it_crashes(
        || waiting(vec![asking("c1")]),
        |h| h.send("ann", &decision("c1", true)),
        |h| {
            let is_kept =
                h.host.store.records.values().any(|record| matches!(record.kind, RecordKind::Decision(_)));
            match (is_kept, ends(h).as_slice()) {
                // The decision was lost.
                (false, []) => assert_eq!(state(h), "waiting"),
                // The agent is called, by the old object or the new one.
                (true, []) => assert_eq!(h.host.agents.len(), 1),
                (true, [end]) => {
                    assert_eq!(end, "interrupted");
                    let end = h.host.store.records.values().find(|record| record.is_end()).unwrap();
                    let shown = json_of(&end.content);
                    assert_eq!(shown[1]["approval"]["state"], ApprovalState::Approved.as_str());
                }
                other => panic!("{other:?}"),
            }
            assert!(h.host.store.records.values().filter(|record| record.is_end()).count() <= 1);
        },
    );
}

#[test]
fn a_decision_while_the_agent_speaks_survives_a_crash_with_its_call() {
    wherever_it_crashes(
        || {
            let mut h = thread();
            h.greet("ann");
            h.say("ann", "r1", "one");
            h.agent("r1", vec![said("a"), asking("c1"), at_client("c2")]);
            h
        },
        |h| {
            h.send("ann", &decision("c1", true));
            h.send("ann", &output("c2", &json!(1)));
        },
        |h| {
            if h.host.agents.is_empty() {
                let end = h.host.store.records.values().find(|record| record.is_end()).unwrap();
                let shown = json_of(&end.content);
                let kinds: Vec<&RecordKind> =
                    h.host.store.records.values().map(|record| &record.kind).collect();
                let is_decided = kinds.iter().any(|kind| matches!(kind, RecordKind::Decision(_)));
                let is_given = kinds.iter().any(|kind| matches!(kind, RecordKind::Output(_)));
                if is_decided {
                    assert_eq!(shown[1]["approval"]["state"], "approved");
                }
                if is_given {
                    assert_eq!(shown[3]["content"], "1");
                }
            }
        },
    );
}

#[test]
fn a_message_that_replaces_a_turn_ends_it_once_wherever_the_object_dies() {
    wherever_it_crashes(
        || waiting(vec![asking("c1")]),
        |h| h.say("ann", "r2", "two"),
        |h| {
            let ends = ends(h);
            let is_taken = h.host.store.records.values().any(|record| record.request_id == "r2");
            assert!(ends.len() <= 2 && (!is_taken || ends[0] == "cancelled"), "{ends:?}");
        },
    );
}

#[test]
fn if_calls_cannot_be_marked_all_are_the_clients_when_the_worker_is_set_so() {
    let config = Config { waits_for_tools: true, ..Config::default() };
    let mut h = Harness::of(Host::new(config, 1));
    h.greet("ann");
    h.say("ann", "r1", "one");
    h.frames("ann");
    let begin = AgentEvent::Begin(Block::tool_use("c1", "look", Json::Null));
    h.agent("r1", vec![begin, call("c1", &json!({})), finished()]);
    h.expect(
        "ann",
        &[
            json!({ "type": "block_start", "block": { "output": "client" } }),
            json!({ "type": "block", "block": { "output": "client" } }),
            json!({ "type": "waiting", "toolUseIds": ["c1"] }),
        ],
    );
    let mut h = thread();
    h.greet("ann");
    h.say("ann", "r1", "one");
    h.agent("r1", vec![call("c1", &json!({})), finished()]);
    assert_eq!(ends(&h), ["complete"]);
}

#[test]
fn calls_that_turn_out_to_be_the_clients_at_the_end_are_named_only_by_waiting() {
    let mut h = thread();
    h.greet("ann");
    h.say("ann", "r1", "one");
    let unanswered = Finished { client_calls: vec!["c1".into()], ..Finished::default() };
    h.agent("r1", vec![call("c1", &json!({})), AgentEvent::Finished(unanswered)]);
    let frames = h.frames("ann");
    assert!(frames.iter().any(|frame| frame["type"] == "waiting" && frame["toolUseIds"] == json!(["c1"])));
    h.host.crash(true);
    h.join("ann");
    assert_eq!(h.frames("ann")[1]["inFlight"][0]["toolUseIds"], json!(["c1"]));
    h.send("ann", &output("c1", &json!(null)));
    h.expect("ann", &[json!({ "type": "block", "block": { "content": "null" } })]);
    assert_eq!(h.host.agents.len(), 1);
}

#[test]
fn an_agent_that_calls_tools_endlessly_fails() {
    let mut h = thread();
    h.greet("ann");
    h.say("ann", "r1", "one");
    for _ in 0..ROUNDS_MAX {
        h.agent("r1", vec![at_client("c1")]);
        h.send("ann", &output("c1", &json!(1)));
        h.finish("r1");
        h.host.links.values_mut().for_each(|link| link.down.clear());
    }
    let end = h.host.store.records.values().last().unwrap();
    let RecordKind::Answer { error, .. } = &end.kind else { panic!("an end") };
    assert!(error.as_ref().unwrap().message.contains("256 times"));
}

#[test]
fn a_waiting_turn_is_cancelled_with_all_others_and_its_thread_sleeps() {
    let mut h =
        waiting_of(thread_with(Config { concurrent_turns: 3, ..Config::default() }), vec![asking("c1")]);
    h.say("ann", "r2", "two");
    h.send("ann", &json!({ "type": "cancel" }));
    assert_eq!(ends(&h), ["cancelled", "cancelled"]);
    h.deliver();
    assert_eq!((h.host.alarm, h.host.timer()), (None, None));
}

#[test]
fn a_client_with_the_last_event_is_up_to_date_even_if_the_agent_goes_on() {
    let mut h = waiting(vec![at_client("c1")]);
    h.send("ann", &output("c1", &json!("blue")));
    let last = cursor_of(&h.frames("ann"));
    assert_eq!(asked(&mut h).len(), 1);
    h.send("ann", &json!({ "type": "session_sync", "cursor": last }));
    h.expect("ann", &[json!({ "type": "session_synced" })]);
    h.join("bob");
    let place = cursor_of(&h.frames("bob"));
    h.send("bob", &json!({ "type": "session_sync", "cursor": place }));
    h.expect("bob", &[json!({ "type": "session_synced" })]);
    h.agent("r1", vec![said("Blue.")]);
    h.resume("cid", &last);
    h.expect("cid", &[json!({ "resumed": true }), json!({ "type": "token", "token": "Blue." })]);
}

#[test]
fn if_the_end_of_a_waiting_turn_is_stored_and_the_next_is_not_an_alarm_is_set() {
    let mut h = thread();
    h.greet("ann");
    h.say("ann", "r1", "one");
    h.say("ann", "r2", "two");
    h.agent("r1", vec![at_client("c1"), finished()]);
    h.deliver();
    assert_eq!(h.host.alarm, None);
    h.host.faults.writes = Some((2, 9, false));
    h.send("ann", &json!({ "type": "cancel" }));
    assert!(h.host.alarm.is_some_and(|at| at <= h.host.now + GUARD_MS), "{:?}", h.host.alarm);
    h.host.faults.writes = None;
    h.wait(2 * GUARD_MS);
    h.agent("r2", vec![finished()]);
    assert_eq!(ends(&h), ["cancelled", "complete"]);
}
