//! A running answer as it is stored, so that a crash loses little of the text that clients have seen.

use crate::protocol::objects::{object, written};
use crate::protocol::read::{fill_field, fill_known};
use crate::protocol::{Block, Json, Read};

/// The running text of a turn. There is one slot for each turn that may run at once; a slot is free once its
/// turn is over.
#[derive(Clone, Debug, PartialEq)]
pub struct Journal {
    /// The row that it is written to, counted from 0.
    pub slot: usize,
    /// The turn that is being answered.
    pub turn: u64,
    /// The answer's text so far.
    pub text: String,
    /// The answer's other blocks so far, at their places in the text.
    pub blocks: Vec<PlacedBlock>,
    /// The open block, and further data that a cursor within the answer needs; `None` if there is neither.
    pub growing: Option<Growing>,
    /// Tokens that were counted so far.
    pub tokens_used: u64,
}

object! {
    /// The state of a running answer beside its text and its finished blocks.
    #[derive(Default)]
    pub struct Growing {
        /// The open block without the field that grows.
        pub block: Option<Block> = "block" optional,
        /// The value of that field so far: the text of a thought, or the JSON of a call's input.
        pub grown: String = "grown",
        /// The number of block events.
        pub events: u64 = "events",
    }
}

written! {
    /// A block and how many bytes of the answer's text stand before it.
    pub struct PlacedBlock {
        /// Bytes of the answer's text before the block.
        pub at: usize = "at",
        /// The block, of any kind but text.
        pub block: Block = "block",
        /// The number of the event that created the block, counted from 1; 0 if an older build stored it, and
        /// then each block's number follows from its place.
        pub first: u64 = "first",
        /// The number of the event that gave it its present form.
        pub last: u64 = "last",
    }
}

impl Read for PlacedBlock {
    fn blank() -> Self {
        PlacedBlock { at: 0, block: Block::blank(), first: 0, last: 0 }
    }

    fn fill(&mut self, json: Option<&Json>) -> bool {
        let Some(json) = json else { return false };
        fill_field(&mut self.at, json, "at")
            && fill_field(&mut self.block, json, "block")
            && fill_known(&mut self.first, json, "first")
            && fill_known(&mut self.last, json, "last")
    }
}

object! {
    /// The events of an answer's blocks, stored if a block was replaced or dropped, or if a crash broke the
    /// answer off.
    #[derive(Eq)]
    pub struct BlockEvents {
        /// How many events there were.
        pub count: u64 = "count",
        /// For each block that is not text: the event with which it began, and the one that gave it its present form.
        pub of_blocks: Vec<(u64, u64)> = "ofBlocks",
        /// The number of events that were stored when a crash broke the answer off; `None` if there was no
        /// crash, or no block was open.
        pub broken_at: Option<u64> = "brokenAt" optional,
    }
}
