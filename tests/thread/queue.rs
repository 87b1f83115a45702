use bobbin::protocol::limits::QUEUED_TURNS_MAX;
use serde_json::json;

use crate::harness::{Harness, finished, said, thread, thread_of};

#[test]
fn a_second_message_is_queued_and_only_its_sender_is_told_the_position() {
    let mut h = thread();
    h.greet("ann");
    h.greet("bob");
    h.say("ann", "r1", "one");
    h.say("bob", "r2", "two");
    h.say("bob", "r3", "three");
    h.expect(
        "ann",
        &[json!({ "requestId": "r1" }), json!({ "requestId": "r2" }), json!({ "requestId": "r3" })],
    );
    h.expect(
        "bob",
        &[
            json!({ "type": "user_message", "requestId": "r1" }),
            json!({ "type": "user_message", "requestId": "r2" }),
            json!({ "type": "queued", "requestId": "r2", "position": 1 }),
            json!({ "type": "user_message", "requestId": "r3" }),
            json!({ "type": "queued", "requestId": "r3", "position": 2 }),
        ],
    );
}

#[test]
fn queued_turns_start_in_order_when_one_ends() {
    let mut h = thread();
    h.greet("ann");
    say_all(&mut h, 3);
    let (first, second, third) = (h.turn("r0"), h.turn("r1"), h.turn("r2"));
    assert_eq!(h.started(), [first]);
    h.agent("r0", vec![said("x"), finished()]);
    assert_eq!(h.started(), [second]);
    h.finish("r1");
    assert_eq!(h.started(), [third]);
}

#[test]
fn as_many_turns_run_at_once_as_are_configured() {
    let mut h = thread_of(3);
    h.greet("ann");
    say_all(&mut h, 5);
    assert_eq!(h.started().len(), 3);
    h.finish("r1");
    assert_eq!(h.started().len(), 1);
}

#[test]
fn the_queue_is_limited_and_refuses_the_next_turn_until_one_ends() {
    let mut h = thread();
    h.greet("ann");
    say_all(&mut h, 1 + QUEUED_TURNS_MAX);
    let last = h.frames("ann").pop().unwrap();
    assert_eq!((&last["type"], &last["position"]), (&json!("queued"), &json!(QUEUED_TURNS_MAX)));
    let rows = h.rows_written();
    h.say("ann", "more", "more");
    h.expect(
        "ann",
        &[json!({ "type": "error", "requestId": "more", "cursor": null,
                              "error": { "code": "BUSY", "retryable": true } })],
    );
    assert_eq!(h.rows_written(), rows);
    h.finish("r0");
    h.frames("ann");
    h.say("ann", "more", "more");
    h.expect("ann", &[json!({ "type": "user_message", "requestId": "more" }), json!({ "type": "queued" })]);
}

#[test]
fn a_queued_turn_is_in_flight_for_a_new_client() {
    let mut h = thread();
    h.greet("ann");
    say_all(&mut h, 2);
    h.join("bob");
    let in_flight =
        [json!({ "requestId": "r0", "state": "streaming" }), json!({ "requestId": "r1", "state": "queued" })];
    h.expect(
        "bob",
        &[json!({ "inFlight": in_flight }), json!({ "type": "snapshot", "inFlight": in_flight })],
    );
}

fn say_all(h: &mut Harness, turns: usize) {
    for turn in 0..turns {
        h.say("ann", &format!("r{turn}"), "hello");
    }
}
