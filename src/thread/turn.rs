//! The life of a turn.

use crate::protocol::limits::{
    ANSWER_BYTES_MAX, COALESCE_BYTES_MAX, JOURNAL_BYTES_MAX, JOURNAL_MS, SILENT_IDLES_MAX,
};
use crate::protocol::{Block, Content, Millis, Progress, to_json};

use super::Config;
use super::store::{Journal, PlacedBlock};
use crate::agent::{self, AgentEvent, AgentRequest, Answered, Attempt, Failed, Finished, Reply};

/// A turn that is not over.
///
/// ```text
///            concurrency allows             agent: finished, failed
///  Queued ───────────────────────▶ Running ─────────────────────────▶ over
///    │                                │      cancel, timeout, crash      ▲
///    └────────────────────────────────┴──────────────────────────────────┘
///                 cancel (a crash leaves it queued)
/// ```
///
/// A turn that is over is no value at all: its end stands in the log, and what its agent still
/// delivers finds no turn.
#[derive(Debug)]
pub(crate) struct Turn {
    pub(crate) request_id: String,
    pub(crate) accepted_at: Millis,
    pub(crate) state: TurnState,
}

#[derive(Debug)]
pub(crate) enum TurnState {
    Queued,
    Running(Box<Running>),
}

/// An answer in the making: what came, how much of it clients were sent, how much is stored.
#[derive(Debug)]
pub(crate) struct Running {
    /// The row of the journal that it is written to.
    pub(crate) slot: usize,
    pub(crate) answer: Answer,
    pub(crate) tokens_used: u64,
    /// Bytes of the answer's text that went out in frames.
    pub(crate) sent_bytes: usize,
    last_frame_at: Option<Millis>,
    stored_bytes: usize,
    unstored_since: Option<Millis>,
    started_at: Millis,
    /// When the agent last sent anything, even if it was no part of the answer.
    pub(crate) agent_heard_at: Millis,
    /// When the agent last sent a part of the answer; `None` before the first.
    pub(crate) agent_said_at: Option<Millis>,
    /// When the answer counts as finished, unless more of it comes before.
    pub(crate) ending: Option<(Millis, Box<Finished>)>,
    /// Reads what the agent's call brings. `None` if the call ended with the object that made it.
    reply: Option<Box<dyn Reply>>,
    /// How the agent is asked.
    attempt: Attempt,
    /// When the agent is asked again, and why the call before failed.
    again: Option<(Millis, Failed)>,
    /// How many of the oldest messages the agent was not given.
    pub(crate) omitted: usize,
    /// What was said before the answer, which must not appear in a log.
    own_words: String,
}

/// An answer's text, and the other blocks at their places in it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    text: String,
    blocks: Vec<PlacedBlock>,
    text_json_bytes: usize,
    blocks_json_bytes: usize,
}

/// One part of what a client lacks that holds only the beginning of an answer.
#[derive(Debug, PartialEq)]
pub enum Piece<'a> {
    /// A part of the answer's text.
    Text(&'a str),
    /// A block of another kind.
    Block(&'a Block),
}

impl Turn {
    pub(crate) fn queued(request_id: String, accepted_at: Millis) -> Self {
        Turn { request_id, accepted_at, state: TurnState::Queued }
    }

    pub(crate) fn running(&self) -> Option<&Running> {
        match &self.state {
            TurnState::Running(running) => Some(running),
            TurnState::Queued => None,
        }
    }

    pub(crate) fn running_mut(&mut self) -> Option<&mut Running> {
        match &mut self.state {
            TurnState::Running(running) => Some(running),
            TurnState::Queued => None,
        }
    }

    pub(crate) fn state_name(&self) -> &'static str {
        match self.state {
            TurnState::Queued => "queued",
            TurnState::Running(_) => "streaming",
        }
    }
}

