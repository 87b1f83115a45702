//! A chunk of a streamed completion. It borrows from the JSON wherever nothing is escaped.
//!
//! **Invariant:** a value of an unusual type never makes a chunk unreadable. It is converted if possible (`6`
//! to the text "6", `3.0` and `"3"` to the number 3), and ignored otherwise. If the JSON is malformed,
//! everything before the fault is read.

use std::borrow::Cow;

use super::history::OF_CALLS;
use crate::agent::http::history::add_field;
use crate::agent::http::{Usage, count, is_error};
use crate::agent::piece::Piece;
use crate::protocol::Json;
use crate::protocol::json::{Field, Item, Parsed, Reader};

/// A `chat.completion.chunk`, or a whole `chat.completion`, whose choices have `message` instead of `delta`.
#[derive(Default)]
pub(super) struct Chunk<'a> {
    pub(super) model: Cow<'a, str>,
    /// Empty in error objects and in the chunk with the usage.
    pub(super) choices: Vec<Choice<'a>>,
    pub(super) usage: Usage,
    /// Usage that was found outside its own field.
    pub(super) other_usage: Usage,
    /// Whether a field for errors reports one.
    pub(super) has_error: bool,
    /// The sources of the answer. Perplexity and xAI put them beside the choices.
    pub(super) sources: Vec<Json>,
}

#[derive(Default)]
pub(super) struct Choice<'a> {
    pub(super) index: Option<u64>,
    /// Absent in Azure's chunks with only content filter results.
    pub(super) delta: Option<Delta<'a>>,
    /// The whole answer so far. Perplexity sends it with each delta, `MiniMax` at the end.
    pub(super) message: Option<Delta<'a>>,
    pub(super) finish_reason: Cow<'a, str>,
    /// Moonshot puts the usage here.
    pub(super) usage: Usage,
    pub(super) has_error: bool,
}

#[derive(Default)]
pub(super) struct Delta<'a> {
    pub(super) content: Piece<'a>,
    pub(super) refusal: Piece<'a>,
    /// The name that `DeepSeek`, llama.cpp and older versions of vLLM use.
    reasoning_content: Piece<'a>,
    /// The name that `OpenRouter`, Ollama and newer versions of vLLM use; Copilot has `reasoning_text`. Some
    /// servers send both.
    reasoning: Piece<'a>,
    /// The same from `OpenRouter`'s list, or from Mistral's content parts.
    reasoning_parts: Piece<'a>,
    pub(super) tool_calls: Vec<Fragment<'a>>,
    /// `OpenRouter`'s list, unchanged.
    pub(super) details: Vec<Json>,
    pub(super) sources: Vec<Json>,
}

/// A fragment of a tool call. The first one has its id and name, and each has a piece of its arguments.
#[derive(Default)]
pub(crate) struct Fragment<'a> {
    /// Absent at Gemini's endpoint and in whole completions, and always 0 at some versions of Ollama.
    pub(crate) index: Option<u64>,
    pub(crate) id: Cow<'a, str>,
    pub(crate) name: Cow<'a, str>,
    pub(crate) arguments: Piece<'a>,
    /// JSON fields that the provider wants handed back with the call, each preceded by a comma.
    pub(crate) wanted: String,
}

impl<'a> Chunk<'a> {
    /// Returns the part that could be read, and whether that is everything.
    pub(super) fn parse(json: &'a str) -> (Self, Parsed<()>) {
        let mut chunk = Chunk::default();
        let parsed = Reader::read_foreign(json, |reader| chunk.read(reader));
        (chunk, parsed)
    }

