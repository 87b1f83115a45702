//! Clients of other protocols on a thread, next to clients of the native dialect.

use bobbin::agent::AgentEvent;
use bobbin::dialect::Dialect;
use bobbin::protocol::{Block, CloseCode, Content, Identity, Post, Read, StockRequest, TurnWanted};
use bobbin::thread::store::Records;
use bobbin::thread::{Config, Input, PeerId};
use serde_json::{Value, json};

use crate::harness::{Harness, finished, said, thread, thread_with};
use crate::support::{Random, Run, Seen, Sudden, UiSocket, UiStream};

pub fn socket(h: &mut Harness, name: &str) -> PeerId {
    let peer: PeerId = name.into();
    assert!(h.host.open(Dialect::AiSdk, &peer, Identity::anyone(), false));
    peer
}

pub fn send(h: &mut Harness, peer: &PeerId, request: &str, id: &str, text: &str) {
    let message = json!({ "id": id, "role": "user", "parts": [{ "type": "text", "text": text }] });
    let frame = json!({ "type": "send", "requestId": request, "id": "s1", "trigger": "submit-message", "messages": [message] });
    h.host.receive(peer, &frame.to_string());
}

pub fn resume(h: &mut Harness, peer: &PeerId, request: &str) {
    h.host.receive(peer, &json!({ "type": "resume", "requestId": request, "id": "s1" }).to_string());
}

fn abort(h: &mut Harness, peer: &PeerId, request: &str) {
    h.host.receive(peer, &json!({ "type": "abort", "requestId": request }).to_string());
}

pub fn told(h: &Harness, peer: &PeerId) -> UiSocket {
    let mut read = UiSocket::default();
    for text in &h.host.links[peer].told {
        read.read(text).unwrap();
    }
    read
}

pub fn run(h: &Harness, peer: &PeerId) -> Run {
    let mut read = Run::default();
    for text in &h.host.links[peer].told {
        read.event(text).unwrap();
    }
    read
}

pub fn wants(wants: TurnWanted) -> StockRequest {
    StockRequest { run: None, answers: None, wants }
}

pub fn follow(h: &mut Harness, dialect: Dialect, name: &str, request: StockRequest) -> PeerId {
    let peer: PeerId = name.into();
    h.host.follow(dialect, &peer, Identity::anyone(), request).unwrap().unwrap();
    peer
}

#[test]
fn peers_of_three_dialects_are_sent_the_same_answer() {
    let mut h = thread();
    h.greet("ann");
    let ui = socket(&mut h, "ui");
    send(&mut h, &ui, "R1", "m1", "hello");
    let agent = follow(&mut h, Dialect::AgUiEvents, "ag", wants(TurnWanted::Turn("u-m1".into(), None)));
    h.text("u-m1", "one ");
    let late = follow(&mut h, Dialect::AiSdkEvents, "late", wants(TurnWanted::Last));
    h.agent("u-m1", vec![said("two"), finished()]);
    let streams = told(&h, &ui);
    assert_eq!((streams.0["R1"].text.as_str(), streams.0["R1"].ended.as_deref()), ("one two", Some("end")));
    let mut events = UiStream::default();
    h.host.links[&late].told.iter().for_each(|text| events.event(text).unwrap());
    assert_eq!(
        (events.text.as_str(), events.message_id.clone()),
        ("one two", streams.0["R1"].message_id.clone())
    );
    let run = run(&h, &agent);
    assert_eq!((run.text.as_str(), run.ended.as_deref()), ("one two", Some("RUN_FINISHED")));
    let frames = h.frames("ann");
    let end = frames.iter().find(|frame| frame["type"] == "final").unwrap();
    assert_eq!(end["response"]["content"], "one two");
    assert_eq!(end["messageId"].as_str(), streams.0["R1"].message_id.as_deref());
}

