//! Versions of the conversation: a message is rewritten, a question is answered again, or a path is chosen.

use crate::protocol::limits::{
    CATCH_UP_BYTES_MAX, CATCH_UP_MESSAGES_MAX, PAYLOAD_BYTES_MAX, SNAPSHOT_MESSAGES_MAX,
};
use crate::protocol::{
    CollectVec, Cursor, ErrorBody, ErrorCode, Message, Millis, ServerFrame, SnapshotReason, Versions,
};

use super::access::Follows;
use super::calls::SUPERSEDED;
use super::ending::Outcome;
use super::path::{END, Path, Start, Tree, Way};
use super::session::preview;
use super::store::{
    Begun, Branch, Commit, Record, RecordKind, Records, StoreError, Write, answer_id, message_id_prefix,
    question_id,
};
use super::turns::Sent;
use super::{Output, PeerId, Thread, TurnId, unreadable};

/// A change to another path, and the messages of it that are new to clients.
pub(super) struct Change {
    /// The new path, up to the place where it continues.
    pub(super) path: Path,
    /// The last message that stays.
    pub(super) after: Option<Record>,
    messages: Vec<Record>,
    /// Whether the messages are too many for a frame.
    is_large: bool,
    /// How many messages the path has up to its end, once all turns are over.
    pub(super) count: u64,
}

/// A fork: a message that is rewritten, or a question that is answered again.
pub(super) struct Fork {
    pub(super) change: Change,
    /// The record of the question.
    pub(super) question: Record,
    /// The other versions, except the first one and this one.
    pub(super) beside: Vec<Start>,
    /// The turn of the message's first version; `None` for another answer.
    first: Option<TurnId>,
    /// The turn that it follows; for another answer, the question's turn.
    parent: Option<TurnId>,
}

/// The messages of branches, by the sequence number of the branch's record.
pub(super) type Branches = Vec<(u64, Vec<Message>)>;

impl Thread {
    /// Returns messages as clients see them.
    ///
    /// # Errors
    /// If the store could not be read.
    pub fn messages(&self, records: &dyn Records, page: &[Record]) -> Result<Vec<Message>, StoreError> {
        let beside = self.beside(records, page.iter())?;
        Ok(page.iter().map(|record| self.message_of(&beside, record)).collect_vec())
    }

    /// Returns whether a record is on the current path.
    #[must_use]
    pub fn is_current(&self, record: &Record) -> bool {
        self.path.contains(record.seq)
    }

