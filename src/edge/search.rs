//! Words: what is indexed of a text, and what a query asks for.
//!
//! SQLite's tokenizer splits at what is no letter. Scripts that write no spaces between words would
//! become one word a sentence; a zero-width space between their characters makes each a word of its
//! own, and a query's run of them a phrase. Emoji are words too.

use crate::protocol::limits::{INDEXED_BYTES_MAX, QUERY_WORDS_MAX};

const ZERO_WIDTH_SPACE: char = '\u{200b}';

/// A text as it is indexed. It looks as before, but for the vowel points that Arabic and Hebrew are
/// read without.
#[must_use]
pub fn searchable(text: &str) -> String {
    let mut words = String::with_capacity(text.len());
    let mut after_a_word = false;
    let letters = text.chars().filter(|letter| *letter != ZERO_WIDTH_SPACE && !is_vowel_point(*letter));
    for letter in letters {
        if words.len() > INDEXED_BYTES_MAX {
            break;
        }
        let is_a_word = is_word_alone(letter);
        if (is_a_word || after_a_word) && !is_variation(letter) {
            words.push(ZERO_WIDTH_SPACE);
        }
        words.push(letter);
        after_a_word = is_a_word;
    }
    words
}

/// A user's query in FTS5's language: every word must be found, and each may be only the beginning of a longer one.
/// `None` if there is no word in it. Nothing in the query is taken for syntax. The strings stand one after another
/// without AND, so that the tokenizer leaves out those that it finds no word in.
#[must_use]
pub fn match_expression(query: &str) -> Option<String> {
    let is_word =
        |word: &&str| word.bytes().any(|letter| letter.is_ascii_alphanumeric() || !letter.is_ascii());
    let words: Vec<String> =
        query.split_whitespace().filter(is_word).take(QUERY_WORDS_MAX).map(phrase).collect();
    (!words.is_empty()).then(|| words.join(" "))
}

fn phrase(word: &str) -> String {
    // A quotation mark inside a string is doubled (SQLite, FTS5 query syntax); NUL would end it.
    let quoted = searchable(word).replace('"', "\"\"").replace('\0', " ");
    format!("\"{quoted}\"*")
}

fn is_word_alone(letter: char) -> bool {
    matches!(letter,
        '\u{0e00}'..='\u{0eff}' // Thai, Lao
        | '\u{1000}'..='\u{109f}' // Myanmar
        | '\u{1780}'..='\u{17ff}' // Khmer
        | '\u{3040}'..='\u{30ff}' // Hiragana, Katakana
        | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' // Han
        | '\u{20000}'..='\u{3ffff}'
        | '\u{2600}'..='\u{27bf}' | '\u{1f000}'..='\u{1faff}') // emoji
}

/// Says how the character before it looks.
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
    fn what_is_indexed_reads_as_before() {
        assert_eq!(searchable("plain words"), "plain words");
        assert_eq!(searchable("東京 tower").replace(ZERO_WIDTH_SPACE, ""), "東京 tower");
    }

    #[test]
    fn what_is_indexed_of_the_longest_answer_fits_into_a_row_beside_it() {
        let answer = "東".repeat(crate::protocol::limits::ANSWER_BYTES_MAX / 3);
        assert!(searchable(&answer).len() <= INDEXED_BYTES_MAX + 8);
    }

    #[test]
    fn a_query_is_words_and_never_syntax() {
        assert_eq!(match_expression("hello wor").as_deref(), Some("\"hello\"* \"wor\"*"));
        assert_eq!(match_expression("a\"b OR c*").as_deref(), Some("\"a\"\"b\"* \"OR\"* \"c*\"*"));
        assert_eq!(match_expression("  \" - *  "), None);
        assert_eq!(match_expression("🎉").as_deref(), Some("\"\u{200b}🎉\"*"));
    }
}
