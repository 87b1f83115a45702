//! Agents: what is asked of a model, and what its bytes mean.
//!
//! **Invariant:** knows nothing about turns, sockets or HTTP clients. Bytes come in, [`AgentEvent`]s come out.

pub mod echo;
pub mod openai;
pub mod piece;
pub mod redact;
pub mod sse;

use crate::protocol::{Block, Content, ErrorBody, PermissionMode};

/// What an agent is asked to answer.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentRequest {
    pub request_id: String,
    pub permission_mode: PermissionMode,
    /// The finished messages before the user's own, oldest first, and that one last.
    pub messages: Vec<AgentMessage>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct AgentMessage {
    pub role: crate::protocol::Role,
    pub content: Content,
}

/// What an agent delivers. After [`AgentEvent::Finished`] or [`AgentEvent::Failed`] nothing follows.
#[derive(Clone, Debug, PartialEq)]
pub enum AgentEvent {
    /// More text of the answer.
    Text(String),
    /// A finished block that is not text.
    Block(Block),
    /// More of a block that is not finished.
    Gathering,
    /// The model said that its answer has ended, but what delivers it is still open. If no other event
    /// comes for [`ENDING_MS`], the answer is finished.
    ///
    /// [`ENDING_MS`]: crate::protocol::limits::ENDING_MS
    Ending(Finished),
    Finished(Finished),
    Failed(Failed),
}

/// A complete answer's figures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Finished {
    /// As the model reports it, prompt and answer together; else the pieces of text it sent.
    pub tokens_used: u64,
    pub model: Option<String>,
    pub finish_reason: Option<String>,
    /// Messages of a history too long for the model that it was not told.
    pub omitted_messages: Option<u64>,
}

/// An answer that broke off; what came before it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    pub error: ErrorBody,
    /// As in [`Finished`], up to the failure.
    pub tokens_used: u64,
}
