use bobbin::protocol::limits::GUARD_MS;
use serde_json::json;

use crate::harness::{cursor_of, finished, said, thread, thread_of};
use crate::support::Sudden;

#[test]
fn a_running_turn_is_interrupted_with_its_journalled_text_even_if_nobody_connects() {
    let mut h = thread();
    h.greet("ann");
    h.say("ann", "r1", "one");
    h.text("r1", "kept ");
    h.wait(490);
    h.text("r1", "lost");
    h.host.crash(false);
    h.wait(GUARD_MS);
    let end = h.host.store.records.values().last().unwrap();
    assert!(end.is_end());
    assert_eq!(end.content.text(), "kept ");
    h.join("ann");
    let snapshot = h.frames("ann").remove(1);
    assert_eq!(snapshot["messages"][1]["status"], json!("interrupted"));
    assert_eq!(snapshot["messages"][1]["error"]["code"], json!("INTERRUPTED"));
    assert_eq!(snapshot["messages"][1]["error"]["retryable"], json!(true));
}

#[test]
fn a_client_that_holds_more_than_the_log_is_reset_and_one_that_does_not_is_resumed() {
    let mut h = thread();
    h.greet("ann");
    h.say("ann", "r1", "one");
    h.text("r1", "kept ");
    let stored = cursor_of(&h.frames("ann"));
    h.wait(490);
    h.text("r1", "lost");
    let beyond = cursor_of(&h.frames("ann"));
    h.host.crash(false);
    h.resume("ann", &beyond);
    h.expect("ann", &[json!({ "resumed": false }), json!({ "type": "snapshot", "reason": "reset" })]);
    h.resume("bob", &stored);
    h.expect(
        "bob",
        &[
            json!({ "resumed": true }),
            json!({ "type": "error", "error": { "code": "INTERRUPTED" }, "response": { "content": "kept " } }),
        ],
    );
}

#[test]
fn sockets_that_outlive_the_object_are_reset_before_anything_else_is_sent() {
    let mut h = thread();
    h.greet("ann");
    h.say("ann", "r1", "one");
    h.text("r1", "lost");
    h.frames("ann");
    h.host.crash(true);
    h.wait(GUARD_MS);
    h.expect(
        "ann",
        &[
            json!({ "type": "snapshot", "reason": "reset", "inFlight": [{ "requestId": "r1", "content": "" }] }),
            json!({ "type": "error", "requestId": "r1", "error": { "code": "INTERRUPTED" } }),
        ],
    );
}

#[test]
fn queued_turns_run_after_a_crash() {
    let mut h = thread();
    h.greet("ann");
    h.say("ann", "r1", "one");
    h.say("ann", "r2", "two");
    h.host.crash(false);
    h.seen();
    h.wait(GUARD_MS);
    assert_eq!(h.started(), [h.turn("r2")]);
    h.agent("r2", vec![said("x"), finished()]);
    assert_eq!(h.host.store.records.len(), 4);
}

#[test]
fn a_turn_is_interrupted_and_not_restarted_after_whichever_output_the_object_dies() {
    for outputs in 0..12 {
        let mut h = thread();
        h.greet("ann");
        h.host.faults.sudden = Some((outputs, Sudden::Crash { sockets_survive: false }));
        h.say("ann", "r1", "one");
        h.host.faults.sudden = None;
        h.wait(100);
        h.host.crash(false);
        h.wait(10 * GUARD_MS);
        let ends = h.host.store.records.values().filter(|record| record.is_end()).count();
        assert_eq!(ends, h.host.store.records.len() / 2, "after {outputs} outputs");
        assert!(h.started().len() <= 1);
    }
}

#[test]
fn an_end_is_written_once_wherever_the_object_dies() {
    for outputs in 0..12 {
        let mut h = thread_of(2);
        h.greet("ann");
        h.say("ann", "r1", "one");
        h.host.faults.sudden = Some((outputs, Sudden::Crash { sockets_survive: true }));
        h.agent("r1", vec![said("x"), finished()]);
        h.host.faults.sudden = None;
        h.wait(10 * GUARD_MS);
        assert_eq!(h.host.store.records.len(), 2, "after {outputs} outputs");
    }
}

#[test]
fn a_panic_interrupts_the_turns_and_is_reported_to_the_client_that_caused_it() {
    let mut h = thread();
    h.greet("ann");
    h.greet("bob");
    h.say("ann", "r1", "one");
    h.frames("ann");
    h.frames("bob");
    h.host.faults.sudden = Some((0, Sudden::Panic));
    h.say("bob", "r2", "two");
    let reset = json!({ "type": "snapshot", "reason": "reset" });
    let end = json!({ "type": "error", "requestId": "r1", "error": { "code": "INTERRUPTED" } });
    h.expect("ann", &[reset.clone(), end.clone()]);
    let refused =
        json!({ "type": "error", "requestId": "r2", "cursor": null, "error": { "code": "INTERNAL" } });
    h.expect("bob", &[reset, refused, end]);
}

#[test]
fn hibernation_at_rest_sends_nothing_and_forgets_nothing() {
    let mut h = thread();
    h.greet("ann");
    h.say("ann", "r1", "one");
    h.agent("r1", vec![said("x"), finished()]);
    h.deliver();
    h.frames("ann");
    h.wait(60_000);
    assert!(h.host.may_be_evicted());
    h.host.evict();
    h.say("ann", "r2", "two");
    let frames = h.expect("ann", &[json!({ "type": "user_message", "requestId": "r2" })]);
    assert!(frames[0]["cursor"].as_str().unwrap().ends_with(".5"));
}
