//! JSON (RFC 8259): one value, one reader and one writer for all of it.
//!
//! A number is kept as its text: so it is written again exactly as it was read, and the tables for floating
//! point stay out of the wasm.

use std::borrow::Cow;

use litemap::LiteMap;

use super::limits::JSON_DEPTH_MAX;

/// Any JSON value. If fields have the same name, the last one counts.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as it was written.
    Number(String),
    /// A string, its escapes resolved.
    String(String),
    /// An array.
    Array(Vec<Json>),
    /// An object.
    Object(Fields),
}

/// The fields of an object, sorted by name, since their original order has no meaning.
pub type Fields = LiteMap<String, Json>;

static NO_FIELDS: Fields = Fields::new_vec();

/// Fields of an object that this version does not know. They are kept, and written beside the known ones.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OtherFields(pub Fields);

/// Why a text is not JSON, or not the expected kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// It ends too early; more text might make it right.
    Cut,
    /// It has more than `JSON_DEPTH_MAX` arrays and objects within each other.
    Deep,
    /// It is not JSON, or not the expected kind.
    Wrong,
}

/// The outcome of reading.
pub type Parsed<T> = Result<T, Malformed>;
/// Reads the value of the field with this name.
pub type Field<'a, 'f> = dyn FnMut(&mut Reader<'a>, Cow<'a, str>) -> Parsed<()> + 'f;
/// Reads a value.
pub type Item<'a, 'f> = dyn FnMut(&mut Reader<'a>) -> Parsed<()> + 'f;

impl Json {
    /// Parses a text; `None` if it is not one whole JSON value, or is nested deeper than `JSON_DEPTH_MAX`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Reader::read(text, Reader::value).ok()
    }

    /// Returns a field of an object.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Json> {
        self.as_object()?.get(name)
    }

    /// Returns the fields, if it is an object.
    #[must_use]
    pub fn as_object(&self) -> Option<&Fields> {
        if let Json::Object(fields) = self { Some(fields) } else { None }
    }

    /// Returns the fields; none if it is not an object.
    #[must_use]
    pub fn fields(&self) -> &Fields {
        self.as_object().unwrap_or(&NO_FIELDS)
    }

    /// Returns the items, if it is an array.
    #[must_use]
    pub fn as_array(&self) -> Option<&[Json]> {
        if let Json::Array(items) = self { Some(items) } else { None }
    }

    /// Returns the text, if it is a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let Json::String(text) = self { Some(text) } else { None }
    }

    /// Returns the value, if it is `true` or `false`.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        if let Json::Bool(value) = self { Some(*value) } else { None }
    }

    /// Returns the number, if it is an integer, not negative and below 2^64.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        if let Json::Number(text) = self { text.parse().ok() } else { None }
    }
}

/// Replaces a code unit that cannot be read: U+FFFD.
const NO_UNIT: u16 = 0xfffd;

/// Reads JSON from its beginning to its end, and copies only where it must.
pub struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    is_foreign: bool,
}

impl<'a> Reader<'a> {
    /// Reads a text that holds one value and nothing else.
    pub fn read<T>(text: &'a str, value: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        Reader { text, at: 0, depth: 0, is_foreign: false }.whole(value)
    }

    /// The same for a text from another server: its strings may contain control characters, and escapes that
    /// are unknown or incomplete.
    pub fn read_foreign<T>(text: &'a str, value: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        Reader { text, at: 0, depth: 0, is_foreign: true }.whole(value)
    }

    fn whole<T>(mut self, value: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        let value = value(&mut self)?;
        // Nothing may follow but the end.
        if self.peek() == Err(Malformed::Cut) { Ok(value) } else { Err(Malformed::Wrong) }
    }

    /// Returns the next byte after white space.
    pub fn peek(&mut self) -> Parsed<u8> {
        loop {
            match self.text.as_bytes().get(self.at) {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.advance(),
                Some(byte) => return Ok(*byte),
                None => return Err(Malformed::Cut),
            }
        }
    }

