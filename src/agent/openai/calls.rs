//! Tool calls put together from their fragments.

use super::chunk::Fragment;
use crate::agent::piece::Piece;
use crate::protocol::json::Fields;
use crate::protocol::{Block, Json};

/// The tool calls of one answer, in the order in which they began.
#[derive(Debug, Default)]
pub(super) struct Calls {
    calls: Vec<Call>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Call {
    index: Option<u64>,
    id: String,
    name: String,
    arguments: Piece<'static>,
    delivered: bool,
}

impl Calls {
    pub(super) fn len(&self) -> usize {
        self.calls.len()
    }

    /// Bytes gathered and not yet delivered.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether the fragment begins a call rather than continuing one.
    ///
    /// The index decides, as OpenAI has it, unless the fragment can only be another call's: under another
    /// id, as [Ollama] has numbered every call 0; or with a name behind a call that is whole, as [Gemini]
    /// has numbered them without giving ids, and at another time has given neither.
    ///
    /// [Ollama]: https://github.com/ollama/ollama/issues/15457
    /// [Gemini]: https://github.com/microsoft/autogen/pull/7549
    pub(super) fn begins(&self, fragment: &Fragment) -> bool {
        let has_name = !fragment.name.is_empty();
        let Some(call) = self.position(fragment).and_then(|at| self.calls.get(at)) else {
            return has_name || !fragment.id.is_empty();
        };
        // The name may stand beside each piece of the arguments, and so may an id that is another one each time.
        let goes_on = fragment.name == call.name
            && !(call.arguments.is_empty() || call.is_whole() || fragment.arguments.starts_object());
        if !fragment.id.is_empty() && !call.id.is_empty() {
            let is_other = fragment.id != call.id && (has_name && !goes_on || call.is_whole());
            return is_other || has_name && fragment.name != call.name && call.is_whole();
        }
        // Without ids, a call that is repeated and has arguments as before is two; one that had none is one.
        let is_other = fragment.name != call.name
            || !is_placeholder(&call.arguments)
            || is_placeholder(&fragment.arguments);
        let is_next = call.is_whole() && is_other && fragment.id.is_empty();
        let unnumbered = fragment.index.is_none() && fragment.id.is_empty() && !call.name.is_empty();
        has_name && (is_next || unnumbered && !goes_on)
    }

    /// A fragment that begins no call and continues none that is still open is dropped.
    pub(super) fn add(&mut self, fragment: &Fragment) {
        let call = if self.begins(fragment) {
            Some(self.calls.push_mut(Call { index: fragment.index, ..Call::default() }))
        } else {
            self.position(fragment).and_then(|at| self.calls.get_mut(at))
        };
        let Some(call) = call else { return };
        if call.delivered {
            return;
        }
        let before = call.bytes();
        call.add(fragment);
        self.bytes = self.bytes.saturating_sub(before).saturating_add(call.bytes());
    }

    /// The calls whose arguments are a whole JSON object, which nothing can continue, up to the first
    /// call that may go on.
    pub(super) fn take_whole(&mut self) -> Vec<Block> {
        let mut whole = Vec::new();
        for (at, call) in self.calls.iter_mut().enumerate().filter(|(_, call)| !call.delivered) {
            let Some(object @ Json::Object(_)) = call.arguments.as_str().and_then(Json::parse) else {
                break;
            };
            self.bytes = self.bytes.saturating_sub(call.bytes());
            whole.push(call.finish(at, object));
        }
        whole
    }

    /// The calls that are left, as their end has come.
    pub(super) fn take_all(&mut self) -> Vec<Block> {
        self.bytes = 0;
        let mut left = Vec::new();
        for (at, call) in self.calls.iter_mut().enumerate().filter(|(_, call)| !call.delivered) {
            let input = input(&call.arguments.take_all());
            left.push(call.finish(at, input));
        }
        left
    }

    /// The latest call that the fragment may belong to, by its id, else by its number, else by its place.
    fn position(&self, fragment: &Fragment) -> Option<usize> {
        let is_numbered = |call: &Call| fragment.index.is_none() || call.index == fragment.index;
        let is_named = |call: &Call| !fragment.id.is_empty() && call.id == fragment.id && is_numbered(call);
        self.calls.iter().rposition(is_named).or_else(|| self.calls.iter().rposition(is_numbered))
    }
}

impl Call {
    fn add(&mut self, fragment: &Fragment) {
        if self.id.is_empty() {
            self.id.push_str(&fragment.id);
        }
        let has_begun = !self.arguments.is_empty();
        if (self.name.is_empty() || !has_begun) && fragment.name.starts_with(self.name.as_str()) {
            self.name = fragment.name.to_string();
        } else if !has_begun {
            self.name.push_str(&fragment.name);
        }
        // What begins with all that there is says it again, and goes on from there.
        let is_again = has_begun && fragment.arguments.begins_with(&self.arguments);
        if is_again || is_placeholder(&self.arguments) && !fragment.arguments.is_empty() {
            self.arguments = Piece::default();
        }
        self.arguments.push(&fragment.arguments);
    }

    fn is_whole(&self) -> bool {
        self.delivered || matches!(self.arguments.as_str().and_then(Json::parse), Some(Json::Object(_)))
    }

    fn bytes(&self) -> usize {
        self.id.len().saturating_add(self.name.len()).saturating_add(self.arguments.len())
    }

    /// `at` is the call's place in the answer, which names it if the server did not.
    fn finish(&mut self, at: usize, input: Json) -> Block {
        self.delivered = true;
        self.arguments = Piece::default();
        let id = if self.id.is_empty() { format!("call_{at}") } else { self.id.clone() };
        Block::tool_use(id, self.name.as_str(), input)
    }
}

/// Nothing, or an empty object, stands where the arguments are still to come, at Gemini's endpoint.
fn is_placeholder(arguments: &Piece) -> bool {
    matches!(arguments.as_str().map(str::trim), Some("{}" | "{ }" | "null"))
}

/// Arguments that are not JSON are kept as the text they are: the one who carries out the call decides.
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
