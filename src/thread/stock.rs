//! Clients of other protocols. Each of their requests is a peer of its own that follows one turn; a socket that
//! carries several is a peer that follows nothing.

use crate::dialect::Dialect;
use crate::protocol::limits::{PAYLOAD_BYTES_MAX, SNAPSHOT_MESSAGES_MAX, STOCK_REQUESTS_MAX};
use crate::protocol::{
    Block, CallAnswers, ClientFrame, CloseCode, Content, Cursor, ErrorBody, ErrorCode, FrameName, Identity,
    Message, Millis, Post, Progress, Role, ServerFrame, Status, StockRequest, ToolAnswer, ToolSaid,
    TurnWanted,
};

use super::access::{EXPIRED, Follows, Peer};
use super::answer::Answer;
use super::attachment::Attachment;
use super::log::{CatchUp, sent};
use super::permission::Ask;
use super::store::{Record, RecordKind, Records, StoreError, answer_id};
use super::turn::{Turn, TurnState};
use super::turns::Sent;
use super::{Audience, Origin, Output, PeerId, Thread, TurnId, unreadable};

/// Stands between the id of a socket and that of its request.
const OF: char = '/';
const LIFE_OVER: &str = "connect again";

/// The peer that a request of a socket is.
#[must_use]
pub fn request_peer(socket: &str, request: &str) -> PeerId {
    [socket, "/", request].concat().into()
}

/// The socket of a request, and the request's id; `None` if the peer is no request of a socket.
#[must_use]
pub fn socket_of(peer: &str) -> Option<(&str, &str)> {
    peer.split_once(OF)
}

/// The turn that somebody asks for, and how much of it the client holds.
struct Shown {
    /// The message that it is shown as begins with the turn of the first.
    chain: Vec<Record>,
    /// What the client holds of the last; `None` if it is to be sent the whole message.
    held: Option<Answer>,
    /// How many pieces it was told behind that.
    since: Option<u64>,
}

impl Thread {
    /// A socket of a stock client. It is told nothing by itself.
    pub(super) fn open(
        &mut self,
        now: Millis,
        peer: PeerId,
        identity: Identity,
        dialect: Dialect,
        detaches: bool,
    ) {
        if let Some((code, reason)) = self.refuses(now, &identity) {
            self.outputs.push_back(Output::Close { peer, code, reason });
            return;
        }
        self.admit_stock(peer, identity, dialect, Follows::Nothing, detaches);
    }

    fn admit_stock(
        &mut self,
        peer: PeerId,
        identity: Identity,
        dialect: Dialect,
        follows: Follows,
        detaches: bool,
    ) {
        let (draft, reading) = (self.draft_of(identity.subject.as_deref()).cloned(), self.new_reading());
        let attachment = Attachment { identity, draft, dialect, follows: None, detaches, run: None, reading };
        let mut admitted = Peer::new(attachment, &self.unread);
        admitted.follows = follows;
        self.peers.insert(peer.clone(), admitted);
        self.attach(peer);
    }

