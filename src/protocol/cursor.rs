//! A cursor: a client's place in a thread's event log.

use std::fmt::{self, Display};

use super::Write;
use super::limits::{CONCURRENT_TURNS_MAX, CURSOR_CHARS_MAX, QUEUED_TURNS_MAX};

/// The number of turns that may run or wait at once.
const TURNS_MAX: usize = CONCURRENT_TURNS_MAX + QUEUED_TURNS_MAX;

/// Describes everything that a client holds: the log up to `seq`, and how much of the answer of each turn
/// that was running there.
///
/// Clients treat it as opaque. Its text is `0` before the first message. Otherwise it consists of hexadecimal
/// numbers: `epoch.seq` and, for each running turn, `.turn-bytes-blocks`, followed by `-open` while a block
/// is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Names one life of the log. A session that was deleted and begun again has another epoch.
    pub epoch: u64,
    /// The sequence number of the last event that the client holds.
    pub seq: u64,
    /// The client's progress in each turn that was running, in the order of the turns.
    pub progress: Vec<Progress>,
}

/// How much of a running turn's answer a client holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The turn, by the sequence number of its user's message.
    pub turn: u64,
    /// Bytes of the answer's text, all text blocks together, in UTF-8.
    pub bytes: usize,
    /// The number of events of finished blocks other than text: each block counts, and so does each
    /// replacement or drop.
    pub blocks: u64,
    /// Bytes of the block that still grows; `None` if the client does not know of one.
    pub open: Option<usize>,
}

/// The pieces of a turn that a stock client was sent after the part that it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// This many pieces.
    Told(Pieces),
    /// This many pieces of the response with which another request continues the turn there.
    GoingOn(usize),
    /// Everything, including the end. A number of pieces could not say that: after a crash, a client may have
    /// had as many pieces as the turn has now, but not its end.
    Over,
}

/// A number of pieces of a turn. Pieces that say that the turn waits are counted apart, because they are sent
/// only while it waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pieces {
    /// Pieces that are sent to everybody who follows the turn.
    pub lasting: u64,
    /// Pieces that say that the turn waits.
    pub waiting: u64,
}

impl Cursor {
    /// The cursor before the first event of any thread.
    pub const START: Cursor = Cursor { epoch: 0, seq: 0, progress: Vec::new() };

    /// Returns a cursor at a place where no turn was running.
    #[must_use]
    pub fn at(epoch: u64, seq: u64) -> Self {
        Cursor { epoch, seq, progress: Vec::new() }
    }

    /// Parses a cursor; `None` if no thread can have handed it out.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text == "0" {
            return Some(Cursor::START);
        }
        if text.len() > CURSOR_CHARS_MAX {
            return None;
        }
        let mut parts = text.split('.');
        let (epoch, seq) = (hex(parts.next()?)?, hex(parts.next()?)?);
        let mut cursor = Cursor::at(epoch, seq);
        for part in parts {
            cursor.progress.push(Progress::parse(part)?);
        }
        (epoch != 0 && cursor.progress.len() <= TURNS_MAX).then_some(cursor)
    }

    /// Returns whether this is the cursor before the first message of a thread.
    #[must_use]
    pub fn is_start(&self) -> bool {
        self.epoch == 0
    }

    /// Returns the client's progress in a turn; it holds nothing if the cursor does not name the turn.
    #[must_use]
    pub fn of(&self, turn: u64) -> Progress {
        let named = self.progress.iter().copied().find(|progress| progress.turn == turn);
        named.unwrap_or(Progress { turn, ..Progress::default() })
    }

    /// Replaces a turn's progress. The turns stay in order, so that equal places have equal cursors.
    pub fn set(&mut self, progress: Progress) {
        self.forget(progress.turn);
        if progress.bytes > 0 || progress.blocks > 0 || progress.open.is_some() {
            let place = self.progress.iter().position(|other| other.turn > progress.turn);
            self.progress.insert(place.unwrap_or(self.progress.len()), progress);
        }
    }

    /// Removes a turn that is over, because its end is in the log.
    pub fn forget(&mut self, turn: u64) {
        self.progress.retain(|progress| progress.turn != turn);
    }
}

impl Display for Cursor {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::new();
        self.write_bare(&mut text);
        out.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl Write for Cursor {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(b'"');
        self.write_bare(out);
        out.push(b'"');
    }
}

impl Cursor {
    fn write_bare(&self, out: &mut Vec<u8>) {
        write_hex(out, self.epoch);
        if self.is_start() {
            return;
        }
        out.push(b'.');
        write_hex(out, self.seq);
        for progress in &self.progress {
            out.push(b'.');
            write_hex(out, progress.turn);
            let open = progress.open.map(|open| open as u64);
            for held in [Some(progress.bytes as u64), Some(progress.blocks), open].into_iter().flatten() {
                out.push(b'-');
                write_hex(out, held);
            }
        }
    }
}

fn write_hex(out: &mut Vec<u8>, number: u64) {
    let digits = number.max(1).ilog2() / 4;
    for place in (0..=digits).rev() {
        let digit = number.checked_shr(place.saturating_mul(4)).unwrap_or_default() & 0xf;
        out.push(*b"0123456789abcdef".get(digit as usize).unwrap_or(&b'0'));
    }
}

impl Progress {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let turn = hex(parts.next()?)?;
        let bytes = |part: &str| usize::try_from(hex(part)?).ok();
        let (text, blocks) = (bytes(parts.next()?)?, hex(parts.next()?)?);
        let open = match parts.next() {
            None => None,
            Some(open) => Some(bytes(open)?),
        };
        parts.next().is_none().then_some(Progress { turn, bytes: text, blocks, open })
    }
}

/// Accepts only the spelling that [`Display`] writes, so that equal places are equal strings.
fn hex(text: &str) -> Option<u64> {
    let canonical = !text.is_empty()
        && (text == "0" || !text.starts_with('0'))
        && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if canonical { u64::from_str_radix(text, 16).ok() } else { None }
}
