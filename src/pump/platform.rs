//! What a pump needs of the world.

use super::Broken;
use crate::agent::{Call, Enclosed};
use crate::dialect::Dialect;
use crate::protocol::{CloseCode, Millis, Trace};
use crate::thread::store::{Commit, Deletion, Records, StoreError, Stored};
use crate::thread::{Attachment, Delivery, Event, Kept, PeerId, TurnId};

/// The world as a pump sees it. Every method returns at once: what takes time comes back as an input.
pub trait Platform {
    /// Milliseconds since 1970. The clock may stand still while code runs, and may jump.
    fn now(&self) -> Millis;

    /// A random number that nobody can guess.
    ///
    /// # Errors
    /// If the platform gives none.
    fn seed(&mut self) -> Result<u64, StoreError>;

    /// What the store holds for a thread that wakes. A store of an older format is brought to this version's
    /// first, in one commit.
    ///
    /// # Errors
    /// If it could not be read, or is of a format that this version does not know.
    fn load(&mut self) -> Result<Loaded, Broken>;

    /// Reads of what is committed.
    fn records(&self) -> &dyn Records;

    /// Commits all of the writes, or none.
    ///
    /// # Errors
    /// If they may not have been stored. They may have been all the same.
    fn apply(&mut self, commit: Commit) -> Result<(), StoreError>;

    /// Sets the one alarm, which outlives a crash; `None` deletes it.
    ///
    /// # Errors
    /// If it could not be set.
    fn set_alarm(&mut self, at: Option<Millis>) -> Result<(), StoreError>;

    /// Starts one more timer. When it fires, [`super::Pump::timer_fired`] is to be called.
    fn start_timer(&mut self, at: Millis);

    /// Stops all timers.
    fn clear_timers(&mut self);

    /// The sockets that are open and attached, with their attachments.
    fn peers(&self) -> Vec<(PeerId, Attachment)>;

    /// Gives a socket a text frame. A socket that cannot take it is reported later, as one that left.
    fn send(&mut self, to: &PeerId, frame: &str);

    /// Whether somebody who is attached is sent in this dialect what goes to all. A socket of a stock client is not: its
    /// requests are.
    fn is_spoken(&self, dialect: Dialect) -> bool;

    /// Gives all sockets of a dialect that are attached a text frame. It is about the turn `request_id`: those whose
    /// attachment says that they follow another one do not get it, nor do stock clients that follow none.
    fn send_to_all(&mut self, dialect: Dialect, request_id: Option<&str>, frame: &str);

    /// Sends nothing more to a request of a stock client's socket, and not that it has ended.
    fn drop_request(&mut self, peer: &PeerId);

    /// Bytes that each stream has not taken yet. Of a socket nothing tells.
    fn untaken(&self) -> Vec<(PeerId, u64)>;

    /// Keeps the attachment with the socket, through hibernation. The peer of a request of a socket (see
    /// [`crate::thread::stock::request_peer`]) is made by that, and is kept with its socket. From then on the socket gets what is sent
    /// to all.
    fn attach(&mut self, peer: &PeerId, attachment: Attachment);

    /// Closes a socket. Nothing more is sent to it. [`crate::thread::Input::Left`] may tell when it has ended.
    fn close(&mut self, peer: &PeerId, code: CloseCode, reason: &str);

    /// Closes all sockets, as [`Platform::close`] does.
    fn close_all(&mut self, code: CloseCode, reason: &str);

    /// Makes the call of a turn, with the bytes of the files that it encloses. What comes back of it comes as
    /// [`crate::thread::Input::Answered`].
    fn call_agent(&mut self, turn: TurnId, call: Call, enclosed: Enclosed);

    /// Closes the call of a turn, if there is one; nothing more of it comes.
    fn abort_agent(&mut self, turn: TurnId);

    /// Closes the calls of all turns.
    fn abort_all_agents(&mut self);

    /// Gives D1 a delivery. [`crate::thread::Input::Delivered`] or `DeliveryFailed` follows.
    fn deliver(&mut self, delivery: Delivery);

    /// Has the bucket delete these files of the session, also those that it does not have.
    /// [`crate::thread::Input::FilesRemoved`] or `FilesNotRemoved` follows.
    fn remove_files(&mut self, ids: Vec<String>);

    /// Writes a line of the log.
    fn log(&mut self, line: Log<'_>);

    /// Runs `work` and survives its panic. What `work` had left half done is not to be used again.
    ///
    /// # Errors
    /// If it panicked.
    fn guard(work: &mut dyn FnMut()) -> Result<(), Panicked>;
}

/// What a thread wakes from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// `None` before the first message.
    pub stored: Option<Stored>,
    /// The deletion of the session that had this name before, if there was one.
    pub deletion: Option<Deletion>,
    /// The files that no message names.
    pub files: Kept,
}

/// The work of [`Platform::guard`] panicked.
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