    /// Somebody asks for a turn, and for what brings it about.
    pub(super) fn asked(
        &mut self,
        now: Millis,
        records: &dyn Records,
        peer: PeerId,
        identity: Identity,
        dialect: Dialect,
        request: StockRequest,
    ) {
        if identity.has_expired(now) {
            self.outputs.push_back(Output::Close { peer, code: CloseCode::Unauthenticated, reason: EXPIRED });
            return;
        }
        let StockRequest { answers, wants, run } = request;
        let name = FrameName { kind: "message".into(), request_id: None, tool_use_id: None, start: None };
        let followed = match &wants {
            TurnWanted::Message(post) => Follows::Turn(post.request_id.clone()),
            _ => Follows::Nothing,
        };
        let subject = identity.subject.clone();
        self.admit_stock(peer.clone(), identity, dialect, followed, false);
        if let Some(admitted) = self.peers.get_mut(&peer) {
            admitted.run = run;
        }
        let origin = Origin { peer: &peer, name: &name };
        let is_full =
            socket_of(&peer).is_some_and(|(socket, _)| self.requests_of(socket).count() > STOCK_REQUESTS_MAX);
        if is_full {
            let message = "too many requests of this socket wait; try again when one has ended";
            return self.refuse(origin, &ErrorBody::retryable(ErrorCode::Busy, message));
        }
        let answered = answers.as_ref().map(|answers| self.answered_turn(records, answers));
        let Ok(answered) = answered.transpose() else { return self.refuse(origin, &unreadable()) };
        if let (Some(answers), Some(Some(turn))) = (&answers, answered)
            && !self.say(now, origin, subject.as_ref(), turn, answers)
        {
            return;
        }
        // A turn whose calls are all answered goes on before another begins.
        self.start_turns(now, records);
        match (wants, answers, answered.flatten()) {
            (TurnWanted::Message(post), ..) => self.take_post(now, records, origin, *post, Vec::new()),
            (TurnWanted::Run(post), ..) => self.take_run(now, records, origin, *post),
            (TurnWanted::Turn(request_id, from), ..) => {
                self.show_run(now, records, origin, &request_id, from);
            }
            (TurnWanted::Version(post), ..) => {
                let known = self.versions_of(
                    records,
                    &post.request_id,
                    post.client_id.as_deref().unwrap_or_default(),
                );
                let Ok((of, request_id)) = known else { return self.refuse(origin, &unreadable()) };
                let replaces = Some(of.unwrap_or_else(|| post.request_id.clone()));
                self.follow_post(now, records, origin, Post { request_id, replaces, ..*post }, Vec::new());
            }
            (TurnWanted::Again { message_id, request_id }, ..) => {
                let known = self.versions_of(records, &request_id, &message_id);
                let Ok((of, _)) = known else { return self.refuse(origin, &unreadable()) };
                let regenerates = Some(of.unwrap_or(request_id));
                let request_id = format!("r-{:016x}", self.next_random());
                let post = Post { request_id, regenerates, ..Post::default() };
                self.follow_post(now, records, origin, post, Vec::new());
            }
            (TurnWanted::Rest, Some(answers), Some(turn)) => {
                self.show_rest(records, origin, turn, &answers.known);
            }
            (TurnWanted::Rest, Some(answers), None) => self.answer_last(now, records, origin, answers),
            (TurnWanted::Rest | TurnWanted::Last, ..) => self.show_last(now, records, origin),
        }
    }

    /// A message that is known under another name is to be answered again.
    fn take_run(&mut self, now: Millis, records: &dyn Records, origin: Origin<'_>, post: Post) {
        let known = records.request(&post.request_id).and_then(|own| match (own, &post.client_id) {
            (None, Some(id)) => self.message_with(records, id),
            (Some(Record { kind: RecordKind::Regenerate { begun, .. }, .. }), _) => Ok(begun.of),
            _ => Ok(None),
        });
        match known {
            Ok(None) => self.follow_post(now, records, origin, post, Vec::new()),
            Ok(of) => {
                let post = Post { request_id: post.request_id, regenerates: of, ..Post::default() };
                self.follow_post(now, records, origin, post, Vec::new());
            }
            Err(StoreError(_)) => self.refuse(origin, &unreadable()),
        }
    }

    /// The `requestId` of a message that clients know by this id, if it is one of the newest.
    fn message_with(&self, records: &dyn Records, id: &str) -> Result<Option<String>, StoreError> {
        if self.session.is_none() {
            return Ok(None);
        }
        let page = records.before(self.path(), u64::MAX >> 1, SNAPSHOT_MESSAGES_MAX, PAYLOAD_BYTES_MAX)?;
        let is_it = |record: &&Record| {
            let client_id = record.begun().and_then(|begun| begun.client_id.as_deref());
            !record.is_end() && (client_id == Some(id) || record.message_id == id)
        };
        Ok(page.records.iter().find(is_it).map(|record| record.request_id.clone()))
    }

