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

#![deny(missing_docs)]

mod access;
mod answer;
mod attachment;
mod calls;
mod clock;
mod crowd;
mod enclosed;
mod events;
mod files;
mod follow;
mod fork;
mod import;
mod join;
mod log;
mod outbox;
mod path;
mod permission;
mod place;
pub mod rows;
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

use crate::agent::{Agent, AgentEvent, Answered};
use crate::dialect::Dialect;
use crate::protocol::limits;
use crate::protocol::{
    ClientFrame, CloseCode, Cursor, ErrorBody, ErrorCode, FrameName, Identity, Json, Millis, PermissionMode,
    Post, Received, ServerFrame, Session, SessionUpdate, StockRequest, ToolAnswer, Trace, Word,
    is_request_id,
};

use access::{Peer, Rates};
use crowd::Crowd;
use files::Files;
use outbox::Outbox;
use store::{Commit, Deletion, Records, Stored, Write};
use turn::Turn;
use turns::Sent;
use unread::Unread;

pub use access::READ_TOO_MUCH;
pub use answer::{Answer, Missing, Piece};
pub use attachment::Attachment;
pub use events::{Counters, Event, OutboxState, Report};
pub use files::{File, FileState, Kept, Unserved};
pub use fork::{Copied, Copying, Origin as ForkOrigin};
pub use import::{Import, Unimported};
pub use outbox::{Delivered, Delivery, Found, SessionContent};
pub use path::{Path, Start};
pub use permission::{Ask, Denied, Request};
pub use place::{place, places};
pub use store::message_id_prefix;
pub use unread::Reading;

/// One connection, by its `connectionId`.
pub type PeerId = Rc<str>;

/// Names a turn inside its thread: the sequence number of the user's message that began it. What an agent
/// delivers for a turn that is over is ignored.
pub type TurnId = u64;

/// The limits and timeouts of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Whether there is a D1 database to deliver to.
    pub delivers: bool,
    /// Milliseconds after its last use that a session is deleted; 0 if it is kept.
    pub retention_ms: u64,
    /// How many D1 databases there are for new sessions, 1 to 64.
    pub databases: u64,
    /// Whether there is a bucket for files.
    pub keeps_files: bool,
    /// Milliseconds between two writes of the text of a running answer.
    pub journal_ms: u64,
    /// Turns that run at once, 1 to 16.
    pub concurrent_turns: usize,
    /// Whether a turn waits for the results of its calls where its agent does not say whose they are to give.
    pub waits_for_tools: bool,
    /// Milliseconds that an agent may take to begin its answer.
    pub agent_first_token_timeout_ms: u64,
    /// Milliseconds that an agent may be silent within its answer.
    pub agent_idle_timeout_ms: u64,
    /// Milliseconds that the whole answer may take.
    pub agent_turn_timeout_ms: u64,
    /// How often an agent is called again after failures that may pass.
    pub agent_retries: u64,
    /// Messages that an agent is given, the user's own included.
    pub agent_messages: usize,
    /// Bytes of messages that an agent is given, beside the user's own.
    pub agent_bytes: usize,
    /// Messages that one subject may send in a minute. Here and below, a connection without a subject is counted
    /// by itself.
    pub messages_per_minute: u64,
    /// Frames of any kind that one subject may always send in a minute, even if it may send few messages.
    pub frames_per_minute_min: u64,
    /// Bytes of the thread that one subject may ask for in a minute.
    pub read_bytes_per_minute: u64,
    /// Invalid frames that one connection may send; one more closes it with 1008.
    pub invalid_frames_max: u64,
    /// Sockets that may be open on the thread at once; one more is closed with 4429.
    pub sockets_max: usize,
    /// Sockets that one subject may have open on the thread at once; one more is closed with 4429.
    pub subject_sockets_max: usize,
    /// Bytes that a socket is sent between two checks.
    pub check_bytes: u64,
    /// Bytes that a socket may owe: what it was sent since the last check that it answered.
    pub socket_owed_bytes_max: u64,
    /// Bytes that the sockets of the thread may owe together.
    pub owed_bytes_max: u64,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            delivers: true,
            retention_ms: 0,
            databases: 1,
            keeps_files: true,
            journal_ms: limits::JOURNAL_MS,
            concurrent_turns: 1,
            waits_for_tools: false,
            agent_first_token_timeout_ms: limits::AGENT_FIRST_TOKEN_TIMEOUT_MS,
            agent_idle_timeout_ms: limits::AGENT_IDLE_TIMEOUT_MS,
            agent_turn_timeout_ms: limits::AGENT_TURN_TIMEOUT_MS,
            agent_retries: limits::AGENT_RETRIES,
            agent_messages: limits::AGENT_MESSAGES,
            agent_bytes: limits::AGENT_BYTES,
            messages_per_minute: limits::MESSAGES_PER_MINUTE,
            frames_per_minute_min: limits::FRAMES_PER_MINUTE_MIN,
            read_bytes_per_minute: limits::READ_BYTES_PER_MINUTE,
            invalid_frames_max: limits::INVALID_FRAMES_MAX,
            sockets_max: limits::SOCKETS_MAX,
            subject_sockets_max: limits::SUBJECT_SOCKETS_MAX,
            check_bytes: limits::CHECK_BYTES,
            socket_owed_bytes_max: limits::SOCKET_OWED_BYTES_MAX,
            owed_bytes_max: limits::OWED_BYTES_MAX,
        }
    }
}

