//! What may be told of an upstream's own words.

/// Characters of an upstream's text that a message quotes.
pub const QUOTE_CHARS_MAX: usize = 300;

const REDACTED: &str = "[redacted]";
const PATH: &str = "[path]";
/// How keys begin: OpenAI and those who copied it, Stripe-like, Groq, xAI, Google, Hugging Face, NVIDIA,
/// Replicate, Perplexity, and any JSON Web Token.
const KEY_BEGINNINGS: [&str; 11] =
    ["sk-", "sk_", "pk-", "gsk_", "xai-", "AIza", "hf_", "nvapi-", "r8_", "pplx-", "eyJ"];
/// Letters and digits in one run, mixed, from which on it is taken for a key: Azure's are 32 hex digits.
const BARE_KEY_CHARS_MIN: usize = 32;

/// The text's first line that is not blank, without control characters, credentials and file paths, cut
/// to [`QUOTE_CHARS_MAX`].
pub(super) fn quote(text: &str) -> String {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let mut quoted = String::new();
    let mut after_bearer = false;
    for word in line.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        if !quoted.is_empty() {
            quoted.push(' ');
        }
        if after_bearer {
            quoted.push_str(REDACTED);
        } else {
            push_word(word, &mut quoted);
        }
        let name = word.trim_matches(|c: char| !c.is_ascii_alphabetic());
        after_bearer = name.eq_ignore_ascii_case("bearer");
        if quoted.len() > QUOTE_CHARS_MAX.saturating_mul(4) {
            break;
        }
    }
    if quoted.chars().count() > QUOTE_CHARS_MAX {
        quoted = quoted.chars().take(QUOTE_CHARS_MAX.saturating_sub(1)).chain(['…']).collect();
    }
    quoted
}

fn push_word(word: &str, out: &mut String) {
    let mut rest = word;
    while let Some(first) = rest.chars().next() {
        let in_run = is_run_char(first);
        let end = rest.find(|c| is_run_char(c) != in_run).unwrap_or(rest.len());
        let Some((run, tail)) = rest.split_at_checked(end) else {
            return;
        };
        out.push_str(if !in_run {
            run
        } else if is_key(run) {
            REDACTED
        } else if is_path(run) {
            PATH
        } else {
            run
        });
        rest = tail;
    }
}

/// The characters of keys, masked keys (`sk-…****abcd`), tokens and paths.
fn is_run_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '*' | '+' | '/' | '~')
}

fn is_key(run: &str) -> bool {
    run.split(['/', '.', '+', '~', '*']).any(is_key_part)
}

fn is_key_part(part: &str) -> bool {
    part.split(['-', '_']).any(is_bare_key)
        || KEY_BEGINNINGS.iter().any(|beginning| begins_within(part, beginning))
}

fn is_bare_key(part: &str) -> bool {
    part.len() >= BARE_KEY_CHARS_MIN
        && part.bytes().any(|byte| byte.is_ascii_digit())
        && part.bytes().any(|byte| byte.is_ascii_alphabetic())
}

/// Whether the part, or what follows a dash or underscore in it, begins so.
fn begins_within(part: &str, beginning: &str) -> bool {
    let mut before = '-';
    part.char_indices().any(|(at, char)| {
        let is_begin = !std::mem::replace(&mut before, char).is_ascii_alphanumeric();
        is_begin && part.get(at..).is_some_and(|rest| rest.starts_with(beginning))
    })
}

/// A file's path; an address, whose slashes stand in pairs, is none.
fn is_path(run: &str) -> bool {
    run.strip_prefix('/').is_some_and(|rest| !rest.starts_with('/') && rest.contains('/'))
}
