//! The worker's variables, secrets and bindings, each named once.
//!
//! The configuration reads them by this table. `scripts/variables.json`, which `npm start` reads, and the table
//! in `docs/operations.md` are written from it: `UPDATE=1 cargo test variables`.
//!
//! **Invariant:** nothing is read of the environment that is not in this table: only it makes a [`Name`].

#[cfg(test)]
mod documents;

use std::marker::PhantomData;
use std::ops::RangeInclusive;

use crate::protocol::words::words;
use crate::protocol::{Named, limits};

/// The name of a variable, secret or binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name(&'static str);

impl Name {
    /// How it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.0
    }
}

/// A variable that holds any text.
#[derive(Clone, Copy, Debug)]
pub struct Text(Name);

/// A variable that holds a text and is never shown.
#[derive(Clone, Copy, Debug)]
pub struct Secret(Name);

/// A variable that holds a whole number.
#[derive(Clone, Debug)]
pub struct Number {
    name: Name,
    default: u64,
    range: RangeInclusive<u64>,
}

/// A variable that holds one of the words of `T`; without it, `T`'s default counts.
#[derive(Clone, Copy, Debug)]
pub struct Choice<T> {
    name: Name,
    words: PhantomData<T>,
}

/// Something of the platform that the worker is given, such as a database.
#[derive(Clone, Copy, Debug)]
pub struct Binding(Name);

words! {
    /// Which kind of agent answers.
    #[derive(Default)]
    pub enum AgentName {
        /// The user's own text.
        #[default]
        Echo = "echo",
        /// An endpoint that speaks `OpenAI`'s chat completions.
        OpenAi = "openai",
        /// An endpoint that speaks `OpenAI`'s Responses API.
        Responses = "responses",
        /// An endpoint that speaks Anthropic's Messages.
        Anthropic = "anthropic",
        /// A model of Cloudflare's, by the binding `AI`.
        WorkersAi = "workers-ai",
        /// A route that answers with the AI SDK's UI message stream.
        AiSdk = "ai-sdk",
        /// The class's own `onTurn`; what the npm package sets.
        Worker = "worker",
    }
}

words! {
    /// A version of Anthropic's API.
    #[derive(Default)]
    pub enum ApiVersion {
        /// The first one, which every endpoint knows that speaks it.
        #[default]
        First = "2023-06-01",
        /// The one after it.
        Second = "2026-10-21",
    }
}

words! {
    /// Whether a credential is asked for.
    #[derive(Default)]
    pub enum AuthName {
        /// Yes: a JSON Web Token.
        #[default]
        Jwt = "jwt",
        /// No.
        None = "none",
    }
}

words! {
    /// What becomes of calls of tools that nobody has answered when their agent is done.
    #[derive(Default)]
    pub enum ToolsName {
        /// The turn ends.
        #[default]
        End = "end",
        /// The turn waits for their results.
        Wait = "wait",
    }
}

words! {
    /// What the search looks at.
    #[derive(Default)]
    pub enum SearchName {
        /// Titles and messages.
        #[default]
        Messages = "messages",
        /// Titles alone: of a message no words are kept for the search.
        Titles = "titles",
    }
}