    /// Returns the current path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the other versions of messages.
    pub(super) fn beside<'a>(
        &self,
        records: &dyn Records,
        page: impl Iterator<Item = &'a Record>,
    ) -> Result<Vec<Start>, StoreError> {
        if self.path.is_whole() {
            return Ok(Vec::new());
        }
        let parents: Vec<u64> =
            page.filter_map(fork_of).map(|(parent, _)| parent.unwrap_or_default()).collect_vec();
        records.starts(Some(&parents))
    }

    pub(super) fn message_of(&self, beside: &[Start], record: &Record) -> Message {
        Message { versions: self.versions(beside, record), ..record.message(self.epoch) }
    }

    fn versions(&self, beside: &[Start], record: &Record) -> Option<Versions> {
        let (parent, is_answer) = fork_of(record)?;
        let beside = || beside.iter().filter(|it| it.parent == parent && it.is_answer == is_answer);
        let first = if is_answer { parent } else { beside().next()?.first };
        let mut all: Vec<u64> = first.into_iter().collect();
        all.extend(beside().map(|start| start.turn));
        let index = all.iter().position(|turn| *turn == record.turn).filter(|_| all.len() > 1)?;
        let old_id = || beside().next()?.old_id.clone().filter(|_| is_answer);
        let id = |index: usize| {
            let turn = *all.get(index)?;
            let old_id = if Some(turn) == first { old_id() } else { None };
            Some(old_id.unwrap_or_else(|| {
                if is_answer { answer_id(self.epoch, turn) } else { question_id(self.epoch, turn) }
            }))
        };
        let (previous, next) = (index.checked_sub(1).and_then(id), id(index.saturating_add(1)));
        Some(Versions { index, count: all.len(), previous, next })
    }

    /// Returns the event of a record, with the versions of its message; `None` if it has none or is a
    /// `branch`.
    pub(super) fn event_of(&self, beside: &[Start], record: &Record, cursor: Cursor) -> Option<ServerFrame> {
        let mut frame = record.frame(self.epoch, cursor);
        if let Some(ServerFrame::UserMessage { message, .. }) = &mut frame {
            message.versions = self.versions(beside, record);
        }
        frame
    }

    /// Returns the messages of the branches among some events; `None` if they are too many to be sent again.
    pub(super) fn branches(
        &self,
        records: &dyn Records,
        events: &[Record],
    ) -> Result<Option<Branches>, StoreError> {
        let (mut branches, mut count, mut bytes) = (Vec::new(), 0_usize, 0_usize);
        for record in events {
            let Some(branch) = record.branch() else { continue };
            let Some(seqs) = &branch.messages else { return Ok(None) };
            count = count.saturating_add(seqs.len());
            if count > CATCH_UP_MESSAGES_MAX || bytes > CATCH_UP_BYTES_MAX {
                return Ok(None);
            }
            let page = if seqs.is_empty() { Vec::new() } else { records.these(seqs)? };
            bytes = page.iter().map(|record| record.content.text().len()).fold(bytes, usize::saturating_add);
            branches.push((record.seq, self.messages(records, &page)?));
        }
        Ok(Some(branches))
    }

    /// Returns the turn of a message, and whether the message is its answer; `None` if there is no such
    /// message.
    pub(super) fn turn_with(
        &self,
        records: &dyn Records,
        id: &str,
    ) -> Result<Option<(TurnId, bool)>, StoreError> {
        let Some(place) = id.strip_prefix(message_id_prefix(self.epoch).as_str()) else { return Ok(None) };
        let Ok(seq) = u64::from_str_radix(place.trim_end_matches('r'), 16) else { return Ok(None) };
        if self.session.is_none() || seq > self.seq {
            return Ok(None);
        }
        let found = records.these(&[seq])?;
        Ok(found.first().and_then(|record| {
            let is_message = record.is_message() && record.message_id == id;
            let is_answer = record.begun().is_some() && record.answer_id(self.epoch) == id;
            (is_message || is_answer).then(|| (record.turn, is_answer || record.is_end()))
        }))
    }

    /// Returns whether a message is on the current path, or will be.
    pub(super) fn is_on_path(&self, records: &dyn Records, id: &str) -> Result<bool, StoreError> {
        Ok(self.turn_with(records, id)?.is_some_and(|(turn, is_answer)| {
            if is_answer { self.path.has_answer(turn) } else { self.path.contains(turn) }
        }))
    }

    /// Returns the question of a turn, and the fork that continues beside it.
    ///
    /// # Errors
    /// The error that the client is told.
    pub(super) fn fork(&self, records: &dyn Records, sent: &Sent, of: &str) -> Result<Fork, ErrorBody> {
        let unread = |StoreError(_)| unreadable();
        let named = if self.session.is_some() { records.request(of).map_err(unread)? } else { None };
        let Some((named, turn)) = named.and_then(|named| named.question().map(|turn| (named, turn))) else {
            let message = "there is no message of this requestId in the thread";
            return Err(ErrorBody::fatal(ErrorCode::NotFound, message));
        };
        if !self.path.contains(turn) {
            let message = "this message is not on the current path; select it first";
            return Err(ErrorBody::fatal(ErrorCode::Conflict, message));
        }
        let question =
            if named.seq == turn { Ok(Some(named)) } else { records.these(&[turn]).map(|mut it| it.pop()) };
        let question = question.map_err(unread)?.ok_or_else(unreadable)?;
        self.fork_at(records, question, sent.is_regenerate).map_err(unread)
    }

    fn fork_at(&self, records: &dyn Records, question: Record, is_answer: bool) -> Result<Fork, StoreError> {
        let tree = Tree::new(records.starts(None)?);
        let (before, _) = fork_of(&question).unwrap_or_default();
        let parent = if is_answer { Some(question.turn) } else { before };
        let known_first = question.begun().and_then(|begun| begun.first);
        let first = (!is_answer).then(|| known_first.unwrap_or(question.turn));
        let start = Start { turn: END, parent, is_answer, first, old_id: None };
        let count = count_up_to(records, &question)?;
        let change = self.change(records, &tree.way_before(&start), count)?;
        Ok(Fork { change, beside: tree.beside(parent, is_answer), question, first, parent })
    }

    /// Turns a way into a path, by adding answers that ended after its edges.
    pub(super) fn path_of(&self, records: &dyn Records, way: &Way) -> Result<Path, StoreError> {
        let (whole, mut late) = (way.path(&[]), Vec::new());
        let known = if way.edges.is_empty() { Vec::new() } else { records.begun(&way.edges)? };
        for edge in &way.edges {
            let begun = known.iter().find(|(turn, begun)| turn == edge && begun.count.is_some());
            // Older builds did not store which turns were open, so all turns that ended late are considered.
            let open = begun.map(|(_, begun)| begun.open.clone().unwrap_or_default());
            let is_late = |turn: &u64| whole.has_answer(*turn) && !self.turns.contains_key(turn);
            let open = open.map(|open| open.into_iter().filter(is_late).collect_vec());
            if open.as_ref().is_none_or(|open| !open.is_empty()) {
                let ends = records.late(*edge, open.as_deref())?.into_iter();
                late.extend(ends.filter(|(turn, _)| is_late(turn)).map(|(_, seq)| seq));
            }
        }
        Ok(way.path(&late))
    }

    pub(super) fn change(&self, records: &dyn Records, way: &Way, count: u64) -> Result<Change, StoreError> {
        let path = self.path_of(records, way)?;
        let differs = path.with_all_since(END.saturating_sub(1)).first_difference(&self.path);
        let after = records.before(&path, differs, 1, 0)?.records.pop();
        let mut new =
            records.before(&path.part_from(differs), END, SNAPSHOT_MESSAGES_MAX, PAYLOAD_BYTES_MAX)?;
        new.records.reverse();
        Ok(Change { path, after, messages: new.records, is_large: new.more, count })
    }

    /// Ends the turns whose question or answer is no longer on the path. Returns the index of the outputs to
    /// pass to [`Thread::join_commits`].
    pub(super) fn leave_path(&mut self, now: Millis, change: &Change) -> usize {
        let leaves = |turn: &TurnId| !change.path.has_answer(*turn);
        let leaving: Vec<TurnId> = self.turns.keys().copied().filter(leaves).collect_vec();
        // Their gathered text goes out before any of them ends.
        for turn in &leaving {
            if self.is_running(*turn) {
                self.outputs.push_back(Output::AbortAgent { turn: *turn });
                self.take_gathered(now, *turn);
                self.keep_thought(now, *turn);
                self.flush(now, *turn);
            }
        }
        let at = self.outputs.len();
        for turn in leaving {
            self.end(now, turn, Outcome::Cancelled(Some(SUPERSEDED)));
        }
        at
    }

    /// Merges the commits among the outputs from `at` on into one, and puts it before all frames that depend
    /// on it.
    pub(super) fn join_commits(&mut self, at: usize) {
        let (mut writes, mut others) = (Vec::new(), Vec::new());
        for output in self.outputs.split_off(at.min(self.outputs.len())) {
            match output {
                Output::Store(Commit(more)) => writes.extend(more),
                other => others.push(other),
            }
        }
        self.store(writes);
        self.outputs.extend(others);
    }

    /// Sets the number of messages to that of another path.
    pub(super) fn count_path(&mut self, count: u64, preview: Option<String>) {
        let open = self.turns.len() as u64;
        if let Some(session) = &mut self.session {
            session.message_count = count.saturating_sub(open);
            if let Some(preview) = preview {
                session.first_message_preview = preview;
            }
        }
    }

    /// Switches to another path, which includes the record at `seq` and everything after it.
    pub(super) fn go_to(&mut self, change: &Change, seq: u64) -> Branch {
        self.path = change.path.with_all_since(seq);
        Branch {
            after: change.after.as_ref().map(|after| after.message_id.clone()),
            messages: (!change.is_large)
                .then(|| change.messages.iter().map(|record| record.seq).collect_vec()),
        }
    }

    /// Shows the new path to all clients, with the `requestId` and the answer's id if it is another answer.
    pub(super) fn show_path(
        &mut self,
        records: &dyn Records,
        change: &Change,
        ids: Option<(String, String)>,
    ) {
        match self.messages(records, &change.messages) {
            Ok(messages) if !change.is_large => {
                let after = change.after.as_ref().map(|after| after.message_id.clone());
                let ((request_id, answer_id), cursor) = (ids.unzip(), self.head());
                self.send_all(ServerFrame::Branch { cursor, request_id, answer_id, after, messages });
            }
            _ => {
                let peers: Vec<(PeerId, Follows)> =
                    self.peers.iter().map(|(id, peer)| (id.clone(), peer.follows.clone())).collect_vec();
                for (peer, follows) in peers {
                    match (follows, &ids) {
                        (Follows::Everything, _) => {
                            self.bring_up_to_date(records, &peer, SnapshotReason::Branch);
                        }
                        // A client that follows the new answer needs no snapshot, because its stream begins
                        // with this branch.
                        (Follows::Turn(turn), Some((request_id, answer_id))) if turn == *request_id => {
                            let after = change.after.as_ref().map(|after| after.message_id.clone());
                            let ids = (Some(request_id.clone()), Some(answer_id.clone()));
                            let (cursor, (request_id, answer_id)) = (self.head(), ids);
                            let messages = Vec::new();
                            self.send_to(
                                &peer,
                                ServerFrame::Branch { cursor, request_id, answer_id, after, messages },
                            );
                        }
                        _ => {}
                    }
                }
            }
        }
    }

    /// Shows a new version of a message.
    pub(super) fn show_version(&mut self, mut beside: Vec<Start>, record: &Record) {
        let (parent, is_answer) = fork_of(record).unwrap_or_default();
        let first = record.begun().and_then(|begun| begun.first);
        beside.push(Start { turn: record.turn, parent, is_answer, first, old_id: None });
        if let Some(frame) = self.event_of(&beside, record, self.cursor_at(record.seq)) {
            self.send_all(frame);
        }
    }

    /// Returns the parent of a new turn, and how the turn continues the conversation.
    pub(super) fn continued(&self, sent: &Sent, fork: Option<&Fork>) -> (Option<TurnId>, Begun) {
        let open: Vec<TurnId> = self.turns.keys().copied().collect_vec();
        let count = self.session.as_ref().map_or(0, |session| session.message_count);
        let last = self.last_turn.as_ref().map(|(turn, _)| *turn);
        let mut begun = Begun {
            of: sent.of.clone(),
            after: sent.after.clone(),
            client_id: sent.client_id.clone(),
            ..Begun::default()
        };
        let parent = match fork {
            None => {
                let more = open.len().saturating_add(if sent.is_answer { 1 } else { 2 });
                begun.count = Some(count.saturating_add(more as u64));
                begun.starts = !self.path.is_whole() && last.is_none_or(|last| last < self.path.since());
                begun.old_id = self.last_turn.as_ref().and_then(|(_, old_id)| old_id.clone());
                last
            }
            Some(Fork { change, question, first, parent, .. }) => {
                (begun.count, begun.first, begun.starts) = (Some(change.count), *first, true);
                let before = question.begun().and_then(|begun| begun.old_id.clone());
                begun.old_id = if first.is_some() { before } else { question.old_answer_id() };
                *parent
            }
        };
        begun.open = Some(open).filter(|open| !open.is_empty());
        (parent, begun)
    }

    /// Switches to the place where a new version begins. If it is a message, clients are told at once.
    pub(super) fn go_beside(&mut self, records: &dyn Records, fork: &Fork, sent: &Sent) -> Branch {
        let change = &fork.change;
        let own = if sent.is_regenerate { 1 } else { 2 };
        let is_first = change.after.is_none() && !sent.is_regenerate;
        self.count_path(change.count.saturating_sub(own), is_first.then(|| preview(&sent.content.words())));
        // Before a message, the `branch` has a sequence number of its own.
        let branch = self.go_to(change, self.seq.saturating_add(own));
        if !sent.is_regenerate {
            self.next_seq();
            self.show_path(records, change, None);
        }
        branch
    }

    /// Commits a turn that begins beside another one, and shows it.
    pub(super) fn append_beside(
        &mut self,
        records: &dyn Records,
        fork: Fork,
        record: Record,
        writes: Vec<Write>,
    ) {
        if matches!(record.kind, RecordKind::Regenerate { .. }) {
            let ids = (record.request_id.clone(), record.answer_id(self.epoch));
            self.show_path(records, &fork.change, Some(ids));
        } else {
            self.show_version(fork.beside, &record);
        }
        self.commit_path(record, writes);
        self.show_session();
    }

    /// Commits a record that changes the path, and counts the `session` event that follows it.
    pub(super) fn commit_path(&mut self, record: Record, mut writes: Vec<Write>) {
        self.seq = record.seq.saturating_add(1);
        writes.push(Write::Append(record));
        writes.extend(self.checkpoint().map(Write::Checkpoint));
        self.store(writes);
    }

    /// Returns a `branch` that changes nothing.
    pub(super) fn at_the_end(&self, records: &dyn Records) -> Result<ServerFrame, StoreError> {
        let newest = records.before(&self.path, END, 1, 0)?.records.pop();
        let after = newest.map(|newest| newest.message_id);
        let (cursor, messages) = (self.head(), Vec::new());
        Ok(ServerFrame::Branch { cursor, request_id: None, answer_id: None, after, messages })
    }

    /// Returns the frames for a client that sends something again. If there is a `branch` among them, it
    /// removes messages that are not on the path, and nothing else.
    pub(super) fn repeated(
        &self,
        records: &dyn Records,
        known: &Record,
        end: Option<ServerFrame>,
    ) -> Result<Vec<ServerFrame>, StoreError> {
        let is_on_path = self.path.has_answer(known.turn);
        let beside = self.beside(records, std::iter::once(known))?;
        let mut frames: Vec<_> = self.event_of(&beside, known, self.head()).into_iter().collect_vec();
        frames.extend(self.queued_frame(known.turn, &known.request_id));
        frames.extend(end);
        if let RecordKind::Regenerate { question, .. } = known.kind {
            frames.insert(0, self.repeated_branch(records, known, question)?);
        }
        if !is_on_path {
            frames.push(self.at_the_end(records)?);
        }
        Ok(frames)
    }

    /// Acknowledges a repeated `regenerate` with its `branch`.
    fn repeated_branch(
        &self,
        records: &dyn Records,
        known: &Record,
        question: u64,
    ) -> Result<ServerFrame, StoreError> {
        let mut branch = self.at_the_end(records)?;
        if let ServerFrame::Branch { request_id, answer_id, after, messages, .. } = &mut branch {
            *request_id = Some(known.request_id.clone());
            *answer_id = Some(known.answer_id(self.epoch));
            let behind = self.path.part_from(question.saturating_add(1));
            let behind = records.before(&behind, END, SNAPSHOT_MESSAGES_MAX, PAYLOAD_BYTES_MAX)?;
            let is_last = self.last_turn.as_ref().is_some_and(|(last, _)| *last == known.turn);
            if is_last && !behind.more {
                *after = Some(question_id(self.epoch, question));
                *messages = self.messages(records, &behind.records)?;
                messages.reverse();
                // The answer itself is left out, because the turn's end follows.
                messages.pop_if(|last| last.request_id == known.request_id);
            }
        }
        Ok(branch)
    }
}

/// Returns how many messages there are up to a turn's answer, once all turns are over.
pub(super) fn count_up_to(records: &dyn Records, begun: &Record) -> Result<u64, StoreError> {
    begun.begun().and_then(|begun| begun.count).map_or_else(|| records.count(begun.turn), Ok)
}

/// Returns the place at which this message has versions: the turn before it or, for an answer, the turn that
/// asked the question; and whether it is an answer.
fn fork_of(record: &Record) -> Option<(Option<u64>, bool)> {
    match &record.kind {
        RecordKind::Question { parent, .. } => Some((*parent, false)),
        RecordKind::Answer { is_appended: false, .. } => Some((record.question(), true)),
        _ => None,
    }
}
