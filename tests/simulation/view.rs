//! The state that a naive client builds from the frames it receives.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::Check;
use super::asking::{approval, decide, open_calls};
use super::pieces::{
    Piece, append_text, block_count, drop_open, is_decided_later, is_prefix, pieces_of, put_block, text_only,
};
use super::truth::{Truth, Turn};
use crate::support::{Frame, Head};

/// A transcript, folded: it keeps the last cursor, appends tokens by `requestId`, replaces everything on
/// `snapshot`, and knows nothing else.
#[derive(Clone, Debug, Default)]
pub struct View {
    pub cursor: Option<String>,
    /// The cursor is one that this log gave it, and so it must be known.
    pub is_own: bool,
    /// The life of the session that it holds, which grows with each deletion.
    pub life: usize,
    /// Messages by id.
    pub messages: Vec<String>,
    /// Answers that are not finished.
    pub answers: BTreeMap<String, Vec<Piece>>,
    /// The frame that last said what the session is.
    pub session: Option<Frame>,
    /// The state before a part was sent again, until that part is complete. A client that is cut off in between
    /// continues from this state.
    before: Option<Box<View>>,
    /// Calls that it has seen decided.
    decided: BTreeSet<(String, String)>,
}

impl View {
    pub fn fold(&mut self, frame: &Frame, truth: &mut Truth) -> Check {
        let Head { kind, cursor, request_id, .. } = frame.head();
        let is_held = |cursor: &String| self.cursor.as_deref().map(seq_of) == Some(seq_of(cursor));
        let is_again = changes_messages(kind) && cursor.as_ref().is_some_and(is_held);
        // The repeated part was broken off.
        if cursor.as_ref().is_some_and(|cursor| !is_held(cursor)) {
            self.cut_off();
        }
        if is_again && self.before.is_none() {
            self.before = Some(Box::new(self.clone()));
        }
        match kind.as_str() {
            "user_message" => self.append(text_of(&frame.json()["message"], "id"), truth).map(drop)?,
            "token" | "block" | "block_start" | "block_delta" | "waiting" | "tool_decided" => {
                fold_answer(self.answer(request_id, truth)?, frame)?;
                self.check_answer(request_id, truth)?;
            }
            "final" | "cancelled" | "error" if cursor.is_some() => self.end(frame.json(), truth)?,
            "branch" => self.branch(frame.json(), truth)?,
            "session" | "connected" => self.session = Some(frame.clone()),
            "snapshot" => self.replace(frame, truth)?,
            "error" | "queued" | "session_synced" | "check" | "pong" | "data" => {}
            unknown => {
                return Err(format!(
                    "a frame of the type {unknown} was sent, which the simulation does not know"
                ));
            }
        }
        self.check_decided()?;
        if let Some(cursor) = cursor {
            self.is_own = cursor != "-" && (self.is_own || kind != "connected" || cursor == "0");
            self.cursor = Some(cursor.clone());
            if kind != "connected" {
                self.life = truth.life;
            }
            if changes_messages(kind) && cursor != "-" && !self.is_on_path(truth, cursor) {
                // The repeated part is removed again, or completed.
                return if is_again { Ok(()) } else { Err(self.astray(truth, cursor)) };
            }
            if changes_messages(kind) {
                self.before = None;
            }
            truth.check_place(cursor, self)?;
        }
        Ok(())
    }

    /// Tells whether no repeated part is incomplete.
    pub fn is_whole(&self) -> bool {
        self.before.is_none()
    }

    /// Its connection is lost.
    pub fn cut_off(&mut self) {
        if let Some(before) = self.before.take() {
            *self = *before;
        }
    }

    /// Tells whether it holds the newest messages of the path at its cursor, and no others.
    fn is_on_path(&self, truth: &Truth, cursor: &str) -> bool {
        let path = truth.path_at(seq_of(cursor));
        let mut newest = path.iter().rev().zip(self.messages.iter().rev());
        self.messages.len() <= path.len() && newest.all(|(one, other)| one == other)
    }

    fn astray(&self, truth: &Truth, cursor: &str) -> String {
        let path = truth.path_at(seq_of(cursor));
        format!("at {cursor} it holds\n    {:?}\nwhere the path is\n    {path:?}", self.messages)
    }