/// Something that happened, and that the thread has to react to.
#[derive(Debug)]
pub enum Input {
    /// The first input of every thread, whatever it wakes from.
    Woken(Box<Woken>),
    /// A client opened a socket. The thread attaches the socket or closes it.
    Joined {
        /// The new connection.
        peer: PeerId,
        /// Who the client is, and what its credential allows.
        identity: Identity,
        /// The dialect that the socket speaks.
        dialect: Dialect,
        /// The cursor that the client resumes from; `None` if it gave none.
        cursor: Option<String>,
    },
    /// A program posts a message or an answer by HTTP. A refusal goes to the connection, or it is closed.
    Posted {
        /// A new connection for this request.
        peer: PeerId,
        /// Who asks, and what its credential allows.
        identity: Identity,
        /// The dialect that it is answered in.
        dialect: Dialect,
        /// What is posted.
        post: Box<Post>,
        /// Whether the connection stays, and is sent the events of this turn until it ends or waits.
        follows: bool,
    },
    /// A stock client opened a socket. The thread attaches the socket or closes it.
    Opened {
        /// The new connection.
        peer: PeerId,
        /// Who the client is, and what its credential allows.
        identity: Identity,
        /// The dialect that the socket speaks.
        dialect: Dialect,
        /// Whether a request that is aborted leaves its turn running.
        detaches: bool,
    },
    /// A stock client asks for a turn. A refusal goes to the connection, or it is closed.
    Asked {
        /// A new connection for this request; see [`stock::request_peer`].
        peer: PeerId,
        /// Who asks, and what its credential allows.
        identity: Identity,
        /// The dialect that it is answered in.
        dialect: Dialect,
        /// What is asked for.
        request: Box<StockRequest>,
    },
    /// A stock client wants no more of a request.
    Aborted {
        /// The connection of the request.
        peer: PeerId,
    },
    /// A program ends the turns that run or wait for people, by HTTP.
    Stop,
    /// A frame, read in the socket's dialect.
    Frame {
        /// The connection that sent it.
        peer: PeerId,
        /// The frame, or why it could not be read.
        received: Received,
    },
    /// A socket has ended: it was closed or lost, by whichever side.
    Left {
        /// The connection that ended.
        peer: PeerId,
    },
    /// A socket brought what is no frame at all.
    Broken {
        /// The connection.
        peer: PeerId,
        /// The code that the socket is closed with.
        code: CloseCode,
        /// Why, in words for the client.
        reason: &'static str,
    },
    /// An agent delivered something for a turn.
    Agent {
        /// The turn that is answered.
        turn: TurnId,
        /// What the agent delivered, in order; empty if what was read completed no event.
        events: Vec<AgentEvent>,
        /// Tokens of this answer that were counted so far.
        tokens_used: u64,
    },
    /// The call of a turn brought bytes, its end or a refusal.
    Answered {
        /// The turn that the call was made for.
        turn: TurnId,
        /// What came back.
        answered: Answered,
    },
    /// [`Thread::call`] returned no call for a turn: there is no other way to ask its agent.
    Unasked {
        /// The turn that could not be asked again.
        turn: TurnId,
    },
    /// The time that [`Thread::poll_deadline`] gave has come.
    Deadline,
    /// The alarm that [`Output::SetAlarm`] set went off.
    Alarm,
    /// D1 took a delivery.
    Delivered(Delivered),
    /// D1 did not take a delivery, or the delivery could not be made.
    DeliveryFailed,
    /// All that D1 has of the session is to be delivered anew.
    DeliverAnew,
    /// The alarm for the session's retention is to be set, if it is not.
    Sweep,
    /// A subject's name is to be taken off its messages.
    Forget {
        /// The subject.
        author: String,
    },
    /// A program changes the title or the permission mode, by HTTP.
    Update(SessionUpdate),
    /// A program cancels turns, by HTTP.
    Cancel {
        /// The turn's `requestId`; `None` cancels every turn.
        request_id: Option<String>,
    },
    /// A program answers a call of a tool, by HTTP.
    Answer {
        /// What is said to which call.
        answer: ToolAnswer,
        /// The subject that says so.
        by: Option<String>,
    },
    /// A subject was sent messages of the thread by HTTP.
    Read {
        /// The subject whose allowance the bytes are taken from.
        subject: String,
        /// How many bytes were sent.
        bytes: u64,
    },
    /// The application sends data to all that are connected. It is not kept.
    Broadcast {
        /// What kind of data it is, in its words.
        name: String,
        /// The data.
        data: Json,
    },
    /// A program deletes the session, by HTTP.
    Delete,
    /// A program deletes what a subject has uploaded to a session that nobody has begun.
    DeleteUploads {
        /// The subject; `None` where everybody is let in.
        by: Option<String>,
    },
    /// Bytes of a file are about to come, by HTTP.
    Upload(File),
    /// All bytes of an upload are in the bucket.
    Uploaded {
        /// The file's id.
        id: String,
    },
    /// An upload broke off.
    FileLost {
        /// The file's id.
        id: String,
    },
    /// The bucket has none of these files any more.
    FilesRemoved {
        /// Their ids; none, if none were left to delete.
        ids: Vec<String>,
    },
    /// The bucket did not delete files.
    FilesNotRemoved,
}

