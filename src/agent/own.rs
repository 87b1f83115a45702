//! The application's own code in the same worker. Its class returns values for a turn, or the body of a
//! response of any kind that is read here.
//!
//! It may run tools, so it is called only once and never retried.

use std::rc::Rc;

use super::http::history::add_field;
use super::http::{Kind, Stream, no_bucket_failure, trace_headers};
use super::{
    Agent, AgentEvent, AgentMessage, AgentRequest, Attempt, Call, Failed, Refusal, Remedy, Reply, ai_sdk,
    anthropic, models, openai, responses, workers_ai,
};
use crate::protocol::{CollectVec, ErrorBody, ErrorCode, Role, to_json};
use crate::variables::{AgentName, Variables};

/// The class's own code.
#[derive(Debug)]
pub struct OwnCode {
    models: Vec<String>,
}

/// One of its answers.
#[derive(Debug)]
struct Answer(Stream);

impl OwnCode {
    /// Returns the agent, with the models that the variables offer.
    #[must_use]
    pub fn configured(read: Variables) -> Rc<dyn Agent> {
        Rc::new(OwnCode { models: models(read) })
    }
}

impl Agent for OwnCode {
    fn call(&self, request: &AgentRequest, _: Attempt) -> Call {
        Call::Own { turn: turn(request) }
    }

    fn reply(&self) -> Box<dyn Reply> {
        Box::new(Answer(Stream::new(&ai_sdk::KIND)))
    }

    fn marks_calls(&self) -> bool {
        true
    }

    fn models(&self) -> &[String] {
        &self.models
    }
}

/// Returns the turn as JSON for the code.
fn turn(request: &AgentRequest) -> String {
    let mut turn = String::from("{\"round\":");
    turn.push_str(&to_json(&request.round));
    let mut add = |name: &str, json: &str| add_field(&mut turn, name, json);
    add("sessionId", &to_json(&request.session_id));
    add("requestId", &to_json(&request.request_id));
    add("answerId", &to_json(&request.answer_id));
    add("permissionMode", &to_json(&request.permission_mode));
    add("subject", &to_json(&request.subject));
    let metadata = request.messages.last().and_then(|message| message.metadata.as_ref());
    add("metadata", &to_json(&metadata));
    let mut session = String::from("{\"id\":");
    session.push_str(&to_json(&request.session_id));
    add_field(&mut session, "title", &to_json(&request.session_title));
    add_field(&mut session, "model", &to_json(&request.model));
    add_field(&mut session, "metadata", &to_json(&request.session_metadata));
    session.push('}');
    add("session", &session);
    for (name, value) in trace_headers(request) {
        add(name, &to_json(value));
    }
    let mut messages: Vec<String> = request.messages.iter().map(message).collect_vec();
    let own = request.answer.clone().map(|content| AgentMessage {
        id: request.answer_id.clone(),
        role: Role::Assistant,
        content,
        metadata: None,
    });
    messages.extend(own.as_ref().map(message));
    add("messages", &["[", &messages.join(","), "]"].concat());
    turn.push('}');
    turn
}

fn message(message: &AgentMessage) -> String {
    let mut json = ["{\"id\":", &to_json(&message.id)].concat();
    add_field(&mut json, "role", &to_json(&message.role));
    add_field(&mut json, "content", &to_json(&message.content));
    if let Some(metadata) = &message.metadata {
        add_field(&mut json, "metadata", &to_json(metadata));
    }
    json.push('}');
    json
}

/// Returns the kind that reads the body.
fn kind(name: AgentName) -> &'static Kind {
    match name {
        AgentName::OpenAi => &openai::KIND,
        AgentName::Responses => &responses::KIND,
        AgentName::Anthropic => &anthropic::KIND,
        AgentName::WorkersAi => &workers_ai::KIND,
        AgentName::AiSdk | AgentName::Worker | AgentName::Echo => &ai_sdk::KIND,
    }
}

impl Reply for Answer {
    fn part(&mut self, part: &str) -> Vec<AgentEvent> {
        self.0.part(part)
    }

    fn reads(&mut self, name: AgentName) {
        self.0 = Stream::new(kind(name));
    }

    fn push(&mut self, bytes: &[u8]) -> Vec<AgentEvent> {
        self.0.push(bytes)
    }

    fn finish(&mut self) -> Vec<AgentEvent> {
        self.0.finish()
    }

    fn refuse(&mut self, refusal: &Refusal) -> Vec<AgentEvent> {
        let message = match refusal {
            Refusal::Own(Some(public)) => public,
            Refusal::Own(None) => "the agent failed; the worker's log says why",
            // The code was not called yet.
            Refusal::NoFiles(_) | Refusal::NoBucket => {
                return self.fail(Failed { remedy: Remedy::Later { after_ms: None }, ..no_bucket_failure() });
            }
            _ => "AGENT=worker is for a class that extends Thread of the package bobbin and has onTurn",
        };
        self.fail(Failed::new(ErrorBody::fatal(ErrorCode::AgentError, message)))
    }

    fn fail(&mut self, failed: Failed) -> Vec<AgentEvent> {
        self.0.fail(failed)
    }

    fn tokens_used(&self) -> u64 {
        self.0.tokens_used()
    }

    fn is_running_tool(&self) -> bool {
        self.0.is_running_tool()
    }
}
