use bobbin::agent::{AgentEvent, Finished};
use bobbin::protocol::limits::{GUARD_MS, JOURNAL_MS};
use bobbin::protocol::{Role, to_json};
use bobbin::thread::{Config, Event};
use serde_json::{Value, json};

use crate::harness::{failed, finished, said, thought, thread, thread_of, tokens};
use crate::support::Seen;

#[test]
fn connected_comes_first_and_says_that_there_is_no_session_yet() {
    let mut h = thread();
    h.join("ann");
    h.expect(
        "ann",
        &[
            json!({ "type": "connected", "protocol": 1, "sessionId": "s1", "status": "not-created",
                    "session": null, "resumed": false, "cursor": "0", "inFlight": [] }),
            json!({ "type": "snapshot", "reason": "joined", "messages": [], "hasMore": false, "inFlight": [],
                    "session": null, "cursor": "0" }),
        ],
    );
}

#[test]
fn all_sockets_get_a_turns_message_text_and_end() {
    let mut h = thread();
    h.greet("ann");
    h.greet("bob");
    h.say("ann", "r1", "hello");
    h.text("r1", "good ");
    h.wait(100);
    h.text("r1", "day");
    h.wait(100);
    h.finish("r1");
    let turn = [
        json!({ "type": "user_message", "requestId": "r1",
                "message": { "role": "user", "content": "hello", "status": "complete" } }),
        json!({ "type": "token", "requestId": "r1", "token": "good " }),
        json!({ "type": "token", "requestId": "r1", "token": "day" }),
        json!({ "type": "final", "requestId": "r1", "response": {
            "content": "good day", "blocks": null, "metadata": { "tokensUsed": 12, "latencyMs": 200 } } }),
    ];
    assert_eq!(h.expect("ann", &turn), h.expect("bob", &turn));
}

#[test]
fn the_commit_comes_before_its_frame_and_the_agents_call_after() {
    let mut h = thread();
    h.greet("ann");
    h.seen();
    h.say("ann", "r1", "hello");
    let kinds: Vec<&str> = h.seen().iter().filter_map(kind).collect();
    assert_eq!(kinds, ["alarm", "stored", "sent", "sent", "started", "delivering"]);
}

#[test]
fn blocks_keep_their_place_in_the_answer() {
    let mut h = thread();
    h.greet("ann");
    h.say("ann", "r1", "hello");
    h.agent("r1", vec![said("one "), thought("hm"), said("two"), finished()]);
    h.expect(
        "ann",
        &[
            json!({ "type": "user_message" }),
            json!({ "type": "token", "token": "one " }),
            json!({ "type": "block", "requestId": "r1", "block": { "type": "thinking", "text": "hm" } }),
            json!({ "type": "token", "token": "two" }),
            json!({ "type": "final", "response": { "content": "one two", "blocks": [
                { "type": "text", "text": "one " },
                { "type": "thinking", "text": "hm" },
                { "type": "text", "text": "two" },
            ] } }),
        ],
    );
}

#[test]
fn a_failed_agent_leaves_its_text_and_says_why() {
    let mut h = thread();
    h.greet("ann");
    h.say("ann", "r1", "hello");
    h.agent("r1", vec![said("half an ans"), failed()]);
    h.expect(
        "ann",
        &[
            json!({ "type": "user_message" }),
            json!({ "type": "token" }),
            json!({ "type": "error", "error": { "code": "AGENT_ERROR", "retryable": true },
                    "response": { "content": "half an ans", "metadata": { "tokensUsed": 3 } } }),
        ],
    );
}

#[test]
fn an_agent_that_is_silent_too_long_is_aborted_and_its_turn_fails() {
    let mut h = thread();
    h.greet("ann");
    h.say("ann", "r1", "hello");
    h.wait(59_999);
    h.text("r1", "late");
    h.frames("ann");
    h.wait(59_999);
    h.expect_nothing("ann");
    h.wait(1);
    h.expect(
        "ann",
        &[json!({ "type": "error", "error": { "code": "AGENT_TIMEOUT", "retryable": true },
                          "response": { "content": "late" } })],
    );
    assert_eq!(h.aborted().len(), 1);
}

