//! Assembles tool calls from their fragments.

use super::chunk::Fragment;
use super::history::{DETAILS, REASONING};
use crate::agent::http::Draft;
use crate::agent::http::history::add_field;
use crate::agent::piece::Piece;
use crate::protocol::json::Fields;
use crate::protocol::{Block, Json, to_json};

/// Fields of a thinking detail that come in pieces.
const TEXTS: [&str; 2] = ["text", "summary"];

/// The tool calls of one answer, in the order in which they began.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    all: Vec<Call>,
    bytes: usize,
    /// `OpenRouter`'s `reasoning_details` since the last call. It wants them handed back with calls.
    details: Vec<Json>,
    /// Whether there is thinking in the field that `DeepSeek` and Kimi want handed back with calls.
    pub(crate) has_reasoning: bool,
}

#[derive(Debug, Default)]
struct Call {
    index: Option<u64>,
    id: String,
    name: String,
    arguments: Piece<'static>,
    /// JSON fields that the provider wants handed back with it; the last of a name counts.
    wanted: String,
    /// The nesting of the arguments, by braces and quotes.
    nesting: Nesting,
    /// How many bytes of the arguments were emitted while they grew.
    told: usize,
    /// Whether the endpoint said that it is complete.
    is_ended: bool,
    delivered: bool,
}

/// Which calls to deliver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// Those whose arguments nothing can change any more.
    Sure,
    /// Those whose arguments are a complete JSON object, because something else has begun.
    Whole,
    /// All, because the end has come.
    End,
}

/// Follows JSON to its end and reads each byte once.
#[derive(Debug, Default)]
struct Nesting {
    read: usize,
    depth: usize,
    is_string: bool,
    is_escaped: bool,
}

impl Calls {
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// Returns how many bytes were gathered and not yet delivered.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns whether the fragment begins a call rather than continuing one.
    ///
    /// The index decides, as with OpenAI, unless the fragment can only belong to another call: it has another
    /// id, because [Ollama] has numbered every call 0; or it has a name and follows a complete call, because
    /// [Gemini] has used such indexes without ids, and sometimes neither.
    ///
    /// [Ollama]: https://github.com/ollama/ollama/issues/15457
    /// [Gemini]: https://github.com/microsoft/autogen/pull/7549
    pub(crate) fn begins(&self, fragment: &Fragment) -> bool {
        let has_name = !fragment.name.is_empty();
        let Some(call) = self.position(fragment).and_then(|at| self.all.get(at)) else {
            return has_name || !fragment.id.is_empty();
        };
        // The name may be repeated with each piece of the arguments, and even an id that is new each time.
        let goes_on = fragment.name == call.name
            && !(call.arguments.is_empty() || call.is_whole() || fragment.arguments.starts_object());
        if !fragment.id.is_empty() && !call.id.is_empty() {
            let is_other = fragment.id != call.id && (has_name && !goes_on || call.is_whole());
            return is_other || has_name && fragment.name != call.name && call.is_whole();
        }
        // Without ids, a call with the same name is another one if the first has arguments already.
        let is_other = fragment.name != call.name
            || !is_placeholder(&call.arguments)
            || is_placeholder(&fragment.arguments);
        let is_next = call.is_whole() && is_other && fragment.id.is_empty();
        let unnumbered = fragment.index.is_none() && fragment.id.is_empty() && !call.name.is_empty();
        has_name && (is_next || unnumbered && !goes_on)
    }

    /// Adds a fragment and returns its size in bytes. A fragment that neither begins nor continues a call is
    /// dropped.
    pub(crate) fn add(&mut self, fragment: &Fragment) -> usize {
        let call = if self.begins(fragment) {
            Some(self.all.push_mut(Call { index: fragment.index, ..Call::default() }))
        } else {
            self.position(fragment).and_then(|at| self.all.get_mut(at))
        };
        let Some(call) = call.filter(|call| !call.delivered) else { return 0 };
        let before = call.bytes();
        call.add(fragment);
        self.bytes = self.bytes.saturating_sub(before).saturating_add(call.bytes());
        call.bytes().max(1)
    }

    /// Takes thinking details, and joins the pieces of a text into one detail.
    pub(crate) fn think(&mut self, details: &mut Vec<Json>) {
        for detail in details.drain(..) {
            let same = |other: &Json, name: &str| other.get(name) == detail.get(name);
            let is_same = |last: &&mut Json| same(last, "type") && same(last, "index");
            self.bytes = self.bytes.saturating_add(to_json(&detail).len());
            match (self.details.last_mut().filter(is_same), detail) {
                (Some(Json::Object(last)), Json::Object(more)) => {
                    for (name, value) in more {
                        match (last.get_mut(&name), value) {
                            (_, Json::Null) => {}
                            (Some(Json::String(said)), Json::String(more))
                                if TEXTS.contains(&name.as_str()) =>
                            {
                                said.push_str(&more);
                            }
                            (_, value) => drop(last.insert(name, value)),
                        }
                    }
                }
                (_, detail) => self.details.push(detail),
            }
        }
    }

    /// Notes that the endpoint reports the call with this index as complete.
    pub(crate) fn end(&mut self, index: u64, answer: &mut Draft) {
        for call in self.all.iter_mut().filter(|call| call.index == Some(index)) {
            call.is_ended = true;
        }
        self.deliver(Until::Sure, answer);
    }

