//! A platform for the pump in memory and in virtual time, of which every part can fail.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;

use bobbin::agent::{AgentRequest, Call, Enclosed};
use bobbin::dialect::{Dialect, Stock, ag_ui, ai_sdk};
use bobbin::protocol::{CloseCode, Millis};
use bobbin::pump::{Broken, Loaded, Log, Panicked, Platform};
use bobbin::thread::stock::socket_of;
use bobbin::thread::store::{Commit, Records, StoreError, Write};
use bobbin::thread::{Attachment, Delivery, Event, PeerId, TurnId};

use super::scripted::Scripted;
use super::{Frame, MemoryStore, Random, Spoilt};
/// One socket, from the object to its client.
#[derive(Debug, Default)]
pub struct Link {
    pub attachment: Option<Attachment>,
    pub is_open: bool,
    pub close: Option<CloseCode>,
    /// Frames on their way to the client.
    pub down: VecDeque<Frame>,
    /// The texts that a stock client was sent, in its protocol's format. For a socket, this includes the texts of its
    /// requests.
    pub told: Vec<String>,
    /// The number of chunks that a request of a socket was sent.
    pub sequence: u64,
}

impl Link {
    /// Tells whether the peer gets frames about that turn, since a peer may follow one turn alone.
    fn is_shown(&self, turn: Option<&str>) -> bool {
        let follows = self.attachment.as_ref().and_then(|attachment| attachment.follows.as_deref());
        follows.map_or(!self.is_stock(), |follows| turn == Some(follows))
    }

    fn is_stock(&self) -> bool {
        self.attachment.as_ref().is_some_and(|attachment| attachment.dialect.stock().is_some())
    }

    pub fn is_stream(&self) -> bool {
        self.attachment.as_ref().is_some_and(|attachment| attachment.dialect.is_stream())
    }

    fn speaks(&self, dialect: Dialect) -> bool {
        self.attachment.as_ref().is_some_and(|attachment| attachment.dialect == dialect)
    }

    /// The client's name for the turn that it follows, if that is a run of another name, and the turn's own name.
    fn renames(&self, peer: &PeerId) -> Option<(String, String)> {
        let attachment = self.attachment.as_ref()?;
        attachment.dialect.stock().filter(|stock| *stock == Stock::AgUi)?;
        let of_socket = socket_of(peer).map(|(_, request)| request.to_owned());
        let (run, turn) = (of_socket.or_else(|| attachment.run.clone())?, attachment.follows.clone()?);
        (run != turn).then_some((run, turn))
    }
}

/// The outputs that were carried out, in order.
#[derive(Clone, Debug)]
pub enum Seen {
    Woken {
        /// The values that could not be read.
        spoilt: Vec<Spoilt>,
    },
    Stored(Commit),
    StoreFailed {
        was_applied: bool,
    },
    Sent {
        /// `None` if it went to all.
        to: Option<PeerId>,
        /// The sockets that received it.
        reached: Vec<PeerId>,
        frame: Frame,
    },
    /// A frame for everybody also went to these streams.
    Streamed {
        reached: Vec<PeerId>,
        frame: Frame,
    },
    /// A stock client was sent this text.
    Told {
        to: PeerId,
        text: String,
    },
    /// From here on a stock client follows this turn, named by its `requestId`.
    Follows {
        peer: PeerId,
        turn: String,
    },
    Started {
        turn: TurnId,
        request: AgentRequest,
        enclosed: Enclosed,
    },
    Aborted {
        turn: TurnId,
    },
    Closed {
        peer: PeerId,
        code: CloseCode,
    },
    Alarm(Option<Millis>),
    Delivering(u64),
    Removing(Vec<String>),
    Logged(Event),
    Crashed {
        sockets_survive: bool,
    },
    Panicked,
    GaveUp,
}

/// A sudden end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sudden {
    /// The end of the object. Its sockets die with it, or survive, as those of a rebuilt wasm instance do.
    Crash { sockets_survive: bool },
    /// A panic of the thread.
    Panic,
}

#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// A sudden end after this many more outputs.
    pub sudden: Option<(u32, Sudden)>,
    /// After the first number of further writes, the second number of writes fail. The flag says whether they are
    /// applied nevertheless.
    pub writes: Option<(u32, u32, bool)>,
}

