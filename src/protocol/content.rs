//! The content of a message.

use super::objects::{kinds, object};
use super::words::words;
use super::{Json, Word, Write, to_json};

/// A message's content: a string if it is only text, otherwise blocks.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[cfg_attr(test, ts(untagged))]
pub enum Content {
    /// Only text.
    Text(String),
    /// Blocks, in order.
    Blocks(Vec<Block>),
}

kinds! {
    /// One part of a message that has more than text.
    pub enum Block {
        /// Text of the message itself.
        Text = "text" {
            /// The text.
            text: String = "text",
        },
        /// A model's thoughts before it answered.
        Thinking = "thinking" {
            /// The thoughts.
            text: String = "text",
            /// Data that the agent needs handed back with it, such as a signature. Opaque.
            #[cfg_attr(test, ts(type = "unknown"))]
            provider_data: Option<Json> = "providerData" optional,
        },
        /// A model calls a tool.
        ToolUse = "tool_use" {
            /// The call's id; its result names it.
            id: String = "id",
            /// The tool's name.
            name: String = "name",
            /// The tool's input: any JSON.
            #[cfg_attr(test, ts(type = "unknown"))]
            input: Json = "input",
            /// The tool's name for people.
            title: Option<String> = "title" optional,
            /// What the tool does, which a permission mode uses to decide; `execute` if it is missing.
            #[cfg_attr(test, ts(as = "Option<ToolKind>"))]
            kind: Option<Word<ToolKind>> = "kind" optional,
            /// Who gives the tool's result, if it is not the agent.
            #[cfg_attr(test, ts(as = "Option<ToolOutput>"))]
            output: Option<Word<ToolOutput>> = "output" optional,
            /// Whether the call may be carried out, if that has to be decided.
            approval: Option<Approval> = "approval" optional,
            /// Data that the agent needs handed back with it. Opaque.
            #[cfg_attr(test, ts(type = "unknown"))]
            provider_data: Option<Json> = "providerData" optional,
        },
        /// The result of a call.
        ToolResult = "tool_result" {
            /// The id of the call with this result.
            tool_use_id: String = "toolUseId",
            /// The result.
            #[cfg_attr(test, ts(type = "string | unknown[]"))]
            content: Json = "content" [is_said],
            /// Whether the tool failed.
            is_error: bool = "isError",
            /// The original result if it is neither a text nor a list; `content` is then its JSON text.
            #[cfg_attr(test, ts(type = "unknown"))]
            output: Option<Json> = "output" optional,
        },
        /// A file: an image, a document or any other.
        File = "file" {
            /// The media type, such as `image/png`.
            media_type: String = "mediaType",
            /// The address of its bytes: an `https:` address, a `data:` URL of at most 128 KiB, or the path
            /// `/sessions/{id}/files/{file}` on the worker.
            url: String = "url",
            /// The file's name.
            name: Option<String> = "name" optional,
            /// Its size in bytes.
            size: Option<u64> = "size" optional,
        },
        /// A source of an answer.
        Source = "source" {
            /// The source's address.
            url: Option<String> = "url" optional,
            /// The source's title.
            title: Option<String> = "title" optional,
            /// The media type of a document.
            media_type: Option<String> = "mediaType" optional,
        },
        /// Anything that an application shows in its own way.
        Data = "data" {
            /// The application's name for this kind of data.
            name: String = "name",
            /// Any JSON.
            #[cfg_attr(test, ts(type = "unknown"))]
            data: Json = "data",
            /// A later block of the answer with the same name and id replaces this one.
            id: Option<String> = "id" optional,
        },
    } or Other
}

words! {
    /// The effect of a tool.
    pub enum ToolKind {
        /// It only reads.
        Read = "read",
        /// It makes changes that can be undone.
        Edit = "edit",
        /// It does anything else.
        Execute = "execute",
    }
}

words! {
    /// Who gives a tool's result.
    pub enum ToolOutput {
        /// A client of the thread.
        Client = "client",
    }
}

words! {
    /// The state of a call's approval.
    pub enum ApprovalState {
        /// Not decided yet.
        Requested = "requested",
        /// It may be carried out.
        Approved = "approved",
        /// It may not.
        Denied = "denied",
    }
}

object! {
    /// Whether a call may be carried out.
    pub struct Approval {
        /// The state.
        #[cfg_attr(test, ts(as = "ApprovalState"))]
        pub state: Word<ApprovalState> = "state",
        /// The reason that was given.
        pub reason: Option<String> = "reason" optional,
        /// The subject that decided, or `mode` if the permission mode did.
        pub by: Option<String> = "by" optional,
    }
}

