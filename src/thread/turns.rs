//! From a message to its turn's end.

use crate::agent::{AgentMessage, AgentRequest, Call, Enclosed, Failed, Finished};
use crate::protocol::limits::QUEUED_TURNS_MAX;
use crate::protocol::{
    Content, ErrorBody, ErrorCode, Json, Millis, Post, ResponseMetadata, Role, ServerFrame, Status, Trace,
};

use super::access::Follows;
use super::answer::Answer;
use super::events::{Event, count};
use super::path::END;
use super::store::{Record, RecordKind, Records, StoreError, Write, answer_id, digest, question_id};
use super::turn::{Running, Turn, TurnState};
use super::versions::Fork;
use super::{Config, Origin, Output, PeerId, Thread, TurnId, unreadable};

/// What a user sends.
#[derive(Clone, Debug, Default)]
pub(super) struct Sent {
    pub(super) content: Content,
    /// What the application sends along: an object.
    pub(super) metadata: Option<Json>,
    /// Whether it is an answer, and no message to answer.
    pub(super) is_answer: bool,
    /// Whether a question is to be answered once more, and nothing is said.
    pub(super) is_regenerate: bool,
    /// The turn whose message it replaces, or whose question is meant.
    pub(super) of: Option<String>,
    /// What the writer saw last.
    pub(super) after: Option<String>,
    /// The id that a stock client gave the message.
    pub(super) client_id: Option<String>,
}

impl From<Post> for Sent {
    fn from(post: Post) -> Self {
        let Post { content, metadata, is_answer, after, replaces, regenerates, client_id, .. } = post;
        let is_regenerate = regenerates.is_some();
        Sent { content, metadata, is_answer, is_regenerate, of: regenerates.or(replaces), after, client_id }
    }
}

/// How a turn comes to its end.
#[derive(Debug)]
pub(super) enum Outcome {
    Finished(Finished),
    /// A message answers the calls that it waited for.
    Answered,
    /// Why, if nobody asked for it.
    Cancelled(Option<&'static str>),
    Interrupted(ErrorBody),
    Failed(Failed),
}

/// Where a `requestId` was used.
enum Place {
    Nowhere,
    InLog(Box<Record>),
    /// In a session of this name that was deleted.
    Deleted,
}

impl Thread {
    pub(super) fn message(
        &mut self,
        now: Millis,
        records: &dyn Records,
        origin: Origin<'_>,
        request_id: &str,
        sent: Sent,
        thread_id: Option<&str>,
    ) {
        if thread_id.is_some_and(|id| id != self.session_id) {
            let message =
                "threadId names another thread than this socket's; leave it out or open a socket there";
            let error = ErrorBody::fatal(ErrorCode::ThreadMismatch, message);
            return self.refuse(origin, &error);
        }
        let place = self.place(records, request_id);
        if let Ok(Place::InLog(known)) = place {
            return self.repeat(now, records, origin, &known, &sent);
        }
        let checked = place.map_err(|StoreError(_)| unreadable());
        let checked = checked.and_then(|place| {
            let fork = self.check(records, &place, &sent)?;
            Ok((fork, self.named_files(now, records, self.subject(origin.peer), &sent.content)?))
        });
        match checked {
            Ok((fork, named)) => self.accept(now, records, origin.peer, request_id, sent, fork, named),
            Err(error) => self.refuse(origin, &error),
        }
    }

