//! What a model is asked: the body of a request.

use crate::agent::http::Asked;
use crate::agent::http::history::Shown;
use crate::agent::openai::history::{Message, history, listed};
use crate::protocol::{is_blank, to_json};

/// The JSON body of a streamed response that the endpoint does not keep. A plain one has no reasoning of earlier
/// answers and asks for none, which models without reasoning refuse.
#[must_use]
pub fn request_body(asked: &Asked) -> String {
    let instructions = asked.system_prompt.filter(|prompt| !is_blank(prompt));
    let mut items = Vec::new();
    for message in history(asked, false) {
        add(&mut items, &message);
    }
    format!(
        r#"{{"model":{},"input":{},"stream":true,"store":false{}{}}}"#,
        to_json(&asked.model),
        listed(&mut items.into_iter()),
        instructions.map_or(String::new(), |prompt| format!(",\"instructions\":{}", to_json(&prompt))),
        if asked.is_plain { "" } else { r#","include":["reasoning.encrypted_content"]"# },
    )
}

/// Adds the items of a message. Reasoning is told only with what followed it, as it is refused alone.
fn add(items: &mut Vec<String>, message: &Message) {
    let said = |role: &str, content: &str| format!("{{\"role\":\"{role}\",\"content\":{content}}}");
    match message {
        Message::System(_) => {}
        Message::User(parts) => items.push(said("user", &listed(&mut parts.iter().map(part)))),
        Message::Assistant(own) => {
            items.extend(own.reasoning.iter().map(to_json));
            items.extend(own.text.iter().map(|text| said("assistant", &to_json(text))));
            items.extend(own.calls.iter().map(|call| {
                format!(
                    r#"{{"type":"function_call","call_id":{},"name":"{}","arguments":{}}}"#,
                    call.id, call.name, call.arguments
                )
            }));
        }
        Message::Tool { call, text } => items.push(format!(
            r#"{{"type":"function_call_output","call_id":{call},"output":{}}}"#,
            to_json(text)
        )),
    }
}

fn part(part: &Shown) -> String {
    let (name, value) = match part {
        Shown::Text(text) => (r#"text","text"#, to_json(text)),
        Shown::Image(url) => (r#"image","image_url"#, to_json(url)),
        Shown::Pdf { name, url } if url.starts_with("data:") => {
            (r#"file","filename"#, format!("{},\"file_data\":{}", to_json(name), to_json(url)))
        }
        Shown::Pdf { url, .. } => (r#"file","file_url"#, to_json(url)),
    };
    format!("{{\"type\":\"input_{name}\":{value}}}")
}
