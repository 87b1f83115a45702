use bobbin::agent::redact::{Secrets, without_words};
use proptest::prelude::*;

const KEY: &str = "Zq-test.key_4711";
/// [`KEY`] in base64, after zero, one and two other bytes.
const ENCODED: [&str; 3] =
    ["WnEtdGVzdC5rZXlfNDcxMQ==", "Olpx LXRl c3Qu a2V5 XzQ3 MTE=", "eDpacS10ZXN0LmtleV80NzEx"];

#[test]
fn a_key_is_redacted_however_it_is_spelled() {
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
        each(&|char| format!("\\u{{{:x}}}", u32::from(char))),
        each(&|char| format!("\\{:03o}", u32::from(char))),
        each(&|char| format!("{char}\\n")).trim_end_matches("\\n").to_owned(),
        each(&|char| format!("{char}\u{200b}😀\u{ad}")),
        each(&|char| format!("{:02x}", u32::from(char))),
        each(&|char| format!("{:02X} ", u32::from(char))),
        each(&|char| format!("={:02X}", u32::from(char))),
        KEY.replace("Zq", "**"),
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
fn a_key_in_base64_is_redacted() {
    for encoded in ENCODED {
        let told = without_key(&format!("got {encoded} here"), KEY);
        let left = told.replace("[redacted]", "").replace("got ", "").replace(" here", "");
        assert!(told.contains("[redacted]") && left.len() <= 4, "{encoded}: {told}");
    }
}

#[test]
fn eight_letters_of_a_long_key_are_redacted_and_the_seven_of_a_mask_are_not() {
    let key = "sk-abcdefghijklmnopqrstuvwx";
    assert_eq!(without_key("the key sk-abcde…tuvwx", key), "the key sk-abcde…tuvwx");
    assert_eq!(without_key("the key sk-abcdef…rstuvwx", key), "the key [redacted]…rstuvwx");
}

#[test]
fn every_secret_of_an_agent_is_redacted_and_short_headers_are_not_secret() {
    let mut secrets = Secrets::default();
    secrets.add("sk-of-the-key", false);
    secrets.add("Bearer of-the-header", true);
    secrets.add("beta", true);
    assert_eq!(secrets.hidden("beta: sk-of-the-key"), "beta: [redacted]");
    assert_eq!(secrets.hidden("got OF THE HEADER"), "got [redacted]");
}

#[test]
fn conversation_text_is_redacted_in_any_script_and_the_words_around_it_are_kept() {
    for (said, text, told) in [
        ("My secret question, at length", "flagged: my SECRET question, at…", "flagged: [redacted]…"),
        ("Мой секретный вопрос", "flagged: «секретный вопрос»", "flagged: «[redacted]»"),
        ("我的秘密问题", "不允许：秘密问题。", "不允许：[redacted]。"),
        ("this", "this is wrong", "this is wrong"),
    ] {
        assert_eq!(without_words(text, said), told, "{said}");
    }
}

#[test]
fn half_a_key_is_redacted_and_four_characters_of_it_are_not() {
    assert_eq!(without_key("the key Zq-test.key… is wrong", KEY), "the key [redacted]… is wrong");
    assert_eq!(without_key("the token …4711 is wrong", KEY), "the token …4711 is wrong");
}

#[test]
fn a_short_key_is_redacted_only_as_a_whole_and_a_very_short_one_not_at_all() {
    assert_eq!(without_key("no such model: llama3", "ollama"), "no such model: llama3");
    assert_eq!(without_key("key o-l-l-a-m-a", "ollama"), "key [redacted]");
    assert_eq!(without_key("a-b and abc", "abc"), "a-b and abc");
    assert_eq!(without_key("as it is", ""), "as it is");
    assert_eq!(without_key("as it is", "  "), "as it is");
}

proptest! {
    #[test]
    fn words_without_the_key_are_unchanged(text in "[a-y %&#;\\\\xu0-36ü😀]{0,60}") {
        prop_assert_eq!(without_key(&text, "ZZZZ9999ZZZZ9999"), text);
    }
}

fn without_key(text: &str, key: &str) -> String {
    let mut secrets = Secrets::default();
    secrets.add(key, false);
    secrets.hidden(text)
}
