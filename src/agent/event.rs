//! Events of foreign streams: JSON objects that bring a piece of something.

use super::piece::Piece;
use crate::protocol::Json;
use crate::protocol::json::{Fields, Parsed, Reader};

/// Fields whose string is a piece.
const PIECES: [&str; 2] = ["delta", "inputTextDelta"];
/// The same within an object that is called `delta`.
const PIECES_WITHIN: [&str; 3] = ["text", "thinking", "partial_json"];

/// An event: an object, and the piece of a text or of JSON that it brings.
#[derive(Debug)]
pub struct Event<'a> {
    /// All of it but the piece.
    pub json: Json,
    /// The piece, which may begin or end within a character.
    pub piece: Piece<'a>,
}

impl Event<'_> {
    /// Reads the data of an event.
    ///
    /// # Errors
    /// If it is no JSON object.
    pub fn read(data: &str) -> Parsed<Event<'_>> {
        let mut piece = Piece::default();
        let json = Reader::read_foreign(data, |reader| object(reader, &PIECES, &mut piece))?;
        Ok(Event { json, piece })
    }

    /// The text of a field; empty if there is none.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        text(&self.json, name)
    }
}

/// The text of a field; empty if there is none.
#[must_use]
pub fn text<'a>(json: &'a Json, name: &str) -> &'a str {
    json.get(name).and_then(Json::as_str).unwrap_or_default()
}

/// The text of a field, if there is one.
#[must_use]
pub fn given(json: &Json, name: &str) -> Option<String> {
    json.get(name).and_then(Json::as_str).map(str::to_owned)
}

/// An object of the fields that have a value.
#[must_use]
pub fn object_of(fields: &[(&str, Option<&Json>)]) -> Option<Json> {
    let given = fields.iter().filter_map(|(name, value)| Some(((*name).to_owned(), (*value)?.clone())));
    let fields: Fields = given.collect();
    (!fields.is_empty()).then_some(Json::Object(fields))
}

fn object<'a>(reader: &mut Reader<'a>, pieces: &[&str], piece: &mut Piece<'a>) -> Parsed<Json> {
    let mut fields = Vec::new();
    reader.object(&mut |reader, name| {
        let value = match reader.peek()? {
            b'"' if pieces.contains(&&*name) => {
                *piece = Piece::read(reader)?;
                return Ok(());
            }
            b'{' if name == "delta" => object(reader, &PIECES_WITHIN, piece)?,
            _ => reader.value()?,
        };
        fields.push((name.into_owned(), value));
        Ok(())
    })?;
    Ok(Json::Object(fields.into_iter().collect::<Fields>()))
}
