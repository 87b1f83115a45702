//! Running a turn's agent, and ending it.

use std::cell::RefCell;
use std::rc::{Rc, Weak};

use futures::future::select;
use js_sys::Function;
use js_sys::futures::JsFuture;
use wasm_bindgen::prelude::*;
use web_sys::{AbortController, AbortSignal};

use crate::agent::{AgentEvent, AgentRequest, Failed, echo, openai};
use crate::config::{AgentKind, OpenAi, Settings};
use crate::protocol::{ErrorBody, ErrorCode};
use crate::thread::{Input, TurnId};

use super::shell::{Inlet, Runtime};
use super::upstream;
use crate::platform::{self, BodyChunk, BodyReader, Task};

/// The calls of agents that are under way.
pub struct Agents {
    runtime: Rc<Runtime>,
    inlet: Inlet,
    calls: Vec<Running>,
}

struct Running {
    turn: TurnId,
    end_task: Function,
    call: Option<AbortController>,
}

impl Agents {
    pub fn new(runtime: Rc<Runtime>, inlet: Inlet) -> Self {
        Agents { runtime, inlet, calls: Vec::new() }
    }

    /// A task to wait for; it ends early when the turn is aborted.
    pub fn start(&mut self, turn: TurnId, request: AgentRequest) -> Task<()> {
        let call = AbortController::new().ok();
        let signal = call.as_ref().map(AbortController::signal);
        let (is_ended, end_task) = platform::signal();
        self.calls.push(Running { turn, end_task, call });
        let caller = Caller { runtime: self.runtime.clone(), inlet: self.inlet.clone(), turn };
        let run: Task<()> = Box::pin(async move {
            run(&caller, request, signal).await;
            caller.inlet.with(|shell| drop(shell.workerd().agents.end(turn)));
        });
        // The signal is looked at first: a call that was aborted does nothing any more.
        Box::pin(async move { drop(select(JsFuture::from(is_ended), run).await) })
    }

    /// Drops the task and closes the connection to the model.
    pub fn abort(&mut self, turn: TurnId) {
        if let Some(call) = self.end(turn) {
            call.abort();
        }
    }

    pub fn abort_all(&mut self) {
        while let Some(turn) = self.calls.first().map(|running| running.turn) {
            self.abort(turn);
        }
    }

    /// A task that is done is ended too: a promise that nobody keeps would stay in memory.
    fn end(&mut self, turn: TurnId) -> Option<AbortController> {
        let place = self.calls.iter().position(|running| running.turn == turn)?;
        let Running { end_task, call, .. } = self.calls.swap_remove(place);
        let _ = end_task.call0(&end_task);
        call
    }
}

/// What one call needs: the turn it answers, and the way to deliver.
#[derive(Clone)]
struct Caller {
    runtime: Rc<Runtime>,
    inlet: Inlet,
    turn: TurnId,
}

impl Caller {
    fn deliver(&self, events: Vec<AgentEvent>, tokens_used: u64) {
        self.inlet.input(Input::Agent { turn: self.turn, events, tokens_used });
    }
}

async fn run(caller: &Caller, request: AgentRequest, signal: Option<AbortSignal>) {
    let failed = match &caller.runtime.settings {
        Ok(Settings { agent: AgentKind::Echo { delay_ms }, .. }) => {
            run_echo(caller, &request, *delay_ms).await;
            return;
        }
        Ok(Settings { agent: AgentKind::OpenAi(endpoint), .. }) => {
            run_openai(caller, &request, endpoint, signal).await.err()
        }
        Err(why) => Some(misconfigured(why)),
    };
    if let Some(failed) = failed {
        caller.deliver(vec![AgentEvent::Failed(failed)], 0);
    }
}

async fn run_echo(caller: &Caller, request: &AgentRequest, delay_ms: u64) {
    let answer = echo::answer(request);
    let mut pieces: u64 = 0;
    for piece in echo::pieces(&answer) {
        if pieces > 0 && delay_ms > 0 {
            platform::sleep(delay_ms).await;
        }
        pieces = pieces.saturating_add(1);
        caller.deliver(vec![AgentEvent::Text(piece.to_owned())], pieces);
    }
    caller.deliver(vec![AgentEvent::Finished(echo::finished(pieces))], pieces);
}

async fn run_openai(
    caller: &Caller,
    request: &AgentRequest,
    endpoint: &OpenAi,
    signal: Option<AbortSignal>,
) -> Result<(), Failed> {
    let response = upstream::ask(&caller.runtime, endpoint, request, signal.as_ref()).await?;
    let Some(body) = response.body() else {
        return Err(openai::unreachable_failure());
    };
    let reader: BodyReader = body.get_reader().unchecked_into();
    let mut completion = openai::Completion::new();
    let (caller, endpoint) = (caller.clone(), endpoint.clone());
    let is_over = move |chunk: Option<Vec<u8>>| {
        let mut is_over = true;
        let take = || {
            let events = match chunk {
                Some(bytes) => completion.push(&bytes),
                None => completion.finish(),
            };
            let events: Vec<AgentEvent> = events.into_iter().map(|event| endpoint.redacted(event)).collect();
            is_over =
                events.iter().any(|event| matches!(event, AgentEvent::Finished(_) | AgentEvent::Failed(_)));
            caller.deliver(events, completion.tokens_used());
        };
        caller.inlet.with(|shell| shell.enter(take));
        is_over
    };
    Reading::whole(reader, Box::new(is_over)).await;
    Ok(())
}

/// A body that is read to its end.
///
/// A model sends each token for itself, so reads are what an answer costs. A future for each of them
/// would cost two closures and a microtask more; this one function serves all of them.
struct Reading {
    reader: BodyReader,
    /// Takes what a read brought, or the end, and says whether it was enough.
    take: RefCell<Take>,
    on_settled: Closure<dyn FnMut(JsValue)>,
    over: Function,
    /// Gone once nobody waits any more.
    awaited: Weak<()>,
    /// A read that is going on keeps the function that it will call.
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
                    // A body that breaks off is one that ended early: an error has no value.
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

impl OpenAi {
    fn redacted(&self, event: AgentEvent) -> AgentEvent {
        match event {
            AgentEvent::Failed(failed) => AgentEvent::Failed(self.redact(failed)),
            event => event,
        }
    }

    /// An endpoint may quote the key that it was given.
    pub(super) fn redact(&self, mut failed: Failed) -> Failed {
        if let Some(key) = self.api_key.as_deref().filter(|key| !key.is_empty()) {
            failed.error.message = failed.error.message.replace(key, "[redacted]");
        }
        failed
    }
}

fn misconfigured(why: &str) -> Failed {
    Failed {
        error: ErrorBody::fatal(ErrorCode::AgentError, format!("the agent is not configured: {why}")),
        tokens_used: 0,
    }
}