#[test]
fn deliveries_of_an_agent_after_the_end_are_ignored() {
    let mut h = thread();
    h.greet("ann");
    h.say("ann", "r1", "hello");
    h.agent("r1", vec![said("all"), finished(), said(" and more"), finished()]);
    h.frames("ann");
    h.agent("r1", vec![said("ghost"), thought("ghost"), finished()]);
    h.wait(1_000);
    h.expect_nothing("ann");
}

#[test]
fn an_agent_gets_the_finished_messages_before_its_own_and_never_those_of_a_concurrent_turn() {
    let mut h = thread_of(2);
    h.greet("ann");
    for (request_id, text) in [("r1", "first"), ("r2", "second"), ("r3", "third")] {
        h.say("ann", request_id, text);
    }
    h.text("r2", "half");
    h.agent("r1", vec![said("one"), finished()]);
    let asked: Vec<_> = h
        .seen()
        .into_iter()
        .filter_map(|seen| if let Seen::Started { request, .. } = seen { Some(request) } else { None })
        .collect();
    let texts = |nth: usize| asked[nth].messages.iter().map(|it| it.content.text()).collect::<Vec<_>>();
    assert_eq!((texts(0), texts(1)), (vec!["first".into()], vec!["second".into()]));
    assert_eq!(texts(2), ["first", "one", "third"]);
    assert_eq!(asked[2].messages[1].role, Role::Assistant);
}

#[test]
fn a_question_whose_turn_failed_before_anything_was_said_is_not_given_to_agents() {
    let mut h = thread();
    h.greet("ann");
    let failures: [(&str, Vec<AgentEvent>); 8] = [
        ("filtered", vec![ended("content_filter")]),
        ("filtered by another", vec![said("\n"), ended("SAFETY")]),
        ("filtered at last", vec![said("Well"), ended("content_filter")]),
        ("refused", vec![failed()]),
        ("blank", vec![said(" \n"), failed()]),
        ("broken off", vec![said("So"), failed()]),
        ("thought", vec![thought("hm"), failed()]),
        ("answered", vec![said("Yes"), finished()]),
    ];
    for (question, events) in failures {
        h.say("ann", question, question);
        h.agent(question, events);
    }
    h.say("ann", "cancelled", "cancelled");
    h.send("ann", &json!({ "type": "cancel", "requestId": "cancelled" }));
    h.say("ann", "silent", "silent");
    h.wait(Config::default().agent_first_token_timeout_ms);
    h.say("ann", "interrupted", "interrupted");
    h.host.crash(false);
    h.greet("ann");
    h.say("ann", "last", "last");
    let asked = h.seen().into_iter().filter_map(|seen| match seen {
        Seen::Started { request, .. } => Some(request),
        _ => None,
    });
    let asked = asked.last().unwrap();
    let texts: Vec<String> = asked.messages.iter().map(|it| it.content.text()).collect();
    assert_eq!(
        texts,
        [
            "filtered at last",
            "Well",
            "broken off",
            "So",
            "thought",
            "",
            "answered",
            "Yes",
            "cancelled",
            "",
            "interrupted",
            "",
            "last"
        ]
    );
}

fn ended(reason: &str) -> AgentEvent {
    AgentEvent::Finished(Finished { finish_reason: Some(reason.into()), ..Finished::default() })
}

#[test]
fn concurrent_turns_stream_side_by_side() {
    let mut h = thread_of(2);
    h.greet("ann");
    h.say("ann", "r1", "one");
    h.say("ann", "r2", "two");
    for text in ["a", "b", "c"] {
        h.text("r1", text);
        h.text("r2", text);
        h.wait(50);
    }
    let frames = h.frames("ann");
    assert_eq!((tokens(&frames, "r1").as_str(), tokens(&frames, "r2").as_str()), ("abc", "abc"));
}

