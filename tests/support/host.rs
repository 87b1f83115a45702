//! The object: a pump on the tests' platform, and the runtime around it.

use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;

use bobbin::agent::{Agent, AgentEvent};
use bobbin::dialect::Dialect;
use bobbin::protocol::{CloseCode, Identity, Millis, Post, StockRequest};
use bobbin::pump::{Accepted, Pump, Undone};
use bobbin::thread::stock::socket_of;
use bobbin::thread::{Config, Denied, Import, Input, PeerId, Request, Thread, TurnId};

use super::scripted::Scripted;
use super::world::{Link, Seen, Sudden, World};
pub const SESSION_ID: &str = "s1";

/// The object: its pump, and the state that survives it.
pub struct Host {
    /// `None` only while a new pump replaces an old one.
    pump: Option<Pump<World>>,
    agent: Rc<Scripted>,
    pub session_id: String,
    pub config: Config,
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
    /// Sets whether the agent is running a tool.
    pub fn set_agent_runs_tool(&self, is_running: bool) {
        self.agent.is_running_tool.set(is_running);
    }

    pub fn new(config: Config, seed: u64) -> Self {
        Host::with_agent(config, seed, None)
    }

    /// A host whose agent output is parsed by this agent.
    pub fn with_agent(config: Config, seed: u64, reader: Option<Rc<dyn Agent>>) -> Self {
        Host::of(SESSION_ID, config, seed, reader)
    }

    /// The object of another session.
    pub fn of(session_id: &str, config: Config, seed: u64, reader: Option<Rc<dyn Agent>>) -> Self {
        let agent = Rc::new(Scripted::new(reader));
        let session_id = String::from(session_id);
        let world = World::new(session_id.clone(), agent.clone(), seed);
        let pump = Pump::new(session_id.clone(), config, agent.clone(), world);
        Host { pump: Some(pump), agent, session_id, config }
    }

    pub fn thread(&self) -> Option<&Thread> {
        self.pump.as_ref().and_then(Pump::awake)
    }

    /// Hands the pump an input. Returns whether it was carried out.
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

    pub(super) fn run<E>(&mut self, work: impl FnOnce(&mut Pump<World>) -> Result<(), E>) -> bool {
        let pump = self.pump.as_mut().expect("a pump");
        match catch_unwind(AssertUnwindSafe(|| work(pump))) {
            Ok(outcome) => outcome.is_ok(),
            Err(thrown) => match thrown.downcast_ref() {
                Some(Sudden::Crash { sockets_survive }) => self.crash(*sockets_survive),
                // A panic outside of the thread leaves only the object to be started again.
                Some(Sudden::Panic) => self.crash(true),
                _ => resume_unwind(thrown),
            },
        }
    }

    /// Opens a client's socket. Returns whether it was let in.
    pub fn connect(&mut self, peer: &PeerId, cursor: Option<String>) -> bool {
        self.connect_as(peer, Identity::anyone(), cursor)
    }

    pub fn connect_as(&mut self, peer: &PeerId, identity: Identity, cursor: Option<String>) -> bool {
        self.connect_in(Dialect::Native, peer, identity, cursor)
    }

    pub fn connect_in(
        &mut self,
        dialect: Dialect,
        peer: &PeerId,
        identity: Identity,
        cursor: Option<String>,
    ) -> bool {
        if !self.link(peer, &identity) {
            return false;
        }
        self.pump(Input::Joined { peer: peer.clone(), identity, dialect, cursor });
        let has_joined = self.links.get(peer).is_some_and(|link| link.is_open && link.attachment.is_some());
        if !has_joined {
            self.end_link(peer, CloseCode::InternalError);
        }
        has_joined
    }

    /// Makes a request that a program makes over HTTP. Returns whether the caller has the right to it; that is known
    /// even if the thread does not answer.
    pub fn request(&mut self, identity: &Identity, request: Request) -> Result<(), Denied> {
        let mut permitted = Ok(());
        self.run(|pump| match pump.request(identity, request) {
            Err(Undone::Denied(denied)) => {
                permitted = Err(denied);
                Ok(())
            }
            outcome => outcome,
        });
        permitted
    }

    /// Imports a session; `None` if the object died meanwhile.
    pub fn import(&mut self, identity: &Identity, import: Import) -> Option<Result<usize, Undone>> {
        let mut answer = None;
        self.run(|pump| answer.insert(pump.import(identity, import)).as_ref().map(drop).map_err(drop));
        answer
    }

    /// Makes a post over HTTP; `None` if the object died meanwhile. A post that follows its turn keeps the stream
    /// open.
    pub fn post(
        &mut self,
        peer: &PeerId,
        identity: Identity,
        post: Post,
        follows: bool,
    ) -> Option<Result<Accepted, Undone>> {
        if follows {
            self.links.insert(peer.clone(), Link { is_open: true, ..Link::default() });
        }
        let mut answer = None;
        self.run(|pump| {
            let outcome = pump.post(peer.clone(), identity, post, follows);
            answer.insert(outcome).as_ref().map(drop).map_err(drop)
        });
        if !matches!(answer, Some(Ok(_))) {
            self.links.remove(peer);
        }
        answer
    }

