//! Turns that wait for people: a turn begins to wait, people answer its calls, and its agent is called again.
//!
//! Each answer of a person is a record of its own. Whatever else the turn needs is in the record that it
//! waits under, so it survives everything that the thread does not.

use crate::agent::{Failed, Finished};
use crate::protocol::limits::ROUNDS_MAX;
use crate::protocol::{
    Block, CollectVec, Content, ErrorBody, ErrorCode, Millis, ServerFrame, ToolAnswer, ToolSaid,
};

use super::answer::{Answer, begun};
use super::calls::{BY_MODE, Next, SUPERSEDED, no_call};
use super::ending::Outcome;
use super::events::Event;
use super::running::Running;
use super::store::{Decision, Given, Record, RecordKind, Round, Write, answer_id};
use super::turn::{Turn, TurnState, Waiting};
use super::{Origin, Output, PeerId, Thread, TurnId};

impl Waiting {
    /// Restores a waiting turn from its last waiting record and the answers to its calls since then. Also
    /// returns whether its agent was called again.
    pub(super) fn from_records(records: &[Record]) -> Option<(Self, bool)> {
        let (record, said) = records.split_first()?;
        let RecordKind::Waiting { started, metadata, round } = &record.kind else { return None };
        let round = round.clone()?;
        let mut waiting = Waiting {
            record: record.seq,
            since: record.created_at,
            answered_at: None,
            answer: Answer::from_content(&record.content, round.events.as_ref()),
            metadata: metadata.clone(),
            round,
        };
        for record in said {
            match &record.kind {
                RecordKind::Decision(Some(Decision { tool_use_id, approved, reason, by, .. })) => {
                    waiting.answer.decide(tool_use_id, *approved, reason.as_deref(), by.as_deref());
                }
                RecordKind::Output(Some(_)) => waiting.answer.place(record.output()),
                _ => return None,
            }
            waiting.note_if_answered(record.created_at);
        }
        Some((waiting, *started))
    }

    /// Notes the time once no call is open.
    fn note_if_answered(&mut self, now: Millis) {
        if self.answered_at.is_none() && !self.answer.has_open_call(&self.round.client_calls) {
            self.answered_at = Some(now);
        }
    }
}

impl Thread {
    /// Handles the end of an agent's call. If people have to answer its calls, or have done so, the turn is
    /// not over.
    pub(super) fn finish(&mut self, now: Millis, id: TurnId, finished: Finished) {
        self.keep_thought(now, id);
        let Some(running) = self.running_mut(id) else { return };
        match running.answer.next(running.from, &finished.client_calls) {
            Next::End => self.end(now, id, Outcome::Finished(finished)),
            _ if running.calls >= ROUNDS_MAX => {
                let message =
                    format!("the agent was called {ROUNDS_MAX} times for one answer and still calls tools");
                let failed = Failed::new(ErrorBody::fatal(ErrorCode::AgentError, message));
                self.end(now, id, Outcome::Failed(failed));
            }
            next => {
                self.drop_open(id);
                self.flush(now, id);
                self.pause(now, id, finished, next);
            }
        }
    }

    /// Stores the answer so far as a record of its own. While the turn waits, however long, it then needs no
    /// journal, timer or alarm.
    fn pause(&mut self, now: Millis, id: TurnId, finished: Finished, next: Next) {
        let Some(turn) = self.turns.get_mut(&id) else { return };
        let (request_id, waited_ms) = (turn.request_id.clone(), turn.waited_ms);
        let TurnState::Running(running) = std::mem::replace(&mut turn.state, TurnState::Queued) else {
            return;
        };
        let client_calls = finished.client_calls.clone();
        let (slot, metadata) = (running.slot, running.metadata(finished));
        let (answer, calls) = (running.answer, running.calls);
        let round = Round { events: answer.events(), client_calls, calls, waited_ms };
        let record = self.seq.saturating_add(1);
        let waiting = Waiting { record, since: now, answered_at: None, answer, metadata, round };
        if next == Next::Call {
            self.outputs.push_back(Output::AbortAgent { turn: id });
            return self.call_on(now, id, waiting, slot, None);
        }
        let calls = waiting.answer.open_calls(&waiting.round.client_calls).len();
        let kind = RecordKind::Waiting {
            started: false,
            metadata: waiting.metadata.clone(),
            round: Some(waiting.round.clone()),
        };
        let record = self.record_of(now, id, &request_id, waiting.answer.content(), kind);
        if let Some(turn) = self.turns.get_mut(&id) {
            turn.state = TurnState::Waiting(Box::new(waiting));
        }
        self.append(vec![Write::Append(record.clone())], &record);
        self.unfollow(&request_id);
        self.log_accepted(id);
        self.log_of(id, Event::Waiting { request_id, calls });
    }

