//! The required outcome of every frame that reaches the object: it is handled, or its sender is told.

use bobbin::dialect::native;
use bobbin::protocol::limits::{QUEUED_TURNS_MAX, REFUSED_FRAME_CHARS_MAX};
use bobbin::protocol::{Access, ClientFrame, CloseCode, Content};
use bobbin::thread::{PeerId, TurnId};
use serde_json::Value;

use super::Check;
use super::allowance::{Allowances, Room};
use super::asking::{Meets, meets};
use super::people::Begun;
use super::view::{kind, text_of};
use super::world::World;
use crate::support::{Frame, Seen, Spoilt};

/// A frame on its way into the object, and its possible outcomes if nothing fails.
#[derive(Debug)]
pub struct Asked {
    pub peer: PeerId,
    text: String,
    pub frame: Value,
    /// The turns that a cancel is about.
    meant: Vec<TurnId>,
    pub payer: String,
    is_costly: Room,
    /// Whether there is room for one more message.
    messages: Room,
    /// It asks for more of the thread.
    pub reads: bool,
    /// Whether the same was said before, so that nothing answers it.
    is_known: bool,
    pub start: Start,
    pub expected: Vec<Fate>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fate {
    pub is_done: bool,
    pub refused: Option<String>,
    pub closed: Option<CloseCode>,
}

/// The state before an input.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    was_awake: bool,
    failing_reads: u32,
}

/// The course of an input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Course {
    pub is_smooth: bool,
    pub has_crashed: bool,
    /// The thread started again from its store in the middle.
    pub has_restarted: bool,
}

impl Start {
    pub fn is_awake(self) -> bool {
        self.was_awake
    }
}

impl Fate {
    pub fn done() -> Self {
        Fate { is_done: true, ..Fate::default() }
    }

    pub fn refused(code: &str) -> Self {
        Fate { refused: Some(code.into()), ..Fate::default() }
    }

    pub fn closed(code: CloseCode) -> Self {
        Fate { closed: Some(code), ..Fate::default() }
    }
}

impl World {
    /// Works out the possible outcomes of a frame before it reaches the object.
    pub fn ask(&mut self, peer: &PeerId, text: &str) -> Asked {
        let start = self.start();
        let frame: Value = serde_json::from_str(text).unwrap_or_default();
        let payer = self.payer(peer);
        let mut asked = Asked {
            peer: peer.clone(),
            text: text.to_owned(),
            meant: self.meant_by(&frame),
            is_costly: self.is_costly(&frame),
            messages: self.room(|all| all.messages.room(self.host.now, &payer)),
            reads: false,
            is_known: false,
            start,
            expected: Vec::new(),
            frame,
            payer,
        };
        asked.expected = self.expected(&mut asked);
        asked
    }

    /// The checks come in the order in which the object makes them.
    fn expected(&mut self, asked: &mut Asked) -> Vec<Fate> {
        let (now, begun) = (self.host.now, &self.truth.begun);
        let Some(known) = self.truth.people.get(&asked.peer) else { return Vec::new() };
        if known.expires_at.is_some_and(|at| at <= now) {
            return vec![Fate::closed(CloseCode::Unauthenticated)];
        }
        let Some(access) = known.person.access(begun) else {
            return vec![Fate::closed(CloseCode::Forbidden)];
        };
        if let Err(()) = is_valid(&asked.frame) {
            // An object that slept has forgotten how many came before.
            let least = if asked.start.was_awake { known.invalid_frames } else { 0 };
            let most = if asked.start.was_awake { least + known.uncertain_frames } else { 0 };
            let max = self.host.config.invalid_frames_max;
            let refused = Fate::refused("INVALID_MESSAGE");
            let over = Fate { closed: Some(CloseCode::PolicyViolation), ..refused.clone() };
            return match (least >= max, most >= max) {
                (true, _) => vec![over],
                (false, true) => vec![refused, over],
                (false, false) => vec![refused],
            };
        }
        let too_many = Fate::closed(CloseCode::TooMany);
        let forbidden = access < asked_of(&asked.frame, begun);
        let mut fates = Vec::new();
        match self.room(|all| all.frames.room(now, &asked.payer)) {
            Room::No => return vec![too_many],
            Room::Either => fates.push(too_many),
            Room::Yes => {}
        }
        if forbidden {
            fates.push(Fate::refused("FORBIDDEN"));
            return fates;
        }
        let limited = Fate::refused("RATE_LIMITED");
        match (asked.is_costly, asked.messages) {
            (Room::Yes, Room::No) => {
                fates.push(limited);
                return fates;
            }
            (Room::No, _) | (_, Room::Yes) => {}
            (Room::Yes | Room::Either, Room::No | Room::Either) => fates.push(limited),
        }
        fates.extend(self.expected_if_admitted(asked));
        fates
    }

