//! A running answer as it is stored, so that a crash loses little of what clients have seen.

use serde::Serialize;

use crate::protocol::{Block, Json, Read, optional, required};

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

/// What a running answer has beside its text and its finished blocks.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Growing {
    /// The block that is open, without what grows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block: Option<Block>,
    /// What it has grown to: the text of a thought, or the JSON of a call's input.
    pub grown: String,
    /// How many events its blocks have been.
    pub events: u64,
}

impl Read for Growing {
    fn read(value: &Json) -> Option<Self> {
        Some(Growing {
            block: required(value, "block")?,
            grown: required(value, "grown")?,
            events: required(value, "events")?,
        })
    }
}

/// A block and how many bytes of the answer's text stand before it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlacedBlock {
    /// Bytes of the answer's text before the block.
    pub at: usize,
    /// The block, of any kind but text.
    pub block: Block,
    /// The event of the answer's blocks that it came with, counted from 1; 0 where an older build stored it, and
    /// each block is the one of its place.
    pub first: u64,
    /// The event that it took this form with.
    pub last: u64,
}

impl Read for PlacedBlock {
    fn read(value: &Json) -> Option<Self> {
        let at: u64 = required(value, "at")?;
        Some(PlacedBlock {
            at: usize::try_from(at).ok()?,
            block: required(value, "block")?,
            first: optional(value, "first")?.unwrap_or_default(),
            last: optional(value, "last")?.unwrap_or_default(),
        })
    }
}

/// The events of an answer's blocks, where a block took another's place or was dropped, or a crash broke it off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BlockEvents {
    /// How many there were.
    pub count: u64,
    /// Of each block that is not text, the event that it came with, and the one that it took its form with.
    pub of_blocks: Vec<(u64, u64)>,
    /// How many of them were stored when a crash broke the answer off; `None` if none did, or no block was open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broken_at: Option<u64>,
}

impl Read for BlockEvents {
    fn read(value: &Json) -> Option<Self> {
        let pair = |pair: &Json| match pair.as_array()? {
            [first, last] => Some((first.as_u64()?, last.as_u64()?)),
            _ => None,
        };
        let of_blocks = value.get("ofBlocks")?.as_array()?.iter().map(pair).collect::<Option<_>>()?;
        Some(BlockEvents {
            count: required(value, "count")?,
            of_blocks,
            broken_at: optional(value, "brokenAt")?,
        })
    }
}
