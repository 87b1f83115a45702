//! What a message consists of.

use serde::Serialize;

use super::Json;
use super::objects::kinds;

/// A message's content: a string where it is only text, else blocks.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(untagged)]
pub enum Content {
    Text(String),
    Blocks(Vec<Block>),
}

kinds! {
    /// One part of a message that has more than text.
    pub enum Block {
        Text = "text" { text: String = "text", },
        Thinking = "thinking" { text: String = "text", },
        ToolUse = "tool_use" {
            id: String = "id",
            name: String = "name",
            #[cfg_attr(test, ts(type = "unknown"))]
            input: Json = "input",
        },
        ToolResult = "tool_result" {
            tool_use_id: String = "toolUseId",
            #[cfg_attr(test, ts(type = "string | unknown[]"))]
            content: Json = "content" if is_said,
            is_error: bool = "isError",
        },
    } or Other
}

/// Whether a tool's result is of a form that models take.
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

    /// Whether nothing is said: text that is blank, and no block of another kind.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        match self {
            Content::Text(text) => is_blank(text),
            Content::Blocks(blocks) => blocks.iter().all(|block| block.as_text().is_some_and(is_blank)),
        }
    }

    /// The text as it is read: a word does not go on across blocks.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Content::Text(text) => text.clone(),
            Content::Blocks(blocks) => joined(blocks.iter().filter_map(Block::as_text), '\n'),
        }
    }
}

/// Whether there is nothing in a text that anybody could read: white space, control characters and
/// characters without width alone, or nothing at all.
#[must_use]
pub fn is_blank(text: &str) -> bool {
    let is_unseen = |char: char| matches!(char, '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}');
    text.chars().all(|char| char.is_whitespace() || char.is_control() || is_unseen(char))
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
