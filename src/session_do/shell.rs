//! The object in the runtime: its entry points, and the tasks that run in it.

use std::cell::{Ref, RefCell, RefMut};
use std::rc::{Rc, Weak};

use wasm_bindgen::prelude::*;
use worker_sys::DurableObjectState;

use crate::agent::{Agent, Unconfigured};
use crate::config::Settings;
use crate::dialect::{Asked, Dialect};
use crate::platform::{self, Env, Guarded, Socket, Task, guard, must, promise};
use crate::protocol::{CloseCode, CollectVec, Identity, Post, StockRequest};
use crate::pump::{Accepted, Broken, Pending, Platform, Pump, Undone};
use crate::thread::store::StoreError;
use crate::thread::{Config, File, Import, Input, PeerId, Request, Thread, TurnId};
use js_sys::Promise;

use super::notify::Notify;
use super::own::Own;
use super::sockets::Sockets;
use super::stock;
use super::store::Store;
use super::tickets::Tickets;
use super::workerd::Workerd;

/// Everything the runtime gave the object. It does not change while the object lives.
pub struct Runtime {
    state: DurableObjectState,
    pub env: Env,
    pub session_id: String,
    /// The session's id in D1: see [`platform::d1::row_prefix`].
    pub row_id: String,
    /// The application's class that has this thread, if there is one.
    pub own: Option<Own>,
    /// Notified whenever a delivery to D1 has ended.
    pub deliveries: Notify,
}

/// An entry point into the object for one of its tasks. The task may outlive the object; then calls do
/// nothing.
#[derive(Clone)]
pub struct Inlet(Weak<Shell>);

/// The tag that the runtime keeps with each socket of a thread.
pub const TAG: &str = "bobbin";

pub struct Shell {
    pub runtime: Rc<Runtime>,
    pub tickets: Tickets,
    pump: RefCell<Pump<Workerd>>,
    inlet: Inlet,
}

impl Shell {
    /// # Errors
    /// If the platform refuses the object access to its own storage.
    pub fn new(
        state: DurableObjectState,
        env: Env,
        settings: Result<Settings, String>,
        own: Option<Own>,
    ) -> Result<Rc<Self>, JsValue> {
        let (storage, sockets) = (platform::storage(&state)?, state.get_websockets()?);
        // The application's own sockets are left alone.
        let is_own = |socket: &web_sys::WebSocket| {
            let tags = state.get_tags(socket).unwrap_or_default();
            own.is_none()
                || tags.iter().any(|tag| tag == TAG)
                || Sockets::peer(socket.unchecked_ref()).is_some()
        };
        let sockets = sockets.into_iter().filter(is_own).map(JsCast::unchecked_into).collect_vec();
        let id = state.id()?;
        let session_id = id.name().unwrap_or_default();
        let row_id = platform::d1::row_prefix(&env, &id)? + &session_id;
        // A setting that is not valid is refused at the edge. A thread that is already open goes on with the
        // defaults.
        let (config, agent) = match settings {
            Ok(Settings { agent, thread }) => (thread, agent),
            Err(why) => (Config::default(), Rc::new(Unconfigured { why }) as Rc<dyn Agent>),
        };
        let runtime = Rc::new(Runtime {
            state,
            env,
            session_id: session_id.clone(),
            row_id,
            own,
            deliveries: Notify::default(),
        });
        Ok(Rc::new_cyclic(|shell: &Weak<Shell>| {
            let inlet = Inlet(shell.clone());
            let workerd = Workerd::new(runtime.clone(), storage, sockets, inlet.clone());
            let pump = RefCell::new(Pump::new(session_id, config, agent, workerd));
            Shell { runtime, tickets: Tickets::default(), pump, inlet }
        }))
    }

    /// Passes an input to the thread, which wakes it if necessary.
    ///
    /// # Errors
    /// If it was not carried out; see [`Pump::input`].
    pub fn input(&self, input: Input) -> Result<(), Broken> {
        self.pump.borrow_mut().input(input)
    }