#[test]
fn a_token_is_encoded_once_for_each_dialect_whatever_the_number_of_sockets() {
    let mut h = thread();
    let sockets: Vec<PeerId> = (0..5).map(|nth| socket(&mut h, &format!("ui{nth}"))).collect();
    send(&mut h, &sockets[0], "R", "m1", "hello");
    for peer in &sockets[1..] {
        resume(&mut h, peer, "R");
    }
    h.text("u-m1", "begun");
    h.seen();
    h.text("u-m1", " more");
    h.wait(50);
    let deltas: Vec<String> = h
        .seen()
        .into_iter()
        .filter_map(|seen| if let Seen::Told { text, .. } = seen { Some(text) } else { None })
        .collect();
    assert_eq!(deltas.len(), 5);
    let chunk = |text: &String| text.split_once("\"chunk\":").map(|(_, chunk)| chunk.to_owned());
    assert!(deltas.iter().all(|text| chunk(text) == chunk(&deltas[0])));
}

#[test]
fn a_request_that_waits_behind_another_outlives_the_object_and_one_that_streams_does_not() {
    let mut h = thread();
    let (streams, waits) = (socket(&mut h, "streams"), socket(&mut h, "waits"));
    send(&mut h, &streams, "R1", "m1", "one");
    send(&mut h, &waits, "R2", "m2", "two");
    h.text("u-m1", "begun");
    h.host.crash(true);
    h.host.pump(bobbin::thread::Input::Deadline);
    assert_eq!(h.host.links[&streams].close, Some(CloseCode::InternalError));
    assert!(h.host.links[&waits].is_open);
    h.agent("u-m2", vec![said("answered"), finished()]);
    let read = told(&h, &waits);
    assert_eq!((read.0["R2"].text.as_str(), read.0["R2"].ended.as_deref()), ("answered", Some("end")));
}

#[test]
fn a_socket_that_was_sent_much_is_closed_between_two_requests_and_never_in_one() {
    let limit = 40_000;
    let config = Config { socket_owed_bytes_max: limit, owed_bytes_max: 1_000_000, ..Config::default() };
    let mut h = thread_with(config);
    let ui = socket(&mut h, "ui");
    send(&mut h, &ui, "R1", "m1", "much");
    for _ in 0..20 {
        h.text("u-m1", &"x".repeat(3_000));
        h.wait(50);
    }
    assert!(h.host.links[&ui].is_open);
    h.finish("u-m1");
    assert_eq!(h.host.links[&ui].close, Some(CloseCode::TooMany));
    let read = told(&h, &ui);
    assert_eq!((read.0["R1"].text.len(), read.0["R1"].ended.as_deref()), (60_000, Some("end")));
}

#[test]
fn no_more_than_32_requests_of_a_socket_wait() {
    let mut h = thread();
    let ui = socket(&mut h, "ui");
    send(&mut h, &ui, "first", "m", "hello");
    for nth in 0..40 {
        resume(&mut h, &ui, &format!("R{nth}"));
    }
    let read = told(&h, &ui);
    let refused = read.0.values().filter(|stream| stream.ended.as_deref() == Some("error")).count();
    assert_eq!(refused, 40 - 31);
    abort(&mut h, &ui, "R0");
    assert!(h.host.thread().unwrap().report().running.is_empty(), "an abort ends the turn");
}

#[test]
fn the_same_message_again_is_shown_and_not_answered_again() {
    let mut h = thread();
    let ui = socket(&mut h, "ui");
    send(&mut h, &ui, "R1", "m1", "hello");
    h.agent("u-m1", vec![said("answer"), finished()]);
    h.started();
    send(&mut h, &ui, "R2", "m1", "hello");
    send(&mut h, &ui, "R3", "m1", "another");
    assert!(h.started().is_empty());
    let read = told(&h, &ui);
    assert_eq!((read.0["R2"].text.as_str(), read.0["R2"].ended.as_deref()), ("answer", Some("end")));
    assert_eq!(read.0["R3"].ended.as_deref(), Some("error"));
    assert_eq!(read.0["R1"].message_id, read.0["R2"].message_id);
}

#[test]
fn an_id_that_does_not_fit_is_told_from_others_by_its_digest() {
    let mut h = thread();
    let ui = socket(&mut h, "ui");
    send(&mut h, &ui, "R1", "größe", "hello");
    assert_eq!(h.host.thread().unwrap().report().running, [bobbin::protocol::sha256("größe".as_bytes())]);
}

