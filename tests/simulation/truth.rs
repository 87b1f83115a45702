//! The truth: everything that was committed and that the agents said, and the rules for it.

use std::collections::{BTreeMap, BTreeSet};

use bobbin::agent::AgentEvent;
use bobbin::protocol::{Access, CloseCode, Content, ErrorCode, Millis, Status};
use bobbin::thread::store::{Begun as BegunTurn, Commit, Decision, Journal, Record, RecordKind, Write};
use bobbin::thread::{Answer, Config, PeerId, TurnId};
use serde_json::{Value, json};

use super::asking::{Meets, approval, decide, give, meets, needs_its_agent, open_calls, shown};
use super::calls::Calls;
use super::paths::Paths;
use super::people::{Begun, Person};
use super::pieces::{
    Piece, append_block, append_text, block_count, close, drop_open, is_kept, is_prefix, json_of,
    pieces_of_content, text_bytes, text_only, weight, without_urls,
};
use super::rights::Known;
use super::view::{View, kind, text_of};
use super::{Check, Stats};
use crate::support::{Frame, Head, Host, Seen, Spoilt};

#[derive(Debug, Default)]
#[allow(clippy::struct_excessive_bools)] // Each is known of by another event.
pub struct Turn {
    user: String,
    end: Option<String>,
    pub is_started: bool,
    pub calls: Calls,
    /// What its agent has said so far.
    pub said: Vec<Piece>,
    /// The content at each point where an open block was dropped, or became another one than it had grown to.
    dropped: Vec<Vec<Piece>>,
    /// How much had been said at which time.
    said_at: Vec<(Millis, usize)>,
    /// How much is in the journal.
    journalled: usize,
    /// A part of the journal cannot be read.
    is_torn: bool,
    /// Whether the content with which it waits cannot be read.
    is_lost: bool,
    /// The record that it waits under, if it waits.
    pub waits_under: Option<u64>,
    /// Its agent was done.
    is_done: bool,
    /// Whether it waits no more, and its agent is to be called.
    is_called: bool,
    /// Blocks made by a decision or a result, which are stored with it.
    answered: Vec<Value>,
    /// Calls that are clients' although they are not marked so.
    pub clients: Vec<String>,
    /// The first block of the present call of its agent.
    pub from: usize,
    /// A crash or a failing store broke it off.
    is_broken_off: bool,
    /// The content of an answer that nobody asked for.
    appended: Option<Content>,
    /// A thought was dropped, or became another one than it had grown to.
    pub is_astray: bool,
}

#[derive(Debug, Default)]
pub struct Truth {
    /// The log's messages, in order.
    pub records: Vec<Record>,
    messages: Vec<Value>,
    by_id: BTreeMap<String, usize>,
    pub turns: BTreeMap<TurnId, Turn>,
    by_request: BTreeMap<String, TurnId>,
    /// The `requestId`s of deleted sessions.
    deleted: BTreeSet<String>,
    /// The state that clients hold at each cursor, which is the same for all of them.
    places: BTreeMap<String, String>,
    pub fingerprint: u64,
    /// Whether anybody looks at the fingerprint.
    is_compared: bool,
    pub stats: Stats,
    /// Since when timers have been on time.
    pub punctual_since: Millis,
    /// How often the session was deleted.
    pub life: usize,
    /// Messages that D1 will never have.
    pub parked: BTreeSet<u64>,
    /// Turns whose end was sent to everybody.
    shown_ends: BTreeSet<String>,
    /// The place of the last event that was sent to all; `None` while a failure leaves it open.
    pub place: Option<String>,
    pub people: BTreeMap<PeerId, Known>,
    pub begun: Begun,
    /// The person whose frame or request is being handled.
    pub actor: Option<Person>,
    /// The last committed title and mode of the session; `None` once they could not be read.
    pub settings: Option<(Option<String>, String)>,
    /// The session could not be read whole: its figures are not what they were.
    pub is_session_torn: bool,
    /// How many records the log has.
    pub events: usize,
    /// Messages that cannot be read any more, in the form in which they are shown since.
    unreadable: BTreeMap<usize, Vec<Record>>,
    pub paths: Paths,
    /// How turns began, and whether they are other answers.
    begun_of: BTreeMap<TurnId, (bool, BegunTurn)>,
    /// How the ids of the log's messages begin.
    pub id_prefix: String,
    /// The turns that stay on the path, while a commit changes it.
    staying: Option<BTreeSet<TurnId>>,
}

impl Turn {
    pub fn is_open(&self) -> bool {
        self.end.is_none()
    }

    /// Whether it is an answer that nobody asked for.
    pub fn is_appended(&self) -> bool {
        self.appended.is_some()
    }

