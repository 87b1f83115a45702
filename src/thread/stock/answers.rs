//! The answers of stock clients to an agent's calls. Such a client sends its answers with the whole conversation, so
//! the thread must find the turn that they belong to.

use crate::protocol::{
    Block, CallAnswers, ClientFrame, CollectVec, Content, ErrorBody, ErrorCode, Millis, Post, Status,
    ToolAnswer, ToolSaid,
};
use crate::thread::answer::Answer;
use crate::thread::store::{Record, RecordKind, Records, StoreError};
use crate::thread::turn::Turn;
use crate::thread::{Origin, Thread, TurnId, unreadable};

impl Thread {
    /// Finds the unfinished turn that made these calls.
    pub(super) fn answered_turn(
        &self,
        records: &dyn Records,
        answers: &CallAnswers,
    ) -> Result<Option<TurnId>, StoreError> {
        for (id, turn) in self.turns.iter() {
            if turn.answer().is_some() {
                let is_it = if answers.answer_id.is_empty() {
                    Self::has_any_call(turn, &answers.said)
                } else {
                    let chain = Self::chain(records, *id)?;
                    chain.first().is_some_and(|head| head.answer_id(self.epoch) == answers.answer_id)
                };
                if is_it {
                    return Ok(Some(*id));
                }
            }
        }
        Ok(None)
    }

    /// Whether a turn has any of these calls.
    fn has_any_call(turn: &Turn, said: &[(String, ToolSaid)]) -> bool {
        let answer = turn.answer();
        said.iter().any(|(name, _)| answer.is_some_and(|answer| answer.call_named(name).is_some()))
    }

    /// Takes the answers to calls that are open. The other calls were answered before, perhaps by another client, and
    /// the first answer counts. Returns whether the sender has the right to answer.
    pub(super) fn say(
        &mut self,
        now: Millis,
        origin: Origin<'_>,
        by: Option<&String>,
        id: TurnId,
        CallAnswers { said, .. }: &CallAnswers,
    ) -> bool {
        let Some(request_id) = self.turns.get(&id).map(|turn| turn.request_id.clone()) else { return true };
        let mut is_admitted = false;
        for (name, said) in said {
            let answer = self.turns.get(&id).and_then(Turn::answer);
            let tool_use_id = answer.and_then(|answer| answer.call_named(name)).unwrap_or(name).to_owned();
            let answer = ToolAnswer { request_id: request_id.clone(), tool_use_id, said: said.clone() };
            match self.takes_answer(&answer) {
                Ok(true) => {
                    let frame = ClientFrame::Answer(answer.clone());
                    if !std::mem::replace(&mut is_admitted, true) && !self.admits(now, origin, &frame) {
                        return false;
                    }
                    self.take_answer(now, Some(origin.peer), by.cloned(), answer);
                }
                Err(error) if error.code == ErrorCode::MessageTooLarge => {
                    self.refuse(origin, error);
                    return false;
                }
                _ => {}
            }
        }
        true
    }

    /// Takes results for the calls with which the last turn ended. They become a message, and its answer continues
    /// that turn's answer.
    pub(super) fn answer_last(
        &mut self,
        now: Millis,
        records: &dyn Records,
        origin: Origin<'_>,
        answers: CallAnswers,
    ) {
        let (chain, post) = match self.last_open(records, answers) {
            Ok(Some(found)) => found,
            Ok(None) => {
                let message = "this answer is over, and waits for nothing; load the chat again";
                return self.refuse(origin, ErrorBody::fatal(ErrorCode::NotFound, message));
            }
            Err(StoreError(_)) => return self.refuse(origin, unreadable()),
        };
        let Ok(held) = self.frames_of(records, &chain, &post.request_id) else {
            return self.refuse(origin, unreadable());
        };
        self.follow_post(now, records, origin, post, held);
    }

    /// Finds the open calls of the last turn, if that turn is complete, is shown under this id and ended with calls
    /// that have no result. Returns the questions of its message, and a new message made of the given results. A client
    /// that answers one of the last calls was told the whole turn. Its results for earlier calls that have none are taken
    /// too, because it shows them.
    fn last_open(
        &self,
        records: &dyn Records,
        CallAnswers { answer_id, said, .. }: CallAnswers,
    ) -> Result<Option<(Vec<Record>, Post)>, StoreError> {
        let Some(last) = self.last_turn.as_ref().map(|(last, _)| *last) else { return Ok(None) };
        let chain = Self::chain(records, last)?;
        let is_it =
            answer_id.is_empty() || chain.first().is_some_and(|head| head.answer_id(self.epoch) == answer_id);
        let is_complete = |end: &Record| matches!(&end.kind, RecordKind::Answer { status, .. } if *status == Status::Complete);
        let Some(end) = records.end(last)?.filter(|end| is_it && is_complete(end)) else {
            // The calls may have been answered before. The last turn is then that answer's own.
            return Ok(None);
        };
        let (open, settled) = (unanswered(&end.content), Self::settled(records, last, &end)?);
        let knows_end = said.iter().any(|(id, said)| {
            matches!(said, ToolSaid::Output(_))
                && open.contains(id)
                && calls(&end.content).skip(settled).any(|call| call == id)
        });
        let results = said.into_iter().filter_map(|(id, said)| match said {
            ToolSaid::Output(block) if open.contains(&id) => Some(*block),
            // A decision comes too late, because the call was decided before.
            _ => None,
        });
        let request_id = ["t-", &end.message_id].concat();
        let content = Content::Blocks(results.collect_vec());
        let post = Post { request_id, content, ..Post::default() };
        Ok(knows_end.then_some((chain, post)))
    }

    /// Counts the calls of a finished turn that came before it last continued after a wait. People had answered those
    /// that wait for people, and the agent continued without results for the others.
    fn settled(records: &dyn Records, turn: TurnId, end: &Record) -> Result<usize, StoreError> {
        let Some(waited) = records.rounds(turn, u64::MAX >> 1)?.into_iter().next() else { return Ok(0) };
        let RecordKind::Waiting { round: Some(round), .. } = &waited.kind else { return Ok(0) };
        let told = Answer::from_content(&waited.content, round.events.as_ref());
        let went_on = end.answer().block_events() > told.block_events();
        Ok(if went_on { calls(&waited.content).count() } else { 0 })
    }
}

/// Returns the calls of an answer that have no result.
fn unanswered(content: &Content) -> Vec<String> {
    let Content::Blocks(blocks) = content else { return Vec::new() };
    let has_result = |id: &String| {
        blocks.iter().any(|it| matches!(it, Block::ToolResult { tool_use_id, .. } if tool_use_id == id))
    };
    calls(content).filter(|id| !has_result(id)).cloned().collect_vec()
}

fn calls(content: &Content) -> impl Iterator<Item = &String> {
    let blocks = match content {
        Content::Text(_) => &[],
        Content::Blocks(blocks) => blocks.as_slice(),
    };
    blocks.iter().filter_map(|block| match block {
        Block::ToolUse { id, .. } => Some(id),
        _ => None,
    })
}
