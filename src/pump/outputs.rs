//! The pump carries out the thread's outputs one by one.

use crate::agent::{AgentEvent, Failed};
use crate::dialect::Dialect;
use crate::protocol::{ErrorBody, ErrorCode, ServerFrame};
use crate::thread::store::StoreError;
use crate::thread::{Audience, Input, Output, PeerId, TurnId};

use super::{Log, Platform, Pump};

impl<P: Platform> Pump<P> {
    /// Carries out one output. Returns the input that follows from it at once, if there is one.
    pub(super) fn carry_out(&mut self, output: Output) -> Result<Option<Input>, StoreError> {
        match output {
            Output::Store(commit) => self.platform.apply(commit)?,
            Output::Send { to: Audience::One(peer, dialect), frame, is_asked } => {
                self.note_refusal(&peer, &frame);
                self.send_to(&peer, dialect, &frame, is_asked);
            }
            Output::Send { to: Audience::All, frame, .. } => self.send_to_all(&frame),
            Output::StartAgent { turn } => {
                self.tell_start(turn);
                return Ok(self.call_agent(turn));
            }
            Output::AbortAgent { turn } => self.platform.abort_agent(turn),
            Output::Attach { peer, attachment } => self.platform.attach(&peer, attachment),
            Output::Close { peer, code, reason } => {
                self.note_close(&peer, code, reason);
                self.platform.close(&peer, code, reason);
            }
            Output::Holds { peer, dialect, frames, since, waits } => {
                self.hold(&peer, dialect, &frames, since, waits);
            }
            Output::Drop { peer } => self.platform.drop_request(&peer),
            Output::SetAlarm(at) => self.platform.set_alarm(at)?,
            Output::Deliver => return Ok(self.deliver()),
            Output::RemoveFiles => return Ok(self.remove_files()),
            Output::Log(event, trace) => self.platform.log(Log::Event(&event, trace.as_ref())),
        }
        Ok(None)
    }

    fn send_to(&mut self, peer: &PeerId, dialect: Dialect, frame: &ServerFrame, is_asked: bool) {
        let told = match dialect.stock() {
            None => vec![dialect.encode(frame)],
            Some(stock) => self.told_to(stock, dialect, frame),
        };
        for text in &told {
            self.send_text(peer, dialect, text, is_asked);
        }
    }

    pub(super) fn send_text(&mut self, peer: &PeerId, dialect: Dialect, text: &str, is_asked: bool) {
        self.platform.send(peer, text);
        let bytes = (text.len() as u64).saturating_add(dialect.wrap_bytes());
        if self.thread.as_mut().is_some_and(|thread| thread.sent(peer, bytes, is_asked)) {
            self.look();
        }
    }

    /// Encodes once for each dialect in use, whatever the number of sockets.
    fn send_to_all(&mut self, frame: &ServerFrame) {
        let request_id = frame.request_id().map(String::as_str);
        for dialect in [Dialect::Native, Dialect::Events] {
            if self.platform.is_spoken(dialect) {
                self.give_all(dialect, request_id, &dialect.encode(frame));
            }
        }
        self.tell_all(frame);
    }

    /// Sends a text to all peers of a dialect that follow this turn, or that follow everything.
    pub(super) fn give_all(&mut self, dialect: Dialect, request_id: Option<&str>, text: &str) {
        self.platform.send_to_all(dialect, request_id, text);
        let bytes = (text.len() as u64).saturating_add(dialect.wrap_bytes());
        if self.thread.as_mut().is_some_and(|thread| thread.sent_to_all(dialect, request_id, bytes)) {
            self.look();
        }
    }

    fn look(&mut self) {
        if let Some(thread) = &mut self.thread {
            thread.look(&self.platform.untaken());
        }
    }

    fn call_agent(&mut self, turn: TurnId) -> Option<Input> {
        match self.thread.as_mut()?.call(self.platform.records(), turn) {
            Ok(Some((call, enclosed))) => {
                self.platform.call_agent(turn, call, enclosed);
                None
            }
            Ok(None) => Some(Input::Unasked { turn }),
            Err(StoreError(why)) => {
                self.platform.log(Log::StoreFailed(&why));
                let message =
                    "the thread's history could not be read; send the message again under a new requestId";
                let error = ErrorBody::retryable(ErrorCode::StorageError, message);
                let events = vec![AgentEvent::Failed(Failed::new(error))];
                Some(Input::Agent { turn, events, tokens_used: 0 })
            }
        }
    }

    fn deliver(&mut self) -> Option<Input> {
        match self.thread.as_ref()?.delivery(self.platform.records()) {
            Ok(delivery) => {
                self.platform.deliver(delivery);
                None
            }
            Err(StoreError(why)) => {
                self.platform.log(Log::StoreFailed(&why));
                Some(Input::DeliveryFailed)
            }
        }
    }

    fn remove_files(&mut self) -> Option<Input> {
        match self.thread.as_ref()?.files_to_remove(self.platform.records()) {
            Ok(ids) if ids.is_empty() => Some(Input::FilesRemoved { ids }),
            Ok(ids) => {
                self.platform.remove_files(ids);
                None
            }
            Err(StoreError(why)) => {
                self.platform.log(Log::StoreFailed(&why));
                Some(Input::FilesNotRemoved)
            }
        }
    }
}
