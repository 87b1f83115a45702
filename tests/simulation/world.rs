//! The world of one run: the object's host, the clients, and the networks between them.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use bobbin::agent::{AgentEvent, Failed, Finished};
use bobbin::protocol::limits::{CATCH_UP_MESSAGES_MAX, QUEUED_TURNS_MAX};
use bobbin::protocol::{Block, ErrorBody, ErrorCode};
use bobbin::thread::{Config, Delivered, Input, PeerId, Thread, TurnId};
use serde_json::{Value, json};

use super::Check;
use super::client::{Client, Connection};
use super::steps::{Does, IndexDoes, Plan, Step, What, With};
use super::truth::Truth;
use super::view::View;
use crate::support::{Host, Index, Seen, Sudden};

pub struct World {
    pub host: Host,
    pub clients: Vec<Client>,
    pub uplinks: BTreeMap<PeerId, Uplink>,
    pub truth: Truth,
    pub index: Index,
    /// Every message that was ever sent.
    said: Vec<Value>,
    words: usize,
    is_faulty: bool,
    pub trace: Option<Vec<String>>,
}

/// One socket, from its client to the object.
#[derive(Debug, Default)]
pub struct Uplink {
    pub frames: VecDeque<String>,
    /// The client has left, or has been left.
    pub is_gone: bool,
}

/// Timers and alarms that fire in one stretch of time.
const FIRINGS_MAX: usize = 20_000;

impl World {
    pub fn new(plan: &Plan, with_trace: bool) -> Self {
        let config =
            Config { concurrent_turns: plan.concurrent_turns, agent_idle_timeout_ms: plan.idle_timeout_ms };
        World {
            host: Host::new(config, plan.seed),
            clients: (0..plan.clients).map(|_| Client::default()).collect(),
            uplinks: BTreeMap::new(),
            truth: Truth::default(),
            index: Index::default(),
            said: Vec::new(),
            words: 0,
            is_faulty: plan.is_faulty,
            trace: with_trace.then(Vec::new),
        }
    }

    pub fn run(&mut self, plan: &Plan) -> Check {
        for step in &plan.steps {
            self.note(|| format!("{step:?}"));
            self.apply(*step).map_err(|why| format!("{why}\n  in {step:?}"))?;
            self.check()?;
        }
        self.settle().map_err(|why| format!("{why}\n  after the last step"))
    }

    fn apply(&mut self, step: Step) -> Check {
        match step {
            Step::Connect { client, with } => self.connect(client, with),
            Step::Drop { client } => {
                self.drop_connection(client);
                Ok(())
            }
            Step::Say { client, shape } => {
                self.say(client, shape);
                Ok(())
            }
            Step::Repeat { client } => {
                let frame = self.clients[client].pending.values().next().cloned();
                self.send(client, frame);
                Ok(())
            }
            Step::Copy { client, nth } => {
                let frame = nth_of(&self.said, nth).cloned();
                self.send(client, frame);
                Ok(())
            }
            Step::Clash { client, nth } => {
                let frame = nth_of(&self.said, nth).cloned().map(|mut frame| {
                    frame["content"] = json!("other words");
                    frame
                });
                self.send(client, frame);
                Ok(())
            }
            Step::Cancel { client, what } => {
                self.cancel(client, what);
                Ok(())
            }
            Step::Sync { client, with_cursor } => {
                self.sync(client, with_cursor);
                Ok(())
            }
            Step::Update { client, nth } => {
                let frame = match nth % 3 {
                    0 => json!({ "type": "session_update", "title": format!("title {nth}") }),
                    1 => json!({ "type": "session_update", "permissionMode": "plan" }),
                    _ => json!({ "type": "session_update", "title": null, "permissionMode": "acceptEdits" }),
                };
                self.send(client, Some(frame));
                Ok(())
            }
            Step::Garbage { client, nth } => {
                let frames = [json!("?"), json!({}), json!({ "type": "message" }), json!({ "type": "ping" })];
                self.send(client, nth_of(&frames, nth).cloned());
                Ok(())
            }
            Step::Up { nth } => self.up(nth),
            Step::Down { client, frames } => self.down(client, frames).map(drop),
            Step::Agent { nth, does } => self.agent(nth, does),
            Step::Advance { ms, with_alarm } => self.advance(ms, with_alarm),
            Step::Jump { ms } => {
                self.host.now += ms;
                self.truth.punctual_since = self.host.now;
                self.fire_due(false)
            }
            Step::Back { ms } => {
                self.truth.punctual_since = self.truth.punctual_since.max(self.host.now);
                self.host.now -= ms;
                Ok(())
            }
            Step::Alarm => self.fire_due(true),
            Step::Evict => {
                if self.host.may_be_evicted() {
                    self.host.evict();
                }
                Ok(())
            }
            Step::Crash { after_outputs, sockets_survive } => {
                let crash = Sudden::Crash { sockets_survive };
                match after_outputs.checked_sub(1) {
                    Some(after) => self.host.faults.sudden = Some((after, crash)),
                    None => drop(self.host.crash(sockets_survive)),
                }
                self.observe()
            }
            Step::Panic { after_outputs } => {
                self.host.faults.sudden = Some((after_outputs, Sudden::Panic));
                Ok(())
            }
            Step::FailWrites { after, times, applied } => {
                self.host.faults.writes = Some((after, times, applied));
                Ok(())
            }
            Step::FailReads { times } => {
                self.host.store.failing_reads.set(times);
                Ok(())
            }
            Step::Index { nth, does } => self.deliver(nth, does),
        }
    }

