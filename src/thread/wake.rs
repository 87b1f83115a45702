//! The one way to wake: first start, hibernation, eviction, crash, a failed write, a panic.

use crate::agent::Failed;
use crate::protocol::limits::DELETION_KEPT_MS;
use crate::protocol::{ErrorBody, ErrorCode, Millis};

use super::access::Peer;
use super::outbox::Outbox;
use super::store::{Deletion, Journal, Mark, MarkKind, Records, Stored, Write};
use super::turn::{Running, Turn, TurnState};
use super::turns::Outcome;
use super::{Blame, Cause, Origin, Thread, TurnId, Woken};

/// 40 random bits tell one life of a log from another.
const EPOCH_BITS: u32 = 40;

impl Thread {
    pub(super) fn wake(&mut self, now: Millis, records: &dyn Records, woken: Woken) {
        self.random = woken.seed;
        self.epoch = self.next_epoch();
        for (peer, mut attachment) in woken.peers {
            // An older build saved none.
            if attachment.reading.seed == 0 {
                attachment.reading = self.new_reading();
            }
            self.peers.insert(peer, Peer::new(attachment, &self.unread));
        }
        if let Some(stored) = woken.stored {
            self.restore(now, stored);
        }
        if let Some(deletion) = woken.deletion {
            self.remember(now, deletion);
        }
        // Time has passed, and a session that cannot be read whole may have lost its owner.
        self.dismiss_expired(now);
        self.dismiss_strangers();
        // Sockets that outlived the thread may hold text that is not stored, or lack an event that is.
        if !self.is_settled() {
            let peers: Vec<_> = self.peers.keys().cloned().collect();
            for peer in peers {
                self.reset(records, &peer);
            }
        }
        if let Some((Blame { peer, name, error: invalid }, error)) = blamed(&woken.cause) {
            // A frame that no thread would take is not to be sent again.
            self.refuse(Origin { peer, name }, invalid.as_ref().unwrap_or(&error));
        }
        for turn in self.running_ids() {
            self.end(now, turn, broken_off(&woken.cause));
        }
    }

    pub(super) fn next_epoch(&mut self) -> u64 {
        (self.next_random() >> (u64::BITS - EPOCH_BITS)).max(1)
    }

    fn restore(&mut self, now: Millis, stored: Stored) {
        let Stored { checkpoint, open, since, journals, last_seq, last_turn } = stored;
        self.epoch = checkpoint.epoch;
        self.seq = checkpoint.seq;
        self.session = Some(checkpoint.session);
        self.outbox = Outbox::from_store(checkpoint.delivered, checkpoint.seq);
        let mut journals = journals;
        for mark in open.into_iter().chain(since) {
            if mark.seq > self.seq {
                self.count_in(&mark);
            }
            match mark.kind {
                MarkKind::Answer { .. } => {
                    self.turns.remove(&mark.turn);
                }
                MarkKind::Question { started } => {
                    let turn = open_turn(now, &mark, started, take_journal(&mut journals, mark.turn));
                    self.turns.insert(mark.turn, turn);
                }
            }
        }
        self.seq = self.seq.max(last_seq);
        self.last_turn = last_turn;
    }

    /// It is forgotten when it is old, unless D1 has yet to learn of it.
    fn remember(&mut self, now: Millis, Deletion { at, is_owed }: Deletion) {
        self.outbox.is_deletion_owed = is_owed;
        self.was_deleted = is_owed || now.saturating_sub(at) < DELETION_KEPT_MS;
        if !self.was_deleted {
            self.store(vec![Write::ForgetDeletion]);
        }
    }

    /// A record after the checkpoint, and the `session` event that followed it.
    fn count_in(&mut self, mark: &Mark) {
        self.seq = mark.seq.saturating_add(1);
        let tokens_used = match mark.kind {
            MarkKind::Question { .. } => 0,
            MarkKind::Answer { tokens_used } => tokens_used,
        };
        self.count_message(mark.created_at, tokens_used);
    }

    /// Whether nothing was going on, so that every client had been sent everything, or told of the deletion.
    fn is_settled(&self) -> bool {
        self.turns.is_empty() && self.outbox.delivered >= self.seq && !self.outbox.is_deletion_owed
    }
}

fn take_journal(journals: &mut Vec<Journal>, turn: TurnId) -> Option<Journal> {
    let index = journals.iter().position(|journal| journal.turn == turn)?;
    Some(journals.swap_remove(index))
}

fn open_turn(now: Millis, mark: &Mark, started: bool, journal: Option<Journal>) -> Turn {
    let state = match journal {
        _ if !started => TurnState::Queued,
        Some(journal) => TurnState::Running(Box::new(Running::from_journal(journal, now))),
        None => TurnState::Running(Box::new(Running::new(0, now, None))),
    };
    Turn { request_id: mark.request_id.clone(), accepted_at: mark.created_at, state }
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
