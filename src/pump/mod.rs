//! The pump: hands inputs to the thread, and carries out the thread's outputs in order.
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

mod outputs;
mod platform;
mod requests;
mod stock;

use std::collections::VecDeque;
use std::fmt::{self, Display};
use std::rc::Rc;

use crate::agent::Agent;
use crate::dialect::{Dialect, Telling};
use crate::protocol::{CloseCode, ErrorBody, ErrorCode, Millis, Received};
use crate::thread::store::StoreError;
use crate::thread::{Blame, Cause, Config, Input, PeerId, Thread, Woken};

pub use platform::{Loaded, Log, Panicked, Platform};
pub use requests::{Accepted, Undone};
pub use stock::Pending;

use requests::Posting;
use stock::Skipping;

/// The close reason that clients get if this version cannot read the thread's store.
pub const NEWER_FORMAT: &str =
    "this thread was stored by a newer version of Bobbin; deploy that version again";

/// Drives one thread.
#[derive(Debug)]
pub struct Pump<P> {
    session_id: String,
    config: Config,
    agent: Rc<dyn Agent>,
    platform: P,
    /// Taken out while it handles an input, so a thread that panicked is never used again. `None` while it sleeps.
    thread: Option<Box<Thread>>,
    /// The frame that is being handled.
    handling: Option<Blame>,
    /// The times for which timers are armed, the earliest last.
    timers: Vec<Millis>,
    /// The HTTP posts that are being handled and whose callers still need an answer.
    posting: Option<Posting>,
    /// The pieces of turns that stock clients were sent.
    telling: Telling,
    /// The pieces that a client already holds, which are skipped when a turn is shown to it.
    skipping: Skipping,
    /// Requests of stock clients whose files are being stored.
    pending: Vec<PeerId>,
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
            skipping: Skipping::default(),
            pending: Vec::new(),
        }
    }

    /// Hands the thread an input, and carries out all the outputs that follow from it.
    ///
    /// # Errors
    /// If a write failed or the thread panicked. The thread was then started again from its store, or, if that failed
    /// too, all sockets were closed. The input had no effect.
    pub fn input(&mut self, input: Input) -> Result<(), Broken> {
        let mut unhandled = Some(input);
        let first = self.attempt(Cause::Start, &mut unhandled);
        let outcome = first.or_else(|broken| {
            let was_handled = unhandled.is_none();
            self.restart(&broken, &mut unhandled)?;
            // The first thread never saw this input, and the second one has handled it.
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

    /// The thread, woken if need be.
    ///
    /// # Errors
    /// If it could not be woken. Nothing is known about the thread then.
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

    /// Wakes the thread again, because its store was replaced.
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

    /// Starts the thread again from its store. If that fails too, the pump gives up.
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

    /// Handles an input, and then the inputs that its outputs cause.
    fn feed(&mut self, input: Input) -> Result<(), Broken> {
        let (mut next, mut waiting) = (Some(input), VecDeque::new());
        while let Some(input) = next {
            self.handle(input);
            // Sending may cause more outputs.
            while let Some(output) = self.thread.as_mut().and_then(|thread| thread.poll_output()) {
                waiting.extend(self.carry_out(output)?);
            }
            self.handling = None;
            next = waiting.pop_front();
        }
        Ok(())
    }

    /// Hands the thread an input. The thread takes inputs nowhere else.
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
