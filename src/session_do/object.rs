//! The runtime's callbacks.

use std::panic::AssertUnwindSafe;
use std::rc::Rc;

use worker::{
    DurableObject, Env, Error, Request, Response, Result, State, WebSocket, WebSocketIncomingMessage,
    WebSocketPair, WebSocketRequestResponsePair, durable_object,
};

use crate::config::Settings;
use crate::edge::{failure, query_value, url};
use crate::protocol::limits::{FRAME_BYTES_MAX, SOCKETS_MAX};
use crate::protocol::{CloseCode, ErrorBody, ErrorCode};
use crate::thread::{Input, PeerId, Thread};

use super::api;
use super::shell::Shell;
use super::sockets::Sockets;

/// One conversation thread.
#[durable_object]
pub struct SessionDO {
    /// What a panic leaves half done is not used again: the shell drops the thread that panicked.
    shell: AssertUnwindSafe<Rc<Shell>>,
}

impl DurableObject for SessionDO {
    fn new(state: State, env: Env) -> Self {
        // Answered by the runtime while the object sleeps.
        if let Ok(pair) = WebSocketRequestResponsePair::new(r#"{"type":"ping"}"#, r#"{"type":"pong"}"#) {
            state.set_websocket_auto_response(&pair);
        }
        let settings = Settings::read(|name| crate::edge::variable(&env, name));
        SessionDO { shell: AssertUnwindSafe(Shell::new(state, env, settings)) }
    }

    async fn fetch(&self, request: Request) -> Result<Response> {
        api::serve(&self.shell, request).await
    }

    async fn websocket_message(&self, socket: WebSocket, message: WebSocketIncomingMessage) -> Result<()> {
        let Some(peer) = Sockets::peer(&socket) else {
            return socket.close(Some(CloseCode::InternalError as u16), Some("this connection is not known"));
        };
        match message {
            WebSocketIncomingMessage::String(text) if text.len() > FRAME_BYTES_MAX => {
                let reason = format!("a frame has at most {FRAME_BYTES_MAX} bytes");
                self.close(&peer, CloseCode::MessageTooBig, &reason);
            }
            WebSocketIncomingMessage::String(text) => self.shell.pump(Input::Frame { peer, text }),
            WebSocketIncomingMessage::Binary(_) => {
                self.close(&peer, CloseCode::UnsupportedData, "frames are JSON in text frames, not binary");
            }
        }
        Ok(())
    }

    async fn websocket_close(
        &self,
        socket: WebSocket,
        code: usize,
        reason: String,
        _was_clean: bool,
    ) -> Result<()> {
        self.left(&socket);
        // The handshake is complete only when both sides have said so.
        let _ = socket.close(Some(answerable(code)), Some(reason));
        Ok(())
    }

    async fn websocket_error(&self, socket: WebSocket, _error: Error) -> Result<()> {
        self.left(&socket);
        Ok(())
    }

    async fn alarm(&self) -> Result<Response> {
        self.shell.pump(Input::Alarm);
        Response::empty()
    }
}

impl SessionDO {
    fn left(&self, socket: &WebSocket) {
        if let Some(peer) = Sockets::peer(socket) {
            self.shell.sockets.remove(&peer);
            self.shell.pump(Input::Left { peer });
        }
    }

    fn close(&self, peer: &PeerId, code: CloseCode, reason: &str) {
        self.shell.sockets.close(peer, code, reason);
        self.shell.pump(Input::Left { peer: peer.clone() });
    }
}

/// A browser comes: its socket may sleep from here on.
pub fn upgrade(shell: &Shell, request: &Request) -> Result<Response> {
    let peers = shell.with_thread(Thread::peers).unwrap_or_default();
    if peers >= SOCKETS_MAX {
        let message = format!("this thread has {peers} sockets, as many as it may; try again later");
        return failure(429, &ErrorBody::retryable(ErrorCode::RateLimited, message));
    }
    let pair = WebSocketPair::new()?;
    let peer: PeerId = uuid::Uuid::new_v4().to_string().into();
    shell.accept(&peer, &pair.server);
    let cursor = query_value(&url(request), "cursor");
    shell.pump(Input::Joined { peer: peer.clone(), cursor });
    if !shell.sockets.has_joined(&peer) {
        shell.sockets.remove(&peer);
        let message = "the thread's store does not answer; try again later";
        return failure(503, &ErrorBody::retryable(ErrorCode::StorageError, message));
    }
    Response::from_websocket(pair.client)
}

/// Codes that say how a connection was lost may not be sent (RFC 6455, section 7.4.1).
fn answerable(code: usize) -> u16 {
    match u16::try_from(code) {
        Ok(1005 | 1006 | 1015) | Err(_) => CloseCode::Normal as u16,
        Ok(code) => code,
    }
}
