//! The rights to see and to change things, checked on every frame and every commit.

use bobbin::protocol::{Access, Millis, Session, Status};
use bobbin::thread::PeerId;
use bobbin::thread::store::{Record, RecordKind};

use super::Check;
use super::people::{Begun, Person};
use super::truth::Truth;
use crate::support::Frame;

/// The person at a socket.
#[derive(Debug)]
pub struct Known {
    pub person: Person,
    pub expires_at: Option<Millis>,
    /// Invalid frames that the thread has counted.
    pub invalid_frames: u64,
    /// Others that it may have counted too: the object restarted while it handled them.
    pub uncertain_frames: u64,
}

impl Truth {
    /// The rights of the person whose input is being handled, if there is one.
    pub fn access(&self) -> Option<Access> {
        self.actor.and_then(|actor| actor.access(&self.begun))
    }

    /// Checks that nothing reaches a socket whose person may not see it.
    pub fn check_reached(&self, now: Millis, reached: &[PeerId], frame: &Frame) -> Check {
        for peer in reached {
            let Known { person, expires_at, .. } = self.people.get(peer).ok_or("a socket of nobody")?;
            if expires_at.is_some_and(|at| at <= now) {
                return Err(format!("{peer}'s token has expired, and it is sent {}", frame.text));
            }
            if person.access(&self.begun).is_none() {
                return Err(format!("the session is not {person:?}'s, and it is sent {}", frame.text));
            }
            self.check_draft(*person, frame)?;
        }
        Ok(())
    }

    /// Checks that the settings of a session that nobody has begun are shown only to the person who made them; each
    /// title names that person.
    fn check_draft(&self, person: Person, frame: &Frame) -> Check {
        if self.begun != Begun::No {
            return Ok(());
        }
        // Quicker than to read every frame.
        if !frame.text.contains("\"title\":\"") {
            return Ok(());
        }
        match frame.json()["session"]["title"].as_str() {
            Some(title) if !title.ends_with(person.subject) => {
                Err(format!("{person:?} is shown what somebody else has set: {title}"))
            }
            _ => Ok(()),
        }
    }

    pub fn begin(&mut self, access: Option<Access>, session: &Session) -> Check {
        let subject = self.actor.and_then(|actor| actor.subject());
        if access < Some(Access::Owner) || session.owner.as_deref() != subject {
            return Err(format!("{:?} begins {session:?}", self.actor));
        }
        if let (Some(title), Some(actor)) = (&session.title, self.actor)
            && !title.ends_with(actor.subject)
        {
            return Err(format!("{actor:?} begins a session with a title of somebody else's: {title}"));
        }
        self.begun = Begun::By(session.owner.clone());
        self.settings = Some(settings(session));
        Ok(())
    }

    pub fn set(&mut self, access: Option<Access>, session: &Session) -> Check {
        let set = settings(session);
        let has_changed = self.settings.as_ref().is_some_and(|settings| *settings != set);
        if has_changed && access < Some(Access::Owner) {
            return Err(format!("{:?} changes the session to {session:?}", self.actor));
        }
        self.settings = Some(set);
        Ok(())
    }

    /// Checks that a person without the right to write changes nothing in the log.
    pub fn check_rights(&self, access: Option<Access>, record: &Record) -> Check {
        let is_right = match &record.kind {
            RecordKind::Question { author, .. } => {
                access >= Some(Access::Editor)
                    && author.as_deref() == self.actor.and_then(|actor| actor.subject())
            }
            RecordKind::Regenerate { author, .. } => {
                access >= Some(Access::Editor)
                    && author.as_deref() == self.actor.and_then(|actor| actor.subject())
            }
            RecordKind::Select(_) => access >= Some(Access::Editor),
            RecordKind::Append { author, .. } => {
                access >= Some(Access::Owner)
                    && author.as_deref() == self.actor.and_then(|actor| actor.subject())
            }
            RecordKind::Answer { status, .. } if *status == Status::Cancelled => {
                access >= Some(Access::Editor)
            }
            _ => true,
        };
        if is_right { Ok(()) } else { Err(format!("{:?} has {record:?} stored", self.actor)) }
    }
}

fn settings(session: &Session) -> (Option<String>, String) {
    (session.title.clone(), session.permission_mode.as_str().to_owned())
}
