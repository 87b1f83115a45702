use bobbin::protocol::CloseCode;
use bobbin::protocol::limits::DELETED_REQUESTS_MAX;
use bobbin::thread::Input;
use bobbin::thread::store::{digest, digests};
use serde_json::{Value, json};

use crate::harness::{Harness, cursor_of, thread};
use crate::support::Sudden;

#[test]
fn a_deletion_aborts_calls_closes_sockets_and_leaves_nothing() {
    let mut h = running();
    h.host.pump(Input::Delete);
    assert_eq!(h.aborted().len(), 1);
    assert!(!h.is_open("ann"));
    assert!(h.host.links.values().any(|link| link.close == Some(CloseCode::SessionDeleted)));
    assert!(h.host.store.records.is_empty() && h.host.store.checkpoint.is_none());
    h.deliver();
    assert!(!h.host.store.owes_deletion());
    assert_eq!(h.host.alarm, None);
}

#[test]
fn a_cursor_of_the_deleted_session_is_not_known_to_the_next() {
    let mut h = running();
    h.text("r1", "x");
    let cursor = cursor_of(&h.frames("ann"));
    h.host.pump(Input::Delete);
    h.resume("ann", &cursor);
    h.expect("ann", &[json!({ "resumed": false, "status": "not-created" }), json!({ "messages": [] })]);
    h.say("ann", "r2", "other words");
    h.expect("ann", &[json!({ "type": "user_message", "message": { "content": "other words" } })]);
    h.resume("bob", &cursor);
    h.expect("bob", &[json!({ "resumed": false }), json!({ "reason": "reset" })]);
}

#[test]
fn sockets_that_outlive_a_crash_in_a_deletion_are_told() {
    let mut h = running();
    h.frames("ann");
    h.host.faults.sudden = Some((2, Sudden::Crash { sockets_survive: true }));
    h.host.pump(Input::Delete);
    h.wait(60_000);
    h.expect("ann", &[json!({ "type": "snapshot", "reason": "reset", "messages": [], "session": null })]);
}

#[test]
fn a_delivery_of_a_deleted_session_does_not_count_for_the_next_ones_deletion() {
    let mut h = running();
    h.host.pump(Input::Delete);
    h.deliver();
    h.greet("ann");
    h.say("ann", "r2", "two");
    let (old, _) = h.host.deliveries.pop_front().unwrap();
    h.host.pump(Input::Delete);
    h.host.pump(Input::Delivered((&old).into()));
    assert!(h.host.store.owes_deletion());
    h.deliver();
    assert!(!h.host.store.owes_deletion());
}

#[test]
fn a_deletion_that_could_not_be_stored_deletes_nothing_and_closes_nobody() {
    let mut h = running();
    h.host.faults.writes = Some((0, 1, false));
    h.host.pump(Input::Delete);
    assert!(h.is_open("ann"));
    assert!(h.host.thread().is_some_and(|thread| thread.session().is_some()));
    assert_eq!(h.host.store.records.len(), 2, "the message, and its turn's end");
    h.host.pump(Input::Delete);
    assert!(!h.is_open("ann") && h.host.store.records.is_empty());
}

#[test]
fn a_message_of_a_deleted_session_does_not_begin_it_anew_and_any_other_does() {
    let mut h = running();
    h.say("ann", "queued", "two");
    h.host.pump(Input::Delete);
    h.greet("ann");
    for (request_id, text) in [("r1", "one"), ("r1", "other words"), ("queued", "two")] {
        h.say("ann", request_id, text);
        h.expect("ann", &[deleted(request_id)]);
        assert!(h.host.store.records.is_empty(), "nothing is stored");
    }
    h.say("ann", "r3", "anew");
    h.expect("ann", &[json!({ "type": "user_message", "requestId": "r3" })]);
    h.frames("ann");
    // The same holds in the middle of the new life, and after the thread has slept.
    h.say("ann", "r1", "one");
    h.expect("ann", &[deleted("r1")]);
    h.deliver();
    h.host.evict();
    h.say("ann", "queued", "two");
    assert!(h.frames("ann").iter().any(|frame| frame["error"]["code"] == json!("DELETED")));
    assert_eq!(h.host.store.records.values().filter(|record| !record.is_end()).count(), 1);
}