/// The platform of the simulation.
pub struct World {
    pub(super) session_id: String,
    pub now: Millis,
    pub store: MemoryStore,
    pub links: BTreeMap<PeerId, Link>,
    pub(super) agent: Rc<Scripted>,
    /// The turns whose agents are at work.
    pub agents: BTreeSet<TurnId>,
    /// Deliveries on their way, and whether the sender still waits for the answer.
    pub deliveries: VecDeque<(Delivery, bool)>,
    /// Files that the bucket is to delete, and whether the sender of the request still waits for the answer.
    pub removals: VecDeque<(Vec<String>, bool)>,
    /// The ids of the files whose bytes the bucket has.
    pub bucket: BTreeSet<String>,
    pub alarm: Option<Millis>,
    pub timers: Vec<Millis>,
    pub faults: Faults,
    pub seen: Vec<Seen>,
    pub random: Random,
}

impl World {
    pub(super) fn new(session_id: String, agent: Rc<Scripted>, seed: u64) -> Self {
        World {
            session_id,
            agent,
            now: 1_700_000_000_000,
            store: MemoryStore::default(),
            links: BTreeMap::new(),
            agents: BTreeSet::new(),
            deliveries: VecDeque::new(),
            removals: VecDeque::new(),
            bucket: BTreeSet::new(),
            alarm: None,
            timers: Vec::new(),
            faults: Faults::default(),
            seen: Vec::new(),
            random: Random::new(seed),
        }
    }

    fn deliver_frame(&mut self, to: Result<&PeerId, (Dialect, Option<&str>)>, text: &str) {
        self.trip();
        let is_stock = match to {
            Ok(peer) => self.links.get(peer).is_some_and(Link::is_stock),
            Err((dialect, _)) => dialect.stock().is_some(),
        };
        if is_stock {
            return self.tell(to, text);
        }
        let is_event = text.starts_with("id: ") || text.starts_with("data: ");
        let frame = if is_event { Frame::of_stream(text) } else { Frame::new(text) };
        let is_meant = |(peer, link): &(&PeerId, &mut Link)| {
            let is_for_all = |(dialect, turn)| link.speaks(dialect) && link.is_shown(turn);
            link.is_open && to.map_or_else(is_for_all, |to| to == *peer)
        };
        let mut reached = Vec::new();
        for (peer, link) in self.links.iter_mut().filter(is_meant) {
            link.down.push_back(frame.clone());
            reached.push(peer.clone());
        }
        self.seen.push(match to {
            Err((dialect, _)) if dialect.is_stream() => Seen::Streamed { reached, frame },
            to => Seen::Sent { to: to.ok().cloned(), reached, frame },
        });
    }

    /// Sends stock clients a text. For one request of a socket, the text is wrapped with the request's name and the
    /// chunk's number.
    fn tell(&mut self, to: Result<&PeerId, (Dialect, Option<&str>)>, text: &str) {
        let is_meant = |(peer, link): &(&PeerId, &Link)| {
            let is_for_all = |(dialect, turn)| link.speaks(dialect) && link.is_shown(turn);
            link.is_open && to.map_or_else(is_for_all, |to| to == *peer)
        };
        let meant: Vec<PeerId> = self.links.iter().filter(is_meant).map(|(peer, _)| peer.clone()).collect();
        for peer in meant {
            let Some(link) = self.links.get_mut(&peer) else { continue };
            let renamed = link.renames(&peer).and_then(|(run, turn)| ag_ui::renamed(text, &turn, &run));
            let framed = match socket_of(&peer) {
                Some((_, request)) if link.speaks(Dialect::AiSdk) => {
                    let before = ai_sdk::before_chunk(request, link.sequence);
                    link.sequence += 1;
                    [&before, text, "}"].concat()
                }
                _ => renamed.unwrap_or_else(|| text.to_owned()),
            };
            self.put(&peer, framed);
        }
    }

    fn put(&mut self, peer: &PeerId, text: String) {
        let socket = socket_of(peer).map_or_else(|| peer.clone(), |(socket, _)| socket.into());
        if let Some(link) = self.links.get_mut(&socket).filter(|link| link.is_open) {
            link.told.push(text.clone());
            self.seen.push(Seen::Told { to: peer.clone(), text });
        }
    }

    /// Ends the run suddenly at the output that a fault names.
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

    /// A new instance knows a socket only by its attachment, so the sockets without one are forgotten.
    pub(super) fn forget_unattached(&mut self) {
        for link in self.links.values_mut().filter(|link| link.attachment.is_none()) {
            link.is_open = false;
        }
    }

