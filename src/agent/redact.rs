//! What an endpoint repeats of a secret that it was given is not passed on, however it spells it; nor does a log
//! hold what was said in a conversation.
//!
//! Both are compared by their letters and digits alone, in lower case: escapes of all kinds are undone, and whatever
//! stands between letters is left out. [`PART_CHARS`] in a row that are also in the secret are not told.

const REDACTED: &str = "[redacted]";
/// So many letters and digits in a row are taken for the secret: half of one that has fewer than twice as many, but
/// at least [`PART_CHARS_MIN`], and all of one that has fewer than these.
const PART_CHARS: usize = 8;
const PART_CHARS_MIN: usize = 6;
/// One of fewer letters and digits is in every text.
const SPELLED_CHARS_MIN: usize = 4;

/// The secrets of an agent, in all spellings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Secrets {
    spellings: Vec<Spelling>,
}

/// The letters of a secret, and how many of them in a row are too many.
type Spelling = (Vec<u8>, usize);

/// A letter or digit of a text, in lower case, and where it stands there.
struct Letter {
    byte: u8,
    start: usize,
    end: usize,
}

impl Secrets {
    /// Adds a secret. One of an operator's headers may be no secret at all, and then is short.
    pub fn add(&mut self, secret: &str, is_header: bool) {
        let letters = folded(secret, false);
        let chars = letters.len();
        if chars < if is_header { PART_CHARS } else { SPELLED_CHARS_MIN } {
            return;
        }
        let enough = if chars < PART_CHARS { chars } else { (chars / 2).clamp(PART_CHARS_MIN, PART_CHARS) };
        self.spellings.push((letters.iter().rev().copied().collect(), enough));
        self.spellings.push((letters, enough));
        let digit = |digit: u8| char::from_digit(digit.into(), 16).map(|digit| digit as u8);
        let hex = secret.bytes().flat_map(|byte| [byte >> 4, byte & 0xf]).filter_map(digit);
        for letters in [hex.collect(), base64(secret, 0), base64(secret, 1), base64(secret, 2)] {
            let enough = letters.len().min(PART_CHARS);
            self.spellings.push((letters, enough));
        }
    }

    /// The text without anything that could be one of them: as it is, in pieces, with anything between its letters
    /// and digits, reversed, in another case, percent-encoded, as character references or escapes, in base64 or in
    /// hexadecimal digits.
    #[must_use]
    pub fn hidden(&self, text: &str) -> String {
        without(text, &self.spellings, false)
    }
}

/// The text without what is also in `said`, in any script.
#[must_use]
pub fn without_words(text: &str, said: &str) -> String {
    let said = folded(said, true);
    let enough = said.len().clamp(PART_CHARS_MIN, PART_CHARS);
    without(text, &[(said, enough)], true)
}

fn without(text: &str, spellings: &[Spelling], is_any_script: bool) -> String {
    let letters = letters(text, is_any_script);
    let mut is_secret = vec![false; letters.len()];
    for (spelling, enough) in spellings {
        mark(&letters, spelling, *enough, &mut is_secret);
    }
    redacted(text, &letters, &is_secret)
}

fn folded(text: &str, is_any_script: bool) -> Vec<u8> {
    letters(text, is_any_script).iter().map(|letter| letter.byte).collect()
}

/// The letters and digits of ASCII, in any spelling, and perhaps whatever else can be seen of other scripts.
fn letters(text: &str, is_any_script: bool) -> Vec<Letter> {
    let (mut letters, mut start) = (Vec::new(), 0_usize);
    while let Some(first) = text.get(start..).and_then(|rest| rest.chars().next()) {
        let meant = escape(text.as_bytes().get(start..).unwrap_or_default());
        let (char, length) = meant.unwrap_or((first, first.len_utf8()));
        let end = start.saturating_add(length);
        // Latin letters as wide as Chinese ones stand for those that are not.
        let narrow = char::from_u32(u32::from(char).wrapping_sub(0xfee0)).filter(char::is_ascii);
        let char = narrow.unwrap_or(char).to_ascii_lowercase();
        if char.is_ascii_alphanumeric() || is_any_script && !char.is_ascii() && is_seen(char) {
            let mut bytes = [0; 4];
            let bytes = char.encode_utf8(&mut bytes).bytes();
            letters.extend(bytes.map(|byte| Letter { byte, start, end }));
        }
        start = end;
    }
    letters
}

