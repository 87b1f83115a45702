//! Streams of the kinds of agents that do not use OpenAI's chat completions.
//!
//! Each kind has a folder in `tests/corpus`. `UPDATE=1 cargo test --test agent kinds` writes the expected
//! events again; review the difference.

use std::fs;
use std::path::Path;

use bobbin::agent::http::{Kind, Stream};
use bobbin::agent::{AgentEvent, ai_sdk, anthropic, workers_ai};
use bobbin::protocol::{Block, to_json};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::parts::assert_well_formed;
use super::{XorShift, damaged, text_of};

const KINDS: [(&str, &Kind); 3] =
    [("anthropic", &anthropic::KIND), ("workers_ai", &workers_ai::KIND), ("ai_sdk", &ai_sdk::KIND)];

#[test]
fn every_stream_of_each_kind_gives_the_events_beside_it() {
    for case in cases() {
        let events = fold(case.kind, &[&case.body[..]]);
        let shown: Vec<Value> = events.iter().map(show).collect();
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&case.expected, format!("{}\n", serde_json::to_string_pretty(&shown).unwrap()))
                .unwrap();
        }
        let expected: Vec<Value> = serde_json::from_slice(&fs::read(&case.expected).unwrap()).unwrap();
        assert_eq!(shown, expected, "{}", case.name);
    }
}

#[test]
fn the_cuts_of_a_stream_of_any_kind_do_not_change_its_events() {
    let mut random = XorShift(0x5eed);
    for case in cases() {
        let whole = fold(case.kind, &[&case.body]);
        let bytes: Vec<&[u8]> = case.body.chunks(1).collect();
        assert_eq!(fold(case.kind, &bytes), whole, "{} byte by byte", case.name);
        for round in 0..100 {
            assert_eq!(fold(case.kind, &random.cuts(&case.body)), whole, "{} in round {round}", case.name);
        }
    }
}

#[test]
fn a_stream_of_any_kind_that_ends_anywhere_ends_once_and_with_a_beginning_of_its_text() {
    for case in cases() {
        let text = text_of(&fold(case.kind, &[&case.body]));
        for end in 0..case.body.len() {
            let begun = text_of(&fold(case.kind, &[&case.body[..end]]));
            let begun = begun.trim_end_matches('\u{fffd}');
            assert!(text.starts_with(begun), "{} cut at {end}: {begun:?}", case.name);
        }
    }
}

proptest! {
    #[test]
    fn a_damaged_stream_of_any_kind_never_panics_and_gives_the_same_events_however_it_is_cut(
        which in any::<prop::sample::Index>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        seed in 1..u64::MAX,
    ) {
        let cases = cases();
        let case = which.get(&cases);
        prop_assume!(!case.body.is_empty());
        let body = damaged(&case.body, damage);
        prop_assert_eq!(fold(case.kind, &[&body]), fold(case.kind, &XorShift(seed).cuts(&body)));
    }

    #[test]
    fn events_in_any_order_never_make_a_kind_panic_and_end_the_answer_once(
        which in any::<prop::sample::Index>(),
        order in prop::collection::vec(any::<prop::sample::Index>(), 1..40),
    ) {
        let cases = cases();
        let case = which.get(&cases);
        let text = String::from_utf8_lossy(&case.body).into_owned();
        let events: Vec<&str> = text.split_inclusive("\n\n").collect();
        prop_assume!(!events.is_empty());
        let mixed: String = order.iter().map(|at| *at.get(&events)).collect();
        fold(case.kind, &[mixed.as_bytes()]);
    }
}

struct Case {
    name: String,
    kind: &'static Kind,
    body: Vec<u8>,
    expected: std::path::PathBuf,
}

fn cases() -> Vec<Case> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut cases = Vec::new();
    for (folder, kind) in KINDS {
        let mut paths: Vec<_> =
            fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        for path in paths.into_iter().filter(|path| path.extension().is_some_and(|end| end == "sse")) {
            cases.push(Case {
                name: format!("{folder}/{}", path.file_stem().unwrap().to_string_lossy()),
                kind,
                body: fs::read(&path).unwrap(),
                expected: path.with_extension("json"),
            });
        }
    }
    assert!(cases.len() > KINDS.len());
    cases
}

/// Returns the events of a body, with adjacent texts joined. Asserts that there is one end, at the end, and
/// that live events are well-formed.
fn fold(kind: &Kind, pushes: &[&[u8]]) -> Vec<AgentEvent> {
    let mut stream = Stream::new(kind);
    let mut all = Vec::new();
    for bytes in pushes {
        all.extend(stream.push(bytes));
    }
    all.extend(stream.finish());
    all.extend(stream.finish());
    assert_well_formed(&all);
    let ends = |event: &AgentEvent| matches!(event, AgentEvent::Finished(_) | AgentEvent::Failed(_));
    assert_eq!(all.iter().filter(|event| ends(event)).count(), 1, "{all:?}");
    assert!(all.last().is_some_and(ends), "{all:?}");
    let mut folded: Vec<AgentEvent> = Vec::new();
    for event in all {
        match (folded.last_mut(), event) {
            (
                _,
                AgentEvent::Begin(_)
                | AgentEvent::Grow(_)
                | AgentEvent::Drop
                | AgentEvent::Ending(_)
                | AgentEvent::Gathering,
            ) => {}
            (Some(AgentEvent::Text(said)), AgentEvent::Text(more)) => said.push_str(&more),
            (_, event) => match folded.iter_mut().find(|said| is_again(said, &event)) {
                Some(said) => *said = event,
                None => folded.push(event),
            },
        }
    }
    folded
}

/// A call that is sent again replaces the earlier one.
fn is_again(said: &AgentEvent, event: &AgentEvent) -> bool {
    let id = |event: &AgentEvent| match event {
        AgentEvent::Block(Block::ToolUse { id, .. }) => Some(id.clone()),
        _ => None,
    };
    id(event).is_some() && id(said) == id(event)
}

fn show(event: &AgentEvent) -> Value {
    let value = |json: String| serde_json::from_str::<Value>(&json).unwrap();
    match event {
        AgentEvent::Text(text) => json!({"text": text}),
        AgentEvent::Block(block) => json!({"block": value(to_json(block))}),
        AgentEvent::Data { name, data, id } => json!({"data": [name, value(to_json(data)), id]}),
        AgentEvent::Finished(finished) => json!({"finished": without_nothing(json!({
            "tokensUsed": finished.tokens_used,
            "usage": finished.usage.map(|usage| value(to_json(&usage))),
            "model": finished.model,
            "finishReason": finished.finish_reason,
            "finish": finished.finish.map(|finish| value(to_json(&finish))),
            "metadata": finished.metadata.as_ref().map(|metadata| value(to_json(metadata))),
            "clientCalls": finished.client_calls,
        }))}),
        AgentEvent::Failed(failed) => json!({"failed": {
            "code": failed.error.code.as_str(),
            "retryable": failed.error.retryable,
            "tokensUsed": failed.tokens_used,
            "remedy": format!("{:?}", failed.remedy),
            "says": failed.error.message,
        }}),
        other => panic!("{other:?} is not shown"),
    }
}

/// Returns the fields that are not empty.
fn without_nothing(mut value: Value) -> Value {
    let is_said = |value: &Value| !(value.is_null() || value.as_array().is_some_and(Vec::is_empty));
    value.as_object_mut().unwrap().retain(|_, value| is_said(value));
    value
}
