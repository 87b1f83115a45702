//! The outbox: the part of the log that D1 has yet to learn.
//!
//! It is not a queue of its own but the log after `delivered`, preceded by the deletion of the earlier log,
//! if there was one. Clients never wait for it.

use crate::protocol::limits::{
    DELIVERY_BYTES_MAX, DELIVERY_DELAY_MS, DELIVERY_DOUBTS_MAX, DELIVERY_FAILURES_BATCHED_MAX,
    DELIVERY_MESSAGES_MAX, DELIVERY_RETRY_MS_MAX, DELIVERY_RETRY_MS_MIN, DELIVERY_TIMEOUT_MS,
    UNSAVED_EVENTS_MAX,
};
use crate::protocol::{CollectVec, Millis, Session};

use super::clock::set_back;
use super::events::{Event, OutboxState};
use super::path::Path;
use super::place::place;
use super::store::{Record, Records, StoreError, Write};
use super::{Output, Thread};

#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// D1 has the log up to this sequence number.
    pub(super) delivered: u64,
    /// The checkpoint holds the log up to this sequence number.
    pub(super) saved: u64,
    /// The value of `delivered` in the checkpoint.
    pub(super) saved_delivered: u64,
    /// The databases that still have to delete an earlier life of the session.
    pub(super) owed: Vec<u64>,
    /// The database that has the session.
    pub(super) place: u64,
    /// The database's own id, once it is known.
    pub(super) database: Option<String>,
    /// The sequence number up to which this database certainly has the log; `None` if its row may be missing.
    confirmed: Option<u64>,
    /// Whether the next delivery of content first deletes whatever the database has of earlier lives: a
    /// backup may have restored it.
    pub(super) clears: bool,
    in_flight: Option<Step>,
    sent_at: Millis,
    failures: u32,
    retry_at: Millis,
    /// Since when a database has lacked something, if it did when the thread woke. The number of earlier
    /// attempts is forgotten.
    pub(super) lacking_since: Option<Millis>,
    /// The record that failed alone, and whether D1 took anything else since.
    suspect: Option<Suspect>,
    /// How often it failed right after D1 had taken something else.
    doubts: u32,
}

/// The content of one delivery attempt.
///
/// While deliveries succeed they are batches. If they keep failing, either D1 is down or it will never accept
/// a certain record. To tell these apart, the oldest record is tried alone and, if that fails, the session
/// without any record. A record is parked once it has failed alone three times in a row, each time right
/// after D1 took the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Batch,
    Alone,
    Probe,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Suspect {
    Failed,
    FailedThoughD1Answers,
}

/// A batch for D1: the session as it is now, and records that D1 may lack.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// The epoch of the log when the delivery was made. A deletion begins another log.
    pub epoch: u64,
    /// The database that the delivery goes to: 0 for the first.
    pub place: u64,
    /// Whether D1 must first delete what it has of this session.
    pub deletes: bool,
    /// The session's row must already have the log up to here. A row that does not has lost something and is
    /// left unchanged, so that the loss stays visible until everything is delivered again.
    pub expected: u64,
    /// `None` if the delivery is only a deletion.
    pub content: Option<SessionContent>,
    /// D1 has the log up to here once it has taken the delivery.
    pub seq: u64,
}

/// The session and the records of one delivery.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionContent {
    /// The epoch of the log that they belong to.
    pub epoch: u64,
    /// The session as it is now.
    pub session: Session,
    /// The current path.
    pub path: Path,
    /// Records that D1 may lack, oldest first. It may have been given some of them before.
    pub records: Vec<Record>,
}

/// The result of a delivery that D1 took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    epoch: u64,
    place: u64,
    deletes: bool,
    has_content: bool,
    seq: u64,
    found: Found,
}

/// The state of D1 that a delivery found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The database's own id; `None` if it has none.
    pub database: Option<String>,
    /// How much of the log the session's row had; `None` if there was no row.
    pub seq: Option<u64>,
    /// Everything that the session's owner began before this time, in Unix milliseconds, has to be deleted;
    /// `None` if nothing has.
    pub erased_at: Option<Millis>,
}

impl Delivered {
    /// Returns the result of a delivery.
    #[must_use]
    pub fn new(delivery: &Delivery, found: Found) -> Self {
        let Delivery { epoch, place, deletes, expected: _, content, seq } = delivery;
        let has_content = content.is_some();
        Delivered { epoch: *epoch, place: *place, deletes: *deletes, has_content, seq: *seq, found }
    }
}

