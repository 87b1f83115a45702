//! The state that is kept with a socket.

use crate::dialect::Dialect;
use crate::protocol::objects::{object, written};
use crate::protocol::read::{fill_field, fill_known};
use crate::protocol::{Identity, Json, Millis, PermissionMode, Read};

use super::unread::Reading;

written! {
    /// The state that is kept with a socket through hibernation.
    pub struct Attachment {
        /// Who the client is, and what its credential allows.
        pub identity: Identity = "identity",
        /// Settings that its subject chose for a session that has not begun. Nothing is stored before the
        /// first message, so the sockets keep them.
        pub draft: Option<Draft> = "draft" optional,
        /// The dialect that the socket speaks.
        pub dialect: Dialect = "dialect",
        /// The one turn whose events the socket is sent, until that turn ends or waits; `None` for
        /// everything.
        pub follows: Option<String> = "follows" optional,
        /// Whether a stock client's turn goes on when its request is aborted.
        #[cfg_attr(test, ts(as = "Option<bool>"))]
        pub detaches: bool = "detaches" optional,
        /// The client's name for the run that it is sent, if that is not the turn's `requestId`.
        pub run: Option<String> = "run" optional,
        /// How much the socket was sent, and how far it has read.
        pub reading: Reading = "reading",
    }
}

object! {
    /// Settings of a session that is not yet created.
    pub struct Draft {
        /// The title, if one was set.
        pub title: Option<String> = "title",
        /// The permission mode, chosen or by default.
        pub permission_mode: PermissionMode = "permissionMode",
        /// The model, if one was chosen.
        pub model: Option<String> = "model" optional,
        /// The application's own data.
        #[cfg_attr(test, ts(type = "unknown"))]
        pub metadata: Option<Json> = "metadata" optional,
        /// When the draft was last changed, in Unix milliseconds.
        pub set_at: Millis = "setAt",
    }
}

impl Read for Attachment {
    fn blank() -> Self {
        Attachment {
            identity: Identity::blank(),
            draft: None,
            dialect: Dialect::default(),
            follows: None,
            detaches: false,
            run: None,
            reading: Reading::default(),
        }
    }

    fn fill(&mut self, json: Option<&Json>) -> bool {
        let Some(json) = json else { return false };
        fill_field(&mut self.identity, json, "identity")
            && fill_field(&mut self.draft, json, "draft")
            && fill_known(&mut self.dialect, json, "dialect")
            && fill_field(&mut self.follows, json, "follows")
            && fill_field(&mut self.detaches, json, "detaches")
            && fill_field(&mut self.run, json, "run")
            && fill_known(&mut self.reading, json, "reading")
    }
}
