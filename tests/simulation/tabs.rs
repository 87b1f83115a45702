//! Clients of other protocols: their requests, and the required outcomes. Each request is sent one turn, from its
//! beginning until the turn ends or waits or is broken off, and nothing of the native dialect.

use std::rc::Rc;

use bobbin::dialect::{Asked, Dialect, Stock, ag_ui, ai_sdk};
use bobbin::protocol::{Access, Millis, StockRequest, TurnWanted};
use bobbin::thread::stock::{request_peer, socket_of};
use bobbin::thread::{Input, PeerId, Request, TurnId};
use serde_json::{Value, json};

use super::Check;
use super::people::{Begun, Person};
use super::truth::Turn;
use super::world::{World, nth_of};
use crate::support::{Run, UiStream};

/// The actions of a tab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TabDoes {
    Open {
        token_ms: Option<u64>,
    },
    /// Its connections are lost, after it has read some of what is under way.
    Cut,
    Send,
    /// A message once more, as it was.
    Again,
    Edit,
    Regenerate,
    Resume,
    Abort,
    /// By HTTP.
    Stop,
    Answer,
}

#[derive(Debug)]
pub struct Tab {
    pub person: Person,
    pub stock: Stock,
    /// Its transport: a socket, or HTTP alone.
    has_sockets: bool,
    pub socket: Option<PeerId>,
    pub expires_at: Option<Millis>,
    pub streams: Vec<Stream>,
    /// Runs that were cut off, and how much of them it holds.
    cut: Vec<(String, Run)>,
    /// What it has sent: bodies of requests.
    sent: Vec<Value>,
    /// Messages that wait for it, as it holds them.
    pub waiting: Vec<(String, Vec<Value>)>,
    count: usize,
}

#[derive(Debug)]
pub struct Stream {
    pub peer: PeerId,
    pub dialect: Dialect,
    pub reader: Reader,
    /// The `requestId` of the turn that it is sent.
    pub follows: Option<String>,
    /// The pieces that it was sent, for a client that is cut off in between.
    pub told: Vec<String>,
    pub before: Run,
}

#[derive(Debug)]
pub enum Reader {
    Ui(Box<UiStream>),
    Run(Box<Run>),
}

impl Reader {
    pub fn parts(&self) -> &[Value] {
        match self {
            Reader::Ui(stream) => &stream.parts,
            Reader::Run(run) => &run.parts,
        }
    }

    pub fn is_over(&self) -> bool {
        match self {
            Reader::Ui(stream) => stream.ended.is_some(),
            Reader::Run(run) => run.ended.is_some(),
        }
    }
}

impl Stream {
    pub fn is_of(&self, socket: &str) -> bool {
        socket_of(&self.peer).is_some_and(|(of, _)| of == socket)
    }

    pub fn read(&mut self, text: &str) -> Check {
        match (&mut self.reader, self.dialect) {
            (Reader::Ui(stream), Dialect::AiSdk) => {
                stream.frame(&serde_json::from_str(text).map_err(|error| format!("{error}: {text}"))?)
            }
            (Reader::Ui(stream), _) => stream.event(text),
            (Reader::Run(run), Dialect::AgUi) => run.frame(text),
            (Reader::Run(run), _) => run.event(text),
        }
    }
}

impl Tab {
    pub fn new((person, stock, has_sockets): (Person, Stock, bool)) -> Self {
        Tab {
            person,
            stock,
            has_sockets,
            socket: None,
            expires_at: None,
            streams: Vec::new(),
            cut: Vec::new(),
            sent: Vec::new(),
            waiting: Vec::new(),
            count: 0,
        }
    }

    fn dialects(&self) -> [Dialect; 2] {
        self.stock.dialects()
    }

    /// A socket of AG-UI has one run at a time.
    fn may_use_socket(&self) -> Option<PeerId> {
        let socket = self.socket.clone()?;
        let is_busy = self.streams.iter().any(|stream| stream.is_of(&socket));
        (self.stock == Stock::AiSdk || !is_busy).then_some(socket)
    }

    pub fn lose(&mut self, is_lost: impl Fn(&Stream) -> bool, had: Option<usize>) {
        for stream in std::mem::take(&mut self.streams) {
            if !is_lost(&stream) {
                self.streams.push(stream);
                continue;
            }
            if let Reader::Run(run) = stream.reader {
                let run = match had {
                    None => *run,
                    Some(had) => reread(stream.before, &stream.told, had, stream.dialect),
                };
                if let Some(name) = run.name.clone() {
                    self.cut.push((name, run));
                }
            }
        }
    }
}

