//! The end of a turn. All causes share one way to end, so every turn has exactly one end and one record of
//! it.

use crate::agent::{Failed, Finished};
use crate::protocol::{CollectVec, Content, ErrorBody, Millis, ResponseMetadata, Status};

use super::answer::Answer;
use super::events::{Event, count};
use super::store::{Record, RecordKind, Write, answer_id};
use super::turn::{Turn, TurnState};
use super::{Output, PeerId, Thread, TurnId};

/// How a turn comes to its end.
#[derive(Debug)]
pub(super) enum Outcome {
    Finished(Finished),
    /// A message answers the calls that the turn waited for.
    Answered,
    /// The turn was cancelled, with the reason if nobody asked for it.
    Cancelled(Option<&'static str>),
    Interrupted(ErrorBody),
    Failed(Failed),
}

impl Thread {
    /// Cancels one turn, or all. A turn that is over or unknown is ignored.
    pub(super) fn cancel(&mut self, now: Millis, by: Option<&PeerId>, request_id: Option<&str>) {
        let is_meant = |turn: &Turn| request_id.is_none_or(|id| turn.request_id == id);
        let meant: Vec<TurnId> =
            self.turns.iter().filter(|(_, turn)| is_meant(turn)).map(|(id, _)| *id).collect_vec();
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

    /// Ends a turn; every end goes through here. A turn that is over already is ignored.
    pub(super) fn end(&mut self, now: Millis, id: TurnId, outcome: Outcome) {
        self.end_with(now, id, outcome, Vec::new());
    }

    /// Ends a turn with other writes in the same commit. The gathered text goes out first, so that clients
    /// hold the whole answer before they hear of its end.
    pub(super) fn end_with(&mut self, now: Millis, id: TurnId, outcome: Outcome, mut writes: Vec<Write>) {
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
        self.log_end(&record, first_content_ms, turn);
    }

    fn log_end(&mut self, record: &Record, first_content_ms: Option<u64>, turn: Turn) {
        let turns = count(&mut self.counters.turns);
        if let RecordKind::Answer { status, error, metadata, .. } = &record.kind {
            let ended = Event::TurnEnded {
                connection_id: turn.accepted_by,
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
            self.log_in(turn.trace, ended);
        }
    }

    /// Returns the record of the turn's answer. Time spent waiting for people does not count towards its
    /// latency.
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
}
