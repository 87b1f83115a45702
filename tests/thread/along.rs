//! Data sent along: metadata of messages and of the session, the model, the subject.

use bobbin::agent::{AgentEvent, Finished};
use bobbin::protocol::{Finish, Usage};
use serde_json::{Value, json};

use crate::harness::{Harness, cursor_of, said, thread};
use crate::support::Seen;

fn message(request_id: &str, metadata: &Value) -> Value {
    json!({ "type": "message", "requestId": request_id, "content": "one", "metadata": metadata })
}

fn update(fields: &Value) -> Value {
    let mut frame = fields.clone();
    frame["type"] = "session_update".into();
    frame
}

fn session_of(frames: &[Value]) -> &Value {
    &frames.iter().rev().find(|frame| frame["type"] == "session").expect("a session")["session"]
}

#[test]
fn metadata_of_a_message_is_stored_shown_and_given_to_the_agent() {
    let mut h = thread();
    h.join_with_token("ann", None);
    h.frames("ann");
    h.send("ann", &update(&json!({ "metadata": { "project": 7 } })));
    h.send("ann", &message("r1", &json!({ "page": { "at": 1.5 } })));
    let frames = h.frames("ann");
    let accepted = frames.iter().find(|frame| frame["type"] == "user_message").unwrap();
    assert_eq!(accepted["message"]["metadata"], json!({ "page": { "at": 1.5 } }));
    let asked = h.seen().into_iter().find_map(|seen| match seen {
        Seen::Started { request, .. } => Some(request),
        _ => None,
    });
    let asked = asked.unwrap();
    assert_eq!(asked.subject.as_deref(), Some("ann"));
    assert_eq!(asked.session_metadata, bobbin::protocol::Json::parse(r#"{"project":7}"#));
    assert_eq!(asked.messages[0].metadata, bobbin::protocol::Json::parse(r#"{"page":{"at":1.5}}"#));
    h.host.crash(false);
    h.join_with_token("ann", None);
    assert_eq!(h.frames("ann")[1]["messages"][0]["metadata"], json!({ "page": { "at": 1.5 } }));
}

#[test]
fn the_same_message_with_other_metadata_is_another_one() {
    let mut h = thread();
    h.greet("ann");
    h.send("ann", &message("r1", &json!({ "a": 1 })));
    h.frames("ann");
    h.send("ann", &message("r1", &json!({ "a": 1 })));
    h.expect("ann", &[json!({ "type": "user_message" })]);
    h.send("ann", &message("r1", &json!({ "a": 2 })));
    h.expect(
        "ann",
        &[json!({ "type": "error", "requestId": "r1", "error": { "code": "DUPLICATE_REQUEST" } })],
    );
}

#[test]
fn metadata_that_is_not_an_object_or_too_large_is_refused_and_the_thread_goes_on() {
    let mut h = thread();
    h.greet("ann");
    let large = json!({ "a": "x".repeat(17 * 1024) });
    for (metadata, says) in
        [(json!([1]), "not an object"), (json!("a"), "not an object"), (large, "at most 16384")]
    {
        h.send("ann", &message("r1", &metadata));
        let refused = h.expect("ann", &[json!({ "type": "error", "requestId": "r1" })]);
        assert!(refused[0]["error"]["message"].as_str().unwrap().contains(says), "{refused:?}");
    }
    h.send("ann", &message("r1", &Value::Null));
    assert_eq!(h.frames("ann")[0]["message"]["metadata"], Value::Null);
}

#[test]
fn the_metadata_of_a_session_is_merged_and_null_removes_a_name() {
    for has_begun in [false, true] {
        let mut h = thread();
        h.greet("ann");
        if has_begun {
            h.say("ann", "r1", "one");
        }
        h.send("ann", &update(&json!({ "metadata": { "a": 1, "b": { "c": 2 } } })));
        h.send("ann", &update(&json!({ "metadata": { "a": null, "d": "x" } })));
        assert_eq!(session_of(&h.frames("ann"))["metadata"], json!({ "b": { "c": 2 }, "d": "x" }));
        h.send("ann", &update(&json!({ "metadata": { "e": "x".repeat(4096) } })));
        h.expect("ann", &[json!({ "type": "error", "refused": "session_update", "error": { "code": "INVALID_MESSAGE" } })]);
        h.send("ann", &update(&json!({ "metadata": 7 })));
        h.expect("ann", &[json!({ "type": "error", "refused": "session_update" })]);
        h.send("ann", &update(&json!({ "metadata": { "b": null, "d": null } })));
        assert_eq!(session_of(&h.frames("ann"))["metadata"], Value::Null);
    }
}

#[test]
fn a_model_that_is_not_on_offer_is_refused() {
    let mut h = thread();
    h.greet("ann");
    h.send("ann", &update(&json!({ "model": "gpt-0" })));
    let refused = h.expect("ann", &[json!({ "type": "error", "refused": "session_update" })]);
    assert!(refused[0]["error"]["message"].as_str().unwrap().contains("AGENT_MODELS"), "{refused:?}");
    h.send("ann", &update(&json!({ "model": null, "title": "A" })));
    assert_eq!(session_of(&h.frames("ann"))["title"], "A");
}

#[test]
fn the_metadata_of_an_answer_is_stored_with_it() {
    let mut h = thread();
    h.greet("ann");
    h.say("ann", "r1", "one");
    let usage = Usage { input_tokens: 3, output_tokens: 4, reasoning_tokens: Some(1), cached_tokens: None };
    let finished = Finished {
        tokens_used: 7,
        usage: Some(usage),
        finish: Some(Finish::Length),
        metadata: bobbin::protocol::Json::parse(r#"{"trace":"t1"}"#),
        ..Finished::default()
    };
    h.agent("r1", vec![said("a"), AgentEvent::Finished(finished)]);
    let frames = h.frames("ann");
    let metadata = json!({
        "tokensUsed": 7,
        "latencyMs": 0,
        "finish": "length",
        "usage": { "inputTokens": 3, "outputTokens": 4, "reasoningTokens": 1 },
        "trace": "t1",
    });
    let end = frames.iter().find(|frame| frame["type"] == "final").unwrap();
    assert_eq!(end["response"]["metadata"], metadata);
    assert!(!cursor_of(&frames).is_empty());
    after_a_crash(&mut h, &metadata);
}

fn after_a_crash(h: &mut Harness, metadata: &Value) {
    h.host.crash(false);
    h.join("bob");
    assert_eq!(h.frames("bob")[1]["messages"][1]["metadata"], *metadata);
}

#[test]
fn an_applications_metadata_of_an_answer_cannot_replace_fields_of_the_contract_and_has_a_limit() {
    let mut h = thread();
    h.greet("ann");
    for (request_id, metadata, kept) in [
        ("r1", json!({ "latencyMs": 9, "finish": 1, "trace": "t" }), json!("t")),
        ("r2", json!({ "trace": "x".repeat(17 * 1024) }), Value::Null),
    ] {
        h.say("ann", request_id, "one");
        let metadata = bobbin::protocol::Json::parse(&metadata.to_string());
        let model = Some("m".repeat(1_000));
        h.agent(request_id, vec![AgentEvent::Finished(Finished { metadata, model, ..Finished::default() })]);
        let frames = h.frames("ann");
        let end = frames.iter().find(|frame| frame["type"] == "final").unwrap();
        let told = &end["response"]["metadata"];
        assert_eq!((&told["trace"], &told["latencyMs"], &told["finish"]), (&kept, &json!(0), &Value::Null));
        assert_eq!(told["model"].as_str().unwrap().len(), 256);
    }
}
