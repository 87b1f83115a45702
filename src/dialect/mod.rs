//! Dialects: the wire formats that clients speak. They turn values of the protocol into bytes and back, one file for
//! each dialect.
//!
//! Clients of the native dialects are sent every frame. Clients of other protocols are *stock clients*: each of their
//! requests is sent one turn, in the format of its protocol, and nothing else.
//!
//! **Invariant:** knows nothing about threads, sockets or storage. The attachment of a socket names its dialect.

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
    /// A dialect, by the name that a socket's attachment has for it.
    #[derive(Default)]
    pub enum Dialect {
        /// The native dialect: the contract's own frames.
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

/// The request in a frame of a stock client's socket.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // There is one at a time.
pub enum Incoming<'a> {
    /// Asks for a turn.
    Ask {
        /// The client's id for its request or its run.
        request: Cow<'a, str>,
        /// The id of the chat, if the frame names one.
        chat: Option<Cow<'a, str>>,
        /// What the client asks for, or a text that says why the request cannot be read.
        ask: Result<Asked, String>,
    },
    /// Asks to end a request and its turn.
    Abort(Cow<'a, str>),
    /// Asks for nothing. It only keeps the connection open.
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

    /// All stock protocols.
    pub const ALL: [Stock; 2] = [Stock::AiSdk, Stock::AgUi];

    /// The protocol's dialects: over sockets, and as Server-Sent Events.
    #[must_use]
    pub fn dialects(self) -> [Dialect; 2] {
        match self {
            Stock::AiSdk => [Dialect::AiSdk, Dialect::AiSdkEvents],
            Stock::AgUi => [Dialect::AgUi, Dialect::AgUiEvents],
        }
    }
}

/// A request, with the files that must be stored before it is handled.
#[derive(Debug, PartialEq)]
pub struct Asked {
    /// The request.
    pub request: StockRequest,
    /// Files that are too large to be kept within a message.
    pub uploads: Vec<Upload>,
}

/// A file within a request.
#[derive(Debug, PartialEq)]
pub struct Upload {
    /// The index of the file's block in the message. The block's `url` is the address of the stored file.
    pub place: usize,
    /// The range of the request's text that holds the file's bytes, in base64.
    pub base64: Range<usize>,
}

/// Versions of the AI SDK. Only version 7 has sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Version 6, which fails on the parts that version 7 added.
    Six,
    /// Version 7, the newest.
    Seven,
}

/// A piece of a turn in a protocol's format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The piece, as JSON.
    pub json: String,
    /// The piece's offset in the turn, in protocols that have offsets. A piece that is sent once, to the clients then
    /// connected, has none, since it does not count as held by a client.
    pub at: Option<String>,
    /// The only version that gets the piece; `None` if all do.
    pub of: Option<Version>,
}

impl Dialect {
    /// Formats a frame for clients of the native dialects.
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

    /// The name by which a refusal refers to a frame that could not be read at all.
    #[must_use]
    pub fn unread(self, text: &str) -> FrameName {
        native::unread(text)
    }

    /// The protocol of a stock client; `None` for the native dialects.
    #[must_use]
    pub fn stock(self) -> Option<Stock> {
        match self {
            Dialect::Native | Dialect::Events => None,
            Dialect::AiSdk | Dialect::AiSdkEvents => Some(Stock::AiSdk),
            Dialect::AgUi | Dialect::AgUiEvents => Some(Stock::AgUi),
        }
    }

    /// Tells whether the dialect is the body of a response. Its reader sends nothing, and the platform knows how many
    /// bytes it has not taken yet.
    #[must_use]
    pub fn is_stream(self) -> bool {
        match self {
            Dialect::Native | Dialect::AiSdk | Dialect::AgUi => false,
            Dialect::Events | Dialect::AiSdkEvents | Dialect::AgUiEvents => true,
        }
    }

    /// Formats a piece of a turn for this dialect; `None` if its clients do not get the piece. Where a socket has
    /// several requests, the caller still has to wrap the piece with the request's name.
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

    /// The bytes that a socket is sent in addition to each piece.
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

    /// The immediate reply to a socket's request to be shown a turn.
    #[must_use]
    pub fn noted(self, request: &str, is_there: bool) -> Option<String> {
        let note = if is_there { "start" } else { "no-active" };
        (self == Dialect::AiSdk).then(|| ai_sdk::note(note, request))
    }

    /// The frames for a socket's request at its end.
    #[must_use]
    pub fn request_closed(self, request: &str, code: CloseCode, reason: &str) -> Option<String> {
        match self {
            Dialect::AiSdk => Some(ai_sdk::closed(request, code, reason)),
            Dialect::AgUi => ag_ui::closed(code, reason),
            _ => None,
        }
    }
}

/// Keeps what stock clients were told of one turn, in one protocol.
trait Teller: std::fmt::Debug {
    /// Turns a frame about the turn into pieces. `is_live` is false if the turn is shown again.
    fn tell(&mut self, frame: &ServerFrame, is_live: bool) -> Vec<Told>;

    /// Handles that the turn's agent is called.
    fn started(&mut self) -> Vec<Told> {
        Vec::new()
    }

    /// Prepares to send the rest of the turn to a client that holds a part of it.
    fn again(&mut self) -> Vec<Told>;

    /// The pieces since the offset that clients hold; none in a protocol that has no offsets.
    fn since(&self) -> Pieces {
        Pieces::default()
    }
}

/// Keeps what stock clients were told of the turns that they follow: one value for each turn and protocol, whatever
/// the number of clients.
#[derive(Debug, Default)]
pub struct Telling(LiteMap<(Stock, String), Box<dyn Teller>>);

impl Telling {
    /// Turns a frame into pieces of a protocol. There are none if the frame is not about a turn that is sent in this
    /// protocol. `is_live` is false if the turn is shown again.
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

    /// Handles that the agent of a turn is called.
    pub fn started(&mut self, stock: Stock, request_id: &str) -> Vec<Told> {
        self.of(stock, request_id).map(Teller::started).unwrap_or_default()
    }

    /// Prepares to send the rest of a turn to a client that holds a part of it.
    pub fn again(&mut self, stock: Stock, request_id: &str) -> Vec<Told> {
        self.of(stock, request_id).map(Teller::again).unwrap_or_default()
    }

    /// The pieces since the offset that clients hold.
    pub fn since(&mut self, stock: Stock, request_id: &str) -> Pieces {
        self.of(stock, request_id).map(|teller| teller.since()).unwrap_or_default()
    }

    fn of(&mut self, stock: Stock, request_id: &str) -> Option<&mut (dyn Teller + 'static)> {
        self.0.get_mut(&(stock, request_id.to_owned())).map(|teller| &mut **teller)
    }
}

/// Groups messages that are shown as one: a message of results alone, and the answer to it, belong to the answer
/// before. Other turns may end in between.
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

/// Tells whether the group has all the calls that the results are for.
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
