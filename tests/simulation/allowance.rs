//! The limits on use per minute, as a client author would model them: a bucket that drains evenly.

use std::collections::BTreeMap;

use bobbin::protocol::Millis;
use bobbin::thread::Config;

/// What is used up, by whose it is: a subject's, or a connection's where everybody is let in.
#[derive(Debug)]
pub struct Allowances {
    pub messages: Allowance,
    pub frames: Allowance,
    pub read_bytes: Allowance,
    /// False after a failure, which leaves open how much was counted.
    pub is_certain: bool,
}

#[derive(Debug)]
pub struct Allowance {
    per_minute: f64,
    /// The distance from the limit within which rounding decides.
    tolerance: f64,
    used: BTreeMap<String, (f64, Millis)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    Yes,
    No,
    Either,
}

impl Allowances {
    pub fn new(config: &Config) -> Self {
        let frames = (5 * config.messages_per_minute).max(config.frames_per_minute_min);
        Allowances {
            messages: Allowance::new(config.messages_per_minute, 0.1),
            frames: Allowance::new(frames, 0.1),
            read_bytes: Allowance::new(config.read_bytes_per_minute, 1.0),
            is_certain: true,
        }
    }

    pub fn set_back(&mut self, ms: u64) {
        for allowance in [&mut self.messages, &mut self.frames, &mut self.read_bytes] {
            allowance.set_back(ms);
        }
    }

    /// Forgets the counts, because they live in the object's memory.
    pub fn forget(&mut self) {
        self.is_certain = true;
        for allowance in [&mut self.messages, &mut self.frames, &mut self.read_bytes] {
            allowance.used.clear();
        }
    }
}

impl Allowance {
    #[allow(clippy::cast_precision_loss)]
    fn new(per_minute: u64, tolerance: f64) -> Self {
        Allowance { per_minute: per_minute as f64, tolerance, used: BTreeMap::new() }
    }

    /// Tells whether one more fits.
    pub fn room(&self, now: Millis, who: &str) -> Room {
        let missing = self.used_by(now, who) + 1.0 - self.per_minute;
        match missing {
            _ if missing < -self.tolerance => Room::Yes,
            _ if missing > self.tolerance => Room::No,
            _ => Room::Either,
        }
    }

    /// Nobody owes more than a minute brings back.
    #[allow(clippy::cast_precision_loss)]
    pub fn count(&mut self, now: Millis, who: &str, taken: usize) {
        let used = (self.used_by(now, who) + taken as f64).min(2.0 * self.per_minute);
        self.used.insert(who.to_owned(), (used, now));
    }

    fn set_back(&mut self, ms: u64) {
        self.used.values_mut().for_each(|(_, at)| *at = at.saturating_sub(ms));
    }

    #[allow(clippy::cast_precision_loss)]
    fn used_by(&self, now: Millis, who: &str) -> f64 {
        let Some((used, at)) = self.used.get(who) else { return 0.0 };
        let drained = now.saturating_sub(*at) as f64 / 60_000.0 * self.per_minute;
        (used - drained).max(0.0)
    }
}
