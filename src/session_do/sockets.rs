//! The thread's open sockets, by connection.

use litemap::LiteMap;
use std::cell::Cell;
use std::rc::Rc;

use js_sys::{JsString, Uint8Array};
use wasm_bindgen::prelude::*;

use crate::dialect::{Dialect, Stock, ag_ui, ai_sdk, events};
use crate::protocol::json::Fields;
use crate::protocol::objects::object;
use crate::protocol::{CloseCode, CollectVec, Json, Read as _, to_json};
use crate::thread::stock::{request_peer, socket_of};
use crate::thread::{Attachment, PeerId};

use crate::platform::Socket;
use crate::platform::http::EventStream;

/// How many bytes closed streams may still hold for slow readers. Beyond it the largest are cut off.
const DRAINING_BYTES_MAX: u64 = 16 << 20;

const HUNG: &str = "what was sent is not read";

/// Sockets, and streams of events. A stream lives only as long as the object.
pub struct Sockets {
    open: LiteMap<PeerId, Open>,
    /// Streams that are ending, and how much of each was untaken at the last check.
    draining: Vec<(EventStream, u64)>,
}

pub struct Open {
    line: Line,
    /// Set once the thread knows of the socket. Until then it is not sent frames that go to all.
    dialect: Option<Dialect>,
}

enum Line {
    Socket(Socket),
    Stream(EventStream, Option<Box<Attachment>>),
    /// One request of a stock client's socket.
    Request {
        socket: Socket,
        dialect: Dialect,
        request: String,
        follows: Option<String>,
        sequence: Cell<u64>,
    },
}

object! {
    /// The state of a socket that hibernation keeps.
    pub struct Attached {
        /// The connection's id.
        pub id: String = "id",
        /// The thread's attachment to it.
        pub attachment: Attachment = "attachment",
        /// The requests of a stock client's socket, and the turns that they follow.
        pub requests: Option<Json> = "requests" optional,
    }
}

impl Sockets {
    /// Returns the sockets that outlived the previous object, and those that it accepted but never told that
    /// they are connected.
    pub fn new(sockets: Vec<Socket>) -> (Self, Vec<Socket>) {
        let mut lost = Vec::new();
        let mut open = LiteMap::new();
        for socket in sockets {
            let Some(Attached { id, attachment, requests }) = attached(&socket) else {
                lost.push(socket);
                continue;
            };
            let dialect = Some(attachment.dialect);
            for (request, follows) in requests.as_ref().unwrap_or(&Json::Null).fields() {
                let (request, follows) = (request.clone(), follows.as_str().map(str::to_owned));
                let peer = request_peer(&id, &request);
                let (socket, dialect, sequence) = (socket.clone(), attachment.dialect, Cell::new(0));
                let line = Line::Request { socket, dialect, request, follows, sequence };
                open.insert(peer, Open { line, dialect: Some(dialect) });
            }
            open.insert(Rc::from(id), Open { line: Line::Socket(socket), dialect });
        }
        (Sockets { open, draining: Vec::new() }, lost)
    }

