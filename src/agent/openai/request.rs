//! What a model is asked: the body and the address of a request.

use super::history::{Message, history};
use crate::agent::AgentRequest;
use crate::protocol::{joined, to_json};

/// The JSON body of a streamed completion that reports its usage unless it is plain. Without
/// `system_prompt`, or with one of white space alone, there is no system message.
#[must_use]
pub fn request_body(
    model: &str,
    system_prompt: Option<&str>,
    request: &AgentRequest,
    is_plain: bool,
) -> String {
    let messages: Vec<String> = history(system_prompt, &request.messages).iter().map(Message::json).collect();
    format!(
        r#"{{"model":{},"messages":[{}],"stream":true{}}}"#,
        to_json(&model),
        joined(messages.iter().map(String::as_str), ','),
        if is_plain { "" } else { r#","stream_options":{"include_usage":true}"# },
    )
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
