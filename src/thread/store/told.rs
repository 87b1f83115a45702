//! A record as clients are told of it: as a message of the history, and as an event of the log.
//!
//! **Invariant:** a frame depends only on the record and its cursor, so it is the same live and in a
//! catch-up.

use crate::protocol::{
    Content, Cursor, Message, MessageMetadata, Response, ResponseMetadata, Role, ServerFrame, Status, Word,
};

use super::ids::{answer_id, question_id};
use super::record::{Decision, Given, Record, RecordKind};
use crate::thread::answer::Answer;

impl Record {
    /// Returns the message as clients see it.
    #[must_use]
    pub fn message(&self, epoch: u64) -> Message {
        let complete = Word::Known(Status::Complete);
        let message = Message {
            id: self.message_id.clone(),
            request_id: self.request_id.clone(),
            role: Role::User,
            content: self.content.clone(),
            status: complete,
            created_at: self.created_at,
            tokens_used: None,
            error: None,
            author: None,
            metadata: None,
            parent_id: self.parent_id(epoch),
            client_id: self.begun().and_then(|begun| begun.client_id.clone()),
            versions: None,
            cursor: Cursor::at(epoch, self.seq).to_string(),
        };
        match self.kind.clone() {
            RecordKind::Question { author, metadata, fault, .. } => Message {
                status: if fault.is_some() { Status::Failed.into() } else { message.status },
                error: fault,
                author,
                metadata: metadata.map(MessageMetadata::Sent),
                ..message
            },
            RecordKind::Answer { status, error, metadata, .. } => Message {
                role: Role::Assistant,
                status,
                tokens_used: Some(metadata.tokens_used),
                error,
                metadata: Some(MessageMetadata::Answer(metadata)),
                ..message
            },
            _ => message,
        }
    }

    /// Returns the id of the message before it on its path.
    fn parent_id(&self, epoch: u64) -> Option<String> {
        match &self.kind {
            RecordKind::Answer { is_appended: false, parent, .. } => {
                Some(question_id(epoch, parent.unwrap_or(self.turn)))
            }
            RecordKind::Answer { parent, .. } => Some(answer_id(epoch, (*parent)?)),
            RecordKind::Question { parent, begun, .. } => {
                begun.old_id.clone().or_else(|| Some(answer_id(epoch, (*parent)?)))
            }
            _ => None,
        }
    }

    /// Returns the log event of this record, with the cursor after it; `None` if it has none, or if it is a
    /// `branch`.
    #[must_use]
    pub fn frame(&self, epoch: u64, cursor: Cursor) -> Option<ServerFrame> {
        let request_id = self.request_id.clone();
        let RecordKind::Answer { status, error, metadata, reason, .. } = &self.kind else {
            let is_event = !matches!(
                self.kind,
                RecordKind::Append { .. } | RecordKind::Regenerate { .. } | RecordKind::Select(_)
            );
            return is_event.then(|| self.event(epoch, cursor, request_id));
        };
        let response = Response::new(&self.content, metadata.clone());
        let (message_id, created_at) = (self.message_id.clone(), self.created_at);
        Some(match (status.known(), error.clone()) {
            (Some(Status::Cancelled), _) => {
                let reason = reason.clone();
                ServerFrame::Cancelled { cursor, request_id, message_id, created_at, response, reason }
            }
            (_, Some(error)) => {
                ServerFrame::Failed { cursor, request_id, error, message_id, created_at, response }
            }
            (_, None) => ServerFrame::Final { cursor, request_id, message_id, created_at, response },
        })
    }

    /// Returns the `branch` that a record is or comes with, given the messages that follow.
    #[must_use]
    pub fn branch_frame(&self, epoch: u64, cursor: Cursor, messages: Vec<Message>) -> Option<ServerFrame> {
        let after = self.branch()?.after.clone();
        let is_turn = matches!(self.kind, RecordKind::Regenerate { .. });
        let request_id = is_turn.then(|| self.request_id.clone());
        let answer_id = is_turn.then(|| self.answer_id(epoch));
        Some(ServerFrame::Branch { cursor, request_id, answer_id, after, messages })
    }

    /// Returns the event of a record that ends no turn.
    fn event(&self, epoch: u64, cursor: Cursor, request_id: String) -> ServerFrame {
        match &self.kind {
            RecordKind::Waiting { round, .. } => {
                let round = round.clone().unwrap_or_default();
                let answer = Answer::from_content(&self.content, round.events.as_ref());
                let tool_use_ids = answer.open_calls(&round.client_calls);
                ServerFrame::Waiting { cursor, request_id, tool_use_ids }
            }
            RecordKind::Decision(Some(decision)) => {
                let Decision { tool_use_id, approved, reason, by, .. } = decision.clone();
                ServerFrame::ToolDecided { cursor, request_id, tool_use_id, approved, reason, by }
            }
            RecordKind::Output(Some(Given { index, .. })) => {
                let index = usize::try_from(*index).unwrap_or_default();
                ServerFrame::Block { cursor, request_id, index, block: self.output() }
            }
            _ => ServerFrame::UserMessage {
                cursor,
                request_id,
                answer_id: self.answer_id(epoch),
                message: Box::new(self.message(epoch)),
            },
        }
    }
}

impl Response {
    fn new(content: &Content, metadata: ResponseMetadata) -> Self {
        let blocks = match content {
            Content::Text(_) => None,
            Content::Blocks(blocks) => Some(blocks.clone()),
        };
        Response { content: content.text(), blocks, metadata }
    }
}