    /// Calls the agent of a turn once more. The commit comes first: after a crash in between, the turn is
    /// interrupted and its agent is not called twice.
    fn call_on(&mut self, now: Millis, id: TurnId, waiting: Waiting, slot: usize, start: Option<Write>) {
        let mut running = Running::again(waiting, slot, now, self.agent.reply());
        let journal = Write::Journal(running.journal(id));
        if let Some(turn) = self.turns.get_mut(&id) {
            turn.state = TurnState::Running(Box::new(running));
        }
        let mut writes: Vec<Write> = start.into_iter().collect();
        writes.push(journal);
        self.store(writes);
        self.outputs.push_back(Output::StartAgent { turn: id });
    }

    /// Continues a turn whose calls are all answered.
    pub(super) fn go_on(&mut self, now: Millis, id: TurnId) {
        let slot = self.free_slot();
        let Some(turn) = self.turns.get_mut(&id) else { return };
        turn.waited_ms = turn.waited_by(now);
        let request_id = turn.request_id.clone();
        let TurnState::Waiting(waiting) = std::mem::replace(&mut turn.state, TurnState::Queued) else {
            return;
        };
        let start = Write::Start { seq: waiting.record };
        self.log_of(id, Event::TurnStarted { request_id });
        self.call_on(now, id, *waiting, slot, Some(start));
    }

    /// Returns the turn to continue next, among those whose calls are all answered.
    pub(super) fn next_to_go_on(&self) -> Option<TurnId> {
        let is_ready = |turn: &Turn| turn.waiting().is_some_and(|waiting| waiting.answered_at.is_some());
        self.turns.iter().find(|(_, turn)| is_ready(turn)).map(|(id, _)| *id)
    }

    /// Returns the turns that wait for people.
    pub(super) fn waiting(&self) -> impl Iterator<Item = (TurnId, &Waiting)> {
        let waits = |turn: &&Waiting| turn.answered_at.is_none();
        self.turns.iter().filter_map(move |(id, turn)| Some((*id, turn.waiting().filter(waits)?)))
    }

    /// Returns why an answer to a call is refused; `None` if it is accepted, or was given before.
    #[must_use]
    pub fn refuses_answer(&self, answer: &ToolAnswer) -> Option<ErrorBody> {
        self.answered_call(answer).err()
    }

    /// Returns whether an answer to a call is new.
    ///
    /// # Errors
    /// The reason why it is refused.
    pub(super) fn takes_answer(&self, answer: &ToolAnswer) -> Result<bool, ErrorBody> {
        self.answered_call(answer).map(|turn| turn.is_some())
    }

    /// Returns the turn that the answer is for; `None` if the same answer was given before.
    fn answered_call(&self, answer: &ToolAnswer) -> Result<Option<TurnId>, ErrorBody> {
        let ToolAnswer { request_id, tool_use_id, said } = answer;
        let found = self.turns.iter().find(|(_, turn)| turn.request_id == *request_id);
        let (id, turn) = found.ok_or_else(no_call)?;
        let clients = turn.waiting().map_or(&[][..], |waiting| &waiting.round.client_calls);
        let so_far = turn.answer().ok_or_else(no_call)?;
        Ok(so_far.takes(tool_use_id, said, clients)?.then_some(*id))
    }

    /// Handles an answer that came as a frame.
    pub(super) fn answer_call(&mut self, now: Millis, origin: Origin<'_>, answer: ToolAnswer) {
        if let Some(error) = self.refuses_answer(&answer) {
            return self.refuse(origin, error);
        }
        let by = self.peers.get(origin.peer).and_then(|peer| peer.identity.subject.clone());
        self.take_answer(now, Some(origin.peer), by, answer);
    }

    /// Takes an answer to a call. The first one counts; repeating it does nothing.
    pub(super) fn take_answer(
        &mut self,
        now: Millis,
        peer: Option<&PeerId>,
        by: Option<String>,
        answer: ToolAnswer,
    ) {
        if let Ok(Some(id)) = self.answered_call(&answer) {
            let ToolAnswer { request_id, tool_use_id, said } = answer;
            let event = Event::CallAnswered { connection_id: peer.cloned(), request_id, answer: word(&said) };
            self.log_of(id, event);
            self.take(now, id, tool_use_id, said, by);
        }
    }

