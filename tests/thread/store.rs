use bobbin::thread::Event;
use serde_json::json;

use crate::harness::{Harness, finished, said, thread};
use crate::support::Seen;

#[test]
fn a_message_that_cannot_be_stored_is_refused_and_may_be_sent_again() {
    let mut h = thread();
    h.greet("ann");
    h.host.faults.writes = Some((1, 1, false));
    h.say("ann", "r1", "one");
    let refused = json!({ "type": "error", "requestId": "r1", "cursor": null,
                          "error": { "code": "STORAGE_ERROR", "retryable": true } });
    h.expect("ann", &[refused]);
    assert!(h.host.store.records.is_empty() && h.started().is_empty());
    h.say("ann", "r1", "one");
    h.expect("ann", &[json!({ "type": "user_message", "requestId": "r1" })]);
}

#[test]
fn nobody_is_told_of_a_session_before_it_is_stored() {
    let created = |h: &mut Harness| {
        let is_it = |seen: &Seen| matches!(seen, Seen::Logged(Event::SessionCreated));
        h.seen().iter().filter(|seen| is_it(seen)).count()
    };
    let mut h = thread();
    h.greet("ann");
    h.host.faults.writes = Some((1, 1, false));
    h.say("ann", "r1", "one");
    assert_eq!(created(&mut h), 0);
    h.say("ann", "r1", "one");
    assert_eq!(created(&mut h), 1);
    h.say("ann", "r2", "two");
    assert_eq!(created(&mut h), 0);
}

#[test]
fn a_message_that_was_stored_though_the_write_failed_is_known_when_it_is_sent_again() {
    let mut h = thread();
    h.greet("ann");
    h.host.faults.writes = Some((1, 1, true));
    h.say("ann", "r1", "one");
    h.expect(
        "ann",
        &[
            json!({ "type": "snapshot", "reason": "reset", "messages": [{ "requestId": "r1" }] }),
            json!({ "type": "error", "requestId": "r1", "cursor": null, "error": { "code": "STORAGE_ERROR" } }),
            json!({ "type": "error", "requestId": "r1", "messageId": h.end_id(), "error": { "code": "STORAGE_ERROR" } }),
        ],
    );
    h.say("ann", "r1", "one");
    h.expect(
        "ann",
        &[json!({ "type": "user_message" }), json!({ "type": "error", "messageId": h.end_id() })],
    );
    assert!(h.started().is_empty());
}

#[test]
fn an_end_that_cannot_be_stored_breaks_the_turn_off_with_the_journalled_text() {
    for was_applied in [false, true] {
        let mut h = thread();
        h.greet("ann");
        h.say("ann", "r1", "one");
        h.text("r1", "kept");
        h.wait(490);
        h.frames("ann");
        h.host.faults.writes = Some((0, 1, was_applied));
        h.agent("r1", vec![said(" lost"), finished()]);
        let frames = h.frames("ann");
        let kept = h.host.store.records.values().last().unwrap().content.text();
        assert_eq!(kept, if was_applied { "kept lost" } else { "kept" });
        assert!(frames.iter().any(|frame| frame["reason"] == "reset"), "{frames:?}");
        assert_eq!(h.host.store.records.len(), 2);
    }
}

#[test]
fn a_cancel_that_cannot_be_stored_still_aborts_the_agent() {
    let mut h = thread();
    h.greet("ann");
    h.say("ann", "r1", "one");
    h.frames("ann");
    h.host.faults.writes = Some((0, 1, false));
    h.send("ann", &json!({ "type": "cancel", "requestId": "r1" }));
    h.expect(
        "ann",
        &[
            json!({ "type": "snapshot", "reason": "reset" }),
            json!({ "type": "error", "requestId": "r1", "cursor": null }),
            json!({ "type": "error", "requestId": "r1", "error": { "code": "STORAGE_ERROR", "retryable": true } }),
        ],
    );
    assert!(h.host.agents.is_empty());
}