    fn read(&mut self, reader: &mut Reader<'a>) -> Parsed<()> {
        // Google wraps an error in an array.
        if reader.peek()? == b'[' {
            return reader.skip();
        }
        reader.object(&mut |reader, name| match &*name {
            "model" => name_of(reader, &mut self.model),
            "choices" => {
                self.choices.clear();
                items(reader, &mut |reader| choice(reader, self.choices.push_mut(Choice::default())))
            }
            "error" | "errors" | "base_resp" => {
                let error = reader.raw()?;
                self.has_error |= Json::parse(error).is_none_or(|error| is_error(&name, &error));
                Ok(())
            }
            "usage" => self.usage.read(reader),
            "citations" | "search_results" => list(reader, &mut self.sources),
            // Older models of Workers AI have these instead of choices.
            "response" | "tool_calls" | "finish_reason" if reader.peek()? != b'{' => {
                if self.choices.is_empty() {
                    self.choices.push(Choice { delta: Some(Delta::default()), ..Choice::default() });
                }
                match (self.choices.first_mut(), &*name) {
                    (Some(Choice { finish_reason, .. }), "finish_reason") => name_of(reader, finish_reason),
                    (Some(Choice { delta: Some(delta), .. }), "response") => {
                        string(reader, &mut delta.content)
                    }
                    (Some(Choice { delta: Some(delta), .. }), _) => calls(reader, delta),
                    _ => reader.skip(),
                }
            }
            // Groq nests it in a field of its own.
            _ => fields(reader, &mut |reader, name| other(reader, &name, &mut self.other_usage)),
        })
    }
}

impl<'a> Delta<'a> {
    /// Removes parts that were said already.
    pub(super) fn keep(&mut self, thinking: bool, text: bool, calls: bool) {
        if !thinking {
            (self.reasoning_content, self.reasoning, self.reasoning_parts) = Default::default();
        }
        if !text {
            (self.content, self.refusal) = Default::default();
        }
        if !calls {
            self.tool_calls.clear();
        }
    }

    /// Returns whether the thinking comes in the field that `DeepSeek` and Kimi want handed back.
    pub(super) fn is_reasoning_content(&self) -> bool {
        !self.reasoning_content.is_empty()
    }

    pub(super) fn thinking(&self) -> &Piece<'a> {
        let all = [&self.reasoning_content, &self.reasoning, &self.reasoning_parts];
        all.into_iter().find(|text| !text.is_empty()).unwrap_or(&self.reasoning)
    }
}

fn choice<'a>(reader: &mut Reader<'a>, choice: &mut Choice<'a>) -> Parsed<()> {
    fields(reader, &mut |reader, name| match &*name {
        "index" => count(reader, &mut choice.index),
        "delta" => delta(reader, &mut choice.delta, &mut choice.usage),
        "message" => delta(reader, &mut choice.message, &mut choice.usage),
        "finish_reason" => name_of(reader, &mut choice.finish_reason),
        "error" => {
            choice.has_error = true;
            reader.skip()
        }
        // For completions that are not chats.
        "text" if choice.delta.is_none() && reader.peek()? == b'"' => {
            string(reader, &mut choice.delta.insert(Delta::default()).content)
        }
        _ => other(reader, &name, &mut choice.usage),
    })
}

/// Reads a field with any other name.
fn other(reader: &mut Reader, name: &str, into: &mut Usage) -> Parsed<()> {
    if name == "usage" { into.read(reader) } else { reader.skip() }
}

fn delta<'a>(reader: &mut Reader<'a>, into: &mut Option<Delta<'a>>, counts: &mut Usage) -> Parsed<()> {
    *into = None;
    if reader.peek()? != b'{' {
        return reader.skip();
    }
    let delta = into.insert(Delta::default());
    reader.object(&mut |reader, name| match &*name {
        "content" => text(reader, &mut delta.content, &mut delta.reasoning_parts),
        "refusal" => string(reader, &mut delta.refusal),
        "reasoning_content" => text(reader, &mut delta.reasoning_content, &mut Piece::default()),
        "reasoning" | "reasoning_text" | "thinking" => {
            text(reader, &mut delta.reasoning, &mut Piece::default())
        }
        "reasoning_details" => {
            let json = reader.raw()?;
            let _ = Reader::read_foreign(json, |reader| list(reader, &mut delta.details));
            Reader::read_foreign(json, |reader| {
                text(reader, &mut delta.reasoning_parts, &mut Piece::default())
            })
        }
        "annotations" => list(reader, &mut delta.sources),
        "tool_calls" => calls(reader, delta),
        // The older form, before there could be several calls.
        "function_call" if reader.peek()? == b'{' => {
            let call = delta.tool_calls.push_mut(Fragment { index: Some(0), ..Fragment::default() });
            reader.object(&mut |reader, name| function(reader, &name, call))
        }
        _ => other(reader, &name, counts),
    })
}

fn calls<'a>(reader: &mut Reader<'a>, delta: &mut Delta<'a>) -> Parsed<()> {
    delta.tool_calls.clear();
    items(reader, &mut |reader| fragment(reader, delta.tool_calls.push_mut(Fragment::default())))
}

