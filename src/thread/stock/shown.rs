//! Shows a stock client the turn that it asks for, from the turn's beginning or from the place that the client holds.

use crate::protocol::limits::STOCK_REQUESTS_MAX;
use crate::protocol::{
    ClientFrame, CloseCode, Cursor, ErrorBody, ErrorCode, Message, Millis, Progress, Role, ServerFrame, Since,
};
use crate::thread::access::Follows;
use crate::thread::answer::Answer;
use crate::thread::log::{self, CatchUp};
use crate::thread::running::Running;
use crate::thread::store::{Record, RecordKind, Records, StoreError, answer_id};
use crate::thread::turn::{Turn, TurnState};
use crate::thread::{Audience, Origin, Output, PeerId, Thread, TurnId, unreadable};

/// The turn that a client asks for, and how much of it the client holds.
pub(super) struct Shown {
    /// The message that shows this turn begins with the turn of the first of these records.
    pub(super) chain: Vec<Record>,
    /// `None` if the client is to be sent the whole message.
    pub(super) held: Option<Held>,
}

/// The part of a message that a client holds.
pub(in crate::thread) struct Held {
    /// The number of the message's turn that was told last. The turns before it were told completely.
    nth: usize,
    /// How much of that turn the client holds.
    answer: Answer,
    since: Since,
}

/// The part of a turn's answer that was sent to stock clients.
fn sent(turn: &Turn) -> Option<Answer> {
    turn.running().map(Running::shown).or_else(|| log::sent(turn))
}

impl Thread {
    /// Shows a run, from its beginning or from a place within it.
    pub(super) fn show_run(
        &mut self,
        now: Millis,
        records: &dyn Records,
        origin: Origin<'_>,
        run: &str,
        from: Option<(Progress, Since)>,
    ) {
        let sync = ClientFrame::SessionSync { cursor: None };
        if !self.admits(now, origin, &sync) || self.refuses_read(now, origin) {
            return;
        }
        let renamed = self.runs.iter().rev().find(|(name, _)| name == run).map(|(_, turn)| turn.as_str());
        let known = if self.session.is_some() { records.request(renamed.unwrap_or(run)) } else { Ok(None) };
        // An answer that nobody asked for is shown once it has its place in the log.
        let waits = |known: &Record| self.turns.get(&known.turn).is_some_and(|turn| turn.is_appended);
        let known = known.map(|known| known.filter(|known| !waits(known)));
        let found = known.and_then(|known| known.map(|known| Self::chain(records, known.turn)).transpose());
        let answer = |turn: TurnId| match self.turns.get(&turn) {
            Some(open) => Ok(sent(open)),
            None => Ok(records.end(turn)?.map(|end| end.answer())),
        };
        let shown = found.and_then(|chain| {
            let Some(chain) = chain else { return Ok(None) };
            let Some((held, since)) = from else {
                return Ok(Some(Shown { chain, held: None }));
            };
            let nth = usize::try_from(held.turn).unwrap_or(usize::MAX);
            let Some(turn) = chain.get(nth).map(|begun| begun.turn) else { return Ok(None) };
            let (held, answer) = (Progress { turn, ..held }, answer(turn)?.unwrap_or_default());
            let is_there = answer.rest(held).is_some();
            let (open, held) = (held.open, answer.at(held));
            // The thread does not know how much of a dropped thought's beginning the client was told.
            let is_there = is_there && (open != Some(0) || held.open().is_some());
            Ok(is_there.then_some(Shown { chain, held: Some(Held { nth, answer: held, since }) }))
        });
        match shown {
            Ok(Some(shown)) => self.show(records, origin, &shown),
            Ok(None) => {
                let message =
                    "there is no such run in this session, or no such place in it; load the session again";
                self.refuse(origin, ErrorBody::fatal(ErrorCode::NotFound, message));
            }
            Err(StoreError(_)) => self.refuse(origin, unreadable()),
        }
    }

