//! Clients and the networks between them and the object.

use std::collections::VecDeque;
use std::rc::Rc;

use bobbin::protocol::limits::CATCH_UP_MESSAGES_MAX;
use bobbin::thread::{PeerId, TurnId};
use serde_json::{Value, json};

use super::Check;
use super::client::Connection;
use super::steps::{What, With};
use super::view::{View, kind, text_of};
use super::world::{Uplink, World, nth_of};
use crate::support::Seen;

/// Cursors of other logs, and what is none.
const FOREIGN: [&str; 7] = ["", "x", "1.2", "abcdef.1.1-1-0", "-", "0.0", "ffffffffff.ffffffffffffffff"];

impl World {
    pub fn connect(&mut self, id: usize, with: With) -> Check {
        self.drop_connection(id);
        let peer: PeerId = format!("c{id}-{}", self.host.random.next() % 0x1_0000_0000).into();
        let client = &mut self.clients[id];
        match with {
            With::LastCursor => {}
            With::Nothing => client.view = View::default(),
            With::Earlier(nth) => client.view = nth_of(&client.earlier, nth).cloned().unwrap_or_default(),
            With::ForeignCursor(nth) => {
                client.view.cursor = nth_of(&FOREIGN, nth).map(|text| (*text).into());
                client.view.is_own = false;
            }
        }
        let cursor = client.view.cursor.clone();
        let is_near = self.truth.records.len() <= CATCH_UP_MESSAGES_MAX;
        let must_resume =
            client.view.is_own && client.view.life == self.truth.life && is_near && !self.is_faulty;
        client.connection = Some(Connection::new(&peer, must_resume));
        let pending: VecDeque<String> = client.pending.values().map(Value::to_string).collect();
        self.uplinks.insert(Rc::clone(&peer), Uplink { frames: pending, is_gone: false });
        if !self.host.connect(&peer, cursor) {
            self.note(|| format!("  {peer} is not let in"));
        }
        self.observe()
    }

    pub fn drop_connection(&mut self, id: usize) {
        if let Some(connection) = self.clients[id].connection.take()
            && let Some(uplink) = self.uplinks.get_mut(&connection.peer)
        {
            uplink.is_gone = true;
        }
    }

    pub fn say(&mut self, id: usize, shape: usize) {
        let request_id = format!("c{id}-r{}", self.said.len());
        let text = format!("say {shape} and {}", "ä".repeat(shape % 5));
        let content = match shape % 4 {
            0 => {
                json!([{ "type": "text", "text": text }, { "type": "tool_result", "toolUseId": "t", "content": "9" }])
            }
            _ => json!(text),
        };
        let mut frame = json!({ "type": "message", "requestId": request_id, "content": content });
        if shape.is_multiple_of(7) {
            frame["threadId"] = json!(self.host.session_id);
        }
        self.said.push(frame.clone());
        self.clients[id].pending.insert(request_id, frame.clone());
        self.send(id, Some(frame));
    }

    pub fn cancel(&mut self, id: usize, what: What) {
        let frame = match what {
            What::One(nth) => nth_of(&self.said, nth)
                .map(|frame| json!({ "type": "cancel", "requestId": frame["requestId"] })),
            What::All => Some(json!({ "type": "cancel" })),
            What::Unknown => Some(json!({ "type": "cancel", "requestId": "nobody's" })),
        };
        self.send(id, frame);
    }

    /// Whatever is under way between the two.
    pub fn sync(&mut self, id: usize, with_cursor: bool) {
        let Some(connection) = self.clients[id].connection.as_mut() else { return };
        connection.syncs += 1;
        let cursor = self.clients[id].view.cursor.clone().filter(|_| with_cursor);
        self.send(id, Some(json!({ "type": "session_sync", "cursor": cursor })));
    }

    pub fn send(&mut self, id: usize, frame: Option<Value>) {
        let connection = self.clients[id].connection.as_ref();
        let uplink = connection.and_then(|connection| self.uplinks.get_mut(&connection.peer));
        if let (Some(uplink), Some(frame)) = (uplink, frame) {
            uplink.frames.push_back(frame.to_string());
        }
    }

