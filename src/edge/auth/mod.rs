//! Who is calling.
//!
//! Closed unless it is configured or opened on purpose. What is found out goes to the object in a header
//! that is taken off every request from outside.

mod jwt;
mod origin;
mod policy;

#[cfg(target_arch = "wasm32")]
mod gate;
#[cfg(target_arch = "wasm32")]
mod keys;

#[cfg(target_arch = "wasm32")]
pub use gate::{Caller, FORK_HEADER, IDENTITY_HEADER, TICKET_HEADER, admit, admit_as};
pub use jwt::{Algorithm, Claims, Token};
pub use origin::{host, is_allowed, is_local, is_own_host, may_read};
pub use policy::{Credential, NO_TICKET, Policy, SUBPROTOCOL, credential, may_redirect, ticket};
