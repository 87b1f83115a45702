//! Stock clients: what they ask for, and what they are told of the turns that they are sent.

use std::borrow::Cow;

use crate::dialect::{Asked, Dialect, Incoming, Stock, Told};
use crate::protocol::{
    CloseCode, CollectVec, ErrorBody, Identity, Pieces, ServerFrame, Since, StockRequest, TurnWanted,
};
use crate::thread::stock::request_peer;
use crate::thread::{Ask, Input, PeerId, TurnId};

use super::requests::{Posting, Undone, closed, unknown};
use super::{Broken, Platform, Pump};

const NOT_READ: &str = "a frame is JSON: send, resume or abort, each with its requestId";
const NO_RUN: &str =
    "a frame is JSON: the input of a run, with its runId and messages, or abort, with its runId";
const FAILED: &str = "the thread failed on this frame; connect again";
const NO_SESSION: &str = "there is no session of this id; one is created by its first message";
const OTHER_CHAT: &str = "this socket is of another chat; open one for each chat, with its id in the address";

/// A request of a stock client's socket that waits until its files are stored.
#[derive(Debug)]
pub struct Pending {
    /// The request's id.
    pub request: String,
    /// Who asks.
    pub identity: Identity,
    /// What is asked, with files that are to be stored before.
    pub asked: Asked,
}

/// What a client holds already of the pieces that come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Skipping {
    Pieces(Pieces),
    All,
}

impl Default for Skipping {
    fn default() -> Self {
        Skipping::Pieces(Pieces::default())
    }
}

impl Skipping {
    /// Whether the client holds this piece, which is then counted. `waits` is true if it says that the turn waits.
    fn takes(&mut self, told: &Told, waits: bool) -> bool {
        let Skipping::Pieces(pieces) = self else { return true };
        let left = if waits { &mut pieces.waiting } else { &mut pieces.lasting };
        let is_held = told.at.is_some() && *left > 0;
        *left = left.saturating_sub(u64::from(is_held));
        is_held
    }
}

impl<P: Platform> Pump<P> {
    /// Takes a frame of a stock client's socket. What needs files to be stored before is returned, and to be given to
    /// [`Pump::stored`] once they are.
    ///
    /// # Errors
    /// As [`Pump::input`].
    pub fn stock_frame(
        &mut self,
        socket: &PeerId,
        dialect: Dialect,
        text: &str,
    ) -> Result<Option<Pending>, Broken> {
        let mut taken = Ok(None);
        self.survive(socket, &mut |pump| taken = pump.take_stock_frame(socket, dialect, text));
        taken
    }

    /// Runs the work that a socket's frame requires. If it panics outside of the thread, nothing tells how much of it was
    /// done, and the socket is closed.
    fn survive(&mut self, socket: &PeerId, work: &mut dyn FnMut(&mut Self)) {
        if P::guard(&mut || work(self)).is_err() {
            self.panicked();
            let (peer, code) = (socket.clone(), CloseCode::InternalError);
            let _ = self.input(Input::Broken { peer, code, reason: FAILED });
        }
    }

    fn take_stock_frame(
        &mut self,
        socket: &PeerId,
        dialect: Dialect,
        text: &str,
    ) -> Result<Option<Pending>, Broken> {
        let mut frame = None;
        let _ = P::guard(&mut || frame = dialect.stock().and_then(|stock| stock.parse(text)));
        match frame {
            None => {
                let (peer, code) = (socket.clone(), CloseCode::PolicyViolation);
                let reason = if dialect == Dialect::AgUi { NO_RUN } else { NOT_READ };
                self.input(Input::Broken { peer, code, reason })?;
            }
            Some(Incoming::Nothing) => {}
            Some(Incoming::Abort(request)) => {
                let peer = request_peer(socket, &request);
                self.pending.retain(|pending| *pending != peer);
                self.input(Input::Aborted { peer })?;
            }
            Some(Incoming::Ask { request, chat, ask }) => {
                let is_here = chat.is_none_or(|chat| *chat == *self.session_id);
                match if is_here { ask } else { Err(OTHER_CHAT.into()) } {
                    Err(why) => self.deny(socket, &request, dialect, &why),
                    Ok(asked) => {
                        let identity = self.thread()?.identity_of(socket).cloned();
                        if let Some(identity) = identity.filter(|_| !asked.uploads.is_empty()) {
                            self.pending.push(request_peer(socket, &request));
                            return Ok(Some(Pending { request: request.into_owned(), identity, asked }));
                        }
                        self.ask(socket, &request, dialect, asked.request);
                    }
                }
            }
        }
        Ok(None)
    }

