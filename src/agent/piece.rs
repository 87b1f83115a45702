//! Text in pieces that JavaScript cut between UTF-16 code units: a character outside the Basic Multilingual
//! Plane may arrive in two halves, neither of which is a character.

use std::borrow::Cow;

use crate::protocol::json::{Parsed, Reader};

/// The length of an escape such as `\ud83d`.
const ESCAPE_BYTES: usize = 6;

/// One of several strings that together form a text, or all of them that have come so far.
#[derive(Debug, Default)]
pub struct Piece<'a> {
    /// The second half of a character that began in the previous piece.
    low: Option<u16>,
    text: Cow<'a, str>,
    /// The first half of a character that ends in the next piece.
    high: Option<u16>,
}

impl<'a> Piece<'a> {
    /// Reads a JSON string. Half a character at its beginning or end is kept, to be joined with its other
    /// half.
    pub fn read(reader: &mut Reader<'a>) -> Parsed<Self> {
        let (text, written) = reader.string_as_written()?;
        // Only escapes can be half a character.
        Ok(if matches!(text, Cow::Owned(_)) { Piece::new(text, written) } else { Piece::from(text) })
    }

    fn new(mut text: Cow<'a, str>, written: &str) -> Self {
        let low = escape_at(written, 1).filter(|unit| is_low(*unit));
        let last = written.len().saturating_sub(ESCAPE_BYTES.saturating_add(1));
        let is_escape = || backslashes_before(written, last).is_multiple_of(2);
        let high = escape_at(written, last).filter(|unit| is_high(*unit) && is_escape());
        if high.is_some() {
            text.to_mut().pop();
        }
        if low.is_some() {
            text.to_mut().remove(0);
        }
        Piece { low, text, high }
    }

    /// Returns whether it has neither text nor half a character.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.low.is_none() && self.text.is_empty() && self.high.is_none()
    }

    /// Returns the text; `None` if there is half a character at one of its ends.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        (self.low.is_none() && self.high.is_none()).then_some(&*self.text)
    }

    /// Returns whether this text begins with the other one.
    #[must_use]
    pub fn begins_with(&self, other: &Piece) -> bool {
        self.low == other.low && other.high.is_none() && self.text.starts_with(&*other.text)
    }

    /// Returns whether it begins like a JSON object.
    #[must_use]
    pub fn starts_object(&self) -> bool {
        self.text.trim_ascii_start().starts_with('{')
    }

    /// Returns its length in UTF-8 bytes, without the halves.
    #[must_use]
    pub fn len(&self) -> usize {
        self.text.len()
    }

    /// Appends the next piece; two halves that meet become the character.
    pub fn push(&mut self, next: &Piece) {
        if next.is_empty() {
            return;
        }
        if self.is_empty() {
            self.low = next.low;
        } else {
            self.end_character(next.low);
        }
        self.text.to_mut().push_str(&next.text);
        self.high = next.high;
    }

    /// Takes out everything that no later piece can change: all but a half at the end. A half without its
    /// other half becomes U+FFFD.
    pub fn take(&mut self) -> String {
        let mut text = std::mem::take(&mut self.text).into_owned();
        if self.low.take().is_some() {
            text.insert(0, char::REPLACEMENT_CHARACTER);
        }
        text
    }

    /// Takes out everything, because no other piece follows.
    pub fn take_all(&mut self) -> String {
        self.end_character(None);
        self.take()
    }

    fn end_character(&mut self, low: Option<u16>) {
        let ended = match (self.high.take(), low) {
            (None, None) => return,
            (Some(high), Some(low)) => char::decode_utf16([high, low]).next().and_then(Result::ok),
            _ => None,
        };
        self.text.to_mut().push(ended.unwrap_or(char::REPLACEMENT_CHARACTER));
    }
}

impl<'a> From<Cow<'a, str>> for Piece<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        Piece { low: None, text, high: None }
    }
}

/// Returns the code unit of the escape that begins at this byte, if there is one.
fn escape_at(written: &str, at: usize) -> Option<u16> {
    let digits = written.get(at..)?.get(..ESCAPE_BYTES)?.strip_prefix("\\u")?;
    u16::from_str_radix(digits, 16).ok()
}

fn backslashes_before(written: &str, at: usize) -> usize {
    let before = written.as_bytes().get(..at).unwrap_or_default();
    before.iter().rev().take_while(|byte| **byte == b'\\').count()
}

fn is_high(unit: u16) -> bool {
    (0xd800..0xdc00).contains(&unit)
}

fn is_low(unit: u16) -> bool {
    (0xdc00..0xe000).contains(&unit)
}
