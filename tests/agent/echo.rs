use bobbin::agent::echo;
use bobbin::protocol::Role;
use proptest::prelude::*;
use serde_json::json;

use super::{blocks, call, request, result, text, user};

#[test]
fn the_echo_repeats_the_users_last_text_and_no_other_block() {
    let message = blocks(
        Role::User,
        vec![text("a "), call("c", &json!({})), result("c", &json!("r"), false), text("b")],
    );
    assert_eq!(echo::answer(&request(vec![user("before"), message])), "a b");
    assert_eq!(echo::answer(&request(vec![])), "");
}

#[test]
fn the_echo_goes_word_by_word() {
    let cases: [(&str, &[&str]); 6] = [
        ("", &[]),
        ("one", &["one"]),
        ("one two  three\n", &["one ", "two  ", "three\n"]),
        ("  one two", &["  one ", "two"]),
        (" \n", &[" \n"]),
        ("grüße\u{3000}世界 👋", &["grüße\u{3000}", "世界 ", "👋"]),
    ];
    for (text, expected) in cases {
        assert_eq!(echo::pieces(text).collect::<Vec<_>>(), expected, "{text:?}");
    }
}

#[test]
fn the_echo_counts_its_pieces_as_tokens() {
    let finished = echo::finished(3);
    assert_eq!(finished.tokens_used, 3);
    assert_eq!((finished.model.as_deref(), finished.finish_reason.as_deref()), (Some("echo"), Some("stop")));
}

proptest! {
    #[test]
    fn the_echos_pieces_put_together_are_the_text(text in "[a-z \\n\u{3000}é👋]{0,60}") {
        prop_assert_eq!(echo::pieces(&text).collect::<String>(), &*text);
        prop_assert!(echo::pieces(&text).all(|piece| !piece.is_empty()));
    }
}
