//! The thread's open sockets, by connection.

use litemap::LiteMap;
use std::rc::Rc;

use js_sys::{JsString, Uint8Array};
use serde::Serialize;
use wasm_bindgen::prelude::*;

use crate::dialect::{Dialect, events};
use crate::protocol::{CloseCode, Json, required, to_json};
use crate::thread::{Attachment, PeerId};

use crate::platform::Socket;
use crate::platform::http::EventStream;

/// A stream that is closed with more than this untaken is cut: its reader is slow, or takes nothing.
const DRAINED_BYTES_MAX: u64 = 1 << 20;

/// Sockets, and streams of events. A stream lives as long as the object does.
pub struct Sockets {
    open: LiteMap<PeerId, Open>,
}

struct Open {
    line: Line,
    /// Set once the thread knows of it. Until then, what goes to all of them is not for this one.
    dialect: Option<Dialect>,
}

enum Line {
    Socket(Socket),
    Stream(EventStream, Option<Box<Attachment>>),
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
                    Open { line: Line::Socket(socket), dialect: Some(attached.attachment.dialect) },
                )),
                None => lost.push(socket),
            }
        }
        (Sockets { open }, lost)
    }

    pub fn open(&self) -> Vec<(PeerId, Attachment)> {
        let read = |(peer, open): (&PeerId, &Open)| Some((peer.clone(), open.attachment()?));
        self.open.iter().filter_map(read).collect()
    }

    pub fn add(&mut self, peer: PeerId, socket: Socket) {
        self.open.insert(peer, Open { line: Line::Socket(socket), dialect: None });
    }

    pub fn add_stream(&mut self, peer: PeerId, stream: EventStream) {
        self.open.insert(peer, Open { line: Line::Stream(stream, None), dialect: None });
    }

    pub fn has_joined(&self, peer: &PeerId) -> bool {
        self.open.get(peer).is_some_and(|open| open.dialect.is_some())
    }

    fn streams(&self) -> impl Iterator<Item = (&PeerId, &EventStream)> {
        self.open.iter().filter_map(|(peer, open)| match &open.line {
            Line::Stream(stream, _) => Some((peer, stream)),
            Line::Socket(_) => None,
        })
    }

    pub fn has_streams(&self) -> bool {
        self.streams().next().is_some()
    }

    pub fn untaken(&self) -> Vec<(PeerId, u64)> {
        self.streams().map(|(peer, stream)| (peer.clone(), stream.untaken())).collect()
    }

    /// Keeps streams open through what closes silent connections.
    pub fn comment(&self) {
        let comment = Uint8Array::from(events::COMMENT.as_bytes());
        self.streams().for_each(|(_, stream)| stream.write(&comment));
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
    pub fn send_to_all(&self, dialect: Dialect, request_id: Option<&str>, frame: &str) {
        let frame = if dialect.is_stream() { Encoded::of_stream(frame) } else { Encoded::of_socket(frame) };
        for open in self.open.values().filter(|open| open.dialect == Some(dialect)) {
            if open.line.follows().is_none_or(|turn| Some(turn) == request_id) {
                open.line.send(&frame);
            }
        }
    }

    pub fn send_to(&self, peer: &PeerId, frame: &str) {
        if let Some(open) = self.open.get(peer) {
            open.line.send(&match open.line {
                Line::Socket(_) => Encoded::of_socket(frame),
                Line::Stream(..) => Encoded::of_stream(frame),
            });
        }
    }

    pub fn attach(&mut self, peer: &PeerId, attachment: Attachment) {
        let dialect = attachment.dialect;
        let Some(open) = self.open.get_mut(peer) else { return };
        let is_kept = match &mut open.line {
            Line::Socket(socket) => {
                let attached = Attached { id: peer.to_string(), attachment };
                socket.serialize_attachment(&JsValue::from(to_json(&attached))).is_ok()
            }
            Line::Stream(_, kept) => {
                *kept = Some(Box::new(attachment));
                true
            }
        };
        open.dialect = is_kept.then_some(dialect);
    }

    /// Takes it out of those that are sent to. A stream is closed by that; a socket is still to be.
    pub fn close(&mut self, peer: &PeerId, code: CloseCode, reason: &str) -> Option<Socket> {
        self.open.remove(peer)?.line.close(code, reason)
    }

    pub fn close_all(&mut self, code: CloseCode, reason: &str) -> Vec<Socket> {
        let open = std::mem::take(&mut self.open).into_iter();
        open.filter_map(|(_, open)| open.line.close(code, reason)).collect()
    }
}

impl Open {
    fn attachment(&self) -> Option<Attachment> {
        match &self.line {
            Line::Socket(socket) => Some(attached(socket)?.attachment),
            Line::Stream(_, attachment) => attachment.as_deref().cloned(),
        }
    }
}

/// A frame in JavaScript's memory: one for all that it goes to.
enum Encoded {
    Text(JsString),
    Bytes(Uint8Array),
}

impl Encoded {
    fn of_socket(frame: &str) -> Self {
        Encoded::Text(JsString::from(frame))
    }

    fn of_stream(frame: &str) -> Self {
        Encoded::Bytes(Uint8Array::from(frame.as_bytes()))
    }
}

impl Line {
    fn follows(&self) -> Option<&str> {
        match self {
            Line::Socket(_) => None,
            Line::Stream(_, attachment) => attachment.as_ref()?.follows.as_deref(),
        }
    }

    fn send(&self, frame: &Encoded) {
        match (self, frame) {
            (Line::Socket(socket), Encoded::Text(text)) => drop(socket.send(text)),
            (Line::Stream(stream, _), Encoded::Bytes(bytes)) => stream.write(bytes),
            _ => {}
        }
    }

    fn close(self, code: CloseCode, reason: &str) -> Option<Socket> {
        let stream = match self {
            Line::Socket(socket) => return Some(socket),
            Line::Stream(stream, _) => stream,
        };
        if stream.untaken() > DRAINED_BYTES_MAX {
            stream.cut(reason);
            return None;
        }
        if let Some(last) = Dialect::Events.closed(code, reason) {
            stream.write(&Uint8Array::from(last.as_bytes()));
        }
        stream.close();
        None
    }
}

fn attached(socket: &Socket) -> Option<Attached> {
    let json = socket.deserialize_attachment().ok()?.as_string()?;
    let value = Json::parse(&json)?;
    Some(Attached { id: required(&value, "id")?, attachment: required(&value, "attachment")? })
}
