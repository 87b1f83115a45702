//! An answer in pieces: text, and the blocks between.

use bobbin::protocol::{Block, Content, Write, to_json};
use serde_json::{Value, json};

#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    Text(String),
    Block(Value),
    /// A block that still grows, in two parts: the block without the growing text, and the text. It is the last
    /// piece.
    Open(Value, String),
}

pub fn append_text(pieces: &mut Vec<Piece>, text: &str) {
    match pieces.last_mut() {
        _ if text.is_empty() => {}
        Some(Piece::Text(last)) => last.push_str(text),
        _ => pieces.push(Piece::Text(text.to_owned())),
    }
}

/// Adds a block, or puts it where one of the same name and id stands.
pub fn append_block(pieces: &mut Vec<Piece>, block: Value) {
    let earlier = pieces.iter_mut().find_map(|piece| match piece {
        Piece::Block(earlier) if is_later(earlier, &block) => Some(earlier),
        _ => None,
    });
    match earlier {
        Some(earlier) => *earlier = block,
        None => pieces.push(Piece::Block(block)),
    }
}

/// Puts a block at its place among those that are not text.
pub fn put_block(pieces: &mut Vec<Piece>, index: usize, block: Value) -> Result<(), String> {
    drop_open(pieces);
    let mut blocks = pieces.iter_mut().filter(|piece| matches!(piece, Piece::Block(_)));
    if let Some(earlier) = blocks.nth(index) {
        *earlier = Piece::Block(block);
        return Ok(());
    }
    if block_count(pieces) != index {
        return Err(format!("block {index} where it holds {} of them", block_count(pieces)));
    }
    pieces.push(Piece::Block(block));
    Ok(())
}

pub fn block_count(pieces: &[Piece]) -> usize {
    pieces.iter().filter(|piece| matches!(piece, Piece::Block(_))).count()
}

pub fn drop_open(pieces: &mut Vec<Piece>) -> Option<Piece> {
    pieces.pop_if(|piece| matches!(piece, Piece::Open(..)))
}

/// Closes an open block where an answer continues or ends: a thought is kept as far as it came, an incomplete call is
/// dropped.
pub fn close(pieces: &mut Vec<Piece>) {
    if let Some(Piece::Open(block, grown)) = drop_open(pieces)
        && block["type"] == "thinking"
        && !grown.is_empty()
    {
        pieces.push(Piece::Block(json!({ "type": "thinking", "text": grown })));
    }
}

/// Tells whether data replaces earlier data.
fn is_later(earlier: &Value, later: &Value) -> bool {
    later["type"] == "data"
        && later["id"].is_string()
        && ["type", "name", "id"].iter().all(|field| earlier[field] == later[field])
}

/// Tells whether two blocks are the same call, before and after its decision.
pub fn is_decided_later(earlier: &Value, later: &Value) -> bool {
    if earlier["type"] != "tool_use" || earlier["approval"]["state"] != "requested" {
        return false;
    }
    let mut decided = earlier.clone();
    decided["approval"] = later["approval"].clone();
    decided == *later
}

pub fn is_prefix(short: &[Piece], long: &[Piece]) -> bool {
    let Some((last, before)) = short.split_last() else { return true };
    let is_same = |(short, long): (&Piece, &Piece)| match (short, long) {
        (Piece::Block(short), Piece::Block(long)) => {
            short == long || is_later(short, long) || is_decided_later(short, long)
        }
        (short, long) => short == long,
    };
    let Some(same) = long.get(..before.len()) else { return false };
    before.iter().zip(same).all(is_same)
        && match (last, long.get(before.len())) {
            (Piece::Text(short), Some(Piece::Text(long))) => long.starts_with(short.as_str()),
            (Piece::Open(_, grown), Some(long)) => grows_to(long).starts_with(grown.as_str()),
            (last, Some(long)) => is_same((last, long)),
            (_, None) => false,
        }
}

/// Compares likewise, but the beginning of a thought may have been stored as a block.
pub fn is_kept(kept: &[Piece], said: &[Piece]) -> bool {
    let Some((Piece::Block(last), before)) = kept.split_last() else { return is_prefix(kept, said) };
    let thought = last["text"].as_str().filter(|_| last["type"] == "thinking");
    let is_beginning = || {
        let next = said.get(before.len()).map(grows_to).unwrap_or_default();
        is_prefix(before, said) && thought.is_some_and(|thought| next.starts_with(thought))
    };
    is_prefix(kept, said) || is_beginning()
}

/// The text to which a block has grown.
fn grows_to(piece: &Piece) -> String {
    match piece {
        Piece::Text(_) => String::new(),
        Piece::Open(_, grown) => grown.clone(),
        Piece::Block(block) if block["type"] == "thinking" => {
            block["text"].as_str().unwrap_or_default().to_owned()
        }
        Piece::Block(block) => block["input"].to_string(),
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
            _ => pieces.push(Piece::Block(block.clone())),
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

/// The length of an answer, which grows with everything that is said.
pub fn weight(pieces: &[Piece]) -> usize {
    let weight = |piece: &Piece| match piece {
        Piece::Text(text) => text.len(),
        piece => grows_to(piece).len(),
    };
    pieces.iter().map(weight).sum()
}

pub fn json_of<T: Write>(value: &T) -> Value {
    serde_json::from_str(&to_json(value)).expect("it is JSON")
}

/// An agent is given the bytes of files instead of their addresses, together with their names and sizes.
pub fn without_urls(content: &Content) -> Content {
    let mut content = content.clone();
    if let Content::Blocks(blocks) = &mut content {
        for block in blocks {
            if let Block::File { url, name, size, .. } = block {
                url.clear();
                (*name, *size) = (None, None);
            }
        }
    }
    content
}
