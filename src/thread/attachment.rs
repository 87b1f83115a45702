//! What is kept with a socket.

use serde::Serialize;

use crate::dialect::Dialect;
use crate::protocol::{Identity, Json, Millis, PermissionMode, Read, optional, required};

use super::unread::Reading;

/// What is kept with a socket through hibernation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Attachment {
    /// Who the client is, and what its credential allows.
    pub identity: Identity,
    /// Before the first message nothing is stored, so the sockets keep what was set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub draft: Option<Draft>,
    /// The dialect that the socket speaks.
    pub dialect: Dialect,
    /// The one turn whose events it is sent, until that ends or waits; `None` for everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub follows: Option<String>,
    /// Of a stock client's socket, whether a request that is aborted leaves its turn running.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub detaches: bool,
    /// What the client calls the run that it is sent, if that is not the turn's `requestId`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// What the socket was sent, and how far it has read.
    pub reading: Reading,
}

/// What was set of a session that is not yet created.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Draft {
    /// The title, if one was set.
    pub title: Option<String>,
    /// The permission mode, as it was set or by default.
    pub permission_mode: PermissionMode,
    /// The model, if one was chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The application's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Json>,
    /// When it was last changed, in Unix milliseconds.
    pub set_at: Millis,
}

impl Read for Attachment {
    fn read(value: &Json) -> Option<Self> {
        Some(Attachment {
            identity: required(value, "identity")?,
            draft: optional(value, "draft")?,
            dialect: optional(value, "dialect")?.unwrap_or_default(),
            follows: optional(value, "follows")?,
            detaches: required(value, "detaches")?,
            run: optional(value, "run")?,
            reading: optional(value, "reading")?.unwrap_or_default(),
        })
    }
}

impl Read for Draft {
    fn read(value: &Json) -> Option<Self> {
        Some(Draft {
            title: optional(value, "title")?,
            permission_mode: required(value, "permissionMode")?,
            model: optional(value, "model")?,
            metadata: optional(value, "metadata")?,
            set_at: required(value, "setAt")?,
        })
    }
}
