//! Clients of other protocols. Each of their requests is a peer of its own, which follows one turn. A socket that
//! carries several requests is a peer that follows nothing.

mod answers;
mod posts;
mod shown;

use crate::dialect::Dialect;
use crate::protocol::limits::STOCK_REQUESTS_MAX;
use crate::protocol::{
    CloseCode, CollectVec, ErrorBody, ErrorCode, FrameName, Identity, Millis, Post, StockRequest, TurnWanted,
};

use shown::Shown;

use super::access::{EXPIRED, Follows, Peer};
use super::permission::Ask;
use super::store::Records;
use super::turn::{Turn, TurnState};
use super::{Origin, Output, PeerId, Thread, unreadable};

/// Separates the id of a socket from the id of its request.
const OF: char = '/';
const LIFE_OVER: &str = "connect again";

/// The peer that stands for a request of a socket.
#[must_use]
pub fn request_peer(socket: &str, request: &str) -> PeerId {
    [socket, "/", request].concat().into()
}

/// The socket of a request and the request's id; `None` if the peer is not a request of a socket.
#[must_use]
pub fn socket_of(peer: &str) -> Option<(&str, &str)> {
    peer.split_once(OF)
}

impl Thread {
    /// Opens the socket of a stock client. Nothing is sent to the socket itself, only to its requests.
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
        self.enter(peer.clone(), identity, dialect, follows, detaches);
        self.attach(peer);
    }

    /// Handles a request to follow a turn, and first does the work that it asks for, such as taking a message.
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
        let known = run.clone().filter(|run| self.runs.iter().any(|(name, _)| name == run));
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
            return self.refuse(origin, ErrorBody::retryable(ErrorCode::Busy, message));
        }
        let answered = answers.as_ref().map(|answers| self.answered_turn(records, answers));
        let Ok(answered) = answered.transpose() else { return self.refuse(origin, unreadable()) };
        if let (Some(answers), Some(Some(turn))) = (&answers, answered)
            && !self.say(now, origin, subject.as_ref(), turn, answers)
        {
            return;
        }
        // A turn whose calls are all answered continues before another one begins.
        self.start_turns(now, records);
        match (wants, answers, answered.flatten()) {
            (TurnWanted::Message(post), ..) => self.take_post(now, records, origin, *post, Vec::new()),
            (TurnWanted::Run(post), ..) => self.take_run(now, records, origin, *post),
            (TurnWanted::Turn(request_id, from), ..) => {
                self.show_run(now, records, origin, &request_id, from);
            }
            (TurnWanted::Version(mut post), ..) => {
                let known = self.versions_of(
                    records,
                    &post.request_id,
                    post.client_id.as_deref().unwrap_or_default(),
                );
                let Ok(known) = known else { return self.refuse(origin, unreadable()) };
                if let Some((replaces, request_id)) = known {
                    post.replaces = Some(replaces);
                    post.request_id = request_id;
                }
                self.follow_post(now, records, origin, *post, Vec::new());
            }
            (TurnWanted::Again { message_id, request_id, post }, ..) => {
                let known = self.versions_of(records, &request_id, &message_id);
                let Ok(known) = known else { return self.refuse(origin, unreadable()) };
                let post = match (known, post) {
                    (None, Some(post)) => *post,
                    (known, _) => Post {
                        request_id: format!("r-{:016x}", self.next_random()),
                        regenerates: Some(known.map_or(request_id, |(of, _)| of)),
                        ..Post::default()
                    },
                };
                self.follow_post(now, records, origin, post, Vec::new());
            }
            (TurnWanted::Rest, Some(answers), Some(turn)) => {
                self.show_rest(records, origin, turn, &answers.known);
            }
            (TurnWanted::Rest, Some(answers), None) => match known {
                Some(run) => self.show_run(now, records, origin, &run, None),
                None => self.answer_last(now, records, origin, answers),
            },
            (TurnWanted::Rest | TurnWanted::Last, ..) => self.show_last(now, records, origin),
        }
    }

    /// Handles a client's abort of a request. The turn ends, unless the socket only detaches from it.
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

    /// Ends the turns that run or wait for people, but none that is still queued.
    pub(super) fn stop(&mut self, now: Millis) {
        let is_meant = |turn: &&Turn| !matches!(turn.state, TurnState::Queued);
        let meant: Vec<String> =
            self.turns.values().filter(is_meant).map(|turn| turn.request_id.clone()).collect_vec();
        for request_id in meant {
            self.cancel(now, None, Some(&request_id));
        }
    }

    /// Ends what a peer follows.
    pub(super) fn unfollow_peer(&mut self, peer: &PeerId, code: CloseCode) {
        self.outputs.push_back(Output::Close { peer: peer.clone(), code, reason: "" });
        self.drop_request(peer);
    }

    /// Ends a request, and counts the bytes that it was sent for its socket. A socket that was sent much is closed
    /// between two requests, since nothing tells whether it reads.
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

    /// Finds the sockets that were being sent an answer when the object crashed.
    pub(super) fn cut_off(&mut self, records: &dyn Records) {
        let mut kept = Vec::new();
        for (id, peer) in self.peers.iter() {
            let request_id = match &peer.follows {
                Follows::Turn(request_id) => request_id.as_str(),
                // The object crashed before it had handled the request.
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
                // The peer may have been told how the turn begins, but nothing else. Telling it twice does no harm.
                (Some(_), [_]) => {
                    let name =
                        FrameName { kind: String::new(), request_id: None, tool_use_id: None, start: None };
                    let shown = Shown { chain, held: None };
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
}
