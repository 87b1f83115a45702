//! A running answer: its call, its timeouts, and how much of it was sent and stored.

use crate::protocol::json::OtherFields;
use crate::protocol::limits::{
    COALESCE_BYTES_MAX, JOURNAL_BYTES_MAX, MESSAGE_METADATA_BYTES_MAX, SILENT_IDLES_MAX, WORD_BYTES_MAX,
};
use crate::protocol::{Block, Json, Millis, Progress, ResponseMetadata, Usage, Word, to_json};

use super::Config;
use super::answer::Answer;
use super::clock::set_back;
use super::store::Journal;
use super::turn::Waiting;
use crate::agent::{self, AgentEvent, AgentRequest, Answered, Attempt, Failed, Finished, Reply};

/// An answer in the making: the content so far, how much of it clients were sent, and how much is stored.
#[derive(Debug)]
pub(crate) struct Running {
    /// The row of the journal that it is written to.
    pub(crate) slot: usize,
    pub(crate) answer: Answer,
    /// Tokens of this call, not counting earlier calls.
    pub(crate) tokens_used: u64,
    /// Metadata of the earlier calls, such as their tokens.
    pub(crate) before: ResponseMetadata,
    /// How often the agent was called.
    pub(crate) calls: u64,
    /// The index of this call's first block.
    pub(crate) from: usize,
    /// Bytes of the answer's text that were sent.
    pub(crate) sent_bytes: usize,
    /// Bytes of the open block that were sent; `None` before its `block_start` was.
    pub(super) sent_open_bytes: Option<usize>,
    last_frame_at: Option<Millis>,
    unstored_bytes: usize,
    unstored_since: Option<Millis>,
    started_at: Millis,
    /// When the agent last sent anything, even if it was not a part of the answer.
    pub(crate) agent_heard_at: Millis,
    /// When the agent last sent a part of the answer; `None` before the first.
    pub(crate) agent_said_at: Option<Millis>,
    /// When the first part of the answer that clients can see came.
    pub(crate) said_first_at: Option<Millis>,
    /// When the answer counts as finished, unless more of it comes before.
    pub(crate) ending: Option<(Millis, Box<Finished>)>,
    /// Reads the response to the agent's call. `None` if the call ended with the object that made it.
    reply: Option<Box<dyn Reply>>,
    /// The way in which the agent is asked.
    attempt: Attempt,
    /// When the agent is asked again, and why the last call failed.
    again: Option<(Millis, Failed)>,
    /// How many of the oldest messages were left out of the request.
    pub(crate) omitted: usize,
    /// The files that the bucket lacks, though it should have them.
    pub(crate) missing: Vec<String>,
    /// The text of the conversation before the answer. It is kept so that it can be removed from an
    /// endpoint's error before that is logged.
    own_words: String,
}

impl Running {
    pub(crate) fn new(slot: usize, now: Millis, reply: Option<Box<dyn Reply>>) -> Self {
        Running {
            attempt: Attempt::default(),
            again: None,
            omitted: 0,
            missing: Vec::new(),
            own_words: String::new(),
            reply,
            slot,
            answer: Answer::default(),
            tokens_used: 0,
            before: ResponseMetadata::default(),
            calls: 1,
            from: 0,
            sent_bytes: 0,
            sent_open_bytes: None,
            last_frame_at: None,
            unstored_bytes: 0,
            unstored_since: None,
            started_at: now,
            agent_heard_at: now,
            agent_said_at: None,
            said_first_at: None,
            ending: None,
        }
    }

    /// Restores an answer from the store; clients may have been sent more of it.
    pub(crate) fn from_journal(journal: Journal, now: Millis) -> Self {
        let answer = Answer::new(journal.text, journal.blocks, journal.growing);
        Running {
            sent_open_bytes: answer.open().map(|(_, grown)| grown.len()),
            tokens_used: journal.tokens_used,
            ..Running::with(answer, journal.slot, now, None)
        }
    }

    /// Returns a whole answer, which clients are sent together with its end.
    pub(crate) fn told(answer: Answer, now: Millis) -> Self {
        Running::with(answer, 0, now, None)
    }

    /// Returns an answer that clients hold already.
    pub(super) fn with(answer: Answer, slot: usize, now: Millis, reply: Option<Box<dyn Reply>>) -> Self {
        let (sent_bytes, from) = (answer.text().len(), answer.block_count());
        Running { answer, from, sent_bytes, ..Running::new(slot, now, reply) }
    }

    /// Returns the next call for an answer that has waited.
    pub(crate) fn again(waiting: Waiting, slot: usize, now: Millis, reply: Box<dyn Reply>) -> Self {
        let Waiting { answer, metadata, round, .. } = waiting;
        let calls = round.calls.saturating_add(1);
        Running { before: metadata, calls, ..Running::with(answer, slot, now, Some(reply)) }
    }

