//! What the worker's variables say, read once per object. What is not set has its default; what is not valid
//! is refused at the edge with words.

use crate::thread::Config;
use crate::variables::{self, AgentName, Source, Variables};

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
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub agent: AgentKind,
    pub thread: Config,
}

impl Settings {
    /// # Errors
    /// In words: which variable is wrong, and what would be right.
    pub fn read(source: Source) -> Result<Self, String> {
        let variables = Variables(source);
        Ok(Settings { agent: agent(variables)?, thread: thread(variables)? })
    }
}

fn agent(read: Variables) -> Result<AgentKind, String> {
    match read.choice(&variables::AGENT)? {
        AgentName::Echo => Ok(AgentKind::Echo { delay_ms: read.number(&variables::ECHO_DELAY_MS)? }),
        AgentName::OpenAi => Ok(AgentKind::OpenAi(OpenAi {
            base_url: read.text(&variables::AGENT_BASE_URL).filter(|url| is_http(url)).ok_or(
                "AGENT=openai needs AGENT_BASE_URL, the endpoint's address up to and with /v1, starting with http:// or https://",
            )?,
            model: read
                .text(&variables::AGENT_MODEL)
                .ok_or("AGENT=openai needs AGENT_MODEL, the name of a model")?,
            api_key: read.secret(&variables::AGENT_API_KEY),
            system_prompt: read.text(&variables::AGENT_SYSTEM_PROMPT),
        })),
    }
}

fn thread(read: Variables) -> Result<Config, String> {
    Ok(Config {
        concurrent_turns: read.count(&variables::CONCURRENT_TURNS)?,
        agent_idle_timeout_ms: read.number(&variables::AGENT_IDLE_TIMEOUT_MS)?,
        messages_per_minute: read.number(&variables::MESSAGES_PER_MINUTE)?,
        invalid_frames_max: read.number(&variables::INVALID_FRAMES)?,
        sockets_max: read.count(&variables::SOCKETS_PER_THREAD)?,
        subject_sockets_max: read.count(&variables::SOCKETS_PER_SUBJECT)?,
    })
}

fn is_http(url: &str) -> bool {
    url.starts_with("http://") || url.starts_with("https://")
}

/// The origins of `ALLOWED_ORIGINS`, separated by commas or spaces.
pub fn origins(allowed: &str) -> impl Iterator<Item = &str> {
    allowed.split([',', ' ']).map(str::trim).filter(|origin| !origin.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(given: &[(&str, &str)]) -> Result<Settings, String> {
        let value = |name: &str| given.iter().find(|(given, _)| *given == name).map(|(_, value)| *value);
        Settings::read(&|name| value(name.as_str()).map(str::to_owned))
    }

    #[test]
    fn what_is_not_set_has_the_default_of_the_table() {
        let defaults = Settings { agent: AgentKind::Echo { delay_ms: 20 }, thread: Config::default() };
        assert_eq!(settings(&[]), Ok(defaults.clone()));
        assert_eq!(settings(&[("AGENT", ""), ("CONCURRENT_TURNS", "")]), Ok(defaults));
    }

    #[test]
    fn what_is_set_counts_up_to_both_ends_of_its_range() {
        for (text, count) in [("1", 1), (" 16 ", 16)] {
            assert_eq!(
                settings(&[("CONCURRENT_TURNS", text)]).map(|read| read.thread.concurrent_turns),
                Ok(count)
            );
        }
        let delay = settings(&[("ECHO_DELAY_MS", "0")]).map(|read| read.agent);
        assert_eq!(delay, Ok(AgentKind::Echo { delay_ms: 0 }));
    }

    #[test]
    fn what_is_not_valid_is_refused_with_what_would_be_right() {
        let why = |given: &[(&str, &str)]| settings(given).unwrap_err();
        for value in ["0", "17", "-1", "1.5", "many"] {
            assert_eq!(
                why(&[("CONCURRENT_TURNS", value)]),
                "CONCURRENT_TURNS is a whole number from 1 to 16"
            );
        }
        assert_eq!(why(&[("AGENT", "Echo")]), "AGENT is echo or openai");
        assert!(why(&[("AGENT", "openai")]).contains("AGENT_BASE_URL"));
        let base_url = ("AGENT_BASE_URL", "http://localhost/v1");
        assert!(why(&[("AGENT", "openai"), base_url]).contains("AGENT_MODEL"));
        let wrong = ("AGENT_BASE_URL", "localhost/v1");
        assert!(why(&[("AGENT", "openai"), wrong, ("AGENT_MODEL", "m")]).contains("http://"));
    }
}
