//! Adapts a thread's messages to the requirements of all endpoints: calls and results in pairs, names and
//! inputs of calls that all accept, and files in a form that models can see.

use std::borrow::Cow;
use std::vec::IntoIter;

use crate::agent::http::Asked;
use crate::protocol::{Approval, ApprovalState, Block, Content, Json, Role, is_blank, to_json};
use crate::variables::AgentName;

/// Replaces an empty user's message where there has to be one.
const NOTHING_SAID: &str = "(empty message)";
/// Replaces a user's message that held only results, which are told together with their calls.
const RESULTS_ABOVE: &str = "(the result is above)";
/// Replaces an empty result of a tool.
const NO_OUTPUT: &str = "(no output)";
/// The result of a call that has none. Nobody knows whether its tool ran.
const NO_RESULT: &str = "(no result was recorded)";
/// The result of a call that a person or the permission mode did not allow.
const NOT_ALLOWED: &str = "(the call was not allowed)";
/// The maximum number of characters in a call's name.
const NAME_CHARS_MAX: usize = 64;

/// The calls of a history, each with its result.
pub(crate) struct Pairs<'a> {
    /// The assistants' calls that were not taken yet, in order.
    calls: IntoIter<Call<'a>>,
    /// For each result that is still to come, whether it was told together with its call.
    is_told: IntoIter<bool>,
}

pub(crate) struct Call<'a> {
    given_id: &'a str,
    /// The id, replaced if the original one was used before.
    pub(crate) id: String,
    /// The result that answers it, wherever that stands.
    result: Option<Cow<'a, str>>,
    /// The text in place of a result if the call was not allowed.
    denial: Option<String>,
}

/// A part of a user's message in the form for a model.
pub(crate) enum Shown<'a> {
    Text(Cow<'a, str>),
    /// The address of an image: `https:` or `data:`.
    Image(&'a str),
    Pdf {
        name: &'a str,
        url: &'a str,
    },
}

impl<'a> Pairs<'a> {
    /// Pairs each result with the latest call before it that it can answer. Short ids consist of nine letters
    /// and digits.
    pub(crate) fn new(said: &[(Role, &'a Content)], has_short_ids: bool) -> Self {
        let (mut calls, mut is_told) = (Vec::<Call>::new(), Vec::new());
        for (role, content) in said {
            for block in blocks(content) {
                match block {
                    Block::ToolUse { id: given_id, approval, .. } if *role == Role::Assistant => {
                        let nth = calls.len();
                        let id =
                            if has_short_ids { format!("call{nth:05}") } else { unique_id(given_id, &calls) };
                        let is_denied =
                            |approval: &&Approval| approval.state.known() == Some(ApprovalState::Denied);
                        let denial = approval.as_ref().filter(is_denied);
                        let denial = denial.map(|denial| {
                            let reason = denial.reason.as_deref().unwrap_or_default();
                            format!("{NOT_ALLOWED} {reason}").trim_end().to_owned()
                        });
                        calls.push(Call { given_id, id, result: None, denial });
                    }
                    Block::ToolResult { tool_use_id, content, is_error, .. } => {
                        let mut open = calls.iter_mut().rev().filter(|call| call.result.is_none());
                        let call = open.find(|call| call.given_id == tool_use_id);
                        is_told.push(call.is_some());
                        if let Some(call) = call {
                            call.result = Some(result_text(content, *is_error));
                        }
                    }
                    _ => {}
                }
            }
        }
        Pairs { calls: calls.into_iter(), is_told: is_told.into_iter() }
    }

    /// Returns the next call of an assistant.
    pub(crate) fn next_call(&mut self) -> Option<Call<'a>> {
        self.calls.next()
    }

    /// Returns the text of a result that was not told with its call, perhaps because the history begins after
    /// the call. It becomes text of the user's, because it would be refused as a result.
    pub(crate) fn lone_result(&mut self, block: &'a Block) -> Option<Cow<'a, str>> {
        let Block::ToolResult { content, is_error, .. } = block else { return None };
        (self.is_told.next() != Some(true)).then(|| result_text(content, *is_error))
    }
}

impl<'a> Call<'a> {
    /// Returns the text of its result.
    pub(crate) fn take_result(&mut self) -> Cow<'a, str> {
        let told = self.result.take().or_else(|| self.denial.take().map(Cow::Owned));
        told.unwrap_or(Cow::Borrowed(NO_RESULT))
    }
}

fn blocks(content: &Content) -> &[Block] {
    match content {
        Content::Blocks(blocks) => blocks,
        Content::Text(_) => &[],
    }
}

/// Returns the replacement for an empty user's message.
pub(crate) fn nothing_said(last: Option<&(Role, &Content)>) -> &'static str {
    let is_result = |block: &Block| matches!(block, Block::ToolResult { .. });
    let has_results = last.is_some_and(|(_, content)| blocks(content).iter().any(is_result));
    if has_results { RESULTS_ABOVE } else { NOTHING_SAID }
}

/// Returns a user's text or file in the form for a model. Other blocks are for people and applications. A
/// file that cannot be shown is named, so that the model can mention it.
pub(crate) fn shown(block: &Block) -> Option<Shown<'_>> {
    let Block::File { media_type, url, name, .. } = block else {
        return block.as_text().map(|text| Shown::Text(Cow::Borrowed(text)));
    };
    let is_reachable = url.starts_with("https:") || url.starts_with("data:");
    Some(match media_type.as_str() {
        "application/pdf" if is_reachable => {
            Shown::Pdf { name: name.as_deref().unwrap_or("document.pdf"), url }
        }
        image if is_reachable && image.starts_with("image/") => Shown::Image(url),
        _ => Shown::Text(Cow::Owned(file_note(block))),
    })
}

