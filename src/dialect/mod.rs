//! Dialects: how clients are spoken to. Values of the protocol to bytes, and back; one file a dialect.
//!
//! **Invariant:** knows nothing about threads, sockets or storage. Which dialect a socket speaks stands in
//! its attachment.

#![deny(missing_docs)]

pub mod events;
pub mod native;

use crate::protocol::words::words;
use crate::protocol::{CloseCode, FrameName, Received, ServerFrame};

words! {
    /// A dialect, by the name that stands in a socket's attachment.
    #[derive(Default)]
    pub enum Dialect {
        /// The contract's own.
        #[default]
        Native = "native",
        /// The same frames as Server-Sent Events.
        Events = "events",
    }
}

impl Dialect {
    /// A frame as clients of this dialect get it.
    #[must_use]
    pub fn encode(self, frame: &ServerFrame) -> String {
        match self {
            Dialect::Native => native::encode(frame),
            Dialect::Events => events::encode(frame),
        }
    }

    /// Reads a client's text frame.
    #[must_use]
    pub fn parse(self, text: &str) -> Received {
        match self {
            Dialect::Native | Dialect::Events => native::parse(text),
        }
    }

    /// How a refusal names a frame whose reading failed altogether.
    #[must_use]
    pub fn unread(self, text: &str) -> FrameName {
        match self {
            Dialect::Native | Dialect::Events => native::unread(text),
        }
    }

    /// Whether it is the body of a response: its reader sends nothing, and the platform knows what it has not taken.
    #[must_use]
    pub fn is_stream(self) -> bool {
        match self {
            Dialect::Native => false,
            Dialect::Events => true,
        }
    }

    /// The last event of a stream that is closed for another reason than that all is said.
    #[must_use]
    pub fn closed(self, code: CloseCode, reason: &str) -> Option<String> {
        (self.is_stream() && code != CloseCode::Normal).then(|| events::closed(code, reason))
    }
}
