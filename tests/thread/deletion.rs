use bobbin::protocol::CloseCode;
use bobbin::thread::Input;
use serde_json::json;

use crate::harness::{Harness, cursor_of, thread};
use crate::support::Sudden;

#[test]
fn a_deletion_aborts_closes_and_leaves_nothing() {
    let mut h = running();
    h.host.pump(Input::Delete);
    assert_eq!(h.aborted().len(), 1);
    assert!(!h.is_open("ann"));
    assert!(h.host.links.values().any(|link| link.close == Some(CloseCode::SessionDeleted)));
    assert!(h.host.store.records.is_empty() && h.host.store.checkpoint.is_none());
    h.deliver();
    assert!(!h.host.store.is_deletion_owed);
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
    h.say("ann", "r1", "other words");
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
fn what_d1_takes_of_a_deleted_session_is_not_taken_for_the_next_ones_deletion() {
    let mut h = running();
    h.host.pump(Input::Delete);
    h.deliver();
    h.greet("ann");
    h.say("ann", "r2", "two");
    let (old, _) = h.host.deliveries.pop_front().unwrap();
    h.host.pump(Input::Delete);
    h.host.pump(Input::Delivered((&old).into()));
    assert!(h.host.store.is_deletion_owed);
    h.deliver();
    assert!(!h.host.store.is_deletion_owed);
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

fn running() -> Harness {
    let mut h = thread();
    h.greet("ann");
    h.say("ann", "r1", "one");
    h.seen();
    h
}
