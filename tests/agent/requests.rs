use std::rc::Rc;

use bobbin::agent::http::Asked;
use bobbin::agent::{
    Agent, AgentEvent, AgentMessage, AgentRequest, Attempt, Call, Remedy, anthropic, configured, http, openai,
};
use bobbin::protocol::{Approval, ApprovalState, Block, Content, Role};
use bobbin::variables::{Name, Variables};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{blocks, body_of, call, request, result, text, user};

#[test]
fn a_request_streams_reports_usage_and_begins_with_the_system_prompt() {
    let request = request(vec![user("Hi"), assistant("Hello"), user("Why \"so\"?")]);
    let body: Value = serde_json::from_str(&body_of("gpt-4o", Some("Be kind."), &request, false)).unwrap();
    assert_eq!(
        body,
        json!({
            "model": "gpt-4o",
            "messages": [
                {"role": "system", "content": "Be kind."},
                {"role": "user", "content": "Hi"},
                {"role": "assistant", "content": "Hello"},
                {"role": "user", "content": "Why \"so\"?"},
            ],
            "stream": true,
            "stream_options": {"include_usage": true},
        })
    );
    for nothing in ["", " \n", "\u{feff}"] {
        assert_eq!(messages_of(Some(nothing), vec![user("Hi")]), json!([{"role": "user", "content": "Hi"}]));
    }
}

#[test]
fn tool_calls_and_their_results_have_openais_roles() {
    let messages = vec![
        user("Weather?"),
        blocks(
            Role::Assistant,
            vec![
                Block::thinking("hm"),
                text("Let me "),
                text("look."),
                call("a", &json!({"city": "Paris"})),
                call("b", &json!("{\"city\":")),
            ],
        ),
        blocks(
            Role::User,
            vec![
                text("There you go"),
                result("b", &json!("no such city"), true),
                result("a", &json!([{"type": "text", "text": "sun"}, {"type": "text", "text": "ny"}]), false),
            ],
        ),
    ];
    assert_eq!(
        messages_of(None, messages),
        json!([
            {"role": "user", "content": "Weather?"},
            {"role": "assistant", "content": "Let me look.", "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"city\":\"Paris\"}"}},
                {"id": "b", "type": "function", "function": {"name": "f", "arguments": "{\"input\":\"{\\\"city\\\":\"}"}},
            ]},
            {"role": "tool", "tool_call_id": "a", "content": "sunny"},
            {"role": "tool", "tool_call_id": "b", "content": "Error: no such city"},
            {"role": "assistant", "content": "Understood."},
            {"role": "user", "content": "There you go"},
        ])
    );
}

#[test]
fn an_agents_own_tool_results_split_its_message() {
    let message = blocks(
        Role::Assistant,
        vec![text("Looking."), call("a", &json!({})), result("a", &json!([1, 2]), false), text("It is two.")],
    );
    assert_eq!(
        messages_of(None, vec![user("How many?"), message, user("Sure?")]),
        json!([
            {"role": "user", "content": "How many?"},
            {"role": "assistant", "content": "Looking.", "tool_calls": [told_call("a")]},
            {"role": "tool", "tool_call_id": "a", "content": "[1,2]"},
            {"role": "assistant", "content": "It is two."},
            {"role": "user", "content": "Sure?"},
        ])
    );
}

#[test]
fn a_call_without_a_result_is_described_so_and_never_as_a_tool_that_did_not_run() {
    let messages =
        vec![user("Do it"), blocks(Role::Assistant, vec![call("a", &json!({}))]), user("Never mind")];
    assert_eq!(
        messages_of(None, messages),
        json!([
            {"role": "user", "content": "Do it"},
            {"role": "assistant", "tool_calls": [told_call("a")]},
            {"role": "tool", "tool_call_id": "a", "content": "(no result was recorded)"},
            {"role": "assistant", "content": "Understood."},
            {"role": "user", "content": "Never mind"},
        ])
    );
}

