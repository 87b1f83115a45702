//! A client: it sends messages, loses connections, comes back with its last cursor, and sends unacknowledged messages
//! again.

use std::collections::BTreeMap;
use std::rc::Rc;

use bobbin::thread::PeerId;
use serde_json::{Value, json};

use super::Check;
use super::people::Person;
use super::truth::Truth;
use super::view::{View, text_of};
use crate::support::{Frame, Head};

#[derive(Debug)]
pub struct Client {
    pub person: Person,
    pub view: View,
    pub connection: Option<Connection>,
    /// Earlier states of the client, as an app may have stored them.
    pub earlier: Vec<View>,
    /// Messages without acknowledgement or refusal, by `requestId`.
    pub pending: BTreeMap<String, Value>,
    /// Whether it never answers a check.
    pub is_mute: bool,
    /// It follows the thread by streams of events, and posts.
    pub is_by_http: bool,
}

#[derive(Debug)]
pub struct Connection {
    pub peer: PeerId,
    pub awaits: Awaits,
    /// The cursor it connected with was one it had received, and nothing has failed since.
    pub must_resume: bool,
    /// Asked for, and not yet answered.
    pub syncs: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaits {
    Connected,
    Snapshot,
    Anything,
}

impl Connection {
    pub fn new(peer: &PeerId, must_resume: bool) -> Self {
        Connection { peer: Rc::clone(peer), awaits: Awaits::Connected, must_resume, syncs: 0 }
    }
}

impl Client {
    pub fn new(person: Person, is_mute: bool, is_by_http: bool) -> Self {
        Client {
            person,
            view: View::default(),
            connection: None,
            earlier: Vec::new(),
            pending: BTreeMap::new(),
            is_mute,
            is_by_http,
        }
    }

    pub fn receive(&mut self, frame: &Frame, truth: &mut Truth) -> Check {
        let Some(connection) = &mut self.connection else { return Ok(()) };
        if frame.head().resumed && !self.view.messages.is_empty() && self.view.life != truth.life {
            return Err("its cursor is of a session that was deleted, and it is resumed".into());
        }
        connection.meet(frame, truth)?;
        self.view.fold(frame, truth)?;
        self.acknowledge(frame);
        if self.earlier.len() < 8
            && self.view.is_whole()
            && frame.head().cursor.is_some()
            && frame.head().kind != "connected"
        {
            self.earlier.push(self.view.clone());
        }
        Ok(())
    }

    /// Whether it was greeted, and sent all that it lacked.
    pub fn is_let_in(&self) -> bool {
        self.connection.as_ref().is_some_and(|connection| connection.awaits == Awaits::Anything)
    }

    fn acknowledge(&mut self, frame: &Frame) {
        let Head { kind, cursor, request_id, .. } = frame.head();
        match kind.as_str() {
            "user_message" | "branch" => drop(self.pending.remove(request_id)),
            "error" if cursor.is_none() && frame.json()["error"]["retryable"] == json!(false) => {
                self.pending.remove(request_id);
            }
            "snapshot" => {
                for message in frame.json()["messages"].as_array().into_iter().flatten() {
                    self.pending.remove(text_of(message, "requestId"));
                }
                for turn in frame.json()["inFlight"].as_array().into_iter().flatten() {
                    self.pending.remove(text_of(turn, "requestId"));
                }
            }
            _ => {}
        }
    }
}

impl Connection {
    fn meet(&mut self, frame: &Frame, truth: &mut Truth) -> Check {
        let Head { kind, resumed, .. } = frame.head();
        let resumed = *resumed;
        match (self.awaits, kind.as_str()) {
            (Awaits::Connected, "connected") => {
                truth.stats.resumes += u64::from(resumed);
                if self.must_resume && !resumed {
                    return Err("its last cursor was refused, though nothing had failed".into());
                }
                self.awaits = if resumed { Awaits::Anything } else { Awaits::Snapshot };
            }
            (Awaits::Connected, other) => return Err(format!("the first frame is {other}")),
            (Awaits::Snapshot, "snapshot") => self.awaits = Awaits::Anything,
            (Awaits::Snapshot, other) => return Err(format!("{other} where a snapshot was due")),
            (Awaits::Anything, "connected") => return Err("connected a second time".into()),
            (Awaits::Anything, "session_synced") => {
                self.syncs = self.syncs.checked_sub(1).ok_or("session_synced without session_sync")?;
            }
            (Awaits::Anything, "snapshot") if frame.json()["reason"] == "sync" && self.syncs == 0 => {
                return Err("a snapshot that nobody asked for".into());
            }
            (Awaits::Anything, "snapshot") => {
                truth.stats.resets += u64::from(frame.json()["reason"] == "reset");
            }
            (Awaits::Anything, _) => {}
        }
        Ok(())
    }
}
