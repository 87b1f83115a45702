//! Bobbin keeps an AI conversation alive: one Durable Object owns one thread, streams its answers to
//! every socket, and loses nothing when sockets, objects or models fail.

pub mod agent;
pub mod config;
pub mod database;
pub mod dialect;
pub mod edge;
#[cfg(target_arch = "wasm32")]
mod platform;
pub mod protocol;
pub mod pump;
#[cfg(target_arch = "wasm32")]
mod session_do;
pub mod thread;
pub mod variables;

#[cfg(target_arch = "wasm32")]
mod entry {
    use js_sys::Promise;
    use wasm_bindgen::prelude::*;

    use worker_sys::Context;

    use crate::platform::{Env, Guarded, promise};

    #[wasm_bindgen(start)]
    pub fn start() {
        console_error_panic_hook::set_once();
    }

    /// `given` identifies the caller if an application does that itself: claims like those of a token, or
    /// `null` for a caller that is not let in. `class` is the binding of the objects, if it is not the
    /// default.
    #[wasm_bindgen]
    pub fn fetch(
        request: web_sys::Request,
        env: Env,
        context: Context,
        given: Option<String>,
        class: Option<String>,
    ) -> Promise {
        let task = async move {
            let given = crate::edge::Given { claims: given, class };
            Ok(crate::edge::handle(&request, &env, &context, &given).await?.into())
        };
        let on_panic = |thrown| Ok(crate::edge::unserved(thrown)?.into());
        promise(Box::pin(Guarded::new(Box::pin(task), Box::new(on_panic))))
    }
}
