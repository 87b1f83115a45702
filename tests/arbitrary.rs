//! Arbitrary input: neither the frame parser nor the thread panics, and every client gets a response.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

#[allow(dead_code)]
#[path = "simulation/pieces.rs"]
mod pieces;
#[path = "support/mod.rs"]
mod support;

use bobbin::agent::{AgentEvent, Failed, Finished, Remedy};
use bobbin::dialect::native;
use bobbin::protocol::{Block, Cursor, ErrorBody, ErrorCode, FrameName, Json, Received};
use bobbin::thread::{Config, Delivered, Input, PeerId};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use pieces::{Piece, append_text, block_count, drop_open, pieces_of, put_block};
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
    fn a_cursor_has_one_spelling(text in "[0-9a-f]{1,17}(\\.[0-9a-f]{1,17}){0,2}(\\.[0-9a-f]{1,3}-[0-9a-f]{1,3}-[0-9a-f]{1,3}(-[0-9a-f]{1,3})?){0,18}") {
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
    fn any_answer_is_the_same_to_clients_that_stayed_were_cut_off_at_every_frame_or_came_at_the_end(
        reads in vec((vec(said(), 0..4), 0..40_u64), 0..12)
    ) {
        let mut host = Host::new(Config { messages_per_minute: 1_000_000, ..Config::default() }, 0);
        let (mut stayed, mut cut) = (Reader::new(&mut host, "a"), Reader::new(&mut host, "b"));
        let message = json!({ "type": "message", "requestId": "r", "content": "x" });
        host.receive(&stayed.peer, &message.to_string());
        stayed.read_all(&mut host);
        cut.read_one(&mut host);
        for (events, ms) in reads {
            host.agent(1, events);
            host.now += ms;
            host.pump(Input::Deadline);
            stayed.read_all(&mut host);
            cut.read_one(&mut host);
        }
        host.agent(1, vec![AgentEvent::Finished(Finished::default())]);
        stayed.read_all(&mut host);
        while cut.read_one(&mut host) {}
        prop_assert!(stayed.is_over && cut.is_over);
        prop_assert_eq!(&stayed.answer, &cut.answer);
        let mut late = Reader::new(&mut host, "c");
        late.read_all(&mut host);
        prop_assert_eq!(&stayed.answer, &late.answer);
    }

    #[test]
    fn any_inputs_leave_the_thread_consistent(acts in vec(act(), 0..60), concurrent_turns in 1..4_usize) {
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

/// A client that keeps only its last cursor and one answer so far.
struct Reader {
    name: &'static str,
    peer: PeerId,
    connects: usize,
    cursor: Option<String>,
    answer: Vec<Piece>,
    is_over: bool,
}

impl Reader {
    fn new(host: &mut Host, name: &'static str) -> Self {
        let peer: PeerId = name.into();
        host.connect(&peer, None);
        Reader { name, peer, connects: 0, cursor: None, answer: Vec::new(), is_over: false }
    }

    fn read_all(&mut self, host: &mut Host) {
        while let Some(frame) = self.next(host) {
            self.fold(&frame);
        }
    }

    /// Reads the next frame that brings something, then reconnects. Returns whether there was one.
    fn read_one(&mut self, host: &mut Host) -> bool {
        let next = std::iter::from_fn(|| self.next(host))
            .inspect(|frame| {
                assert!(
                    frame["type"] != "connected" || self.cursor.is_none() || frame["resumed"] == true,
                    "{:?}",
                    self.cursor
                );
            })
            .find(|frame| frame["type"] != "connected");
        if let Some(frame) = &next {
            self.fold(frame);
            host.disconnect(&self.peer);
            self.connects += 1;
            self.peer = format!("{}{}", self.name, self.connects).into();
            host.connect(&self.peer, self.cursor.clone());
        }
        next.is_some()
    }

    fn next(&self, host: &mut Host) -> Option<Value> {
        let link = host.links.get_mut(&self.peer).expect("its socket");
        Some(link.down.pop_front()?.json().clone())
    }

    fn fold(&mut self, frame: &Value) {
        if frame["type"] == "connected" {
            assert!(self.cursor.is_none() || frame["resumed"] == true, "{:?} is not known", self.cursor);
            return;
        }
        if let Some(cursor) = frame["cursor"].as_str() {
            self.cursor = Some(cursor.to_owned());
        }
        let index = || usize::try_from(frame["index"].as_u64().unwrap()).unwrap();
        match frame["type"].as_str().unwrap() {
            "token" => {
                drop_open(&mut self.answer);
                append_text(&mut self.answer, frame["token"].as_str().unwrap());
            }
            "block_start" => {
                drop_open(&mut self.answer);
                assert_eq!(block_count(&self.answer), index());
                self.answer.push(Piece::Open(frame["block"].clone(), String::new()));
            }
            "block_delta" => {
                assert_eq!(block_count(&self.answer), index());
                let Some(Piece::Open(_, grown)) = self.answer.last_mut() else { panic!("no block is open") };
                grown.push_str(frame["delta"].as_str().unwrap());
            }
            "block" => put_block(&mut self.answer, index(), frame["block"].clone()).unwrap(),
            "final" | "error" => {
                drop_open(&mut self.answer);
                let whole = pieces_of(&frame["response"]["content"], &frame["response"]["blocks"]);
                assert_eq!(self.answer, whole);
                self.is_over = true;
            }
            "snapshot" => {
                let messages = frame["messages"].as_array().unwrap();
                let answer = messages.iter().find(|message| message["role"] == "assistant");
                let content = answer.map_or(&Value::Null, |message| &message["content"]);
                self.answer = pieces_of(content, content);
                self.is_over = answer.is_some();
            }
            _ => {}
        }
    }
}

fn said() -> impl Strategy<Value = AgentEvent> {
    let text = || any::<String>();
    let data = |id: Option<String>, value: u8| Block::Data {
        name: "d".into(),
        data: Json::Number(value.to_string()),
        id,
    };
    let call = |input| Block::tool_use("c", "f", input);
    prop_oneof![
        3 => text().prop_map(AgentEvent::Text),
        2 => Just(AgentEvent::Begin(Block::thinking(""))),
        2 => Just(AgentEvent::Begin(Block::tool_use("c", "f", Json::Null))),
        4 => text().prop_map(AgentEvent::Grow),
        2 => text().prop_map(|text| AgentEvent::Block(Block::thinking(text))),
        2 => text().prop_map(move |text| AgentEvent::Block(call(Json::String(text)))),
        1 => text().prop_map(|text| AgentEvent::Block(Block::tool_result("c", Json::String(text), false))),
        2 => (option::of("[ab]"), any::<u8>()).prop_map(move |(id, value)| AgentEvent::Block(data(id, value))),
        1 => Just(AgentEvent::Drop),
        1 => Just(AgentEvent::Gathering),
        1 => Just(AgentEvent::Data { name: "t".into(), data: Json::Null, id: None }),
    ]
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
        8 => said(),
        1 => any::<u64>().prop_map(|tokens_used| AgentEvent::Finished(Finished { tokens_used, ..Finished::default() })),
        1 => Just(AgentEvent::Ending(Finished::default())),
        1 => Just(AgentEvent::Gathering),
        1 => Just(AgentEvent::Failed(Failed { error, tokens_used: u64::MAX, remedy: Remedy::None })),
    ]
}

/// JSON that resembles a frame.
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