    pub fn open(&self) -> Vec<(PeerId, Attachment)> {
        let read = |(peer, open): (&PeerId, &Open)| Some((peer.clone(), open.attachment()?));
        self.open.iter().filter_map(read).collect_vec()
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
            Line::Socket(_) | Line::Request { .. } => None,
        })
    }

    pub fn has_streams(&self) -> bool {
        self.streams().next().is_some() || !self.draining.is_empty()
    }

    pub fn untaken(&self) -> Vec<(PeerId, u64)> {
        self.streams().map(|(peer, stream)| (peer.clone(), stream.untaken())).collect_vec()
    }

    /// Sends a keep-alive to streams, so that no proxy closes them as idle. Cuts off ending streams whose
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

    /// Ends a stream once its reader has taken everything.
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

    /// Returns a socket's connection, and the dialect that its client speaks.
    pub fn peer(socket: &Socket) -> Option<(PeerId, Dialect)> {
        attached(socket).map(|Attached { id, attachment, .. }| (Rc::from(id), attachment.dialect))
    }

    /// Removes a connection and its requests.
    pub fn remove(&mut self, peer: &PeerId) {
        self.open.remove(peer);
        self.open.retain(|id, _| socket_of(id).is_none_or(|(socket, _)| socket != &**peer));
    }

    /// Sends nothing more to a request.
    pub fn drop_request(&mut self, peer: &PeerId) -> Option<Open> {
        let dropped = self.open.remove(peer)?;
        if let Some((socket, _)) = socket_of(peer) {
            self.keep(socket, None);
        }
        Some(dropped)
    }

    pub fn is_spoken(&self, dialect: Dialect) -> bool {
        self.open.values().any(|open| open.speaks(dialect))
    }

    /// Sends one shared string to all. The runtime reports sockets that take no more.
    pub fn send_to_all(&self, dialect: Dialect, request_id: Option<&str>, frame: &str) {
        let text = frame;
        let frame = if dialect.is_stream() { Encoded::of_stream(frame) } else { Encoded::of_socket(frame) };
        for open in self.open.values().filter(|open| open.is_sent(dialect, request_id)) {
            match open.line.renamed(dialect, text) {
                Some(own) => open.line.send_text(&own),
                None => open.line.send(&frame),
            }
        }
    }

    pub fn send_to(&self, peer: &PeerId, frame: &str) {
        if let Some(open) = self.open.get(peer) {
            let own = open.dialect.and_then(|dialect| open.line.renamed(dialect, frame));
            open.line.send_text(own.as_deref().unwrap_or(frame));
        }
    }

    pub fn attach(&mut self, peer: &PeerId, attachment: Attachment) {
        let dialect = attachment.dialect;
        if let Some((socket, request)) = socket_of(peer) {
            return self.attach_request(peer, socket, request, attachment);
        }
        let Some(open) = self.open.get_mut(peer) else { return };
        let is_kept = match &mut open.line {
            Line::Socket(_) => self.keep(peer, Some(attachment)),
            Line::Request { .. } => false,
            Line::Stream(_, kept) => {
                *kept = Some(Box::new(attachment));
                true
            }
        };
        if let Some(open) = self.open.get_mut(peer) {
            open.dialect = is_kept.then_some(dialect);
        }
    }

    /// Attaches a request to its turn's frames. Its socket keeps this through hibernation, because a queued
    /// turn may wait that long.
    fn attach_request(&mut self, peer: &PeerId, socket: &str, request: &str, attachment: Attachment) {
        let Attachment { dialect, follows: turn, .. } = attachment;
        if let Some(Line::Request { follows, .. }) = self.open.get_mut(peer).map(|open| &mut open.line) {
            *follows = turn;
        } else {
            let Some(Line::Socket(socket)) = self.open.get(socket).map(|open| &open.line) else { return };
            let (socket, request, sequence) = (socket.clone(), request.to_owned(), Cell::new(0));
            let line = Line::Request { socket, dialect, request, follows: turn, sequence };
            self.open.insert(peer.clone(), Open { line, dialect: Some(dialect) });
        }
        self.keep(socket, None);
    }

    /// Saves a socket's state for hibernation: its requests and the given attachment, or else its present
    /// one.
    fn keep(&self, id: &str, attachment: Option<Attachment>) -> bool {
        let Some(Line::Socket(socket)) = self.open.get(id).map(|open| &open.line) else { return false };
        let kept = || attached(socket).map(|attached| attached.attachment);
        let Some(attachment) = attachment.or_else(kept) else { return false };
        let mut requests = Fields::new_vec();
        for (peer, open) in &self.open {
            if let Line::Request { request, follows, .. } = &open.line
                && socket_of(peer).is_some_and(|(of, _)| of == id)
            {
                requests.insert(request.clone(), follows.clone().map_or(Json::Null, Json::String));
            }
        }
        let requests = (!requests.is_empty()).then_some(Json::Object(requests));
        let attached = Attached { id: id.to_owned(), attachment, requests };
        socket.serialize_attachment(&JsValue::from(to_json(&attached))).is_ok()
    }

    /// Removes a connection. Streams are closed by that; a socket is returned for the caller to close.
    pub fn close(&mut self, peer: &PeerId, code: CloseCode, reason: &str) -> Option<Socket> {
        let open =
            if socket_of(peer).is_some() { self.drop_request(peer)? } else { self.open.remove(peer)? };
        let dialect = open.dialect.unwrap_or_default();
        let stream = match open.line {
            Line::Socket(socket) => {
                self.remove(peer);
                return Some(socket);
            }
            Line::Request { socket, request, .. } => {
                if let Some(last) = dialect.request_closed(&request, code, reason) {
                    let _ = socket.send(&JsString::from(last.as_str()));
                }
                return None;
            }
            Line::Stream(stream, _) => stream,
        };
        // It was closed because it did not read, or a stock client lost frames: either way it should come
        // again.
        let is_lost = code == CloseCode::InternalError && dialect.stock().is_some();
        if is_lost || code == CloseCode::TooMany && stream.untaken() > 0 {
            stream.cut(reason);
            return None;
        }
        if let Some(last) = dialect.closed(code, reason) {
            stream.write(&Uint8Array::from(last.as_bytes()));
        }
        self.drain(stream);
        None
    }

    pub fn close_all(&mut self, code: CloseCode, reason: &str) -> Vec<Socket> {
        let peers: Vec<_> = self.open.keys().cloned().collect_vec();
        peers.iter().filter_map(|peer| self.close(peer, code, reason)).collect_vec()
    }
}

