//! Stock clients: the requests that they make, and the turns that they are sent.

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
    /// The caller.
    pub identity: Identity,
    /// The request, with the files that must be stored before it is handled.
    pub asked: Asked,
}

/// The pieces that a client already holds, which are skipped when a turn is shown to it.
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
    /// Tells whether the client already holds this piece, and counts it if so. `waits` is true if the piece says that
    /// the turn waits.
    fn takes(&mut self, told: &Told, waits: bool) -> bool {
        let Skipping::Pieces(pieces) = self else { return true };
        let left = if waits { &mut pieces.waiting } else { &mut pieces.lasting };
        let is_held = told.at.is_some() && *left > 0;
        *left = left.saturating_sub(u64::from(is_held));
        is_held
    }
}

impl<P: Platform> Pump<P> {
    /// Handles a frame of a stock client's socket. Returns the request if its files must be stored first; the
    /// platform then passes it to [`Pump::stored`].
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

    /// Handles a frame of a socket and survives a panic. After a panic outside of the thread, nobody knows how much
    /// was done, so the socket is closed.
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

    /// Goes on with a request after its files were stored, or could not be stored.
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

    /// Lets a request of a socket follow the turn that it asks for, or tells it why it cannot.
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

    /// Tells whether the session exists, and so may have a turn to show.
    pub fn has_begun(&mut self) -> bool {
        self.thread().is_ok_and(|thread| thread.session().is_some())
    }

    fn deny(&mut self, socket: &PeerId, request: &str, dialect: Dialect, why: &str) {
        self.platform.drop_request(&request_peer(socket, request));
        if let Some(text) = dialect.request_closed(request, CloseCode::PolicyViolation, why) {
            self.platform.send(socket, &text);
        }
    }

    /// Lets a peer follow the turn that it asks for.
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
        // Skips left over from an earlier request must not apply to this one.
        self.skipping = Skipping::default();
        self.posting = Some(Posting { peer: peer.clone(), refused: None });
        let request = Box::new(request);
        let outcome = self.input(Input::Asked { peer, identity, dialect, request });
        let refused: Option<ErrorBody> = self.posting.take().and_then(|posting| posting.refused);
        outcome?;
        refused.map_or(Ok(()), |error| Err(Undone::Refused(error)))
    }

    /// Skips the pieces that a client already holds, so the peer is sent only those behind them.
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
            // The client was told that the run waits, which closed everything open. It also knows that the run has
            // begun.
            Since::Told(had) if had.waiting > 0 && !waits => self.going_on(stock, request_id, 1),
            Since::Told(had) => self.behind(stock, request_id, told, had),
        };
        for text in framed(dialect, &left) {
            self.send_text(peer, dialect, &text, true);
        }
    }

    /// The pieces with which another request continues a turn, without the first ones, which its client already
    /// holds.
    fn going_on(&mut self, stock: Stock, request_id: &str, had: usize) -> Vec<Told> {
        self.telling.again(stock, request_id).into_iter().skip(had).collect_vec()
    }

    /// Returns the pieces that a client lacks. If it holds more than was told so far, the pieces to come are skipped
    /// up to that place.
    fn behind(&mut self, stock: Stock, request_id: &str, mut told: Vec<Told>, had: Pieces) -> Vec<Told> {
        let all = self.telling.since(stock, request_id);
        let lasting = had.lasting.saturating_sub(all.lasting);
        self.skipping = Skipping::Pieces(Pieces { lasting, waiting: had.waiting });
        // The client was cut off between the results of calls with which the turn begins.
        told.retain(|told| told.at.is_some());
        let left = usize::try_from(all.lasting.saturating_sub(had.lasting)).unwrap_or(usize::MAX);
        told.split_off(told.len().saturating_sub(left))
    }

    /// Turns a frame into the pieces that a client is sent, without those that it already holds.
    pub(super) fn told_to(&mut self, stock: Stock, dialect: Dialect, frame: &ServerFrame) -> Vec<String> {
        let mut told = self.telling.tell(&self.session_id, stock, frame, false);
        // A crash may have lost text that the client holds. The client is sent the end in any case.
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

    /// Tells the followers of a turn that its agent is called.
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

/// Formats pieces of a turn in the way the dialect sends them.
fn framed(dialect: Dialect, told: &[Told]) -> Vec<String> {
    told.iter().filter_map(|told| dialect.framed(told).map(Cow::into_owned)).collect_vec()
}