    /// Whether it waits for a person.
    pub fn waits(&self) -> bool {
        self.is_open() && self.waits_under.is_some() && !self.open_calls().is_empty()
    }

    /// Whether it has waited, and its agent is to be called as soon as there is a place.
    pub fn is_ready(&self) -> bool {
        self.is_open() && self.waits_under.is_some() && self.open_calls().is_empty()
    }

    pub fn runs(&self) -> bool {
        self.is_open() && self.is_started && self.waits_under.is_none()
    }

    pub fn open_calls(&self) -> Vec<String> {
        open_calls(&self.said, &self.clients)
    }

    fn hear(&mut self, event: &AgentEvent, mode: &str, config: &Config) {
        match event {
            AgentEvent::Text(text) => {
                self.close();
                append_text(&mut self.said, text);
            }
            AgentEvent::Block(block) => {
                let mut block = json_of(block);
                shown(&mut block, mode, config.waits_for_tools);
                match self.said.last() {
                    Some(Piece::Open(open, grown)) if open["type"] == block["type"] => {
                        // What the block says counts, whatever it had grown to.
                        self.is_astray |= !text_of(&block, "text").starts_with(grown.as_str());
                        self.dropped.push(self.said.clone());
                        drop_open(&mut self.said);
                    }
                    _ => self.close(),
                }
                append_block(&mut self.said, block);
            }
            AgentEvent::Begin(block) => {
                self.close();
                let mut block = json_of(block);
                shown(&mut block, mode, config.waits_for_tools);
                for grows in ["text", "input"] {
                    block.as_object_mut().and_then(|fields| fields.remove(grows));
                }
                self.said.push(Piece::Open(block, String::new()));
            }
            AgentEvent::Grow(growth) => {
                if let Some(Piece::Open(_, grown)) = self.said.last_mut() {
                    grown.push_str(growth);
                }
            }
            AgentEvent::Drop => self.drop_open(),
            AgentEvent::Finished(finished) | AgentEvent::Ending(finished) => {
                self.is_done = true;
                self.clients.clone_from(&finished.client_calls);
            }
            AgentEvent::Data { .. } | AgentEvent::Gathering | AgentEvent::Failed(_) => {}
        }
    }

    /// Handles that its agent is called. Returns whether that is another call after people have answered.
    fn go_on(&mut self, answer: Option<&Content>) -> Check<bool> {
        let is_at_once =
            self.is_done && !self.is_called && self.waits_under.is_none() && !self.calls.are_to_go_on();
        if is_at_once {
            self.close();
            if !needs_its_agent(&self.said, self.from) {
                return Err("an agent that is done is called again for nothing".into());
            }
        }
        if self.waits_under.is_some() {
            return Err("an agent is called while its turn waits".into());
        }
        let goes_on = is_at_once || self.is_called;
        if goes_on {
            self.from = block_count(&self.said);
            (self.calls, self.is_done, self.is_called) = (Calls::default(), false, false);
            self.clients.clear();
        }
        if !self.open_calls().is_empty() && goes_on {
            return Err("an agent is called while calls are open".into());
        }
        // What it has said in a call that failed is nothing.
        let told = answer.map(pieces_of_content);
        if self.from > 0 && told.as_deref() != Some(&self.said[..]) {
            return Err(format!("an agent is told {told:?} of its answer {:?}", self.said));
        }
        Ok(goes_on)
    }

    /// Handles that it waits under a record, and its agent is done.
    fn wait(&mut self, record: &Record) -> Check {
        self.close();
        let kept = pieces_of_content(&record.content);
        if kept != self.said || !self.is_done || self.waits_under.is_some() || self.open_calls().is_empty() {
            return Err(format!("it waits with\n    {kept:?}\nwhere it said\n    {:?}", self.said));
        }
        self.waits_under = Some(record.seq);
        self.calls = Calls::default();
        self.said_at.clear();
        Ok(())
    }

    fn close(&mut self) {
        let before = self.said.clone();
        close(&mut self.said);
        if self.said.len() < before.len() {
            self.dropped(before);
        }
    }

    fn drop_open(&mut self) {
        let before = self.said.clone();
        if drop_open(&mut self.said).is_some() {
            self.is_astray = true;
            self.dropped(before);
        }
    }

    fn dropped(&mut self, before: Vec<Piece>) {
        self.dropped.push(before);
        let weight = weight(&self.said);
        self.said_at.iter_mut().for_each(|(_, said)| *said = weight.min(*said));
        self.journalled = self.journalled.min(weight);
    }

    /// Tells whether this was a beginning of the answer at some time. After a crash a thought may be kept in part.
    pub fn may_be_held(&self, held: &[Piece]) -> bool {
        is_kept(held, &self.said) || self.dropped.iter().any(|said| is_kept(held, said))
    }
}

