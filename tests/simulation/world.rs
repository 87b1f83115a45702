//! The world of one run: the object's host, the clients, and the networks between them.

use std::collections::{BTreeMap, VecDeque};

use bobbin::agent::{AgentEvent, Failed, Finished};
use bobbin::protocol::limits::{GUARD_MS, QUEUED_TURNS_MAX};
use bobbin::protocol::{Access, Block, CloseCode, ErrorBody, ErrorCode, Json, Read, SessionUpdate};
use bobbin::thread::{Config, Delivered, Found, Input, PeerId, Request, Thread, TurnId};
use serde_json::{Value, json};

use super::Check;
use super::allowance::Allowances;
use super::asking::unmarked;
use super::client::{Awaits, Client};
use super::debts::Debts;
use super::follower::Follower;
use super::forks::Fork;
use super::people::Person;
use super::pieces::Piece;
use super::plan::Plan;
use super::steps::{Does, IndexDoes, Spoils, Step};
use super::tabs::Tab;
use super::truth::{Truth, Turn};
use crate::support::{Databases, Host, Seen, Spoilt, Sudden};

pub struct World {
    pub host: Host,
    pub clients: Vec<Client>,
    pub uplinks: BTreeMap<PeerId, Uplink>,
    pub truth: Truth,
    /// Programs that posted, and follow the turn.
    pub followers: BTreeMap<PeerId, Follower>,
    /// Clients of other protocols.
    pub tabs: Vec<Tab>,
    /// Sessions that are to become forks.
    pub forks: Vec<Fork>,
    pub databases: Databases,
    /// D1 was lost, and the thread may not know.
    pub has_lost_d1: bool,
    /// Every message that was ever sent.
    pub said: Vec<Value>,
    /// Every answer that was ever posted.
    pub appended: Vec<Value>,
    words: usize,
    pub is_faulty: bool,
    /// Whether anybody comes near the limits on use per minute.
    pub is_limited: bool,
    pub allowances: Allowances,
    /// If sockets come near what they may owe.
    pub debts: Option<Debts>,
    /// By how much the clock was set back in total.
    back_ms: u64,
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
        let unlimited = Config::default();
        let config = Config {
            databases: plan.databases,
            retention_ms: plan.retention_ms,
            concurrent_turns: plan.concurrent_turns,
            agent_first_token_timeout_ms: plan.first_token_timeout_ms,
            agent_idle_timeout_ms: plan.idle_timeout_ms,
            agent_turn_timeout_ms: plan.turn_timeout_ms,
            agent_retries: plan.agent_retries,
            waits_for_tools: plan.waits_for_tools,
            messages_per_minute: plan.messages_per_minute.unwrap_or(1_000_000),
            frames_per_minute_min: plan.frames_per_minute_min.unwrap_or(unlimited.frames_per_minute_min),
            read_bytes_per_minute: plan.read_bytes_per_minute.unwrap_or(unlimited.read_bytes_per_minute),
            invalid_frames_max: plan.invalid_frames_max,
            check_bytes: plan.check_bytes.unwrap_or(unlimited.check_bytes),
            socket_owed_bytes_max: plan
                .check_bytes
                .map_or(unlimited.socket_owed_bytes_max, |bytes| 8 * bytes),
            owed_bytes_max: plan.check_bytes.map_or(unlimited.owed_bytes_max, |bytes| 16 * bytes),
            ..unlimited
        };
        let is_set = |bits: usize, client: usize| bits >> client & 1 == 1;
        let client = |(id, person): (usize, &Person)| {
            Client::new(*person, is_set(plan.mute, id), is_set(plan.by_http, id))
        };
        let clients = plan.people.iter().enumerate().map(client);
        let host = Host::new(config, plan.seed);
        World {
            forks: (0..plan.forks).map(|nth| Fork::new(nth, &host)).collect(),
            host,
            clients: clients.collect(),
            uplinks: BTreeMap::new(),
            truth: Truth::new(with_trace),
            followers: BTreeMap::new(),
            tabs: plan.tabs.iter().map(|tab| Tab::new(*tab)).collect(),
            databases: Databases::default(),
            has_lost_d1: false,
            said: Vec::new(),
            appended: Vec::new(),
            words: 0,
            is_faulty: plan.is_faulty,
            is_limited: plan.is_limited(),
            allowances: Allowances::new(&config),
            debts: plan.check_bytes.map(|_| Debts::new(&config)),
            back_ms: 0,
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
            Step::Connect { client, with, token_ms } => self.connect(client, with, token_ms),
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
            Step::Edit { client, nth, saw } => {
                let of = self.turn_named(nth).map(|of| json!(of));
                self.say_more(client, nth, saw, of);
                Ok(())
            }
            Step::SayAfter { client, nth, saw } => {
                self.say_more(client, nth, saw, None);
                Ok(())
            }
            Step::Regenerate { client, nth } => {
                self.regenerate(client, nth);
                Ok(())
            }
            Step::Select { client, nth } => {
                let id = nth_of(&self.truth.records, nth).map(|record| record.message_id.clone());
                let id = id.filter(|_| !nth.is_multiple_of(13)).unwrap_or("msg_1_1".into());
                self.send(client, Some(json!({ "type": "select", "messageId": id })));
                Ok(())
            }
            Step::Cancel { client, what } => {
                self.cancel(client, what);
                Ok(())
            }
            Step::Answer { client, nth, how } => self.answer(client, nth, how),
            Step::Sync { client, with_cursor } => {
                self.sync(client, with_cursor);
                Ok(())
            }
            Step::Update { client, nth } => {
                let subject = self.clients[client].person.subject;
                let frame = match nth % 5 {
                    3 => json!({ "type": "session_update", "permissionMode": "bypassPermissions" }),
                    4 => json!({ "type": "session_update", "permissionMode": "default" }),
                    0 => json!({ "type": "session_update", "title": format!("title {nth} of {subject}") }),
                    1 => json!({ "type": "session_update", "permissionMode": "plan" }),
                    _ => json!({ "type": "session_update", "title": null, "permissionMode": "acceptEdits" }),
                };
                self.send(client, Some(frame));
                Ok(())
            }
            Step::Garbage { client, nth } => {
                let frames = [
                    json!("?"),
                    json!({}),
                    json!({ "type": "message" }),
                    json!({ "type": "ping" }),
                    json!({ "type": "cancel", "requestId": 5 }),
                    json!({ "type": "session_update" }),
                    json!({ "type": "message", "requestId": "", "content": "no id" }),
                    json!({ "type": "a type of ä newer version ".repeat(4), "requestId": "known" }),
                ];
                self.send(client, nth_of(&frames, nth).cloned());
                Ok(())
            }
            Step::Patch { client, nth } => {
                let title = Some(Some(format!("patched {nth}")));
                let update = SessionUpdate { title, ..SessionUpdate::default() };
                self.request(client, Access::Owner, &Request::Update(update))
            }
            Step::CancelAll { client } => {
                self.request(client, Access::Editor, &Request::Cancel { request_id: None })
            }
            Step::Delete { client } => {
                // What a dead object gave to D1 is there by now, or never will be.
                self.host.deliveries.retain(|(_, is_waited_for)| *is_waited_for);
                self.request(client, Access::Owner, &Request::Delete)
            }
            Step::Append { client, nth } => self.append(client, nth),
            Step::Page { client } => self.page(client),
            Step::Up { nth } => self.up(nth),
            Step::Down { client, frames } => self.down(client, frames).map(drop),
            Step::Agent { nth, does } => self.agent(nth, does),
            Step::Advance { ms, with_alarm, late_ms } => self.advance(ms, with_alarm, late_ms),
            Step::Jump { ms } => {
                self.host.now += ms;
                self.truth.punctual_since = self.host.now;
                self.fire_due(false)
            }
            Step::Back { ms } => self.set_back(ms),
            Step::Timers { count } => {
                for _ in 0..count.min(self.host.timers.len()) {
                    self.host.fire_timer();
                    self.observe()?;
                }
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
                match after_outputs.checked_sub(1) {
                    // The runtime closes the sockets of an object that it ends in the middle of an event.
                    Some(after) => {
                        self.host.faults.sudden = Some((after, Sudden::Crash { sockets_survive: false }));
                    }
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
            Step::Spoil { nth, what } => {
                self.spoil(nth, what);
                Ok(())
            }
            Step::Index { nth, does } => self.deliver(nth, does),
            Step::SayFile { client, nth } => self.say_file(client, nth),
            Step::Fork { fork, nth, does } => self.fork(fork, nth, does),
            Step::Tab { tab, nth, does } => self.tab(tab, nth, does),
        }
    }

    /// Makes a stored value unreadable from now on.
    fn spoil(&mut self, nth: usize, what: Spoils) {
        let nth_record = |column| {
            let records = self.host.store.records.values();
            let seqs =
                records.filter(|record| column == "content" || record.is_end()).map(|record| record.seq);
            nth_of(&seqs.collect::<Vec<u64>>(), nth).map(|seq| Spoilt::Record { seq: *seq, column })
        };
        let nth_journal = |column| {
            let slots: Vec<usize> = self.host.store.journals.keys().copied().collect();
            nth_of(&slots, nth).map(|slot| Spoilt::Journal { slot: *slot, column })
        };
        let has_checkpoint = self.host.store.checkpoint.is_some();
        let fields = ["title", "messageCount", "owner", "permissionMode"];
        let spoilt = match what {
            Spoils::Content => nth_record("content"),
            Spoils::Status => nth_record("status"),
            Spoils::JournalText => nth_journal("text"),
            Spoils::JournalBlocks => nth_journal("blocks"),
            Spoils::Session => Some(Spoilt::Checkpoint { column: "session" }).filter(|_| has_checkpoint),
            Spoils::SessionField => {
                nth_of(&fields, nth).map(|field| Spoilt::Session { field }).filter(|_| has_checkpoint)
            }
            Spoils::Open => Some(Spoilt::Checkpoint { column: "open" }).filter(|_| has_checkpoint),
            Spoils::Delivered => Some(Spoilt::Checkpoint { column: "delivered" }).filter(|_| has_checkpoint),
        };
        let Some(spoilt) = spoilt else { return };
        self.note(|| format!("  {spoilt:?}"));
        let store = &mut self.host.store;
        store.spoilt.push(spoilt);
        match spoilt {
            Spoilt::Record { seq, .. } if !store.records[&seq].is_message() => {
                self.truth.lose(store.records[&seq].turn);
            }
            Spoilt::Record { seq, .. } => self.truth.spoil(store.as_read(&store.records[&seq])),
            Spoilt::Journal { slot, .. } => self.truth.tear(store.journals[&slot].turn),
            Spoilt::Checkpoint { .. } | Spoilt::Session { .. } => {}
        }
    }

    pub fn agent(&mut self, nth: usize, does: Does) -> Check {
        if does == Does::SpeakAfterTheEnd {
            // Of a call that was aborted nothing comes any more: that is the platform's to see to.
            let is_silent =
                |(id, turn): &(&TurnId, &Turn)| !self.host.agents.contains(*id) && !turn.calls.are_to_go_on();
            let silent: Vec<TurnId> = self.truth.turns.iter().filter(is_silent).map(|(id, _)| *id).collect();
            if let (Some(turn), Some(_)) = (nth_of(&silent, nth), self.host.thread()) {
                let events = vec![AgentEvent::Text("a ghost's words".into()), finished()];
                self.host.pump(Input::Agent { turn: *turn, events, tokens_used: 2 });
            }
            return self.observe();
        }
        let agents: Vec<TurnId> = self.host.agents.iter().copied().collect();
        let Some(turn) = nth_of(&agents, nth).copied() else { return Ok(()) };
        let open = match self.truth.turns.get(&turn).and_then(|turn| turn.said.last()) {
            Some(Piece::Open(block, grown)) => Some((block["id"].as_str().map(str::to_owned), grown.clone())),
            _ => None,
        };
        let unmarked = match (does, self.truth.turns.get(&turn)) {
            (Does::FinishUnmarked, Some(turn)) => unmarked(&turn.said, turn.from),
            _ => Vec::new(),
        };
        let events = self.events(does, open, unmarked);
        let mode = self.mode();
        self.truth.hear(self.host.now, turn, &events, &mode, &self.host.config);
        self.note(|| format!("  agent of {turn}: {events:?}"));
        self.host.agent(turn, events);
        self.observe()
    }

    /// The session's permission mode.
    pub fn mode(&self) -> String {
        let thread =
            || self.host.thread()?.session().map(|session| session.permission_mode.as_str().to_owned());
        let set = self.truth.settings.as_ref().map(|(_, mode)| mode.clone());
        set.or_else(thread).unwrap_or_default()
    }

    /// `open` is the block that is open: its id, if it is a call, and what it has grown to.
    fn events(
        &mut self,
        does: Does,
        open: Option<(Option<String>, String)>,
        client_calls: Vec<String>,
    ) -> Vec<AgentEvent> {
        let mut text = || {
            self.words += 1;
            AgentEvent::Text(format!("w{} é", self.words))
        };
        let block = |text: &AgentEvent| AgentEvent::Block(Block::thinking(format!("thought of {text:?}")));
        match does {
            Does::Text { pieces } => (0..pieces).map(|_| text()).collect(),
            Does::Block => vec![block(&text())],
            Does::TextAndBlock => {
                let first = text();
                let between = block(&first);
                vec![first, between, text()]
            }
            Does::Ask { for_approval, at_client } => {
                self.words += 1;
                let mut block =
                    json!({ "type": "tool_use", "id": format!("c{}", self.words), "name": "f", "input": 1 });
                if for_approval {
                    block["approval"] = json!({ "state": "requested" });
                }
                if at_client || !for_approval {
                    block["output"] = json!("client");
                }
                if let Some(kind) = ["read", "edit", "execute"].get(self.words % 4) {
                    block["kind"] = json!(kind);
                }
                vec![AgentEvent::Block(Block::parse(&block.to_string()).expect("a block"))]
            }
            Does::AskAndFinish { for_approval, at_client } => {
                let mut events = self.events(Does::Ask { for_approval, at_client }, None, Vec::new());
                events.push(finished());
                events
            }
            Does::FinishUnmarked => {
                vec![AgentEvent::Finished(Finished { tokens_used: 7, client_calls, ..Finished::default() })]
            }
            Does::Finish => vec![finished()],
            Does::TextAndFinish => vec![text(), finished()],
            Does::Fail => {
                let error = ErrorBody::retryable(ErrorCode::AgentError, "the model is not well");
                vec![text(), AgentEvent::Failed(Failed { tokens_used: 3, ..Failed::new(error) })]
            }
            Does::Refuse(remedy) => {
                let error = ErrorBody::retryable(ErrorCode::AgentError, "the model is not well today");
                vec![AgentEvent::Failed(Failed { remedy, ..Failed::new(error) })]
            }
            Does::Begin { is_call: true } => {
                self.words += 1;
                let id = format!("c{}", self.words);
                vec![AgentEvent::Begin(Block::tool_use(id, "f", Json::Null)), grow("{\"q\":\"é".into())]
            }
            Does::Begin { is_call: false } => {
                vec![AgentEvent::Begin(Block::thinking("")), grow("hm é".into())]
            }
            Does::Grow if open.is_some() => {
                self.words += 1;
                vec![grow(format!(" g{} é", self.words))]
            }
            Does::Close => match open {
                Some((Some(id), grown)) => {
                    let input = Json::parse(&format!("{grown}\"}}")).expect("it is JSON");
                    self.words += 1;
                    vec![AgentEvent::Block(Block::tool_use(id, "f", input))]
                }
                Some((None, grown)) => vec![AgentEvent::Block(Block::thinking(format!("{grown}.")))],
                None => Vec::new(),
            },
            Does::Drop => vec![AgentEvent::Drop],
            Does::Data => {
                self.words += 1;
                let data = Json::Number(self.words.to_string());
                let id = ["a", "b"].get(self.words % 3).map(|id| (*id).to_owned());
                vec![AgentEvent::Block(Block::Data { name: "d".into(), data, id })]
            }
            Does::Transient => {
                vec![AgentEvent::Data { name: "d".into(), data: Json::Bool(true), id: None }]
            }
            Does::Gather => vec![AgentEvent::Gathering],
            Does::EndSlowly => vec![AgentEvent::Ending(Finished::default())],
            Does::Grow | Does::Nothing | Does::SpeakAfterTheEnd => Vec::new(),
        }
    }

    /// Advances the clock; each timer is a little late.
    pub fn advance(&mut self, ms: u64, with_alarm: bool, late_ms: u64) -> Check {
        let target = self.host.now + ms;
        for _ in 0..FIRINGS_MAX {
            let alarm = self.host.alarm.filter(|_| with_alarm);
            let Some(at) = [self.host.timer(), alarm].into_iter().flatten().min().filter(|at| *at <= target)
            else {
                self.host.now = self.host.now.max(target);
                return Ok(());
            };
            self.host.now = self.host.now.max(at + late_ms);
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
        match does {
            IndexDoes::BeLost => self.databases.lose(),
            IndexDoes::BeRestored => self.databases.restore(),
            _ => {}
        }
        self.has_lost_d1 |= matches!(does, IndexDoes::BeLost | IndexDoes::BeRestored);
        let is_taken = !matches!(does, IndexDoes::Refuse | IndexDoes::Lose);
        let found = if is_taken { self.databases.apply(&delivery) } else { Found::default() };
        match does {
            IndexDoes::Take | IndexDoes::BeLost | IndexDoes::BeRestored if is_waited_for => {
                self.host.pump(Input::Delivered(Delivered::new(&delivery, found)));
            }
            IndexDoes::Refuse | IndexDoes::TakeAndSayNo if is_waited_for => {
                self.host.pump(Input::DeliveryFailed);
            }
            _ => {}
        }
        self.observe()
    }

    /// Sets the clock back. The thread sees the clock before and after, so it knows by how much.
    fn set_back(&mut self, ms: u64) -> Check {
        let is_awake = self.host.thread().is_some();
        if is_awake {
            self.host.pump(Input::Deadline);
            self.observe()?;
        }
        self.host.now -= ms;
        self.back_ms += ms;
        self.truth.set_back(ms);
        self.allowances.set_back(ms);
        if is_awake {
            self.host.pump(Input::Deadline);
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
            if matches!(seen, Seen::Woken { .. }) {
                self.allowances.forget();
            }
            let life = self.truth.life;
            self.truth.observe(&self.host, &seen)?;
            self.follow(&seen)?;
            self.tell(&seen)?;
            self.debts.as_mut().map_or(Ok(()), |debts| debts.observe(&seen))?;
            if self.truth.life > life {
                self.forget_frames();
            }
        }
        self.lose_dead_tabs();
        Ok(())
    }

    /// The follower of a turn reads at once.
    fn follow(&mut self, seen: &Seen) -> Check {
        match seen {
            Seen::Sent { reached, frame, .. } | Seen::Streamed { reached, frame } => {
                for peer in reached {
                    let Some(follower) = self.followers.get_mut(peer) else { continue };
                    follower.receive(frame, &self.truth).map_err(|why| format!("{peer}: {why}"))?;
                    if let Some(link) = self.host.links.get_mut(peer) {
                        link.down.clear();
                    }
                }
            }
            Seen::Closed { peer, code } => {
                let Some(follower) = self.followers.remove(peer) else { return Ok(()) };
                self.truth.people.remove(peer);
                if *code == CloseCode::Normal && !follower.is_over {
                    return Err(format!("{peer} is closed with {code:?} as {follower:?}"));
                }
            }
            Seen::Crashed { .. } => {
                for peer in std::mem::take(&mut self.followers).into_keys() {
                    self.truth.people.remove(&peer);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Checks the rules that hold between any two steps.
    fn check(&self) -> Check {
        let host = &self.host;
        let open = || self.truth.turns.iter().filter(|(_, turn)| turn.is_open());
        let queued = open().filter(|(_, turn)| !turn.is_started).count();
        let is_held = host.config.concurrent_turns == 1 && open().any(|(_, turn)| turn.waits());
        if let Some((peer, _)) = self.followers.iter().find(|(_, follower)| follower.is_over) {
            return Err(format!("{peer} has all that it asked for, and is not closed"));
        }
        if let Some(turn) = host.agents.iter().find(|turn| !self.truth.is_open(**turn)) {
            return Err(format!("the agent of turn {turn} works on after its end"));
        }
        if let Some((turn, _)) = open().find(|(id, turn)| turn.waits() && host.agents.contains(*id)) {
            return Err(format!("the agent of turn {turn} works on while it waits"));
        }
        if is_held && open().any(|(_, turn)| turn.runs()) {
            return Err("a turn runs past one that waits".into());
        }
        let has_appended = open().any(|(_, turn)| turn.is_appended());
        if is_held && has_appended && host.thread().is_some() {
            return Err("an answer that nobody asked for is held up by a turn that waits".into());
        }
        let is_busy = has_appended
            || open().any(|(_, turn)| turn.runs() || turn.is_ready() || (!turn.is_started && !is_held));
        if let Some(thread) = host.thread() {
            let is_idle = |(id, turn): &(&TurnId, &Turn)| {
                turn.runs() && !host.agents.contains(*id) && !turn.calls.are_to_go_on()
            };
            if let Some((turn, _)) = open().find(is_idle) {
                return Err(format!("turn {turn} runs without an agent"));
            }
            let running = open().filter(|(_, turn)| turn.runs()).count();
            let has_place = running < host.config.concurrent_turns;
            if queued > 0 && has_place && !is_held {
                return Err(format!("{queued} turns wait for {running}"));
            }
            if let Some((turn, _)) = open().find(|(_, turn)| turn.is_ready() && has_place) {
                return Err(format!("all calls of turn {turn} are answered, and its agent is not called"));
            }
            let since = self.truth.punctual_since;
            let is_overdue =
                |(_, turn): &(&TurnId, &Turn)| turn.calls.are_overdue(host.now, since, &host.config);
            if let Some((turn, it)) = open().find(is_overdue) {
                return Err(format!("nothing comes of turn {turn}: {:?}", it.calls));
            }
            if let Some(deadline) = Thread::poll_deadline(thread)
                && host.timer().is_none_or(|at| at > deadline)
            {
                return Err("a deadline without a timer".into());
            }
        }
        let latest = host.now + GUARD_MS + self.back_ms;
        let mut timers = host.timers.clone();
        timers.sort_unstable_by(|one, other| other.cmp(one));
        if timers != host.awaited_timers() {
            return Err(format!("timers are set for {timers:?} and awaited for {:?}", host.awaited_timers()));
        }
        let sockets = host.links.values().filter(|link| link.is_open);
        let attachments = sockets.filter_map(|link| link.attachment.as_ref());
        let expiry = attachments.filter_map(|attachment| attachment.identity.expires_at).min();
        // A crash in the middle of the alarm leaves a socket open until the next one.
        if expiry.is_some_and(|at| host.alarm.is_none_or(|alarm| alarm > at.max(latest))) {
            return Err(format!("a token expires at {expiry:?}, and the alarm is set for {:?}", host.alarm));
        }
        if queued > QUEUED_TURNS_MAX {
            return Err(format!("{queued} turns wait"));
        }
        let owes = self.databases.held().messages.len() + self.truth.parked.len() < self.truth.records.len();
        if (is_busy || (owes && !self.has_lost_d1)) && host.alarm.is_none() && !self.truth.has_lost_turn() {
            return Err("something is unfinished and no alarm is set".into());
        }
        if is_busy && host.alarm.is_some_and(|at| at > latest) {
            return Err(format!(
                "a turn is open, and the alarm is set for {:?}, not for {latest}",
                host.alarm
            ));
        }
        if host.store.owes_deletion() && host.alarm.is_none() {
            return Err("a deletion is owed to D1 and no alarm is set".into());
        }
        if self.truth.records.is_empty() && self.truth.life == 0 && host.store.rows_written > 0 {
            return Err("rows were written before the first message".into());
        }
        self.debts.as_ref().map_or(Ok(()), Debts::check)?;
        self.check_tabs()?;
        self.truth.check_journals(host.now)
    }

    /// Drops the frames of a session that is gone.
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

fn grow(more: String) -> AgentEvent {
    AgentEvent::Grow(more)
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
        Seen::Streamed { reached, frame } => format!("to the streams {reached:?} {}", frame.text),
        Seen::Started { turn, .. } => format!("started {turn}"),
        other => format!("{other:?}"),
    }
}
