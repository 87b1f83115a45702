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

use bobbin::agent::http::{self, Asked, Stream};
use bobbin::agent::openai;
use bobbin::agent::responses;
use bobbin::agent::sse::EVENT_BYTES_MAX;
use bobbin::agent::{AgentEvent, AgentMessage, AgentRequest, Finished};
use bobbin::protocol::json::Fields;
use bobbin::protocol::limits::{ANSWER_BYTES_MAX, BLOCKS_MAX};
use bobbin::protocol::{Block, Content, ErrorCode, Finish, Json, PermissionMode, Role, to_json};
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

// The events of one push.

#[test]
fn all_text_of_one_push_is_one_event() {
    let mut completion = openai::completion();
    let body =
        [delta(&json!({"content": "a"})), delta(&json!({"content": "b"})), delta(&json!({"content": "c"}))];
    assert_eq!(completion.push(body.concat().as_bytes()), [AgentEvent::Text("abc".into())]);
    assert_eq!(completion.push(delta(&json!({"content": "d"})).as_bytes()), [AgentEvent::Text("d".into())]);
}

#[test]
fn a_block_splits_the_text_of_one_push() {
    let body = [
        delta(&json!({"content": "a"})),
        delta(&json!({"reasoning": "hm"})),
        delta(&json!({"content": "b"})),
    ];
    let [begin, grow, thinking] = thought("hm");
    assert_eq!(
        openai::completion().push(body.concat().as_bytes()),
        [AgentEvent::Text("a".into()), begin, grow, thinking, AgentEvent::Text("b".into())]
    );
}

#[test]
fn a_thought_is_shown_while_it_grows_and_is_complete_with_the_first_text_after_it() {
    let mut completion = openai::completion();
    let [begin, _, thinking] = thought("hm");
    let grow = |text: &str| AgentEvent::Grow(text.into());
    assert_eq!(completion.push(delta(&json!({"reasoning": "h"})).as_bytes()), [begin, grow("h")]);
    assert_eq!(completion.push(delta(&json!({"reasoning": "m"})).as_bytes()), [grow("m")]);
    let events = completion.push(delta(&json!({"content": "So"})).as_bytes());
    assert_eq!(events, [thinking, AgentEvent::Text("So".into())]);
}

#[test]
fn an_empty_thought_is_not_announced() {
    let mut completion = openai::completion();
    assert_eq!(completion.push(delta(&json!({"reasoning": "\n "})).as_bytes()), [AgentEvent::Gathering]);
    let events = completion.push(delta(&json!({"reasoning": "hm"})).as_bytes());
    assert_eq!(events, [AgentEvent::Begin(Block::thinking("")), AgentEvent::Grow("\n hm".into())]);
    let mut completion = openai::completion();
    completion.push(delta(&json!({"reasoning": "\n "})).as_bytes());
    let events = completion.push(delta(&json!({"content": "So"})).as_bytes());
    assert_eq!(events, [AgentEvent::Text("So".into())]);
}

#[test]
fn thinking_in_tags_is_shown_while_it_grows_only_if_it_is_certain() {
    let said =
        |completion: &mut Stream, text: &str| completion.push(delta(&json!({"content": text})).as_bytes());
    let mut completion = openai::completion();
    let [begin, grow, thinking] = thought("hm");
    assert_eq!(said(&mut completion, "<think>hm"), [begin, grow]);
    assert_eq!(said(&mut completion, "</think>So"), [thinking, AgentEvent::Text("So".into())]);
    // The text may mention a tag.
    assert_eq!(said(&mut completion, " <think>or"), [AgentEvent::Text(" ".into())]);
    assert_eq!(said(&mut completion, " not"), [AgentEvent::Gathering]);
    let [_, _, thinking] = thought("or not");
    assert_eq!(said(&mut completion, "</think>!"), [thinking, AgentEvent::Text("!".into())]);
}

