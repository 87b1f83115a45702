//! Credentials that stand in an address: for one upgrade each, or for streams of events. They live as long as the object is kept awake for them, and are
//! gone with it: who loses one asks for another.

use std::cell::RefCell;

use crate::platform::new_uuid;
use crate::protocol::limits::{EVENTS_TICKET_MS, TICKET_MS, TICKETS_MAX};
use crate::protocol::{Identity, Millis};

#[derive(Default)]
pub struct Tickets(RefCell<Vec<Ticket>>);

/// What a ticket is good for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// One socket.
    Socket,
    /// Any number of streams of events: a browser connects again with the same address.
    Events,
}

struct Ticket {
    name: String,
    purpose: Purpose,
    identity: Identity,
    expires_at: Millis,
}

impl Tickets {
    /// The ticket and when it expires; `None` if too many wait.
    pub fn issue(&self, now: Millis, identity: Identity, purpose: Purpose) -> Option<(String, Millis)> {
        let mut tickets = self.0.borrow_mut();
        tickets.retain(|ticket| ticket.expires_at > now);
        if tickets.len() >= TICKETS_MAX {
            return None;
        }
        let name = new_uuid().replace('-', "");
        let expires_at = now.saturating_add(match purpose {
            Purpose::Socket => TICKET_MS,
            Purpose::Events => EVENTS_TICKET_MS,
        });
        tickets.push(Ticket { name: name.clone(), purpose, identity, expires_at });
        Some((name, expires_at))
    }

    pub fn are_waiting(&self, now: Millis) -> bool {
        self.0.borrow().iter().any(|ticket| ticket.expires_at > now)
    }

    /// Who the ticket is for. A ticket for a socket is used up by this, so that one that was seen in an address is worth nothing.
    pub fn redeem(&self, now: Millis, name: &str, purpose: Purpose) -> Option<Identity> {
        let mut tickets = self.0.borrow_mut();
        let is_it = |ticket: &Ticket| ticket.name == name && ticket.purpose == purpose;
        let place = tickets.iter().position(is_it)?;
        let Ticket { identity, expires_at, .. } = tickets.get(place)?;
        let redeemed = (*expires_at > now && !identity.has_expired(now)).then(|| identity.clone());
        if purpose == Purpose::Socket {
            tickets.swap_remove(place);
        }
        redeemed
    }
}
