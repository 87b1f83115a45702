use bobbin::agent::Failed;
use bobbin::agent::http::{self, QUOTE_CHARS_MAX};
use bobbin::protocol::ErrorCode;

#[test]
fn each_http_status_has_its_own_failure() {
    let cases: &[(u16, Option<u64>, &str, bool, &str)] = &[
        (
            400,
            None,
            r#"{"error":{"message":"Invalid 'messages'"}}"#,
            false,
            "answered 400: Invalid 'messages'",
        ),
        (401, None, r#"{"error":{"message":"Expired key"}}"#, false, "check AGENT_API_KEY: Expired key"),
        (401, None, "", false, "check AGENT_API_KEY"),
        (403, None, "", false, "check AGENT_API_KEY"),
        (
            403,
            None,
            r#"{"error":{"message":"It was flagged"}}"#,
            false,
            "endpoint answered 403: It was flagged",
        ),
        (
            402,
            None,
            r#"{"error":{"message":"Insufficient credits","code":402}}"#,
            false,
            "Insufficient credits",
        ),
        (
            404,
            None,
            r#"{"error":{"message":"The model `x` does not exist"}}"#,
            false,
            "AGENT_MODEL: The model `x`",
        ),
        (404, None, "<html>Not found</html>", false, "check AGENT_BASE_URL and AGENT_MODEL"),
        (408, None, "", true, "answered 408"),
        (422, None, r#"{"detail":[{"msg":"field required"}]}"#, false, "field required"),
        (400, None, r#"{"errors":[{"message":"No such model"}]}"#, false, "No such model"),
        (400, None, r#"["no","never"]"#, false, "answered 400: no never"),
        (400, None, r#"{"success":false,"n":NaN}"#, false, r#"answered 400: {"success":false,"n":NaN}"#),
        (429, Some(20), r#"{"error":{"message":"Slow down"}}"#, true, "retry after 20 s: Slow down"),
        (429, None, "", true, "retry later"),
        (500, None, "upstream connect error", true, "answered 500: upstream connect error"),
        (502, None, "<html>", true, "answered 502"),
        (503, None, "\u{1b}[31mbusy\u{7}", true, "answered 503: [31mbusy"),
        (
            529,
            None,
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
            true,
            "Overloaded",
        ),
        (
            502,
            None,
            "<html><head><title>502 Bad Gateway</title></head>",
            true,
            "answered 502: 502 Bad Gateway",
        ),
        (
            502,
            None,
            "<html><style>\n.a { b }\n</style><script>\nc()\n</script><title>Origin down</title></html>",
            true,
            "answered 502: Origin down",
        ),
        (500, None, "<Error><Message>Slow\nDown</Message></Error>", true, "answered 500: Slow"),
        (400, None, "{\n  \"reason\": \"paused\"\n}", false, "answered 400: { \"reason\": \"paused\""),
        (401, None, r#"{"error":true,"message":"Who are you?"}"#, false, "AGENT_API_KEY: Who are you?"),
        (
            403,
            None,
            r#"{"error":"denied","message":"Not in your region"}"#,
            false,
            "403: denied Not in your region",
        ),
        (400, None, r#"{"error":{"message":"x","metadata":{"raw":{"a":1}}}}"#, false, r#"400: x {"a":1}"#),
        (400, None, "max_tokens is required", false, "required (AGENT_EXTRA_BODY adds fields"),
        (200, None, "", false, "answered 200"),
    ];
    for (status, retry_after, body, retryable, says) in cases {
        let Failed { error, tokens_used, .. } = http::http_failure(*status, *retry_after, body);
        assert!(error.message.contains(says), "{status}: {:?} does not say {says:?}", error.message);
        assert_eq!(
            (error.code.clone(), error.retryable, tokens_used),
            (ErrorCode::AgentError.into(), *retryable, 0),
            "{status}"
        );
        assert!(!error.message.contains(char::is_control), "{error:?}");
    }
}

#[test]
fn a_redirect_that_is_not_followed_says_where_it_leads_and_what_to_set() {
    let failures = [
        (
            http::redirect_failure(307, Some("https://other.example")),
            "307, a redirect to https://other.example",
        ),
        (http::redirect_failure(302, None), "302, a redirect that cannot be followed"),
        (http::redirect_failure(307, Some("null")), "307, a redirect that cannot be followed"),
        (http::redirects_failure(), "redirects more than 3 times"),
    ];
    for (Failed { error, .. }, says) in failures {
        assert!(error.message.contains(says) && error.message.contains("set AGENT_BASE_URL"), "{error:?}");
        assert!(!error.retryable, "{error:?}");
    }
}

#[test]
fn no_message_carries_a_key_a_path_or_a_stack() {
    let secrets = [
        "sk-proj-abcdEFGH1234",
        "sk-1234567890abcdef1234567890abcdef",
        "gsk_abcdefghijklmnop",
        "AIzaSyA1234567890abcdefghij",
        "hf_abcdefghijklmnopqrst",
        "0123456789abcdef0123456789abcdef",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    ];
    let frames =
        ["{}", "key {} is bad", "key=\"{}\".", "({})", "https://host/v1?key={}&x", "Authorization:Bearer-{}"];
    for secret in secrets {
        for frame in frames {
            let said = http::http_failure(400, None, &frame.replace("{}", secret)).error.message;
            assert!(!said.contains(secret) && said.contains("[redacted]"), "{frame} of {secret}: {said}");
        }
    }
    let said = |body: &str| http::http_failure(500, None, body).error.message;
    assert_eq!(
        said("Bearer abc.def was refused"),
        "the model endpoint answered 500: Bearer [redacted] was refused"
    );
    assert_eq!(said("no /etc/model/key.pem"), "the model endpoint answered 500: no [path]");
    assert_eq!(said("Oops\n  at f (a.js:1)"), "the model endpoint answered 500: Oops");
    let harmless =
        "see https://platform.openai.com/docs for task-force meta-llama/Llama-3.3-70B-Instruct-Turbo";
    assert_eq!(said(harmless), format!("the model endpoint answered 500: {harmless}"));
}

#[test]
fn a_quote_is_cut_at_its_limit() {
    let said = |chars: usize| http::http_failure(500, None, &"ä".repeat(chars)).error.message;
    let quoted = |chars: usize| said(chars).chars().filter(|c| *c == 'ä').count();
    assert_eq!(quoted(QUOTE_CHARS_MAX), QUOTE_CHARS_MAX);
    assert_eq!(quoted(QUOTE_CHARS_MAX + 1), QUOTE_CHARS_MAX - 1);
    assert!(said(QUOTE_CHARS_MAX + 1).ends_with('…'));
}

#[test]
fn a_timeout_and_an_unreachable_endpoint_are_retryable() {
    let timeout = http::timeout_failure(60_000).error;
    assert_eq!((timeout.code, timeout.retryable), (ErrorCode::AgentTimeout.into(), true));
    assert!(timeout.message.contains("60000 ms"));
    let unreachable = http::unreachable_failure().error;
    assert_eq!((unreachable.code, unreachable.retryable), (ErrorCode::AgentError.into(), true));
}