    /// Passes a program's HTTP request to the thread, if the caller is allowed to make it.
    ///
    /// # Errors
    /// If it is not allowed, or was not carried out.
    pub fn request(&self, identity: &Identity, request: Request) -> Result<(), Undone> {
        self.pump.borrow_mut().request(identity, request)
    }

    /// Imports a session; see [`Pump::import`].
    ///
    /// # Errors
    /// If it was refused.
    pub fn import(&self, identity: &Identity, import: Import) -> Result<usize, Undone> {
        self.pump.borrow_mut().import(identity, import)
    }

    /// Returns a file for a program's HTTP request, if the caller may have it.
    ///
    /// # Errors
    /// If there is no such file for the caller.
    pub fn file(&self, by: &Identity, id: &str) -> Result<File, Undone> {
        self.pump.borrow_mut().file(by, id)
    }

    /// Passes a program's post to the thread; see [`Pump::post`].
    ///
    /// # Errors
    /// If it was not accepted.
    pub fn post(
        &self,
        peer: PeerId,
        identity: Identity,
        post: Post,
        follows: bool,
    ) -> Result<Accepted, Undone> {
        self.pump.borrow_mut().post(peer, identity, post, follows)
    }

    /// Has a peer follow the turn that it asks for.
    ///
    /// # Errors
    /// If that is not allowed, or is refused.
    pub fn follow(
        &self,
        peer: PeerId,
        identity: Identity,
        dialect: Dialect,
        request: StockRequest,
    ) -> Result<(), Undone> {
        self.pump.borrow_mut().follow(peer, identity, dialect, request)
    }

    /// Returns whether somebody has begun the session.
    pub fn has_begun(&self) -> bool {
        self.pump.borrow_mut().has_begun()
    }

    /// Handles the end of a client's connection.
    pub fn left(&self, peer: &PeerId) {
        self.workerd().sockets.remove(peer);
        let _ = self.input(Input::Left { peer: peer.clone() });
    }

    /// Passes a client's frame to the thread. If it cannot be carried out, its sender is told.
    pub fn frame(&self, peer: PeerId, dialect: Dialect, text: &str) {
        if dialect.stock().is_none() {
            let _ = self.pump.borrow_mut().frame(peer, dialect, text);
            return;
        }
        let pending = self.pump.borrow_mut().stock_frame(&peer, dialect, text);
        if let Ok(Some(pending)) = pending {
            self.store_first(peer, dialect, text, pending);
        }
    }

    /// Stores the files inside a frame before the frame is passed on. If the request is aborted meanwhile,
    /// the frame is dropped.
    fn store_first(&self, socket: PeerId, dialect: Dialect, text: &str, pending: Pending) {
        let Pending { request, asked: Asked { request: mut asked, uploads }, identity } = pending;
        let base64 = stock::taken(text, &uploads);
        let inlet = self.inlet.clone();
        self.spawn(Box::pin(async move {
            let Some(shell) = inlet.0.upgrade() else { return };
            let stored = stock::store(&shell, &identity, &mut asked, &uploads, base64).await;
            let asked = stored.map(|()| asked).map_err(|refused| refused.error.message.clone());
            shell.pump.borrow_mut().stored(&socket, &request, dialect, asked);
        }));
    }

    /// Runs a function on the thread, which is woken if necessary.
    ///
    /// # Errors
    /// If the thread could not be woken.
    pub fn thread<T>(&self, look: impl FnOnce(&Thread) -> T) -> Result<T, Broken> {
        self.pump.borrow_mut().thread().map(look)
    }

    /// Wakes the thread again, because its store was replaced.
    ///
    /// # Errors
    /// If the thread could not be woken.
    pub fn wake_anew(&self) -> Result<(), Broken> {
        self.pump.borrow_mut().wake_anew()
    }

    /// Runs a function on the thread and its store.
    pub fn read<T>(&self, look: impl FnOnce(&Thread, &Store) -> Result<T, StoreError>) -> Result<T, Broken> {
        self.pump.borrow_mut().thread()?;
        let pump = self.pump.borrow();
        let asleep = || StoreError("the thread is not awake".into());
        let looked = pump.awake().ok_or_else(asleep).and_then(|thread| look(thread, &pump.platform().store));
        looked.map_err(Broken::Store)
    }

