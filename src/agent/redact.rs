//! Redaction: a secret that an endpoint repeats is not passed on, however it is spelled, and conversation
//! text is not logged.
//!
//! Only letters and digits are compared, in lower case: escapes of all kinds are decoded, and everything
//! between letters is skipped. A run of [`PART_CHARS`] that also occurs in the secret is removed.

use crate::protocol::CollectVec;

const REDACTED: &str = "[redacted]";
/// The length of a run of letters and digits that counts as the secret. For a secret of less than twice that
/// length it is half of it, but at least [`PART_CHARS_MIN`], or all of it if it is even shorter.
const PART_CHARS: usize = 8;
const PART_CHARS_MIN: usize = 6;
/// A secret with fewer letters and digits would be found in every text.
const SPELLED_CHARS_MIN: usize = 4;
/// Bits of a hexadecimal digit.
const HEX: u32 = 4;
const BASE64: u32 = 6;
const HASHES: usize = 4096;

/// The secrets of an agent, in all spellings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Secrets {
    spellings: Vec<Spelling>,
}

/// The letters of a secret, and the length of a run that is too long.
type Spelling = (Vec<u8>, usize);

/// An escape that is not an ASCII letter.
const NO_LETTER: Option<u8> = Some(0);

/// A letter or digit of a text, in lower case, and its place there.
struct Letter {
    byte: u8,
    start: usize,
    end: usize,
}

impl Secrets {
    /// Adds a secret. The value of an operator's header may be no secret at all; then it is short.
    pub fn add(&mut self, secret: &str, is_header: bool) {
        let letters = folded(secret, false);
        let chars = letters.len();
        if chars < if is_header { PART_CHARS } else { SPELLED_CHARS_MIN } {
            return;
        }
        let enough = if chars < PART_CHARS { chars } else { (chars / 2).clamp(PART_CHARS_MIN, PART_CHARS) };
        self.spellings.push((letters.iter().rev().copied().collect_vec(), enough));
        self.spellings.push((letters, enough));
        for (before, width) in [(0, HEX), (0, BASE64), (1, BASE64), (2, BASE64)] {
            let letters = digits(secret, before, width);
            let enough = letters.len().min(PART_CHARS);
            self.spellings.push((letters, enough));
        }
    }

    /// Returns the text without anything that could be a secret: as it is, in pieces, with anything between
    /// its letters and digits, reversed, in another case, percent-encoded, as character references or
    /// escapes, in base64, or in hexadecimal digits.
    #[must_use]
    pub fn hidden(&self, text: &str) -> String {
        without(text, &self.spellings, false)
    }
}

/// Returns the text without anything that also occurs in `said`, in any script.
#[must_use]
pub fn without_words(text: &str, said: &str) -> String {
    let said = folded(said, true);
    let enough = said.len().clamp(PART_CHARS_MIN, PART_CHARS);
    without(text, &[(said, enough)], true)
}

fn without(text: &str, spellings: &[Spelling], is_any_script: bool) -> String {
    let letters = letters(text, is_any_script);
    let mut begins = vec![false; HASHES];
    for from in letters.windows(SPELLED_CHARS_MIN) {
        if let Some(is_begun) = begins.get_mut(hash(from.iter().map(|letter| letter.byte))) {
            *is_begun = true;
        }
    }
    let mut is_secret = vec![false; letters.len()];
    for (spelling, enough) in spellings {
        for at in 0..spelling.len() {
            let part = spelling.get(at..at.saturating_add(*enough)).unwrap_or_default();
            let begun = part.iter().copied().take(SPELLED_CHARS_MIN);
            if !part.is_empty() && begins.get(hash(begun)) == Some(&true) {
                mark(&letters, part, &mut is_secret);
            }
        }
    }
    redacted(text, &letters, &is_secret)
}

/// Hashes letters. Most comparisons differ from the start, and a conversation is long.
fn hash(letters: impl Iterator<Item = u8>) -> usize {
    letters.fold(0, |hash: usize, letter| hash.wrapping_mul(37).wrapping_add(letter.into())) % HASHES
}

fn folded(text: &str, is_any_script: bool) -> Vec<u8> {
    letters(text, is_any_script).iter().map(|letter| letter.byte).collect_vec()
}

/// Returns the ASCII letters and digits, in any spelling, and optionally the bytes of all other characters.
fn letters(text: &str, is_any_script: bool) -> Vec<Letter> {
    let (mut letters, mut start) = (Vec::new(), 0_usize);
    while let Some(rest) = text.get(start..).filter(|rest| !rest.is_empty()) {
        let (meant, length) = escape(rest.as_bytes()).unwrap_or_default();
        let length = if length == 0 { rest.chars().next().map_or(1, char::len_utf8) } else { length };
        let end = start.saturating_add(length);
        for byte in rest.bytes().take(length) {
            let byte = meant.unwrap_or(byte).to_ascii_lowercase();
            if byte.is_ascii_alphanumeric() || is_any_script && !byte.is_ascii() {
                letters.push(Letter { byte, start, end });
            }
            if meant.is_some() {
                break;
            }
        }
        start = end;
    }
    letters
}

