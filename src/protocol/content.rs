//! What a message consists of.

use serde::Serialize;

use super::Json;
use super::objects::kinds;

/// A message's content: a string where it is only text, else blocks.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(untagged)]
pub enum Content {
    /// Text alone.
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
        /// What a model thought before it answered.
        Thinking = "thinking" {
            /// The thoughts.
            text: String = "text",
        },
        /// A model calls a tool.
        ToolUse = "tool_use" {
            /// The call's id; its result names it.
            id: String = "id",
            /// The tool's name.
            name: String = "name",
            /// What the tool is given: any JSON.
            #[cfg_attr(test, ts(type = "unknown"))]
            input: Json = "input",
        },
        /// What a tool gave back.
        ToolResult = "tool_result" {
            /// The id of the call that this is the result of.
            tool_use_id: String = "toolUseId",
            /// The result.
            #[cfg_attr(test, ts(type = "string | unknown[]"))]
            content: Json = "content" if is_said,
            /// Whether the tool failed.
            is_error: bool = "isError",
        },
    } or Other
}

/// Whether a tool's result has a form that models take.
fn is_said(content: &Json) -> bool {
    matches!(content, Json::String(_) | Json::Array(_))
}

impl Content {
    /// The text alone, blocks of other kinds left out.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Content::Text(text) => text.clone(),
            Content::Blocks(blocks) => blocks.iter().filter_map(Block::as_text).collect(),
        }
    }

    /// Whether it says nothing: its text is blank, and it has no block of another kind.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        match self {
            Content::Text(text) => is_blank(text),
            Content::Blocks(blocks) => blocks.iter().all(|block| block.as_text().is_some_and(is_blank)),
        }
    }

    /// The text with a line break between blocks, so that no word runs across two of them.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Content::Text(text) => text.clone(),
            Content::Blocks(blocks) => joined(blocks.iter().filter_map(Block::as_text), '\n'),
        }
    }
}

/// Whether a text has nothing that anybody could read: it is empty, or has only white space, control characters
/// and characters that show nothing.
#[must_use]
pub fn is_blank(text: &str) -> bool {
    text.chars().all(|char| char.is_whitespace() || char.is_control() || shows_nothing(char))
}

/// Unicode's `Default_Ignorable_Code_Point`, and what is drawn as a blank or stands for something that is not there.
fn shows_nothing(char: char) -> bool {
    matches!(char,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}'
        | '\u{fffc}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Texts in a row, with a separator between them.
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
    /// The text of a text block; `None` for any other block.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Block::Text { text } => Some(text),
            Block::Thinking { .. } | Block::ToolUse { .. } | Block::ToolResult { .. } | Block::Other(_) => {
                None
            }
        }
    }
}
