//! Requests of the kinds of agents that do not use OpenAI's chat completions.

use bobbin::agent::{AgentEvent, AgentMessage, AgentRequest, Attempt, Call, Refusal, Remedy, configured};
use bobbin::protocol::{Approval, ApprovalState, Block, Content, Json, Role};
use bobbin::variables::{Name, Variables};
use serde_json::{Value, json};

use super::{blocks, call, json_of, request, result, text, user};

// Anthropic.

#[test]
fn a_request_to_anthropic_has_its_version_its_key_and_no_sampling_parameters() {
    let (url, headers, body) = asked("anthropic", &[], &request(vec![user("Hi")]));
    assert_eq!(url, "https://model.example/v1/messages?x=1");
    assert_eq!(headers["anthropic-version"], "2023-06-01");
    assert_eq!(headers["x-api-key"], "k");
    assert_eq!(headers.get("authorization"), None);
    assert_eq!(
        body,
        json!({
            "model": "m",
            "max_tokens": 32_000,
            "system": "Be brief.",
            "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
            "stream": true,
        })
    );
}

#[test]
fn the_second_version_of_anthropic_takes_the_key_in_the_usual_header_and_another_version_can_be_set() {
    let version = ("AGENT_API_VERSION", "2026-10-21");
    let (_, headers, _) = asked("anthropic", &[version], &request(vec![user("Hi")]));
    assert_eq!(headers["anthropic-version"], "2026-10-21");
    assert_eq!(headers["authorization"], "Bearer k");
    assert_eq!(headers.get("x-api-key"), None);
    let own = [
        ("AGENT_HEADERS", r#"{"anthropic-version":"2030-01-01","anthropic-beta":"x"}"#),
        ("AGENT_EXTRA_BODY", r#"{"max_tokens":9,"thinking":{"type":"adaptive"}}"#),
    ];
    let (_, headers, body) = asked("anthropic", &own, &request(vec![user("Hi")]));
    assert_eq!(
        (&headers["anthropic-version"], &headers["anthropic-beta"]),
        (&json!("2030-01-01"), &json!("x"))
    );
    assert_eq!((&body["max_tokens"], &body["thinking"]["type"]), (&json!(9), &json!("adaptive")));
}

#[test]
fn a_call_and_its_result_go_to_anthropic_in_alternating_messages() {
    let thinking = |data: Option<Value>| Block::Thinking {
        text: "hm".into(),
        provider_data: data.map(|data| json_of(&data)),
    };
    let history = vec![
        user("Weather?"),
        blocks(
            Role::Assistant,
            vec![
                thinking(Some(json!({"agent": "anthropic", "signature": "s"}))),
                thinking(None),
                thinking(Some(json!({"openai": {"itemId": "i"}}))),
                Block::Thinking {
                    text: String::new(),
                    provider_data: Some(json_of(&json!({"agent": "anthropic", "data": "d"}))),
                },
                text("Looking."),
                call("c1", &json!({"city": "Oslo"})),
                call("c:2", &json!("cut")),
                result("c:2", &json!([{"type": "text", "text": "rain"}]), true),
            ],
        ),
        blocks(
            Role::User,
            vec![
                text("thanks"),
                result("c1", &json!("7 degrees"), false),
                result("x", &json!("lost"), false),
            ],
        ),
        user(" "),
        blocks(Role::Assistant, vec![call("c1", &Value::Null)]),
        user("Go on"),
    ];
    let said = |text: &str| json!({"type": "text", "text": text});
    assert_eq!(
        messages("anthropic", &request(history)),
        json!([
            {"role": "user", "content": [said("Weather?")]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "redacted_thinking", "data": "d"},
                said("Looking."),
                {"type": "tool_use", "id": "call00000", "name": "f", "input": {"city": "Oslo"}},
                {"type": "tool_use", "id": "call00001", "name": "f", "input": {"input": "cut"}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "call00000", "content": "7 degrees"},
                {"type": "tool_result", "tool_use_id": "call00001", "content": "Error: rain"},
                said("thanks"),
                said("lost"),
            ]},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "call00002", "name": "f", "input": {}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "call00002", "content": "(no result was recorded)"},
                said("Go on"),
            ]},
        ])
    );
}

