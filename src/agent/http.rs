//! Everything that endpoints have in common: an agent that is called by one request, and answers with a
//! stream of events.
//!
//! A kind of endpoint is a [`Kind`]: its path, the header of its key, the body of its request, and a
//! [`Fold`], which turns events into an answer. All kinds share the settings, the handling of refusals and
//! secrets, and the order of an answer's blocks.
//!
//! **Invariant:** this module knows nothing about HTTP clients or time. A quote of an endpoint's error is one
//! short line without anything that looks like a credential.

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
