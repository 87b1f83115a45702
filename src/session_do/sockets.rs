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

/// What closed streams may have that their readers have still to take. Beyond it those that have most are cut.
const DRAINING_BYTES_MAX: u64 = 16 << 20;

const HUNG: &str = "what was sent is not read";

/// Sockets, and streams of events. A stream lives as long as the object does.
pub struct Sockets {
    open: LiteMap<PeerId, Open>,
    /// Streams that were given their end, and what was untaken of each when it was last looked.
    draining: Vec<(EventStream, u64)>,
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
        (Sockets { open, draining: Vec::new() }, lost)
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
        self.streams().next().is_some() || !self.draining.is_empty()
    }

    pub fn untaken(&self) -> Vec<(PeerId, u64)> {
        self.streams().map(|(peer, stream)| (peer.clone(), stream.untaken())).collect()
    }

    /// Keeps streams open through what closes silent connections, and cuts those that were given their end and whose
    /// reader has taken nothing since the last time.
    pub fn beat(&mut self) {
        let comment = Uint8Array::from(events::COMMENT.as_bytes());
        self.streams().for_each(|(_, stream)| stream.write(&comment));
        self.draining.retain_mut(|(stream, before)| {
            let untaken = stream.untaken();
            let is_hung = untaken == *before;
            if is_hung {
                stream.cut(HUNG);
            }
            *before = untaken;
            untaken > 0 && !is_hung
        });
    }

    /// Ends a stream once its reader has all that it was sent.
    fn drain(&mut self, stream: EventStream) {
        stream.close();
        self.draining.retain(|(stream, _)| stream.untaken() > 0);
        self.draining.push((stream, u64::MAX));
        let owed = |draining: &[(EventStream, u64)]| {
            draining.iter().map(|(stream, _)| stream.untaken()).sum::<u64>()
        };
        while owed(&self.draining) > DRAINING_BYTES_MAX {
            let most = self.draining.iter().enumerate().max_by_key(|(_, (stream, _))| stream.untaken());
            let Some((place, (stream, _))) = most else { return };
            stream.cut(HUNG);
            self.draining.swap_remove(place);
        }
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
        let stream = match self.open.remove(peer)?.line {
            Line::Socket(socket) => return Some(socket),
            Line::Stream(stream, _) => stream,
        };
        // It was closed for what it has not taken.
        if code == CloseCode::TooMany && stream.untaken() > 0 {
            stream.cut(reason);
            return None;
        }
        if let Some(last) = Dialect::Events.closed(code, reason) {
            stream.write(&Uint8Array::from(last.as_bytes()));
        }
        self.drain(stream);
        None
    }

    pub fn close_all(&mut self, code: CloseCode, reason: &str) -> Vec<Socket> {
        let peers: Vec<_> = self.open.keys().cloned().collect();
        peers.iter().filter_map(|peer| self.close(peer, code, reason)).collect()
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
}

fn attached(socket: &Socket) -> Option<Attached> {
    let json = socket.deserialize_attachment().ok()?.as_string()?;
    let value = Json::parse(&json)?;
    Some(Attached { id: required(&value, "id")?, attachment: required(&value, "attachment")? })
}
