//! Chooses the turn to run next. The rule is here once, for turns that are sent, that wait for people, and
//! that a crash interrupted.

use crate::agent::{Failed, Finished};
use crate::protocol::{Millis, ServerFrame};

use super::answer::Answer;
use super::ending::Outcome;
use super::events::Event;
use super::running::Running;
use super::store::{Record, Records, StoreError, Write};
use super::turn::{Turn, TurnState};
use super::{Output, Thread, TurnId, unreadable};

impl Thread {
    pub(super) fn queued_frame(&self, turn: TurnId, request_id: &str) -> Option<ServerFrame> {
        let position = self.queue_position(turn)?;
        Some(ServerFrame::Queued { request_id: request_id.to_owned(), position })
    }

    pub(super) fn start(&mut self, now: Millis, turn: TurnId) {
        let (slot, reply) = (self.free_slot(), self.agent.reply());
        if let Some(turn) = self.turns.get_mut(&turn) {
            turn.state = TurnState::Running(Box::new(Running::new(slot, now, Some(reply))));
        }
        self.outputs.push_back(Output::StartAgent { turn });
    }

    /// Starts turns while there is room. Turns that waited for people come before queued ones.
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

    /// Shows an answer that no turn asked for. Its turn ends as it begins.
    pub(super) fn show_appended(
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

    pub(super) fn queued(&self) -> impl Iterator<Item = TurnId> {
        self.turns.iter().filter(|(_, turn)| matches!(turn.state, TurnState::Queued)).map(|(id, _)| *id)
    }

    /// Returns the queued turn to start next. If only one turn may run at a time, queued ones also wait while
    /// a person is asked.
    pub(super) fn next_queued(&self) -> Option<TurnId> {
        let is_held = self.config.concurrent_turns == 1 && self.waiting().next().is_some();
        // An appended answer starts no agent, so it need not wait.
        let may_start = |id: &TurnId| !is_held || self.turns.get(id).is_some_and(|turn| turn.is_appended);
        self.queued().find(may_start)
    }

    /// Returns whether no turn runs and none is about to start. A thread at rest needs no alarm and no timer
    /// for turns.
    pub(super) fn is_at_rest(&self) -> bool {
        let starts = || self.next_to_go_on().or_else(|| self.next_queued());
        self.running().next().is_none() && starts().is_none()
    }

    pub(super) fn queue_position(&self, turn: TurnId) -> Option<usize> {
        self.queued().position(|queued| queued == turn).map(|index| index.saturating_add(1))
    }

    pub(super) fn has_place(&self) -> bool {
        self.running().count() < self.config.concurrent_turns
    }

    pub(super) fn free_slot(&self) -> usize {
        let is_free = |slot: &usize| self.running().all(|(_, running)| running.slot != *slot);
        (0..self.config.concurrent_turns).find(is_free).unwrap_or_default()
    }
}
