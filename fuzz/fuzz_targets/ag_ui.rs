//! Whatever an AG-UI client sends, by frame or by body, is read or refused in words, and whatever place it names is one of
//! its run or none.

#![no_main]

#[path = "../../tests/support/mod.rs"]
mod support;

use bobbin::dialect::ag_ui::{input, place};
use bobbin::dialect::{Dialect, Stock};
use bobbin::protocol::{Identity, StockRequest, TurnWanted};
use bobbin::thread::{Config, PeerId};
use bobbin::agent::AgentEvent;
use libfuzzer_sys::fuzz_target;

use support::{Host, Run};

const SEPARATOR: char = '\u{1}';

fuzz_target!(|text: &str| {
    let mut host = Host::new(Config::default(), 0);
    let socket: PeerId = "ag".into();
    host.open(Dialect::AgUi, &socket, Identity::anyone(), false);
    for (nth, part) in text.split(SEPARATOR).enumerate() {
        let _ = Stock::AgUi.parse(part);
        if let Ok((run, asked)) = input::body(part) {
            assert!(asked.uploads.iter().all(|upload| part.get(upload.base64.clone()).is_some()));
            let wants = TurnWanted::Turn(input::request_id(&run), place::read(part));
            let peer: PeerId = format!("p{nth}").into();
            let request = StockRequest { run: Some(run), answers: None, wants };
            if let Some(Ok(())) = host.follow(Dialect::AgUiEvents, &peer, Identity::anyone(), request) {
                let mut told = Run::default();
                host.links[&peer].told.iter().for_each(|text| told.event(text).expect("the protocol is kept to"));
            }
        }
        host.receive(&socket, part);
        if let Some(turn) = host.agents.first().copied() {
            host.agent(turn, vec![AgentEvent::Text(part.to_owned())]);
            host.now += 7;
        }
    }
});
