//! An answer so far, and the order of its blocks.

use std::borrow::Cow;

use super::failure::{self, plain};
use super::finish::finish;
use super::history::provider_data;
use super::quote::{quote, with_words};
use super::reported::Reported;
use super::usage::Usage;
use crate::agent::piece::Piece;
use crate::agent::{AgentEvent, Failed, Finished, Remedy};
use crate::protocol::json::{Malformed, Reader};
use crate::protocol::limits::{ANSWER_BYTES_MAX, BLOCKS_MAX};
use crate::protocol::{Block, ErrorBody, ErrorCode, Finish, Json, is_blank};
use crate::variables::AgentName;

/// The maximum number of sources in one answer; further ones are left out.
const SOURCES_MAX: usize = 64;

/// An answer so far. A [`Fold`](super::Fold) feeds it with the content of the stream, and it emits events.
///
/// Only one block is open at a time. Text or another block closes an open thought, but waits until the input
/// of an open call is complete.
#[derive(Debug, Default)]
pub struct Draft {
    /// The kind of agent that was called.
    pub agent: AgentName,
    /// The model that was requested, as named in the settings.
    pub asked_model: String,
    /// The model that answers, as named by the endpoint.
    pub model: Option<String>,
    /// Why the model has stopped, in the endpoint's word. Once it is set, only the end of the body is
    /// missing.
    pub finish_reason: Option<String>,
    /// The same in the contract's word, if the endpoint's word does not tell.
    pub finish: Option<Finish>,
    /// Tokens, as the endpoint reports them.
    pub usage: Usage,
    /// The application's metadata of the answer.
    pub metadata: Option<Json>,
    /// The remedy that may help against a failure.
    pub remedy: Remedy,
    /// How many pieces of text came.
    pub pieces: u64,
    /// The ids of calls that clients have to answer.
    pub client_calls: Vec<String>,
    /// How many events could not be read, or broke off.
    pub unread: u64,
    /// Whether anything that belongs to an answer has come.
    pub is_heard: bool,
    /// A quote of the first data that is not an event.
    odd: Option<String>,
    /// Changes whenever anything of a block comes.
    gathered: u64,
    blocks: usize,
    /// The name and id of data that later data may replace.
    replaceable: Vec<(String, String)>,
    sources: Vec<Block>,
    thought: Thought,
    /// Half a character at the end of the text.
    half: Piece<'static>,
    /// The open call.
    open: Option<usize>,
    /// Events that wait for the end of the open call.
    waiting: Vec<AgentEvent>,
    /// How many bytes wait.
    held: usize,
    out: Vec<AgentEvent>,
    end: Option<Result<(), ErrorBody>>,
    is_closed: bool,
    told: Progress,
}

/// A thought that has not ended.
#[derive(Debug, Default)]
struct Thought {
    text: String,
    /// Half a character at its end.
    half: Piece<'static>,
    data: Option<Json>,
    /// Whether its beginning was announced.
    is_begun: bool,
    /// Whether it may still turn out to be text.
    is_uncertain: bool,
}

/// Changes with every event except keep-alives: first the answer's content, then its figures.
type Progress = ((u64, u64), Usage, bool);

