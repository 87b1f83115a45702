//! workerd as the pump's platform.

use std::rc::Rc;

use wasm_bindgen::prelude::*;
use web_sys::ReadableStream;

use crate::agent::{Call, Enclosed};
use crate::dialect::Dialect;
use crate::platform::http::EventStream;
use crate::platform::{self, Socket, Storage, Task};
use crate::protocol::limits::COMMENT_MS;
use crate::protocol::{CloseCode, Millis, to_json};
use crate::pump::{Broken, Loaded, Log, Panicked, Platform};
use crate::thread::store::{Commit, Records, StoreError};
use crate::thread::{Attachment, Delivered, Delivery, Event, Input, PeerId, TurnId};

use super::agents::Agents;
use super::shell::{Inlet, Runtime};
use super::sockets::Sockets;
use super::store::Store;
use super::{analytics, files, index, logs};

pub struct Workerd {
    runtime: Rc<Runtime>,
    inlet: Inlet,
    storage: Storage,
    pub store: Store,
    pub sockets: Sockets,
    pub agents: Agents,
    on_timer: Closure<dyn FnMut()>,
    on_stream_left: Closure<dyn FnMut(String)>,
    on_beat: Closure<dyn FnMut()>,
    is_beating: bool,
    /// How many rows had been written when the last turn ended.
    rows_before: usize,
    /// The armed timers, the earliest last.
    timers: Vec<JsValue>,
}

impl Workerd {
    pub fn new(runtime: Rc<Runtime>, storage: Storage, sockets: Vec<Socket>, inlet: Inlet) -> Self {
        let (sockets, lost) = Sockets::new(sockets);
        for socket in lost {
            runtime.close_socket(&socket, CloseCode::InternalError, "connect again");
        }
        let timed = inlet.clone();
        let on_timer = move || timed.with(|shell| shell.enter(|| shell.timer_fired()));
        let (left, beating) = (inlet.clone(), inlet.clone());
        let on_stream_left = move |peer: String| {
            left.with(|shell| shell.enter(|| shell.left(&PeerId::from(peer.as_str()))));
        };
        let on_beat = move || beating.with(|shell| shell.enter(|| shell.workerd().beat()));
        Workerd {
            store: Store::new(storage.clone(), runtime.session_id.clone()),
            storage,
            sockets,
            agents: Agents::new(runtime.clone(), inlet.clone()),
            on_timer: Closure::new(on_timer),
            on_stream_left: Closure::new(on_stream_left),
            on_beat: Closure::new(on_beat),
            is_beating: false,
            rows_before: 0,
            timers: Vec::new(),
            runtime,
            inlet,
        }
    }

    /// Removes the earliest timer, which has fired.
    pub fn timer_fired(&mut self) {
        self.timers.pop();
    }

    /// Opens a stream of events. Everything that this peer is sent is written to it.
    pub fn open_stream(&mut self, peer: &PeerId) -> Result<ReadableStream, JsValue> {
        let (body, stream) = EventStream::open(peer, self.on_stream_left.as_ref())?;
        self.sockets.add_stream(peer.clone(), stream);
        if !self.is_beating {
            self.beat_later();
        }
        Ok(body)
    }

    fn beat(&mut self) {
        self.is_beating = false;
        if self.sockets.has_streams() {
            self.sockets.beat();
            self.beat_later();
        }
    }

    fn beat_later(&mut self) {
        self.is_beating = true;
        #[allow(clippy::cast_precision_loss)]
        platform::set_timeout(self.on_beat.as_ref().unchecked_ref(), COMMENT_MS as f64);
    }

    fn spawn(&self, task: Task<()>) {
        self.runtime.spawn(&self.inlet, task);
    }
}

impl Platform for Workerd {
    fn now(&self) -> Millis {
        platform::now()
    }

    fn seed(&mut self) -> Result<u64, StoreError> {
        Ok(platform::random())
    }

    fn load(&mut self) -> Result<Loaded, Broken> {
        self.store.load()
    }

    fn records(&self) -> &dyn Records {
        &self.store
    }

    fn apply(&mut self, commit: Commit) -> Result<(), StoreError> {
        self.store.apply(commit)
    }

