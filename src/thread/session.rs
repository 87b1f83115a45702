//! The session: what is kept of a thread beside its messages.

use serde::Serialize;
use serde_json::Value;

use crate::protocol::limits::PREVIEW_CHARS_MAX;
use crate::protocol::{
    CloseCode, Content, Identity, Millis, PermissionMode, Read, ServerFrame, Session, SessionUpdate,
    optional, required,
};

use super::access::Peer;
use super::store::{Checkpoint, Write};
use super::{Output, Thread};

/// What outlives hibernation with a socket.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Attachment {
    pub identity: Identity,
    /// Before the first message nothing is stored, so the sockets keep what was set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub draft: Option<Draft>,
}

/// What was set of a session that is not yet created.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Draft {
    pub title: Option<String>,
    pub permission_mode: PermissionMode,
    pub set_at: Millis,
}

impl Read for Attachment {
    fn read(value: &Value) -> Option<Self> {
        Some(Attachment { identity: required(value, "identity")?, draft: optional(value, "draft")? })
    }
}

impl Read for Draft {
    fn read(value: &Value) -> Option<Self> {
        Some(Draft {
            title: optional(value, "title")?,
            permission_mode: required(value, "permissionMode")?,
            set_at: required(value, "setAt")?,
        })
    }
}

impl Thread {
    /// The first message's writes; for later ones there are none.
    pub(super) fn create_session(
        &mut self,
        now: Millis,
        content: &Content,
        owner: Option<&str>,
    ) -> Vec<Write> {
        if self.session.is_some() {
            return Vec::new();
        }
        let draft = self.draft.take();
        self.session = Some(Session {
            title: draft.as_ref().and_then(|draft| draft.title.clone()),
            permission_mode: draft.map(|draft| draft.permission_mode).unwrap_or_default(),
            owner: owner.map(str::to_owned),
            first_message_preview: preview(&content.text()),
            ..blank_session(self.session_id.clone(), now)
        });
        self.checkpoint().map(Write::Create).into_iter().collect()
    }

    /// Counts a message in. The record that is committed with it says the same after a crash.
    pub(super) fn count_message(&mut self, now: Millis, tokens_used: u64) {
        if let Some(session) = &mut self.session {
            session.message_count = session.message_count.saturating_add(1);
            session.total_tokens = session.total_tokens.saturating_add(tokens_used);
            session.last_message_at = session.last_message_at.max(now);
        }
    }

    pub(super) fn update_session(&mut self, now: Millis, update: SessionUpdate) {
        if self.session.is_none() {
            return self.update_draft(now, update);
        }
        self.next_seq();
        if let Some(session) = &mut self.session {
            session.permission_mode = update.permission_mode.unwrap_or(session.permission_mode);
            session.title = update.title.unwrap_or_else(|| session.title.take());
        }
        let checkpoint = self.checkpoint();
        self.store(checkpoint.map(Write::Checkpoint).into_iter().collect());
        self.show_session();
    }

    fn update_draft(&mut self, now: Millis, update: SessionUpdate) {
        let before = self.draft.take();
        let (title, mode) = before.map(|draft| (draft.title, draft.permission_mode)).unwrap_or_default();
        self.draft = Some(Draft {
            title: update.title.unwrap_or(title),
            permission_mode: update.permission_mode.unwrap_or(mode),
            set_at: now,
        });
        let peers: Vec<_> = self.peers.keys().cloned().collect();
        for peer in peers {
            self.attach(peer);
        }
        self.show_session();
    }

    /// Ends this life of the log. The next message begins another, under an epoch of its own.
    pub(super) fn delete(&mut self) {
        if self.session.take().is_none() {
            return;
        }
        for turn in self.running_ids() {
            self.outputs.push_back(Output::AbortAgent { turn });
        }
        self.turns.clear();
        self.draft = None;
        self.epoch = self.next_epoch();
        self.outbox.session_deleted(self.seq);
        self.store(vec![Write::Delete]);
        for (peer, _) in std::mem::take(&mut self.peers) {
            let reason = "the session was deleted";
            self.outputs.push_back(Output::Close { peer, code: CloseCode::SessionDeleted, reason });
        }
    }

    /// Gives a socket what it must keep.
    pub(super) fn attach(&mut self, peer: super::PeerId) {
        let Some(Peer { identity, .. }) = self.peers.get(&peer) else { return };
        let attachment = Attachment { identity: identity.clone(), draft: self.draft.clone() };
        self.outputs.push_back(Output::Attach { peer, attachment });
    }

    /// The session as clients see it: before the first message, what was set of it, if anything was.
    pub(super) fn visible_session(&self) -> Option<Session> {
        self.session.clone().or_else(|| {
            self.draft.as_ref().map(|draft| Session {
                title: draft.title.clone(),
                permission_mode: draft.permission_mode,
                ..blank_session(self.session_id.clone(), draft.set_at)
            })
        })
    }

    pub(super) fn show_session(&mut self) {
        let cursor = self.head().to_string();
        if let Some(session) = self.visible_session() {
            self.send_all(ServerFrame::Session { cursor, session: &session }.encode());
        }
    }

    pub(super) fn checkpoint(&mut self) -> Option<Checkpoint> {
        let session = self.session.clone()?;
        self.outbox.saved = self.seq;
        self.outbox.saved_delivered = self.outbox.delivered;
        Some(Checkpoint {
            epoch: self.epoch,
            seq: self.seq,
            delivered: self.outbox.delivered,
            open: self.turns.keys().copied().collect(),
            session,
        })
    }
}

fn blank_session(id: String, created_at: Millis) -> Session {
    Session {
        id,
        title: None,
        first_message_preview: String::new(),
        message_count: 0,
        total_tokens: 0,
        permission_mode: PermissionMode::Default,
        created_at,
        last_message_at: created_at,
        owner: None,
    }
}

/// The beginning of a text on one line, cut at a word's end where there is one.
fn preview(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let Some((end, _)) = line.char_indices().nth(PREVIEW_CHARS_MAX) else { return line };
    let cut = line.get(..end).unwrap_or_default();
    let word_end = cut.rfind(' ').filter(|at| *at > end / 2).unwrap_or(end);
    format!("{}…", cut.get(..word_end).unwrap_or(cut))
}