fn fragment<'a>(reader: &mut Reader<'a>, fragment: &mut Fragment<'a>) -> Parsed<()> {
    fields(reader, &mut |reader, name| match &*name {
        "index" => count(reader, &mut fragment.index),
        "id" => label(reader, &mut fragment.id),
        "function" | "custom" => fields(reader, &mut |reader, name| function(reader, &name, fragment)),
        wanted if OF_CALLS.contains(&wanted) && reader.peek()? == b'{' => {
            add_field(&mut fragment.wanted, wanted, reader.raw()?);
            Ok(())
        }
        // Workers AI does not wrap them in an object.
        _ => function(reader, &name, fragment),
    })
}

fn function<'a>(reader: &mut Reader<'a>, name: &str, fragment: &mut Fragment<'a>) -> Parsed<()> {
    match name {
        "name" => label(reader, &mut fragment.name),
        "arguments" | "input" => arguments(reader, &mut fragment.arguments),
        _ => reader.skip(),
    }
}

/// Reads a list of any values.
fn list(reader: &mut Reader, into: &mut Vec<Json>) -> Parsed<()> {
    if let Ok(Json::Array(items)) = Reader::read_foreign(reader.raw()?, Reader::value) {
        *into = items;
    }
    Ok(())
}

/// Reads a text, or a list of its parts: Mistral sends one, with its thinking in it. Cloudflare's Workers AI
/// sends a token that looks like a number as a number.
fn text<'a>(reader: &mut Reader<'a>, into: &mut Piece<'a>, thinking: &mut Piece<'a>) -> Parsed<()> {
    if !matches!(reader.peek()?, b'[' | b'{') {
        return string(reader, into);
    }
    *into = Piece::default();
    items(reader, &mut |reader| {
        let (mut said, mut thought) = (Piece::default(), Piece::default());
        if reader.peek()? == b'"' {
            string(reader, &mut said)?;
        } else {
            fields(reader, &mut |reader, name| match &*name {
                "text" | "summary" | "refusal" => string(reader, &mut said),
                "thinking" => text(reader, &mut thought, &mut Piece::default()),
                _ => reader.skip(),
            })?;
        }
        into.push(&said);
        thinking.push(&thought);
        Ok(())
    })
}

/// Reads a piece of a call's arguments. Some servers do not encode them as a string and send the object
/// itself.
fn arguments<'a>(reader: &mut Reader<'a>, into: &mut Piece<'a>) -> Parsed<()> {
    match reader.peek()? {
        b'{' | b'[' => reader.raw().map(|json| *into = Piece::from(Cow::Borrowed(json))),
        _ => string(reader, into),
    }
}

fn string<'a>(reader: &mut Reader<'a>, into: &mut Piece<'a>) -> Parsed<()> {
    match reader.peek()? {
        b'"' => Piece::read(reader).map(|piece| *into = piece),
        b'-' | b'0'..=b'9' => reader.raw().map(|number| *into = Piece::from(Cow::Borrowed(number))),
        _ => reader.skip(),
    }
}

/// Reads an id, which some servers send as a number.
fn label<'a>(reader: &mut Reader<'a>, into: &mut Cow<'a, str>) -> Parsed<()> {
    match reader.peek()? {
        b'-' | b'0'..=b'9' => reader.raw().map(|number| *into = Cow::Borrowed(number)),
        _ => name_of(reader, into),
    }
}

/// Reads a word of a fixed vocabulary.
fn name_of<'a>(reader: &mut Reader<'a>, into: &mut Cow<'a, str>) -> Parsed<()> {
    match reader.peek()? {
        b'"' => reader.string().map(|text| *into = text),
        _ => reader.skip(),
    }
}

/// Reads the fields of an object; any other value has none.
fn fields<'a>(reader: &mut Reader<'a>, field: &mut Field<'a, '_>) -> Parsed<()> {
    if reader.peek()? == b'{' { reader.object(field) } else { reader.skip() }
}

/// Reads the items of an array, or a single item in its place.
fn items<'a>(reader: &mut Reader<'a>, item: &mut Item<'a, '_>) -> Parsed<()> {
    match reader.peek()? {
        b'[' => reader.array(item),
        b'{' => item(reader),
        _ => reader.skip(),
    }
}
