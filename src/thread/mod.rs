//! The core: what a thread is and how it reacts.
//!
//! A [`Thread`] is a state machine without input or output of its own. Whoever drives it calls
//! [`Thread::handle`] with the time and one [`Input`], then takes outputs from
//! [`Thread::poll_output`] until there are none and carries each out before the next, and calls
//! [`Thread::handle`] with [`Input::Deadline`] once [`Thread::poll_deadline`] has passed.
//!
//! **Invariant:** outputs are carried out in order, and all of them before the next input. A failed
//! [`Output::Store`] ends that: the outputs after it are dropped, and a new thread is woken from what
//! the store holds.
//!
//! **Invariant:** knows nothing about sockets, SQL, HTTP, clocks or randomness.

mod access;
mod events;
mod join;
mod log;
mod outbox;
mod permission;
pub mod rows;
mod session;
pub mod store;
mod stream;
mod turn;
mod turns;
mod wake;

use std::collections::VecDeque;
use std::rc::Rc;

use litemap::LiteMap;

use crate::agent::{Agent, AgentEvent, Answered};
use crate::dialect::Dialect;
use crate::protocol::limits;
use crate::protocol::{
    ClientFrame, CloseCode, Cursor, ErrorBody, ErrorCode, FrameName, Identity, Millis, PermissionMode,
    Received, ServerFrame, Session, SessionUpdate, Word, is_request_id,
};

use access::{Peer, Rates};
use outbox::Outbox;
use store::{Commit, Records, Stored, Write};
use turn::Turn;

pub use access::READ_TOO_MUCH;
pub use events::{Counters, Event, Report};
pub use outbox::{Delivered, Delivery, OutboxState, SessionContent};
pub use permission::{Ask, Denied, Request};
pub use session::Attachment;
pub use store::message_id_prefix;
pub use turn::{Answer, Piece};

/// One connection, by its `connectionId`.
pub type PeerId = Rc<str>;

/// A turn's name inside a thread: the sequence number of its user's message. An agent that delivers
/// for a turn that is over is not heard.
pub type TurnId = u64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Turns that run at once, 1 to 16.
    pub concurrent_turns: usize,
    /// Until an agent has said the first of its answer.
    pub agent_first_token_timeout_ms: u64,
    /// Between what it says after that.
    pub agent_idle_timeout_ms: u64,
    /// The whole answer.
    pub agent_turn_timeout_ms: u64,
    /// Further calls if one fails in a way that may pass.
    pub agent_retries: u64,
    /// Of one subject; of one connection, where everybody is let in.
    pub messages_per_minute: u64,
    /// Frames of any kind that are taken in a minute, even where few messages are.
    pub frames_per_minute_min: u64,
    /// Bytes of the thread that may be asked for in a minute, likewise.
    pub read_bytes_per_minute: u64,
    pub invalid_frames_max: u64,
    pub sockets_max: usize,
    pub subject_sockets_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            concurrent_turns: 1,
            agent_first_token_timeout_ms: limits::AGENT_FIRST_TOKEN_TIMEOUT_MS,
            agent_idle_timeout_ms: limits::AGENT_IDLE_TIMEOUT_MS,
            agent_turn_timeout_ms: limits::AGENT_TURN_TIMEOUT_MS,
            agent_retries: limits::AGENT_RETRIES,
            messages_per_minute: limits::MESSAGES_PER_MINUTE,
            frames_per_minute_min: limits::FRAMES_PER_MINUTE_MIN,
            read_bytes_per_minute: limits::READ_BYTES_PER_MINUTE,
            invalid_frames_max: limits::INVALID_FRAMES_MAX,
            sockets_max: limits::SOCKETS_MAX,
            subject_sockets_max: limits::SUBJECT_SOCKETS_MAX,
        }
    }
}

#[derive(Debug)]
pub enum Input {
    /// The first input of every thread, whatever it wakes from.
    Woken(Box<Woken>),
    Joined {
        peer: PeerId,
        identity: Identity,
        dialect: Dialect,
        cursor: Option<String>,
    },
    /// A frame, read in the socket's dialect.
    Frame {
        peer: PeerId,
        received: Received,
    },
    Left {
        peer: PeerId,
    },
    /// What one read of an agent's stream brought: nothing, if that held no event. `tokens_used` is the
    /// count so far.
    Agent {
        turn: TurnId,
        events: Vec<AgentEvent>,
        tokens_used: u64,
    },
    /// Something came back of the call of a turn.
    Answered {
        turn: TurnId,
        answered: Answered,
    },
    /// There was no call to make for a turn.
    Unasked {
        turn: TurnId,
    },
    /// `poll_deadline` has passed.
    Deadline,
    /// The alarm that [`Output::SetAlarm`] set went off.
    Alarm,
    /// D1 took a delivery.
    Delivered(Delivered),
    DeliveryFailed,
    /// From a program, by HTTP.
    Update(SessionUpdate),
    Cancel {
        request_id: Option<String>,
    },
    /// By HTTP, a subject was sent so many bytes of the thread's messages.
    Read {
        subject: String,
        bytes: u64,
    },
    Delete,
}

