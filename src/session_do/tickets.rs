//! Credentials for one upgrade each. They live as long as the object is kept awake for them, and are
//! gone with it: who loses one asks for another.

use std::cell::RefCell;

use crate::protocol::limits::{TICKET_MS, TICKETS_MAX};
use crate::protocol::{Identity, Millis};

#[derive(Default)]
pub struct Tickets(RefCell<Vec<Ticket>>);

struct Ticket {
    name: String,
    identity: Identity,
    expires_at: Millis,
}

impl Tickets {
    /// The ticket and when it expires; `None` if too many wait.
    pub fn issue(&self, now: Millis, identity: Identity) -> Option<(String, Millis)> {
        let mut tickets = self.0.borrow_mut();
        tickets.retain(|ticket| ticket.expires_at > now);
        if tickets.len() >= TICKETS_MAX {
            return None;
        }
        let name = uuid::Uuid::new_v4().simple().to_string();
        let expires_at = now.saturating_add(TICKET_MS);
        tickets.push(Ticket { name: name.clone(), identity, expires_at });
        Some((name, expires_at))
    }

    pub fn are_waiting(&self, now: Millis) -> bool {
        self.0.borrow().iter().any(|ticket| ticket.expires_at > now)
    }

    /// Whose it is; it is good no more.
    pub fn redeem(&self, now: Millis, name: &str) -> Option<Identity> {
        let mut tickets = self.0.borrow_mut();
        let place = tickets.iter().position(|ticket| ticket.name == name)?;
        let ticket = tickets.swap_remove(place);
        (ticket.expires_at > now && !ticket.identity.has_expired(now)).then_some(ticket.identity)
    }
}