#[test]
fn a_thread_id_that_names_another_thread_is_refused() {
    let mut h = thread();
    h.greet("ann");
    h.send("ann", &json!({ "type": "message", "requestId": "r1", "content": "x", "threadId": "s2" }));
    h.expect(
        "ann",
        &[json!({ "type": "error", "requestId": "r1", "cursor": null,
                              "error": { "code": "THREAD_MISMATCH", "retryable": false } })],
    );
    h.send("ann", &json!({ "type": "message", "requestId": "r1", "content": "x", "threadId": "s1" }));
    h.expect("ann", &[json!({ "type": "user_message" })]);
}

#[test]
fn an_invalid_frame_is_refused_and_the_socket_stays() {
    let mut h = thread();
    h.greet("ann");
    for text in ["", "x", "[]", "{}", r#"{"type":"nonsense"}"#, r#"{"type":"message","content":""}"#] {
        h.send_text("ann", text);
        h.expect(
            "ann",
            &[json!({ "type": "error", "cursor": null, "error": { "code": "INVALID_MESSAGE" } })],
        );
    }
    h.send("ann", &json!({ "type": "ping" }));
    h.expect("ann", &[json!({ "type": "pong" })]);
}

#[test]
fn a_turns_start_is_logged_only_if_it_waited() {
    let mut h = thread();
    h.greet("ann");
    h.seen();
    h.say("ann", "r1", "one");
    h.say("ann", "r2", "two");
    h.finish("r1");
    let events: Vec<String> = h.seen().iter().filter_map(logged).collect();
    assert_eq!(events, ["turn_accepted r2", "turn_ended r1", "turn_started r2"]);
}

#[test]
fn a_turn_that_is_over_soon_is_one_line_of_the_log_which_names_its_connection() {
    let mut h = thread();
    h.greet("ann");
    h.seen();
    h.say("ann", "r1", "one");
    h.agent("r1", vec![said("x"), finished()]);
    let seen = h.seen();
    assert_eq!(seen.iter().filter_map(logged).collect::<Vec<_>>(), ["turn_ended r1"]);
    let ends_of = |seen: &Seen| match seen {
        Seen::Logged(Event::TurnEnded { connection_id, .. }) => connection_id.clone(),
        _ => None,
    };
    assert_eq!(seen.iter().find_map(ends_of).as_deref(), Some("ann-1"));
}

#[test]
fn a_longer_turn_is_logged_while_it_runs_even_if_its_agent_is_silent() {
    for is_silent in [false, true] {
        let mut h = thread();
        h.greet("ann");
        h.seen();
        h.say("ann", "r1", "one");
        if !is_silent {
            h.text("r1", "x");
        }
        h.wait(if is_silent { GUARD_MS } else { JOURNAL_MS });
        let accepted: Vec<String> = h.seen().iter().filter_map(logged).collect();
        assert_eq!(accepted, ["turn_accepted r1"]);
        h.wait(5 * GUARD_MS);
        h.finish("r1");
        let seen = h.seen();
        assert_eq!(seen.iter().filter_map(logged).collect::<Vec<_>>(), ["turn_ended r1"]);
        let names =
            |seen: &Seen| matches!(seen, Seen::Logged(Event::TurnEnded { connection_id: Some(_), .. }));
        assert!(!seen.iter().any(names));
    }
}

fn logged(seen: &Seen) -> Option<String> {
    let Seen::Logged(event) = seen else { return None };
    let event = serde_json::from_str::<Value>(&to_json(event)).unwrap();
    Some(format!("{} {}", event["event"].as_str()?, event["requestId"].as_str()?))
}

fn kind(seen: &Seen) -> Option<&'static str> {
    Some(match seen {
        Seen::Alarm(_) => "alarm",
        Seen::Stored(_) => "stored",
        Seen::Sent { .. } => "sent",
        Seen::Started { .. } => "started",
        Seen::Delivering(_) => "delivering",
        _ => return None,
    })
}
