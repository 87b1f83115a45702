//! The world of one run: the object's host, the clients, and the networks between them.

use std::collections::{BTreeMap, VecDeque};

use bobbin::agent::{AgentEvent, Failed, Finished};
use bobbin::protocol::limits::QUEUED_TURNS_MAX;
use bobbin::protocol::{Block, ErrorBody, ErrorCode, SessionUpdate};
use bobbin::thread::{Config, Delivered, Input, PeerId, Thread, TurnId};
use serde_json::{Value, json};

use super::Check;
use super::client::{Awaits, Client};
use super::steps::{Does, IndexDoes, Plan, Step};
use super::truth::Truth;
use crate::support::{Host, Index, Seen, Sudden};

pub struct World {
    pub host: Host,
    pub clients: Vec<Client>,
    pub uplinks: BTreeMap<PeerId, Uplink>,
    pub truth: Truth,
    pub index: Index,
    /// Every message that was ever sent.
    pub said: Vec<Value>,
    words: usize,
    pub is_faulty: bool,
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
        let config = Config {
            concurrent_turns: plan.concurrent_turns,
            agent_idle_timeout_ms: plan.idle_timeout_ms,
            messages_per_minute: 1_000_000,
            ..Config::default()
        };
        World {
            host: Host::new(config, plan.seed),
            clients: (0..plan.clients).map(|_| Client::default()).collect(),
            uplinks: BTreeMap::new(),
            truth: Truth::new(),
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

    #[allow(clippy::too_many_lines)] // One arm a step.
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
            Step::Patch { nth } => {
                let title = Some(Some(format!("patched {nth}")));
                let exists = self.host.thread().is_some_and(|thread| thread.session().is_some());
                if exists {
                    self.host.pump(Input::Update(SessionUpdate { title, permission_mode: None }));
                }
                self.observe()
            }
            Step::CancelAll => {
                self.host.pump(Input::Cancel { request_id: None });
                self.observe()
            }
            Step::Delete => {
                // What a dead object gave to D1 is there by now, or never will be.
                self.host.deliveries.retain(|(_, is_waited_for)| *is_waited_for);
                self.host.pump(Input::Delete);
                self.observe()
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

    pub fn agent(&mut self, nth: usize, does: Does) -> Check {
        if does == Does::SpeakAfterTheEnd {
            let silent: Vec<TurnId> =
                self.truth.turns.keys().copied().filter(|turn| !self.host.agents.contains(turn)).collect();
            if let (Some(turn), Some(_)) = (nth_of(&silent, nth), self.host.thread()) {
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
            let Some(at) = [self.host.timer(), alarm].into_iter().flatten().min().filter(|at| *at <= target)
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
        if self.host.timer().is_some_and(|at| at <= self.host.now) {
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
            // A deletion is known to be safe only if nothing that was given to D1 before it comes after it,
            // and if it does not itself come after what follows it.
            if matches!(seen, Seen::Delivering(_)) && self.host.deliveries.iter().any(|(it, _)| it.deletes) {
                let newest = self.host.deliveries.len() - 1;
                self.host.deliveries.drain(..newest);
            }
            let life = self.truth.life;
            self.truth.observe(&self.host, &seen)?;
            if self.truth.life > life {
                self.forget_frames();
            }
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
        if let Some(thread) = host.thread() {
            if let Some((turn, _)) = open().find(|(id, turn)| turn.is_started && !host.agents.contains(id)) {
                return Err(format!("turn {turn} runs without an agent"));
            }
            if queued > 0 && host.agents.len() < host.config.concurrent_turns {
                return Err(format!("{queued} turns wait for {} agents", host.agents.len()));
            }
            if let Some(deadline) = Thread::poll_deadline(thread)
                && host.timer().is_none_or(|at| at > deadline)
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
        if host.store.is_deletion_owed && host.alarm.is_none() {
            return Err("a deletion is owed to D1 and no alarm is set".into());
        }
        if self.truth.records.is_empty() && self.truth.life == 0 && host.store.rows_written > 0 {
            return Err("rows were written before the first message".into());
        }
        self.truth.check_journals(host.now)
    }

    /// Frames of a session that is gone do not arrive any more.
    fn forget_frames(&mut self) {
        for connection in self.clients.iter_mut().filter_map(|client| client.connection.as_mut()) {
            connection.awaits = Awaits::Anything;
        }
    }

    pub fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(line());
        }
    }
}

fn finished() -> AgentEvent {
    AgentEvent::Finished(Finished { tokens_used: 7, ..Finished::default() })
}

pub fn nth_of<T>(items: &[T], nth: usize) -> Option<&T> {
    nth.checked_rem(items.len()).and_then(|nth| items.get(nth))
}

fn shown(seen: &Seen) -> String {
    match seen {
        Seen::Stored(commit) => format!("stored {commit:?}"),
        Seen::Sent { to, frame, .. } => format!("to {to:?} {}", frame.text),
        Seen::Started { turn, .. } => format!("started {turn}"),
        other => format!("{other:?}"),
    }
}
