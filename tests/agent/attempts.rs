use bobbin::agent::{AgentEvent, AgentMessage, AgentRequest, Attempt, Refusal, Remedy, configured};
use bobbin::agent::{http, openai};
use serde_json::{Value, json};

use super::{body_of, delta, request, text, user};
use bobbin::protocol::{Content, Role};
use bobbin::variables::{Name, Variables};

#[test]
fn a_remedy_is_read_from_the_endpoints_words() {
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
        (400, "ThrottlingException: Too many tokens, please wait before trying again", Remedy::None),
        (
            429,
            "Request too large for gpt-4 on tokens per min: Limit 10000. It must be reduced",
            Remedy::Shorter,
        ),
        (
            400,
            "The input token count (1200000) exceeds the maximum number of tokens allowed",
            Remedy::Shorter,
        ),
        (400, "the input token count is 40000 but model only supports up to 32768", Remedy::Shorter),
        (400, r#"{"error":{"code":"model_max_prompt_tokens_exceeded"}}"#, Remedy::Shorter),
        (422, "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4097", Remedy::Shorter),
        (400, "The decoder prompt (5000) is longer than the maximum model length of 4096", Remedy::Shorter),
        (400, "Prompt too long: 5152 tokens exceeds max_seq_len 2048", Remedy::Shorter),
        (400, "litellm.ContextWindowExceededError", Remedy::Shorter),
        (400, r#"{"error":{"code":"1261","message":"Prompt exceeds max length"}}"#, Remedy::Shorter),
        (400, r#"{"code":"tokens_limit_reached"}"#, Remedy::Shorter),
        (
            400,
            "Trying to keep the first 9 tokens when context the overflows; context_length is 4096",
            Remedy::Shorter,
        ),
        (400, "输入超长，请减少后重试", Remedy::Shorter),
        (504, "context deadline exceeded", Remedy::None),
        (400, "temperature: exceeds the maximum of 2", Remedy::None),
        (400, "Unknown name \"include_usage\"", Remedy::Plain),
        (500, "Tool call id was call_49c89af0 but must be a-z, A-Z, 0-9, with a length of 9.", Remedy::Plain),
        (422, "messages[2]: missing field `content` at line 1 column 512", Remedy::Plain),
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
        (400, "Total tokens of image and text exceed max message tokens", Remedy::Shorter),
        (
            400,
            "The prompt is 9000 tokens long, but the maximum supported sequence length is 8192",
            Remedy::Shorter,
        ),
        (422, "Input validation error: `inputs` must have less than 8193 tokens", Remedy::Shorter),
        (400, "You passed 9000 input tokens, but the model's limit is 8192", Remedy::Shorter),
        (400, "Conversation history is too large", Remedy::Shorter),
        (400, "输入内容过长，请精简后重试", Remedy::Shorter),
        (400, "token数量超过上限", Remedy::Shorter),
        (504, "The model took too long to answer", Remedy::None),
        (500, "系统繁忙，等待时间过长", Remedy::None),
        (400, "max_tokens is too large: 99999. At most 16384 completion tokens", Remedy::None),
        (400, r#"{"error":{"message":"string too long. Expected a maximum length 40"}}"#, Remedy::Plain),
        (
            400,
            "The toolConfig field must be defined when using toolUse and toolResult content blocks.",
            Remedy::Tools,
        ),
        (400, "Requests which include `tool_use` or `tool_result` blocks must define tools", Remedy::Tools),
        (
            400,
            "litellm.UnsupportedParamsError: Bedrock doesn't support tool calling without `tools=` param specified.",
            Remedy::Tools,
        ),
        (400, "tools: this model has no tools", Remedy::None),
        (
            422,
            r#"{"detail":[{"loc":["body","max_tokens"],"msg":"Field required","input":{"stream_options":{}}}]}"#,
            Remedy::None,
        ),
    ];
    for (status, body, remedy) in cases {
        let found = remedy_of(status, None, body);
        let is_passing = matches!(status, 429 | 500 | 504);
        let expected =
            if remedy == Remedy::None && is_passing { Remedy::Later { after_ms: None } } else { remedy };
        assert_eq!(found, expected, "{status} {body}");
    }
}

#[test]
fn an_error_in_the_stream_has_a_remedy_too() {
    let cases = [
        (
            r#"{"error":{"code":400,"message":"request (19185 tokens) exceeds the available context size"}}"#,
            Remedy::Shorter,
        ),
        (r#"data: {"error":{"code":429,"message":"too many tokens"}}"#, Remedy::Later { after_ms: None }),
        ("data: {\"error\":{\"message\":\"stream_options is not supported\"}}", Remedy::Plain),
        ("data: {\"error\":{\"message\":\"overloaded\"}}", Remedy::Later { after_ms: None }),
        ("data: {\"error\":{\"message\":\"no such model\"}}", Remedy::None),
        (
            "data: {\"choices\":[{\"delta\":{\"content\":\"\"},\"finish_reason\":\"model_context_window_exceeded\"}]}",
            Remedy::Shorter,
        ),
        (
            "data: {\"choices\":[{\"error\":{\"message\":\"prompt is too long\"},\"finish_reason\":\"error\"}]}",
            Remedy::Shorter,
        ),
    ];
    for (body, remedy) in cases {
        let mut completion = openai::completion();
        let mut events = completion.push(body.as_bytes());
        events.extend(completion.finish());
        assert!(matches!(events[..], [AgentEvent::Failed(_)]), "{body}: {events:?}");
        assert_eq!(completion.answer.remedy, remedy, "{body}");
    }
    let mut completion = openai::completion();
    completion.push(delta(&json!({"content": "the context length"})).as_bytes());
    completion.finish();
    assert_eq!(completion.answer.remedy, Remedy::None);
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
    let mut told = vec![messages_of(&request, 0).len()];
    let mut omitted = 0;
    while let Some((next, 0)) = attempt.next(Remedy::Shorter, 0) {
        let Some(more) = next.omitted(&request.messages) else { break };
        (attempt, omitted) = (next, more);
        let messages = messages_of(&request, omitted);
        assert_eq!(messages[0]["role"], "user", "{messages:?}");
        assert_eq!(messages.last().unwrap()["content"], "last");
        told.push(messages.len());
    }
    assert_eq!(told, [21, 11, 5, 3, 1]);
    assert_eq!((attempt.halvings, omitted), (4, 20));
}

#[test]
fn a_plain_request_reports_no_usage_and_is_made_once() {
    let request = request(vec![user("Hi")]);
    let (plain, wait_ms) = Attempt::default().next(Remedy::Plain, 0).unwrap();
    assert_eq!((plain.is_plain, wait_ms), (true, 0));
    let body: Value = serde_json::from_str(&body_of("m", None, &request, true)).unwrap();
    assert_eq!(body, json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": true}));
    assert_eq!(plain.next(Remedy::Plain, 0), None);
    assert_eq!(plain.next(Remedy::None, 0), None);
    let (shorter, _) = plain.next(Remedy::Shorter, 0).unwrap();
    assert_eq!(shorter.omitted(&request.messages), None);
}

#[test]
fn a_plain_request_names_calls_as_mistral_does_and_gives_each_a_content() {
    let called = |id: &str| super::blocks(Role::Assistant, vec![super::call(id, &json!({}))]);
    let answered = |id: &str| super::blocks(Role::User, vec![super::result(id, &json!("ok"), false)]);
    let messages = vec![
        user("Go"),
        called("call_0"),
        answered("call_0"),
        called("functions.f:1"),
        answered("functions.f:1"),
    ];
    let body: Value = serde_json::from_str(&body_of("m", None, &request(messages), true)).unwrap();
    for (place, id) in [(1, "call00000"), (3, "call00001")] {
        assert_eq!(body["messages"][place]["content"], "");
        assert_eq!(body["messages"][place]["tool_calls"][0]["id"], id);
        assert_eq!(body["messages"][place + 1]["tool_call_id"], id);
    }
}

#[test]
fn a_model_with_a_transient_failure_is_retried_a_few_times_and_when_it_says() {
    let later = |status: u16, after: Option<u64>| match remedy_of(status, after, "no") {
        Remedy::Later { after_ms } => Some(after_ms),
        _ => None,
    };
    for status in [408, 429, 500, 503, 529] {
        assert_eq!(
            (later(status, None), later(status, Some(7))),
            (Some(None), Some(Some(7_000))),
            "{status}"
        );
    }
    for status in [400, 401, 403, 404, 413, 422] {
        assert_eq!(later(status, None), None, "{status}");
    }
    assert_eq!(remedy_of(500, None, "exceeds the context size"), Remedy::Shorter);
    let mut waits = Vec::new();
    let mut attempt = Attempt::default();
    while let Some((next, wait_ms)) = attempt.next(Remedy::Later { after_ms: None }, 3) {
        waits.push(wait_ms);
        attempt = next;
    }
    assert_eq!(waits, [500, 1_000, 2_000]);
    let after = |after_ms: u64| {
        let remedy = Remedy::Later { after_ms: Some(after_ms) };
        Attempt::default().next(remedy, 1).map(|(_, wait_ms)| wait_ms)
    };
    assert_eq!((after(0), after(30_000), after(30_001)), (Some(0), Some(30_000), None));
    assert_eq!(Attempt::default().next(Remedy::Later { after_ms: None }, 0), None);
}

#[test]
fn the_logged_reason_has_no_conversation_text_however_old() {
    let filler = "and so on, at length ".repeat(8_000);
    let own = http::own_words(&request(vec![
        user("the plan of the moon base"),
        user(&format!("{filler} my diagnosis stands here {filler}")),
    ]));
    for said in ["the plan of the moon base", "my diagnosis stands here"] {
        let failed = http::http_failure(400, None, &format!("not allowed: {said}"));
        let reason = http::reason(&failed, &own, &Content::Text(String::new()));
        assert!(reason.ends_with("not allowed: [redacted]"), "{reason}");
    }
}

#[test]
fn the_logged_reason_has_no_strings_of_the_answer() {
    let mut completion = openai::completion();
    completion.push(b"data: \"The patient is well\"\n\n");
    let Some(AgentEvent::Failed(failed)) = completion.finish().pop() else { panic!("no failure") };
    assert!(failed.error.message.contains("The patient"), "{failed:?}");
    let reason = http::reason(&failed, "", &Content::Text(String::new()));
    assert!(!reason.contains("patient"), "{reason}");
}

#[test]
fn the_logged_reason_has_no_conversation_text() {
    let messages = vec![
        user("my earlier question, at length"),
        super::blocks(Role::Assistant, vec![super::call("a", &json!({"city": "Llanfairpwll"}))]),
        super::blocks(
            Role::User,
            vec![super::result("a", &json!("rain until Thursday"), false), text("thanks a lot")],
        ),
        user("my secret question, at length"),
    ];
    let own = http::own_words(&request(messages));
    let answer = Content::Text("The forecast is bleak".into());
    let reason = |body: &str| http::reason(&http::http_failure(400, None, body), &own, &answer);
    for said in [
        "my secret question, at…",
        "MY EARLIER QUESTION",
        "Llanfairpwll",
        "rain until",
        "thanks a lot",
        "forecast is bleak",
    ] {
        let told = reason(&format!("flagged: '{said}'"));
        assert!(told.contains("flagged: '[redacted]"), "{told}");
    }
    let told = |body: &str| {
        let mut completion = openai::completion();
        let mut events = completion.push(body.as_bytes());
        events.extend(completion.finish());
        let Some(AgentEvent::Failed(failed)) = events.pop() else { panic!("{body}") };
        http::reason(&failed, "", &Content::Text(String::new()))
    };
    assert!(
        told("{\"message\":{\"content\":\"what a model said\"}}").ends_with("check AGENT and AGENT_BASE_URL")
    );
    assert!(told("data: upstream is gone\n\n").ends_with("upstream is gone"));
}

fn messages_of(request: &AgentRequest, omitted: usize) -> Vec<Value> {
    let told = AgentRequest { messages: request.messages[omitted..].to_vec(), ..request.clone() };
    let body = body_of("m", None, &told, false);
    serde_json::from_str::<Value>(&body).unwrap()["messages"].as_array().unwrap().clone()
}

/// Returns the remedy that an agent suggests after an HTTP status.
fn remedy_of(status: u16, retry_after: Option<u64>, body: &str) -> Remedy {
    let variable = |name: Name| match name.as_str() {
        "AGENT" => Some("openai".to_owned()),
        "AGENT_BASE_URL" => Some("https://model.example/v1".to_owned()),
        "AGENT_MODEL" => Some("m".to_owned()),
        _ => None,
    };
    let mut reply = configured(Variables(&variable)).unwrap().reply();
    let refusal = Refusal::Status { status, retry_after, body: body.into() };
    match reply.refuse(&refusal).pop() {
        Some(AgentEvent::Failed(failed)) => failed.remedy,
        other => panic!("{other:?}"),
    }
}
