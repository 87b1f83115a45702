use bobbin::protocol::limits::{CATCH_UP_MESSAGES_MAX, PAYLOAD_BYTES_MAX, SNAPSHOT_MESSAGES_MAX};
use serde_json::{Value, json};

use crate::harness::{Harness, cursor_of, finished, said, thought, thread, thread_of, tokens};

#[test]
fn without_a_cursor_the_newest_messages_come_and_the_text_of_the_running_turn() {
    let mut h = thread();
    h.greet("ann");
    h.say("ann", "r1", "one");
    h.agent("r1", vec![said("a"), finished()]);
    h.say("ann", "r2", "two");
    h.agent("r2", vec![said("b"), thought("c"), said("d")]);
    h.wait(50);
    h.join("bob");
    let frames = h.expect(
        "bob",
        &[
            json!({ "type": "connected", "status": "created", "resumed": false }),
            json!({
                "type": "snapshot", "reason": "joined", "hasMore": false,
                "messages": [
                    { "requestId": "r1", "role": "user", "content": "one" },
                    { "requestId": "r1", "role": "assistant", "content": "a", "status": "complete" },
                    { "requestId": "r2", "role": "user", "content": "two" },
                ],
                "inFlight": [{ "requestId": "r2", "state": "streaming", "content": "bd", "blocks": [
                    { "type": "text", "text": "b" }, { "type": "thinking", "text": "c" },
                    { "type": "text", "text": "d" },
                ] }],
                "session": { "messageCount": 3 },
            }),
        ],
    );
    h.text("r2", "e");
    h.wait(50);
    h.expect("bob", &[json!({ "type": "token", "token": "e" })]);
    h.resume("eve", &cursor_of(&frames));
    h.expect("eve", &[json!({ "resumed": true }), json!({ "type": "token", "token": "e" })]);
}

#[test]
fn unknown_foreign_and_malformed_cursors_are_answered_with_a_reset() {
    let mut h = thread();
    h.greet("ann");
    h.say("ann", "r1", "one");
    h.text("r1", "añ");
    let own = cursor_of(&h.frames("ann"));
    let (epoch, _) = own.split_once('.').unwrap();
    let unknown = [
        String::new(),
        "-".into(),
        "nonsense".into(),
        "1.2".into(),
        format!("{epoch}.ff"),
        format!("{epoch}.0{}", 2),
        format!("{epoch}.2.1-2-0"),
        format!("{epoch}.2.1-ff-0"),
        format!("{epoch}.2.1-1-1"),
        format!("{epoch}.2.2-1-0"),
        format!("{own} "),
        "f".repeat(5_000),
    ];
    for cursor in unknown {
        h.resume("eve", &cursor);
        h.expect(
            "eve",
            &[
                json!({ "type": "connected", "resumed": false }),
                json!({ "type": "snapshot", "reason": "reset", "inFlight": [{ "content": "añ" }] }),
            ],
        );
    }
}

#[test]
fn a_client_that_is_cut_off_before_its_snapshot_is_sent_one_again() {
    let mut h = thread();
    h.greet("ann");
    h.say("ann", "r1", "one");
    for cursor in [None, Some("nonsense")] {
        match cursor {
            Some(cursor) => h.resume("bob", cursor),
            None => h.join("bob"),
        }
        let connected = h.frames("bob").remove(0);
        h.resume("bob", connected["cursor"].as_str().unwrap());
        let frames = h.frames("bob");
        let has_all = frames.iter().any(|frame| {
            frame["type"] == "user_message"
                || (frame["type"] == "snapshot" && frame["messages"].as_array().unwrap().len() == 1)
        });
        assert!(has_all, "{frames:?}");
    }
}

#[test]
fn the_messages_of_a_snapshot_are_limited_and_it_tells_that_there_are_more() {
    let mut h = thread();
    h.greet("ann");
    for turn in 0..SNAPSHOT_MESSAGES_MAX / 2 {
        turn_over(&mut h, turn);
    }
    for has_more in [false, true] {
        h.join("bob");
        let snapshot = h.frames("bob").remove(1);
        assert_eq!(snapshot["messages"].as_array().unwrap().len(), SNAPSHOT_MESSAGES_MAX);
        assert_eq!(snapshot["hasMore"], json!(has_more));
        turn_over(&mut h, 1_000);
    }
}

#[test]
fn a_cursor_is_too_old_once_a_catch_up_would_exceed_its_limit() {
    let mut h = thread();
    h.greet("ann");
    for turn in 0..CATCH_UP_MESSAGES_MAX / 2 {
        turn_over(&mut h, turn);
    }
    for is_known in [true, false] {
        h.resume("bob", "0");
        assert_eq!(h.frames("bob")[0]["resumed"], json!(is_known));
        turn_over(&mut h, 1_000);
    }
}

