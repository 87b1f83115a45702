//! Which frame a refusal is about.

use std::borrow::Cow;

use super::json::Reader;
use super::limits::{REFUSED_FRAME_CHARS_MAX, REFUSED_NAME_CHARS_MAX};

/// The type that a refusal names where a frame says none.
const UNKNOWN: &str = "unknown";

/// What tells a client which of its frames is meant, read of any text at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameName {
    /// The frame's type; `unknown`, if it cannot be read.
    pub kind: String,
    /// Also one that is itself what is wrong with the frame, as long as it is a string.
    pub request_id: Option<String>,
    /// How the frame begins, where there is no `requestId`, or where the frame is not JSON.
    pub start: Option<String>,
}

impl FrameName {
    /// Of what is not JSON, its fields are read up to there. No tree is built, and no depth is too deep.
    #[must_use]
    pub fn of(frame: &str) -> Self {
        let (mut kind, mut request_id) = (None, None);
        let is_json = Reader::read(frame, |reader| {
            reader.object(&mut |reader, name| {
                let field = match &*name {
                    "type" => &mut kind,
                    "requestId" => &mut request_id,
                    _ => return reader.skip(),
                };
                *field = None;
                if reader.peek()? != b'"' {
                    return reader.skip();
                }
                reader.string().map(|text| *field = Some(text))
            })
        })
        .is_ok();
        let start = (request_id.is_none() || !is_json).then(|| head(frame, REFUSED_FRAME_CHARS_MAX));
        let cut = |text: Cow<'_, str>| head(&text, REFUSED_NAME_CHARS_MAX);
        FrameName {
            kind: kind.map_or_else(|| UNKNOWN.to_owned(), cut),
            request_id: request_id.map(cut),
            start,
        }
    }
}

fn head(text: &str, chars_max: usize) -> String {
    text.chars().take(chars_max).collect()
}
