//! Sockets that do not read.
//!
//! What a socket does not read stays in the runtime's memory, and nothing tells how much that is. So a client is
//! asked from time to time to show how far it has read: it is sent a `check`, and answers with the same frame. What
//! a socket was sent since the last check that it answered, it owes. A thread bounds what is owed.

use litemap::LiteMap;

use crate::dialect::Dialect;
use crate::protocol::limits::LEAVING_MS;
use crate::protocol::objects::object;
use crate::protocol::{CloseCode, Millis, Named, ServerFrame};

use super::access::{Follows, Peer};
use super::clock::set_back;
use super::stock::socket_of;
use super::{Config, PeerId, Thread, mixed};

const UNREAD: &str = "what this socket was sent was not read; connect again with the last cursor";
/// A check answers for whole steps: so many of them are at most owed. Which one it was is found by trying them.
const STEPS_OWED_MAX: u64 = 1_024;
/// So many checks may be on their way to a socket that reads.
const CHECKS_OWED: u64 = 4;
/// How often it is saved with a socket how much it was sent, between two checks.
const SAVES_PER_CHECK: u64 = 8;
/// Numbers that every client can read are below 2^53.
const CHECK_BITS: u32 = 53;

object! {
    /// How far a socket has read, in bytes of frames. It is kept through hibernation.
    #[derive(Copy, Default, Eq)]
    pub struct Reading {
        /// What its checks are derived from. Nobody can guess it.
        pub seed: u64 = "seed",
        /// What it was sent.
        pub sent: u64 = "sent",
        /// What it was sent before the last check.
        pub asked: u64 = "asked",
        /// What it was sent before the last check that it answered.
        pub read: u64 = "read",
    }
}

/// What a socket was sent, and how far it has read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Account {
    reading: Reading,
    dialect: Dialect,
    /// What had gone to all of its dialect when the socket joined.
    joined_at: u64,
    /// What its attachment says that it was sent.
    saved: u64,
}

/// What all sockets of a thread owe.
#[derive(Debug, Default)]
pub(super) struct Unread {
    /// Bytes that went to all of a dialect.
    to_all: [u64; Dialect::ALL.len()],
    /// Once so many have in all dialects, somebody may have to be asked, or closed.
    look_at: u64,
    /// What closed sockets owe, and when they were closed: it is freed when the runtime reports their end.
    leaving: LiteMap<PeerId, (u64, Millis)>,
}

impl Account {
    pub(super) fn new(reading: Reading, dialect: Dialect, unread: &Unread) -> Self {
        Account { reading, dialect, joined_at: unread.to_all_of(dialect), saved: reading.sent }
    }

    /// With everything that the socket was sent so far.
    pub(super) fn reading(&self, unread: &Unread) -> Reading {
        let sent = unread.to_all_of(self.dialect).saturating_sub(self.joined_at);
        let sent = self.reading.sent.saturating_add(sent);
        Reading { sent, ..self.reading }
    }

    /// Counts what a request of the socket was sent.
    pub(super) fn add(&mut self, bytes: u64) {
        self.reading.sent = self.reading.sent.saturating_add(bytes);
    }

    /// How much it may be sent until it has to be looked at.
    fn room(&self, unread: &Unread, interval: u64, save_bytes: u64) -> u64 {
        let Reading { sent, asked, .. } = self.reading(unread);
        let (ask_at, save_at) = (asked.saturating_add(interval), self.saved.saturating_add(save_bytes));
        ask_at.min(save_at).saturating_sub(sent)
    }
}

impl Unread {
    pub fn set_back(&mut self, by: Millis) {
        self.leaving.iter_mut().for_each(|(_, (_, since))| set_back(since, by));
    }

    fn to_all_of(&self, dialect: Dialect) -> u64 {
        self.to_all.get(dialect as usize).copied().unwrap_or_default()
    }

    fn to_all(&self) -> u64 {
        self.to_all.iter().sum()
    }
}

impl Reading {
    fn owed(&self) -> u64 {
        self.sent.saturating_sub(self.read)
    }

    /// The number of the check that stands behind `read` bytes: it tells nobody those of the others.
    fn check(&self, read: u64) -> u64 {
        mixed(self.seed ^ mixed(read)) >> (u64::BITS - CHECK_BITS)
    }
}

