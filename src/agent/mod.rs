//! Agents: build requests for models, and read their responses.
//!
//! Each kind of agent is a file with an [`Agent`], which builds the request, and a [`Reply`], which reads the
//! response. [`configured`] finds the kind that the variables name.
//!
//! **Invariant:** this module knows nothing about turns, sockets or HTTP clients. It takes bytes and returns
//! [`AgentEvent`]s.

#![deny(missing_docs)]

pub mod ai_sdk;
pub mod anthropic;
mod attempt;
pub mod echo;
pub mod event;
pub mod http;
pub mod openai;
pub mod own;
pub mod parts;
pub mod piece;
pub mod redact;
pub mod responses;
pub mod sse;
mod unconfigured;
pub mod workers_ai;

use std::fmt::Debug;
use std::rc::Rc;

use crate::protocol::limits::AGENT_FILES_BYTES_MAX;
use crate::protocol::{
    Block, CollectVec, Content, ErrorBody, Finish, Json, PermissionMode, Role, Trace, Usage, Word,
};
use crate::variables::{self, AgentName, Variables};

pub use attempt::{Attempt, Remedy};
pub use http::{own_words, reason, timeout_failure, turn_timeout_failure};
pub use unconfigured::Unconfigured;

/// A kind of agent, with its settings.
pub trait Agent: Debug {
    /// Returns the call to make for a turn, in this way of asking.
    fn call(&self, request: &AgentRequest, attempt: Attempt) -> Call;

    /// Returns a reader for the response to one call.
    fn reply(&self) -> Box<dyn Reply>;

    /// Returns whether it marks the calls that people have to answer. With any other agent, all calls may be
    /// a client's.
    fn marks_calls(&self) -> bool {
        false
    }

    /// Returns the size in bytes of the largest image that it accepts.
    fn image_bytes_max(&self) -> u64 {
        AGENT_FILES_BYTES_MAX
    }

    /// Returns the models that a session may choose from, the default first; empty if there is no choice.
    fn models(&self) -> &[String] {
        &[]
    }
}

/// Reads the response to one call.
///
/// It returns exactly one [`AgentEvent::Finished`] or [`AgentEvent::Failed`], as the last event and at the
/// latest from [`Reply::finish`], [`Reply::refuse`] or [`Reply::fail`]. Later input is ignored.
pub trait Reply: Debug {
    /// Takes the request, before any response.
    fn asked(&mut self, _request: &AgentRequest) {}

    /// Takes the next bytes of a successful answer's body, cut anywhere.
    fn push(&mut self, bytes: &[u8]) -> Vec<AgentEvent>;

    /// Takes a part of the answer that is a JSON value already.
    fn part(&mut self, _part: &str) -> Vec<AgentEvent> {
        Vec::new()
    }

    /// Notes that the body of an answer of this kind follows.
    fn reads(&mut self, _kind: AgentName) {}

    /// Takes the end of the body, including one caused by a broken connection.
    fn finish(&mut self) -> Vec<AgentEvent>;

    /// Notes that there is no successful answer.
    fn refuse(&mut self, refusal: &Refusal) -> Vec<AgentEvent>;

    /// Takes an end for a reason outside the answer, such as a timeout or a cancel. Returns the gathered
    /// events, then the failure. An answer that lacks only the end of its body is finished instead.
    fn fail(&mut self, failed: Failed) -> Vec<AgentEvent>;

    /// Returns the tokens that the model has reported, or else the number of text pieces.
    fn tokens_used(&self) -> u64;

    /// Returns whether a call that the agent runs itself has no result yet. Until then it may be silent.
    fn is_running_tool(&self) -> bool {
        false
    }
}

