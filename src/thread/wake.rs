//! Waking: one way for first start, hibernation, eviction, crash, a failed write and a panic.

use crate::agent::Failed;
use crate::protocol::limits::DELETION_KEPT_MS;
use crate::protocol::{CollectVec, ErrorBody, ErrorCode, Millis, SnapshotReason};

use super::access::{Follows, Peer};
use super::ending::Outcome;
use super::files::Files;
use super::outbox::Outbox;
use super::running::Running;
use super::store::{Deletion, Journal, Mark, MarkKind, Record, Records, Stored, Write};
use super::turn::{Turn, TurnState, Waiting};
use super::{Blame, Cause, Origin, PeerId, Thread, TurnId, Woken};

/// The number of random bits that tell one life of a log from another.
const EPOCH_BITS: u32 = 40;

impl Thread {
    pub(super) fn wake(&mut self, now: Millis, records: &dyn Records, woken: Woken) {
        self.random = woken.seed;
        self.epoch = self.next_epoch();
        for (peer, mut attachment) in woken.peers {
            // Older builds saved no seed with their sockets.
            if attachment.reading.seed == 0 {
                attachment.reading = self.new_reading();
            }
            self.peers.insert(peer, Peer::new(attachment, &self.unread));
        }
        if let Some(stored) = woken.stored {
            self.restore(now, stored);
        }
        self.files = Files::from_store(woken.files);
        if let Some(deletion) = woken.deletion {
            self.remember(now, deletion);
        }
        // If these cannot be read, only traces are lost.
        let open: Vec<TurnId> = self.turns.keys().copied().collect();
        let begun = if open.is_empty() { Vec::new() } else { records.begun(&open).unwrap_or_default() };
        for (turn, begun) in begun {
            if let Some(turn) = self.turns.get_mut(&turn) {
                turn.trace = begun.trace;
            }
        }
        // Credentials may have expired meanwhile, and a session that could not be read completely may have
        // lost its owner.
        self.dismiss_expired(now);
        self.dismiss_strangers();
        // Stock clients may hold text that is not stored, and their protocols cannot take it back. So their
        // requests are cut off; when they ask again, the turn is shown from its beginning.
        self.cut_off(records);
        // Sockets that outlived the thread may hold text that is not stored, or lack a stored event.
        if !self.is_settled() {
            let sent_all = |(_, peer): &(&PeerId, &Peer)| peer.follows == Follows::Everything;
            let peers: Vec<_> = self.peers.iter().filter(sent_all).map(|(id, _)| id.clone()).collect_vec();
            for peer in peers {
                self.bring_up_to_date(records, &peer, SnapshotReason::Reset);
            }
        }
        if let Some((Blame { peer, name, error: invalid }, error)) = blamed(&woken.cause) {
            // If the frame is invalid, its sender is told so and need not send it again.
            self.refuse(Origin { peer, name }, invalid.clone().unwrap_or(error));
        }
        for turn in self.running_ids() {
            if let Some(running) = self.running_mut(turn) {
                running.answer.break_off();
            }
            self.end(now, turn, broken_off(&woken.cause));
        }
        // A crash may have come between a change of the permission mode and the decisions that follow from
        // it.
        self.decide_by_mode(now);
    }

    pub(super) fn next_epoch(&mut self) -> u64 {
        (self.next_random() >> (u64::BITS - EPOCH_BITS)).max(1)
    }

    /// Derives the open turns and counters from the checkpoint and the marks after it, so that a turn need
    /// not write them.
    fn restore(&mut self, now: Millis, stored: Stored) {
        let Stored { checkpoint, open, since, journals, last_seq, last_turn, rounds } = stored;
        self.epoch = checkpoint.epoch;
        self.seq = checkpoint.seq;
        self.session = Some(checkpoint.session);
        self.outbox =
            Outbox::from_store(checkpoint.delivered, checkpoint.seq, checkpoint.place, checkpoint.database);
        if checkpoint.delivered < checkpoint.seq {
            // This is the latest it can be: the oldest undelivered message may be older than the last one.
            self.outbox.lacking_since = self.session.as_ref().map(|session| session.last_message_at);
        } else {
            self.outbox.lacking_since = since.first().map(|mark| mark.created_at);
        }
        let mut journals = journals;
        for mark in open.into_iter().chain(since) {
            if mark.seq > self.seq {
                self.count_in(&mark);
            }
            match mark.kind {
                MarkKind::Answer { .. } => {
                    self.turns.remove(&mark.turn);
                }
                MarkKind::Question { started } | MarkKind::Regenerate { started, .. } => {
                    let journal = take_journal(&mut journals, mark.turn);
                    let rounds: Vec<Record> =
                        rounds.iter().filter(|record| record.turn == mark.turn).cloned().collect_vec();
                    let mut turn = open_turn(now, &mark, started, journal, &rounds);
                    if let MarkKind::Regenerate { question, .. } = mark.kind {
                        turn.parent = Some(question);
                    }
                    self.turns.insert(mark.turn, turn);
                }
                MarkKind::Append { parent } => {
                    let queued = Turn::queued(mark.request_id.clone(), mark.created_at);
                    self.turns.insert(mark.turn, Turn { is_appended: true, parent, ..queued });
                }
                MarkKind::Event => {}
            }
        }
        self.seq = self.seq.max(last_seq);
        self.last_turn = last_turn;
        self.path = checkpoint.path;
    }