/// For a database that still had everything that it was given before.
impl From<&Delivery> for Delivered {
    fn from(delivery: &Delivery) -> Self {
        Delivered::new(delivery, Found { seq: Some(delivery.expected), ..Found::default() })
    }
}

impl Outbox {
    pub(super) fn set_back(&mut self, by: Millis) {
        set_back(&mut self.sent_at, by);
        set_back(&mut self.retry_at, by);
        self.lacking_since.iter_mut().for_each(|at| set_back(at, by));
    }

    pub(super) fn from_store(delivered: u64, saved: u64, place: u64, database: Option<String>) -> Self {
        let confirmed = Some(delivered);
        Outbox {
            delivered,
            saved,
            saved_delivered: delivered,
            place,
            database,
            confirmed,
            ..Outbox::default()
        }
    }

    /// Notes that the log ended at `seq`. Returns the databases that have yet to learn of it.
    pub(super) fn session_deleted(&mut self, seq: u64) -> Vec<u64> {
        let Outbox { in_flight, sent_at, place, .. } = *self;
        let mut owed = std::mem::take(&mut self.owed);
        if !owed.contains(&place) {
            owed.push(place);
        }
        *self = Outbox {
            delivered: seq,
            saved: seq,
            saved_delivered: seq,
            owed: owed.clone(),
            clears: true,
            in_flight,
            sent_at,
            ..Outbox::default()
        };
        owed
    }

    /// Starts delivering the whole log again. The delivery also deletes whatever D1 has of the session, since
    /// a backup may have restored rows of messages that the log does not have.
    fn rewind(&mut self) {
        self.delivered = 0;
        self.confirmed = None;
        self.clears = true;
    }

    fn timed_out_at(&self) -> Millis {
        self.sent_at.saturating_add(DELIVERY_TIMEOUT_MS)
    }

    /// Returns the next thing to try. After failures, smaller deliveries find out whether D1 or one record is
    /// at fault. A record is parked only if it is refused while D1 takes something else.
    fn next_step(&self) -> Step {
        match self.suspect {
            Some(Suspect::Failed) => Step::Probe,
            Some(Suspect::FailedThoughD1Answers) => Step::Alone,
            None if self.failures >= DELIVERY_FAILURES_BATCHED_MAX => Step::Alone,
            None => Step::Batch,
        }
    }
}

impl Thread {
    /// Returns the delivery for [`Output::Deliver`].
    ///
    /// # Errors
    /// If the store could not be read.
    pub fn delivery(&self, records: &dyn Records) -> Result<Delivery, StoreError> {
        let (delivered, path) = (self.outbox.delivered, self.path.clone());
        let owed = self.outbox.owed.first().copied();
        let delivery = Delivery {
            epoch: self.epoch,
            place: owed.unwrap_or(self.outbox.place),
            deletes: owed.is_some() || self.outbox.clears,
            expected: self.outbox.confirmed.unwrap_or_default(),
            content: None,
            seq: delivered,
        };
        // A deletion in another database has nothing to do with the session as it is now.
        let Some(session) = self.shown_session().filter(|_| delivery.place == self.outbox.place) else {
            return Ok(delivery);
        };
        let epoch = self.epoch;
        let page = match self.outbox.in_flight {
            Some(Step::Probe) => {
                let content = SessionContent { epoch, session, path, records: Vec::new() };
                return Ok(Delivery { content: Some(content), ..delivery });
            }
            Some(Step::Alone) => records.after(delivered, 1, 0)?,
            Some(Step::Batch) | None => {
                records.after(delivered, DELIVERY_MESSAGES_MAX, DELIVERY_BYTES_MAX)?
            }
        };
        let last = page.records.last().map_or(self.seq, |record| record.seq);
        let seq = if page.more { last } else { self.seq };
        let content = SessionContent { epoch, session, path, records: page.records };
        Ok(Delivery { content: Some(content), seq, ..delivery })
    }

    /// Returns the outbox's state for diagnostics.
    #[must_use]
    pub fn outbox(&self) -> OutboxState {
        let undelivered_events =
            if self.session.is_some() { self.seq.saturating_sub(self.outbox.delivered) } else { 0 };
        let retry_at = (self.outbox.failures > 0).then_some(self.outbox.retry_at);
        OutboxState { undelivered_events, failures: self.outbox.failures, retry_at }
    }