#[test]
fn a_call_that_ran_at_anthropic_is_handed_back_in_its_original_form_and_left_out_without_its_result() {
    let at_provider = |id: &str, name: &str, data: Value| {
        let mut block = call(id, &json!({"q": 1}));
        if let Block::ToolUse { provider_data, name: called, .. } = &mut block {
            (*provider_data, *called) = (Some(json_of(&data)), name.into());
        }
        block
    };
    let found = json!([{"type": "web_search_result", "encrypted_content": "e"}]);
    let wrong = json!({"type": "web_search_tool_result_error", "error_code": "x"});
    let history = vec![
        user("Search."),
        blocks(
            Role::Assistant,
            vec![
                at_provider("s1", "web_search", json!({"agent": "anthropic", "type": "server_tool_use"})),
                result("s1", &found, false),
                at_provider("s2", "web_search", json!({"agent": "anthropic", "type": "server_tool_use"})),
                Block::tool_result("s2", json_of(&wrong), true),
                at_provider(
                    "m1",
                    "echo",
                    json!({"agent": "anthropic", "type": "mcp_tool_use", "server_name": "here"}),
                ),
                result("m1", &json!([{"type": "text", "text": "1"}]), true),
                at_provider(
                    "s3",
                    "tool_search_tool_regex",
                    json!({"agent": "anthropic", "type": "server_tool_use"}),
                ),
                Block::tool_result("s3", json_of(&json!({"a": 1})), false),
                at_provider("s4", "web_search", json!({"agent": "anthropic", "type": "server_tool_use"})),
                Block::Other(json_of(&json!({"type": "container_upload", "file_id": "f"}))),
                text("So."),
            ],
        ),
        user("More."),
    ];
    let told = messages("anthropic", &request(history));
    let searched =
        |id: &str, name: &str| json!({"type": "server_tool_use", "id": id, "name": name, "input": {"q": 1}});
    assert_eq!(
        told[1]["content"],
        json!([
            searched("s1", "web_search"),
            {"type": "web_search_tool_result", "tool_use_id": "s1", "content": found},
            searched("s2", "web_search"),
            {"type": "web_search_tool_result", "tool_use_id": "s2", "content": wrong},
            {"type": "mcp_tool_use", "id": "m1", "name": "echo", "input": {"q": 1}, "server_name": "here"},
            {"type": "mcp_tool_result", "tool_use_id": "m1", "content": [{"type": "text", "text": "1"}], "is_error": true},
            searched("s3", "tool_search_tool_regex"),
            {"type": "tool_search_tool_result", "tool_use_id": "s3", "content": {"a": 1}},
            {"type": "text", "text": "So."},
        ])
    );
    assert_eq!(told.as_array().unwrap().len(), 3);
}

#[test]
fn anthropic_is_given_images_and_documents_and_the_names_of_other_files() {
    let history = vec![blocks(
        Role::User,
        vec![
            file("image/png", "https://a.example/x.png"),
            file("image/jpeg", "data:image/jpeg;base64,/9j/"),
            file("application/pdf", "data:application/pdf;base64,JVBE"),
            file("application/zip", "https://a.example/x.zip"),
            file("image/png", "/sessions/s/files/f"),
        ],
    )];
    let note =
        |kind: &str, place: &str| json!({"type": "text", "text": format!("\n[file n, {kind}: {place}]\n")});
    assert_eq!(
        messages("anthropic", &request(history))[0]["content"],
        json!([
            {"type": "image", "source": {"type": "url", "url": "https://a.example/x.png"}},
            {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "/9j/"}},
            {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"}},
            note("application/zip", "https://a.example/x.zip"),
            note("image/png", "not shown to you"),
        ])
    );
}

#[test]
fn anthropic_continues_its_own_answer_after_the_results_it_waited_for() {
    let mut request = request(vec![user("Where am I?")]);
    request.answer = Some(Content::Blocks(vec![
        text("Looking."),
        call("c1", &json!({})),
        result("c1", &json!("Oslo"), false),
    ]));
    let told = messages("anthropic", &request);
    assert_eq!(told[1]["role"], "assistant");
    assert_eq!(
        told[2],
        json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call00000", "content": "Oslo"}]})
    );
    assert_eq!(told.as_array().unwrap().len(), 3);
}