    pub(super) fn end_link(&mut self, peer: &PeerId, code: CloseCode) {
        let requests: Vec<PeerId> = self
            .links
            .keys()
            .filter(|id| socket_of(id).is_some_and(|(of, _)| of == &**peer))
            .cloned()
            .collect();
        for request in &requests {
            self.links.remove(request);
        }
        if let Some(link) = self.links.get_mut(peer).filter(|link| link.is_open) {
            link.is_open = false;
            link.close = Some(code);
            self.seen.push(Seen::Closed { peer: peer.clone(), code });
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
        let stored = self.store.load(&self.session_id)?;
        self.seen.push(Seen::Woken { spoilt: self.store.spoilt.clone() });
        Ok(Loaded { stored, deletion: self.store.deletion.clone(), files: self.store.kept_files() })
    }

    fn records(&self) -> &dyn Records {
        &self.store
    }

    fn apply(&mut self, commit: Commit) -> Result<(), StoreError> {
        self.trip();
        let failing = self.failing_write();
        if failing != Some(false) {
            self.store.apply(&commit);
            if commit.0.iter().any(|write| matches!(write, Write::Delete { .. })) {
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
        self.timers.push(at);
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
        self.deliver_frame(Ok(to), text);
    }

    /// Frames of the native dialect are always watched, even if nobody listens.
    fn is_spoken(&self, dialect: Dialect) -> bool {
        let is_spoken = |link: &Link| {
            let follows = link.attachment.as_ref().is_some_and(|attachment| attachment.follows.is_some());
            link.is_open && link.speaks(dialect) && (follows || !link.is_stock())
        };
        dialect == Dialect::Native || self.links.values().any(is_spoken)
    }

    fn send_to_all(&mut self, dialect: Dialect, request_id: Option<&str>, text: &str) {
        self.deliver_frame(Err((dialect, request_id)), text);
    }

    fn drop_request(&mut self, peer: &PeerId) {
        if socket_of(peer).is_some() {
            self.links.remove(peer);
        }
    }

    fn untaken(&self) -> Vec<(PeerId, u64)> {
        let bytes = |link: &Link| link.down.iter().map(|frame| frame.bytes as u64).sum();
        let streams = self.links.iter().filter(|(_, link)| link.is_open && link.is_stream());
        streams.map(|(peer, link)| (peer.clone(), bytes(link))).collect()
    }

    fn attach(&mut self, peer: &PeerId, attachment: Attachment) {
        self.trip();
        if let Some((socket, _)) = socket_of(peer)
            && self.links.get(socket).is_some_and(|link| link.is_open)
            && !self.links.contains_key(peer)
        {
            self.links.insert(peer.clone(), Link { is_open: true, ..Link::default() });
        }
        if let Some(link) = self.links.get_mut(peer) {
            if let Some(turn) = attachment.follows.clone().filter(|_| attachment.dialect.stock().is_some()) {
                self.seen.push(Seen::Follows { peer: peer.clone(), turn });
            }
            link.attachment = Some(attachment);
        }
    }

    fn close(&mut self, peer: &PeerId, code: CloseCode, reason: &str) {
        self.trip();
        if let Some((_, request)) = socket_of(peer) {
            let dialect = self.links.remove(peer).and_then(|link| Some(link.attachment?.dialect));
            if let Some(last) = dialect.and_then(|dialect| dialect.request_closed(request, code, reason)) {
                self.put(peer, last);
            }
            return;
        }
        let dialect = self.links.get(peer).and_then(|link| Some(link.attachment.as_ref()?.dialect));
        if let Some(last) = dialect.filter(|it| it.stock().is_some()).and_then(|it| it.closed(code, reason)) {
            self.put(peer, last);
        }
        self.end_link(peer, code);
    }

    fn close_all(&mut self, code: CloseCode, _: &str) {
        let peers: Vec<PeerId> = self.links.keys().cloned().collect();
        for peer in peers {
            self.end_link(&peer, code);
        }
    }

    fn call_agent(&mut self, turn: TurnId, _: Call, enclosed: Enclosed) {
        self.trip();
        self.agents.insert(turn);
        let request = self.agent.asked.take().expect("the agent was asked");
        self.seen.push(Seen::Started { turn, request, enclosed });
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

    fn remove_files(&mut self, ids: Vec<String>) {
        self.trip();
        self.seen.push(Seen::Removing(ids.clone()));
        self.removals.push_back((ids, true));
    }

    fn log(&mut self, line: Log<'_>) {
        match line {
            Log::Event(event, _) => {
                self.trip();
                self.seen.push(Seen::Logged(event.clone()));
            }
            // The step that made it fail has recorded it.
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
