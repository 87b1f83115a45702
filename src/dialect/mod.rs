//! Dialects: how clients are spoken to. Values of the protocol to bytes, and back; one file a dialect.
//!
//! Clients of the contract's own dialects are sent every frame. Those of other protocols are *stock clients*: each of
//! their requests is sent one turn, in the words of its protocol, and nothing else ever.
//!
//! **Invariant:** knows nothing about threads, sockets or storage. Which dialect a socket speaks stands in
//! its attachment.

#![deny(missing_docs)]

pub mod ag_ui;
pub mod ai_sdk;
pub mod events;
pub mod native;
pub mod scan;

use std::borrow::Cow;
use std::ops::Range;

use litemap::LiteMap;

use crate::protocol::words::words;
use crate::protocol::{
    Block, CloseCode, CollectVec, Content, FrameName, Message, Pieces, Received, Role, ServerFrame,
    StockRequest,
};

use ag_ui::events::Events;
use ai_sdk::chunks::Chunks;

words! {
    /// A dialect, by the name that stands in a socket's attachment.
    #[derive(Default)]
    pub enum Dialect {
        /// The contract's own.
        #[default]
        Native = "native",
        /// The same frames as Server-Sent Events.
        Events = "events",
        /// The AI SDK's chunks, as frames.
        AiSdk = "ai-sdk",
        /// The same chunks as Server-Sent Events.
        AiSdkEvents = "ai-sdk-events",
        /// AG-UI's events, as frames.
        AgUi = "ag-ui",
        /// The same events as Server-Sent Events.
        AgUiEvents = "ag-ui-events",
    }
}

/// The protocol of a stock client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stock {
    /// The AI SDK's UI message stream.
    AiSdk,
    /// AG-UI, which `TanStack AI` speaks as well.
    AgUi,
}

/// What a frame of a stock client's socket asks for.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // There is one at a time.
pub enum Incoming<'a> {
    /// To be sent a turn.
    Ask {
        /// What the client calls its request, or its run.
        request: Cow<'a, str>,
        /// The chat that it is about, if it says so.
        chat: Option<Cow<'a, str>>,
        /// What is asked, or in words why it cannot be.
        ask: Result<Asked, String>,
    },
    /// To be sent no more of a request, and that its turn ends.
    Abort(Cow<'a, str>),
    /// Nothing: it keeps the connection open.
    Nothing,
}

impl Stock {
    /// Reads a frame; `None` if it is not one of the protocol.
    #[must_use]
    pub fn parse(self, text: &str) -> Option<Incoming<'_>> {
        if text.trim() == "ping" {
            return Some(Incoming::Nothing);
        }
        let object = scan::Object::read(text)?;
        if object.text("type").as_deref() == Some("ping") {
            return Some(Incoming::Nothing);
        }
        match self {
            Stock::AiSdk => ai_sdk::request::frame(text, &object),
            Stock::AgUi => ag_ui::input::frame(text, &object),
        }
    }

    /// Every one.
    pub const ALL: [Stock; 2] = [Stock::AiSdk, Stock::AgUi];

    /// Its dialects: by sockets, and by events.
    #[must_use]
    pub fn dialects(self) -> [Dialect; 2] {
        match self {
            Stock::AiSdk => [Dialect::AiSdk, Dialect::AiSdkEvents],
            Stock::AgUi => [Dialect::AgUi, Dialect::AgUiEvents],
        }
    }
}

/// What is asked, and the files that have to be stored before.
#[derive(Debug, PartialEq)]
pub struct Asked {
    /// What is asked.
    pub request: StockRequest,
    /// Files that are too large to stand in a message.
    pub uploads: Vec<Upload>,
}

/// A file within a request.
#[derive(Debug, PartialEq)]
pub struct Upload {
    /// Its block's place in the message. Its `url` is the address of the stored file.
    pub place: usize,
    /// Where its bytes stand in the text of the request, in base64.
    pub base64: Range<usize>,
}

/// Versions of the AI SDK. Only the seventh has sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// It fails on what the seventh has more.
    Six,
    /// The newest.
    Seven,
}

