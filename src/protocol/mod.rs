//! The wire contract: frames, codes and sizes.
//!
//! **Invariant:** this module knows nothing about threads, sockets or storage. A value of its types always
//! follows the contract; anything else is refused by the dialect that reads it.

#![deny(missing_docs)]

mod client;
mod content;
mod cursor;
mod error;
mod file;
mod identity;
pub mod json;
pub mod limits;
mod lists;
pub(crate) mod objects;
pub(crate) mod read;
mod server;
mod session;
mod sha256;
mod trace;
#[cfg(test)]
mod typescript;
pub(crate) mod words;
pub(crate) mod write;

pub use client::{
    CallAnswers, ClientFrame, FrameName, Post, Received, SessionUpdate, StockRequest, ToolAnswer, ToolSaid,
    TurnWanted, is_request_id, is_session_id, request_id_form,
};
pub use content::{Approval, ApprovalState, Block, Content, ToolKind, ToolOutput, cut, is_blank, joined};
pub use cursor::{Cursor, Pieces, Progress, Since};
pub use error::{CloseCode, ErrorBody, ErrorCode};
pub use file::{Wanted, disposition, file_of, file_path, media_type, safe_name, wanted};
pub use identity::{Access, Identity};
pub use json::Json;
pub use lists::CollectVec;
pub use read::{Read, optional, required};
pub use server::{
    Finish, InFlight, InFlightState, Response, ResponseMetadata, ServerFrame, SnapshotReason, Usage,
};
pub use session::{Message, MessageMetadata, PermissionMode, Role, Session, SessionState, Status, Versions};
pub use sha256::sha256;
pub use trace::Trace;
pub use words::{Named, Word};
pub use write::{Write, to_json};

/// The contract's version, as sent in `connected`.
pub const PROTOCOL_VERSION: u32 = 1;

/// Unix time in milliseconds.
pub type Millis = u64;
