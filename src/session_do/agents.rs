//! Running a turn's agent, and ending it.

use std::cell::RefCell;
use std::rc::{Rc, Weak};

use futures::future::select;
use js_sys::Function;
use js_sys::futures::JsFuture;
use wasm_bindgen::prelude::*;
use web_sys::{AbortController, AbortSignal, Response};

use crate::agent::openai::{Attempt, Remedy};
use crate::agent::{AgentEvent, AgentRequest, Failed, Finished, echo, openai, redact};
use crate::config::{AgentKind, OpenAi};
use crate::protocol::{ErrorBody, ErrorCode};
use crate::thread::{Config, Input, TurnId};

use super::logs;
use super::shell::Shell;
use super::upstream::{self, Refused};
use crate::platform::{self, BodyChunk, BodyReader, Task, http};

/// The agents at work.
#[derive(Default)]
pub struct Agents(RefCell<Vec<Running>>);

struct Running {
    turn: TurnId,
    end_task: Function,
    call: Option<AbortController>,
}

impl Agents {
    /// What is to be waited for; it ends early when the turn is aborted.
    pub fn start(&self, turn: TurnId, shell: Rc<Shell>, request: AgentRequest) -> Task<()> {
        let call = AbortController::new().ok();
        let signal = call.as_ref().map(AbortController::signal);
        let (is_ended, end_task) = platform::signal();
        self.0.borrow_mut().push(Running { turn, end_task, call });
        let run: Task<()> = Box::pin(async move {
            run(&shell, turn, request, signal).await;
            shell.agents.end(turn);
        });
        // Looked at first: what is aborted does nothing any more.
        Box::pin(async move { drop(select(JsFuture::from(is_ended), run).await) })
    }

    /// Drops the task and closes the connection to the model.
    pub fn abort(&self, turn: TurnId) {
        if let Some(call) = self.end(turn) {
            call.abort();
        }
    }

    pub fn abort_all(&self) {
        while let Some(turn) = self.first() {
            self.abort(turn);
        }
    }

    fn first(&self) -> Option<TurnId> {
        self.0.borrow().first().map(|running| running.turn)
    }

    /// A task that is done is ended too: a promise that nobody keeps would stay in memory.
    fn end(&self, turn: TurnId) -> Option<AbortController> {
        let mut all = self.0.borrow_mut();
        let place = all.iter().position(|running| running.turn == turn)?;
        let Running { end_task, call, .. } = all.swap_remove(place);
        let _ = end_task.call0(&end_task);
        call
    }
}

async fn run(shell: &Rc<Shell>, turn: TurnId, request: AgentRequest, signal: Option<AbortSignal>) {
    let agent = shell.settings.as_ref().map(|settings| settings.agent.clone());
    let failed = match agent {
        Ok(AgentKind::Echo { delay_ms }) => {
            run_echo(shell, turn, &request, delay_ms).await;
            return;
        }
        Ok(AgentKind::OpenAi(endpoint)) => run_openai(shell, turn, &request, &endpoint, signal).await.err(),
        Err(why) => Some(misconfigured(why)),
    };
    if let Some(failed) = failed {
        shell.pump(Input::Agent { turn, events: vec![AgentEvent::Failed(failed)], tokens_used: 0 });
    }
}

async fn run_echo(shell: &Shell, turn: TurnId, request: &AgentRequest, delay_ms: u64) {
    let answer = echo::answer(request);
    let mut pieces: u64 = 0;
    for piece in echo::pieces(&answer) {
        if pieces > 0 && delay_ms > 0 {
            platform::sleep(delay_ms).await;
        }
        pieces = pieces.saturating_add(1);
        let events = vec![AgentEvent::Text(piece.to_owned())];
        shell.pump(Input::Agent { turn, events, tokens_used: pieces });
    }
    let events = vec![AgentEvent::Finished(echo::finished(pieces))];
    shell.pump(Input::Agent { turn, events, tokens_used: pieces });
}