impl Open {
    /// Returns whether it is sent frames that go to all of a dialect.
    fn speaks(&self, dialect: Dialect) -> bool {
        self.dialect == Some(dialect) && (dialect.stock().is_none() || self.line.follows().is_some())
    }

    /// Returns whether it is sent a frame that is about this turn, or about none.
    fn is_sent(&self, dialect: Dialect, turn: Option<&str>) -> bool {
        self.speaks(dialect) && self.line.follows().is_none_or(|follows| turn == Some(follows))
    }

    fn attachment(&self) -> Option<Attachment> {
        match &self.line {
            Line::Socket(socket) => Some(attached(socket)?.attachment),
            Line::Request { socket, follows, .. } => {
                Some(Attachment { follows: follows.clone(), ..attached(socket)?.attachment })
            }
            Line::Stream(_, attachment) => attachment.as_deref().cloned(),
        }
    }
}

/// A frame in JavaScript's memory, shared by all its receivers.
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
            Line::Request { follows, .. } => follows.as_deref(),
        }
    }

    /// Returns a frame that begins or ends a run with the client's own name for the run, if that is not the
    /// turn's.
    fn renamed(&self, dialect: Dialect, text: &str) -> Option<String> {
        dialect.stock().filter(|stock| *stock == Stock::AgUi)?;
        let run = match self {
            Line::Socket(_) => None,
            Line::Stream(_, attachment) => attachment.as_ref()?.run.as_deref(),
            Line::Request { request, .. } => Some(request.as_str()),
        }?;
        let follows = self.follows().filter(|turn| *turn != run)?;
        ag_ui::renamed(text, follows, run)
    }

    fn send_text(&self, text: &str) {
        self.send(&match self {
            Line::Socket(_) | Line::Request { .. } => Encoded::of_socket(text),
            Line::Stream(..) => Encoded::of_stream(text),
        });
    }

    fn send(&self, frame: &Encoded) {
        match (self, frame) {
            (Line::Socket(socket), Encoded::Text(text)) => drop(socket.send(text)),
            (Line::Stream(stream, _), Encoded::Bytes(bytes)) => stream.write(bytes),
            (Line::Request { socket, dialect: Dialect::AgUi, .. }, Encoded::Text(text)) => {
                drop(socket.send(text));
            }
            (Line::Request { socket, request, sequence, .. }, Encoded::Text(chunk)) => {
                let number = sequence.replace(sequence.get().saturating_add(1));
                let frame =
                    JsString::from(ai_sdk::before_chunk(request, number)).concat(chunk).concat(&"}".into());
                let _ = socket.send(&frame);
            }
            _ => {}
        }
    }
}

fn attached(socket: &Socket) -> Option<Attached> {
    Attached::parse(&socket.deserialize_attachment().ok()?.as_string()?)
}
