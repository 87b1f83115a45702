use bobbin::agent::http::Asked;
use bobbin::agent::{AgentEvent, AgentMessage, responses};
use bobbin::protocol::{Block, Role};
use bobbin::variables::AgentName;
use serde_json::{Value, json};

use super::{blocks, call, request, result, text, user};

#[test]
fn a_conversation_is_written_as_items_of_the_responses_api() {
    let file = |media_type: &str, url: &str| Block::File {
        media_type: media_type.into(),
        url: url.into(),
        name: None,
        size: None,
    };
    let messages = vec![
        blocks(
            Role::User,
            vec![
                text("What is this?"),
                file("image/png", "https://a.example/cat.png"),
                file("application/pdf", "data:application/pdf;base64,AA=="),
                file("application/pdf", "https://a.example/b.pdf"),
            ],
        ),
        blocks(
            Role::Assistant,
            vec![
                Block::thinking("of another model"),
                text("Let me look."),
                call("a", &json!({"x": 1})),
                call("b", &json!({})),
            ],
        ),
        blocks(Role::User, vec![result("a", &json!("sun"), false), text("And?")]),
    ];
    assert_eq!(
        body(Some("Be brief."), messages, false),
        json!({
            "model": "m",
            "instructions": "Be brief.",
            "input": [
                {"role": "user", "content": [
                    {"type": "input_text", "text": "What is this?"},
                    {"type": "input_image", "image_url": "https://a.example/cat.png"},
                    {"type": "input_file", "filename": "document.pdf", "file_data": "data:application/pdf;base64,AA=="},
                    {"type": "input_file", "file_url": "https://a.example/b.pdf"},
                ]},
                {"role": "assistant", "content": "Let me look."},
                {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{\"x\":1}"},
                {"type": "function_call", "call_id": "b", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "a", "output": "sun"},
                {"type": "function_call_output", "call_id": "b", "output": "(no result was recorded)"},
                {"role": "user", "content": [{"type": "input_text", "text": "And?"}]},
            ],
            "stream": true,
            "store": false,
            "include": ["reasoning.encrypted_content"],
        })
    );
}

#[test]
fn encrypted_reasoning_goes_back_before_the_item_after_it_and_never_alone() {
    let item = json!({"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "gAAA"});
    let answer = |after: &Value| {
        let mut stream = responses::reader();
        stream.answer.asked_model = "m".into();
        let events = [
            json!({"type": "response.output_item.done", "output_index": 0, "item": item}),
            json!({"type": "response.output_item.done", "output_index": 1, "item": after}),
            json!({"type": "response.completed", "response": {"status": "completed"}}),
        ];
        let mut answer = Vec::new();
        for event in events {
            for event in stream.push(format!("data: {event}\n\n").as_bytes()) {
                match event {
                    AgentEvent::Block(block) => answer.push(block),
                    AgentEvent::Text(said) => answer.push(text(&said)),
                    _ => {}
                }
            }
        }
        answer
    };
    let called = json!({"type": "function_call", "call_id": "a", "name": "f", "arguments": "{\"x\":1}"});
    let said = json!({"type": "message", "content": [{"type": "output_text", "text": "Hi"}]});
    let told = |answer: Vec<Block>, is_plain: bool| -> Vec<Value> {
        let messages = vec![user("Go"), blocks(Role::Assistant, answer), user("Well?")];
        let input = body(None, messages, is_plain)["input"].take();
        input.as_array().unwrap()[1..].iter().take_while(|item| item["role"] != "user").cloned().collect()
    };
    let message = json!({"role": "assistant", "content": "Hi"});
    assert_eq!(told(answer(&said), false), [item.clone(), message.clone()]);
    assert_eq!(told(answer(&called), false)[..2], [item.clone(), called.clone()]);
    assert_eq!(told(answer(&said), true), [message]);
    // The answer was cut off after this block.
    let cut: Vec<Block> = answer(&called).into_iter().take(1).collect();
    assert_eq!(told(cut, false), Vec::<Value>::new());
}

#[test]
fn a_plain_request_asks_for_no_encrypted_reasoning() {
    let told = body(None, vec![user("Hi")], true);
    assert_eq!(
        told,
        json!({
            "model": "m",
            "input": [{"role": "user", "content": [{"type": "input_text", "text": "Hi"}]}],
            "stream": true,
            "store": false,
        })
    );
}

fn body(system_prompt: Option<&str>, messages: Vec<AgentMessage>, is_plain: bool) -> Value {
    let request = request(messages);
    let asked = Asked {
        agent: AgentName::Responses,
        model: "m",
        system_prompt,
        request: &request,
        is_plain,
        declares_tools: false,
    };
    serde_json::from_str(&responses::request_body(&asked)).unwrap()
}