    pub fn connect(&mut self, id: usize, with: With) -> Check {
        self.drop_connection(id);
        let peer: PeerId = format!("c{id}-{}", self.host.random.next() % 0x1_0000_0000).into();
        let client = &mut self.clients[id];
        match with {
            With::LastCursor => {}
            With::Nothing => client.view = View::default(),
            With::Earlier(nth) => client.view = nth_of(&client.earlier, nth).cloned().unwrap_or_default(),
            With::ForeignCursor(nth) => {
                client.view.cursor = nth_of(&FOREIGN, nth).map(|text| (*text).into());
                client.view.is_own = false;
            }
        }
        let cursor = client.view.cursor.clone();
        let is_near = self.truth.records.len() <= CATCH_UP_MESSAGES_MAX;
        let must_resume = client.view.is_own && is_near && !self.is_faulty;
        client.connection = Some(Connection::new(&peer, must_resume));
        let pending: VecDeque<String> = client.pending.values().map(Value::to_string).collect();
        self.uplinks.insert(Rc::clone(&peer), Uplink { frames: pending, is_gone: false });
        if !self.host.connect(&peer, cursor) {
            self.note(|| format!("  {peer} is not let in"));
        }
        self.observe()
    }

    fn drop_connection(&mut self, id: usize) {
        if let Some(connection) = self.clients[id].connection.take()
            && let Some(uplink) = self.uplinks.get_mut(&connection.peer)
        {
            uplink.is_gone = true;
        }
    }

    fn say(&mut self, id: usize, shape: usize) {
        let request_id = format!("c{id}-r{}", self.said.len());
        let text = format!("say {shape} and {}", "ä".repeat(shape % 5));
        let content = match shape % 4 {
            0 => {
                json!([{ "type": "text", "text": text }, { "type": "tool_result", "toolUseId": "t", "content": "9" }])
            }
            _ => json!(text),
        };
        let mut frame = json!({ "type": "message", "requestId": request_id, "content": content });
        if shape.is_multiple_of(7) {
            frame["threadId"] = json!(self.host.session_id);
        }
        self.said.push(frame.clone());
        self.clients[id].pending.insert(request_id, frame.clone());
        self.send(id, Some(frame));
    }

    fn cancel(&mut self, id: usize, what: What) {
        let frame = match what {
            What::One(nth) => nth_of(&self.said, nth)
                .map(|frame| json!({ "type": "cancel", "requestId": frame["requestId"] })),
            What::All => Some(json!({ "type": "cancel" })),
            What::Unknown => Some(json!({ "type": "cancel", "requestId": "nobody's" })),
        };
        self.send(id, frame);
    }

    fn sync(&mut self, id: usize, with_cursor: bool) {
        let client = &mut self.clients[id];
        let Some(connection) = client.connection.as_mut() else { return };
        connection.syncs.push_back(with_cursor);
        let cursor = client.view.cursor.clone().filter(|_| with_cursor);
        self.send(id, Some(json!({ "type": "session_sync", "cursor": cursor })));
    }

    pub fn send(&mut self, id: usize, frame: Option<Value>) {
        let connection = self.clients[id].connection.as_ref();
        let uplink = connection.and_then(|connection| self.uplinks.get_mut(&connection.peer));
        if let (Some(uplink), Some(frame)) = (uplink, frame) {
            uplink.frames.push_back(frame.to_string());
        }
    }