/// A piece of a turn in a protocol's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The piece, as JSON.
    pub json: String,
    /// Its place in the turn, in protocols that have places. What is told once, to whoever is there, has none: it is not part
    /// of what a client holds.
    pub at: Option<String>,
    /// The version that it is for, if it is not for all.
    pub of: Option<Version>,
}

impl Dialect {
    /// A frame as clients of the contract's own dialects get it.
    #[must_use]
    pub fn encode(self, frame: &ServerFrame) -> String {
        match self {
            Dialect::Native => native::encode(frame),
            Dialect::Events => events::encode(frame),
            _ => String::new(),
        }
    }

    /// Reads a client's text frame.
    #[must_use]
    pub fn parse(self, text: &str) -> Received {
        native::parse(text)
    }

    /// How a refusal names a frame whose reading failed altogether.
    #[must_use]
    pub fn unread(self, text: &str) -> FrameName {
        native::unread(text)
    }

    /// The protocol of a stock client; `None` for those of the contract's own dialects.
    #[must_use]
    pub fn stock(self) -> Option<Stock> {
        match self {
            Dialect::Native | Dialect::Events => None,
            Dialect::AiSdk | Dialect::AiSdkEvents => Some(Stock::AiSdk),
            Dialect::AgUi | Dialect::AgUiEvents => Some(Stock::AgUi),
        }
    }

    /// Whether it is the body of a response: its reader sends nothing, and the platform knows what it has not taken.
    #[must_use]
    pub fn is_stream(self) -> bool {
        match self {
            Dialect::Native | Dialect::AiSdk | Dialect::AgUi => false,
            Dialect::Events | Dialect::AiSdkEvents | Dialect::AgUiEvents => true,
        }
    }

    /// A piece of a turn as this dialect sends it; `None` if that is not for its clients. Where a socket has several
    /// requests, what names the request is still to be put around it.
    #[must_use]
    pub fn framed(self, told: &Told) -> Option<Cow<'_, str>> {
        match self {
            Dialect::AiSdk if told.of != Some(Version::Six) => Some(Cow::Borrowed(&told.json)),
            Dialect::AiSdkEvents if told.of != Some(Version::Seven) => {
                Some(["data: ", &told.json, "\n\n"].concat().into())
            }
            Dialect::AgUi => Some(ag_ui::frame(told.at.as_deref(), &told.json).into()),
            Dialect::AgUiEvents => Some(ag_ui::event(told.at.as_deref(), &told.json).into()),
            _ => None,
        }
    }

    /// Bytes that a socket is sent beside each piece.
    #[must_use]
    pub fn wrap_bytes(self) -> u64 {
        if self == Dialect::AiSdk { ai_sdk::WRAP_BYTES } else { 0 }
    }

    /// The last events of a stream that is closed.
    #[must_use]
    pub fn closed(self, code: CloseCode, reason: &str) -> Option<String> {
        match self {
            Dialect::Events if code != CloseCode::Normal => Some(events::closed(code, reason)),
            Dialect::AiSdkEvents => Some(ai_sdk::stream_end(code, reason)),
            Dialect::AgUiEvents => ag_ui::closed(code, reason).map(|error| ag_ui::event(None, &error)),
            _ => None,
        }
    }

    /// What a request of a socket to be shown a turn is answered with at once.
    #[must_use]
    pub fn noted(self, request: &str, is_there: bool) -> Option<String> {
        let note = if is_there { "start" } else { "no-active" };
        (self == Dialect::AiSdk).then(|| ai_sdk::note(note, request))
    }

    /// What a request of a socket is told at its end.
    #[must_use]
    pub fn request_closed(self, request: &str, code: CloseCode, reason: &str) -> Option<String> {
        match self {
            Dialect::AiSdk => Some(ai_sdk::closed(request, code, reason)),
            Dialect::AgUi => ag_ui::closed(code, reason),
            _ => None,
        }
    }
}

/// What stock clients were told of one turn, in one protocol.
trait Teller: std::fmt::Debug {
    /// What comes of a frame about the turn. `is_live` is false where it is shown again.
    fn tell(&mut self, frame: &ServerFrame, is_live: bool) -> Vec<Told>;

    /// The turn's agent is called.
    fn started(&mut self) -> Vec<Told> {
        Vec::new()
    }

