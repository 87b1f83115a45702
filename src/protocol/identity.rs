//! Who a connection or request is, and what it may do.

use super::objects::object;
use super::words::words;
use super::{Millis, Session, Trace};

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
        /// Imports, and has what is kept elsewhere of the session made anew or deleted: in every session.
        Admin = "admin",
    }
}

object! {
    /// What the edge found out about a caller. Fixed when a socket is opened, and kept with it.
    #[derive(Eq)]
    pub struct Identity {
        /// Whom the caller's token is about; `None` where everybody is let in.
        pub subject: Option<String> = "subject" optional,
        /// The role that the credential gives in this session.
        pub granted: Option<Access> = "granted" optional,
        /// Whether it may begin a session that its credential does not name.
        pub may_create: bool = "mayCreate",
        /// From when on the credential no longer holds, in milliseconds since 1970; `None` if it never expires.
        pub expires_at: Option<Millis> = "expiresAt" optional,
        /// The trace that its request belongs to.
        #[cfg_attr(test, ts(type = "string"))]
        pub trace: Option<Trace> = "trace" optional,
    }
}

impl Identity {
    /// The caller where everybody is let in, whoever it is.
    #[must_use]
    pub fn anyone() -> Self {
        Identity {
            subject: None,
            granted: Some(Access::Admin),
            may_create: true,
            expires_at: None,
            trace: None,
        }
    }

    /// What the caller may do in a session, or in one that nobody has begun (`None`). If that is nothing, the
    /// session is to look as if it did not exist.
    #[must_use]
    pub fn access(&self, session: Option<&Session>) -> Option<Access> {
        let owns = match session {
            Some(session) => self.subject.is_some() && session.owner == self.subject,
            None => self.may_create && self.granted.is_none(),
        };
        self.granted.max(owns.then_some(Access::Owner))
    }

    /// Whether it may do everything in every session.
    #[must_use]
    pub fn is_admin(&self) -> bool {
        self.granted == Some(Access::Admin)
    }

    /// Whether the credential no longer holds at `now`.
    #[must_use]
    pub fn has_expired(&self, now: Millis) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}