    /// Decides the calls that the permission mode decides.
    pub(super) fn decide_by_mode(&mut self, now: Millis) {
        let mode = self.permission_mode();
        let mut decided = Vec::new();
        for (id, turn) in self.turns.iter() {
            let calls = turn.answer().map(|answer| answer.decided_by(&mode)).unwrap_or_default();
            decided.extend(calls.into_iter().map(|call| (*id, turn.request_id.clone(), call)));
        }
        for (id, request_id, (tool_use_id, approved)) in decided {
            let said = ToolSaid::Decision { approved, reason: None };
            let answer = ToolAnswer { request_id, tool_use_id, said };
            if self.answered_call(&answer) == Ok(Some(id)) {
                self.take_answer(now, None, Some(BY_MODE.to_owned()), answer);
            }
        }
    }

    fn take(&mut self, now: Millis, id: TurnId, tool_use_id: String, said: ToolSaid, by: Option<String>) {
        self.flush(now, id);
        let Some(turn) = self.turns.get_mut(&id) else { return };
        let request_id = turn.request_id.clone();
        let Some(answer) = turn.answer_mut() else { return };
        let bytes = answer.text().len() as u64;
        let mut shows_anew = false;
        let (content, kind) = match said {
            ToolSaid::Decision { approved, reason } => {
                answer.decide(&tool_use_id, approved, reason.as_deref(), by.as_deref());
                let blocks = answer.block_events();
                let decision = Decision { tool_use_id, approved, reason, by, bytes, blocks };
                (Content::Text(String::new()), RecordKind::Decision(Some(decision)))
            }
            ToolSaid::Output(block) => {
                let index = answer.block_count() as u64;
                shows_anew = answer.open().is_some();
                answer.place((*block).clone());
                let given = Given { index, bytes, blocks: answer.block_events() };
                (Content::Blocks(vec![*block]), RecordKind::Output(Some(given)))
            }
        };
        let mut writes = Vec::new();
        match &mut turn.state {
            TurnState::Running(running) => {
                if shows_anew {
                    running.restart_open_block(false);
                }
                // Both are in one commit, so that an answer is never kept without its call.
                writes.push(Write::Journal(running.journal(id)));
            }
            TurnState::Waiting(waiting) => waiting.note_if_answered(now),
            TurnState::Queued => {}
        }
        let record = self.record_of(now, id, &request_id, content, kind);
        writes.push(Write::Append(record.clone()));
        self.append(writes, &record);
        if shows_anew {
            self.show_open(now, id, request_id);
        }
    }

    /// Sends the open block again from its beginning, because another one came in between.
    fn show_open(&mut self, now: Millis, id: TurnId, request_id: String) {
        let Some(running) = self.running_mut(id) else { return };
        let Some((block, _)) = running.answer.open() else { return };
        let (index, block) = (running.answer.block_count(), begun(block));
        running.restart_open_block(true);
        let cursor = self.head();
        self.send_all(ServerFrame::BlockStart { cursor, request_id, index, block });
        self.flush(now, id);
    }

    fn record_of(
        &mut self,
        now: Millis,
        id: TurnId,
        request_id: &str,
        content: Content,
        kind: RecordKind,
    ) -> Record {
        Record {
            seq: self.next_seq(),
            turn: id,
            message_id: answer_id(self.epoch, id),
            request_id: request_id.to_owned(),
            created_at: now,
            content,
            kind,
        }
    }

    /// Ends waiting turns to make way for a new message. If the message answers a turn's calls, that turn is
    /// complete. If only one turn may run at a time, the message also takes the place of the other waiting
    /// turns; but a version of a message replaces those after it already, so it takes no others.
    pub(super) fn end_waiting_turns(&mut self, now: Millis, message: &Content, is_version: bool) {
        let results: Vec<&String> = match message {
            Content::Text(_) => Vec::new(),
            Content::Blocks(blocks) => blocks.iter().filter_map(result_of).collect_vec(),
        };
        let mut ends = Vec::new();
        for (id, waiting) in self.waiting() {
            let open = waiting.answer.open_calls(&waiting.round.client_calls);
            if results.iter().any(|id| open.contains(id)) {
                ends.push((id, Outcome::Answered));
            } else if self.config.concurrent_turns == 1 && !is_version {
                ends.push((id, Outcome::Cancelled(Some(SUPERSEDED))));
            }
        }
        for (id, outcome) in ends {
            self.end(now, id, outcome);
        }
    }
}

fn result_of(block: &Block) -> Option<&String> {
    match block {
        Block::ToolResult { tool_use_id, .. } => Some(tool_use_id),
        _ => None,
    }
}

fn word(said: &ToolSaid) -> &'static str {
    match said {
        ToolSaid::Decision { approved: true, .. } => "approved",
        ToolSaid::Decision { .. } => "denied",
        ToolSaid::Output(_) => "output",
    }
}
