use bobbin::agent::{AgentMessage, openai};
use bobbin::protocol::{Block, Content, Role};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{blocks, call, request, result, text, user};

#[test]
fn a_request_streams_reports_usage_and_begins_with_the_system_prompt() {
    let request = request(vec![user("Hi"), assistant("Hello"), user("Why \"so\"?")]);
    let body: Value =
        serde_json::from_str(&openai::request_body("gpt-4o", Some("Be kind."), &request)).unwrap();
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
    assert_eq!(messages_of(Some(""), vec![user("Hi")]), json!([{"role": "user", "content": "Hi"}]));
}

#[test]
fn tool_calls_and_their_results_take_the_roles_openai_has_for_them() {
    let messages = vec![
        user("Weather?"),
        blocks(
            Role::Assistant,
            vec![
                Block::Thinking { text: "hm".into() },
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
                {"id": "b", "type": "function", "function": {"name": "f", "arguments": "\"{\\\"city\\\":\""}},
            ]},
            {"role": "tool", "tool_call_id": "b", "content": "Error: no such city"},
            {"role": "tool", "tool_call_id": "a", "content": "sunny"},
            {"role": "user", "content": "There you go"},
        ])
    );
}

#[test]
fn an_agents_own_tool_results_part_its_message() {
    let message = blocks(
        Role::Assistant,
        vec![text("Looking."), call("a", &json!({})), result("a", &json!([1, 2]), false), text("It is two.")],
    );
    let call = json!({"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    assert_eq!(
        messages_of(None, vec![message]),
        json!([
            {"role": "assistant", "content": "Looking.", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "a", "content": "[1,2]"},
            {"role": "assistant", "content": "It is two."},
        ])
    );
}

#[test]
fn a_call_that_nobody_answered_is_answered_before_anything_else_is_said() {
    let messages = vec![blocks(Role::Assistant, vec![call("a", &json!({}))]), user("Never mind")];
    let call = json!({"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    assert_eq!(
        messages_of(None, messages),
        json!([
            {"role": "assistant", "content": null, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "a", "content": "The tool was not run."},
            {"role": "user", "content": "Never mind"},
        ])
    );
}

#[test]
fn a_result_whose_call_is_gone_is_told_in_the_users_words() {
    let message = blocks(Role::User, vec![result("gone", &json!("42"), false), text("What is it?")]);
    assert_eq!(messages_of(None, vec![message]), json!([{"role": "user", "content": "42\n\nWhat is it?"}]));
}

#[test]
fn messages_with_nothing_left_are_skipped_and_the_users_around_them_joined() {
    let messages = vec![
        user("One"),
        assistant(""),
        user("Two"),
        blocks(Role::Assistant, vec![Block::Thinking { text: "hm".into() }]),
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

proptest! {
    #[test]
    fn in_every_history_each_tool_message_answers_a_call_right_before_it(history in any_history()) {
        let messages = messages_of(None, history);
        let mut open: Vec<&Value> = Vec::new();
        let mut last_role = &Value::Null;
        for message in messages.as_array().unwrap() {
            let role = &message["role"];
            if role == "tool" {
                let at = open.iter().position(|id| **id == message["tool_call_id"]);
                prop_assert!(at.is_some(), "{messages}");
                open.remove(at.unwrap());
            } else {
                prop_assert!(open.is_empty(), "{messages}");
                prop_assert!(role != "user" || last_role != "user", "{messages}");
            }
            open.extend(message["tool_calls"].as_array().into_iter().flatten().map(|call| &call["id"]));
            last_role = role;
        }
        prop_assert!(open.is_empty(), "{messages}");
    }
}

#[test]
fn the_endpoint_takes_a_base_with_or_without_a_slash() {
    for base in ["https://api.openai.com/v1", "https://api.openai.com/v1/", " https://api.openai.com/v1// "] {
        assert_eq!(openai::endpoint(base), "https://api.openai.com/v1/chat/completions");
    }
}

#[test]
fn the_headers_tell_the_request_id_and_the_permission_mode() {
    let request = request(vec![]);
    assert_eq!(
        openai::headers(&request),
        [("x-bobbin-request-id", "r1"), ("x-bobbin-permission-mode", "plan")]
    );
}

fn messages_of(system_prompt: Option<&str>, messages: Vec<AgentMessage>) -> Value {
    let body = openai::request_body("m", system_prompt, &request(messages));
    serde_json::from_str::<Value>(&body).unwrap()["messages"].take()
}

fn assistant(text: &str) -> AgentMessage {
    AgentMessage { role: Role::Assistant, content: Content::Text(text.into()) }
}

fn any_history() -> impl Strategy<Value = Vec<AgentMessage>> {
    let block = prop_oneof![
        "[ab]?".prop_map(|said| text(&said)),
        "[abc]".prop_map(|id| call(&id, &json!({}))),
        "[abc]".prop_map(|id| result(&id, &json!("r"), false)),
        Just(Block::Thinking { text: "t".into() }),
    ];
    let role = prop_oneof![Just(Role::User), Just(Role::Assistant)];
    let message = (role, prop::collection::vec(block, 0..5)).prop_map(|(role, list)| blocks(role, list));
    prop::collection::vec(message, 0..8)
}