    /// Calls `field` for each field.
    pub fn object(&mut self, field: &mut Field<'a, '_>) -> Parsed<()> {
        self.list(b'{', b'}', &mut |reader| {
            let name = reader.string()?;
            reader.expect(b':')?;
            field(reader, name)
        })
    }

    /// Calls `item` for each item.
    pub fn array(&mut self, item: &mut Item<'a, '_>) -> Parsed<()> {
        self.list(b'[', b']', item)
    }

    /// Reads a string. Half a character (a surrogate without the other) becomes U+FFFD, since UTF-8 cannot
    /// hold it.
    pub fn string(&mut self) -> Parsed<Cow<'a, str>> {
        self.expect(b'"')?;
        let mut text = Cow::Borrowed(self.run());
        loop {
            match self.next()? {
                b'"' => return Ok(text),
                b'\\' => text.to_mut().push(self.escaped()?),
                control if self.is_foreign => text.to_mut().push(char::from(control)),
                _ => return Err(Malformed::Wrong),
            }
            text.to_mut().push_str(self.run());
        }
    }

    /// Reads a string. Also returns its text as it was written, in which half a character still differs from
    /// U+FFFD.
    pub fn string_as_written(&mut self) -> Parsed<(Cow<'a, str>, &'a str)> {
        self.peek()?;
        let from = self.at;
        self.string().map(|text| (text, self.since(from)))
    }

    /// Returns the text of a number.
    pub fn number(&mut self) -> Parsed<&'a str> {
        self.peek()?;
        let from = self.at;
        self.takes(b'-');
        if !self.takes(b'0') {
            self.digits()?;
        }
        if self.takes(b'.') {
            self.digits()?;
        }
        if self.takes(b'e') || self.takes(b'E') {
            let _ = self.takes(b'-') || self.takes(b'+');
            self.digits()?;
        }
        Ok(self.since(from))
    }

    /// Reads one of `null`, `true` and `false`.
    pub fn word(&mut self, word: &str) -> Parsed<()> {
        self.peek()?;
        word.bytes().try_for_each(|byte| self.exactly(byte))
    }

    /// Returns the next value as it is written.
    pub fn raw(&mut self) -> Parsed<&'a str> {
        self.peek()?;
        let from = self.at;
        self.skip().map(|()| self.since(from))
    }

    /// Skips a value. It only has to end: it may be nested to any depth, and contain words such as `NaN`.
    pub fn skip(&mut self) -> Parsed<()> {
        let mut depth = 0_usize;
        loop {
            match self.peek()? {
                b'"' => self.skip_string()?,
                b'{' | b'[' => {
                    depth = depth.saturating_add(1);
                    self.advance();
                }
                b'}' | b']' | b',' | b':' if depth == 0 => return Err(Malformed::Wrong),
                b'}' | b']' => {
                    depth = depth.saturating_sub(1);
                    self.advance();
                }
                b',' | b':' => self.advance(),
                _ => self.skip_while(|byte| {
                    !matches!(
                        byte,
                        b'"' | b'{' | b'}' | b'[' | b']' | b',' | b':' | b' ' | b'\t' | b'\n' | b'\r'
                    )
                }),
            }
            if depth == 0 {
                return Ok(());
            }
        }
    }

    fn skip_string(&mut self) -> Parsed<()> {
        self.advance();
        loop {
            self.skip_while(|byte| !matches!(byte, b'"' | b'\\'));
            if self.next()? == b'"' {
                return Ok(());
            }
            self.next()?;
        }
    }

    fn skip_while(&mut self, is_passed: impl Fn(u8) -> bool) {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let length = rest.iter().position(|byte| !is_passed(*byte)).unwrap_or(rest.len());
        self.at = self.at.saturating_add(length);
    }

    /// Reads any value, with everything in it.
    pub fn value(&mut self) -> Parsed<Json> {
        Ok(match self.peek()? {
            b'{' => {
                let mut fields = Vec::new();
                self.object(&mut |reader, name| {
                    fields.push((name.into_owned(), reader.value()?));
                    Ok(())
                })?;
                Json::Object(fields.into_iter().collect())
            }
            b'[' => {
                let mut items = Vec::new();
                self.array(&mut |reader| {
                    items.push(reader.value()?);
                    Ok(())
                })?;
                Json::Array(items)
            }
            b'"' => Json::String(self.string()?.into_owned()),
            b'n' => self.word("null").map(|()| Json::Null)?,
            b't' => self.word("true").map(|()| Json::Bool(true))?,
            b'f' => self.word("false").map(|()| Json::Bool(false))?,
            _ => Json::Number(self.number()?.to_owned()),
        })
    }

    fn list(&mut self, open: u8, close: u8, item: &mut Item<'a, '_>) -> Parsed<()> {
        self.expect(open)?;
        self.depth = self.depth.saturating_add(1);
        if self.depth > JSON_DEPTH_MAX {
            return Err(Malformed::Deep);
        }
        if self.peek()? != close {
            item(self)?;
            while self.peek()? == b',' {
                self.advance();
                item(self)?;
            }
        }
        self.depth = self.depth.saturating_sub(1);
        self.expect(close)
    }

    /// Reads the part of an escape after the backslash.
    fn escaped(&mut self) -> Parsed<char> {
        Ok(match self.next()? {
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.code_point(),
            byte @ (b'"' | b'\\' | b'/') => char::from(byte),
            byte if self.is_foreign && byte.is_ascii() => char::from(byte),
            _ if self.is_foreign => {
                self.at = self.at.saturating_sub(1);
                '\\'
            }
            _ => return Err(Malformed::Wrong),
        })
    }

    /// Reads the digits of an escape. A character outside the Basic Multilingual Plane is written as two code
    /// units. One of them alone is not a character, and becomes U+FFFD.
    fn code_point(&mut self) -> Parsed<char> {
        let high = self.code_unit()?;
        let behind = self.at;
        let is_high = (0xd800..0xdc00).contains(&high);
        if is_high && self.takes(b'\\') && self.takes(b'u') {
            let pair = [high, self.code_unit()?];
            if let Some(Ok(char)) = char::decode_utf16(pair).next() {
                return Ok(char);
            }
        }
        self.at = behind;
        Ok(char::from_u32(high.into()).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn code_unit(&mut self) -> Parsed<u16> {
        let (mut unit, from) = (0, self.at);
        for _ in 0..4 {
            match char::from(self.next()?).to_digit(16) {
                Some(digit) => unit = (unit << 4) | (digit & 0xf) as u16,
                None if self.is_foreign => {
                    self.at = from;
                    return Ok(NO_UNIT);
                }
                None => return Err(Malformed::Wrong),
            }
        }
        Ok(unit)
    }

    fn digits(&mut self) -> Parsed<()> {
        if !self.next()?.is_ascii_digit() {
            return Err(Malformed::Wrong);
        }
        self.skip_while(|byte| byte.is_ascii_digit());
        Ok(())
    }

    /// Returns the part of a string up to the next escape or its end.
    fn run(&mut self) -> &'a str {
        let from = self.at;
        self.skip_while(|byte| !matches!(byte, b'"' | b'\\' | 0..=0x1f));
        self.since(from)
    }

    fn since(&self, from: usize) -> &'a str {
        self.text.get(from..self.at).unwrap_or_default()
    }

    fn expect(&mut self, byte: u8) -> Parsed<()> {
        if self.peek()? != byte {
            return Err(Malformed::Wrong);
        }
        self.advance();
        Ok(())
    }

    fn advance(&mut self) {
        self.at = self.at.saturating_add(1);
    }

    fn exactly(&mut self, byte: u8) -> Parsed<()> {
        if self.next()? == byte { Ok(()) } else { Err(Malformed::Wrong) }
    }

    fn next(&mut self) -> Parsed<u8> {
        let byte = *self.text.as_bytes().get(self.at).ok_or(Malformed::Cut)?;
        self.advance();
        Ok(byte)
    }

    fn takes(&mut self, byte: u8) -> bool {
        let is_there = self.text.as_bytes().get(self.at) == Some(&byte);
        self.at = self.at.saturating_add(usize::from(is_there));
        is_there
    }
}