    /// Where something new takes the conversation, if that is not on from its end.
    fn check(&self, records: &dyn Records, place: &Place, sent: &Sent) -> Result<Option<Fork>, ErrorBody> {
        if let Some(after) = &sent.after
            && !self.is_on_path(records, after).map_err(|StoreError(_)| unreadable())?
        {
            let message = "what this continues is not on the current path; look at the conversation as it is, and \
                           send this with its last message as after";
            return Err(ErrorBody::fatal(ErrorCode::Conflict, message));
        }
        if matches!(place, Place::Deleted) {
            let message = "this message was sent before its session was deleted; send it under a new \
                           requestId to begin the session anew";
            return Err(ErrorBody::fatal(ErrorCode::Deleted, message));
        }
        let fork = sent.of.as_ref().map(|of| self.fork(records, sent, of)).transpose()?;
        // What it takes the place of does not wait any more.
        let leaves = fork.as_ref().map_or(TurnId::MAX, |fork| fork.question.turn);
        let stays = |(id, turn): &(&TurnId, &Turn)| **id < leaves && turn.running().is_none();
        if self.turns.iter().filter(stays).count() >= QUEUED_TURNS_MAX {
            let message = "too many turns of this thread wait; try again when one has ended";
            return Err(ErrorBody::retryable(ErrorCode::Busy, message));
        }
        Ok(fork)
    }

    pub(super) fn regenerate(
        &mut self,
        now: Millis,
        records: &dyn Records,
        origin: Origin<'_>,
        request_id: &str,
        of: String,
    ) {
        let sent = Sent { is_regenerate: true, of: Some(of), ..Sent::default() };
        self.message(now, records, origin, request_id, sent, None);
    }

    fn place(&self, records: &dyn Records, request_id: &str) -> Result<Place, StoreError> {
        let known = if self.session.is_some() { records.request(request_id)? } else { None };
        if let Some(known) = known {
            return Ok(Place::InLog(Box::new(known)));
        }
        let is_noted = self.was_deleted && records.is_noted(&digest(request_id))?;
        Ok(if is_noted { Place::Deleted } else { Place::Nowhere })
    }

    /// The same message again starts nothing. Its sender has the rest of the log, so what is sent
    /// again stands at the head and not at its old place.
    fn repeat(
        &mut self,
        now: Millis,
        records: &dyn Records,
        origin: Origin<'_>,
        known: &Record,
        sent: &Sent,
    ) {
        // Of a message that cannot be read any more, nothing says that this is another one.
        let is_same = known.content == sent.content
            && known.sent_metadata() == sent.metadata.as_ref()
            && known.is_appended() == sent.is_answer
            && matches!(known.kind, RecordKind::Regenerate { .. }) == sent.is_regenerate
            && known.begun().is_none_or(|begun| begun.of == sent.of && begun.after == sent.after);
        if !is_same && !known.is_unreadable() {
            let message = "this requestId was used for another message; give every message one of its own";
            let error = ErrorBody::fatal(ErrorCode::DuplicateRequest, message);
            return self.refuse(origin, &error);
        }
        if self.refuses_read(now, origin) {
            return;
        }
        let end = if self.turns.contains_key(&known.seq) { Ok(None) } else { records.end(known.seq) };
        let Ok(end) = end else { return self.refuse(origin, &unreadable()) };
        match self.peers.get(origin.peer).map(|peer| &peer.follows) {
            Some(Follows::Nothing) => return,
            Some(Follows::Turn(_)) => return self.show_turn(records, origin.peer, known, end.as_ref()),
            Some(Follows::Everything) | None => {}
        }
        let end = end.and_then(|end| end.frame(self.epoch, self.head()));
        match self.repeated(records, known, end) {
            Ok(frames) => self.send_asked(origin.peer, frames),
            Err(StoreError(_)) => self.refuse(origin, &unreadable()),
        }
    }

    fn subject(&self, peer: &PeerId) -> Option<&str> {
        self.peers.get(peer)?.identity.subject.as_deref()
    }

    pub(super) fn queued_frame(&self, turn: TurnId, request_id: &str) -> Option<ServerFrame> {
        let position = self.queue_position(turn)?;
        Some(ServerFrame::Queued { request_id: request_id.to_owned(), position })
    }

