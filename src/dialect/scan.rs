//! Reads JSON in place: skips the values that nobody asks for, and copies nothing without need.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::ops::Range;

use crate::protocol::json::{Json, Reader};

/// The fields that callers ask for. Others are skipped, which limits how much of an object is kept.
const NAMES: [&str; 31] = [
    "approval",
    "approved",
    "content",
    "data",
    "error",
    "errorText",
    "filename",
    "id",
    "interruptId",
    "mediaType",
    "messageId",
    "messages",
    "metadata",
    "mimeType",
    "output",
    "parts",
    "payload",
    "reason",
    "requestId",
    "resume",
    "role",
    "runId",
    "source",
    "state",
    "text",
    "toolCallId",
    "toolCalls",
    "trigger",
    "type",
    "url",
    "value",
];

/// An object whose values have not been parsed yet.
pub struct Object<'a>(Vec<(&'static str, &'a str)>);

impl<'a> Object<'a> {
    /// Reads an object; `None` if the text is not one.
    #[must_use]
    pub fn read(text: &'a str) -> Option<Self> {
        let mut fields = Object(Vec::new());
        let read = Reader::read(text, |reader| {
            reader.object(&mut |reader, name| {
                let raw = reader.raw()?;
                if let Some(name) = NAMES.into_iter().find(|known| *known == name) {
                    fields.0.retain(|(known, _)| *known != name);
                    fields.0.push((name, raw));
                }
                Ok(())
            })
        });
        read.ok().map(|()| fields)
    }

    /// A field's value as raw JSON.
    #[must_use]
    pub fn raw(&self, name: &str) -> Option<&'a str> {
        debug_assert!(NAMES.contains(&name), "{name} is passed over");
        self.0.iter().find(|(known, _)| *known == name).map(|(_, raw)| *raw)
    }

    /// A field's text, if it is a string.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        Reader::read(self.raw(name)?, Reader::string).ok()
    }

    /// A field's value.
    #[must_use]
    pub fn json(&self, name: &str) -> Option<Json> {
        Json::parse(self.raw(name)?)
    }
}

/// The last items of an array as raw JSON, at most this many, and the number of all items; `None` if the text is not
/// an array.
#[must_use]
pub fn last_items(text: &str, max: usize) -> Option<(VecDeque<&str>, usize)> {
    let (mut items, mut count) = (VecDeque::new(), 0_usize);
    each(text, &mut |item| {
        count = count.saturating_add(1);
        if items.len() == max {
            items.pop_front();
        }
        items.push_back(item);
    })?;
    Some((items, count))
}

/// Passes on the items of an array as raw JSON, one after the other; `None` if the text is not an array.
pub fn each<'a>(text: &'a str, item: &mut dyn FnMut(&'a str)) -> Option<()> {
    let read = Reader::read(text, |reader| {
        reader.array(&mut |reader| {
            item(reader.raw()?);
            Ok(())
        })
    });
    read.ok()
}

/// The range of a text that a part of it takes up.
#[must_use]
pub fn place_of(part: &str, text: &str) -> Range<usize> {
    let start = (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
    start..start.saturating_add(part.len())
}
