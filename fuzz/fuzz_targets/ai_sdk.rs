//! Whatever an AI SDK client sends, by frame or by body, is read or refused in words, and what it is told keeps to its
//! protocol.

#![no_main]

#[path = "../../tests/support/mod.rs"]
mod support;

use bobbin::agent::{AgentEvent, Finished};
use bobbin::dialect::{Dialect, Stock, ai_sdk::request};
use bobbin::protocol::Identity;
use bobbin::thread::{Config, PeerId};
use libfuzzer_sys::fuzz_target;

use support::{Host, UiSocket};

const SEPARATOR: char = '\u{1}';

fuzz_target!(|text: &str| {
    let mut host = Host::new(Config::default(), 0);
    let peer: PeerId = "ui".into();
    host.open(Dialect::AiSdk, &peer, Identity::anyone(), text.len() % 2 == 1);
    for (nth, part) in text.split(SEPARATOR).enumerate() {
        let _ = Stock::AiSdk.parse(part);
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
    }
    let mut told = UiSocket::default();
    for text in &host.links[&peer].told {
        told.read(text).expect("the protocol is kept to");
    }
});
