//! Responses to a call, read by the agent's own reply.

use bobbin::agent::{Answered, Refusal, configured};
use bobbin::protocol::Role;
use bobbin::thread::{Config, Event, Input};
use bobbin::variables::{Name, Variables};
use serde_json::{Value, json};

use crate::harness::Harness;
use crate::support::{Host, Seen};

const IDLE_MS: u64 = 60_000;

#[test]
fn a_cancel_keeps_the_thinking_and_the_complete_calls_so_far() {
    let mut h = asked();
    gather(&mut h);
    h.send("ann", &json!({ "type": "cancel", "requestId": "r1" }));
    h.expect_whole("ann", &[thought(), call(), ended("cancelled")]);
    assert_eq!(h.aborted().len(), 1);
}

#[test]
fn a_timeout_keeps_the_thinking_and_the_complete_calls_so_far() {
    let mut h = asked();
    gather(&mut h);
    h.wait(IDLE_MS);
    let end = h.expect_whole("ann", &[thought(), call(), ended("error")]).pop().unwrap();
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
    let end = h.expect_whole("ann", &[json!({ "type": "cancelled" })]).pop().unwrap();
    assert_eq!(end["response"].get("blocks"), None);
}

#[test]
fn an_answer_that_lacks_only_the_end_of_its_body_is_complete_when_its_model_falls_silent() {
    let mut h = asked();
    bytes(&mut h, &chunk(&json!({ "content": "all of it" })));
    bytes(&mut h, "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n");
    h.frames("ann");
    h.wait(IDLE_MS);
    h.expect("ann", &[json!({ "type": "final", "response": { "content": "all of it" } })]);
}

#[test]
fn calls_without_arguments_are_delivered_with_an_end_that_was_announced() {
    let mut h = asked();
    let bare =
        json!({ "tool_calls": [{ "index": 0, "id": "t1", "function": { "name": "f", "arguments": "" } }] });
    bytes(&mut h, &chunk(&bare));
    bytes(&mut h, "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\n");
    h.wait(1_999);
    bytes(&mut h, ": still there\n\n");
    h.expect_nothing("ann");
    h.wait(1);
    h.expect("ann", &[call(), ended("final")]);
    assert_eq!(h.aborted().len(), 1);
}

#[test]
fn an_answer_that_was_partly_unreadable_is_complete_and_logged_once_without_its_text() {
    let mut h = asked();
    for said in [
        "{\"choices\":[{\"delta\":{\"content\":\"all that\"}}]}",
        "{'choices':'nothing'}",
        "{\"choices\":[{]",
    ] {
        bytes(&mut h, &format!("data: {said}\n\n"));
    }
    bytes(&mut h, "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n");
    h.expect(
        "ann",
        &[json!({ "type": "token" }), json!({ "type": "final", "response": { "content": "all that" } })],
    );
    let unread = |seen: &Seen| matches!(seen, Seen::Logged(Event::AgentUnread { events: 2, .. }));
    assert_eq!(h.seen().iter().filter(|seen| unread(seen)).count(), 1);
}

#[test]
fn the_length_of_a_history_is_configurable_and_it_begins_with_a_user() {
    let mut h = asked_with(Config { agent_messages: 4, ..Config::default() });
    for (said, next) in [("r1", "r2"), ("r2", "r3")] {
        let turn = h.turn(said);
        let answer = format!("{}data: [DONE]\n\n", chunk(&json!({ "content": "yes" })));
        h.host.pump(Input::Answered { turn, answered: Answered::Bytes(answer.into_bytes()) });
        h.seen();
        h.say("ann", next, "and now?");
    }
    let request = h
        .seen()
        .into_iter()
        .find_map(|seen| if let Seen::Started { request, .. } = seen { Some(request) } else { None });
    let roles: Vec<Role> = request.unwrap().messages.iter().map(|message| message.role).collect();
    assert_eq!(roles, [Role::User, Role::Assistant, Role::User]);
}

