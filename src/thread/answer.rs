//! An answer: its text, the other blocks at their places in it, and the block that still grows.

use crate::protocol::limits::ANSWER_BYTES_MAX;
use crate::protocol::{Block, CollectVec, Content, Json, Progress, to_json};

use super::store::{BlockEvents, Growing, PlacedBlock};

/// An answer's text, and the other blocks at their places in it. At its end a block may be open.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    text: String,
    pub(super) blocks: Vec<PlacedBlock>,
    open: Option<(Block, String)>,
    /// How many events its blocks have been: each block that was finished, took another's place, was decided upon or
    /// dropped.
    pub(super) events: u64,
    /// How many of them were stored when a crash broke the answer off; `None` if none did, or no block was open.
    broken_at: Option<u64>,
    text_json_bytes: usize,
    pub(super) blocks_json_bytes: usize,
    open_json_bytes: usize,
    /// The block that was open last and is not to be finished, and the [`Progress`] of a client that holds what was before.
    dropped: Option<(Progress, Block, String)>,
}

/// More events than the blocks of an answer can be between two writes of its journal.
const LOST_EVENTS: u64 = 1 << 32;

/// One part of what a client lacks that holds only the beginning of an answer, and the client's
/// [`Progress::blocks`] once it has it.
#[derive(Debug, PartialEq)]
pub struct Missing<'a> {
    /// What is missing.
    pub piece: Piece<'a>,
    /// How many events of blocks the client then has.
    pub blocks: u64,
}

/// A part of an answer.
#[derive(Debug, PartialEq)]
pub enum Piece<'a> {
    /// A part of the answer's text.
    Text(&'a str),
    /// A finished block of another kind.
    Block {
        /// Its place among the answer's blocks that are not text.
        index: usize,
        /// The block.
        block: &'a Block,
    },
    /// A block that still grows begins.
    Begin {
        /// Its place among the answer's blocks that are not text.
        index: usize,
        /// The block without what grows.
        block: &'a Block,
    },
    /// More of the block that still grows.
    Grow {
        /// Its place among the answer's blocks that are not text.
        index: usize,
        /// What the client lacks of it.
        delta: &'a str,
    },
}

impl Answer {
    /// An answer as it is stored while it runs.
    #[must_use]
    pub fn new(text: String, blocks: Vec<PlacedBlock>, growing: Option<Growing>) -> Self {
        let Growing { block, grown, events } =
            growing.unwrap_or_else(|| Growing { events: blocks.len() as u64, ..Growing::default() });
        let mut answer = Answer {
            text_json_bytes: json_bytes(&text),
            blocks_json_bytes: blocks.iter().map(|placed| block_json_bytes(&placed.block)).sum(),
            text,
            blocks,
            events,
            ..Answer::default()
        };
        for (place, placed) in (1..).zip(&mut answer.blocks).filter(|(_, placed)| placed.first == 0) {
            (placed.first, placed.last) = (place, place);
        }
        if let Some(block) = block {
            answer.begin(block);
            answer.grow(&grown);
        }
        answer
    }

    /// An answer with this content. Its text blocks become the text, and the others get their places in it.
    /// `events` is what [`Answer::events`] was.
    #[must_use]
    pub fn from_content(content: &Content, events: Option<&BlockEvents>) -> Self {
        let mut answer = Answer::default();
        match content {
            Content::Text(text) => answer.push_text(text),
            Content::Blocks(blocks) => {
                for block in blocks {
                    match block {
                        Block::Text { text } => answer.push_text(text),
                        other => answer.place(other.clone()),
                    }
                }
            }
        }
        if let Some(events) = events {
            (answer.events, answer.broken_at) = (events.count, events.broken_at);
            for (placed, (first, last)) in answer.blocks.iter_mut().zip(&events.of_blocks) {
                (placed.first, placed.last) = (*first, *last);
            }
        }
        answer
    }

