//! Words: how texts are indexed, and how queries are read.
//!
//! SQLite's tokenizer splits texts at characters that are not letters, and finds words by their beginnings.
//! Some scripts write no spaces between words, or have words inside others. There each character becomes a
//! word of its own, and a run of them in a query becomes a phrase. Emoji are words too. The later parts of a
//! name such as `getUserName` are added once more after the text.
//!
//! [`MARK`] comes before each word. It splits words that the tokenizer would not; in the index of each
//! owner's words it is replaced by the owner's key.

use crate::protocol::CollectVec;
use crate::protocol::limits::{INDEXED_BYTES_MAX, QUERY_WORDS_MAX};

/// Comes before each word of a text, and at its beginning. A text without it was written by an older build.
pub const MARK: char = '\u{1f}';
/// Comes before each word that is added only for the search. A snippet ends before it.
pub const HIDDEN: char = '\u{1e}';

/// Marks the beginning of a text that does not begin with a word. The space keeps the mark apart from the
/// first word.
const BEGINNING: &str = "\u{1f} ";

/// The maximum length of a name that is split, and of each part.
const NAME_BYTES_MAX: usize = 64;
const PART_BYTES_MAX: usize = 24;
/// The maximum length of all such parts of a text.
const PARTS_BYTES_MAX: usize = 16 * 1024;

/// SQLite's index knows beginnings of words up to this many letters.
const PREFIX_CHARS_MAX: usize = 3;

/// Returns a text, in Unicode's form NFKC, as it is indexed. Without marks it reads as before, except for the
/// vowel points of Arabic and Hebrew, which are left out.
#[must_use]
pub fn searchable(text: &str) -> String {
    let mut words = marked(text, INDEXED_BYTES_MAX, is_word_alone);
    if !words.starts_with(MARK) {
        words.insert_str(0, BEGINNING);
    }
    let parts_end = words.len().saturating_add(PARTS_BYTES_MAX);
    for name in text.split(|letter: char| !letter.is_ascii_alphanumeric()) {
        if name.len() <= NAME_BYTES_MAX && words.len() < parts_end {
            push_later_parts(&mut words, name);
        }
    }
    words
}

/// Adds the rest of a name from each of its capitals on, except the first.
fn push_later_parts(words: &mut String, name: &str) {
    let mut before = b'A';
    for (at, letter) in name.bytes().enumerate() {
        let part = name.get(at..).unwrap_or_default();
        let is_followed = part.as_bytes().get(1).is_some_and(u8::is_ascii_lowercase);
        let begins = letter.is_ascii_uppercase() && (!before.is_ascii_uppercase() || is_followed);
        if begins && at > 0 {
            words.extend([HIDDEN, MARK]);
            words.push_str(part.get(..PART_BYTES_MAX).unwrap_or(part));
        }
        before = letter;
    }
}

/// A query in FTS5's language. Nothing in the query is taken for syntax.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expressions {
    /// Every word must be found, and each may be only the beginning of a longer one. The strings follow each
    /// other without AND, so that the tokenizer ignores those in which it finds no word.
    pub words: String,
    /// The same for texts of older builds.
    pub older_words: String,
    /// Finds the place of the words in a text: each whole, or by the first letters that the index knows. With
    /// a longer beginning, SQLite would go through all words that begin that way, again for every text.
    pub places: String,
}

impl Expressions {
    /// Returns the expressions for a query in Unicode's form NFKC; `None` if it has no word.
    #[must_use]
    pub fn of(query: &str) -> Option<Self> {
        let is_word =
            |word: &&str| word.bytes().any(|letter| letter.is_ascii_alphanumeric() || !letter.is_ascii());
        let words: Vec<&str> = query.split_whitespace().filter(is_word).take(QUERY_WORDS_MAX).collect_vec();
        let each = |phrase: fn(&str) -> String, between| {
            let phrases: Vec<String> = words.iter().map(|word| phrase(word)).collect_vec();
            phrases.join(between)
        };
        (!words.is_empty()).then(|| Expressions {
            words: each(|word| format!("\"{}\"*", quoted(word, is_word_alone)), " "),
            older_words: each(|word| format!("\"{}\"*", quoted(word, was_word_alone)), " "),
            places: each(place, " OR "),
        })
    }
}

fn place(word: &str) -> String {
    let whole = quoted(word, is_word_alone);
    let at_mark = whole.rfind(MARK).and_then(|at| whole.split_at_checked(at));
    let (before, last) = at_mark.unwrap_or(("", &whole));
    let begun: String = last.chars().take(PREFIX_CHARS_MAX.saturating_add(1)).collect();
    // A beginning of one letter is not in the index, and a quotation mark that was doubled must not be cut in
    // half.
    let is_known = begun.chars().count() > 2 && !begun.bytes().any(|byte| byte == b'"');
    if is_known { format!("\"{whole}\" OR \"{before}{begun}\"*") } else { format!("\"{whole}\"") }
}