    fn expected_if_admitted(&self, asked: &mut Asked) -> Vec<Fate> {
        let reads = self.room(|all| all.read_bytes.room(self.host.now, &asked.payer));
        let limited = || match reads {
            Room::Yes => vec![Fate::done()],
            Room::No => vec![Fate::refused("RATE_LIMITED")],
            Room::Either => vec![Fate::done(), Fate::refused("RATE_LIMITED")],
        };
        let request_id = text_of(&asked.frame, "requestId");
        match kind(&asked.frame) {
            "session_sync" => {
                asked.reads = true;
                match asked.is_costly {
                    Room::No => vec![Fate::done()],
                    Room::Yes => limited(),
                    Room::Either => [limited(), vec![Fate::done()]].concat(),
                }
            }
            "message" if asked.frame["threadId"].as_str().is_some_and(|id| id != self.host.session_id) => {
                vec![Fate::refused("THREAD_MISMATCH")]
            }
            "select" => match self.truth.turn_with(text_of(&asked.frame, "messageId")) {
                None => vec![Fate::refused("NOT_FOUND")],
                Some(_) => vec![Fate::done()],
            },
            "message" | "regenerate" => {
                match self.truth.is_repeated(&asked.frame, content_of(&asked.text).as_ref()) {
                    Some(false) => vec![Fate::refused("DUPLICATE_REQUEST")],
                    Some(true) => {
                        asked.reads = true;
                        limited()
                    }
                    None if !self.is_after_shown(&asked.frame) => vec![Fate::refused("CONFLICT")],
                    None if self.truth.is_deleted(request_id) => vec![Fate::refused("DELETED")],
                    None => self.expected_of_a_new_message(asked),
                }
            }
            "tool_decision" | "tool_output" => self.expected_of_an_answer(asked),
            _ => vec![Fate::done()],
        }
    }

    fn expected_of_an_answer(&self, asked: &mut Asked) -> Vec<Fate> {
        let request_id = text_of(&asked.frame, "requestId");
        let turn = self.truth.turn_of(request_id).filter(|turn| turn.is_open() && turn.is_started);
        let meets = turn.map_or(Meets::Refused("NOT_FOUND"), |turn| {
            // Only the end of an agent tells which calls are clients' that are not marked.
            let clients = if turn.waits_under.is_some() { &turn.clients[..] } else { &[] };
            meets(&turn.said, clients, &asked.frame)
        });
        // Waking ends what ran, and decides what the mode decides.
        let is_sure = asked.start.was_awake;
        asked.is_known = meets == Meets::Known || !is_sure;
        let fate = match meets {
            Meets::Taken | Meets::Known => Fate::done(),
            Meets::Refused(code) => Fate::refused(code),
        };
        if is_sure {
            return vec![fate];
        }
        vec![fate, Fate::done(), Fate::refused("NOT_FOUND"), Fate::refused("ALREADY_ANSWERED")]
    }

    fn is_after_shown(&self, frame: &Value) -> bool {
        let after = frame.get("after").and_then(Value::as_str);
        after.is_none_or(|after| self.truth.is_shown(after) == Some(true))
    }

    fn expected_of_a_new_message(&self, asked: &Asked) -> Vec<Fate> {
        let of = asked.frame.get("replaces").or(asked.frame.get("of")).and_then(Value::as_str);
        let question = of.map(|of| self.truth.question_named(of));
        match question {
            Some(None) => return vec![Fate::refused("NOT_FOUND")],
            Some(Some(question)) if !self.truth.is_question_shown(question) => {
                return vec![Fate::refused("CONFLICT")];
            }
            _ => {}
        }
        let leaves = question.flatten().unwrap_or(TurnId::MAX);
        let open = || self.truth.turns.range(..leaves).map(|(_, turn)| turn).filter(|turn| turn.is_open());
        let is_full = open().filter(|turn| !turn.runs()).count() >= QUEUED_TURNS_MAX;
        let busy = Fate::refused("BUSY");
        let person = self.truth.people.get(&asked.peer).map(|known| known.person);
        let subject = person.and_then(|person| person.subject());
        if !is_full && !self.may_name(subject, content_of(&asked.text).as_ref()) {
            return vec![Fate::refused("NOT_FOUND")];
        }
        match (is_full, asked.start.was_awake) {
            (false, _) => vec![Fate::done()],
            (true, true) => vec![busy],
            // Waking ends the turns that ran.
            (true, false) => vec![Fate::done(), busy],
        }
    }