/// The state of a run whose client has read this much of it.
fn reread(mut run: Run, told: &[String], had: usize, dialect: Dialect) -> Run {
    for text in told.iter().take(had % (told.len() + 1)) {
        let _ = if dialect == Dialect::AgUi { run.frame(text) } else { run.event(text) };
    }
    run
}

impl World {
    pub fn tab(&mut self, id: usize, nth: usize, does: TabDoes) -> Check {
        if self.tabs.is_empty() {
            return Ok(());
        }
        let id = id % self.tabs.len();
        let outcome = match does {
            TabDoes::Open { token_ms } => self.open_tab(id, token_ms),
            TabDoes::Cut => self.cut_tab(id, nth),
            TabDoes::Send => {
                let number = self.tabs[id].count;
                let name = if nth.is_multiple_of(9) {
                    format!("ü{id}m{number}")
                } else {
                    format!("t{id}m{number}")
                };
                let body = self.message(id, &name, &format!("say {nth}"), None);
                self.send_body(id, body, Vec::new())
            }
            TabDoes::Again => match nth_of(&self.tabs[id].sent, nth).cloned() {
                Some(body) => self.send_body(id, body, Vec::new()),
                None => Ok(()),
            },
            TabDoes::Edit => match self.question_shown(nth) {
                Some(name) => {
                    let body = self.message(id, &name, &format!("another {nth}"), Some(&name));
                    self.send_body(id, body, Vec::new())
                }
                None => Ok(()),
            },
            TabDoes::Regenerate => match self.question_shown(nth) {
                Some(name) => {
                    let mut body = self.message(id, &name, "x", None);
                    body["trigger"] = json!("regenerate-message");
                    self.send_body(id, body, Vec::new())
                }
                None => Ok(()),
            },
            TabDoes::Resume => self.resume_tab(id, nth),
            TabDoes::Abort => self.abort(id, nth),
            TabDoes::Stop => self.stop(id),
            TabDoes::Answer => self.answer_as_tab(id, nth),
        };
        // Only the object counts what a stock client's request takes, also of a thread that it wakes.
        self.allowances.is_certain &= !self.is_limited;
        outcome
    }

    fn open_tab(&mut self, id: usize, token_ms: Option<u64>) -> Check {
        self.cut_tab(id, usize::MAX - 1)?;
        let tab = &mut self.tabs[id];
        if !tab.has_sockets {
            return Ok(());
        }
        tab.count += 1;
        let peer: PeerId = format!("t{id}-{}", tab.count).into();
        let (identity, dialect) =
            (tab.person.identity(token_ms.map(|ms| self.host.now + ms)), tab.dialects()[0]);
        tab.expires_at = identity.expires_at;
        tab.socket = Some(Rc::clone(&peer));
        self.host.open(dialect, &peer, identity, id % 3 == 2);
        self.observe()
    }

    /// The tab reads some of the texts on their way, or all of them.
    fn cut_tab(&mut self, id: usize, had: usize) -> Check {
        let tab = &mut self.tabs[id];
        let mut gone: Vec<PeerId> = tab.socket.take().into_iter().collect();
        let streams = tab.streams.iter().filter(|stream| socket_of(&stream.peer).is_none());
        gone.extend(streams.map(|stream| Rc::clone(&stream.peer)));
        tab.lose(|_| true, Some(had));
        for peer in gone {
            self.host.disconnect(&peer);
        }
        self.observe()
    }

    /// The id of a message in the history. Results of calls are shown there as a part of the answer that they
    /// continue.
    fn question_shown(&self, nth: usize) -> Option<String> {
        let questions = self.truth.records.iter().filter(|record| !record.is_end());
        let questions: Vec<_> = questions.filter(|record| self.truth.chain(record.turn).len() == 1).collect();
        let record = nth_of(&questions, nth)?;
        let client_id = record.begun().and_then(|begun| begun.client_id.clone());
        Some(client_id.unwrap_or_else(|| record.message_id.clone()))
    }

