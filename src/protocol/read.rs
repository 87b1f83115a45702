//! Values that come back as JSON. Read by hand: what is derived for reading takes ten times the code,
//! and a worker is loaded whole.

use super::json::OtherFields;
use super::{Block, Content, ErrorBody, Identity, Json, ResponseMetadata, Session};

/// Something that was written as JSON. `None` for whatever this could not have written.
pub trait Read: Sized {
    fn read(value: &Json) -> Option<Self>;

    #[must_use]
    fn parse(json: &str) -> Option<Self> {
        Self::read(&Json::parse(json)?)
    }
}

/// A field that may be missing or null.
#[must_use]
pub fn optional<T: Read>(value: &Json, name: &str) -> Option<Option<T>> {
    match value.get(name) {
        None | Some(Json::Null) => Some(None),
        Some(field) => T::read(field).map(Some),
    }
}

/// A field that must be there.
#[must_use]
pub fn required<T: Read>(value: &Json, name: &str) -> Option<T> {
    T::read(value.get(name)?)
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

impl Read for bool {
    fn read(value: &Json) -> Option<Self> {
        value.as_bool()
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

impl Read for Block {
    /// A block of an unknown kind or form is kept as it is.
    fn read(value: &Json) -> Option<Self> {
        let kind = value.get("type")?.as_str()?;
        Some(known_block(kind, value).unwrap_or_else(|| Block::Other(value.clone())))
    }
}

fn known_block(kind: &str, value: &Json) -> Option<Block> {
    match kind {
        "text" => Some(Block::Text { text: required(value, "text")? }),
        "thinking" => Some(Block::Thinking { text: required(value, "text")? }),
        "tool_use" => Some(Block::ToolUse {
            id: required(value, "id")?,
            name: required(value, "name")?,
            input: value.get("input")?.clone(),
        }),
        "tool_result" => Some(Block::ToolResult {
            tool_use_id: required(value, "toolUseId")?,
            content: value
                .get("content")
                .filter(|said| matches!(said, Json::String(_) | Json::Array(_)))?
                .clone(),
            is_error: optional(value, "isError")?.unwrap_or_default(),
        }),
        _ => None,
    }
}

impl Read for ErrorBody {
    fn read(value: &Json) -> Option<Self> {
        Some(ErrorBody {
            code: required(value, "code")?,
            message: required(value, "message")?,
            retryable: required(value, "retryable")?,
        })
    }
}

impl Read for ResponseMetadata {
    fn read(value: &Json) -> Option<Self> {
        Some(ResponseMetadata {
            tokens_used: required(value, "tokensUsed")?,
            latency_ms: required(value, "latencyMs")?,
            model: optional(value, "model")?,
            finish_reason: optional(value, "finishReason")?,
            omitted_messages: optional(value, "omittedMessages")?,
            other: others(value, &["tokensUsed", "latencyMs", "model", "finishReason", "omittedMessages"])?,
        })
    }
}

impl Read for Session {
    fn read(value: &Json) -> Option<Self> {
        Some(Session {
            id: required(value, "id")?,
            title: optional(value, "title")?,
            first_message_preview: required(value, "firstMessagePreview")?,
            message_count: required(value, "messageCount")?,
            total_tokens: required(value, "totalTokens")?,
            permission_mode: required(value, "permissionMode")?,
            created_at: required(value, "createdAt")?,
            last_message_at: required(value, "lastMessageAt")?,
            owner: optional(value, "owner")?,
            other: others(value, &SESSION_FIELDS)?,
        })
    }
}

const SESSION_FIELDS: [&str; 9] = [
    "id",
    "title",
    "firstMessagePreview",
    "messageCount",
    "totalTokens",
    "permissionMode",
    "createdAt",
    "lastMessageAt",
    "owner",
];

/// The fields of an object that this version has no name for.
fn others(value: &Json, known: &[&str]) -> Option<OtherFields> {
    let is_other = |(name, _): &(&String, &Json)| !known.contains(&name.as_str());
    let fields = value.as_object()?.iter().filter(is_other);
    Some(OtherFields(fields.map(|(name, value)| (name.clone(), value.clone())).collect()))
}

impl Read for Identity {
    fn read(value: &Json) -> Option<Self> {
        Some(Identity {
            subject: optional(value, "subject")?,
            granted: optional(value, "granted")?,
            may_create: required(value, "mayCreate")?,
            expires_at: optional(value, "expiresAt")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{ErrorCode, Named, PermissionMode, to_json};

    fn comes_back<T: Read + serde::Serialize + PartialEq + std::fmt::Debug>(written: &T) {
        let json = to_json(written);
        assert_eq!(T::parse(&json).as_ref(), Some(written), "{json}");
    }

    #[test]
    fn what_was_written_is_read_back() {
        comes_back(&Content::Text("said".into()));
        comes_back(&Content::Blocks(vec![
            Block::Text { text: "a".into() },
            Block::Thinking { text: "b".into() },
            Block::ToolUse {
                id: "1".into(),
                name: "f".into(),
                input: Json::parse(r#"{"x": [1.5, null]}"#).unwrap(),
            },
            Block::ToolResult { tool_use_id: "1".into(), content: Json::String("ok".into()), is_error: true },
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
        for mode in PermissionMode::ALL {
            comes_back(&Session {
                id: "s".into(),
                title: None,
                first_message_preview: String::new(),
                message_count: 1,
                total_tokens: 2,
                permission_mode: (*mode).into(),
                created_at: 3,
                last_message_at: 4,
                owner: Some("o".into()),
                other: OtherFields::default(),
            });
        }
    }
}