    pub fn is_awake(&self) -> bool {
        self.pump.borrow().awake().is_some()
    }

    /// Returns whether a turn is running, so that responses to its call are still wanted.
    pub fn is_running(&self, turn: TurnId) -> bool {
        self.pump.borrow().awake().is_some_and(|thread| thread.is_running(turn))
    }

    /// Returns the thread's store, for reads.
    pub fn store(&self) -> Ref<'_, Store> {
        Ref::map(self.pump.borrow(), |pump| &pump.platform().store)
    }

    pub fn workerd(&self) -> RefMut<'_, Workerd> {
        RefMut::map(self.pump.borrow_mut(), Pump::platform_mut)
    }

    /// Accepts a socket from the edge. It may hibernate from then on.
    pub fn accept(&self, peer: &PeerId, socket: Socket) -> Result<(), JsValue> {
        // The tag tells it from sockets of the application's own.
        self.runtime.state.accept_websocket_with_tags(socket.unchecked_ref(), vec![TAG.into()])?;
        self.workerd().sockets.add(peer.clone(), socket);
        Ok(())
    }

    pub fn has_joined(&self, peer: &PeerId) -> bool {
        self.pump.borrow().platform().sockets.has_joined(peer)
    }

    pub fn close(&self, peer: &PeerId, code: CloseCode, reason: &str) {
        self.workerd().close(peer, code, reason);
    }

    /// Runs an event handler of the runtime. If it panics, the thread is woken again from its store.
    pub fn enter(&self, work: impl FnOnce()) {
        if guard(work).is_err() {
            self.panicked();
        }
    }

    /// Runs a task of the object as a promise. If it panics, the thread is woken again from its store.
    pub fn promise(&self, task: Task<Result<JsValue, JsValue>>) -> Promise {
        let inlet = self.inlet.clone();
        let on_panic = move |thrown| {
            inlet.with(Shell::panicked);
            Err(thrown)
        };
        promise(Box::pin(Guarded::new(task, Box::new(on_panic))))
    }

    pub fn timer_fired(&self) {
        self.workerd().timer_fired();
        let _ = self.pump.borrow_mut().timer_fired();
    }

    /// Keeps the object awake until the task is done.
    pub fn spawn(&self, task: Task<()>) {
        self.runtime.spawn(&self.inlet, task);
    }

    fn panicked(&self) {
        match self.pump.try_borrow_mut() {
            Ok(mut pump) => pump.panicked(),
            // A panic in the pump's own work left it borrowed forever.
            Err(_) => platform::reset_later(&self.runtime.state, "the thread panicked"),
        }
    }
}

impl Inlet {
    /// Does nothing if the object is gone.
    pub fn with(&self, work: impl FnOnce(&Shell)) {
        if let Some(shell) = self.0.upgrade() {
            work(&shell);
        }
    }

    /// Passes an input to the thread. If it cannot be carried out, the pump has logged why and has recovered.
    pub fn input(&self, input: Input) {
        self.with(|shell| drop(shell.input(input)));
    }
}

impl Runtime {
    /// Keeps the object awake until the task is done.
    pub fn spawn(&self, inlet: &Inlet, task: Task<()>) {
        let inlet = inlet.clone();
        let task = async move {
            task.await;
            Ok(JsValue::UNDEFINED)
        };
        let on_panic = move |_| {
            inlet.with(Shell::panicked);
            Ok(JsValue::UNDEFINED)
        };
        must(self.state.wait_until(&promise(Box::pin(Guarded::new(Box::pin(task), Box::new(on_panic))))));
    }

    /// A socket is closed whatever else fails, because its client would otherwise wait forever.
    pub fn close_socket(&self, socket: &Socket, code: CloseCode, reason: &str) {
        let closed = platform::close_later(socket.clone(), code, reason.to_owned());
        if self.state.wait_until(&closed).is_err() {
            let _ = socket.close(code as u16, reason);
        }
    }
}
