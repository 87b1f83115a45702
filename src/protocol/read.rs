//! Values that are read from JSON.

use super::json::OtherFields;
use super::{Content, Json};

/// A type that can be read from JSON. Values are filled in place, because moving them would add code.
pub trait Read: Sized {
    /// Returns a value to be filled.
    fn blank() -> Self;

    /// Sets this value from JSON, where `None` stands for a field that is missing. Returns whether the JSON
    /// fits the type; if not, the value is meaningless.
    fn fill(&mut self, json: Option<&Json>) -> bool;

    /// Reads a value from JSON. Returns `None` if the JSON does not fit the type.
    #[must_use]
    fn read(json: &Json) -> Option<Self> {
        filled(Some(json))
    }

    /// Reads a value from a JSON text.
    #[must_use]
    fn parse(json: &str) -> Option<Self> {
        Self::read(&Json::parse(json)?)
    }
}

fn filled<T: Read>(json: Option<&Json>) -> Option<T> {
    let mut value = T::blank();
    value.fill(json).then_some(value)
}

/// Reads a field. It must be there, unless its type has a value for a missing one.
#[must_use]
pub fn required<T: Read>(json: &Json, name: &str) -> Option<T> {
    filled(json.get(name))
}

/// Reads a field that may be missing or null.
#[must_use]
pub fn optional<T: Read>(json: &Json, name: &str) -> Option<Option<T>> {
    required(json, name)
}

/// Fills in a field, like [`required`].
pub(crate) fn fill_field<T: Read>(field: &mut T, json: &Json, name: &str) -> bool {
    field.fill(json.get(name))
}

/// The same for a field that keeps its value if it is missing or null.
pub(crate) fn fill_known<T: Read>(field: &mut T, json: &Json, name: &str) -> bool {
    match json.get(name) {
        None | Some(Json::Null) => true,
        known => field.fill(known),
    }
}

/// Stores a value if there is one. Returns whether there was.
fn put<T>(place: &mut T, found: Option<T>) -> bool {
    let is_found = found.is_some();
    if let Some(value) = found {
        *place = value;
    }
    is_found
}

impl<T: Read> Read for Option<T> {
    fn blank() -> Self {
        None
    }

    fn fill(&mut self, json: Option<&Json>) -> bool {
        matches!(json, None | Some(Json::Null)) || self.insert(T::blank()).fill(json)
    }
}

impl Read for String {
    fn blank() -> Self {
        String::new()
    }

    fn fill(&mut self, json: Option<&Json>) -> bool {
        put(self, json.and_then(Json::as_str).map(str::to_owned))
    }
}

impl Read for u64 {
    fn blank() -> Self {
        0
    }

    fn fill(&mut self, json: Option<&Json>) -> bool {
        put(self, json.and_then(Json::as_u64))
    }
}

impl Read for usize {
    fn blank() -> Self {
        0
    }

    fn fill(&mut self, json: Option<&Json>) -> bool {
        put(self, json.and_then(Json::as_u64).and_then(|number| number.try_into().ok()))
    }
}

/// A missing flag, or one that is null, is not set.
impl Read for bool {
    fn blank() -> Self {
        false
    }

    fn fill(&mut self, json: Option<&Json>) -> bool {
        matches!(json, None | Some(Json::Null)) || put(self, json.and_then(Json::as_bool))
    }
}

impl Read for Json {
    fn blank() -> Self {
        Json::Null
    }

    fn fill(&mut self, json: Option<&Json>) -> bool {
        put(self, json.cloned())
    }
}

impl<T: Read> Read for Vec<T> {
    fn blank() -> Self {
        Vec::new()
    }

    fn fill(&mut self, json: Option<&Json>) -> bool {
        let Some(items) = json.and_then(Json::as_array) else { return false };
        for item in items {
            let Some(item) = T::read(item) else { return false };
            self.push(item);
        }
        true
    }
}

impl Read for (u64, u64) {
    fn blank() -> Self {
        (0, 0)
    }

    fn fill(&mut self, json: Option<&Json>) -> bool {
        let Some([one, other]) = json.and_then(Json::as_array) else { return false };
        self.0.fill(Some(one)) && self.1.fill(Some(other))
    }
}

impl Read for Content {
    fn blank() -> Self {
        Content::default()
    }

    fn fill(&mut self, json: Option<&Json>) -> bool {
        put(
            self,
            json.and_then(|json| match json {
                Json::String(text) => Some(Content::Text(text.clone())),
                blocks => Vec::read(blocks).map(Content::Blocks),
            }),
        )
    }
}

/// Fills in the fields of an object that this version does not know.
pub(crate) fn fill_others(others: &mut OtherFields, json: &Json, known: &[&str]) -> bool {
    for (name, value) in json.fields() {
        if !known.contains(&name.as_str()) {
            others.0.insert(name.clone(), value.clone());
        }
    }
    json.as_object().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Write;
    use crate::protocol::{
        Block, ErrorBody, ErrorCode, Identity, Named, PermissionMode, ResponseMetadata, Session,
        SessionState, to_json,
    };

    fn comes_back<T: Read + Write + PartialEq + std::fmt::Debug>(written: &T) {
        let json = to_json(written);
        assert_eq!(T::parse(&json).as_ref(), Some(written), "{json}");
    }

    #[test]
    fn written_values_are_read_back() {
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
