//! Handles a clock that is set back while a thread is awake.
//!
//! The thread keeps times that were read from the clock. If the clock is set back, all of them move back with
//! it; otherwise nothing would be due until the clock caught up. A clock that is set forward is treated as
//! time that has passed.

use crate::protocol::Millis;

use super::Thread;
use super::turn::TurnState;

impl Thread {
    pub(super) fn see_clock(&mut self, now: Millis) {
        let by = self.now.saturating_sub(now);
        self.now = now;
        if by == 0 {
            return;
        }
        for (_, turn) in self.turns.iter_mut() {
            set_back(&mut turn.accepted_at, by);
            match &mut turn.state {
                TurnState::Queued => {}
                TurnState::Running(running) => running.set_back(by),
                TurnState::Waiting(waiting) => set_back(&mut waiting.since, by),
            }
        }
        self.crowd.set_back(by);
        self.outbox.set_back(by);
        self.files.set_back(by);
        self.rates.set_back(by);
        self.unread.set_back(by);
        // The alarm may now be set for a time that is far away. It is set again at the end of this input if
        // it is needed.
        self.alarm = None;
    }
}

pub(super) fn set_back(at: &mut Millis, by: Millis) {
    *at = at.saturating_sub(by);
}
