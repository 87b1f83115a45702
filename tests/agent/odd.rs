//! Values of unexpected types at every place of a chunk.

use bobbin::agent::AgentEvent;
use serde_json::{Value, json};

use super::{delta, fold, text_of};

/// As text, since not all of it is JSON.
const ODD: [&str; 22] = [
    "null",
    "true",
    "false",
    "0",
    "-1",
    "3.0",
    "6.5e3",
    "1e999",
    "99999999999999999999",
    "NaN",
    "-Infinity",
    "\"\"",
    "\"7\"",
    r#""\ud83d""#,
    r#""\ude00\x""#,
    "\"\u{0}\"",
    "[]",
    "[[],{},null,7,\"x\"]",
    "{}",
    r#"{"text":[null]}"#,
    r#"{"a":1,"a":{"b":NaN}}"#,
    "{\"a\":[[[[[[[[[[{}]]]]]]]]]]}",
];

#[test]
fn an_odd_value_anywhere_in_a_chunk_costs_nothing_of_the_rest() {
    let call =
        json!({"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let full = json!({
        "id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "system_fingerprint": "f",
        "choices": [{
            "index": 0,
            "delta": {
                "role": "assistant", "content": "x", "refusal": "", "reasoning": "", "reasoning_content": "",
                "tool_calls": [call],
            },
            "logprobs": {"content": [{"logprob": -0.1}]},
        }],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    });
    for path in paths(&full, String::new()) {
        for odd in ODD.into_iter().chain([&*format!("{}{}", "[".repeat(200), "]".repeat(200))]) {
            let mut chunk = full.clone();
            *chunk.pointer_mut(&path).unwrap() = json!("<odd>");
            let chunk = chunk.to_string().replace("\"<odd>\"", odd);
            let body = [
                delta(&json!({"content": "before"})),
                format!("data: {chunk}\n\n"),
                delta(&json!({"content": "after"})),
                String::from(
                    "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
                ),
            ];
            let events = fold(bobbin::agent::openai::completion, &[body.concat().as_bytes()]);
            let text = text_of(&events);
            assert!(text.starts_with("before") && text.ends_with("after"), "{path} {odd}: {text}");
            assert!(matches!(events.last(), Some(AgentEvent::Finished(_))), "{path} {odd}: {events:?}");
        }
    }
}

#[test]
fn a_usage_is_read_however_its_numbers_are_written() {
    let cases = [
        ("3", 3),
        ("3.0", 3),
        ("3.9", 3),
        ("\"3\"", 3),
        ("\" 3 \"", 3),
        ("9007199254740991", 9_007_199_254_740_991),
        ("9007199254740992", 1),
        ("1e16", 1),
        ("1e3", 1),
        ("1.5e3", 1),
        ("-3", 1),
        ("\"\"", 1),
        ("\"three\"", 1),
        (".5", 1),
        ("[3]", 1),
        ("{\"a\":3}", 1),
        ("null", 1),
    ];
    for (written, total_tokens) in cases {
        for usage in [
            format!("{{\"total_tokens\":{written}}}"),
            format!("{{\"prompt_tokens\":{written}}}"),
            format!("{{\"completion_tokens\":{written}}}"),
        ] {
            let body = format!(
                "{}data: {{\"choices\":[],\"usage\":{usage}}}\n\ndata: [DONE]\n\n",
                delta(&json!({"content": "a"}))
            );
            let events = fold(bobbin::agent::openai::completion, &[body.as_bytes()]);
            let Some(AgentEvent::Finished(finished)) = events.last() else { panic!("{events:?}") };
            assert_eq!(finished.tokens_used, total_tokens, "{usage}");
        }
    }
}

/// Returns every path in a value except the root.
fn paths(value: &Value, at: String) -> Vec<String> {
    let mut found: Vec<String> = match value {
        Value::Object(fields) => {
            fields.iter().flat_map(|(name, field)| paths(field, format!("{at}/{name}"))).collect()
        }
        Value::Array(items) => {
            items.iter().enumerate().flat_map(|(nth, item)| paths(item, format!("{at}/{nth}"))).collect()
        }
        _ => Vec::new(),
    };
    if !at.is_empty() {
        found.push(at);
    }
    found
}
