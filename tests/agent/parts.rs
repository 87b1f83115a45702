//! Blocks that arrive in parallel.

use bobbin::agent::http::{Draft, Fold, Kind, Stream};
use bobbin::agent::parts::Parts;
use bobbin::agent::piece::Piece;
use bobbin::agent::{AgentEvent, ai_sdk};
use bobbin::protocol::json::Reader;
use bobbin::protocol::limits::{ANSWER_BYTES_MAX, BLOCKS_MAX};
use bobbin::protocol::{Block, Json};
use proptest::prelude::*;
use serde_json::json;

use super::json_of;

#[test]
fn a_finished_thought_is_complete_and_keeps_its_providers_data() {
    let mut said = Said::default();
    assert_eq!(said.all(&[["think", "a", " "]]), [AgentEvent::Gathering], "nothing is said yet");
    let whole = Block::Thinking { text: " hm".into(), provider_data: Some(Json::String("s".into())) };
    assert_eq!(
        said.all(&[["think", "a", "h"], ["think", "a", "m"], ["end-think", "a", "s"]]),
        [
            AgentEvent::Begin(Block::thinking("")),
            AgentEvent::Grow(" h".into()),
            AgentEvent::Grow("m".into()),
            AgentEvent::Block(whole)
        ]
    );
}

#[test]
fn an_empty_thought_is_kept_only_for_its_providers_data() {
    let events =
        Said::default().all(&[["think", "a", "\n"], ["end-think", "a", ""], ["end-think", "b", "s"]]);
    let whole = Block::Thinking { text: String::new(), provider_data: Some(Json::String("s".into())) };
    assert_eq!(events, [AgentEvent::Gathering, AgentEvent::Block(whole)]);
}

#[test]
fn text_closes_a_thought_and_waits_for_a_call() {
    let mut said = Said::default();
    let events = said.all(&[
        ["think", "t", "hm"],
        ["text", "", "So"],
        ["call", "c", ""],
        ["input", "c", "{\"a\""],
        ["text", "", " it"],
        ["text", "", " is"],
    ]);
    let shown: Vec<_> = events.into_iter().filter(|event| *event != AgentEvent::Gathering).collect();
    assert_eq!(
        shown,
        [
            AgentEvent::Begin(Block::thinking("")),
            AgentEvent::Grow("hm".into()),
            AgentEvent::Block(Block::thinking("hm")),
            AgentEvent::Text("So".into()),
            AgentEvent::Begin(call("c")),
            AgentEvent::Grow("{\"a\"".into()),
        ]
    );
    let whole = Block::tool_use("c", "f", json_of(&json!({"a": 1})));
    assert_eq!(
        said.all(&[["input", "c", ":1}"], ["end-call", "c", ""]]),
        [AgentEvent::Grow(":1}".into()), AgentEvent::Block(whole), AgentEvent::Text(" it is".into())]
    );
}

#[test]
fn the_end_of_a_body_keeps_the_thought_and_drops_incomplete_calls() {
    let mut said = Said::default();
    let mut events = said.all(&[
        ["call", "a", ""],
        ["input", "a", "{\"x\":"],
        ["call", "b", ""],
        ["end-call", "b", ""],
        ["think", "t", "hm"],
    ]);
    events.extend(said.0.finish());
    assert_well_formed(&events);
    let (_, blocks) = folded(&events);
    assert_eq!(blocks, [Block::tool_use("b", "f", json_of(&json!({}))), Block::thinking("hm")]);
    assert!(events.contains(&AgentEvent::Drop), "{events:?}");
}

#[test]
fn a_call_that_is_sent_again_is_changed_in_place_if_it_still_waits() {
    let mut said = Said::default();
    let titled = |title: &str| match call("c") {
        Block::ToolUse { id, name, input, kind, output, approval, provider_data, .. } => {
            let title = Some(title.into());
            Block::ToolUse { id, name, input, title, kind, output, approval, provider_data }
        }
        other => other,
    };
    let together = said.0.push(&[written(["whole", "c", "1"]), written(["again", "c", "2"])].concat());
    assert_eq!(together, [AgentEvent::Block(titled("2"))]);
    assert_eq!(said.all(&[["again", "c", "3"]]), [AgentEvent::Block(titled("3"))]);
}

