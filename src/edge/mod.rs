//! Before any object: routes, credentials, limits.

pub mod routes;

#[cfg(target_arch = "wasm32")]
pub mod http;

#[cfg(target_arch = "wasm32")]
pub use http::{failure, handle, variable};
pub use routes::query_value;