    #[allow(clippy::too_many_arguments)]
    fn accept(
        &mut self,
        now: Millis,
        records: &dyn Records,
        peer: &PeerId,
        request_id: &str,
        sent: Sent,
        fork: Option<Fork>,
        files: Vec<String>,
    ) {
        let Sent { is_answer, is_regenerate, .. } = sent;
        let at = fork.as_ref().map(|fork| self.leave_path(now, &fork.change));
        if !is_answer && !is_regenerate {
            self.make_way(now, &sent.content, fork.is_some());
        }
        let author = self.subject(peer).map(str::to_owned);
        let mut writes = self.create_session(now, &sent.content, peer);
        writes.extend(self.name_files(files));
        let (parent, mut begun) = self.continued(&sent, fork.as_ref());
        begun.trace = self.peers.get(peer).and_then(|peer| peer.identity.trace.clone());
        let trace = begun.trace.clone();
        begun.branch = fork.as_ref().map(|fork| self.go_beside(records, fork, &sent));
        let turn = self.next_seq();
        self.last_turn = Some((turn, None));
        let queued = Turn::queued(request_id.to_owned(), now);
        let turns_parent = parent.filter(|_| is_answer || is_regenerate);
        self.turns.insert(
            turn,
            Turn { is_appended: is_answer, parent: turns_parent, trace: trace.clone(), ..queued },
        );
        let starts = self.has_place() && self.next_queued() == Some(turn);
        let Sent { content, metadata, .. } = sent;
        let record = Record {
            seq: turn,
            turn,
            message_id: question_id(self.epoch, turn),
            request_id: request_id.to_owned(),
            created_at: now,
            content,
            kind: if is_answer {
                RecordKind::Append { parent, author, metadata, fault: None, begun }
            } else if is_regenerate {
                let question = parent.unwrap_or_default();
                RecordKind::Regenerate { question, author, started: starts, begun }
            } else {
                let (answer_id, fault) = (None, None);
                RecordKind::Question { parent, author, started: starts, answer_id, metadata, fault, begun }
            },
        };
        if !is_answer && !is_regenerate {
            self.count_message(now, 0);
        }
        self.dismiss_strangers();
        let waits = if starts { None } else { self.queue_position(turn) };
        let (connection_id, queued) = (peer.clone(), waits.unwrap_or_default());
        let accepted = Event::TurnAccepted { connection_id, request_id: request_id.to_owned(), queued };
        if is_answer && starts {
            writes.push(Write::Append(record.clone()));
            // As if the session had been shown in between; but a crash finds both records or none.
            self.next_seq();
            self.show_appended(now, turn, Ok(Some(record)), writes);
            return self.log_in(trace, accepted);
        }
        match fork {
            None => {
                writes.push(Write::Append(record.clone()));
                self.append(writes, &record);
            }
            Some(fork) => self.append_beside(records, fork, record, writes),
        }
        if let Some(at) = at {
            self.join_commits(at);
        }
        self.log_in(trace, accepted);
        match self.queued_frame(turn, request_id) {
            Some(frame) if !starts => self.send_to(peer, frame),
            _ => self.start(now, turn),
        }
    }

    /// Commits a record, then shows it and what it changed of the session.
    pub(super) fn append(&mut self, writes: Vec<Write>, record: &Record) {
        let creates = writes.iter().any(|write| matches!(write, Write::Create(_)));
        self.store(writes);
        if let Some(frame) = record.frame(self.epoch, self.cursor_at(record.seq)) {
            self.send_all(frame);
        }
        // An application's hook hears of it: not before it is so.
        if creates {
            self.log(Event::SessionCreated);
        }
        self.next_seq();
        self.show_session();
    }

    fn start(&mut self, now: Millis, turn: TurnId) {
        let (slot, reply) = (self.free_slot(), self.agent.reply());
        if let Some(turn) = self.turns.get_mut(&turn) {
            turn.state = TurnState::Running(Box::new(Running::new(slot, now, Some(reply))));
        }
        self.outputs.push_back(Output::StartAgent { turn });
    }

