//! A session that is imported: its log is there as it was, once.

use bobbin::protocol::{ErrorCode, Identity};
use bobbin::pump::Undone;
use bobbin::thread::{Denied, Import};
use serde_json::{Value, json};

use crate::harness::{Harness, thread};
use crate::support::{Faults, Sudden};

const EPOCH: u64 = 0xabc;

fn head(seq: u64, open: &[u64]) -> Value {
    json!({
        "session": {
            "id": "elsewhere", "title": "A title", "firstMessagePreview": "one", "messageCount": 4, "totalTokens": 7,
            "permissionMode": "plan", "createdAt": 5, "lastMessageAt": 9, "owner": "ann", "state": "running",
        },
        "thread": { "epoch": EPOCH, "seq": seq, "open": open },
    })
}

fn question(seq: u64, request_id: &str, content: &str) -> Value {
    json!({
        "message": { "content": content },
        "record": {
            "seq": seq, "turn": seq, "kind": "question", "message_id": format!("msg_abc_{seq:x}"), "request_id": request_id,
            "created_at": seq, "started": 1, "author": "ann",
        },
    })
}

fn answer(seq: u64, turn: u64, request_id: &str, content: &str) -> Value {
    json!({
        "message": { "content": content },
        "record": {
            "seq": seq, "turn": turn, "kind": "answer", "message_id": format!("msg_abc_{turn:x}r"), "request_id": request_id,
            "created_at": seq, "status": "complete", "metadata": r#"{"tokensUsed":3,"latencyMs":1}"#,
        },
    })
}

fn import(lines: &[Value]) -> Result<Import, String> {
    let lines: Vec<String> = lines.iter().map(Value::to_string).collect();
    Import::read(&lines.join("\n"), "s1")
}

fn two_turns() -> Vec<Value> {
    vec![
        head(8, &[]),
        question(1, "r1", "one"),
        answer(3, 1, "r1", "first"),
        question(5, "r2", "two"),
        answer(7, 5, "r2", "second"),
    ]
}

#[track_caller]
fn brought(h: &mut Harness, lines: &[Value]) -> usize {
    h.host.import(&Identity::anyone(), import(lines).unwrap()).unwrap().unwrap()
}

#[test]
fn an_imported_session_is_unchanged_and_goes_on() {
    let mut h = thread();
    assert_eq!(brought(&mut h, &two_turns()), 4);
    h.deliver();
    h.join("ann");
    let frames = h.frames("ann");
    let session = &frames[0]["session"];
    assert_eq!(
        (&session["id"], &session["owner"], &session["state"]),
        (&json!("s1"), &json!("ann"), &json!("idle"))
    );
    let ids: Vec<&Value> =
        frames[1]["messages"].as_array().unwrap().iter().map(|message| &message["id"]).collect();
    assert_eq!(ids, ["msg_abc_1", "msg_abc_1r", "msg_abc_5", "msg_abc_5r"]);
    assert_eq!(frames[1]["messages"][3]["parentId"], json!("msg_abc_5"));
    h.say("ann", "r3", "three");
    h.finish("r3");
    h.deliver();
    assert_eq!(h.host.store.records.len(), 6);
    assert_eq!(h.host.alarm, None);
    // Sending the same message again refers to the imported one.
    h.say("ann", "r1", "one");
    h.expect(
        "ann",
        &[
            json!({ "type": "user_message", "requestId": "r3" }),
            json!({ "type": "final", "requestId": "r3" }),
            json!({ "type": "user_message", "requestId": "r1" }),
            json!({ "type": "final", "requestId": "r1" }),
        ],
    );
}

#[test]
fn importing_twice_changes_nothing_and_parts_come_in_any_order() {
    let all = two_turns();
    let mut h = thread();
    assert_eq!(brought(&mut h, &[all[0].clone(), all[3].clone(), all[4].clone()]), 2);
    h.deliver();
    assert_eq!(brought(&mut h, &all), 2);
    assert_eq!(brought(&mut h, &all), 0);
    let deliveries: Vec<_> =
        h.host.deliveries.iter().map(|(it, _)| it.content.as_ref().unwrap().records.len()).collect();
    assert_eq!(deliveries, [4], "D1 is told of all of it, since it had been told that there was no more");
}

