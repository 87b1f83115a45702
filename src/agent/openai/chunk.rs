//! A chunk of a streamed completion as it stands in the JSON, borrowed from it where nothing is escaped.
//!
//! **Invariant:** no value of another type than is usual makes a chunk unreadable. What can be read in
//! its place is read (`6` as the text "6", `3.0` and `"3"` as the number 3), and everything else is
//! passed over.

use std::borrow::Cow;

use super::usage::Usage;
use crate::agent::piece::Piece;
use crate::protocol::json::{Field, Item, Parsed, Reader};

/// A `chat.completion.chunk`, or a whole `chat.completion`, whose choices have `message` for `delta`.
#[derive(Default)]
pub(super) struct Chunk<'a> {
    pub(super) model: Cow<'a, str>,
    /// Absent in error objects; null or empty in the chunk that brings the usage.
    pub(super) choices: Option<Vec<Choice<'a>>>,
    pub(super) usage: Usage,
    pub(super) has_error: bool,
}

#[derive(Default)]
pub(super) struct Choice<'a> {
    pub(super) index: Option<u64>,
    /// Absent in Azure's chunks that carry content filter results alone.
    pub(super) delta: Delta<'a>,
    pub(super) finish_reason: Cow<'a, str>,
}

#[derive(Default)]
pub(super) struct Delta<'a> {
    pub(super) content: Piece<'a>,
    pub(super) refusal: Piece<'a>,
    /// `DeepSeek`'s name, llama.cpp's and the older one of vLLM.
    reasoning_content: Piece<'a>,
    /// `OpenRouter`'s name, Ollama's and the newer one of vLLM. Some servers send both.
    reasoning: Piece<'a>,
    pub(super) tool_calls: Vec<Fragment<'a>>,
}

/// Part of a tool call. The first one has its id and name, all have a piece of its arguments.
#[derive(Default)]
pub(super) struct Fragment<'a> {
    /// Absent at Gemini's endpoint and in whole completions, and always 0 at some versions of Ollama.
    pub(super) index: Option<u64>,
    pub(super) id: Cow<'a, str>,
    pub(super) name: Cow<'a, str>,
    pub(super) arguments: Piece<'a>,
}

impl<'a> Chunk<'a> {
    pub(super) fn parse(json: &'a str) -> Parsed<Self> {
        Reader::read_foreign(json, chunk)
    }
}

impl<'a> Delta<'a> {
    pub(super) fn thinking(&self) -> &Piece<'a> {
        if self.reasoning_content.is_empty() { &self.reasoning } else { &self.reasoning_content }
    }
}

fn chunk<'a>(reader: &mut Reader<'a>) -> Parsed<Chunk<'a>> {
    let mut chunk = Chunk::default();
    // Google puts an error into an array.
    if reader.peek()? == b'[' {
        return reader.skip().map(|()| chunk);
    }
    reader.object(&mut |reader, name| match &*name {
        "model" => name_of(reader, &mut chunk.model),
        "choices" => {
            let mut choices = Vec::new();
            items(reader, &mut |reader| choice(reader).map(|choice| choices.push(choice)))?;
            chunk.choices = Some(choices);
            Ok(())
        }
        "usage" => usage(reader, &mut chunk.usage),
        "error" => reader.raw().map(|error| chunk.has_error = !matches!(error, "null" | "false" | "\"\"")),
        _ => reader.skip(),
    })?;
    Ok(chunk)
}

fn choice<'a>(reader: &mut Reader<'a>) -> Parsed<Choice<'a>> {
    let mut choice = Choice::default();
    fields(reader, &mut |reader, name| match &*name {
        "index" => count(reader, &mut choice.index),
        "delta" | "message" => delta(reader, &mut choice.delta),
        "finish_reason" => name_of(reader, &mut choice.finish_reason),
        _ => reader.skip(),
    })?;
    Ok(choice)
}

fn delta<'a>(reader: &mut Reader<'a>, delta: &mut Delta<'a>) -> Parsed<()> {
    fields(reader, &mut |reader, name| match &*name {
        "content" => words(reader, &mut delta.content),
        "refusal" => string(reader, &mut delta.refusal),
        "reasoning_content" => string(reader, &mut delta.reasoning_content),
        "reasoning" => string(reader, &mut delta.reasoning),
        "tool_calls" => {
            delta.tool_calls.clear();
            items(reader, &mut |reader| fragment(reader).map(|fragment| delta.tool_calls.push(fragment)))
        }
        _ => reader.skip(),
    })
}

