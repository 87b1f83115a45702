//! Who a connection or request is, and what it may do.

use super::objects::object;
use super::words::words;
use super::{Millis, Session};

words! {
    /// What somebody may do in a session; each may do what those before it may.
    #[derive(PartialOrd, Ord)]
    pub enum Access {
        /// Reads.
        Viewer = "viewer",
        /// Sends messages and cancels, in a session that somebody has begun.
        Editor = "editor",
        /// Begins the session, renames, changes the permission mode, deletes, asks for diagnostics.
        Owner = "owner",
    }
}

object! {
    /// What the edge found out about a caller. Fixed when a socket is opened, and kept with it.
    #[derive(Eq)]
    pub struct Identity {
        /// `None` where everybody is let in.
        pub subject: Option<String> = "subject" unless "Option::is_none",
        /// What the credential says of this session.
        pub granted: Option<Access> = "granted" unless "Option::is_none",
        /// Whether it may begin a session that its credential does not name.
        pub may_create: bool = "mayCreate",
        pub expires_at: Option<Millis> = "expiresAt" unless "Option::is_none",
    }
}

impl Identity {
    /// Everybody, where everybody is let in.
    #[must_use]
    pub fn anyone() -> Self {
        Identity { subject: None, granted: Some(Access::Owner), may_create: true, expires_at: None }
    }

    /// What it may do in a session, or in one that nobody has begun. `None` is to look as if there
    /// were none.
    #[must_use]
    pub fn access(&self, session: Option<&Session>) -> Option<Access> {
        let owns = match session {
            Some(session) => self.subject.is_some() && session.owner == self.subject,
            None => self.may_create && self.granted.is_none(),
        };
        self.granted.max(owns.then_some(Access::Owner))
    }

    #[must_use]
    pub fn has_expired(&self, now: Millis) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}
