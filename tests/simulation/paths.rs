//! A model of versions of a conversation: the turns, the turn that each follows, and the turn with which the path
//! ends. It knows nothing of segments.

use std::collections::{BTreeMap, BTreeSet};

use bobbin::protocol::Content;
use bobbin::thread::TurnId;
use bobbin::thread::store::{Commit, Record, RecordKind, Write};
use serde_json::{Value, json};

use super::Check;
use super::truth::Truth;
use super::view::text_of;

#[derive(Debug)]
struct Node {
    /// The turn before it.
    parent: Option<TurnId>,
    /// The turn that brought its question; `None` for an answer that nobody asked for.
    question: Option<TurnId>,
}

#[derive(Debug, Default)]
pub struct Paths {
    turns: BTreeMap<TurnId, Node>,
    /// The places of the log from which on the path ends with these turns.
    tails: Vec<(u64, Option<TurnId>)>,
    /// The number of messages that were shown where the path branched; unlimited if they were too many for a frame.
    pub shown: usize,
    pub has_branched: bool,
}

impl Paths {
    pub fn tail(&self) -> Option<TurnId> {
        self.tails.last().and_then(|(_, tail)| *tail)
    }

    fn tail_at(&self, seq: u64) -> Option<TurnId> {
        self.tails.iter().rev().find(|(from, _)| *from <= seq).and_then(|(_, tail)| *tail)
    }

    /// The turns of the path that ends with this one.
    pub fn turns_to(&self, mut tail: Option<TurnId>) -> BTreeSet<TurnId> {
        let mut turns = BTreeSet::new();
        while let Some(turn) = tail {
            turns.insert(turn);
            tail = self.turns.get(&turn).and_then(|node| node.parent);
        }
        turns
    }

    /// The turns that have these questions.
    pub fn questions_of(&self, turns: &BTreeSet<TurnId>) -> BTreeSet<TurnId> {
        turns.iter().filter_map(|turn| self.turns.get(turn)?.question).collect()
    }

    pub fn question_of(&self, turn: TurnId) -> Option<TurnId> {
        self.turns.get(&turn)?.question
    }

    /// The turn that a turn's question follows.
    pub fn parent_of(&self, turn: TurnId) -> Option<TurnId> {
        self.turns.get(&turn)?.parent
    }

    /// The newest path through a question or an answer.
    pub fn newest(&self, turn: TurnId, is_answer: bool) -> TurnId {
        if !is_answer {
            let answers = self.turns.iter().filter(|(_, node)| node.question == Some(turn));
            let newest = answers.map(|(answer, _)| *answer).max();
            return newest.map_or(turn, |newest| self.newest(newest, true));
        }
        let is_next = |(id, node): &(&TurnId, &Node)| {
            node.parent == Some(turn) && node.question.is_none_or(|question| question == **id)
        };
        let next = self.turns.iter().filter(is_next).map(|(id, node)| (*id, node.question.is_none())).max();
        next.map_or(turn, |(next, is_appended)| self.newest(next, is_appended))
    }
}

impl Truth {
    /// Whether a message is on the path that has these turns, with these questions.
    fn is_on(record: &Record, turns: &BTreeSet<TurnId>, questions: &BTreeSet<TurnId>) -> bool {
        if record.is_end() { turns.contains(&record.turn) } else { questions.contains(&record.turn) }
    }

    /// The messages of the path at a place of the log.
    pub fn path_at(&self, seq: u64) -> Vec<&str> {
        let has_branched = self.paths.has_branched;
        let tail = self.paths.tail_at(seq).filter(|_| has_branched);
        let turns = self.paths.turns_to(tail);
        let questions = self.paths.questions_of(&turns);
        let is_there = |record: &&Record| {
            record.seq <= seq && (!has_branched || Self::is_on(record, &turns, &questions))
        };
        self.records.iter().filter(is_there).map(|record| record.message_id.as_str()).collect()
    }

    pub fn path(&self) -> Vec<&str> {
        self.path_at(u64::MAX)
    }

    /// Tells whether a message is on the path, finished or not; `None` if there is no such message or turn.
    pub fn is_shown(&self, id: &str) -> Option<bool> {
        let (turn, is_answer) = self.turn_with(id)?;
        let turns = self.paths.turns_to(self.paths.tail());
        Some(if is_answer { turns.contains(&turn) } else { self.paths.questions_of(&turns).contains(&turn) })
    }

