//! The truth: what was committed and what the agents said, and what must hold of them.

use std::collections::{BTreeMap, BTreeSet};

use bobbin::agent::AgentEvent;
use bobbin::protocol::{Block, Content, ErrorCode, Millis, Status, to_json};
use bobbin::thread::store::{Commit, Record, RecordKind, Write};
use bobbin::thread::{PeerId, TurnId};
use serde_json::Value;

use super::view::{View, kind, text_of};
use super::{Check, Stats};
use crate::support::{Frame, Host, Seen};

#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    Text(String),
    Block(Value),
}

#[derive(Debug, Default)]
pub struct Turn {
    user: String,
    end: Option<String>,
    pub is_started: bool,
    pub was_asked: bool,
    /// What its agent said while it ran.
    pub said: Vec<Piece>,
    /// How long the text was, and when it was.
    said_at: Vec<(Millis, usize)>,
    /// The journal's text.
    journalled: usize,
}

#[derive(Debug, Default)]
pub struct Truth {
    /// The log's messages, in order.
    pub records: Vec<Record>,
    messages: Vec<Value>,
    by_id: BTreeMap<String, usize>,
    pub turns: BTreeMap<TurnId, Turn>,
    by_request: BTreeMap<String, TurnId>,
    /// What clients hold at each cursor: it is the same for all of them.
    places: BTreeMap<String, String>,
    pub fingerprint: u64,
    pub stats: Stats,
    /// Since when timers have been on time.
    pub punctual_since: Millis,
    /// How often the session was deleted.
    pub life: usize,
    /// Messages that D1 will never have.
    pub parked: BTreeSet<u64>,
    /// Turns ended for all to see.
    shown_ends: BTreeSet<String>,
    /// The place of the last event that was sent to all; `None` while a failure leaves it open.
    pub place: Option<String>,
}

impl Turn {
    pub fn is_open(&self) -> bool {
        self.end.is_none()
    }
}

impl Truth {
    pub fn new() -> Self {
        Truth { place: Some("0".into()), ..Truth::default() }
    }

    pub fn is_open(&self, turn: TurnId) -> bool {
        self.turns.get(&turn).is_some_and(Turn::is_open)
    }

    pub fn is_turn(&self, turn: TurnId, request_id: &str) -> bool {
        self.by_request.get(request_id) == Some(&turn)
    }

    pub fn index_of(&self, id: &str) -> Check<usize> {
        self.by_id.get(id).copied().ok_or_else(|| format!("message {id} was never committed"))
    }

    pub fn messages_of(&self, request_id: &str) -> Check<(&str, Option<&str>)> {
        let turn =
            self.turn_of(request_id).ok_or_else(|| format!("no turn has the requestId {request_id}"))?;
        Ok((&turn.user, turn.end.as_deref()))
    }

    pub fn said(&self, request_id: &str) -> &[Piece] {
        self.turn_of(request_id).map_or(&[], |turn| &turn.said)
    }

    pub fn unfinished(&self) -> usize {
        self.turns.values().filter(|turn| turn.end.is_none()).count()
    }

    fn turn_of(&self, request_id: &str) -> Option<&Turn> {
        self.by_request.get(request_id).and_then(|turn| self.turns.get(turn))
    }

    /// An agent that works for the object delivers.
    pub fn hear(&mut self, now: Millis, id: TurnId, events: &[AgentEvent]) {
        let Some(turn) = self.turns.get_mut(&id).filter(|turn| turn.end.is_none()) else { return };
        for event in events {
            match event {
                AgentEvent::Text(text) => append_text(&mut turn.said, text),
                AgentEvent::Block(block) => append_block(&mut turn.said, json_of(block)),
                AgentEvent::Finished(_) | AgentEvent::Failed(_) => {}
            }
        }
        turn.said_at.push((now, text_bytes(&turn.said)));
    }

    pub fn observe(&mut self, host: &Host, seen: &Seen) -> Check {
        match seen {
            Seen::Stored(commit) => self.commit(commit)?,
            Seen::Sent { to, frame, .. } => self.sent(to.as_ref(), frame)?,
            Seen::Started { turn, request } => {
                let own = request.messages.last().ok_or("an agent is asked nothing")?;
                let record = self.records.iter().find(|record| record.seq == *turn);
                if record.is_none_or(|record| record.content != own.content) {
                    return Err(format!("the agent of turn {turn} is asked something else"));
                }
                let started = self.turns.get_mut(turn).ok_or("an agent is started for no turn")?;
                if std::mem::replace(&mut started.was_asked, true) {
                    return Err(format!("the agent of turn {turn} is started twice"));
                }
                if !started.is_started || started.end.is_some() {
                    return Err(format!("the agent of turn {turn} is started and no commit says so"));
                }
                if host.agents.len() > host.config.concurrent_turns {
                    return Err(format!("{} agents work at once", host.agents.len()));
                }
                self.mix(&turn.to_le_bytes());
            }
            Seen::Delivering(seq) => {
                self.stats.deliveries += 1;
                self.mix(&seq.to_le_bytes());
            }
            Seen::Alarm(at) => self.mix(&at.unwrap_or_default().to_le_bytes()),
            Seen::Woken { .. } => self.stats.wakes += 1,
            Seen::Crashed { .. } | Seen::Panicked | Seen::StoreFailed { .. } => self.fail(seen),
            Seen::Aborted { .. } | Seen::Closed { .. } | Seen::Logged(_) | Seen::GaveUp => {}
        }
        Ok(())
    }

