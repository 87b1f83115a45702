//! Compares the JSON reader with `serde_json`.

#![allow(clippy::unwrap_used, clippy::string_slice, clippy::arithmetic_side_effects)]

use bobbin::protocol::json::{Malformed, Reader};
use bobbin::protocol::{Json, to_json};
use proptest::prelude::*;
use serde_json::Value;

#[test]
fn valid_json_is_accepted_and_everything_else_refused() {
    for text in [
        "null",
        " true\n",
        "\tfalse\r",
        "0",
        "-0",
        "12",
        "1.50",
        "1e5",
        "1E+5",
        "-1.5e-5",
        "18446744073709551616",
        "\"\"",
        "\"a\u{7f}ü\"",
        r#""\"\\\/\b\f\n\r\t""#,
        r#""\u00e9\ud83c\uDF89""#,
        "[]",
        "[ ]",
        "[1,[2]]",
        "{}",
        "{ }",
        r#"{"a":1,"b":{"c":[]}}"#,
        r#"{"a":1,"b":2,"a":3}"#,
        r#"{"b":1,"a":2}"#,
        r#"{"":""}"#,
        &nested(127),
    ] {
        agrees(text);
        assert!(Json::parse(text).is_some(), "{text}");
    }
    for text in [
        "",
        " ",
        "nul",
        "nulls",
        "True",
        "+1",
        "01",
        "1.",
        ".5",
        "1e",
        "1e+",
        "-",
        "--1",
        "0x1",
        "NaN",
        "\"",
        "\"\n\"",
        "\"\u{1}\"",
        r#""\x""#,
        r#""\u12""#,
        r#""\u12g4""#,
        "'a'",
        "[",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "[1 2]",
        "]",
        "{",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "{\"a\":1,}",
        "{a:1}",
        "{1:1}",
        "{\"a\" 1}",
        "{}{}",
        "1 1",
        "\u{feff}1",
        "\u{a0}1",
        "[}",
        "{]",
    ] {
        agrees(text);
        assert_eq!(Json::parse(text), None, "{text}");
    }
}

