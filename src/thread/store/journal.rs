//! A running answer as it is stored, so that a crash loses little of what clients have seen.

use crate::protocol::objects::{object, written};
use crate::protocol::read::{fill_field, fill_known};
use crate::protocol::{Block, Json, Read};

/// The running text of a turn. There are as many slots as turns may run at once; a slot whose turn
/// is over is stale and free.
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
    /// The block that still grows, and what else a cursor within the answer needs; `None` if there is neither.
    pub growing: Option<Growing>,
    /// Tokens that were counted so far.
    pub tokens_used: u64,
}

object! {
    /// What a running answer has beside its text and its finished blocks.
    #[derive(Default)]
    pub struct Growing {
        /// The block that is open, without what grows.
        pub block: Option<Block> = "block" optional,
        /// What it has grown to: the text of a thought, or the JSON of a call's input.
        pub grown: String = "grown",
        /// How many events its blocks have been.
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
        /// The event of the answer's blocks that it came with, counted from 1; 0 where an older build stored it, and
        /// each block is the one of its place.
        pub first: u64 = "first",
        /// The event that it took this form with.
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
    /// The events of an answer's blocks, where a block took another's place or was dropped, or a crash broke it off.
    #[derive(Eq)]
    pub struct BlockEvents {
        /// How many there were.
        pub count: u64 = "count",
        /// For each block that is not text: the event with which it began, and the one that gave it its present form.
        pub of_blocks: Vec<(u64, u64)> = "ofBlocks",
        /// How many of them were stored when a crash broke the answer off; `None` if none did, or no block was open.
        pub broken_at: Option<u64> = "brokenAt" optional,
    }
}
