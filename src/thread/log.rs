//! The event log: what a client at a given place lacks.

use crate::protocol::limits::{
    CATCH_UP_BYTES_MAX, CATCH_UP_MESSAGES_MAX, PAYLOAD_BYTES_MAX, SNAPSHOT_MESSAGES_MAX,
};
use crate::protocol::{
    Cursor, InFlight, InFlightState, Message, Progress, ServerFrame, Session, SnapshotReason,
};

use super::answer::{Answer, Missing, Piece, begun};
use super::store::{Record, RecordKind, Records, StoreError, answer_id};
use super::stream::parts;
use super::turn::Turn;
use super::{PeerId, Thread, TurnId};

/// Log events for one client, and the place that each leaves it at.
struct CatchUp {
    at: Cursor,
    frames: Vec<ServerFrame>,
}

impl Thread {
    /// The events after `from`, a turn's missing text in one piece. `None` if no client of this log
    /// can be there, or only one that is too far behind.
    pub(super) fn catch_up(
        &self,
        records: &dyn Records,
        from: &Cursor,
    ) -> Result<Option<Vec<ServerFrame>>, StoreError> {
        let Some(session) = self.shown_session() else {
            return Ok(from.is_start().then(Vec::new));
        };
        let is_here = from.is_start() || (from.epoch == self.epoch && from.seq <= self.seq);
        if !is_here {
            return Ok(None);
        }
        let page = records.after(from.seq, CATCH_UP_MESSAGES_MAX, CATCH_UP_BYTES_MAX)?;
        if page.more || !self.holds(from, &page.records) {
            return Ok(None);
        }
        let at = Cursor { epoch: self.epoch, ..from.clone() };
        let mut catch_up = CatchUp { at, frames: Vec::new() };
        let complete = page.records.iter().try_for_each(|record| catch_up.record(record));
        let complete = complete.and_then(|()| {
            self.running().try_for_each(|(turn, running)| {
                let request_id = self.turns.get(&turn).map(|turn| turn.request_id.as_str())?;
                catch_up.answer(turn, request_id, &running.sent())
            })
        });
        if from.seq < self.seq {
            catch_up.session(self.seq, &session);
        }
        Ok(complete.map(|()| catch_up.frames))
    }

    /// Whether the turns of which a cursor holds a part were running at its place.
    fn holds(&self, from: &Cursor, after: &[Record]) -> bool {
        from.progress.iter().all(|held| {
            let ended_later = || after.iter().any(|record| record.is_end() && record.turn == held.turn);
            let is_running = || self.turns.get(&held.turn).is_some_and(|turn| turn.running().is_some());
            held.turn <= from.seq && (is_running() || ended_later())
        })
    }

    /// The newest messages and the running answers; what does not fit into the snapshot of the
    /// answers follows in `token` and `block` frames, and the blocks that still grow after it.
    pub(super) fn snapshot(
        &self,
        records: &dyn Records,
        peer: &PeerId,
        reason: SnapshotReason,
    ) -> Result<Vec<ServerFrame>, StoreError> {
        let page = match &self.session {
            Some(_) => {
                records.before(self.seq.saturating_add(1), SNAPSHOT_MESSAGES_MAX, PAYLOAD_BYTES_MAX)?
            }
            None => super::store::Page::default(),
        };
        let messages: Vec<Message> =
            page.records.iter().rev().map(|record| record.message(self.epoch)).collect();
        let bytes_max = self.head_bytes_max(&page.records);
        let heads: Vec<(TurnId, &Turn, Answer)> =
            self.turns.iter().map(|(id, turn)| (*id, turn, turn_head(turn, bytes_max))).collect();
        let mut at = self.head();
        for (turn, _, head) in &heads {
            at.set(head.held(*turn));
        }
        let frame = ServerFrame::Snapshot {
            reason,
            messages,
            has_more: page.more,
            in_flight: heads
                .iter()
                .map(|(id, turn, head)| in_flight(answer_id(self.epoch, *id), turn, head))
                .collect(),
            session: self.visible_session(peer),
            cursor: at.clone(),
        };
        let mut catch_up = CatchUp { at, frames: vec![frame] };
        for (turn, running) in self.running() {
            if let Some(request_id) = self.turns.get(&turn).map(|turn| turn.request_id.as_str()) {
                let _ = catch_up.answer(turn, request_id, &running.sent());
            }
        }
        Ok(catch_up.frames)
    }

