//! Backpressure: handles sockets that do not read.
//!
//! Frames that a socket has not read stay in the runtime's memory, and the runtime does not tell how much
//! that is. So each client is sent a `check` from time to time, and answers with the same frame to show how
//! far it has read. A socket *owes* the bytes that it was sent since the last check that it answered. A
//! thread limits how much is owed.

use litemap::LiteMap;

use crate::dialect::Dialect;
use crate::protocol::limits::LEAVING_MS;
use crate::protocol::objects::object;
use crate::protocol::{CloseCode, Millis, Named, ServerFrame};

use super::access::{Follows, Peer};
use super::clock::set_back;
use super::stock::socket_of;
use super::{Config, PeerId, Thread, mix};

const UNREAD: &str = "what this socket was sent was not read; connect again with the last cursor";
/// A socket owes at most this many steps. A check says only that a step was reached; trying all of them tells
/// which one.
const STEPS_OWED_MAX: u64 = 1_024;
/// How many checks may be unanswered on a socket that reads.
const CHECKS_OWED: u64 = 4;
/// How often between two checks the bytes sent are saved in a socket's attachment.
const SAVES_PER_CHECK: u64 = 8;
/// Every client can read integers below 2^53 exactly.
const CHECK_BITS: u32 = 53;

object! {
    /// How far a socket has read, in bytes of frames. It is kept through hibernation.
    #[derive(Copy, Default, Eq)]
    pub struct Reading {
        /// The secret seed of its checks, which nobody can guess.
        pub seed: u64 = "seed",
        /// Bytes that it was sent.
        pub sent: u64 = "sent",
        /// Bytes that it was sent before the last check.
        pub asked: u64 = "asked",
        /// Bytes that it was sent before the last check that it answered.
        pub read: u64 = "read",
    }
}

/// How many bytes a socket was sent, and how far it has read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Account {
    reading: Reading,
    dialect: Dialect,
    /// Bytes that had been sent to all of its dialect when the socket joined.
    joined_at: u64,
    /// Bytes sent, as its attachment has them.
    saved: u64,
}

/// The bytes that all sockets of a thread owe.
#[derive(Debug, Default)]
pub(super) struct Unread {
    /// Bytes that were sent to all of a dialect.
    to_all: [u64; Dialect::ALL.len()],
    /// Once this many bytes were sent to all of any dialect, some socket may have to be sent a check, or
    /// closed.
    look_at: u64,
    /// The bytes that closed sockets owe, and when they were closed. Their memory is freed when the runtime
    /// reports their end.
    leaving: LiteMap<PeerId, (u64, Millis)>,
}

impl Account {
    pub(super) fn new(reading: Reading, dialect: Dialect, unread: &Unread) -> Self {
        Account { reading, dialect, joined_at: unread.to_all_of(dialect), saved: reading.sent }
    }

    /// Returns the reading, including everything that the socket was sent so far.
    pub(super) fn reading(&self, unread: &Unread) -> Reading {
        let sent = unread.to_all_of(self.dialect).saturating_sub(self.joined_at);
        let sent = self.reading.sent.saturating_add(sent);
        Reading { sent, ..self.reading }
    }

    /// Counts bytes that the socket was sent at its own request.
    pub(super) fn add(&mut self, bytes: u64) {
        self.reading.sent = self.reading.sent.saturating_add(bytes);
    }

    /// Returns how many more bytes it may be sent before it has to be looked at.
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

    /// Returns the number of the check after `read` bytes. It does not help to guess the number of any other
    /// check.
    fn check(&self, read: u64) -> u64 {
        mix(self.seed ^ mix(read)) >> (u64::BITS - CHECK_BITS)
    }
}

impl Thread {
    /// Returns the reading of a socket that was sent nothing yet.
    pub(super) fn new_reading(&mut self) -> Reading {
        Reading { seed: self.next_random(), ..Reading::default() }
    }

