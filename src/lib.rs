//! Bobbin keeps an AI conversation alive: one Durable Object owns one thread, streams its answers to
//! every socket, and loses nothing when sockets, objects or models fail.

pub mod agent;
pub mod config;
pub mod edge;
pub mod protocol;
#[cfg(target_arch = "wasm32")]
mod session_do;
pub mod thread;

#[cfg(target_arch = "wasm32")]
mod entry {
    use worker::{Context, Env, Request, Response, Result, event};

    #[event(start)]
    fn start() {
        console_error_panic_hook::set_once();
    }

    #[event(fetch)]
    async fn fetch(request: Request, env: Env, context: Context) -> Result<Response> {
        crate::edge::handle(request, env, context).await
    }
}
