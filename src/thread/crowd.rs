//! Measures how long it takes to send a frame to all sockets of a thread that has many.
//!
//! The runtime's clock stands still while code runs, and frames leave only afterwards. So the time is taken
//! by a timer that is due at once: it fires when the frames are out.

use crate::protocol::Millis;
use crate::protocol::limits::COALESCE_MEASURED_MS_MAX;

use super::clock::set_back;

/// The measurement of the last frame of text that went to all sockets.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Crowd {
    /// When the frame was sent; set until the timer fires.
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

    /// Returns when the timer is due.
    pub fn deadline(&self) -> Option<Millis> {
        self.serving_since
    }

    /// Returns the time before which no more text is sent, so that everything else gets as long as the last
    /// frame took.
    pub fn paused_until(&self) -> Millis {
        if self.serving_since.is_some() { Millis::MAX } else { self.served_at.saturating_add(self.took) }
    }

    pub fn set_back(&mut self, by: Millis) {
        set_back(&mut self.served_at, by);
        self.serving_since.iter_mut().for_each(|at| set_back(at, by));
    }
}
