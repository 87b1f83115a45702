//! Ways of asking an agent. If an agent refuses a request before it has said anything, it may be asked again
//! in another way.

use super::AgentMessage;
use crate::protocol::Role;
use crate::protocol::limits::{RETRY_AFTER_MS_MAX, RETRY_MS_MIN};

/// The change that may make another call succeed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Remedy {
    /// Nothing helps.
    #[default]
    None,
    /// A request with only the fields of the oldest standard.
    Plain,
    /// The tools whose calls the history has, declared.
    Tools,
    /// A shorter history.
    Shorter,
    /// The same request at a later time.
    Later {
        /// Milliseconds to wait, if the endpoint said how long.
        after_ms: Option<u64>,
    },
}

/// One way of asking.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attempt {
    /// Leaves out fields that not every endpoint knows, and gives calls ids that the strictest accepts. The
    /// endpoint may then report no usage.
    pub is_plain: bool,
    /// Declares the tools whose calls the history has.
    pub declares_tools: bool,
    /// How often the history is halved.
    pub halvings: u32,
    /// How many earlier calls failed in a transient way.
    retries: u64,
}

impl Attempt {
    /// Returns the next way of asking, and the milliseconds to wait before it; `None` if there is none.
    #[must_use]
    pub fn next(self, remedy: Remedy, retries_max: u64) -> Option<(Self, u64)> {
        match remedy {
            Remedy::Plain if !self.is_plain => Some((Attempt { is_plain: true, ..self }, 0)),
            Remedy::Tools if !self.declares_tools => Some((Attempt { declares_tools: true, ..self }, 0)),
            Remedy::Shorter => Some((Attempt { halvings: self.halvings.saturating_add(1), ..self }, 0)),
            Remedy::Later { after_ms } if self.retries < retries_max => {
                let wait_ms = after_ms.unwrap_or(RETRY_MS_MIN << self.retries);
                let retries = self.retries.saturating_add(1);
                (wait_ms <= RETRY_AFTER_MS_MAX).then_some((Attempt { retries, ..self }, wait_ms))
            }
            Remedy::None | Remedy::Plain | Remedy::Tools | Remedy::Later { .. } => None,
        }
    }

    /// Returns how many of the oldest messages to leave out; `None` if the history cannot be halved so often.
    /// Each half begins with a user's message, and the last keeps only the user's own.
    #[must_use]
    pub fn omitted(self, messages: &[AgentMessage]) -> Option<usize> {
        let own = messages.len().checked_sub(1)?;
        let mut omitted = 0_usize;
        for _ in 0..self.halvings {
            let half = own.saturating_sub(omitted).div_ceil(2);
            let from = omitted.saturating_add(half);
            let is_user = |message: &AgentMessage| message.role == Role::User;
            let skipped = messages.iter().skip(from).position(is_user)?;
            omitted = from.saturating_add(skipped);
            if half == 0 {
                return None;
            }
        }
        Some(omitted)
    }
}
