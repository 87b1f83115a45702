//! The core: the state of a thread, and how it reacts to inputs.
//!
//! A [`Thread`] is a state machine that does no input or output itself. Its driver calls [`Thread::handle`]
//! with the time and one [`Input`]. Then it takes outputs from [`Thread::poll_output`] until there are none,
//! and carries out each before it takes the next. Once [`Thread::poll_deadline`] has passed, it calls
//! [`Thread::handle`] with [`Input::Deadline`].
//!
//! **Invariant:** outputs are carried out in order, and all of them before the next input. If an
//! [`Output::Store`] fails, the outputs after it are dropped, and a new thread is woken from the store.
//!
//! **Invariant:** this module knows nothing about sockets, SQL, HTTP, clocks or randomness.

#![deny(missing_docs)]

mod access;
mod answer;
mod asking;
mod attachment;
mod calls;
mod clock;
mod config;
mod crowd;
mod enclosed;
mod ending;
mod events;
mod files;
mod follow;
mod fork;
mod frame;
mod import;
mod input;
mod join;
mod log;
mod outbox;
mod output;
mod path;
mod permission;
mod place;
mod queue;
pub mod rows;
mod running;
mod select;
mod session;
pub mod stock;
pub mod store;
mod stream;
mod turn;
mod turns;
mod unread;
mod versions;
mod waiting;
mod wake;

use std::collections::VecDeque;
use std::rc::Rc;

use litemap::LiteMap;

use crate::agent::Agent;
use crate::protocol::limits;
use crate::protocol::{
    Cursor, ErrorBody, ErrorCode, Identity, Millis, PermissionMode, ServerFrame, Session, Word,
};

use access::{Peer, Rates};
use crowd::Crowd;
use files::Files;
use frame::Origin;
use outbox::Outbox;
use store::{Records, Write};
use turn::Turn;
use unread::Unread;

pub use access::READ_TOO_MUCH;
pub use answer::{Answer, Missing, Piece};
pub use attachment::Attachment;
pub use config::Config;
pub use events::{Counters, Event, OutboxState, Report};
pub use files::{File, FileState, Kept, Unserved};
pub use fork::{
    Copied, Copying, Extent as ForkExtent, Origin as ForkOrigin, Taking, Underway as ForkUnderway, Wanted,
};
pub use import::{Import, Unimported};
pub use input::{Blame, Cause, Input, Woken};
pub use outbox::{Delivered, Delivery, Found, SessionContent};
pub use output::{Audience, Output};
pub use path::{Path, Start};
pub use permission::{Ask, Denied, Request};
pub use place::{place, places};
pub use store::message_id_prefix;
pub use unread::Reading;

/// A connection, named by its `connectionId`.
pub type PeerId = Rc<str>;

/// Names a turn inside its thread: the sequence number of the user's message that began it. A delivery for a
/// turn that is over is ignored.
pub type TurnId = u64;

/// One conversation: its session, its sockets and the turns that are not over.
#[derive(Debug)]
pub struct Thread {
    config: Config,
    agent: Rc<dyn Agent>,
    session_id: String,
    /// Names this life of the log. It is chosen before the first message and kept until the session is
    /// deleted.
    epoch: u64,
    /// The last event's sequence number.
    seq: u64,
    /// `None` before the first message.
    session: Option<Session>,
    peers: LiteMap<PeerId, Peer>,
    rates: Rates,
    turns: LiteMap<TurnId, Turn>,
    /// The turn that began last on the current path, over or not, which is the parent of the next one; and
    /// the id of its answer if that cannot be derived from the turn.
    last_turn: Option<(TurnId, Option<String>)>,
    /// The newest runs with ids other than their turns' `requestId`s, each with that `requestId`. They are
    /// not stored: after hibernation a client has to ask by `requestId`.
    runs: Vec<(String, String)>,
    path: Path,
    /// The cursor after the last event that was sent to all; `None` if this thread has sent none yet.
    last_place: Option<Cursor>,
    /// Whether the store has the note of a deletion.
    was_deleted: bool,
    unread: Unread,
    crowd: Crowd,
    outbox: Outbox,
    files: Files,
    alarm: Option<Millis>,
    /// Whether the alarm is set for the session's retention alone.
    is_retention_alarm: bool,
    outputs: VecDeque<Output>,
    random: u64,
    /// When the last input came.
    now: Millis,
    counters: Counters,
}