#[test]
fn a_message_that_was_never_accepted_does_not_belong_to_the_deleted_session() {
    let mut h = running();
    h.host.pump(Input::Delete);
    h.greet("ann");
    h.say("ann", "r10", "one");
    h.expect("ann", &[json!({ "type": "user_message", "requestId": "r10" })]);
}

#[test]
fn the_messages_of_every_life_are_known_after_the_last_deletion() {
    let mut h = running();
    for life in ["second", "third"] {
        h.host.pump(Input::Delete);
        h.greet("ann");
        h.say("ann", life, "x");
        h.frames("ann");
    }
    h.host.pump(Input::Delete);
    h.greet("ann");
    for request_id in ["r1", "second", "third"] {
        h.say("ann", request_id, "x");
        h.expect("ann", &[deleted(request_id)]);
    }
}

#[test]
fn the_newest_1024_request_ids_are_remembered() {
    let ids: Vec<String> = (0..DELETED_REQUESTS_MAX + 2).map(|number| format!("r{number}")).collect();
    let newest_first = || ids.iter().rev().map(String::as_str);
    let noted = digests(newest_first(), "");
    let is_known = |noted: &str, id: &str| noted.contains(&digest(id));
    assert_eq!(ids.iter().filter(|id| is_known(&noted, id)).count(), 1_024);
    assert!(!is_known(&noted, "r0") && !is_known(&noted, "r1") && is_known(&noted, "r2"));
    let noted = digests(["a", "b"].into_iter(), &noted);
    let known = ["a", "b", "r1025", "r4", "r3", "r2"].map(|id| is_known(&noted, id));
    assert_eq!(known, [true, true, true, true, false, false]);
    assert_eq!(noted.len(), 1_024 * 17);
}

#[test]
fn the_note_of_a_deletion_sets_no_alarm_and_is_dropped_at_the_first_wake_after_90_days() {
    let mut h = running();
    h.host.pump(Input::Delete);
    h.deliver();
    assert_eq!(h.host.alarm, None);
    let day = 24 * 3_600_000;
    h.host.evict();
    h.host.now += 89 * day;
    h.greet("ann");
    h.say("ann", "r1", "one");
    h.expect("ann", &[deleted("r1")]);
    h.leave("ann");
    h.host.evict();
    h.host.now += day;
    h.greet("ann");
    assert_eq!((h.host.store.deletion.clone(), h.host.store.noted.as_str()), (None, ""));
    h.say("ann", "r1", "one");
    h.expect("ann", &[json!({ "type": "user_message", "requestId": "r1" })]);
}

#[test]
fn a_deletion_that_d1_has_not_heard_of_is_not_forgotten() {
    let mut h = running();
    h.host.pump(Input::Delete);
    h.host.evict();
    h.host.now += 91 * 24 * 3_600_000;
    h.greet("ann");
    assert!(h.host.store.owes_deletion());
    h.deliver();
    assert!(!h.host.store.owes_deletion());
}

#[test]
fn if_the_note_of_a_deletion_cannot_be_read_nothing_begins() {
    let mut h = running();
    h.host.pump(Input::Delete);
    h.greet("ann");
    h.host.store.failing_reads.set(1);
    h.say("ann", "r1", "one");
    h.expect("ann", &[json!({ "requestId": "r1", "error": { "code": "STORAGE_ERROR", "retryable": true } })]);
    h.say("ann", "r1", "one");
    h.expect("ann", &[deleted("r1")]);
}

fn deleted(request_id: &str) -> Value {
    json!({
        "type": "error", "refused": "message", "requestId": request_id,
        "error": { "code": "DELETED", "retryable": false },
    })
}

fn running() -> Harness {
    let mut h = thread();
    h.greet("ann");
    h.say("ann", "r1", "one");
    h.seen();
    h
}
