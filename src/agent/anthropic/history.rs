//! A thread's messages as the Messages API takes them.
//!
//! - It begins with a user, and users and assistants take turns.
//! - A call is answered in the message after it, and before anything else there. The ids of calls differ, and their
//!   input is an object.
//! - No text is empty. Thinking is handed back with its signature, or not at all.
//! - Images and documents are a user's.

use crate::agent::AgentRequest;
use crate::agent::event::text;
use crate::agent::told::{NO_RESULT, Part, listed, parts, quoted, result_text, written};
use crate::protocol::{Block, Json, Role, is_blank, to_json};

/// Stands for a user's message that says nothing, where there has to be one.
const NOTHING_SAID: &str = "(empty message)";
/// The type of a call of a tool at an MCP server.
const MCP: &str = "mcp_tool_use";

#[derive(Default)]
struct History {
    turns: Vec<(Role, Vec<String>)>,
    /// Results of the calls of the last turn, which the next one begins with.
    results: Vec<String>,
    /// The ids of all calls so far.
    ids: Vec<String>,
}

/// The JSON of all messages.
pub(super) fn messages(request: &AgentRequest) -> String {
    let parts = parts(request);
    let (mut history, mut message) = (History::default(), 0);
    for part in &parts {
        if part.message != message || part.is_result {
            history.answer_calls();
        }
        message = part.message;
        history.add(part, &parts);
    }
    history.answer_calls();
    let turns = &mut history.turns;
    let nothing = || (Role::User, vec![said(NOTHING_SAID)]);
    if turns.last().is_none_or(|(role, _)| *role == Role::Assistant) {
        turns.push(nothing());
    }
    if turns.first().is_some_and(|(role, _)| *role == Role::Assistant) {
        turns.insert(0, nothing());
    }
    let mut all = Vec::new();
    for (role, blocks) in turns {
        let role = if *role == Role::User { "\"user\"" } else { "\"assistant\"" };
        all.push(written(&[("role", role), ("content", &listed(blocks))]));
    }
    listed(&all)
}

impl History {
    fn push(&mut self, role: Role, block: String) {
        match self.turns.last_mut() {
            Some((last, blocks)) if *last == role => blocks.push(block),
            _ => self.turns.push((role, vec![block])),
        }
    }

    fn answer_calls(&mut self) {
        for result in std::mem::take(&mut self.results) {
            self.push(Role::User, result);
        }
    }

    fn add(&mut self, part: &Part, all: &[Part]) {
        let role = part.role;
        match &*part.block {
            Block::Text { text } if !is_blank(text) => self.push(role, said(text)),
            Block::Thinking { text: thought, provider_data: Some(data) } if role == Role::Assistant => {
                let (signature, redacted) = (text(data, "signature"), text(data, "data"));
                if !signature.is_empty() {
                    let fields = [
                        ("type", "\"thinking\""),
                        ("thinking", &quoted(thought)),
                        ("signature", &quoted(signature)),
                    ];
                    self.push(role, written(&fields));
                } else if !redacted.is_empty() {
                    let fields = [("type", "\"redacted_thinking\""), ("data", &*quoted(redacted))];
                    self.push(role, written(&fields));
                }
            }
            Block::ToolUse { id, name, input, provider_data, .. } if role == Role::Assistant => {
                let result = part.result.and_then(|at| all.get(at)).map(|part| &*part.block);
                self.call(id, name, input, provider_data.as_ref(), result);
            }
            Block::ToolResult { content, .. } if !part.is_result => {
                self.push(Role::User, said(&result_text(content)));
            }
            Block::File { media_type, url, name, .. } => {
                let file = if role == Role::User { file(media_type, url) } else { None };
                let name = name.as_deref().unwrap_or("without a name");
                let block = file.unwrap_or_else(|| said(&format!("(file {name}, {media_type})")));
                self.push(role, block);
            }
            _ => {}
        }
    }

    /// A call, and its result. `provider_data` names the type of one that ran at the provider.
    fn call(
        &mut self,
        id: &str,
        name: &str,
        input: &Json,
        provider_data: Option<&Json>,
        result: Option<&Block>,
    ) {
        let of_provider = |name| provider_data.map(|data| text(data, name)).unwrap_or_default();
        let (kind, server) = (of_provider("type"), of_provider("server_name"));
        let is_own = kind.is_empty();
        let (content, is_error) = match result {
            Some(Block::ToolResult { content, is_error, .. }) if is_own => {
                (quoted(&result_text(content)), *is_error)
            }
            Some(Block::ToolResult { content, is_error, output, .. }) => {
                (to_json(output.as_ref().unwrap_or(content)), *is_error && kind == MCP)
            }
            _ if is_own => (quoted(NO_RESULT), false),
            // A call of the provider's that has no result of its own type is refused.
            _ => return,
        };
        let id = quoted(&self.unique_id(id));
        let input = match input {
            Json::Object(_) => to_json(input),
            Json::Null => String::from("{}"),
            _ => written(&[("input", &to_json(input))]),
        };
        let call = written(&[
            ("type", &quoted(if is_own { "tool_use" } else { kind })),
            ("id", &id),
            ("name", &quoted(&plain_name(name))),
            ("input", &input),
            ("server_name", &if server.is_empty() { String::new() } else { quoted(server) }),
        ]);
        self.push(Role::Assistant, call);
        // Results at the provider have types that are named after their tools.
        let stem = match name {
            _ if is_own => "",
            _ if kind == MCP => "mcp_",
            _ if name.starts_with("tool_search") => "tool_search_",
            _ => &[name, "_"].concat(),
        };
        let result = written(&[
            ("type", &quoted(&[stem, "tool_result"].concat())),
            ("tool_use_id", &id),
            ("content", &content),
            ("is_error", if is_error { "true" } else { "" }),
        ]);
        if is_own {
            self.results.push(result);
        } else {
            self.push(Role::Assistant, result);
        }
    }

    /// An id of plain characters that no call before has.
    fn unique_id(&mut self, given: &str) -> String {
        let given = plain(given);
        let stem = if given.is_empty() { "call" } else { &given };
        let mut id = given.clone();
        let mut nth = self.ids.len();
        while id.is_empty() || self.ids.contains(&id) {
            id = format!("{stem}_{nth}");
            nth = nth.saturating_add(1);
        }
        self.ids.push(id.clone());
        id
    }
}

fn said(text: &str) -> String {
    written(&[("type", "\"text\""), ("text", &quoted(text))])
}

/// An image or a PDF; none if it is another file, or is nowhere that the provider can reach.
fn file(media_type: &str, url: &str) -> Option<String> {
    let kind = match media_type {
        "application/pdf" => "\"document\"",
        _ if media_type.starts_with("image/") => "\"image\"",
        _ => return None,
    };
    let source = if let Some(data) = url.strip_prefix("data:") {
        let (_, data) = data.split_once(";base64,")?;
        let (media_type, data) = (quoted(media_type), quoted(data));
        written(&[("type", "\"base64\""), ("media_type", &media_type), ("data", &data)])
    } else if url.starts_with("https://") {
        written(&[("type", "\"url\""), ("url", &quoted(url))])
    } else {
        return None;
    };
    Some(written(&[("type", kind), ("source", &source)]))
}

fn plain_name(name: &str) -> String {
    let name: String = plain(name).chars().take(64).collect();
    if name.is_empty() { String::from("unnamed") } else { name }
}

fn plain(text: &str) -> String {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-');
    text.chars().map(|char| if is_plain(char) { char } else { '_' }).collect()
}