/// Defines the constants by which everything is read, and the table that the documents are written from. The
/// first line of a variable's doc is what the documents say of it.
macro_rules! variables {
    ($($(#[doc = $doc:literal])+ $name:ident: $kind:ty $(= $($value:expr),+)?;)+) => {
        $(
            $(#[doc = $doc])+
            pub const $name: $kind = <$kind>::new(Name(stringify!($name)) $($(, $value)+)?);
        )+

        #[cfg(test)]
        fn table() -> Vec<documents::Row> {
            vec![$(documents::Row {
                name: stringify!($name),
                doc: concat!($($doc),+).trim(),
                values: documents::Documented::values(&$name),
            },)+]
        }
    };
}

variables! {
    /// Which agent answers.
    AGENT: Choice<AgentName>;
    /// The echo's wait between two words.
    ECHO_DELAY_MS: Number = 20, 0..=60_000;
    /// The endpoint's address, up to and with `/v1`, or of `ai-sdk` the whole of it; a query in it stays at the end of the address that is called.
    AGENT_BASE_URL: Text;
    /// The model's name.
    AGENT_MODEL: Text;
    /// Names of models to choose from, separated by commas, in place of `AGENT_MODEL`; the first is the default.
    AGENT_MODELS: Text;
    /// Sent to the endpoint as `Authorization: Bearer`, or of `anthropic` in its first version as `x-api-key`.
    AGENT_API_KEY: Secret;
    /// The `anthropic-version` of `AGENT=anthropic`.
    AGENT_API_VERSION: Choice<ApiVersion>;
    /// The AI Gateway that `AGENT=workers-ai` goes through, by its name; without it, none.
    AGENT_AI_GATEWAY: Text;
    /// JSON object merged over the headers of each request to the endpoint; `null` leaves one out.
    AGENT_HEADERS: Secret;
    /// JSON object whose fields are merged over the body of each request to the endpoint; `null` removes one.
    AGENT_EXTRA_BODY: Text;
    /// Stands before every history.
    AGENT_SYSTEM_PROMPT: Text;
    /// Whether a turn whose model calls tools ends, or waits until people have given their results.
    AGENT_TOOLS: Choice<ToolsName>;
    /// How long a model may take to say the first of its answer.
    AGENT_FIRST_TOKEN_TIMEOUT_MS: Number = limits::AGENT_FIRST_TOKEN_TIMEOUT_MS, 1..=3_600_000;
    /// How long a model may be silent after that.
    AGENT_IDLE_TIMEOUT_MS: Number = limits::AGENT_IDLE_TIMEOUT_MS, 1..=3_600_000;
    /// How long an answer may take in all.
    AGENT_TURN_TIMEOUT_MS: Number = limits::AGENT_TURN_TIMEOUT_MS, 1..=86_400_000;
    /// How often a model is called again that answers 408, 429 or 5xx, also in its stream, or not at all, before it has said anything: after its `Retry-After`, and not at all if that is over 30 s.
    AGENT_RETRIES: Number = limits::AGENT_RETRIES, 0..=10;
    /// Messages of a history that a model is given, the user's own included.
    AGENT_HISTORY_MESSAGES: Number = limits::AGENT_MESSAGES as u64, 1..=10_000;
    /// Bytes of a history that a model is given, beside the user's own message.
    AGENT_HISTORY_BYTES: Number = limits::AGENT_BYTES as u64, 0..=8_388_608;
    /// Service: called instead of the network.
    AGENT_SERVICE: Binding;
    /// Workers AI: the models of `AGENT=workers-ai`.
    AI: Binding;
    /// Turns of a thread that run at once.
    CONCURRENT_TURNS: Number = 1, 1..=limits::CONCURRENT_TURNS_MAX as u64;
    /// Whether callers need a token; see [security](security.md).
    AUTH: Choice<AuthName>;
    /// For tokens of `HS256`.
    AUTH_JWT_SECRET: Secret;
    /// For tokens of `RS256`, `ES256` and `EdDSA`: the address of the issuer's key set.
    AUTH_JWKS_URL: Text;
    /// The `aud` that tokens must have; without it, any.
    AUTH_AUDIENCE: Text;
    /// Origins of pages that may connect and read, beside the worker's own, separated by commas.
    ALLOWED_ORIGINS: Text;
    /// How often the text of an answer that streams is stored: what a crash may lose of it, against rows that are written.
    JOURNAL_MS: Number = limits::JOURNAL_MS, 1..=5_000;
    /// Messages of one subject on one thread; of one connection where `AUTH=none`.
    MESSAGES_PER_MINUTE: Number = limits::MESSAGES_PER_MINUTE, 1..=1_000_000;
    /// Frames of one connection that are refused as invalid before it is closed.
    INVALID_FRAMES: Number = limits::INVALID_FRAMES_MAX, 1..=1_000_000;
    /// Sockets of a thread; one more is closed with 4429.
    SOCKETS_PER_THREAD: Number = limits::SOCKETS_MAX as u64, 1..=limits::SOCKETS_MAX as u64;
    /// Sockets of one subject on one thread; one more is closed with 4429.
    SOCKETS_PER_SUBJECT: Number = limits::SUBJECT_SOCKETS_MAX as u64, 1..=limits::SOCKETS_MAX as u64;
    /// What the search looks at; see [the search](#the-search).
    SEARCH: Choice<SearchName>;
    /// D1 database: the list of sessions and the search. More of them: `DB_1` to `DB_63`.
    DB: Binding;
    /// How many D1 databases there were, in order, separated by commas, such as `1,4,16`: new sessions go to as many as the last number says; see [many databases](growth.md#many-databases).
    DB_GENERATIONS: Text;
    /// Days after its last use that a session is deleted; 0 keeps it. See [retention](growth.md#retention).
    RETENTION_DAYS: Number = 0, 0..=36_500;
    /// R2 bucket: the files of sessions; without it, messages hold small `data:` URLs and addresses alone.
    FILES: Binding;
    /// Durable Object, of the class `SessionDO`: the threads.
    SESSION_DO: Binding;
    /// Analytics Engine dataset: a data point for each turn that ended; see [graphs and alerts](#graphs-and-alerts).
    ANALYTICS: Binding;
    /// Rate limit of one subject, or of one address where there is none; without it, requests are not counted.
    RATE_LIMIT: Binding;
}

/// The environment: the text of a variable, if it is set.
pub type Source<'a> = &'a dyn Fn(Name) -> Option<String>;

/// Reads variables from the environment. An empty one counts as not set.
#[derive(Clone, Copy)]
pub struct Variables<'a>(pub Source<'a>);

impl Variables<'_> {
    /// A text, if it is set.
    #[must_use]
    pub fn text(&self, variable: &Text) -> Option<String> {
        self.given(variable.0)
    }

    /// A secret, if it is set.
    #[must_use]
    pub fn secret(&self, variable: &Secret) -> Option<String> {
        self.given(variable.0)
    }

    /// A number, or its default.
    ///
    /// # Errors
    /// In words, what would be right.
    pub fn number(&self, variable: &Number) -> Result<u64, String> {
        let Some(text) = self.given(variable.name) else { return Ok(variable.default) };
        let number = text.trim().parse().ok().filter(|number| variable.range.contains(number));
        number.ok_or_else(|| {
            let (name, range) = (variable.name.0, &variable.range);
            format!("{name} is a whole number from {} to {}", range.start(), range.end())
        })
    }

    /// A number of things, or its default.
    ///
    /// # Errors
    /// In words, what would be right.
    pub fn count(&self, variable: &Number) -> Result<usize, String> {
        self.number(variable).map(|number| usize::try_from(number).unwrap_or(usize::MAX))
    }

    /// One of several words, or the default one.
    ///
    /// # Errors
    /// In words, what would be right.
    pub fn choice<T: Named + Default>(&self, variable: &Choice<T>) -> Result<T, String> {
        let Some(word) = self.given(variable.name) else { return Ok(T::default()) };
        T::named(&word).ok_or_else(|| format!("{} is {}", variable.name.0, T::listed()))
    }

    fn given(&self, name: Name) -> Option<String> {
        (self.0)(name).filter(|value| !value.is_empty())
    }
}

impl Text {
    const fn new(name: Name) -> Self {
        Text(name)
    }
}

impl Secret {
    const fn new(name: Name) -> Self {
        Secret(name)
    }
}

impl Number {
    const fn new(name: Name, default: u64, range: RangeInclusive<u64>) -> Self {
        Number { name, default, range }
    }
}

impl<T> Choice<T> {
    const fn new(name: Name) -> Self {
        Choice { name, words: PhantomData }
    }
}

impl Binding {
    const fn new(name: Name) -> Self {
        Binding(name)
    }

    /// How it is named.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.0.0
    }
}
