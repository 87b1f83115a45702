//! Whatever an AI SDK client sends, by frame or by body, is read or refused in words, and what it is told keeps to its
//! protocol.

#![no_main]

#[path = "../../tests/support/mod.rs"]
mod support;

use bobbin::agent::{AgentEvent, Finished};
use bobbin::dialect::{Dialect, Incoming, Stock, ai_sdk::request};
use bobbin::protocol::Identity;
use bobbin::thread::{Config, PeerId};
use libfuzzer_sys::fuzz_target;

use support::{Host, UiSocket};

const SEPARATOR: char = '\u{1}';

fuzz_target!(|text: &str| {
    let mut host = Host::new(Config::default(), 0);
    let peer: PeerId = "ui".into();
    host.open(Dialect::AiSdk, &peer, Identity::anyone(), text.len() % 2 == 1);
    let (mut told, mut read) = (UiSocket::default(), 0);
    for (nth, part) in text.split(SEPARATOR).enumerate() {
        // A client never has two requests under one id, and nothing comes of one that it has aborted.
        match Stock::AiSdk.parse(part) {
            Some(Incoming::Ask { request, .. }) => match told.0.get(&*request) {
                Some(earlier) if earlier.ended.is_none() => continue,
                _ => drop(told.0.remove(&*request)),
            },
            Some(Incoming::Abort(request)) => drop(told.0.remove(&*request)),
            _ => {}
        }
        if let Ok(asked) = request::body(part) {
            let stands_there = |range: &std::ops::Range<usize>| part.get(range.clone()).is_some();
            assert!(asked.uploads.iter().all(|upload| stands_there(&upload.base64)));
        }
        host.receive(&peer, part);
        if let Some(turn) = host.agents.first().copied() {
            host.agent(turn, vec![AgentEvent::Text(part.to_owned())]);
            host.now += 7;
            if nth % 4 == 3 {
                host.agent(turn, vec![AgentEvent::Finished(Finished::default())]);
            }
        }
        for text in &host.links[&peer].told[read..] {
            told.read(text).expect("the protocol is kept to");
        }
        read = host.links[&peer].told.len();
    }
});
