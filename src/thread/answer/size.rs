//! Sizes of texts and blocks as JSON, by which an answer is limited.

use crate::protocol::{Block, to_json};

/// Returns as much of a text as fits into this many bytes of a JSON string.
pub(super) fn fitting(text: &str, room: usize) -> &str {
    if text.len().saturating_mul(JSON_BYTES_PER_BYTE_MAX) <= room {
        return text;
    }
    let mut bytes = 0_usize;
    let fits = |char: &char| {
        bytes = bytes.saturating_add(json_bytes(char.encode_utf8(&mut [0; 4])));
        bytes <= room
    };
    let end = text.chars().take_while(fits).map(char::len_utf8).sum();
    text.get(..end).unwrap_or_default()
}

/// A control character takes six bytes, as in `\u0001`.
const JSON_BYTES_PER_BYTE_MAX: usize = 6;

/// Returns how many bytes a text takes inside a JSON string.
pub(super) fn json_bytes(text: &str) -> usize {
    let escape_bytes = |byte: u8| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
        0..=0x1f => 6,
        _ => 1,
    };
    text.bytes().map(escape_bytes).sum()
}

/// Returns how many bytes a block takes as JSON.
pub(in crate::thread) fn block_json_bytes(block: &Block) -> usize {
    to_json(block).len()
}
