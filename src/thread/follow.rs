//! Programs that post by HTTP, and that may stay connected for the events of the turn that they began.

use crate::dialect::Dialect;
use crate::protocol::{ClientFrame, CloseCode, CollectVec, Cursor, FrameName, Identity, Millis, Post};

use super::access::{EXPIRED, Follows, Peer};
use super::store::{Record, Records, StoreError};
use super::{Origin, Output, PeerId, Thread};

impl Thread {
    /// Takes a program's post as if it came by a socket of its own.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn posted(
        &mut self,
        now: Millis,
        records: &dyn Records,
        peer: PeerId,
        identity: Identity,
        dialect: Dialect,
        post: Post,
        follows: bool,
    ) {
        if identity.has_expired(now) {
            self.outputs.push_back(Output::Close { peer, code: CloseCode::Unauthenticated, reason: EXPIRED });
            return;
        }
        let request_id = post.request_id.clone();
        let followed = if follows { Follows::Turn(request_id.clone()) } else { Follows::Nothing };
        self.enter(peer.clone(), identity, dialect, followed, false);
        let name = FrameName {
            kind: "message".into(),
            request_id: Some(request_id.clone()),
            tool_use_id: None,
            start: None,
        };
        if follows {
            self.attach(peer.clone());
        }
        let origin = Origin { peer: &peer, name: &name };
        // Any post counts as a message, so one kind of frame stands for all.
        let frame = ClientFrame::Regenerate { request_id, of: String::new() };
        if self.admits(now, origin, &frame)
            && let ClientFrame::Regenerate { request_id, .. } = frame
        {
            self.message(now, records, origin, &request_id, post.into(), None);
        }
        if !follows {
            self.leave(&peer);
        }
    }

    /// Returns whether a connection belongs to a program that posts, and not to a client.
    pub(super) fn posts(&self, peer: &PeerId) -> bool {
        self.peers.get(peer).is_some_and(|peer| peer.follows != Follows::Everything)
    }

    /// Detaches the followers of a turn that has ended or waits: they have got all they asked for.
    pub(super) fn unfollow(&mut self, request_id: &str) {
        let follows = |peer: &Peer| matches!(&peer.follows, Follows::Turn(turn) if turn == request_id);
        let followers = self.peers.iter().filter(|(_, peer)| follows(peer));
        let followers: Vec<PeerId> = followers.map(|(id, _)| id.clone()).collect_vec();
        for peer in followers {
            self.unfollow_peer(&peer, CloseCode::Normal);
        }
    }

    /// Sends the present state of a turn that was posted before.
    pub(super) fn show_turn(
        &mut self,
        records: &dyn Records,
        peer: &PeerId,
        begun: &Record,
        end: Option<&Record>,
    ) {
        self.show_from(records, peer, Vec::new(), begun, None, end);
    }

    /// Returns the answer's id for a `requestId` that was accepted before, and the cursor after it; `None` if
    /// it was not.
    ///
    /// # Errors
    /// If the store could not be read.
    pub fn accepted(
        &self,
        records: &dyn Records,
        request_id: &str,
    ) -> Result<Option<(String, Cursor)>, StoreError> {
        let begun = if self.session.is_some() { records.request(request_id)? } else { None };
        Ok(begun.map(|begun| (begun.answer_id(self.epoch), Cursor::at(self.epoch, begun.seq))))
    }
}
