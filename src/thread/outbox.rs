//! What D1 has yet to learn.
//!
//! The outbox is no queue of its own: it is the log after `delivered`. Nothing a client is promised
//! waits for it.

use crate::protocol::limits::{
    DELIVERY_BYTES_MAX, DELIVERY_MESSAGES_MAX, DELIVERY_RETRY_MS_MAX, DELIVERY_RETRY_MS_MIN,
    DELIVERY_TIMEOUT_MS, UNSAVED_EVENTS_MAX,
};
use crate::protocol::{Millis, Session};

use super::events::Event;
use super::store::{Record, Records, StoreError, Write};
use super::{Output, Thread};

#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// D1 has the log up to here.
    pub(super) delivered: u64,
    /// The checkpoint holds the log up to here.
    pub(super) saved: u64,
    in_flight: bool,
    failures: u32,
    retry_at: Millis,
}

/// One step of D1 towards the log: the session as it is, and records it may lack.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    pub epoch: u64,
    pub session: Session,
    pub records: Vec<Record>,
    /// D1 has the log up to here when it has taken this.
    pub seq: u64,
}

impl Outbox {
    pub(super) fn from_store(delivered: u64, saved: u64) -> Self {
        Outbox { delivered, saved, ..Outbox::default() }
    }
}

impl Thread {
    /// What [`Output::Deliver`] is to give to D1.
    ///
    /// # Errors
    /// If the store could not be read.
    pub fn delivery(&self, records: &dyn Records) -> Result<Option<Delivery>, StoreError> {
        let Some(session) = self.session.clone() else { return Ok(None) };
        let page = records.after(self.outbox.delivered, DELIVERY_MESSAGES_MAX, DELIVERY_BYTES_MAX)?;
        let last = page.records.last().map_or(self.seq, |record| record.seq);
        let seq = if page.more { last } else { self.seq };
        Ok(Some(Delivery { epoch: self.epoch, session, records: page.records, seq }))
    }

    pub(super) fn delivered(&mut self, seq: u64) {
        self.outbox.delivered = self.outbox.delivered.max(seq);
        self.outbox.in_flight = false;
        self.outbox.failures = 0;
        self.outbox.retry_at = 0;
    }

    pub(super) fn delivery_failed(&mut self, now: Millis) {
        self.outbox.in_flight = false;
        let doubled = DELIVERY_RETRY_MS_MIN.saturating_mul(1 << self.outbox.failures.min(16));
        self.outbox.failures = self.outbox.failures.saturating_add(1);
        let wait = doubled.min(DELIVERY_RETRY_MS_MAX);
        // Half of the wait is jitter, so that threads that failed together do not come back together.
        let jitter = self.next_random().checked_rem(wait / 2).unwrap_or_default();
        let retry_in_ms = (wait / 2).saturating_add(jitter);
        self.outbox.retry_at = now.saturating_add(retry_in_ms);
        self.log(Event::DeliveryFailed { failures: self.outbox.failures, retry_in_ms });
    }

    pub(super) fn deliver(&mut self, now: Millis) {
        self.save_progress();
        let is_due = self.owes() && !self.outbox.in_flight && self.outbox.retry_at <= now;
        if is_due {
            self.outbox.in_flight = true;
            self.outputs.push_back(Output::Deliver);
        }
    }

    pub(super) fn outbox_alarm(&self, now: Millis) -> Option<Millis> {
        let at = if self.outbox.in_flight {
            now.saturating_add(DELIVERY_TIMEOUT_MS)
        } else {
            self.outbox.retry_at
        };
        self.owes().then_some(at)
    }

    fn owes(&self) -> bool {
        self.session.is_some() && self.outbox.delivered < self.seq
    }

    /// Writes a checkpoint when a thread comes to rest, or when waking would have much to count in.
    fn save_progress(&mut self) {
        let rests = self.turns.is_empty() && !self.owes();
        let unsaved = self.seq.saturating_sub(self.outbox.saved);
        if self.session.is_none() || unsaved == 0 || (!rests && unsaved < UNSAVED_EVENTS_MAX) {
            return;
        }
        let checkpoint = self.checkpoint();
        self.store(checkpoint.map(Write::Checkpoint).into_iter().collect());
    }
}