    /// Turns that waited for people come before those that wait for their place.
    pub(super) fn start_turns(&mut self, now: Millis, records: &dyn Records) {
        while self.has_place() {
            if let Some(turn) = self.next_to_go_on() {
                self.go_on(now, turn);
                continue;
            }
            let Some(turn) = self.next_queued() else { return };
            if self.turns.get(&turn).is_some_and(|turn| turn.is_appended) {
                let record = records.events(turn.saturating_sub(1), 1, 0);
                self.show_appended(now, turn, record.map(|page| page.records.into_iter().next()), Vec::new());
                continue;
            }
            self.store(vec![Write::Start { seq: turn }]);
            if let Some(Turn { request_id, .. }) = self.turns.get(&turn) {
                let request_id = request_id.clone();
                self.log_of(turn, Event::TurnStarted { request_id });
            }
            self.start(now, turn);
        }
    }

    /// Shows an answer that no turn asked for: its turn ends as it begins.
    fn show_appended(
        &mut self,
        now: Millis,
        id: TurnId,
        record: Result<Option<Record>, StoreError>,
        writes: Vec<Write>,
    ) {
        let outcome = match record {
            Ok(Some(record)) if record.seq == id && !record.is_unreadable() => {
                let answer = Answer::from_content(&record.content, None);
                if let Some(turn) = self.turns.get_mut(&id) {
                    turn.state = TurnState::Running(Box::new(Running::told(answer, now)));
                }
                let metadata = record.sent_metadata().cloned();
                Outcome::Finished(Finished { metadata, ..Finished::default() })
            }
            _ => Outcome::Failed(Failed::new(unreadable())),
        };
        self.end_with(now, id, outcome, writes);
    }

    /// Cancels one turn, or all. What is over or unknown is left alone.
    pub(super) fn cancel(&mut self, now: Millis, by: Option<&PeerId>, request_id: Option<&str>) {
        let is_meant = |turn: &Turn| request_id.is_none_or(|id| turn.request_id == id);
        let meant: Vec<TurnId> =
            self.turns.iter().filter(|(_, turn)| is_meant(turn)).map(|(id, _)| *id).collect();
        for turn in meant {
            let Some(Turn { request_id, state, .. }) = self.turns.get(&turn) else { continue };
            let (request_id, is_running) = (request_id.clone(), matches!(state, TurnState::Running(_)));
            if is_running {
                self.outputs.push_back(Output::AbortAgent { turn });
                self.take_gathered(now, turn);
            }
            count(&mut self.counters.cancels);
            self.log_of(turn, Event::CancelRequested { connection_id: by.cloned(), request_id });
            self.end(now, turn, Outcome::Cancelled(None));
        }
    }

    /// The one way in which a turn ends. A turn that is over already is left alone.
    pub(super) fn end(&mut self, now: Millis, id: TurnId, outcome: Outcome) {
        self.end_with(now, id, outcome, Vec::new());
    }

    /// With other writes that belong to the same commit.
    fn end_with(&mut self, now: Millis, id: TurnId, outcome: Outcome, mut writes: Vec<Write>) {
        self.keep_thought(now, id);
        if let Some(running) = self.running_mut(id) {
            running.answer.end();
        }
        self.flush(now, id);
        let Some(mut turn) = self.turns.remove(&id) else { return };
        if let Some(answer) = turn.answer_mut() {
            answer.deny(if let Outcome::Cancelled(reason) = outcome { reason } else { None });
        }
        let said_first_at = turn.running().and_then(|running| running.said_first_at);
        let first_content_ms = said_first_at.map(|at| at.saturating_sub(turn.accepted_at));
        let record = self.end_record(now, id, &turn, outcome);
        if let RecordKind::Answer { metadata, .. } = &record.kind {
            self.count_message(now, metadata.tokens_used);
        }
        writes.push(Write::Append(record.clone()));
        self.append(writes, &record);
        self.unfollow(&record.request_id);
        self.log_end(&record, first_content_ms, turn.trace);
    }