    /// Returns the metadata of the answer, if its last call ends this way.
    pub(crate) fn metadata(&self, finished: Finished) -> ResponseMetadata {
        let before = &self.before;
        let omitted = Some(self.omitted as u64).filter(|omitted| *omitted > 0);
        ResponseMetadata {
            tokens_used: before.tokens_used.saturating_add(finished.tokens_used),
            latency_ms: 0,
            model: finished.model.map(word),
            finish_reason: finished.finish_reason.map(word),
            finish: finished.finish.map(Word::Known),
            usage: Usage::sum(before.usage, finished.usage),
            omitted_messages: omitted.or(before.omitted_messages),
            other: finished.metadata.and_then(application_metadata).unwrap_or_else(|| before.other.clone()),
        }
    }

    pub(crate) fn push_text(&mut self, text: &str, now: Millis) {
        self.answer.push_text(text);
        self.changed(text.len(), now);
    }

    /// Adds a finished block. Returns its index among the blocks that are not text.
    pub(crate) fn push_block(&mut self, block: Block, now: Millis) -> usize {
        self.changed(0, now);
        self.answer.push_block(block)
    }

    /// Opens a block that grows.
    pub(crate) fn begin(&mut self, block: Block, now: Millis) {
        self.answer.begin(block);
        self.sent_open_bytes = Some(0);
        self.changed(0, now);
    }

    /// Has the open block sent again from its beginning, because another one came in between.
    pub(crate) fn restart_open_block(&mut self, is_begun: bool) {
        self.sent_open_bytes = is_begun.then_some(0);
    }

    pub(crate) fn grow(&mut self, more: &str, now: Millis) {
        self.answer.grow(more);
        self.changed(more.len(), now);
    }

    fn changed(&mut self, bytes: usize, now: Millis) {
        self.unstored_bytes = self.unstored_bytes.saturating_add(bytes);
        self.unstored_since.get_or_insert(now);
        self.said_first_at.get_or_insert(now);
    }

    /// Returns when the gathered text is to be sent. The first part of an answer is sent at once.
    pub(crate) fn frame_due_at(&self, coalesce_ms: u64) -> Option<Millis> {
        let text = self.answer.text().len().saturating_sub(self.sent_bytes);
        let grown = self.answer.open().map_or(0, |(_, grown)| grown.len());
        let unsent = text.saturating_add(grown.saturating_sub(self.sent_open_bytes.unwrap_or_default()));
        match self.last_frame_at {
            _ if unsent == 0 => None,
            Some(at) if unsent < COALESCE_BYTES_MAX => Some(at.saturating_add(coalesce_ms)),
            _ => Some(0),
        }
    }

    pub(crate) fn set_back(&mut self, by: Millis) {
        let Running { last_frame_at, unstored_since, agent_said_at, said_first_at, .. } = self;
        let (ending, again) = (self.ending.as_mut().map(|(at, _)| at), self.again.as_mut().map(|(at, _)| at));
        let (started, heard) = (Some(&mut self.started_at), Some(&mut self.agent_heard_at));
        let [frame, unstored, said, first] =
            [last_frame_at, unstored_since, agent_said_at, said_first_at].map(Option::as_mut);
        for at in [ending, again, started, heard, frame, unstored, said, first] {
            if let Some(at) = at
                && *at < Millis::MAX
            {
                set_back(at, by);
            }
        }
    }

    /// Returns when text that is not stored yet is to be written to the journal.
    pub(crate) fn journal_due_at(&self, journal_ms: u64) -> Option<Millis> {
        match self.unstored_since {
            Some(_) if self.unstored_bytes >= JOURNAL_BYTES_MAX => Some(0),
            Some(since) => Some(since.saturating_add(journal_ms)),
            None => None,
        }
    }

    /// Reads the response to the agent's call. Returns its events, and the tokens counted so far.
    pub(crate) fn read(&mut self, answered: &Answered) -> (Vec<AgentEvent>, u64) {
        let Some(reply) = &mut self.reply else { return (Vec::new(), self.tokens_used) };
        let events = match answered {
            Answered::Bytes(bytes) => reply.push(bytes),
            Answered::Part(part) => reply.part(part),
            Answered::Reads(kind) => {
                reply.reads(*kind);
                Vec::new()
            }
            Answered::End => reply.finish(),
            Answered::Refused(refusal) => reply.refuse(refusal),
        };
        (events, reply.tokens_used())
    }

    /// Notes the request to the agent, and how many of the oldest messages it leaves out.
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

    /// Describes a failure for the log, without conversation text.
    pub(crate) fn reason(&self, failed: &Failed) -> String {
        agent::reason(failed, &self.own_words, &self.answer.content())
    }

