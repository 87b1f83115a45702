//! The pump: one input in, its outputs carried out in order.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};

use wasm_bindgen::prelude::*;
use worker::{Env, State, WebSocket};

use crate::agent::{AgentEvent, Failed};
use crate::config::Settings;
use crate::protocol::{ClientFrame, CloseCode, ErrorBody, ErrorCode, Millis};
use crate::thread::store::StoreError;
use crate::thread::{
    Audience, Blame, Cause, Config, Delivered, Input, Output, PeerId, Thread, TurnId, Woken,
};

use super::agents::Agents;
use super::notify::Notify;
use super::sockets::Sockets;
use super::store::Store;
use super::tickets::Tickets;
use super::{index, logs};
use crate::platform::{self, Context, Guarded, Socket, Storage, Task, guard};

pub struct Shell {
    state: State,
    context: Context,
    pub env: Env,
    pub settings: Result<Settings, String>,
    pub session_id: String,
    pub store: Store,
    pub sockets: Sockets,
    pub agents: Agents,
    pub tickets: Tickets,
    /// Told of each delivery that came back.
    pub deliveries: Notify,
    storage: Storage,
    /// Taken out while it is at work: one that panics is never seen again. `None` until the first event.
    thread: Cell<Option<Box<Thread>>>,
    /// The frame that is being handled.
    handling: Cell<Option<Blame>>,
    on_timer: Closure<dyn FnMut()>,
    /// Timers and the deadlines they are armed for, the earliest last.
    timers: RefCell<Vec<(JsValue, Millis)>>,
    me: Weak<Shell>,
}

impl Shell {
    pub fn new(state: State, env: Env, settings: Result<Settings, String>) -> Rc<Self> {
        let storage: Storage = JsValue::from(state.storage().as_raw()).unchecked_into();
        let session_id = state.id().name().unwrap_or_default();
        let (sockets, lost) = Sockets::new(&state);
        let shell = Rc::new_cyclic(|me: &Weak<Shell>| Shell {
            sockets,
            context: JsValue::from(state.as_raw()).unchecked_into(),
            state,
            env,
            settings,
            session_id,
            store: Store::new(storage.clone()),
            agents: Agents::default(),
            tickets: Tickets::default(),
            deliveries: Notify::default(),
            storage,
            thread: Cell::new(None),
            handling: Cell::new(None),
            on_timer: on_timer(me.clone()),
            timers: RefCell::default(),
            me: me.clone(),
        });
        for socket in lost {
            shell.close_socket(&socket, CloseCode::InternalError, "connect again");
        }
        shell
    }

    /// Every way into the object. A panic starts the thread anew from its store.
    pub fn enter(&self, work: impl FnOnce()) {
        if guard(work).is_err() {
            self.panicked();
        }
    }

