//! An answer: its text, the other blocks at their places in it, and the block that still grows.

pub(super) mod size;

use crate::protocol::limits::ANSWER_BYTES_MAX;
use crate::protocol::{Block, CollectVec, Content, Json, Progress, to_json};

use self::size::{block_json_bytes, fitting, json_bytes};
use super::store::{BlockEvents, Growing, PlacedBlock};

/// An answer's text, and the other blocks at their places in it. At its end a block may be open.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    text: String,
    pub(super) blocks: Vec<PlacedBlock>,
    open: Option<(Block, String)>,
    /// The number of block events so far: a block was finished, replaced, decided on or dropped.
    pub(super) events: u64,
    /// The number of events that were stored when a crash broke the answer off; `None` if there was no crash,
    /// or no block was open.
    broken_at: Option<u64>,
    text_json_bytes: usize,
    pub(super) blocks_json_bytes: usize,
    open_json_bytes: usize,
    /// The open block that was dropped last, and the [`Progress`] of a client that holds everything before
    /// it.
    dropped: Option<(Progress, Block, String)>,
}

/// More events than an answer can have between two writes of its journal.
const LOST_EVENTS: u64 = 1 << 32;

/// One missing part of an answer, and the client's [`Progress::blocks`] once it has received it.
#[derive(Debug, PartialEq)]
pub struct Missing<'a> {
    /// The part.
    pub piece: Piece<'a>,
    /// The number of block events that the client has then.
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
    /// The beginning of a block that still grows.
    Begin {
        /// Its place among the answer's blocks that are not text.
        index: usize,
        /// The block without the field that grows.
        block: &'a Block,
    },
    /// More of the block that still grows.
    Grow {
        /// Its place among the answer's blocks that are not text.
        index: usize,
        /// The text that the client lacks.
        delta: &'a str,
    },
}

impl Answer {
    /// Restores an answer from what is stored while it runs.
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

    /// Returns an answer with this content. Text blocks become its text, and each other block keeps its place
    /// in it. `events` must be the earlier result of [`Answer::events`].
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

    /// Returns the parts to store while the answer runs.
    #[must_use]
    pub fn stored(&self) -> (String, Vec<PlacedBlock>, Option<Growing>) {
        let (block, grown) = self.open.clone().unzip();
        let is_plain = block.is_none() && self.events().is_none();
        let growing = Growing { block, grown: grown.unwrap_or_default(), events: self.events };
        (self.text.clone(), self.blocks.clone(), (!is_plain).then_some(growing))
    }

    /// Returns the events of its blocks; `None` if they follow from the blocks alone, because event and block
    /// numbers agree.
    #[must_use]
    pub fn events(&self) -> Option<BlockEvents> {
        let of_blocks = self.blocks.iter().map(|placed| (placed.first, placed.last));
        (self.events != self.blocks.len() as u64).then(|| BlockEvents {
            count: self.events,
            of_blocks: of_blocks.collect_vec(),
            broken_at: self.broken_at,
        })
    }

    /// Notes that a crash broke the answer off. Clients may have been sent events that the crash lost. So the
    /// next event gets a number that no lost event can have had; otherwise such a client would seem up to
    /// date.
    pub fn break_off(&mut self) {
        if self.open.is_some() {
            self.broken_at = Some(self.events);
            self.events = self.events.saturating_add(LOST_EVENTS);
        }
    }

    /// Returns whether a client that holds this many events was sent some that a crash lost.
    fn has_lost(&self, held: Progress) -> bool {
        self.broken_at.is_some_and(|at| (1..=LOST_EVENTS).contains(&held.blocks.saturating_sub(at)))
    }

    /// Returns the text, without the other blocks.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the open block without the field that grows, and that field's text so far.
    #[must_use]
    pub fn open(&self) -> Option<(&Block, &str)> {
        self.open.as_ref().map(|(block, grown)| (block, grown.as_str()))
    }

    /// Returns how many finished blocks other than text there are, which is also the index of the next one.
    #[must_use]
    pub fn block_count(&self) -> usize {
        self.blocks.len()
    }

