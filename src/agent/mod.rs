//! Agents: what is asked of a model, and what its bytes mean.
//!
//! Each kind of agent is a file: an [`Agent`], which says what to send where, and a [`Reply`], which reads
//! what comes back. [`configured`] finds the kind that the variables name.
//!
//! **Invariant:** knows nothing about turns, sockets or HTTP clients. Bytes come in, [`AgentEvent`]s come out.

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
    /// What to do to have a turn answered, asked in this way.
    fn call(&self, request: &AgentRequest, attempt: Attempt) -> Call;

    /// A reader for what comes back of one call.
    fn reply(&self) -> Box<dyn Reply>;

    /// Whether it says of its calls which of them people are to answer. Of any other, all may be a client's.
    fn marks_calls(&self) -> bool {
        false
    }

    /// Bytes of the largest image that it takes.
    fn image_bytes_max(&self) -> u64 {
        AGENT_FILES_BYTES_MAX
    }

    /// The models that a session may choose from; the first is the default. None, if there is no choice.
    fn models(&self) -> &[String] {
        &[]
    }
}

/// Reads what comes back of one call.
///
/// Exactly one [`AgentEvent::Finished`] or [`AgentEvent::Failed`] comes out, as the last event, at the latest
/// from one of [`Reply::finish`], [`Reply::refuse`] and [`Reply::fail`]. What is given to it later is ignored.
pub trait Reply: Debug {
    /// Takes what was asked, before anything comes back.
    fn asked(&mut self, _request: &AgentRequest) {}

    /// Takes the next bytes of a successful answer's body, cut anywhere.
    fn push(&mut self, bytes: &[u8]) -> Vec<AgentEvent>;

    /// Takes a part of the answer that is a value already, as JSON.
    fn part(&mut self, _part: &str) -> Vec<AgentEvent> {
        Vec::new()
    }

    /// Takes the news that what follows is the body of an answer of this kind.
    fn reads(&mut self, _kind: AgentName) {}

    /// Takes the end of the body, also one that a broken connection brought about.
    fn finish(&mut self) -> Vec<AgentEvent>;

    /// Takes the news that there is no successful answer.
    fn refuse(&mut self, refusal: &Refusal) -> Vec<AgentEvent>;

    /// Takes an end that lies outside the answer, such as a timeout or a cancel: what was gathered is
    /// delivered, then the failure. An answer that only lacks the end of its body is finished instead.
    fn fail(&mut self, failed: Failed) -> Vec<AgentEvent>;

    /// What the model reported so far, else the pieces of text.
    fn tokens_used(&self) -> u64;

    /// Whether a call that the agent runs itself has no result yet: until then its silence is not the model's.
    fn is_running_tool(&self) -> bool {
        false
    }
}

/// What to do to have a turn answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// A `POST`. The body of its answer is the reply's.
    Http {
        /// The whole address.
        url: String,
        /// The headers beside those that every call has, or in their place, the last of a name; one without a
        /// value is left out.
        headers: Vec<(String, Option<String>)>,
        /// Headers beside these, if the application's own service is called: they are for nobody else.
        service_headers: Vec<(&'static str, String)>,
        /// The request's body, as JSON.
        body: String,
    },
    /// A call of the binding `AI`.
    WorkersAi {
        /// The model's name.
        model: String,
        /// What it is given, as JSON.
        input: String,
        /// The options of the call, as JSON.
        options: String,
    },
    /// A call of the code of the thread's own class.
    Own {
        /// What it is told, as JSON.
        turn: String,
    },
    /// The pieces are the answer's body, one after the other.
    Pieces {
        /// The pieces; each is given to the reply by itself.
        pieces: Vec<String>,
        /// Milliseconds between two of them.
        delay_ms: u64,
    },
}

/// Files whose bytes belong into a call's text, at the places that are kept for them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Enclosed {
    /// A place is this mark, the number of its file and a full stop. Nobody can guess the mark.
    pub mark: String,
    /// The files' ids, and the form that each has at its place.
    pub files: Vec<(String, Form)>,
}

/// How a file's bytes stand in a call's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// In base64.
    Data,
    /// As a part of a JSON string.
    Text,
}

/// What comes back of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answered {
    /// What one read of a successful answer's body brought.
    Bytes(Vec<u8>),
    /// A part of the answer that is a value already, as JSON.
    Part(String),
    /// What follows is the body of an answer of this kind.
    Reads(AgentName),
    /// The end of the body.
    End,
    /// There is no successful answer.
    Refused(Refusal),
}

