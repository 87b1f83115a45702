//! Texts that are read where they stand: what nobody asks for is passed over, and nothing is copied that need not be.

use std::borrow::Cow;
use std::ops::Range;

use crate::protocol::json::{Json, Reader};

/// An object whose values are not read yet.
pub struct Object<'a>(Vec<(Cow<'a, str>, &'a str)>);

impl<'a> Object<'a> {
    /// Reads an object; `None` if it is none.
    #[must_use]
    pub fn read(text: &'a str) -> Option<Self> {
        let mut fields = Vec::new();
        let read = Reader::read(text, |reader| {
            reader.object(&mut |reader, name| {
                fields.push((name, reader.raw()?));
                Ok(())
            })
        });
        read.ok().map(|()| Object(fields))
    }

    /// A field's value as it is written.
    #[must_use]
    pub fn raw(&self, name: &str) -> Option<&'a str> {
        self.0.iter().rev().find(|(known, _)| known == name).map(|(_, raw)| *raw)
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

/// The items of an array as they are written; `None` if it is none.
#[must_use]
pub fn items(text: &str) -> Option<Vec<&str>> {
    let mut items = Vec::new();
    let read = Reader::read(text, |reader| {
        reader.array(&mut |reader| {
            items.push(reader.raw()?);
            Ok(())
        })
    });
    read.ok().map(|()| items)
}

/// Where a part of a text stands in it.
#[must_use]
pub fn place_of(part: &str, text: &str) -> Range<usize> {
    let start = (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
    start..start.saturating_add(part.len())
}
