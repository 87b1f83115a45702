//! Puts the parts of an answer in order.
//!
//! A provider may send several blocks in parallel, each piece under the key of its block. A [`Draft`] has one
//! open block at a time, and one order. This module chooses which block that is.
//!
//! **Invariant:** only the input of a call that breaks off is lost. Text keeps its order, and so does each
//! block.

use super::http::Draft;
use super::piece::Piece;
use crate::protocol::json::Fields;
use crate::protocol::{Block, Json, is_blank};

/// The incomplete parts of one answer.
#[derive(Debug, Default)]
pub struct Parts {
    /// Half a character at the end of the text.
    half: Piece<'static>,
    /// The key of the latest thinking.
    thinking: String,
    /// All calls, in the order in which they began.
    calls: Vec<Growing>,
    /// How many bytes the incomplete inputs have.
    bytes: usize,
}

/// A call whose input comes in pieces.
#[derive(Debug)]
struct Growing {
    key: String,
    /// The call without its input; `None` once it is complete.
    block: Option<Block>,
    input: String,
    half: Piece<'static>,
}

impl Parts {
    /// Adds text to the answer.
    pub fn text(&mut self, piece: &Piece, answer: &mut Draft) {
        let text = joined(&mut self.half, piece);
        if !text.is_empty() {
            answer.pieces = answer.pieces.saturating_add(1);
            answer.say(&text);
        }
    }

    /// Adds to the thought with this key, which begins with its first piece.
    pub fn thinking(&mut self, key: &str, piece: &Piece, answer: &mut Draft) {
        if self.thinking != key {
            answer.end_thinking();
            key.clone_into(&mut self.thinking);
        }
        answer.think(piece, true);
    }

    /// Ends the thought with this key, with the data to be handed back. If something else has closed the
    /// thought already, the data is kept alone.
    pub fn end_thinking(&mut self, key: &str, data: Option<Json>, answer: &mut Draft) {
        if self.thinking == key {
            self.thinking.clear();
        } else if data.is_some() {
            answer.end_thinking();
        } else {
            return;
        }
        if let Some(data) = data {
            *answer.signature() = Some(data);
        }
        answer.end_thinking();
    }

    /// Begins the call with this key: a block without its input.
    pub fn call(&mut self, key: &str, block: Block, answer: &mut Draft) {
        if let Block::ToolUse { id, name, .. } = &block {
            answer.begin_call(self.calls.len(), id, name);
        }
        let (key, block) = (key.to_owned(), Some(block));
        self.calls.push(Growing { key, block, input: String::new(), half: Piece::default() });
        answer.over_limit(self.bytes, self.calls.len());
    }

    /// Adds JSON to that call's input.
    pub fn input(&mut self, key: &str, piece: &Piece, answer: &mut Draft) {
        let Some(at) = self.growing(key) else { return };
        let Some(call) = self.calls.get_mut(at) else { return };
        let more = joined(&mut call.half, piece);
        call.input.push_str(&more);
        self.bytes = self.bytes.saturating_add(more.len());
        answer.gather(more.len());
        answer.grow_call(at, &more);
        answer.over_limit(self.bytes, 0);
    }

    /// Ends the call with this key, with the input so far.
    pub fn end_call(&mut self, key: &str, answer: &mut Draft) {
        if let Some(at) = self.growing(key) {
            self.end(at, None, answer);
        }
    }

    /// Takes a complete call, which may have grown under that key before.
    pub fn whole_call(&mut self, key: &str, block: Block, answer: &mut Draft) {
        match self.growing(key) {
            Some(at) => self.end(at, Some(block), answer),
            None => answer.block(block),
        }
    }

    /// Ends the calls that are left, unless the answer broke off: nobody may carry out half a call.
    pub fn finish(&mut self, is_broken_off: bool, answer: &mut Draft) {
        for at in 0..if is_broken_off { 0 } else { self.calls.len() } {
            self.end(at, None, answer);
        }
    }

    /// Drops the incomplete calls.
    pub fn drop_calls(&mut self, answer: &mut Draft) {
        for call in &mut self.calls {
            call.block = None;
        }
        answer.drop_call();
    }

    fn growing(&self, key: &str) -> Option<usize> {
        self.calls.iter().position(|call| call.key == key && call.block.is_some())
    }

    fn end(&mut self, at: usize, whole: Option<Block>, answer: &mut Draft) {
        let Some(call) = self.calls.get_mut(at) else { return };
        let Some(mut block) = call.block.take() else { return };
        let grown = std::mem::take(&mut call.input);
        self.bytes = self.bytes.saturating_sub(grown.len());
        if let Block::ToolUse { input, .. } = &mut block
            && (*input == Json::Null || !grown.is_empty())
        {
            *input = input_of(&grown);
        }
        answer.end_call(at, whole.unwrap_or(block));
    }
}

/// Returns the text of a piece, preceded by the half character that the previous piece ended with.
fn joined(half: &mut Piece<'static>, piece: &Piece) -> String {
    half.push(piece);
    half.take()
}

/// Parses a call's input. If it is not JSON it is kept as text.
fn input_of(json: &str) -> Json {
    match Json::parse(json) {
        Some(Json::Null) => Json::Object(Fields::new()),
        Some(input) => input,
        None if is_blank(json) => Json::Object(Fields::new()),
        None => Json::String(json.to_owned()),
    }
}
