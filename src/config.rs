//! The worker's variables, read once per object. What is not set has its default; what is not valid
//! is refused at the edge with words.

use crate::protocol::limits;
use crate::thread::Config;

pub const ECHO_DELAY_MS: u64 = 20;
const TURN_TIMEOUT_MS_MAX: u64 = 86_400_000;
const RETRIES_MAX: u64 = 10;

/// Who answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentKind {
    Echo { delay_ms: u64 },
    OpenAi(OpenAi),
}

/// An endpoint that speaks `OpenAI`'s chat completions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenAi {
    /// Up to and with `/v1`.
    pub base_url: String,
    pub model: String,
    pub api_key: Option<String>,
    pub system_prompt: Option<String>,
    /// Further calls if one fails in a way that may pass.
    pub retries: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub agent: AgentKind,
    pub thread: Config,
}

impl Settings {
    /// # Errors
    /// In words: which variable is wrong, and what would be right.
    pub fn read(variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, String> {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let number = |name: &str, default: u64, range: std::ops::RangeInclusive<u64>| match variable(name) {
            None => Ok(default),
            Some(text) => {
                text.trim().parse().ok().filter(|value| range.contains(value)).ok_or_else(|| {
                    format!("{name} is a whole number from {} to {}", range.start(), range.end())
                })
            }
        };
        let agent = match variable("AGENT").as_deref() {
            None | Some("echo") => AgentKind::Echo { delay_ms: number("ECHO_DELAY_MS", ECHO_DELAY_MS, 0..=60_000)? },
            Some("openai") => AgentKind::OpenAi(OpenAi {
                base_url: variable("AGENT_BASE_URL").filter(|url| is_http(url)).ok_or(
                    "AGENT=openai needs AGENT_BASE_URL, the endpoint's address up to and with /v1, starting with http:// or https://",
                )?,
                model: variable("AGENT_MODEL").ok_or("AGENT=openai needs AGENT_MODEL, the name of a model")?,
                api_key: variable("AGENT_API_KEY"),
                system_prompt: variable("AGENT_SYSTEM_PROMPT"),
                retries: number("AGENT_RETRIES", limits::AGENT_RETRIES, 0..=RETRIES_MAX)?,
            }),
            Some(_) => return Err("AGENT is echo or openai".into()),
        };
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
            agent_first_token_timeout_ms: number(
                "AGENT_FIRST_TOKEN_TIMEOUT_MS",
                default.agent_first_token_timeout_ms,
                1..=limits::AGENT_TURN_TIMEOUT_MS,
            )?,
            agent_idle_timeout_ms: number(
                "AGENT_IDLE_TIMEOUT_MS",
                default.agent_idle_timeout_ms,
                1..=limits::AGENT_TURN_TIMEOUT_MS,
            )?,
            agent_turn_timeout_ms: number(
                "AGENT_TURN_TIMEOUT_MS",
                default.agent_turn_timeout_ms,
                1..=TURN_TIMEOUT_MS_MAX,
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

fn is_http(url: &str) -> bool {
    url.starts_with("http://") || url.starts_with("https://")
}

/// The origins of `ALLOWED_ORIGINS`, separated by commas or spaces.
pub fn origins(allowed: &str) -> impl Iterator<Item = &str> {
    allowed.split([',', ' ']).map(str::trim).filter(|origin| !origin.is_empty())
}
