//! Dialects: how clients are spoken to. Values of the protocol to bytes, and back; one file a dialect.
//!
//! Clients of the contract's own dialects are sent every frame. Those of other protocols are *stock clients*: each of
//! their requests is sent one turn, in the words of its protocol, and nothing else ever.
//!
//! **Invariant:** knows nothing about threads, sockets or storage. Which dialect a socket speaks stands in
//! its attachment.

#![deny(missing_docs)]

pub mod ai_sdk;
pub mod events;
pub mod native;

use std::borrow::Cow;

use litemap::LiteMap;

use crate::protocol::words::words;
use crate::protocol::{CloseCode, FrameName, Received, ServerFrame};

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
    }
}

/// The protocol of a stock client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stock {
    /// The AI SDK's UI message stream.
    AiSdk,
}

impl Stock {
    /// Its dialects: by sockets, and by events.
    #[must_use]
    pub fn dialects(self) -> [Dialect; 2] {
        match self {
            Stock::AiSdk => [Dialect::AiSdk, Dialect::AiSdkEvents],
        }
    }
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
    /// Its place in the turn, in protocols that have places.
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
            Dialect::AiSdk | Dialect::AiSdkEvents => String::new(),
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
        }
    }

    /// Whether it is the body of a response: its reader sends nothing, and the platform knows what it has not taken.
    #[must_use]
    pub fn is_stream(self) -> bool {
        match self {
            Dialect::Native | Dialect::AiSdk => false,
            Dialect::Events | Dialect::AiSdkEvents => true,
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
            Dialect::Native | Dialect::AiSdk | Dialect::Events => None,
        }
    }

    /// What a request of a socket is told at its end.
    #[must_use]
    pub fn request_closed(self, request: &str, code: CloseCode, reason: &str) -> Option<String> {
        (self == Dialect::AiSdk).then(|| ai_sdk::closed(request, code, reason))
    }
}

/// What stock clients were told of the turns that they are sent: one value for a turn and protocol, whatever the
/// number of clients.
#[derive(Debug, Default)]
pub struct Telling {
    chunks: LiteMap<String, Chunks>,
}

impl Telling {
    /// What a frame is in a protocol's words: nothing, if it is about no turn that is told in it. `is_live` is false for
    /// a frame of a turn that is shown again.
    pub fn tell(&mut self, stock: Stock, frame: &ServerFrame, is_live: bool) -> Vec<Told> {
        let Some(request_id) = frame.request_id() else { return Vec::new() };
        let begins = matches!(frame, ServerFrame::UserMessage { .. } | ServerFrame::Branch { .. });
        match stock {
            Stock::AiSdk => {
                if begins && !self.chunks.contains_key(request_id) {
                    self.chunks.insert(request_id.clone(), Chunks::default());
                }
                let Some(chunks) = self.chunks.get_mut(request_id) else { return Vec::new() };
                let told = chunks.tell(frame, is_live);
                if ends(frame) {
                    self.chunks.remove(request_id);
                }
                told
            }
        }
    }

    /// A client that holds a part of a turn is about to be sent the rest.
    pub fn again(&mut self, stock: Stock, request_id: &str) -> Vec<Told> {
        match stock {
            Stock::AiSdk => self.chunks.get_mut(request_id).map(Chunks::again).unwrap_or_default(),
        }
    }

    /// The agent of a turn is called.
    pub fn started(&mut self, stock: Stock, request_id: &str) -> Vec<Told> {
        match stock {
            Stock::AiSdk => self.chunks.get_mut(request_id).map(Chunks::started).unwrap_or_default(),
        }
    }
}

/// Whether nothing follows of the turn, or nothing that those who are sent it now are sent.
fn ends(frame: &ServerFrame) -> bool {
    matches!(
        frame,
        ServerFrame::Waiting { .. }
            | ServerFrame::Final { .. }
            | ServerFrame::Cancelled { .. }
            | ServerFrame::Failed { .. }
    )
}
