//! The pump: it takes an input, and carries out what the thread puts out, in order.
//!
//! A [`Pump`] drives one [`Thread`] on a [`Platform`]. It wakes the thread when it is needed, hands it one
//! input at a time, carries out all outputs of that input before the next one, keeps the timers, and starts
//! the thread again from its store after a failed write or a panic. workerd and the simulation each are a
//! `Platform`, so the logic that is simulated is the logic that ships.
//!
//! **Invariant:** an input is handled once, or [`Pump::input`] returns an error. A frame whose handling
//! failed is refused to its sender, or its sender's socket is closed.
//!
//! **Invariant:** knows nothing about sockets, SQL, HTTP, clocks or randomness, and never waits.

#![deny(missing_docs)]

mod platform;
mod stock;

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt::{self, Display};
use std::rc::Rc;

use crate::agent::{Agent, AgentEvent, Failed};
use crate::dialect::{Dialect, Telling, Told};
use crate::protocol::{
    CloseCode, Cursor, ErrorBody, ErrorCode, Identity, Millis, Post, Received, ServerFrame,
};
use crate::thread::stock::socket_of;
use crate::thread::store::{Commit, StoreError};
use crate::thread::{
    Ask, Audience, Blame, Cause, Config, Denied, File, Import, Input, Output, PeerId, Request, Thread,
    TurnId, Unimported, Unserved, Woken,
};

pub use platform::{Loaded, Log, Panicked, Platform};
pub use stock::Pending;

/// What clients are told of a thread whose store this version cannot read.
pub const NEWER_FORMAT: &str =
    "this thread was stored by a newer version of Bobbin; deploy that version again";

/// Drives one thread.
#[derive(Debug)]
pub struct Pump<P> {
    session_id: String,
    config: Config,
    agent: Rc<dyn Agent>,
    platform: P,
    /// Taken out while it is at work, so a thread that panicked is never seen again. `None` while it sleeps.
    thread: Option<Box<Thread>>,
    /// The frame that is being handled.
    handling: Option<Blame>,
    /// The times for which timers are armed, the earliest last.
    timers: Vec<Millis>,
    /// What a program posts and is to be answered.
    posting: Option<Posting>,
    /// What stock clients were told of turns.
    telling: Telling,
    /// How many pieces of what comes next a client holds already.
    skipping: u64,
    /// Requests of stock clients whose files are being stored.
    pending: Vec<PeerId>,
}

#[derive(Debug)]
struct Posting {
    peer: PeerId,
    refused: Option<ErrorBody>,
}

/// What a program posted and was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The turn's id.
    pub request_id: String,
    /// The id that its answer has or will have.
    pub answer_id: String,
    /// The place after what was posted: whoever follows the thread from there is sent all that comes of it.
    pub cursor: Cursor,
}

/// Why an input was not carried out to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The store refused a read or a write.
    Store(StoreError),
    /// A newer version of Bobbin wrote the store in a format that this one cannot read. The text names both.
    NewerFormat(String),
    /// The thread panicked.
    Panic,
}

/// Why a request was not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undone {
    /// The caller may not ask for it.
    Denied(Denied),
    /// What it asks for cannot be.
    Refused(ErrorBody),
    /// It failed.
    Broken(Broken),
}

impl From<Broken> for Undone {
    fn from(broken: Broken) -> Self {
        Undone::Broken(broken)
    }
}

impl From<StoreError> for Broken {
    fn from(error: StoreError) -> Self {
        Broken::Store(error)
    }
}

impl Display for Broken {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Broken::Store(StoreError(why)) | Broken::NewerFormat(why) => out.write_str(why),
            Broken::Panic => out.write_str("the thread panicked"),
        }
    }
}

impl<P: Platform> Pump<P> {
    /// A pump whose thread still sleeps; the first input wakes it.
    pub fn new(session_id: String, config: Config, agent: Rc<dyn Agent>, platform: P) -> Self {
        Pump {
            session_id,
            config,
            agent,
            platform,
            thread: None,
            handling: None,
            timers: Vec::new(),
            posting: None,
            telling: Telling::default(),
            skipping: 0,
            pending: Vec::new(),
        }
    }

    /// Hands the thread an input and carries out all that comes of it.
    ///
    /// # Errors
    /// If a write failed or the thread panicked. The thread was then started again from its store, or, if
    /// that failed too, all sockets were closed. What the input asked for is not done.
    pub fn input(&mut self, input: Input) -> Result<(), Broken> {
        let mut unhandled = Some(input);
        let first = self.attempt(Cause::Start, &mut unhandled);
        let outcome = first.or_else(|broken| {
            let was_handled = unhandled.is_none();
            self.restart(&broken, &mut unhandled)?;
            // An input that the first thread never saw was handled by the second one.
            if was_handled { Err(broken) } else { Ok(()) }
        });
        self.arm_timer();
        outcome
    }

