//! Clients of other protocols on a thread, beside those of the contract.

use bobbin::dialect::Dialect;
use bobbin::protocol::{CloseCode, Identity, Post, StockRequest, TurnWanted};
use bobbin::thread::{Config, PeerId};
use serde_json::json;

use crate::harness::{Harness, finished, said, thread, thread_with};
use crate::support::{Random, Run, Seen, UiSocket, UiStream};

fn socket(h: &mut Harness, name: &str) -> PeerId {
    let peer: PeerId = name.into();
    assert!(h.host.open(Dialect::AiSdk, &peer, Identity::anyone(), false));
    peer
}

fn send(h: &mut Harness, peer: &PeerId, request: &str, id: &str, text: &str) {
    let message = json!({ "id": id, "role": "user", "parts": [{ "type": "text", "text": text }] });
    let frame = json!({ "type": "send", "requestId": request, "id": "s1", "trigger": "submit-message", "messages": [message] });
    h.host.receive(peer, &frame.to_string());
}

fn resume(h: &mut Harness, peer: &PeerId, request: &str) {
    h.host.receive(peer, &json!({ "type": "resume", "requestId": request, "id": "s1" }).to_string());
}

fn abort(h: &mut Harness, peer: &PeerId, request: &str) {
    h.host.receive(peer, &json!({ "type": "abort", "requestId": request }).to_string());
}

fn told(h: &Harness, peer: &PeerId) -> UiSocket {
    let mut read = UiSocket::default();
    for text in &h.host.links[peer].told {
        read.read(text).unwrap();
    }
    read
}

fn run(h: &Harness, peer: &PeerId) -> Run {
    let mut read = Run::default();
    for text in &h.host.links[peer].told {
        read.event(text).unwrap();
    }
    read
}

fn wants(wants: TurnWanted) -> StockRequest {
    StockRequest { run: None, answers: None, wants }
}

fn follow(h: &mut Harness, dialect: Dialect, name: &str, request: StockRequest) -> PeerId {
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

/// Turns one after another, with readers that come, are cut and come again.
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
                    // Cut somewhere, and asked for again from there.
                    let (peer, mut read) = readers.swap_remove(random.below(readers.len()));
                    let all = h.host.links[&peer].told.clone();
                    let had = random.below(all.len() + 1);
                    all.iter()
                        .take(had)
                        .for_each(|text| read.event(text).unwrap_or_else(|why| panic!("{seed}: {why}")));
                    h.host.disconnect(&peer);
                    let from =
                        read.last.as_deref().map(|at| bobbin::dialect::ag_ui::events::place(at).unwrap());
                    read.cut();
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

#[test]
fn what_a_program_posts_is_followed_by_stock_clients_too() {
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
fn an_answer_that_no_turn_asked_for_is_shown_to_who_asks_for_the_last() {
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
fn what_never_arrived_is_taken_when_it_is_asked_for_again_or_written_anew() {
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
    // What is known is made again, under another name.
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
    // It begins at once for those who come later, too.
    assert!(h.host.links[&late].told.concat().contains(r#""type":"start""#));
    h.agent("u-m1", vec![said("answer"), finished()]);
    // A second `start` would be told here as an error.
    let read = told(&h, &ui);
    assert_eq!((read.0["R1"].text.as_str(), read.0["R2"].text.as_str()), ("answer", "answer"));
}