#[test]
fn a_store_that_fails_on_recovery_too_closes_the_sockets_and_the_turn_still_ends() {
    let mut h = thread();
    h.greet("ann");
    h.say("ann", "r1", "one");
    h.host.faults.writes = Some((0, 2, false));
    h.agent("r1", vec![said("x"), finished()]);
    assert!(h.seen().iter().any(|seen| matches!(seen, Seen::GaveUp)));
    assert!(!h.is_open("ann"));
    h.wait(60_000);
    assert_eq!(h.host.store.records.len(), 2);
}

#[test]
fn a_read_that_fails_refuses_the_frame_and_nothing_else() {
    let mut h = thread();
    h.greet("ann");
    h.say("ann", "r1", "one");
    h.frames("ann");
    let refused = |id: &str| json!({ "type": "error", "requestId": id, "error": { "code": "STORAGE_ERROR", "retryable": true } });
    h.host.store.failing_reads.set(1);
    h.say("ann", "r2", "two");
    h.expect("ann", &[refused("r2")]);
    h.host.store.failing_reads.set(1);
    h.send("ann", &json!({ "type": "session_sync" }));
    h.expect("ann", &[json!({ "type": "error", "requestId": null, "error": { "code": "STORAGE_ERROR" } })]);
    h.text("r1", "goes on");
    h.expect("ann", &[json!({ "type": "token", "token": "goes on" })]);
}

#[test]
fn a_frame_during_a_store_failure_is_handled_after_the_wake_or_its_sender_is_told() {
    let failing_writes = (0..8).flat_map(|after| [1, 2].map(|times| (Some((after, times, false)), 0)));
    let failing_reads = (1..4).map(|times| (None, times));
    for (writes, reads) in failing_writes.chain(failing_reads) {
        let mut h = thread();
        h.greet("ann");
        h.say("ann", "r1", "one");
        h.say("ann", "r2", "two");
        h.host.crash(true);
        h.frames("ann");
        h.seen();
        h.host.faults.writes = writes;
        h.host.store.failing_reads.set(reads);
        h.send("ann", &json!({ "type": "cancel" }));
        let frames = h.frames("ann");
        let is_refused = frames.iter().any(|frame| frame["refused"] == "cancel");
        let is_told = is_refused || !h.is_open("ann");
        let was_handled =
            frames.iter().any(|frame| frame["type"] == "cancelled" && frame["requestId"] == "r2");
        assert!(is_told || was_handled, "{writes:?} {reads}: {frames:?}");
        assert!(is_told || h.host.agents.is_empty(), "{writes:?} {reads}: an agent works on");
    }
}

#[test]
fn a_client_that_connects_while_the_store_cannot_be_read_is_turned_away() {
    let mut h = thread();
    h.greet("ann");
    h.say("ann", "r1", "one");
    h.host.store.failing_reads.set(1);
    h.join("bob");
    assert!(!h.is_open("bob") && h.is_open("ann"));
}

#[test]
fn nothing_is_written_before_the_first_message() {
    let mut h = thread();
    h.greet("ann");
    h.resume("bob", "nonsense");
    h.send("ann", &json!({ "type": "session_update", "title": "t" }));
    h.send("ann", &json!({ "type": "session_sync" }));
    h.send("ann", &json!({ "type": "cancel" }));
    h.send_text("ann", "nonsense");
    h.leave("bob");
    h.wait(100_000);
    h.host.crash(true);
    h.greet("eve");
    let touched = |seen: &Seen| matches!(seen, Seen::Stored(_) | Seen::Alarm(_) | Seen::Delivering(_));
    assert!(!h.seen().iter().any(touched));
    assert_eq!((h.rows_written(), h.host.alarm, h.host.timer()), (0, None, None));
}

impl crate::harness::Harness {
    fn end_id(&self) -> String {
        self.host.store.records.values().find(|record| record.is_end()).unwrap().message_id.clone()
    }
}