    /// Shows a run, from its beginning or from a place in it.
    fn show_run(
        &mut self,
        now: Millis,
        records: &dyn Records,
        origin: Origin<'_>,
        run: &str,
        from: Option<(Progress, u64)>,
    ) {
        let sync = ClientFrame::SessionSync { cursor: None };
        if !self.admits(now, origin, &sync) || self.refuses_read(now, origin) {
            return;
        }
        let renamed = self.runs.iter().rev().find(|(name, _)| name == run).map(|(_, turn)| turn.as_str());
        let known = if self.session.is_some() { records.request(renamed.unwrap_or(run)) } else { Ok(None) };
        // An answer that nobody asked for is shown once it has its place.
        let waits = |known: &Record| self.turns.get(&known.turn).is_some_and(|turn| turn.is_appended);
        let known = known.map(|known| known.filter(|known| !waits(known)));
        let found = known.and_then(|known| known.map(|known| Self::chain(records, known.turn)).transpose());
        let answer = |turn: TurnId| match self.turns.get(&turn) {
            Some(open) => Ok(sent(open)),
            None => Ok(records.end(turn)?.map(|end| end.answer())),
        };
        let shown = found.and_then(|chain| {
            let Some(chain) = chain else { return Ok(None) };
            let (Some((held, since)), Some(turn)) = (from, chain.last().map(|begun| begun.turn)) else {
                return Ok(Some(Shown { chain, held: None, since: None }));
            };
            let (held, answer) = (Progress { turn, ..held }, answer(turn)?.unwrap_or_default());
            let held = answer.rest(held).is_some().then(|| answer.at(held));
            Ok(held.map(|held| Shown { chain, held: Some(held), since: Some(since) }))
        });
        match shown {
            Ok(Some(shown)) => self.show(records, origin, &shown),
            Ok(None) => {
                let message =
                    "there is no such run in this session, or no such place in it; load the session again";
                self.refuse(origin, &ErrorBody::fatal(ErrorCode::NotFound, message));
            }
            Err(StoreError(_)) => self.refuse(origin, &unreadable()),
        }
    }

    /// Of the versions of a message, the one on the current path, and a name for one more.
    fn versions_of(
        &self,
        records: &dyn Records,
        first: &str,
        message_id: &str,
    ) -> Result<(Option<String>, String), StoreError> {
        let (mut current, mut number, mut name) = (None, 1_u64, first.to_owned());
        while let Some(known) = records.request(&name)? {
            if self.path().contains(known.turn) {
                current = Some(name);
            }
            number = number.saturating_add(1);
            name = [first, ".", &number.to_string()].concat();
        }
        if number == 1 {
            // A client of the contract sent it.
            let turn = self.turn_with(records, message_id)?;
            let known = turn.map(|(turn, _)| records.these(&[turn])).transpose()?;
            current = known.and_then(|mut known| known.pop()).map(|known| known.request_id);
            name = [first, ".2"].concat();
        }
        Ok((current, name))
    }

    fn follow_post(
        &mut self,
        now: Millis,
        records: &dyn Records,
        origin: Origin<'_>,
        post: Post,
        held: Vec<ServerFrame>,
    ) {
        if let Some(peer) = self.peers.get_mut(origin.peer) {
            peer.follows = Follows::Turn(post.request_id.clone());
        }
        self.attach(origin.peer.clone());
        self.take_post(now, records, origin, post, held);
    }

    /// Takes a message. Of the turns that it goes on with as one message, its client holds everything.
    fn take_post(
        &mut self,
        now: Millis,
        records: &dyn Records,
        origin: Origin<'_>,
        post: Post,
        held: Vec<ServerFrame>,
    ) {
        let frame = ClientFrame::Regenerate { request_id: post.request_id.clone(), of: String::new() };
        if !self.admits(now, origin, &frame) {
            return;
        }
        if let (false, Audience::One(peer, dialect)) = (held.is_empty(), self.audience(origin.peer)) {
            self.outputs.push_back(Output::Holds { peer, dialect, frames: held, since: None });
        }
        let request_id = post.request_id.clone();
        self.message(now, records, origin, &request_id, Sent::from(post), None);
    }

    /// Messages, oldest first, of which these are the records, newest first; and what turns have said that wait.
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

