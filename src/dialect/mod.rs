//! Dialects: how clients are spoken to. Values of the protocol to bytes, and back; one file a dialect.
//!
//! **Invariant:** knows nothing about threads, sockets or storage. Which dialect a socket speaks stands in
//! its attachment.

#![deny(missing_docs)]

pub mod native;

use crate::protocol::words::words;
use crate::protocol::{FrameName, Received, ServerFrame};

words! {
    /// A dialect, by the name that stands in a socket's attachment.
    #[derive(Default)]
    pub enum Dialect {
        /// The contract's own.
        #[default]
        Native = "native",
    }
}

impl Dialect {
    /// A frame as clients of this dialect get it.
    #[must_use]
    pub fn encode(self, frame: &ServerFrame) -> String {
        match self {
            Dialect::Native => native::encode(frame),
        }
    }

    /// Reads a client's text frame.
    #[must_use]
    pub fn parse(self, text: &str) -> Received {
        match self {
            Dialect::Native => native::parse(text),
        }
    }

    /// How a refusal names a frame whose reading failed altogether.
    #[must_use]
    pub fn unread(self, text: &str) -> FrameName {
        match self {
            Dialect::Native => native::unread(text),
        }
    }
}
