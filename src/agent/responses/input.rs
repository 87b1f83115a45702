//! Builds the body of a request.

use crate::agent::http::Asked;
use crate::agent::openai::Form;
use crate::agent::openai::history::{history, listed};
use crate::protocol::{is_blank, to_json};

/// Returns the JSON body of a streamed response that the endpoint does not store. A plain request contains no
/// earlier reasoning and asks for none, because models without reasoning refuse both.
#[must_use]
pub fn request_body(asked: &Asked) -> String {
    let instructions = asked.system_prompt.filter(|prompt| !is_blank(prompt));
    format!(
        r#"{{"model":{},"input":{},"stream":true,"store":false{}{}}}"#,
        to_json(&asked.model),
        listed(&history(asked, Form::Items)),
        instructions.map_or(String::new(), |prompt| format!(",\"instructions\":{}", to_json(&prompt))),
        if asked.is_plain { "" } else { r#","include":["reasoning.encrypted_content"]"# },
    )
}