    /// The turn of a message, and whether it is the answer.
    pub fn turn_with(&self, id: &str) -> Option<(TurnId, bool)> {
        let answer = || self.turns.iter().find(|(turn, _)| id == format!("{}r", self.question_id(**turn)));
        let asked = self.records.iter().find(|record| record.message_id == id && !record.is_end());
        asked.map(|record| (record.turn, false)).or_else(|| answer().map(|(turn, _)| (*turn, true)))
    }

    fn question_id(&self, turn: TurnId) -> String {
        format!("{}{turn:x}", self.id_prefix)
    }

    /// The turn with the question that a turn of this `requestId` answers.
    pub fn question_named(&self, request_id: &str) -> Option<TurnId> {
        self.paths.question_of(self.turn_id(request_id)?)
    }

    pub fn is_question_shown(&self, question: TurnId) -> bool {
        let turns = self.paths.turns_to(self.paths.tail());
        self.paths.questions_of(&turns).contains(&question)
    }

    /// Begins a turn or chooses a path. It must follow the turn that the frame names.
    pub fn go_on(&mut self, record: &Record) -> Check {
        let (tail, seq) = (self.paths.tail(), record.seq);
        if let Some(branch) = record.branch() {
            self.paths.has_branched = true;
            self.paths.shown += branch.messages.as_ref().map_or(1_000, Vec::len);
        }
        let named = |of: &Option<String>| match of {
            None => Ok(None),
            Some(of) => self.question_named(of).map(Some).ok_or(format!("no turn {of}")),
        };
        let (parent, node, before) = match &record.kind {
            RecordKind::Question { parent, begun, .. } => {
                let replaced = named(&begun.of)?;
                let wanted = replaced.map_or(tail, |replaced| self.paths.turns[&replaced].parent);
                if replaced.is_some_and(|replaced| !self.is_question_shown(replaced)) {
                    return Err(format!("{} replaces what is not on the path", record.request_id));
                }
                let node = Node { parent: wanted, question: Some(seq) };
                ((*parent, wanted), node, replaced.map(|_| wanted))
            }
            RecordKind::Regenerate { question, begun, .. } => {
                let wanted = named(&begun.of)?.ok_or("an answer to nothing")?;
                if !self.is_question_shown(wanted) {
                    return Err(format!("{} answers what is not on the path", record.request_id));
                }
                let node = Node { parent: self.paths.turns[&wanted].parent, question: Some(wanted) };
                ((Some(*question), Some(wanted)), node, None)
            }
            RecordKind::Append { parent, .. } => {
                ((*parent, tail), Node { parent: tail, question: None }, None)
            }
            RecordKind::Select(_) => {
                let (turn, is_answer) = self.turn_with(&record.message_id).ok_or("a choice of nothing")?;
                let newest = self.paths.newest(turn, is_answer);
                self.paths.tails.push((seq, Some(newest)));
                return if newest == record.turn && tail != Some(newest) {
                    Ok(())
                } else {
                    Err(format!("{record:?} where {newest} is the newest"))
                };
            }
            _ => return Ok(()),
        };
        if parent.0 != parent.1 {
            return Err(format!("{} follows {:?}, and not {:?}", record.request_id, parent.0, parent.1));
        }
        let begun = record.begun().ok_or("no beginning")?;
        let is_branch = begun.of.is_some();
        if is_branch != begun.branch.is_some() {
            return Err(format!("{record:?} says nothing of its branch"));
        }
        if let Some(before) = before {
            self.paths.tails.push((seq - 1, before));
        }
        self.paths.turns.insert(seq, node);
        self.paths.tails.push((seq, Some(seq)));
        let turns = self.paths.turns_to(Some(seq));
        let count: u64 =
            turns.iter().map(|turn| 1 + u64::from(self.paths.question_of(*turn).is_some())).sum();
        if begun.count != Some(count) && !self.is_session_torn {
            return Err(format!("{} counts {:?} messages, and not {count}", record.request_id, begun.count));
        }
        Ok(())
    }

    /// The turns that a commit with a branch leaves on the path; `None` if it has none.
    pub fn staying(&self, commit: &Commit) -> Option<BTreeSet<TurnId>> {
        let record = commit.0.iter().find_map(|write| match write {
            Write::Append(record) if record.branch().is_some() => Some(record),
            _ => None,
        })?;
        let tail = if let RecordKind::Select(_) = record.kind {
            let (turn, is_answer) = self.turn_with(&record.message_id)?;
            Some(self.paths.newest(turn, is_answer))
        } else {
            let question = self.question_named(record.begun()?.of.as_ref()?)?;
            self.paths.turns[&question].parent
        };
        Some(self.paths.turns_to(tail))
    }