    /// Remembers a deletion. A note that is old is removed, unless D1 has yet to learn of it.
    fn remember(&mut self, now: Millis, Deletion { at, owed }: Deletion) {
        self.was_deleted = !owed.is_empty() || now.saturating_sub(at) < DELETION_KEPT_MS;
        if !owed.is_empty() {
            self.outbox.lacking_since = Some(at);
        }
        self.outbox.owed = owed;
        self.outbox.clears |= self.was_deleted;
        if !self.was_deleted {
            self.store(vec![Write::ForgetDeletion]);
        }
    }

    /// Counts in a record after the checkpoint, and the `session` event that followed it.
    fn count_in(&mut self, mark: &Mark) {
        self.seq = mark.seq.saturating_add(1);
        match mark.kind {
            MarkKind::Question { .. } => self.count_message(mark.created_at, 0),
            MarkKind::Answer { tokens_used } => self.count_message(mark.created_at, tokens_used),
            MarkKind::Append { .. } | MarkKind::Regenerate { .. } | MarkKind::Event => {}
        }
    }

    /// Returns whether nothing was going on, so that every client had been sent everything, or been told of
    /// the deletion.
    fn is_settled(&self) -> bool {
        self.is_at_rest() && self.outbox.delivered >= self.seq && self.outbox.owed.is_empty()
    }
}

/// Takes the journal of a turn. A turn whose agent was called several times may have journals in several
/// slots; the largest is the newest, since an answer only grows.
fn take_journal(journals: &mut Vec<Journal>, turn: TurnId) -> Option<Journal> {
    let mut longest = None;
    for (index, journal) in journals.iter().enumerate() {
        let events = journal.growing.as_ref().map_or(journal.blocks.len() as u64, |growing| growing.events);
        if journal.turn == turn {
            longest = longest.max(Some((events, journal.text.len(), index)));
        }
    }
    longest.map(|(.., index)| journals.swap_remove(index))
}

/// Returns a turn as it was before the thread woke: queued if its agent was never called, waiting if its last
/// record says so, and otherwise running. Running turns end as interrupted once sockets have been told how
/// much of them is stored.
fn open_turn(now: Millis, mark: &Mark, started: bool, journal: Option<Journal>, rounds: &[Record]) -> Turn {
    let mut turn = Turn::queued(mark.request_id.clone(), mark.created_at);
    let running = |journal: Option<Journal>| match journal {
        Some(journal) => Running::from_journal(journal, now),
        None => Running::new(0, now, None),
    };
    match Waiting::from_records(rounds) {
        _ if !started => {}
        None => turn.state = TurnState::Running(Box::new(running(journal))),
        Some((waiting, was_called)) => {
            turn.waited_ms = waiting.round.waited_ms;
            turn.state = TurnState::Waiting(Box::new(waiting));
            if was_called {
                turn.called_again(now, running(journal));
            }
        }
    }
    turn
}

fn blamed(cause: &Cause) -> Option<(&Blame, ErrorBody)> {
    match cause {
        Cause::Start => None,
        Cause::StoreFailed(blame) => {
            let message = "the thread could not store this; try again";
            blame.as_ref().map(|blame| (blame, ErrorBody::retryable(ErrorCode::StorageError, message)))
        }
        Cause::Panicked(blame) => {
            let message = "the thread failed on this frame and was started again";
            blame.as_ref().map(|blame| (blame, ErrorBody::retryable(ErrorCode::Internal, message)))
        }
    }
}

fn broken_off(cause: &Cause) -> Outcome {
    match cause {
        Cause::StoreFailed(_) => {
            let message = "the answer could not be stored and was broken off; send the message again under a new requestId";
            let error = ErrorBody::retryable(ErrorCode::StorageError, message);
            Outcome::Failed(Failed::new(error))
        }
        Cause::Start | Cause::Panicked(_) => {
            let message = "the thread was interrupted in the middle of the answer; send the message again under a new requestId";
            Outcome::Interrupted(ErrorBody::retryable(ErrorCode::Interrupted, message))
        }
    }
}
