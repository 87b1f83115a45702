//! An agent whose words come from the test.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use bobbin::agent::{Agent, AgentEvent, AgentRequest, Attempt, Call, Failed, Refusal, Reply};

/// An agent that calls nobody: what it says comes from the test.
#[derive(Debug)]
pub struct Scripted {
    /// What it was asked last.
    pub asked: RefCell<Option<AgentRequest>>,
    /// Whether it runs tools itself.
    pub runs_tools: Cell<bool>,
    /// Reads what comes back, where that is bytes.
    reader: Option<Rc<dyn Agent>>,
}

impl Scripted {
    pub fn new(reader: Option<Rc<dyn Agent>>) -> Self {
        Scripted { asked: RefCell::default(), runs_tools: Cell::default(), reader }
    }
}

impl Agent for Scripted {
    fn call(&self, request: &AgentRequest, _: Attempt) -> Call {
        self.asked.replace(Some(request.clone()));
        Call::Pieces { pieces: Vec::new(), delay_ms: 0 }
    }

    fn runs_tools(&self) -> bool {
        self.runs_tools.get()
    }

    fn reply(&self) -> Box<dyn Reply> {
        self.reader.as_ref().map_or_else(|| Box::new(Silent) as Box<dyn Reply>, |agent| agent.reply())
    }
}

/// Reads nothing: what the agent says comes as events.
#[derive(Debug)]
struct Silent;

impl Reply for Silent {
    fn push(&mut self, _: &[u8]) -> Vec<AgentEvent> {
        Vec::new()
    }

    fn finish(&mut self) -> Vec<AgentEvent> {
        Vec::new()
    }

    fn refuse(&mut self, _: &Refusal) -> Vec<AgentEvent> {
        Vec::new()
    }

    fn fail(&mut self, failed: Failed) -> Vec<AgentEvent> {
        vec![AgentEvent::Failed(failed)]
    }

    fn tokens_used(&self) -> u64 {
        0
    }
}
