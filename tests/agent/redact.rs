use bobbin::agent::redact::without_key;
use proptest::prelude::*;

const KEY: &str = "Zq-test.key_4711";

#[test]
fn a_key_is_not_told_however_it_is_spelled() {
    let chars = || KEY.chars();
    let each = |spell: &dyn Fn(char) -> String| chars().map(spell).collect::<String>();
    let spellings = [
        KEY.to_owned(),
        KEY.to_uppercase(),
        KEY.to_lowercase(),
        chars().rev().collect(),
        each(&|char| format!("{char} ")),
        each(&|char| format!("{char}\u{200b}-")),
        each(&|char| format!("%{:02X}", u32::from(char))),
        each(&|char| format!("%25{:02x}", u32::from(char))),
        each(&|char| format!("&#{};", u32::from(char))),
        each(&|char| format!("&#x{:x};", u32::from(char))),
        each(&|char| format!("&amp;#{};", u32::from(char))),
        each(&|char| format!("\\u{:04x}", u32::from(char))),
        each(&|char| format!("\\x{:02x}", u32::from(char))),
        KEY.replace(['-', '.', '_'], ""),
        each(&|char| format!("&amp;amp;#x{:X};", u32::from(char))),
        each(&|char| format!("{char}&nbsp;")),
        each(&|char| format!("\\\\u{:04X}", u32::from(char))),
        KEY.replace('-', "&amp;").replace('.', "%2E"),
    ];
    for spelling in spellings {
        for text in
            [spelling.clone(), format!("Wrong key '{spelling}', see the docs"), format!("({spelling})")]
        {
            let told = without_key(&text, KEY);
            assert!(told.contains("[redacted]"), "{text}: {told}");
            let left: String = told.replace("[redacted]", "").to_lowercase();
            for part in ["zq", "4711", "1174", "5a", "%", "&#", "\\"] {
                assert!(!left.contains(part), "{text}: {told}");
            }
            assert!(!text.contains("see the docs") || told.ends_with(", see the docs"), "{text}: {told}");
        }
    }
}

#[test]
fn half_a_key_is_not_told_and_four_characters_of_it_are() {
    assert_eq!(without_key("the key Zq-test.key… is wrong", KEY), "the key [redacted]… is wrong");
    assert_eq!(without_key("the key …4711 is wrong", KEY), "the key …4711 is wrong");
}

#[test]
fn a_short_key_is_looked_for_whole_and_a_very_short_one_as_it_is_written() {
    assert_eq!(without_key("no such model: llama3", "ollama"), "no such model: llama3");
    assert_eq!(without_key("key o-l-l-a-m-a", "ollama"), "key [redacted]");
    assert_eq!(without_key("a-b and ab", "ab"), "a-b and [redacted]");
    assert_eq!(without_key("as it is", ""), "as it is");
    assert_eq!(without_key("as it is", "  "), "as it is");
    assert_eq!(without_key("wrong: 密钥", "密钥"), "wrong: [redacted]");
}

proptest! {
    #[test]
    fn words_without_the_key_stay_as_they_are(text in "[a-y %&#;\\\\xu0-36ü😀]{0,60}") {
        prop_assert_eq!(without_key(&text, "ZZZZ9999ZZZZ9999"), text);
    }
}
