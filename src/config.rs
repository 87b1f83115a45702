//! The configuration in the worker's variables, read once per object. A variable that is not set has its
//! default; one that is not valid is refused at the edge with an explanation.

use std::rc::Rc;

use crate::agent::{self, Agent};
use crate::protocol::limits;
use crate::thread::Config;
use crate::variables::{self, Source, ToolsName, Variables};

const DAY_MS: u64 = 86_400_000;

/// The settings in the worker's variables.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The agent, which produces the answers.
    pub agent: Rc<dyn Agent>,
    /// The limits, timeouts and retries of threads.
    pub thread: Config,
}

impl Settings {
    /// Reads the settings from the worker's variables.
    ///
    /// # Errors
    /// A sentence that names the wrong variable and says what would be right.
    pub fn read(source: Source) -> Result<Self, String> {
        let variables = Variables(source);
        Ok(Settings { agent: agent::configured(variables)?, thread: thread(variables)? })
    }
}

fn thread(read: Variables) -> Result<Config, String> {
    // Its value is read where it is needed; here it is only checked.
    read.choice(&variables::SEARCH)?;
    Ok(Config {
        databases: generations(read)?.last().copied().unwrap_or(1),
        retention_ms: read.number(&variables::RETENTION_DAYS)?.saturating_mul(DAY_MS),
        journal_ms: read.number(&variables::JOURNAL_MS)?,
        concurrent_turns: read.count(&variables::CONCURRENT_TURNS)?,
        waits_for_tools: read.choice(&variables::AGENT_TOOLS)? == ToolsName::Wait,
        agent_first_token_timeout_ms: read.number(&variables::AGENT_FIRST_TOKEN_TIMEOUT_MS)?,
        agent_turn_timeout_ms: read.number(&variables::AGENT_TURN_TIMEOUT_MS)?,
        agent_retries: read.number(&variables::AGENT_RETRIES)?,
        agent_messages: read.count(&variables::AGENT_HISTORY_MESSAGES)?,
        agent_bytes: read.count(&variables::AGENT_HISTORY_BYTES)?,
        agent_idle_timeout_ms: read.number(&variables::AGENT_IDLE_TIMEOUT_MS)?,
        messages_per_minute: read.number(&variables::MESSAGES_PER_MINUTE)?,
        invalid_frames_max: read.number(&variables::INVALID_FRAMES)?,
        sockets_max: read.count(&variables::SOCKETS_PER_THREAD)?,
        subject_sockets_max: read.count(&variables::SOCKETS_PER_SUBJECT)?,
        ..Config::default()
    })
}

/// Returns the numbers of databases in `DB_GENERATIONS`, at least one.
///
/// # Errors
/// A sentence that says what would be right.
pub fn generations(read: Variables) -> Result<Vec<u64>, String> {
    let Some(text) = read.text(&variables::DB_GENERATIONS) else { return Ok(vec![1]) };
    let counts = text.split(',').map(|count| count.trim().parse().ok()).collect::<Option<Vec<u64>>>();
    let is_right = |counts: &Vec<u64>| {
        counts.is_sorted_by(|one, next| one < next)
            && counts.iter().all(|count| (1..=limits::DATABASES_MAX as u64).contains(count))
    };
    counts.filter(is_right).ok_or_else(|| {
        let max = limits::DATABASES_MAX;
        format!("DB_GENERATIONS is numbers of databases from 1 to {max}, each greater than the one before, such as 1,4,16")
    })
}

/// Returns the origins in `ALLOWED_ORIGINS`, separated by commas or spaces.
pub fn origins(allowed: &str) -> impl Iterator<Item = &str> {
    allowed.split([',', ' ']).map(str::trim).filter(|origin| !origin.is_empty())
}