#[test]
fn a_history_for_anthropic_begins_and_ends_with_a_user() {
    let nothing = json!({"role": "user", "content": [{"type": "text", "text": "(empty message)"}]});
    let told = messages(
        "anthropic",
        &request(vec![blocks(Role::Assistant, vec![text("Hello?")]), user("\u{200b}")]),
    );
    assert_eq!((&told[0], &told[2]), (&nothing, &nothing));
    assert_eq!(messages("anthropic", &request(vec![user("")])), json!([nothing]));
}

// Workers AI.

#[test]
fn workers_ai_is_called_by_its_binding_with_the_history_as_openai_has_it() {
    let agent = agent(
        "workers-ai",
        &[("AGENT_AI_GATEWAY", "g"), ("AGENT_EXTRA_BODY", r#"{"max_tokens":9,"seed":1}"#)],
    );
    let asked = request(vec![user("Hi")]);
    let Call::WorkersAi { model, input, options } = agent.call(&asked, Attempt::default()) else { panic!() };
    assert_eq!(model, "m");
    assert_eq!(options, r#"{"gateway":{"id":"g"}}"#);
    let input: Value = serde_json::from_str(&input).unwrap();
    let said = json!([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]);
    assert_eq!(input, json!({"messages": said, "stream": true, "max_tokens": 9, "seed": 1}));
    let Call::WorkersAi { options, input, .. } =
        self::agent("workers-ai", &[]).call(&asked, Attempt::default())
    else {
        panic!()
    };
    assert_eq!(options, "{}");
    assert_eq!(serde_json::from_str::<Value>(&input).unwrap()["max_tokens"], 4_096);
}

#[test]
fn an_error_of_the_binding_is_reported_and_retried_if_it_is_transient() {
    let failed = |refusal: &Refusal| match agent("workers-ai", &[]).reply().refuse(refusal).pop() {
        Some(AgentEvent::Failed(failed)) => failed,
        other => panic!("{other:?}"),
    };
    let later = Remedy::Later { after_ms: None };
    for (words, is_passing) in [
        ("3040: Capacity temporarily exceeded", true),
        ("3036: you have used up your daily free allocation", true),
        ("5007: No such model", false),
        ("5006: Error: required properties", false),
        ("3042: not found", false),
        ("Network connection lost", true),
    ] {
        let failed = failed(&Refusal::Thrown(words.into()));
        assert_eq!((failed.error.retryable, failed.remedy == later), (is_passing, is_passing), "{words}");
        let said = words.split(':').next_back().unwrap().trim();
        assert!(failed.error.message.contains(said), "{failed:?}");
    }
    let missing = failed(&Refusal::NoModels);
    assert!(missing.error.message.contains("binding = \"AI\""), "{missing:?}");
    assert_eq!((missing.error.retryable, missing.remedy), (false, Remedy::None));
}

// The AI SDK.

#[test]
fn a_route_of_the_ai_sdk_gets_the_request_of_its_own_client_with_further_fields() {
    let mut asked_for = request(vec![AgentMessage {
        id: "u1".into(),
        metadata: Some(json_of(&json!({"at": 1}))),
        ..user("Hi")
    }]);
    asked_for.session_id = "s1".into();
    asked_for.answer_id = "a1".into();
    asked_for.subject = Some("ann".into());
    asked_for.session_metadata = Some(json_of(&json!({"plan": "pro"})));
    let (url, headers, body) =
        asked("ai-sdk", &[("AGENT_BASE_URL", "https://app.example/api/chat/")], &asked_for);
    assert_eq!(url, "https://app.example/api/chat/");
    assert_eq!(headers["authorization"], "Bearer k");
    assert_eq!(
        body,
        json!({
            "id": "s1",
            "messages": [
                {"id": "u1", "role": "user", "metadata": {"at": 1}, "parts": [{"type": "text", "text": "Hi", "state": "done"}]},
            ],
            "trigger": "submit-message",
            "answerId": "a1",
            "requestId": "r1",
            "permissionMode": "plan",
            "model": "m",
            "system": "Be brief.",
            "subject": "ann",
            "metadata": {"plan": "pro"},
        })
    );
}

#[test]
fn a_history_of_the_ai_sdk_has_each_call_and_its_result_in_one_part() {
    let said = |text: &str| json!({"type": "text", "text": text, "state": "done"});
    let step = json!({"type": "step-start"});
    let tool = |id: &str, state: &str, more: Value| {
        let mut part = json!({"type": "tool-f", "toolCallId": id, "state": state, "input": {"a": 1}});
        part.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        part
    };
    let file =
        |kind: &str, url: &str| json!({"type": "file", "mediaType": kind, "url": url, "filename": "n"});
    let told = messages("ai-sdk", &request(everything()));
    assert_eq!(told.as_array().unwrap().len(), 3);
    assert_eq!(
        told[2]["parts"],
        json!([said("And?"), file("text/plain", "data:text/plain;base64,aGk="), said("lost"),])
    );
    assert_eq!(
        told[1]["parts"],
        json!([
            step,
            {"type": "reasoning", "text": "hm", "state": "done", "providerMetadata": {"p": {"x": 1}}},
            {"type": "reasoning", "text": "ah", "state": "done"},
            said("Looking."),
            tool("c1", "output-available", json!({"output": {"c": 7}})),
            tool("c2", "output-error", json!({
                "type": "dynamic-tool", "toolName": "f", "providerExecuted": true,
                "callProviderMetadata": {"p": {}}, "errorText": "no",
            })),
            step,
            said("7."),
            tool("c3", "output-available", json!({
                "output": "ok", "approval": {"id": "ap", "approved": true, "reason": "why", "signature": "s"},
            })),
            step,
            tool("c4", "output-denied", json!({"approval": {"id": "c4", "approved": false, "reason": "why"}})),
            tool("c5", "output-error", json!({"errorText": "(no result was recorded)"})),
            tool("c6", "output-available", json!({"output": "late"})),
            {"type": "source-url", "sourceId": "https://a.example/", "url": "https://a.example/", "title": "A"},
            {"type": "source-document", "sourceId": "R", "mediaType": "application/pdf", "title": "R"},
            {"type": "data-w", "id": "i", "data": null},
            {"type": "data-hologram", "data": {"type": "hologram", "moon": 1}},
            file("image/png", "https://a.example/x.png"),
        ])
    );
}

#[test]
fn a_route_of_the_ai_sdk_continues_its_own_answer_with_the_decisions_on_its_calls() {
    let decided = |id: &str, state: ApprovalState| {
        let mut block = call(id, &json!({}));
        if let Block::ToolUse { approval, .. } = &mut block {
            *approval = Some(Approval { state: state.into(), reason: None, by: None });
        }
        block
    };
    let mut asked_for = request(vec![user("Go")]);
    asked_for.answer_id = "a1".into();
    asked_for.answer = Some(Content::Blocks(vec![
        decided("c1", ApprovalState::Approved),
        decided("c2", ApprovalState::Denied),
        decided("c3", ApprovalState::Requested),
    ]));
    let (_, _, body) = asked("ai-sdk", &[], &asked_for);
    assert_eq!((&body["messageId"], &body["messages"][1]["id"]), (&json!("a1"), &json!("a1")));
    let part = |id: &str, state: &str, approval: Value| json!({"type": "tool-f", "toolCallId": id, "state": state, "input": {}, "approval": approval});
    assert_eq!(
        body["messages"][1]["parts"],
        json!([
            {"type": "step-start"},
            part("c1", "approval-responded", json!({"id": "c1", "approved": true})),
            part("c2", "approval-responded", json!({"id": "c2", "approved": false})),
            part("c3", "approval-requested", json!({"id": "c3"})),
        ])
    );
}

#[test]
fn a_route_of_the_ai_sdk_is_called_once_and_its_calls_run_until_they_have_a_result() {
    let reply = || agent("ai-sdk", &[]).reply();
    for status in [429, 503, 413] {
        let refusal = Refusal::Status { status, retry_after: None, body: b"context length".to_vec() };
        let Some(AgentEvent::Failed(failed)) = reply().refuse(&refusal).pop() else { panic!() };
        assert_eq!(failed.remedy, Remedy::None, "{status}");
    }
    let mut reply = reply();
    let mut after = |chunk: Value| {
        reply.push(format!("data: {chunk}\n\n").as_bytes());
        reply.is_running_tool()
    };
    assert!(!after(json!({"type": "tool-input-start", "toolCallId": "c1", "toolName": "f"})));
    assert!(after(json!({"type": "tool-input-available", "toolCallId": "c1", "toolName": "f", "input": {}})));
    assert!(after(
        json!({"type": "tool-output-available", "toolCallId": "c1", "output": 1, "preliminary": true})
    ));
    assert!(!after(json!({"type": "tool-output-available", "toolCallId": "c1", "output": 2})));
    assert!(after(json!({"type": "tool-input-available", "toolCallId": "c2", "toolName": "f", "input": {}})));
    assert!(!after(json!({"type": "tool-approval-request", "toolCallId": "c2", "approvalId": "a"})));
    assert!(after(json!({"type": "tool-approval-response", "approvalId": "a", "approved": true})));
    assert!(!after(json!({"type": "error", "errorText": "no"})));
}

// Helpers.

/// Returns a conversation with every kind of block.
fn everything() -> Vec<AgentMessage> {
    let with = |id: &str, state: Option<ApprovalState>, data: Option<Value>| {
        let mut block = call(id, &json!({"a": 1}));
        if let Block::ToolUse { approval, provider_data, .. } = &mut block {
            *approval =
                state.map(|state| Approval { state: state.into(), reason: Some("why".into()), by: None });
            *provider_data = data.map(|data| json_of(&data));
        }
        block
    };
    let signed = json!({"approvalId": "ap", "approval": {"signature": "s"}});
    vec![
        user("Go"),
        blocks(
            Role::Assistant,
            vec![
                Block::Thinking {
                    text: "hm".into(),
                    provider_data: Some(json_of(
                        &json!({"agent": "ai-sdk", "providerMetadata": {"p": {"x": 1}}}),
                    )),
                },
                Block::Thinking {
                    text: "ah".into(),
                    provider_data: Some(json_of(&json!({"signature": "s"}))),
                },
                text("Looking."),
                with("c1", None, None),
                with(
                    "c2",
                    None,
                    Some(json!({"dynamic": true, "providerExecuted": true, "providerMetadata": {"p": {}}})),
                ),
                Block::tool_result("c1", json_of(&json!({"c": 7})), false),
                result("c2", &json!("no"), true),
                text("7."),
                with("c3", Some(ApprovalState::Approved), Some(signed.clone())),
                result("c3", &json!("ok"), false),
                with("c4", Some(ApprovalState::Denied), None),
                with("c5", None, None),
                with("c6", None, None),
                Block::Source {
                    url: Some("https://a.example/".into()),
                    title: Some("A".into()),
                    media_type: None,
                },
                Block::Source {
                    url: None,
                    title: Some("R".into()),
                    media_type: Some("application/pdf".into()),
                },
                Block::Data { name: "w".into(), data: Json::Null, id: Some("i".into()) },
                Block::Other(json_of(&json!({"type": "hologram", "moon": 1}))),
                file("image/png", "https://a.example/x.png"),
            ],
        ),
        blocks(Role::User, vec![result("c6", &json!("late"), false)]),
        blocks(
            Role::User,
            vec![
                text("And?"),
                file("text/plain", "data:text/plain;base64,aGk="),
                result("x", &json!("lost"), false),
            ],
        ),
    ]
}

fn agent(kind: &str, variables: &[(&str, &str)]) -> std::rc::Rc<dyn bobbin::agent::Agent> {
    let variable = |name: Name| {
        let own = variables.iter().find(|(of, _)| *of == name.as_str()).map(|(_, value)| *value);
        let common = match name.as_str() {
            "AGENT" => kind,
            "AGENT_BASE_URL" => "https://model.example/v1/?x=1",
            "AGENT_MODEL" => "m",
            "AGENT_API_KEY" => "k",
            "AGENT_SYSTEM_PROMPT" => "Be brief.",
            _ => "",
        };
        Some(own.unwrap_or(common).to_owned())
    };
    configured(Variables(&variable)).unwrap()
}

/// Returns the address, the headers and the body of a request.
fn asked(kind: &str, variables: &[(&str, &str)], request: &AgentRequest) -> (String, Value, Value) {
    let Call::Http { url, headers, body, .. } = agent(kind, variables).call(request, Attempt::default())
    else {
        panic!("{kind} is not called by HTTP");
    };
    let headers = headers.into_iter().map(|(name, value)| (name, json!(value))).collect();
    (url, Value::Object(headers), serde_json::from_str(&body).unwrap())
}

fn messages(kind: &str, request: &AgentRequest) -> Value {
    asked(kind, &[], request).2["messages"].clone()
}

fn file(media_type: &str, url: &str) -> Block {
    Block::File { media_type: media_type.into(), url: url.into(), name: Some("n".into()), size: None }
}
