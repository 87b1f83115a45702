//! Tickets: credentials inside an address, each for one upgrade or for streams of events. They exist only in
//! memory, for which the object is kept awake; a client that loses one asks for another.

use std::cell::RefCell;

use crate::platform::new_uuid;
use crate::protocol::limits::{EVENTS_TICKET_MS, TICKET_MS, TICKETS_MAX};
use crate::protocol::{Identity, Millis};

#[derive(Default)]
pub struct Tickets(RefCell<Vec<Ticket>>);

/// The purpose of a ticket.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// One socket.
    Socket,
    /// Any number of streams of events, because a browser reconnects with the same address.
    Events,
}

struct Ticket {
    name: String,
    purpose: Purpose,
    identity: Identity,
    expires_at: Millis,
}

impl Tickets {
    /// Returns a ticket and its expiry; `None` if too many are unused.
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

    /// Returns the identity that a ticket stands for. A ticket for a socket is used up by this, so an address
    /// that somebody saw is worth nothing.
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
