//! Before any object: routes, credentials, limits, and what D1 can answer alone.

#![deny(missing_docs)]

pub mod auth;
mod params;
mod routes;

#[cfg(target_arch = "wasm32")]
mod configured;
#[cfg(target_arch = "wasm32")]
mod forks;
#[cfg(target_arch = "wasm32")]
mod health;
#[cfg(target_arch = "wasm32")]
mod http;
#[cfg(target_arch = "wasm32")]
mod rate;
#[cfg(target_arch = "wasm32")]
mod sessions;
#[cfg(target_arch = "wasm32")]
mod subjects;
#[cfg(target_arch = "wasm32")]
mod upgrade;

#[cfg(target_arch = "wasm32")]
pub use http::{
    Answer, Answering, Given, check_json, handle, is_of_titles, read_fields, refusal, too_large, unserved,
    variable,
};
pub use params::{
    Order, bad_before, bad_request, before_hit, before_session, fields, limit, order, place, query, state,
};
pub use routes::{Action, Guarded, Refused, Route, query_value};
#[cfg(target_arch = "wasm32")]
pub use upgrade::{is_upgrade, switch_protocols};