/// The way to call an agent for a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// A `POST`. The body of the response is passed to the reply.
    Http {
        /// The whole address.
        url: String,
        /// Headers that are added to those of every call, or replace them. The last of a name counts; one
        /// without a value removes the header.
        headers: Vec<(String, Option<String>)>,
        /// Further headers for the application's own service, and for nobody else.
        service_headers: Vec<(&'static str, String)>,
        /// The request's body, as JSON.
        body: String,
    },
    /// A call of the binding `AI`.
    WorkersAi {
        /// The model's name.
        model: String,
        /// The input, as JSON.
        input: String,
        /// The options of the call, as JSON.
        options: String,
    },
    /// A call of the thread's own class.
    Own {
        /// The turn, as JSON.
        turn: String,
    },
    /// Pieces that form the body of the answer.
    Pieces {
        /// The pieces; each is passed to the reply separately.
        pieces: Vec<String>,
        /// Milliseconds between two of them.
        delay_ms: u64,
    },
}

/// Files whose bytes belong in a call's text, in place of their placeholders.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Enclosed {
    /// The mark, which nobody can guess. A placeholder is this mark, the number of its file and a full stop.
    pub mark: String,
    /// The files' ids, each with the form of its bytes.
    pub files: Vec<(String, Form)>,
}

/// The form of a file's bytes in a call's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// In base64.
    Data,
    /// As a part of a JSON string.
    Text,
}

/// A response to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answered {
    /// The result of one read of a successful answer's body.
    Bytes(Vec<u8>),
    /// A part of the answer that is a JSON value already.
    Part(String),
    /// The body of an answer of this kind follows.
    Reads(AgentName),
    /// The end of the body.
    End,
    /// There is no successful answer.
    Refused(Refusal),
}

/// Why a call has no successful answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// An HTTP status that is not a success.
    Status {
        /// The status, 400 or above.
        status: u16,
        /// The seconds that the `Retry-After` header asks for, if there is one.
        retry_after: Option<u64>,
        /// As much of the body as was read.
        body: Vec<u8>,
    },
    /// A redirect that was refused.
    Redirect {
        /// The status, 300 to 399.
        status: u16,
        /// The origin of its target, if that is another one.
        to: Option<String>,
    },
    /// There were too many redirects, one after the other.
    Redirects,
    /// The network, or the service in its place, did not answer.
    Unreachable {
        /// Whether a service binding was asked.
        is_service: bool,
    },
    /// The service binding cannot be called.
    NoService,
    /// The bucket does not have these files, which the call encloses.
    NoFiles(Vec<String>),
    /// The bucket did not give the files that the call encloses.
    NoBucket,
    /// The binding `AI` is missing, or cannot run a model.
    NoModels,
    /// The binding threw, with these words.
    Thrown(String),
    /// The thread's own class threw. The words are for the user, if they are meant to be.
    Own(Option<String>),
}

/// Returns the agent that the variables name. A new kind takes one file, and one line here.
///
/// # Errors
/// A sentence that names the wrong variable and says what would be right.
pub fn configured(read: Variables) -> Result<Rc<dyn Agent>, String> {
    match read.choice(&variables::AGENT)? {
        AgentName::Echo => echo::Echo::configured(read),
        AgentName::OpenAi => http::Endpoint::configured(read, &openai::KIND),
        AgentName::Anthropic => http::Endpoint::configured(read, anthropic::kind(read)?),
        AgentName::WorkersAi => workers_ai::WorkersAi::configured(read),
        AgentName::AiSdk => http::Endpoint::configured(read, &ai_sdk::KIND),
        AgentName::Responses => http::Endpoint::configured(read, &responses::KIND),
        AgentName::Worker => Ok(own::OwnCode::configured(read)),
    }
}

/// Returns the models that sessions may choose from, the default first; empty if no model is named.
#[must_use]
pub fn models(read: Variables) -> Vec<String> {
    let names = read.text(&variables::AGENT_MODELS).unwrap_or_default();
    let mut models: Vec<String> = Vec::new();
    for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        models.push(name.to_owned());
    }
    if models.is_empty() { read.text(&variables::AGENT_MODEL).into_iter().collect_vec() } else { models }
}

