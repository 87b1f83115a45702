use bobbin::agent::openai::{self, Attempt, Completion, Remedy};
use bobbin::agent::{AgentEvent, AgentMessage, AgentRequest};
use serde_json::{Value, json};

use super::{delta, request, text, user};
use bobbin::protocol::Role;

#[test]
fn what_would_help_is_read_from_the_endpoints_words() {
    let cases = [
        (
            400,
            r#"{"error":{"message":"This model's maximum context length is 8192 tokens","code":"context_length_exceeded"}}"#,
            Remedy::Shorter,
        ),
        (
            400,
            r#"{"error":{"message":"prompt is too long: 210000 tokens > 200000 maximum"}}"#,
            Remedy::Shorter,
        ),
        (400, r#"{"error":{"type":"exceed_context_size_error","message":"no"}}"#, Remedy::Shorter),
        (500, "the request exceeds the available Context Size. try increasing it", Remedy::Shorter),
        (400, "Range of input length should be [1, 30720]", Remedy::Shorter),
        (413, "", Remedy::Shorter),
        (429, "too many tokens in this minute", Remedy::None),
        (
            422,
            r#"{"detail":[{"loc":["body","stream_options"],"msg":"Extra inputs are not permitted"}]}"#,
            Remedy::Plain,
        ),
        (
            400,
            r#"{"error":{"message":"Unrecognized request argument supplied: stream_options"}}"#,
            Remedy::Plain,
        ),
        (400, r#"{"error":{"message":"Invalid 'messages'"}}"#, Remedy::None),
        (500, "", Remedy::None),
    ];
    for (status, body, remedy) in cases {
        assert_eq!(Remedy::of(status, body), remedy, "{status} {body}");
    }
}

#[test]
fn an_error_in_the_stream_says_what_would_help_too() {
    let cases = [
        (
            r#"{"error":{"code":400,"message":"request (19185 tokens) exceeds the available context size"}}"#,
            Remedy::Shorter,
        ),
        (r#"data: {"error":{"code":429,"message":"too many tokens"}}"#, Remedy::None),
        ("data: {\"error\":{\"message\":\"stream_options is not supported\"}}", Remedy::Plain),
        ("data: {\"error\":{\"message\":\"overloaded\"}}", Remedy::None),
        (
            "data: {\"choices\":[{\"error\":{\"message\":\"prompt is too long\"},\"finish_reason\":\"error\"}]}",
            Remedy::Shorter,
        ),
    ];
    for (body, remedy) in cases {
        let mut completion = Completion::new();
        let mut events = completion.push(body.as_bytes());
        events.extend(completion.finish());
        assert!(matches!(events[..], [AgentEvent::Failed(_)]), "{body}: {events:?}");
        assert_eq!(completion.remedy(), remedy, "{body}");
    }
    let mut completion = Completion::new();
    completion.push(delta(&json!({"content": "the context length"})).as_bytes());
    completion.finish();
    assert_eq!(completion.remedy(), Remedy::None);
}

#[test]
fn a_history_that_is_too_long_is_halved_down_to_the_users_own_message() {
    let mut messages: Vec<AgentMessage> = Vec::new();
    for nth in 0..10 {
        messages.push(user(&format!("question {nth}")));
        messages.push(super::blocks(Role::Assistant, vec![text("answer")]));
    }
    messages.push(user("last"));
    let request = request(messages);
    let mut attempt = Attempt::default();
    let mut told = vec![messages_of(&request, attempt).len()];
    while let Some(next) = attempt.next(Remedy::Shorter, &request, 0) {
        attempt = next;
        let messages = messages_of(&request, attempt);
        assert_eq!(messages[0]["role"], "user", "{messages:?}");
        assert_eq!(messages.last().unwrap()["content"], "last");
        told.push(messages.len());
    }
    assert_eq!(told, [21, 11, 5, 3, 1]);
    assert_eq!(attempt.omitted, 20);
}

#[test]
fn a_plain_request_reports_no_usage_and_is_made_once() {
    let request = request(vec![user("Hi")]);
    let plain = Attempt::default().next(Remedy::Plain, &request, 0).unwrap();
    let body: Value = serde_json::from_str(&openai::request_body("m", None, &request, plain)).unwrap();
    assert_eq!(body, json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": true}));
    assert_eq!(plain.next(Remedy::Plain, &request, 0), None);
    assert_eq!(plain.next(Remedy::None, &request, 0), None);
    assert_eq!(plain.next(Remedy::Shorter, &request, 0), None);
}

#[test]
fn a_model_that_is_not_well_is_called_again_a_few_times_and_when_it_says() {
    let later = |status: u16, after_ms: Option<u64>| match Remedy::of_answer(status, after_ms, "no") {
        Remedy::Later { after_ms } => Some(after_ms),
        _ => None,
    };
    for status in [408, 429, 500, 503, 529] {
        assert_eq!((later(status, None), later(status, Some(7))), (Some(None), Some(Some(7))), "{status}");
    }
    for status in [400, 401, 403, 404, 413, 422] {
        assert_eq!(later(status, None), None, "{status}");
    }
    assert_eq!(Remedy::of_answer(500, None, "exceeds the context size"), Remedy::Shorter);
    let request = request(vec![user("Hi")]);
    let mut waits = Vec::new();
    let mut attempt = Attempt::default();
    while let Some(next) = attempt.next(Remedy::Later { after_ms: None }, &request, 3) {
        waits.push(next.wait_ms);
        attempt = next;
    }
    assert_eq!(waits, [500, 1_000, 2_000]);
    let after = |after_ms: u64| {
        let remedy = Remedy::Later { after_ms: Some(after_ms) };
        Attempt::default().next(remedy, &request, 1).map(|next| next.wait_ms)
    };
    assert_eq!((after(0), after(30_000), after(30_001)), (Some(0), Some(30_000), None));
    assert_eq!(Attempt::default().next(Remedy::Later { after_ms: None }, &request, 0), None);
}

#[test]
fn the_reason_in_a_log_has_no_word_of_the_user() {
    let reason = |said: &str, body: &str| {
        let own = openai::own_words(&request(vec![user(said)]));
        openai::reason(&openai::http_failure(400, None, body), &own)
    };
    let secret = "my secret question, at length";
    let told = reason(secret, "flagged: 'my secret question, at…' and \"MY SECRET QUESTION\"");
    assert!(told.contains("flagged") && !told.to_lowercase().contains("secret"), "{told}");
    assert_eq!(reason("this", "this is wrong"), "the model endpoint answered 400: this is wrong");
}

fn messages_of(request: &AgentRequest, attempt: Attempt) -> Vec<Value> {
    let body = openai::request_body("m", None, request, attempt);
    serde_json::from_str::<Value>(&body).unwrap()["messages"].as_array().unwrap().clone()
}
