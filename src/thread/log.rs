//! The event log: which events a client at a given cursor lacks.

use litemap::LiteMap;

use crate::protocol::limits::{
    CATCH_UP_BYTES_MAX, CATCH_UP_MESSAGES_MAX, PAYLOAD_BYTES_MAX, SNAPSHOT_MESSAGES_MAX,
};
use crate::protocol::{
    CollectVec, Cursor, InFlight, InFlightState, Message, Progress, ServerFrame, Session, SnapshotReason,
};

use super::answer::{Answer, Missing, Piece, begun};
use super::store::{Record, RecordKind, Records, StoreError, answer_id};
use super::stream::parts;
use super::turn::{Turn, TurnState};
use super::{PeerId, Thread, TurnId};

/// Log events for one client, and the cursor after each of them.
pub(super) struct CatchUp {
    at: Cursor,
    /// The client's progress in turns that have waited and that its cursor does not name.
    unnamed: LiteMap<TurnId, Progress>,
    pub(super) frames: Vec<ServerFrame>,
}

impl Thread {
    /// Returns the events after `from`, with the missing text of each turn in one piece. If no client of this
    /// log can have this cursor, or it is too far behind, returns the reason for a snapshot.
    pub(super) fn catch_up(
        &self,
        records: &dyn Records,
        from: &Cursor,
    ) -> Result<Result<Vec<ServerFrame>, SnapshotReason>, StoreError> {
        let unknown = Err(SnapshotReason::Reset);
        let Some(session) = self.shown_session() else {
            return Ok(if from.is_start() { Ok(Vec::new()) } else { unknown });
        };
        let is_here = from.is_start() || (from.epoch == self.epoch && from.seq <= self.seq);
        if !is_here {
            return Ok(unknown);
        }
        let page = records.events(from.seq, CATCH_UP_MESSAGES_MAX, CATCH_UP_BYTES_MAX)?;
        let branches = if page.more { None } else { self.branches(records, &page.records)? };
        let Some(mut branches) = branches else {
            let is_elsewhere = from.seq < self.path.since() && !from.is_start();
            return Ok(if is_elsewhere { Err(SnapshotReason::Branch) } else { unknown });
        };
        if !self.holds(from, &page.records) {
            return Ok(unknown);
        }
        let mut at = from.clone();
        at.epoch = self.epoch;
        let Some(unnamed) = self.unnamed(records, from, &page.records)? else { return Ok(unknown) };
        let beside = self.beside(records, page.records.iter())?;
        let mut catch_up = CatchUp { at, unnamed, frames: Vec::new() };
        let complete = page.records.iter().try_for_each(|record| {
            if let Some((_, messages)) = branches.iter_mut().find(|(seq, _)| *seq == record.seq) {
                catch_up.branch(record, std::mem::take(messages));
            }
            let event = |cursor| self.event_of(&beside, record, cursor);
            catch_up.record(record, &event)
        });
        let complete = complete.and_then(|()| {
            let mut answers = self.turns.iter().filter_map(|(id, turn)| Some((*id, turn, sent(turn)?)));
            answers.try_for_each(|(id, turn, answer)| catch_up.answer(id, &turn.request_id, &answer))
        });
        if from.seq < self.seq {
            catch_up.session(self.seq, &session);
        }
        Ok(complete.map(|()| catch_up.frames).ok_or(SnapshotReason::Reset))
    }

    /// Returns the client's progress in turns that had waited at its cursor but are not named there, as given
    /// by the last event of each turn. Returns `None` if that event cannot be read.
    fn unnamed(
        &self,
        records: &dyn Records,
        from: &Cursor,
        after: &[Record],
    ) -> Result<Option<LiteMap<TurnId, Progress>>, StoreError> {
        let mut unnamed = LiteMap::new();
        let open = self.turns.iter().filter(|(_, turn)| turn.answer().is_some()).map(|(id, _)| *id);
        for turn in open.chain(after.iter().map(|record| record.turn)) {
            let is_named = from.progress.iter().any(|held| held.turn == turn);
            if turn > from.seq || is_named || unnamed.contains_key(&turn) {
                continue;
            }
            let held = match records.rounds(turn, from.seq)?.last() {
                None => Progress { turn, ..Progress::default() },
                Some(last) => match last.held() {
                    None => return Ok(None),
                    Some(held) => held,
                },
            };
            unnamed.insert(turn, held);
        }
        Ok(Some(unnamed))
    }

