//! Authentication.
//!
//! The worker is closed unless it is configured or deliberately opened. The caller's identity is passed to
//! the object in a header, which is removed from every request from outside.

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
