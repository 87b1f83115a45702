//! Access to a thread: what a caller may do, and how often.

use litemap::LiteMap;

use crate::protocol::limits::FRAMES_PER_MESSAGE;
use crate::protocol::{ClientFrame, CloseCode, CollectVec, ErrorBody, ErrorCode, Identity, Millis};

use super::attachment::{Attachment, Draft};
use super::clock::set_back;
use super::events::Event;
use super::permission::{Ask, Denied};
use super::stock::socket_of;
use super::unread::{Account, Unread};
use super::{Origin, Output, PeerId, Thread};
use crate::dialect::Dialect;

const NOT_YOURS: &str = "this session is not yours";
pub(super) const EXPIRED: &str = "the credential has expired; connect again with a fresh one";
const UNREAD_YET: &str =
    "you have yet to read much of what you were sent; read it, answer its checks and ask again";
/// The text that a client gets once it has read too many bytes of a thread within a minute.
pub const READ_TOO_MUCH: &str = "too many bytes of this session in a minute; wait a moment and ask again";

/// The events that a connection is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Follows {
    Everything,
    /// The events of one turn, by its `requestId`.
    Turn(String),
    Nothing,
}

/// An open socket.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub(super) identity: Identity,
    /// Settings that its subject chose for a session that nobody has begun.
    pub(super) draft: Option<Draft>,
    pub(super) dialect: Dialect,
    pub(super) follows: Follows,
    pub(super) account: Account,
    /// Whether its turn goes on when its request is aborted.
    pub(super) detaches: bool,
    /// The client's name for the run that it is sent.
    pub(super) run: Option<String>,
    invalid_frames: u64,
}

/// How much of an allowance is used up: a leaky bucket, which a minute empties when it is full.
#[derive(Clone, Copy, Debug)]
struct Used {
    thousandths: u64,
    counted_at: Millis,
}

#[derive(Debug, Default)]
pub(super) struct Rates {
    messages: Rate,
    frames: Rate,
    read_bytes: Rate,
}

impl Rates {
    pub fn set_back(&mut self, by: Millis) {
        for Rate(used) in [&mut self.messages, &mut self.frames, &mut self.read_bytes] {
            used.iter_mut().for_each(|(_, used)| set_back(&mut used.counted_at, by));
        }
    }
}

#[derive(Debug, Default)]
struct Rate(LiteMap<String, Used>);

impl Peer {
    pub(super) fn new(attachment: Attachment, unread: &Unread) -> Self {
        let Attachment { identity, draft, dialect, follows, detaches, run, reading } = attachment;
        let others = if dialect.stock().is_some() { Follows::Nothing } else { Follows::Everything };
        let follows = follows.map_or(others, Follows::Turn);
        let account = Account::new(reading, dialect, unread);
        Peer { identity, draft, dialect, follows, account, detaches, run, invalid_frames: 0 }
    }
}

impl Thread {
    /// Returns whether a frame may be handled. If not, its sender is told why.
    pub(super) fn admits(&mut self, now: Millis, origin: Origin<'_>, frame: &ClientFrame) -> bool {
        let peer = origin.peer;
        let Some(Peer { identity, .. }) = self.peers.get(peer) else { return false };
        let who = payer(peer, identity);
        let permitted = self.permits(identity, Ask::of(frame));
        let messages = self.config.messages_per_minute;
        let frames = messages.saturating_mul(FRAMES_PER_MESSAGE).max(self.config.frames_per_minute_min);
        if !self.rates.frames.take(now, &who, frames) {
            self.dismiss(peer, CloseCode::TooMany, "too many frames; connect again in a minute");
            return false;
        }
        let message = match permitted {
            Ok(()) => {
                return !self.is_costly(frame)
                    || self.rates.messages.take(now, &who, messages)
                    || self.refuse_rate(origin, messages);
            }
            Err(Denied::Forbidden(message)) => message,
            Err(Denied::NoSession) => NOT_YOURS,
        };
        self.refuse(origin, ErrorBody::fatal(ErrorCode::Forbidden, message));
        false
    }

