//! What `src/session_do/shell.rs` does, without a platform: one input in, its outputs carried out in order,
//! and the one way back from a failure.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use bobbin::agent::{AgentEvent, AgentRequest, Failed};
use bobbin::protocol::limits::SOCKETS_MAX;
use bobbin::protocol::{CloseCode, ErrorBody, ErrorCode, Identity, Millis};
use bobbin::thread::store::{Commit, Write};
use bobbin::thread::{
    Attachment, Audience, Blame, Cause, Config, Delivery, Event, Input, Output, PeerId, Thread, TurnId, Woken,
};
use serde_json::Value;

use super::{MemoryStore, Random};

/// A frame, as it went out and read back.
#[derive(Clone, Debug)]
pub struct Frame {
    pub text: Rc<str>,
    pub json: Rc<Value>,
}

/// One socket, from the object to its client.
#[derive(Debug, Default)]
pub struct Link {
    pub attachment: Option<Attachment>,
    pub is_open: bool,
    pub close: Option<CloseCode>,
    /// Frames under way to the client.
    pub down: VecDeque<Frame>,
}

/// What was carried out, in order.
#[derive(Clone, Debug)]
pub enum Seen {
    Woken,
    Stored(Commit),
    StoreFailed { was_applied: bool },
    Sent { to: Audience, frame: Frame },
    Started { turn: TurnId, request: AgentRequest },
    Unstarted { turn: TurnId },
    Aborted { turn: TurnId },
    Closed { peer: PeerId },
    Alarm(Option<Millis>),
    Delivering(u64),
    Logged(Event),
    Crashed { sockets_survive: bool },
    Panicked,
    GaveUp,
}

/// An end without warning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sudden {
    /// Of the object; its sockets die with it, or live on as those of a rebuilt wasm instance do.
    Crash { sockets_survive: bool },
    /// Of the thread.
    Panic,
}

#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// After so many more outputs.
    pub sudden: Option<(u32, Sudden)>,
    /// After so many more writes, so many fail, and all the same may be applied.
    pub writes: Option<(u32, u32, bool)>,
}

#[derive(Debug)]
pub enum Failure {
    Store,
    Sudden(Sudden),
}

pub struct Host {
    pub session_id: String,
    pub config: Config,
    pub now: Millis,
    pub store: MemoryStore,
    pub thread: Option<Thread>,
    /// The frame that was handled last.
    handling: Option<Blame>,
    pub links: BTreeMap<PeerId, Link>,
    /// Agents at work.
    pub agents: BTreeSet<TurnId>,
    /// Deliveries under way, and whether whoever gave them still waits for the answer.
    pub deliveries: VecDeque<(Delivery, bool)>,
    pub alarm: Option<Millis>,
    pub timer: Option<Millis>,
    pub faults: Faults,
    pub seen: Vec<Seen>,
    pub random: Random,
}

impl Host {
    pub fn new(config: Config, seed: u64) -> Self {
        Host {
            session_id: "s1".into(),
            config,
            now: 1_700_000_000_000,
            store: MemoryStore::default(),
            thread: None,
            handling: None,
            links: BTreeMap::new(),
            agents: BTreeSet::new(),
            deliveries: VecDeque::new(),
            alarm: None,
            timer: None,
            faults: Faults::default(),
            seen: Vec::new(),
            random: Random::new(seed),
        }
    }

    /// Whether the object is still there afterwards.
    pub fn pump(&mut self, input: Input) -> bool {
        let is_alarm = matches!(input, Input::Alarm);
        if is_alarm {
            self.alarm = None;
        }
        let is_there = match self.attempt(Cause::Start, Some(input)) {
            Ok(()) => true,
            Err(Failure::Sudden(Sudden::Crash { sockets_survive })) => self.crash(sockets_survive),
            Err(failure) => self.recover(&failure),
        };
        // An alarm whose handler failed is repeated by the platform.
        if is_alarm && !is_there && self.alarm.is_none() {
            self.alarm = Some(self.now + 2_000);
        }
        if is_there {
            self.arm_timer();
        }
        is_there
    }

    /// A client's upgrade; whether it was let in.
    pub fn connect(&mut self, peer: &PeerId, cursor: Option<String>) -> bool {
        if self.thread.is_none() {
            self.pump(Input::Deadline);
        }
        let peers = self.thread.as_ref().map_or(0, Thread::peers);
        if peers >= SOCKETS_MAX {
            return false;
        }
        self.links.insert(peer.clone(), Link { is_open: true, ..Link::default() });
        self.pump(Input::Joined { peer: peer.clone(), identity: Identity::anyone(), cursor });
        self.links.get(peer).is_some_and(|link| link.is_open)
    }