/// What a thread starts from: its store and its open sockets.
#[derive(Debug)]
pub struct Woken {
    /// `None` before the first message.
    pub stored: Option<Stored>,
    /// The deletion of the session that had this name before, if there was one.
    pub deletion: Option<Deletion>,
    /// The files that no message names.
    pub files: Kept,
    /// The sockets that are open and attached, with their attachments.
    pub peers: Vec<(PeerId, Attachment)>,
    /// A random number that nobody can guess, from which the thread makes its own.
    pub seed: u64,
    /// Why the thread wakes.
    pub cause: Cause,
}

/// Why a thread wakes.
#[derive(Debug)]
pub enum Cause {
    /// First start, hibernation, eviction, crash.
    Start,
    /// The store failed the thread before this one, which was handling that frame, if any.
    StoreFailed(Option<Blame>),
    /// The thread before this one panicked, while it was handling that frame, if any.
    Panicked(Option<Blame>),
}

/// The frame that a thread was handling when it failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blame {
    /// The connection that sent it.
    pub peer: PeerId,
    /// Its `type`, and its `requestId` or its first characters, which a refusal repeats.
    pub name: FrameName,
    /// Why the frame is invalid, if it is. Its sender is then told this, and not that the thread failed.
    pub error: Option<ErrorBody>,
}

/// Where a frame came from: a refusal needs no more than this.
#[derive(Clone, Copy)]
struct Origin<'a> {
    peer: &'a PeerId,
    name: &'a FrameName,
}