    /// Returns when the agent is asked again, if it has said nothing yet and there is something left to try.
    /// If the turn would time out before then, it fails now, so that clients are told the agent's error and
    /// not a timeout.
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
        // The last failure is kept until an answer comes, because it is reported if no other way to ask is
        // left.
        if let Some((at, _)) = &mut self.again {
            *at = Millis::MAX;
        }
    }

    pub(crate) fn take_failure(&mut self) -> Option<Failed> {
        self.again.take().map(|(_, failed)| failed)
    }

    /// Ends the answer for a reason outside of it, such as a timeout. Returns the gathered events, then the
    /// failure.
    pub(crate) fn fail(&mut self, failed: Failed) -> Vec<AgentEvent> {
        match &mut self.reply {
            Some(reply) => reply.fail(failed),
            None => vec![AgentEvent::Failed(failed)],
        }
    }

    /// Returns when the agent times out, unless it sends something before.
    pub(crate) fn timeout_at(&self, config: &Config) -> Millis {
        // While a tool runs, a silent agent is not idle.
        if self.reply.as_ref().is_some_and(|reply| reply.is_running_tool()) {
            return self.over_at(config);
        }
        let idle_ms = config.agent_idle_timeout_ms;
        let (since, limit_ms) = match self.agent_said_at {
            None => (self.started_at, config.agent_first_token_timeout_ms),
            Some(at) => (at, idle_ms),
        };
        let dead_at = self.agent_heard_at.saturating_add(limit_ms);
        let silent_ms = limit_ms.max(idle_ms.saturating_mul(SILENT_IDLES_MAX));
        dead_at.min(since.saturating_add(silent_ms)).min(self.over_at(config))
    }

    /// Returns the failure of an agent that has timed out.
    pub(crate) fn timeout(&self, now: Millis, config: &Config) -> Failed {
        if self.over_at(config) <= now {
            return agent::turn_timeout_failure(config.agent_turn_timeout_ms);
        }
        agent::timeout_failure(now.saturating_sub(self.agent_said_at.unwrap_or(self.started_at)))
    }

    fn over_at(&self, config: &Config) -> Millis {
        self.started_at.saturating_add(config.agent_turn_timeout_ms)
    }

    /// Returns the text that has not been sent yet, and marks it as sent.
    pub(crate) fn take_unsent(&mut self, now: Millis) -> &str {
        let text = self.answer.text();
        let unsent = text.get(self.sent_bytes..).unwrap_or_default();
        self.sent_bytes = text.len();
        if !unsent.is_empty() {
            self.last_frame_at = Some(now);
        }
        unsent
    }

    /// Returns the growth of the open block that has not been sent yet, and marks it as sent.
    pub(crate) fn take_unsent_growth(&mut self, now: Millis) -> &str {
        let Some((_, grown)) = self.answer.open() else { return "" };
        let unsent = grown.get(self.sent_open_bytes.unwrap_or_default()..).unwrap_or_default();
        self.sent_open_bytes = Some(grown.len());
        if !unsent.is_empty() {
            self.last_frame_at = Some(now);
        }
        unsent
    }

    pub(crate) fn journal(&mut self, turn: u64) -> Journal {
        self.unstored_bytes = 0;
        self.unstored_since = None;
        let (text, blocks, growing) = self.answer.stored();
        let tokens_used = self.before.tokens_used.saturating_add(self.tokens_used);
        Journal { slot: self.slot, turn, text, blocks, growing, tokens_used }
    }

    /// Returns the part of the answer that clients were sent.
    pub(crate) fn sent(&self) -> Answer {
        self.answer.sent(self.sent_bytes, self.sent_open_bytes.unwrap_or_default())
    }

    /// Returns the part of the answer that stock clients were sent.
    pub(crate) fn shown(&self) -> Answer {
        self.answer.shown(self.sent_bytes, self.sent_open_bytes.unwrap_or_default())
    }

    /// Returns how much of the answer clients were sent, as a cursor names it.
    pub(crate) fn progress(&self, turn: u64) -> Progress {
        Progress {
            turn,
            bytes: self.sent_bytes,
            blocks: self.answer.block_events(),
            open: self.answer.open().and(self.sent_open_bytes),
        }
    }
}

/// Shortens a word of an endpoint, such as why it stopped, because it is stored with every answer and an
/// endpoint may send anything.
fn word(mut word: String) -> String {
    word.truncate(word.floor_char_boundary(WORD_BYTES_MAX));
    word
}

/// Returns the application's metadata of an answer without fields that the contract defines. Data that is too
/// large is left out, because it would be part of every snapshot.
fn application_metadata(metadata: Json) -> Option<OtherFields> {
    let is_small = to_json(&metadata).len() <= MESSAGE_METADATA_BYTES_MAX;
    let Json::Object(mut fields) = metadata else { return None };
    for name in ["tokensUsed", "latencyMs", "model", "finishReason", "finish", "usage", "omittedMessages"] {
        fields.remove(name);
    }
    is_small.then_some(OtherFields(fields))
}