/// Why a call has no successful answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// An HTTP status that is no success.
    Status {
        /// The status, 400 or above.
        status: u16,
        /// The seconds that the `Retry-After` header asks for, if there is one.
        retry_after: Option<u64>,
        /// As much of the body as was read.
        body: Vec<u8>,
    },
    /// A redirect that is not followed.
    Redirect {
        /// The status, 300 to 399.
        status: u16,
        /// The origin that it leads to, if that is another one.
        to: Option<String>,
    },
    /// There were too many redirects, one after the other.
    Redirects,
    /// The network, or the service in its place, gave no answer.
    Unreachable {
        /// Whether a service binding was asked.
        is_service: bool,
    },
    /// What is bound as the service cannot be called.
    NoService,
    /// The bucket does not have these files, which the call encloses.
    NoFiles(Vec<String>),
    /// The bucket did not give what the call encloses.
    NoBucket,
    /// The binding `AI` is missing, or cannot run a model.
    NoModels,
    /// The binding threw, with these words.
    Thrown(String),
    /// The code of the thread's own class threw. The words are for whoever asked, if they are meant to be.
    Own(Option<String>),
}

/// The agent that the variables name. A new kind is one file, and one line here.
///
/// # Errors
/// The text says which variable is wrong, and what would be right.
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

/// The models that sessions may choose from, the default one first; none if no model is named.
#[must_use]
pub fn models(read: Variables) -> Vec<String> {
    let names = read.text(&variables::AGENT_MODELS).unwrap_or_default();
    let mut models: Vec<String> = Vec::new();
    for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        models.push(name.to_owned());
    }
    if models.is_empty() { read.text(&variables::AGENT_MODEL).into_iter().collect_vec() } else { models }
}

/// What an agent is asked to answer.
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
    /// The model that the session chose, of those offered; `None` is the first of them.
    pub model: Option<String>,
    /// The subject that wrote the message; `None` where everybody is let in.
    pub subject: Option<String>,
    /// How often an agent is called for this answer, this time included.
    pub round: u64,
    /// The session's title, if it has one.
    pub session_title: Option<String>,
    /// What the application keeps with the session: an object.
    pub session_metadata: Option<Json>,
    /// Where the call stands in a trace, if the turn is part of one.
    pub trace: Option<Trace>,
    /// The finished messages before the user's own, oldest first, and that one last.
    pub messages: Vec<AgentMessage>,
    /// The turn's own answer so far, if the agent is called again for it.
    pub answer: Option<Content>,
}

/// One message of the conversation, as an agent is given it.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentMessage {
    /// The message's id.
    pub id: String,
    /// Who wrote it: the user or the assistant.
    pub role: Role,
    /// The message's text, or its blocks.
    pub content: Content,
    /// What was sent along with a user's message: an object.
    pub metadata: Option<Json>,
}

/// What an agent delivers. After [`AgentEvent::Finished`] or [`AgentEvent::Failed`] nothing follows.
#[derive(Clone, Debug, PartialEq)]
pub enum AgentEvent {
    /// More text of the answer.
    Text(String),
    /// A block begins to grow, without what grows: the text of a thought, or the input of a call. It stays open
    /// until the next [`AgentEvent::Block`], which is the whole of it; no text and no other block comes before.
    Begin(Block),
    /// More of the block that is open: of the thought, or of the JSON of the call's input.
    Grow(String),
    /// A finished block that is not text. If a block is open, this is the whole of it.
    Block(Block),
    /// The block that is open will not be finished, as its call was cut off.
    Drop,
    /// Data for whoever is connected, which is not kept.
    Data {
        /// What kind of data it is, in the application's words.
        name: String,
        /// Any JSON.
        data: Json,
        /// Names it among data of the same name.
        id: Option<String>,
    },
    /// More of the answer came, but nothing of it can be shown yet.
    Gathering,
    /// The model said that its answer has ended, but what delivers it is still open. If no other event
    /// comes for [`ENDING_MS`], the answer is finished, with what is gathered.
    ///
    /// [`ENDING_MS`]: crate::protocol::limits::ENDING_MS
    Ending(Finished),
    /// The answer is complete.
    Finished(Finished),
    /// The answer failed or broke off.
    Failed(Failed),
}

/// A complete answer's figures.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Finished {
    /// As the model reports it, prompt and answer together; else the pieces of text it sent.
    pub tokens_used: u64,
    /// The same in parts, if the model reports them.
    pub usage: Option<Usage>,
    /// The model that answered, as the endpoint names it.
    pub model: Option<String>,
    /// The ids of calls that are neither the agent's nor a provider's to answer, and have no result: they are for
    /// whoever is connected. Only a kind that can tell names any.
    pub client_calls: Vec<String>,
    /// Why the model stopped, in the endpoint's word, such as `stop` or `length`.
    pub finish_reason: Option<String>,
    /// The same in the contract's word.
    pub finish: Option<Finish>,
    /// What the agent's application tells of the answer: an object.
    pub metadata: Option<Json>,
    /// Events of the answer that could not be read, or not to their end.
    pub unread: u64,
}

/// An answer that broke off; what came before it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// What clients are told.
    pub error: ErrorBody,
    /// As in [`Finished`], up to the failure.
    pub tokens_used: u64,
    /// What may help, if nothing was said before it.
    pub remedy: Remedy,
}

impl Failed {
    /// A failure against which nothing helps, before anything was counted.
    #[must_use]
    pub fn new(error: ErrorBody) -> Self {
        Failed { error, tokens_used: 0, remedy: Remedy::None }
    }
}