    /// Returns whether all turns that a cursor names were running at that place of the log.
    fn holds(&self, from: &Cursor, after: &[Record]) -> bool {
        from.progress.iter().all(|held| {
            let ended_later = || after.iter().any(|record| record.is_end() && record.turn == held.turn);
            let is_open = || self.turns.get(&held.turn).is_some_and(|turn| turn.answer().is_some());
            held.turn <= from.seq && (is_open() || ended_later())
        })
    }

    /// Builds a snapshot with the newest messages and the running answers. Parts of the answers that do not
    /// fit follow in `token` and `block` frames, and then the blocks that still grow.
    pub(super) fn snapshot(
        &self,
        records: &dyn Records,
        peer: &PeerId,
        reason: SnapshotReason,
    ) -> Result<Vec<ServerFrame>, StoreError> {
        let page = match &self.session {
            Some(_) => {
                let end = self.seq.saturating_add(1);
                records.before(&self.path, end, SNAPSHOT_MESSAGES_MAX, PAYLOAD_BYTES_MAX)?
            }
            None => super::store::Page::default(),
        };
        let mut messages = self.messages(records, &page.records)?;
        messages.reverse();
        let bytes_max = self.head_bytes_max(&page.records);
        let heads: Vec<(TurnId, &Turn, Answer)> =
            self.turns.iter().map(|(id, turn)| (*id, turn, turn_head(turn, bytes_max))).collect_vec();
        let (mut at, mut unnamed) = (self.head(), LiteMap::new());
        for (id, turn, head) in &heads {
            let held = head.held(*id);
            // A waiting answer is in the log, so the cursor of a client that holds all of it need not name
            // it.
            if turn.waiting().is_some_and(|waiting| waiting.answer.held(*id) == held) {
                unnamed.insert(*id, held);
            } else {
                at.set(held);
            }
        }
        let frame = ServerFrame::Snapshot {
            reason,
            messages,
            has_more: page.more,
            in_flight: heads
                .iter()
                .map(|(id, turn, head)| in_flight(answer_id(self.epoch, *id), turn, head))
                .collect_vec(),
            session: self.visible_session(peer),
            cursor: at.clone(),
        };
        let mut catch_up = CatchUp { at, unnamed, frames: vec![frame] };
        for (id, turn) in self.turns.iter() {
            if let Some(answer) = sent(turn) {
                let _ = catch_up.answer(*id, &turn.request_id, &answer);
            }
        }
        Ok(catch_up.frames)
    }

    /// Returns how much of each running answer goes into a snapshot beside these messages, so that the whole
    /// stays within the clients' limit.
    fn head_bytes_max(&self, messages: &[Record]) -> usize {
        let is_large = messages.iter().any(|record| record.content.text().len() > PAYLOAD_BYTES_MAX / 2);
        let shared = if is_large { 0 } else { PAYLOAD_BYTES_MAX };
        let answers = self.turns.values().filter(|turn| turn.answer().is_some()).count();
        shared.checked_div(answers).unwrap_or_default()
    }

    pub(super) fn in_flight_states(&self) -> Vec<InFlightState> {
        let states = self.turns.iter().map(|(id, turn)| InFlightState {
            request_id: turn.request_id.clone(),
            answer_id: answer_id(self.epoch, *id),
            state: turn.state_name(),
        });
        states.collect_vec()
    }
}

impl CatchUp {
    pub(super) fn at(at: Cursor) -> Self {
        CatchUp { at, unnamed: LiteMap::new(), frames: Vec::new() }
    }

    /// Adds the `branch` event of a record that changed the path.
    fn branch(&mut self, record: &Record, messages: Vec<Message>) {
        // The branch of a new version of a message goes before that message, since the message belongs to the new path.
        let is_before = matches!(record.kind, RecordKind::Question { .. });
        let seq = record.seq.saturating_sub(u64::from(is_before));
        if self.at.seq < seq {
            self.at.seq = seq;
            self.frames.extend(record.branch_frame(self.at.epoch, self.at.clone(), messages));
        }
    }

