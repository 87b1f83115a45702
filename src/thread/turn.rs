//! The life of a turn.

use crate::protocol::json::OtherFields;
use crate::protocol::limits::{
    COALESCE_BYTES_MAX, JOURNAL_BYTES_MAX, MESSAGE_METADATA_BYTES_MAX, SILENT_IDLES_MAX, WORD_BYTES_MAX,
};
use crate::protocol::{Block, Json, Millis, Progress, ResponseMetadata, Trace, Usage, Word, to_json};

use super::answer::Answer;
use super::clock::set_back;
use super::store::{Journal, Round};
use super::{Config, PeerId};
use crate::agent::{self, AgentEvent, AgentRequest, Answered, Attempt, Failed, Finished, Reply};

/// A turn that is not over.
///
/// ```text
///            concurrency allows             agent: finished, failed
///  Queued ───────────────────────▶ Running ─────────────────────────▶ over
///    │            agent: calls are  │   ▲      cancel, timeout, crash   ▲
///    │            open              ▼   │ all are answered,             │
///    │                             Waiting  concurrency allows          │
///    └──────────────────────────────┴───────────────────────────────────┘
///       cancel, or a message that takes its place (a crash leaves it as it is)
/// ```
///
/// A turn that is over is no value at all: its end stands in the log, and what its agent still
/// delivers finds no turn.
#[derive(Debug)]
pub(crate) struct Turn {
    pub(crate) request_id: String,
    pub(crate) accepted_at: Millis,
    /// For how long it has waited for people.
    pub(crate) waited_ms: u64,
    /// Whether its answer is there already and no agent is called for it.
    pub(crate) is_appended: bool,
    /// What the parent of its end is: the turn that its question came with, if that is another one; of an answer that is
    /// there already, the turn before it.
    pub(crate) parent: Option<u64>,
    /// The connection that sent its message, until a line of the log has named it.
    pub(crate) accepted_by: Option<PeerId>,
    /// Where it stands in a trace: once its agent is called, at that call.
    pub(crate) trace: Option<Trace>,
    pub(crate) state: TurnState,
}

#[derive(Debug)]
pub(crate) enum TurnState {
    Queued,
    Running(Box<Running>),
    Waiting(Box<Waiting>),
}

/// An answer whose agent is done until people have answered its calls.
#[derive(Debug)]
pub(crate) struct Waiting {
    /// The record that it waits under.
    pub(crate) record: u64,
    pub(crate) since: Millis,
    /// When the last call that was open was answered; `None` as long as one is.
    pub(crate) answered_at: Option<Millis>,
    pub(crate) answer: Answer,
    pub(crate) metadata: ResponseMetadata,
    pub(crate) round: Round,
}

/// An answer in the making: what came, how much of it clients were sent, how much is stored.
#[derive(Debug)]
pub(crate) struct Running {
    /// The row of the journal that it is written to.
    pub(crate) slot: usize,
    pub(crate) answer: Answer,
    /// Tokens of this call, without those of the calls before.
    pub(crate) tokens_used: u64,
    /// What the calls before cost.
    pub(crate) before: ResponseMetadata,
    /// How often the agent was called.
    pub(crate) calls: u64,
    /// The first block of this call.
    pub(crate) from: usize,
    /// Bytes of the answer's text that went out in frames.
    pub(crate) sent_bytes: usize,
    /// Bytes of the block that is open that went out in frames; `None` before its `block_start` did.
    sent_open_bytes: Option<usize>,
    last_frame_at: Option<Millis>,
    unstored_bytes: usize,
    unstored_since: Option<Millis>,
    started_at: Millis,
    /// When the agent last sent anything, even if it was no part of the answer.
    pub(crate) agent_heard_at: Millis,
    /// When the agent last sent a part of the answer; `None` before the first.
    pub(crate) agent_said_at: Option<Millis>,
    /// When something of the answer that can be shown came first.
    pub(crate) said_first_at: Option<Millis>,
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
    /// The files that the bucket does not have, though it should.
    pub(crate) missing: Vec<String>,
    /// What was said before the answer. It is kept to take it out of an endpoint's error before that is logged.
    own_words: String,
}

