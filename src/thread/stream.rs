//! The running text: when it is sent, when it is stored, and how long an agent may be silent.

use crate::agent::{AgentEvent, Answered, Failed, Finished, Refusal};
use crate::protocol::limits::{
    COALESCE_MEASURED_SOCKETS, COALESCE_MS_MAX, COALESCE_MS_MIN, COALESCE_SOCKETS_PER_MS,
    COALESCE_TIMER_PART, DATA_URL_BYTES_MAX, ENDING_MS, GUARD_MS, PAYLOAD_BYTES_MAX,
};
use crate::protocol::{Block, CollectVec, ErrorBody, ErrorCode, Json, Millis, ServerFrame};

use super::answer::begun;
use super::calls::shown;
use super::ending::Outcome;
use super::events::Event;
use super::running::Running;
use super::store::Write;
use super::turn::{Turn, TurnState};
use super::{Output, Thread, TurnId};

const TOO_LONG: &str = "the answer is longer than a thread can hold; ask for it in parts";

impl Thread {
    /// Handles the result of a turn's call.
    pub(super) fn answered(&mut self, now: Millis, turn: TurnId, answered: &Answered) {
        let Some(running) = self.running_mut(turn) else { return };
        // The agent is asked again without the file. Its row stays, because the wrong bucket may be bound by
        // mistake.
        if let Answered::Refused(Refusal::NoFiles(ids)) = answered {
            running.missing.extend_from_slice(ids);
            return self.call_again(turn);
        }
        let (events, tokens_used) = running.read(answered);
        self.agent(now, turn, events, tokens_used);
    }

    pub(super) fn agent(&mut self, now: Millis, turn: TurnId, events: Vec<AgentEvent>, tokens_used: u64) {
        if let Some(running) = self.running_mut(turn) {
            running.agent_heard_at = now;
            running.tokens_used = tokens_used;
            if events.iter().any(|event| !matches!(event, AgentEvent::Failed(_))) {
                running.agent_said_at = Some(now);
                running.ending = None;
            }
        }
        for event in events {
            match event {
                AgentEvent::Gathering => {}
                AgentEvent::Ending(finished) => {
                    if let Some(running) = self.running_mut(turn) {
                        running.ending = Some((now.saturating_add(ENDING_MS), Box::new(finished)));
                    }
                }
                AgentEvent::Finished(finished) => self.finished(now, turn, finished),
                AgentEvent::Failed(failed) => self.failed(now, turn, failed),
                said => self.take_event(now, turn, said),
            }
        }
        self.flush_due(now, turn, self.coalesce_ms());
    }

    fn finished(&mut self, now: Millis, turn: TurnId, finished: Finished) {
        if let Some(request_id) = self.turns.get(&turn).map(|turn| turn.request_id.clone())
            && finished.unread > 0
        {
            self.log_of(turn, Event::AgentUnread { request_id, events: finished.unread });
        }
        self.finish(now, turn, finished);
    }

    /// Handles the failure of an agent. If it has not said anything yet and there is something left to try,
    /// it is asked again.
    fn failed(&mut self, now: Millis, turn: TurnId, failed: Failed) {
        let config = self.config;
        let Some(Turn { request_id, state: TurnState::Running(running), .. }) = self.turns.get_mut(&turn)
        else {
            return;
        };
        let event = Event::AgentFailed { request_id: request_id.clone(), why: running.reason(&failed) };
        let again = running.try_again(now, &failed, &config);
        self.log_accepted(turn);
        self.log_of(turn, event);
        match again {
            None => self.end(now, turn, Outcome::Failed(failed)),
            Some(at) => {
                self.outputs.push_back(Output::AbortAgent { turn });
                if at <= now {
                    self.call_again(turn);
                }
            }
        }
    }

    fn call_again(&mut self, turn: TurnId) {
        let reply = self.agent.reply();
        if let Some(running) = self.running_mut(turn) {
            running.begin_call(reply);
            self.outputs.push_back(Output::StartAgent { turn });
        }
    }

    /// Ends a turn whose agent cannot be asked in any other way, with the failure of its last call.
    pub(super) fn give_up_asking(&mut self, now: Millis, turn: TurnId) {
        if let Some(failed) = self.running_mut(turn).and_then(Running::take_failure) {
            self.end(now, turn, Outcome::Failed(failed));
        }
    }

