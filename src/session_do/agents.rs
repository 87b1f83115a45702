//! Makes the calls of turns and passes on the responses: one runner for every kind of agent.

use std::cell::RefCell;
use std::rc::{Rc, Weak};

use futures::future::select;
use js_sys::Function;
use js_sys::futures::JsFuture;
use wasm_bindgen::prelude::*;
use web_sys::{AbortController, AbortSignal};

use crate::agent::{Answered, Call, Enclosed, Refusal};
use crate::platform::{self, BodyChunk, BodyReader, Task};
use crate::thread::{Input, TurnId};

use super::files;
use super::own;
use super::shell::{Inlet, Runtime};
use super::upstream;

/// The calls that are under way.
pub struct Agents {
    runtime: Rc<Runtime>,
    inlet: Inlet,
    calls: Vec<Running>,
    /// The number of calls so far. Each call has its own number, since a turn may make several.
    made: u64,
}

struct Running {
    number: u64,
    turn: TurnId,
    end_task: Function,
    call: Option<AbortController>,
}

impl Agents {
    pub fn new(runtime: Rc<Runtime>, inlet: Inlet) -> Self {
        Agents { runtime, inlet, calls: Vec::new(), made: 0 }
    }

    /// Returns the task that makes a call. The task ends early when the turn is aborted.
    pub fn start(&mut self, turn: TurnId, call: Call, enclosed: Enclosed) -> Task<()> {
        let controller = AbortController::new().ok();
        let signal = controller.as_ref().map(AbortController::signal);
        let (is_ended, end_task) = platform::signal();
        self.made = self.made.saturating_add(1);
        let number = self.made;
        self.calls.push(Running { number, turn, end_task, call: controller });
        let (runtime, answers) = (self.runtime.clone(), Answers { inlet: self.inlet.clone(), turn });
        let run: Task<()> = Box::pin(async move {
            run(&runtime, &answers, call, enclosed, signal).await;
            answers.inlet.with(|shell| drop(shell.workerd().agents.end(|call| call.number == number)));
        });
        // The signal is polled first, so that an aborted call does nothing more.
        Box::pin(async move { drop(select(JsFuture::from(is_ended), run).await) })
    }

    /// Drops the task and closes the connection to the model.
    pub fn abort(&mut self, turn: TurnId) {
        while let Some(call) = self.end(|call| call.turn == turn) {
            call.abort();
        }
    }

    pub fn abort_all(&mut self) {
        while let Some(turn) = self.calls.first().map(|running| running.turn) {
            self.abort(turn);
        }
    }

    /// A task that is done is removed too, because its promise would otherwise stay in memory.
    fn end(&mut self, is_it: impl Fn(&Running) -> bool) -> Option<AbortController> {
        let place = self.calls.iter().position(is_it)?;
        let Running { end_task, call, .. } = self.calls.swap_remove(place);
        let _ = end_task.call0(&end_task);
        call
    }
}

/// Receives the responses to one call.
#[derive(Clone)]
pub struct Answers {
    inlet: Inlet,
    turn: TurnId,
}

impl Answers {
    /// Passes on a response. Returns whether more is wanted.
    pub fn deliver(&self, answered: Answered) -> bool {
        let (turn, mut is_wanted) = (self.turn, false);
        self.inlet.with(|shell| {
            let _ = shell.input(Input::Answered { turn, answered });
            is_wanted = shell.is_running(turn);
        });
        is_wanted
    }
}