    /// Returns whether D1 still holds a session that was deleted.
    #[must_use]
    pub fn owes_deletion(&self) -> bool {
        self.config.delivers && !self.outbox.owed.is_empty()
    }

    /// Assigns a new session to the database of its owner.
    pub(super) fn assign_database(&mut self) {
        if let Some(session) = &self.session {
            self.outbox.place = self.place_of(session.owner.as_ref());
        }
    }

    /// Returns the database for this session if it begins now and has this owner.
    #[must_use]
    pub fn place_of(&self, owner: Option<&String>) -> u64 {
        place(owner.unwrap_or(&self.session_id), self.config.databases)
    }

    /// Has everything that D1 has of the session delivered again.
    pub(super) fn deliver_anew(&mut self) {
        if self.session.is_some() {
            self.outbox.rewind();
        }
    }

    pub(super) fn delivered(&mut self, now: Millis, delivery: &Delivered) {
        let Some(step) = self.outbox.in_flight.take() else { return };
        // If D1 took a delivery of an earlier log, that says nothing about this one, nor about the deletion
        // in between.
        if delivery.epoch == self.epoch {
            if delivery.has_content {
                self.note_delivered(delivery);
            }
            if delivery.deletes && !self.outbox.owed.is_empty() {
                self.outbox.owed.retain(|place| *place != delivery.place);
                if self.outbox.owed.is_empty() {
                    self.store(vec![Write::Deleted]);
                }
            }
        }
        let is_erased = |session: &Session| Some(session.created_at) <= delivery.found.erased_at;
        if delivery.has_content
            && delivery.epoch == self.epoch
            && self.session.as_ref().is_some_and(is_erased)
        {
            return self.delete(now);
        }
        self.outbox.retry_at = 0;
        self.outbox.lacking_since = None;
        match step {
            Step::Probe => {
                self.outbox.failures = 1;
                self.outbox.suspect = Some(Suspect::FailedThoughD1Answers);
            }
            Step::Alone | Step::Batch => {
                self.outbox.failures = 0;
                self.outbox.suspect = None;
                self.outbox.doubts = 0;
            }
        }
    }

    /// Notes that D1 has the delivery, unless it had lost earlier ones: it is another database, or was
    /// restored to an earlier state.
    fn note_delivered(&mut self, delivery: &Delivered) {
        let Found { database, seq, erased_at: _ } = &delivery.found;
        let had = seq.unwrap_or_default();
        let outbox = &mut self.outbox;
        let is_other = database.is_some() && outbox.database.is_some() && *database != outbox.database;
        outbox.database = database.clone().or(outbox.database.take());
        if is_other || outbox.confirmed.is_some_and(|confirmed| had < confirmed) {
            outbox.rewind();
            self.log(Event::DeliveredAnew);
        } else {
            outbox.delivered = outbox.delivered.max(delivery.seq);
            outbox.confirmed = Some(delivery.seq.max(had));
            outbox.clears &= !delivery.deletes;
        }
    }

    pub(super) fn delivery_failed(&mut self, now: Millis, records: &dyn Records) {
        let Some(step) = self.outbox.in_flight.take() else { return };
        self.outbox.failures = self.outbox.failures.saturating_add(1);
        self.back_off(now);
        match (step, self.outbox.suspect) {
            (Step::Alone, Some(Suspect::FailedThoughD1Answers)) => self.count_doubt(records),
            (Step::Alone, _) => self.outbox.suspect = Some(Suspect::Failed),
            // D1 is down, so the record is not to blame.
            (Step::Probe, _) => {
                self.outbox.suspect = None;
                self.outbox.doubts = 0;
            }
            (Step::Batch, _) => {}
        }
    }

    /// Gives up on a delivery that was never answered. D1 is down, so no record is to blame.
    pub(super) fn time_out_delivery(&mut self, now: Millis) {
        if self.outbox.in_flight.is_some() && self.outbox.timed_out_at() <= now {
            self.outbox.in_flight = None;
            self.outbox.suspect = None;
            self.outbox.failures = self.outbox.failures.saturating_add(1);
            self.back_off(now);
        }
    }

    fn back_off(&mut self, now: Millis) {
        let lacking_ms = self.outbox.lacking_since.map_or(0, |since| now.saturating_sub(since));
        let retry_in_ms = retry_in_ms(self.outbox.failures, lacking_ms, self.next_random());
        self.outbox.retry_at = now.saturating_add(retry_in_ms);
        self.log(Event::DeliveryFailed { failures: self.outbox.failures, retry_in_ms });
    }

