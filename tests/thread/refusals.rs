//! A refusal identifies its frame, whatever is wrong with the frame.

use bobbin::dialect::Dialect;
use bobbin::protocol::limits::{
    MESSAGE_BYTES_MAX, QUEUED_TURNS_MAX, REFUSED_FRAME_CHARS_MAX, REFUSED_NAME_CHARS_MAX,
};
use bobbin::protocol::{Access, Identity};
use bobbin::thread::{Config, Input, PeerId};
use serde_json::{Value, json};

use crate::harness::{Harness, thread};
use crate::support::{Host, Link, Sudden};

#[test]
fn a_refusal_names_the_type_and_the_request_id_even_if_the_id_is_invalid() {
    let named = |frame: Value, refused: &str, request_id: &str| {
        let refusal = refusal_of(&frame.to_string());
        assert_eq!(refusal["refused"], json!(refused), "{refusal}");
        assert_eq!(refusal["requestId"], json!(request_id), "{refusal}");
        assert_eq!(refusal.get("frame"), None, "{refusal}");
    };
    let message = |id: &str| json!({ "type": "message", "requestId": id, "content": "x" });
    named(message("naïve-1"), "message", "naïve-1");
    named(message(""), "message", "");
    named(message("a\nb\u{0}"), "message", "a\nb\u{0}");
    named(message(&"r".repeat(200)), "message", &"r".repeat(200));
    named(message(&"r".repeat(257)), "message", &"r".repeat(256));
    named(message(&"🧵".repeat(300)), "message", &"🧵".repeat(256));
    named(json!({ "type": "message", "requestId": "r1" }), "message", "r1");
    named(json!({ "type": "shout", "requestId": "r1" }), "shout", "r1");
    named(json!({ "type": "ö".repeat(300), "requestId": "r1" }), &"ö".repeat(256), "r1");
    named(json!({ "type": 7, "requestId": "r1" }), "unknown", "r1");
    named(json!({ "requestId": "r1" }), "unknown", "r1");
    named(json!({ "type": "cancel", "requestId": "é" }), "cancel", "é");
    named(json!({ "type": "session_sync", "requestId": "r1", "cursor": 1 }), "session_sync", "r1");
    named(json!({ "type": "session_update", "requestId": "r1" }), "session_update", "r1");
}