    fn log_end(&mut self, record: &Record, first_content_ms: Option<u64>, trace: Option<Trace>) {
        let turns = count(&mut self.counters.turns);
        if let RecordKind::Answer { status, error, metadata, .. } = &record.kind {
            let ended = Event::TurnEnded {
                request_id: record.request_id.clone(),
                status: status.clone(),
                code: error.as_ref().map(|error| error.code.clone()),
                latency_ms: metadata.latency_ms,
                first_content_ms,
                tokens_used: metadata.tokens_used,
                model: metadata.model.clone(),
                sockets: self.peers.len(),
                turns,
                cancels: self.counters.cancels,
            };
            self.log_in(trace, ended);
        }
    }

    fn end_record(&mut self, now: Millis, id: TurnId, turn: &Turn, outcome: Outcome) -> Record {
        let mut metadata = match &turn.state {
            TurnState::Queued => ResponseMetadata::default(),
            TurnState::Waiting(waiting) => waiting.metadata.clone(),
            TurnState::Running(running) => {
                let mut figures = Finished { tokens_used: running.tokens_used, ..Finished::default() };
                match &outcome {
                    Outcome::Finished(finished) => figures = finished.clone(),
                    Outcome::Failed(failed) => {
                        figures.tokens_used = figures.tokens_used.max(failed.tokens_used);
                    }
                    _ => {}
                }
                running.metadata(figures)
            }
        };
        let mut reason = None;
        let (status, error) = match outcome {
            Outcome::Finished(_) | Outcome::Answered => (Status::Complete, None),
            Outcome::Cancelled(why) => {
                reason = why.map(str::to_owned);
                (Status::Cancelled, None)
            }
            Outcome::Interrupted(error) => (Status::Interrupted, Some(error)),
            Outcome::Failed(failed) => (Status::Failed, Some(failed.error)),
        };
        let took_ms = now.saturating_sub(turn.accepted_at).saturating_sub(turn.waited_by(now));
        metadata.latency_ms = if turn.is_appended { 0 } else { took_ms };
        let seq = self.next_seq();
        Record {
            seq,
            turn: id,
            message_id: answer_id(self.epoch, id),
            request_id: turn.request_id.clone(),
            created_at: now,
            content: turn.answer().map_or(Content::Text(String::new()), Answer::content),
            kind: RecordKind::Answer {
                parent: turn.parent,
                status: status.into(),
                error,
                metadata,
                events: turn.answer().and_then(Answer::events),
                reason,
                is_appended: turn.is_appended,
            },
        }
    }

    /// The call to make for a running turn, and what belongs into it. `None` if there is no other way to ask: then [`Input::Unasked`] must
    /// follow.
    ///
    /// # Errors
    /// If the store could not be read.
    pub fn call(
        &mut self,
        records: &dyn Records,
        turn: TurnId,
    ) -> Result<Option<(Call, Enclosed)>, StoreError> {
        let span = self.next_span(turn);
        let mut request = AgentRequest { trace: span, ..self.agent_request(records, turn)? };
        let attempt = self.running_mut(turn).map(|running| running.attempt()).unwrap_or_default();
        let Some(omitted) = attempt.omitted(&request.messages) else { return Ok(None) };
        request.messages.drain(..omitted);
        let enclosed = self.enclose(records, turn, &mut request)?;
        if let Some(running) = self.running_mut(turn) {
            running.asked(&request, omitted);
        }
        Ok(Some((self.agent.call(&request, attempt), enclosed)))
    }

    /// Each call of an agent is a span of its own in the trace.
    fn next_span(&mut self, turn: TurnId) -> Option<Trace> {
        let trace = self.turns.get(&turn)?.trace.clone()?.child(self.next_random());
        self.turns.get_mut(&turn)?.trace = Some(trace.clone());
        Some(trace)
    }

