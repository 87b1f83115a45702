use serde_json::{Value, json};

use crate::harness::{said, thought, thread, thread_of};
use crate::support::Seen;

#[test]
fn a_queued_turn_that_is_cancelled_ends_empty_and_never_starts() {
    let mut h = thread();
    h.greet("ann");
    h.say("ann", "r1", "one");
    h.say("ann", "r2", "two");
    h.frames("ann");
    h.send("ann", &cancel("r2"));
    h.expect("ann", &[json!({ "type": "cancelled", "requestId": "r2", "response": { "content": "" } })]);
    h.seen();
    h.finish("r1");
    assert!(h.started().is_empty());
}

#[test]
fn a_turn_without_text_is_cancelled_and_its_agent_aborted_at_once() {
    let mut h = thread();
    h.greet("ann");
    h.say("ann", "r1", "one");
    h.frames("ann");
    h.send("ann", &cancel("r1"));
    assert_eq!(h.aborted(), [h.turn("r1")]);
    h.expect("ann", &[json!({ "type": "cancelled", "response": { "content": "", "blocks": null } })]);
}

#[test]
fn another_socket_cancels_in_the_middle_of_a_stream_and_no_text_follows() {
    let mut h = thread();
    h.greet("ann");
    h.greet("bob");
    h.say("ann", "r1", "one");
    h.text("r1", "a");
    h.text("r1", "b");
    h.frames("ann");
    h.send("bob", &cancel("r1"));
    h.text("r1", "c");
    h.finish("r1");
    h.wait(1_000);
    h.expect(
        "ann",
        &[
            json!({ "type": "token", "token": "b" }),
            json!({ "type": "cancelled", "requestId": "r1", "response": { "content": "ab" } }),
        ],
    );
}

#[test]
fn a_partial_answer_keeps_its_blocks() {
    let mut h = thread();
    h.greet("ann");
    h.say("ann", "r1", "one");
    h.agent("r1", vec![said("a"), thought("b")]);
    h.frames("ann");
    h.send("ann", &cancel("r1"));
    let blocks = json!([{ "type": "text", "text": "a" }, { "type": "thinking", "text": "b" }]);
    h.expect("ann", &[json!({ "type": "cancelled", "response": { "content": "a", "blocks": blocks } })]);
}

#[test]
fn cancelling_a_turn_that_is_over_cancelled_or_unknown_does_nothing() {
    let mut h = thread();
    h.greet("ann");
    h.send("ann", &cancel("nobody"));
    h.send("ann", &json!({ "type": "cancel" }));
    h.say("ann", "r1", "one");
    h.send("ann", &cancel("r1"));
    h.frames("ann");
    let rows = h.rows_written();
    h.send("ann", &cancel("r1"));
    h.send("ann", &cancel("nobody"));
    h.send("ann", &json!({ "type": "cancel" }));
    h.expect_nothing("ann");
    assert_eq!(h.rows_written(), rows);
}

#[test]
fn without_a_request_id_all_turns_are_cancelled_and_none_starts_in_between() {
    let mut h = thread_of(2);
    h.greet("ann");
    for request_id in ["r1", "r2", "r3", "r4"] {
        h.say("ann", request_id, "hello");
    }
    h.frames("ann");
    h.seen();
    h.send("ann", &json!({ "type": "cancel" }));
    let ends: Vec<Value> =
        ["r1", "r2", "r3", "r4"].map(|id| json!({ "type": "cancelled", "requestId": id })).into();
    h.expect("ann", &ends);
    let seen = h.seen();
    assert_eq!(seen.iter().filter(|seen| matches!(seen, Seen::Aborted { .. })).count(), 2);
    assert!(!seen.iter().any(|seen| matches!(seen, Seen::Started { .. })));
}

#[test]
fn an_acknowledged_cancel_survives_a_crash() {
    let mut h = thread();
    h.greet("ann");
    h.say("ann", "r1", "one");
    h.text("r1", "a");
    h.send("ann", &cancel("r1"));
    let cursor = crate::harness::cursor_of(&h.frames("ann"));
    h.host.crash(false);
    h.wait(60_000);
    h.resume("ann", &cursor);
    h.expect("ann", &[json!({ "type": "connected", "resumed": true, "inFlight": [] })]);
    assert!(h.started().len() == 1);
}

fn cancel(request_id: &str) -> Value {
    json!({ "type": "cancel", "requestId": request_id })
}