    /// The body of a request with a user's message.
    fn message(&mut self, id: usize, name: &str, text: &str, replaces: Option<&str>) -> Value {
        let tab = &mut self.tabs[id];
        tab.count += 1;
        let session = &self.host.session_id;
        // The rest of the history may be anything.
        let stale = json!({ "id": "stale", "role": "user", "parts": [{ "type": "text", "text": "forged" }], "content": "forged" });
        let mut body = match tab.stock {
            Stock::AiSdk => {
                let message =
                    json!({ "id": name, "role": "user", "parts": [{ "type": "text", "text": text }] });
                json!({ "id": session, "trigger": "submit-message", "messages": [stale, message] })
            }
            Stock::AgUi => {
                let message = json!({ "id": name, "role": "user", "content": text });
                let run = format!("run{id}-{}", tab.count);
                json!({ "threadId": session, "runId": run, "messages": [stale, message] })
            }
        };
        if let (Some(replaces), Stock::AiSdk) = (replaces, tab.stock) {
            body["messageId"] = json!(replaces);
        }
        tab.sent.push(body.clone());
        body
    }

    /// Sends a request, over its socket if there is a free one, or else over HTTP. The message that it continues has
    /// these parts.
    fn send_body(&mut self, id: usize, mut body: Value, parts: Vec<Value>) -> Check {
        self.open_if_closed(id)?;
        let tab = &mut self.tabs[id];
        tab.count += 1;
        let socket = tab.may_use_socket();
        if socket.is_none() && tab.has_sockets && tab.stock == Stock::AiSdk {
            // It was not let in.
            return Ok(());
        }
        let Some(socket) = socket else {
            let text = body.to_string();
            let asked = match tab.stock {
                Stock::AiSdk => ai_sdk::request::body(&text),
                Stock::AgUi => ag_ui::input::body(&text).map(|(_, asked)| asked),
            };
            let Asked { request, .. } = asked.map_err(|why| format!("{text} is refused: {why}"))?;
            return self.ask_by_http(id, request, parts, None);
        };
        let request = match tab.stock {
            Stock::AiSdk => {
                let request = format!("q{}", tab.count);
                (body["type"], body["requestId"]) = (json!("send"), json!(request));
                request
            }
            Stock::AgUi => body["runId"].as_str().unwrap_or_default().to_owned(),
        };
        self.ask_by_socket(id, &socket, &request, &body, parts)
    }

    fn ask_by_socket(
        &mut self,
        id: usize,
        socket: &PeerId,
        request: &str,
        frame: &Value,
        parts: Vec<Value>,
    ) -> Check {
        let peer = request_peer(socket, request);
        self.begin_stream(id, &peer, self.tabs[id].dialects()[0], parts, None);
        self.note(|| format!("  {socket} > {frame}"));
        let start = self.start();
        self.truth.actor = Some(self.tabs[id].person);
        self.host.receive(socket, &frame.to_string());
        let course = self.course(start);
        self.observe()?;
        self.truth.actor = None;
        // Texts that the object had not yet taken are lost with it.
        if course.has_crashed && !self.host.links.contains_key(&peer) {
            self.tabs[id].lose(|stream| stream.peer == peer, None);
        }
        Ok(())
    }

    fn ask_by_http(
        &mut self,
        id: usize,
        request: StockRequest,
        parts: Vec<Value>,
        before: Option<Run>,
    ) -> Check {
        let tab = &mut self.tabs[id];
        let peer: PeerId = format!("h{id}-{}", tab.count).into();
        tab.count += 1;
        let (identity, dialect) = (tab.person.identity(tab.expires_at), tab.dialects()[1]);
        let person = tab.person;
        if request.wants == TurnWanted::Last && self.truth.begun == Begun::No {
            return Ok(());
        }
        self.begin_stream(id, &peer, dialect, parts, before);
        self.note(|| format!("  {peer} asks for {request:?}"));
        self.truth.actor = Some(person);
        let outcome = self.host.follow(dialect, &peer, identity, request);
        self.observe()?;
        self.truth.actor = None;
        // It has the answer's status, and no body.
        if !matches!(outcome, Some(Ok(()))) {
            self.note(|| format!("  {outcome:?}"));
            self.tabs[id].lose(|stream| stream.peer == peer, None);
        }
        Ok(())
    }

    fn begin_stream(
        &mut self,
        id: usize,
        peer: &PeerId,
        dialect: Dialect,
        parts: Vec<Value>,
        before: Option<Run>,
    ) {
        let run = before.unwrap_or_else(|| Run::going_on(parts.clone()));
        let reader = match dialect.stock() {
            Some(Stock::AgUi) => Reader::Run(Box::new(run.clone())),
            _ => Reader::Ui(Box::new(UiStream::going_on(parts))),
        };
        let stream =
            Stream { peer: Rc::clone(peer), dialect, reader, follows: None, told: Vec::new(), before: run };
        self.truth.stats.asked += 1;
        self.tabs[id].streams.push(stream);
    }

