//! OpenAI's Responses API: builds request bodies from the history, and reads the events of the stream.
//!
//! The names are those of OpenAI's [streaming events]. The endpoint stores nothing (`store` is false), so
//! reasoning comes encrypted and is handed back.
//!
//! [streaming events]: https://platform.openai.com/docs/api-reference/responses-streaming

mod events;
mod input;

pub use events::Events;
pub use input::request_body;

use super::http::{Kind, Stream};
use crate::variables::AgentName;

/// The kind that `AGENT=responses` names.
pub static KIND: Kind = Kind {
    name: AgentName::Responses,
    address: Some("/responses"),
    has_models: true,
    key: ("authorization", "Bearer "),
    headers: &[],
    body: request_body,
    fold: || Box::new(Events::default()),
};

/// Returns a reader for one answer, before its first byte.
#[must_use]
pub fn reader() -> Stream {
    Stream::new(&KIND)
}