    /// Delivers calls up to the first one that may go on, and emits the part of that one that has come.
    pub(crate) fn deliver(&mut self, until: Until, answer: &mut Draft) {
        for (at, call) in self.all.iter_mut().enumerate().filter(|(_, call)| !call.delivered) {
            let bytes = call.bytes();
            let input =
                match call.object().filter(|_| until != Until::Sure || !is_placeholder(&call.arguments)) {
                    Some(object) => object,
                    None if until == Until::End => input(&call.arguments.take_all()),
                    None => return call.tell(at, answer),
                };
            self.bytes = self.bytes.saturating_sub(bytes);
            if !self.details.is_empty() {
                let details = Json::Array(std::mem::take(&mut self.details));
                add_field(&mut call.wanted, DETAILS, &to_json(&details));
            }
            if self.has_reasoning {
                add_field(&mut call.wanted, REASONING, "true");
            }
            let wanted = answer.wanted(&call.wanted);
            answer.end_call(at, call.finish(at, input, wanted));
        }
    }

    /// Returns the latest call that the fragment may belong to, by its id, its index or its position.
    fn position(&self, fragment: &Fragment) -> Option<usize> {
        let is_numbered = |call: &Call| fragment.index.is_none() || call.index == fragment.index;
        let is_named = |call: &Call| !fragment.id.is_empty() && call.id == fragment.id && is_numbered(call);
        self.all.iter().rposition(is_named).or_else(|| self.all.iter().rposition(is_numbered))
    }
}

impl Call {
    fn add(&mut self, fragment: &Fragment) {
        if self.id.is_empty() {
            self.id.push_str(&fragment.id);
        }
        self.wanted.push_str(&fragment.wanted);
        let has_begun = !self.arguments.is_empty();
        if (self.name.is_empty() || !has_begun) && fragment.name.starts_with(self.name.as_str()) {
            self.name = fragment.name.to_string();
        } else if !has_begun {
            self.name.push_str(&fragment.name);
        }
        // A fragment that begins with all arguments so far repeats them, and continues after that.
        let is_again = has_begun && fragment.arguments.begins_with(&self.arguments);
        if is_again || is_placeholder(&self.arguments) && !fragment.arguments.is_empty() {
            self.arguments = Piece::default();
            self.nesting = Nesting::default();
        }
        self.arguments.push(&fragment.arguments);
        if let Some(text) = self.arguments.as_str() {
            self.nesting.read(text);
        }
    }

    fn is_whole(&self) -> bool {
        self.delivered || self.object().is_some()
    }

    /// Returns the arguments if they are a complete JSON object, which nothing can continue.
    fn object(&self) -> Option<Json> {
        let text = self.arguments.as_str().filter(|_| self.nesting.is_closed())?;
        Json::parse(text).filter(|json| json.as_object().is_some())
    }

    /// Emits the arguments so far, once there is a part that will stay.
    fn tell(&mut self, at: usize, answer: &mut Draft) {
        let Some(text) = self.arguments.as_str() else { return };
        let is_begun =
            text.trim_start().strip_prefix('{').is_some_and(|fields| fields.trim_start().starts_with('"'));
        if !is_begun || self.id.is_empty() || self.name.is_empty() {
            return;
        }
        if self.told == 0 {
            answer.begin_call(at, &self.id, &self.name);
        }
        if answer.open_call() == Some(at) {
            answer.grow_call(at, text.get(self.told..).unwrap_or_default());
            self.told = text.len();
        }
    }

    fn bytes(&self) -> usize {
        [&self.id, &self.name, &self.wanted]
            .iter()
            .fold(self.arguments.len(), |sum, text| sum.saturating_add(text.len()))
    }

    /// Completes a call. `at` is its index in the answer, which names it if the server did not.
    fn finish(&mut self, at: usize, input: Json, wanted: Option<Json>) -> Block {
        self.delivered = true;
        self.arguments = Piece::default();
        let id = if self.id.is_empty() { format!("call_{at}") } else { self.id.clone() };
        let mut call = Block::tool_use(id, self.name.as_str(), input);
        if let Block::ToolUse { provider_data, .. } = &mut call {
            *provider_data = wanted;
        }
        call
    }
}

impl Nesting {
    /// Reads newly added text.
    fn read(&mut self, text: &str) {
        for byte in text.bytes().skip(self.read) {
            if std::mem::take(&mut self.is_escaped) {
                continue;
            }
            match byte {
                b'\\' => self.is_escaped = self.is_string,
                b'"' => self.is_string = !self.is_string,
                _ if self.is_string => {}
                b'{' | b'[' => self.depth = self.depth.saturating_add(1),
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
        self.read = text.len();
    }

    fn is_closed(&self) -> bool {
        self.depth == 0 && !self.is_string
    }
}

/// Returns whether the arguments are only a placeholder: Gemini's endpoint sends nothing, or an empty object,
/// while they are still to come.
fn is_placeholder(arguments: &Piece) -> bool {
    matches!(arguments.as_str().map(str::trim), Some("{}" | "{ }" | "null"))
}

/// Parses arguments. If they are not JSON they are kept as text, and whoever carries out the call decides.
fn input(arguments: &str) -> Json {
    match Json::parse(arguments) {
        Some(Json::Null) => Json::Object(Fields::new()),
        // Some servers encode them twice.
        Some(Json::String(encoded)) => {
            Json::parse(&encoded).filter(|value| value.as_object().is_some()).unwrap_or(Json::String(encoded))
        }
        Some(value) => value,
        None if arguments.trim().is_empty() => Json::Object(Fields::new()),
        None => Json::String(arguments.to_owned()),
    }
}