#[test]
fn however_peers_of_three_dialects_come_and_go_each_ends_with_the_answer() {
    for seed in 0..300 {
        walk(seed);
    }
}

/// Runs turns one after another, with readers that come, are cut off and come again.
fn walk(seed: u64) {
    let mut random = Random::new(seed);
    let mut h = thread();
    h.greet("ann");
    let mut ui = socket(&mut h, "ui0");
    for turn in 0..3 {
        let id = if random.chance(50) {
            let id = format!("m{turn}");
            send(&mut h, &ui, &format!("S{turn}"), &id, "question");
            format!("u-{id}")
        } else {
            h.say("ann", &format!("r{turn}"), "question");
            format!("r{turn}")
        };
        let mut readers: Vec<(PeerId, Run)> = Vec::new();
        for step in 0..random.below(14) {
            let name = format!("p{turn}-{step}");
            match random.below(8) {
                0 => resume(&mut h, &ui, &name),
                1 => drop(follow(&mut h, Dialect::AiSdkEvents, &name, wants(TurnWanted::Last))),
                2 => {
                    let peer =
                        follow(&mut h, Dialect::AgUiEvents, &name, wants(TurnWanted::Turn(id.clone(), None)));
                    readers.push((peer, Run::default()));
                }
                3 if !readers.is_empty() => {
                    // The reader is cut off somewhere, and asks again from there.
                    let (peer, mut read) = readers.swap_remove(random.below(readers.len()));
                    let all = h.host.links[&peer].told.clone();
                    let had = random.below(all.len() + 1);
                    all.iter()
                        .take(had)
                        .for_each(|text| read.event(text).unwrap_or_else(|why| panic!("{seed}: {why}")));
                    h.host.disconnect(&peer);
                    let from =
                        read.last.as_deref().map(|at| bobbin::dialect::ag_ui::place::read(at).unwrap());
                    let peer =
                        follow(&mut h, Dialect::AgUiEvents, &name, wants(TurnWanted::Turn(id.clone(), from)));
                    readers.push((peer, read));
                }
                4 => {
                    check(seed, &h, &ui);
                    h.host.disconnect(&ui);
                    ui = socket(&mut h, &format!("ui{turn}-{step}"));
                }
                5 => {
                    let thought = bobbin::protocol::Block::thinking("let me think");
                    let mut events =
                        vec![bobbin::agent::AgentEvent::Begin(bobbin::protocol::Block::thinking(""))];
                    events.push(bobbin::agent::AgentEvent::Grow("let me ".into()));
                    if random.chance(70) {
                        events.push(bobbin::agent::AgentEvent::Block(thought));
                    }
                    h.agent(&id, events);
                }
                6 => {
                    let call = format!("c{turn}-{step}");
                    let call = bobbin::protocol::Block::tool_use(call, "f", bobbin::protocol::Json::Null);
                    h.agent(&id, vec![bobbin::agent::AgentEvent::Block(call)]);
                }
                _ => h.text(&id, &format!("w{step} ")),
            }
            h.wait(random.between(0, 40));
        }
        h.agent(&id, vec![said("end"), finished()]);
        let end = h.frames("ann").into_iter().rfind(|frame| frame["type"] == "final").unwrap();
        let answer = end["response"]["content"].as_str().unwrap().to_owned();
        for (peer, mut read) in readers {
            h.host.links[&peer]
                .told
                .iter()
                .for_each(|text| read.event(text).unwrap_or_else(|why| panic!("{seed}: {why}")));
            assert_eq!(
                (read.text.as_str(), read.ended.as_deref()),
                (answer.as_str(), Some("RUN_FINISHED")),
                "{seed}"
            );
        }
        for (request, stream) in check(seed, &h, &ui).0 {
            if request == format!("S{turn}") || request.starts_with(&format!("p{turn}-")) {
                assert_eq!(
                    (stream.text.as_str(), stream.ended.as_deref()),
                    (answer.as_str(), Some("end")),
                    "{seed} {request}"
                );
            }
        }
    }
}