    /// Returns the [`Progress::blocks`] of a client that holds all block events.
    #[must_use]
    pub fn block_events(&self) -> u64 {
        self.events
    }

    /// Returns a string if there is only text, otherwise all finished blocks in order, text among them.
    #[must_use]
    pub fn content(&self) -> Content {
        self.blocks().map_or_else(|| Content::Text(self.text.clone()), Content::Blocks)
    }

    /// Returns all finished blocks in order, text among them; `None` if there is only text.
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

    /// Returns everything after `held`, in order; `None` if no client of this answer can hold `held`. Each
    /// part moves the client forward, so even one that is cut off after every frame gets to the end.
    #[must_use]
    pub fn rest(&self, held: Progress) -> Option<Vec<Missing<'_>>> {
        if held.blocks > self.events || self.has_lost(held) || !self.is_beginning(held) {
            return None;
        }
        let mut left: Vec<(u64, usize, &PlacedBlock)> = Vec::new();
        for (index, placed) in self.blocks.iter().enumerate() {
            // A block that is new to the client is sent once, in its present form.
            let event = if placed.first > held.blocks { placed.first } else { placed.last };
            if event > held.blocks {
                left.push((event, index, placed));
            }
        }
        left.sort_unstable_by_key(|(event, ..)| *event);
        let (mut missing, mut at) = (Vec::new(), held.bytes);
        for (nth, (_, index, placed)) in left.iter().enumerate() {
            // Events between two parts were dropped, or are covered by a block that is sent in its present
            // form.
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

    /// Returns whether `held` is a possible beginning of this answer's text and finished blocks.
    fn is_beginning(&self, held: Progress) -> bool {
        self.blocks.iter().all(|placed| {
            if placed.first <= held.blocks { placed.at <= held.bytes } else { placed.at >= held.bytes }
        })
    }

    /// Returns whether a client may hold more of an open block than this answer has, because a crash broke it
    /// off.
    #[must_use]
    pub fn may_lack(&self, held: Progress) -> bool {
        let Some(bytes) = held.open else { return false };
        let next = self.blocks.iter().find(|placed| placed.first > held.blocks);
        let thought = next.and_then(|placed| placed.block.as_thinking());
        thought.is_none_or(|thought| thought.get(..bytes).is_none())
    }

    /// Returns the answer's beginning, as a client may hold it: at most `bytes_max` bytes of text and no open
    /// block.
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

    /// Returns the part of the answer that a client holds.
    #[must_use]
    pub fn at(&self, held: Progress) -> Answer {
        let text = self.text.get(..held.bytes).unwrap_or(&self.text).to_owned();
        let (blocks, later): (Vec<PlacedBlock>, Vec<PlacedBlock>) =
            self.blocks.iter().cloned().partition(|placed| placed.first <= held.blocks);
        let mut at = Answer::new(text, blocks, None);
        at.events = held.blocks;
        // If an event lies in between, it is another block, unless a crash broke the answer off there.
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
            // A thought was dropped. The client is told only that it ends, and not its text once more.
            (Some(1..), None) => {
                at.begin(Block::thinking(""));
                at.grow(" ");
            }
            _ => {}
        }
        at
    }

    /// Returns the part of the answer up to this many bytes of its text and of its open block.
    #[must_use]
    pub fn sent(&self, bytes: usize, open_bytes: usize) -> Answer {
        let mut sent = self.head(bytes);
        if sent.text.len() == self.text.len() {
            let grown = |grown: &str| grown.get(..open_bytes).unwrap_or(grown).to_owned();
            sent.open = self.open().map(|(block, all)| (block.clone(), grown(all)));
        }
        sent
    }

    /// Like [`Answer::sent`], but a dropped block stays open, as it does for stock clients until they are
    /// sent the next part.
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

    /// Returns the progress of a client that holds this answer's text and finished blocks.
    #[must_use]
    pub fn held(&self, turn: u64) -> Progress {
        Progress { turn, bytes: self.text.len(), blocks: self.block_events(), open: None }
    }

