//! Whatever frames and cursors come in, the thread stays whole, and everybody is answered.

#![no_main]

#[path = "../../tests/support/mod.rs"]
mod support;

use bobbin::agent::{AgentEvent, Finished};
use bobbin::thread::{Config, PeerId};
use libfuzzer_sys::fuzz_target;

use support::Host;

/// Frames are split where a client would not put a byte.
const SEPARATOR: char = '\u{1}';

fuzz_target!(|text: &str| {
    let mut host = Host::new(Config::default(), 0);
    for (nth, part) in text.split(SEPARATOR).enumerate() {
        let peer: PeerId = format!("p{nth}").into();
        host.connect(&peer, (nth % 3 > 0).then(|| part.to_owned()));
        host.receive(&peer, &part.to_owned());
        if let Some(turn) = host.agents.first().copied() {
            host.agent(turn, vec![AgentEvent::Text(part.to_owned())]);
            host.now += 7;
            if nth % 4 == 3 {
                host.agent(turn, vec![AgentEvent::Finished(Finished::default())]);
            }
        }
        assert!(
            host.links.values().all(|link| link.down.front().is_none_or(|it| it.json()["type"] == "connected"))
        );
    }
});