impl Running {
    pub(crate) fn new(slot: usize, now: Millis, reply: Option<Box<dyn Reply>>) -> Self {
        Running {
            attempt: Attempt::default(),
            again: None,
            omitted: 0,
            own_words: String::new(),
            reply,
            slot,
            answer: Answer::default(),
            tokens_used: 0,
            sent_bytes: 0,
            last_frame_at: None,
            stored_bytes: 0,
            unstored_since: None,
            started_at: now,
            agent_heard_at: now,
            agent_said_at: None,
            ending: None,
        }
    }

    /// The answer as the store has it; clients may have been sent more.
    pub(crate) fn from_journal(journal: Journal, now: Millis) -> Self {
        let answer = Answer::new(journal.text, journal.blocks);
        Running {
            sent_bytes: answer.text.len(),
            stored_bytes: answer.text.len(),
            tokens_used: journal.tokens_used,
            answer,
            ..Running::new(journal.slot, now, None)
        }
    }

    pub(crate) fn push_text(&mut self, text: &str, now: Millis) {
        self.answer.push_text(text);
        self.unstored_since.get_or_insert(now);
    }

    pub(crate) fn push_block(&mut self, block: Block, now: Millis) {
        self.answer.push_block(block);
        self.unstored_since.get_or_insert(now);
    }

    /// When gathered text goes out. The first text goes out at once.
    pub(crate) fn frame_due_at(&self, coalesce_ms: u64) -> Option<Millis> {
        let unsent = self.answer.text.len().saturating_sub(self.sent_bytes);
        match self.last_frame_at {
            _ if unsent == 0 => None,
            Some(at) if unsent < COALESCE_BYTES_MAX => Some(at.saturating_add(coalesce_ms)),
            _ => Some(0),
        }
    }

    /// When text that is not stored yet goes into the journal.
    pub(crate) fn journal_due_at(&self) -> Option<Millis> {
        let unstored = self.answer.text.len().saturating_sub(self.stored_bytes);
        match self.unstored_since {
            Some(_) if unstored >= JOURNAL_BYTES_MAX => Some(0),
            Some(since) => Some(since.saturating_add(JOURNAL_MS)),
            None => None,
        }
    }

    /// Reads what the agent's call brought. Returns its events, and the tokens counted so far.
    pub(crate) fn read(&mut self, answered: &Answered) -> (Vec<AgentEvent>, u64) {
        let Some(reply) = &mut self.reply else { return (Vec::new(), self.tokens_used) };
        let events = match answered {
            Answered::Bytes(bytes) => reply.push(bytes),
            Answered::End => reply.finish(),
            Answered::Refused(refusal) => reply.refuse(refusal),
        };
        (events, reply.tokens_used())
    }

    /// Notes what the agent is asked, and how many of the oldest messages are left out.
    pub(crate) fn asked(&mut self, request: &AgentRequest, omitted: usize) {
        self.own_words = agent::own_words(request);
        if let Some(reply) = &mut self.reply {
            reply.asked(request);
        }
        self.omitted = omitted;
    }

    pub(crate) fn attempt(&self) -> Attempt {
        self.attempt
    }

    /// Describes a failure for the log, without what was said.
    pub(crate) fn reason(&self, failed: &Failed) -> String {
        agent::reason(failed, &self.own_words, &self.answer.content())
    }

    /// When the agent is asked again, if it said nothing yet and something may help. If the turn would time out
    /// before then, it fails now, so that clients are told the agent's error and not a timeout.
    pub(crate) fn try_again(&mut self, now: Millis, failed: &Failed, config: &Config) -> Option<Millis> {
        if self.agent_said_at.is_some() {
            return None;
        }
        let (attempt, wait_ms) = self.attempt.next(failed.remedy, config.agent_retries)?;
        let at = now.saturating_add(wait_ms);
        if wait_ms > 0 && at >= self.timeout_at(config) {
            return None;
        }
        self.attempt = attempt;
        self.reply = None;
        self.again = Some((at, failed.clone()));
        Some(at)
    }

