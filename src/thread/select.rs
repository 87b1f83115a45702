//! Selects a version of a message: the path through it becomes the current one.

use crate::protocol::{Content, ErrorBody, ErrorCode, Millis};

use super::path::Tree;
use super::session::preview;
use super::store::{Record, RecordKind, Records, StoreError};
use super::versions::{Change, count_up_to};
use super::{Origin, Thread, TurnId, unreadable};

impl Thread {
    /// Makes the path through a message the current one.
    pub(super) fn select(&mut self, now: Millis, records: &dyn Records, origin: Origin<'_>, id: &str) {
        let chosen = match self.turn_with(records, id) {
            Ok(Some((turn, is_answer))) => self.way_through(records, turn, is_answer),
            Ok(None) => {
                let message = "there is no message of this id in the thread";
                return self.refuse(origin, ErrorBody::fatal(ErrorCode::NotFound, message));
            }
            Err(error) => Err(error),
        };
        match chosen {
            Ok(Some((change, last))) => self.choose(now, records, &change, &last, id),
            Ok(None) => match self.at_the_end(records) {
                Ok(frame) => self.send_to(origin.peer, frame),
                Err(StoreError(_)) => self.refuse(origin, unreadable()),
            },
            Err(StoreError(_)) => self.refuse(origin, unreadable()),
        }
    }

    /// Returns the newest path through a message, with the record of its last turn; `None` if that is the
    /// current path.
    fn way_through(
        &self,
        records: &dyn Records,
        turn: TurnId,
        is_answer: bool,
    ) -> Result<Option<(Change, Record)>, StoreError> {
        let tree = Tree::new(records.starts(None)?);
        let last = tree.newest(turn, is_answer);
        if self.last_turn.as_ref().is_some_and(|(current, _)| tree.are_together(*current, last)) {
            return Ok(None);
        }
        let begun = records.begun_before(tree.end(last))?;
        let begun = begun.ok_or_else(|| StoreError("the last turn of a path is missing".into()))?;
        let count = count_up_to(records, &begun)?;
        Ok(Some((self.change(records, &tree.way(last), count)?, begun)))
    }

    fn choose(&mut self, now: Millis, records: &dyn Records, change: &Change, last: &Record, id: &str) {
        let first = match &change.after {
            Some(_) => None,
            None => records.events(change.path.beginning().saturating_sub(1), 1, 0).ok(),
        };
        let first = first.and_then(|page| page.records.into_iter().next());
        let at = self.leave_path(now, change);
        self.count_path(change.count, first.map(|first| preview(&first.content.words())));
        let seq = self.next_seq();
        let branch = self.go_to(change, seq);
        self.last_turn = Some((last.turn, last.old_answer_id()));
        let record = Record {
            seq,
            turn: last.turn,
            message_id: id.to_owned(),
            request_id: last.request_id.clone(),
            created_at: now,
            content: Content::default(),
            kind: RecordKind::Select(Some(branch)),
        };
        self.show_path(records, change, None);
        self.commit_path(record, Vec::new());
        self.show_session();
        self.join_commits(at);
    }
}
