//! Ways of asking. An agent that refuses a question before it has said anything is asked again in another way,
//! if one may help.

use super::AgentMessage;
use crate::protocol::Role;
use crate::protocol::limits::{RETRY_AFTER_MS_MAX, RETRY_MS_MIN};

/// What must be different so that another call may succeed.
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
    /// Leaves out fields that not every endpoint knows, and names calls as the strictest want it. The endpoint may
    /// then report no usage.
    pub is_plain: bool,
    /// Declares the tools whose calls the history has.
    pub declares_tools: bool,
    /// How often the history is halved.
    pub halvings: u32,
    /// Calls before this one that failed in a way that may pass.
    retries: u64,
}

impl Attempt {
    /// The next way of asking, and how many milliseconds to wait before it; `None` if there is no better one.
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

    /// How many of the oldest messages are left out. A history is halved down to the user's own message, and
    /// begins with a user's message each time. `None` if it cannot be halved so often.
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