fn quoted(word: &str, is_alone: fn(char) -> bool) -> String {
    // A quotation mark inside a string is doubled (SQLite, FTS5 query syntax); NUL would end the string.
    marked(word, INDEXED_BYTES_MAX, is_alone).replace('"', "\"\"").replace('\0', " ")
}

/// Puts a mark before each word of a text, up to this length.
fn marked(text: &str, bytes_max: usize, is_alone: fn(char) -> bool) -> String {
    let mut words = String::with_capacity(text.len());
    let mut before = None;
    let letters = text.chars().filter(|letter| !matches!(*letter, MARK | HIDDEN) && !is_vowel_point(*letter));
    for letter in letters {
        if words.len() > bytes_max {
            break;
        }
        let stands_apart = |letter: char| is_alone(letter) || !is_letter(letter);
        let begins = is_alone(letter) || (is_letter(letter) && before.is_none_or(stands_apart));
        if begins && !is_variation(letter) {
            words.push(MARK);
        }
        words.push(letter);
        before = Some(letter);
    }
    words
}

/// Returns whether it is a letter, digit or mark of a script that writes spaces between words. One that is
/// missing here counts as the end of a word, both in texts and in queries.
fn is_letter(letter: char) -> bool {
    letter.is_ascii_alphanumeric()
        || matches!(letter, 'ª' | 'µ' | 'º' | 'À'..='\u{58f}' | '\u{5d0}'..='\u{60b}' | '\u{620}'..='\u{669}'
            | '\u{66e}'..='\u{6d3}' | '\u{6d5}'..='\u{963}' | '\u{966}'..='\u{dff}' | '\u{10a0}'..='\u{10ff}'
            | '\u{1200}'..='\u{135f}' | '\u{13a0}'..='\u{13ff}' | '\u{1e00}'..='\u{1fff}')
            && !is_separator(letter)
        || is_word_alone(letter)
}

/// Returns the same for texts from before [`MARK`] was put before words.
fn was_word_alone(letter: char) -> bool {
    is_word_alone(letter) && !is_hangul(letter)
}

fn is_word_alone(letter: char) -> bool {
    is_hangul(letter)
        || !is_separator(letter)
            && matches!(letter,
        '\u{0e00}'..='\u{0eff}' // Thai, Lao
        | '\u{1000}'..='\u{109f}' // Myanmar
        | '\u{1780}'..='\u{17ff}' // Khmer
        | '\u{231a}'..='\u{23ff}' | '\u{2600}'..='\u{27bf}' | '\u{2b00}'..='\u{2bff}' | '\u{1f000}'..='\u{1faff}' // emoji
        | '\u{3040}'..='\u{30ff}' // Hiragana, Katakana
        | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' // Han
        | '\u{20000}'..='\u{3ffff}')
}

/// Returns whether the tokenizer splits there although Unicode counts it as a letter: punctuation, currency
/// signs and mathematical signs. In the index of each owner's words, a mark before such a character would be
/// taken for a word itself.
fn is_separator(letter: char) -> bool {
    matches!(letter,
        '×' | '÷' | '\u{2c2}'..='\u{2c5}' | '\u{2d2}'..='\u{2df}' | '\u{2e5}'..='\u{2eb}' | '\u{2ed}' | '\u{2ef}'..='\u{2ff}'
        | '\u{375}' | '\u{3f6}' | '\u{55a}'..='\u{55f}' | '\u{589}' | '\u{58a}' | '\u{58f}' // Greek, Armenian
        | '\u{5f3}' | '\u{5f4}' | '\u{600}'..='\u{604}' | '\u{606}'..='\u{60b}' | '\u{6dd}' // Hebrew, Arabic
        | '\u{700}'..='\u{70d}' | '\u{70f}' | '\u{7f7}'..='\u{7f9}' | '\u{830}'..='\u{83e}' | '\u{85e}' // Syriac, N'Ko, Samaritan, Mandaic
        | '\u{970}' | '\u{9f2}' | '\u{9f3}' | '\u{9fb}' | '\u{af0}' | '\u{af1}' | '\u{bf9}' | '\u{df4}' // of India and Sri Lanka
        | '\u{e3f}' | '\u{e4f}' | '\u{e5a}' | '\u{e5b}' | '\u{104a}'..='\u{104f}' | '\u{10fb}' // Thai, Myanmar, Georgian
        | '\u{17d4}'..='\u{17d6}' | '\u{17d8}'..='\u{17db}' // Khmer
        | '\u{2320}' | '\u{2321}' | '\u{237c}' | '\u{239b}'..='\u{23b3}' | '\u{23dc}'..='\u{23e1}' | '\u{266f}'
        | '\u{2768}'..='\u{2775}' | '\u{2b30}'..='\u{2b44}' | '\u{2b47}'..='\u{2b4c}'
        | '\u{30a0}' | '\u{30fb}') // Katakana
}

