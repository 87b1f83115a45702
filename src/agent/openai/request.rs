//! What a model is asked: the body and the address of a request.

use super::history::{Message, history};
use crate::agent::AgentRequest;
use crate::protocol::{Json, joined, to_json};

/// The JSON body of a streamed completion that reports its usage unless it is plain. Without
/// `system_prompt`, or with one of white space alone, there is no system message. The fields of `extra`, an object,
/// take the place of those of the same name; null leaves one out.
#[must_use]
pub fn request_body(
    model: &str,
    system_prompt: Option<&str>,
    request: &AgentRequest,
    is_plain: bool,
    extra: Option<&Json>,
) -> String {
    let history = history(system_prompt, &request.messages, is_plain);
    let messages: Vec<String> = history.iter().map(Message::json).collect();
    let messages = format!("[{}]", joined(messages.iter().map(String::as_str), ','));
    let usage = if is_plain { "" } else { r#"{"include_usage":true}"# };
    let model = to_json(&model);
    let mut body = String::from("{");
    for (name, json) in
        [("model", &*model), ("messages", &*messages), ("stream", "true"), ("stream_options", usage)]
    {
        if !json.is_empty() && extra.is_none_or(|extra| extra.get(name).is_none()) {
            add_field(&mut body, name, json);
        }
    }
    for (name, value) in extra.and_then(Json::as_object).into_iter().flatten() {
        if *value != Json::Null {
            add_field(&mut body, name, &to_json(value));
        }
    }
    body.push('}');
    body
}

fn add_field(body: &mut String, name: &str, json: &str) {
    if body.len() > 1 {
        body.push(',');
    }
    body.push_str(&to_json(&name));
    body.push(':');
    body.push_str(json);
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
