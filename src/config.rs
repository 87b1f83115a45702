//! The worker's variables, read once per object. What is not set has its default; what is not valid
//! is refused at the edge with words.

use std::rc::Rc;

use crate::agent::{self, Agent, Variables, number};
use crate::protocol::limits;
use crate::thread::Config;

/// What the variables say.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Answers.
    pub agent: Rc<dyn Agent>,
    pub thread: Config,
}

impl Settings {
    /// # Errors
    /// In words: which variable is wrong, and what would be right.
    pub fn read(variable: Variables<'_>) -> Result<Self, String> {
        let variable: Variables<'_> = &|name| variable(name).filter(|value| !value.is_empty());
        let number = |name: &str, default, range| number(variable, name, default, range);
        let agent = agent::configured(variable)?;
        let default = Config::default();
        let count = |name: &str, default: usize, max: usize| {
            number(name, default as u64, 1..=max as u64)
                .map(|count| usize::try_from(count).unwrap_or(default))
        };
        let thread = Config {
            concurrent_turns: count(
                "CONCURRENT_TURNS",
                default.concurrent_turns,
                limits::CONCURRENT_TURNS_MAX,
            )?,
            agent_idle_timeout_ms: number(
                "AGENT_IDLE_TIMEOUT_MS",
                default.agent_idle_timeout_ms,
                1..=3_600_000,
            )?,
            messages_per_minute: number("MESSAGES_PER_MINUTE", default.messages_per_minute, 1..=1_000_000)?,
            invalid_frames_max: number("INVALID_FRAMES", default.invalid_frames_max, 1..=1_000_000)?,
            sockets_max: count("SOCKETS_PER_THREAD", default.sockets_max, limits::SOCKETS_MAX)?,
            subject_sockets_max: count(
                "SOCKETS_PER_SUBJECT",
                default.subject_sockets_max,
                limits::SOCKETS_MAX,
            )?,
        };
        Ok(Settings { agent, thread })
    }
}

/// The origins of `ALLOWED_ORIGINS`, separated by commas or spaces.
pub fn origins(allowed: &str) -> impl Iterator<Item = &str> {
    allowed.split([',', ' ']).map(str::trim).filter(|origin| !origin.is_empty())
}