    /// How much of each running answer stands in a snapshot beside these messages, so that all of it
    /// stays within what clients accept.
    fn head_bytes_max(&self, messages: &[Record]) -> usize {
        let is_large = messages.iter().any(|record| record.content.text().len() > PAYLOAD_BYTES_MAX / 2);
        let shared = if is_large { 0 } else { PAYLOAD_BYTES_MAX };
        shared.checked_div(self.running().count()).unwrap_or_default()
    }

    pub(super) fn in_flight_states(&self) -> Vec<InFlightState> {
        let states = self.turns.iter().map(|(id, turn)| InFlightState {
            request_id: turn.request_id.clone(),
            answer_id: answer_id(self.epoch, *id),
            state: turn.state_name(),
        });
        states.collect()
    }
}

impl CatchUp {
    fn record(&mut self, record: &Record) -> Option<()> {
        if let RecordKind::Answer { events, .. } = &record.kind {
            let answer = Answer::from_content(&record.content, events.as_ref());
            if record.is_broken_off() && answer.may_lack(self.at.of(record.turn)) {
                return None;
            }
            self.answer(record.turn, &record.request_id, &answer)?;
            self.at.forget(record.turn);
        }
        self.at.seq = record.seq;
        self.frames.push(record.frame(self.at.epoch, self.at.clone()));
        Some(())
    }

    /// What is missing of an answer.
    fn answer(&mut self, turn: TurnId, request_id: &str, answer: &Answer) -> Option<()> {
        for Missing { piece, blocks } in answer.rest(self.at.of(turn))? {
            match piece {
                Piece::Text(text) => {
                    for part in parts(text) {
                        // With text behind it, a block that was never finished is dropped.
                        let bytes = |held: Progress| held.bytes.saturating_add(part.len());
                        self.advance(turn, |held| Progress {
                            bytes: bytes(held),
                            blocks,
                            open: None,
                            ..held
                        });
                        let (cursor, request_id) = (self.at.clone(), request_id.to_owned());
                        self.frames.push(ServerFrame::Token { cursor, request_id, token: part.to_owned() });
                    }
                }
                Piece::Block { index, block } => {
                    self.advance(turn, |held| Progress { blocks, open: None, ..held });
                    let (cursor, request_id, block) = (self.at.clone(), request_id.to_owned(), block.clone());
                    self.frames.push(ServerFrame::Block { cursor, request_id, index, block });
                }
                Piece::Begin { index, block } => {
                    self.advance(turn, |held| Progress { blocks, open: Some(0), ..held });
                    let (cursor, request_id, block) = (self.at.clone(), request_id.to_owned(), begun(block));
                    self.frames.push(ServerFrame::BlockStart { cursor, request_id, index, block });
                }
                Piece::Grow { index, delta } => {
                    for part in parts(delta) {
                        let add = |open: Option<usize>| open.unwrap_or_default().saturating_add(part.len());
                        self.advance(turn, |held| Progress { open: Some(add(held.open)), ..held });
                        let (cursor, request_id) = (self.at.clone(), request_id.to_owned());
                        let delta = part.to_owned();
                        self.frames.push(ServerFrame::BlockDelta { cursor, request_id, index, delta });
                    }
                }
            }
        }
        Some(())
    }

    fn session(&mut self, seq: u64, session: &Session) {
        self.at.seq = seq;
        self.frames.push(ServerFrame::Session { cursor: self.at.clone(), session: session.clone() });
    }

    fn advance(&mut self, turn: TurnId, step: impl FnOnce(Progress) -> Progress) {
        let held = self.at.of(turn);
        self.at.set(step(held));
    }
}

fn turn_head(turn: &Turn, bytes_max: usize) -> Answer {
    turn.running().map(|running| running.answer.head(bytes_max.min(running.sent_bytes))).unwrap_or_default()
}

fn in_flight(answer_id: String, turn: &Turn, head: &Answer) -> InFlight {
    InFlight {
        request_id: turn.request_id.clone(),
        answer_id,
        state: turn.state_name(),
        content: head.text().to_owned(),
        blocks: head.blocks().unwrap_or_default(),
    }
}