#[test]
fn too_many_bytes_or_calls_fail_an_answer_even_while_they_wait() {
    let half = "x".repeat(ANSWER_BYTES_MAX / 2);
    let is_failed = |events: &[AgentEvent]| matches!(events.last(), Some(AgentEvent::Failed(_)));
    for kind in ["think", "input"] {
        for first in ["", "other"] {
            let mut said = Said::default();
            said.all(&[["call", first, ""], ["call", "k", ""]]);
            assert!(!is_failed(&said.all(&[[kind, "k", &half], [kind, "k", &half]])), "{kind}");
            assert!(is_failed(&said.all(&[[kind, "k", "x"]])), "{kind}");
        }
    }
    let mut said = Said::default();
    let keys: Vec<String> = (0..BLOCKS_MAX).map(|nth| nth.to_string()).collect();
    assert!(keys.iter().all(|key| !is_failed(&said.all(&[["call", key, ""]]))));
    assert!(is_failed(&said.all(&[["call", "one more", ""]])));
}

#[test]
fn the_halves_of_a_character_are_joined_whatever_comes_in_between() {
    let halves = [
        r#"["text","","a\ud83d"]"#,
        r#"["think","t","\ud83d"]"#,
        r#"["text","","\ude00b"]"#,
        r#"["call","c",""]"#,
        r#"["input","c","{\"a\":\"\ud83d"]"#,
        r#"["text","","\ud83d"]"#,
        r#"["input","c","\udca1\"}"]"#,
        r#"["text","","\udca1"]"#,
        r#"["done","",""]"#,
    ];
    let mut said = Said::default();
    let mut events = Vec::new();
    for half in halves {
        events.extend(said.0.push(format!("data: {half}\n\n").as_bytes()));
    }
    assert_well_formed(&events);
    let (text, blocks) = folded(&events);
    assert_eq!(
        (text.as_str(), blocks.last()),
        ("a😀b💡", Some(&Block::tool_use("c", "f", json_of(&json!({"a": "💡"})))))
    );
}

proptest! {
    /// Text, thoughts and calls come in parallel, cut into pieces and dealt out in any order that keeps the order
    /// of each. The body may end in the middle. Pieces are upper case, so that none is JSON or the word "end".
    #[test]
    fn pieces_in_any_order_all_arrive_and_only_one_block_is_open_at_a_time(
        streams in prop::collection::vec((0..3_u8, prop::collection::vec("[A-Z]{1,3}", 1..5)), 1..6),
        deal in prop::collection::vec(any::<prop::sample::Index>(), 45),
        steps in 0..45_usize,
        ends_well in any::<bool>(),
    ) {
        let mut left: Vec<(String, &str, Vec<String>)> = Vec::new();
        for (nth, (kind, pieces)) in streams.iter().enumerate() {
            let kind = ["text", "think", "input"][usize::from(*kind)];
            let mut pieces = pieces.clone();
            pieces.push("end".into());
            pieces.reverse();
            left.push((nth.to_string(), kind, pieces));
        }
        let mut said = Said::default();
        let (mut events, mut begun) = (Vec::new(), Vec::new());
        let (mut text, mut thought, mut inputs) = (String::new(), 0, vec![(String::new(), false); streams.len()]);
        for index in deal.iter().take(steps) {
            left.retain(|(_, _, pieces)| !pieces.is_empty());
            if left.is_empty() {
                break;
            }
            let (key, kind, pieces) = index.get(&left).clone();
            let nth: usize = key.parse().unwrap();
            let piece = pieces.last().unwrap().clone();
            left.iter_mut().find(|(of, ..)| *of == key).unwrap().2.pop();
            if kind == "input" && !begun.contains(&key) {
                events.extend(said.all(&[["call", &key, ""]]));
                begun.push(key.clone());
            }
            match (kind, piece.as_str()) {
                ("text", "end") => {}
                ("think", "end") => events.extend(said.all(&[["end-think", &key, ""]])),
                (_, "end") => {
                    inputs[nth].1 = true;
                    events.extend(said.all(&[["end-call", &key, ""]]));
                }
                (kind, piece) => {
                    match kind {
                        "text" => text.push_str(piece),
                        "think" => thought += piece.len(),
                        _ => inputs[nth].0.push_str(piece),
                    }
                    events.extend(said.all(&[[kind, &key, piece]]));
                }
            }
        }
        events.extend(if ends_well { said.all(&[["done", "", ""]]) } else { said.0.finish() });
        assert_well_formed(&events);
        let (heard, blocks) = folded(&events);
        prop_assert_eq!(heard, text);
        let thoughts = blocks.iter().map(|block| if let Block::Thinking { text, .. } = block { text.len() } else { 0 });
        prop_assert_eq!(thoughts.sum::<usize>(), thought);
        for (nth, (input, is_whole)) in inputs.iter().enumerate() {
            let is_there = begun.contains(&nth.to_string()) && (ends_well || *is_whole);
            let input = if input.is_empty() { json_of(&json!({})) } else { Json::String(input.clone()) };
            let call = Block::tool_use(nth.to_string(), "f", input);
            prop_assert_eq!(blocks.iter().filter(|block| **block == call).count(), usize::from(is_there));
        }
    }
}