/// Checks that a tool's result has a form that models accept.
impl Write for Content {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Content::Text(text) => text.write(out),
            Content::Blocks(blocks) => blocks.write(out),
        }
    }
}

fn is_said(content: &Json) -> bool {
    matches!(content, Json::String(_) | Json::Array(_))
}

impl Default for Content {
    fn default() -> Self {
        Content::Text(String::new())
    }
}

impl Content {
    /// Returns the text, without blocks of other kinds.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Content::Text(text) => text.clone(),
            Content::Blocks(blocks) => blocks.iter().filter_map(Block::as_text).collect(),
        }
    }

    /// Returns whether it consists only of results of calls.
    #[must_use]
    pub fn is_results(&self) -> bool {
        let is_result = |block: &Block| matches!(block, Block::ToolResult { .. });
        matches!(self, Content::Blocks(blocks) if blocks.iter().all(is_result))
    }

    /// Returns whether it is empty: its text is blank, and it has no block of another kind.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        match self {
            Content::Text(text) => is_blank(text),
            Content::Blocks(blocks) => blocks.iter().all(|block| block.as_text().is_some_and(is_blank)),
        }
    }

    /// Returns the text with a line break between blocks, so that no word runs across two of them.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Content::Text(text) => text.clone(),
            Content::Blocks(blocks) => joined(blocks.iter().filter_map(Block::as_text), '\n'),
        }
    }
}

/// Returns whether a text has nothing that anybody could read: it is empty, or has only white space, control
/// characters and invisible characters.
#[must_use]
pub fn is_blank(text: &str) -> bool {
    text.chars().all(|char| char.is_whitespace() || char.is_control() || shows_nothing(char))
}

/// Returns whether a character is invisible: Unicode's `Default_Ignorable_Code_Point`, and those that are
/// drawn blank or as placeholders.
fn shows_nothing(char: char) -> bool {
    matches!(char,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}'
        | '\u{fffc}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Splits a text at the first `mark`. The standard library's functions for that, and for `contains`, are made
/// for texts of any length and would add 3 kB to the wasm.
#[must_use]
pub fn cut<'a>(text: &'a str, mark: &str) -> Option<(&'a str, &'a str)> {
    let is_mark = |bytes: &[u8]| bytes == mark.as_bytes();
    let before = text.as_bytes().windows(mark.len().max(1)).position(is_mark)?;
    Some((text.get(..before)?, text.get(before.checked_add(mark.len())?..)?))
}

/// Joins texts with a separator between them.
#[must_use]
pub fn joined<'a>(texts: impl Iterator<Item = &'a str>, separator: char) -> String {
    let mut joined = String::new();
    for text in texts {
        if !joined.is_empty() {
            joined.push(separator);
        }
        joined.push_str(text);
    }
    joined
}

impl Block {
    /// Returns the text of a text block; `None` for any other block.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Block::Text { text } => Some(text),
            _ => None,
        }
    }

    /// Returns the text of a thinking block; `None` for any other block.
    #[must_use]
    pub fn as_thinking(&self) -> Option<&str> {
        match self {
            Block::Thinking { text, .. } => Some(text),
            _ => None,
        }
    }

    /// Returns a block with a model's thoughts.
    #[must_use]
    pub fn thinking(text: impl Into<String>) -> Self {
        Block::Thinking { text: text.into(), provider_data: None }
    }

    /// Returns a call of a tool without a kind, an approval or a client to answer it.
    #[must_use]
    pub fn tool_use(id: impl Into<String>, name: impl Into<String>, input: Json) -> Self {
        Block::ToolUse {
            id: id.into(),
            name: name.into(),
            input,
            title: None,
            kind: None,
            output: None,
            approval: None,
            provider_data: None,
        }
    }

    /// Returns a tool's result. A text or a list is kept as it is; any other value is kept beside its JSON
    /// text. Of `null` only that text is kept, since a field that is null counts as missing.
    #[must_use]
    pub fn tool_result(tool_use_id: impl Into<String>, result: Json, is_error: bool) -> Self {
        let (content, output) = match result {
            Json::String(_) | Json::Array(_) => (result, None),
            other => (Json::String(to_json(&other)), Some(other).filter(|other| *other != Json::Null)),
        };
        Block::ToolResult { tool_use_id: tool_use_id.into(), content, is_error, output }
    }
}