impl Thread {
    /// The account of a socket that was sent nothing yet.
    pub(super) fn new_reading(&mut self) -> Reading {
        Reading { seed: self.next_random(), ..Reading::default() }
    }

    /// Counts the bytes of a frame that was sent to one client, and charges them if it had asked for the frame.
    /// Returns whether [`Thread::look`] is to follow.
    #[must_use]
    pub fn sent(&mut self, to: &PeerId, bytes: u64, is_asked: bool) -> bool {
        if is_asked {
            self.charge(self.now, to, bytes);
        }
        let (interval, save_bytes) = (self.interval(), self.save_bytes());
        let Some(account) = self.peers.get_mut(to).map(|peer| &mut peer.account) else { return false };
        account.reading.sent = account.reading.sent.saturating_add(bytes);
        let room = account.room(&self.unread, interval, save_bytes);
        // What goes to all may come before that.
        self.unread.look_at = self.unread.look_at.min(self.unread.to_all().saturating_add(room));
        room == 0
    }

    /// Counts the bytes of a frame that was sent to all of a dialect; of stock clients, to those that are sent this turn.
    /// Returns whether [`Thread::look`] is to follow.
    #[must_use]
    pub fn sent_to_all(&mut self, dialect: Dialect, request_id: Option<&str>, bytes: u64) -> bool {
        if dialect.stock().is_some() {
            let is_sent =
                |peer: &Peer| matches!(&peer.follows, Follows::Turn(turn) if request_id == Some(turn));
            let sent = self.peers.iter().filter(|(_, peer)| peer.dialect == dialect && is_sent(peer));
            let sent: Vec<PeerId> = sent.map(|(id, _)| id.clone()).collect();
            let mut looks = false;
            for peer in sent {
                looks |= self.sent(&peer, bytes, false);
            }
            return looks;
        }
        if let Some(sent) = self.unread.to_all.get_mut(dialect as usize) {
            *sent = sent.saturating_add(bytes);
        }
        self.unread.to_all() >= self.unread.look_at
    }

    /// A client answers a check; false if it was sent no such number, which then says nothing, or has answered it.
    pub(super) fn checked(&mut self, from: &PeerId, number: u64) -> bool {
        let step = self.step();
        let Some(reading) = self.peers.get_mut(from).map(|peer| &mut peer.account.reading) else {
            return false;
        };
        let mut read = reading.asked;
        while read > reading.read && reading.check(read) != number {
            read = read.saturating_sub(step);
        }
        let is_answer = read > reading.read;
        if is_answer {
            reading.read = read;
            self.attach(from.clone());
        }
        is_answer
    }

    /// Whether a socket that asked for more might have to be closed for it.
    pub(super) fn owes_much(&self, account: &Account) -> bool {
        account.reading(&self.unread).owed() > self.config.socket_owed_bytes_max / 2
    }

    /// What was sent in all.
    pub(super) fn sent_of(&self, account: &Account) -> u64 {
        account.reading(&self.unread).sent
    }

    /// Whether a socket owes more than any may.
    pub(super) fn owes_too_much(&self, account: &Account) -> bool {
        account.reading(&self.unread).owed() > self.config.socket_owed_bytes_max
    }

    /// A socket's end was reported: what it owed is freed.
    pub(super) fn freed(&mut self, peer: &PeerId) {
        self.unread.leaving.remove(peer);
    }

    /// A socket is being closed: what it owes takes up memory until its end is reported.
    pub(super) fn owes_on(&mut self, id: PeerId, account: &Account) {
        let owed = account.reading(&self.unread).owed();
        if owed >= self.save_bytes() {
            self.unread.leaving.insert(id, (owed, self.now));
        }
    }

    /// Bytes that a socket is sent between two checks. Many sockets are asked more often: what those that read owe
    /// must stay far below what all may owe together.
    fn interval(&self) -> u64 {
        let Config { check_bytes, owed_bytes_max, .. } = self.config;
        let share =
            (owed_bytes_max / CHECKS_OWED).checked_div(self.peers.len() as u64).unwrap_or(check_bytes);
        share.clamp(self.step().min(check_bytes), check_bytes)
    }