/// What a thread starts from: its store and its open sockets.
#[derive(Debug)]
pub struct Woken {
    /// `None` before the first message.
    pub stored: Option<Stored>,
    /// A session of this name was deleted, and D1 has yet to learn it.
    pub is_deletion_owed: bool,
    pub peers: Vec<(PeerId, Attachment)>,
    /// Chosen at random.
    pub seed: u64,
    pub cause: Cause,
}

#[derive(Debug)]
pub enum Cause {
    /// First start, hibernation, eviction, crash.
    Start,
    /// The thread before this one asked for a write that failed, for the sake of that frame.
    StoreFailed(Option<Blame>),
    /// The thread before this one panicked.
    Panicked(Option<Blame>),
}

/// The frame that was being handled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blame {
    pub peer: PeerId,
    pub name: FrameName,
    /// Why it would have been refused whatever the thread did.
    pub error: Option<ErrorBody>,
}

/// Where a frame came from: a refusal needs no more than this.
#[derive(Clone, Copy)]
struct Origin<'a> {
    peer: &'a PeerId,
    name: &'a FrameName,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    Store(Commit),
    Send {
        to: Audience,
        frame: Box<ServerFrame>,
        /// The client asked for it: [`Thread::charge`] is to be told of its bytes.
        is_asked: bool,
    },
    /// Make the call that [`Thread::call`] says.
    StartAgent {
        turn: TurnId,
    },
    AbortAgent {
        turn: TurnId,
    },
    Attach {
        peer: PeerId,
        attachment: Attachment,
    },
    Close {
        peer: PeerId,
        code: CloseCode,
        reason: &'static str,
    },
    /// Wake the thread at that time, even if it crashes before; `None` takes the alarm back.
    SetAlarm(Option<Millis>),
    /// Give D1 what [`Thread::delivery`] says.
    Deliver,
    Log(Event),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Every socket that is attached.
    All,
    /// One socket, and how its client is spoken to.
    One(PeerId, Dialect),
}

#[derive(Debug)]
pub struct Thread {
    config: Config,
    agent: Rc<dyn Agent>,
    session_id: String,
    /// Names this life of the log; chosen before the first message, kept from then on.
    epoch: u64,
    /// The last event's sequence number.
    seq: u64,
    /// `None` before the first message.
    session: Option<Session>,
    peers: LiteMap<PeerId, Peer>,
    rates: Rates,
    turns: LiteMap<TurnId, Turn>,
    /// The turn that began last, over or not: the next one's parent.
    last_turn: Option<TurnId>,
    outbox: Outbox,
    alarm: Option<Millis>,
    outputs: VecDeque<Output>,
    random: u64,
    counters: Counters,
}

impl Thread {
    #[must_use]
    pub fn new(session_id: String, config: Config, agent: Rc<dyn Agent>) -> Self {
        let concurrent_turns = config.concurrent_turns.clamp(1, limits::CONCURRENT_TURNS_MAX);
        Thread {
            config: Config { concurrent_turns, ..config },
            agent,
            session_id,
            epoch: 0,
            seq: 0,
            session: None,
            peers: LiteMap::new(),
            rates: Rates::default(),
            turns: LiteMap::new(),
            last_turn: None,
            outbox: Outbox::default(),
            alarm: None,
            outputs: VecDeque::new(),
            random: 0,
            counters: Counters::default(),
        }
    }