#[test]
fn a_call_without_an_answer_fails_its_turn_without_revealing_a_key() {
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
fn a_response_for_a_turn_that_is_over_is_ignored() {
    let mut h = asked();
    h.send("ann", &json!({ "type": "cancel" }));
    h.frames("ann");
    bytes(&mut h, &chunk(&json!({ "content": "too late" })));
    answered(&mut h, Answered::End);
    h.expect_nothing("ann");
}

#[test]
fn a_failing_agent_is_retried_after_a_backoff_and_every_failure_is_logged() {
    let mut h = asked_with(Config::default());
    for wait_ms in [500, 1_000] {
        answered(&mut h, Answered::Refused(status(503, None)));
        assert_eq!(failures(&mut h), 1);
        h.wait(wait_ms - 1);
        assert!(h.started().is_empty());
        h.wait(1);
        assert_eq!(h.started(), [h.turn("r1")]);
    }
    bytes(&mut h, &chunk(&json!({ "content": "well again" })));
    answered(&mut h, Answered::Refused(status(503, None)));
    h.expect("ann", &[json!({ "type": "token" }), ended("error")]);
}

#[test]
fn an_agent_may_say_when_to_retry_and_a_cancel_ends_the_wait() {
    let mut h = asked_with(Config::default());
    answered(&mut h, Answered::Refused(status(429, Some(7))));
    h.wait(6_999);
    assert!(h.started().is_empty());
    h.send("ann", &json!({ "type": "cancel" }));
    h.expect("ann", &[ended("cancelled")]);
    h.wait(60_000);
    assert!(h.started().is_empty());
    let mut h = asked_with(Config::default());
    answered(&mut h, Answered::Refused(status(429, Some(31))));
    h.expect("ann", &[ended("error")]);
}

#[test]
fn a_history_that_is_too_long_is_halved_and_the_answer_says_so() {
    let mut h = asked_with(Config::default());
    bytes(&mut h, &chunk(&json!({ "content": "hello" })));
    bytes(&mut h, "data: [DONE]\n\n");
    h.say("ann", "r2", "and now?");
    h.frames("ann");
    h.seen();
    let turn = h.turn("r2");
    let too_long = || Refusal::Status { status: 400, retry_after: None, body: b"prompt is too long".into() };
    h.host.pump(Input::Answered { turn, answered: Answered::Refused(too_long()) });
    let asked: Vec<usize> = h
        .seen()
        .into_iter()
        .filter_map(|seen| {
            if let Seen::Started { request, .. } = seen { Some(request.messages.len()) } else { None }
        })
        .collect();
    assert_eq!(asked, [1]);
    h.host.pump(Input::Answered { turn, answered: Answered::Refused(too_long()) });
    let end = h.expect("ann", &[json!({ "type": "error", "requestId": "r2" })]).pop().unwrap();
    assert!(end["error"]["message"].as_str().unwrap().contains("too long"));
    assert_eq!(end["response"]["metadata"]["omittedMessages"], json!(2));
}

fn status(status: u16, retry_after: Option<u64>) -> Refusal {
    Refusal::Status { status, retry_after, body: Vec::new() }
}

fn failures(h: &mut Harness) -> usize {
    let is_failure = |seen: &Seen| matches!(seen, Seen::Logged(Event::AgentFailed { .. }));
    h.seen().iter().filter(|seen| is_failure(seen)).count()
}

/// Returns a thread with a running turn.
fn asked() -> Harness {
    asked_with(Config { agent_idle_timeout_ms: IDLE_MS, agent_retries: 0, ..Config::default() })
}

fn asked_with(config: Config) -> Harness {
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
    let mut h = Harness::of(Host::with_agent(config, 1, Some(configured(Variables(&variable)).unwrap())));
    h.greet("ann");
    h.say("ann", "r1", "hello");
    h.frames("ann");
    assert!(h.seen().iter().any(|seen| matches!(seen, Seen::Started { .. })));
    h
}

/// Gathers a complete call and thinking that only another delta would deliver.
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