    /// Adds a part of the answer.
    fn take_event(&mut self, now: Millis, turn: TurnId, event: AgentEvent) {
        match event {
            AgentEvent::Text(text) => self.text(now, turn, &text),
            AgentEvent::Begin(block) => self.begin(now, turn, block),
            AgentEvent::Grow(more) => self.grow(now, turn, &more),
            AgentEvent::Block(block) => self.block(now, turn, block),
            AgentEvent::Drop => self.drop_open(turn),
            AgentEvent::Data { name, data, id } => self.data(now, turn, name, data, id),
            AgentEvent::Gathering
            | AgentEvent::Ending(_)
            | AgentEvent::Finished(_)
            | AgentEvent::Failed(_) => {}
        }
    }

    fn text(&mut self, now: Millis, turn: TurnId, text: &str) {
        self.close_open_block(now, turn);
        let Some(running) = self.running_mut(turn) else { return };
        let fitting = running.answer.fitting(text);
        running.push_text(fitting, now);
        if fitting.len() < text.len() {
            self.break_off(now, turn, TOO_LONG);
        }
    }

    fn begin(&mut self, now: Millis, turn: TurnId, block: Block) {
        self.close_open_block(now, turn);
        self.flush(now, turn);
        let block = self.as_shown(block);
        let Some(running) = self.running_mut(turn) else { return };
        let (index, frame) = (running.answer.block_count(), begun(&block));
        running.begin(block, now);
        let cursor = self.head();
        if let Some(request_id) = self.request_id(turn) {
            self.send_all(ServerFrame::BlockStart { cursor, request_id, index, block: frame });
        }
    }

    fn grow(&mut self, now: Millis, turn: TurnId, more: &str) {
        let Some(running) = self.running_mut(turn) else { return };
        let fitting = running.answer.fitting_growth(more);
        running.grow(fitting, now);
        if fitting.len() < more.len() {
            self.break_off(now, turn, TOO_LONG);
        }
    }

    /// Adds a finished block, which replaces the open one if it is the same.
    fn block(&mut self, now: Millis, turn: TurnId, block: Block) {
        let block = self.as_shown(block);
        let Some(running) = self.running_mut(turn) else { return };
        match running.answer.open() {
            // The block itself contains all that the open one grew by.
            Some((open, _)) if std::mem::discriminant(open) == std::mem::discriminant(&block) => {}
            Some(_) => self.close_open_block(now, turn),
            None => self.flush(now, turn),
        }
        let Some(running) = self.running_mut(turn) else { return };
        if let Some(why) = faulty(&block) {
            return self.break_off(now, turn, why);
        }
        if !running.answer.fits(&block) {
            return self.break_off(now, turn, TOO_LONG);
        }
        let index = running.push_block(block.clone(), now);
        let cursor = self.head();
        if let Some(request_id) = self.request_id(turn) {
            self.send_all(ServerFrame::Block { cursor, request_id, index, block });
        }
    }

    fn as_shown(&self, block: Block) -> Block {
        let is_clients = self.config.waits_for_tools && !self.agent.marks_calls();
        shown(block, is_clients, &self.permission_mode())
    }

    pub(super) fn drop_open(&mut self, turn: TurnId) {
        if let Some(running) = self.running_mut(turn) {
            running.answer.drop_open();
        }
    }

    /// Closes the open block because the answer goes on without it: a thought is kept, half a call is
    /// dropped.
    fn close_open_block(&mut self, now: Millis, turn: TurnId) {
        self.keep_thought(now, turn);
        self.drop_open(turn);
    }

    pub(super) fn keep_thought(&mut self, now: Millis, turn: TurnId) {
        let thought = self
            .running_mut(turn)
            .and_then(|running| running.answer.thought().filter(|thought| running.answer.fits(thought)));
        if let Some(thought) = thought {
            self.block(now, turn, thought);
        }
    }

    fn data(&mut self, now: Millis, turn: TurnId, name: String, data: Json, id: Option<String>) {
        self.flush(now, turn);
        let request_id = self.request_id(turn);
        let frame = ServerFrame::Data { request_id, name, data, id };
        if self.running_mut(turn).is_some() {
            self.send_all(frame);
        }
    }

    fn request_id(&self, turn: TurnId) -> Option<String> {
        self.turns.get(&turn).map(|turn| turn.request_id.clone())
    }

    fn break_off(&mut self, now: Millis, turn: TurnId, message: &str) {
        let error = ErrorBody::fatal(ErrorCode::AgentError, message);
        self.abort(now, turn, Outcome::Failed(Failed::new(error)));
    }