impl Thread {
    /// Returns a thread that is not awake yet: its first input must be [`Input::Woken`].
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
            runs: Vec::new(),
            path: Path::default(),
            last_place: None,
            was_deleted: false,
            unread: Unread::default(),
            crowd: Crowd::default(),
            outbox: Outbox::default(),
            files: Files::default(),
            alarm: None,
            is_retention_alarm: false,
            outputs: VecDeque::new(),
            random: 0,
            now: 0,
            counters: Counters::default(),
        }
    }

    /// Handles one input. `records` reads the store as it is after the last output that was carried out.
    pub fn handle(&mut self, now: Millis, records: &dyn Records, input: Input) {
        self.see_clock(now);
        // This comes first, since a client whose credential has expired must not be sent anything more, not
        // even a refusal.
        self.dismiss_expired(now);
        let begins_nothing = matches!(input, Input::Woken(_) | Input::Alarm);
        // After a failure, the alarm that this thread counts on may never have been set.
        let sweeps = match &input {
            Input::Woken(woken) => !matches!(woken.cause, Cause::Start),
            input => matches!(input, Input::Alarm | Input::Sweep),
        };
        let had_waited = self.turns.values().any(|turn| turn.waiting().is_some());
        match input {
            Input::Woken(woken) => self.wake(now, records, *woken),
            Input::Joined { peer, identity, dialect, cursor } => {
                self.join(now, records, peer, identity, dialect, cursor.as_deref());
            }
            Input::Posted { peer, identity, dialect, post, follows } => {
                self.posted(now, records, peer, identity, dialect, *post, follows);
            }
            Input::Opened { peer, identity, dialect, detaches } => {
                self.open(now, peer, identity, dialect, detaches);
            }
            Input::Asked { peer, identity, dialect, request } => {
                self.asked(now, records, peer, identity, dialect, *request);
            }
            Input::Aborted { peer } => self.aborted(now, &peer),
            Input::Stop => self.stop(now),
            Input::Frame { peer, received } => self.frame(now, records, &peer, received),
            Input::Left { peer } => self.leave(&peer),
            Input::Broken { peer, code, reason } => self.dismiss(&peer, code, reason),
            Input::Agent { turn, events, tokens_used } => self.agent(now, turn, events, tokens_used),
            Input::Answered { turn, answered } => self.answered(now, turn, &answered),
            Input::Unasked { turn } => self.give_up_asking(now, turn),
            Input::Deadline => self.crowd.served(now),
            Input::Sweep => {}
            Input::Alarm => {
                self.alarm = None;
                self.running_ids().into_iter().for_each(|turn| self.log_accepted(turn));
                self.time_out_delivery(now);
                self.time_out_removal(now);
                self.retire(now);
            }
            Input::Delivered(delivered) => self.delivered(now, &delivered),
            Input::DeliveryFailed => self.delivery_failed(now, records),
            Input::DeliverAnew => self.deliver_anew(),
            Input::Forget { author } => self.store(vec![Write::ForgetAuthor(author)]),
            Input::Update(update) => self.update_session(now, update),
            Input::Answer { answer, by } => self.take_answer(now, None, by, answer),
            Input::Cancel { request_id } => self.cancel(now, None, request_id.as_deref()),
            Input::Read { subject, bytes } => self.count_read(now, &subject, bytes),
            Input::Broadcast { name, data } => {
                self.send_all(ServerFrame::Data { request_id: None, name, data, id: None });
            }
            Input::Delete => self.delete(now),
            Input::DeleteUploads { by } => self.delete_uploads(now, by.as_deref()),
            Input::Upload(file) => self.upload(now, file),
            Input::Uploaded { id } => self.uploaded(now, records, &id),
            Input::FileLost { id } => self.lose_file(now, &id),
            Input::FilesRemoved { ids } => self.files_removed(now, records, ids),
            Input::FilesNotRemoved => self.files_not_removed(now),
        }
        // The order matters: first turns end and make room, then others start, then the ends are delivered,
        // and the alarm covers whatever is left.
        self.meet_deadlines(now);
        self.start_turns(now, records);
        self.deliver(now);
        self.remove_files(now);
        self.guard(now, begins_nothing, had_waited, sweeps);
    }

    /// Returns the next output to carry out; `None` if there are no more.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Returns when [`Input::Deadline`] is due, in Unix milliseconds; `None` if the thread waits for no time.
    #[must_use]
    pub fn poll_deadline(&self) -> Option<Millis> {
        self.deadlines().min()
    }

    /// Returns the session; `None` before the first message and after a deletion.
    #[must_use]
    pub fn session(&self) -> Option<&Session> {
        self.session.as_ref()
    }

    /// Returns whether a turn is running, so that its call is still wanted.
    #[must_use]
    pub fn is_running(&self, turn: TurnId) -> bool {
        self.turns.get(&turn).is_some_and(|turn| turn.running().is_some())
    }

    /// Returns the `requestId` of a turn that is not over.
    #[must_use]
    pub fn request_of(&self, turn: TurnId) -> Option<&str> {
        self.turns.get(&turn).map(|turn| turn.request_id.as_str())
    }

    /// Returns the `requestId` of the turn that runs or will run next.
    #[must_use]
    pub fn running_request(&self) -> Option<&str> {
        let running = self.running().map(|(turn, _)| turn).next().or_else(|| self.queued().next())?;
        self.request_of(running)
    }

    /// Returns the identity behind a connection.
    #[must_use]
    pub fn identity_of(&self, peer: &str) -> Option<&Identity> {
        self.peers.get(peer).map(|peer| &peer.identity)
    }

    /// Returns the number that names this life of the log. It changes when the session is deleted.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Returns how many sockets are attached.
    #[must_use]
    pub fn peers(&self) -> usize {
        self.peers.len()
    }

    fn permission_mode(&self) -> Word<PermissionMode> {
        let mode = self.session.as_ref().map(|session| session.permission_mode.clone());
        mode.unwrap_or(PermissionMode::Default.into())
    }

    /// Returns the cursor of a client that was sent everything so far.
    fn head(&self) -> Cursor {
        self.cursor_at(self.seq)
    }

    /// Returns whether a cursor is the one after the last event that was sent to all. Answers may have
    /// changed since then without an event, for example when an agent goes on or a block is dropped.
    fn is_last_place(&self, cursor: &str) -> bool {
        let is_it = |place: &Cursor| place.to_string() == cursor;
        self.last_place.as_ref().is_some_and(is_it) || is_it(&self.head())
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

    /// Returns a number that is hard to guess without the seed (splitmix64).
    fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.random)
    }
}

/// Mixes a number so that each of its bits changes half of the result's bits (splitmix64).
fn mix(number: u64) -> u64 {
    let mix = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mix = (mix ^ (mix >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mix ^ (mix >> 31)
}

/// Returns the error for a store that could not be read. The frame is refused and nothing has changed.
fn unreadable() -> ErrorBody {
    ErrorBody::retryable(ErrorCode::StorageError, "the thread's store could not be read; try again")
}