fn is_hangul(letter: char) -> bool {
    matches!(letter, '\u{1100}'..='\u{11ff}' | '\u{3130}'..='\u{318f}' | '\u{ac00}'..='\u{d7ff}')
}

/// Returns whether it only changes the appearance of the character before it.
fn is_variation(letter: char) -> bool {
    matches!(letter, '\u{fe00}'..='\u{fe0f}')
}

fn is_vowel_point(letter: char) -> bool {
    matches!(letter,
        '\u{0591}'..='\u{05bd}' | '\u{05bf}' | '\u{05c1}' | '\u{05c2}' | '\u{05c4}' | '\u{05c5}' | '\u{05c7}'
        | '\u{0610}'..='\u{061a}' | '\u{0640}' | '\u{064b}'..='\u{065f}' | '\u{0670}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexed_text_reads_as_before() {
        for text in ["plain words", "(東京 tower)", "대학교에서 ■개요", "❤\u{fe0f} 👨\u{200d}👩", ""]
        {
            assert_eq!(searchable(text).replace(MARK, "").trim_start(), text);
        }
        let words = searchable("call getUserName()").replace(MARK, "");
        assert_eq!(words.split_once(HIDDEN).unwrap().0, "call getUserName()");
    }

    #[test]
    fn a_mark_precedes_each_word_and_the_text() {
        let marks = |text| searchable(text).replace(MARK, "|");
        assert_eq!(marks("plain, words"), "|plain, |words");
        assert_eq!(marks("■개요 «x»"), "| ■|개|요 «|x»");
        assert_eq!(marks("a_b.c Straße"), "|a_|b.|c |Straße");
        assert_eq!(marks("⌚watch ©2024"), "|⌚|watch ©|2024");
        assert_eq!(marks("״שלום״ ৳500"), "| ״|שלום״ ৳|500");
        assert_eq!(marks("ス・ミ ฿25 C♯m"), "|ス・|ミ ฿|25 |C♯|m");
        assert_eq!(marks(""), "| ");
    }

    #[test]
    fn the_later_parts_of_a_name_are_indexed_too() {
        let parts = |name| {
            let words = searchable(name).replace(MARK, "");
            words.split(HIDDEN).skip(1).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(parts("getUserName"), ["UserName", "Name"]);
        assert_eq!(parts("XMLHttpRequest2Go"), ["HttpRequest2Go", "Request2Go", "Go"]);
        for name in ["plain", "Plain", "UPPER", "", "x"] {
            assert_eq!(parts(name), Vec::<String>::new(), "{name}");
        }
    }

    #[test]
    fn the_indexed_words_of_the_longest_answer_fit_into_its_row() {
        let names = "getUserName ".repeat(crate::protocol::limits::ANSWER_BYTES_MAX / 12);
        let han = "東".repeat(crate::protocol::limits::ANSWER_BYTES_MAX / 3);
        for answer in [names, han] {
            assert!(searchable(&answer).len() <= INDEXED_BYTES_MAX + PARTS_BYTES_MAX + 64);
        }
    }

    #[test]
    fn a_query_is_words_and_never_syntax() {
        let words = |query| Expressions::of(query).map(|found| found.words.replace(MARK, "|"));
        assert_eq!(words("hello wor").as_deref(), Some("\"|hello\"* \"|wor\"*"));
        assert_eq!(words("a\"b OR c*").as_deref(), Some("\"|a\"\"|b\"* \"|OR\"* \"|c*\"*"));
        assert_eq!(words("  \" - *  "), None);
        assert_eq!(words("🎉").as_deref(), Some("\"|🎉\"*"));
    }

    #[test]
    fn places_are_searched_only_by_beginnings_that_the_index_knows() {
        let places = |query| Expressions::of(query).unwrap().places.replace(MARK, "|");
        assert_eq!(places("common"), "\"|common\" OR \"|com\"*");
        assert_eq!(places("c 학교 ab"), "\"|c\" OR \"|학|교\" OR \"|ab\" OR \"|ab\"*");
        assert_eq!(places("a.xy\""), "\"|a.|xy\"\"\"");
    }

    #[test]
    fn texts_of_older_builds_are_searched_for_whole_words_of_hangul() {
        let older = Expressions::of("학교 東京").unwrap().older_words.replace(MARK, "|");
        assert_eq!(older, "\"|학교\"* \"|東|京\"*");
    }
}
