//! Accepts messages or refuses them. From then on the turn is in the log, and survives whatever happens to
//! the thread.

use crate::protocol::limits::QUEUED_TURNS_MAX;
use crate::protocol::{Content, ErrorBody, ErrorCode, Json, Millis, Post};

use super::access::Follows;
use super::events::Event;
use super::store::{Record, RecordKind, Records, StoreError, Write, digest, question_id};
use super::turn::Turn;
use super::versions::Fork;
use super::{Origin, PeerId, Thread, TurnId, unreadable};

/// A message as a user sends it.
#[derive(Clone, Debug, Default)]
pub(super) struct Sent {
    pub(super) content: Content,
    /// The application's metadata: an object.
    pub(super) metadata: Option<Json>,
    /// Whether it is an appended answer, and not a message to answer.
    pub(super) is_answer: bool,
    /// Whether a question is to be answered again, without a new message.
    pub(super) is_regenerate: bool,
    /// The turn whose message it replaces, or whose question it answers again.
    pub(super) of: Option<String>,
    /// The last message that the writer had seen.
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

/// The place where a `requestId` was used.
enum Place {
    Nowhere,
    InLog(Box<Record>),
    /// In a deleted session of this name.
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
            return self.refuse(origin, error);
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
            Err(error) => self.refuse(origin, error),
        }
    }

    /// Checks a new message. Returns its fork, if it does not continue the conversation at its end.
    fn check(&self, records: &dyn Records, place: &Place, sent: &Sent) -> Result<Option<Fork>, ErrorBody> {
        if let Some(after) = &sent.after
            && !self.is_on_path(records, after).map_err(|StoreError(_)| unreadable())?
        {
            let message = "`after` is not on the current path; load the conversation again, and send this with \
                           `after` set to its last message";
            return Err(ErrorBody::fatal(ErrorCode::Conflict, message));
        }
        if matches!(place, Place::Deleted) {
            let message = "this message was sent before its session was deleted; send it under a new \
                           requestId to begin the session anew";
            return Err(ErrorBody::fatal(ErrorCode::Deleted, message));
        }
        let fork = sent.of.as_ref().map(|of| self.fork(records, sent, of)).transpose()?;
        // Turns that the message replaces will not be waiting any more.
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

    /// Answers a message that was sent before, without starting anything. Its sender has the rest of the log,
    /// so the repeated frames carry the present cursor and not their original ones.
    fn repeat(
        &mut self,
        now: Millis,
        records: &dyn Records,
        origin: Origin<'_>,
        known: &Record,
        sent: &Sent,
    ) {
        // A stored message that cannot be read counts as the same, so that it is not answered twice.
        let is_same = known.content == sent.content
            && known.sent_metadata() == sent.metadata.as_ref()
            && known.is_appended() == sent.is_answer
            && matches!(known.kind, RecordKind::Regenerate { .. }) == sent.is_regenerate
            && known.begun().is_none_or(|begun| begun.of == sent.of && begun.after == sent.after);
        if !is_same && !known.is_unreadable() {
            let message = "this requestId was used for another message; give every message one of its own";
            let error = ErrorBody::fatal(ErrorCode::DuplicateRequest, message);
            return self.refuse(origin, error);
        }
        if self.refuses_read(now, origin) {
            return;
        }
        let end = if self.turns.contains_key(&known.seq) { Ok(None) } else { records.end(known.seq) };
        let Ok(end) = end else { return self.refuse(origin, unreadable()) };
        match self.peers.get(origin.peer).map(|peer| &peer.follows) {
            Some(Follows::Nothing) => return,
            Some(Follows::Turn(_)) => return self.show_turn(records, origin.peer, known, end.as_ref()),
            Some(Follows::Everything) | None => {}
        }
        let end = end.and_then(|end| end.frame(self.epoch, self.head()));
        match self.repeated(records, known, end) {
            Ok(frames) => self.send_asked(origin.peer, frames),
            Err(StoreError(_)) => self.refuse(origin, unreadable()),
        }
    }

    fn subject(&self, peer: &PeerId) -> Option<&str> {
        self.peers.get(peer)?.identity.subject.as_deref()
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
            self.end_waiting_turns(now, &sent.content, fork.is_some());
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
        let (accepted_by, is_appended) = (Some(peer.clone()), is_answer);
        self.turns.insert(turn, Turn { is_appended, parent: turns_parent, accepted_by, trace, ..queued });
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
        if is_answer && starts {
            writes.push(Write::Append(record.clone()));
            // As if the session had been shown in between. But both records are in one commit, so a crash
            // finds both or neither.
            self.next_seq();
            return self.show_appended(now, turn, Ok(Some(record)), writes);
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
        match self.queued_frame(turn, request_id) {
            Some(frame) if !starts => {
                self.log_accepted(turn);
                self.send_to(peer, frame);
            }
            _ => self.start(now, turn),
        }
    }

    /// Logs that a turn was accepted. A turn that ends soon has this in the line of its end.
    pub(super) fn log_accepted(&mut self, id: TurnId) {
        let queued = self.queue_position(id).unwrap_or_default();
        let Some(turn) = self.turns.get_mut(&id) else { return };
        if let Some(connection_id) = turn.accepted_by.take() {
            let request_id = turn.request_id.clone();
            self.log_of(id, Event::TurnAccepted { connection_id, request_id, queued });
        }
    }

    /// Commits a record, then shows it and the session that it changed.
    pub(super) fn append(&mut self, writes: Vec<Write>, record: &Record) {
        let creates = writes.iter().any(|write| matches!(write, Write::Create(_)));
        self.store(writes);
        if let Some(frame) = record.frame(self.epoch, self.cursor_at(record.seq)) {
            self.send_all(frame);
        }
        // This comes after the commit, because an application's hook may hear of it.
        if creates {
            self.log(Event::SessionCreated);
        }
        self.next_seq();
        self.show_session();
    }
}
