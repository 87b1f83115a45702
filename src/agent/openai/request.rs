//! What a model is asked: the body and the address of a request.

use super::history::{Message, history};
use crate::agent::AgentRequest;
use crate::protocol::{Json, joined, to_json};

/// The JSON body of a streamed completion that reports its usage unless it is plain. Without
/// `system_prompt`, or with one of white space alone, there is no system message.
#[must_use]
pub fn request_body(
    model: &str,
    system_prompt: Option<&str>,
    request: &AgentRequest,
    is_plain: bool,
) -> String {
    let history = history(system_prompt, &request.messages, is_plain);
    let messages: Vec<String> = history.iter().map(Message::json).collect();
    format!(
        r#"{{"model":{},"messages":[{}],"stream":true{}}}"#,
        to_json(&model),
        joined(messages.iter().map(String::as_str), ','),
        if is_plain { "" } else { r#","stream_options":{"include_usage":true}"# },
    )
}

/// The body with the fields of another object in place of its own of the same name; null leaves one out.
#[must_use]
pub fn merged(body: &str, extra: &Json) -> String {
    let body = Json::parse(body);
    let mut all = String::new();
    for (fields, is_own) in [(body.as_ref(), true), (Some(extra), false)] {
        for (name, value) in fields.and_then(Json::as_object).into_iter().flatten() {
            if *value != Json::Null && !(is_own && extra.get(name).is_some()) {
                all.push_str(if all.is_empty() { "{" } else { "," });
                all.push_str(&to_json(name));
                all.push(':');
                all.push_str(&to_json(value));
            }
        }
    }
    all.push_str(if all.is_empty() { "{}" } else { "}" });
    all
}

/// The address of chat completions under a base such as `https://api.openai.com/v1`, with or without a
/// slash at its end. A query stays at the end of the address.
#[must_use]
pub fn endpoint(base_url: &str) -> String {
    let url = base_url.trim();
    let query_at = url.bytes().position(|byte| byte == b'?').unwrap_or(url.len());
    let (base, query) = url.split_at_checked(query_at).unwrap_or((url, ""));
    format!("{}/chat/completions{query}", base.trim_end_matches('/'))
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
