//! Replaces an agent whose settings are wrong: every turn fails and says what to set.

use super::{Agent, AgentEvent, AgentRequest, Attempt, Call, Failed, Refusal, Reply};
use crate::protocol::{ErrorBody, ErrorCode};

/// An agent that fails every turn with the reason why it is not configured.
#[derive(Clone, Debug)]
pub struct Unconfigured {
    /// A sentence that names the wrong variable and says what would be right.
    pub why: String,
}

impl Agent for Unconfigured {
    fn call(&self, _: &AgentRequest, _: Attempt) -> Call {
        Call::Pieces { pieces: Vec::new(), delay_ms: 0 }
    }

    fn reply(&self) -> Box<dyn Reply> {
        Box::new(self.clone())
    }
}

impl Unconfigured {
    fn failed(&self) -> Vec<AgentEvent> {
        let message = format!("the agent is not configured: {}", self.why);
        let error = ErrorBody::fatal(ErrorCode::AgentError, message);
        vec![AgentEvent::Failed(Failed::new(error))]
    }
}

impl Reply for Unconfigured {
    fn push(&mut self, _: &[u8]) -> Vec<AgentEvent> {
        self.failed()
    }

    fn finish(&mut self) -> Vec<AgentEvent> {
        self.failed()
    }

    fn refuse(&mut self, _: &Refusal) -> Vec<AgentEvent> {
        self.failed()
    }

    fn fail(&mut self, _: Failed) -> Vec<AgentEvent> {
        self.failed()
    }

    fn tokens_used(&self) -> u64 {
        0
    }
}