    /// What is stored of it while it runs.
    #[must_use]
    pub fn stored(&self) -> (String, Vec<PlacedBlock>, Option<Growing>) {
        let (block, grown) = self.open.clone().unzip();
        let is_plain = block.is_none() && self.events().is_none();
        let growing = Growing { block, grown: grown.unwrap_or_default(), events: self.events };
        (self.text.clone(), self.blocks.clone(), (!is_plain).then_some(growing))
    }

    /// The events of its blocks; `None` if each block is the one of its place.
    #[must_use]
    pub fn events(&self) -> Option<BlockEvents> {
        let of_blocks = self.blocks.iter().map(|placed| (placed.first, placed.last));
        (self.events != self.blocks.len() as u64).then(|| BlockEvents {
            count: self.events,
            of_blocks: of_blocks.collect_vec(),
            broken_at: self.broken_at,
        })
    }

    /// A crash broke it off. What becomes of its open block is an event whose number was not given before: a client
    /// that was sent events which the crash lost would count as up to date.
    pub fn break_off(&mut self) {
        if self.open.is_some() {
            self.broken_at = Some(self.events);
            self.events = self.events.saturating_add(LOST_EVENTS);
        }
    }

    /// Whether a client that holds so many events was sent some that a crash lost.
    fn has_lost(&self, held: Progress) -> bool {
        self.broken_at.is_some_and(|at| (1..=LOST_EVENTS).contains(&held.blocks.saturating_sub(at)))
    }

    /// The text, without the other blocks.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The block that still grows, without what grows, and that.
    #[must_use]
    pub fn open(&self) -> Option<(&Block, &str)> {
        self.open.as_ref().map(|(block, grown)| (block, grown.as_str()))
    }

    /// How many finished blocks it has that are not text. The next one has this index.
    #[must_use]
    pub fn block_count(&self) -> usize {
        self.blocks.len()
    }

    /// The [`Progress::blocks`] of a client that holds them all.
    #[must_use]
    pub fn block_events(&self) -> u64 {
        self.events
    }

    /// A string where there is only text, else all finished blocks in order, text among them.
    #[must_use]
    pub fn content(&self) -> Content {
        self.blocks().map_or_else(|| Content::Text(self.text.clone()), Content::Blocks)
    }

    /// All finished blocks in order, text among them; `None` if there is only text.
    #[must_use]
    pub fn blocks(&self) -> Option<Vec<Block>> {
        if self.blocks.is_empty() {
            return None;
        }
        let (mut all, mut at) = (Vec::new(), 0);
        let mut add_text = |all: &mut Vec<Block>, to: usize| {
            let text = self.text.get(at..to).unwrap_or_default();
            at = to;
            if !text.is_empty() {
                all.push(Block::Text { text: text.to_owned() });
            }
        };
        for placed in &self.blocks {
            add_text(&mut all, placed.at);
            all.push(placed.block.clone());
        }
        add_text(&mut all, self.text.len());
        Some(all)
    }

