//! A push parser for Server-Sent Events: it takes bytes, cut anywhere, and emits the `data` of events.
//!
//! It follows the [event stream interpretation] of the HTML standard, with some differences. If the body ends
//! before an event's blank line, [`Parser::finish`] delivers the event, because model servers leave out the
//! last newlines. Consecutive JSON objects are separate events even without a blank line. Lines and events
//! have a maximum size. Errors count as data even in another field, or in none.
//!
//! **Invariant:** it knows nothing about the meaning of the data. Every byte is read once: a line within one
//! push is read in place, and only the unfinished end of a push is copied.
//!
//! [event stream interpretation]:
//! https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation

use crate::protocol::CollectVec;
use std::mem;

/// The maximum size of one line, and of one event's data. More is [`TooLong`].
pub const EVENT_BYTES_MAX: usize = 1024 * 1024;

const STRAY_BYTES_MAX: usize = 512;
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// A line or an event was over [`EVENT_BYTES_MAX`]. The parser has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

/// Reads one event stream. It keeps the unfinished end of a push until the next one.
#[derive(Debug, Default)]
pub struct Parser {
    /// The beginning of an unfinished line.
    line: Vec<u8>,
    /// The data lines, joined with line feeds, of an unfinished event.
    data: Option<Vec<u8>>,
    /// Whether the last byte was a carriage return: a line feed right after it belongs to it.
    after_carriage_return: bool,
    past_first_line: bool,
    stopped: bool,
    /// The beginning of the first line that is neither a field nor a comment.
    stray: Vec<u8>,
}

impl Parser {
    /// Returns the beginning of the first line that is not part of an event stream.
    #[must_use]
    pub fn stray(&self) -> &[u8] {
        &self.stray
    }

    /// Takes the body's next bytes and calls `on_data` for each event that they complete.
    ///
    /// # Errors
    /// [`TooLong`], then and at every later call. Events before the long one have been delivered.
    pub fn push(&mut self, bytes: &[u8], on_data: &mut dyn FnMut(&str)) -> Result<(), TooLong> {
        if self.stopped {
            return Err(TooLong);
        }
        let outcome = self.read(bytes, on_data);
        self.stopped = outcome.is_err();
        outcome
    }

    /// Takes the end of the body and delivers the event that lacks its line ends.
    ///
    /// # Errors
    /// [`TooLong`], if a push has returned it or the last line makes its event too long.
    pub fn finish(&mut self, on_data: &mut dyn FnMut(&str)) -> Result<(), TooLong> {
        if self.stopped {
            return Err(TooLong);
        }
        self.stopped = true;
        let mut fresh = None;
        let last = mem::take(&mut self.line);
        if !last.is_empty() {
            self.end_line(&last, &mut fresh, on_data)?;
        }
        self.end_event(&mut fresh, on_data);
        Ok(())
    }

    fn read(&mut self, bytes: &[u8], on_data: &mut dyn FnMut(&str)) -> Result<(), TooLong> {
        let mut rest = bytes;
        // The event's data so far, if it is a single line of this push: so the usual event is never copied.
        let mut fresh = None;
        loop {
            if self.after_carriage_return && !rest.is_empty() {
                self.after_carriage_return = false;
                rest = rest.strip_prefix(b"\n").unwrap_or(rest);
            }
            let Some((line, end, tail)) = split_line(rest) else {
                break;
            };
            self.after_carriage_return = end == b'\r';
            rest = tail;
            if self.line.is_empty() {
                self.end_line(line, &mut fresh, on_data)?;
            } else {
                let mut whole = mem::take(&mut self.line);
                whole.extend_from_slice(line);
                let mut held = None;
                self.end_line(&whole, &mut held, on_data)?;
                if let Some(value) = held {
                    self.keep(value)?;
                }
                whole.clear();
                self.line = whole;
            }
        }
        self.line.extend_from_slice(rest);
        if self.line.len() > EVENT_BYTES_MAX {
            return Err(TooLong);
        }
        fresh.map_or(Ok(()), |value| self.keep(value))
    }

    /// Takes a line. `fresh` is set to its data if it need not be copied: the caller keeps `line` alive until
    /// the event ends or [`Parser::keep`] copies it.
    fn end_line<'a>(
        &mut self,
        line: &'a [u8],
        fresh: &mut Option<&'a [u8]>,
        on_data: &mut dyn FnMut(&str),
    ) -> Result<(), TooLong> {
        if line.len() > EVENT_BYTES_MAX {
            return Err(TooLong);
        }
        let first = !mem::replace(&mut self.past_first_line, true);
        let line = if first { line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line) } else { line };
        if line.is_empty() {
            self.end_event(fresh, on_data);
        } else if let Some(value) = data_value(line) {
            // Some servers leave out the blank lines. A value that begins like JSON after a complete object
            // cannot belong to that object.
            let is_next = matches!(value.first(), Some(b'{' | b'['));
            if is_next && fresh.or(self.data.as_deref()).is_some_and(|data| data.ends_with(b"}")) {
                self.end_event(fresh, on_data);
            }
            if self.data.is_none() && fresh.is_none() {
                *fresh = Some(value);
                return Ok(());
            }
            if let Some(earlier) = fresh.take() {
                self.keep(earlier)?;
            }
            self.keep(value)?;
        } else if self.stray.is_empty() && !is_field(line) {
            self.stray = line.iter().copied().take(STRAY_BYTES_MAX).collect_vec();
        }
        Ok(())
    }

    fn end_event(&mut self, fresh: &mut Option<&[u8]>, on_data: &mut dyn FnMut(&str)) {
        if let Some(value) = fresh.take() {
            on_data(&String::from_utf8_lossy(value));
        } else if let Some(data) = self.data.take() {
            on_data(&String::from_utf8_lossy(&data));
        }
    }

    fn keep(&mut self, value: &[u8]) -> Result<(), TooLong> {
        let data = match &mut self.data {
            Some(data) => {
                data.push(b'\n');
                data.extend_from_slice(value);
                data
            }
            None => self.data.insert(value.to_vec()),
        };
        if data.len() > EVENT_BYTES_MAX { Err(TooLong) } else { Ok(()) }
    }
}

/// Returns a line, the byte that ended it, and the rest.
fn split_line(bytes: &[u8]) -> Option<(&[u8], u8, &[u8])> {
    let at = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r'))?;
    let (line, rest) = bytes.split_at_checked(at)?;
    let (end, tail) = rest.split_first()?;
    Some((line, *end, tail))
}

/// Returns the value of a `data` field; `None` for comments and every other field. llama.cpp has had a field
/// `error`, and a proxy may insert an error's bare JSON between the events.
fn data_value(line: &[u8]) -> Option<&[u8]> {
    if line.starts_with(b"{") {
        return Some(line);
    }
    let rest = line.strip_prefix(b"data").or_else(|| line.strip_prefix(b"error"))?;
    if rest.is_empty() {
        return Some(rest);
    }
    let value = rest.strip_prefix(b":")?;
    Some(value.strip_prefix(b" ").unwrap_or(value))
}

/// Returns whether it is a comment, a field without data or the beginning of one.
fn is_field(line: &[u8]) -> bool {
    let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
    ["data", "event", "id", "retry"].iter().any(|field| field.as_bytes().starts_with(name))
}