    /// Shows a turn that waits or continues to a client that knows these calls of it.
    pub(super) fn show_rest(
        &mut self,
        records: &dyn Records,
        origin: Origin<'_>,
        turn: TurnId,
        known: &[String],
    ) {
        let shown = Self::told_with(records, turn, known).and_then(|held| {
            // A turn that has not waited is already being sent, up to the newest piece.
            let answer = held.or_else(|| self.turns.get(&turn).and_then(sent)).unwrap_or_default();
            let chain = Self::chain(records, turn)?;
            let nth = chain.len().saturating_sub(1);
            Ok(Shown { chain, held: Some(Held { nth, answer, since: Since::GoingOn(0) }) })
        });
        match shown {
            Ok(shown) => self.show(records, origin, &shown),
            Err(StoreError(_)) => self.refuse(origin, unreadable()),
        }
    }

    /// Returns how much of a turn a client was told when the turn last waited while these calls, which the client
    /// knows, were open. `None` if the turn has not waited.
    fn told_with(
        records: &dyn Records,
        turn: TurnId,
        known: &[String],
    ) -> Result<Option<Answer>, StoreError> {
        let (mut until, mut last) = (u64::MAX >> 1, None);
        while let Some(waited) = records.rounds(turn, until)?.into_iter().next() {
            until = waited.seq.saturating_sub(1);
            let RecordKind::Waiting { round: Some(round), .. } = &waited.kind else {
                // The client may have been told this wait, and then lacks everything after it.
                return Err(StoreError("the record of a wait cannot be read".into()));
            };
            let told = Answer::from_content(&waited.content, round.events.as_ref());
            let open = told.open_calls(&round.client_calls);
            let is_open =
                |name: &String| told.call_named(name).is_some_and(|call| open.iter().any(|it| it == call));
            if known.iter().any(is_open) {
                return Ok(Some(told));
            }
            last = last.or(Some(told));
        }
        Ok(last)
    }

    /// Shows the running turn, or else one that waits, or else one that is queued, or else the last one.
    pub(super) fn show_last(&mut self, now: Millis, records: &dyn Records, origin: Origin<'_>) {
        let sync = ClientFrame::SessionSync { cursor: None };
        if !self.admits(now, origin, &sync) || self.refuses_read(now, origin) {
            return;
        }
        let rank = |turn: &Turn| match turn.state {
            TurnState::Running(_) => 0,
            TurnState::Waiting(_) => 1,
            TurnState::Queued => 2,
        };
        // An answer that nobody asked for is shown once it has its place in the log.
        let ranked = self.turns.iter().filter(|(_, turn)| !turn.is_appended);
        let ranked = ranked.map(|(id, turn)| (rank(turn), *id));
        let open = ranked.min().map(|(_, id)| id);
        let Some(turn) = open.or(self.last_turn.as_ref().map(|(last, _)| *last)) else {
            return self.unfollow_peer(origin.peer, CloseCode::Normal);
        };
        match Self::chain(records, turn) {
            Ok(chain) => self.show(records, origin, &Shown { chain, held: None }),
            Err(StoreError(_)) => self.refuse(origin, unreadable()),
        }
    }

    pub(super) fn show(&mut self, records: &dyn Records, origin: Origin<'_>, shown: &Shown) {
        let Some(begun) = shown.chain.last() else {
            return self.unfollow_peer(origin.peer, CloseCode::Normal);
        };
        let (id, request_id) = (begun.turn, begun.request_id.clone());
        let end = if self.turns.contains_key(&id) { Ok(None) } else { records.end(id) };
        let Ok(end) = end else { return self.refuse(origin, unreadable()) };
        self.follow_turn(origin.peer, request_id);
        let last = shown.chain.len().saturating_sub(1);
        let (before, held) = match &shown.held {
            Some(held) if held.nth < last => {
                (self.frames_behind(records, origin.peer, &shown.chain, held), None)
            }
            held => {
                let before = shown.chain.get(..last).unwrap_or_default();
                (self.frames_of(records, before, &begun.request_id), held.as_ref())
            }
        };
        let Ok(mut frames) = before else { return self.refuse(origin, unreadable()) };
        frames.extend(self.appended_frames(begun, end.as_ref()));
        self.show_from(records, origin.peer, frames, begun, held, end.as_ref());
    }

