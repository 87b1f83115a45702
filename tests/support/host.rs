//! The pump on a platform in memory and in virtual time, whose every part can fail.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;

use bobbin::agent::{Agent, AgentEvent, AgentRequest, Attempt, Call, Failed, Refusal, Reply};
use bobbin::dialect::Dialect;
use bobbin::protocol::{CloseCode, Identity, Millis};
use bobbin::pump::{Broken, Loaded, Log, Panicked, Platform, Pump};
use bobbin::thread::store::{Commit, Records, StoreError, Write};
use bobbin::thread::{Attachment, Config, Delivery, Event, Input, PeerId, Thread, TurnId};
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

impl Link {
    fn speaks(&self, dialect: Dialect) -> bool {
        self.attachment.as_ref().is_some_and(|attachment| attachment.dialect == dialect)
    }
}

/// What was carried out, in order.
#[derive(Clone, Debug)]
pub enum Seen {
    Woken,
    Stored(Commit),
    StoreFailed {
        was_applied: bool,
    },
    /// To all, if to nobody.
    Sent {
        to: Option<PeerId>,
        frame: Frame,
    },
    Started {
        turn: TurnId,
        request: AgentRequest,
    },
    Aborted {
        turn: TurnId,
    },
    Closed {
        peer: PeerId,
    },
    Alarm(Option<Millis>),
    Delivering(u64),
    Logged(Event),
    Crashed {
        sockets_survive: bool,
    },
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

/// An agent that calls nobody: what it says comes from the test.
#[derive(Debug)]
struct Scripted {
    /// What it was asked last.
    asked: RefCell<Option<AgentRequest>>,
    /// Reads what comes back, where that is bytes.
    reader: Option<Rc<dyn Agent>>,
}

impl Agent for Scripted {
    fn call(&self, request: &AgentRequest, _: Attempt) -> Call {
        self.asked.replace(Some(request.clone()));
        Call::Pieces { pieces: Vec::new(), delay_ms: 0 }
    }

    fn reply(&self) -> Box<dyn Reply> {
        self.reader.as_ref().map_or_else(|| Box::new(Silent) as Box<dyn Reply>, |agent| agent.reply())
    }
}

/// Reads nothing: what the agent says comes as events.
#[derive(Debug)]
struct Silent;

impl Reply for Silent {
    fn push(&mut self, _: &[u8]) -> Vec<AgentEvent> {
        Vec::new()
    }

    fn finish(&mut self) -> Vec<AgentEvent> {
        Vec::new()
    }

    fn refuse(&mut self, _: &Refusal) -> Vec<AgentEvent> {
        Vec::new()
    }

    fn fail(&mut self, failed: Failed) -> Vec<AgentEvent> {
        vec![AgentEvent::Failed(failed)]
    }

    fn tokens_used(&self) -> u64 {
        0
    }
}

/// The object: its pump, and what stays when the object ends.
pub struct Host {
    /// `None` only while one pump takes the place of another.
    pump: Option<Pump<World>>,
    agent: Rc<Scripted>,
    pub session_id: String,
    pub config: Config,
}

/// The platform, as the simulation has it.
pub struct World {
    pub now: Millis,
    pub store: MemoryStore,
    pub links: BTreeMap<PeerId, Link>,
    agent: Rc<Scripted>,
    /// Agents at work.
    pub agents: BTreeSet<TurnId>,
    /// Deliveries under way, and whether whoever gave them still waits for the answer.
    pub deliveries: VecDeque<(Delivery, bool)>,
    pub alarm: Option<Millis>,
    /// The earliest first.
    timers: BTreeSet<Millis>,
    pub faults: Faults,
    pub seen: Vec<Seen>,
    pub random: Random,
}

impl Deref for Host {
    type Target = World;

    fn deref(&self) -> &World {
        self.pump.as_ref().expect("a pump").platform()
    }
}

impl DerefMut for Host {
    fn deref_mut(&mut self) -> &mut World {
        self.pump.as_mut().expect("a pump").platform_mut()
    }
}

impl Host {
    pub fn new(config: Config, seed: u64) -> Self {
        Host::with_agent(config, seed, None)
    }

    /// What comes back of calls is read as this agent reads it.
    pub fn with_agent(config: Config, seed: u64, reader: Option<Rc<dyn Agent>>) -> Self {
        let agent = Rc::new(Scripted { asked: RefCell::default(), reader });
        let world = World {
            agent: agent.clone(),
            now: 1_700_000_000_000,
            store: MemoryStore::default(),
            links: BTreeMap::new(),
            agents: BTreeSet::new(),
            deliveries: VecDeque::new(),
            alarm: None,
            timers: BTreeSet::new(),
            faults: Faults::default(),
            seen: Vec::new(),
            random: Random::new(seed),
        };
        let session_id = String::from("s1");
        let pump = Pump::new(session_id.clone(), config, agent.clone(), world);
        Host { pump: Some(pump), agent, session_id, config }
    }