impl Truth {
    pub fn new(is_compared: bool) -> Self {
        Truth { is_compared, place: Some("0".into()), ..Truth::default() }
    }

    pub fn is_open(&self, turn: TurnId) -> bool {
        self.turns.get(&turn).is_some_and(Turn::is_open)
    }

    pub fn is_turn(&self, turn: TurnId, request_id: &str) -> bool {
        self.by_request.get(request_id) == Some(&turn)
    }

    pub fn turn_id(&self, request_id: &str) -> Option<TurnId> {
        self.by_request.get(request_id).copied()
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

    pub fn may_be_held(&self, request_id: &str, held: &[Piece]) -> bool {
        self.turn_of(request_id).is_none_or(|turn| turn.may_be_held(held))
    }

    /// Tells whether a message is the one that its `requestId` was used for; `None` if the id was not used. A message
    /// that cannot be read any more counts as the same.
    pub fn is_repeated(&self, frame: &Value, content: Option<&Content>) -> Option<bool> {
        let (request_id, is_answer) = (text_of(frame, "requestId"), frame["role"] == "assistant");
        let turn = self.by_request.get(request_id)?;
        let is_regenerate = kind(frame) == "regenerate";
        let begun = self.begun_of.get(turn)?;
        let word = |name: &str| frame.get(name).and_then(Value::as_str);
        let of = word(if is_regenerate { "of" } else { "replaces" });
        let is_of_same = begun.1.of.as_deref() == of && begun.1.after.as_deref() == word("after");
        if begun.0 || is_regenerate {
            return Some(begun.0 && is_regenerate && is_of_same);
        }
        if let Some(appended) = self.turns.get(turn).and_then(|turn| turn.appended.as_ref()) {
            return Some(Some(appended) == content && is_answer && is_of_same);
        }
        let index = self.records.iter().position(|record| record.seq == *turn)?;
        let is_same = Some(&self.records[index].content) == content && !is_answer && is_of_same;
        Some(self.unreadable.contains_key(&index) || is_same)
    }

    /// Whether it was used in a session that was deleted.
    pub fn is_deleted(&self, request_id: &str) -> bool {
        self.deleted.contains(request_id)
    }

    /// Replaces a stored message that cannot be read any more by the form in which it reads.
    pub fn spoil(&mut self, read: Record) {
        if let Some(index) = self.records.iter().position(|record| record.seq == read.seq) {
            self.unreadable.entry(index).or_default().push(read);
        }
    }

    /// A message as it was, and as it has been read since.
    pub fn versions(&self, index: usize) -> impl Iterator<Item = &Record> {
        self.records.get(index).into_iter().chain(self.unreadable.get(&index).into_iter().flatten())
    }

    pub fn unfinished(&self) -> usize {
        self.turns.values().filter(|turn| turn.end.is_none()).count()
    }

    pub fn turn_of(&self, request_id: &str) -> Option<&Turn> {
        self.by_request.get(request_id).and_then(|turn| self.turns.get(turn))
    }

    /// Takes in what an agent that works for the object says.
    pub fn hear(&mut self, now: Millis, id: TurnId, events: &[AgentEvent], mode: &str, config: &Config) {
        let Some(turn) = self.turns.get_mut(&id).filter(|turn| turn.end.is_none()) else { return };
        for event in events {
            turn.hear(event, mode, config);
        }
        // That a block is dropped is told by what comes next: until then the last event is at no place of the log.
        if events.iter().any(|event| matches!(event, AgentEvent::Drop)) {
            self.place = None;
        }
        // Half a call is not kept by a crash.
        let mut kept = turn.said.clone();
        close(&mut kept);
        turn.said_at.push((now, weight(&kept)));
        turn.calls.hear(now, events, config);
    }

    pub fn observe(&mut self, host: &Host, seen: &Seen) -> Check {
        match seen {
            Seen::Stored(commit) => self.commit(commit)?,
            Seen::Sent { to, reached, frame } => {
                self.check_reached(host.now, reached, frame)?;
                self.sent(to.as_ref(), frame)?;
            }
            Seen::Streamed { reached, frame } => self.check_reached(host.now, reached, frame)?,
            Seen::Started { turn, request, .. } => {
                let own = request.messages.last().ok_or("an agent is asked nothing")?;
                let question = self.paths.question_of(*turn);
                let asked = self.records.iter().position(|record| Some(record.seq) == question);
                if self.unreadable.is_empty() {
                    let told = request.messages.iter();
                    let told: Vec<_> = told.map(|told| (told.id.clone(), told.content.clone())).collect();
                    self.check_told(*turn, &told)?;
                }
                let is_own = |index: usize| {
                    without_urls(&self.records[index].content) == without_urls(&own.content)
                        && !self.unreadable.contains_key(&index)
                };
                if !asked.is_some_and(is_own) {
                    return Err(format!("the agent of turn {turn} is asked something else"));
                }
                let started = self.turns.get_mut(turn).ok_or("an agent is started for no turn")?;
                self.stats.rounds += u64::from(started.go_on(request.answer.as_ref())?);
                let is_again = started.calls.make(host.now).map_err(|why| format!("turn {turn}: {why}"))?;
                self.stats.retries += u64::from(is_again);
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
            Seen::Woken { spoilt } => self.wake(spoilt),
            Seen::Crashed { .. } | Seen::Panicked | Seen::StoreFailed { .. } => self.fail(seen),
            Seen::Closed { code, .. } => self.count_closed(*code),
            // It may have given up between an event and the next, which follows from it.
            Seen::GaveUp => self.place = None,
            Seen::Aborted { .. }
            | Seen::Logged(_)
            | Seen::Removing(_)
            | Seen::Told { .. }
            | Seen::Follows { .. } => {}
        }
        Ok(())
    }

    /// Handles that memory is gone, and with it the values that could not be read from the store.
    fn wake(&mut self, spoilt: &[Spoilt]) {
        self.stats.wakes += 1;
        self.stats.unreadable += u64::from(!spoilt.is_empty());
        self.people.values_mut().for_each(|known| (known.invalid_frames, known.uncertain_frames) = (0, 0));
        for spoilt in spoilt {
            match spoilt {
                Spoilt::Checkpoint { column: "session" } | Spoilt::Session { .. } => {
                    let keeps_owner =
                        !matches!(spoilt, Spoilt::Checkpoint { .. } | Spoilt::Session { field: "owner" });
                    self.is_session_torn = true;
                    self.settings = None;
                    if !keeps_owner {
                        self.begun = Begun::By(None);
                    }
                }
                Spoilt::Checkpoint { .. } | Spoilt::Journal { .. } | Spoilt::Record { .. } => {}
            }
        }
    }

    pub fn count_closed(&mut self, code: CloseCode) {
        match code {
            CloseCode::Unauthenticated => self.stats.expired += 1,
            CloseCode::Forbidden => self.stats.strangers += 1,
            CloseCode::TooMany => self.stats.limited += 1,
            _ => {}
        }
    }

    /// The journal of a turn cannot be read whole any more.
    pub fn tear(&mut self, turn: TurnId) {
        if let Some(turn) = self.turns.get_mut(&turn) {
            turn.is_torn = true;
        }
    }

    /// What a turn waits with cannot be read any more.
    pub fn lose(&mut self, turn: TurnId) {
        if let Some(turn) = self.turns.get_mut(&turn) {
            (turn.is_torn, turn.is_lost) = (true, true);
        }
    }

    pub fn is_broken_off(&self, request_id: &str) -> bool {
        self.turn_of(request_id).is_some_and(|turn| turn.is_broken_off)
    }

    pub fn is_torn(&self, request_id: &str) -> bool {
        self.turn_of(request_id).is_some_and(|turn| turn.is_torn)
    }

    /// A part of what is stored of a turn, or of what it waits with, cannot be read any more.
    pub fn has_lost(&self, turn: TurnId) -> bool {
        self.turns.get(&turn).is_some_and(|turn| turn.is_torn || turn.is_lost)
    }

    /// A thread at rest has no alarm. If a waiting turn turns out to be unreadable on waking, and the object dies
    /// right then, the next wake brings the rest.
    pub fn has_lost_turn(&self) -> bool {
        self.turns.values().any(|turn| turn.is_lost)
    }

    /// Handles that the agents are gone, and with them the text that was not yet in a journal.
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
        let access = self.access();
        self.staying = self.staying(commit);
        for write in &commit.0 {
            match write {
                Write::Append(record) => {
                    self.check_rights(access, record)?;
                    self.append(record)?;
                }
                Write::Start { seq: turn } if !self.turns.contains_key(turn) => {
                    let is_it = |(_, waits): &(&TurnId, &mut Turn)| waits.waits_under == Some(*turn);
                    let found = self.turns.iter_mut().find(is_it);
                    let (_, waits) = found.ok_or("a turn goes on that does not wait")?;
                    if !waits.is_ready() {
                        return Err(format!("a turn goes on with {:?}", waits.said));
                    }
                    (waits.waits_under, waits.is_called) = (None, true);
                }
                Write::Start { seq: turn } => {
                    if self.turns.range(..turn).any(|(_, earlier)| earlier.is_open() && !earlier.is_started) {
                        return Err(format!("turn {turn} starts before one that has waited longer"));
                    }
                    let turn = self.turns.get_mut(turn).ok_or("a turn starts that was never accepted")?;
                    turn.is_started = true;
                }
                Write::Journal(journal) => {
                    let turn = self.turns.get_mut(&journal.turn).ok_or("a journal of no turn")?;
                    let Journal { text, blocks, growing, .. } = journal.clone();
                    let answer = Answer::new(text, blocks, growing);
                    let thought = answer.thought().map_or(0, |it| it.as_thinking().unwrap_or_default().len());
                    turn.journalled = weight(&pieces_of_content(&answer.content())) + thought;
                    turn.is_torn = false;
                }
                Write::Park { seq } => drop(self.parked.insert(*seq)),
                Write::Delete { .. } if access < Some(Access::Owner) => {
                    return Err(format!("{:?} deletes the session", self.actor));
                }
                Write::Delete { .. } => self.begin_anew(),
                Write::Create(checkpoint) => self.begin(access, &checkpoint.session)?,
                Write::Checkpoint(checkpoint) => self.set(access, &checkpoint.session)?,
                // What becomes of files is held against their rows.
                Write::AddFile(_)
                | Write::SetFile { .. }
                | Write::ForgetFiles(_)
                | Write::Deleted
                | Write::ForgetAuthor(_)
                | Write::ForgetDeletion => {}
            }
            if self.is_compared {
                self.mix(format!("{write:?}").as_bytes());
            }
        }
        if let Some(staying) = self.staying.take() {
            let new = self.records.last().map(|last| last.turn).max(self.turns.keys().next_back().copied());
            let left = self
                .turns
                .iter()
                .find(|(turn, it)| it.is_open() && !staying.contains(turn) && Some(**turn) != new);
            if let Some((turn, _)) = left {
                return Err(format!("turn {turn} has left the path, and is not ended"));
            }
        }
        self.check_path(commit)
    }

    fn begin_anew(&mut self) {
        let mut stats = self.stats;
        stats.deletions += 1;
        self.deleted.extend(std::mem::take(&mut self.by_request).into_keys());
        *self = Truth {
            life: self.life + 1,
            deleted: std::mem::take(&mut self.deleted),
            places: std::mem::take(&mut self.places),
            fingerprint: self.fingerprint,
            stats,
            punctual_since: self.punctual_since,
            people: std::mem::take(&mut self.people),
            actor: self.actor,
            ..Truth::new(self.is_compared)
        };
    }

    /// Moves all times back, so that every event stays as long ago as before.
    pub fn set_back(&mut self, ms: u64) {
        self.punctual_since = self.punctual_since.saturating_sub(ms);
        for turn in self.turns.values_mut() {
            turn.calls.set_back(ms);
            turn.said_at.iter_mut().for_each(|(at, _)| *at = at.saturating_sub(ms));
        }
    }

    fn append(&mut self, record: &Record) -> Check {
        if self.records.last().is_some_and(|last| last.seq >= record.seq) {
            return Err(format!("sequence number {} is not after the last one", record.seq));
        }
        if self.id_prefix.is_empty() {
            let prefix = record.message_id.trim_end_matches(|letter| letter != '_');
            self.id_prefix.push_str(prefix);
        }
        self.go_on(record)?;
        self.stats.branches += u64::from(record.branch().is_some());
        if let Some(begun) = record.begun() {
            let is_regenerate = matches!(record.kind, RecordKind::Regenerate { .. });
            self.begun_of.insert(record.seq, (is_regenerate, begun.clone()));
        }
        match &record.kind {
            RecordKind::Question { .. } | RecordKind::Append { .. } | RecordKind::Regenerate { .. }
                if self.is_deleted(&record.request_id) =>
            {
                return Err(format!("message {} of a deleted session is taken again", record.request_id));
            }
            RecordKind::Question { started, .. } => {
                let turn = Turn { user: record.message_id.clone(), is_started: *started, ..Turn::default() };
                if self.by_request.insert(record.request_id.clone(), record.seq).is_some() {
                    return Err(format!("{} is accepted twice", record.request_id));
                }
                self.turns.insert(record.seq, turn);
            }
            RecordKind::Regenerate { started, question, .. } => {
                let user = self.turns.get(question).ok_or("another answer to nothing")?.user.clone();
                if self.by_request.insert(record.request_id.clone(), record.seq).is_some() {
                    return Err(format!("{} is accepted twice", record.request_id));
                }
                self.turns.insert(record.seq, Turn { user, is_started: *started, ..Turn::default() });
                self.events += 1;
                return Ok(());
            }
            RecordKind::Select(_) => {
                self.events += 1;
                return Ok(());
            }
            RecordKind::Append { .. } => {
                let appended = Some(record.content.clone());
                if self.by_request.insert(record.request_id.clone(), record.seq).is_some() {
                    return Err(format!("{} is accepted twice", record.request_id));
                }
                self.turns.insert(record.seq, Turn { appended, ..Turn::default() });
                self.events += 1;
                self.stats.appended += 1;
                return Ok(());
            }
            RecordKind::Answer { status, error, .. } => {
                let status = status.known().ok_or("a status of no version")?;
                let store_failed = error.as_ref().is_some_and(|error| error.code == ErrorCode::StorageError);
                self.end(record, status, status == Status::Interrupted || store_failed)?;
                let is = |code| error.as_ref().is_some_and(|error| error.code == code);
                self.stats.timeouts += u64::from(is(ErrorCode::AgentTimeout));
                let must_go_on = |turn: &Turn| turn.calls.must_go_on();
                if is(ErrorCode::AgentError) && self.turns.get(&record.turn).is_some_and(must_go_on) {
                    return Err(format!("turn {} fails before its agent is asked again", record.turn));
                }
            }
            RecordKind::Waiting { .. } => {
                self.events += 1;
                self.stats.waits += 1;
                let turn = self.turns.get_mut(&record.turn).ok_or("a turn waits that was never accepted")?;
                return turn.wait(record).map_err(|why| format!("{}: {why}", record.request_id));
            }
            RecordKind::Decision(_) | RecordKind::Output(_) => {
                self.events += 1;
                return self.answer(record).map_err(|why| format!("{}: {why}", record.request_id));
            }
        }
        self.events += 1;
        let index = self.records.len();
        if self.by_id.insert(record.message_id.clone(), index).is_some() {
            return Err(format!("two messages with the id {}", record.message_id));
        }
        self.messages.push(json_of(&record.message(0)));
        self.records.push(record.clone());
        Ok(())
    }

    /// Handles that an answer to a call is accepted.
    fn answer(&mut self, record: &Record) -> Check {
        self.stats.answers += 1;
        let (actor, access) = (self.actor.and_then(|actor| actor.subject()), self.access());
        let turn = self.turns.get_mut(&record.turn).ok_or("it was never accepted")?;
        if !turn.is_open() || !turn.is_started {
            return Err("a call is answered of a turn that is over or has not begun".into());
        }
        let by = if let RecordKind::Decision(Some(decision)) = &record.kind {
            let Decision { tool_use_id, approved, reason, by, .. } = decision;
            let set = approval(*approved, reason.as_deref(), by.as_deref());
            let is_requested = decide(&mut turn.said, Some(tool_use_id), &set);
            for said in &mut turn.dropped {
                decide(said, Some(tool_use_id), &set);
            }
            let is_it = |block: &&Value| block["id"] == **tool_use_id;
            let blocks = turn.said.iter().filter_map(|piece| match piece {
                Piece::Block(block) => Some(block),
                _ => None,
            });
            turn.answered.extend(blocks.filter(is_it).cloned());
            if !is_requested {
                return Err(format!("{tool_use_id} is decided, which asks for nothing"));
            }
            by.clone()
        } else {
            let Content::Blocks(blocks) = &record.content else {
                return Err("a result of nothing".into());
            };
            let block = json_of(&blocks[0]);
            let id = text_of(&block, "toolUseId").to_owned();
            let frame = json!({ "type": "tool_output", "toolUseId": id });
            if meets(&turn.said, &turn.clients, &frame) != Meets::Taken {
                return Err(format!("a result of {id} is taken"));
            }
            if matches!(turn.said.last(), Some(Piece::Open(..))) {
                turn.dropped.push(turn.said.clone());
            }
            turn.answered.push(block.clone());
            // A thought that grows is told once more behind it.
            turn.is_astray |= matches!(turn.said.last(), Some(Piece::Open(..)));
            give(&mut turn.said, block);
            actor.map(str::to_owned)
        };
        let is_mode = by.as_deref() == Some("mode");
        if !is_mode && (access < Some(Access::Editor) || by.as_deref() != actor) {
            return Err(format!("{:?} answers as {by:?}", self.actor));
        }
        Ok(())
    }

    fn end(&mut self, record: &Record, status: Status, is_broken_off: bool) -> Check {
        self.stats.turns += 1;
        self.stats.interrupted += u64::from(is_broken_off);
        self.stats.cancels += u64::from(status == Status::Cancelled);
        let is_held = self.turns.values().any(Turn::waits);
        let mut earlier = self.turns.range(..record.turn);
        let passes = earlier.any(|(_, turn)| turn.is_open() && !turn.is_started);
        let turn = self.turns.get_mut(&record.turn).ok_or("a turn ends that was never accepted")?;
        if let (Some(appended), Status::Complete) = (&turn.appended, status) {
            if passes && !is_held {
                return Err(format!("{} is shown before what has waited longer", record.request_id));
            }
            turn.said = pieces_of_content(appended);
        }
        let has_open = turn.waits();
        turn.is_broken_off = is_broken_off;
        if turn.end.replace(record.message_id.clone()).is_some() {
            return Err(format!("{} ends twice", record.request_id));
        }
        let kept = pieces_of_content(&record.content);
        let RecordKind::Answer { reason, .. } = &record.kind else { return Err("no end".into()) };
        if !is_broken_off {
            turn.close();
            if status == Status::Complete && turn.waits_under.is_none() {
                let is_to_wait = !turn.open_calls().is_empty();
                if is_to_wait || needs_its_agent(&turn.said, turn.from) {
                    return Err(format!("{} is complete with\n    {:?}", record.request_id, turn.said));
                }
            }
        }
        self.stats.superseded += u64::from(reason.is_some());
        let leaves = self.staying.as_ref().is_some_and(|staying| !staying.contains(&record.turn));
        if leaves && (status != Status::Cancelled || reason.is_none()) {
            return Err(format!("{} leaves the path, and is {status:?}", record.request_id));
        }
        if reason.is_some() && !has_open && !leaves {
            return Err(format!("{} is superseded, does not wait and is on the path", record.request_id));
        }
        if reason.is_some() && self.staying.is_some() && !leaves {
            return Err(format!("{} is superseded by a version behind it", record.request_id));
        }
        // Calls that nobody has decided are denied.
        let denied = approval(false, reason.as_deref(), None);
        decide(&mut turn.said, None, &denied);
        for said in &mut turn.dropped {
            decide(said, None, &denied);
        }
        if !open_calls(&kept, &[]).is_empty()
            && kept.iter().any(
                |piece| matches!(piece, Piece::Block(block) if block["approval"]["state"] == "requested"),
            )
        {
            return Err(format!("{} ends with an approval that is requested", record.request_id));
        }
        let is_there = |block: &Value| kept.iter().any(|piece| *piece == Piece::Block(block.clone()));
        if let Some(block) = turn.answered.iter().find(|block| !is_there(block) && !turn.is_torn) {
            return Err(format!("{} ends without {block}", record.request_id));
        }
        let said = &turn.said;
        if !is_broken_off && kept != *said {
            let id = &record.request_id;
            return Err(format!("{id} is {status:?} with\n    {kept:?}\nwhere its agent said\n    {said:?}"));
        }
        let is_kept = if turn.is_torn {
            is_prefix(&text_only(&kept), &text_only(said))
        } else {
            // The journal may be older than a drop.
            turn.may_be_held(&kept)
        };
        let is_less = weight(&kept) < turn.journalled && !turn.is_torn;
        if !is_kept || is_less {
            let id = &record.request_id;
            return Err(format!("{id} was interrupted at\n    {said:?}\nand keeps\n    {kept:?}"));
        }
        Ok(())
    }

    fn sent(&mut self, to: Option<&PeerId>, frame: &Frame) -> Check {
        self.stats.frames += 1;
        self.mix(frame.text.as_bytes());
        let Head { kind, cursor, request_id, .. } = frame.head();
        if to.is_none() {
            self.place.clone_from(cursor);
        }
        match kind.as_str() {
            "user_message" => {
                let message = &frame.json()["message"];
                self.check_message(text_of(message, "id"), message)?;
                self.check_lineage(message)?;
            }
            "final" | "cancelled" | "error" if cursor.is_some() => {
                self.check_end(frame.json())?;
                if to.is_none() && !self.shown_ends.insert(request_id.to_owned()) {
                    return Err(format!("the end of {request_id} is shown to all a second time"));
                }
            }
            "error" => {
                let json = frame.json();
                self.stats.refusals += 1;
                self.stats.forbidden += u64::from(json["error"]["code"] == "FORBIDDEN");
                self.stats.limited += u64::from(json["error"]["code"] == "RATE_LIMITED");
                self.stats.conflicts += u64::from(json["error"]["code"] == "CONFLICT");
                let is_named = json.get("requestId").or(json.get("frame")).is_some_and(Value::is_string);
                if !is_named || !json["refused"].is_string() {
                    return Err(format!("nothing says which frame is refused by {json}"));
                }
            }
            "branch" => {
                for message in frame.json()["messages"].as_array().into_iter().flatten() {
                    self.check_message(text_of(message, "id"), message)?;
                    self.check_lineage(message)?;
                }
            }
            "snapshot" | "connected" => {
                for message in frame.json()["messages"].as_array().into_iter().flatten() {
                    self.check_lineage(message)?;
                }
                self.check_in_flight(&frame.json()["inFlight"])?;
            }
            "token" | "block" | "block_start" | "block_delta" if to.is_none() => {
                let is_result = || frame.json()["block"]["type"] == "tool_result";
                let waits =
                    self.turn_of(request_id).is_some_and(|turn| turn.waits_under.is_some() && !turn.is_lost);
                if waits && !is_result() {
                    return Err(format!("text of {request_id} goes out while it waits"));
                }
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
        if is_same(message, &self.messages[index])
            || self.versions(index).skip(1).any(|read| is_same(message, &json_of(&read.message(0))))
        {
            return Ok(());
        }
        Err(format!("sent\n    {message}\nof the message\n    {}", self.messages[index]))
    }

    fn check_in_flight(&self, in_flight: &Value) -> Check {
        for shown in in_flight.as_array().into_iter().flatten() {
            let Some(turn) = self.turn_of(text_of(shown, "requestId")) else { continue };
            let state = match turn {
                _ if turn.waits_under.is_some() => "waiting",
                _ if turn.is_started => "streaming",
                _ => "queued",
            };
            if shown["state"] != state && turn.is_open() && !turn.is_torn {
                return Err(format!("{shown} is shown of a turn that is {state}"));
            }
        }
        Ok(())
    }

    fn check_end(&self, frame: &Value) -> Check {
        let index = self.index_of(text_of(frame, "messageId"))?;
        if self.versions(index).any(|record| is_end(frame, record)) {
            return Ok(());
        }
        Err(format!("sent {frame} of {:?}", self.records[index]))
    }

    /// Checks that a cursor always stands for the same state.
    pub fn check_place(&mut self, cursor: &str, view: &View) -> Check {
        if cursor == "-" {
            return Ok(());
        }
        let last = view.messages.last().map(|id| self.index_of(id)).transpose()?;
        // It may hold none of the messages up to the one that a branch began behind.
        if last.is_none() && self.paths.has_branched {
            return Ok(());
        }
        // That an open block was dropped is told by what comes next, and so not by every frame.
        let holds = |pieces: &[Piece]| pieces.iter().any(|piece| !matches!(piece, Piece::Open(..)));
        let answers = view.answers.iter().filter(|(_, pieces)| holds(pieces));
        let lengths = answers.map(|(id, pieces)| (id, text_bytes(pieces), block_count(pieces)));
        let place = format!("{last:?} {:?}", lengths.collect::<Vec<_>>());
        let has_lost_turn = self.has_lost_turn();
        let known = self.places.entry(cursor.to_owned()).or_insert_with(|| place.clone());
        // Of an answer that cannot be read any more, clients may hold what is not shown again.
        if *known == place || has_lost_turn {
            return Ok(());
        }
        Err(format!("at {cursor} it holds {place}, and another client, or itself before, held {known}"))
    }

    /// Checks that text is in the journal half a second after it arrived.
    pub fn check_journals(&self, now: Millis) -> Check {
        for turn in self.turns.values().filter(|turn| turn.end.is_none() && turn.waits_under.is_none()) {
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
        if !self.is_compared {
            return;
        }
        for byte in bytes {
            self.fingerprint = (self.fingerprint ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

/// Tells whether a frame and an end's record say the same.
fn is_end(frame: &Value, record: &Record) -> bool {
    let RecordKind::Answer { status, error, .. } = &record.kind else { return false };
    let expected = match status.known() {
        Some(Status::Complete) => "final",
        Some(Status::Cancelled) => "cancelled",
        Some(Status::Interrupted | Status::Failed) | None => "error",
    };
    let error = error.as_ref().map_or(Value::Null, json_of);
    kind(frame) == expected
        && frame.get("error").unwrap_or(&Value::Null) == &error
        && frame["response"]["content"] == Value::String(record.content.text())
        && text_of(frame, "requestId") == record.request_id
}

/// The cursor and the changing fields: see `check_lineage`.
const LEFT_OUT: [&str; 3] = ["cursor", "parentId", "versions"];

/// Tells whether two messages are the same, wherever in the log they were sent.
fn is_same(one: &Value, other: &Value) -> bool {
    let fields = |message: &Value| {
        let named = message.as_object().into_iter().flatten();
        named.filter(|(name, _)| !LEFT_OUT.contains(&name.as_str())).count()
    };
    let is_in_other = |(name, value): (&String, &Value)| {
        LEFT_OUT.contains(&name.as_str()) || other.get(name) == Some(value)
    };
    fields(one) == fields(other) && one.as_object().is_some_and(|one| one.iter().all(is_in_other))
}