/// Makes a call and passes on the response. An unanswered call needs no timeout here, because the thread's
/// deadlines end it.
async fn run(
    runtime: &Runtime,
    answers: &Answers,
    mut call: Call,
    enclosed: Enclosed,
    signal: Option<AbortSignal>,
) {
    let text = match &mut call {
        Call::Http { body: text, .. } | Call::Own { turn: text } | Call::WorkersAi { input: text, .. } => {
            std::mem::take(text)
        }
        Call::Pieces { .. } => String::new(),
    };
    let body = match files::with(runtime, text, enclosed).await {
        Ok(body) => body,
        Err(refusal) => {
            answers.deliver(Answered::Refused(refusal));
            return;
        }
    };
    let answer = match call {
        Call::Pieces { pieces, delay_ms } => {
            for (place, piece) in pieces.into_iter().enumerate() {
                if place > 0 && delay_ms > 0 {
                    platform::sleep(delay_ms).await;
                }
                answers.deliver(Answered::Bytes(piece.into_bytes()));
            }
            Ok(None)
        }
        Call::Http { url, headers, service_headers, .. } => {
            let sent = upstream::Sent { headers, service_headers, body };
            upstream::ask(runtime, url, sent, signal.as_ref()).await
        }
        Call::Own { .. } => match (body.value(), signal) {
            (Ok(turn), Some(signal)) => return own::call(runtime, answers, &turn, &signal).await,
            (Ok(_), None) => return,
            (Err(_), _) => Err(Refusal::NoBucket),
        },
        Call::WorkersAi { model, options, .. } => {
            let Some(signal) = signal else { return };
            upstream::ask_model(runtime, &model, body, &options, &signal).await
        }
    };
    read(answers, answer).await;
}

/// Passes on the body of a response to its end.
async fn read(answers: &Answers, body: Result<Option<BodyReader>, Refusal>) {
    let outcome = match body {
        Ok(Some(body)) => {
            let answers = answers.clone();
            let take =
                move |chunk: Option<Vec<u8>>| !answers.deliver(chunk.map_or(Answered::End, Answered::Bytes));
            return Reading::whole(body, Box::new(take)).await;
        }
        Ok(None) => Answered::End,
        Err(refusal) => Answered::Refused(refusal),
    };
    answers.deliver(outcome);
}

/// A body that is read to its end.
///
/// A model sends each token separately, so most of an answer's cost is its reads. A future for each read
/// would cost two closures and one more microtask; this one function serves all reads.
struct Reading {
    reader: BodyReader,
    /// Takes the result of a read, or the end, and returns whether it was enough.
    take: RefCell<Take>,
    on_settled: Closure<dyn FnMut(JsValue)>,
    over: Function,
    /// Dropped once nobody waits any more.
    awaited: Weak<()>,
    /// Keeps itself alive during a read, which will call its function.
    me: RefCell<Option<Rc<Reading>>>,
}

type Take = Box<dyn FnMut(Option<Vec<u8>>) -> bool>;

impl Reading {
    async fn whole(reader: BodyReader, take: Take) {
        let (is_over, over) = platform::signal();
        let awaited = Rc::new(());
        let reading = Rc::new_cyclic(|me: &Weak<Reading>| {
            let me = me.clone();
            let on_settled = move |chunk: JsValue| {
                if let Some(reading) = me.upgrade() {
                    // A body that breaks off counts as ended early: an error has no value.
                    let is_chunk = chunk.is_object();
                    let chunk = is_chunk.then(|| chunk.unchecked_into::<BodyChunk>().value());
                    reading.settled(chunk.flatten());
                }
            };
            Reading {
                reader,
                take: RefCell::new(take),
                on_settled: Closure::new(on_settled),
                over,
                awaited: Rc::downgrade(&awaited),
                me: RefCell::new(None),
            }
        });
        reading.me.replace(Some(reading.clone()));
        reading.read();
        drop(reading);
        let _ = JsFuture::from(is_over).await;
        drop(awaited);
    }

    fn read(&self) {
        let on_settled = self.on_settled.as_ref();
        self.reader.read().then2(on_settled, on_settled);
    }

    fn settled(&self, chunk: Option<Vec<u8>>) {
        let (is_awaited, is_end) = (self.awaited.strong_count() > 0, chunk.is_none());
        if is_awaited && !(self.take.borrow_mut())(chunk) && !is_end {
            return self.read();
        }
        let _ = self.reader.cancel();
        let _ = self.over.call0(&self.over);
        self.me.replace(None);
    }
}