/// Something that the thread wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Commit these writes, all or none.
    Store(Commit),
    /// Send a frame to one socket or to all.
    Send {
        /// Who gets the frame.
        to: Audience,
        /// The frame, to be encoded in the dialects of those who get it.
        frame: Box<ServerFrame>,
        /// Whether the client asked for it. [`Thread::sent`] or [`Thread::sent_to_all`] must be told how many bytes
        /// it has.
        is_asked: bool,
    },
    /// Make the call that [`Thread::call`] returns.
    StartAgent {
        /// The turn to be answered.
        turn: TurnId,
    },
    /// Close the call of a turn: nothing more of it is wanted.
    AbortAgent {
        /// The turn that the call was made for.
        turn: TurnId,
    },
    /// Keep an attachment with a socket, through hibernation. From then on the socket gets what is sent to
    /// all.
    Attach {
        /// The connection of the socket.
        peer: PeerId,
        /// What is kept.
        attachment: Attachment,
    },
    /// Close a socket.
    Close {
        /// The connection of the socket.
        peer: PeerId,
        /// The WebSocket close code.
        code: CloseCode,
        /// Why it is closed, in words for the client.
        reason: &'static str,
    },
    /// A stock client holds what these frames say of the turn that it is to be sent.
    Holds {
        /// The connection.
        peer: PeerId,
        /// The dialect that it speaks.
        dialect: Dialect,
        /// All of the turn up to there.
        frames: Vec<ServerFrame>,
        /// How many pieces it was told behind that; `None` if it comes with another request, which is told where the turn
        /// begins.
        since: Option<u64>,
    },
    /// Send nothing more to a connection, and not that it has ended.
    Drop {
        /// The connection.
        peer: PeerId,
    },
    /// Wake the thread at that time, even if it crashes before; `None` takes the alarm back.
    SetAlarm(Option<Millis>),
    /// Give D1 what [`Thread::delivery`] returns.
    Deliver,
    /// Have the bucket delete what [`Thread::files_to_remove`] returns.
    RemoveFiles,
    /// Write a line of the log that operators read, and where its turn stands in a trace.
    Log(Event, Option<Trace>),
}

/// Who a frame is sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Every socket that is attached; of those that follow one turn, where the frame is about that one.
    All,
    /// One socket, and the dialect that it speaks.
    One(PeerId, Dialect),
}

/// One conversation: its session, its sockets and the turns that are not over.
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
    /// The turn that began last on the current path, over or not: the next one's parent. And the id of its answer, if that
    /// does not follow from it.
    last_turn: Option<(TurnId, Option<String>)>,
    /// The newest runs that are called otherwise than their turns, and those.
    runs: Vec<(String, String)>,
    path: Path,
    /// The place of the last event that was sent to all; `None` if this thread has sent none yet.
    last_place: Option<Cursor>,
    /// Whether the store has the note of a deletion.
    was_deleted: bool,
    unread: Unread,
    crowd: Crowd,
    outbox: Outbox,
    files: Files,
    alarm: Option<Millis>,
    /// Whether the alarm is there for the session's retention alone.
    is_retention_alarm: bool,
    outputs: VecDeque<Output>,
    random: u64,
    /// When the last input came.
    now: Millis,
    counters: Counters,
}

impl Thread {
    /// A thread that is still to be woken: its first input must be [`Input::Woken`].
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

