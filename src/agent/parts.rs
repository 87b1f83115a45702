//! Puts in order what an agent says at once.
//!
//! A provider may send several blocks side by side, each piece under the key of its block. A [`Draft`] has one open
//! block at a time, and one order: this tells it which.
//!
//! **Invariant:** nothing that came is lost but the input of a call that is broken off. Text keeps its order, and
//! so does each block.

use super::http::Draft;
use super::piece::Piece;
use crate::protocol::json::Fields;
use crate::protocol::{Block, Json, is_blank};

/// The parts of one answer that are not whole.
#[derive(Debug, Default)]
pub struct Parts {
    /// Half a character at the end of the text.
    half: Piece<'static>,
    /// The key of the latest thinking.
    thinking: String,
    /// All calls that began, in order.
    calls: Vec<Growing>,
    /// Bytes of the inputs of those that are not whole.
    bytes: usize,
}

/// A call whose input comes in pieces.
#[derive(Debug)]
struct Growing {
    key: String,
    /// Without its input; none once it is whole.
    block: Option<Block>,
    input: String,
    half: Piece<'static>,
}

impl Parts {
    /// More text of the answer.
    pub fn text(&mut self, piece: &Piece, answer: &mut Draft) {
        let text = joined(&mut self.half, piece);
        if !text.is_empty() {
            answer.pieces = answer.pieces.saturating_add(1);
            answer.say(&text);
        }
    }

    /// More of the thinking of that key, which begins with its first piece.
    pub fn thinking(&mut self, key: &str, piece: &Piece, answer: &mut Draft) {
        if self.thinking != key {
            answer.end_thinking();
            key.clone_into(&mut self.thinking);
        }
        answer.think(piece, true);
    }

    /// The end of the thinking of that key, and what its provider wants back with it. Where something else has
    /// closed it before, that stands alone.
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

    /// The call of that key begins: a block without its input.
    pub fn call(&mut self, key: &str, block: Block, answer: &mut Draft) {
        if let Block::ToolUse { id, name, .. } = &block {
            answer.begin_call(self.calls.len(), id, name);
        }
        let (key, block) = (key.to_owned(), Some(block));
        self.calls.push(Growing { key, block, input: String::new(), half: Piece::default() });
        answer.over_limit(self.bytes, self.calls.len());
    }

    /// More of the JSON of that call's input.
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

    /// The end of the call of that key: it is as whole as its pieces are.
    pub fn end_call(&mut self, key: &str, answer: &mut Draft) {
        if let Some(at) = self.growing(key) {
            self.end(at, None, answer);
        }
    }

    /// A whole call, which may have grown under that key before.
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

    /// Drops the calls that are not whole.
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

/// The text of a piece, behind the half of a character that the one before it ended with.
fn joined(half: &mut Piece<'static>, piece: &Piece) -> String {
    half.push(piece);
    half.take()
}

/// What the pieces of a call's input stand for. What is not JSON is kept as the text that it is.
fn input_of(json: &str) -> Json {
    match Json::parse(json) {
        Some(Json::Null) => Json::Object(Fields::new()),
        Some(input) => input,
        None if is_blank(json) => Json::Object(Fields::new()),
        None => Json::String(json.to_owned()),
    }
}