impl Turn {
    pub(crate) fn queued(request_id: String, accepted_at: Millis) -> Self {
        Turn {
            request_id,
            accepted_at,
            waited_ms: 0,
            is_appended: false,
            parent: None,
            accepted_by: None,
            trace: None,
            state: TurnState::Queued,
        }
    }

    /// The turn that its question came with: itself, unless it answers that of another one once more. Of an answer that is
    /// there already, itself.
    pub(crate) fn question(&self, id: u64) -> u64 {
        self.parent.filter(|_| !self.is_appended).unwrap_or(id)
    }

    pub(crate) fn waiting(&self) -> Option<&Waiting> {
        match &self.state {
            TurnState::Waiting(waiting) => Some(waiting),
            _ => None,
        }
    }

    /// The answer so far.
    pub(crate) fn answer(&self) -> Option<&Answer> {
        match &self.state {
            TurnState::Queued => None,
            TurnState::Running(running) => Some(&running.answer),
            TurnState::Waiting(waiting) => Some(&waiting.answer),
        }
    }

    pub(crate) fn answer_mut(&mut self) -> Option<&mut Answer> {
        match &mut self.state {
            TurnState::Queued => None,
            TurnState::Running(running) => Some(&mut running.answer),
            TurnState::Waiting(waiting) => Some(&mut waiting.answer),
        }
    }

    /// For how long it has waited for people, by then.
    pub(crate) fn waited_by(&self, now: Millis) -> u64 {
        let waits = self
            .waiting()
            .map_or(0, |waiting| waiting.answered_at.unwrap_or(now).saturating_sub(waiting.since));
        self.waited_ms.saturating_add(waits)
    }

    pub(crate) fn running(&self) -> Option<&Running> {
        match &self.state {
            TurnState::Running(running) => Some(running),
            _ => None,
        }
    }

    pub(crate) fn running_mut(&mut self) -> Option<&mut Running> {
        match &mut self.state {
            TurnState::Running(running) => Some(running),
            _ => None,
        }
    }

    /// Its agent was called again after it had waited, and brought this so far.
    pub(crate) fn called_again(&mut self, now: Millis, running: Running) {
        self.waited_ms = self.waited_by(now);
        let TurnState::Waiting(waiting) = std::mem::replace(&mut self.state, TurnState::Queued) else {
            return;
        };
        let Waiting { answer, metadata, .. } = *waiting;
        // Without a journal that can be read, what it waited with is what is left.
        let answer = if running.answer.is_empty() { answer } else { running.answer };
        let tokens_used = running.tokens_used.saturating_sub(metadata.tokens_used);
        let (slot, sent_open_bytes) = (running.slot, running.sent_open_bytes);
        let with = Running::with(answer, slot, now, None);
        let running = Running { tokens_used, sent_open_bytes, before: metadata, ..with };
        self.state = TurnState::Running(Box::new(running));
    }