    /// Takes one input. `records` reads the store as it is after the last output that was carried out.
    pub fn handle(&mut self, now: Millis, records: &dyn Records, input: Input) {
        self.see_clock(now);
        // This comes first: a client whose credential has expired is sent nothing more, not even a refusal.
        self.dismiss_expired(now);
        let begins_nothing = matches!(input, Input::Woken(_) | Input::Alarm);
        // After a failure, the alarm may be one that was to be set and is not.
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
            Input::Uploaded { id } => self.uploaded(now, &id),
            Input::FileLost { id } => self.lose_file(now, &id),
            Input::FilesRemoved { ids } => self.files_removed(now, records, ids),
            Input::FilesNotRemoved => self.files_not_removed(now),
        }
        self.meet_deadlines(now);
        self.start_turns(now, records);
        self.deliver(now);
        self.remove_files(now);
        self.guard(now, begins_nothing, had_waited, sweeps);
    }

    /// Takes the next output to carry out; `None` if there are no more.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Input::Deadline`] is due, in Unix milliseconds; `None` if nothing waits for a time.
    #[must_use]
    pub fn poll_deadline(&self) -> Option<Millis> {
        self.deadlines().min()
    }

    /// The session; `None` before the first message and after a deletion.
    #[must_use]
    pub fn session(&self) -> Option<&Session> {
        self.session.as_ref()
    }

    /// Whether a turn is running, so that what its call brings is still wanted.
    #[must_use]
    pub fn is_running(&self, turn: TurnId) -> bool {
        self.turns.get(&turn).is_some_and(|turn| turn.running().is_some())
    }

    /// The `requestId` of a turn that is not over.
    #[must_use]
    pub fn request_of(&self, turn: TurnId) -> Option<&str> {
        self.turns.get(&turn).map(|turn| turn.request_id.as_str())
    }

    /// The `requestId` of the turn that runs, or is to.
    #[must_use]
    pub fn running_request(&self) -> Option<&str> {
        let running = self.running().map(|(turn, _)| turn).next().or_else(|| self.queued().next())?;
        self.request_of(running)
    }

    /// Who is at a connection.
    #[must_use]
    pub fn identity_of(&self, peer: &str) -> Option<&Identity> {
        self.peers.get(peer).map(|peer| &peer.identity)
    }

    /// The number that names this life of the log. It changes when the session is deleted.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// How many sockets are attached.
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
        let peer = origin.peer;
        // How many come is up to this side: they use up nothing.
        if matches!(frame, ClientFrame::Check { n } if self.checked(peer, n)) {
            return;
        }
        if !self.admits(now, origin, &frame) {
            return;
        }
        match frame {
            ClientFrame::Message { request_id, content, thread_id, metadata, after, replaces } => {
                let sent = Sent { content, metadata, after, of: replaces, ..Sent::default() };
                self.message(now, records, origin, &request_id, sent, thread_id.as_deref());
            }
            ClientFrame::Regenerate { request_id, of } => {
                self.regenerate(now, records, origin, &request_id, of);
            }
            ClientFrame::Select { message_id } => self.select(now, records, origin, &message_id),
            ClientFrame::Cancel { request_id } => self.cancel(now, Some(peer), request_id.as_deref()),
            ClientFrame::Answer(answer) => self.answer_call(now, origin, answer),
            ClientFrame::SessionSync { cursor } => self.sync(now, records, origin, cursor.as_deref()),
            ClientFrame::SessionUpdate(update) => self.change_session(now, origin, update),
            ClientFrame::Check { .. } => {}
            ClientFrame::Ping => self.send_to(peer, ServerFrame::Pong),
        }
    }

    fn refuse(&mut self, origin: Origin<'_>, error: &ErrorBody) {
        let FrameName { kind, request_id, tool_use_id, start } = origin.name.clone();
        let frame = ServerFrame::Refused {
            refused: kind,
            request_id: request_id.clone(),
            tool_use_id,
            frame: start,
            error: error.clone(),
        };
        self.send_to(origin.peer, frame);
        if self.posts(origin.peer) {
            // It has sent all that it ever sends.
            self.peers.remove(origin.peer);
        }
        events::count(&mut self.counters.refusals);
        // The log must hold nothing that a user wrote, and a requestId that is not valid may be anything.
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

    /// Sends what a client asked for. The bytes are taken from its subject's allowance.
    fn send_asked(&mut self, peer: &PeerId, frames: Vec<ServerFrame>) {
        for frame in frames {
            self.send(self.audience(peer), frame, true);
        }
    }

    fn send(&mut self, to: Audience, frame: ServerFrame, is_asked: bool) {
        if to == Audience::All
            && let Some(cursor) = frame.cursor()
        {
            self.last_place = Some(cursor.clone());
        }
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

    /// The cursor of a client that was sent everything so far.
    fn head(&self) -> Cursor {
        self.cursor_at(self.seq)
    }

    /// Whether a cursor is the place of the last event that was sent to all. What is known of answers may have changed
    /// since without an event, as where an agent goes on, or drops a block.
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

    /// A number that is hard to guess without the seed (splitmix64).
    fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed(self.random)
    }
}

/// Every bit of the number changes half of these (splitmix64).
fn mixed(number: u64) -> u64 {
    let mixed = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// The store could not be read: the frame at hand is refused, and nothing has changed.
fn unreadable() -> ErrorBody {
    ErrorBody::retryable(ErrorCode::StorageError, "the thread's store could not be read; try again")
}