    /// Bytes that a socket is sent before it is saved how much that was: a thread that sleeps forgets no more.
    fn save_bytes(&self) -> u64 {
        self.interval().min(self.config.check_bytes / SAVES_PER_CHECK)
    }

    fn step(&self) -> u64 {
        (self.config.socket_owed_bytes_max / STEPS_OWED_MAX).max(1)
    }

    /// Asks those that have been sent enough, saves what they were sent, and closes those that owe too much. `untaken`
    /// is what streams have not taken, in bytes: they are not asked, and nothing is saved with them.
    pub fn look(&mut self, untaken: &[(PeerId, u64)]) {
        for (id, bytes) in untaken {
            if let Some(peer) = self.peers.get_mut(id) {
                let sent = peer.account.reading(&self.unread).sent;
                peer.account.reading.read = sent.saturating_sub(*bytes);
            }
        }
        let (interval, save_bytes, step) = (self.interval(), self.save_bytes(), self.step());
        let (mut asked, mut unsaved) = (Vec::new(), Vec::new());
        for (id, peer) in self.peers.iter_mut() {
            let account = &mut peer.account;
            let reading = account.reading(&self.unread);
            let is_asked = reading.sent.saturating_sub(reading.asked) >= interval;
            // Stock clients know no checks.
            if peer.dialect.is_stream() || peer.dialect.stock().is_some() {
                (account.reading.asked, account.saved) = (reading.sent, reading.sent);
                continue;
            }
            if is_asked {
                let part_of_a_step = reading.sent.checked_rem(step).unwrap_or_default();
                account.reading.asked = reading.sent.saturating_sub(part_of_a_step);
                asked.push((id.clone(), reading.check(account.reading.asked)));
            }
            if is_asked || reading.sent.saturating_sub(account.saved) >= save_bytes {
                account.saved = reading.sent;
                unsaved.push(id.clone());
            }
        }
        for (peer, n) in asked {
            self.send_to(&peer, ServerFrame::Check { n });
        }
        for peer in unsaved {
            self.attach(peer);
        }
        let owed = self.close_debtors();
        let room = |account: &Account| account.room(&self.unread, interval, save_bytes);
        let room = self.peers.values().map(|peer| room(&peer.account)).min().unwrap_or_default();
        let of_all = self.config.owed_bytes_max.saturating_sub(owed);
        let share = of_all.checked_div(self.peers.len() as u64).unwrap_or_default();
        self.unread.look_at = self.unread.to_all().saturating_add(room.min(share).max(1));
    }

    /// Closes each socket that owes too much and, while all together do, those that owe most. A socket that reads may
    /// just have been sent much: whoever owes no more than a few checks stays, and of those there is room for all.
    /// Returns what is owed together.
    fn close_debtors(&mut self) -> u64 {
        let (now, unhurried) = (self.now, self.interval().saturating_mul(CHECKS_OWED));
        self.unread.leaving.retain(|_, (_, since)| now.saturating_sub(*since) < LEAVING_MS);
        let leaving = self.unread.leaving.values().map(|(owed, _)| *owed).sum::<u64>();
        let (mut debtors, mut all) = (Vec::new(), leaving);
        for (id, peer) in self.peers.iter() {
            let reading = peer.account.reading(&self.unread);
            all = all.saturating_add(reading.owed());
            let socket = socket_of(id).map_or_else(|| id.clone(), |(socket, _)| socket.into());
            // A stock client's socket is let go between two requests, unless all owe too much together.
            let is_spared = socket != *id || peer.follows == Follows::Nothing;
            if reading.owed() > unhurried {
                debtors.push((reading.owed(), socket, is_spared));
            }
        }
        let mut excess = all.saturating_sub(self.config.owed_bytes_max);
        loop {
            if excess == 0 {
                debtors
                    .retain(|(owed, _, is_spared)| !is_spared && *owed > self.config.socket_owed_bytes_max);
            }
            let Some((owed, peer, _)) = debtors.iter().max().cloned() else { break };
            debtors.retain(|(_, debtor, _)| *debtor != peer);
            self.dismiss(&peer, CloseCode::TooMany, UNREAD);
            excess = excess.saturating_sub(owed);
        }
        all
    }
}
