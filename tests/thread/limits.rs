use bobbin::protocol::limits::{
    ANSWER_BYTES_MAX, BLOCKS_MAX, MESSAGE_BYTES_MAX, PAYLOAD_BYTES_MAX, REQUEST_ID_CHARS_MAX, TITLE_CHARS_MAX,
};
use bobbin::protocol::{Content, Read, to_json};
use serde_json::{Value, json};

use crate::harness::{Harness, cursor_of, finished, said, thread, tokens};

/// Some clients accept no larger frame.
const FRAME_BYTES_MAX: usize = 1024 * 1024;

#[test]
fn a_long_text_is_sent_in_pieces_that_fit_and_break_no_character() {
    let mut h = running();
    let text = "ä".repeat(PAYLOAD_BYTES_MAX / 2 + 1);
    h.text("r1", &text);
    let frames = h.frames("ann");
    assert_eq!(sizes(&frames), [PAYLOAD_BYTES_MAX, 2]);
    assert_eq!(tokens(&frames, "r1"), text);
}

#[test]
fn a_long_text_is_caught_up_in_pieces_and_one_may_be_cut_off_between_them() {
    let mut h = running();
    let text = "x".repeat(2 * PAYLOAD_BYTES_MAX + 5);
    h.text("r1", &text);
    h.resume("bob", "0");
    let frames = h.frames("bob");
    assert_eq!(sizes(&frames), [PAYLOAD_BYTES_MAX, PAYLOAD_BYTES_MAX, 5]);
    let first = frames.iter().position(|frame| frame["type"] == "token").unwrap();
    h.resume("bob", &cursor_of(&frames[..=first]));
    assert_eq!(sizes(&h.frames("bob")), [PAYLOAD_BYTES_MAX, 5]);
}

#[test]
fn a_snapshot_holds_the_head_of_a_long_answer_and_the_rest_follows() {
    let mut h = running();
    h.text("r1", &"x".repeat(PAYLOAD_BYTES_MAX + 5));
    h.join("bob");
    let frames = h.frames("bob");
    assert_eq!(frames[1]["inFlight"][0]["content"].as_str().unwrap().len(), PAYLOAD_BYTES_MAX);
    assert_eq!(sizes(&frames), [5]);
}

#[test]
fn a_frame_may_be_as_long_as_the_limit_and_no_longer() {
    let mut h = thread();
    h.greet("ann");
    let frame = |bytes: usize| {
        let empty = json!({ "type": "message", "requestId": "r1", "content": "" }).to_string().len();
        json!({ "type": "message", "requestId": "r1", "content": "x".repeat(bytes - empty) })
    };
    h.send("ann", &frame(MESSAGE_BYTES_MAX + 1));
    h.expect(
        "ann",
        &[json!({ "type": "error", "requestId": "r1", "error": { "code": "MESSAGE_TOO_LARGE" } })],
    );
    h.send("ann", &frame(MESSAGE_BYTES_MAX));
    h.expect("ann", &[json!({ "type": "user_message" })]);
}

#[test]
fn ids_titles_and_blocks_have_limits() {
    let mut h = thread();
    h.greet("ann");
    let message = |id: &str, blocks: usize| {
        let block = json!({ "type": "text", "text": "x" });
        json!({ "type": "message", "requestId": id, "content": vec![block; blocks] })
    };
    let title = |chars: usize| json!({ "type": "session_update", "title": "ü".repeat(chars) });
    let refused = [
        message(&"i".repeat(REQUEST_ID_CHARS_MAX + 1), 1),
        message("", 1),
        message("tab\t", 1),
        message("r", BLOCKS_MAX + 1),
        message("r", 0),
        title(TITLE_CHARS_MAX + 1),
    ];
    for frame in refused {
        h.send("ann", &frame);
        h.expect("ann", &[json!({ "type": "error", "error": { "code": "INVALID_MESSAGE" } })]);
    }
    h.send("ann", &title(TITLE_CHARS_MAX));
    h.send("ann", &message(&"i".repeat(REQUEST_ID_CHARS_MAX), BLOCKS_MAX));
    h.expect("ann", &[json!({ "type": "user_message" })]);
}

#[test]
fn an_answer_may_be_as_long_as_the_limit() {
    let mut h = running();
    h.text("r1", &"x".repeat(ANSWER_BYTES_MAX));
    h.finish("r1");
    let frames = h.frames("ann");
    // After this many bytes comes a check.
    assert!(["session", "check"].map(Value::from).contains(&frames.last().unwrap()["type"]));
    let end = frames.iter().find(|frame| frame["type"] == "final").unwrap();
    assert!(end.to_string().len() <= FRAME_BYTES_MAX);
}

#[test]
fn a_longer_answer_is_broken_off_and_its_frames_are_no_larger_than_clients_accept() {
    for last in [1, 512 * 1024, FRAME_BYTES_MAX] {
        for escaped in ["x", "\u{1}"] {
            let mut h = running();
            let bytes = if escaped == "x" { 1 } else { 6 };
            h.text("r1", &escaped.repeat(ANSWER_BYTES_MAX / bytes));
            h.text("r1", &escaped.repeat(last));
            assert_eq!(h.aborted().len(), 1);
            let frames = h.frames("ann");
            let end = frames.iter().find(|frame| frame["type"] == "error").unwrap();
            assert_eq!(end["error"]["retryable"], json!(false));
            let largest = frames.iter().map(|frame| frame.to_string().len()).max().unwrap();
            assert!(largest <= FRAME_BYTES_MAX, "{largest} bytes, {last} after the limit");
            assert_eq!(tokens(&frames, "r1"), end["response"]["content"].as_str().unwrap());
        }
    }
}

#[test]
fn stored_content_is_read_back_unchanged() {
    let mut h = thread();
    h.greet("ann");
    let numbers = json!([0.1, 1e300, 123_456_789.123_456_79, -0.0, 5e-324, u64::MAX, 7.299_281_828_459_045]);
    let content = json!([{ "type": "tool_use", "id": "t", "name": "n", "input": { "numbers": numbers } }]);
    let text = json!({ "type": "message", "requestId": "r1", "content": content }).to_string();
    h.send_text("ann", &text);
    let record = h.host.store.records.values().next().unwrap();
    let stored = to_json(&record.content);
    assert!(stored.contains(&numbers.to_string()), "{stored}");
    assert_eq!(Content::parse(&stored).unwrap(), record.content);
}

fn running() -> Harness {
    let mut h = thread();
    h.greet("ann");
    h.say("ann", "r1", "hello");
    h.agent("r1", vec![]);
    h.frames("ann");
    h.seen();
    h
}

fn sizes(frames: &[Value]) -> Vec<usize> {
    frames.iter().filter_map(|frame| frame["token"].as_str()).map(str::len).collect()
}

#[test]
fn a_read_with_text_and_the_end_of_the_answer_is_complete() {
    let mut h = running();
    h.agent("r1", vec![said("a"), finished()]);
    h.expect("ann", &[json!({ "token": "a" }), json!({ "response": { "content": "a" } })]);
}
