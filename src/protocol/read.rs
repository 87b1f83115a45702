//! Values that come back as JSON.

use super::json::OtherFields;
use super::{Content, Json};

/// A type that can be read out of JSON. `None` stands for JSON that it could not have been written as.
pub trait Read: Sized {
    /// The value that a JSON value stands for.
    fn read(value: &Json) -> Option<Self>;

    /// The value of a field that is not there; `None` if the field is required.
    #[must_use]
    fn missing() -> Option<Self> {
        None
    }

    /// The value that a JSON text stands for.
    #[must_use]
    fn parse(json: &str) -> Option<Self> {
        Self::read(&Json::parse(json)?)
    }
}

/// A field. It must be there, unless its type has a value for a missing one.
#[must_use]
pub fn required<T: Read>(value: &Json, name: &str) -> Option<T> {
    value.get(name).map_or_else(T::missing, T::read)
}

/// A field that may be missing or null.
#[must_use]
pub fn optional<T: Read>(value: &Json, name: &str) -> Option<Option<T>> {
    required(value, name)
}

impl<T: Read> Read for Option<T> {
    fn read(value: &Json) -> Option<Self> {
        if *value == Json::Null { Some(None) } else { T::read(value).map(Some) }
    }

    fn missing() -> Option<Self> {
        Some(None)
    }
}

impl Read for String {
    fn read(value: &Json) -> Option<Self> {
        value.as_str().map(str::to_owned)
    }
}

impl Read for u64 {
    fn read(value: &Json) -> Option<Self> {
        value.as_u64()
    }
}

/// A flag that is missing or null is not set.
impl Read for bool {
    fn read(value: &Json) -> Option<Self> {
        if *value == Json::Null { Some(false) } else { value.as_bool() }
    }

    fn missing() -> Option<Self> {
        Some(false)
    }
}

impl Read for Json {
    fn read(value: &Json) -> Option<Self> {
        Some(value.clone())
    }
}

impl<T: Read> Read for Vec<T> {
    fn read(value: &Json) -> Option<Self> {
        let mut items = Vec::new();
        for item in value.as_array()? {
            items.push(T::read(item)?);
        }
        Some(items)
    }
}

impl Read for Content {
    fn read(value: &Json) -> Option<Self> {
        match value {
            Json::String(text) => Some(Content::Text(text.clone())),
            blocks => Vec::read(blocks).map(Content::Blocks),
        }
    }
}

/// The fields of an object that this version has no name for.
pub(crate) fn others(value: &Json, known: &[&str]) -> Option<OtherFields> {
    let is_other = |(name, _): &(&String, &Json)| !known.contains(&name.as_str());
    let fields = value.as_object()?.iter().filter(is_other);
    Some(OtherFields(fields.map(|(name, value)| (name.clone(), value.clone())).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{
        Block, ErrorBody, ErrorCode, Identity, Named, PermissionMode, ResponseMetadata, Session,
        SessionState, to_json,
    };

    fn comes_back<T: Read + serde::Serialize + PartialEq + std::fmt::Debug>(written: &T) {
        let json = to_json(written);
        assert_eq!(T::parse(&json).as_ref(), Some(written), "{json}");
    }

    #[test]
    fn what_was_written_is_read_back() {
        comes_back(&Content::Text("said".into()));
        comes_back(&Content::Blocks(vec![
            Block::Text { text: "a".into() },
            Block::thinking("b"),
            Block::tool_use("1", "f", Json::parse(r#"{"x": [1.5, null]}"#).unwrap()),
            Block::tool_result("1", Json::String("ok".into()), true),
        ]));
        for code in ErrorCode::ALL {
            comes_back(&ErrorBody { code: (*code).into(), message: "no".into(), retryable: true });
        }
        comes_back(&ResponseMetadata {
            tokens_used: 3,
            model: Some("m".into()),
            ..ResponseMetadata::default()
        });
        comes_back(&Identity::anyone());
        let granted = Some(crate::protocol::Access::Viewer);
        comes_back(&Identity {
            subject: Some("ann".into()),
            granted,
            may_create: false,
            expires_at: Some(7),
            trace: None,
        });
        for mode in PermissionMode::ALL {
            comes_back(&Session {
                state: Some(SessionState::Running.into()),
                id: "s".into(),
                title: None,
                first_message_preview: String::new(),
                message_count: 1,
                total_tokens: 2,
                permission_mode: (*mode).into(),
                created_at: 3,
                last_message_at: 4,
                owner: Some("o".into()),
                model: Some("m".into()),
                metadata: Json::parse(r#"{"a": 1.50}"#),
                other: OtherFields::default(),
            });
        }
    }

    #[test]
    fn a_flag_that_is_missing_or_null_is_not_set() {
        let result = |flag: &str| format!(r#"{{"type":"tool_result","toolUseId":"1","content":"ok"{flag}}}"#);
        for (flag, is_set) in [("", false), (r#","isError":null"#, false), (r#","isError":true"#, true)] {
            let read = Block::parse(&result(flag));
            assert!(matches!(read, Some(Block::ToolResult { is_error, .. }) if is_error == is_set), "{flag}");
        }
        assert!(matches!(Block::parse(&result(r#","isError":1"#)), Some(Block::Other(_))));
    }

    #[test]
    fn a_block_of_another_kind_or_form_is_kept_as_it_is() {
        for block in [
            r#"{"moon":1,"type":"hologram"}"#,
            r#"{"type":"text"}"#,
            r#"{"text":7,"type":"thinking"}"#,
            r#"{"content":{},"toolUseId":"1","type":"tool_result"}"#,
            r#"{"id":"1","name":"f","type":"tool_use"}"#,
        ] {
            assert_eq!(Block::parse(block), Json::parse(block).map(Block::Other), "{block}");
            assert_eq!(Block::parse(block).map(|read| to_json(&read)).as_deref(), Some(block));
        }
        let null_input = r#"{"type":"tool_use","id":"1","name":"f","input":null}"#;
        assert!(matches!(Block::parse(null_input), Some(Block::ToolUse { input: Json::Null, .. })));
        assert_eq!(Block::parse(r#"{"text":"without a type"}"#), None);
    }

    #[test]
    fn fields_that_this_version_has_no_name_for_are_kept() {
        let json = r#"{"tokensUsed":1,"latencyMs":2,"cost":{"total":3.50}}"#;
        let metadata = ResponseMetadata::parse(json).unwrap();
        assert_eq!(to_json(&metadata), json);
    }
}