    /// Hands the thread a client's text frame. A frame that cannot even be read without a panic is refused.
    ///
    /// # Errors
    /// As [`Pump::input`].
    pub fn frame(&mut self, peer: PeerId, dialect: Dialect, text: &str) -> Result<(), Broken> {
        let mut received = None;
        let _ = P::guard(&mut || received = Some(dialect.parse(text)));
        let received = received.unwrap_or_else(|| {
            let error = ErrorBody::fatal(ErrorCode::Internal, "the thread failed on this frame");
            Received { frame: Err(error), name: dialect.unread(text) }
        });
        self.input(Input::Frame { peer, received })
    }

    /// Hands the thread what a program asks for by HTTP, if that caller may ask for it.
    ///
    /// # Errors
    /// If it may not, or as [`Pump::input`].
    pub fn request(&mut self, identity: &Identity, request: Request) -> Result<(), Undone> {
        let thread = self.thread()?;
        thread.permits_request(identity, request.ask()).map_err(Undone::Denied)?;
        let refused = match &request {
            Request::Update(update) => thread.refuses_update(update, None),
            Request::Answer(answer) => thread.refuses_answer(answer),
            Request::Upload(_) => thread.refuses_upload(identity.subject.as_deref()),
            Request::Cancel { .. }
            | Request::Stop
            | Request::Delete
            | Request::DeliverAnew
            | Request::Sweep
            | Request::Forget { .. } => None,
        };
        let has_begun = thread.session().is_some();
        match refused {
            Some(error) => Err(Undone::Refused(error)),
            None => Ok(self.input(request.input(identity, has_begun))?),
        }
    }

    /// The file that a program asks for by HTTP, if that caller may have it.
    ///
    /// # Errors
    /// If it is not there, or not for that caller; or as [`Pump::thread`].
    pub fn file(&mut self, by: &Identity, id: &str) -> Result<File, Undone> {
        self.thread()?;
        let (now, records) = (self.platform.now(), self.platform.records());
        let gone = || Broken::Store(StoreError("the thread is not awake".into()));
        let thread = self.thread.as_deref().ok_or_else(gone)?;
        thread.file(now, records, by, id).map_err(|unserved| match unserved {
            Unserved::Denied(denied) => Undone::Denied(denied),
            Unserved::Refused(error) => Undone::Refused(error),
        })
    }

    /// Hands the thread what a program posts by HTTP. If it `follows`, `peer` is a stream that the platform has, and that
    /// is sent the events of this turn until it ends or waits.
    ///
    /// # Errors
    /// If the caller may not, if it is refused, or as [`Pump::input`].
    pub fn post(
        &mut self,
        peer: PeerId,
        identity: Identity,
        post: Post,
        follows: bool,
    ) -> Result<Accepted, Undone> {
        let (now, request_id) = (self.platform.now(), post.request_id.clone());
        let thread = self.thread()?;
        let ask = if post.is_answer { Ask::Append } else { Ask::Send };
        thread.permits_request(&identity, ask).map_err(Undone::Denied)?;
        if follows && let Some((code, reason)) = thread.refuses(now, &identity) {
            return Err(Undone::Refused(closed(code, reason).unwrap_or_else(unknown)));
        }
        self.posting = Some(Posting { peer: peer.clone(), refused: None });
        let (dialect, post) = (Dialect::Events, Box::new(post));
        let outcome = self.input(Input::Posted { peer, identity, dialect, post, follows });
        let refused = self.posting.take().and_then(|posting| posting.refused);
        outcome?;
        if let Some(error) = refused {
            return Err(Undone::Refused(error));
        }
        let thread = self.thread.as_deref();
        let accepted = thread.map(|thread| thread.accepted(self.platform.records(), &request_id));
        let accepted = accepted.transpose().map_err(Broken::Store)?.flatten();
        let (answer_id, cursor) = accepted.ok_or_else(|| Undone::Refused(unknown()))?;
        Ok(Accepted { request_id, answer_id, cursor })
    }