#[test]
fn session_sync_of_a_client_that_is_up_to_date_brings_no_snapshot() {
    let mut h = thread();
    h.greet("ann");
    h.say("ann", "r1", "one");
    h.text("r1", "a");
    let cursor = cursor_of(&h.frames("ann"));
    h.send("ann", &json!({ "type": "session_sync", "cursor": cursor }));
    h.expect("ann", &[json!({ "type": "session_synced", "cursor": cursor })]);
}

#[test]
fn session_sync_from_any_other_cursor_brings_a_snapshot_whatever_is_under_way() {
    let mut h = thread();
    h.greet("ann");
    h.say("ann", "r1", "one");
    let cursor = cursor_of(&h.frames("ann"));
    h.text("r1", "a");
    // This text is gathered, and not yet sent to anybody.
    h.text("r1", "b");
    h.send("ann", &json!({ "type": "session_sync", "cursor": cursor }));
    h.send("ann", &json!({ "type": "session_sync" }));
    h.send("ann", &json!({ "type": "session_sync", "cursor": "elsewhere" }));
    h.wait(50);
    let snapshot = json!({ "type": "snapshot", "reason": "sync", "inFlight": [{ "content": "a" }] });
    let synced = json!({ "type": "session_synced" });
    let (first, last) = (json!({ "token": "a" }), json!({ "token": "b" }));
    let answers = [&snapshot, &synced].into_iter().cycle().take(6);
    let expected: Vec<Value> = [&first].into_iter().chain(answers).chain([&last]).cloned().collect();
    h.expect("ann", &expected);
}

#[test]
fn before_the_first_message_session_sync_knows_one_cursor() {
    let mut h = thread();
    h.greet("ann");
    h.send("ann", &json!({ "type": "session_sync", "cursor": "0" }));
    h.expect("ann", &[json!({ "type": "session_synced", "cursor": "0" })]);
    h.send("ann", &json!({ "type": "session_sync" }));
    let snapshot =
        json!({ "type": "snapshot", "reason": "sync", "messages": [], "session": null, "cursor": "0" });
    h.expect("ann", &[snapshot, json!({ "type": "session_synced", "cursor": "0" })]);
}

#[test]
fn session_sync_of_an_answer_too_long_for_a_snapshot_brings_all_of_it_before_it_ends() {
    let mut h = thread();
    h.greet("ann");
    h.say("ann", "r1", "one");
    h.text("r1", &"x".repeat(PAYLOAD_BYTES_MAX + 7));
    h.frames("ann");
    h.send("ann", &json!({ "type": "session_sync" }));
    let frames = h.frames("ann");
    let kinds: Vec<&str> = frames.iter().map(|frame| frame["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["snapshot", "token", "session_synced"]);
    assert_eq!(frames[1]["token"], json!("x".repeat(7)));
    assert_eq!(frames[1]["cursor"], frames[2]["cursor"]);
}

fn turn_over(h: &mut Harness, nth: usize) {
    let request_id = format!("r{nth}");
    h.say("ann", &request_id, "hello");
    if h.host.agents.contains(&h.turn(&request_id)) {
        h.agent(&request_id, vec![said("x"), finished()]);
    }
}

#[test]
fn a_snapshot_of_many_long_answers_stays_within_what_clients_accept() {
    let mut h = thread_of(4);
    h.greet("ann");
    for request_id in ["r1", "r2", "r3", "r4"] {
        h.say("ann", request_id, "tell me");
        h.text(request_id, &"x".repeat(PAYLOAD_BYTES_MAX));
        h.wait(50);
    }
    h.join("bob");
    let frames = h.frames("bob");
    assert!(frames.iter().all(|frame| frame.to_string().len() < 1024 * 1024));
    for (index, request_id) in ["r1", "r2", "r3", "r4"].into_iter().enumerate() {
        let head = frames[1]["inFlight"][index]["content"].as_str().unwrap().len();
        assert_eq!(head + tokens(&frames, request_id).len(), PAYLOAD_BYTES_MAX);
    }
}

#[test]
fn a_cursor_has_one_spelling_whichever_turn_spoke_last() {
    let mut h = thread_of(2);
    h.greet("ann");
    h.say("ann", "r1", "one");
    h.say("ann", "r2", "two");
    h.text("r2", "b");
    h.text("r1", "a");
    let cursor = cursor_of(&h.frames("ann"));
    h.send("ann", &json!({ "type": "session_sync", "cursor": cursor }));
    h.expect("ann", &[json!({ "type": "session_synced", "cursor": cursor })]);
}