#[test]
fn the_input_of_a_call_is_shown_while_it_grows_and_the_call_goes_out_once_it_is_complete() {
    let part =
        |arguments: &str| delta(&json!({"tool_calls": [{"index": 0, "function": {"arguments": arguments}}]}));
    let first = json!({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": ""}}]});
    let mut completion = openai::completion();
    assert_eq!(completion.push(delta(&first).as_bytes()), [AgentEvent::Gathering]);
    let begin = AgentEvent::Begin(Block::tool_use("a", "f", Json::Null));
    let grow = |text: &str| AgentEvent::Grow(text.into());
    assert_eq!(completion.push(part("{\"x\":").as_bytes()), [begin, grow("{\"x\":")]);
    assert_eq!(completion.push(part("\"}").as_bytes()), [grow("\"}")]);
    let events = completion.push(part("\"}").as_bytes());
    assert_eq!(events, [AgentEvent::Block(call("a", &json!({"x": "}"})))]);
}

#[test]
fn text_after_a_call_waits_until_the_calls_input_is_complete() {
    let mut completion = openai::completion();
    let part = |index: u64, id: &str, arguments: &str| {
        let call = json!({"index": index, "id": id, "function": {"name": "f", "arguments": arguments}});
        delta(&json!({"tool_calls": [call]}))
    };
    completion.push(part(0, "a", "{\"x\":").as_bytes());
    for later in [
        part(1, "b", "{\"y\":"),
        delta(&json!({"content": "Mean"})),
        delta(&json!({"reasoning": "hm"})),
        delta(&json!({"content": "while"})),
        delta(&json!({"reasoning": "ha"})),
    ] {
        assert_eq!(completion.push(later.as_bytes()), [AgentEvent::Gathering]);
    }
    let text = |text: &str| AgentEvent::Text(text.into());
    assert_eq!(
        completion.push(part(0, "a", "1}").as_bytes()),
        [
            AgentEvent::Block(call("a", &json!({"x": 1}))),
            text("Mean"),
            AgentEvent::Block(Block::thinking("hm")),
            text("while"),
            AgentEvent::Block(Block::thinking("ha")),
            AgentEvent::Begin(Block::tool_use("b", "f", Json::Null)),
            AgentEvent::Grow("{\"y\":".into()),
        ]
    );
}

#[test]
fn a_call_that_is_cut_off_is_dropped_and_the_text_after_it_is_kept() {
    let mut completion = openai::completion();
    let call = json!({"index": 0, "id": "a", "function": {"name": "f", "arguments": "{\"x\":"}});
    completion.push(delta(&json!({"tool_calls": [call]})).as_bytes());
    completion.push(delta(&json!({"content": "Well"})).as_bytes());
    let events = completion.fail(http::timeout_failure(1));
    assert!(
        matches!(&events[..], [AgentEvent::Drop, AgentEvent::Text(text), AgentEvent::Failed(_)] if text == "Well"),
        "{events:?}"
    );
}

#[test]
fn a_call_without_arguments_is_delivered_when_the_next_one_begins() {
    let call = |index: u64, id: &str| json!({"tool_calls": [{"index": index, "id": id, "function": {"name": "f", "arguments": "{}"}}]});
    let mut completion = openai::completion();
    assert_eq!(completion.push(delta(&call(0, "a")).as_bytes()), [AgentEvent::Gathering]);
    let block = Block::tool_use("a", "f", Json::Object(Fields::new()));
    assert_eq!(completion.push(delta(&call(1, "b")).as_bytes()), [AgentEvent::Block(block)]);
}

#[test]
fn done_delivers_the_end_and_nothing_follows() {
    let mut completion = openai::completion();
    completion.push(delta(&json!({"content": "a"})).as_bytes());
    let events = completion.push(b"data: [DONE]\n\n");
    assert!(matches!(events[..], [AgentEvent::Finished(_)]));
    assert_eq!(completion.push(delta(&json!({"content": "a"})).as_bytes()), []);
    assert_eq!(completion.finish(), []);
    assert_eq!(completion.fail(http::timeout_failure(1)), []);
}

#[test]
fn a_failure_from_outside_delivers_the_gathered_text_and_counts_the_tokens() {
    let mut completion = openai::completion();
    completion.push(delta(&json!({"content": "So"})).as_bytes());
    completion.push(delta(&json!({"reasoning": "hm"})).as_bytes());
    let events = completion.fail(http::timeout_failure(30_000));
    let [AgentEvent::Block(Block::Thinking { text, .. }), AgentEvent::Failed(failed)] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!(
        (text.as_str(), failed.tokens_used, failed.error.code.clone()),
        ("hm", 1, ErrorCode::AgentTimeout.into())
    );
}

#[test]
fn an_answer_that_only_lacks_the_end_of_its_body_survives_a_failure_from_outside() {
    let mut completion = openai::completion();
    completion.push(b"data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n");
    assert!(matches!(completion.fail(http::timeout_failure(1))[..], [AgentEvent::Finished(_)]));
}

#[test]
fn an_announced_end_has_its_figures_and_comes_again_only_when_they_change() {
    let mut completion = openai::completion();
    let ending = |tokens_used: u64| {
        let finish_reason = Some("stop".into());
        let model = Some("m".into());
        let finish = Some(Finish::Stop);
        AgentEvent::Ending(Finished { tokens_used, model, finish_reason, finish, ..Finished::default() })
    };
    let call = json!({"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}});
    completion.push(delta(&json!({"tool_calls": [call]})).as_bytes());
    let finish = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    let block = Block::tool_use("c", "f", Json::Object(Fields::new()));
    assert_eq!(completion.push(finish.as_bytes()), [AgentEvent::Block(block), ending(0)]);
    for nothing in [": keep-alive\n\n", finish, &delta(&json!({"content": ""})), "data: {}\n\n"] {
        assert_eq!(completion.push(nothing.as_bytes()), [], "{nothing}");
    }
    let usage = b"data: {\"choices\":[],\"usage\":{\"total_tokens\":9}}\n\n";
    assert_eq!(completion.push(usage), [ending(9)]);
    let late = completion.push(delta(&json!({"content": "late"})).as_bytes());
    assert_eq!(late, [AgentEvent::Text("late".into()), ending(9)]);
    assert!(matches!(completion.push(b"data: [DONE]\n\n")[..], [AgentEvent::Finished(_)]));
}

#[test]
fn an_end_is_announced_even_if_a_call_is_incomplete() {
    let mut completion = openai::completion();
    let call = json!({"index": 0, "id": "c", "function": {"name": "f", "arguments": "{\"a\":"}});
    completion.push(delta(&json!({"tool_calls": [call]})).as_bytes());
    let finish = b"data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"length\"}]}\n\n";
    assert!(matches!(completion.push(finish)[..], [AgentEvent::Ending(_)]));
    assert!(matches!(completion.finish()[..], [AgentEvent::Block(_), AgentEvent::Finished(_)]));
}

// Limits.

#[test]
fn a_thought_as_large_as_an_answer_may_be_is_kept_and_one_more_byte_fails() {
    let half = "x".repeat(ANSWER_BYTES_MAX / 2);
    let push_half = |completion: &mut Stream| completion.push(delta(&json!({"reasoning": half})).as_bytes());
    let mut completion = openai::completion();
    assert!(matches!(push_half(&mut completion)[..], [AgentEvent::Begin(_), AgentEvent::Grow(_)]));
    assert!(matches!(push_half(&mut completion)[..], [AgentEvent::Grow(_)]));
    let events = completion.push(delta(&json!({"reasoning": "x"})).as_bytes());
    let [AgentEvent::Block(Block::Thinking { text, .. }), AgentEvent::Failed(failed)] = &events[..] else {
        panic!("no failure");
    };
    assert_eq!((text.len(), failed.error.retryable), (ANSWER_BYTES_MAX, false));
}

#[test]
fn text_that_waits_for_a_call_is_limited_to_the_size_of_an_answer() {
    let mut completion = openai::completion();
    let call = json!({"index": 0, "id": "a", "function": {"name": "f", "arguments": "{\"x\":"}});
    completion.push(delta(&json!({"tool_calls": [call]})).as_bytes());
    let half = "x".repeat(ANSWER_BYTES_MAX / 2);
    let mut events = Vec::new();
    while !matches!(events.last(), Some(AgentEvent::Failed(_))) {
        events = completion.push(delta(&json!({"content": half})).as_bytes());
    }
    assert!(
        matches!(&events[..], [AgentEvent::Drop, AgentEvent::Text(text), AgentEvent::Failed(_)] if text.len() <= ANSWER_BYTES_MAX),
        "{}",
        events.len()
    );
}

#[test]
fn more_tool_calls_than_blocks_in_an_answer_fail() {
    let mut completion = openai::completion();
    let mut push = |index: usize| {
        let call = json!({"index": index, "id": index.to_string(), "function": {"name": "f"}});
        completion.push(delta(&json!({"tool_calls": [call]})).as_bytes())
    };
    assert!((0..BLOCKS_MAX).all(|index| push(index) == [AgentEvent::Gathering]));
    assert!(matches!(push(BLOCKS_MAX)[..], [AgentEvent::Failed(_)]));
}

#[test]
fn an_event_over_the_limit_fails_the_answer() {
    let mut completion = openai::completion();
    let long = vec![b'x'; EVENT_BYTES_MAX];
    assert_eq!(completion.push(&long), []);
    assert!(matches!(&completion.push(b"x")[..], [AgentEvent::Failed(failed)] if !failed.error.retryable));
    assert_eq!(completion.finish(), []);
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
