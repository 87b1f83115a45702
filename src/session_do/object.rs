//! The runtime's callbacks.
//!
//! They are exported by hand: the `worker` crate's macro returns a promise from every callback, and most of
//! these have nothing to wait for.

use std::cell::OnceCell;
use std::rc::Rc;

use js_sys::{JsString, Promise};
use wasm_bindgen::prelude::*;
use worker_sys::{DurableObjectState, WebSocketRequestResponsePair};

use crate::agent::own::OwnCode;
use crate::config::Settings;
use crate::protocol::limits::{FRAME_BYTES_MAX, STOCK_FRAME_BYTES_MAX};
use crate::protocol::{CloseCode, Json};
use crate::thread::{Input, PeerId};
use crate::variables::Variables;

use super::api;
use super::own::Own;
use super::shell::Shell;
use super::sockets::Sockets;
use crate::platform::{Env, Socket, guard};

/// A close reason is a constant text, so the limit is repeated here.
const TOO_BIG: &str = "a frame has at most 2097152 bytes";
const STOCK_TOO_BIG: &str = "a frame has at most 8388608 bytes";
const _: () = assert!(FRAME_BYTES_MAX == 2_097_152 && STOCK_FRAME_BYTES_MAX == 8_388_608);

thread_local! {
    /// The settings depend only on the isolate's variables, so all objects of an isolate share them, and with
    /// them whatever an agent learns of its endpoint.
    static SETTINGS: OnceCell<Result<Settings, String>> = const { OnceCell::new() };
}

/// One conversation thread.
#[wasm_bindgen]
pub struct SessionDO {
    shell: Rc<Shell>,
}

#[wasm_bindgen]
impl SessionDO {
    /// # Errors
    /// If the object could not be made: the runtime then makes another.
    #[wasm_bindgen(constructor)]
    pub fn new(state: DurableObjectState, env: Env, own: Option<Own>) -> Result<Self, JsValue> {
        guard(|| {
            // The runtime answers these pings itself, without waking the object.
            if let Ok(pair) = WebSocketRequestResponsePair::new(r#"{"type":"ping"}"#, r#"{"type":"pong"}"#) {
                state.set_websocket_auto_response(&pair)?;
            }
            let read = || {
                let mut settings = Settings::read(&|name| crate::edge::variable(&env, name))?;
                settings.thread.delivers = crate::platform::d1::is_bound(&env);
                settings.thread.keeps_files = crate::platform::r2::is_bound(&env);
                Ok(settings)
            };
            let mut settings = SETTINGS.with(|settings| settings.get_or_init(read).clone());
            if let (Some(_), Ok(settings)) = (&own, &mut settings) {
                settings.agent = OwnCode::configured(Variables(&|name| crate::edge::variable(&env, name)));
            }
            Ok(SessionDO { shell: Shell::new(state, env, settings, own)? })
        })?
    }

    pub fn fetch(&self, request: web_sys::Request) -> Promise {
        let shell = self.shell.clone();
        self.shell.promise(Box::pin(async move { Ok(api::serve(&shell, &request).await?.into()) }))
    }

    /// Sends data to everybody who is connected. It is not kept.
    ///
    /// # Errors
    /// If `data` is not JSON.
    pub fn broadcast(&self, name: String, data: &str) -> Result<(), JsValue> {
        let data = Json::parse(data).ok_or_else(|| js_sys::Error::new("the data is no JSON"))?;
        self.shell.enter(|| drop(self.shell.input(Input::Broadcast { name, data })));
        Ok(())
    }

    #[wasm_bindgen(js_name = webSocketMessage)]
    pub fn message(&self, socket: &Socket, message: &JsValue) {
        self.shell.enter(|| self.take_message(socket, message));
    }

    #[wasm_bindgen(js_name = webSocketClose)]
    #[allow(clippy::needless_pass_by_value)]
    pub fn closed(&self, socket: Socket, code: u16, reason: String) {
        self.shell.enter(|| self.left(&socket));
        // The closing handshake is complete only once both sides have sent a close.
        if socket.close(answerable(code), &reason).is_err() {
            let _ = socket.close(CloseCode::Normal as u16, "");
        }
    }

    #[wasm_bindgen(js_name = webSocketError)]
    pub fn failed(&self, socket: &Socket) {
        self.shell.enter(|| self.left(socket));
    }

    /// # Errors
    /// If the thread could not be woken: the runtime then tries again.
    pub fn alarm(&self) -> Result<(), JsValue> {
        self.shell.enter(|| drop(self.shell.input(Input::Alarm)));
        if self.shell.is_awake() {
            Ok(())
        } else {
            Err(js_sys::Error::new("the thread's store does not answer").into())
        }
    }
}

impl SessionDO {
    fn take_message(&self, socket: &Socket, message: &JsValue) {
        let Some((peer, dialect)) = Sockets::peer(socket) else {
            let _ = socket.close(CloseCode::InternalError as u16, "this connection is not known");
            return;
        };
        let Some(frame) = message.dyn_ref::<JsString>() else {
            return self.close(
                &peer,
                CloseCode::UnsupportedData,
                "frames are JSON in text frames, not binary",
            );
        };
        // UTF-8 takes at least one byte for each UTF-16 unit, so a text that is too long in units need not be
        // copied into wasm.
        let is_stock = dialect.stock().is_some();
        let (bytes_max, too_big) =
            if is_stock { (STOCK_FRAME_BYTES_MAX, STOCK_TOO_BIG) } else { (FRAME_BYTES_MAX, TOO_BIG) };
        let is_short = frame.length() as usize <= bytes_max;
        let text = is_short.then(|| String::from(frame)).filter(|text| text.len() <= bytes_max);
        let Some(text) = text else {
            return self.close(&peer, CloseCode::MessageTooBig, too_big);
        };
        self.shell.frame(peer, dialect, &text);
    }

    fn left(&self, socket: &Socket) {
        if let Some((peer, _)) = Sockets::peer(socket) {
            self.shell.left(&peer);
        }
    }

    fn close(&self, peer: &PeerId, code: CloseCode, reason: &'static str) {
        let _ = self.shell.input(Input::Broken { peer: peer.clone(), code, reason });
        // The socket is closed even if the thread does not know it.
        self.shell.close(peer, code, reason);
    }
}

/// Returns the code for the answer to a client's close: the client's own, if it may be sent (RFC 6455,
/// section 7.4).
fn answerable(code: u16) -> u16 {
    match code {
        1000..=1003 | 1007..=1014 | 3000..=4999 => code,
        _ => CloseCode::Normal as u16,
    }
}