    /// Takes one input. `records` is the store as of the last output carried out.
    pub fn handle(&mut self, now: Millis, records: &dyn Records, input: Input) {
        // Before anything is sent: not even what its frames hold wrong is told to somebody whose time is over.
        self.dismiss_expired(now);
        let begins_nothing = matches!(input, Input::Woken(_) | Input::Alarm);
        match input {
            Input::Woken(woken) => self.wake(now, records, *woken),
            Input::Joined { peer, identity, dialect, cursor } => {
                self.join(now, records, peer, identity, dialect, cursor.as_deref());
            }
            Input::Frame { peer, received } => self.frame(now, records, &peer, received),
            Input::Left { peer } => self.leave(&peer),
            Input::Agent { turn, events, tokens_used } => self.agent(now, turn, events, tokens_used),
            Input::Answered { turn, answered } => self.answered(now, turn, &answered),
            Input::Unasked { turn } => self.give_up_asking(now, turn),
            Input::Deadline => {}
            Input::Alarm => {
                self.alarm = None;
                self.time_out_delivery(now);
            }
            Input::Delivered(delivered) => self.delivered(delivered),
            Input::DeliveryFailed => self.delivery_failed(now, records),
            Input::Update(update) => self.update_session(now, None, update),
            Input::Cancel { request_id } => self.cancel(now, None, request_id.as_deref()),
            Input::Read { subject, bytes } => self.count_read(now, &subject, bytes),
            Input::Delete => self.delete(),
        }
        self.meet_deadlines(now);
        self.start_queued_turns(now);
        self.deliver(now);
        self.guard(now, begins_nothing);
    }

    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Input::Deadline`] is due.
    #[must_use]
    pub fn poll_deadline(&self) -> Option<Millis> {
        self.deadlines().min()
    }

    #[must_use]
    pub fn session(&self) -> Option<&Session> {
        self.session.as_ref()
    }

    /// Whether anything that comes back of a turn's call is still wanted.
    #[must_use]
    pub fn is_running(&self, turn: TurnId) -> bool {
        self.turns.get(&turn).is_some_and(|turn| turn.running().is_some())
    }

    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    #[must_use]
    pub fn peers(&self) -> usize {
        self.peers.len()
    }

    fn frame(&mut self, now: Millis, records: &dyn Records, peer: &PeerId, received: Received) {
        if !self.peers.contains_key(peer) {
            return;
        }
        let origin = Origin { peer, name: &received.name };
        match received.frame {
            Ok(frame) => self.client_frame(now, records, origin, frame),
            Err(error) => {
                self.refuse(origin, &error);
                self.count_invalid(peer);
            }
        }
    }

    fn client_frame(&mut self, now: Millis, records: &dyn Records, origin: Origin<'_>, frame: ClientFrame) {
        if !self.admits(now, origin, &frame) {
            return;
        }
        let peer = origin.peer;
        match frame {
            ClientFrame::Message { request_id, content, thread_id } => {
                self.message(now, records, origin, &request_id, content, thread_id.as_deref());
            }
            ClientFrame::Cancel { request_id } => self.cancel(now, Some(peer), request_id.as_deref()),
            ClientFrame::SessionSync { cursor } => self.sync(now, records, origin, cursor.as_deref()),
            ClientFrame::SessionUpdate(update) => self.update_session(now, Some(peer), update),
            ClientFrame::Ping => self.send_to(peer, ServerFrame::Pong),
        }
    }

    fn refuse(&mut self, origin: Origin<'_>, error: &ErrorBody) {
        let FrameName { kind, request_id, start } = origin.name.clone();
        let frame = ServerFrame::Refused {
            refused: kind,
            request_id: request_id.clone(),
            frame: start,
            error: error.clone(),
        };
        self.send_to(origin.peer, frame);
        events::count(&mut self.counters.refusals);
        // The log holds nothing that was said: what is no requestId may be anything.
        let request_id = request_id.filter(|id| is_request_id(id));
        self.log(Event::Refused { connection_id: origin.peer.clone(), request_id, code: error.code.clone() });
    }

    fn store(&mut self, writes: Vec<Write>) {
        self.outputs.push_back(Output::Store(Commit(writes)));
    }

    fn send_all(&mut self, frame: ServerFrame) {
        self.send(Audience::All, frame, false);
    }

    fn send_to(&mut self, peer: &PeerId, frame: ServerFrame) {
        self.send(self.audience(peer), frame, false);
    }

    /// What a client asked for costs its subject the bytes.
    fn send_asked(&mut self, peer: &PeerId, frames: Vec<ServerFrame>) {
        for frame in frames {
            self.send(self.audience(peer), frame, true);
        }
    }

    fn send(&mut self, to: Audience, frame: ServerFrame, is_asked: bool) {
        self.outputs.push_back(Output::Send { to, frame: Box::new(frame), is_asked });
    }

    fn audience(&self, peer: &PeerId) -> Audience {
        let dialect = self.peers.get(peer).map(|peer| peer.dialect).unwrap_or_default();
        Audience::One(peer.clone(), dialect)
    }

    fn permission_mode(&self) -> Word<PermissionMode> {
        let mode = self.session.as_ref().map(|session| session.permission_mode.clone());
        mode.unwrap_or(PermissionMode::Default.into())
    }

    /// The place after the last event, as of what clients were sent.
    fn head(&self) -> Cursor {
        self.cursor_at(self.seq)
    }

    fn cursor_at(&self, seq: u64) -> Cursor {
        if self.session.is_none() {
            return Cursor::START;
        }
        let mut cursor = Cursor::at(self.epoch, seq);
        for (turn, running) in self.running() {
            cursor.set(running.progress(turn));
        }
        cursor
    }

    fn next_seq(&mut self) -> u64 {
        self.seq = self.seq.saturating_add(1);
        self.seq
    }

    /// A number that is hard to guess for somebody who has not seen the seed (splitmix64).
    fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// The store could not be read: the frame at hand is refused, and nothing has changed.
fn unreadable() -> ErrorBody {
    ErrorBody::retryable(ErrorCode::StorageError, "the thread's store could not be read; try again")
}
