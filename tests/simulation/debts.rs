//! The bytes that sockets owe, as a client author would model them: all that a socket was sent since the last check
//! that it answered.

use std::collections::BTreeMap;

use bobbin::protocol::CloseCode;
use bobbin::thread::stock::socket_of;
use bobbin::thread::{Config, PeerId};
use serde_json::Value;

use super::Check;
use super::view::kind;
use crate::support::{Frame, Seen};

#[derive(Debug, Default)]
pub struct Debts {
    of: BTreeMap<PeerId, Debt>,
    /// Of stock clients.
    of_stock: BTreeMap<PeerId, Debt>,
    /// How often the object has slept. It then forgets what it had not yet saved of each socket.
    sleeps: u64,
    /// True after a failure, which leaves open what was saved.
    is_uncertain: bool,
    config: Config,
}

#[derive(Debug, Default)]
struct Debt {
    sent: u64,
    last_frame: u64,
    read: u64,
    /// Each with what was sent before it.
    checks: Vec<(u64, u64)>,
}

impl Debts {
    pub fn new(config: &Config) -> Self {
        Debts { config: *config, ..Debts::default() }
    }

    pub fn observe(&mut self, seen: &Seen) -> Check {
        match seen {
            Seen::Sent { reached, frame, .. } | Seen::Streamed { reached, frame } => {
                for peer in reached {
                    self.send(peer, frame);
                }
            }
            // A stock client's socket gets no checks.
            Seen::Told { to, text } => {
                let socket = socket_of(to).map_or_else(|| to.clone(), |(socket, _)| socket.into());
                self.of_stock.entry(socket).or_default().sent += text.len() as u64;
            }
            Seen::Woken { .. } => self.sleeps += 1,
            Seen::Closed { peer, code } => {
                let debt = self.of.remove(peer).or_else(|| self.of_stock.remove(peer)).unwrap_or_default();
                // The bytes that one socket of many may owe within the limit on the total.
                let share = (self.config.owed_bytes_max / 4 / 16).min(self.config.check_bytes);
                if *code == CloseCode::TooMany && !self.is_uncertain && debt.owed() < 4 * share {
                    return Err(format!("{peer} is closed, and owes {} bytes", debt.owed()));
                }
            }
            Seen::Crashed { .. } | Seen::Panicked | Seen::StoreFailed { .. } | Seen::GaveUp => {
                self.is_uncertain = true;
            }
            _ => {}
        }
        Ok(())
    }

    fn send(&mut self, peer: &PeerId, frame: &Frame) {
        let debt = self.of.entry(peer.clone()).or_default();
        if let Some(number) = check_of(frame.json()) {
            debt.checks.push((number, debt.sent));
        }
        debt.last_frame = frame.bytes as u64;
        debt.sent += debt.last_frame;
    }

    /// Handles an answer to a check that has reached the object.
    pub fn answer(&mut self, peer: &PeerId, frame: &Value) {
        let Some(debt) = self.of.get_mut(peer) else { return };
        let answered = debt.checks.iter().find(|(number, _)| Some(*number) == check_of(frame));
        debt.read = answered.map_or(debt.read, |(_, sent)| debt.read.max(*sent));
    }

    /// What a stream has taken is known.
    pub fn take(&mut self, peer: &PeerId, bytes: usize) {
        if let Some(debt) = self.of.get_mut(peer) {
            debt.read += bytes as u64;
        }
    }

    pub fn leave(&mut self, peer: &PeerId) {
        self.of.remove(peer);
    }

    pub fn check(&self) -> Check {
        let forgotten = (self.sleeps + 1) * (self.config.check_bytes / 8);
        // Checks count in whole steps.
        let step = self.config.socket_owed_bytes_max / 1_024;
        let limit = self.config.socket_owed_bytes_max + forgotten + step;
        let is_late = |(_, debt): &(&PeerId, &Debt)| debt.owed() > limit + debt.last_frame;
        match self.of.iter().find(is_late) {
            Some((peer, debt)) if !self.is_uncertain => Err(format!("{peer} owes {} bytes", debt.owed())),
            _ => Ok(()),
        }
    }
}

impl Debt {
    fn owed(&self) -> u64 {
        self.sent - self.read
    }
}

pub fn check_of(frame: &Value) -> Option<u64> {
    (kind(frame) == "check").then(|| frame["n"].as_u64()).flatten()
}
