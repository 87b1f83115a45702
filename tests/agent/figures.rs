use bobbin::agent::{AgentEvent, http, openai};
use bobbin::protocol::{Finish, Usage};
use serde_json::{Value, json};

#[test]
fn every_finish_reason_of_a_provider_maps_to_one_of_the_contract() {
    let cases: [(Finish, &[&str]); 5] = [
        (Finish::Stop, &["stop", "STOP", "end_turn", "stop_sequence", "eos", "completed"]),
        (
            Finish::Length,
            &[
                "length",
                "max_tokens",
                "MAX_TOKENS",
                "model_length",
                "max_output_tokens",
                "model_context_window_exceeded",
            ],
        ),
        (
            Finish::ContentFilter,
            &[
                "content_filter",
                "content-filter",
                "refusal",
                "sensitive",
                "SAFETY",
                "PROHIBITED_CONTENT",
                "RECITATION",
                "SPII",
            ],
        ),
        (Finish::ToolCalls, &["tool_calls", "tool-calls", "function_call", "tool_use"]),
        (Finish::Other, &["pause_turn", "unlimited", "language", ""]),
    ];
    for (finish, words) in cases {
        for word in words {
            assert_eq!(http::finish(word), finish, "{word}");
        }
    }
}

#[test]
fn usage_is_read_under_every_providers_names() {
    let parts = |input: u64, output: u64, reasoning: Option<u64>, cached: Option<u64>| Usage {
        input_tokens: input,
        output_tokens: output,
        reasoning_tokens: reasoning,
        cached_tokens: cached,
    };
    let cases = [
        (
            json!({"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}),
            Some(parts(5, 3, None, None)),
            8,
        ),
        (json!({"inputTokens": 5, "outputTokens": "3"}), Some(parts(5, 3, None, None)), 8),
        (
            json!({"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 4}, "completion_tokens": 3,
                "completion_tokens_details": {"reasoning_tokens": 2, "audio_tokens": 0}, "total_tokens": 8}),
            Some(parts(5, 3, Some(2), Some(4))),
            8,
        ),
        // DeepSeek and Kimi report cached tokens outside the other details.
        (
            json!({"prompt_tokens": 5, "completion_tokens": 3, "prompt_cache_hit_tokens": 4}),
            Some(parts(5, 3, None, Some(4))),
            8,
        ),
        (
            json!({"prompt_tokens": 5, "completion_tokens": 3, "cached_tokens": 4}),
            Some(parts(5, 3, None, Some(4))),
            8,
        ),
        // xAI counts thinking only in the total.
        (
            json!({"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 18,
                "completion_tokens_details": {"reasoning_tokens": 10}}),
            Some(parts(5, 13, Some(10), None)),
            18,
        ),
        (json!({"total_tokens": 8}), None, 8),
        (json!({"completion_tokens": 3, "total_tokens": 8}), Some(parts(5, 3, None, None)), 8),
        (json!({"prompt_tokens": 5}), Some(parts(5, 0, None, None)), 5),
        (json!(null), None, 1),
    ];
    for (usage, expected, total) in cases {
        assert_eq!(figures(&usage), (expected, total), "{usage}");
    }
}

fn figures(usage: &Value) -> (Option<Usage>, u64) {
    let mut stream = openai::completion();
    stream.push(super::delta(&json!({"content": "a"})).as_bytes());
    stream.push(format!("data: {}\n\n", json!({"choices": [], "usage": usage})).as_bytes());
    match stream.push(b"data: [DONE]\n\n").pop() {
        Some(AgentEvent::Finished(finished)) => (finished.usage, finished.tokens_used),
        other => panic!("{other:?}"),
    }
}