    /// Brings a session in, or a part of it: how many records and files were not there yet. The thread starts anew from what
    /// is stored then.
    ///
    /// # Errors
    /// If the caller may not, if it does not fit what is there, or as [`Pump::input`].
    pub fn import(&mut self, identity: &Identity, import: Import) -> Result<usize, Undone> {
        let thread = self.thread()?;
        thread.permits_request(identity, Ask::Administer).map_err(Undone::Denied)?;
        let gone = || Broken::Store(StoreError("the thread is not awake".into()));
        let thread = self.thread.as_deref().ok_or_else(gone)?;
        let writes =
            thread.import(self.platform.records(), import).map_err(|unimported| match unimported {
                Unimported::Refused(error) => Undone::Refused(error),
                Unimported::Unread(error) => Undone::Broken(Broken::Store(error)),
            })?;
        let count = writes.len().saturating_sub(1);
        if !writes.is_empty() {
            if let Err(error) = self.platform.apply(Commit(writes)) {
                let broken = Broken::Store(error);
                self.restart(&broken, &mut None)?;
                return Err(broken.into());
            }
            self.forget_thread();
            self.thread()?;
        }
        Ok(count)
    }

    /// The thread, woken if need be.
    ///
    /// # Errors
    /// If it could not be woken: nothing is known of it then.
    pub fn thread(&mut self) -> Result<&Thread, Broken> {
        if self.thread.is_none() {
            self.input(Input::Deadline)?;
        }
        let gone = || Broken::Store(StoreError("the thread is not awake".into()));
        self.thread.as_deref().ok_or_else(gone)
    }

    /// The thread, if it is awake.
    pub fn awake(&self) -> Option<&Thread> {
        self.thread.as_deref()
    }

    /// A timer that [`Platform::start_timer`] started has fired.
    ///
    /// # Errors
    /// As [`Pump::input`].
    pub fn timer_fired(&mut self) -> Result<(), Broken> {
        self.timers.pop();
        self.input(Input::Deadline)
    }

    /// The times for which timers are armed.
    pub fn timers(&self) -> &[Millis] {
        &self.timers
    }

    /// Starts the thread again after a panic outside of [`Pump::input`], such as one of a task.
    pub fn panicked(&mut self) {
        if self.restart(&Broken::Panic, &mut None).is_ok() {
            self.arm_timer();
        }
    }

    /// Wakes the thread once more: its store has become another one.
    ///
    /// # Errors
    /// As [`Pump::input`].
    pub fn wake_anew(&mut self) -> Result<(), Broken> {
        self.forget_thread();
        self.input(Input::Deadline)
    }

    /// The platform that the pump runs on.
    pub fn platform(&self) -> &P {
        &self.platform
    }

    /// The platform that the pump runs on, to change it.
    pub fn platform_mut(&mut self) -> &mut P {
        &mut self.platform
    }

    /// Ends the pump and returns its platform.
    pub fn into_platform(self) -> P {
        self.platform
    }

    /// Starts the thread anew from its store. If that fails too, it gives up.
    fn restart(&mut self, broken: &Broken, unhandled: &mut Option<Input>) -> Result<(), Broken> {
        let blame = self.handling.take();
        let cause = match broken {
            Broken::Store(StoreError(why)) | Broken::NewerFormat(why) => {
                self.platform.log(Log::StoreFailed(why));
                Cause::StoreFailed(blame)
            }
            Broken::Panic => {
                self.platform.log(Log::Panicked);
                Cause::Panicked(blame)
            }
        };
        self.forget_thread();
        let restarted = self.attempt(cause, unhandled);
        if let Err(broken) = &restarted {
            self.give_up(broken);
        }
        restarted
    }

    /// Wakes the thread if it sleeps, then hands it the input.
    fn attempt(&mut self, waking: Cause, unhandled: &mut Option<Input>) -> Result<(), Broken> {
        let (mut waking, mut outcome) = (Some(waking), Ok(()));
        let survived = P::guard(&mut || {
            if let Some(waking) = waking.take() {
                outcome = self.drive(waking, unhandled);
            }
        });
        match survived {
            Ok(()) => outcome,
            Err(Panicked) => Err(Broken::Panic),
        }
    }

    fn drive(&mut self, waking: Cause, unhandled: &mut Option<Input>) -> Result<(), Broken> {
        if self.thread.is_none() {
            let woken = self.waking(waking)?;
            self.thread =
                Some(Box::new(Thread::new(self.session_id.clone(), self.config, self.agent.clone())));
            self.feed(woken)?;
        }
        unhandled.take().map_or(Ok(()), |input| self.feed(input))
    }