    /// The files of a request are stored, or could not be.
    pub fn stored(
        &mut self,
        socket: &PeerId,
        request: &str,
        dialect: Dialect,
        asked: Result<StockRequest, String>,
    ) {
        let peer = request_peer(socket, request);
        let Some(place) = self.pending.iter().position(|pending| *pending == peer) else { return };
        self.pending.swap_remove(place);
        let mut asked = Some(asked);
        self.survive(socket, &mut |pump| match asked.take() {
            Some(Ok(asked)) => pump.ask(socket, request, dialect, asked),
            Some(Err(why)) => pump.deny(socket, request, dialect, &why),
            None => {}
        });
    }

    /// Has a request of a socket be sent the turn that it asks for. If it cannot be, it is told so.
    fn ask(&mut self, socket: &PeerId, request: &str, dialect: Dialect, asked: StockRequest) {
        let identity = self.thread().ok().and_then(|thread| thread.identity_of(socket).cloned());
        let Some(identity) = identity else { return };
        let now = self.platform.now();
        if asked.wants == TurnWanted::Last
            && self.thread().is_ok_and(|thread| thread.refuses(now, &identity).is_none())
        {
            let has_begun = self.has_begun();
            if let Some(note) = dialect.noted(request, has_begun) {
                self.platform.send(socket, &note);
            }
            if !has_begun {
                return;
            }
        }
        if let Err(undone) = self.follow(request_peer(socket, request), identity, dialect, asked) {
            let why = match undone {
                Undone::Denied(crate::thread::Denied::Forbidden(why)) => why.to_owned(),
                Undone::Denied(crate::thread::Denied::NoSession) => NO_SESSION.into(),
                Undone::Refused(error) => error.message,
                Undone::Broken(_) => "the thread failed on this request; try again".into(),
            };
            self.deny(socket, request, dialect, &why);
        }
    }

    /// Whether there is a session, and so a turn to be shown.
    pub fn has_begun(&mut self) -> bool {
        self.thread().is_ok_and(|thread| thread.session().is_some())
    }

    fn deny(&mut self, socket: &PeerId, request: &str, dialect: Dialect, why: &str) {
        self.platform.drop_request(&request_peer(socket, request));
        if let Some(text) = dialect.request_closed(request, CloseCode::PolicyViolation, why) {
            self.platform.send(socket, &text);
        }
    }

    /// Has a peer be sent the turn that it asks for.
    ///
    /// # Errors
    /// If the caller may not, if it is refused, or as [`Pump::input`].
    pub fn follow(
        &mut self,
        peer: PeerId,
        identity: Identity,
        dialect: Dialect,
        request: StockRequest,
    ) -> Result<(), Undone> {
        let now = self.platform.now();
        let thread = self.thread()?;
        let ask = match request.wants {
            TurnWanted::Message(_)
            | TurnWanted::Run(_)
            | TurnWanted::Version(_)
            | TurnWanted::Again { .. } => Ask::Send,
            TurnWanted::Rest => Ask::Answer,
            TurnWanted::Last | TurnWanted::Turn(..) => Ask::Watch,
        };
        thread.permits_request(&identity, ask).map_err(Undone::Denied)?;
        if let Some((code, reason)) = thread.refuses(now, &identity) {
            return Err(Undone::Refused(closed(code, reason).unwrap_or_else(unknown)));
        }
        // What is left of an earlier one is none of this one's.
        self.skipping = Skipping::default();
        self.posting = Some(Posting { peer: peer.clone(), refused: None });
        let request = Box::new(request);
        let outcome = self.input(Input::Asked { peer, identity, dialect, request });
        let refused: Option<ErrorBody> = self.posting.take().and_then(|posting| posting.refused);
        outcome?;
        refused.map_or(Ok(()), |error| Err(Undone::Refused(error)))
    }