    /// Opens a socket, or closes it as the shell does before the thread knows it. Returns whether it is open.
    fn link(&mut self, peer: &PeerId, identity: &Identity) -> bool {
        self.run(|pump| pump.thread().map(drop));
        let refused = match self.thread() {
            Some(thread) => thread.refuses(self.now, identity).map(|(code, _)| code),
            None => Some(CloseCode::InternalError),
        };
        let is_open = refused.is_none();
        self.links.insert(peer.clone(), Link { close: refused, is_open, ..Link::default() });
        is_open
    }

    /// Opens a stock client's socket. Returns whether it was let in.
    pub fn open(&mut self, dialect: Dialect, peer: &PeerId, identity: Identity, detaches: bool) -> bool {
        if !self.link(peer, &identity) {
            return false;
        }
        self.pump(Input::Opened { peer: peer.clone(), identity, dialect, detaches });
        self.links.get(peer).is_some_and(|link| link.is_open && link.attachment.is_some())
    }

    /// Lets a stock client ask for a turn over HTTP; `None` if the object died meanwhile.
    pub fn follow(
        &mut self,
        dialect: Dialect,
        peer: &PeerId,
        identity: Identity,
        request: StockRequest,
    ) -> Option<Result<(), Undone>> {
        self.links.insert(peer.clone(), Link { is_open: true, ..Link::default() });
        let mut answer = None;
        self.run(|pump| {
            let outcome = pump.follow(peer.clone(), identity, dialect, request);
            answer.insert(outcome).as_ref().map(drop).map_err(drop)
        });
        if !matches!(answer, Some(Ok(()))) {
            self.links.remove(peer);
        }
        answer
    }

    pub fn receive(&mut self, peer: &PeerId, text: &str) {
        match self.links.get(peer) {
            Some(link) if link.is_open && link.attachment.is_some() => {
                let dialect =
                    link.attachment.as_ref().map(|attachment| attachment.dialect).unwrap_or_default();
                if dialect.stock().is_some() {
                    self.run(|pump| pump.stock_frame(peer, dialect, text).map(drop));
                } else {
                    self.run(|pump| pump.frame(peer.clone(), dialect, text));
                }
            }
            Some(link) if link.is_open => self.end_link(peer, CloseCode::InternalError),
            _ => {}
        }
    }

    /// Reports, as the runtime does, that a client is gone.
    pub fn disconnect(&mut self, peer: &PeerId) {
        let was_known = self.links.remove(peer).is_some_and(|link| link.attachment.is_some());
        self.links.retain(|id, _| socket_of(id).is_none_or(|(socket, _)| socket != &**peer));
        if was_known {
            self.pump(Input::Left { peer: peer.clone() });
        }
    }

    /// Hands in one read of an agent's stream. Does nothing if the agent does not work for the object.
    pub fn agent(&mut self, turn: TurnId, events: Vec<AgentEvent>) {
        let is_over =
            events.iter().any(|event| matches!(event, AgentEvent::Finished(_) | AgentEvent::Failed(_)));
        if is_over {
            self.agents.remove(&turn);
        }
        let tokens_used = events.len() as u64;
        self.pump(Input::Agent { turn, events, tokens_used });
    }

    /// The time at which the next timer fires.
    pub fn timer(&self) -> Option<Millis> {
        self.timers.iter().min().copied()
    }

    /// The timers that the pump counts on, the earliest last.
    pub fn awaited_timers(&self) -> &[Millis] {
        self.pump.as_ref().map_or(&[], Pump::timers)
    }

    /// Fires the earliest timer, whatever the time is.
    pub fn fire_timer(&mut self) {
        let earliest = self.timer();
        if let Some(place) = self.timers.iter().position(|at| Some(*at) == earliest) {
            self.timers.swap_remove(place);
        }
        self.run(Pump::timer_fired);
    }

    /// Hibernates the object: only sockets and the store are left.
    pub fn evict(&mut self) {
        self.end_object();
        self.forget_unattached();
    }

    pub fn may_be_evicted(&self) -> bool {
        let is_waited_for = self.deliveries.iter().any(|(_, is_waited_for)| *is_waited_for);
        let is_removing = self.removals.iter().any(|(_, is_waited_for)| *is_waited_for);
        let waits = is_waited_for || is_removing;
        let has_streams = self.links.values().any(|link| link.is_open && link.is_stream());
        let rests = self.agents.is_empty() && self.timers.is_empty() && !waits && !has_streams;
        self.thread().is_some() && rests
    }

    /// Ends the object. Always returns false, because the object is gone.
    pub fn crash(&mut self, sockets_survive: bool) -> bool {
        self.seen.push(Seen::Crashed { sockets_survive });
        self.end_object();
        self.agents.clear();
        for (_, is_waited_for) in &mut self.deliveries {
            *is_waited_for = false;
        }
        for (_, is_waited_for) in &mut self.removals {
            *is_waited_for = false;
        }
        if sockets_survive {
            self.forget_unattached();
        } else {
            self.links.values_mut().for_each(|link| link.is_open = false);
        }
        false
    }

    /// Ends the streams, which end with the object.
    fn end_object(&mut self) {
        self.links.values_mut().filter(|link| link.is_stream()).for_each(|link| link.is_open = false);
        // The chunk numbers of a socket's requests are not stored with the socket.
        self.links.values_mut().for_each(|link| link.sequence = 0);
        self.timers.clear();
        let world = self.pump.take().map(Pump::into_platform);
        self.pump =
            world.map(|world| Pump::new(self.session_id.clone(), self.config, self.agent.clone(), world));
    }
}