    pub fn up(&mut self, nth: usize) -> Check {
        let busy = |(_, uplink): &(&PeerId, &Uplink)| uplink.is_gone || !uplink.frames.is_empty();
        let peers: Vec<PeerId> = self.uplinks.iter().filter(busy).map(|(peer, _)| Rc::clone(peer)).collect();
        let Some(peer) = nth_of(&peers, nth) else { return Ok(()) };
        if let Some(frame) = self.uplinks.get_mut(peer).and_then(|uplink| uplink.frames.pop_front()) {
            return self.frame(peer, &frame);
        }
        self.uplinks.remove(peer);
        // Of a socket that died with its object nobody tells the next one.
        if self.host.links.get(peer).is_some_and(|link| link.is_open || link.close.is_some()) {
            self.host.disconnect(peer);
        } else {
            self.host.links.remove(peer);
        }
        self.observe()
    }

    fn frame(&mut self, peer: &PeerId, text: &str) -> Check {
        let is_heard =
            self.host.links.get(peer).is_some_and(|link| link.is_open && link.attachment.is_some());
        let frame: Value = serde_json::from_str(text).unwrap_or_default();
        let meant = self.meant_by(&frame);
        self.note(|| format!("  {peer} > {text}"));
        self.host.receive(peer, text.to_owned());
        let is_failure = |seen: &Seen| {
            matches!(seen, Seen::StoreFailed { .. } | Seen::Crashed { .. } | Seen::Panicked | Seen::GaveUp)
        };
        let is_smooth = is_heard && !self.host.seen.iter().any(is_failure);
        self.observe()?;
        match meant.into_iter().find(|turn| self.truth.is_open(*turn)) {
            Some(turn) if is_smooth => Err(format!("turn {turn} goes on after its cancel")),
            _ => Ok(()),
        }
    }

    /// The open turns that a cancel is about.
    fn meant_by(&self, frame: &Value) -> Vec<TurnId> {
        if frame["type"] != "cancel" {
            return Vec::new();
        }
        let request_id = frame.get("requestId").and_then(Value::as_str);
        let is_meant = |turn: &TurnId| request_id.is_none_or(|id| self.truth.is_turn(*turn, id));
        self.truth.turns.keys().copied().filter(|turn| self.truth.is_open(*turn)).filter(is_meant).collect()
    }

    /// Whether anything arrived.
    pub fn down(&mut self, id: usize, frames: usize) -> Check<bool> {
        for count in 0..frames {
            let Some(peer) = self.clients[id].connection.as_ref().map(|it| Rc::clone(&it.peer)) else {
                return Ok(count > 0);
            };
            let link = self.host.links.get_mut(&peer);
            let is_open = link.as_ref().is_some_and(|link| link.is_open);
            match link.and_then(|link| link.down.pop_front()) {
                Some(frame) => {
                    self.note(|| format!("  {peer} < {}", frame.text));
                    let received = self.clients[id].receive(&frame.json, &mut self.truth);
                    received.map_err(|why| format!("client {id}: {why}\n  by {}", frame.text))?;
                }
                None if !is_open => {
                    self.drop_connection(id);
                    if let Some(uplink) = self.uplinks.get_mut(&peer) {
                        uplink.frames.clear();
                    }
                    return Ok(true);
                }
                None => return Ok(count > 0),
            }
        }
        Ok(true)
    }

    pub fn agent(&mut self, nth: usize, does: Does) -> Check {
        if does == Does::SpeakAfterTheEnd {
            let silent: Vec<TurnId> =
                self.truth.turns.keys().copied().filter(|turn| !self.host.agents.contains(turn)).collect();
            if let (Some(turn), Some(_)) = (nth_of(&silent, nth), &self.host.thread) {
                let events = vec![AgentEvent::Text("a ghost's words".into()), finished()];
                self.host.pump(Input::Agent { turn: *turn, events, tokens_used: 2 });
            }
            return self.observe();
        }
        let agents: Vec<TurnId> = self.host.agents.iter().copied().collect();
        let Some(turn) = nth_of(&agents, nth).copied() else { return Ok(()) };
        let events = self.events(does);
        self.truth.hear(self.host.now, turn, &events);
        self.note(|| format!("  agent of {turn}: {events:?}"));
        self.host.agent(turn, events);
        self.observe()
    }

    fn events(&mut self, does: Does) -> Vec<AgentEvent> {
        let mut text = || {
            self.words += 1;
            AgentEvent::Text(format!("w{} é", self.words))
        };
        let block =
            |text: &AgentEvent| AgentEvent::Block(Block::Thinking { text: format!("thought of {text:?}") });
        match does {
            Does::Text { pieces } => (0..pieces).map(|_| text()).collect(),
            Does::Block => vec![block(&text())],
            Does::TextAndBlock => {
                let first = text();
                let between = block(&first);
                vec![first, between, text()]
            }
            Does::Finish => vec![finished()],
            Does::TextAndFinish => vec![text(), finished()],
            Does::Fail => {
                let error = ErrorBody::retryable(ErrorCode::AgentError, "the model is not well");
                vec![text(), AgentEvent::Failed(Failed { error, tokens_used: 3 })]
            }
            Does::Nothing | Does::SpeakAfterTheEnd => Vec::new(),
        }
    }