#[test]
fn a_late_result_follows_its_call_and_is_not_repeated() {
    let messages = vec![
        user("Do it"),
        blocks(Role::Assistant, vec![call("a", &json!({}))]),
        user("Well?"),
        assistant("I wait."),
        blocks(Role::User, vec![result("a", &json!("done"), false)]),
    ];
    assert_eq!(
        messages_of(None, messages),
        json!([
            {"role": "user", "content": "Do it"},
            {"role": "assistant", "tool_calls": [told_call("a")]},
            {"role": "tool", "tool_call_id": "a", "content": "done"},
            {"role": "assistant", "content": "Understood."},
            {"role": "user", "content": "Well?"},
            {"role": "assistant", "content": "I wait."},
            {"role": "user", "content": "(the result is above)"},
        ])
    );
}

#[test]
fn a_result_answers_the_latest_open_call_of_its_id_and_ids_become_unique() {
    let called = || blocks(Role::Assistant, vec![call("call_0", &json!({}))]);
    let answered = |said: &str| blocks(Role::User, vec![result("call_0", &json!(said), false)]);
    let messages = vec![user("Go"), called(), answered("one"), called(), answered("two"), answered("three")];
    assert_eq!(
        messages_of(None, messages),
        json!([
            {"role": "user", "content": "Go"},
            {"role": "assistant", "tool_calls": [told_call("call_0")]},
            {"role": "tool", "tool_call_id": "call_0", "content": "one"},
            {"role": "assistant", "tool_calls": [told_call("call_0_1")]},
            {"role": "tool", "tool_call_id": "call_0_1", "content": "two"},
            {"role": "assistant", "content": "Understood."},
            {"role": "user", "content": "three"},
        ])
    );
}

#[test]
fn calls_have_plain_names_and_objects_for_inputs() {
    let long = "x".repeat(65);
    let cases = [
        ("f", json!({"a": 1}), "f", "{\"a\":1}"),
        ("", json!(null), "unnamed", "{}"),
        ("my.tool: ü", json!([1]), "my_tool___", "{\"input\":[1]}"),
        (&long, json!(7), long.get(..64).unwrap(), "{\"input\":7}"),
        ("f", json!("{\"city\":\"Par"), "f", "{\"input\":\"{\\\"city\\\":\\\"Par\"}"),
    ];
    for (name, input, told_name, arguments) in cases {
        let block = Block::tool_use("", name, super::json_of(&input));
        let told = messages_of(None, vec![user("Go"), blocks(Role::Assistant, vec![block])]);
        let function = json!({"name": told_name, "arguments": arguments});
        let call = json!({"id": "call_0", "type": "function", "function": function});
        assert_eq!(told[1], json!({"role": "assistant", "tool_calls": [call]}));
    }
}

#[test]
fn blank_text_is_left_out_and_never_leaves_empty_content() {
    let blank = " \n\t\u{a0}\u{200b}\u{1c}\u{ad}\u{180e}\u{2800}\u{3164}\u{fe0f}\u{fffc}";
    let messages = vec![
        user(blank),
        assistant("Hello?"),
        user("One"),
        assistant(blank),
        user("Two"),
        blocks(Role::Assistant, vec![text("\n\n"), call("a", &json!({}))]),
        blocks(Role::User, vec![result("a", &json!(blank), false), text(" "), text("\n")]),
        assistant("First"),
        user(blank),
        assistant("Second"),
        blocks(Role::User, vec![text("Th"), text(" "), text("ree")]),
        assistant("Third"),
        user(blank),
    ];
    assert_eq!(
        messages_of(Some(blank), messages),
        json!([
            {"role": "user", "content": "(empty message)"},
            {"role": "assistant", "content": "Hello?"},
            {"role": "user", "content": "One\n\nTwo"},
            {"role": "assistant", "tool_calls": [told_call("a")]},
            {"role": "tool", "tool_call_id": "a", "content": "(no output)"},
            {"role": "assistant", "content": "First\n\nSecond"},
            {"role": "user", "content": "Th ree"},
            {"role": "assistant", "content": "Third"},
            {"role": "user", "content": "(empty message)"},
        ])
    );
    let nothing = json!([{"role": "user", "content": "(empty message)"}]);
    assert_eq!(messages_of(None, vec![user(blank)]), nothing);
    assert_eq!(messages_of(None, vec![]), nothing);
}

