//! The worker's variables, secrets and bindings, each named once.
//!
//! The configuration reads them by this table. `scripts/variables.json`, which `npm start` reads, and the
//! table in `docs/operations.md` are generated from it: `UPDATE=1 cargo test variables`.
//!
//! **Invariant:** only names in this table are read from the environment, because only the table can make a
//! [`Name`].

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
    /// Returns the name as text.
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

/// A variable that holds one of the words of `T`; if it is not set, the default of `T` counts.
#[derive(Clone, Copy, Debug)]
pub struct Choice<T> {
    name: Name,
    words: PhantomData<T>,
}

/// Something of the platform that is bound to the worker, such as a database.
#[derive(Clone, Copy, Debug)]
pub struct Binding(Name);

words! {
    /// The kind of agent that answers.
    #[derive(Default)]
    pub enum AgentName {
        /// Repeats the user's own text.
        #[default]
        Echo = "echo",
        /// An endpoint that speaks `OpenAI`'s chat completions.
        OpenAi = "openai",
        /// An endpoint that speaks `OpenAI`'s Responses API.
        Responses = "responses",
        /// An endpoint that speaks Anthropic's Messages.
        Anthropic = "anthropic",
        /// One of Cloudflare's models, by the binding `AI`.
        WorkersAi = "workers-ai",
        /// A route that answers with the AI SDK's UI message stream.
        AiSdk = "ai-sdk",
        /// The class's own `onTurn`, as set by the npm package.
        Worker = "worker",
    }
}

words! {
    /// A version of Anthropic's API.
    #[derive(Default)]
    pub enum ApiVersion {
        /// The first one, which every endpoint for this API knows.
        #[default]
        First = "2023-06-01",
        /// The one after it.
        Second = "2026-10-21",
    }
}

words! {
    /// Whether callers need a credential.
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
    /// What happens to tool calls that nobody has answered when their agent is done.
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
    /// What the search covers.
    #[derive(Default)]
    pub enum SearchName {
        /// Titles and messages.
        #[default]
        Messages = "messages",
        /// Only titles: words of messages are not indexed.
        Titles = "titles",
    }
}

