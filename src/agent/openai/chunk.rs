//! A chunk of a streamed completion as it stands in the JSON, borrowed from it where nothing is escaped.

use std::borrow::Cow;

use crate::protocol::json::{Field, Item, Malformed, Parsed, Reader};

/// A `chat.completion.chunk`, or a whole `chat.completion`, whose choices have `message` for `delta`.
#[derive(Default)]
pub(super) struct Chunk<'a> {
    pub(super) model: Cow<'a, str>,
    /// Absent in error objects; null or empty in the chunk that brings the usage.
    pub(super) choices: Option<Vec<Choice<'a>>>,
    pub(super) total_tokens: Option<u64>,
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
    pub(super) content: Cow<'a, str>,
    pub(super) refusal: Cow<'a, str>,
    /// `DeepSeek`'s name, llama.cpp's and the older one of vLLM.
    reasoning_content: Cow<'a, str>,
    /// `OpenRouter`'s name, Ollama's and the newer one of vLLM. Some servers send both.
    reasoning: Cow<'a, str>,
    pub(super) tool_calls: Vec<Fragment<'a>>,
}

/// Part of a tool call. The first one has its id and name, all have a piece of its arguments.
#[derive(Default)]
pub(super) struct Fragment<'a> {
    /// Absent at Gemini's endpoint and in whole completions, and always 0 at some versions of Ollama.
    pub(super) index: Option<u64>,
    pub(super) id: Cow<'a, str>,
    pub(super) name: Cow<'a, str>,
    pub(super) arguments: Cow<'a, str>,
}

impl<'a> Chunk<'a> {
    pub(super) fn parse(json: &'a str) -> Parsed<Self> {
        Reader::read(json, chunk)
    }
}

impl Delta<'_> {
    pub(super) fn thinking(&self) -> &str {
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
        "model" => text(reader, &mut chunk.model),
        "choices" => {
            let choices = chunk.choices.get_or_insert_default();
            list(reader, &mut |reader| choice(reader).map(|choice| choices.push(choice)))
        }
        "usage" => fields(reader, &mut |reader, name| match &*name {
            "total_tokens" => whole(reader, &mut chunk.total_tokens),
            _ => reader.skip(),
        }),
        "error" => reader.raw().map(|error| chunk.has_error = error != "null"),
        _ => reader.skip(),
    })?;
    Ok(chunk)
}

fn choice<'a>(reader: &mut Reader<'a>) -> Parsed<Choice<'a>> {
    let mut choice = Choice::default();
    reader.object(&mut |reader, name| match &*name {
        "index" => whole(reader, &mut choice.index),
        "delta" | "message" => delta(reader, &mut choice.delta),
        "finish_reason" => text(reader, &mut choice.finish_reason),
        _ => reader.skip(),
    })?;
    Ok(choice)
}

fn delta<'a>(reader: &mut Reader<'a>, delta: &mut Delta<'a>) -> Parsed<()> {
    fields(reader, &mut |reader, name| match &*name {
        "content" => text(reader, &mut delta.content),
        "refusal" => text(reader, &mut delta.refusal),
        "reasoning_content" => text(reader, &mut delta.reasoning_content),
        "reasoning" => text(reader, &mut delta.reasoning),
        "tool_calls" => {
            list(reader, &mut |reader| fragment(reader).map(|fragment| delta.tool_calls.push(fragment)))
        }
        _ => reader.skip(),
    })
}

fn fragment<'a>(reader: &mut Reader<'a>) -> Parsed<Fragment<'a>> {
    let mut fragment = Fragment::default();
    reader.object(&mut |reader, name| match &*name {
        "index" => whole(reader, &mut fragment.index),
        "id" => text(reader, &mut fragment.id),
        "function" => fields(reader, &mut |reader, name| match &*name {
            "name" => text(reader, &mut fragment.name),
            "arguments" => text(reader, &mut fragment.arguments),
            _ => reader.skip(),
        }),
        _ => reader.skip(),
    })?;
    Ok(fragment)
}

/// A string, in whichever way it is written: null is the empty one, an array of content parts is their
/// text (Mistral), an object is its own JSON (arguments that were not encoded twice).
fn text<'a>(reader: &mut Reader<'a>, into: &mut Cow<'a, str>) -> Parsed<()> {
    match reader.peek()? {
        b'n' => reader.word("null"),
        b'{' => reader.raw().map(|json| *into = Cow::Borrowed(json)),
        b'[' => reader.array(&mut |reader| {
            reader.object(&mut |reader, name| {
                if name != "text" {
                    return reader.skip();
                }
                let mut part = Cow::default();
                text(reader, &mut part).map(|()| into.to_mut().push_str(&part))
            })
        }),
        _ => reader.string().map(|text| *into = text),
    }
}

fn whole(reader: &mut Reader, into: &mut Option<u64>) -> Parsed<()> {
    if is_null(reader)? {
        return Ok(());
    }
    *into = Some(reader.number()?.parse().map_err(|_| Malformed::Wrong)?);
    Ok(())
}

/// The fields of an object; null has none.
fn fields<'a>(reader: &mut Reader<'a>, field: &mut Field<'a, '_>) -> Parsed<()> {
    if is_null(reader)? { Ok(()) } else { reader.object(field) }
}

/// The items of an array; null has none.
fn list<'a>(reader: &mut Reader<'a>, item: &mut Item<'a, '_>) -> Parsed<()> {
    if is_null(reader)? { Ok(()) } else { reader.array(item) }
}

fn is_null(reader: &mut Reader) -> Parsed<bool> {
    let is_null = reader.peek()? == b'n';
    if is_null {
        reader.word("null")?;
    }
    Ok(is_null)
}