    /// Counts a failure of the suspect while D1 works. One may be chance; after several the record is parked.
    fn count_doubt(&mut self, records: &dyn Records) {
        self.outbox.doubts = self.outbox.doubts.saturating_add(1);
        self.outbox.suspect = Some(Suspect::Failed);
        if self.outbox.doubts >= DELIVERY_DOUBTS_MAX {
            self.outbox.doubts = 0;
            self.park(records);
        }
    }

    fn park(&mut self, records: &dyn Records) {
        self.outbox.suspect = None;
        let Ok(page) = records.after(self.outbox.delivered, 1, 0) else { return };
        let Some(record) = page.records.first() else { return };
        self.outbox.delivered = record.seq;
        self.outbox.confirmed = None;
        self.outbox.failures = 0;
        self.outbox.retry_at = 0;
        self.store(vec![Write::Park { seq: record.seq }]);
        self.log(Event::Parked {
            request_id: record.request_id.clone(),
            message_id: record.message_id.clone(),
        });
    }

    pub(super) fn deliver(&mut self, now: Millis) {
        self.save_progress();
        if self.delivery_due_at().is_some_and(|at| at <= now) {
            self.outbox.in_flight = Some(self.outbox.next_step());
            self.outbox.sent_at = now;
            self.outputs.push_back(Output::Deliver);
        }
    }

    /// Returns when the next delivery is to begin; `None` while one is under way.
    pub(super) fn delivery_due_at(&self) -> Option<Millis> {
        let waits_until = || self.answer_awaited_until().unwrap_or_default();
        (self.owes() && self.outbox.in_flight.is_none()).then(|| self.outbox.retry_at.max(waits_until()))
    }

    pub(super) fn outbox_alarm(&self) -> Option<Millis> {
        let timed_out_at = self.outbox.in_flight.and(Some(self.outbox.timed_out_at()));
        // A running turn needs no alarm from the outbox: it has its own, and keeps the object awake for
        // timers.
        let due_at = if self.is_at_rest() { self.delivery_due_at() } else { None };
        timed_out_at.filter(|_| self.owes()).or(due_at)
    }

    /// Returns whether a thread at rest is waiting to retry something that failed.
    pub(super) fn waits_to_retry(&self) -> bool {
        self.is_at_rest() && (self.outbox.failures > 0 || self.files.has_failed())
    }

    /// Returns until when a delivery waits for the answer of a later message, which may follow soon. A
    /// question to a person is delivered at once.
    fn answer_awaited_until(&self) -> Option<Millis> {
        let is_later = self.session.as_ref().is_some_and(|session| session.message_count > 1);
        let oldest = self.turns.values().map(|turn| turn.accepted_at).min()?;
        let is_asked = self.waiting().next().is_some();
        (is_later && !is_asked).then(|| oldest.saturating_add(DELIVERY_DELAY_MS))
    }

    fn owes(&self) -> bool {
        let is_behind = self.session.is_some() && self.outbox.delivered < self.seq;
        self.config.delivers && (!self.outbox.owed.is_empty() || is_behind)
    }

    /// Writes a checkpoint when a thread comes to rest, or when waking would have to read many records.
    fn save_progress(&mut self) {
        let rests = self.is_at_rest() && !self.owes();
        let unsaved = self.seq.saturating_sub(self.outbox.saved);
        let is_saved = unsaved == 0 && self.outbox.saved_delivered == self.outbox.delivered;
        if self.session.is_none() || is_saved || (!rests && unsaved < UNSAVED_EVENTS_MAX) {
            return;
        }
        let checkpoint = self.checkpoint();
        self.store(checkpoint.map(Write::Checkpoint).into_iter().collect_vec());
    }
}

/// Returns the backoff after this many failures in a row. Hibernation forgets the number of failures; then
/// the backoff equals the time that the work has waited already, which doubles as well. Half of it is jitter,
/// so that threads that failed together do not retry together.
pub(super) fn retry_in_ms(failures: u32, waited_ms: u64, random: u64) -> u64 {
    let doublings = failures.saturating_sub(1).min(16);
    let wait = DELIVERY_RETRY_MS_MIN.saturating_mul(1 << doublings).max(waited_ms).min(DELIVERY_RETRY_MS_MAX);
    let jitter = random.checked_rem(wait / 2).unwrap_or_default();
    (wait / 2).saturating_add(jitter)
}