    /// The frames that come before the last turn of a message, for a client that holds this much of an earlier turn.
    fn frames_behind(
        &mut self,
        records: &dyn Records,
        peer: &PeerId,
        chain: &[Record],
        held: &Held,
    ) -> Result<Vec<ServerFrame>, StoreError> {
        let ([before @ .., part], [behind @ .., last]) = chain.split_at(held.nth.saturating_add(1)) else {
            return Ok(Vec::new());
        };
        let name = &last.request_id;
        let mut all = CatchUp::at(self.head());
        all.frames = self.frames_of(records, before, name)?;
        all.frames.extend(self.begun_frame(records, &Record { request_id: name.clone(), ..part.clone() }));
        let _ = all.answer(part.turn, name, &held.answer);
        let frames = std::mem::take(&mut all.frames);
        if let Some(end) = records.end(part.turn)? {
            let _ = all.answer(part.turn, name, &end.answer());
        }
        all.frames.extend(self.frames_of(records, behind, name)?);
        if let Audience::One(peer, dialect) = self.audience(peer) {
            let since = held.since;
            self.outputs.push_back(Output::Holds { peer, dialect, frames, since, waits: false });
        }
        Ok(all.frames)
    }

    /// Lets a peer follow this turn. From now on the turn is also known by the name of the peer's run.
    pub(super) fn follow_turn(&mut self, peer: &PeerId, request_id: String) {
        if let Some(peer) = self.peers.get_mut(peer) {
            if let Some(run) = peer.run.as_ref().filter(|run| **run != request_id) {
                self.runs.retain(|(name, _)| name != run);
                self.runs.push((run.clone(), request_id.clone()));
                let over = self.runs.len().saturating_sub(STOCK_REQUESTS_MAX);
                self.runs.drain(..over);
            }
            peer.follows = Follows::Turn(request_id);
        }
        self.attach(peer.clone());
    }

    /// Shows a turn so far, after `frames`, to a client that already holds this much of it.
    pub(in crate::thread) fn show_from(
        &mut self,
        records: &dyn Records,
        peer: &PeerId,
        frames: Vec<ServerFrame>,
        begun: &Record,
        held: Option<&Held>,
        end: Option<&Record>,
    ) {
        let (epoch, id) = (self.epoch, begun.seq);
        let mut shown = CatchUp::at(Cursor::at(epoch, id));
        shown.frames = frames;
        shown.frames.extend(self.begun_frame(records, begun));
        shown.frames.extend(self.queued_frame(id, &begun.request_id));
        let mut before = None;
        if let Some(Held { answer, since, .. }) = held {
            let _ = shown.answer(id, &begun.request_id, answer);
            before = Some((std::mem::take(&mut shown.frames), *since));
        }
        let turn = self.turns.get(&id);
        if let Some(answer) = turn.and_then(sent) {
            let _ = shown.answer(id, &begun.request_id, &answer);
        }
        let waits = turn.and_then(Turn::waiting).filter(|waiting| waiting.answered_at.is_none());
        let waits = waits.map(|waiting| ServerFrame::Waiting {
            cursor: self.head(),
            request_id: begun.request_id.clone(),
            tool_use_ids: waiting.answer.open_calls(&waiting.round.client_calls),
        });
        if let (Some((frames, since)), Audience::One(peer, dialect)) = (before, self.audience(peer)) {
            let waits = waits.is_some() && shown.frames.is_empty();
            self.outputs.push_back(Output::Holds { peer, dialect, frames, since, waits });
        }
        let is_over = end.is_some() || waits.is_some();
        shown.frames.extend(waits);
        if let Some(end) = end
            && shown.record(end, &|cursor| end.frame(epoch, cursor)).is_none()
        {
            // The client may hold more than was left after a crash.
            let _ = shown.answer(id, &begun.request_id, &end.answer());
            shown.frames.extend(end.frame(epoch, self.head()));
        }
        self.send_asked(peer, shown.frames);
        if is_over {
            self.unfollow_peer(peer, CloseCode::Normal);
        }
    }