    /// What to ask the agent of a running turn: the messages of the turns before it that are over, from a
    /// user's on, and its own. A turn that failed before its agent said anything is left out: what made it
    /// fail may be its question. So is a turn whose question cannot be read.
    fn agent_request(&self, records: &dyn Records, turn: TurnId) -> Result<AgentRequest, StoreError> {
        let Config { agent_messages, agent_bytes, .. } = self.config;
        let running = self.turns.get(&turn);
        let question = running.map_or(turn, |running| running.question(turn));
        let newest = records.before(&self.path, END, agent_messages, agent_bytes)?;
        let mut said = newest.records;
        let own = match said.iter().position(|record| record.seq == question) {
            Some(place) => Some(said.swap_remove(place)),
            None => records.these(&[question])?.pop(),
        };
        let own = own.filter(|own| !own.is_unreadable());
        let own = own.ok_or_else(|| StoreError("the turn's message is missing or cannot be read".into()))?;
        let request_id = running.map_or_else(|| own.request_id.clone(), |running| running.request_id.clone());
        let subject = own.author().map(str::to_owned);
        said.sort_unstable_by_key(|record| (record.turn, record.seq));
        let mut messages: Vec<AgentMessage> = Vec::new();
        let mut left_out = None;
        for record in said {
            let of = record.question().unwrap_or(record.turn);
            if record.is_unreadable() {
                left_out = Some(of);
            }
            let is_open = || self.turns.iter().any(|(id, turn)| turn.question(*id) == of);
            if record.turn >= question || is_open() || left_out == Some(of) {
                continue;
            }
            if record.is_bare_failure() {
                // Its question stands right before it, unless that is older than what was read.
                messages.pop_if(|last| last.role == Role::User);
            } else if !(messages.is_empty() && record.is_end()) {
                messages.push(agent_message(record));
            }
        }
        messages.push(agent_message(own));
        Ok(AgentRequest {
            session_id: self.session_id.clone(),
            answer_id: answer_id(self.epoch, turn),
            request_id,
            permission_mode: self.permission_mode(),
            model: self.session.as_ref().and_then(|session| session.model.clone()),
            subject,
            round: running.and_then(Turn::running).map_or(1, |running| running.calls),
            session_title: self.session.as_ref().and_then(|session| session.title.clone()),
            session_metadata: self.session.as_ref().and_then(|session| session.metadata.clone()),
            trace: None,
            messages,
            answer: running
                .and_then(Turn::running)
                .filter(|running| running.calls > 1)
                .map(|it| it.answer.content()),
        })
    }

    pub(super) fn queued(&self) -> impl Iterator<Item = TurnId> {
        self.turns.iter().filter(|(_, turn)| matches!(turn.state, TurnState::Queued)).map(|(id, _)| *id)
    }

    /// Where one turn runs at a time, queued ones wait for what a person is asked.
    fn next_queued(&self) -> Option<TurnId> {
        let is_held = self.config.concurrent_turns == 1 && self.waiting().next().is_some();
        // An answer that no turn asked for disturbs nobody there.
        let may_start = |id: &TurnId| !is_held || self.turns.get(id).is_some_and(|turn| turn.is_appended);
        self.queued().find(may_start)
    }

    /// Whether no turn runs and none is to start: a thread that rests needs no alarm and no timer.
    pub(super) fn rests(&self) -> bool {
        let starts = || self.next_to_go_on().or_else(|| self.next_queued());
        self.running().next().is_none() && starts().is_none()
    }

    fn queue_position(&self, turn: TurnId) -> Option<usize> {
        self.queued().position(|queued| queued == turn).map(|index| index.saturating_add(1))
    }

    fn has_place(&self) -> bool {
        self.running().count() < self.config.concurrent_turns
    }

    pub(super) fn free_slot(&self) -> usize {
        let is_free = |slot: &usize| self.running().all(|(_, running)| running.slot != *slot);
        (0..self.config.concurrent_turns).find(is_free).unwrap_or_default()
    }
}

fn agent_message(record: Record) -> AgentMessage {
    let role = if record.is_end() { Role::Assistant } else { Role::User };
    let metadata = record.sent_metadata().cloned();
    AgentMessage { id: record.message_id, role, content: record.content, metadata }
}