    /// The turn that is not over and that these calls are of.
    fn answered_turn(
        &self,
        records: &dyn Records,
        answers: &CallAnswers,
    ) -> Result<Option<TurnId>, StoreError> {
        for (id, turn) in self.turns.iter() {
            if turn.answer().is_some() {
                let is_it = if answers.answer_id.is_empty() {
                    self.has_any_call(turn, &answers.said)
                } else {
                    let chain = Self::chain(records, *id)?;
                    chain.first().is_some_and(|head| head.answer_id(self.epoch) == answers.answer_id)
                };
                if is_it {
                    return Ok(Some(*id));
                }
            }
        }
        Ok(None)
    }

    /// Whether a turn has any of these calls.
    fn has_any_call(&self, turn: &Turn, said: &[(String, ToolSaid)]) -> bool {
        said.iter().any(|(tool_use_id, said)| {
            let (request_id, tool_use_id) = (turn.request_id.clone(), tool_use_id.clone());
            let answer = ToolAnswer { request_id, tool_use_id, said: said.clone() };
            !matches!(self.takes_answer(&answer), Err(error) if error.code == ErrorCode::NotFound)
        })
    }

    /// Takes what is said to the calls that are open. The others were answered before, maybe by somebody else: the first
    /// answer counts. Returns whether its sender may say it.
    fn say(
        &mut self,
        now: Millis,
        origin: Origin<'_>,
        by: Option<&String>,
        id: TurnId,
        CallAnswers { said, .. }: &CallAnswers,
    ) -> bool {
        let Some(request_id) = self.turns.get(&id).map(|turn| turn.request_id.clone()) else { return true };
        let mut is_admitted = false;
        for (tool_use_id, said) in said {
            let answer = ToolAnswer {
                request_id: request_id.clone(),
                tool_use_id: tool_use_id.clone(),
                said: said.clone(),
            };
            match self.takes_answer(&answer) {
                Ok(true) => {
                    let frame = ClientFrame::Answer(answer.clone());
                    if !std::mem::replace(&mut is_admitted, true) && !self.admits(now, origin, &frame) {
                        return false;
                    }
                    self.take_answer(now, Some(origin.peer), by.cloned(), answer);
                }
                Err(error) if error.code == ErrorCode::MessageTooLarge => {
                    self.refuse(origin, &error);
                    return false;
                }
                _ => {}
            }
        }
        true
    }

    /// Results for calls that the last turn ended with: they are a message, whose answer goes on with that turn's.
    fn answer_last(&mut self, now: Millis, records: &dyn Records, origin: Origin<'_>, answers: CallAnswers) {
        let found = self.last_open(records, &answers.answer_id);
        let (chain, end) = match found {
            Ok(Some(found)) => found,
            Ok(None) => {
                let message = "this answer is over, and waits for nothing; load the chat again";
                return self.refuse(origin, &ErrorBody::fatal(ErrorCode::NotFound, message));
            }
            Err(StoreError(_)) => return self.refuse(origin, &unreadable()),
        };
        let open = unanswered(&end.content);
        let results = answers.said.into_iter().filter_map(|(id, said)| match said {
            ToolSaid::Output(block) if open.contains(&id) => Some(*block),
            _ => None,
        });
        let request_id = ["t-", &end.message_id].concat();
        let post = Post { request_id, content: Content::Blocks(results.collect()), ..Post::default() };
        let Ok(held) = self.frames_of(records, &chain, &post.request_id) else {
            return self.refuse(origin, &unreadable());
        };
        self.follow_post(now, records, origin, post, held);
    }