    pub fn receive(&mut self, peer: &PeerId, text: String) {
        match self.links.get(peer) {
            Some(link) if link.is_open && link.attachment.is_some() => {
                self.pump(Input::Frame { peer: peer.clone(), text });
            }
            Some(link) if link.is_open => self.close(peer, CloseCode::InternalError),
            _ => {}
        }
    }

    /// The runtime says that a client is gone.
    pub fn disconnect(&mut self, peer: &PeerId) {
        let was_known = self.links.remove(peer).is_some_and(|link| link.attachment.is_some());
        if was_known {
            self.pump(Input::Left { peer: peer.clone() });
        }
    }

    /// What one read of an agent's stream brings; nothing if the agent does not work for the object.
    pub fn agent(&mut self, turn: TurnId, events: Vec<AgentEvent>) {
        let is_over =
            events.iter().any(|event| matches!(event, AgentEvent::Finished(_) | AgentEvent::Failed(_)));
        if is_over {
            self.agents.remove(&turn);
        }
        let tokens_used = events.len() as u64;
        self.pump(Input::Agent { turn, events, tokens_used });
    }

    pub fn fire_timer(&mut self) {
        self.timer = None;
        self.pump(Input::Deadline);
    }

    /// Hibernation: only sockets and the store are left.
    pub fn evict(&mut self) {
        self.thread = None;
        self.timer = None;
        self.forget_unattached();
    }

    pub fn may_be_evicted(&self) -> bool {
        let is_waited_for = self.deliveries.iter().any(|(_, is_waited_for)| *is_waited_for);
        self.thread.is_some() && self.agents.is_empty() && self.timer.is_none() && !is_waited_for
    }

    pub fn crash(&mut self, sockets_survive: bool) -> bool {
        self.seen.push(Seen::Crashed { sockets_survive });
        self.thread = None;
        self.timer = None;
        self.agents.clear();
        for (_, is_waited_for) in &mut self.deliveries {
            *is_waited_for = false;
        }
        if sockets_survive {
            self.forget_unattached();
        } else {
            self.links.values_mut().for_each(|link| link.is_open = false);
        }
        false
    }

    fn recover(&mut self, failure: &Failure) -> bool {
        let blame = self.handling.take();
        let cause = match failure {
            Failure::Store => Cause::StoreFailed(blame),
            Failure::Sudden(_) => {
                self.seen.push(Seen::Panicked);
                Cause::Panicked(blame)
            }
        };
        self.agents.clear();
        self.thread = None;
        match self.attempt(cause, None) {
            Ok(()) => true,
            Err(Failure::Sudden(Sudden::Crash { sockets_survive })) => self.crash(sockets_survive),
            Err(_) => {
                self.seen.push(Seen::GaveUp);
                self.thread = None;
                self.agents.clear();
                let peers: Vec<PeerId> = self.links.keys().cloned().collect();
                for peer in peers {
                    self.close(&peer, CloseCode::InternalError);
                }
                false
            }
        }
    }

    fn attempt(&mut self, waking: Cause, input: Option<Input>) -> Result<(), Failure> {
        let mut inputs = VecDeque::new();
        if self.thread.is_none() {
            self.seen.push(Seen::Woken);
            let stored = self.store.load().map_err(|_| Failure::Store)?;
            let attached = |(peer, link): (&PeerId, &Link)| {
                link.attachment.clone().filter(|_| link.is_open).map(|attachment| (peer.clone(), attachment))
            };
            let peers = self.links.iter().filter_map(attached).collect();
            let seed = self.random.next();
            let is_deletion_owed = self.store.is_deletion_owed;
            let woken = Woken { stored, is_deletion_owed, peers, seed, cause: waking };
            inputs.push_back(Input::Woken(Box::new(woken)));
            self.thread = Some(Thread::new(self.session_id.clone(), self.config));
        }
        inputs.extend(input);
        while let Some(input) = inputs.pop_front() {
            let Some(thread) = self.thread.as_mut() else { return Ok(()) };
            self.handling = match &input {
                Input::Frame { peer, text } => Some(Blame { peer: peer.clone(), text: text.clone() }),
                _ => None,
            };
            thread.handle(self.now, &self.store, input);
            let outputs: Vec<Output> = std::iter::from_fn(|| thread.poll_output()).collect();
            for output in outputs {
                self.trip()?;
                inputs.extend(self.carry_out(output)?);
            }
        }
        Ok(())
    }