    pub(super) fn record(
        &mut self,
        record: &Record,
        event: &dyn Fn(Cursor) -> Option<ServerFrame>,
    ) -> Option<()> {
        let (turn, held) = (record.turn, self.held(record.turn));
        match &record.kind {
            // An appended answer is shown whole by its end.
            RecordKind::Question { .. } | RecordKind::Answer { is_appended: true, .. } => {}
            RecordKind::Append { .. } | RecordKind::Regenerate { .. } | RecordKind::Select(_) => {
                self.at.seq = record.seq;
                return Some(());
            }
            RecordKind::Answer { events, .. } => {
                let answer = Answer::from_content(&record.content, events.as_ref());
                if record.is_broken_off() && answer.may_lack(held) {
                    return None;
                }
                self.answer(turn, &record.request_id, &answer)?;
                self.at.forget(turn);
            }
            RecordKind::Waiting { round, .. } => {
                let answer = Answer::from_content(&record.content, round.as_ref()?.events.as_ref());
                self.answer(turn, &record.request_id, &answer)?;
                self.at.forget(turn);
                self.unnamed.insert(turn, answer.held(turn));
            }
            RecordKind::Decision(_) | RecordKind::Output(_) => {
                let after = record.held()?;
                if held.bytes != after.bytes || held.blocks.saturating_add(1) != after.blocks {
                    // The missing part is not in this record. The next record that has the answer brings all
                    // of it.
                    self.at.set(held);
                    self.at.seq = record.seq;
                    return Some(());
                }
                let is_given = matches!(record.kind, RecordKind::Output(_));
                self.hold(Progress { open: held.open.filter(|_| !is_given), ..after });
            }
        }
        self.at.seq = record.seq;
        self.frames.extend(event(self.at.clone()));
        Some(())
    }

    fn held(&self, turn: TurnId) -> Progress {
        let unnamed = || self.unnamed.get(&turn).copied();
        let named = self.at.progress.iter().copied().find(|held| held.turn == turn);
        named.or_else(unnamed).unwrap_or(Progress { turn, ..Progress::default() })
    }

    /// Notes the progress in a turn, but only if the cursor names that turn already.
    fn hold(&mut self, held: Progress) {
        if self.at.progress.iter().any(|named| named.turn == held.turn) {
            self.at.set(held);
        } else {
            self.unnamed.insert(held.turn, held);
        }
    }

    /// Adds the missing part of an answer.
    pub(super) fn answer(&mut self, turn: TurnId, request_id: &str, answer: &Answer) -> Option<()> {
        for Missing { piece, blocks } in answer.rest(self.held(turn))? {
            match piece {
                Piece::Text(text) => {
                    for part in parts(text) {
                        // If text follows, a block that was never finished was dropped.
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
        let held = self.held(turn);
        self.at.set(step(held));
    }
}

fn turn_head(turn: &Turn, bytes_max: usize) -> Answer {
    let sent_bytes = turn.running().map_or(usize::MAX, |running| running.sent_bytes);
    turn.answer().map(|answer| answer.head(bytes_max.min(sent_bytes))).unwrap_or_default()
}

/// Returns the part of a turn's answer that clients were sent.
pub(super) fn sent(turn: &Turn) -> Option<Answer> {
    match &turn.state {
        TurnState::Queued => None,
        TurnState::Running(running) => Some(running.sent()),
        TurnState::Waiting(waiting) => Some(waiting.answer.clone()),
    }
}

fn in_flight(answer_id: String, turn: &Turn, head: &Answer) -> InFlight {
    InFlight {
        request_id: turn.request_id.clone(),
        answer_id,
        state: turn.state_name(),
        content: head.text().to_owned(),
        blocks: head.blocks().unwrap_or_default(),
        tool_use_ids: turn.waiting().map(|waiting| waiting.answer.open_calls(&waiting.round.client_calls)),
    }
}
