//! The two forms of a conversation: messages of chat completions, and items of the Responses API.

use crate::agent::http::history::Shown;
use crate::protocol::to_json;

/// How a conversation is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// As messages of chat completions.
    Chat,
    /// As items of the Responses API.
    Items,
}

impl Form {
    /// Returns a user's message that is only text.
    pub(super) fn content(self, text: &str) -> String {
        if self == Form::Chat { to_json(&text) } else { format!("[{}]", self.text(text)) }
    }

    /// Returns a text as a part of a user's message.
    pub(super) fn text(self, text: &str) -> String {
        let before = if self == Form::Chat { "" } else { "input_" };
        format!(r#"{{"type":"{before}text","text":{}}}"#, to_json(&text))
    }

    /// Returns an image or a document as a part of a user's message, if it can be one.
    pub(super) fn part(self, part: &Shown) -> Option<String> {
        Some(match (self, part) {
            (_, Shown::Text(text)) => self.text(text),
            (Form::Chat, Shown::Image(url)) => {
                format!(r#"{{"type":"image_url","image_url":{{"url":{}}}}}"#, to_json(url))
            }
            (Form::Items, Shown::Image(url)) => {
                format!(r#"{{"type":"input_image","image_url":{}}}"#, to_json(url))
            }
            (_, Shown::Pdf { name, url }) if url.starts_with("data:") => {
                let file = format!(r#""filename":{},"file_data":{}"#, to_json(name), to_json(url));
                match self {
                    Form::Chat => format!(r#"{{"type":"file","file":{{{file}}}}}"#),
                    Form::Items => format!(r#"{{"type":"input_file",{file}}}"#),
                }
            }
            (Form::Chat, Shown::Pdf { .. }) => return None,
            (Form::Items, Shown::Pdf { url, .. }) => {
                format!(r#"{{"type":"input_file","file_url":{}}}"#, to_json(url))
            }
        })
    }

    /// Returns a call. `id`, `arguments` and `further` are JSON; each further field is preceded by a comma.
    pub(super) fn call(self, id: &str, name: &str, arguments: &str, further: &str) -> String {
        let function = format!(r#""name":"{name}","arguments":{arguments}"#);
        match self {
            Form::Chat => {
                format!(r#"{{"id":{id},"type":"function","function":{{{function}}}{further}}}"#)
            }
            Form::Items => format!(r#"{{"type":"function_call","call_id":{id},{function}}}"#),
        }
    }

    /// Returns the result of a call. Both arguments are JSON.
    pub(super) fn result(self, id: &str, text: &str) -> String {
        match self {
            Form::Chat => format!(r#"{{"role":"tool","content":{text},"tool_call_id":{id}}}"#),
            Form::Items => format!(r#"{{"type":"function_call_output","call_id":{id},"output":{text}}}"#),
        }
    }
}