    /// Returns as much of a text as fits, so that the frame with the whole answer stays within the clients'
    /// limit.
    #[must_use]
    pub fn fitting<'a>(&self, text: &'a str) -> &'a str {
        let room = ANSWER_BYTES_MAX.saturating_sub(self.json_bytes(!self.has_blocks()));
        // The frame at the end holds the text twice if there are blocks.
        fitting(text, if self.has_blocks() { room / 2 } else { room })
    }

    /// Returns as much of the open block's growth as fits.
    #[must_use]
    pub fn fitting_growth<'a>(&self, more: &'a str) -> &'a str {
        fitting(more, ANSWER_BYTES_MAX.saturating_sub(self.json_bytes(false)))
    }

    /// Returns whether the answer stays within [`ANSWER_BYTES_MAX`] with this block.
    #[must_use]
    pub fn fits(&self, block: &Block) -> bool {
        let others = self.json_bytes(false).saturating_sub(self.open_json_bytes);
        others.saturating_add(block_json_bytes(block)) <= ANSWER_BYTES_MAX
    }

    /// Returns whether it has no text, no block and no open block.
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

    /// Appends text.
    pub fn push_text(&mut self, text: &str) {
        self.text.push_str(text);
        self.text_json_bytes = self.text_json_bytes.saturating_add(json_bytes(text));
    }

    /// Adds a finished block, which replaces the open one if there is one. Data with the name and the id of
    /// an earlier block replaces that block, and so does a call that now asks for an approval. Returns the
    /// block's index.
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

    /// Returns whether a block of this size fits beside the open one.
    #[must_use]
    pub fn has_room(&self, bytes: usize) -> bool {
        self.json_bytes(false).saturating_add(bytes) <= ANSWER_BYTES_MAX
    }

    /// Adds a finished block before the open one, if there is one.
    pub(super) fn place(&mut self, block: Block) {
        self.blocks_json_bytes = self.blocks_json_bytes.saturating_add(block_json_bytes(&block));
        self.events = self.events.saturating_add(1);
        let (first, last) = (self.events, self.events);
        self.blocks.push(PlacedBlock { at: self.text.len(), block, first, last });
    }

    /// Opens a block that grows.
    pub fn begin(&mut self, block: Block) {
        self.open_json_bytes = block_json_bytes(&block);
        self.open = Some((block, String::new()));
    }

    /// Appends to the open block.
    pub fn grow(&mut self, more: &str) {
        if let Some((block, grown)) = &mut self.open {
            grown.push_str(more);
            // The input of a call is JSON already, so it needs no escaping.
            let is_text = block.as_thinking().is_some();
            let bytes = if is_text { json_bytes(more) } else { more.len() };
            self.open_json_bytes = self.open_json_bytes.saturating_add(bytes);
        }
    }

    /// Drops the open block, which will never be finished. A block that is begun later is another one.
    pub fn drop_open(&mut self) {
        if let Some((block, grown)) = self.open.take() {
            let before = Progress { turn: 0, bytes: self.text.len(), blocks: self.events, open: None };
            self.dropped = Some((before, block, grown));
            self.end();
            self.events = self.events.saturating_add(1);
        }
    }

    /// Returns the open thought as far as it came.
    #[must_use]
    pub fn thought(&self) -> Option<Block> {
        match self.open()? {
            (Block::Thinking { provider_data, .. }, text) if !text.is_empty() => {
                Some(Block::Thinking { text: text.to_owned(), provider_data: provider_data.clone() })
            }
            _ => None,
        }
    }

    /// Removes the block that is open at the answer's end: half of a call's input is of no use to anybody.
    pub fn end(&mut self) {
        self.open = None;
        self.open_json_bytes = 0;
    }
}

/// Returns a block without the field that grows, which is how its beginning is sent to clients.
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
        // An agent may announce a call first and ask for its approval later.
        (Block::ToolUse { id, approval: None, .. }, Block::ToolUse { id: other, approval: Some(_), .. }) => {
            id == other
        }
        _ => false,
    }
}
