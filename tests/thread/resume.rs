use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::harness::{Harness, cursor_of, finished, said, thought, thread, thread_of, tokens};

#[test]
fn a_client_that_reconnects_during_a_stream_gets_the_missing_text_in_one_frame_and_then_live_text() {
    let mut h = thread();
    h.greet("ann");
    h.say("ann", "r1", "one");
    h.text("r1", "a");
    let cursor = cursor_of(&h.frames("ann"));
    h.leave("ann");
    for text in ["b", "c", "ö"] {
        h.wait(50);
        h.text("r1", text);
    }
    h.resume("ann", &cursor);
    h.text("r1", "e");
    h.wait(50);
    h.expect(
        "ann",
        &[
            json!({ "type": "connected", "resumed": true, "cursor": cursor,
                    "inFlight": [{ "requestId": "r1", "state": "streaming" }] }),
            json!({ "type": "token", "token": "bcö" }),
            json!({ "type": "token", "token": "e" }),
        ],
    );
}

#[test]
fn gathered_text_that_was_not_yet_sent_comes_once() {
    let mut h = thread();
    h.greet("ann");
    h.greet("bob");
    h.say("ann", "r1", "one");
    h.text("r1", "a");
    let cursor = cursor_of(&h.frames("ann"));
    h.text("r1", "b");
    h.resume("eve", &cursor);
    h.wait(50);
    h.expect("eve", &[json!({ "type": "connected" }), json!({ "type": "token", "token": "b" })]);
    assert_eq!(tokens(&h.frames("bob"), "r1"), "ab");
}

#[test]
fn a_turn_that_has_ended_meanwhile_brings_the_missing_text_and_its_end() {
    let mut h = thread();
    h.greet("ann");
    h.say("ann", "r1", "one");
    h.text("r1", "a");
    let cursor = cursor_of(&h.frames("ann"));
    h.leave("ann");
    h.agent("r1", vec![said("b"), finished()]);
    h.say_alone("r2");
    h.resume("ann", &cursor);
    h.expect(
        "ann",
        &[
            json!({ "type": "connected", "resumed": true }),
            json!({ "type": "token", "requestId": "r1", "token": "b" }),
            json!({ "type": "final", "requestId": "r1", "response": { "content": "ab" } }),
            json!({ "type": "user_message", "requestId": "r2" }),
        ],
    );
}

#[test]
fn a_client_that_is_up_to_date_is_sent_nothing() {
    let mut h = thread();
    h.greet("ann");
    h.say("ann", "r1", "one");
    h.agent("r1", vec![said("a"), thought("b")]);
    let cursor = cursor_of(&h.frames("ann"));
    h.resume("ann", &cursor);
    assert_eq!(h.frames("ann").len(), 1);
}

/// A client may be cut off after every frame of every catch-up.
#[test]
fn a_client_that_is_cut_off_anywhere_even_in_a_catch_up_folds_the_same_transcript() {
    let mut h = thread_of(3);
    h.greet("ann");
    let mut seen = Vec::new();
    for step in 0..24 {
        act(&mut h, step);
        h.wait(20);
        seen.extend(h.frames("ann"));
    }
    let truth = folded(&seen);
    for held in 0..=seen.len() {
        cut_again_and_again(&mut h, &seen[..held], &truth, 0);
    }
}

#[test]
fn a_cursor_from_before_the_first_message_brings_the_whole_log() {
    let mut h = thread();
    h.greet("ann");
    h.say("ann", "r1", "one");
    h.agent("r1", vec![said("a"), finished()]);
    h.resume("bob", "0");
    h.expect(
        "bob",
        &[
            json!({ "type": "connected", "resumed": true, "cursor": "0" }),
            json!({ "type": "user_message" }),
            json!({ "type": "token", "token": "a" }),
            json!({ "type": "final" }),
        ],
    );
}

fn act(h: &mut Harness, step: usize) {
    match step {
        0 | 1 | 2 | 9 => h.say("ann", &format!("r{step}"), "hello"),
        3 | 10 => h.text("r0", "one "),
        4 | 11 | 14 => h.text("r1", "zwölf "),
        5 => h.agent("r0", vec![thought("hm"), said("two ")]),
        6 => h.agent("r1", vec![thought("so")]),
        7 => h.text("r2", "x"),
        8 => h.agent("r2", vec![said("y"), finished()]),
        12 => h.agent("r0", vec![thought("again"), said("three"), finished()]),
        13 => h.send("ann", &json!({ "type": "session_update", "title": "t" })),
        15 => h.send("ann", &json!({ "type": "cancel", "requestId": "r1" })),
        16 => h.text("r9", "last"),
        _ => {}
    }
}

fn cut_again_and_again(h: &mut Harness, held: &[Value], truth: &Fold, depth: usize) {
    let cursor = if held.is_empty() { "0".to_owned() } else { cursor_of(held) };
    h.resume("eve", &cursor);
    let caught_up = h.frames("eve");
    h.leave("eve");
    assert_eq!(caught_up[0]["resumed"], json!(true), "at {cursor}");
    let all = [held, &caught_up[1..]].concat();
    assert_eq!(&folded(&all), truth, "from {cursor}");
    if depth < 2 {
        for cut in 1..caught_up.len() {
            cut_again_and_again(h, &[held, &caught_up[1..=cut]].concat(), truth, depth + 1);
        }
    }
}

type Fold = BTreeMap<String, Vec<Value>>;

/// Folds the frames of each turn like a naive client: text is joined, everything else is kept as it comes.
fn folded(frames: &[Value]) -> Fold {
    let mut turns = Fold::new();
    for frame in frames.iter().filter(|frame| frame.get("requestId").is_some()) {
        let turn = turns.entry(frame["requestId"].as_str().unwrap().to_owned()).or_default();
        match (frame["type"].as_str().unwrap(), turn.last_mut()) {
            ("token", Some(Value::String(text))) => text.push_str(frame["token"].as_str().unwrap()),
            ("token", _) => turn.push(frame["token"].clone()),
            ("block", _) => turn.push(json!({ "block": frame["block"] })),
            ("user_message", _) => turn.push(json!({ "message": frame["message"] })),
            _ => turn.push(json!({ "end": frame["response"], "as": frame["type"] })),
        }
    }
    turns
}

impl Harness {
    fn say_alone(&mut self, request_id: &str) {
        self.greet("bob");
        self.say("bob", request_id, "hello");
    }
}
