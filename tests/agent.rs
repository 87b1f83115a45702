//! Agents: how a model's bytes are read, how its request is built, and the echo.
//!
//! A stream of the corpus is a pair of files in `tests/corpus`: `name.sse` has the bytes of the body and
//! `name.json` the expected events, where `says` is a part of a failure's message. A folder there has the
//! streams of another kind of endpoint. `UPDATE=1 cargo test --test agent every_stream` writes the expected
//! events.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

#[path = "agent/attempts.rs"]
mod attempts;
#[path = "agent/bodies.rs"]
mod bodies;
#[path = "agent/echo.rs"]
mod echo;
#[path = "agent/failures.rs"]
mod failures;
#[path = "agent/figures.rs"]
mod figures;
#[path = "agent/kinds.rs"]
mod kinds;
#[path = "agent/models.rs"]
mod models;
#[path = "agent/odd.rs"]
mod odd;
#[path = "agent/parts.rs"]
mod parts;
#[path = "agent/pushes.rs"]
mod pushes;
#[path = "agent/redact.rs"]
mod redact;
#[path = "agent/requests.rs"]
mod requests;
#[path = "agent/responses.rs"]
mod responses_requests;
#[path = "agent/sse.rs"]
mod sse;

use std::fs;
use std::path::{Path, PathBuf};

use bobbin::agent::http::{Asked, Stream};
use bobbin::agent::openai;
use bobbin::agent::responses;
use bobbin::agent::{AgentEvent, AgentMessage, AgentRequest};
use bobbin::protocol::{Block, Content, Json, PermissionMode, Role, to_json};
use bobbin::variables::AgentName;
use proptest::prelude::*;
use serde_json::{Value, json};

// The corpus.

#[test]
fn every_stream_of_the_corpus_gives_the_events_beside_it() {
    for case in corpus() {
        let events = case.fold(&[&case.body]);
        if std::env::var_os("UPDATE").is_some() {
            fs::write(
                &case.expected_in,
                serde_json::to_string_pretty(&shown(&events, &case.expected)).unwrap() + "\n",
            )
            .unwrap();
            continue;
        }
        assert_expected(&case, &events, "whole");
    }
}

#[test]
fn the_cuts_of_a_stream_do_not_change_the_growth_of_its_blocks() {
    let mut random = XorShift(0xb10c);
    for case in corpus() {
        let whole = case.fold(&[&case.body]);
        for _ in 0..20 {
            assert_eq!(case.fold(&random.cuts(&case.body)), whole, "{}", case.name);
        }
    }
}

#[test]
fn the_cuts_of_a_stream_do_not_change_its_events() {
    let mut random = XorShift(0x5eed);
    for case in corpus() {
        let bytes: Vec<&[u8]> = case.body.chunks(1).collect();
        assert_expected(&case, &case.fold(&bytes), "byte by byte");
        for size in [2, 3, 7, 64] {
            let pushes: Vec<&[u8]> = case.body.chunks(size).collect();
            assert_expected(&case, &case.fold(&pushes), &format!("{size} bytes at a time"));
        }
        for round in 0..100 {
            let pushes = random.cuts(&case.body);
            assert_expected(&case, &case.fold(&pushes), &format!("random cuts, round {round}"));
        }
    }
}

#[test]
fn a_stream_that_ends_anywhere_ends_once_and_with_a_beginning_of_its_text() {
    for case in corpus() {
        let text = text_of(&case.fold(&[&case.body]));
        for end in 0..case.body.len() {
            let events = case.fold(&[&case.body[..end]]);
            // The other half of the character may have been cut off.
            let begun = text_of(&events);
            let begun = begun.trim_end_matches('\u{fffd}');
            assert!(text.starts_with(begun), "{} cut at {end}: {events:?}", case.name);
        }
    }
}

/// Returns a body with some bytes replaced.
fn damaged(body: &[u8], damage: Vec<(prop::sample::Index, u8)>) -> Vec<u8> {
    let mut damaged = body.to_vec();
    for (at, byte) in damage {
        damaged[at.index(body.len())] = byte;
    }
    damaged
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic_and_end_the_answer_once(
        pushes in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..10),
    ) {
        let pushes: Vec<&[u8]> = pushes.iter().map(Vec::as_slice).collect();
        for (_, reader) in KINDS {
            fold(reader, &pushes);
        }
    }

    #[test]
    fn a_damaged_stream_never_panics_and_gives_the_same_events_however_it_is_cut(
        which in any::<prop::sample::Index>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        seed in 1..u64::MAX,
    ) {
        let cases = corpus();
        let case = which.get(&cases);
        prop_assume!(!case.body.is_empty());
        let body = damaged(&case.body, damage);
        prop_assert_eq!(case.fold(&[&body]), case.fold(&XorShift(seed).cuts(&body)));
    }
}

