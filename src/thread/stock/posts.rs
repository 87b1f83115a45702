//! The messages that stock clients send. They name messages by ids of their own, so this module finds the turn that
//! such an id stands for.

use crate::protocol::limits::{PAYLOAD_BYTES_MAX, SNAPSHOT_MESSAGES_MAX};
use crate::protocol::{ClientFrame, Millis, Post, ServerFrame, Since};
use crate::thread::store::{Record, RecordKind, Records, StoreError};
use crate::thread::turns::Sent;
use crate::thread::{Audience, Origin, Output, Thread, unreadable};

impl Thread {
    /// Handles a request to answer a message again that the thread knows under another name.
    pub(super) fn take_run(&mut self, now: Millis, records: &dyn Records, origin: Origin<'_>, post: Post) {
        let known = records.request(&post.request_id).and_then(|own| match (own, &post.client_id) {
            (None, Some(id)) => self.message_with(records, id),
            (Some(Record { kind: RecordKind::Regenerate { begun, .. }, .. }), _) => Ok(begun.of),
            _ => Ok(None),
        });
        match known {
            Ok(None) => self.follow_post(now, records, origin, post, Vec::new()),
            Ok(of) => {
                let post = Post { request_id: post.request_id, regenerates: of, ..Post::default() };
                self.follow_post(now, records, origin, post, Vec::new());
            }
            Err(StoreError(_)) => self.refuse(origin, unreadable()),
        }
    }

    /// The `requestId` of a message that clients know by this id, if it is one of the newest.
    fn message_with(&self, records: &dyn Records, id: &str) -> Result<Option<String>, StoreError> {
        if self.session.is_none() {
            return Ok(None);
        }
        let page = records.before(self.path(), u64::MAX >> 1, SNAPSHOT_MESSAGES_MAX, PAYLOAD_BYTES_MAX)?;
        let is_it = |record: &&Record| {
            let client_id = record.begun().and_then(|begun| begun.client_id.as_deref());
            !record.is_end() && (client_id == Some(id) || record.message_id == id)
        };
        Ok(page.records.iter().find(is_it).map(|record| record.request_id.clone()))
    }

    /// Finds the version of a message that is on the current path, or else its first version, and chooses a
    /// `requestId` for one more. Returns `None` if the thread does not know the message.
    pub(super) fn versions_of(
        &self,
        records: &dyn Records,
        first: &str,
        message_id: &str,
    ) -> Result<Option<(String, String)>, StoreError> {
        if self.session.is_none() {
            return Ok(None);
        }
        let (mut current, mut number, mut name) = (None, 1_u64, first.to_owned());
        while let Some(known) = records.request(&name)? {
            if current.is_none() || self.path().contains(known.turn) {
                current = Some(name);
            }
            number = number.saturating_add(1);
            name = [first, ".", &number.to_string()].concat();
        }
        if number == 1 {
            // A client of the native dialect sent it.
            let turn = self.turn_with(records, message_id)?;
            let known = turn.map(|(turn, _)| records.these(&[turn])).transpose()?;
            current = known.and_then(|mut known| known.pop()).map(|known| known.request_id);
            name = [first, ".2"].concat();
        }
        Ok(current.map(|current| (current, name)))
    }

    pub(super) fn follow_post(
        &mut self,
        now: Millis,
        records: &dyn Records,
        origin: Origin<'_>,
        post: Post,
        held: Vec<ServerFrame>,
    ) {
        self.follow_turn(origin.peer, post.request_id.clone());
        self.take_post(now, records, origin, post, held);
    }

    /// Takes a message. The client already holds everything of the turns that form one message with it.
    pub(super) fn take_post(
        &mut self,
        now: Millis,
        records: &dyn Records,
        origin: Origin<'_>,
        post: Post,
        held: Vec<ServerFrame>,
    ) {
        let frame = ClientFrame::Regenerate { request_id: post.request_id.clone(), of: String::new() };
        if !self.admits(now, origin, &frame) {
            return;
        }
        if let (false, Audience::One(peer, dialect)) = (held.is_empty(), self.audience(origin.peer)) {
            let since = Since::GoingOn(0);
            self.outputs.push_back(Output::Holds { peer, dialect, frames: held, since, waits: false });
        }
        let request_id = post.request_id.clone();
        self.message(now, records, origin, &request_id, Sent::from(post), None);
    }
}