    /// A client that holds a part of the turn is about to be sent the rest.
    fn again(&mut self) -> Vec<Told>;

    /// What was told since the place that clients hold; nothing in a protocol that has no places.
    fn since(&self) -> Pieces {
        Pieces::default()
    }
}

/// What stock clients were told of the turns that they are sent: one value for a turn and protocol, whatever the
/// number of clients.
#[derive(Debug, Default)]
pub struct Telling(LiteMap<(Stock, String), Box<dyn Teller>>);

impl Telling {
    /// What a frame is in a protocol's words: nothing, if it is about no turn that is told in it. `is_live` is false for
    /// a frame of a turn that is shown again.
    pub fn tell(&mut self, session_id: &str, stock: Stock, frame: &ServerFrame, is_live: bool) -> Vec<Told> {
        let Some(request_id) = frame.request_id() else { return Vec::new() };
        let key = (stock, request_id.clone());
        let begins = matches!(frame, ServerFrame::UserMessage { .. } | ServerFrame::Branch { .. });
        if begins && !self.0.contains_key(&key) {
            let teller: Box<dyn Teller> = match stock {
                Stock::AiSdk => Box::new(Chunks::default()),
                Stock::AgUi => Box::new(Events::new(session_id)),
            };
            self.0.insert(key.clone(), teller);
        }
        let told = self.0.get_mut(&key).map(|teller| teller.tell(frame, is_live)).unwrap_or_default();
        if frame.ends() {
            self.0.remove(&key);
        }
        told
    }

    /// The agent of a turn is called.
    pub fn started(&mut self, stock: Stock, request_id: &str) -> Vec<Told> {
        self.of(stock, request_id).map(Teller::started).unwrap_or_default()
    }

    /// A client that holds a part of a turn is about to be sent the rest.
    pub fn again(&mut self, stock: Stock, request_id: &str) -> Vec<Told> {
        self.of(stock, request_id).map(Teller::again).unwrap_or_default()
    }

    /// What was told since the place that clients hold.
    pub fn since(&mut self, stock: Stock, request_id: &str) -> Pieces {
        self.of(stock, request_id).map(|teller| teller.since()).unwrap_or_default()
    }

    fn of(&mut self, stock: Stock, request_id: &str) -> Option<&mut (dyn Teller + 'static)> {
        self.0.get_mut(&(stock, request_id.to_owned())).map(|teller| &mut **teller)
    }
}

/// Messages that are shown as one: those of results alone, and the answers to them, go with the answer before. Other
/// turns may end in between.
#[must_use]
pub fn grouped(messages: &[Message]) -> Vec<Vec<&Message>> {
    let mut groups = Vec::<Vec<&Message>>::new();
    for message in messages {
        let is_parent = |it: &&Message| message.parent_id.as_ref() == Some(&it.id);
        let place = if message.role == Role::Assistant {
            let is_question = |it: &&Message| {
                it.role == Role::User && (is_parent(it) || it.request_id == message.request_id)
            };
            groups.iter().rposition(|group| group.len() > 1 && group.last().is_some_and(is_question))
        } else if message.content.is_results() {
            let place = groups.iter().rposition(|group| group.iter().any(is_parent));
            let place = place.or(groups.len().checked_sub(1));
            place.filter(|place| groups.get(*place).is_some_and(|group| has_calls(group, message)))
        } else {
            None
        };
        match place.and_then(|place| groups.get_mut(place)) {
            Some(group) => group.push(message),
            None => groups.push(vec![message]),
        }
    }
    groups
}

/// Whether all calls are there that the results are for.
fn has_calls(group: &[&Message], results: &Message) -> bool {
    let blocks = |message: &Message| match &message.content {
        Content::Blocks(blocks) => blocks.clone(),
        Content::Text(_) => Vec::new(),
    };
    let known: Vec<Block> = group.iter().flat_map(|message| blocks(message)).collect_vec();
    group.iter().any(|message| message.role == Role::Assistant)
        && blocks(results).iter().all(|result| {
            let Block::ToolResult { tool_use_id, .. } = result else { return false };
            known.iter().any(|block| matches!(block, Block::ToolUse { id, .. } if id == tool_use_id))
        })
}