// Helpers.

type Reader = fn() -> Stream;

/// The folders of the corpus, with the reader of their streams.
const KINDS: [(&str, Reader); 2] =
    [("tests/corpus", openai::completion), ("tests/corpus/responses", responses::reader)];

struct Case {
    name: String,
    reader: Reader,
    body: Vec<u8>,
    expected_in: PathBuf,
    expected: Vec<Value>,
}

impl Case {
    fn fold(&self, pushes: &[&[u8]]) -> Vec<AgentEvent> {
        fold(self.reader, pushes)
    }
}

fn corpus() -> Vec<Case> {
    let mut cases = Vec::new();
    for (folder, reader) in KINDS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "sse"));
        paths.sort();
        assert!(!paths.is_empty());
        for path in paths {
            let expected_in = path.with_extension("json");
            cases.push(Case {
                name: path.file_stem().unwrap().to_string_lossy().into_owned(),
                reader,
                body: fs::read(&path).unwrap(),
                expected: serde_json::from_slice(&fs::read(&expected_in).unwrap_or_else(|_| b"[]".into()))
                    .unwrap(),
                expected_in,
            });
        }
    }
    cases
}

/// Returns the events of a body, with adjacent texts joined and without growth of blocks. Asserts that there
/// is one end, at the end, and that only one block is open at a time.
fn fold(reader: Reader, pushes: &[&[u8]]) -> Vec<AgentEvent> {
    let mut completion = reader();
    let mut folded: Vec<AgentEvent> = Vec::new();
    let mut take = |mut events: Vec<AgentEvent>| {
        events.retain(|event| !matches!(event, AgentEvent::Ending(_) | AgentEvent::Gathering));
        let texts =
            events.windows(2).filter(|pair| matches!(pair, [AgentEvent::Text(_), AgentEvent::Text(_)]));
        assert_eq!(texts.count(), 0, "one push brought two texts in a row");
        for event in events {
            match (folded.last_mut(), event) {
                (Some(AgentEvent::Text(said)), AgentEvent::Text(more))
                | (Some(AgentEvent::Grow(said)), AgentEvent::Grow(more)) => said.push_str(&more),
                (_, event) => folded.push(event),
            }
        }
    };
    for bytes in pushes {
        take(completion.push(bytes));
    }
    take(completion.finish());
    take(completion.finish());
    let ends = |event: &AgentEvent| matches!(event, AgentEvent::Finished(_) | AgentEvent::Failed(_));
    assert_eq!(folded.iter().filter(|event| ends(event)).count(), 1, "{folded:?}");
    assert!(folded.last().is_some_and(ends), "{folded:?}");
    assert_one_block_is_open_at_a_time(&folded);
    folded
}

/// A thought must equal its growth. The last piece of a call's input may be missing, because the whole call
/// follows.
fn assert_one_block_is_open_at_a_time(events: &[AgentEvent]) {
    let mut open: Option<(&Block, String)> = None;
    for event in events {
        match event {
            AgentEvent::Begin(block) => {
                assert!(open.is_none(), "a block begins within another: {events:?}");
                let is_bare = match block {
                    Block::Thinking { text, .. } => text.is_empty(),
                    Block::ToolUse { id, name, input, .. } => {
                        !id.is_empty() && !name.is_empty() && *input == Json::Null
                    }
                    _ => false,
                };
                assert!(is_bare, "{events:?}");
                open = Some((block, String::new()));
            }
            AgentEvent::Grow(more) => {
                open.as_mut().expect("a block that grows is open").1.push_str(more);
            }
            AgentEvent::Block(block) => match (open.take(), block) {
                (None, _) => {}
                (Some((Block::Thinking { .. }, grown)), Block::Thinking { text, .. }) => {
                    assert_eq!(&grown, text, "{events:?}");
                }
                (
                    Some((Block::ToolUse { id, name, .. }, grown)),
                    Block::ToolUse { id: whole_id, name: whole_name, .. },
                ) => {
                    assert_eq!((id, name), (whole_id, whole_name), "{events:?}");
                    assert!(grown.trim_start().starts_with('{'), "{events:?}");
                }
                _ => panic!("another block ends than began: {events:?}"),
            },
            AgentEvent::Drop => {
                let dropped = open.take();
                assert!(matches!(dropped, Some((Block::ToolUse { .. }, _))), "{events:?}");
            }
            _ => assert!(open.is_none(), "something else comes while a block is open: {events:?}"),
        }
    }
}

