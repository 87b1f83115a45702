//! What comes back of a call, read by the agent's own reply.

use bobbin::agent::{Answered, Refusal, configured};
use bobbin::thread::{Config, Input};
use bobbin::variables::{Name, Variables};
use serde_json::{Value, json};

use crate::harness::Harness;
use crate::support::{Host, Seen};

const IDLE_MS: u64 = 60_000;

#[test]
fn a_cancel_keeps_the_thinking_and_the_whole_calls_that_had_come() {
    let mut h = asked();
    gather(&mut h);
    h.send("ann", &json!({ "type": "cancel", "requestId": "r1" }));
    h.expect("ann", &[thought(), call(), ended("cancelled")]);
    assert_eq!(h.aborted().len(), 1);
}

#[test]
fn a_timeout_keeps_the_thinking_and_the_whole_calls_that_had_come() {
    let mut h = asked();
    gather(&mut h);
    h.wait(IDLE_MS);
    let end = h.expect("ann", &[thought(), call(), ended("error")]).pop().unwrap();
    assert_eq!((&end["error"]["code"], &end["error"]["retryable"]), (&json!("AGENT_TIMEOUT"), &json!(true)));
}

#[test]
fn half_a_call_is_not_kept() {
    let mut h = asked();
    bytes(
        &mut h,
        &chunk(
            &json!({ "tool_calls": [{ "index": 0, "id": "t1", "function": { "name": "f", "arguments": "{\"a\":" } }] }),
        ),
    );
    h.send("ann", &json!({ "type": "cancel" }));
    let end = h.expect("ann", &[json!({ "type": "cancelled" })]).pop().unwrap();
    assert_eq!(end["response"].get("blocks"), None);
}

#[test]
fn an_answer_that_lacks_nothing_but_the_end_of_its_body_is_complete_when_its_model_falls_silent() {
    let mut h = asked();
    bytes(&mut h, &chunk(&json!({ "content": "all of it" })));
    bytes(&mut h, "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n");
    h.frames("ann");
    h.wait(IDLE_MS);
    h.expect("ann", &[json!({ "type": "final", "response": { "content": "all of it" } })]);
}

#[test]
fn a_call_without_an_answer_ends_its_turn_in_words_and_tells_no_key() {
    let status = |status, body: &str| Refusal::Status { status, retry_after: None, body: body.into() };
    for (refusal, retryable, words) in [
        (status(500, "the key is sk-secret"), true, "answered 500"),
        (
            Refusal::Redirect { status: 302, to: Some("https://other.example".into()) },
            false,
            "https://other.example",
        ),
        (Refusal::Redirects, false, "redirects more than"),
        (Refusal::Unreachable { is_service: false }, true, "could not be reached"),
        (Refusal::Unreachable { is_service: true }, true, "AGENT_SERVICE"),
        (Refusal::NoService, false, "AGENT_SERVICE"),
    ] {
        let mut h = asked();
        answered(&mut h, Answered::Refused(refusal));
        let end = h.expect("ann", &[ended("error")]).pop().unwrap();
        let message = end["error"]["message"].as_str().unwrap();
        assert_eq!(end["error"]["retryable"], json!(retryable), "{message}");
        assert!(message.contains(words) && !message.contains("sk-secret"), "{message}");
    }
}

#[test]
fn what_comes_back_for_a_turn_that_is_over_is_not_heard() {
    let mut h = asked();
    h.send("ann", &json!({ "type": "cancel" }));
    h.frames("ann");
    bytes(&mut h, &chunk(&json!({ "content": "too late" })));
    answered(&mut h, Answered::End);
    h.expect_nothing("ann");
}

/// A turn that runs.
fn asked() -> Harness {
    let variable = |name: Name| {
        let value = match name.as_str() {
            "AGENT" => "openai",
            "AGENT_BASE_URL" => "https://model.example/v1",
            "AGENT_MODEL" => "m",
            "AGENT_API_KEY" => "sk-secret",
            _ => return None,
        };
        Some(value.to_owned())
    };
    let config = Config { agent_idle_timeout_ms: IDLE_MS, ..Config::default() };
    let mut h = Harness::of(Host::with_agent(config, 1, Some(configured(Variables(&variable)).unwrap())));
    h.greet("ann");
    h.say("ann", "r1", "hello");
    h.frames("ann");
    assert!(h.seen().iter().any(|seen| matches!(seen, Seen::Started { .. })));
    h
}

/// Thinking that another delta would deliver, and a whole call before it.
fn gather(h: &mut Harness) {
    bytes(h, &chunk(&json!({ "reasoning_content": "Where?" })));
    bytes(
        h,
        &chunk(
            &json!({ "tool_calls": [{ "index": 0, "id": "t1", "function": { "name": "f", "arguments": "{}" } }] }),
        ),
    );
    h.wait(1_000);
    h.seen();
}

fn thought() -> Value {
    json!({ "type": "block", "block": { "type": "thinking", "text": "Where?" } })
}

fn call() -> Value {
    json!({ "type": "block", "block": { "type": "tool_use", "id": "t1", "name": "f", "input": {} } })
}

fn ended(kind: &str) -> Value {
    json!({ "type": kind, "requestId": "r1" })
}

fn chunk(delta: &Value) -> String {
    format!("data: {}\n\n", json!({ "choices": [{ "index": 0, "delta": delta }] }))
}

fn bytes(h: &mut Harness, text: &str) {
    answered(h, Answered::Bytes(text.as_bytes().to_vec()));
}

fn answered(h: &mut Harness, answered: Answered) {
    let turn = h.turn("r1");
    h.host.pump(Input::Answered { turn, answered });
}