    /// Replaces the messages after the branch point.
    fn branch(&mut self, frame: &Value, truth: &Truth) -> Check {
        let after = frame["after"].as_str();
        let place = self.messages.iter().position(|held| Some(held.as_str()) == after);
        self.messages.truncate(place.map_or(0, |place| place + 1));
        for message in frame["messages"].as_array().ok_or("a branch without messages")? {
            let id = text_of(message, "id");
            truth.check_message(id, message)?;
            if self.messages.iter().any(|held| held == id) {
                return Err(format!("{id} comes twice"));
            }
            self.messages.push(id.to_owned());
        }
        Ok(())
    }

    /// Adds a message. Returns whether it was new.
    fn append(&mut self, id: &str, truth: &Truth) -> Check<bool> {
        let index = truth.index_of(id)?;
        // Older than all it holds: a client that asks that far back pages by HTTP.
        let is_older = match self.messages.first() {
            Some(first) => index < truth.index_of(first)?,
            None => false,
        };
        if is_older || self.messages.iter().any(|held| held == id) {
            return Ok(false);
        }
        self.messages.push(id.to_owned());
        Ok(true)
    }

    fn answer(&mut self, request_id: &str, truth: &Truth) -> Check<&mut Vec<Piece>> {
        let (user, end) = truth.messages_of(request_id)?;
        // A snapshot has the newest messages alone; the question may be older than them. And after a branch there may be
        // none.
        let is_before = match self.messages.first() {
            Some(first) => truth.index_of(user)? < truth.index_of(first)?,
            None => true,
        };
        if !is_before && !self.messages.iter().any(|id| id == user) {
            return Err(format!("text of {request_id} before its user_message"));
        }
        if end.is_some_and(|end| self.messages.iter().any(|id| id == end)) {
            return Err(format!("text of {request_id} after its end"));
        }
        Ok(self.answers.entry(request_id.to_owned()).or_default())
    }

    /// Checks that a decided call is never shown as open again.
    fn check_decided(&mut self) -> Check {
        for (request_id, pieces) in &self.answers {
            for piece in pieces {
                let Piece::Block(block) = piece else { continue };
                let Some(state) = block["approval"]["state"].as_str() else { continue };
                let call = (request_id.clone(), text_of(block, "id").to_owned());
                if state != "requested" {
                    self.decided.insert(call);
                } else if self.decided.contains(&call) {
                    return Err(format!("{call:?} was decided, and is shown as open"));
                }
            }
        }
        Ok(())
    }

    fn check_answer(&self, request_id: &str, truth: &Truth) -> Check {
        let said = truth.said(request_id);
        match self.answers.get(request_id) {
            // Blocks that cannot be read any more are left out.
            Some(held) if truth.is_torn(request_id) && is_prefix(&text_only(held), &text_only(said)) => {
                Ok(())
            }
            Some(held) if !truth.may_be_held(request_id, held) => {
                Err(format!("it holds of {request_id}\n    {held:?}\nwhere the agent said\n    {said:?}"))
            }
            _ => Ok(()),
        }
    }

    fn end(&mut self, frame: &Value, truth: &Truth) -> Check {
        let request_id = text_of(frame, "requestId");
        if !self.append(text_of(frame, "messageId"), truth)? {
            return Ok(());
        }
        let held = self.answers.remove(request_id);
        // What is told again may have left the path, and been dropped with it.
        let is_again = self.cursor.as_deref().map(seq_of) == frame["cursor"].as_str().map(seq_of);
        if is_again && held.is_none() {
            return Ok(());
        }
        if truth.turn_of(request_id).is_some_and(Turn::is_appended) {
            return held.map_or(Ok(()), |held| Err(format!("{request_id} is shown in parts: {held:?}")));
        }
        check_end(held.unwrap_or_default(), frame)
    }