impl Draft {
    /// Returns whether the answer has ended; anything later is ignored.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.is_closed || self.end.is_some()
    }

    /// Adds text.
    pub fn say(&mut self, text: &str) {
        self.end_thinking();
        if self.open.is_some() && self.hold(text.len()) {
            return;
        }
        let out = if self.open.is_some() { &mut self.waiting } else { &mut self.out };
        match out.last_mut() {
            Some(AgentEvent::Text(said)) => said.push_str(text),
            _ => out.push(AgentEvent::Text(text.to_owned())),
        }
    }

    /// Adds a piece of text and counts it. Half a character waits for its other half.
    pub fn say_piece(&mut self, piece: &Piece) {
        if piece.is_empty() {
            return;
        }
        self.pieces = self.pieces.saturating_add(1);
        self.half.push(piece);
        let text = self.half.take();
        if !text.is_empty() {
            self.say(&text);
        }
    }

    /// Adds to a thought. If that is uncertain it may turn out to be text, so it is not announced yet.
    pub fn think(&mut self, piece: &Piece, is_certain: bool) {
        self.gather(piece.len().max(1));
        if self.over_limit(piece.len(), 0) {
            return;
        }
        let thought = &mut self.thought;
        thought.is_uncertain = !is_certain;
        thought.half.push(piece);
        let more = thought.half.take();
        thought.text.push_str(&more);
        self.announce(&more);
    }

    /// Returns the data to be handed back with the open thought. A thought with such data is kept even
    /// without text, because the endpoint may refuse a history without it.
    pub fn signature(&mut self) -> &mut Option<Json> {
        &mut self.thought.data
    }

    /// Ends the open thought, if there is one.
    pub fn end_thinking(&mut self) {
        let rest = self.thought.half.take_all();
        self.thought.text.push_str(&rest);
        self.announce(&rest);
        let (text, provider_data) = (self.take_thought(), self.thought.data.take());
        self.hold(if self.open.is_some() { text.len() } else { 0 });
        if provider_data.is_some() || !is_blank(&text) {
            self.put(AgentEvent::Block(Block::Thinking { text, provider_data }));
        }
    }

    /// Takes back a text that was taken for a thought but is not one.
    pub fn take_thought(&mut self) -> String {
        let thought = &mut self.thought;
        (thought.is_begun, thought.is_uncertain) = (false, false);
        let mut text = std::mem::take(&mut thought.text);
        text.push_str(&thought.half.take_all());
        text
    }

    /// Announces a call with growing input, unless another call is open. `at` tells calls apart.
    pub fn begin_call(&mut self, at: usize, id: &str, name: &str) {
        self.end_thinking();
        if self.open.is_none() {
            self.open = Some(at);
            self.out.push(AgentEvent::Begin(Block::tool_use(id, name, Json::Null)));
        }
    }

    /// Adds to the input of a call, as JSON text. A call that was not announced emits nothing before its end.
    pub fn grow_call(&mut self, at: usize, json: &str) {
        if self.open == Some(at) {
            self.grow(json);
        }
    }

    /// Ends a call, with its complete form.
    pub fn end_call(&mut self, at: usize, call: Block) {
        if self.open == Some(at) {
            self.out.push(AgentEvent::Block(call));
            self.close_call();
        } else {
            self.block(call);
        }
    }

    /// Returns the call that was announced and has not ended.
    #[must_use]
    pub fn open_call(&self) -> Option<usize> {
        self.open
    }

    /// Adds a finished block.
    pub fn block(&mut self, block: Block) {
        self.end_thinking();
        self.put(AgentEvent::Block(block));
    }

    /// Emits a complete call again after it has changed. If it still waits, it is changed in place.
    pub fn again(&mut self, call: Block) {
        let is_it = |event: &&mut AgentEvent| match (event, &call) {
            (AgentEvent::Block(Block::ToolUse { id, .. }), Block::ToolUse { id: other, .. }) => id == other,
            _ => false,
        };
        match self.out.iter_mut().chain(&mut self.waiting).find(is_it) {
            Some(event) => *event = AgentEvent::Block(call),
            None => self.block(call),
        }
    }

    /// Emits an event that is not part of the answer.
    pub fn beside(&mut self, event: AgentEvent) {
        self.gather(1);
        self.out.push(event);
    }

    /// Drops the open call, which will never be complete: nobody may carry out half of it.
    pub fn drop_call(&mut self) {
        if self.open.is_some() {
            self.out.push(AgentEvent::Drop);
            self.close_call();
        }
    }

    /// Adds a source of the answer: an address, an object with an address, or OpenAI's annotation. Sources
    /// are emitted once, at the answer's end, since endpoints may repeat them.
    pub fn source(&mut self, source: &Json) {
        let source = source.get("url_citation").unwrap_or(source);
        let text = |name: &str| source.get(name).and_then(Json::as_str).map(str::to_owned);
        let url = source.as_str().map(str::to_owned).or_else(|| text("url"));
        let is_known = |known: &Block| matches!(known, Block::Source { url: known, .. } if *known == url);
        if url.is_some() && !self.sources.iter().any(is_known) && self.sources.len() < SOURCES_MAX {
            self.sources.push(Block::Source { url, title: text("title"), media_type: None });
        }
    }

    /// Returns the data to be handed back with a block of this answer. `fields` are JSON, each preceded by a
    /// comma.
    #[must_use]
    pub fn wanted(&self, fields: &str) -> Option<Json> {
        provider_data(self.agent, &self.asked_model, fields)
    }

    /// Notes that something came that is not emitted yet.
    pub fn gather(&mut self, bytes: usize) {
        self.gathered = self.gathered.saturating_add(bytes as u64);
    }

    /// Notes how much waits for the open call. Returns whether it is too much.
    fn hold(&mut self, bytes: usize) -> bool {
        self.held = self.held.saturating_add(bytes);
        self.over_limit(0, 0)
    }

    /// Fails the answer if it is too large with this many bytes beside the open thought, or with this many
    /// blocks. Returns whether it did.
    pub fn over_limit(&mut self, bytes: usize, blocks: usize) -> bool {
        let bytes = self.thought.text.len().saturating_add(self.held).saturating_add(bytes);
        let is_over = bytes > ANSWER_BYTES_MAX || self.blocks.max(blocks) > BLOCKS_MAX;
        if is_over {
            self.fail(failure::answer_too_large());
        }
        is_over
    }

    /// Keeps the first words that belong to no answer, because they may explain why the answer ends.
    pub fn odd(&mut self, words: &str) {
        self.odd.get_or_insert_with(|| quote(words));
    }

    /// Notes that the stream is of the expected kind.
    pub fn hear(&mut self) {
        if !std::mem::replace(&mut self.is_heard, true) {
            self.odd = None;
        }
    }

    /// Takes the event that ends a stream. Some servers send it even after a stream that broke off.
    pub fn done(&mut self) {
        if self.is_heard && self.odd.is_none() {
            self.complete();
        } else {
            self.end();
        }
    }

    /// Completes the answer.
    pub fn complete(&mut self) {
        if !self.is_closed {
            self.end.get_or_insert(Ok(()));
        }
    }

    /// Fails the answer.
    pub fn fail(&mut self, error: ErrorBody) {
        if !self.is_closed {
            self.end.get_or_insert(Err(error));
        }
    }

    /// Fails the answer, unless only the end of its body is missing.
    pub fn break_off(&mut self, error: ErrorBody) {
        if self.finish_reason.is_some() {
            self.complete();
        } else {
            self.fail(error);
        }
    }

    /// Fails the answer if the JSON contains an error. Returns whether it does.
    pub fn report(&mut self, json: &str) -> bool {
        let Some(reported) = Reported::read(json) else { return false };
        if !self.is_over() {
            self.remedy = reported.remedy(None, json);
            if self.remedy == Remedy::None && reported.passes() {
                self.remedy = Remedy::Later { after_ms: None };
            }
            self.fail(reported.error());
        }
        true
    }

    /// Fails the answer because the endpoint reports that it broke off.
    pub fn broke_off(&mut self, words: &str) {
        self.fail(failure::broken_off_upstream(&quote(words)));
    }

    /// Fails the answer because the agent's own application reports that it broke off.
    pub fn fail_with(&mut self, message: &str, words: &str) {
        self.fail(ErrorBody::retryable(ErrorCode::AgentError, with_words(message, &quote(words))));
    }

    /// Takes a whole body that contains no answer.
    pub fn document(&mut self, text: &str) {
        if Reader::read_foreign(text, Reader::skip) == Err(Malformed::Cut) {
            self.end();
        } else if !self.report(text) {
            self.fail(failure::not_an_answer(&quote(&plain(text))));
        }
    }

    /// Returns the tokens that the model has reported, or else the number of text pieces.
    #[must_use]
    pub fn tokens_used(&self) -> u64 {
        self.usage.total().unwrap_or(self.pieces)
    }

    /// Returns whether nothing of the answer came.
    #[must_use]
    pub fn is_mute(&self) -> bool {
        self.pieces == 0 && self.gathered == 0 && self.blocks == 0
    }

    /// Takes the end of the body of an event stream.
    pub fn end(&mut self) {
        let odd = self.odd.take().unwrap_or_default();
        let is_other = !self.is_heard && !odd.is_empty();
        self.break_off(if is_other { failure::not_an_answer(&odd) } else { failure::ended_early(&odd) });
    }

    /// Takes the part of the body outside of events. It counts only if there was no event.
    pub(super) fn read_as(&mut self, words: &str) {
        if !self.is_heard && !is_blank(words) {
            self.odd(words);
        }
    }

    pub(super) fn too_long(&mut self) {
        let message = "the model endpoint sent over 1 MiB in one piece";
        self.fail(ErrorBody::fatal(ErrorCode::AgentError, message));
    }

    /// Returns whether the answer ends and, if so, whether it broke off.
    pub(super) fn is_ending(&self) -> Option<bool> {
        self.end.as_ref().map(Result::is_err)
    }

    /// Emits the end.
    pub(super) fn close(&mut self) {
        let Some(end) = self.end.take() else { return };
        self.drop_call();
        self.end_thinking();
        let sources = std::mem::take(&mut self.sources);
        self.out.extend(sources.into_iter().map(AgentEvent::Block));
        self.is_closed = true;
        let end = match end {
            Ok(()) => AgentEvent::Finished(self.finished()),
            Err(error) => {
                AgentEvent::Failed(Failed { error, tokens_used: self.tokens_used(), remedy: self.remedy })
            }
        };
        self.out.push(end);
    }

    /// Returns the events since the last call.
    pub(super) fn take(&mut self) -> Vec<AgentEvent> {
        std::mem::take(&mut self.out)
    }

    /// Returns the events of a push. It adds those that follow from no single event: growth of a block, or
    /// the announced end with the answer as it is if nothing more comes.
    pub(super) fn news(&mut self) -> Vec<AgentEvent> {
        let mut out = self.take();
        let said = (self.pieces, self.gathered);
        let progress = (said, self.usage, self.finish_reason.is_some());
        let told = std::mem::replace(&mut self.told, progress);
        if !self.is_closed && told != progress {
            if self.finish_reason.is_some() {
                out.push(AgentEvent::Ending(self.finished()));
            } else if out.is_empty() && told.0 != said {
                out.push(AgentEvent::Gathering);
            }
        }
        out
    }

    fn finished(&self) -> Finished {
        Finished {
            tokens_used: self.tokens_used(),
            usage: self.usage.parts(),
            model: self.model.clone(),
            finish: self.finish.or_else(|| self.finish_reason.as_deref().map(finish)),
            finish_reason: self.finish_reason.clone(),
            metadata: self.metadata.clone(),
            client_calls: self.client_calls.clone(),
            unread: self.unread,
        }
    }

    /// Emits the growth of a thought; the first time, all of it.
    fn announce(&mut self, more: &str) {
        let Thought { text, is_begun, is_uncertain, .. } = &mut self.thought;
        if self.open.is_some() || *is_uncertain || text.is_empty() {
            return;
        }
        let more = if *is_begun {
            Cow::Borrowed(more)
        } else if is_blank(text) {
            return;
        } else {
            *is_begun = true;
            self.out.push(AgentEvent::Begin(Block::thinking("")));
            Cow::Owned(text.clone())
        };
        self.grow(&more);
    }

    fn grow(&mut self, more: &str) {
        match self.out.last_mut() {
            _ if more.is_empty() => {}
            Some(AgentEvent::Grow(grown)) => grown.push_str(more),
            _ => self.out.push(AgentEvent::Grow(more.to_owned())),
        }
    }

    fn close_call(&mut self) {
        (self.open, self.held) = (None, 0);
        self.out.append(&mut self.waiting);
        self.announce("");
    }

    fn put(&mut self, event: AgentEvent) {
        if !self.replaces(&event) {
            self.blocks = self.blocks.saturating_add(1);
        }
        if self.open.is_some() { self.waiting.push(event) } else { self.out.push(event) }
    }

    /// Returns whether the event is data that replaces earlier data, such as progress: then the number of
    /// blocks stays the same.
    fn replaces(&mut self, event: &AgentEvent) -> bool {
        let AgentEvent::Block(Block::Data { name, id: Some(id), .. }) = event else { return false };
        let key = (name.clone(), id.clone());
        let is_known = self.replaceable.contains(&key);
        if !is_known {
            self.replaceable.push(key);
        }
        is_known
    }
}