async fn run_openai(
    shell: &Rc<Shell>,
    turn: TurnId,
    request: &AgentRequest,
    endpoint: &OpenAi,
    signal: Option<AbortSignal>,
) -> Result<(), Failed> {
    let config = shell.settings.as_ref().map_or_else(|_| Config::default(), |settings| settings.thread);
    let patience_ms = config.agent_first_token_timeout_ms;
    let mut attempt = Attempt::first(upstream::is_plain(endpoint));
    loop {
        let asked = upstream::ask(shell, endpoint, request, attempt, signal.as_ref()).await;
        let refused = match asked {
            Ok(response) => answer(shell, turn, request, endpoint, attempt, &response).await,
            Err(refused) => Some(refused),
        };
        let Some(Refused { failed, remedy }) = refused else { return Ok(()) };
        logs::agent_failed(&shell.session_id, &openai::reason(&failed, &openai::own_words(request)));
        let next = attempt.next(remedy, request, endpoint.retries);
        // A wait that the turn would not outlive hides what the endpoint said.
        let Some(next) = next.filter(|next| next.wait_ms < patience_ms) else { return Err(failed) };
        attempt = next;
        if attempt.wait_ms > 0 {
            platform::sleep(attempt.wait_ms).await;
        }
    }
}

/// Takes the answer to its end. Gives back a failure that came before anything was said, if something
/// may help against it.
async fn answer(
    shell: &Rc<Shell>,
    turn: TurnId,
    request: &AgentRequest,
    endpoint: &OpenAi,
    attempt: Attempt,
    response: &Response,
) -> Option<Refused> {
    let Some(body) = http::body(response) else {
        return Some(Refused { failed: openai::unreachable_failure(), remedy: Remedy::None });
    };
    let reader: BodyReader = body.get_reader().unchecked_into();
    let mut completion = openai::Completion::new();
    let (shell, endpoint, asked) = (shell.clone(), endpoint.clone(), openai::own_words(request));
    let refused = Rc::new(RefCell::new(None));
    let refusal = refused.clone();
    let mut is_silent = true;
    let is_over = move |chunk: Option<Vec<u8>>| {
        let mut is_over = true;
        shell.enter(|| {
            let events = match chunk {
                Some(bytes) => completion.push(&bytes),
                None => completion.finish(),
            };
            let mut events: Vec<AgentEvent> =
                events.into_iter().map(|event| endpoint.finished_with(event, attempt)).collect();
            let remedy = completion.remedy();
            if is_silent
                && remedy != Remedy::None
                && let Some(AgentEvent::Failed(failed)) = events.pop_if(|_| true)
            {
                refusal.replace(Some(Refused { failed, remedy }));
                return;
            }
            if let Some(AgentEvent::Failed(failed)) = events.last() {
                logs::agent_failed(&shell.session_id, &openai::reason(failed, &asked));
            }
            is_silent &= events.iter().all(|event| *event == AgentEvent::Gathering);
            is_over =
                events.iter().any(|event| matches!(event, AgentEvent::Finished(_) | AgentEvent::Failed(_)));
            shell.pump(Input::Agent { turn, events, tokens_used: completion.tokens_used() });
        });
        is_over
    };
    Reading::whole(reader, Box::new(is_over)).await;
    refused.take()
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
    /// The event with what is known here of the answer's figures, and without the key: an endpoint may
    /// repeat what it was given, also where it names its model.
    fn finished_with(&self, event: AgentEvent, attempt: Attempt) -> AgentEvent {
        let figures = |mut finished: Finished| {
            for word in [&mut finished.model, &mut finished.finish_reason].into_iter().flatten() {
                *word = self.without_key(word);
            }
            finished.omitted_messages = Some(attempt.omitted as u64).filter(|omitted| *omitted > 0);
            finished
        };
        match event {
            AgentEvent::Failed(failed) => AgentEvent::Failed(self.redact(failed)),
            AgentEvent::Finished(finished) => AgentEvent::Finished(figures(finished)),
            AgentEvent::Ending(finished) => AgentEvent::Ending(figures(finished)),
            AgentEvent::Text(_) | AgentEvent::Block(_) | AgentEvent::Gathering => event,
        }
    }

    pub(super) fn redact(&self, mut failed: Failed) -> Failed {
        failed.error.message = self.without_key(&failed.error.message);
        failed
    }

    fn without_key(&self, text: &str) -> String {
        redact::without_key(text, self.api_key.as_deref().unwrap_or_default())
    }
}

fn misconfigured(why: &str) -> Failed {
    Failed {
        error: ErrorBody::fatal(ErrorCode::AgentError, format!("the agent is not configured: {why}")),
        tokens_used: 0,
    }
}