    /// The frames of finished turns, under the name of the turn that continues them.
    pub(super) fn frames_of(
        &self,
        records: &dyn Records,
        turns: &[Record],
        name: &str,
    ) -> Result<Vec<ServerFrame>, StoreError> {
        let mut all = CatchUp::at(self.head());
        for begun in turns {
            all.frames
                .extend(self.begun_frame(records, &Record { request_id: name.to_owned(), ..begun.clone() }));
            if let Some(end) = records.end(begun.turn)? {
                let _ = all.answer(begun.turn, name, &end.answer());
            }
        }
        Ok(all.frames)
    }

    /// The frame with which a turn begins, for its followers.
    pub(in crate::thread) fn begun_frame(
        &self,
        records: &dyn Records,
        begun: &Record,
    ) -> Option<ServerFrame> {
        let cursor = Cursor::at(self.epoch, begun.seq);
        let beside = self.beside(records, std::iter::once(begun)).unwrap_or_default();
        self.event_of(&beside, begun, cursor.clone())
            .or_else(|| begun.branch_frame(self.epoch, cursor, Vec::new()))
    }

    /// The frames of an answer that no message asked for, without its end. It is shown like an answer that is made
    /// again.
    fn appended_frames(&self, begun: &Record, end: Option<&Record>) -> Vec<ServerFrame> {
        let (true, Some(end)) = (matches!(begun.kind, RecordKind::Append { .. }), end) else {
            return Vec::new();
        };
        let mut all = CatchUp::at(Cursor::at(self.epoch, begun.seq));
        all.frames.push(ServerFrame::Branch {
            cursor: Cursor::at(self.epoch, begun.seq),
            request_id: Some(begun.request_id.clone()),
            answer_id: Some(begun.answer_id(self.epoch)),
            after: None,
            messages: Vec::new(),
        });
        let _ = all.answer(begun.turn, &begun.request_id, &end.answer());
        all.frames
    }

    /// The questions of the turns that are shown as one message with this one: results of calls continue the answer
    /// before them.
    pub(super) fn chain(records: &dyn Records, turn: TurnId) -> Result<Vec<Record>, StoreError> {
        let mut chain = Vec::new();
        let mut next = Some(turn);
        while let Some(turn) = next.take() {
            let Some(record) = records.these(&[turn])?.pop() else { break };
            let question = match &record.kind {
                RecordKind::Regenerate { question, .. } => records.these(&[*question])?.pop(),
                _ => None,
            };
            let question = question.as_ref().unwrap_or(&record);
            if let RecordKind::Question { parent, .. } = &question.kind
                && question.content.is_results()
            {
                next = *parent;
            }
            chain.insert(0, record);
        }
        Ok(chain)
    }

    /// Turns records, newest first, into messages, oldest first, and adds what waiting turns have said so far.
    #[must_use]
    pub fn with_waiting(&self, records: &[Record]) -> Vec<Message> {
        let mut messages = Vec::new();
        let waits = |turn: &TurnId| self.turns.get(turn).and_then(Turn::waiting);
        for record in records.iter().rev() {
            messages.push(record.message(self.epoch));
            // Another answer to the question may be the one that waits.
            let again =
                self.turns.iter().find(|(_, turn)| turn.parent == Some(record.seq) && !turn.is_appended);
            let waiting = if record.is_end() { None } else { again.map(|(id, _)| *id).or(Some(record.turn)) };
            messages.extend(waiting.and_then(|id| Some((id, waits(&id)?))).map(|(id, waiting)| Message {
                id: answer_id(self.epoch, id),
                role: Role::Assistant,
                content: waiting.answer.content(),
                metadata: None,
                client_id: None,
                ..record.message(self.epoch)
            }));
        }
        messages
    }
}