    /// The agents are gone, and with them what was not yet in a journal.
    fn fail(&mut self, seen: &Seen) {
        if matches!(seen, Seen::StoreFailed { .. }) {
            self.stats.failed_writes += 1;
        } else {
            self.stats.crashes += 1;
        }
        self.place = None;
        self.turns.values_mut().for_each(|turn| turn.said_at.clear());
    }

    fn commit(&mut self, commit: &Commit) -> Check {
        for write in &commit.0 {
            match write {
                Write::Append(record) => self.append(record)?,
                Write::Start { turn } => {
                    if self.turns.range(..turn).any(|(_, earlier)| earlier.is_open() && !earlier.is_started) {
                        return Err(format!("turn {turn} starts before one that has waited longer"));
                    }
                    let turn = self.turns.get_mut(turn).ok_or("a turn starts that was never accepted")?;
                    turn.is_started = true;
                }
                Write::Journal(journal) => {
                    let turn = self.turns.get_mut(&journal.turn).ok_or("a journal of no turn")?;
                    turn.journalled = journal.text.len();
                }
                Write::Park { seq } => drop(self.parked.insert(*seq)),
                Write::Delete => self.begin_anew(),
                Write::Create(_) | Write::Checkpoint(_) | Write::Deleted => {}
            }
            self.mix(format!("{write:?}").as_bytes());
        }
        Ok(())
    }

    fn begin_anew(&mut self) {
        let mut stats = self.stats;
        stats.deletions += 1;
        *self = Truth {
            life: self.life + 1,
            places: std::mem::take(&mut self.places),
            fingerprint: self.fingerprint,
            stats,
            punctual_since: self.punctual_since,
            ..Truth::new()
        };
    }

    fn append(&mut self, record: &Record) -> Check {
        if self.records.last().is_some_and(|last| last.seq >= record.seq) {
            return Err(format!("sequence number {} is not after the last one", record.seq));
        }
        match &record.kind {
            RecordKind::Question { started, .. } => {
                let turn = Turn { user: record.message_id.clone(), is_started: *started, ..Turn::default() };
                if self.by_request.insert(record.request_id.clone(), record.seq).is_some() {
                    return Err(format!("{} is accepted twice", record.request_id));
                }
                self.turns.insert(record.seq, turn);
            }
            RecordKind::Answer { status, error, .. } => {
                let status = status.known().ok_or("a status of no version")?;
                let store_failed = error.as_ref().is_some_and(|error| error.code == ErrorCode::StorageError);
                self.end(record, status, status == Status::Interrupted || store_failed)?;
            }
        }
        let index = self.records.len();
        if self.by_id.insert(record.message_id.clone(), index).is_some() {
            return Err(format!("two messages with the id {}", record.message_id));
        }
        self.messages.push(json_of(&record.message(0)));
        self.records.push(record.clone());
        Ok(())
    }

    fn end(&mut self, record: &Record, status: Status, is_broken_off: bool) -> Check {
        self.stats.turns += 1;
        self.stats.interrupted += u64::from(is_broken_off);
        self.stats.cancels += u64::from(status == Status::Cancelled);
        let turn = self.turns.get_mut(&record.turn).ok_or("a turn ends that was never accepted")?;
        if turn.end.replace(record.message_id.clone()).is_some() {
            return Err(format!("{} ends twice", record.request_id));
        }
        let kept = pieces_of_content(&record.content);
        let said = &turn.said;
        if !is_broken_off && kept != *said {
            let id = &record.request_id;
            return Err(format!("{id} is {status:?} with\n    {kept:?}\nwhere its agent said\n    {said:?}"));
        }
        if !is_prefix(&kept, said) || text_bytes(&kept) < turn.journalled {
            let id = &record.request_id;
            return Err(format!("{id} was interrupted at\n    {said:?}\nand keeps\n    {kept:?}"));
        }
        Ok(())
    }

    fn sent(&mut self, to: Option<&PeerId>, frame: &Frame) -> Check {
        self.stats.frames += 1;
        self.mix(frame.text.as_bytes());
        let json = frame.json();
        let request_id = text_of(json, "requestId");
        if to.is_none() {
            self.place = Some(text_of(json, "cursor").to_owned());
        }
        match kind(json) {
            "user_message" => self.check_message(text_of(&json["message"], "id"), &json["message"])?,
            "final" | "cancelled" | "error" if json.get("cursor").is_some() => {
                self.check_end(json)?;
                if to.is_none() && !self.shown_ends.insert(request_id.to_owned()) {
                    return Err(format!("the end of {request_id} is shown to all a second time"));
                }
            }
            "error" => {
                self.stats.refusals += 1;
                let is_named = json.get("requestId").or(json.get("frame")).is_some_and(Value::is_string);
                if !is_named || !json["refused"].is_string() {
                    return Err(format!("nothing says which frame is refused by {json}"));
                }
            }
            "token" | "block" if to.is_none() => {
                let (_, end) = self.messages_of(request_id)?;
                if end.is_some() {
                    return Err(format!("text of {request_id} goes out after its end"));
                }
            }
            _ => {}
        }
        Ok(())
    }

