//! The agent that says the user's own words back, so that everything runs with no key and no network.

use super::{AgentRequest, Finished};
use crate::protocol::Content;

/// What is said back: the text of the user's own message. Its other blocks are not echoed.
#[must_use]
pub fn answer(request: &AgentRequest) -> String {
    request.messages.last().map(|message| &message.content).map(Content::text).unwrap_or_default()
}

/// The text word by word, each with the white space after it; the first one with that before it, too.
/// Put together, the pieces are the text.
pub fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (piece, tail) = rest.split_at_checked(piece_end(rest))?;
        rest = tail;
        Some(piece).filter(|piece| !piece.is_empty())
    })
}

/// The figures of an answer of so many pieces.
#[must_use]
pub fn finished(pieces: u64) -> Finished {
    Finished {
        tokens_used: pieces,
        model: Some(String::from("echo")),
        finish_reason: Some(String::from("stop")),
        omitted_messages: None,
    }
}

/// Where the second word begins.
fn piece_end(text: &str) -> usize {
    let mut chars = text.char_indices().skip_while(|(_, c)| c.is_whitespace());
    chars
        .by_ref()
        .find(|(_, c)| c.is_whitespace())
        .and_then(|_| chars.find(|(_, c)| !c.is_whitespace()))
        .map_or(text.len(), |(at, _)| at)
}