    fn trip(&mut self) -> Result<(), Failure> {
        match &mut self.faults.sudden {
            Some((0, sudden)) => {
                let sudden = *sudden;
                self.faults.sudden = None;
                Err(Failure::Sudden(sudden))
            }
            Some((left, _)) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn carry_out(&mut self, output: Output) -> Result<Option<Input>, Failure> {
        match output {
            Output::Store(commit) => {
                let failing = self.failing_write();
                if failing != Some(false) {
                    self.store.apply(&commit);
                    if commit.0.contains(&Write::Delete) {
                        self.links.values_mut().for_each(|link| link.down.clear());
                    }
                    self.seen.push(Seen::Stored(commit));
                }
                if let Some(was_applied) = failing {
                    self.seen.push(Seen::StoreFailed { was_applied });
                    return Err(Failure::Store);
                }
            }
            Output::Send { to, frame } => self.send(to, frame),
            Output::StartAgent { turn } => return Ok(self.start_agent(turn)),
            Output::AbortAgent { turn } => {
                self.agents.remove(&turn);
                self.seen.push(Seen::Aborted { turn });
            }
            Output::Attach { peer, attachment } => {
                if let Some(link) = self.links.get_mut(&peer) {
                    link.attachment = Some(attachment);
                }
            }
            Output::Close { peer, code, .. } => self.close(&peer, code),
            Output::SetAlarm(at) => {
                if self.failing_write().is_some() {
                    self.seen.push(Seen::StoreFailed { was_applied: false });
                    return Err(Failure::Store);
                }
                self.alarm = at;
                self.seen.push(Seen::Alarm(at));
            }
            Output::Deliver => return Ok(self.deliver()),
            Output::Log(event) => self.seen.push(Seen::Logged(event)),
        }
        Ok(None)
    }

    fn failing_write(&mut self) -> Option<bool> {
        let (after, times, is_applied) = self.faults.writes.as_mut()?;
        if *after > 0 {
            *after -= 1;
            return None;
        }
        let is_applied = *is_applied;
        *times -= 1;
        if *times == 0 {
            self.faults.writes = None;
        }
        Some(is_applied)
    }

    fn send(&mut self, to: Audience, text: Rc<str>) {
        let json = Rc::new(serde_json::from_str(&text).expect("a frame is JSON"));
        let frame = Frame { text, json };
        // A socket hears what goes to all from its attachment on: before it, it is catching up.
        let is_meant = |peer: &PeerId, link: &Link| match &to {
            Audience::All => link.attachment.is_some(),
            Audience::One(one) => one == peer,
        };
        for (peer, link) in &mut self.links {
            if link.is_open && is_meant(peer, link) {
                link.down.push_back(frame.clone());
            }
        }
        self.seen.push(Seen::Sent { to, frame });
    }

    fn start_agent(&mut self, turn: TurnId) -> Option<Input> {
        if let Ok(request) = self.thread.as_ref()?.agent_request(&self.store, turn) {
            self.agents.insert(turn);
            self.seen.push(Seen::Started { turn, request });
            return None;
        }
        self.seen.push(Seen::Unstarted { turn });
        let error = ErrorBody::retryable(ErrorCode::StorageError, "the history could not be read");
        let events = vec![AgentEvent::Failed(Failed { error, tokens_used: 0 })];
        Some(Input::Agent { turn, events, tokens_used: 0 })
    }

    fn deliver(&mut self) -> Option<Input> {
        match self.thread.as_ref()?.delivery(&self.store) {
            Ok(delivery) => {
                self.seen.push(Seen::Delivering(delivery.seq));
                self.deliveries.push_back((delivery, true));
                None
            }
            Err(_) => Some(Input::DeliveryFailed),
        }
    }

    fn close(&mut self, peer: &PeerId, code: CloseCode) {
        if let Some(link) = self.links.get_mut(peer) {
            link.is_open = false;
            link.close = Some(code);
            self.seen.push(Seen::Closed { peer: peer.clone() });
        }
    }

    fn arm_timer(&mut self) {
        let deadline = self.thread.as_ref().and_then(Thread::poll_deadline);
        let is_kept = |armed_for: &u64| deadline.is_some_and(|deadline| *armed_for <= deadline);
        self.timer = self.timer.filter(is_kept).or(deadline);
    }

    /// A socket is known to a new instance by what was attached to it.
    fn forget_unattached(&mut self) {
        for link in self.links.values_mut().filter(|link| link.attachment.is_none()) {
            link.is_open = false;
        }
    }
}
