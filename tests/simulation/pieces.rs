//! An answer in pieces: text, and the blocks between.

use bobbin::protocol::{Block, Content, to_json};
use serde_json::Value;

#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    Text(String),
    Block(Value),
}

pub fn append_text(pieces: &mut Vec<Piece>, text: &str) {
    match pieces.last_mut() {
        _ if text.is_empty() => {}
        Some(Piece::Text(last)) => last.push_str(text),
        _ => pieces.push(Piece::Text(text.to_owned())),
    }
}

pub fn append_block(pieces: &mut Vec<Piece>, block: Value) {
    pieces.push(Piece::Block(block));
}

pub fn is_prefix(short: &[Piece], long: &[Piece]) -> bool {
    let Some((last, before)) = short.split_last() else { return true };
    let same = long.get(..before.len()).is_some_and(|long| long == before);
    same && match (last, long.get(before.len())) {
        (Piece::Text(short), Some(Piece::Text(long))) => long.starts_with(short.as_str()),
        (last, long) => long == Some(last),
    }
}

/// The text without the blocks between.
pub fn text_only(pieces: &[Piece]) -> Vec<Piece> {
    let mut only = Vec::new();
    for piece in pieces {
        if let Piece::Text(text) = piece {
            append_text(&mut only, text);
        }
    }
    only
}

/// An answer as a frame carries it.
pub fn pieces_of(content: &Value, blocks: &Value) -> Vec<Piece> {
    let mut pieces = Vec::new();
    match blocks.as_array() {
        Some(blocks) => blocks.iter().for_each(|block| match block["text"].as_str() {
            Some(text) if block["type"] == "text" => append_text(&mut pieces, text),
            _ => append_block(&mut pieces, block.clone()),
        }),
        None => append_text(&mut pieces, content.as_str().unwrap_or_default()),
    }
    pieces
}

pub fn pieces_of_content(content: &Content) -> Vec<Piece> {
    match content {
        Content::Text(text) => pieces_of(&Value::String(text.clone()), &Value::Null),
        Content::Blocks(blocks) => pieces_of(&Value::Null, &blocks.iter().map(json_of::<Block>).collect()),
    }
}

pub fn text_bytes(pieces: &[Piece]) -> usize {
    let bytes = |piece: &Piece| if let Piece::Text(text) = piece { text.len() } else { 0 };
    pieces.iter().map(bytes).sum()
}

pub fn json_of<T: serde::Serialize>(value: &T) -> Value {
    serde_json::from_str(&to_json(value)).expect("it is JSON")
}
