//! What a model is asked: the body and the address of a request.

use serde::Serialize;

use super::history::{Message, history};
use crate::agent::AgentRequest;
use crate::protocol::to_json;

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    messages: Vec<Message<'a>>,
    stream: bool,
    stream_options: StreamOptions,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

/// The JSON body of a streamed completion that reports its usage. Without `system_prompt`, or with one of
/// white space alone, there is no system message.
#[must_use]
pub fn request_body(model: &str, system_prompt: Option<&str>, request: &AgentRequest) -> String {
    let stream_options = StreamOptions { include_usage: true };
    let messages = history(system_prompt, &request.messages);
    to_json(&Body { model, messages, stream: true, stream_options })
}

/// The address of chat completions under a base such as `https://api.openai.com/v1`, with or without a
/// slash at its end.
#[must_use]
pub fn endpoint(base_url: &str) -> String {
    format!("{}/chat/completions", base_url.trim().trim_end_matches('/'))
}

/// Headers that tell the endpoint what the body has no field for. A model server ignores them; an agent
/// behind `AGENT_BASE_URL` or the service binding can act on them.
#[must_use]
pub fn headers(request: &AgentRequest) -> [(&'static str, &str); 2] {
    [
        ("x-bobbin-request-id", &request.request_id),
        ("x-bobbin-permission-mode", request.permission_mode.as_str()),
    ]
}