    fn waking(&mut self, cause: Cause) -> Result<Input, Broken> {
        let Loaded { mut stored, deletion, files } = self.platform.load()?;
        if let Some(stored) = &mut stored {
            stored.complete(self.platform.records())?;
        }
        let (peers, seed) = (self.platform.peers(), self.platform.seed()?);
        Ok(Input::Woken(Box::new(Woken { stored, deletion, files, peers, seed, cause })))
    }

    /// Handles an input, and then those that its outputs bring about.
    fn feed(&mut self, input: Input) -> Result<(), Broken> {
        let (mut next, mut waiting) = (Some(input), VecDeque::new());
        while let Some(input) = next {
            self.handle(input);
            // Sending may bring about more outputs.
            while let Some(output) = self.thread.as_mut().and_then(|thread| thread.poll_output()) {
                waiting.extend(self.carry_out(output)?);
            }
            self.handling = None;
            next = waiting.pop_front();
        }
        Ok(())
    }

    /// Hands the thread an input. Only here does a thread take inputs.
    fn handle(&mut self, input: Input) {
        let Some(mut thread) = self.thread.take() else { return };
        self.handling = match &input {
            Input::Frame { peer, received } => {
                let (name, error) = (received.name.clone(), received.frame.as_ref().err().cloned());
                Some(Blame { peer: peer.clone(), name, error })
            }
            _ => None,
        };
        thread.handle(self.platform.now(), self.platform.records(), input);
        self.thread = Some(thread);
    }

    /// Carries out one output. Returns the input that it brings about at once, if any.
    fn carry_out(&mut self, output: Output) -> Result<Option<Input>, StoreError> {
        match output {
            Output::Store(commit) => self.platform.apply(commit)?,
            Output::Send { to: Audience::One(peer, dialect), frame, is_asked } => {
                self.note_refusal(&peer, &frame);
                self.send_to(&peer, dialect, &frame, is_asked);
            }
            Output::Send { to: Audience::All, frame, .. } => self.send_to_all(&frame),
            Output::StartAgent { turn } => {
                self.tell_start(turn);
                return Ok(self.call_agent(turn));
            }
            Output::AbortAgent { turn } => self.platform.abort_agent(turn),
            Output::Attach { peer, attachment } => self.platform.attach(&peer, attachment),
            Output::Close { peer, code, reason } => {
                self.note_close(&peer, code, reason);
                self.platform.close(&peer, code, reason);
            }
            Output::Holds { peer, dialect, frames, since } => self.hold(&peer, dialect, &frames, since),
            Output::Drop { peer } => self.platform.drop_request(&peer),
            Output::SetAlarm(at) => self.platform.set_alarm(at)?,
            Output::Deliver => return Ok(self.deliver()),
            Output::RemoveFiles => return Ok(self.remove_files()),
            Output::Log(event) => self.platform.log(Log::Event(&event)),
        }
        Ok(None)
    }

    fn send_to(&mut self, peer: &PeerId, dialect: Dialect, frame: &ServerFrame, is_asked: bool) {
        let told = match dialect.stock() {
            None => vec![dialect.encode(frame)],
            Some(stock) => self.told_to(stock, dialect, frame),
        };
        for text in &told {
            self.send_text(peer, dialect, text, is_asked);
        }
    }

    fn send_text(&mut self, peer: &PeerId, dialect: Dialect, text: &str, is_asked: bool) {
        self.platform.send(peer, text);
        let bytes = (text.len() as u64).saturating_add(dialect.wrap_bytes());
        if self.thread.as_mut().is_some_and(|thread| thread.sent(peer, bytes, is_asked)) {
            self.look();
        }
    }

    /// Encodes once for each dialect in use, whatever the number of sockets.
    fn send_to_all(&mut self, frame: &ServerFrame) {
        let request_id = frame.request_id().map(String::as_str);
        for dialect in [Dialect::Native, Dialect::Events] {
            if self.platform.is_spoken(dialect) {
                self.give_all(dialect, request_id, &dialect.encode(frame));
            }
        }
        self.tell_all(frame);
    }

    /// Gives all of a dialect that are sent this turn, or everything, a text.
    fn give_all(&mut self, dialect: Dialect, request_id: Option<&str>, text: &str) {
        self.platform.send_to_all(dialect, request_id, text);
        let bytes = (text.len() as u64).saturating_add(dialect.wrap_bytes());
        if self.thread.as_mut().is_some_and(|thread| thread.sent_to_all(dialect, request_id, bytes)) {
            self.look();
        }
    }

    fn look(&mut self) {
        if let Some(thread) = &mut self.thread {
            thread.look(&self.platform.untaken());
        }
    }

