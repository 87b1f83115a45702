//! Nothing is sent to a socket whose user may not see it.

use bobbin::protocol::CloseCode;
use bobbin::protocol::limits::GUARD_MS;
use serde_json::json;

use crate::harness::{Harness, thread};
use crate::support::{Spoilt, Sudden};

#[test]
fn a_client_with_an_expired_token_is_sent_nothing_more_even_before_the_alarm() {
    let mut h = thread_of_ann();
    h.join_as_viewer("bob", Some(h.host.now + 100));
    h.frames("bob");
    h.host.now += 80;
    h.text("r1", "in time");
    h.expect("bob", &[json!({ "type": "token", "token": "in time" })]);
    h.host.now += 20;
    h.text("r1", ", too late");
    h.expect_nothing("bob");
    assert_eq!(h.closed("bob"), Some(CloseCode::Unauthenticated));
    h.expect("ann", &[json!({ "token": "in time" }), json!({ "token": ", too late" })]);
}

#[test]
fn a_client_whose_token_expired_while_the_object_was_gone_is_not_brought_up_to_date() {
    let mut h = thread_of_ann();
    h.join_as_viewer("bob", Some(h.host.now + 100));
    h.frames("bob");
    h.host.crash(true);
    h.host.now += 100;
    h.send("ann", &json!({ "type": "session_sync" }));
    h.expect_nothing("bob");
    assert_eq!(h.closed("bob"), Some(CloseCode::Unauthenticated));
    assert_eq!(h.frames("ann")[0]["reason"], json!("reset"));
}

#[test]
fn a_client_that_connects_with_a_token_that_has_just_expired_is_sent_nothing() {
    let mut h = thread_of_ann();
    h.join_as_viewer("bob", Some(h.host.now));
    h.expect_nothing("bob");
    assert_eq!(h.closed("bob"), Some(CloseCode::Unauthenticated));
}

#[test]
fn a_session_with_an_unreadable_owner_is_open_only_to_tokens_that_name_it() {
    for spoilt in [Spoilt::Checkpoint { column: "session" }, Spoilt::Session { field: "owner" }] {
        let mut h = thread_of_ann();
        h.join_as_viewer("bob", None);
        h.frames("bob");
        h.host.store.spoilt.push(spoilt);
        h.host.crash(true);
        h.send("bob", &json!({ "type": "session_sync" }));
        h.expect_nothing("ann");
        assert_eq!(h.closed("ann"), Some(CloseCode::Forbidden));
        assert_eq!(h.frames("bob")[0]["reason"], json!("reset"));
        h.join_with_token("ann", None);
        assert_eq!(h.closed("ann"), Some(CloseCode::Forbidden));
    }
}

#[test]
fn wherever_the_object_dies_while_it_wakes_an_alarm_is_set_until_all_due_work_is_done() {
    for outputs in 0..12 {
        let mut h = thread_of_ann();
        h.join_as_viewer("bob", Some(h.host.now + 100));
        h.deliver();
        h.host.crash(true);
        h.host.now += GUARD_MS;
        h.host.faults.sudden = Some((outputs, Sudden::Crash { sockets_survive: true }));
        h.host.pump(bobbin::thread::Input::Alarm);
        h.host.faults.sudden = None;
        let is_done = h.host.store.records.len() == 2 && !h.is_open("bob");
        let alarm = h.host.alarm.expect("an alarm");
        assert!(is_done || alarm <= h.host.now + GUARD_MS, "after {outputs} outputs: {}", alarm - h.host.now);
    }
}

/// Returns a thread that Ann owns, with a turn of hers running.
fn thread_of_ann() -> Harness {
    let mut h = thread();
    h.join_with_token("ann", None);
    h.say("ann", "r1", "one");
    h.frames("ann");
    h
}