#[test]
fn without_a_readable_request_id_a_refusal_repeats_the_beginning_of_the_frame() {
    let begins = |text: &str, refused: &str, request_id: Value| {
        let refusal = refusal_of(text);
        let start: String = text.chars().take(64).collect();
        let names = [&refusal["refused"], &refusal["requestId"], &refusal["frame"]];
        assert_eq!(names, [&json!(refused), &request_id, &json!(start)], "{refusal}");
    };
    let none = || Value::Null;
    for id in ["7", "null", "{}", "[\"r1\"]", "true"] {
        begins(&format!(r#"{{"type":"message","requestId":{id},"content":"x"}}"#), "message", none());
    }
    begins(
        r#"{"type":"message","content":"a word that is long enough for more than 64 characters"}"#,
        "message",
        none(),
    );
    begins(r#"{"type":"session_update","title":""}"#, "session_update", none());
    begins(&format!(r#"{{"type":"nö","x":"{}"}}"#, "🧵".repeat(100)), "nö", none());
    begins(r#"[{"type":"message","requestId":"r1","content":"x"}]"#, "unknown", none());
    begins(r#""message""#, "unknown", none());
    begins("", "unknown", none());
    begins("not JSON at all", "unknown", none());
    begins(&"[".repeat(100_000), "unknown", none());
    // If a frame is cut off, the part before the cut is read, and its beginning is quoted too.
    begins(r#"{"type":"message","requestId":"r1","content":"half a wo"#, "message", json!("r1"));
    begins(r#"{"type":"message","requestId":"r1"} and more"#, "message", json!("r1"));
    begins(r#"{"type":"message","requestId":"r"#, "message", none());
}

#[test]
fn a_malformed_frame_is_read_up_to_its_mistake() {
    let mistakes = [
        "NaN",
        "-Infinity",
        "undefined",
        "01",
        "1.",
        ".5",
        "+1",
        "-",
        "1e",
        "0x1",
        "tru",
        "nulll",
        "True",
        "'a'",
        r#""\x""#,
        r#""\u12g4""#,
        "\"a\tb\"",
        "\"a\nb\"",
        "[1,]",
        "[1 2]",
        r#"{"a":1,}"#,
        r#"{"a"}"#,
        "{a:1}",
        "[}",
        "",
        "// one\n1",
        "{\"a\":[{\"b\":NaN}]}",
    ];
    for mistake in mistakes {
        let named = |text: &str, refused: &str, request_id: Value| {
            let refusal = refusal_of(text);
            let start: String = text.chars().take(64).collect();
            let names = [&refusal["refused"], &refusal["requestId"], &refusal["frame"]];
            assert_eq!(names, [&json!(refused), &request_id, &json!(start)], "{text:?}: {refusal}");
        };
        named(&format!(r#"{{"type":"message","requestId":"z","n":{mistake}}}"#), "message", json!("z"));
        named(&format!(r#"{{"type":"message","n":{mistake},"requestId":"z"}}"#), "message", Value::Null);
        named(&format!(r#"{{"requestId":"q","n":{mistake},"type":"message"}}"#), "unknown", json!("q"));
        named(&format!(r#"{{"requestId":"q","type":{mistake},"n":1}}"#), "unknown", json!("q"));
        named(&format!(r#"{{"type":"message","requestId":{mistake}}}"#), "message", Value::Null);
    }
}

#[test]
fn a_refusal_names_the_last_of_several_fields_with_the_same_name() {
    let refusal = refusal_of(r#"{"type":"cancel","requestId":"a","type":"message","requestId":"b"}"#);
    assert_eq!((&refusal["refused"], &refusal["requestId"]), (&json!("message"), &json!("b")));
    let refusal = refusal_of(r#"{"type":"message","requestId":"a","content":"x","requestId":1}"#);
    assert_eq!(refusal.get("requestId"), None);
    assert!(refusal["frame"].is_string());
}

#[test]
fn a_frame_that_is_nested_too_deep_or_too_large_is_named_wherever_its_id_is() {
    let deep = format!("{}1{}", "[".repeat(140), "]".repeat(140));
    let deeper = format!("{}1{}", "{\"a\":".repeat(40_000), "}".repeat(40_000));
    let large = format!("\"{}\"", "x".repeat(MESSAGE_BYTES_MAX));
    for (value, code) in
        [(deep, "INVALID_MESSAGE"), (deeper, "INVALID_MESSAGE"), (large, "MESSAGE_TOO_LARGE")]
    {
        let result = format!(r#"[{{"type":"tool_result","toolUseId":"t","content":[{value}]}}]"#);
        for text in [
            format!(r#"{{"type":"message","requestId":"r1","content":{result}}}"#),
            format!(r#"{{"content":{result},"requestId":"r1","type":"message"}}"#),
            format!(r#"{{"metadata":{{"a":{value}}},"content":"x","type":"message","requestId":"r1"}}"#),
        ] {
            let refusal = refusal_of(&text);
            let names = [&refusal["refused"], &refusal["requestId"], &refusal["error"]["code"]];
            assert_eq!(names, [&json!("message"), &json!("r1"), &json!(code)], "{refusal}");
            let words = refusal["error"]["message"].as_str().unwrap();
            assert!(words.contains("127 arrays and objects") || words.contains("262144"), "{words}");
        }
    }
}

#[test]
fn a_refusal_cuts_names_by_characters_exactly_at_the_limits() {
    assert_eq!((REFUSED_NAME_CHARS_MAX, REFUSED_FRAME_CHARS_MAX), (256, 64));
    for (sent, kept) in [(255, 255), (256, 256), (257, 256)] {
        let refusal = refusal_of(&json!({ "type": "message", "requestId": "é".repeat(sent) }).to_string());
        assert_eq!(refusal["requestId"], json!("é".repeat(kept)));
    }
    for (sent, kept) in [(63, 63), (64, 64), (65, 64)] {
        assert_eq!(refusal_of(&"é".repeat(sent))["frame"], json!("é".repeat(kept)));
    }
}

#[test]
fn half_of_a_surrogate_pair_is_replaced_wherever_it_is_and_the_frame_is_accepted() {
    let mut h = thread();
    h.greet("ann");
    let frames = [
        r#"{"type":"message","requestId":"r1","content":"half \ud83d"}"#,
        r#"{"type":"message","requestId":"r2","content":"x","metadata":{"\udc00":["\ud83d"]}}"#,
        r#"{"type":"message","requestId":"r3","content":[{"type":"tool_use","id":"\ud83d","name":"n","input":{"a":"\ude00\ud83d"}}]}"#,
        r#"{"type":"message","requestId":"r4","content":"\ud83d\ud83e\uddf5","unknown\ud83d":1}"#,
    ];
    for text in frames {
        h.send_text("ann", text);
    }
    h.say("ann", "after", "still heard");
    let frames = h.frames("ann");
    let said: Vec<&Value> = frames
        .iter()
        .filter(|frame| frame["type"] == "user_message")
        .map(|frame| &frame["message"]["content"])
        .collect();
    let call =
        json!([{ "type": "tool_use", "id": "\u{fffd}", "name": "n", "input": { "a": "\u{fffd}\u{fffd}" } }]);
    let expected = [&json!("half \u{fffd}"), &json!("x"), &call, &json!("\u{fffd}🧵"), &json!("still heard")];
    assert_eq!(said, expected);
    // Sending the same again starts nothing.
    h.send_text("ann", r#"{"type":"message","requestId":"r1","content":"half \ud83d"}"#);
    h.expect("ann", &[json!({ "type": "user_message", "requestId": "r1" })]);
    h.send_text("ann", r#"{"type":"session_update","title":"\udfff title"}"#);
    assert_eq!(h.frames("ann")[0]["session"]["title"], json!("\u{fffd} title"));
    h.send_text("ann", r#"{"type":"message","requestId":"r\ud83d","content":"x"}"#);
    h.expect("ann", &[json!({ "refused": "message", "requestId": "r\u{fffd}" })]);
}

#[test]
fn a_refused_frame_is_named_whatever_the_reason() {
    let message = json!({ "type": "message", "requestId": "r1", "content": "x" });
    let mut h = thread();
    h.greet("ann");
    let mut elsewhere = message.clone();
    elsewhere["threadId"] = json!("elsewhere");
    h.send("ann", &elsewhere);
    h.expect("ann", &[of_message("THREAD_MISMATCH")]);
    h.host.faults.writes = Some((0, 1, false));
    h.send("ann", &message);
    h.expect("ann", &[of_message("STORAGE_ERROR")]);
    h.send("ann", &message);
    let mut other = message.clone();
    other["content"] = json!("other words");
    h.frames("ann");
    h.send("ann", &other);
    h.expect("ann", &[of_message("DUPLICATE_REQUEST")]);
    h.host.store.failing_reads.set(1);
    h.send("ann", &message);
    h.expect("ann", &[of_message("STORAGE_ERROR")]);
    for turn in 0..QUEUED_TURNS_MAX {
        h.say("ann", &format!("queued {turn}"), "x");
    }
    h.frames("ann");
    h.say("ann", "more", "x");
    h.expect("ann", &[json!({ "refused": "message", "requestId": "more", "error": { "code": "BUSY" } })]);
    h.host.faults.sudden = Some((0, Sudden::Panic));
    h.say("ann", "more", "x");
    let refused = json!({ "refused": "message", "requestId": "more", "error": { "code": "INTERNAL" } });
    assert!(h.frames("ann").iter().any(|frame| is_like(frame, &refused)));
}

#[test]
fn a_refused_frame_without_a_request_id_is_named_by_its_beginning_whatever_the_reason() {
    let mut h = thread();
    h.greet("ann");
    h.say("ann", "r1", "x");
    h.frames("ann");
    let sync = json!({ "type": "session_sync", "cursor": "x" });
    h.host.store.failing_reads.set(1);
    h.send("ann", &sync);
    h.expect("ann", &[by_start(&sync, "STORAGE_ERROR")]);
    let update = json!({ "type": "session_update", "title": "A title" });
    h.host.faults.writes = Some((0, 1, false));
    h.send("ann", &update);
    assert!(h.frames("ann").iter().any(|frame| is_like(frame, &by_start(&update, "STORAGE_ERROR"))));
}

#[test]
fn a_frame_that_a_role_or_an_allowance_refuses_is_named() {
    let config = Config { messages_per_minute: 1, ..Config::default() };
    let mut host = Host::new(config, 1);
    let update = json!({ "type": "session_update", "title": "A title" });
    let message = json!({ "type": "message", "requestId": "r1", "content": "x" });
    let viewer = join(&mut host, "viewer", Access::Viewer);
    let owner = join(&mut host, "owner", Access::Owner);
    host.receive(&owner, &message.to_string());
    for (peer, code) in [(&viewer, "FORBIDDEN"), (&owner, "RATE_LIMITED")] {
        host.links.get_mut(peer).unwrap().down.clear();
        host.receive(peer, &update.to_string());
        host.receive(peer, &message.to_string());
        let frames: Vec<&Value> = host.links[peer].down.iter().map(crate::support::Frame::json).collect();
        assert!(is_like(frames[0], &by_start(&update, code)), "{}", frames[0]);
        assert!(is_like(frames[1], &of_message(code)), "{}", frames[1]);
    }
}

#[test]
fn an_invalid_frame_is_refused_as_such_even_if_it_makes_the_thread_fail() {
    let mut h = thread();
    h.greet("ann");
    h.host.faults.sudden = Some((0, Sudden::Panic));
    h.send_text("ann", "{");
    h.expect("ann", &[json!({ "refused": "unknown", "frame": "{", "error": { "code": "INVALID_MESSAGE", "retryable": false } })]);
}

fn refusal_of(text: &str) -> Value {
    let mut h: Harness = thread();
    h.greet("ann");
    h.send_text("ann", text);
    let frames = h.frames("ann");
    assert_eq!(frames.len(), 1, "{frames:?}");
    assert_eq!((&frames[0]["type"], frames[0].get("cursor")), (&json!("error"), None), "{}", frames[0]);
    h.say("ann", "next", "still heard");
    assert_eq!(h.frames("ann")[0]["type"], json!("user_message"));
    frames[0].clone()
}

fn of_message(code: &str) -> Value {
    json!({ "type": "error", "refused": "message", "requestId": "r1", "error": { "code": code } })
}

fn by_start(frame: &Value, code: &str) -> Value {
    json!({ "type": "error", "refused": frame["type"], "frame": frame.to_string(), "error": { "code": code } })
}

fn is_like(frame: &Value, pattern: &Value) -> bool {
    let code = &pattern["error"]["code"];
    let names = ["type", "refused", "requestId", "frame"];
    names.iter().all(|name| pattern.get(name).is_none_or(|value| frame.get(name) == Some(value)))
        && frame["error"]["code"] == *code
}

fn join(host: &mut Host, name: &str, granted: Access) -> PeerId {
    let peer: PeerId = name.into();
    host.links.insert(peer.clone(), Link { is_open: true, ..Link::default() });
    let identity = Identity {
        subject: Some(name.into()),
        granted: Some(granted),
        may_create: false,
        expires_at: None,
        trace: None,
    };
    host.pump(Input::Joined { peer: peer.clone(), identity, dialect: Dialect::Native, cursor: None });
    peer
}