#[test]
fn a_crash_during_an_import_leaves_a_whole_part_or_nothing() {
    for outputs in 1..6 {
        let mut h = thread();
        h.join("eve");
        h.host.faults.sudden = Some((outputs, Sudden::Crash { sockets_survive: true }));
        let outcome = h.host.import(&Identity::anyone(), import(&two_turns()).unwrap());
        assert!([0, 4].contains(&h.host.store.records.len()), "{outcome:?}");
        h.host.faults = Faults::default();
        brought(&mut h, &two_turns());
        assert_eq!(h.host.store.records.len(), 4);
    }
}

#[test]
fn an_answer_that_was_running_ends_as_interrupted_once() {
    let lines = [head(2, &[1]), question(1, "r1", "one")];
    let mut h = thread();
    assert_eq!(brought(&mut h, &lines), 1);
    for _ in 0..2 {
        h.deliver();
        let ends: Vec<_> = h.host.store.records.values().filter(|record| record.is_end()).collect();
        assert_eq!(ends.len(), 1);
        assert!(ends[0].is_broken_off());
        assert_eq!(brought(&mut h, &lines), 0);
    }
}

#[test]
fn connected_clients_are_shown_the_imported_messages() {
    let mut h = thread();
    h.greet("eve");
    brought(&mut h, &two_turns());
    let frames = h.frames("eve");
    let snapshot = frames.iter().find(|frame| frame["type"] == "snapshot").unwrap();
    assert_eq!(snapshot["messages"].as_array().unwrap().len(), 4);
}

#[test]
fn an_import_is_refused_if_another_session_has_the_id_or_a_turn_runs() {
    let mut h = thread();
    h.greet("ann");
    h.say("ann", "r1", "mine");
    let refusal = |h: &mut Harness| match h.host.import(&Identity::anyone(), import(&two_turns()).unwrap()) {
        Some(Err(Undone::Refused(error))) => error.code.known().unwrap(),
        other => panic!("{other:?}"),
    };
    assert_eq!(refusal(&mut h), ErrorCode::Conflict);
    let mut h = thread();
    brought(&mut h, &two_turns());
    h.greet("ann");
    h.say("ann", "r3", "three");
    assert_eq!(refusal(&mut h), ErrorCode::Busy);
    h.finish("r3");
    assert_eq!(brought(&mut h, &two_turns()), 0);
}

#[test]
fn only_an_admin_may_import() {
    let mut h = thread();
    let ann = Identity {
        subject: Some("ann".into()),
        granted: None,
        may_create: true,
        expires_at: None,
        trace: None,
    };
    let outcome = h.host.import(&ann, import(&two_turns()).unwrap());
    assert!(matches!(outcome, Some(Err(Undone::Denied(Denied::Forbidden(_))))), "{outcome:?}");
    assert_eq!(h.host.store.rows_written, 0);
}

#[test]
fn a_faulty_import_is_refused_with_its_fault() {
    let with = |line: Value| import(&[head(8, &[]), line]).unwrap_err();
    assert!(import(&[]).unwrap_err().contains("the first line"));
    assert!(import(&[json!({ "session": { "id": "s1" } })]).unwrap_err().contains("the first line"));
    assert!(with(json!({})).contains("line 2: there is neither"));
    for (column, value) in [
        ("kind", json!("poem")),
        ("seq", json!(0)),
        ("turn", json!(9)),
        ("message_id", json!("")),
        ("request_id", json!("ä")),
    ] {
        let mut line = question(1, "r1", "one");
        line["record"][column] = value;
        assert!(with(line).starts_with("line 2: "), "{column}");
    }
    assert!(with(json!({ "file": { "id": "f" } })).contains("the file cannot be read"));
}