    /// Returns whether a frame counts against the allowance of messages: it starts or continues a turn, is
    /// sent on to all, or is answered by a snapshot. A cancel never counts, so it is always heard.
    fn is_costly(&self, frame: &ClientFrame) -> bool {
        match frame {
            ClientFrame::Message { .. }
            | ClientFrame::Regenerate { .. }
            | ClientFrame::Select { .. }
            | ClientFrame::Answer(_)
            | ClientFrame::SessionUpdate(_) => true,
            ClientFrame::SessionSync { cursor } => {
                !cursor.as_deref().is_some_and(|cursor| self.is_last_place(cursor))
            }
            ClientFrame::Cancel { .. } | ClientFrame::Check { .. } | ClientFrame::Ping => false,
        }
    }

    fn refuse_rate(&mut self, origin: Origin<'_>, per_minute: u64) -> bool {
        let message = format!("more than {per_minute} messages in a minute; wait a moment and send it again");
        self.refuse(origin, ErrorBody::retryable(ErrorCode::RateLimited, message));
        false
    }

    /// Counts an invalid frame. A connection that sends too many of them is closed.
    pub(super) fn count_invalid(&mut self, peer: &PeerId) {
        let frames_max = self.config.invalid_frames_max;
        let Some(counted) = self.peers.get_mut(peer) else { return };
        counted.invalid_frames = counted.invalid_frames.saturating_add(1);
        if counted.invalid_frames > frames_max {
            self.dismiss(peer, CloseCode::PolicyViolation, "too many invalid frames");
        }
    }

    /// Closes the sockets that have no access to the session, once somebody has begun it.
    pub(super) fn dismiss_strangers(&mut self) {
        let session = self.session.clone();
        let is_stranger = |peer: &Peer| peer.identity.access(session.as_ref()).is_none();
        self.dismiss_all(is_stranger, CloseCode::Forbidden, NOT_YOURS);
    }

    pub(super) fn dismiss_expired(&mut self, now: Millis) {
        self.dismiss_all(|peer| peer.identity.has_expired(now), CloseCode::Unauthenticated, EXPIRED);
    }

    pub(super) fn next_expiry(&self) -> Option<Millis> {
        self.peers.values().filter_map(|peer| peer.identity.expires_at).min()
    }

    /// Returns why a caller may not connect.
    #[must_use]
    pub fn refuses(&self, now: Millis, identity: &Identity) -> Option<(CloseCode, &'static str)> {
        if identity.has_expired(now) {
            return Some((CloseCode::Unauthenticated, EXPIRED));
        }
        if self.permits(identity, Ask::Watch).is_err() {
            return Some((CloseCode::Forbidden, NOT_YOURS));
        }
        if !self.has_room(identity) {
            return Some((CloseCode::TooMany, "too many sockets on this thread"));
        }
        let has_read_too_much = identity.subject.as_ref().is_some_and(|who| self.has_read_too_much(now, who));
        has_read_too_much.then_some((CloseCode::TooMany, READ_TOO_MUCH))
    }

    /// Returns whether a caller has used up its allowance of bytes to read.
    #[must_use]
    pub fn has_read_too_much(&self, now: Millis, who: &str) -> bool {
        !self.rates.read_bytes.has_room(now, who, self.config.read_bytes_per_minute, 1)
    }

    /// Returns whether a request for more of the thread is refused, because its sender has used up its
    /// allowance or has too many bytes still to read.
    pub(super) fn refuses_read(&mut self, now: Millis, origin: Origin<'_>) -> bool {
        let Some(Peer { identity, account, .. }) = self.peers.get(origin.peer) else { return true };
        let why = if self.has_read_too_much(now, &payer(origin.peer, identity)) {
            READ_TOO_MUCH
        } else if self.owes_much(account) {
            UNREAD_YET
        } else {
            return false;
        };
        self.refuse(origin, ErrorBody::retryable(ErrorCode::RateLimited, why));
        true
    }

