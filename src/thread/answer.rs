//! An answer: its text, the other blocks at their places in it, and the block that still grows.

use crate::protocol::limits::ANSWER_BYTES_MAX;
use crate::protocol::{Block, Content, Json, Progress, to_json};

use super::store::{Growing, PlacedBlock};

/// An answer's text, and the other blocks at their places in it. At its end a block may be open.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    text: String,
    blocks: Vec<PlacedBlock>,
    open: Option<(Block, String)>,
    /// How often a block took another one's place, or was dropped. Without it, a client that holds n blocks
    /// holds the first n.
    changes: usize,
    text_json_bytes: usize,
    blocks_json_bytes: usize,
    open_json_bytes: usize,
}

/// One part of what a client lacks that holds only the beginning of an answer.
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
        /// The client's [`Progress::blocks`] once it has this one.
        held: usize,
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
        let Growing { block, grown, changes } = growing.unwrap_or_default();
        let mut answer = Answer {
            text_json_bytes: json_bytes(&text),
            blocks_json_bytes: blocks.iter().map(|placed| block_json_bytes(&placed.block)).sum(),
            text,
            blocks,
            changes: usize::try_from(changes).unwrap_or_default(),
            ..Answer::default()
        };
        if let Some(block) = block {
            answer.begin(block);
            answer.grow(&grown);
        }
        answer
    }

    /// An answer with this content. Its text blocks become the text, and the others get their places in it.
    /// `changes` is what [`Answer::changes`] was at its end.
    #[must_use]
    pub fn from_content(content: &Content, changes: u64) -> Self {
        let changes = usize::try_from(changes).unwrap_or_default();
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
        Answer { changes, ..answer }
    }

    /// What is stored of it while it runs.
    #[must_use]
    pub fn stored(&self) -> (String, Vec<PlacedBlock>, Option<Growing>) {
        let (block, grown) = self.open.clone().unzip();
        let is_plain = block.is_none() && self.changes == 0;
        let growing = Growing { block, grown: grown.unwrap_or_default(), changes: self.changes() };
        (self.text.clone(), self.blocks.clone(), (!is_plain).then_some(growing))
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

    /// How often a block took another one's place, or was dropped.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.changes as u64
    }

    /// How many events its finished blocks have been: the [`Progress::blocks`] of a client that holds them all.
    #[must_use]
    pub fn block_events(&self) -> usize {
        self.blocks.len().saturating_add(self.changes)
    }

    /// Whether the agent is to give the result of a call, and has not yet.
    #[must_use]
    pub fn awaits_result(&self) -> bool {
        let blocks = || self.blocks.iter().map(|placed| &placed.block);
        let has_result = |id: &str| {
            blocks().any(|block| matches!(block, Block::ToolResult { tool_use_id, .. } if tool_use_id == id))
        };
        blocks().any(|block| {
            matches!(block, Block::ToolUse { id, output: None, approval: None, .. } if !has_result(id))
        })
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

    /// What comes after `held`, in order; `None` if no client of this answer can hold that.
    #[must_use]
    pub fn rest(&self, held: Progress) -> Option<Vec<Piece<'_>>> {
        let events = self.block_events();
        let is_current = held.blocks == events;
        // Of blocks that took another's place nothing says when: a client that may lack one is sent all, each with
        // its index.
        let seen = match self.changes {
            _ if is_current => self.blocks.len(),
            0 => held.blocks,
            _ if held.blocks > events => return None,
            _ => 0,
        };
        let is_in_order = is_current || self.changes == 0;
        let (before, left) = self.blocks.split_at_checked(seen)?;
        let mut at = held.bytes;
        if before.last().is_some_and(|placed| placed.at > at) {
            return None;
        }
        if let (true, Some(bytes), Some(next)) = (is_in_order, held.open, left.first())
            && next.block.as_thinking().is_some_and(|text| text.get(..bytes).is_none())
        {
            return None;
        }
        let mut pieces = Vec::new();
        for (index, placed) in (before.len()..).zip(left) {
            match self.text.get(at..placed.at) {
                Some("") => {}
                Some(text) => pieces.push(Piece::Text(text)),
                None if placed.at < at && !is_in_order => {}
                None => return None,
            }
            let next = index.saturating_add(1);
            let held = match (is_in_order, next == self.blocks.len()) {
                (true, _) => next,
                (false, true) => events,
                (false, false) => held.blocks,
            };
            pieces.push(Piece::Block { index, block: &placed.block, held });
            at = at.max(placed.at);
        }
        match self.text.get(at..)? {
            "" => {}
            text => pieces.push(Piece::Text(text)),
        }
        if let Some((block, grown)) = self.open() {
            let index = self.blocks.len();
            let bytes = held.open.filter(|_| is_current);
            if bytes.is_none() {
                pieces.push(Piece::Begin { index, block });
            }
            match grown.get(bytes.unwrap_or_default()..)? {
                "" => {}
                delta => pieces.push(Piece::Grow { index, delta }),
            }
        }
        Some(pieces)
    }

    /// The answer's beginning, with at most `bytes_max` bytes of text and no open block, as a client may hold it.
    #[must_use]
    pub fn head(&self, bytes_max: usize) -> Answer {
        let end = self.text.floor_char_boundary(bytes_max);
        if end == self.text.len() {
            return Answer { open: None, open_json_bytes: 0, ..self.clone() };
        }
        let blocks = self.blocks.iter().filter(|placed| placed.at <= end).cloned().collect();
        // Blocks may be left out, so nobody can tell which changes are in it: what is left out comes with all others.
        let head = Answer::new(self.text.get(..end).unwrap_or_default().to_owned(), blocks, None);
        Answer { changes: self.changes, ..head }
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
    /// an earlier block takes its place. Returns the block's index.
    pub fn push_block(&mut self, block: Block) -> usize {
        self.end();
        if let Some(index) = self.blocks.iter().position(|placed| is_replaced(&placed.block, &block)) {
            let (before, now) = (self.blocks.get_mut(index), block_json_bytes(&block));
            if let Some(placed) = before {
                let bytes = block_json_bytes(&placed.block);
                self.blocks_json_bytes = self.blocks_json_bytes.saturating_sub(bytes).saturating_add(now);
                placed.block = block;
            }
            self.changes = self.changes.saturating_add(1);
            return index;
        }
        self.place(block);
        self.blocks.len().saturating_sub(1)
    }

    fn place(&mut self, block: Block) {
        self.blocks_json_bytes = self.blocks_json_bytes.saturating_add(block_json_bytes(&block));
        self.blocks.push(PlacedBlock { at: self.text.len(), block });
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
        if self.open.is_some() {
            self.end();
            self.changes = self.changes.saturating_add(1);
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

fn block_json_bytes(block: &Block) -> usize {
    to_json(block).len()
}
