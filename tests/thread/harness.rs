//! Clients by name, turns by `requestId`, frames as JSON.

use std::collections::BTreeMap;

use bobbin::agent::{AgentEvent, Failed, Finished};
use bobbin::dialect::Dialect;
use bobbin::protocol::{Access, Block, CloseCode, ErrorBody, ErrorCode, Identity, Post};
use bobbin::pump::{Accepted, Undone};
use bobbin::thread::{Config, Delivered, Input, PeerId, Thread, TurnId};
use serde_json::{Value, json};

use crate::support::{Host, Seen};

pub struct Harness {
    pub host: Host,
    peers: BTreeMap<String, PeerId>,
    joined: u32,
}

pub fn thread() -> Harness {
    thread_of(1)
}

pub fn thread_of(concurrent_turns: usize) -> Harness {
    thread_with(Config { concurrent_turns, messages_per_minute: 1_000_000, ..Config::default() })
}

pub fn thread_with(config: Config) -> Harness {
    Harness::of(Host::new(config, 1))
}

impl Harness {
    pub fn of(host: Host) -> Harness {
        Harness { host, peers: BTreeMap::new(), joined: 0 }
    }

    /// Connects without a cursor.
    pub fn join(&mut self, name: &str) {
        self.connect(name, None);
    }

    /// Connects, and forgets the frames that it is greeted with.
    pub fn greet(&mut self, name: &str) {
        self.join(name);
        self.frames(name);
    }

    pub fn resume(&mut self, name: &str, cursor: &str) {
        self.connect(name, Some(cursor.to_owned()));
    }

    fn connect(&mut self, name: &str, cursor: Option<String>) {
        self.connect_as(name, Identity::anyone(), cursor);
    }

    /// Connects with a token of a subject of the same name that names no session.
    pub fn join_with_token(&mut self, name: &str, expires_at: Option<u64>) {
        self.join_as(
            name,
            Identity {
                subject: Some(name.to_owned()),
                granted: None,
                may_create: true,
                expires_at,
                trace: None,
            },
        );
    }

    /// Connects with a token that lets its subject, of the same name, read this session.
    pub fn join_as_viewer(&mut self, name: &str, expires_at: Option<u64>) {
        let granted = Some(Access::Viewer);
        self.join_as(
            name,
            Identity { subject: Some(name.to_owned()), granted, may_create: false, expires_at, trace: None },
        );
    }

    pub fn join_as(&mut self, name: &str, identity: Identity) {
        self.connect_as(name, identity, None);
    }

    fn connect_as(&mut self, name: &str, identity: Identity, cursor: Option<String>) {
        let peer = self.new_peer(name);
        self.host.connect_as(&peer, identity, cursor);
    }

    /// Reads the thread's events by HTTP.
    pub fn follow_as(&mut self, name: &str, identity: Identity, cursor: Option<&str>) {
        let peer = self.new_peer(name);
        self.host.connect_in(Dialect::Events, &peer, identity, cursor.map(str::to_owned));
    }

    pub fn follow(&mut self, name: &str, cursor: Option<&str>) {
        self.follow_as(name, Identity::anyone(), cursor);
    }

    /// Posts by HTTP; `None` if the object ended meanwhile.
    pub fn post(&mut self, name: &str, post: Post, follows: bool) -> Option<Result<Accepted, Undone>> {
        self.post_as(name, Identity::anyone(), post, follows)
    }

    pub fn post_as(
        &mut self,
        name: &str,
        identity: Identity,
        post: Post,
        follows: bool,
    ) -> Option<Result<Accepted, Undone>> {
        let peer = self.new_peer(name);
        self.host.post(&peer, identity, post, follows)
    }

    fn new_peer(&mut self, name: &str) -> PeerId {
        self.joined += 1;
        let peer: PeerId = format!("{name}-{}", self.joined).into();
        self.peers.insert(name.to_owned(), peer.clone());
        peer
    }

    pub fn leave(&mut self, name: &str) {
        let peer = self.peers.remove(name).unwrap();
        self.host.disconnect(&peer);
    }

    pub fn is_open(&self, name: &str) -> bool {
        self.host.links[&self.peers[name]].is_open
    }

    pub fn closed(&self, name: &str) -> Option<CloseCode> {
        self.host.links[&self.peers[name]].close
    }

    #[track_caller]
    pub fn send(&mut self, name: &str, frame: &Value) {
        self.send_text(name, &frame.to_string());
    }

    #[track_caller]
    pub fn send_text(&mut self, name: &str, text: &str) {
        let peer = self.peers[name].clone();
        self.host.receive(&peer, text);
    }

    #[track_caller]
    pub fn say(&mut self, name: &str, request_id: &str, text: &str) {
        self.send(name, &json!({ "type": "message", "requestId": request_id, "content": text }));
    }

    pub fn turn(&self, request_id: &str) -> TurnId {
        let is_it = |seq: &&u64| self.host.store.records[*seq].request_id == request_id;
        *self.host.store.records.keys().find(is_it).expect("a turn of that requestId")
    }

    pub fn agent(&mut self, request_id: &str, events: Vec<AgentEvent>) {
        self.host.agent(self.turn(request_id), events);
    }

    /// Delivers one read of the agent's stream.
    pub fn text(&mut self, request_id: &str, text: &str) {
        self.agent(request_id, vec![said(text)]);
    }

    pub fn finish(&mut self, request_id: &str) {
        self.agent(request_id, vec![finished()]);
    }