    /// Counts the bytes of a frame that was sent to a client that asked for it.
    pub(super) fn charge(&mut self, now: Millis, peer: &PeerId, bytes: u64) {
        if let Some(Peer { identity, .. }) = self.peers.get(peer) {
            self.count_read(now, &payer(peer, identity), bytes);
        }
    }

    pub(super) fn count_read(&mut self, now: Millis, who: &str, bytes: u64) {
        self.rates.read_bytes.count(now, who, self.config.read_bytes_per_minute, bytes);
    }

    /// Returns whether one more socket fits.
    fn has_room(&self, identity: &Identity) -> bool {
        let is_same = |peer: &&Peer| identity.subject.is_some() && peer.identity.subject == identity.subject;
        self.peers.len() < self.config.sockets_max
            && self.peers.values().filter(is_same).count() < self.config.subject_sockets_max
    }

    /// Closes a socket, if it is open.
    pub(super) fn dismiss(&mut self, id: &PeerId, code: CloseCode, reason: &'static str) {
        let Some(peer) = self.peers.remove(id) else { return };
        // Whatever a stream has not taken yet is dropped with it.
        if !peer.dialect.is_stream() && socket_of(id).is_none() {
            self.keep_owed(id.clone(), &peer.account);
        }
        let requests: Vec<PeerId> = self.requests_of(id).collect_vec();
        for request in requests {
            self.peers.remove(&request);
        }
        self.log(Event::Disconnected { connection_id: id.clone() });
        self.outputs.push_back(Output::Close { peer: id.clone(), code, reason });
    }

    pub(super) fn dismiss_all(
        &mut self,
        is_meant: impl Fn(&Peer) -> bool,
        code: CloseCode,
        reason: &'static str,
    ) {
        let meant: Vec<PeerId> =
            self.peers.iter().filter(|(_, peer)| is_meant(peer)).map(|(id, _)| id.clone()).collect_vec();
        for peer in meant {
            self.dismiss(&peer, code, reason);
        }
    }
}

impl Rate {
    /// Takes one unit from an allowance, if one is left.
    fn take(&mut self, now: Millis, who: &str, per_minute: u64) -> bool {
        let has_room = self.has_room(now, who, per_minute, 1);
        if has_room {
            self.count(now, who, per_minute, 1);
        }
        has_room
    }

    fn has_room(&self, now: Millis, who: &str, per_minute: u64, wanted: u64) -> bool {
        let used = self.0.get(who).map_or(0, |used| used.left_at(now, per_minute));
        used.saturating_add(wanted.saturating_mul(1_000)) <= per_minute.saturating_mul(1_000)
    }

    /// Counts usage even beyond the allowance, but caps it so that one minute is always enough to recover.
    fn count(&mut self, now: Millis, who: &str, per_minute: u64, taken: u64) {
        let used = self.0.get(who).map(|used| used.left_at(now, per_minute));
        if used.is_none() {
            // An empty bucket is the same as none.
            self.0.retain(|_, used| used.left_at(now, per_minute) > 0);
        }
        let used = used.unwrap_or_default().saturating_add(taken.saturating_mul(1_000));
        let thousandths = used.min(per_minute.saturating_mul(2_000));
        self.0.insert(who.to_owned(), Used { thousandths, counted_at: now });
    }
}

impl Used {
    fn left_at(self, now: Millis, per_minute: u64) -> u64 {
        // A minute has 60,000 ms, and usage is counted in thousandths.
        let drained = now.saturating_sub(self.counted_at).saturating_mul(per_minute) / 60;
        self.thousandths.saturating_sub(drained)
    }
}

/// Returns the key of the allowance that pays: all connections of a subject share one, and a connection
/// without a subject has its own.
fn payer(peer: &PeerId, identity: &Identity) -> String {
    let socket = socket_of(peer).map_or(&**peer, |(socket, _)| socket);
    identity.subject.clone().unwrap_or_else(|| socket.to_owned())
}