    /// If the last turn is complete, is shown under this id and ended with calls that have no result: the questions of
    /// its message, and its end.
    fn last_open(
        &self,
        records: &dyn Records,
        answer_id: &str,
    ) -> Result<Option<(Vec<Record>, Record)>, StoreError> {
        let Some(last) = self.last_turn.as_ref().map(|(last, _)| *last) else { return Ok(None) };
        let chain = Self::chain(records, last)?;
        let is_it =
            answer_id.is_empty() || chain.first().is_some_and(|head| head.answer_id(self.epoch) == answer_id);
        let is_complete = |end: &Record| matches!(&end.kind, RecordKind::Answer { status, .. } if *status == Status::Complete);
        let Some(end) = records.end(last)?.filter(|end| is_it && is_complete(end)) else {
            // It may have been answered so before: then the last turn is that answer's own.
            return Ok(None);
        };
        Ok((!unanswered(&end.content).is_empty()).then_some((chain, end)))
    }

    /// Shows a turn that waits, or goes on, to a client that knows these calls of it.
    fn show_rest(&mut self, records: &dyn Records, origin: Origin<'_>, turn: TurnId, known: &[String]) {
        let shown = Self::told_with(records, turn, known).and_then(|held| {
            // A turn that has not waited is being sent already, as far as it has come.
            let held = held.or_else(|| self.turns.get(&turn).and_then(sent)).unwrap_or_default();
            let chain = Self::chain(records, turn)?;
            Ok(Shown { chain, held: Some(held), since: None })
        });
        match shown {
            Ok(shown) => self.show(records, origin, &shown),
            Err(StoreError(_)) => self.refuse(origin, &unreadable()),
        }
    }

    /// What a client was told of a turn when it last was told to wait: it knows all calls of that, and of what came later
    /// not all. `None` if the turn has not waited.
    fn told_with(
        records: &dyn Records,
        turn: TurnId,
        known: &[String],
    ) -> Result<Option<Answer>, StoreError> {
        let (mut until, mut last) = (u64::MAX >> 1, None);
        while let Some(waited) = records.rounds(turn, until)?.into_iter().next() {
            until = waited.seq.saturating_sub(1);
            let RecordKind::Waiting { round: Some(round), .. } = &waited.kind else { continue };
            let told = Answer::from_content(&waited.content, round.events.as_ref());
            if told.open_calls(&round.client_calls).iter().any(|call| known.contains(call)) {
                return Ok(Some(told));
            }
            last = last.or(Some(told));
        }
        Ok(last)
    }

    /// Shows the turn that runs, else one that waits, else one that is to run, else the last.
    fn show_last(&mut self, now: Millis, records: &dyn Records, origin: Origin<'_>) {
        let sync = ClientFrame::SessionSync { cursor: None };
        if !self.admits(now, origin, &sync) || self.refuses_read(now, origin) {
            return;
        }
        let rank = |turn: &Turn| match turn.state {
            TurnState::Running(_) => 0,
            TurnState::Waiting(_) => 1,
            TurnState::Queued => 2,
        };
        // An answer that nobody asked for is shown once it has its place.
        let open = self.turns.iter().filter(|(_, turn)| !turn.is_appended);
        let open = open.min_by_key(|(_, turn)| rank(turn)).map(|(id, _)| *id);
        let Some(turn) = open.or(self.last_turn.as_ref().map(|(last, _)| *last)) else {
            return self.unfollow_peer(origin.peer, CloseCode::Normal);
        };
        match Self::chain(records, turn) {
            Ok(chain) => self.show(records, origin, &Shown { chain, held: None, since: None }),
            Err(StoreError(_)) => self.refuse(origin, &unreadable()),
        }
    }

    fn show(&mut self, records: &dyn Records, origin: Origin<'_>, shown: &Shown) {
        let Some(begun) = shown.chain.last() else {
            return self.unfollow_peer(origin.peer, CloseCode::Normal);
        };
        let (id, request_id) = (begun.turn, begun.request_id.clone());
        let end = if self.turns.contains_key(&id) { Ok(None) } else { records.end(id) };
        let Ok(end) = end else { return self.refuse(origin, &unreadable()) };
        if let Some(peer) = self.peers.get_mut(origin.peer) {
            if let Some(run) = peer.run.as_ref().filter(|run| **run != request_id) {
                self.runs.push((run.clone(), request_id.clone()));
                let over = self.runs.len().saturating_sub(STOCK_REQUESTS_MAX);
                self.runs.drain(..over);
            }
            peer.follows = Follows::Turn(request_id);
        }
        self.attach(origin.peer.clone());
        let before = shown.chain.split_last().map_or(&[][..], |(_, before)| before);
        let is_appended = matches!(begun.kind, RecordKind::Append { .. });
        // Nothing begins it, and its end alone is an event.
        let told = if is_appended { &shown.chain[..] } else { before };
        let Ok(frames) = self.frames_of(records, told, &begun.request_id) else {
            return self.refuse(origin, &unreadable());
        };
        let held = shown.held.as_ref().map(|held| (held, shown.since));
        self.show_from(records, origin.peer, frames, begun, held, end.as_ref());
    }