/// Carries out its events: each is a verb, a key and a piece.
#[derive(Debug, Default)]
struct Script(Parts);

impl Fold for Script {
    fn event(&mut self, data: &str, answer: &mut Draft) {
        let mut words = Vec::new();
        let mut read = |reader: &mut Reader<'_>| {
            words.push(reader.raw()?.to_owned());
            Ok(())
        };
        Reader::read_foreign(data, |reader| reader.array(&mut read)).unwrap();
        let text = |at: usize| Json::parse(&words[at]).unwrap().as_str().unwrap().to_owned();
        let (verb, key, text) = (text(0), text(1), text(2));
        let piece = Reader::read_foreign(&words[2], Piece::read).unwrap();
        let parts = &mut self.0;
        let titled = || match call(&key) {
            Block::ToolUse { id, name, input, kind, output, approval, provider_data, .. } => {
                let title = Some(text.clone());
                Block::ToolUse { id, name, input, title, kind, output, approval, provider_data }
            }
            other => other,
        };
        match verb.as_str() {
            "text" => parts.text(&piece, answer),
            "think" => parts.thinking(&key, &piece, answer),
            "end-think" => {
                let data = Some(text).filter(|text| !text.is_empty()).map(Json::String);
                parts.end_thinking(&key, data, answer);
            }
            "call" => parts.call(&key, call(&key), answer),
            "input" => parts.input(&key, &piece, answer),
            "end-call" => parts.end_call(&key, answer),
            "whole" => parts.whole_call(&key, titled(), answer),
            "again" => answer.again(titled()),
            _ => answer.complete(),
        }
    }

    fn flush(&mut self, is_broken_off: bool, answer: &mut Draft) {
        self.0.finish(is_broken_off, answer);
    }
}

static SCRIPT: Kind = Kind { fold: || Box::new(Script::default()), ..ai_sdk::KIND };

struct Said(Stream);

impl Default for Said {
    fn default() -> Self {
        Said(Stream::new(&SCRIPT))
    }
}

impl Said {
    /// Pushes each separately and returns the events.
    fn all(&mut self, words: &[[&str; 3]]) -> Vec<AgentEvent> {
        words.iter().flat_map(|words| self.0.push(&written(*words))).collect()
    }
}

fn written(words: [&str; 3]) -> Vec<u8> {
    format!("data: {}\n\n", json!(words)).into_bytes()
}

/// Returns the text, and the finished blocks.
fn folded(events: &[AgentEvent]) -> (String, Vec<Block>) {
    let mut text = String::new();
    let mut blocks = Vec::new();
    for event in events {
        match event {
            AgentEvent::Text(more) => text.push_str(more),
            AgentEvent::Block(block) => blocks.push(block.clone()),
            _ => {}
        }
    }
    (text, blocks)
}

/// Asserts that one block is open at a time, that nothing comes in between, and that it equals its growth.
pub fn assert_well_formed(events: &[AgentEvent]) {
    let mut open: Option<(Block, String)> = None;
    for event in events {
        match event {
            AgentEvent::Begin(block) => {
                assert!(open.is_none(), "a block within another: {events:?}");
                open = Some((block.clone(), String::new()));
            }
            AgentEvent::Grow(more) => {
                open.as_mut().unwrap_or_else(|| panic!("nothing is open: {events:?}")).1.push_str(more);
            }
            AgentEvent::Block(block) => {
                if let Some((begun, grown)) = open.take() {
                    match (begun, block) {
                        (Block::Thinking { .. }, Block::Thinking { text, .. }) => assert_eq!(&grown, text),
                        (Block::ToolUse { id, .. }, Block::ToolUse { id: ended, .. }) => {
                            assert_eq!(&id, ended);
                        }
                        (begun, ended) => panic!("{begun:?} ended as {ended:?}"),
                    }
                }
            }
            AgentEvent::Drop => assert!(open.take().is_some(), "nothing to drop: {events:?}"),
            AgentEvent::Text(_) | AgentEvent::Finished(_) => {
                assert!(open.is_none(), "{event:?} within a block: {events:?}");
            }
            _ => {}
        }
    }
    assert!(open.is_none(), "left open: {events:?}");
}

fn call(id: &str) -> Block {
    Block::tool_use(id, "f", Json::Null)
}
