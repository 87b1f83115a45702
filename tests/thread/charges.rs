//! Reading a thread uses up an allowance of bytes.

use bobbin::dialect::Dialect;
use bobbin::protocol::limits::{MESSAGE_BYTES_MAX, READ_BYTES_PER_MINUTE};
use bobbin::protocol::{CloseCode, Identity};
use bobbin::thread::{Config, Input, PeerId};
use serde_json::{Value, json};

use crate::support::{Host, Link};

#[test]
fn a_read_that_begins_within_the_allowance_is_finished_and_one_beyond_it_is_refused() {
    let mut host = long_thread();
    let peer = join(&mut host, "reader");
    let begun = sent(&mut host, &peer);
    read(&mut host, READ_BYTES_PER_MINUTE - begun - 1);
    let sync = json!({ "type": "session_sync", "cursor": "x" });
    host.receive(&peer, &sync.to_string());
    let frames = drain(&mut host, &peer);
    assert_eq!(
        [&frames[0]["type"], &frames[1]["type"]],
        ["snapshot", "session_synced"],
        "the last byte was left"
    );
    host.receive(&peer, &sync.to_string());
    let [refusal] = drain(&mut host, &peer).try_into().unwrap();
    assert_eq!(refusal["refused"], json!("session_sync"));
    assert_eq!(
        [&refusal["error"]["code"], &refusal["error"]["retryable"]],
        [&json!("RATE_LIMITED"), &json!(true)]
    );
    assert_eq!(refusal["frame"], json!(sync.to_string()));
}

#[test]
fn an_allowance_is_used_up_at_its_last_byte_and_recovers_within_a_minute() {
    let mut host = long_thread();
    read(&mut host, READ_BYTES_PER_MINUTE - 1);
    assert!(!has_read_too_much(&host, "reader"));
    read(&mut host, 1);
    assert!(has_read_too_much(&host, "reader"));
    host.now += 1;
    assert!(!has_read_too_much(&host, "reader"), "it fills up evenly");
    read(&mut host, 1000 * READ_BYTES_PER_MINUTE);
    host.now += 60_000;
    assert!(has_read_too_much(&host, "reader"));
    host.now += 1;
    assert!(!has_read_too_much(&host, "reader"), "no debt is longer than a minute");
}

#[test]
fn a_subject_without_allowance_cannot_join_and_others_can() {
    let mut host = long_thread();
    let peer = join(&mut host, "reader");
    read(&mut host, READ_BYTES_PER_MINUTE);
    let late = join(&mut host, "reader");
    assert_eq!(host.links[&late].close, Some(CloseCode::TooMany));
    assert!(host.links[&late].down.is_empty());
    assert!(host.links[&peer].is_open, "who is there stays");
    let other = join(&mut host, "other");
    assert!(host.links[&other].is_open && sent(&mut host, &other) > 0);
    host.now += 60_001;
    let back = join(&mut host, "reader");
    assert!(host.links[&back].is_open);
}

#[test]
fn all_connections_of_a_subject_pay_out_of_one_allowance() {
    let mut host = long_thread();
    let one = join(&mut host, "reader");
    let each = sent(&mut host, &one);
    read(&mut host, READ_BYTES_PER_MINUTE - 3 * each);
    for _ in 0..2 {
        let peer = join(&mut host, "reader");
        assert!(host.links[&peer].is_open);
        host.disconnect(&peer);
    }
    let late = join(&mut host, "reader");
    assert_eq!(host.links[&late].close, Some(CloseCode::TooMany));
}

#[test]
fn messages_that_are_sent_again_cost_the_bytes_they_bring_back() {
    let mut host = long_thread();
    let owner = join(&mut host, "owner");
    drain(&mut host, &owner);
    host.pump(Input::Read {
        subject: "owner".into(),
        bytes: READ_BYTES_PER_MINUTE - 5 * MESSAGE_BYTES_MAX as u64 / 2,
    });
    let again = json!({ "type": "message", "requestId": "r0", "content": large() }).to_string();
    for _ in 0..2 {
        host.receive(&owner, &again.clone());
        assert_eq!(drain(&mut host, &owner)[0]["type"], json!("user_message"));
    }
    host.receive(&owner, &again);
    let [refusal] = drain(&mut host, &owner).try_into().unwrap();
    assert_eq!([&refusal["requestId"], &refusal["error"]["code"]], [&json!("r0"), &json!("RATE_LIMITED")]);
}

