//! The agent that repeats the user's own words, so that everything runs without a key and a network.

use std::rc::Rc;

use super::{Agent, AgentEvent, AgentRequest, Attempt, Call, Failed, Finished, Refusal, Reply};
use crate::protocol::{CollectVec, Content, Finish};
use crate::variables::{self, Variables};

/// Repeats the user's own words.
#[derive(Clone, Copy, Debug)]
pub struct Echo {
    /// Milliseconds between two words.
    delay_ms: u64,
}

/// Counts the pieces of an echo.
#[derive(Clone, Copy, Debug, Default)]
struct Echoing {
    pieces: u64,
}

impl Echo {
    /// Returns an echo with the delay that the variables name.
    ///
    /// # Errors
    /// A sentence that names the wrong variable and says what would be right.
    pub fn configured(read: Variables) -> Result<Rc<dyn Agent>, String> {
        Ok(Rc::new(Echo { delay_ms: read.number(&variables::ECHO_DELAY_MS)? }))
    }
}

impl Agent for Echo {
    fn call(&self, request: &AgentRequest, _: Attempt) -> Call {
        let pieces = pieces(&answer(request)).map(str::to_owned).collect_vec();
        Call::Pieces { pieces, delay_ms: self.delay_ms }
    }

    fn reply(&self) -> Box<dyn Reply> {
        Box::new(Echoing::default())
    }
}

impl Reply for Echoing {
    fn push(&mut self, bytes: &[u8]) -> Vec<AgentEvent> {
        self.pieces = self.pieces.saturating_add(1);
        vec![AgentEvent::Text(String::from_utf8_lossy(bytes).into_owned())]
    }

    fn finish(&mut self) -> Vec<AgentEvent> {
        vec![AgentEvent::Finished(finished(self.pieces))]
    }

    fn refuse(&mut self, _: &Refusal) -> Vec<AgentEvent> {
        self.finish()
    }

    fn fail(&mut self, failed: Failed) -> Vec<AgentEvent> {
        vec![AgentEvent::Failed(Failed { tokens_used: self.pieces, ..failed })]
    }

    fn tokens_used(&self) -> u64 {
        self.pieces
    }
}

/// Returns the text of the user's own message. Its other blocks are not echoed.
#[must_use]
pub fn answer(request: &AgentRequest) -> String {
    request.messages.last().map(|message| &message.content).map(Content::text).unwrap_or_default()
}

/// Splits a text into words, each with the white space after it, and the first one also with that before it.
/// Joined together, the pieces are the text.
pub fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (piece, tail) = rest.split_at_checked(piece_end(rest))?;
        rest = tail;
        Some(piece).filter(|piece| !piece.is_empty())
    })
}

/// Returns the end of an answer of this many pieces.
#[must_use]
pub fn finished(pieces: u64) -> Finished {
    Finished {
        tokens_used: pieces,
        model: Some(String::from("echo")),
        finish_reason: Some(String::from("stop")),
        finish: Some(Finish::Stop),
        ..Finished::default()
    }
}

/// Returns where the second word begins.
fn piece_end(text: &str) -> usize {
    let mut chars = text.char_indices().skip_while(|(_, c)| c.is_whitespace());
    chars
        .by_ref()
        .find(|(_, c)| c.is_whitespace())
        .and_then(|_| chars.find(|(_, c)| !c.is_whitespace()))
        .map_or(text.len(), |(at, _)| at)
}
