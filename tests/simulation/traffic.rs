//! Clients and the networks between them and the object.

use std::collections::VecDeque;
use std::rc::Rc;

use bobbin::dialect::Dialect;
use bobbin::protocol::limits::CATCH_UP_MESSAGES_MAX;
use bobbin::protocol::{Access, CloseCode, Json, ToolAnswer};
use bobbin::thread::{Denied, Input, PeerId, Request, TurnId};
use serde_json::{Value, json};

use super::Check;
use super::allowance::Room;
use super::client::Connection;
use super::fate::Course;
use super::people::Begun;
use super::pieces::Piece;
use super::rights::Known;
use super::steps::{How, Saw, What, With};
use super::view::{View, kind, text_of};
use super::world::{Uplink, World, nth_of};
use crate::support::{Frame, Link, Seen};

/// Cursors of other logs, and texts that are no cursors.
const FOREIGN: [&str; 7] = ["", "x", "1.2", "abcdef.1.1-1-0", "-", "0.0", "ffffffffff.ffffffffffffffff"];

impl World {
    /// The time for which the client's token is valid; for ever if it is `None`.
    pub fn connect(&mut self, id: usize, with: With, token_ms: Option<u64>) -> Check {
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
        let is_near = self.truth.events + self.truth.paths.shown <= CATCH_UP_MESSAGES_MAX;
        let must_resume =
            client.view.is_own && client.view.life == self.truth.life && is_near && !self.is_faulty;
        client.connection = Some(Connection::new(&peer, must_resume));
        let pending: VecDeque<String> = client.pending.values().map(Value::to_string).collect();
        let identity = client.person.identity(token_ms.map(|ms| self.host.now + ms));
        let (person, expires_at) = (client.person, identity.expires_at);
        let known = Known { person, expires_at, invalid_frames: 0, uncertain_frames: 0 };
        self.truth.people.insert(Rc::clone(&peer), known);
        self.uplinks.insert(Rc::clone(&peer), Uplink { frames: pending, is_gone: false });
        let start = self.start();
        let expected = self.welcome(&self.truth.people[&peer]);
        let dialect = if self.clients[id].is_by_http { Dialect::Events } else { Dialect::Native };
        self.host.connect_in(dialect, &peer, identity, cursor);
        let course = self.course(start);
        let outcome = self.host.links.get(&peer).and_then(|link| link.close);
        if let Some(code) = outcome {
            self.truth.count_closed(code);
            self.note(|| format!("  {peer} is not let in: {code:?}"));
        }
        let bytes = self.bytes_sent(&peer, |_| true);
        self.observe()?;
        self.count_read(&peer, bytes, course);
        if course.is_smooth && !expected.contains(&outcome) {
            return Err(format!(
                "{:?} meets with {outcome:?}, not with {expected:?}",
                self.truth.people[&peer]
            ));
        }
        Ok(())
    }