fn check(seed: u64, h: &Harness, ui: &PeerId) -> UiSocket {
    let mut read = UiSocket::default();
    for text in &h.host.links[ui].told {
        read.read(text).unwrap_or_else(|why| panic!("{seed}: {why}"));
    }
    read
}

fn post(request_id: &str, text: &str, is_answer: bool) -> Post {
    Post { request_id: request_id.into(), content: Content::Text(text.into()), is_answer, ..Post::default() }
}

fn run_input(run: &str, id: &str) -> String {
    let message = json!({ "id": id, "role": "user", "content": "hello" });
    json!({ "threadId": "s1", "runId": run, "messages": [message] }).to_string()
}

pub fn ask_run(h: &mut Harness, name: &str, run: &str, id: &str) -> PeerId {
    let (_, asked) = bobbin::dialect::ag_ui::input::body(&run_input(run, id)).unwrap();
    follow(h, Dialect::AgUiEvents, name, asked.request)
}

pub fn call(id: &str) -> AgentEvent {
    let call = json!({ "type": "tool_use", "id": id, "name": "f", "input": {}, "output": "client" });
    AgentEvent::Block(Block::parse(&call.to_string()).unwrap())
}

/// The results that a client gives to calls of an answer.
pub fn give(h: &mut Harness, peer: &PeerId, request: &str, answer_id: &str, calls: &[&str]) {
    let part = |id: &&str| json!({ "type": "tool-f", "toolCallId": id, "state": "output-available", "input": {}, "output": 1 });
    let parts: Vec<Value> = calls.iter().map(part).collect();
    let message = json!({ "id": answer_id, "role": "assistant", "parts": parts });
    let frame = json!({ "type": "send", "requestId": request, "id": "s1", "trigger": "submit-message",
                        "messageId": answer_id, "messages": [message] });
    h.host.receive(peer, &frame.to_string());
}

#[test]
fn a_run_that_answers_a_message_again_is_known_by_its_name() {
    let mut h = thread();
    ask_run(&mut h, "first", "run1", "m1");
    h.agent("run1", vec![said("one"), finished()]);
    ask_run(&mut h, "again", "run2", "m1");
    h.agent("run2", vec![said("two"), finished()]);
    h.started();
    let repeated = ask_run(&mut h, "repeated", "run2", "m1");
    assert!(h.started().is_empty());
    assert_eq!(run(&h, &repeated).text, "two");
}

#[test]
fn an_answer_that_nobody_asked_for_is_shown_like_any_other() {
    let mut h = thread();
    h.post("app", post("r1", "by the way", true), false).unwrap().unwrap();
    let ui = socket(&mut h, "ui");
    resume(&mut h, &ui, "R");
    let read = told(&h, &ui);
    let stream = &read.0["R"];
    assert_eq!((stream.text.as_str(), stream.finish.as_deref()), ("by the way", Some("stop")));
    let agent = follow(&mut h, Dialect::AgUiEvents, "ag", wants(TurnWanted::Turn("r1".into(), None)));
    assert_eq!(run(&h, &agent).text, "by the way");
}