/// Whether it is neither a space nor a mark of no width nor a common punctuation mark.
fn is_seen(char: char) -> bool {
    !matches!(char, '\u{80}'..='\u{bf}' | '\u{2000}'..='\u{206f}' | '\u{3000}'..='\u{3003}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}')
}

/// What `%41`, `\x41`, `\u0041`, `\u{41}`, `\101`, `&#65;` or `&#x41;` stands for, and the length of that. Where `%`
/// and `&` are encoded themselves, that is undone too; any other reference is no letter.
fn escape(rest: &[u8]) -> Option<(char, usize)> {
    let again: &[u8] = match rest.first()? {
        b'%' => b"25",
        b'&' => b"amp;",
        b'\\' => b"\\",
        _ => return None,
    };
    let mut mark: usize = 1;
    while rest.get(mark..).is_some_and(|tail| tail.starts_with(again)) {
        mark = mark.saturating_add(again.len());
    }
    let meant = reference(rest, mark).map(|(code, length)| (code, mark.saturating_add(length)));
    meant.or((mark > 1).then_some(('\0', mark)))
}

/// What the reference stands for whose first character ends at `mark`, and its length behind that.
fn reference(rest: &[u8], mark: usize) -> Option<(char, usize)> {
    let tail = rest.get(mark..)?;
    let (radix, prefix, digits_max) = match (rest.first()?, tail) {
        (b'%', _) => (16, 0, 2),
        (b'\\', [b'n' | b'r' | b't', ..]) => return Some(('\0', 1)),
        (b'\\', [b'x' | b'u', b'{', ..]) | (b'&', [b'#', b'x' | b'X', ..]) => (16, 2, 6),
        (b'\\', [b'x', ..]) => (16, 1, 2),
        (b'\\', [b'u', ..]) => (16, 1, 4),
        (b'\\', [b'U', ..]) => (16, 1, 8),
        (b'\\', _) => (8, 0, 3),
        (b'&', [b'#', ..]) => (10, 1, 6),
        (b'&', _) => {
            let length = tail.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
            return (tail.get(length) == Some(&b';')).then_some(('\0', length.saturating_add(1)));
        }
        _ => return None,
    };
    let (mut code, mut length) = (0_u32, prefix);
    for byte in tail.iter().skip(prefix).take(digits_max) {
        let Some(digit) = char::from(*byte).to_digit(radix) else { break };
        code = code.wrapping_mul(radix).wrapping_add(digit);
        length = length.saturating_add(1);
    }
    (length > prefix).then_some((char::from_u32(code).unwrap_or('\0'), length))
}

/// The letters and digits of a text in base64 that the secret alone decides, if so many bytes stand before it.
fn base64(secret: &str, before: usize) -> Vec<u8> {
    let (mut bits, mut count) = (0_u32, 0_u32);
    let mut digits = Vec::new();
    for byte in [0, 0].into_iter().take(before).chain(secret.bytes()) {
        bits = (bits << 8) | u32::from(byte);
        count = count.saturating_add(8);
        while count >= 6 {
            count = count.saturating_sub(6);
            // Lower and upper case are one; two of the 64 are no letters.
            let digit = u8::try_from((bits >> count) & 0x3f).unwrap_or_default();
            digits.push(match digit {
                0..52 => b'a'.saturating_add(digit % 26),
                52..62 => b'0'.saturating_add(digit.saturating_sub(52)),
                _ => 0,
            });
        }
    }
    let of_others = before.saturating_add(usize::from(before > 0));
    digits.into_iter().skip(of_others).filter(|digit| *digit > 0).collect()
}

/// Marks whatever is as much of the spelling as is enough, of which at most 8 count.
fn mark(letters: &[Letter], spelling: &[u8], enough: usize, is_secret: &mut [bool]) {
    let wanted: Vec<u64> = windows(letters.iter().map(|letter| letter.byte), enough).collect();
    for window in windows(spelling.iter().copied(), enough) {
        for (from, _) in wanted.iter().enumerate().filter(|(_, wanted)| **wanted == window) {
            is_secret.iter_mut().skip(from).take(enough).for_each(|it| *it = true);
        }
    }
}

/// Each run of so many bytes, as a number.
fn windows(bytes: impl Iterator<Item = u8>, length: usize) -> impl Iterator<Item = u64> {
    let mask = u64::MAX >> 64_usize.saturating_sub(length.saturating_mul(8)).min(63);
    let mut window = 0_u64;
    let all = bytes.map(move |byte| {
        window = ((window << 8) | u64::from(byte)) & mask;
        window
    });
    all.skip(length.saturating_sub(1))
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