    /// What comes after `held`, in order; `None` if no client of this answer can hold that. Each part that a client
    /// takes brings it forward, so one that is cut off at every frame comes to the end as well.
    #[must_use]
    pub fn rest(&self, held: Progress) -> Option<Vec<Missing<'_>>> {
        if held.blocks > self.events || self.has_lost(held) || !self.is_beginning(held) {
            return None;
        }
        let mut left: Vec<(u64, usize, &PlacedBlock)> = Vec::new();
        for (index, placed) in self.blocks.iter().enumerate() {
            // A block that is new to the client comes as it is now, and once.
            let event = if placed.first > held.blocks { placed.first } else { placed.last };
            if event > held.blocks {
                left.push((event, index, placed));
            }
        }
        left.sort_unstable_by_key(|(event, ..)| *event);
        let (mut missing, mut at) = (Vec::new(), held.bytes);
        for (nth, (_, index, placed)) in left.iter().enumerate() {
            // What lies between two of them was dropped, or has been sent as it is now.
            let before =
                |nth: usize| left.get(nth).map_or(self.events, |(event, ..)| event.saturating_sub(1));
            if placed.first > held.blocks {
                let text = self.text.get(at..placed.at)?;
                missing.extend(
                    (!text.is_empty()).then_some(Missing { piece: Piece::Text(text), blocks: before(nth) }),
                );
                at = placed.at;
            }
            let piece = Piece::Block { index: *index, block: &placed.block };
            missing.push(Missing { piece, blocks: before(nth.saturating_add(1)) });
        }
        let text = self.text.get(at..)?;
        let mut add = |piece| missing.push(Missing { piece, blocks: self.events });
        if !text.is_empty() {
            add(Piece::Text(text));
        }
        if let Some((block, grown)) = self.open() {
            let index = self.blocks.len();
            let bytes = held.open.filter(|_| held.blocks == self.events);
            if bytes.is_none() {
                add(Piece::Begin { index, block });
            }
            let delta = grown.get(bytes.unwrap_or_default()..)?;
            if !delta.is_empty() {
                add(Piece::Grow { index, delta });
            }
        }
        Some(missing)
    }

    /// Whether a client of this answer can hold that much of its text and its finished blocks.
    fn is_beginning(&self, held: Progress) -> bool {
        self.blocks.iter().all(|placed| {
            if placed.first <= held.blocks { placed.at <= held.bytes } else { placed.at >= held.bytes }
        })
    }

    /// Whether a client may hold more of a block that is open for it than this answer has, which broke off in a crash.
    #[must_use]
    pub fn may_lack(&self, held: Progress) -> bool {
        let Some(bytes) = held.open else { return false };
        let next = self.blocks.iter().find(|placed| placed.first > held.blocks);
        let thought = next.and_then(|placed| placed.block.as_thinking());
        thought.is_none_or(|thought| thought.get(..bytes).is_none())
    }

    /// The answer's beginning, with at most `bytes_max` bytes of text and no open block, as a client may hold it.
    #[must_use]
    pub fn head(&self, bytes_max: usize) -> Answer {
        let end = self.text.floor_char_boundary(bytes_max);
        if end == self.text.len() {
            return Answer { open: None, open_json_bytes: 0, ..self.clone() };
        }
        let left_out = self.blocks.iter().find(|placed| placed.at > end);
        let events = left_out.map_or(self.events, |placed| placed.first.saturating_sub(1));
        let blocks = self.blocks.iter().filter(|placed| placed.at <= end).cloned().collect_vec();
        let head = Answer::new(self.text.get(..end).unwrap_or_default().to_owned(), blocks, None);
        Answer { events, ..head }
    }

    /// The part of the answer that a client holds.
    #[must_use]
    pub fn at(&self, held: Progress) -> Answer {
        let text = self.text.get(..held.bytes).unwrap_or(&self.text).to_owned();
        let (blocks, later): (Vec<PlacedBlock>, Vec<PlacedBlock>) =
            self.blocks.iter().cloned().partition(|placed| placed.first <= held.blocks);
        let mut at = Answer::new(text, blocks, None);
        at.events = held.blocks;
        // One with an event in between is another block, unless a crash broke the answer off there.
        let is_next =
            |placed: &&PlacedBlock| placed.first == held.blocks.saturating_add(1) || self.broken_at.is_some();
        let next = later.iter().min_by_key(|placed| placed.first).filter(is_next).map(|placed| &placed.block);
        let open = self.open().filter(|_| held.blocks == self.events);
        let thought = next.and_then(|block| Some((block, block.as_thinking()?)));
        match (held.open, open.or(thought)) {
            (Some(bytes), Some((block, grown))) => {
                at.begin(block.clone());
                at.grow(grown.get(..bytes).unwrap_or(grown));
            }
            // It was a thought that was dropped: what it said is not told again, only that it ends.
            (Some(1..), None) => {
                at.begin(Block::thinking(""));
                at.grow(" ");
            }
            _ => {}
        }
        at
    }

    /// The part of the answer with so many bytes of text, and of the block that is open.
    #[must_use]
    pub fn sent(&self, bytes: usize, open_bytes: usize) -> Answer {
        let mut sent = self.head(bytes);
        if sent.text.len() == self.text.len() {
            let grown = |grown: &str| grown.get(..open_bytes).unwrap_or(grown).to_owned();
            sent.open = self.open().map(|(block, all)| (block.clone(), grown(all)));
        }
        sent
    }

    /// As [`Answer::sent`]. A block that was dropped is open for stock clients until they are sent what comes next.
    #[must_use]
    pub fn shown(&self, bytes: usize, open_bytes: usize) -> Answer {
        let mut sent = self.sent(bytes, open_bytes);
        if let (None, Some((before, block, all))) = (self.open(), &self.dropped)
            && (bytes, self.events) == (before.bytes, before.blocks.saturating_add(1))
        {
            let all = all.get(..open_bytes).unwrap_or(all).to_owned();
            (sent.open, sent.events) = (Some((block.clone(), all)), before.blocks);
        }
        sent
    }

    /// The progress of a client that holds this answer's text and finished blocks.
    #[must_use]
    pub fn held(&self, turn: u64) -> Progress {
        Progress { turn, bytes: self.text.len(), blocks: self.block_events(), open: None }
    }

    /// As much of a text as fits in, so that the frame of the answer's end is not too large for clients.
    #[must_use]
    pub fn fitting<'a>(&self, text: &'a str) -> &'a str {
        let room = ANSWER_BYTES_MAX.saturating_sub(self.json_bytes(!self.has_blocks()));
        // An end names its text a second time if it has blocks.
        fitting(text, if self.has_blocks() { room / 2 } else { room })
    }

    /// As much of what the open block grows by as fits in.
    #[must_use]
    pub fn fitting_growth<'a>(&self, more: &'a str) -> &'a str {
        fitting(more, ANSWER_BYTES_MAX.saturating_sub(self.json_bytes(false)))
    }

    /// Whether a block fits in, so that the answer stays within [`ANSWER_BYTES_MAX`].
    #[must_use]
    pub fn fits(&self, block: &Block) -> bool {
        let others = self.json_bytes(false).saturating_sub(self.open_json_bytes);
        others.saturating_add(block_json_bytes(block)) <= ANSWER_BYTES_MAX
    }

    /// Whether nothing of it has come.
    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty() && self.blocks.is_empty() && self.open.is_none() && self.events == 0
    }

    fn has_blocks(&self) -> bool {
        !self.blocks.is_empty() || self.open.is_some()
    }

    fn json_bytes(&self, is_only_text: bool) -> usize {
        let in_blocks = if is_only_text { 0 } else { self.text_json_bytes };
        let blocks = self.blocks_json_bytes.saturating_add(self.open_json_bytes);
        self.text_json_bytes.saturating_add(in_blocks).saturating_add(blocks)
    }

    /// Takes more text.
    pub fn push_text(&mut self, text: &str) {
        self.text.push_str(text);
        self.text_json_bytes = self.text_json_bytes.saturating_add(json_bytes(text));
    }

    /// Takes a finished block, which is the whole of the open one if there is one. Data with the name and the id of
    /// an earlier block takes its place, and so does a call that is now to be approved. Returns the block's index.
    pub fn push_block(&mut self, block: Block) -> usize {
        self.end();
        let replaced =
            self.blocks.iter_mut().enumerate().find(|(_, placed)| is_replaced(&placed.block, &block));
        if let Some((index, placed)) = replaced {
            let (before, now) = (block_json_bytes(&placed.block), block_json_bytes(&block));
            self.blocks_json_bytes = self.blocks_json_bytes.saturating_sub(before).saturating_add(now);
            self.events = self.events.saturating_add(1);
            placed.last = self.events;
            placed.block = block;
            return index;
        }
        self.place(block);
        self.blocks.len().saturating_sub(1)
    }

    /// Whether a block fits in beside the one that is open.
    #[must_use]
    pub fn has_room(&self, bytes: usize) -> bool {
        self.json_bytes(false).saturating_add(bytes) <= ANSWER_BYTES_MAX
    }

    /// Adds a finished block before the one that is open, if there is one.
    pub(super) fn place(&mut self, block: Block) {
        self.blocks_json_bytes = self.blocks_json_bytes.saturating_add(block_json_bytes(&block));
        self.events = self.events.saturating_add(1);
        let (first, last) = (self.events, self.events);
        self.blocks.push(PlacedBlock { at: self.text.len(), block, first, last });
    }

    /// Takes the beginning of a block that grows.
    pub fn begin(&mut self, block: Block) {
        self.open_json_bytes = block_json_bytes(&block);
        self.open = Some((block, String::new()));
    }

    /// Takes more of the block that is open.
    pub fn grow(&mut self, more: &str) {
        if let Some((block, grown)) = &mut self.open {
            grown.push_str(more);
            // A call's input is JSON as it is.
            let is_text = block.as_thinking().is_some();
            let bytes = if is_text { json_bytes(more) } else { more.len() };
            self.open_json_bytes = self.open_json_bytes.saturating_add(bytes);
        }
    }

    /// The open block is not to be finished. A later block that is begun is another one.
    pub fn drop_open(&mut self) {
        if let Some((block, grown)) = self.open.take() {
            let before = Progress { turn: 0, bytes: self.text.len(), blocks: self.events, open: None };
            self.dropped = Some((before, block, grown));
            self.end();
            self.events = self.events.saturating_add(1);
        }
    }

    /// The thought that is open, as far as it came.
    #[must_use]
    pub fn thought(&self) -> Option<Block> {
        match self.open()? {
            (Block::Thinking { provider_data, .. }, text) if !text.is_empty() => {
                Some(Block::Thinking { text: text.to_owned(), provider_data: provider_data.clone() })
            }
            _ => None,
        }
    }

    /// Leaves out the block that is open at the answer's end: half of a call's input is of no use to anybody.
    pub fn end(&mut self) {
        self.open = None;
        self.open_json_bytes = 0;
    }
}

