//! Values as JSON text. Writing cannot fail.

use std::borrow::Cow;
use std::rc::Rc;

use super::Json;
use super::json::Fields;

/// A type that is written as JSON.
pub trait Write {
    /// Appends the value's text.
    fn write(&self, out: &mut Vec<u8>);

    /// Returns whether a field with this value may be left out.
    fn is_nothing(&self) -> bool {
        false
    }
}

/// Returns a value as JSON.
#[must_use]
pub fn to_json<T: Write + ?Sized>(value: &T) -> String {
    text_of(&mut |out| value.write(out))
}

fn text_of(write: &mut dyn FnMut(&mut Vec<u8>)) -> String {
    let mut text = Vec::with_capacity(128);
    write(&mut text);
    String::from_utf8(text).unwrap_or_default()
}

/// Begins an object; its fields follow.
pub(crate) fn begin(out: &mut Vec<u8>) {
    out.push(b'{');
}

/// Writes a field of the object that was begun last.
pub(crate) fn field<T: Write + ?Sized>(out: &mut Vec<u8>, name: &str, value: &T) {
    key(out, name);
    value.write(out);
}

/// Writes a field, unless it has no value or is a flag that is not set.
pub(crate) fn optional_field<T: Write>(out: &mut Vec<u8>, name: &str, value: &T) {
    if !value.is_nothing() {
        field(out, name, value);
    }
}

/// Ends the object.
pub(crate) fn end(out: &mut Vec<u8>) {
    out.push(b'}');
}

/// Writes the name of a field, which consists only of letters.
fn key(out: &mut Vec<u8>, name: &str) {
    comma(out);
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

/// Writes a comma, except after an opening brace or bracket, with which no value ends.
fn comma(out: &mut Vec<u8>) {
    if !matches!(out.last(), Some(b'{' | b'[')) {
        out.push(b',');
    }
}

impl Write for str {
    fn write(&self, out: &mut Vec<u8>) {
        write_text(out, self);
    }
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(place) = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f)) {
        let (plain, special) = rest.split_at(place);
        let Some((byte, behind)) = special.split_first() else { break };
        out.extend_from_slice(plain);
        escape(out, *byte);
        rest = behind;
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

fn escape(out: &mut Vec<u8>, byte: u8) {
    let letter = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        b'\t' => b't',
        b'\n' => b'n',
        0x0c => b'f',
        b'\r' => b'r',
        _ => b'u',
    };
    out.extend_from_slice(&[b'\\', letter]);
    if letter == b'u' {
        let digit = |value: u8| char::from_digit(value.into(), 16).map_or(b'0', |digit| digit as u8);
        out.extend_from_slice(&[b'0', b'0', digit(byte >> 4), digit(byte & 0xf)]);
    }
}

impl Write for String {
    fn write(&self, out: &mut Vec<u8>) {
        self.as_str().write(out);
    }
}

impl Write for bool {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if *self { b"true" } else { b"false" });
    }

    fn is_nothing(&self) -> bool {
        !self
    }
}

/// Digits of the largest number.
const DIGITS_MAX: usize = 20;

impl Write for u64 {
    fn write(&self, out: &mut Vec<u8>) {
        write_number(out, *self);
    }
}

fn write_number(out: &mut Vec<u8>, number: u64) {
    let (mut digits, mut rest) = ([b'0'; DIGITS_MAX], number);
    let mut from = DIGITS_MAX;
    for (place, digit) in digits.iter_mut().enumerate().rev() {
        *digit = b'0'.wrapping_add((rest % 10) as u8);
        rest /= 10;
        from = place;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(from..).unwrap_or_default());
}

impl Write for usize {
    fn write(&self, out: &mut Vec<u8>) {
        (*self as u64).write(out);
    }
}

impl Write for u32 {
    fn write(&self, out: &mut Vec<u8>) {
        u64::from(*self).write(out);
    }
}

impl<T: Write + ?Sized> Write for &T {
    fn write(&self, out: &mut Vec<u8>) {
        (**self).write(out);
    }
}

impl Write for Cow<'_, str> {
    fn write(&self, out: &mut Vec<u8>) {
        (**self).write(out);
    }
}

impl<T: Write + ?Sized> Write for Box<T> {
    fn write(&self, out: &mut Vec<u8>) {
        (**self).write(out);
    }
}

impl<T: Write + ?Sized> Write for Rc<T> {
    fn write(&self, out: &mut Vec<u8>) {
        (**self).write(out);
    }
}

/// `None` is written as `null`.
impl<T: Write> Write for Option<T> {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Some(value) => value.write(out),
            None => out.extend_from_slice(b"null"),
        }
    }

    fn is_nothing(&self) -> bool {
        self.is_none()
    }
}

impl<T: Write> Write for [T] {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(b'[');
        for item in self {
            comma(out);
            item.write(out);
        }
        out.push(b']');
    }
}

impl<T: Write> Write for Vec<T> {
    fn write(&self, out: &mut Vec<u8>) {
        self.as_slice().write(out);
    }
}

/// A pair is written as a list of two.
impl Write for (u64, u64) {
    fn write(&self, out: &mut Vec<u8>) {
        [self.0, self.1].write(out);
    }
}

impl Write for Fields {
    fn write(&self, out: &mut Vec<u8>) {
        begin(out);
        fields(out, self);
        end(out);
    }
}

/// Writes the fields that a type has no names for.
pub(crate) fn fields(out: &mut Vec<u8>, fields: &Fields) {
    for (name, value) in fields.iter() {
        comma(out);
        name.write(out);
        out.push(b':');
        value.write(out);
    }
}

impl Write for Json {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Json::Null => out.extend_from_slice(b"null"),
            Json::Bool(value) => value.write(out),
            Json::Number(text) => out.extend_from_slice(text.as_bytes()),
            Json::String(text) => text.write(out),
            Json::Array(items) => items.write(out),
            Json::Object(fields) => fields.write(out),
        }
    }
}
