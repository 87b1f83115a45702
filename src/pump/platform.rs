//! The interface between a pump and the platform that it runs on.

use super::Broken;
use crate::agent::{Call, Enclosed};
use crate::dialect::Dialect;
use crate::protocol::{CloseCode, Millis, Trace};
use crate::thread::store::{Commit, Deletion, Records, StoreError, Stored};
use crate::thread::{Attachment, Delivery, Event, Kept, PeerId, TurnId};

/// The outside world as a pump sees it. Every method returns at once; the results of slow work come back as inputs.
pub trait Platform {
    /// Milliseconds since 1970. The clock may stand still while code runs, and may jump.
    fn now(&self) -> Millis;

    /// A random number that nobody can guess.
    ///
    /// # Errors
    /// If the platform gives none.
    fn seed(&mut self) -> Result<u64, StoreError>;

    /// Loads the state from which a thread wakes. A store of an older format is first migrated to this version's
    /// format, in one commit.
    ///
    /// # Errors
    /// If it could not be read, or is of a format that this version does not know.
    fn load(&mut self) -> Result<Loaded, Broken>;

    /// Gives read access to the committed state.
    fn records(&self) -> &dyn Records;

    /// Commits all of the writes, or none.
    ///
    /// # Errors
    /// If the writes may not have been stored. They may have been stored nevertheless.
    fn apply(&mut self, commit: Commit) -> Result<(), StoreError>;

    /// Sets the one alarm, which outlives a crash; `None` deletes it.
    ///
    /// # Errors
    /// If it could not be set.
    fn set_alarm(&mut self, at: Option<Millis>) -> Result<(), StoreError>;

    /// Starts one more timer. When it fires, the platform must call [`super::Pump::timer_fired`].
    fn start_timer(&mut self, at: Millis);

    /// Stops all timers.
    fn clear_timers(&mut self);

    /// The sockets that are open and attached, with their attachments.
    fn peers(&self) -> Vec<(PeerId, Attachment)>;

    /// Sends a socket a text frame. If the socket cannot take it, the platform reports later that the peer has left.
    fn send(&mut self, to: &PeerId, frame: &str);

    /// Tells whether frames for everybody have a receiver in this dialect. The socket of a stock client is not a
    /// receiver, but each of its requests is.
    fn is_spoken(&self, dialect: Dialect) -> bool;

    /// Sends a text frame to all attached sockets of a dialect. The frame is about the turn `request_id`: sockets
    /// whose attachment says that they follow another turn do not get it, and neither do stock clients that follow no
    /// turn.
    fn send_to_all(&mut self, dialect: Dialect, request_id: Option<&str>, frame: &str);

    /// Stops sending to a request of a stock client's socket, without telling the client that the request has ended.
    fn drop_request(&mut self, peer: &PeerId);

    /// The bytes that each stream has not taken yet. Sockets are left out, since the platform cannot tell for them.
    fn untaken(&self) -> Vec<(PeerId, u64)>;

    /// Stores the attachment with the socket, so it survives hibernation. This also creates the peer for a request of
    /// a socket (see [`crate::thread::stock::request_peer`]), which is kept with that socket. From then on the socket
    /// gets the frames for everybody.
    fn attach(&mut self, peer: &PeerId, attachment: Attachment);

    /// Closes a socket. Nothing more is sent to it. [`crate::thread::Input::Left`] may follow once it has ended.
    fn close(&mut self, peer: &PeerId, code: CloseCode, reason: &str);

    /// Closes all sockets, as [`Platform::close`] does.
    fn close_all(&mut self, code: CloseCode, reason: &str);

    /// Starts the agent call of a turn, with the bytes of the attached files. The agent's output comes back as
    /// [`crate::thread::Input::Answered`].
    fn call_agent(&mut self, turn: TurnId, call: Call, enclosed: Enclosed);

    /// Closes the call of a turn, if there is one. No more output of it arrives.
    fn abort_agent(&mut self, turn: TurnId);

    /// Closes the calls of all turns.
    fn abort_all_agents(&mut self);

    /// Writes a delivery to D1. [`crate::thread::Input::Delivered`] or `DeliveryFailed` follows.
    fn deliver(&mut self, delivery: Delivery);

    /// Deletes these files of the session from the bucket, and ignores those that are not there.
    /// [`crate::thread::Input::FilesRemoved`] or `FilesNotRemoved` follows.
    fn remove_files(&mut self, ids: Vec<String>);

    /// Writes a line of the log.
    fn log(&mut self, line: Log<'_>);

    /// Runs `work` and catches its panic. The values that `work` was changing must not be used again after a panic.
    ///
    /// # Errors
    /// If it panicked.
    fn guard(work: &mut dyn FnMut()) -> Result<(), Panicked>;
}

/// The state from which a thread wakes.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// `None` before the first message.
    pub stored: Option<Stored>,
    /// The deletion of an earlier session of the same name, if there was one.
    pub deletion: Option<Deletion>,
    /// The files that no message refers to.
    pub files: Kept,
}

/// Says that the work of [`Platform::guard`] panicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Panicked;

/// A line of the log.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Log<'a> {
    /// Something happened in the thread.
    Event(&'a Event, Option<&'a Trace>),
    /// The store refused a read or a write, for this reason.
    StoreFailed(&'a str),
    /// The thread panicked and is started again from its store.
    Panicked,
    /// The thread could not be started again; all its sockets are closed.
    GaveUp,
}