    pub fn thread(&self) -> Option<&Thread> {
        self.pump.as_ref().and_then(Pump::awake)
    }

    /// Whether the input was carried out.
    pub fn pump(&mut self, input: Input) -> bool {
        let is_alarm = matches!(input, Input::Alarm);
        if is_alarm {
            self.alarm = None;
        }
        let is_done = self.run(|pump| pump.input(input));
        // The platform repeats an alarm whose handler failed.
        if is_alarm && self.thread().is_none() && self.alarm.is_none() {
            self.alarm = Some(self.now + 2_000);
        }
        is_done
    }

    fn run<E>(&mut self, work: impl FnOnce(&mut Pump<World>) -> Result<(), E>) -> bool {
        let pump = self.pump.as_mut().expect("a pump");
        match catch_unwind(AssertUnwindSafe(|| work(pump))) {
            Ok(outcome) => outcome.is_ok(),
            Err(thrown) => match thrown.downcast_ref() {
                Some(Sudden::Crash { sockets_survive }) => self.crash(*sockets_survive),
                _ => resume_unwind(thrown),
            },
        }
    }

    /// A client's upgrade; whether it was let in.
    pub fn connect(&mut self, peer: &PeerId, cursor: Option<String>) -> bool {
        self.connect_as(peer, Identity::anyone(), cursor)
    }

    pub fn connect_as(&mut self, peer: &PeerId, identity: Identity, cursor: Option<String>) -> bool {
        let is_awake = self.run(|pump| pump.thread().map(drop));
        if is_awake
            && let Some((code, _)) = self.thread().and_then(|thread| thread.refuses(self.now, &identity))
        {
            self.links.insert(peer.clone(), Link { close: Some(code), ..Link::default() });
            return false;
        }
        self.links.insert(peer.clone(), Link { is_open: true, ..Link::default() });
        self.pump(Input::Joined { peer: peer.clone(), identity, dialect: Dialect::Native, cursor });
        self.links.get(peer).is_some_and(|link| link.is_open && link.attachment.is_some())
    }