#[test]
fn a_read_at_the_end_and_new_messages_cost_nothing() {
    let mut host = long_thread();
    let peer = join(&mut host, "reader");
    let cursor = drain(&mut host, &peer).last().unwrap()["cursor"].clone();
    read(&mut host, READ_BYTES_PER_MINUTE);
    host.receive(&peer, &json!({ "type": "session_sync", "cursor": cursor }).to_string());
    assert_eq!(drain(&mut host, &peer)[0]["type"], json!("session_synced"));
    let owner = join(&mut host, "owner");
    host.receive(&owner, &json!({ "type": "message", "requestId": "new", "content": large() }).to_string());
    assert_eq!(drain(&mut host, &peer)[0]["type"], json!("user_message"));
}

#[test]
fn without_subjects_each_connection_has_its_own_allowance() {
    let mut host = Host::new(Config { messages_per_minute: 1_000_000, ..Config::default() }, 1);
    let (one, two): (PeerId, PeerId) = ("one".into(), "two".into());
    host.connect(&one, None);
    host.connect(&two, None);
    host.receive(&one, &json!({ "type": "message", "requestId": "r0", "content": large() }).to_string());
    drain(&mut host, &one);
    let sync = json!({ "type": "session_sync" }).to_string();
    host.receive(&one, &sync.clone());
    assert_eq!(drain(&mut host, &one)[0]["type"], json!("snapshot"));
    // The allowance is kept under the subject's name.
    host.pump(Input::Read {
        subject: "one".into(),
        bytes: READ_BYTES_PER_MINUTE - MESSAGE_BYTES_MAX as u64 / 2,
    });
    host.receive(&one, &sync.clone());
    assert_eq!(drain(&mut host, &one)[0]["error"]["code"], json!("RATE_LIMITED"));
    drain(&mut host, &two);
    host.receive(&two, &sync);
    assert_eq!(drain(&mut host, &two)[0]["type"], json!("snapshot"));
}

/// Returns a thread with one long message, begun by `owner`.
fn long_thread() -> Host {
    let mut host = Host::new(Config { messages_per_minute: 1_000_000, ..Config::default() }, 1);
    let owner = join(&mut host, "owner");
    host.receive(&owner, &json!({ "type": "message", "requestId": "r0", "content": large() }).to_string());
    host.disconnect(&owner);
    host
}

fn large() -> String {
    "x".repeat(MESSAGE_BYTES_MAX - 1_024)
}

fn join(host: &mut Host, subject: &str) -> PeerId {
    let peer: PeerId = format!("{subject} {}", host.random.next()).into();
    host.links.insert(peer.clone(), Link { is_open: true, ..Link::default() });
    let granted = (subject != "owner").then_some(bobbin::protocol::Access::Viewer);
    let identity = Identity {
        subject: Some(subject.into()),
        granted,
        may_create: granted.is_none(),
        expires_at: None,
        trace: None,
    };
    host.pump(Input::Joined { peer: peer.clone(), identity, dialect: Dialect::Native, cursor: None });
    peer
}

/// Charges bytes as a read by HTTP does.
fn read(host: &mut Host, bytes: u64) {
    host.pump(Input::Read { subject: "reader".into(), bytes });
}

fn has_read_too_much(host: &Host, subject: &str) -> bool {
    host.thread().unwrap().has_read_too_much(host.now, subject)
}

/// Returns the bytes of the frames since the last call.
fn sent(host: &mut Host, peer: &PeerId) -> u64 {
    host.links.get_mut(peer).unwrap().down.drain(..).map(|frame| frame.text.len() as u64).sum()
}

fn drain(host: &mut Host, peer: &PeerId) -> Vec<Value> {
    host.links.get_mut(peer).unwrap().down.drain(..).map(|frame| frame.json().clone()).collect()
}