    fn open_if_closed(&mut self, id: usize) -> Check {
        let is_closed = self.tabs[id].has_sockets && self.tabs[id].socket.is_none();
        if is_closed { self.open_tab(id, None) } else { Ok(()) }
    }

    pub fn resume_tab(&mut self, id: usize, nth: usize) -> Check {
        if self.tabs[id].stock == Stock::AiSdk {
            self.open_if_closed(id)?;
        }
        let tab = &mut self.tabs[id];
        tab.count += 1;
        if tab.stock == Stock::AiSdk {
            let wants = StockRequest { run: None, answers: None, wants: TurnWanted::Last };
            let Some(socket) = tab.socket.clone() else {
                if tab.has_sockets {
                    return Ok(());
                }
                return self.ask_by_http(id, wants, Vec::new(), None);
            };
            let request = format!("q{}", tab.count);
            let frame = json!({ "type": "resume", "requestId": request, "id": self.host.session_id });
            return self.ask_by_socket(id, &socket, &request, &frame, Vec::new());
        }
        if tab.cut.is_empty() {
            return Ok(());
        }
        let (name, run) = tab.cut.swap_remove(nth % tab.cut.len());
        // From the beginning, or from where it was cut.
        let last = run.last.clone().filter(|_| !nth.is_multiple_of(4));
        let from = last.as_deref().map(|last| ag_ui::place::read(last).ok_or("no place"));
        let from = from.transpose()?;
        let before = from.map(|_| run);
        let wants = TurnWanted::Turn(ag_ui::input::request_id(&name), from);
        let request = StockRequest { run: Some(name), answers: None, wants };
        self.ask_by_http(id, request, Vec::new(), before)
    }

    pub fn turn_of_stream(&self, stream: &Stream) -> Option<TurnId> {
        stream.follows.as_ref().and_then(|turn| self.truth.turn_id(turn))
    }

    /// Aborts a request of its socket.
    fn abort(&mut self, id: usize, nth: usize) -> Check {
        // A client that wakes the object is told again how its turn begins, before it is heard.
        self.host.pump(Input::Deadline);
        self.observe()?;
        let tab = &self.tabs[id];
        let Some(socket) = tab.socket.clone() else { return Ok(()) };
        let streams: Vec<&Stream> = tab.streams.iter().filter(|stream| stream.is_of(&socket)).collect();
        let Some(stream) = nth_of(&streams, nth) else { return Ok(()) };
        let (peer, turn, person) = (Rc::clone(&stream.peer), self.turn_of_stream(stream), tab.person);
        let request = socket_of(&peer).map(|(_, request)| request.to_owned()).unwrap_or_default();
        let named = if tab.stock == Stock::AiSdk { "requestId" } else { "runId" };
        let frame = json!({ "type": "abort", named: request });
        self.note(|| format!("  {socket} > {frame}"));
        let start = self.start();
        let may = person.access(&self.truth.begun) >= Some(Access::Editor);
        self.truth.actor = Some(person);
        self.host.receive(&socket, &frame.to_string());
        let course = self.course(start);
        // A thread that had to be woken again tells the client how its turn begins before it hears the client.
        if course.is_smooth {
            self.tabs[id].streams.retain(|stream| stream.peer != peer);
        }
        self.observe()?;
        self.tabs[id].streams.retain(|stream| stream.peer != peer);
        self.truth.actor = None;
        let detaches = id % 3 == 2;
        let is_open = turn.is_some_and(|turn| self.truth.is_open(turn));
        if course.is_smooth && start.is_awake() && is_open && may && !detaches {
            return Err(format!("{turn:?} was aborted, and is not over"));
        }
        Ok(())
    }

    fn stop(&mut self, id: usize) -> Check {
        let person = self.tabs[id].person;
        let start = self.start();
        let meant = |turn: &Turn| turn.is_open() && (turn.waits() || turn.runs() || turn.is_ready());
        let meant: Vec<TurnId> =
            self.truth.turns.iter().filter(|(_, turn)| meant(turn)).map(|(id, _)| *id).collect();
        self.truth.actor = Some(person);
        let outcome = self.host.request(&person.identity(None), Request::Stop);
        let course = self.course(start);
        self.observe()?;
        self.truth.actor = None;
        let is_left = meant.iter().find(|turn| self.truth.is_open(**turn));
        if let (true, Ok(()), Some(turn)) = (course.is_smooth, outcome, is_left) {
            return Err(format!("turn {turn} was stopped, and is not over"));
        }
        Ok(())
    }