/// Defines a constant to read each variable, and the table that the documents are generated from. A variable's
/// doc comment appears in the documents.
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
    /// The echo's delay between two words.
    ECHO_DELAY_MS: Number = 20, 0..=60_000;
    /// The endpoint's address, up to and including `/v1`, or the whole address for `ai-sdk`; a query in it
    /// stays at the end of the address that is called.
    AGENT_BASE_URL: Text;
    /// The model's name.
    AGENT_MODEL: Text;
    /// Names of models to choose from, separated by commas, instead of `AGENT_MODEL`; the first is the
    /// default.
    AGENT_MODELS: Text;
    /// Sent to the endpoint as `Authorization: Bearer`, or as `x-api-key` for `anthropic` in its first
    /// version.
    AGENT_API_KEY: Secret;
    /// The `anthropic-version` of `AGENT=anthropic`.
    AGENT_API_VERSION: Choice<ApiVersion>;
    /// The name of the AI Gateway that `AGENT=workers-ai` goes through; without it, none.
    AGENT_AI_GATEWAY: Text;
    /// JSON object merged over the headers of each request to the endpoint; `null` removes one.
    AGENT_HEADERS: Secret;
    /// JSON object whose fields are merged over the body of each request to the endpoint; `null` removes one.
    AGENT_EXTRA_BODY: Text;
    /// Comes before every history.
    AGENT_SYSTEM_PROMPT: Text;
    /// Whether a turn whose model calls tools ends, or waits until people have given the results.
    AGENT_TOOLS: Choice<ToolsName>;
    /// How long a model may take to begin its answer.
    AGENT_FIRST_TOKEN_TIMEOUT_MS: Number = limits::AGENT_FIRST_TOKEN_TIMEOUT_MS, 1..=3_600_000;
    /// How long a model may be silent after that.
    AGENT_IDLE_TIMEOUT_MS: Number = limits::AGENT_IDLE_TIMEOUT_MS, 1..=3_600_000;
    /// How long a whole answer may take.
    AGENT_TURN_TIMEOUT_MS: Number = limits::AGENT_TURN_TIMEOUT_MS, 1..=86_400_000;
    /// How often a model is called again if it answers 408, 429 or 5xx, even inside its stream, or not at
    /// all, before it has said anything. The call waits for the `Retry-After` of the answer, and is not made
    /// if that is over 30 s.
    AGENT_RETRIES: Number = limits::AGENT_RETRIES, 0..=10;
    /// Messages of a history that a model is given, including the user's own.
    AGENT_HISTORY_MESSAGES: Number = limits::AGENT_MESSAGES as u64, 1..=10_000;
    /// Bytes of a history that a model is given, not counting the user's own message.
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
    /// The `aud` that tokens must have; without it, any is accepted.
    AUTH_AUDIENCE: Text;
    /// Origins of pages that may connect and read, besides the worker's own, separated by commas.
    ALLOWED_ORIGINS: Text;
    /// How often the text of a streaming answer is stored: a shorter time loses less in a crash, but writes
    /// more rows.
    JOURNAL_MS: Number = limits::JOURNAL_MS, 1..=5_000;
    /// Messages of one subject on one thread; or of one connection if `AUTH=none`.
    MESSAGES_PER_MINUTE: Number = limits::MESSAGES_PER_MINUTE, 1..=1_000_000;
    /// How many invalid frames a connection may send before it is closed.
    INVALID_FRAMES: Number = limits::INVALID_FRAMES_MAX, 1..=1_000_000;
    /// Sockets of a thread; one more is closed with 4429.
    SOCKETS_PER_THREAD: Number = limits::SOCKETS_MAX as u64, 1..=limits::SOCKETS_MAX as u64;
    /// Sockets of one subject on one thread; one more is closed with 4429.
    SOCKETS_PER_SUBJECT: Number = limits::SUBJECT_SOCKETS_MAX as u64, 1..=limits::SOCKETS_MAX as u64;
    /// What the search covers; see [the search](#the-search).
    SEARCH: Choice<SearchName>;
    /// D1 database: the list of sessions and the search. More of them: `DB_1` to `DB_63`.
    DB: Binding;
    /// How many D1 databases there have been, in order, separated by commas, such as `1,4,16`: new sessions
    /// go to as many as the last number says; see [many databases](growth.md#many-databases).
    DB_GENERATIONS: Text;
    /// Days from its last use until a session is deleted; 0 keeps it. See [retention](growth.md#retention).
    RETENTION_DAYS: Number = 0, 0..=36_500;
    /// R2 bucket: the files of sessions; without it, messages can have only small `data:` URLs and addresses.
    FILES: Binding;
    /// Durable Object, of the class `SessionDO`: the threads.
    SESSION_DO: Binding;
    /// Analytics Engine dataset: a data point for each turn that ended; see [graphs and alerts](#graphs-and-alerts).
    ANALYTICS: Binding;
    /// Rate limit of one subject, or of one address if there is no subject; without it, requests are not
    /// counted.
    RATE_LIMIT: Binding;
}

/// The environment: the text of a variable, if it is set.
pub type Source<'a> = &'a dyn Fn(Name) -> Option<String>;

/// Reads variables from the environment. An empty one counts as not set.
#[derive(Clone, Copy)]
pub struct Variables<'a>(pub Source<'a>);

impl Variables<'_> {
    /// Returns a text, if it is set.
    #[must_use]
    pub fn text(&self, variable: &Text) -> Option<String> {
        self.given(variable.0)
    }

    /// Returns a secret, if it is set.
    #[must_use]
    pub fn secret(&self, variable: &Secret) -> Option<String> {
        self.given(variable.0)
    }

    /// Returns a number, or its default.
    ///
    /// # Errors
    /// A sentence that says what would be right.
    pub fn number(&self, variable: &Number) -> Result<u64, String> {
        let Some(text) = self.given(variable.name) else { return Ok(variable.default) };
        let number = text.trim().parse().ok().filter(|number| variable.range.contains(number));
        number.ok_or_else(|| {
            let (name, range) = (variable.name.0, &variable.range);
            format!("{name} is a whole number from {} to {}", range.start(), range.end())
        })
    }

    /// Returns a number of things, or its default.
    ///
    /// # Errors
    /// A sentence that says what would be right.
    pub fn count(&self, variable: &Number) -> Result<usize, String> {
        self.number(variable).map(|number| usize::try_from(number).unwrap_or(usize::MAX))
    }

    /// Returns one of several words, or the default one.
    ///
    /// # Errors
    /// A sentence that says what would be right.
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

    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.0.0
    }
}