    pub fn check_message(&self, id: &str, message: &Value) -> Check {
        let index = self.index_of(id)?;
        let (mut sent, mut kept) = (message.clone(), self.messages[index].clone());
        for message in [&mut sent, &mut kept] {
            if let Some(fields) = message.as_object_mut() {
                fields.remove("cursor");
            }
        }
        if sent == kept { Ok(()) } else { Err(format!("sent\n    {sent}\nof the message\n    {kept}")) }
    }

    fn check_end(&self, frame: &Value) -> Check {
        let record = &self.records[self.index_of(text_of(frame, "messageId"))?];
        let RecordKind::Answer { status, error, .. } = &record.kind else {
            return Err("an end names a user's message".into());
        };
        let expected = match status.known() {
            Some(Status::Complete) => "final",
            Some(Status::Cancelled) => "cancelled",
            Some(Status::Interrupted | Status::Failed) | None => "error",
        };
        let error = error.as_ref().map_or(Value::Null, json_of);
        let is_right = kind(frame) == expected
            && frame.get("error").unwrap_or(&Value::Null) == &error
            && frame["response"]["content"] == Value::String(record.content.text())
            && text_of(frame, "requestId") == record.request_id;
        if is_right { Ok(()) } else { Err(format!("sent {frame} of {record:?}")) }
    }

    /// A cursor means one thing.
    pub fn check_place(&mut self, cursor: &str, view: &View) -> Check {
        if cursor == "-" {
            return Ok(());
        }
        let last = view.messages.last().map(|id| self.index_of(id)).transpose()?;
        let lengths = view.answers.iter().map(|(id, pieces)| (id, text_bytes(pieces), pieces.len()));
        let place = format!("{last:?} {:?}", lengths.collect::<Vec<_>>());
        let known = self.places.entry(cursor.to_owned()).or_insert_with(|| place.clone());
        if *known == place {
            return Ok(());
        }
        Err(format!("at {cursor} it holds {place}, and another client, or itself before, held {known}"))
    }

    /// Text is in the journal half a second after it came.
    pub fn check_journals(&self, now: Millis) -> Check {
        for turn in self.turns.values().filter(|turn| turn.end.is_none()) {
            let is_old = |(at, _): &&(Millis, usize)| *at >= self.punctual_since && at + 500 <= now;
            let due = turn.said_at.iter().rev().find(is_old).map_or(0, |(_, bytes)| *bytes);
            if turn.journalled < due {
                let journalled = turn.journalled;
                return Err(format!("{journalled} bytes are in a journal that should have {due}"));
            }
        }
        Ok(())
    }

    fn mix(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.fingerprint = (self.fingerprint ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

pub fn append_text(pieces: &mut Vec<Piece>, text: &str) {
    match pieces.last_mut() {
        _ if text.is_empty() => {}
        Some(Piece::Text(last)) => last.push_str(text),
        _ => pieces.push(Piece::Text(text.to_owned())),
    }
}

pub fn append_block(pieces: &mut Vec<Piece>, block: Value) {
    pieces.push(Piece::Block(block));
}

pub fn is_prefix(short: &[Piece], long: &[Piece]) -> bool {
    let Some((last, before)) = short.split_last() else { return true };
    let same = long.get(..before.len()).is_some_and(|long| long == before);
    same && match (last, long.get(before.len())) {
        (Piece::Text(short), Some(Piece::Text(long))) => long.starts_with(short.as_str()),
        (last, long) => long == Some(last),
    }
}

/// An answer as a frame carries it.
pub fn pieces_of(content: &Value, blocks: &Value) -> Vec<Piece> {
    let mut pieces = Vec::new();
    match blocks.as_array() {
        Some(blocks) => blocks.iter().for_each(|block| match block["text"].as_str() {
            Some(text) if block["type"] == "text" => append_text(&mut pieces, text),
            _ => append_block(&mut pieces, block.clone()),
        }),
        None => append_text(&mut pieces, content.as_str().unwrap_or_default()),
    }
    pieces
}

fn pieces_of_content(content: &Content) -> Vec<Piece> {
    match content {
        Content::Text(text) => pieces_of(&Value::String(text.clone()), &Value::Null),
        Content::Blocks(blocks) => pieces_of(&Value::Null, &blocks.iter().map(json_of::<Block>).collect()),
    }
}

pub fn text_bytes(pieces: &[Piece]) -> usize {
    let bytes = |piece: &Piece| if let Piece::Text(text) = piece { text.len() } else { 0 };
    pieces.iter().map(bytes).sum()
}

fn json_of<T: serde::Serialize>(value: &T) -> Value {
    serde_json::from_str(&to_json(value)).expect("it is JSON")
}