    /// Lets virtual time pass, with timers and alarms exactly when they are due.
    pub fn wait(&mut self, ms: u64) {
        let until = self.host.now + ms;
        while self.next_at().is_some_and(|at| at <= until) {
            self.step();
        }
        self.host.now = until;
    }

    /// Advances time to the next timer or alarm, if there is one.
    pub fn step(&mut self) {
        let Some(at) = self.next_at() else { return };
        self.host.now = self.host.now.max(at);
        if self.host.timer().is_some_and(|at| at <= self.host.now) {
            self.host.fire_timer();
        }
        if self.host.alarm.is_some_and(|at| at <= self.host.now) {
            self.host.pump(Input::Alarm);
        }
    }

    /// Returns when the next timer fires, or the alarm goes off.
    pub fn next_at(&self) -> Option<u64> {
        [self.host.timer(), self.host.alarm].into_iter().flatten().min()
    }

    /// Has D1 take everything it was given.
    pub fn deliver(&mut self) {
        while !self.host.deliveries.is_empty() {
            self.deliver_one();
        }
    }

    pub fn deliver_one(&mut self) {
        let (delivery, is_waited_for) = self.host.deliveries.pop_front().unwrap();
        if is_waited_for {
            self.host.pump(Input::Delivered(Delivered::from(&delivery)));
        }
    }

    /// Returns every frame since the last call.
    #[track_caller]
    pub fn frames(&mut self, name: &str) -> Vec<Value> {
        let link = self.host.links.get_mut(&self.peers[name]).expect("a socket of that name");
        link.down.drain(..).map(|frame| frame.json().clone()).collect()
    }

    /// Asserts that the frames since the last call, except `session` frames, match the patterns: each field
    /// of a pattern is there and matches.
    #[track_caller]
    pub fn expect(&mut self, name: &str, patterns: &[Value]) -> Vec<Value> {
        self.expect_without(name, &["session"], patterns)
    }

    /// The same for a client that shows only finished blocks.
    #[track_caller]
    pub fn expect_whole(&mut self, name: &str, patterns: &[Value]) -> Vec<Value> {
        self.expect_without(name, &["session", "block_start", "block_delta"], patterns)
    }

    #[track_caller]
    fn expect_without(&mut self, name: &str, left_out: &[&str], patterns: &[Value]) -> Vec<Value> {
        let mut frames = self.frames(name);
        frames.retain(|frame| left_out.iter().all(|kind| frame["type"] != *kind));
        let matching = frames.iter().zip(patterns).filter(|(frame, pattern)| matches(pattern, frame)).count();
        let (got, wanted) = (lines(&frames), lines(patterns));
        assert!(
            matching == patterns.len() && frames.len() == patterns.len(),
            "{name} got\n{got}\nand not\n{wanted}"
        );
        frames
    }

    #[track_caller]
    pub fn expect_nothing(&mut self, name: &str) {
        self.expect(name, &[]);
    }

    /// Returns the outputs that were carried out since the last call.
    pub fn seen(&mut self) -> Vec<Seen> {
        std::mem::take(&mut self.host.seen)
    }

    pub fn deadline(&self) -> Option<u64> {
        self.host.thread().and_then(Thread::poll_deadline)
    }

    pub fn rows_written(&self) -> u64 {
        self.host.store.rows_written
    }

    pub fn started(&mut self) -> Vec<TurnId> {
        let started = |seen| if let Seen::Started { turn, .. } = seen { Some(turn) } else { None };
        self.seen().into_iter().filter_map(started).collect()
    }

    pub fn aborted(&mut self) -> Vec<TurnId> {
        let aborted = |seen| if let Seen::Aborted { turn } = seen { Some(turn) } else { None };
        self.seen().into_iter().filter_map(aborted).collect()
    }
}

/// Returns the last cursor among some frames.
pub fn cursor_of(frames: &[Value]) -> String {
    frames.iter().rev().find_map(|frame| frame["cursor"].as_str()).expect("a cursor").to_owned()
}

/// Returns the text of the `token` frames for a turn.
pub fn tokens(frames: &[Value], request_id: &str) -> String {
    let is_meant = |frame: &&Value| frame["type"] == "token" && frame["requestId"] == request_id;
    frames.iter().filter(is_meant).map(|frame| frame["token"].as_str().unwrap()).collect()
}

pub fn said(text: &str) -> AgentEvent {
    AgentEvent::Text(text.to_owned())
}

pub fn thought(text: &str) -> AgentEvent {
    AgentEvent::Block(Block::thinking(text))
}

pub fn finished() -> AgentEvent {
    AgentEvent::Finished(Finished { tokens_used: 12, ..Finished::default() })
}

pub fn ending() -> AgentEvent {
    AgentEvent::Ending(Finished { tokens_used: 12, ..Finished::default() })
}

pub fn failed() -> AgentEvent {
    let error = ErrorBody::retryable(ErrorCode::AgentError, "the model is not well");
    AgentEvent::Failed(Failed { tokens_used: 3, ..Failed::new(error) })
}

fn matches(pattern: &Value, value: &Value) -> bool {
    match (pattern, value) {
        (Value::Object(pattern), Value::Object(value)) => {
            pattern.iter().all(|(name, pattern)| matches(pattern, value.get(name).unwrap_or(&Value::Null)))
        }
        (Value::Array(pattern), Value::Array(value)) => {
            pattern.len() == value.len()
                && pattern.iter().zip(value).all(|(pattern, value)| matches(pattern, value))
        }
        _ => pattern == value,
    }
}

fn lines(frames: &[Value]) -> String {
    frames.iter().map(Value::to_string).collect::<Vec<_>>().join("\n")
}
