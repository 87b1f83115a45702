//! Selects the messages of the thread that go into the call of a turn's agent.

use crate::agent::{AgentMessage, AgentRequest, Call, Enclosed};
use crate::protocol::{Role, Trace};

use super::path::END;
use super::store::{Record, Records, StoreError, answer_id};
use super::turn::Turn;
use super::{Config, Thread, TurnId};

impl Thread {
    /// Returns the call to make for a running turn, and the files that belong in it. Returns `None` if all
    /// ways to ask are used up; then [`Input::Unasked`](super::Input::Unasked) must follow.
    ///
    /// # Errors
    /// If the store could not be read.
    pub fn call(
        &mut self,
        records: &dyn Records,
        turn: TurnId,
    ) -> Result<Option<(Call, Enclosed)>, StoreError> {
        let span = self.next_span(turn);
        let mut request = AgentRequest { trace: span, ..self.agent_request(records, turn)? };
        let attempt = self.running_mut(turn).map(|running| running.attempt()).unwrap_or_default();
        let Some(omitted) = attempt.omitted(&request.messages) else { return Ok(None) };
        request.messages.drain(..omitted);
        let enclosed = self.enclose(records, turn, &mut request)?;
        if let Some(running) = self.running_mut(turn) {
            running.asked(&request, omitted);
        }
        Ok(Some((self.agent.call(&request, attempt), enclosed)))
    }

    /// Returns a new span: each call of an agent is one of its own in the trace.
    fn next_span(&mut self, turn: TurnId) -> Option<Trace> {
        let trace = self.turns.get(&turn)?.trace.clone()?.child(self.next_random());
        self.turns.get_mut(&turn)?.trace = Some(trace.clone());
        Some(trace)
    }

    /// Builds the request for the agent of a running turn: the messages of the finished turns before it,
    /// starting with a user's message, and its own. It leaves out a turn that failed before its agent said
    /// anything, because its question may be the cause. It also leaves out a turn whose question cannot be
    /// read.
    fn agent_request(&self, records: &dyn Records, turn: TurnId) -> Result<AgentRequest, StoreError> {
        let Config { agent_messages, agent_bytes, .. } = self.config;
        let running = self.turns.get(&turn);
        let question = running.map_or(turn, |running| running.question(turn));
        let newest = records.before(&self.path, END, agent_messages, agent_bytes)?;
        let mut said = newest.records;
        let own = match said.iter().position(|record| record.seq == question) {
            Some(place) => Some(said.swap_remove(place)),
            None => records.these(&[question])?.pop(),
        };
        let own = own.filter(|own| !own.is_unreadable());
        let own = own.ok_or_else(|| StoreError("the turn's message is missing or cannot be read".into()))?;
        let request_id = running.map_or_else(|| own.request_id.clone(), |running| running.request_id.clone());
        let subject = own.author().map(str::to_owned);
        said.sort_unstable_by_key(|record| (record.turn, record.seq));
        let mut messages: Vec<AgentMessage> = Vec::new();
        let mut left_out = None;
        for record in said {
            let of = record.question().unwrap_or(record.turn);
            if record.is_unreadable() {
                left_out = Some(of);
            }
            let is_open = || self.turns.iter().any(|(id, turn)| turn.question(*id) == of);
            if record.turn >= question || is_open() || left_out == Some(of) {
                continue;
            }
            if record.is_bare_failure() {
                // The question stands right before its answer, unless it is older than the page that was
                // read.
                messages.pop_if(|last| last.role == Role::User);
            } else if !(messages.is_empty() && record.is_end()) {
                messages.push(agent_message(record));
            }
        }
        messages.push(agent_message(own));
        Ok(AgentRequest {
            session_id: self.session_id.clone(),
            answer_id: answer_id(self.epoch, turn),
            request_id,
            permission_mode: self.permission_mode(),
            model: self.session.as_ref().and_then(|session| session.model.clone()),
            subject,
            round: running.and_then(Turn::running).map_or(1, |running| running.calls),
            session_title: self.session.as_ref().and_then(|session| session.title.clone()),
            session_metadata: self.session.as_ref().and_then(|session| session.metadata.clone()),
            trace: None,
            messages,
            answer: running
                .and_then(Turn::running)
                .filter(|running| running.calls > 1)
                .map(|it| it.answer.content()),
        })
    }
}

fn agent_message(record: Record) -> AgentMessage {
    let role = if record.is_end() { Role::Assistant } else { Role::User };
    let metadata = record.sent_metadata().cloned();
    AgentMessage { id: record.message_id, role, content: record.content, metadata }
}