    /// Tells whether the object counts the frame as a message.
    fn is_costly(&self, frame: &Value) -> Room {
        match (kind(frame), &self.truth.place) {
            ("message" | "regenerate" | "select" | "session_update" | "tool_decision" | "tool_output", _) => {
                Room::Yes
            }
            ("session_sync", Some(place)) if text_of(frame, "cursor") != place => Room::Yes,
            ("session_sync", Some(_)) if self.host.thread().is_some() => Room::No,
            ("session_sync", _) => Room::Either,
            _ => Room::No,
        }
    }

    /// Without limits there is room for everything.
    pub fn room(&self, look: impl FnOnce(&Allowances) -> Room) -> Room {
        match self.is_limited {
            true if self.allowances.is_certain => look(&self.allowances),
            true => Room::Either,
            false => Room::Yes,
        }
    }

    pub fn payer(&self, peer: &PeerId) -> String {
        let subject = self.truth.people.get(peer).and_then(|known| known.person.subject());
        subject.map_or_else(|| peer.to_string(), str::to_owned)
    }

    /// Before an input.
    pub fn start(&mut self) -> Start {
        let was_awake = self.host.thread().is_some();
        if !was_awake {
            self.allowances.forget();
        }
        Start { was_awake, failing_reads: self.host.store.failing_reads.get() }
    }

    /// The course of the input that was just carried out.
    pub fn course(&self, start: Start) -> Course {
        let Start { was_awake, failing_reads } = start;
        let seen = &self.host.seen;
        let wakes = seen.iter().filter(|seen| matches!(seen, Seen::Woken { .. })).count();
        let has_crashed = seen.iter().any(|seen| matches!(seen, Seen::Crashed { .. }));
        let is_failure =
            |seen: &Seen| matches!(seen, Seen::StoreFailed { .. } | Seen::Panicked | Seen::GaveUp);
        let has_restarted = wakes > usize::from(!was_awake) || seen.iter().any(is_failure);
        let loses = |spoilt: &Spoilt| matches!(spoilt, Spoilt::Session { .. } | Spoilt::Checkpoint { .. });
        let has_lost = |seen: &Seen| matches!(seen, Seen::Woken { spoilt } if spoilt.iter().any(loses));
        let has_read_all = self.host.store.failing_reads.get() == failing_reads && !seen.iter().any(has_lost);
        Course { is_smooth: has_read_all && !has_crashed && !has_restarted, has_crashed, has_restarted }
    }

    /// Finds the outcome of the frame, before the truth has taken in the outputs.
    pub fn fate(&self, asked: &Asked, course: Course) -> Check<Fate> {
        let mut fate = Fate::default();
        let seen = &self.host.seen;
        for seen in seen {
            match seen {
                Seen::Closed { peer, code } if *peer == asked.peer => fate.closed = Some(*code),
                Seen::Sent { to: Some(to), frame, .. } if *to == asked.peer && is_refusal(frame) => {
                    check_name(frame.json(), asked)?;
                    // A failure after a refusal causes another refusal.
                    let code = text_of(&frame.json()["error"], "code").to_owned();
                    if fate.refused.replace(code).is_some() && course.is_smooth {
                        return Err(format!("{} is refused twice", asked.text));
                    }
                }
                _ => {}
            }
        }
        // A waking thread's output may look like an answer; a sender whose socket was closed gets none.
        let is_heard = fate.refused.is_none() && fate.closed.is_none();
        fate.is_done = is_heard && seen.iter().any(|seen| answers(seen, asked));
        Ok(fate)
    }

    /// Checks that the frame was handled or its sender told, once the truth has taken in the outputs.
    pub fn check_fate(&mut self, asked: &Asked, mut fate: Fate, course: Course) -> Check {
        // Turns may have ended for other reasons.
        if kind(&asked.frame) == "cancel" && fate == Fate::default() {
            fate.is_done = !asked.meant.iter().any(|turn| self.truth.is_open(*turn));
        }
        // Nothing answers the answer to a check, nor what was said before.
        fate.is_done |= (kind(&asked.frame) == "check" || asked.is_known) && fate == Fate::default();
        if self.debts.is_some() {
            // Who owes much is refused more, and whoever owes too much is closed whatever it sends.
            let is_refused_more = asked.reads && fate.refused.as_deref() == Some("RATE_LIMITED");
            if fate.closed == Some(CloseCode::TooMany) || is_refused_more {
                return Ok(());
            }
        }
        let is_right = match course {
            Course { has_crashed: true, .. } => true,
            Course { is_smooth: true, .. } => asked.expected.contains(&fate),
            _ => fate != Fate::default(),
        };
        if !is_right {
            return Err(format!("{} meets with {fate:?}\n  and not with {:?}", asked.text, asked.expected));
        }
        self.count(asked, &fate, course);
        Ok(())
    }