    pub(crate) fn call_at(&self) -> Option<Millis> {
        self.again.as_ref().map(|(at, _)| *at)
    }

    pub(crate) fn begin_call(&mut self, reply: Box<dyn Reply>) {
        self.reply = Some(reply);
        // The last failure is kept until an answer comes: it counts if there is no other way to ask.
        if let Some((at, _)) = &mut self.again {
            *at = Millis::MAX;
        }
    }

    pub(crate) fn take_failure(&mut self) -> Option<Failed> {
        self.again.take().map(|(_, failed)| failed)
    }

    /// Ends the answer for a reason outside of it, such as a timeout. Returns what was gathered, then the
    /// failure.
    pub(crate) fn fail(&mut self, failed: Failed) -> Vec<AgentEvent> {
        match &mut self.reply {
            Some(reply) => reply.fail(failed),
            None => vec![AgentEvent::Failed(failed)],
        }
    }

    /// When the agent times out, unless it sends something before.
    pub(crate) fn timeout_at(&self, config: &Config) -> Millis {
        let idle_ms = config.agent_idle_timeout_ms;
        let (since, limit_ms) = match self.agent_said_at {
            None => (self.started_at, config.agent_first_token_timeout_ms),
            Some(at) => (at, idle_ms),
        };
        let dead_at = self.agent_heard_at.saturating_add(limit_ms);
        let silent_ms = limit_ms.max(idle_ms.saturating_mul(SILENT_IDLES_MAX));
        dead_at.min(since.saturating_add(silent_ms)).min(self.over_at(config))
    }

    /// The failure of an agent that has timed out.
    pub(crate) fn timeout(&self, now: Millis, config: &Config) -> Failed {
        if self.over_at(config) <= now {
            return agent::turn_timeout_failure(config.agent_turn_timeout_ms);
        }
        agent::timeout_failure(now.saturating_sub(self.agent_said_at.unwrap_or(self.started_at)))
    }

    fn over_at(&self, config: &Config) -> Millis {
        self.started_at.saturating_add(config.agent_turn_timeout_ms)
    }

    /// Takes the text that has not been sent yet.
    pub(crate) fn take_unsent(&mut self, now: Millis) -> &str {
        let unsent = self.answer.text.get(self.sent_bytes..).unwrap_or_default();
        self.sent_bytes = self.answer.text.len();
        if !unsent.is_empty() {
            self.last_frame_at = Some(now);
        }
        unsent
    }

    pub(crate) fn journal(&mut self, turn: u64) -> Journal {
        self.stored_bytes = self.answer.text.len();
        self.unstored_since = None;
        Journal {
            slot: self.slot,
            turn,
            text: self.answer.text.clone(),
            blocks: self.answer.blocks.clone(),
            tokens_used: self.tokens_used,
        }
    }

    /// The part of the answer that clients were sent.
    pub(crate) fn sent(&self) -> Answer {
        self.answer.head(self.sent_bytes)
    }

    /// How much of the answer clients were sent, as it stands in a cursor.
    pub(crate) fn progress(&self, turn: u64) -> Progress {
        Progress { turn, bytes: self.sent_bytes, blocks: self.answer.blocks.len() }
    }
}

impl Answer {
    /// An answer with this text and these blocks in it.
    #[must_use]
    pub fn new(text: String, blocks: Vec<PlacedBlock>) -> Self {
        let mut answer = Answer {
            text_json_bytes: json_bytes(&text),
            blocks_json_bytes: blocks.iter().map(|placed| block_json_bytes(&placed.block)).sum(),
            ..Answer::default()
        };
        answer.text = text;
        answer.blocks = blocks;
        answer
    }

    /// An answer with this content. Its text blocks become the text, and the others get their places in it.
    #[must_use]
    pub fn from_content(content: &Content) -> Self {
        let mut answer = Answer::default();
        match content {
            Content::Text(text) => answer.push_text(text),
            Content::Blocks(blocks) => {
                for block in blocks {
                    match block {
                        Block::Text { text } => answer.push_text(text),
                        other => answer.push_block(other.clone()),
                    }
                }
            }
        }
        answer
    }

