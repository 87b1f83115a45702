//! Handling of a client's frame: checks who may send it, hands it to the right part of the thread, and
//! answers a refusal.

use crate::protocol::{ClientFrame, ErrorBody, FrameName, Millis, Received, ServerFrame, is_request_id};

use super::events::{self, Event};
use super::store::Records;
use super::turns::Sent;
use super::{PeerId, Thread};

/// The sender of a frame, with all that a refusal needs.
#[derive(Clone, Copy)]
pub(super) struct Origin<'a> {
    pub(super) peer: &'a PeerId,
    pub(super) name: &'a FrameName,
}

impl Thread {
    pub(super) fn frame(&mut self, now: Millis, records: &dyn Records, peer: &PeerId, received: Received) {
        if !self.peers.contains_key(peer) {
            return;
        }
        let origin = Origin { peer, name: &received.name };
        match received.frame {
            Ok(frame) => self.client_frame(now, records, origin, frame),
            Err(error) => {
                self.refuse(origin, error);
                self.count_invalid(peer);
            }
        }
    }

    fn client_frame(&mut self, now: Millis, records: &dyn Records, origin: Origin<'_>, frame: ClientFrame) {
        let peer = origin.peer;
        // The server decides how many checks there are, so answering them uses up no allowance.
        if matches!(frame, ClientFrame::Check { n } if self.checked(peer, n)) {
            return;
        }
        if !self.admits(now, origin, &frame) {
            return;
        }
        match frame {
            ClientFrame::Message { request_id, content, thread_id, metadata, after, replaces } => {
                let sent = Sent { content, metadata, after, of: replaces, ..Sent::default() };
                self.message(now, records, origin, &request_id, sent, thread_id.as_deref());
            }
            ClientFrame::Regenerate { request_id, of } => {
                self.regenerate(now, records, origin, &request_id, of);
            }
            ClientFrame::Select { message_id } => self.select(now, records, origin, &message_id),
            ClientFrame::Cancel { request_id } => self.cancel(now, Some(peer), request_id.as_deref()),
            ClientFrame::Answer(answer) => self.answer_call(now, origin, answer),
            ClientFrame::SessionSync { cursor } => self.sync(now, records, origin, cursor.as_deref()),
            ClientFrame::SessionUpdate(update) => self.change_session(now, origin, update),
            ClientFrame::Check { .. } => {}
            ClientFrame::Ping => self.send_to(peer, ServerFrame::Pong),
        }
    }

    pub(super) fn refuse(&mut self, origin: Origin<'_>, error: ErrorBody) {
        let FrameName { kind, request_id, tool_use_id, start } = origin.name.clone();
        let code = error.code.clone();
        let frame = ServerFrame::Refused {
            refused: kind,
            request_id: request_id.clone(),
            tool_use_id,
            frame: start,
            error,
        };
        self.send_to(origin.peer, frame);
        if self.posts(origin.peer) {
            // A program sends only one frame.
            self.peers.remove(origin.peer);
        }
        events::count(&mut self.counters.refusals);
        // The log must not contain anything that a user wrote, and an invalid `requestId` may be anything.
        let request_id = request_id.filter(|id| is_request_id(id));
        self.log(Event::Refused { connection_id: origin.peer.clone(), request_id, code });
    }
}