/// Names a file that a model is not shown.
pub(crate) fn file_note(block: &Block) -> String {
    let Block::File { media_type, url, name, .. } = block else { return String::new() };
    let name = name.as_deref().unwrap_or("without a name");
    let place = if url.starts_with("https:") { url } else { "not shown to you" };
    format!("\n[file {name}, {media_type}: {place}]\n")
}

/// Makes an id unique. Servers without ids of their own use the same ones in each answer.
fn unique_id(given: &str, calls: &[Call]) -> String {
    let is_free = |id: &String| !id.is_empty() && calls.iter().all(|call| call.id != *id);
    let stem = if given.is_empty() { "call" } else { given };
    let mut others = (calls.len()..).map(|nth| format!("{stem}_{nth}"));
    Some(given.to_owned()).filter(is_free).or_else(|| others.find(is_free)).unwrap_or_default()
}

/// Returns a call's name in a form that all providers accept.
pub(crate) fn plain_name(name: &str) -> String {
    let mut plain = String::new();
    for char in name.chars().take(NAME_CHARS_MAX) {
        let is_plain = char.is_ascii_alphanumeric() || matches!(char, '_' | '-');
        plain.push(if is_plain { char } else { '_' });
    }
    if plain.is_empty() { String::from("unnamed") } else { plain }
}

/// Returns the names of the tools that a request has to declare: those with calls in its history.
pub(crate) fn declared(asked: &Asked) -> Vec<String> {
    let mut names = Vec::new();
    for (role, content) in asked.said().into_iter().filter(|_| asked.declares_tools) {
        for block in blocks(content) {
            if let (Role::Assistant, Block::ToolUse { name, .. }) = (role, block) {
                names.push(plain_name(name));
            }
        }
    }
    names.sort_unstable();
    names.dedup();
    names
}

/// Returns a call's input as a JSON object. If it is not an object, for example because it was cut off, it
/// becomes a field of one.
pub(crate) fn arguments(input: &Json) -> String {
    match input {
        Json::Object(_) => to_json(input),
        Json::Null => String::from("{}"),
        _ => format!("{{\"input\":{}}}", to_json(input)),
    }
}

/// Returns a result's text, which mentions a failure, since not every provider has a field for that.
fn result_text(content: &Json, is_error: bool) -> Cow<'_, str> {
    let text = match content {
        Json::String(text) => Cow::Borrowed(text.as_str()),
        Json::Array(parts) => match parts.iter().map(text_part).collect::<Option<Vec<_>>>() {
            Some(texts) => together(texts.into_iter()),
            None => Cow::Owned(to_json(content)),
        },
        _ => Cow::Owned(to_json(content)),
    };
    let text = if is_blank(&text) { Cow::Borrowed(NO_OUTPUT) } else { text };
    if is_error { Cow::Owned(format!("Error: {text}")) } else { text }
}

fn text_part(part: &Json) -> Option<&str> {
    part.get("text")?.as_str().filter(|_| part.get("type").and_then(Json::as_str) == Some("text"))
}

/// Joins texts.
pub(crate) fn together<'a>(mut texts: impl Iterator<Item = &'a str>) -> Cow<'a, str> {
    let mut together = Cow::Borrowed(texts.next().unwrap_or_default());
    for text in texts {
        together.to_mut().push_str(text);
    }
    together
}

/// Returns the data that an agent wants handed back with a block, marked with the kind of agent and the
/// model. `fields` are JSON, each preceded by a comma. Returns `None` if there are none, or if they are not
/// JSON.
pub(crate) fn provider_data(agent: AgentName, model: &str, fields: &str) -> Option<Json> {
    if fields.is_empty() {
        return None;
    }
    Json::parse(&format!("{{\"agent\":{},\"model\":{}{fields}}}", to_json(&agent.as_str()), to_json(&model)))
}

/// Adds a field to the JSON of an object that is not closed yet.
pub(crate) fn add_field(json: &mut String, name: &str, value: &str) {
    for part in [",\"", name, "\":", value] {
        json.push_str(part);
    }
}

/// Returns a field of the data to be handed back with a block, if it is from that kind of agent and, if
/// named, from that model.
pub(crate) fn given<'a>(
    data: Option<&'a Json>,
    agent: AgentName,
    model: Option<&str>,
    name: &str,
) -> Option<&'a Json> {
    let is = |field: &str, value: &str| data?.get(field)?.as_str().filter(|given| *given == value);
    is("agent", agent.as_str())?;
    if let Some(model) = model {
        is("model", model)?;
    }
    data?.get(name)
}
