//! Quotes an upstream's own words, as far as that is safe.

/// The maximum number of characters in a quote.
pub const QUOTE_CHARS_MAX: usize = 300;

const REDACTED: &str = "[redacted]";
const PATH: &str = "[path]";
/// The prefixes of keys: OpenAI and those who copied it, Stripe-like, Groq, xAI, Google, Hugging Face,
/// NVIDIA, Replicate, Perplexity, and any JSON Web Token.
const KEY_BEGINNINGS: [&str; 11] =
    ["sk-", "sk_", "pk-", "gsk_", "xai-", "AIza", "hf_", "nvapi-", "r8_", "pplx-", "eyJ"];
/// A run of mixed letters and digits of this length is taken for a key. Azure's have 32 hex digits; others
/// are as long in base64.
const BARE_KEY_CHARS_MIN: usize = 24;

/// Reduces a text for comparison to its letters and digits, in lower case.
pub(super) fn letters(text: &str) -> String {
    let is_letter = |char: &char| !char.is_ascii() || char.is_ascii_alphanumeric();
    text.chars().filter(is_letter).map(|char| char.to_ascii_lowercase()).collect()
}

/// Compares bytes, because the standard library's substring search is large, and these texts are short.
pub(crate) fn is_within(part: &str, text: &str) -> bool {
    text.as_bytes().windows(part.len()).any(|window| window == part.as_bytes())
}

/// Returns a message with the upstream's own words, if there are any.
pub(super) fn with_words(message: &str, words: &str) -> String {
    if words.is_empty() { message.to_owned() } else { format!("{message}: {words}") }
}

/// Returns the first line of a text that has a letter, without control characters, credentials and file
/// paths, cut to [`QUOTE_CHARS_MAX`]. Punctuation before the line is kept.
pub(super) fn quote(text: &str) -> String {
    let (mut quoted, mut rest, mut is_after_bearer) = (String::new(), text.trim(), false);
    while let Some(char) = rest.chars().next() {
        let run_bytes = rest.bytes().take_while(|byte| is_run_byte(*byte)).count();
        let length = if run_bytes > 0 { run_bytes } else { char.len_utf8() };
        let (run, tail) = rest.split_at_checked(length).unwrap_or_default();
        rest = tail;
        if run_bytes > 0 {
            let is_secret = std::mem::replace(&mut is_after_bearer, run.eq_ignore_ascii_case("bearer"));
            quoted.push_str(if is_secret || is_key(run) {
                REDACTED
            } else if is_path(run) {
                PATH
            } else {
                run
            });
            continue;
        }
        let is_said = || quoted.bytes().any(|byte| byte != b' ' && !byte.is_ascii_punctuation());
        if char == '\n' && is_said() || quoted.len() > QUOTE_CHARS_MAX.saturating_mul(4) {
            break;
        }
        let is_space = char.is_whitespace() || char.is_control();
        if !is_space || !(quoted.is_empty() || quoted.ends_with(' ')) {
            quoted.push_str(if is_space { " " } else { run });
        }
    }
    quoted.truncate(quoted.trim_end().len());
    let mut chars = quoted.char_indices();
    let end = chars.nth(QUOTE_CHARS_MAX.saturating_sub(1)).map_or(0, |(end, _)| end);
    if chars.next().is_some() {
        quoted.truncate(end);
        quoted.push('…');
    }
    quoted
}

/// Returns whether a byte may be part of a key, a masked key (`sk-…****abcd`), a token or a path.
fn is_run_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'*' | b'+' | b'/' | b'~')
}

/// Returns whether a part of only letters and digits looks like a key, or begins like one.
fn is_key(run: &str) -> bool {
    let (mut letters, mut digits) = (0_usize, 0_usize);
    let mut before = b'-';
    run.bytes().enumerate().any(|(at, byte)| {
        let begins = !std::mem::replace(&mut before, byte).is_ascii_alphanumeric();
        match byte {
            b'0'..=b'9' => digits = digits.saturating_add(1),
            b'a'..=b'z' | b'A'..=b'Z' => letters = letters.saturating_add(1),
            _ => (letters, digits) = (0, 0),
        }
        let is_bare_key = letters > 0 && digits > 0 && letters.saturating_add(digits) >= BARE_KEY_CHARS_MIN;
        is_bare_key || begins && run.get(at..).is_some_and(is_marked)
    })
}

fn is_marked(part: &str) -> bool {
    KEY_BEGINNINGS.iter().any(|beginning| part.starts_with(beginning))
}

/// Returns whether it is a file path. An address, which has two slashes, is not.
fn is_path(run: &str) -> bool {
    run.strip_prefix('/').is_some_and(|rest| !rest.starts_with('/') && rest.bytes().any(|byte| byte == b'/'))
}