fn fragment<'a>(reader: &mut Reader<'a>) -> Parsed<Fragment<'a>> {
    let mut fragment = Fragment::default();
    fields(reader, &mut |reader, name| match &*name {
        "index" => count(reader, &mut fragment.index),
        "id" => label(reader, &mut fragment.id),
        "function" => fields(reader, &mut |reader, name| match &*name {
            "name" => label(reader, &mut fragment.name),
            "arguments" => arguments(reader, &mut fragment.arguments),
            _ => reader.skip(),
        }),
        _ => reader.skip(),
    })?;
    Ok(fragment)
}

fn usage(reader: &mut Reader, into: &mut Usage) -> Parsed<()> {
    fields(reader, &mut |reader, name| match &*name {
        "total_tokens" => count(reader, &mut into.total),
        "prompt_tokens" | "input_tokens" => count(reader, &mut into.prompt),
        "completion_tokens" | "output_tokens" => count(reader, &mut into.answer),
        _ => reader.skip(),
    })
}

/// What the model says. Mistral sends an array of content parts. Cloudflare's Workers AI takes a token
/// that looks like a number or a boolean for one.
fn words<'a>(reader: &mut Reader<'a>, into: &mut Piece<'a>) -> Parsed<()> {
    match reader.peek()? {
        b'[' | b'{' => {
            let mut whole = Piece::default();
            items(reader, &mut |reader| {
                let mut part = Piece::default();
                match reader.peek()? {
                    b'"' => string(reader, &mut part)?,
                    _ => fields(reader, &mut |reader, name| match &*name {
                        "text" => string(reader, &mut part),
                        _ => reader.skip(),
                    })?,
                }
                whole.push(&part);
                Ok(())
            })?;
            *into = whole;
            Ok(())
        }
        b't' | b'f' => reader.raw().map(|word| *into = Piece::from(Cow::Borrowed(word))),
        _ => string(reader, into),
    }
}

/// A piece of a call's arguments. Some servers do not encode them twice and send the object itself.
fn arguments<'a>(reader: &mut Reader<'a>, into: &mut Piece<'a>) -> Parsed<()> {
    match reader.peek()? {
        b'{' | b'[' => reader.raw().map(|json| *into = Piece::from(Cow::Borrowed(json))),
        _ => words(reader, into),
    }
}

fn string<'a>(reader: &mut Reader<'a>, into: &mut Piece<'a>) -> Parsed<()> {
    match reader.peek()? {
        b'"' => Piece::read(reader).map(|piece| *into = piece),
        b'-' | b'0'..=b'9' => reader.raw().map(|number| *into = Piece::from(Cow::Borrowed(number))),
        _ => reader.skip(),
    }
}

/// An id, which some servers count.
fn label<'a>(reader: &mut Reader<'a>, into: &mut Cow<'a, str>) -> Parsed<()> {
    match reader.peek()? {
        b'-' | b'0'..=b'9' => reader.raw().map(|number| *into = Cow::Borrowed(number)),
        _ => name_of(reader, into),
    }
}

/// A word out of a vocabulary.
fn name_of<'a>(reader: &mut Reader<'a>, into: &mut Cow<'a, str>) -> Parsed<()> {
    match reader.peek()? {
        b'"' => reader.string().map(|text| *into = text),
        _ => reader.skip(),
    }
}

fn count(reader: &mut Reader, into: &mut Option<u64>) -> Parsed<()> {
    match reader.peek()? {
        b'"' => reader.string().map(|text| *into = whole(&text)),
        _ => reader.raw().map(|number| *into = whole(number)),
    }
}

/// The largest number that is exact in JavaScript.
const COUNT_MAX: u64 = (1 << 53) - 1;

/// A number without its fraction. None if it is none, negative, over [`COUNT_MAX`], or written with an
/// exponent, as only what is no count is.
fn whole(number: &str) -> Option<u64> {
    let number = number.trim();
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let is_fraction = fraction.bytes().all(|byte| byte.is_ascii_digit());
    whole.parse().ok().filter(|count| is_fraction && *count <= COUNT_MAX)
}

/// The fields of an object; nothing else has any.
fn fields<'a>(reader: &mut Reader<'a>, field: &mut Field<'a, '_>) -> Parsed<()> {
    if reader.peek()? == b'{' { reader.object(field) } else { reader.skip() }
}

/// The items of an array, or the one that stands in its place.
fn items<'a>(reader: &mut Reader<'a>, item: &mut Item<'a, '_>) -> Parsed<()> {
    match reader.peek()? {
        b'[' => reader.array(item),
        b'{' => item(reader),
        _ => reader.skip(),
    }
}