    fn set_alarm(&mut self, at: Option<Millis>) -> Result<(), StoreError> {
        #[allow(clippy::cast_precision_loss)]
        let written = match at {
            Some(at) => self.storage.set_alarm(at as f64),
            None => self.storage.delete_alarm(),
        };
        written.map(drop).map_err(|thrown| StoreError(platform::describe(&thrown)))
    }

    fn start_timer(&mut self, at: Millis) {
        #[allow(clippy::cast_precision_loss)]
        let wait_ms = at.saturating_sub(platform::now()) as f64;
        self.timers.push(platform::set_timeout(self.on_timer.as_ref().unchecked_ref(), wait_ms));
    }

    fn clear_timers(&mut self) {
        self.timers.drain(..).for_each(|timer| platform::clear_timeout(&timer));
    }

    fn peers(&self) -> Vec<(PeerId, Attachment)> {
        self.sockets.open()
    }

    fn send(&mut self, to: &PeerId, frame: &str) {
        self.sockets.send_to(to, frame);
    }

    fn is_spoken(&self, dialect: Dialect) -> bool {
        self.sockets.is_spoken(dialect)
    }

    fn send_to_all(&mut self, dialect: Dialect, request_id: Option<&str>, frame: &str) {
        self.sockets.send_to_all(dialect, request_id, frame);
    }

    fn drop_request(&mut self, peer: &PeerId) {
        self.sockets.drop_request(peer);
    }

    fn untaken(&self) -> Vec<(PeerId, u64)> {
        self.sockets.untaken()
    }

    fn attach(&mut self, peer: &PeerId, attachment: Attachment) {
        self.sockets.attach(peer, attachment);
    }

    fn close(&mut self, peer: &PeerId, code: CloseCode, reason: &str) {
        if let Some(socket) = self.sockets.close(peer, code, reason) {
            self.runtime.close_socket(&socket, code, reason);
        }
    }

    fn close_all(&mut self, code: CloseCode, reason: &str) {
        for socket in self.sockets.close_all(code, reason) {
            self.runtime.close_socket(&socket, code, reason);
        }
    }

    fn call_agent(&mut self, turn: TurnId, call: Call, enclosed: Enclosed) {
        let task = self.agents.start(turn, call, enclosed);
        self.spawn(Box::pin(task));
    }

    fn abort_agent(&mut self, turn: TurnId) {
        self.agents.abort(turn);
    }

    fn abort_all_agents(&mut self) {
        self.agents.abort_all();
    }

    fn deliver(&mut self, delivery: Delivery) {
        let (runtime, inlet) = (self.runtime.clone(), self.inlet.clone());
        self.spawn(Box::pin(async move {
            let outcome = index::deliver(&runtime.env, &runtime.row_id, &delivery).await;
            inlet.input(match outcome {
                Ok(found) => Input::Delivered(Delivered::new(&delivery, found)),
                Err(error) => {
                    logs::delivery_failed(&runtime.session_id, &error);
                    Input::DeliveryFailed
                }
            });
            runtime.deliveries.notify();
        }));
    }

    fn remove_files(&mut self, ids: Vec<String>) {
        let (runtime, inlet) = (self.runtime.clone(), self.inlet.clone());
        self.spawn(Box::pin(async move {
            let removed = files::removed(&runtime, &ids).await;
            inlet.input(if removed { Input::FilesRemoved { ids } } else { Input::FilesNotRemoved });
        }));
    }

    fn log(&mut self, line: Log<'_>) {
        let Runtime { session_id, env, own, .. } = &*self.runtime;
        logs::write(session_id, line);
        if let Log::Event(event @ Event::TurnEnded { .. }, _) = line {
            let rows = self.store.rows_written();
            let since = rows.saturating_sub(std::mem::replace(&mut self.rows_before, rows));
            analytics::write(env, session_id, own.is_some(), event, since);
        }
        if let (Some(own), Log::Event(event, _)) = (self.runtime.own.clone(), line) {
            let event = to_json(event);
            // The hook runs later: it may ask something of the thread, which must be idle then.
            self.spawn(Box::pin(async move { own.tell(&event) }));
        }
    }

    fn guard(work: &mut dyn FnMut()) -> Result<(), Panicked> {
        platform::guard(work).map_err(|_| Panicked)
    }
}