    /// What a client holds is not sent: what follows begins behind it.
    pub(super) fn hold(
        &mut self,
        peer: &PeerId,
        dialect: Dialect,
        frames: &[ServerFrame],
        since: Since,
        waits: bool,
    ) {
        let Some(stock) = dialect.stock() else { return };
        let mut told = Vec::new();
        for frame in frames {
            told.extend(self.telling.tell(&self.session_id, stock, frame, false));
        }
        let Some(request_id) = frames.first().and_then(|frame| frame.request_id()) else { return };
        let left = match since {
            Since::Over => {
                self.skipping = Skipping::All;
                return;
            }
            Since::GoingOn(had) => self.going_on(stock, request_id, had),
            // It was told that the run waits, and so that what was open is closed. That the run has begun it knows.
            Since::Told(had) if had.waiting > 0 && !waits => self.going_on(stock, request_id, 1),
            Since::Told(had) => self.behind(stock, request_id, told, had),
        };
        for text in framed(dialect, &left) {
            self.send_text(peer, dialect, &text, true);
        }
    }

    /// The pieces with which another request goes on with a turn, without the first ones, which its client has had.
    fn going_on(&mut self, stock: Stock, request_id: &str, had: usize) -> Vec<Told> {
        self.telling.again(stock, request_id).into_iter().skip(had).collect_vec()
    }

    /// Of the pieces that were told up to what a client holds, those that it lacks; or if it has had more, that is to be
    /// skipped.
    fn behind(&mut self, stock: Stock, request_id: &str, mut told: Vec<Told>, had: Pieces) -> Vec<Told> {
        let all = self.telling.since(stock, request_id);
        let lasting = had.lasting.saturating_sub(all.lasting);
        self.skipping = Skipping::Pieces(Pieces { lasting, waiting: had.waiting });
        // It was cut off between results of calls with which the turn begins.
        told.retain(|told| told.at.is_some());
        let left = usize::try_from(all.lasting.saturating_sub(had.lasting)).unwrap_or(usize::MAX);
        told.split_off(told.len().saturating_sub(left))
    }

    /// A frame as a client is told it, without the pieces that it holds already.
    pub(super) fn told_to(&mut self, stock: Stock, dialect: Dialect, frame: &ServerFrame) -> Vec<String> {
        let mut told = self.telling.tell(&self.session_id, stock, frame, false);
        // A crash may have lost what its client holds. However much that is, it is told the end.
        let end = if frame.ends() && self.skipping != Skipping::All { told.pop() } else { None };
        let waits = matches!(frame, ServerFrame::Waiting { .. });
        told.retain(|told| !self.skipping.takes(told, waits));
        told.extend(end);
        framed(dialect, &told)
    }

    pub(super) fn tell_all(&mut self, frame: &ServerFrame) {
        let request_id = frame.request_id().map(String::as_str);
        for stock in Stock::ALL {
            if stock.dialects().iter().any(|dialect| self.platform.is_spoken(*dialect)) {
                let told = self.telling.tell(&self.session_id, stock, frame, true);
                self.give(stock, request_id, &told);
            }
        }
    }

    /// Tells those who are sent a turn that its agent is called.
    pub(super) fn tell_start(&mut self, turn: TurnId) {
        let request_id = self.thread.as_deref().and_then(|thread| thread.request_of(turn)).map(str::to_owned);
        let Some(request_id) = request_id else { return };
        for stock in Stock::ALL {
            let told = self.telling.started(stock, &request_id);
            self.give(stock, Some(&request_id), &told);
        }
    }

    fn give(&mut self, stock: Stock, request_id: Option<&str>, told: &[Told]) {
        for dialect in stock.dialects() {
            if self.platform.is_spoken(dialect) {
                for text in framed(dialect, told) {
                    self.give_all(dialect, request_id, &text);
                }
            }
        }
    }
}

/// Pieces of a turn as a dialect sends them.
fn framed(dialect: Dialect, told: &[Told]) -> Vec<String> {
    told.iter().filter_map(|told| dialect.framed(told).map(Cow::into_owned)).collect_vec()
}
