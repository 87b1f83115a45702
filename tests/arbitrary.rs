//! Whatever is thrown at the frame parser and the thread, neither panics, and every client is answered.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

#[path = "support/mod.rs"]
mod support;

use bobbin::agent::{AgentEvent, Failed, Finished, Remedy};
use bobbin::dialect::native;
use bobbin::protocol::{Block, Cursor, ErrorBody, ErrorCode, FrameName, Received};
use bobbin::thread::{Config, Delivered, Input, PeerId};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use support::Host;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_a_frame_or_a_refusal_in_words(text in any::<String>()) {
        check_parsed(&text);
    }

    #[test]
    fn any_bytes_are_a_frame_or_a_refusal_in_words(bytes in vec(any::<u8>(), 0..200)) {
        check_parsed(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn any_json_is_a_frame_or_a_refusal_in_words(frame in frame()) {
        check_parsed(&frame.to_string());
    }

    #[test]
    fn a_cursor_has_one_spelling(text in "[0-9a-f]{1,17}(\\.[0-9a-f]{1,17}){0,2}(\\.[0-9a-f]{1,3}-[0-9a-f]{1,3}-[0-9a-f]{1,3}){0,18}") {
        if let Some(cursor) = Cursor::parse(&text) {
            prop_assert_eq!(cursor.to_string(), text);
        }
    }

    #[test]
    fn a_message_that_is_sent_again_is_known_whatever_it_holds(input in json_value()) {
        let frame = json!({ "type": "message", "requestId": "r", "content": [
            { "type": "tool_use", "id": "t", "name": "n", "input": input }
        ] });
        let mut host = Host::new(Config::default(), 0);
        let peer: PeerId = "p".into();
        host.connect(&peer, None);
        for _ in 0..2 {
            host.receive(&peer, &frame.to_string());
        }
        let errors = host.links[&peer].down.iter().filter(|frame| frame.json()["type"] == "error").count();
        prop_assert_eq!((errors, host.store.records.len()), (0, 1));
    }

    #[test]
    fn any_inputs_leave_the_thread_whole(acts in vec(act(), 0..60), concurrent_turns in 1..4_usize) {
        let mut host = Host::new(Config { concurrent_turns, ..Config::default() }, 0);
        for (nth, act) in acts.into_iter().enumerate() {
            host.now = host.now.saturating_add(5);
            let peer: PeerId = format!("p{}", nth % 5).into();
            match act {
                Act::Connect(cursor) => drop(host.connect(&peer, cursor)),
                Act::Leave => host.disconnect(&peer),
                Act::Frame(frame) => host.receive(&peer, &frame),
                Act::Agent(turn, events) => {
                    host.pump(Input::Agent { turn, events, tokens_used: u64::MAX });
                }
                Act::Wait(ms) => {
                    host.now = host.now.saturating_add(ms);
                    host.pump(Input::Deadline);
                    host.pump(Input::Alarm);
                }
                Act::Deliver => {
                    if let Some((delivery, _)) = host.deliveries.pop_front() {
                        host.pump(Input::Delivered(Delivered::from(&delivery)));
                    }
                    host.pump(Input::DeliveryFailed);
                }
                Act::Crash => drop(host.crash(nth % 2 == 0)),
                Act::Delete => drop(host.pump(Input::Delete)),
            }
        }
        for link in host.links.values() {
            let first = link.down.front().map(|frame| frame.json()["type"].clone());
            prop_assert!(first.is_none_or(|first| first == "connected"));
        }
    }
}

#[derive(Clone, Debug)]
enum Act {
    Connect(Option<String>),
    Leave,
    Frame(String),
    Agent(u64, Vec<AgentEvent>),
    Wait(u64),
    Deliver,
    Crash,
    Delete,
}

fn act() -> impl Strategy<Value = Act> {
    let cursor = prop_oneof!["[0-9a-f.-]{0,20}", any::<String>(), Just("0".to_owned())];
    prop_oneof![
        3 => option::of(cursor).prop_map(Act::Connect),
        1 => Just(Act::Leave),
        6 => frame().prop_map(|frame| Act::Frame(frame.to_string())),
        1 => any::<String>().prop_map(Act::Frame),
        5 => (0..12_u64, vec(agent_event(), 0..4)).prop_map(|(turn, events)| Act::Agent(turn, events)),
        2 => prop_oneof![0..30_u64, 0..100_000_u64, Just(u64::MAX)].prop_map(Act::Wait),
        1 => Just(Act::Deliver),
        1 => Just(Act::Crash),
        1 => Just(Act::Delete),
    ]
}

fn agent_event() -> impl Strategy<Value = AgentEvent> {
    let error = ErrorBody::fatal(ErrorCode::AgentError, "no");
    prop_oneof![
        4 => any::<String>().prop_map(AgentEvent::Text),
        2 => any::<String>().prop_map(|text| AgentEvent::Block(Block::thinking(text))),
        1 => any::<u64>().prop_map(|tokens_used| AgentEvent::Finished(Finished { tokens_used, ..Finished::default() })),
        1 => Just(AgentEvent::Ending(Finished::default())),
        1 => Just(AgentEvent::Gathering),
        1 => Just(AgentEvent::Failed(Failed { error, tokens_used: u64::MAX, remedy: Remedy::None })),
    ]
}

/// JSON that looks like a frame, more or less.
fn frame() -> impl Strategy<Value = Value> {
    let kind = prop_oneof![
        4 => Just("message"), 2 => Just("cancel"), 2 => Just("session_sync"), 2 => Just("session_update"),
        1 => Just("ping"), 1 => Just("nonsense"),
    ];
    let content = prop_oneof![
        4 => any::<String>().prop_map(Value::from),
        2 => vec(json_value(), 0..3).prop_map(Value::from),
        1 => json_value(),
    ];
    let request_id = prop_oneof![4 => "r[0-9]".prop_map(Value::from), 1 => json_value()];
    let fields = (
        option::weighted(0.9, kind.prop_map(Value::from)),
        option::weighted(0.8, request_id),
        option::weighted(0.8, content),
        option::weighted(0.2, json_value()),
        option::weighted(0.2, json_value()),
        option::weighted(0.2, json_value()),
    );
    fields.prop_map(|(kind, request_id, content, title, cursor, thread_id)| {
        let fields = [
            ("type", kind),
            ("requestId", request_id),
            ("content", content),
            ("title", title),
            ("cursor", cursor),
            ("threadId", thread_id),
        ];
        let given = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Value::Object(given.collect::<Map<_, _>>())
    })
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 20, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec(("[a-z]{0,6}", inner), 0..4).prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn check_parsed(text: &str) {
    let Received { frame, name } = native::parse(text);
    if let Err(error) = frame {
        assert!(!error.message.is_empty() && !error.retryable);
    }
    let FrameName { kind, request_id, tool_use_id: _, start } = name;
    assert!(kind.chars().count() <= 256 && request_id.as_ref().is_none_or(|id| id.chars().count() <= 256));
    let start_max = text.chars().take(64).collect::<String>();
    assert!(start.as_ref().is_none_or(|start| *start == start_max));
    assert!(request_id.is_some() || start.is_some(), "nothing says which frame is meant");
}