    /// What is told of turns that are over, under the name of the one that goes on with them.
    fn frames_of(
        &self,
        records: &dyn Records,
        turns: &[Record],
        name: &str,
    ) -> Result<Vec<ServerFrame>, StoreError> {
        let mut all = CatchUp::at(self.head());
        for begun in turns {
            let begun = &Record { request_id: name.to_owned(), ..begun.clone() };
            all.frames.extend(self.begun_frame(records, begun).or_else(|| {
                let (request_id, answer_id) = (Some(name.to_owned()), Some(begun.answer_id(self.epoch)));
                let cursor = Cursor::at(self.epoch, begun.seq);
                Some(ServerFrame::Branch { cursor, request_id, answer_id, after: None, messages: Vec::new() })
            }));
            if let Some(end) = records.end(begun.turn)? {
                let _ = all.answer(begun.turn, name, &end.answer());
            }
        }
        Ok(all.frames)
    }

    /// How a turn begins, for who follows it.
    pub(super) fn begun_frame(&self, records: &dyn Records, begun: &Record) -> Option<ServerFrame> {
        let cursor = Cursor::at(self.epoch, begun.seq);
        let beside = self.beside(records, std::iter::once(begun)).unwrap_or_default();
        self.event_of(&beside, begun, cursor.clone())
            .or_else(|| begun.branch_frame(self.epoch, cursor, Vec::new()))
    }

