use serde_json::json;

use crate::harness::{finished, said, thread};

#[test]
fn the_same_message_while_it_waits_is_acknowledged_again_and_starts_nothing() {
    let mut h = thread();
    h.greet("ann");
    h.say("ann", "r1", "one");
    h.say("ann", "r2", "two");
    h.frames("ann");
    let rows = h.rows_written();
    h.say("ann", "r2", "two");
    h.expect(
        "ann",
        &[json!({ "type": "user_message", "requestId": "r2" }), json!({ "type": "queued", "position": 1 })],
    );
    assert_eq!(h.rows_written(), rows);
}

#[test]
fn the_same_message_while_it_runs_is_acknowledged_only_to_its_sender() {
    let mut h = thread();
    h.greet("ann");
    h.greet("bob");
    h.say("ann", "r1", "one");
    h.text("r1", "a");
    h.frames("ann");
    h.frames("bob");
    h.say("bob", "r1", "one");
    h.expect_nothing("ann");
    let again = h.expect("bob", &[json!({ "type": "user_message", "requestId": "r1" })]);
    h.resume("eve", again[0]["cursor"].as_str().unwrap());
    h.expect("eve", &[json!({ "type": "connected", "resumed": true })]);
    assert_eq!(h.started().len(), 1);
}

#[test]
fn the_same_message_after_its_turn_brings_the_end_again_even_after_a_wake() {
    let mut h = thread();
    h.greet("ann");
    h.say("ann", "r1", "one");
    h.agent("r1", vec![said("a"), finished()]);
    let first = h.frames("ann");
    for wakes in [false, true] {
        if wakes {
            h.host.crash(false);
            h.greet("ann");
        }
        h.say("ann", "r1", "one");
        let again = h.expect("ann", &[json!({ "type": "user_message" }), json!({ "type": "final" })]);
        assert_eq!(again[0]["message"], first[0]["message"]);
        let end = first.iter().find(|frame| frame["type"] == "final").unwrap();
        assert_eq!((&again[1]["messageId"], &again[1]["response"]), (&end["messageId"], &end["response"]));
    }
    assert_eq!(h.started().len(), 1);
}

#[test]
fn other_content_under_a_known_request_id_is_refused_in_every_state() {
    let mut h = thread();
    h.greet("ann");
    h.say("ann", "r1", "one");
    h.say("ann", "r2", "two");
    let refused = |id: &str| {
        json!({ "type": "error", "requestId": id, "cursor": null,
                "error": { "code": "DUPLICATE_REQUEST", "retryable": false } })
    };
    h.frames("ann");
    h.say("ann", "r1", "other");
    h.say("ann", "r2", "other");
    h.expect("ann", &[refused("r1"), refused("r2")]);
    h.finish("r1");
    h.frames("ann");
    h.say("ann", "r1", "other");
    h.expect("ann", &[refused("r1")]);
    h.host.crash(false);
    h.greet("ann");
    h.say("ann", "r1", "other");
    h.expect("ann", &[refused("r1")]);
}

#[test]
fn a_string_and_the_same_text_as_blocks_are_the_same_content() {
    let mut h = thread();
    h.greet("ann");
    h.say("ann", "r1", "one two");
    h.frames("ann");
    let blocks = json!([{ "type": "text", "text": "one " }, { "type": "text", "text": "two" }]);
    h.send("ann", &json!({ "type": "message", "requestId": "r1", "content": blocks }));
    h.expect("ann", &[json!({ "type": "user_message", "message": { "content": "one two" } })]);
}