    pub fn receive(&mut self, peer: &PeerId, text: &str) {
        match self.links.get(peer) {
            Some(link) if link.is_open && link.attachment.is_some() => {
                self.run(|pump| pump.frame(peer.clone(), Dialect::Native, text));
            }
            Some(link) if link.is_open => self.end_link(peer, CloseCode::InternalError),
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

    /// When the next timer fires.
    pub fn timer(&self) -> Option<Millis> {
        self.timers.first().copied()
    }

    /// The earliest timer fires, or one that was set before the object was.
    pub fn fire_timer(&mut self) {
        self.timers.pop_first();
        self.run(Pump::timer_fired);
    }

    /// Hibernation: only sockets and the store are left.
    pub fn evict(&mut self) {
        self.end_object();
        self.forget_unattached();
    }

    pub fn may_be_evicted(&self) -> bool {
        let is_waited_for = self.deliveries.iter().any(|(_, is_waited_for)| *is_waited_for);
        self.thread().is_some() && self.agents.is_empty() && self.timers.is_empty() && !is_waited_for
    }

    /// Always false: the object is not there any more.
    pub fn crash(&mut self, sockets_survive: bool) -> bool {
        self.seen.push(Seen::Crashed { sockets_survive });
        self.end_object();
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

    fn end_object(&mut self) {
        self.timers.clear();
        let world = self.pump.take().map(Pump::into_platform);
        self.pump =
            world.map(|world| Pump::new(self.session_id.clone(), self.config, self.agent.clone(), world));
    }
}

impl World {
    fn frame(&mut self, text: &str) -> Frame {
        self.trip();
        let json = Rc::new(serde_json::from_str(text).expect("a frame is JSON"));
        Frame { text: text.into(), json }
    }

    /// Ends everything at the output that a fault names.
    fn trip(&mut self) {
        match &mut self.faults.sudden {
            Some((0, sudden)) => {
                let sudden = *sudden;
                self.faults.sudden = None;
                resume_unwind(Box::new(sudden));
            }
            Some((left, _)) => *left -= 1,
            None => {}
        }
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

    /// A socket is known to a new instance by what was attached to it.
    fn forget_unattached(&mut self) {
        for link in self.links.values_mut().filter(|link| link.attachment.is_none()) {
            link.is_open = false;
        }
    }

    fn end_link(&mut self, peer: &PeerId, code: CloseCode) {
        if let Some(link) = self.links.get_mut(peer) {
            link.is_open = false;
            link.close = Some(code);
            self.seen.push(Seen::Closed { peer: peer.clone() });
        }
    }
}

impl Platform for World {
    fn now(&self) -> Millis {
        self.now
    }

    fn seed(&mut self) -> Result<u64, StoreError> {
        Ok(self.random.next())
    }

    fn load(&mut self) -> Result<Loaded, Broken> {
        self.seen.push(Seen::Woken);
        Ok(Loaded { stored: self.store.load()?, is_deletion_owed: self.store.is_deletion_owed })
    }

    fn records(&self) -> &dyn Records {
        &self.store
    }

    fn apply(&mut self, commit: Commit) -> Result<(), StoreError> {
        self.trip();
        let failing = self.failing_write();
        if failing != Some(false) {
            self.store.apply(&commit);
            if commit.0.contains(&Write::Delete) {
                self.links.values_mut().for_each(|link| link.down.clear());
            }
            self.seen.push(Seen::Stored(commit));
        }
        let Some(was_applied) = failing else { return Ok(()) };
        self.seen.push(Seen::StoreFailed { was_applied });
        Err(StoreError("a write that was made to fail".into()))
    }

    fn set_alarm(&mut self, at: Option<Millis>) -> Result<(), StoreError> {
        self.trip();
        if self.failing_write().is_some() {
            self.seen.push(Seen::StoreFailed { was_applied: false });
            return Err(StoreError("an alarm that was made to fail".into()));
        }
        self.alarm = at;
        self.seen.push(Seen::Alarm(at));
        Ok(())
    }

    fn start_timer(&mut self, at: Millis) {
        self.timers.insert(at);
    }

    fn clear_timers(&mut self) {
        self.timers.clear();
    }

    fn peers(&self) -> Vec<(PeerId, Attachment)> {
        let attached = |(peer, link): (&PeerId, &Link)| {
            link.attachment.clone().filter(|_| link.is_open).map(|attachment| (peer.clone(), attachment))
        };
        self.links.iter().filter_map(attached).collect()
    }

    fn send(&mut self, to: &PeerId, text: &str) {
        let frame = self.frame(text);
        if let Some(link) = self.links.get_mut(to).filter(|link| link.is_open) {
            link.down.push_back(frame.clone());
        }
        self.seen.push(Seen::Sent { to: Some(to.clone()), frame });
    }

    /// What is said in the contract's own dialect is watched, also where nobody listens.
    fn is_spoken(&self, dialect: Dialect) -> bool {
        dialect == Dialect::Native || self.links.values().any(|link| link.is_open && link.speaks(dialect))
    }

    fn send_to_all(&mut self, dialect: Dialect, text: &str) {
        let frame = self.frame(text);
        for link in self.links.values_mut().filter(|link| link.is_open && link.speaks(dialect)) {
            link.down.push_back(frame.clone());
        }
        self.seen.push(Seen::Sent { to: None, frame });
    }

    fn attach(&mut self, peer: &PeerId, attachment: Attachment) {
        self.trip();
        if let Some(link) = self.links.get_mut(peer) {
            link.attachment = Some(attachment);
        }
    }

    fn close(&mut self, peer: &PeerId, code: CloseCode, _: &str) {
        self.trip();
        self.end_link(peer, code);
    }

    fn close_all(&mut self, code: CloseCode, _: &str) {
        let peers: Vec<PeerId> = self.links.keys().cloned().collect();
        for peer in peers {
            self.end_link(&peer, code);
        }
    }

    fn call_agent(&mut self, turn: TurnId, _: Call) {
        self.trip();
        self.agents.insert(turn);
        let request = self.agent.asked.take().expect("the agent was asked");
        self.seen.push(Seen::Started { turn, request });
    }

    fn abort_agent(&mut self, turn: TurnId) {
        self.trip();
        self.agents.remove(&turn);
        self.seen.push(Seen::Aborted { turn });
    }

    fn abort_all_agents(&mut self) {
        self.agents.clear();
    }

    fn deliver(&mut self, delivery: Delivery) {
        self.trip();
        self.seen.push(Seen::Delivering(delivery.seq));
        self.deliveries.push_back((delivery, true));
    }

    fn log(&mut self, line: Log<'_>) {
        match line {
            Log::Event(event) => {
                self.trip();
                self.seen.push(Seen::Logged(event.clone()));
            }
            // Whoever made it fail has said so.
            Log::StoreFailed(_) => {}
            Log::Panicked => self.seen.push(Seen::Panicked),
            Log::GaveUp => self.seen.push(Seen::GaveUp),
        }
    }

    fn guard(work: &mut dyn FnMut()) -> Result<(), Panicked> {
        catch_unwind(AssertUnwindSafe(work)).map_err(|thrown| match thrown.downcast_ref() {
            Some(Sudden::Panic) => Panicked,
            _ => resume_unwind(thrown),
        })
    }
}
