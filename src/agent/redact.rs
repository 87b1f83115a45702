//! What an endpoint repeats of the key that it was given is not passed on, however it spells it.

const REDACTED: &str = "[redacted]";
/// So many letters and digits of a key in a row are taken for it. A shorter key is looked for whole.
const PART_CHARS: usize = 8;
/// A key of fewer letters and digits is looked for as it is written: in pieces it would be in every text.
const SPELLED_CHARS_MIN: usize = 4;

/// A letter or digit of a text, in lower case, and where it stands there.
struct Letter {
    byte: u8,
    start: usize,
    end: usize,
}

/// The text without anything that could be the key: as it is, in pieces, with anything between its
/// letters and digits, reversed, in another case, percent-encoded, as character references or escapes.
#[must_use]
pub fn without_key(text: &str, key: &str) -> String {
    let key = key.trim();
    let mut spelling: Vec<u8> = key.bytes().filter(u8::is_ascii_alphanumeric).collect();
    let is_spelled = spelling.len() >= SPELLED_CHARS_MIN;
    if is_spelled {
        spelling.make_ascii_lowercase();
    } else {
        spelling = key.into();
    }
    let letters = letters(text.as_bytes(), is_spelled);
    let mut is_secret = vec![false; letters.len()];
    mark(&letters, &spelling, &mut is_secret);
    if is_spelled {
        spelling.reverse();
        mark(&letters, &spelling, &mut is_secret);
    }
    redacted(text, &letters, &is_secret)
}

/// The letters and digits that are meant, or all bytes as they are.
fn letters(text: &[u8], is_spelled: bool) -> Vec<Letter> {
    let (mut letters, mut rest) = (Vec::new(), text);
    while let Some(first) = rest.first() {
        let (byte, length) = Some(rest).filter(|_| is_spelled).and_then(escape).unwrap_or((*first, 1));
        let start = text.len().saturating_sub(rest.len());
        rest = rest.get(length..).unwrap_or_default();
        let end = text.len().saturating_sub(rest.len());
        if !is_spelled {
            letters.push(Letter { byte, start, end });
        } else if byte.is_ascii_alphanumeric() {
            letters.push(Letter { byte: byte.to_ascii_lowercase(), start, end });
        }
    }
    letters
}

/// What `%41`, `\x41`, `\u0041`, `&#65;` or `&#x41;` stands for, and the length of that. Where `%` and `&`
/// are encoded themselves, that is undone too; any other reference is no letter.
fn escape(rest: &[u8]) -> Option<(u8, usize)> {
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
    meant.or((mark > 1).then_some((0, mark)))
}

/// What the reference stands for whose first character ends at `mark`, and its length behind that.
fn reference(rest: &[u8], mark: usize) -> Option<(u8, usize)> {
    let tail = rest.get(mark..)?;
    let (radix, prefix, digits_max) = match (rest.first()?, tail) {
        (b'%', _) => (16, 0, 2),
        (b'\\', [b'x' | b'u', ..]) => (16, 1, 4),
        (b'&', [b'#', b'x' | b'X', ..]) => (16, 2, 6),
        (b'&', [b'#', ..]) => (10, 1, 6),
        (b'&', _) => {
            let length = tail.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
            return (tail.get(length) == Some(&b';')).then_some((0, length.saturating_add(1)));
        }
        _ => return None,
    };
    let (mut code, mut length) = (0_u32, prefix);
    for byte in tail.iter().skip(prefix).take(digits_max) {
        let Some(digit) = char::from(*byte).to_digit(radix) else { break };
        code = code.wrapping_mul(radix).wrapping_add(digit);
        length = length.saturating_add(1);
    }
    (length > prefix).then_some((u8::try_from(code).unwrap_or(0), length))
}

/// Marks whatever is as much of the spelling as is enough.
fn mark(letters: &[Letter], spelling: &[u8], is_secret: &mut [bool]) {
    let enough = spelling.len().min(PART_CHARS);
    for from in 0..letters.len() {
        for at in 0..spelling.len() {
            let pairs = letters.iter().skip(from).zip(spelling.iter().skip(at));
            let length = pairs.take_while(|(letter, byte)| letter.byte == **byte).count();
            if length >= enough {
                is_secret.iter_mut().skip(from).take(length).for_each(|it| *it = true);
            }
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