    /// Answers open calls of a message that waits for the client.
    fn answer_as_tab(&mut self, id: usize, nth: usize) -> Check {
        // An application knows which tools are its own, and which are the agent's.
        let calls = self.open_turns_calls().into_iter();
        let calls: Vec<(Value, bool)> =
            calls.map(|(_, call)| (call["id"].clone(), call["output"] == "client")).collect();
        let tab = &mut self.tabs[id];
        if tab.waiting.is_empty() {
            return Ok(());
        }
        tab.count += 1;
        let count = tab.count;
        let (message, mut parts) = tab.waiting.swap_remove(nth % tab.waiting.len());
        let mut said = Vec::new();
        for (place, part) in parts.iter_mut().filter(|part| part.get("call").is_some()).enumerate() {
            let is_own = calls.iter().find(|(call, _)| *call == part["call"]).map(|(_, is_own)| *is_own);
            said.push(answered(tab.stock, part, is_own, nth + place));
        }
        let session = &self.host.session_id;
        let body = match tab.stock {
            Stock::AiSdk => {
                let answer = json!({ "id": message, "role": "assistant", "parts": said });
                json!({ "id": session, "trigger": "submit-message", "messageId": message, "messages": [answer] })
            }
            Stock::AgUi => {
                said.retain(|said| !said.is_null());
                let calls = parts.iter().filter(|part| part.get("call").is_some());
                let calls: Vec<Value> =
                    calls.map(|part| json!({ "id": part["call"], "type": "function" })).collect();
                let mut messages = vec![json!({ "role": "assistant", "id": "a", "toolCalls": calls })];
                messages.extend(said.iter().cloned());
                json!({ "threadId": session, "runId": format!("run{id}-{count}"), "messages": messages })
            }
        };
        let says = |said: &Value| {
            said.get("output")
                .or(said.get("approval"))
                .is_some_and(|it| it.get("id").is_none() || it.get("approved").is_some())
        };
        let is_empty = match tab.stock {
            Stock::AiSdk => !said.iter().any(says),
            Stock::AgUi => said.is_empty(),
        };
        if is_empty { Ok(()) } else { self.send_body(id, body, parts) }
    }
}

/// A part after the client has answered its call, and the part as the client sends it.
fn answered(stock: Stock, part: &mut Value, is_own: Option<bool>, nth: usize) -> Value {
    let (call, state) = (part["call"].clone(), part["state"].as_str().unwrap_or_default().to_owned());
    let output = [json!("9"), json!({ "a": [1] }), json!(null), json!([{ "x": 1 }])][nth % 4].clone();
    if stock == Stock::AgUi {
        if part.get("output").is_some() || nth.is_multiple_of(5) {
            return Value::Null;
        }
        if nth.is_multiple_of(2) {
            let decided = json!({ "approved": !nth.is_multiple_of(3), "message": "so it is" });
            return json!({ "role": "tool", "id": "x", "toolCallId": call, "content": decided.to_string() });
        }
        return json!({ "role": "tool", "id": "x", "toolCallId": call, "content": "9" });
    }
    let mut said = json!({ "type": "tool-f", "toolCallId": call, "state": state, "input": part["input"] });
    match state.as_str() {
        _ if nth.is_multiple_of(7) => {}
        "approval-requested" => {
            said["state"] = json!("approval-responded");
            part["state"] = said["state"].clone();
            said["approval"] = json!({ "id": call, "approved": !nth.is_multiple_of(3) });
        }
        "approval-responded" if is_own != Some(true) => {}
        "input-available" if is_own == Some(false) => {}
        "input-available" | "approval-responded" => {
            let is_error = nth.is_multiple_of(3);
            let output = if is_error { json!("it broke") } else { output };
            said["state"] = json!(if is_error { "output-error" } else { "output-available" });
            said[if is_error { "errorText" } else { "output" }] = output.clone();
            (part["state"], part["output"]) = (said["state"].clone(), output);
        }
        _ => {
            if let Some(output) = part.get("output") {
                said[if state == "output-error" { "errorText" } else { "output" }] = output.clone();
            }
        }
    }
    said
}