/// Decodes `%41`, `\x41`, `\u0041`, `\u{41}`, `\101`, `&#65;` or `&#x41;`, and returns its length too. An
/// encoded `%` or `&` is decoded as well; any other reference is not a letter.
fn escape(rest: &[u8]) -> Option<(Option<u8>, usize)> {
    let mark = *rest.first()?;
    let (again, mut radix, mut digits_max): (&[u8], _, _) = match mark {
        b'%' => (b"25", 16, 2),
        b'&' => (b"amp;", 10, 7),
        b'\\' => (b"\\", 8, 3),
        _ => return None,
    };
    let (mut at, mut code, mut digits) = (1_usize, 0_u32, 0_usize);
    while rest.get(at..).is_some_and(|tail| tail.starts_with(again)) {
        at = at.saturating_add(again.len());
    }
    let is_named = mark == b'&' && rest.get(at) != Some(&b'#');
    let from = at;
    while let Some(byte) = rest.get(at) {
        match (mark, byte) {
            (b'&', b'a'..=b'z' | b'A'..=b'Z') if is_named => {}
            (b'&', b'#') if at == from => {}
            (b'&', b'x' | b'X') if digits == 0 && !is_named => radix = 16,
            (b'\\', b'x' | b'u' | b'U') if at == from => {
                radix = 16;
                digits_max = match byte {
                    b'x' => 2,
                    b'u' => 4,
                    _ => 8,
                };
            }
            (b'\\', b'{') if at > from && digits == 0 => digits_max = 8,
            (b'\\', b'n' | b'r' | b't') if at == from => return Some((NO_LETTER, at.saturating_add(1))),
            _ => {
                let digit = char::from(*byte).to_digit(radix).filter(|_| digits < digits_max && !is_named);
                let Some(digit) = digit else { break };
                code = code.wrapping_mul(radix).wrapping_add(digit);
                digits = digits.saturating_add(1);
            }
        }
        at = at.saturating_add(1);
    }
    if is_named && rest.get(at) == Some(&b';') {
        return Some((NO_LETTER, at.saturating_add(1)));
    }
    match digits {
        0 if from > 1 => Some((NO_LETTER, from)),
        0 => None,
        _ => Some((u8::try_from(code).ok().filter(u8::is_ascii).or(NO_LETTER), at)),
    }
}

/// Returns the letters and digits of a secret in base64 or in hexadecimal digits (`width` is the bits of
/// each), if `before` bytes precede it. Only those that the secret alone determines are included.
fn digits(secret: &str, before: usize, width: u32) -> Vec<u8> {
    let (mut bits, mut count) = (0_u32, 0_u32);
    let mut digits = Vec::new();
    let mut bytes = vec![0; before];
    bytes.extend_from_slice(secret.as_bytes());
    for byte in bytes {
        bits = (bits << 8) | u32::from(byte);
        count = count.saturating_add(8);
        while count >= width {
            count = count.saturating_sub(width);
            // Case is ignored; two of the 64 digits are not letters.
            let digit = u8::try_from((bits >> count) & !(u32::MAX << width)).unwrap_or_default();
            // In hexadecimal the figures come first, but here they come after the letters.
            let digit = if width == HEX { digit.saturating_add(52) % 62 } else { digit };
            digits.push(match digit {
                0..52 => b'a'.saturating_add(digit % 26),
                52..62 => b'0'.saturating_add(digit.saturating_sub(52)),
                _ => 0,
            });
        }
    }
    let of_others = before.saturating_add(usize::from(before > 0));
    digits.into_iter().skip(of_others).filter(|digit| *digit > 0).collect_vec()
}

/// Marks the part of a spelling wherever it occurs.
fn mark(letters: &[Letter], part: &[u8], is_secret: &mut [bool]) {
    for (from, window) in letters.windows(part.len()).enumerate() {
        if window.iter().zip(part).all(|(letter, byte)| letter.byte == *byte) {
            is_secret.iter_mut().skip(from).take(part.len()).for_each(|it| *it = true);
        }
    }
}

fn redacted(text: &str, letters: &[Letter], is_secret: &[bool]) -> String {
    let (mut out, mut told, mut was_secret) = (String::new(), 0, false);
    for (letter, is_secret) in letters.iter().zip(is_secret) {
        if *is_secret {
            if !was_secret {
                out.push_str(text.get(told..letter.start).unwrap_or_default());
                out.push_str(REDACTED);
            }
            told = letter.end;
        }
        was_secret = *is_secret;
    }
    out.push_str(text.get(told..).unwrap_or_default());
    out
}
