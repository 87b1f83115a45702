//! What all agents have in common that are an endpoint: asked by one request, and answered by a body that is a
//! stream of events.
//!
//! A kind of endpoint is a [`Kind`]: its path, the header of its key, the body of its request, and a [`Fold`], which
//! makes an answer of the events. Settings, refusals, secrets and the order of an answer's blocks are the same for all.
//!
//! **Invariant:** knows nothing about HTTP clients or time. What it quotes of an endpoint's error is one line,
//! short, and holds nothing that looks like a credential.

mod draft;
mod endpoint;
mod failure;
mod finish;
pub(crate) mod history;
mod quote;
mod remedy;
mod reported;
mod settings;
mod stream;
mod usage;

pub use draft::Draft;
pub use endpoint::{Endpoint, Kind, reply};
pub use failure::{
    http_failure, no_bucket_failure, no_models_failure, no_service_failure, own_words, reason,
    redirect_failure, redirects_failure, service_failure, timeout_failure, turn_timeout_failure,
    unreachable_failure,
};
pub use finish::finish;
pub use quote::QUOTE_CHARS_MAX;
pub(crate) use quote::is_within;
pub(crate) use remedy::of as remedy_of;
pub(crate) use reported::is_error;
pub use settings::{Asked, Settings, address, headers, merged, trace_headers};
pub use stream::{DONE, Fold, Stream};
pub use usage::Usage;
pub(crate) use usage::count;