/// A block without the field that grows, as clients are told of its beginning.
#[must_use]
pub fn begun(block: &Block) -> Json {
    let mut json = Json::parse(&to_json(block)).unwrap_or(Json::Null);
    if let Json::Object(fields) = &mut json {
        for grows in ["text", "input"] {
            fields.remove(grows);
        }
    }
    json
}

fn is_replaced(earlier: &Block, later: &Block) -> bool {
    match (earlier, later) {
        (Block::Data { name, id: Some(id), .. }, Block::Data { name: other_name, id: Some(other), .. }) => {
            name == other_name && id == other
        }
        // An agent may ask for an approval once it has told of the call.
        (Block::ToolUse { id, approval: None, .. }, Block::ToolUse { id: other, approval: Some(_), .. }) => {
            id == other
        }
        _ => false,
    }
}

/// As much of a text as fits into so many bytes of a JSON string.
fn fitting(text: &str, room: usize) -> &str {
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

/// A control character becomes `\u0001`.
const JSON_BYTES_PER_BYTE_MAX: usize = 6;

/// How many bytes a text takes inside a JSON string.
fn json_bytes(text: &str) -> usize {
    let escape_bytes = |byte: u8| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
        0..=0x1f => 6,
        _ => 1,
    };
    text.bytes().map(escape_bytes).sum()
}

pub(super) fn block_json_bytes(block: &Block) -> usize {
    to_json(block).len()
}