#[test]
fn text_after_answered_calls_begins_anew_for_the_client_that_answered() {
    let mut h = thread();
    let ui = socket(&mut h, "ui");
    send(&mut h, &ui, "R1", "m1", "hello");
    h.agent("u-m1", vec![call("c1"), said("before "), finished()]);
    let answer_id = told(&h, &ui).0["R1"].message_id.clone().unwrap();
    give(&mut h, &ui, "R2", &answer_id, &["c1"]);
    h.agent("u-m1", vec![said("after"), finished()]);
    let frames = &h.host.links[&ui].told;
    let frames = frames.iter().filter(|frame| frame.contains(r#""requestId":"R2""#));
    let mut rest = UiStream::going_on(vec![json!({ "call": "c1" })]);
    frames.for_each(|frame| rest.frame(&serde_json::from_str(frame).unwrap()).unwrap());
    assert_eq!((rest.text.as_str(), rest.finish.as_deref()), ("after", Some("stop")));
}

#[test]
fn a_client_that_answers_calls_that_others_have_answered_is_sent_all_that_came_since() {
    let mut h = thread();
    let (one, late) = (socket(&mut h, "one"), socket(&mut h, "late"));
    send(&mut h, &one, "R1", "m1", "hello");
    h.agent("u-m1", vec![said("first"), call("c1"), finished()]);
    let answer_id = told(&h, &one).0["R1"].message_id.clone().unwrap();
    give(&mut h, &one, "R2", &answer_id, &["c1"]);
    h.agent("u-m1", vec![said("second"), call("c2"), finished()]);
    give(&mut h, &late, "R3", &answer_id, &["c1"]);
    let mut rest = UiStream::going_on(vec![json!({ "call": "c1" })]);
    for frame in &h.host.links[&late].told {
        rest.frame(&serde_json::from_str(frame).unwrap()).unwrap();
    }
    assert_eq!((rest.text.as_str(), rest.finish.as_deref()), ("second", Some("tool-calls")));
    assert!(rest.parts.iter().any(|part| part["call"] == "c2"));
}

#[test]
fn calls_of_an_answer_to_results_are_told_beside_those_of_the_answer_before() {
    let mut h = thread();
    let ui = socket(&mut h, "ui");
    send(&mut h, &ui, "R1", "m1", "hello");
    let unmarked = AgentEvent::Block(Block::tool_use("c1", "f", bobbin::protocol::Json::Null));
    h.agent("u-m1", vec![unmarked, finished()]);
    let answer_id = told(&h, &ui).0["R1"].message_id.clone().unwrap();
    give(&mut h, &ui, "R2", &answer_id, &["c1"]);
    let request_id = format!("t-{answer_id}");
    h.agent(&request_id, vec![call("c2"), finished()]);
    resume(&mut h, &ui, "R3");
    let resumed = &h.host.links[&ui].told;
    let mut whole = UiStream::default();
    for frame in resumed.iter().filter(|frame| frame.contains(r#""requestId":"R3""#)) {
        whole.frame(&serde_json::from_str(frame).unwrap()).unwrap();
    }
    let calls: Vec<&str> = whole.parts.iter().filter_map(|part| part["call"].as_str()).collect();
    assert_eq!(calls, ["c1", "c2"]);
}

#[test]
fn a_call_that_waits_for_a_client_stands_in_the_history_without_an_output() {
    let mut h = thread();
    let ui = socket(&mut h, "ui");
    send(&mut h, &ui, "R1", "m1", "hello");
    h.agent("u-m1", vec![call("c1"), finished()]);
    let thread = h.host.thread().unwrap();
    let page = h.host.store.before(thread.path(), u64::MAX >> 1, 10, 10_000).unwrap();
    let shown = bobbin::dialect::ai_sdk::message::history(&thread.with_waiting(&page.records));
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let part = &shown[1]["parts"][1];
    assert_eq!((&part["toolCallId"], &part["state"]), (&json!("c1"), &json!("input-available")));
    assert_eq!(part.get("output"), None);
}

#[test]
fn a_socket_does_not_owe_the_bytes_that_others_are_sent() {
    let config = Config { socket_owed_bytes_max: 40_000, owed_bytes_max: 1_000_000, ..Config::default() };
    let mut h = thread_with(config);
    let ui = socket(&mut h, "ui");
    let idle = socket(&mut h, "idle");
    send(&mut h, &ui, "R1", "m1", "much");
    for _ in 0..20 {
        h.text("u-m1", &"x".repeat(3_000));
        h.wait(50);
    }
    h.finish("u-m1");
    send(&mut h, &idle, "R2", "m2", "little");
    h.agent("u-m2", vec![said("one"), finished()]);
    assert!(h.host.links[&idle].is_open);
}

#[test]
fn an_expired_client_is_not_told_whether_a_turn_exists() {
    let mut h = thread();
    h.post("app", post("r1", "hi", false), false).unwrap().unwrap();
    let ui: PeerId = "ui".into();
    let identity = Identity { expires_at: Some(h.host.now + 100), ..Identity::anyone() };
    assert!(h.host.open(Dialect::AiSdk, &ui, identity, false));
    h.host.now += 200;
    resume(&mut h, &ui, "R");
    assert!(h.host.links[&ui].told.iter().all(|frame| frame.contains(r#""type":"error""#)));
}

#[test]
fn a_run_that_holds_more_than_a_crash_has_left_is_told_its_end() {
    let mut h = thread();
    let first = ask_run(&mut h, "first", "run1", "m1");
    h.agent("run1", vec![AgentEvent::Block(Block::thinking("hm"))]);
    let places: Vec<&str> = h.host.links[&first]
        .told
        .iter()
        .filter_map(|event| event.strip_prefix("id: ")?.split('\n').next())
        .collect();
    // The client has all of the thought, except for the event that says that it is over.
    let place = bobbin::dialect::ag_ui::place::read(places[places.len() - 2]).unwrap();
    h.host.crash(false);
    h.host.pump(Input::Alarm);
    let again =
        follow(&mut h, Dialect::AgUiEvents, "again", wants(TurnWanted::Turn("run1".into(), Some(place))));
    for event in &h.host.links[&again].told {
        let mut rest = Run::default();
        let _ = rest.event(event);
        assert_eq!(rest.ended.as_deref(), Some("RUN_ERROR"), "{event}");
    }
    assert_eq!(h.host.links[&again].told.len(), 1);
}

#[test]
fn a_request_that_is_closed_is_told_so_once() {
    let config = Config { messages_per_minute: 0, frames_per_minute_min: 1, ..Config::default() };
    let mut h = thread_with(config);
    let ui = socket(&mut h, "ui");
    send(&mut h, &ui, "R1", "m1", "one");
    send(&mut h, &ui, "R2", "m2", "two");
    let of_second = h.host.links[&ui].told.iter().filter(|frame| frame.contains(r#""requestId":"R2""#));
    assert_eq!(of_second.count(), 1);
}

#[test]
fn a_request_that_died_with_the_object_before_it_was_looked_at_is_closed_with_its_socket() {
    let mut has_any = false;
    for after in 0..12 {
        let mut h = thread();
        let ag: PeerId = "ag".into();
        assert!(h.host.open(Dialect::AgUi, &ag, Identity::anyone(), false));
        h.host.faults.sudden = Some((after, Sudden::Crash { sockets_survive: true }));
        h.host.receive(&ag, &run_input("run1", "m1"));
        h.host.faults.sudden = None;
        let is_known = h.host.links.contains_key(&bobbin::thread::stock::request_peer("ag", "run1"));
        h.host.pump(Input::Deadline);
        let is_closed = h.host.links[&ag].close == Some(CloseCode::InternalError);
        let is_begun = h.host.thread().unwrap().session().is_some() && !is_known;
        assert!(!is_known || is_closed || is_begun || h.host.agents.len() == 1, "{after}");
        has_any |= is_closed;
    }
    assert!(has_any);
}

#[test]
fn a_request_that_panics_outside_of_the_thread_is_answered_or_its_socket_closed() {
    let resume = json!({ "type": "resume", "requestId": "R2", "id": "s1" });
    let denied = json!({ "type": "resume", "requestId": "R2", "id": "another chat" });
    let mut has_closed = [false, false];
    for (frame, has_closed) in [resume, denied].into_iter().zip(&mut has_closed) {
        for after in 0..4 {
            let mut h = thread();
            let ui = socket(&mut h, "ui");
            send(&mut h, &ui, "R1", "m1", "one");
            h.agent("u-m1", vec![said("answer"), finished()]);
            h.host.faults.sudden = Some((after, Sudden::Panic));
            h.host.receive(&ui, &frame.to_string());
            let is_closed = h.host.links[&ui].close == Some(CloseCode::InternalError);
            let is_answered = told(&h, &ui).0.get("R2").is_some_and(|stream| stream.ended.is_some());
            assert!(is_closed || is_answered, "{frame} {after}");
            *has_closed |= is_closed;
        }
    }
    assert_eq!(has_closed, [true, true]);
}

#[test]
fn stock_clients_also_follow_the_posts_of_programs() {
    let mut h = thread();
    let post = Post {
        request_id: "r1".into(),
        content: bobbin::protocol::Content::Text("hi".into()),
        ..Post::default()
    };
    h.post("app", post, false).unwrap().unwrap();
    let agent = follow(&mut h, Dialect::AgUiEvents, "ag", wants(TurnWanted::Turn("r1".into(), None)));
    h.agent("r1", vec![said("answer"), finished()]);
    assert_eq!(run(&h, &agent).text, "answer");
}

#[test]
fn an_answer_that_no_turn_asked_for_is_shown_as_the_last_turn() {
    let mut h = thread();
    let ui = socket(&mut h, "ui");
    send(&mut h, &ui, "R1", "m1", "hello");
    h.agent("u-m1", vec![said("answer"), finished()]);
    let post = Post {
        request_id: "a1".into(),
        content: bobbin::protocol::Content::Text("by the way".into()),
        is_answer: true,
        ..Post::default()
    };
    let answer_id = h.post("app", post, false).unwrap().unwrap().answer_id;
    resume(&mut h, &ui, "R2");
    let late = follow(&mut h, Dialect::AiSdkEvents, "late", wants(TurnWanted::Last));
    let mut events = UiStream::default();
    h.host.links[&late].told.iter().for_each(|text| events.event(text).unwrap());
    let read = told(&h, &ui);
    for stream in [&read.0["R2"], &events] {
        assert_eq!((stream.text.as_str(), stream.ended.as_deref()), ("by the way", Some("end")));
        assert_eq!(stream.message_id.as_ref(), Some(&answer_id));
    }
    assert_eq!(read.0["R1"].text, "answer");
}

#[test]
fn a_message_that_never_arrived_is_accepted_when_it_is_regenerated_or_edited() {
    let mut h = thread();
    let ui = socket(&mut h, "ui");
    let again = |request: &str, id: &str, more: serde_json::Value| {
        let message = json!({ "id": id, "role": "user", "parts": [{ "type": "text", "text": id }] });
        let mut frame = json!({ "type": "send", "requestId": request, "id": "s1", "messages": [message] });
        more.as_object().unwrap().iter().for_each(|(name, value)| frame[name] = value.clone());
        frame.to_string()
    };
    h.host.receive(&ui, &again("R1", "m1", json!({ "trigger": "regenerate-message" })));
    h.agent("u-m1", vec![said("one"), finished()]);
    h.host.receive(&ui, &again("R2", "m2", json!({ "trigger": "submit-message", "messageId": "m2" })));
    h.agent("u-m2", vec![said("two"), finished()]);
    // A known message is answered again, under another name.
    h.host.receive(&ui, &again("R3", "m2", json!({ "trigger": "submit-message", "messageId": "m2" })));
    h.agent("u-m2.2", vec![said("three"), finished()]);
    let read = told(&h, &ui);
    let texts: Vec<&str> = read.0.values().map(|stream| stream.text.as_str()).collect();
    assert_eq!(texts, ["one", "two", "three"]);
    assert!(read.0.values().all(|stream| stream.ended.as_deref() == Some("end")));
}

#[test]
fn a_client_that_comes_before_the_first_word_sees_the_message_begin_once() {
    let mut h = thread();
    let ui = socket(&mut h, "ui");
    send(&mut h, &ui, "R1", "m1", "hello");
    resume(&mut h, &ui, "R2");
    let late = follow(&mut h, Dialect::AiSdkEvents, "late", wants(TurnWanted::Last));
    // The message also begins at once for clients that come later.
    assert!(h.host.links[&late].told.concat().contains(r#""type":"start""#));
    h.agent("u-m1", vec![said("answer"), finished()]);
    // A second `start` would be reported here as an error.
    let read = told(&h, &ui);
    assert_eq!((read.0["R1"].text.as_str(), read.0["R2"].text.as_str()), ("answer", "answer"));
}