    pub fn up(&mut self, nth: usize) -> Check {
        let busy = |(_, uplink): &(&PeerId, &Uplink)| uplink.is_gone || !uplink.frames.is_empty();
        let peers: Vec<PeerId> = self.uplinks.iter().filter(busy).map(|(peer, _)| Rc::clone(peer)).collect();
        let Some(peer) = nth_of(&peers, nth) else { return Ok(()) };
        if let Some(frame) = self.uplinks.get_mut(peer).and_then(|uplink| uplink.frames.pop_front()) {
            return self.frame(peer, &frame);
        }
        self.uplinks.remove(peer);
        // Of a socket that died with its object nobody tells the next one.
        if self.host.links.get(peer).is_some_and(|link| link.is_open || link.close.is_some()) {
            self.host.disconnect(peer);
        } else {
            self.host.links.remove(peer);
        }
        self.observe()
    }

    fn frame(&mut self, peer: &PeerId, text: &str) -> Check {
        let is_heard =
            self.host.links.get(peer).is_some_and(|link| link.is_open && link.attachment.is_some());
        let frame: Value = serde_json::from_str(text).unwrap_or_default();
        let (meant, place) = (self.meant_by(&frame), self.truth.place.clone());
        self.note(|| format!("  {peer} > {text}"));
        self.host.receive(peer, text);
        let is_failure = |seen: &Seen| {
            matches!(seen, Seen::StoreFailed { .. } | Seen::Crashed { .. } | Seen::Panicked | Seen::GaveUp)
        };
        let is_smooth = is_heard && !self.host.seen.iter().any(is_failure);
        if let (Some(place), "session_sync", true) = (place, kind(&frame), is_smooth) {
            self.check_sync(peer, text_of(&frame, "cursor") == place)?;
        }
        self.observe()?;
        match meant.into_iter().find(|turn| self.truth.is_open(*turn)) {
            Some(turn) if is_smooth => Err(format!("turn {turn} goes on after its cancel")),
            _ => Ok(()),
        }
    }

    /// Who is at the last event is told so and nothing else; everybody else gets a snapshot.
    fn check_sync(&self, peer: &PeerId, is_at_the_end: bool) -> Check {
        // A thread that woke for it may have had something to say of its own.
        if self.host.seen.iter().any(|seen| matches!(seen, Seen::Woken { .. })) {
            return Ok(());
        }
        let sent = self.host.seen.iter().filter_map(|seen| match seen {
            Seen::Sent { to: Some(one), frame, .. } if one == peer => Some(frame.json()),
            _ => None,
        });
        let sent: Vec<&Value> = sent.collect();
        let is_right = match sent.as_slice() {
            // The store could not be read.
            [refusal] if kind(refusal) == "error" => !is_at_the_end,
            [synced] => is_at_the_end && kind(synced) == "session_synced",
            [snapshot, .., synced] => {
                !is_at_the_end && snapshot["reason"] == "sync" && kind(synced) == "session_synced"
            }
            [] => false,
        };
        if is_right { Ok(()) } else { Err(format!("a session_sync is answered with {sent:?}")) }
    }

    /// The open turns that a cancel is about.
    fn meant_by(&self, frame: &Value) -> Vec<TurnId> {
        if frame["type"] != "cancel" {
            return Vec::new();
        }
        let request_id = frame.get("requestId").and_then(Value::as_str);
        let is_meant = |turn: &TurnId| request_id.is_none_or(|id| self.truth.is_turn(*turn, id));
        self.truth.turns.keys().copied().filter(|turn| self.truth.is_open(*turn)).filter(is_meant).collect()
    }

    /// Whether anything arrived.
    pub fn down(&mut self, id: usize, frames: usize) -> Check<bool> {
        for count in 0..frames {
            let Some(peer) = self.clients[id].connection.as_ref().map(|it| Rc::clone(&it.peer)) else {
                return Ok(count > 0);
            };
            let link = self.host.links.get_mut(&peer);
            let is_open = link.as_ref().is_some_and(|link| link.is_open);
            match link.and_then(|link| link.down.pop_front()) {
                Some(frame) => {
                    self.note(|| format!("  {peer} < {}", frame.text));
                    let received = self.clients[id].receive(frame.json(), &mut self.truth);
                    received.map_err(|why| format!("client {id}: {why}\n  by {}", frame.text))?;
                }
                None if !is_open => {
                    self.drop_connection(id);
                    if let Some(uplink) = self.uplinks.get_mut(&peer) {
                        uplink.frames.clear();
                    }
                    return Ok(true);
                }
                None => return Ok(count > 0),
            }
        }
        Ok(true)
    }
}