#[test]
fn a_result_without_its_call_becomes_text_of_the_user() {
    let message = blocks(Role::User, vec![result("gone", &json!("42"), false), text("What is it?")]);
    assert_eq!(messages_of(None, vec![message]), json!([{"role": "user", "content": "42\n\nWhat is it?"}]));
}

#[test]
fn messages_with_nothing_left_are_skipped_and_the_users_around_them_joined() {
    let messages = vec![
        user("One"),
        assistant(""),
        user("Two"),
        blocks(Role::Assistant, vec![Block::thinking("hm")]),
        user("Three"),
        assistant("A partial ans"),
        user("Four"),
    ];
    assert_eq!(
        messages_of(None, messages),
        json!([
            {"role": "user", "content": "One\n\nTwo\n\nThree"},
            {"role": "assistant", "content": "A partial ans"},
            {"role": "user", "content": "Four"},
        ])
    );
}

#[test]
fn images_and_documents_are_parts_of_a_users_message_and_other_files_are_named() {
    let file = |media_type: &str, url: &str, name: Option<&str>| Block::File {
        media_type: media_type.into(),
        url: url.into(),
        name: name.map(str::to_owned),
        size: None,
    };
    let message = blocks(
        Role::User,
        vec![
            text("What is "),
            text("this?"),
            file("image/png", "https://a.example/cat.png", None),
            file("image/jpeg", "data:image/jpeg;base64,AA==", Some("dog.jpg")),
            file("application/pdf", "data:application/pdf;base64,AA==", None),
            file("application/pdf", "https://a.example/b.pdf", Some("b.pdf")),
            file("image/png", "/sessions/s/files/f", Some("own.png")),
            file("audio/wav", "data:audio/wav;base64,AA==", None),
            data("selection", &json!({"a": 1})),
            text(" \n"),
        ],
    );
    let notes = "\n[file b.pdf, application/pdf: https://a.example/b.pdf]\n\n[file own.png, image/png: not shown to \
                 you]\n\n[file without a name, audio/wav: not shown to you]\n \n";
    assert_eq!(
        messages_of(None, vec![user("Hi"), message, user("So?")]),
        json!([{"role": "user", "content": [
            {"type": "text", "text": "Hi\n\nWhat is this?"},
            {"type": "image_url", "image_url": {"url": "https://a.example/cat.png"}},
            {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,AA=="}},
            {"type": "file", "file": {"filename": "document.pdf", "file_data": "data:application/pdf;base64,AA=="}},
            {"type": "text", "text": format!("{notes}\n\nSo?")},
        ]}])
    );
}

#[test]
fn blocks_for_people_and_applications_are_left_out() {
    let source = Block::Source { url: Some("https://a.example".into()), title: None, media_type: None };
    let unknown = Block::Other(super::json_of(&json!({"type": "hologram"})));
    let answer =
        blocks(Role::Assistant, vec![text("Seen."), source, data("chart", &json!([1])), unknown.clone()]);
    let alone = blocks(Role::User, vec![data("click", &json!({})), unknown]);
    assert_eq!(
        messages_of(None, vec![user("Look"), answer, alone]),
        json!([
            {"role": "user", "content": "Look"},
            {"role": "assistant", "content": "Seen."},
            {"role": "user", "content": "(empty message)"},
        ])
    );
}

#[test]
fn a_providers_data_goes_back_with_its_calls_and_to_no_other_model() {
    let completion = |chunks: &[Value]| -> Vec<Block> {
        let mut stream = openai::completion();
        stream.answer.asked_model = "m".into();
        let mut events = Vec::new();
        for chunk in chunks {
            events.extend(stream.push(super::delta(chunk).as_bytes()));
        }
        events.extend(stream.push(b"data: [DONE]\n\n"));
        let block = |event: AgentEvent| if let AgentEvent::Block(block) = event { Some(block) } else { None };
        events.into_iter().filter_map(block).collect()
    };
    let signature = json!({"google": {"thought_signature": "s=="}});
    let called = |more: &Value| {
        let mut call = json!({"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}});
        call.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"tool_calls": [call]})
    };
    let detail = |text: &str| json!({"type": "reasoning.text", "text": text, "index": 0, "signature": null});
    let encrypted = json!({"type": "reasoning.encrypted", "data": "zz", "index": 1});
    let answers = [
        completion(&[
            json!({"reasoning_content": "h"}),
            json!({"reasoning_content": "m"}),
            called(&json!({})),
        ]),
        completion(&[called(&json!({"extra_content": signature}))]),
        completion(&[
            json!({"reasoning": "h", "reasoning_details": [detail("h")]}),
            json!({"reasoning": "m", "reasoning_details": [detail("m")]}),
            json!({"reasoning_details": [encrypted]}),
            called(&json!({})),
        ]),
    ];
    let wanted = [
        json!({"role": "assistant", "tool_calls": [told_call("a")], "reasoning_content": "hm"}),
        json!({"role": "assistant", "tool_calls": [{
            "id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}, "extra_content": signature,
        }]}),
        json!({"role": "assistant", "tool_calls": [told_call("a")], "reasoning_details": [
            {"type": "reasoning.text", "text": "hm", "index": 0, "signature": null}, encrypted,
        ]}),
    ];
    for (answer, wanted) in answers.into_iter().zip(wanted) {
        let request = request(vec![user("Go"), blocks(Role::Assistant, answer.clone())]);
        let told = |model: &str, is_plain: bool| -> Value {
            let body = body_of(model, None, &request, is_plain);
            serde_json::from_str::<Value>(&body).unwrap()["messages"][1].take()
        };
        assert_eq!(told("m", false), wanted);
        // Another model may see the text of the thinking, but not signed data.
        let bare = json!({"role": "assistant", "tool_calls": [told_call("a")]});
        let is_text = wanted.get("reasoning_content").is_some();
        assert_eq!(told("other", false), if is_text { wanted } else { bare });
        assert_eq!(told("m", true).get("reasoning_content"), None);
        // The same holds for an answer of another kind of agent.
        let mut answer = answer;
        for block in &mut answer {
            if let Block::Thinking { provider_data, .. } | Block::ToolUse { provider_data, .. } = block {
                *provider_data =
                    Some(super::json_of(&json!({"agent": "x", "model": "m", "reasoning_content": true})));
            }
        }
        let told = messages_of(None, vec![user("Go"), blocks(Role::Assistant, answer)]);
        assert_eq!(told[1], json!({"role": "assistant", "tool_calls": [told_call("a")]}));
    }
}

#[test]
fn tools_with_calls_in_the_history_are_declared_if_an_endpoint_requires_it() {
    let calls = vec![call("a", &json!({})), call("b", &json!({}))];
    let history = vec![user("Go"), blocks(Role::Assistant, calls), user("And?")];
    let tools = |kind: &http::Kind, messages: Vec<AgentMessage>, declares_tools: bool| -> Value {
        let (agent, request) = (kind.name, request(messages));
        let asked = Asked {
            agent,
            model: "m",
            system_prompt: None,
            request: &request,
            is_plain: false,
            declares_tools,
        };
        serde_json::from_str::<Value>(&(kind.body)(&asked)).unwrap()["tools"].take()
    };
    let function = json!({"name": "f", "parameters": {"type": "object", "properties": {}}});
    assert_eq!(
        tools(&openai::KIND, history.clone(), true),
        json!([{"type": "function", "function": function}])
    );
    let claudes = json!([{"name": "f", "input_schema": {"type": "object"}}]);
    assert_eq!(tools(&anthropic::KIND, history.clone(), true), claudes);
    for kind in [&openai::KIND, &anthropic::KIND] {
        assert_eq!(tools(kind, history.clone(), false), Value::Null);
        assert_eq!(tools(kind, vec![user("Go")], true), Value::Null);
    }
    let (attempt, wait_ms) = Attempt::default().next(Remedy::Tools, 0).unwrap();
    assert_eq!((attempt.declares_tools, attempt.is_plain, wait_ms), (true, false, 0));
    assert_eq!(attempt.next(Remedy::Tools, 0), None);
}

#[test]
fn a_call_that_was_not_allowed_is_described_so() {
    let denied = |reason: Option<&str>| {
        let mut block = call("a", &json!({}));
        if let Block::ToolUse { approval, .. } = &mut block {
            let reason = reason.map(str::to_owned);
            *approval = Some(Approval { state: ApprovalState::Denied.into(), reason, by: None });
        }
        messages_of(None, vec![user("Go"), blocks(Role::Assistant, vec![block])])[2].take()
    };
    let told = |content: &str| json!({"role": "tool", "tool_call_id": "a", "content": content});
    assert_eq!(denied(None), told("(the call was not allowed)"));
    assert_eq!(denied(Some("too dear")), told("(the call was not allowed) too dear"));
}

#[test]
fn an_agent_that_is_called_again_gets_its_own_answer_so_far() {
    let answer = vec![text("Looking."), call("a", &json!({})), result("a", &json!("sun"), false)];
    let request = AgentRequest { answer: Some(Content::Blocks(answer)), ..request(vec![user("Weather?")]) };
    let agent = configured_with(&|_| None).unwrap();
    let Call::Http { body, .. } = agent.call(&request, Attempt::default()) else { panic!("no call") };
    assert_eq!(
        serde_json::from_str::<Value>(&body).unwrap()["messages"],
        json!([
            {"role": "user", "content": "Weather?"},
            {"role": "assistant", "content": "Looking.", "tool_calls": [told_call("a")]},
            {"role": "tool", "tool_call_id": "a", "content": "sun"},
        ])
    );
}

#[test]
fn a_session_uses_the_model_it_chose_as_long_as_that_is_on_offer() {
    let agent = configured_with(&|name| (name == "AGENT_MODELS").then_some(" a, b ,,c")).unwrap();
    for (chosen, asked) in [(None, "a"), (Some("a"), "a"), (Some("c"), "c"), (Some("gone"), "a")] {
        let request = AgentRequest { model: chosen.map(str::to_owned), ..request(vec![user("Hi")]) };
        let Call::Http { body, .. } = agent.call(&request, Attempt::default()) else { panic!("no call") };
        assert_eq!(serde_json::from_str::<Value>(&body).unwrap()["model"], asked);
    }
}

#[test]
fn only_the_applications_own_service_gets_the_author_and_the_metadata() {
    let mut own = user("Hi");
    own.metadata = Some(super::json_of(&json!({"place": "Zürich 😀"})));
    let request = AgentRequest {
        subject: Some("ann".into()),
        session_metadata: Some(super::json_of(&json!({"plan": "pro"}))),
        ..request(vec![own])
    };
    let agent = configured_with(&|_| None).unwrap();
    let Call::Http { headers, service_headers, body, .. } = agent.call(&request, Attempt::default()) else {
        panic!("no call");
    };
    let told = [
        ("x-bobbin-subject", "\"ann\""),
        ("x-bobbin-metadata", r#"{"place":"Z\u00fcrich \ud83d\ude00"}"#),
        ("x-bobbin-session-metadata", r#"{"plan":"pro"}"#),
    ];
    assert_eq!(service_headers, told.map(|(name, value)| (name, value.to_owned())));
    assert!(headers.iter().all(|(name, _)| told.iter().all(|(told, _)| told != name)));
    assert!(!body.contains("ann") && !body.contains("rich"));
}

proptest! {
    #[test]
    fn every_history_follows_the_rules_of_all_providers(history in any_history(), blank in prop::bool::ANY) {
        let told = messages_of(Some(if blank { " " } else { "Be brief." }), history);
        let messages = told.as_array().unwrap();
        let messages = messages.strip_prefix(&[json!({"role": "system", "content": "Be brief."})]).unwrap_or(messages);
        let ids = |message: &Value| -> Vec<Value> {
            message["tool_calls"].as_array().into_iter().flatten().map(|call| call["id"].clone()).collect()
        };
        let (mut open, mut seen, mut last_role) = (Vec::<Value>::new(), Vec::<Value>::new(), "none");
        for message in messages {
            let role = message["role"].as_str().unwrap();
            if role == "tool" {
                let at = open.iter().position(|id| *id == message["tool_call_id"]);
                prop_assert!(at.is_some(), "a result without its call right before it: {told}");
                open.remove(at.unwrap());
            } else {
                prop_assert!(open.is_empty(), "a call without its result: {told}");
                let expected: &[&str] = if role == "user" { &["assistant", "none"] } else { &["user", "tool"] };
                prop_assert!(expected.contains(&last_role), "{role} after {last_role}: {told}");
            }
            let content = message.get("content");
            prop_assert!(content.is_some() || role == "assistant", "no content: {told}");
            prop_assert!(content.is_none_or(|it| !it.as_str().unwrap().trim().is_empty()), "blank: {told}");
            for call in message["tool_calls"].as_array().into_iter().flatten() {
                let name = call["function"]["name"].as_str().unwrap();
                prop_assert!((1..=64).contains(&name.len()) && !name.contains(['.', ' ']), "{told}");
                let arguments = call["function"]["arguments"].as_str().unwrap();
                prop_assert!(serde_json::from_str::<Value>(arguments).unwrap().is_object(), "{told}");
                prop_assert!(!seen.contains(&call["id"]) && call["id"] != "", "an id twice: {told}");
                seen.push(call["id"].clone());
            }
            open.extend(ids(message));
            last_role = role;
        }
        prop_assert!(open.is_empty(), "{told}");
        prop_assert!(matches!(last_role, "user" | "tool"), "{told}");
    }
}

#[test]
fn the_endpoint_takes_a_base_with_or_without_a_slash() {
    for base in ["https://api.openai.com/v1", "https://api.openai.com/v1/", " https://api.openai.com/v1// "] {
        assert_eq!(
            http::address(base, openai::KIND.address.unwrap()),
            "https://api.openai.com/v1/chat/completions"
        );
    }
}

#[test]
fn a_query_of_the_base_stays_at_the_end_of_the_address() {
    for base in
        ["https://a.example/v1?api-version=2024-10-21", "https://a.example/v1/?api-version=2024-10-21"]
    {
        assert_eq!(
            http::address(base, openai::KIND.address.unwrap()),
            "https://a.example/v1/chat/completions?api-version=2024-10-21"
        );
    }
}

#[test]
fn an_operators_fields_and_headers_are_merged_over_the_requests() {
    let set = |name: &str| match name {
        "AGENT_API_KEY" => Some("sk-1"),
        "AGENT_HEADERS" => Some(r#"{"x-api-key":"k","Authorization":null}"#),
        "AGENT_EXTRA_BODY" => {
            Some(r#"{"max_tokens":1.50,"model":null,"stream_options":{"include_usage":false}}"#)
        }
        _ => None,
    };
    let agent = configured_with(&set).unwrap();
    let Call::Http { headers, body, .. } = agent.call(&request(vec![user("Hi")]), Attempt::default()) else {
        panic!("no call");
    };
    assert!(headers.ends_with(&[
        ("authorization".into(), Some("Bearer sk-1".into())),
        ("Authorization".into(), None),
        ("x-api-key".into(), Some("k".into())),
    ]));
    let expected = r#"{"messages":[{"content":"Hi","role":"user"}],"stream":true,"max_tokens":1.50,"stream_options":{"include_usage":false}}"#;
    assert_eq!(body, expected);
}

#[test]
fn invalid_fields_and_headers_are_refused_without_revealing_a_secret() {
    let wrong = [
        ("AGENT_HEADERS", r#"["sk-secret"]"#),
        ("AGENT_HEADERS", r#"{"a":"sk-secret\n"}"#),
        ("AGENT_HEADERS", r#"{"a b":"sk-secret"}"#),
        ("AGENT_HEADERS", r#"{"":"sk-secret"}"#),
        ("AGENT_HEADERS", r#"{"a/b":"sk-secret"}"#),
        ("AGENT_HEADERS", r#"{"a":"sk-sécret"}"#),
        ("AGENT_HEADERS", r#"{"a":7}"#),
        ("AGENT_HEADERS", "a: sk-secret"),
        ("AGENT_EXTRA_BODY", "max_tokens=1"),
        ("AGENT_EXTRA_BODY", "[1]"),
        ("AGENT_API_KEY", "sk-secret\nx"),
    ];
    for (variable, value) in wrong {
        let why = configured_with(&|name| (name == variable).then_some(value)).unwrap_err();
        assert!(why.starts_with(variable) && !why.contains("secret"), "{value}: {why}");
    }
    assert!(configured_with(&|name| (name == "AGENT_API_KEY").then_some("sk-1\n")).is_ok());
}

fn configured_with(set: &dyn Fn(&str) -> Option<&'static str>) -> Result<Rc<dyn Agent>, String> {
    configured(Variables(&|name: Name| {
        let value = match name.as_str() {
            "AGENT" => Some("openai"),
            "AGENT_BASE_URL" => Some("https://model.example/v1"),
            "AGENT_MODEL" => Some("m"),
            other => set(other),
        };
        value.map(str::to_owned)
    }))
}

#[test]
fn the_headers_tell_the_request_id_and_the_permission_mode() {
    let request = request(vec![]);
    assert_eq!(
        http::headers(&request),
        [("x-bobbin-request-id", "r1"), ("x-bobbin-permission-mode", "plan")]
    );
}

fn messages_of(system_prompt: Option<&str>, messages: Vec<AgentMessage>) -> Value {
    let body = body_of("m", system_prompt, &request(messages), false);
    serde_json::from_str::<Value>(&body).unwrap()["messages"].take()
}

fn data(name: &str, data: &Value) -> Block {
    Block::Data { name: name.into(), data: super::json_of(data), id: None }
}

fn assistant(text: &str) -> AgentMessage {
    super::message(Role::Assistant, Content::Text(text.into()))
}

fn told_call(id: &str) -> Value {
    json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}})
}

fn any_history() -> impl Strategy<Value = Vec<AgentMessage>> {
    let said = prop_oneof!["[ab \n\u{200b}]{0,2}", Just(String::from("\u{1c}"))];
    let input = prop_oneof![Just(json!({})), Just(json!(null)), Just(json!("{\"a\":")), Just(json!([1]))];
    let called = ("(call_0|a|a_1|)", "(f|my\\.tool|)", input)
        .prop_map(|(id, name, input)| Block::tool_use(id, name, super::json_of(&input)));
    let answered = ("(call_0|a|a_1|gone|)", "[r ]?").prop_map(|(id, said)| result(&id, &json!(said), false));
    let block =
        prop_oneof![said.clone().prop_map(|said| text(&said)), called, answered, Just(Block::thinking("t")),];
    let role = prop_oneof![Just(Role::User), Just(Role::Assistant)];
    let content = prop_oneof![
        said.prop_map(Content::Text),
        prop::collection::vec(block, 0..5).prop_map(Content::Blocks),
    ];
    let message = (role, content).prop_map(|(role, content)| super::message(role, content));
    prop::collection::vec(message, 0..8)
}
