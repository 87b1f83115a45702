//! Builds the body of a request.

use super::Form;
use super::history::{history, listed};
use crate::agent::http::Asked;
use crate::agent::http::history::declared;
use crate::protocol::{is_blank, to_json};

/// Returns the JSON body of a streamed completion, which reports its usage unless it is plain. If
/// `system_prompt` is missing or only white space, there is no system message.
#[must_use]
pub fn request_body(asked: &Asked) -> String {
    format!(
        r#"{{"model":{},"messages":{},"stream":true{}{}}}"#,
        to_json(&asked.model),
        messages(asked),
        if asked.is_plain { "" } else { r#","stream_options":{"include_usage":true}"# },
        tools(asked),
    )
}

fn tools(asked: &Asked) -> String {
    let tool = |name: &String| {
        let parameters = r#""parameters":{"type":"object","properties":{}}"#;
        format!(r#"{{"type":"function","function":{{"name":"{name}",{parameters}}}}}"#)
    };
    let tools: Vec<String> = declared(asked).iter().map(tool).collect();
    if tools.is_empty() { String::new() } else { format!(r#","tools":[{}]"#, tools.join(",")) }
}

/// Returns the messages of such a request, as a JSON array.
#[must_use]
pub fn messages(asked: &Asked) -> String {
    let prompt = asked.system_prompt.filter(|prompt| !is_blank(prompt));
    let system = prompt.map(|prompt| format!("{{\"role\":\"system\",\"content\":{}}},", to_json(&prompt)));
    listed(&(system.unwrap_or_default() + &history(asked, Form::Chat)))
}