    /// Counts the bytes of a frame that was sent to one client, and charges them if it had asked for the
    /// frame. Returns whether [`Thread::look`] must follow.
    #[must_use]
    pub fn sent(&mut self, to: &PeerId, bytes: u64, is_asked: bool) -> bool {
        if is_asked {
            self.charge(self.now, to, bytes);
        }
        let (interval, save_bytes) = (self.interval(), self.save_bytes());
        let Some(account) = self.peers.get_mut(to).map(|peer| &mut peer.account) else { return false };
        account.reading.sent = account.reading.sent.saturating_add(bytes);
        let room = account.room(&self.unread, interval, save_bytes);
        // Frames to all may use up the room even earlier.
        self.unread.look_at = self.unread.look_at.min(self.unread.to_all().saturating_add(room));
        room == 0
    }

    /// Counts the bytes of a frame that was sent to all of a dialect; among stock clients, only to those that
    /// follow this turn. Returns whether [`Thread::look`] must follow.
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

    /// Handles a client's answer to a check. Returns false if it was sent no such number, or has answered it
    /// already; then the answer means nothing.
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

    /// Returns whether a socket that asks for more would risk being closed for it.
    pub(super) fn owes_much(&self, account: &Account) -> bool {
        account.reading(&self.unread).owed() > self.config.socket_owed_bytes_max / 2
    }

    /// Returns how many bytes a socket was sent.
    pub(super) fn sent_of(&self, account: &Account) -> u64 {
        account.reading(&self.unread).sent
    }

    /// Returns whether a socket owes more than any socket may.
    pub(super) fn owes_too_much(&self, account: &Account) -> bool {
        account.reading(&self.unread).owed() > self.config.socket_owed_bytes_max
    }

    /// Notes that a socket's end was reported, which frees the bytes that it owed.
    pub(super) fn freed(&mut self, peer: &PeerId) {
        self.unread.leaving.remove(peer);
    }

    /// Notes that a socket is being closed. The bytes that it owes take up memory until its end is reported.
    pub(super) fn keep_owed(&mut self, id: PeerId, account: &Account) {
        let owed = account.reading(&self.unread).owed();
        if owed >= self.save_bytes() {
            self.unread.leaving.insert(id, (owed, self.now));
        }
    }

    /// Returns how many bytes a socket is sent between two checks. If there are many sockets they are checked
    /// more often, because the bytes owed by those that do read must stay far below the limit for all.
    fn interval(&self) -> u64 {
        let Config { check_bytes, owed_bytes_max, .. } = self.config;
        let share =
            (owed_bytes_max / CHECKS_OWED).checked_div(self.peers.len() as u64).unwrap_or(check_bytes);
        share.clamp(self.step().min(check_bytes), check_bytes)
    }

    /// Returns how many bytes a socket is sent before its attachment is saved. A thread that hibernates
    /// forgets no more than that.
    fn save_bytes(&self) -> u64 {
        self.interval().min(self.config.check_bytes / SAVES_PER_CHECK)
    }

    fn step(&self) -> u64 {
        (self.config.socket_owed_bytes_max / STEPS_OWED_MAX).max(1)
    }

    /// Sends checks to sockets that have been sent enough, saves their attachments, and closes those that owe
    /// too much. `untaken` says how many bytes each stream has not taken yet: streams are sent no checks, and
    /// nothing is saved for them.
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
            // Stock clients do not know checks.
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

    /// Closes each socket that owes too much and, while all together owe too much, those that owe most. A
    /// socket that reads may just have been sent much. So a socket that owes no more than a few checks stays,
    /// and there is always room for all of those. Returns how much all owe together.
    fn close_debtors(&mut self) -> u64 {
        let (now, unhurried) = (self.now, self.interval().saturating_mul(CHECKS_OWED));
        self.unread.leaving.retain(|_, (_, since)| now.saturating_sub(*since) < LEAVING_MS);
        let leaving = self.unread.leaving.values().map(|(owed, _)| *owed).sum::<u64>();
        let (mut debtors, mut all) = (Vec::new(), leaving);
        for (id, peer) in self.peers.iter() {
            let reading = peer.account.reading(&self.unread);
            all = all.saturating_add(reading.owed());
            let socket = socket_of(id).map_or_else(|| id.clone(), |(socket, _)| socket.into());
            // A stock client's socket may owe much between two requests, unless all together owe too much.
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