    /// Checks that the committed path is that of the model.
    pub fn check_path(&self, commit: &Commit) -> Check {
        let Some(checkpoint) = commit.0.iter().rev().find_map(|write| match write {
            Write::Checkpoint(checkpoint) => Some(checkpoint),
            _ => None,
        }) else {
            return Ok(());
        };
        if !self.paths.has_branched {
            return if checkpoint.path.is_whole() { Ok(()) } else { Err("there are no versions".into()) };
        }
        let turns = self.paths.turns_to(self.paths.tail());
        let questions = self.paths.questions_of(&turns);
        for record in &self.records {
            if checkpoint.path.contains(record.seq) != Self::is_on(record, &turns, &questions) {
                return Err(format!(
                    "message {} is on one of {:?} and {turns:?} alone",
                    record.seq, checkpoint.path
                ));
            }
        }
        let (counted, count) = (checkpoint.session.message_count, self.path().len() as u64);
        if counted != count && !self.is_session_torn {
            return Err(format!("{counted} messages are counted, and not {count}"));
        }
        Ok(())
    }

    /// Checks that a message says which message it follows, and which of its versions it is.
    pub fn check_lineage(&self, message: &Value) -> Check {
        if !self.paths.has_branched {
            return Ok(());
        }
        let (turn, is_answer) = self.turn_with(text_of(message, "id")).ok_or("a message of no turn")?;
        let answer_id = |turn: TurnId| format!("{}r", self.question_id(turn));
        let (before, question) = (self.paths.turns[&turn].parent, self.paths.question_of(turn));
        let parent = match question {
            Some(question) if is_answer => Some(self.question_id(question)),
            _ => before.map(answer_id),
        };
        let is_beside = |(id, node): &(&TurnId, &Node)| match question {
            Some(_) if is_answer => node.question == question,
            Some(_) => node.parent == before && node.question == Some(**id),
            None => **id == turn,
        };
        let beside: Vec<TurnId> = self.paths.turns.iter().filter(is_beside).map(|(id, _)| *id).collect();
        let index = beside.iter().position(|id| *id == turn).ok_or("no version of itself")?;
        let id = |index: usize| {
            let turn = *beside.get(index)?;
            Some(if is_answer { answer_id(turn) } else { self.question_id(turn) })
        };
        let mut versions = json!({ "index": index, "count": beside.len() });
        if let Some(previous) = index.checked_sub(1).and_then(id) {
            versions["previous"] = json!(previous);
        }
        if let Some(next) = id(index + 1) {
            versions["next"] = json!(next);
        }
        let versions = if beside.len() > 1 { versions } else { Value::Null };
        let parent = parent.map_or(Value::Null, Value::from);
        if message["parentId"] == parent && message["versions"] == versions {
            return Ok(());
        }
        Err(format!("{message} follows {parent}, and of its versions it is {versions}"))
    }

    /// Checks that an agent is given the path before its question, and the question. The path has the finished turns,
    /// without those that failed before anything was said.
    pub fn check_told(&self, turn: TurnId, told: &[(String, Content)]) -> Check {
        let Some(question) = self.paths.question_of(turn) else { return Err("no question".into()) };
        let before = self.paths.turns_to(self.paths.turns[&question].parent);
        let mut wanted: Vec<&str> = Vec::new();
        for turn in before {
            let end = self.records.iter().find(|record| record.turn == turn && record.is_end());
            let Some(end) = end.filter(|end| !end.is_bare_failure()) else { continue };
            let asked = self.paths.question_of(turn);
            let asked = self.records.iter().find(|record| asked == Some(record.seq));
            if asked.is_none() && wanted.is_empty() {
                continue;
            }
            wanted.extend(asked.map(|asked| asked.message_id.as_str()));
            wanted.push(&end.message_id);
        }
        let own = self.records.iter().find(|record| record.seq == question).ok_or("no question")?;
        wanted.push(&own.message_id);
        let told: Vec<&str> = told.iter().map(|(id, _)| id.as_str()).collect();
        // An agent may ask for less of a long history.
        if wanted.ends_with(&told) {
            return Ok(());
        }
        Err(format!("the agent of {turn} is told {told:?} where the path is {wanted:?}"))
    }
}
