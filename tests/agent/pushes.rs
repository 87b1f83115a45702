//! The events that each push of a stream brings, and the limits of an answer.

use bobbin::agent::http::{self, Stream};
use bobbin::agent::openai;
use bobbin::agent::sse::EVENT_BYTES_MAX;
use bobbin::agent::{AgentEvent, Finished};
use bobbin::protocol::json::Fields;
use bobbin::protocol::limits::{ANSWER_BYTES_MAX, BLOCKS_MAX};
use bobbin::protocol::{Block, ErrorCode, Finish, Json};
use serde_json::json;

use super::{call, delta, thought};

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