/// A request to an agent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AgentRequest {
    /// The session's id.
    pub session_id: String,
    /// The turn's `requestId`.
    pub request_id: String,
    /// The id that the answer's message will have.
    pub answer_id: String,
    /// The session's permission mode when the agent is asked.
    pub permission_mode: Word<PermissionMode>,
    /// The model that the session chose among those on offer; `None` is the first of them.
    pub model: Option<String>,
    /// The subject that wrote the message; `None` where everybody is let in.
    pub subject: Option<String>,
    /// How often the agent has been called for this answer, including this call.
    pub round: u64,
    /// The session's title, if it has one.
    pub session_title: Option<String>,
    /// The application's metadata of the session: an object.
    pub session_metadata: Option<Json>,
    /// The call's place in a trace, if the turn is part of one.
    pub trace: Option<Trace>,
    /// The finished messages, oldest first, and the user's own message last.
    pub messages: Vec<AgentMessage>,
    /// The turn's own answer so far, if the agent is called again for it.
    pub answer: Option<Content>,
}

/// A message of the conversation in an agent's request.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentMessage {
    /// The message's id.
    pub id: String,
    /// Who wrote it: the user or the assistant.
    pub role: Role,
    /// The message's text, or its blocks.
    pub content: Content,
    /// The application's metadata of a user's message: an object.
    pub metadata: Option<Json>,
}

/// An event that an agent delivers. [`AgentEvent::Finished`] or [`AgentEvent::Failed`] is the last one.
#[derive(Clone, Debug, PartialEq)]
pub enum AgentEvent {
    /// More text of the answer.
    Text(String),
    /// A block begins to grow: a thought or a call, without the text or the input that grows. It stays open
    /// until the next [`AgentEvent::Block`], which completes it; no text and no other block comes before.
    Begin(Block),
    /// Growth of the open block: text of a thought, or JSON of a call's input.
    Grow(String),
    /// A finished block that is not text. It completes the open block, if there is one.
    Block(Block),
    /// The open block will not be finished, because its call was cut off.
    Drop,
    /// Data for all clients that are connected. It is not kept.
    Data {
        /// The application's name for this kind of data.
        name: String,
        /// Any JSON.
        data: Json,
        /// The id, which tells it from data of the same name.
        id: Option<String>,
    },
    /// More of the answer came, but nothing of it can be shown yet.
    Gathering,
    /// The model said that its answer has ended, but the response is still open. If no other event comes for
    /// [`ENDING_MS`], the answer is finished as it is.
    ///
    /// [`ENDING_MS`]: crate::protocol::limits::ENDING_MS
    Ending(Finished),
    /// The answer is complete.
    Finished(Finished),
    /// The answer failed or broke off.
    Failed(Failed),
}

/// The end of a complete answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Finished {
    /// Tokens of prompt and answer as the model reports them, or else the number of text pieces.
    pub tokens_used: u64,
    /// The same in parts, if the model reports them.
    pub usage: Option<Usage>,
    /// The model that answered, as the endpoint names it.
    pub model: Option<String>,
    /// The ids of calls without a result that neither the agent nor a provider will answer, so the clients
    /// have to. Only kinds of agents that can tell name any.
    pub client_calls: Vec<String>,
    /// Why the model stopped, in the endpoint's word, such as `stop` or `length`.
    pub finish_reason: Option<String>,
    /// The same in the contract's word.
    pub finish: Option<Finish>,
    /// The application's metadata of the answer: an object.
    pub metadata: Option<Json>,
    /// How many events of the answer could not be read, or broke off.
    pub unread: u64,
}

/// The failure of an answer; the part before it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// The error that clients are told.
    pub error: ErrorBody,
    /// As in [`Finished`], up to the failure.
    pub tokens_used: u64,
    /// The remedy that may help, if nothing was said before.
    pub remedy: Remedy,
}

impl Failed {
    /// Returns a failure that nothing helps against, before any tokens were counted.
    #[must_use]
    pub fn new(error: ErrorBody) -> Self {
        Failed { error, tokens_used: 0, remedy: Remedy::None }
    }
}