    /// Sends the text that a turn has gathered, and the growth of its open block.
    pub(super) fn flush(&mut self, now: Millis, turn: TurnId) {
        let mut cursor = self.head();
        let mut sent = cursor.of(turn);
        let Some(Turn { request_id, state: TurnState::Running(running), .. }) = self.turns.get_mut(&turn)
        else {
            return;
        };
        let mut frames = Vec::new();
        for part in parts(running.take_unsent(now)) {
            sent.bytes = sent.bytes.saturating_add(part.len());
            cursor.set(sent);
            let (cursor, request_id) = (cursor.clone(), request_id.clone());
            frames.push(ServerFrame::Token { cursor, request_id, token: part.to_owned() });
        }
        let index = running.answer.block_count();
        for part in parts(running.take_unsent_growth(now)) {
            sent.open = sent.open.map(|open| open.saturating_add(part.len()));
            cursor.set(sent);
            let (cursor, request_id, delta) = (cursor.clone(), request_id.clone(), part.to_owned());
            frames.push(ServerFrame::BlockDelta { cursor, request_id, index, delta });
        }
        if self.peers.len() >= COALESCE_MEASURED_SOCKETS && !frames.is_empty() {
            self.crowd.serve(now);
        }
        for frame in frames {
            self.send_all(frame);
        }
    }

    fn flush_due(&mut self, now: Millis, turn: TurnId, coalesce_ms: u64) {
        let paused_until = self.crowd.paused_until();
        let due_at = |running: &mut Running| running.frame_due_at(coalesce_ms).map(|at| at.max(paused_until));
        if self.running_mut(turn).is_some_and(|running| is_due(due_at(running), now)) {
            self.flush(now, turn);
        }
    }

    pub(super) fn meet_deadlines(&mut self, now: Millis) {
        if !is_due(self.poll_deadline(), now) {
            return;
        }
        let coalesce_ms = self.coalesce_timer_ms();
        for turn in self.running_ids() {
            // Text is sent before it is stored, because the runtime holds back whatever is sent after a write
            // until the write is confirmed.
            self.flush_due(now, turn, coalesce_ms);
            let config = self.config;
            let Some(running) = self.running_mut(turn) else { continue };
            let is_silent = running.timeout_at(&config) <= now;
            if is_due(running.journal_due_at(config.journal_ms), now) {
                let journal = running.journal(turn);
                self.store(vec![Write::Journal(journal)]);
                self.log_accepted(turn);
            }
            let Some(running) = self.running_mut(turn) else { continue };
            match running.ending.take_if(|(at, _)| is_silent || *at <= now) {
                Some((_, finished)) => {
                    self.take_gathered(now, turn);
                    self.outputs.push_back(Output::AbortAgent { turn });
                    self.finished(now, turn, *finished);
                }
                None if is_silent => {
                    let failed = running.timeout(now, &config);
                    let (events, tokens_used) = (running.fail(failed), running.tokens_used);
                    self.outputs.push_back(Output::AbortAgent { turn });
                    self.agent(now, turn, events, tokens_used);
                }
                None if is_due(running.call_at(), now) => self.call_again(turn),
                None => {}
            }
        }
    }

    fn coalesce_ms(&self) -> u64 {
        let sockets = self.peers.len() as u64;
        (sockets / COALESCE_SOCKETS_PER_MS).clamp(COALESCE_MS_MIN, COALESCE_MS_MAX)
    }

    fn coalesce_timer_ms(&self) -> u64 {
        let coalesce_ms = self.coalesce_ms();
        coalesce_ms.saturating_add(coalesce_ms / COALESCE_TIMER_PART)
    }

    fn abort(&mut self, now: Millis, turn: TurnId, outcome: Outcome) {
        self.outputs.push_back(Output::AbortAgent { turn });
        self.end(now, turn, outcome);
    }

    /// Takes over the rest that the reply of an ending turn had gathered.
    pub(super) fn take_gathered(&mut self, now: Millis, turn: TurnId) {
        let error = ErrorBody::fatal(ErrorCode::AgentError, "cancelled");
        let Some(running) = self.running_mut(turn) else { return };
        for event in running.fail(Failed::new(error)) {
            self.take_event(now, turn, event);
        }
    }