    fn count(&mut self, asked: &Asked, fate: &Fate, course: Course) {
        let now = self.host.now;
        let is_valid = is_valid(&asked.frame).is_ok();
        if let Some(known) = self.truth.people.get_mut(&asked.peer).filter(|_| !is_valid) {
            known.invalid_frames += u64::from(!course.has_restarted);
            known.uncertain_frames += u64::from(course.has_restarted);
        }
        if course.has_restarted {
            self.allowances.is_certain = false;
        }
        if !self.is_limited || !is_valid || fate.closed.is_some() {
            return;
        }
        self.allowances.frames.count(now, &asked.payer, 1);
        match (fate.refused.as_deref(), asked.is_costly, asked.messages) {
            (Some("FORBIDDEN"), _, _) | (_, Room::No, _) | (Some("RATE_LIMITED"), Room::Yes, Room::No) => {}
            (Some("RATE_LIMITED"), _, Room::Either) | (_, Room::Either, _) => {
                self.allowances.is_certain = false;
            }
            (_, Room::Yes, _) => self.allowances.messages.count(now, &asked.payer, 1),
        }
    }
}

/// The right that a frame requires of its sender.
fn asked_of(frame: &Value, begun: &Begun) -> Access {
    match kind(frame) {
        "message" | "regenerate" | "select" if *begun == Begun::No => Access::Owner,
        "message" | "regenerate" | "select" | "cancel" | "tool_decision" | "tool_output" => Access::Editor,
        "session_update" => Access::Owner,
        _ => Access::Viewer,
    }
}

fn is_refusal(frame: &Frame) -> bool {
    frame.head().kind == "error" && frame.head().cursor.is_none()
}

/// Tells whether an output answers a frame.
fn answers(seen: &Seen, asked: &Asked) -> bool {
    let Seen::Sent { to, frame, .. } = seen else { return false };
    if to.as_ref().is_some_and(|to| *to != asked.peer) {
        return false;
    }
    let head = frame.head();
    match kind(&asked.frame) {
        "message" => head.kind == "user_message" && head.request_id == text_of(&asked.frame, "requestId"),
        "regenerate" | "select" if head.kind == "snapshot" => frame.json()["reason"] == "branch",
        "regenerate" => head.kind == "branch" && head.request_id == text_of(&asked.frame, "requestId"),
        "select" => head.kind == "branch",
        "session_sync" => head.kind == "session_synced",
        "session_update" if head.kind == "session" => {
            let frame = frame.json();
            let is_set =
                |name: &str| asked.frame.get(name).is_none_or(|value| *value == frame["session"][name]);
            is_set("title") && is_set("permissionMode")
        }
        "ping" => head.kind == "pong",
        "tool_decision" => {
            head.kind == "tool_decided" && frame.json()["toolUseId"] == asked.frame["toolUseId"]
        }
        "tool_output" => {
            head.kind == "block" && frame.json()["block"]["toolUseId"] == asked.frame["toolUseId"]
        }
        _ => false,
    }
}

/// Tells whether the object can read the frame. The simulation's clients send few kinds of invalid frames.
fn is_valid(frame: &Value) -> Result<(), ()> {
    let is_right = match kind(frame) {
        "message" => {
            frame["requestId"].as_str().is_some_and(|id| !id.is_empty()) && frame.get("content").is_some()
        }
        "regenerate" => frame["requestId"].is_string() && frame["of"].is_string(),
        "select" => frame["messageId"].is_string(),
        "cancel" | "session_sync" | "ping" => !frame["requestId"].is_number(),
        "tool_decision" | "tool_output" => true,
        "check" => frame["n"].is_u64(),
        "session_update" => frame.get("title").is_some() || frame.get("permissionMode").is_some(),
        _ => false,
    };
    if is_right { Ok(()) } else { Err(()) }
}

/// Checks that a refusal names the frame that it is about.
fn check_name(refusal: &Value, asked: &Asked) -> Check {
    let frame = &asked.frame;
    let of_type = frame.get("type").and_then(Value::as_str).unwrap_or("unknown");
    let request_id = frame.get("requestId").filter(|id| id.is_string());
    let start: String = asked.text.chars().take(REFUSED_FRAME_CHARS_MAX).collect();
    let is_named = match request_id {
        Some(id) => refusal.get("requestId") == Some(id),
        None => refusal["frame"] == Value::String(start),
    };
    if is_named && refusal["refused"] == of_type {
        Ok(())
    } else {
        Err(format!("{} is refused by {refusal}", asked.text))
    }
}

fn content_of(text: &str) -> Option<Content> {
    match native::parse(text).frame {
        Ok(ClientFrame::Message { content, .. }) => Some(content),
        _ => None,
    }
}