    /// The questions of the turns that are shown as one message with this one: results of calls go on with the answer
    /// before them.
    fn chain(records: &dyn Records, turn: TurnId) -> Result<Vec<Record>, StoreError> {
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

    /// The client wants no more of a request; unless its socket only detaches, the turn ends.
    pub(super) fn aborted(&mut self, now: Millis, peer: &PeerId) {
        let follows = self.peers.get(peer).map(|peer| (peer.follows.clone(), peer.identity.clone()));
        let Some((Follows::Turn(request_id), identity)) = follows else { return };
        let detaches =
            socket_of(peer).and_then(|(socket, _)| self.peers.get(socket)).is_some_and(|it| it.detaches);
        self.drop_request(peer);
        self.outputs.push_back(Output::Drop { peer: peer.clone() });
        if !detaches && self.permits(&identity, Ask::Cancel).is_ok() {
            self.cancel(now, Some(peer), Some(&request_id));
        }
    }

    /// Ends what runs and what waits for people, and nothing that is still to begin.
    pub(super) fn stop(&mut self, now: Millis) {
        let is_meant = |turn: &&Turn| !matches!(turn.state, TurnState::Queued);
        let meant: Vec<String> =
            self.turns.values().filter(is_meant).map(|turn| turn.request_id.clone()).collect();
        for request_id in meant {
            self.cancel(now, None, Some(&request_id));
        }
    }

    /// Ends what a peer follows.
    pub(super) fn unfollow_peer(&mut self, peer: &PeerId, code: CloseCode) {
        self.outputs.push_back(Output::Close { peer: peer.clone(), code, reason: "" });
        self.drop_request(peer);
    }

    /// A request is over: what it was sent counts for its socket. One that was sent much is let go between two requests,
    /// as nothing tells whether it reads.
    pub(super) fn drop_request(&mut self, peer: &PeerId) {
        let Some(Peer { account, .. }) = self.peers.remove(peer) else { return };
        let Some((socket, _)) = socket_of(peer) else { return };
        let sent = self.sent_of(&account);
        let Some(base) = self.peers.get_mut(socket) else { return };
        base.account.add(sent);
        let (socket, account) = (PeerId::from(socket), base.account);
        if self.owes_too_much(&account) && self.requests_of(&socket).next().is_none() {
            self.dismiss(&socket, CloseCode::TooMany, LIFE_OVER);
        }
    }

    pub(super) fn requests_of<'a>(&'a self, socket: &'a str) -> impl Iterator<Item = PeerId> + 'a {
        let is_its = move |peer: &&PeerId| socket_of(peer).is_some_and(|(of, _)| of == socket);
        self.peers.keys().filter(is_its).cloned()
    }

    /// The sockets whose requests were being sent something, when the thread was lost that sent it.
    pub(super) fn cut_off(&mut self, records: &dyn Records) {
        let mut kept = Vec::new();
        for (id, peer) in self.peers.iter() {
            let request_id = match &peer.follows {
                Follows::Turn(request_id) => request_id.as_str(),
                // It was lost while it was looked at what it asks for.
                Follows::Nothing if socket_of(id).is_some() => "",
                _ => continue,
            };
            let queued = self
                .turns
                .iter()
                .find(|(_, turn)| turn.request_id == request_id && matches!(turn.state, TurnState::Queued));
            kept.push((id.clone(), queued.map(|(turn, _)| *turn)));
        }
        let reason = "the thread was started again; connect again";
        for (peer, queued) in kept {
            let chain = queued.and_then(|turn| Self::chain(records, turn).ok()).unwrap_or_default();
            match (socket_of(&peer), chain.as_slice()) {
                // It may have been told how the turn begins, and nothing else. Twice does no harm.
                (Some(_), [_]) => {
                    let name =
                        FrameName { kind: String::new(), request_id: None, tool_use_id: None, start: None };
                    let shown = Shown { chain, held: None, since: None };
                    self.show(records, Origin { peer: &peer, name: &name }, &shown);
                }
                (Some((socket, _)), _) => self.dismiss(&socket.into(), CloseCode::InternalError, reason),
                (None, _) => self.dismiss(
                    &peer,
                    CloseCode::InternalError,
                    "the thread was started again; post this again",
                ),
            }
        }
    }

    /// Shows what there is of a turn, behind `frames`, to a client that holds so much of it.
    pub(super) fn show_from(
        &mut self,
        records: &dyn Records,
        peer: &PeerId,
        frames: Vec<ServerFrame>,
        begun: &Record,
        held: Option<(&Answer, Option<u64>)>,
        end: Option<&Record>,
    ) {
        let (epoch, id) = (self.epoch, begun.seq);
        let mut shown = CatchUp::at(Cursor::at(epoch, id));
        shown.frames = frames;
        shown.frames.extend(self.begun_frame(records, begun));
        shown.frames.extend(self.queued_frame(id, &begun.request_id));
        if let (Some((held, since)), Audience::One(peer, dialect)) = (held, self.audience(peer)) {
            let _ = shown.answer(id, &begun.request_id, held);
            let frames = std::mem::take(&mut shown.frames);
            self.outputs.push_back(Output::Holds { peer, dialect, frames, since });
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
        let is_over = end.is_some() || waits.is_some();
        shown.frames.extend(waits);
        let _ = end.and_then(|end| shown.record(end, &|cursor| end.frame(epoch, cursor)));
        self.send_asked(peer, shown.frames);
        if is_over {
            self.unfollow_peer(peer, CloseCode::Normal);
        }
    }
}

/// The calls of an answer that have no result.
fn unanswered(content: &Content) -> Vec<String> {
    let Content::Blocks(blocks) = content else { return Vec::new() };
    let has_result = |id: &String| {
        blocks.iter().any(|it| matches!(it, Block::ToolResult { tool_use_id, .. } if tool_use_id == id))
    };
    let calls = blocks.iter().filter_map(|block| match block {
        Block::ToolUse { id, .. } => Some(id),
        _ => None,
    });
    calls.filter(|id| !has_result(id)).cloned().collect()
}