    pub(super) fn deadlines(&self) -> impl Iterator<Item = Millis> {
        let (coalesce_ms, delivery_due_at) = (self.coalesce_timer_ms(), self.delivery_due_at());
        let paused_until = self.crowd.paused_until();
        let of_turns = self.running().flat_map(move |(_, running)| {
            let timeout = running.timeout_at(&self.config);
            let ending = running.ending.as_ref().map(|(at, _)| *at);
            [
                running.frame_due_at(coalesce_ms).map(|at| at.max(paused_until)),
                running.journal_due_at(self.config.journal_ms),
                delivery_due_at,
                ending,
                running.call_at().filter(|at| *at < Millis::MAX),
                Some(timeout),
            ]
            .into_iter()
            .flatten()
        });
        of_turns.chain(self.crowd.deadline())
    }

    /// Keeps an alarm set while anything is unfinished, so that a crash does not leave it unfinished. The
    /// alarm is set before the commit that begins the work and stays until after the one that ends it. An
    /// input that begins nothing can rely on the alarm of the thread before it, which goes off again if this
    /// thread crashes; so a later alarm is set only after its other outputs.
    ///
    /// A thread at rest has only the alarm for its session's retention. It is set where another alarm would
    /// be cancelled, and where `sweeps` says that there may be none. One that is too early, because the
    /// session was used again, stays until it goes off.
    ///
    /// A turn that waited has no alarm. When it ends or goes on, a failed commit could leave other turns that
    /// should have started, so an alarm is set.
    pub(super) fn guard(&mut self, now: Millis, begins_nothing: bool, had_waited: bool, sweeps: bool) {
        let is_append = |write: &Write| matches!(write, Write::Append(_));
        let appends =
            |output: &Output| matches!(output, Output::Store(commit) if commit.0.iter().any(is_append));
        let is_unsafe = had_waited && !begins_nothing && self.outputs.iter().any(appends);
        let turns = (!self.is_at_rest() || is_unsafe).then(|| now.saturating_add(GUARD_MS));
        let wanted =
            [turns, self.outbox_alarm(), self.files_alarm(), self.next_expiry()].into_iter().flatten().min();
        let is_kept = wanted.is_some();
        let wanted = wanted.or(self.retires_at().filter(|_| sweeps || self.alarm.is_some()));
        match (self.alarm, wanted) {
            (None, None) => {}
            // An alarm that is too early costs less than a write that moves it. A retry is the exception:
            // after hibernation the thread would not remember that it is not due yet, and would try too
            // early.
            (Some(at), Some(wanted))
                if (at == wanted || at < wanted && !self.waits_to_retry())
                    && (is_kept || self.is_retention_alarm) => {}
            _ => {
                let previous = std::mem::replace(&mut self.alarm, wanted);
                self.is_retention_alarm = !is_kept;
                let set = Output::SetAlarm(wanted);
                let is_later = previous.is_some_and(|at| wanted.is_some_and(|wanted| at < wanted));
                let is_first = is_kept && !is_later && !(begins_nothing && self.is_at_rest());
                if is_first { self.outputs.push_front(set) } else { self.outputs.push_back(set) }
            }
        }
    }

    pub(super) fn running(&self) -> impl Iterator<Item = (TurnId, &Running)> {
        self.turns.iter().filter_map(|(id, turn)| turn.running().map(|running| (*id, running)))
    }

    pub(super) fn running_ids(&self) -> Vec<TurnId> {
        self.running().map(|(turn, _)| turn).collect_vec()
    }

    pub(super) fn running_mut(&mut self, turn: TurnId) -> Option<&mut Running> {
        self.turns.get_mut(&turn).and_then(Turn::running_mut)
    }
}

/// Returns why an agent's block cannot be accepted.
fn faulty(block: &Block) -> Option<&'static str> {
    let Block::File { url, .. } = block else { return None };
    let is_too_large = url.starts_with("data:") && url.len() > DATA_URL_BYTES_MAX;
    is_too_large.then_some("the agent sent a file of over 128 KiB within its answer; give an address for it")
}

fn is_due(at: Option<Millis>, now: Millis) -> bool {
    at.is_some_and(|at| at <= now)
}

/// Splits a text into parts that each fit into one frame.
pub(super) fn parts(text: &str) -> impl Iterator<Item = &str> {
    let mut left = text;
    std::iter::from_fn(move || {
        let (part, rest) = left.split_at_checked(left.floor_char_boundary(PAYLOAD_BYTES_MAX))?;
        left = rest;
        (!part.is_empty()).then_some(part)
    })
}
