//! An agent whose words come from the test.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use bobbin::agent::{Agent, AgentEvent, AgentRequest, Attempt, Call, Failed, Refusal, Reply};

/// An agent that makes no real call: its output comes from the test.
#[derive(Debug)]
pub struct Scripted {
    /// The agent's last request.
    pub asked: RefCell<Option<AgentRequest>>,
    /// Whether it is running a tool.
    pub is_running_tool: Rc<Cell<bool>>,
    /// Parses the output, if that is given as bytes.
    reader: Option<Rc<dyn Agent>>,
}

impl Scripted {
    pub fn new(reader: Option<Rc<dyn Agent>>) -> Self {
        Scripted { asked: RefCell::default(), is_running_tool: Rc::default(), reader }
    }
}

impl Agent for Scripted {
    fn call(&self, request: &AgentRequest, _: Attempt) -> Call {
        self.asked.replace(Some(request.clone()));
        Call::Pieces { pieces: Vec::new(), delay_ms: 0 }
    }

    fn reply(&self) -> Box<dyn Reply> {
        let silent = || Box::new(Silent { is_running_tool: self.is_running_tool.clone() }) as Box<dyn Reply>;
        self.reader.as_ref().map_or_else(silent, |agent| agent.reply())
    }
}

/// Parses nothing, because the agent's output is given as events.
#[derive(Debug)]
struct Silent {
    is_running_tool: Rc<Cell<bool>>,
}

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

    fn is_running_tool(&self) -> bool {
        self.is_running_tool.get()
    }

    fn tokens_used(&self) -> u64 {
        0
    }
}
