//! JSON of other protocols: reads events that bring a piece of something, and converts objects by templates.

use super::piece::Piece;
use crate::protocol::Json;
use crate::protocol::json::{Fields, Parsed, Reader};

/// Fields whose string is a piece.
const PIECES: [&str; 2] = ["delta", "inputTextDelta"];
/// The same for fields within an object called `delta`.
const PIECES_WITHIN: [&str; 3] = ["text", "thinking", "partial_json"];

/// An event: an object, and the piece of text or JSON that it brings.
#[derive(Debug)]
pub struct Event<'a> {
    /// The event without the piece.
    pub json: Json,
    /// The piece, which may begin or end within a character.
    pub piece: Piece<'a>,
}

impl Event<'_> {
    /// Reads the data of an event.
    ///
    /// # Errors
    /// If it is not a JSON object.
    pub fn read(data: &str) -> Parsed<Event<'_>> {
        let mut piece = Piece::default();
        let json = Reader::read_foreign(data, |reader| object(reader, &PIECES, &mut piece))?;
        Ok(Event { json, piece })
    }
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

/// Returns the text of a field; empty if there is none.
#[must_use]
pub fn text<'a>(json: &'a Json, name: &str) -> &'a str {
    json.get(name).and_then(Json::as_str).unwrap_or_default()
}

/// Returns the text of a field, if there is one.
#[must_use]
pub fn given(json: &Json, name: &str) -> Option<String> {
    json.get(name).and_then(Json::as_str).map(str::to_owned)
}

/// Returns whether a flag is set.
#[must_use]
pub fn is_set(json: &Json, name: &str) -> bool {
    json.get(name) == Some(&Json::Bool(true))
}

/// Makes an object from another one by a template, a list of fields between commas: `name=word` is a
/// constant, `name<path` the value at a path, and `name` alone a field of the same name. `a.b` is a path into
/// nested objects; if nothing is there, the field is left out. After `name?` it is kept only if it is a flag
/// that is set.
#[must_use]
pub fn made(template: &str, of: &Json) -> Json {
    let mut fields = Vec::new();
    for field in template.split(',') {
        let word = field.split_once('=');
        let (name, place) = word.or_else(|| field.split_once('<')).unwrap_or((field, field));
        let value = match word {
            Some((_, word)) => Some(Json::String(word.to_owned())),
            None => place.trim_end_matches('?').split('.').try_fold(of, Json::get).cloned(),
        };
        match (name.strip_suffix('?'), value) {
            (None, Some(value)) => fields.push((name.to_owned(), value)),
            (Some(name), Some(Json::Bool(true))) => fields.push((name.to_owned(), Json::Bool(true))),
            _ => {}
        }
    }
    Json::Object(fields.into_iter().collect::<Fields>())
}

/// Sets a field of an object.
pub fn set(object: &mut Json, name: &str, value: Json) {
    if let Json::Object(fields) = object {
        fields.insert(name.to_owned(), value);
    }
}

/// Returns an object with one field.
#[must_use]
pub fn single(name: &str, value: Json) -> Json {
    let mut object = Json::Object(Fields::new());
    set(&mut object, name, value);
    object
}

/// Returns a text as a value.
#[must_use]
pub fn word(text: &str) -> Json {
    Json::String(text.to_owned())
}