fn assert_expected(case: &Case, events: &[AgentEvent], how: &str) {
    assert_eq!(shown(events, &case.expected), case.expected, "{} {how}", case.name);
}

/// Returns the events in the form of the corpus; of a failure, only the expected part of its message.
fn shown(events: &[AgentEvent], expected: &[Value]) -> Vec<Value> {
    let is_shown =
        |event: &&AgentEvent| !matches!(event, AgentEvent::Begin(_) | AgentEvent::Grow(_) | AgentEvent::Drop);
    let mut shown: Vec<Value> = events.iter().filter(is_shown).map(show).collect();
    for (shown, expected) in shown.iter_mut().zip(expected) {
        let says = expected["failed"]["says"].as_str();
        if let (Some(failed), Some(says)) = (shown.get_mut("failed"), says)
            && failed["says"].as_str().unwrap().contains(says)
        {
            failed["says"] = says.into();
        }
    }
    shown
}

fn show(event: &AgentEvent) -> Value {
    match event {
        AgentEvent::Text(text) => json!({"text": text}),
        AgentEvent::Block(block) => {
            json!({"block": serde_json::from_str::<Value>(&to_json(block)).unwrap()})
        }
        AgentEvent::Begin(_)
        | AgentEvent::Grow(_)
        | AgentEvent::Drop
        | AgentEvent::Data { .. }
        | AgentEvent::Ending(_)
        | AgentEvent::Gathering => json!("not shown"),
        AgentEvent::Finished(finished) => json!({"finished": {
            "tokensUsed": finished.tokens_used,
            "model": finished.model,
            "finishReason": finished.finish_reason,
            "finish": finished.finish.map(bobbin::protocol::Finish::as_str),
            "usage": finished.usage.map(|usage| serde_json::from_str::<Value>(&to_json(&usage)).unwrap()),
        }}),
        AgentEvent::Failed(failed) => json!({"failed": {
            "code": failed.error.code.as_str(),
            "retryable": failed.error.retryable,
            "tokensUsed": failed.tokens_used,
            "says": failed.error.message,
        }}),
    }
}

fn text_of(events: &[AgentEvent]) -> String {
    let text = |event: &AgentEvent| {
        if let AgentEvent::Text(text) = event { Some(text.clone()) } else { None }
    };
    events.iter().filter_map(text).collect()
}

fn delta(delta: &Value) -> String {
    format!("data: {}\n\n", json!({"model": "m", "choices": [{"index": 0, "delta": delta}]}))
}

fn request(messages: Vec<AgentMessage>) -> AgentRequest {
    AgentRequest {
        request_id: "r1".into(),
        permission_mode: PermissionMode::Plan.into(),
        messages,
        ..AgentRequest::default()
    }
}

/// Returns the events of a thought: it begins, grows once, and is finished.
fn thought(text: &str) -> [AgentEvent; 3] {
    [
        AgentEvent::Begin(Block::thinking("")),
        AgentEvent::Grow(text.into()),
        AgentEvent::Block(Block::thinking(text)),
    ]
}

fn body_of(model: &str, system_prompt: Option<&str>, request: &AgentRequest, is_plain: bool) -> String {
    openai::request_body(&Asked {
        agent: AgentName::OpenAi,
        model,
        system_prompt,
        request,
        is_plain,
        declares_tools: false,
    })
}

fn user(text: &str) -> AgentMessage {
    message(Role::User, Content::Text(text.into()))
}

fn blocks(role: Role, blocks: Vec<Block>) -> AgentMessage {
    message(role, Content::Blocks(blocks))
}

fn message(role: Role, content: Content) -> AgentMessage {
    AgentMessage { id: String::new(), role, content, metadata: None }
}

fn text(text: &str) -> Block {
    Block::Text { text: text.into() }
}

fn call(id: &str, input: &Value) -> Block {
    Block::tool_use(id, "f", json_of(input))
}

fn result(id: &str, content: &Value, is_error: bool) -> Block {
    Block::tool_result(id, json_of(content), is_error)
}

fn json_of(value: &Value) -> Json {
    Json::parse(&value.to_string()).unwrap()
}

struct XorShift(u64);

impl XorShift {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn cuts<'a>(&mut self, mut bytes: &'a [u8]) -> Vec<&'a [u8]> {
        let mut pushes = Vec::new();
        while !bytes.is_empty() {
            let longest = if self.next().is_multiple_of(3) { 4 } else { 400 };
            let at = usize::try_from(self.next() % longest).unwrap().min(bytes.len());
            let (push, rest) = bytes.split_at(at);
            pushes.push(push);
            bytes = rest;
        }
        pushes
    }
}