    /// What is posted is answered at once: a refusal is kept for that, as there may be nowhere to send it.
    fn note_refusal(&mut self, to: &PeerId, frame: &ServerFrame) {
        if let (Some(posting), ServerFrame::Refused { error, .. }) = (&mut self.posting, frame)
            && posting.peer == *to
        {
            posting.refused = Some(error.clone());
        }
    }

    /// A request of a socket is told by its end itself.
    fn note_close(&mut self, peer: &PeerId, code: CloseCode, reason: &str) {
        if let Some(posting) = &mut self.posting
            && posting.peer == *peer
            && socket_of(peer).is_none()
        {
            posting.refused = posting.refused.take().or(closed(code, reason));
        }
    }

    fn call_agent(&mut self, turn: TurnId) -> Option<Input> {
        match self.thread.as_mut()?.call(self.platform.records(), turn) {
            Ok(Some((call, enclosed))) => {
                self.platform.call_agent(turn, call, enclosed);
                None
            }
            Ok(None) => Some(Input::Unasked { turn }),
            Err(StoreError(why)) => {
                self.platform.log(Log::StoreFailed(&why));
                let message =
                    "the thread's history could not be read; send the message again under a new requestId";
                let error = ErrorBody::retryable(ErrorCode::StorageError, message);
                let events = vec![AgentEvent::Failed(Failed::new(error))];
                Some(Input::Agent { turn, events, tokens_used: 0 })
            }
        }
    }

    fn deliver(&mut self) -> Option<Input> {
        match self.thread.as_ref()?.delivery(self.platform.records()) {
            Ok(delivery) => {
                self.platform.deliver(delivery);
                None
            }
            Err(StoreError(why)) => {
                self.platform.log(Log::StoreFailed(&why));
                Some(Input::DeliveryFailed)
            }
        }
    }

    fn remove_files(&mut self) -> Option<Input> {
        match self.thread.as_ref()?.files_to_remove(self.platform.records()) {
            Ok(ids) if ids.is_empty() => Some(Input::FilesRemoved { ids }),
            Ok(ids) => {
                self.platform.remove_files(ids);
                None
            }
            Err(StoreError(why)) => {
                self.platform.log(Log::StoreFailed(&why));
                Some(Input::FilesNotRemoved)
            }
        }
    }

    /// A timer that fires early finds nothing due, which costs less than moving it each time.
    fn arm_timer(&mut self) {
        let Some(deadline) = self.thread.as_ref().and_then(|thread| thread.poll_deadline()) else {
            if !self.timers.is_empty() {
                self.timers.clear();
                self.platform.clear_timers();
            }
            return;
        };
        if self.timers.last().is_none_or(|armed_for| *armed_for > deadline) {
            self.timers.push(deadline);
            self.platform.start_timer(deadline);
        }
    }

    fn forget_thread(&mut self) {
        self.platform.abort_all_agents();
        self.telling = Telling::default();
        self.thread = None;
        self.handling = None;
    }

    fn give_up(&mut self, broken: &Broken) {
        self.forget_thread();
        let reason = match broken {
            Broken::NewerFormat(_) => NEWER_FORMAT,
            Broken::Store(_) | Broken::Panic => "the thread's store does not answer; connect again",
        };
        self.platform.close_all(CloseCode::InternalError, reason);
        self.platform.log(Log::GaveUp);
    }
}

/// Pieces of a turn as a dialect sends them.
fn framed(dialect: Dialect, told: &[Told]) -> Vec<String> {
    told.iter().filter_map(|told| dialect.framed(told).map(Cow::into_owned)).collect()
}

/// What a connection that is closed with this code was refused for; `None` if nothing is wrong.
fn closed(code: CloseCode, reason: &str) -> Option<ErrorBody> {
    let code = match code {
        CloseCode::Normal => return None,
        CloseCode::Unauthenticated => ErrorCode::Unauthenticated,
        CloseCode::TooMany => return Some(ErrorBody::retryable(ErrorCode::RateLimited, reason)),
        CloseCode::SessionDeleted => ErrorCode::NotFound,
        CloseCode::InternalError => return Some(ErrorBody::retryable(ErrorCode::StorageError, reason)),
        _ => ErrorCode::Forbidden,
    };
    Some(ErrorBody::fatal(code, reason))
}

fn unknown() -> ErrorBody {
    let message = "it is not known what became of this; send it again under its requestId";
    ErrorBody::retryable(ErrorCode::Internal, message)
}
