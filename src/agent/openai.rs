//! The chat completions API as OpenAI defined it and as vLLM, Ollama, llama.cpp, `OpenRouter`, `DeepSeek` and
//! Azure speak it: builds request bodies from the history, and reads events from the chunks of the answer.
//!
//! The field names are those of OpenAI's [chunk object]. Where servers differ, the code reads both leniently,
//! and a comment there names the difference.
//!
//! [chunk object]: https://platform.openai.com/docs/api-reference/chat-streaming

mod calls;
mod chunk;
mod completion;
mod form;
pub(crate) mod history;
mod request;
mod text;

pub(crate) use calls::{Calls, Until};
pub(crate) use chunk::Fragment;
pub use completion::Completion;
pub(crate) use form::Form;
pub use request::{messages, request_body};

use super::http::{Kind, Stream};
use crate::variables::AgentName;

/// The kind that `AGENT=openai` names.
pub static KIND: Kind = Kind {
    name: AgentName::OpenAi,
    address: Some("/chat/completions"),
    has_models: true,
    key: ("authorization", "Bearer "),
    headers: &[],
    body: request_body,
    fold: || Box::new(Completion::default()),
};

/// Returns a reader for one answer, before its first byte.
#[must_use]
pub fn completion() -> Stream {
    Stream::new(&KIND)
}