    pub(crate) fn state_name(&self) -> &'static str {
        match self.state {
            TurnState::Queued => "queued",
            TurnState::Running(_) => "streaming",
            TurnState::Waiting(_) => "waiting",
        }
    }
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

    /// The answer as the store has it; clients may have been sent more.
    pub(crate) fn from_journal(journal: Journal, now: Millis) -> Self {
        let answer = Answer::new(journal.text, journal.blocks, journal.growing);
        Running {
            sent_open_bytes: answer.open().map(|(_, grown)| grown.len()),
            tokens_used: journal.tokens_used,
            ..Running::with(answer, journal.slot, now, None)
        }
    }

    /// With an answer that is whole, and that clients are to be sent with its end.
    pub(crate) fn told(answer: Answer, now: Millis) -> Self {
        Running::with(answer, 0, now, None)
    }

    /// With an answer that clients hold.
    fn with(answer: Answer, slot: usize, now: Millis, reply: Option<Box<dyn Reply>>) -> Self {
        let (sent_bytes, from) = (answer.text().len(), answer.block_count());
        Running { answer, from, sent_bytes, ..Running::new(slot, now, reply) }
    }

    /// The next call for an answer that has waited.
    pub(crate) fn again(waiting: Waiting, slot: usize, now: Millis, reply: Box<dyn Reply>) -> Self {
        let Waiting { answer, metadata, round, .. } = waiting;
        let calls = round.calls.saturating_add(1);
        Running { before: metadata, calls, ..Running::with(answer, slot, now, Some(reply)) }
    }

    /// What the answer cost and how it came about, if its last call came to this end.
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

    /// Takes a finished block. Returns its place among the blocks that are not text.
    pub(crate) fn push_block(&mut self, block: Block, now: Millis) -> usize {
        self.changed(0, now);
        self.answer.push_block(block)
    }

    /// Takes the beginning of a block that grows.
    pub(crate) fn begin(&mut self, block: Block, now: Millis) {
        self.answer.begin(block);
        self.sent_open_bytes = Some(0);
        self.changed(0, now);
    }

    /// What is open is shown anew: another block took its place.
    pub(crate) fn shown_anew(&mut self, is_begun: bool) {
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

    /// When what was gathered goes out. The first of an answer goes out at once.
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

    /// When what is not stored yet goes into the journal.
    pub(crate) fn journal_due_at(&self, journal_ms: u64) -> Option<Millis> {
        match self.unstored_since {
            Some(_) if self.unstored_bytes >= JOURNAL_BYTES_MAX => Some(0),
            Some(since) => Some(since.saturating_add(journal_ms)),
            None => None,
        }
    }

    /// Reads what the agent's call brought. Returns its events, and the tokens counted so far.
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
        // A tool may take its time.
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
        let text = self.answer.text();
        let unsent = text.get(self.sent_bytes..).unwrap_or_default();
        self.sent_bytes = text.len();
        if !unsent.is_empty() {
            self.last_frame_at = Some(now);
        }
        unsent
    }

    /// Takes what the block that is open has grown by since it was sent.
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

    /// The part of the answer that clients were sent.
    pub(crate) fn sent(&self) -> Answer {
        self.answer.sent(self.sent_bytes, self.sent_open_bytes.unwrap_or_default())
    }

    /// The part of the answer that stock clients were sent.
    pub(crate) fn shown(&self) -> Answer {
        self.answer.shown(self.sent_bytes, self.sent_open_bytes.unwrap_or_default())
    }

    /// How much of the answer clients were sent, as it stands in a cursor.
    pub(crate) fn progress(&self, turn: u64) -> Progress {
        Progress {
            turn,
            bytes: self.sent_bytes,
            blocks: self.answer.block_events(),
            open: self.answer.open().and(self.sent_open_bytes),
        }
    }
}

/// A word of an endpoint, such as why it stopped. It is cut, because it is stored with every answer and an endpoint may send anything.
fn word(mut word: String) -> String {
    word.truncate(word.floor_char_boundary(WORD_BYTES_MAX));
    word
}

/// What an application tells of an answer, without the names that are the contract's. What is too large is left out, as
/// it would go out with every snapshot.
fn application_metadata(metadata: Json) -> Option<OtherFields> {
    let is_small = to_json(&metadata).len() <= MESSAGE_METADATA_BYTES_MAX;
    let Json::Object(mut fields) = metadata else { return None };
    for name in ["tokensUsed", "latencyMs", "model", "finishReason", "finish", "usage", "omittedMessages"] {
        fields.remove(name);
    }
    is_small.then_some(OtherFields(fields))
}
