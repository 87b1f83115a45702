//! The thread's open sockets, by connection.

use litemap::LiteMap;
use std::rc::Rc;

use js_sys::JsString;
use serde::Serialize;
use wasm_bindgen::prelude::*;

use crate::dialect::Dialect;
use crate::protocol::{Json, required, to_json};
use crate::thread::{Attachment, PeerId};

use crate::platform::Socket;

pub struct Sockets {
    open: LiteMap<PeerId, Open>,
}

struct Open {
    socket: Socket,
    /// Set once the thread knows of it. Until then, what goes to all of them is not for this one.
    dialect: Option<Dialect>,
}

/// What hibernation leaves of a socket, as JSON.
#[derive(Serialize)]
struct Attached {
    id: String,
    attachment: Attachment,
}

impl Sockets {
    /// Those that outlived the object that accepted them; and those that were lost before they were told
    /// that they are connected.
    pub fn new(sockets: Vec<Socket>) -> (Self, Vec<Socket>) {
        let mut lost = Vec::new();
        let mut open = LiteMap::new();
        for socket in sockets {
            match attached(&socket) {
                Some(attached) => drop(open.insert(
                    Rc::from(attached.id),
                    Open { socket, dialect: Some(attached.attachment.dialect) },
                )),
                None => lost.push(socket),
            }
        }
        (Sockets { open }, lost)
    }

    pub fn open(&self) -> Vec<(PeerId, Attachment)> {
        let read = |(peer, open): (&PeerId, &Open)| Some((peer.clone(), attached(&open.socket)?.attachment));
        self.open.iter().filter_map(read).collect()
    }

    pub fn add(&mut self, peer: PeerId, socket: Socket) {
        self.open.insert(peer, Open { socket, dialect: None });
    }

    pub fn has_joined(&self, peer: &PeerId) -> bool {
        self.open.get(peer).is_some_and(|open| open.dialect.is_some())
    }

    /// Whose socket it is, and how its client is spoken to.
    pub fn peer(socket: &Socket) -> Option<(PeerId, Dialect)> {
        attached(socket).map(|Attached { id, attachment }| (Rc::from(id), attachment.dialect))
    }

    pub fn remove(&mut self, peer: &PeerId) {
        self.open.remove(peer);
    }

    pub fn is_spoken(&self, dialect: Dialect) -> bool {
        self.open.values().any(|open| open.dialect == Some(dialect))
    }

    /// One string for all of them. A socket that takes no more is told of by the runtime.
    pub fn send_to_all(&self, dialect: Dialect, frame: &str) {
        let frame = JsString::from(frame);
        for open in self.open.values().filter(|open| open.dialect == Some(dialect)) {
            let _ = open.socket.send(&frame);
        }
    }

    pub fn send_to(&self, peer: &PeerId, frame: &str) {
        if let Some(open) = self.open.get(peer) {
            let _ = open.socket.send(&JsString::from(frame));
        }
    }

    pub fn attach(&mut self, peer: &PeerId, attachment: Attachment) {
        let dialect = attachment.dialect;
        let attached = Attached { id: peer.to_string(), attachment };
        if let Some(open) = self.open.get_mut(peer) {
            let is_kept = open.socket.serialize_attachment(&JsValue::from(to_json(&attached))).is_ok();
            open.dialect = is_kept.then_some(dialect);
        }
    }

    /// Takes it out of those that are sent to.
    pub fn take(&mut self, peer: &PeerId) -> Option<Socket> {
        self.open.remove(peer).map(|open| open.socket)
    }

    pub fn take_all(&mut self) -> Vec<Socket> {
        std::mem::take(&mut self.open).into_iter().map(|(_, open)| open.socket).collect()
    }
}

fn attached(socket: &Socket) -> Option<Attached> {
    let json = socket.deserialize_attachment().ok()?.as_string()?;
    let value = Json::parse(&json)?;
    Some(Attached { id: required(&value, "id")?, attachment: required(&value, "attachment")? })
}