    pub fn advance(&mut self, ms: u64, with_alarm: bool) -> Check {
        let target = self.host.now + ms;
        for _ in 0..FIRINGS_MAX {
            let alarm = self.host.alarm.filter(|_| with_alarm);
            let Some(at) = [self.host.timer, alarm].into_iter().flatten().min().filter(|at| *at <= target)
            else {
                self.host.now = target;
                return Ok(());
            };
            self.host.now = self.host.now.max(at);
            self.fire_due(with_alarm)?;
            self.check()?;
        }
        Err("timers fire without end".into())
    }

    fn fire_due(&mut self, with_alarm: bool) -> Check {
        if self.host.timer.is_some_and(|at| at <= self.host.now) {
            self.host.fire_timer();
            self.observe()?;
        }
        if with_alarm && self.host.alarm.is_some_and(|at| at <= self.host.now) {
            self.host.pump(Input::Alarm);
            self.observe()?;
        }
        Ok(())
    }

    pub fn deliver(&mut self, nth: usize, does: IndexDoes) -> Check {
        if self.host.deliveries.is_empty() {
            return Ok(());
        }
        let nth = nth % self.host.deliveries.len();
        let Some((delivery, is_waited_for)) = self.host.deliveries.remove(nth) else { return Ok(()) };
        if matches!(does, IndexDoes::Take | IndexDoes::TakeAndSayNo | IndexDoes::TakeSilently) {
            self.index.apply(&delivery);
        }
        match does {
            IndexDoes::Take if is_waited_for => {
                self.host.pump(Input::Delivered(Delivered::from(&delivery)));
            }
            IndexDoes::Refuse | IndexDoes::TakeAndSayNo if is_waited_for => {
                self.host.pump(Input::DeliveryFailed);
            }
            _ => {}
        }
        self.observe()
    }

    pub fn observe(&mut self) -> Check {
        for seen in std::mem::take(&mut self.host.seen) {
            self.note(|| format!("  {}", shown(&seen)));
            self.truth.observe(&self.host, &seen)?;
        }
        Ok(())
    }

    /// What holds between any two steps.
    fn check(&self) -> Check {
        let host = &self.host;
        let open = || self.truth.turns.iter().filter(|(_, turn)| turn.is_open());
        let queued = open().filter(|(_, turn)| !turn.is_started).count();
        if let Some(turn) = host.agents.iter().find(|turn| !self.truth.is_open(**turn)) {
            return Err(format!("the agent of turn {turn} works on after its end"));
        }
        if let Some(thread) = &host.thread {
            if let Some((turn, _)) = open().find(|(id, turn)| turn.is_started && !host.agents.contains(id)) {
                return Err(format!("turn {turn} runs without an agent"));
            }
            if queued > 0 && host.agents.len() < host.config.concurrent_turns {
                return Err(format!("{queued} turns wait for {} agents", host.agents.len()));
            }
            if let Some(deadline) = Thread::poll_deadline(thread)
                && host.timer.is_none_or(|at| at > deadline)
            {
                return Err("a deadline without a timer".into());
            }
        }
        if queued > QUEUED_TURNS_MAX {
            return Err(format!("{queued} turns wait"));
        }
        let owes = self.index.messages.len() + self.truth.parked.len() < self.truth.records.len();
        if (open().next().is_some() || owes) && host.alarm.is_none() {
            return Err("something is unfinished and no alarm is set".into());
        }
        if self.truth.records.is_empty() && host.store.rows_written > 0 {
            return Err("rows were written before the first message".into());
        }
        self.truth.check_journals(host.now)
    }

    pub fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(line());
        }
    }
}

/// Cursors of other logs, and what is none.
const FOREIGN: [&str; 7] = ["", "x", "1.2", "abcdef.1.1-1-0", "-", "0.0", "ffffffffff.ffffffffffffffff"];

fn finished() -> AgentEvent {
    AgentEvent::Finished(Finished { tokens_used: 7, ..Finished::default() })
}

fn nth_of<T>(items: &[T], nth: usize) -> Option<&T> {
    nth.checked_rem(items.len()).and_then(|nth| items.get(nth))
}

fn shown(seen: &Seen) -> String {
    match seen {
        Seen::Stored(commit) => format!("stored {commit:?}"),
        Seen::Sent { to, frame } => format!("to {to:?} {}", frame.text),
        Seen::Started { turn, .. } => format!("started {turn}"),
        other => format!("{other:?}"),
    }
}
