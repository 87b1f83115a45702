//! The identity of a connection or request, and its rights.

use super::objects::object;
use super::words::words;
use super::{Millis, Session, Trace};

words! {
    /// A role in a session; each includes the ones before it.
    #[derive(PartialOrd, Ord)]
    pub enum Access {
        /// May read.
        Viewer = "viewer",
        /// May send messages and cancel, in a session that somebody has begun.
        Editor = "editor",
        /// May begin the session, rename it, change the permission mode, delete it and ask for diagnostics.
        Owner = "owner",
        /// May import, and have the session's data elsewhere rebuilt or deleted: in every session.
        Admin = "admin",
    }
}

object! {
    /// A caller's identity as the edge found it. It is fixed when a socket is opened, and kept with it.
    #[derive(Eq)]
    pub struct Identity {
        /// The subject of the caller's token; `None` where everybody is let in.
        pub subject: Option<String> = "subject" optional,
        /// The role that the credential gives in this session.
        pub granted: Option<Access> = "granted" optional,
        /// Whether it may begin a session that its credential does not name.
        pub may_create: bool = "mayCreate",
        /// When the credential expires, in milliseconds since 1970; `None` if it never does.
        pub expires_at: Option<Millis> = "expiresAt" optional,
        /// The trace that its request belongs to.
        #[cfg_attr(test, ts(type = "string"))]
        pub trace: Option<Trace> = "trace" optional,
    }
}

impl Identity {
    /// Returns the identity of every caller where everybody is let in.
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

    /// Returns the caller's access to a session, or to one that nobody has begun (`None`). If it has none,
    /// the session must look as if it did not exist.
    #[must_use]
    pub fn access(&self, session: Option<&Session>) -> Option<Access> {
        let owns = match session {
            Some(session) => self.subject.is_some() && session.owner == self.subject,
            None => self.may_create && self.granted.is_none(),
        };
        self.granted.max(owns.then_some(Access::Owner))
    }

    /// Returns whether it may do everything in every session.
    #[must_use]
    pub fn is_admin(&self) -> bool {
        self.granted == Some(Access::Admin)
    }

    /// Returns whether the credential has expired at `now`.
    #[must_use]
    pub fn has_expired(&self, now: Millis) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}