    /// The text, without the other blocks.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// A string where there is only text, else all blocks in order, text among them.
    #[must_use]
    pub fn content(&self) -> Content {
        self.blocks().map_or_else(|| Content::Text(self.text.clone()), Content::Blocks)
    }

    /// All blocks in order, text among them; `None` if there is only text.
    #[must_use]
    pub fn blocks(&self) -> Option<Vec<Block>> {
        if self.blocks.is_empty() {
            return None;
        }
        let pieces = self.rest(Progress::default()).unwrap_or_default();
        let block = |piece: Piece<'_>| match piece {
            Piece::Text(text) => Block::Text { text: text.to_owned() },
            Piece::Block(block) => block.clone(),
        };
        Some(pieces.into_iter().map(block).collect())
    }

    /// What comes after `held`, in order; `None` if no client of this answer can hold that.
    #[must_use]
    pub fn rest(&self, held: Progress) -> Option<Vec<Piece<'_>>> {
        let seen = self.blocks.get(..held.blocks)?;
        let left = self.blocks.get(held.blocks..)?;
        let mut at = held.bytes;
        if seen.last().is_some_and(|placed| placed.at > at) {
            return None;
        }
        let mut pieces = Vec::new();
        for placed in left {
            match self.text.get(at..placed.at)? {
                "" => {}
                text => pieces.push(Piece::Text(text)),
            }
            pieces.push(Piece::Block(&placed.block));
            at = placed.at;
        }
        match self.text.get(at..)? {
            "" => {}
            text => pieces.push(Piece::Text(text)),
        }
        Some(pieces)
    }

    /// The answer's beginning, with at most `bytes_max` bytes of text, as a client may hold it.
    #[must_use]
    pub fn head(&self, bytes_max: usize) -> Answer {
        let end = self.text.floor_char_boundary(bytes_max);
        if end == self.text.len() {
            return self.clone();
        }
        let blocks = self.blocks.iter().filter(|placed| placed.at <= end).cloned().collect();
        Answer::new(self.text.get(..end).unwrap_or_default().to_owned(), blocks)
    }

    /// The progress of a client that holds all of this answer.
    #[must_use]
    pub fn held(&self, turn: u64) -> Progress {
        Progress { turn, bytes: self.text.len(), blocks: self.blocks.len() }
    }

    /// As much of a text as fits in, so that the frame of the answer's end is not too large for clients.
    #[must_use]
    pub fn fitting<'a>(&self, text: &'a str) -> &'a str {
        let room = ANSWER_BYTES_MAX.saturating_sub(self.json_bytes(self.blocks.is_empty()));
        // An end names its text a second time if it has blocks.
        let room = if self.blocks.is_empty() { room } else { room / 2 };
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

    /// Whether a block fits in, so that the answer stays within [`ANSWER_BYTES_MAX`].
    #[must_use]
    pub fn fits(&self, block: &Block) -> bool {
        self.json_bytes(false).saturating_add(block_json_bytes(block)) <= ANSWER_BYTES_MAX
    }

    fn json_bytes(&self, is_only_text: bool) -> usize {
        let in_blocks = if is_only_text { 0 } else { self.text_json_bytes };
        self.text_json_bytes.saturating_add(in_blocks).saturating_add(self.blocks_json_bytes)
    }

    fn push_text(&mut self, text: &str) {
        self.text.push_str(text);
        self.text_json_bytes = self.text_json_bytes.saturating_add(json_bytes(text));
    }

    fn push_block(&mut self, block: Block) {
        self.blocks_json_bytes = self.blocks_json_bytes.saturating_add(block_json_bytes(&block));
        self.blocks.push(PlacedBlock { at: self.text.len(), block });
    }
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