#[test]
fn half_of_a_surrogate_pair_becomes_the_replacement_character() {
    for (text, read) in [
        (r#""\ud83d""#, "\u{fffd}"),
        (r#""a\udc00b""#, "a\u{fffd}b"),
        (r#""\ud800\u0041""#, "\u{fffd}A"),
        (r#""\ud83d\ud83d\ude00""#, "\u{fffd}😀"),
        (r#""\ude00\ud83d""#, "\u{fffd}\u{fffd}"),
        (r#""\ud83d\n""#, "\u{fffd}\n"),
        (r#""\ud83d\\ude00""#, "\u{fffd}\\ude00"),
    ] {
        assert_eq!(Json::parse(text), Some(Json::String(read.into())), "{text}");
    }
    assert_eq!(Json::parse(r#"{"\ud83d":1}"#), Json::parse("{\"\u{fffd}\":1}"));
    for text in [r#""\ud83d\u12""#, r#""\ud83d\x""#, r#""\ud83""#] {
        assert_eq!(Json::parse(text), None, "{text}");
    }
}

#[test]
fn a_value_that_is_nested_too_deep_is_refused_and_can_be_skipped() {
    for text in [nested(128), nested(1_000_000), "{\"a\":".repeat(100_000) + "1" + &"}".repeat(100_000)] {
        assert_eq!(Reader::read(&text, Reader::value), Err(Malformed::Deep));
        assert_eq!(Reader::read(&text, Reader::skip), Ok(()));
        assert_eq!(Reader::read(&text[..text.len() - 1], Reader::skip), Err(Malformed::Cut));
    }
    assert!(Reader::read(&nested(127), Reader::value).is_ok());
}

#[test]
fn a_text_that_is_cut_off_differs_from_one_that_is_wrong() {
    let whole = r#"{"a":[true,null,-1.5e5,"b\n\ud83c\udf89ü"]}"#;
    for (end, _) in whole.char_indices() {
        assert_eq!(Reader::read(&whole[..end], Reader::value), Err(Malformed::Cut), "{end}");
        assert_eq!(Reader::read(&whole[..end], Reader::skip), Err(Malformed::Cut), "{end}");
    }
    assert_eq!(Reader::read(r#"{"a":tree"#, Reader::value), Err(Malformed::Wrong));
}

#[test]
fn half_a_character_is_read_as_the_replacement_character() {
    for (text, read) in [
        (r#""\ud800""#, "\u{fffd}"),
        (r#""\udc00""#, "\u{fffd}"),
        (r#""a\uDBFFb\uDFFFc""#, "a\u{fffd}b\u{fffd}c"),
        (r#""\ud800\u0041""#, "\u{fffd}A"),
        (r#""\ud83c\ud83c\udf89""#, "\u{fffd}🎉"),
        (r#""\udf89\ud83c""#, "\u{fffd}\u{fffd}"),
        (r#""\ud83c\\udf89""#, "\u{fffd}\\udf89"),
        (r#""\ud83c\n""#, "\u{fffd}\n"),
        (r#""\\ud83c""#, "\\ud83c"),
    ] {
        agrees(text);
        assert_eq!(Json::parse(text), Some(Json::String(read.to_owned())), "{text}");
    }
    assert_eq!(Json::parse(r#"{"\ud800":1}"#), Json::parse("{\"\u{fffd}\":1}"));
    assert_eq!(Json::parse(r#""\ud800\u12g4""#), None);
    assert_eq!(
        Reader::read(r#" "a\ud83c""#, Reader::string_as_written),
        Ok(("a\u{fffd}".into(), r#""a\ud83c""#))
    );
}

#[test]
fn a_skipped_value_only_has_to_end() {
    for odd in
        ["NaN", "-Infinity", "0x1F", "01", r#""\x \u12g4""#, "\"\u{1}\"", "[1,,2]", "{a:1}", &nested(9_999)]
    {
        let text = format!(r#"[{odd}, "after"]"#);
        let mut after = String::new();
        let mut is_first = true;
        let read = Reader::read(&text, |reader| {
            reader.array(&mut |reader| {
                if std::mem::take(&mut is_first) {
                    return reader.skip();
                }
                reader.string().map(|text| after = text.into_owned())
            })
        });
        assert_eq!((read, after.as_str()), (Ok(()), "after"), "{odd}");
    }
    for none in ["", ",", "]", "\"", "[\"]", "1 1"] {
        assert!(Reader::read(none, Reader::skip).is_err(), "{none}");
    }
}

#[test]
fn a_foreign_string_may_contain_characters_that_json_requires_to_be_escaped() {
    for (text, read) in [("\"a\tb\u{0}\"", "a\tb\u{0}"), (r#""it\'s \x41""#, "it's x41")] {
        assert_eq!(Reader::read_foreign(text, Reader::string), Ok(read.into()));
        assert_eq!(Reader::read(text, Reader::string), Err(Malformed::Wrong));
    }
    let at_fault = [
        (r#""\ü""#, "\\ü"),
        (r#""\u12g4""#, "\u{fffd}12g4"),
        (r#""\u{41}\u""#, "\u{fffd}{41}\u{fffd}"),
        (r#""\ud83d\u12""#, "\u{fffd}\u{fffd}12"),
    ];
    for (text, read) in at_fault {
        assert_eq!(Reader::read_foreign(text, Reader::string), Ok(read.into()));
        assert_eq!(Reader::read(text, Reader::string), Err(Malformed::Wrong));
    }
}

#[test]
fn a_number_is_written_as_it_was_read() {
    for text in ["0", "-0", "1.50", "1E+5", "18446744073709551616", "7.2992818284590451", "1e999"] {
        assert_eq!(to_json(&Json::parse(text).unwrap()), text);
    }
}

#[test]
fn the_order_of_fields_makes_no_difference_and_the_last_of_a_name_counts() {
    assert_eq!(Json::parse(r#"{"b":1,"a":2,"b":3}"#), Json::parse(r#"{"a":2,"b":3}"#));
    assert_ne!(Json::parse("[1,2]"), Json::parse("[2,1]"));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn any_code_units_are_read_as_the_nearest_text(
        units in proptest::collection::vec(prop_oneof![0xd7ff..0xe001_u16, any::<u16>()], 0..12),
    ) {
        let escape = |text: String, unit: &u16| text + &format!("\\u{unit:04x}");
        let escaped = units.iter().fold(String::new(), escape);
        let read = Json::parse(&format!("\"{escaped}\""));
        prop_assert_eq!(read, Some(Json::String(String::from_utf16_lossy(&units))));
    }

    #[test]
    fn any_text_is_read_alike(text in any::<String>()) {
        agrees(&text);
    }

    #[test]
    fn any_text_of_the_parts_of_json_is_read_alike(
        text in r#"([\[\]{}:,"\\]|"[abü]?":?|\\u[0-9a-bA-B][89a-f0][0-9]{2}|\\[nb/]|null|true|-|0|1\.|2|e|\+| ){0,12}"#,
    ) {
        agrees(&text);
        agrees(&format!("[{text}]"));
        agrees(&format!("{{\"a\":{text}}}"));
        agrees(&format!("\"{text}\""));
    }
}

/// Halves of characters are excepted, because `serde_json` refuses them.
fn agrees(text: &str) {
    let theirs = serde_json::from_str::<Value>(&without_halves(text)).ok();
    let ours = Json::parse(text);
    let again = ours.as_ref().map(to_json);
    assert_eq!(again.as_deref().map(|json| serde_json::from_str::<Value>(json).unwrap()), theirs, "{text}");
    assert_eq!(again.as_deref().and_then(Json::parse), ours, "{text}");
    assert!(theirs.is_none() || Reader::read(text, Reader::skip) == Ok(()), "{text}");
    assert!(theirs.is_none() || Reader::read_foreign(text, Reader::value).ok() == ours, "{text}");
}

/// Replaces every escaped surrogate that lacks the other one by `\ufffd`.
fn without_halves(text: &str) -> String {
    let unit_at = |at: usize| {
        let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok()
    };
    let (mut whole, mut at) = (String::new(), 0);
    while let Some(char) = text[at..].chars().next() {
        let units = (unit_at(at), unit_at(at + 6));
        let (written, length) = match units {
            (Some(0xd800..0xdc00), Some(0xdc00..0xe000)) => (&text[at..at + 12], 12),
            (Some(0xd800..0xe000), _) => ("\\ufffd", 6),
            _ if char == '\\' => {
                let escaped = text[at + 1..].chars().next().map_or(0, char::len_utf8);
                (&text[at..=at + escaped], 1 + escaped)
            }
            _ => (&text[at..at + char.len_utf8()], char.len_utf8()),
        };
        whole.push_str(written);
        at += length;
    }
    whole
}

fn nested(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}
