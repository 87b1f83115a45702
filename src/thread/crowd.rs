//! How long it takes to give a frame to all sockets of a thread that has many.
//!
//! The clock stands still while code runs, and what was sent leaves once it has run. So the time is taken by a timer that is due
//! at once: it fires when the frames are out.

use crate::protocol::Millis;
use crate::protocol::limits::COALESCE_MEASURED_MS_MAX;

use super::clock::set_back;

/// What is known of the last frame of text that went to all of them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Crowd {
    /// When it was sent, as long as the timer has not fired.
    serving_since: Option<Millis>,
    took: Millis,
    served_at: Millis,
}

impl Crowd {
    pub fn serve(&mut self, now: Millis) {
        self.serving_since.get_or_insert(now);
    }

    pub fn served(&mut self, now: Millis) {
        if let Some(since) = self.serving_since.take() {
            self.took = now.saturating_sub(since).min(COALESCE_MEASURED_MS_MAX);
            self.served_at = now;
        }
    }

    /// When to look at the clock.
    pub fn deadline(&self) -> Option<Millis> {
        self.serving_since
    }

    /// No more text is sent before this: everything else gets as much time as the last frame took.
    pub fn rests_until(&self) -> Millis {
        if self.serving_since.is_some() { Millis::MAX } else { self.served_at.saturating_add(self.took) }
    }

    pub fn set_back(&mut self, by: Millis) {
        set_back(&mut self.served_at, by);
        self.serving_since.iter_mut().for_each(|at| set_back(at, by));
    }
}
