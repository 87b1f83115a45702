//! Connections: how they join, catch up and leave.

use crate::dialect::Dialect;
use crate::protocol::{
    CloseCode, CollectVec, Cursor, Identity, Millis, PROTOCOL_VERSION, ServerFrame, SnapshotReason,
};

use super::access::{Follows, Peer};
use super::attachment::Attachment;
use super::events::{Event, count};
use super::store::{Records, StoreError};
use super::{Origin, Output, PeerId, Thread, unreadable};

/// The cursor in a `connected` frame to a client that is about to be sent a snapshot. No log knows this
/// place, so a client that is cut off before the snapshot is sent one when it comes back.
const NOWHERE: &str = "-";

impl Thread {
    /// Catches a socket up and attaches it in one step. Nothing can be sent to all in between, so the socket
    /// misses nothing and gets nothing twice.
    pub(super) fn join(
        &mut self,
        now: Millis,
        records: &dyn Records,
        peer: PeerId,
        identity: Identity,
        dialect: Dialect,
        cursor: Option<&str>,
    ) {
        if let Some((code, reason)) = self.refuses(now, &identity) {
            self.outputs.push_back(Output::Close { peer, code, reason });
            return;
        }
        self.enter(peer.clone(), identity, dialect, Follows::Everything, false);
        let (resumed, from, mut frames) = match self.missed(records, &peer, cursor) {
            Ok(Missed::Events(from, events)) => (true, from, events),
            Ok(Missed::Snapshot(frames)) if cursor.is_some() => (false, NOWHERE.to_owned(), frames),
            Ok(Missed::Snapshot(frames)) => (false, Cursor::START.to_string(), frames),
            Err(StoreError(_)) => return self.turn_away(&peer),
        };
        frames.insert(0, self.connected(&peer, resumed, from));
        self.send_asked(&peer, frames);
        count(&mut self.counters.connects);
        if cursor.is_some() {
            count(&mut self.counters.reconnects);
        }
        let reconnects = self.counters.reconnects;
        self.log(Event::Connected { connection_id: peer.clone(), resumed, reconnects });
        self.attach(peer);
    }

    /// Adds a connection to those of the thread. It takes over its subject's settings for a session that has
    /// not begun, since they are kept nowhere but with sockets.
    pub(super) fn enter(
        &mut self,
        peer: PeerId,
        identity: Identity,
        dialect: Dialect,
        follows: Follows,
        detaches: bool,
    ) {
        let (draft, reading) = (self.draft_of(identity.subject.as_deref()).cloned(), self.new_reading());
        let attachment = Attachment { identity, draft, dialect, follows: None, detaches, run: None, reading };
        let mut entering = Peer::new(attachment, &self.unread);
        entering.follows = follows;
        self.peers.insert(peer, entering);
    }

    /// Sends a snapshot. The thread does not know which frames are still in flight to the socket, so events
    /// after its cursor could reach it twice; a snapshot replaces whatever arrives before it.
    pub(super) fn sync(
        &mut self,
        now: Millis,
        records: &dyn Records,
        origin: Origin<'_>,
        cursor: Option<&str>,
    ) {
        let head = self.head();
        if !cursor.is_some_and(|cursor| self.is_last_place(cursor)) {
            if self.refuses_read(now, origin) {
                return;
            }
            match self.snapshot(records, origin.peer, SnapshotReason::Sync) {
                Ok(frames) => self.send_asked(origin.peer, frames),
                Err(StoreError(_)) => return self.refuse(origin, unreadable()),
            }
        }
        self.send_to(origin.peer, ServerFrame::SessionSynced { cursor: head });
    }

    pub(super) fn leave(&mut self, peer: &PeerId) {
        self.freed(peer);
        let requests: Vec<PeerId> = self.requests_of(peer).collect_vec();
        for request in requests {
            self.peers.remove(&request);
        }
        if self.peers.remove(peer).is_some_and(|peer| peer.follows == Follows::Everything) {
            self.log(Event::Disconnected { connection_id: peer.clone() });
        }
    }

    pub(super) fn bring_up_to_date(&mut self, records: &dyn Records, peer: &PeerId, reason: SnapshotReason) {
        match self.snapshot(records, peer, reason) {
            Ok(frames) => self.send_each(peer, frames),
            Err(StoreError(_)) => self.turn_away(peer),
        }
    }

    fn turn_away(&mut self, peer: &PeerId) {
        let reason = "the thread's store could not be read; connect again";
        self.dismiss(peer, CloseCode::InternalError, reason);
    }

    fn connected(&self, peer: &PeerId, resumed: bool, cursor: String) -> ServerFrame {
        ServerFrame::Connected {
            protocol: PROTOCOL_VERSION,
            connection_id: peer.to_string(),
            session_id: self.session_id.clone(),
            status: if self.session.is_some() { "created" } else { "not-created" },
            session: self.visible_session(peer),
            resumed,
            cursor,
            in_flight: self.in_flight_states(),
        }
    }

    fn missed(
        &self,
        records: &dyn Records,
        peer: &PeerId,
        cursor: Option<&str>,
    ) -> Result<Missed, StoreError> {
        let Some(text) = cursor else {
            return self.snapshot(records, peer, SnapshotReason::Joined).map(Missed::Snapshot);
        };
        let events = match Cursor::parse(text) {
            Some(from) => self.catch_up(records, &from)?,
            None => Err(SnapshotReason::Reset),
        };
        match events {
            Ok(events) => Ok(Missed::Events(text.to_owned(), events)),
            Err(reason) => self.snapshot(records, peer, reason).map(Missed::Snapshot),
        }
    }

    pub(super) fn send_each(&mut self, peer: &PeerId, frames: Vec<ServerFrame>) {
        for frame in frames {
            self.send_to(peer, frame);
        }
    }
}

enum Missed {
    /// The cursor before the first event, and the events.
    Events(String, Vec<ServerFrame>),
    Snapshot(Vec<ServerFrame>),
}