    /// Checks who is let in, and what the others are told.
    fn welcome(&self, known: &Known) -> &'static [Option<CloseCode>] {
        let now = self.host.now;
        let read_bytes = match known.person.subject() {
            Some(subject) => self.room(|all| all.read_bytes.room(now, subject)),
            None => Room::Yes,
        };
        match read_bytes {
            _ if known.expires_at.is_some_and(|at| at <= now) => &[Some(CloseCode::Unauthenticated)],
            _ if known.person.access(&self.truth.begun).is_none() => &[Some(CloseCode::Forbidden)],
            // What it is sent on joining may be too much for all.
            Room::Yes if self.debts.is_some() => &[None, Some(CloseCode::TooMany)],
            Room::Yes => &[None],
            Room::No => &[Some(CloseCode::TooMany)],
            Room::Either => &[None, Some(CloseCode::TooMany)],
        }
    }

    pub fn drop_connection(&mut self, id: usize) {
        self.clients[id].view.cut_off();
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
                // Half of them answer a call that somebody may be asked for.
                let calls = self.open_turns_calls();
                let call = nth_of(&calls, shape).filter(|_| shape.is_multiple_of(8));
                let id = call.map_or(json!("t"), |(_, call)| call["id"].clone());
                json!([{ "type": "text", "text": text }, { "type": "tool_result", "toolUseId": id, "content": "9" }])
            }
            _ => json!(text),
        };
        let mut frame = json!({ "type": "message", "requestId": request_id, "content": content });
        match shape {
            _ if shape.is_multiple_of(21) => frame["threadId"] = json!("another"),
            _ if shape.is_multiple_of(7) => frame["threadId"] = json!(self.host.session_id),
            _ => {}
        }
        self.said.push(frame.clone());
        self.clients[id].pending.insert(request_id, frame.clone());
        self.send(id, Some(frame));
    }

    /// The `requestId` of some turn.
    pub fn turn_named(&self, nth: usize) -> Option<String> {
        let turns: Vec<&TurnId> = self.truth.turns.keys().collect();
        let turn = nth_of(&turns, nth)?;
        Some(self.host.store.records.get(turn)?.request_id.clone()).filter(|_| !nth.is_multiple_of(17))
    }

    pub fn say_more(&mut self, id: usize, nth: usize, saw: Saw, replaces: Option<Value>) {
        let request_id = format!("c{id}-v{}", self.said.len());
        let mut frame =
            json!({ "type": "message", "requestId": request_id, "content": format!("version {nth}") });
        if let Some(replaces) = replaces {
            frame["replaces"] = replaces;
        }
        let seen = match saw {
            Saw::Unsaid => None,
            Saw::Last => self.clients[id].view.messages.last().cloned(),
            Saw::Some(nth) => nth_of(&self.truth.records, nth).map(|record| record.message_id.clone()),
        };
        if let Some(seen) = seen {
            frame["after"] = json!(seen);
        }
        self.said.push(frame.clone());
        self.clients[id].pending.insert(request_id, frame.clone());
        self.send(id, Some(frame));
    }

    pub fn regenerate(&mut self, id: usize, nth: usize) {
        let request_id = format!("c{id}-g{}", self.said.len());
        let of = self.turn_named(nth).unwrap_or("nobody's".into());
        let frame = json!({ "type": "regenerate", "requestId": request_id, "of": of });
        self.said.push(frame.clone());
        self.clients[id].pending.insert(request_id, frame.clone());
        self.send(id, Some(frame));
    }

    /// The calls of unfinished turns, each with its turn's `requestId`.
    pub fn open_turns_calls(&self) -> Vec<(String, Value)> {
        let mut calls = Vec::new();
        for (id, turn) in self.truth.turns.iter().filter(|(_, turn)| turn.is_open()) {
            let request_id = self.host.store.records.get(id).map(|record| record.request_id.clone());
            for piece in &turn.said {
                if let (Piece::Block(block), Some(request_id)) = (piece, &request_id)
                    && block["type"] == "tool_use"
                {
                    calls.push((request_id.clone(), block.clone()));
                }
            }
        }
        calls
    }

    pub fn answer(&mut self, id: usize, nth: usize, how: How) -> Check {
        let calls = self.open_turns_calls();
        let Some((request_id, call)) = nth_of(&calls, nth).cloned() else { return Ok(()) };
        let mut frame = json!({ "requestId": request_id, "toolUseId": call["id"] });
        let asks = call["approval"]["state"] == "requested";
        let decides = match how {
            How::Rightly | How::ByHttp | How::Unknown => asks,
            How::Decide => true,
            How::Give => false,
        };
        frame["type"] = json!(if decides { "tool_decision" } else { "tool_output" });
        if decides {
            frame["approved"] = json!(!nth.is_multiple_of(3));
            if nth.is_multiple_of(4) {
                frame["reason"] = json!("so it is");
            }
        } else {
            frame["content"] =
                [json!("9"), json!({ "a": [1] }), json!(null), json!([{ "x": 1 }])][nth % 4].clone();
        }
        match how {
            How::Unknown if nth.is_multiple_of(2) => frame["toolUseId"] = json!("nobody's"),
            How::Unknown => frame["requestId"] = json!("nobody's"),
            How::ByHttp => {
                let text = frame.to_string();
                let mut fields =
                    Json::parse(&text).and_then(|json| json.as_object().cloned()).expect("fields");
                let answer = ToolAnswer::from_fields(&mut fields, !decides).expect("an answer");
                return self.request(id, Access::Editor, &Request::Answer(answer));
            }
            _ => {}
        }
        self.send(id, Some(frame));
        Ok(())
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

    /// The frames on their way between the two.
    pub fn sync(&mut self, id: usize, with_cursor: bool) {
        if self.clients[id].is_by_http {
            return;
        }
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
        // Nobody tells the next object of a socket that died with the last one.
        if self.host.links.get(peer).is_some_and(|link| link.is_open || link.close.is_some()) {
            self.host.disconnect(peer);
        } else {
            self.host.links.remove(peer);
        }
        self.observe()?;
        self.truth.people.remove(peer);
        if let Some(debts) = &mut self.debts {
            debts.leave(peer);
        }
        Ok(())
    }

    fn frame(&mut self, peer: &PeerId, text: &str) -> Check {
        self.note(|| format!("  {peer} > {text}"));
        if !self.host.links.get(peer).is_some_and(|link| link.is_open) {
            return Ok(());
        }
        if self.host.links.get(peer).is_some_and(Link::is_stream) {
            return self.by_http(peer, text);
        }
        let asked = self.ask(peer, text);
        let place = self.truth.place.clone();
        // Where an agent goes on, who is sent a message again is at a place that says so, and lacks nothing either.
        let head = self.host.thread().map(|thread| thread.report().cursor);
        self.truth.actor = self.truth.people.get(peer).map(|known| known.person);
        self.host.receive(peer, text);
        let course = self.course(asked.start);
        if let Some(debts) = self.debts.as_mut().filter(|_| course.is_smooth) {
            debts.answer(peer, &asked.frame);
        }
        let fate = self.fate(&asked, course)?;
        if let (Some(place), true) = (place, course.is_smooth && fate.is_done)
            && kind(&asked.frame) == "session_sync"
        {
            let cursor = text_of(&asked.frame, "cursor");
            self.check_sync(peer, cursor == place || Some(cursor) == head.as_deref())?;
        }
        // A thread that wakes resets the sockets that it finds. Nobody has asked for that.
        let is_asked_for = |frame: &Frame| {
            frame.head().kind != "session_synced" && !frame.text.contains(r#""reason":"reset""#)
        };
        let bytes = if asked.reads && fate.is_done { self.bytes_sent(peer, is_asked_for) } else { 0 };
        self.observe()?;
        self.truth.actor = None;
        self.count_read(peer, bytes, course);
        self.check_fate(&asked, fate, course)
    }

    /// The frames that went to one socket.
    pub fn bytes_sent(&self, peer: &PeerId, is_meant: impl Fn(&Frame) -> bool) -> usize {
        if !self.is_limited {
            return 0;
        }
        let bytes = |seen: &Seen| match seen {
            Seen::Sent { to: Some(to), frame, .. } if to == peer && is_meant(frame) => frame.bytes,
            _ => 0,
        };
        self.host.seen.iter().map(bytes).sum()
    }

    /// Charges a subject the bytes that they were sent on request.
    pub fn count_read(&mut self, peer: &PeerId, bytes: usize, course: Course) {
        if self.is_limited {
            self.allowances.is_certain &= course.is_smooth;
            if bytes == 0 {
                return;
            }
            let payer = self.payer(peer);
            self.allowances.read_bytes.count(self.host.now, &payer, bytes);
        }
    }

    /// Makes a request over HTTP, and checks whether it is permitted.
    pub fn request(&mut self, id: usize, takes: Access, request: &Request) -> Check {
        let person = self.clients[id].person;
        let start = self.start();
        let expected = match (&self.truth.begun, person.access(&self.truth.begun)) {
            // Somebody else's session looks like none.
            (Begun::No, _) | (_, None) => "NoSession",
            (_, Some(access)) if access < takes => "Forbidden",
            _ => "permitted",
        };
        self.truth.actor = Some(person);
        let outcome = match self.host.request(&person.identity(None), request.clone()) {
            Ok(()) => "permitted",
            Err(Denied::NoSession) => "NoSession",
            Err(Denied::Forbidden(_)) => "Forbidden",
        };
        let course = self.course(start);
        self.observe()?;
        self.truth.actor = None;
        if course.is_smooth && outcome != expected {
            return Err(format!("{person:?} asks for {request:?}: {outcome}, where {expected} is right"));
        }
        Ok(())
    }

    /// A page of the history, by HTTP.
    pub fn page(&mut self, id: usize) -> Check {
        let Some(subject) = self.clients[id].person.subject() else { return Ok(()) };
        let Some(thread) = self.host.thread() else { return Ok(()) };
        let (now, bytes) = (self.host.now, 2_000);
        let may = !thread.has_read_too_much(now, subject);
        match self.room(|all| all.read_bytes.room(now, subject)) {
            Room::Yes if !may => return Err(format!("{subject} has read too little to be refused")),
            Room::No if may => return Err(format!("{subject} has read too much to be served")),
            _ => {}
        }
        if !may {
            return Ok(());
        }
        let start = self.start();
        self.host.pump(Input::Read { subject: subject.into(), bytes });
        let course = self.course(start);
        self.observe()?;
        self.allowances.is_certain &= course.is_smooth;
        self.allowances.read_bytes.count(now, subject, 2_000);
        Ok(())
    }

    /// Checks that a client at the last event is told so and nothing else, and that every other client gets a
    /// snapshot.
    fn check_sync(&self, peer: &PeerId, is_at_the_end: bool) -> Check {
        // A thread that woke for the request may have sent something of its own.
        if self.host.seen.iter().any(|seen| matches!(seen, Seen::Woken { .. })) {
            return Ok(());
        }
        let sent = self.host.seen.iter().filter_map(|seen| match seen {
            Seen::Sent { to: Some(one), frame, .. } if one == peer => Some(frame.json()),
            _ => None,
        });
        let sent = sent.filter(|frame| kind(frame) != "check");
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
    pub fn meant_by(&self, frame: &Value) -> Vec<TurnId> {
        if frame["type"] != "cancel" {
            return Vec::new();
        }
        let request_id = frame.get("requestId").and_then(Value::as_str);
        let is_meant = |turn: &TurnId| request_id.is_none_or(|id| self.truth.is_turn(*turn, id));
        self.truth.turns.keys().copied().filter(|turn| self.truth.is_open(*turn)).filter(is_meant).collect()
    }

    /// Delivers frames. Returns whether anything arrived.
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
                    let is_by_http = self.clients[id].is_by_http;
                    if let Some(debts) = self.debts.as_mut().filter(|_| is_by_http) {
                        debts.take(&peer, frame.bytes);
                    }
                    let received = self.clients[id].receive(&frame, &mut self.truth);
                    received.map_err(|why| format!("client {id}: {why}\n  by {}", frame.text))?;
                    if frame.head().kind == "check" && !self.clients[id].is_mute {
                        self.send(id, Some(frame.json().clone()));
                    }
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
