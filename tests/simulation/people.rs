//! The people behind clients and their rights: an independent model of the tables of docs/security.md.

use bobbin::protocol::{Access, Identity, Millis};

use crate::support::Random;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Person {
    pub subject: &'static str,
    pub role: Role,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Where everybody is let in.
    Anyone,
    /// A token that names no session.
    Plain,
    /// A token that names this session.
    Named(Access),
    /// A token that names another session.
    NamedElsewhere,
}

/// Whether somebody has begun the session, and who owns it: a session that cannot be read whole may have lost its owner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Begun {
    #[default]
    No,
    By(Option<String>),
}

const SUBJECTS: [&str; 3] = ["ann", "bob", "eve"];

impl Person {
    pub const ANYONE: Person = Person { subject: "anyone", role: Role::Anyone };

    pub fn choose(random: &mut Random) -> Self {
        let subject = SUBJECTS[random.below(SUBJECTS.len())];
        let role = match random.below(20) {
            0..11 => Role::Plain,
            11..13 => Role::Named(Access::Owner),
            13..16 => Role::Named(Access::Editor),
            16..19 => Role::Named(Access::Viewer),
            _ => Role::NamedElsewhere,
        };
        Person { subject, role }
    }

    /// The name of the role in stored and sent JSON.
    pub fn subject(&self) -> Option<&'static str> {
        (self.role != Role::Anyone).then_some(self.subject)
    }

    /// The identity that the edge derives from a token.
    pub fn identity(&self, expires_at: Option<Millis>) -> Identity {
        let (granted, may_create) = match self.role {
            Role::Anyone => return Identity::anyone(),
            Role::Plain => (None, true),
            Role::Named(access) => (Some(access), false),
            Role::NamedElsewhere => (None, false),
        };
        Identity { subject: Some(self.subject.to_owned()), granted, may_create, expires_at, trace: None }
    }

    pub fn access(&self, begun: &Begun) -> Option<Access> {
        let owns = || match begun {
            Begun::No => false,
            Begun::By(owner) => owner.as_deref() == Some(self.subject),
        };
        match self.role {
            Role::Anyone => Some(Access::Owner),
            Role::Plain if *begun == Begun::No => Some(Access::Owner),
            _ if owns() => Some(Access::Owner),
            Role::Named(access) => Some(access),
            Role::Plain | Role::NamedElsewhere => None,
        }
    }
}