    /// A task of the object, whose panic starts the thread anew from its store.
    pub fn guarded<T: 'static>(&self, task: Task<T>, outcome: fn(JsValue) -> T) -> Guarded<T> {
        let shell = self.me.clone();
        let on_panic = move |thrown| {
            if let Some(shell) = shell.upgrade() {
                shell.panicked();
            }
            outcome(thrown)
        };
        Guarded::new(task, Box::new(on_panic))
    }

    /// Feeds the thread, whatever state it is in. A failed write starts it anew from its store.
    ///
    /// # Errors
    /// If it could not be woken, or a write failed: what the input asked for may not have been done.
    pub fn pump(&self, input: Input) -> Result<(), StoreError> {
        let outcome = self.drive(Cause::Start, Some(input));
        match &outcome {
            Ok(()) => self.arm_timer(),
            Err(StoreError(why)) => {
                logs::store_failed(&self.session_id, why);
                self.restart(Cause::StoreFailed(self.handling.take()));
            }
        }
        outcome
    }

    /// For an input whose sender waits for no answer, or is told by the thread that starts anew.
    pub fn feed(&self, input: Input) {
        let _ = self.pump(input);
    }

    fn panicked(&self) {
        logs::panicked(&self.session_id);
        // A frame that cannot even be read without a panic would end the next thread too.
        let is_readable = |blame: &Blame| guard(|| drop(ClientFrame::parse(&blame.text))).is_ok();
        self.restart(Cause::Panicked(self.handling.take().filter(is_readable)));
    }

    /// If that fails too, the object starts anew.
    fn restart(&self, cause: Cause) {
        let restarted = guard(|| {
            self.agents.abort_all();
            self.thread.take();
            self.drive(cause, None)
        });
        match restarted {
            Ok(Ok(())) => self.arm_timer(),
            _ => self.give_up(),
        }
    }

    pub fn is_awake(&self) -> bool {
        self.seen(|_| ()).is_some()
    }

    /// A look at the thread, which is woken for it if need be.
    ///
    /// # Errors
    /// If it could not be woken.
    pub fn with_thread<T>(&self, look: impl FnOnce(&Thread) -> T) -> Result<T, StoreError> {
        self.wake();
        self.seen(look).ok_or_else(|| StoreError("the thread could not be woken".into()))
    }

    fn wake(&self) {
        if !self.is_awake() {
            self.feed(Input::Deadline);
        }
    }

    fn seen<T>(&self, look: impl FnOnce(&Thread) -> T) -> Option<T> {
        let thread = self.thread.take()?;
        let seen = look(&thread);
        self.thread.set(Some(thread));
        Some(seen)
    }

    /// Takes a socket over from the edge; it may sleep from then on.
    pub fn accept(&self, peer: &PeerId, socket: &WebSocket) {
        self.state.accept_web_socket(socket);
        self.sockets.add(peer.clone(), socket);
    }

    pub fn close(&self, peer: &PeerId, code: CloseCode, reason: &str) {
        if let Some(socket) = self.sockets.take(peer) {
            self.close_socket(&socket, code, reason);
        }
    }

    /// Whatever else fails, a socket that is let go is closed: a client that hears nothing would wait.
    fn close_socket(&self, socket: &Socket, code: CloseCode, reason: &str) {
        let closed = platform::close_later(socket.clone(), code, reason.to_owned());
        if self.context.wait_until(&closed).is_err() {
            let _ = socket.close(code as u16, reason);
        }
    }

    /// Keeps the object awake until the task is done.
    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.state.wait_until(self.guarded(Box::pin(task), drop));
    }

    pub fn strong(&self) -> Option<Rc<Shell>> {
        self.me.upgrade()
    }

    fn drive(&self, waking: Cause, input: Option<Input>) -> Result<(), StoreError> {
        if !self.is_awake() {
            let woken = self.waking(waking)?;
            self.thread.set(Some(Box::new(Thread::new(self.session_id.clone(), self.config()))));
            self.handle_all(woken)?;
        }
        input.map_or(Ok(()), |input| self.handle_all(input))
    }

    /// An input, and those that come of it.
    fn handle_all(&self, input: Input) -> Result<(), StoreError> {
        let (mut next, mut waiting) = (Some(input), VecDeque::new());
        while let Some(input) = next {
            for output in self.handle(input) {
                waiting.extend(self.carry_out(output)?);
            }
            self.handling.take();
            next = waiting.pop_front();
        }
        Ok(())
    }

    /// The one place that changes the thread.
    fn handle(&self, input: Input) -> Vec<Output> {
        let Some(mut thread) = self.thread.take() else { return Vec::new() };
        self.handling.set(match &input {
            Input::Frame { peer, text } => Some(Blame { peer: peer.clone(), text: text.clone() }),
            _ => None,
        });
        thread.handle(platform::now(), &self.store, input);
        let outputs = std::iter::from_fn(|| thread.poll_output()).collect();
        self.thread.set(Some(thread));
        outputs
    }

    fn waking(&self, cause: Cause) -> Result<Input, StoreError> {
        let stored = self.store.load()?;
        let is_deletion_owed = self.store.is_deletion_owed()?;
        let seed = getrandom::u64().map_err(|error| StoreError(error.to_string()))?;
        Ok(Input::Woken(Box::new(Woken {
            stored,
            is_deletion_owed,
            peers: self.sockets.open(),
            seed,
            cause,
        })))
    }

    /// What comes of it at once, if anything does.
    fn carry_out(&self, output: Output) -> Result<Option<Input>, StoreError> {
        match output {
            Output::Store(commit) => self.store.apply(commit)?,
            Output::Send { to: Audience::All, frame } => self.sockets.send_to_all(&frame),
            Output::Send { to: Audience::One(peer), frame } => self.sockets.send_to(&peer, &frame),
            Output::StartAgent { turn } => return Ok(self.start_agent(turn)),
            Output::AbortAgent { turn } => self.agents.abort(turn),
            Output::Attach { peer, attachment } => self.sockets.attach(&peer, &attachment),
            Output::Close { peer, code, reason } => self.close(&peer, code, reason),
            Output::SetAlarm(at) => self.set_alarm(at)?,
            Output::Deliver => return Ok(self.deliver()),
            Output::Log(event) => logs::write(&self.session_id, &event),
        }
        Ok(None)
    }

    fn start_agent(&self, turn: TurnId) -> Option<Input> {
        let request = self.seen(|thread| thread.agent_request(&self.store, turn))?;
        match request {
            Ok(request) => {
                let shell = self.strong()?;
                self.spawn(self.agents.start(turn, shell, request));
                None
            }
            Err(StoreError(why)) => {
                logs::store_failed(&self.session_id, &why);
                let message =
                    "the thread's history could not be read; send the message again under a new requestId";
                let error = ErrorBody::retryable(ErrorCode::StorageError, message);
                let events = vec![AgentEvent::Failed(Failed { error, tokens_used: 0 })];
                Some(Input::Agent { turn, events, tokens_used: 0 })
            }
        }
    }

    fn deliver(&self) -> Option<Input> {
        let delivery = self.seen(|thread| thread.delivery(&self.store))?;
        let Ok(delivery) = delivery else { return Some(Input::DeliveryFailed) };
        let shell = self.strong()?;
        self.spawn(async move {
            let outcome = index::deliver(&shell.env, &shell.session_id, &delivery).await;
            shell.feed(match outcome {
                Ok(()) => Input::Delivered(Delivered::from(&delivery)),
                Err(error) => {
                    logs::delivery_failed(&shell.session_id, &error);
                    Input::DeliveryFailed
                }
            });
            shell.deliveries.notify();
        });
        None
    }

    fn set_alarm(&self, at: Option<Millis>) -> Result<(), StoreError> {
        #[allow(clippy::cast_precision_loss)]
        let written = match at {
            Some(at) => self.storage.set_alarm(at as f64),
            None => self.storage.delete_alarm(),
        };
        written.map(drop).map_err(|thrown| StoreError(platform::describe(&thrown)))
    }

    fn arm_timer(&self) {
        let deadline = self.seen(Thread::poll_deadline).flatten();
        let mut timers = self.timers.borrow_mut();
        let Some(deadline) = deadline else {
            timers.drain(..).for_each(|(timer, _)| platform::clear_timeout(&timer));
            return;
        };
        // A timer that fires early finds nothing due: cheaper than moving it each time.
        if timers.last().is_none_or(|(_, armed_for)| *armed_for > deadline) {
            #[allow(clippy::cast_precision_loss)]
            let wait_ms = deadline.saturating_sub(platform::now()) as f64;
            let timer = platform::set_timeout(self.on_timer.as_ref().unchecked_ref(), wait_ms);
            timers.push((timer, deadline));
        }
    }

    /// What is not valid is refused at the edge; a thread that is open already goes on without it.
    fn config(&self) -> Config {
        self.settings.as_ref().map_or_else(|_| Config::default(), |settings| settings.thread)
    }

    fn give_up(&self) {
        self.agents.abort_all();
        self.thread.take();
        for socket in self.sockets.take_all() {
            let reason = "the thread's store does not answer; connect again";
            self.close_socket(&socket, CloseCode::InternalError, reason);
        }
        logs::gave_up(&self.session_id);
    }
}

fn on_timer(shell: Weak<Shell>) -> Closure<dyn FnMut()> {
    Closure::new(move || {
        if let Some(shell) = shell.upgrade() {
            shell.timers.borrow_mut().pop();
            shell.enter(|| shell.feed(Input::Deadline));
        }
    })
}