    fn replace(&mut self, snapshot: &Frame, truth: &Truth) -> Check {
        let decided = std::mem::take(&mut self.decided);
        *self = View { session: Some(snapshot.clone()), decided, ..View::default() };
        let frame = snapshot.json();
        let messages = frame["messages"].as_array().ok_or("a snapshot without messages")?;
        for message in messages {
            let id = text_of(message, "id");
            truth.check_message(id, message)?;
            if self.messages.is_empty() {
                let path = truth.path_at(seq_of(text_of(frame, "cursor")));
                if !frame["hasMore"].as_bool().unwrap_or_default() && path.first() != Some(&id) {
                    return Err("a snapshot lacks messages and says it has all".into());
                }
                self.messages.push(id.to_owned());
            } else if !self.append(id, truth)? {
                return Err("a snapshot has a message twice or in disorder".into());
            }
        }
        for answer in frame["inFlight"].as_array().ok_or("a snapshot without inFlight")? {
            let request_id = text_of(answer, "requestId");
            let blocks =
                answer.get("blocks").filter(|blocks| blocks.as_array().is_some_and(|b| !b.is_empty()));
            let pieces = pieces_of(&answer["content"], blocks.unwrap_or(&Value::Null));
            let named = answer["toolUseIds"].as_array();
            if named.is_some() != (answer["state"] == "waiting") {
                return Err(format!("{answer} says what is open"));
            }
            if !pieces.is_empty() {
                self.answers.insert(request_id.to_owned(), pieces);
            }
            self.check_answer(request_id, truth)?;
        }
        Ok(())
    }
}

/// What comes of an answer with one more of its events.
pub fn fold_answer(answer: &mut Vec<Piece>, frame: &Frame) -> Check {
    let (json, token) = (frame.json(), &frame.head().token);
    match kind(json) {
        "token" => {
            drop_open(answer);
            append_text(answer, token.as_ref().ok_or("a token frame without text")?);
        }
        "block" => put_block(answer, index_of(json)?, json["block"].clone())?,
        "block_start" => {
            drop_open(answer);
            if block_count(answer) != index_of(json)? {
                return Err(format!("{json} where it holds {answer:?}"));
            }
            answer.push(Piece::Open(json["block"].clone(), String::new()));
        }
        "block_delta" => {
            let (index, count) = (index_of(json)?, block_count(answer));
            let Some(Piece::Open(_, grown)) = answer.last_mut().filter(|_| count == index) else {
                return Err(format!("{json} where no such block is open"));
            };
            grown.push_str(text_of(json, "delta"));
        }
        "waiting" => {
            drop_open(answer);
            let named = json["toolUseIds"].as_array().into_iter().flatten();
            let named: Vec<&str> = named.filter_map(Value::as_str).collect();
            let open = open_calls(answer, &[]);
            if named.is_empty() || !open.iter().all(|id| named.contains(&id.as_str())) {
                return Err(format!("it holds {answer:?}, and {named:?} are said to be open"));
            }
        }
        "tool_decided" => {
            let word = |name: &str| json.get(name).and_then(Value::as_str);
            let set = approval(json["approved"] == true, word("reason"), word("by"));
            if !decide(answer, Some(text_of(json, "toolUseId")), &set) {
                return Err(format!("{json} where it holds {answer:?}"));
            }
        }
        _ => {}
    }
    Ok(())
}

/// Checks that a client with all events of an answer holds the same as its end says.
pub fn check_end(mut held: Vec<Piece>, end: &Value) -> Check {
    drop_open(&mut held);
    let whole = pieces_of(&end["response"]["content"], &end["response"]["blocks"]);
    // The end denies the calls that nobody has decided.
    for (held, whole) in held.iter_mut().zip(&whole) {
        if let (Piece::Block(block), Piece::Block(ended)) = (&*held, whole)
            && is_decided_later(block, ended)
            && ended["approval"]["state"] == "denied"
            && ended["approval"]["by"].is_null()
        {
            *held = whole.clone();
        }
    }
    if held == whole {
        return Ok(());
    }
    let request_id = text_of(end, "requestId");
    Err(format!("at the end of {request_id} it holds\n    {held:?}\nand the answer is\n    {whole:?}"))
}

fn index_of(frame: &Value) -> Check<usize> {
    let index = frame["index"].as_u64().and_then(|index| usize::try_from(index).ok());
    index.ok_or_else(|| format!("{frame} without an index"))
}

/// The place in the log that a cursor names.
fn seq_of(cursor: &str) -> u64 {
    let seq = cursor.split('.').nth(1).and_then(|seq| u64::from_str_radix(seq, 16).ok());
    seq.unwrap_or_default()
}

fn changes_messages(kind: &str) -> bool {
    ["user_message", "final", "cancelled", "error", "branch", "snapshot"].contains(&kind)
}

pub fn kind(frame: &Value) -> &str {
    text_of(frame, "type")
}

pub fn text_of<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}
