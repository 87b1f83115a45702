//! The session: the data that a thread keeps beside its messages.

use crate::protocol::json::OtherFields;
use crate::protocol::limits::PREVIEW_CHARS_MAX;
use crate::protocol::{
    CloseCode, CollectVec, Content, ErrorBody, ErrorCode, Millis, PermissionMode, ServerFrame, Session,
    SessionState, SessionUpdate, joined,
};

use super::access::{Follows, Peer};
use super::attachment::{Attachment, Draft};
use super::events::Event;
use super::store::{Checkpoint, Write};
use super::{Origin, Output, PeerId, Thread};

impl Thread {
    /// Creates the session with its first message and returns the writes for that; later returns none.
    pub(super) fn create_session(&mut self, now: Millis, content: &Content, peer: &PeerId) -> Vec<Write> {
        if self.session.is_some() {
            return Vec::new();
        }
        let Some(Peer { identity, draft, .. }) = self.peers.get(peer).cloned() else { return Vec::new() };
        for (_, peer) in self.peers.iter_mut() {
            peer.draft = None;
        }
        self.session = Some(Session {
            owner: identity.subject,
            first_message_preview: preview(&content.words()),
            ..self.drafted_session(now, draft.as_ref())
        });
        self.assign_database();
        self.checkpoint().map(Write::Create).into_iter().collect_vec()
    }

    /// Counts a message. After a crash it is counted again from its record, which is in the same commit.
    pub(super) fn count_message(&mut self, now: Millis, tokens_used: u64) {
        if let Some(session) = &mut self.session {
            session.message_count = session.message_count.saturating_add(1);
            session.total_tokens = session.total_tokens.saturating_add(tokens_used);
            session.last_message_at = session.last_message_at.max(now);
        }
    }

    /// Returns why a change of the session is refused, whoever asks for it; `None` if it is allowed.
    #[must_use]
    pub fn refuses_update(&self, update: &SessionUpdate, by: Option<&PeerId>) -> Option<ErrorBody> {
        let offered = self.agent.models();
        let is_offered = |name: &String| offered.contains(name);
        let message = match &update.model {
            Some(Some(name)) if !is_offered(name) && offered.is_empty() => {
                String::from("this worker offers no models to choose from; name them in AGENT_MODELS")
            }
            Some(Some(name)) if !is_offered(name) => format!("model is one of {}", offered.join(", ")),
            _ => {
                let draft = by.and_then(|peer| self.peers.get(peer)?.draft.as_ref());
                let session = self.session.clone().unwrap_or_else(|| self.drafted_session(0, draft));
                update.clone().applied(session).err()?
            }
        };
        Some(ErrorBody::fatal(ErrorCode::InvalidMessage, message))
    }

    pub(super) fn change_session(&mut self, now: Millis, origin: Origin<'_>, update: SessionUpdate) {
        match self.refuses_update(&update, Some(origin.peer)) {
            Some(error) => self.refuse(origin, error),
            None if self.session.is_none() => self.update_draft(now, origin.peer, update),
            None => self.update_session(now, update),
        }
    }

    pub(super) fn update_session(&mut self, now: Millis, update: SessionUpdate) {
        let Some(Ok(changed)) = self.session.clone().map(|session| update.applied(session)) else { return };
        self.next_seq();
        self.session = Some(changed);
        let checkpoint = self.checkpoint();
        self.store(checkpoint.map(Write::Checkpoint).into_iter().collect_vec());
        self.show_session();
        self.decide_by_mode(now);
    }

    /// Settings apply only to the subject that chose them: if somebody else begins the session, it must start
    /// with the defaults.
    fn update_draft(&mut self, now: Millis, by: &PeerId, update: SessionUpdate) {
        let Some(Peer { identity, draft, .. }) = self.peers.get(by).cloned() else { return };
        let Ok(changed) = update.applied(self.drafted_session(now, draft.as_ref())) else { return };
        let draft = Draft {
            title: changed.title,
            permission_mode: changed.permission_mode.known().unwrap_or_default(),
            model: changed.model,
            metadata: changed.metadata,
            set_at: now,
        };
        let mut subjects_own = Vec::new();
        for (id, peer) in self.peers.iter_mut().filter(|(_, peer)| peer.identity.subject == identity.subject)
        {
            peer.draft = Some(draft.clone());
            subjects_own.push(id.clone());
        }
        let cursor = self.head();
        for peer in subjects_own {
            self.attach(peer.clone());
            if let Some(session) = self.visible_session(&peer) {
                self.send_to(&peer, ServerFrame::Session { cursor: cursor.clone(), session });
            }
        }
    }

    /// Returns the settings that a subject chose for the session, on any of its connections.
    pub(super) fn draft_of(&self, subject: Option<&str>) -> Option<&Draft> {
        let is_theirs = |peer: &&Peer| peer.identity.subject.as_deref() == subject;
        self.peers.values().find(is_theirs)?.draft.as_ref()
    }

    /// Ends this life of the log. The next message begins another one with a new epoch.
    pub(super) fn delete(&mut self, now: Millis) {
        if self.session.take().is_none() {
            return;
        }
        for turn in self.running_ids() {
            self.outputs.push_back(Output::AbortAgent { turn });
        }
        self.turns.clear();
        self.last_turn = None;
        self.path = super::Path::default();
        self.last_place = None;
        self.epoch = self.next_epoch();
        let owed = self.outbox.session_deleted(self.seq);
        self.files.session_deleted(now);
        self.was_deleted = true;
        self.store(vec![Write::Delete { at: now, owed }]);
        self.log(Event::SessionDeleted);
        self.dismiss_all(|_| true, CloseCode::SessionDeleted, "the session was deleted");
    }

    /// Returns when the session will have been unused for its retention time; `None` if it is kept.
    pub(super) fn retires_at(&self) -> Option<Millis> {
        let used_at = self.session.as_ref()?.last_message_at;
        // A time of 0 belongs to a session that could not be read. It is kept, because nobody knows when it
        // was used.
        (self.config.retention_ms > 0 && used_at > 0)
            .then(|| used_at.saturating_add(self.config.retention_ms))
    }

    /// Deletes the session if its retention is over and it does nothing but wait for people.
    pub(super) fn retire(&mut self, now: Millis) {
        if self.is_at_rest() && self.retires_at().is_some_and(|at| at <= now) {
            self.delete(now);
        }
    }

    /// Attaches a socket, with the state it must keep.
    pub(super) fn attach(&mut self, peer: PeerId) {
        let Some(Peer { identity, draft, dialect, follows, account, detaches, run, .. }) =
            self.peers.get(&peer)
        else {
            return;
        };
        let attachment = Attachment {
            identity: identity.clone(),
            draft: draft.clone(),
            dialect: *dialect,
            follows: match follows {
                Follows::Turn(request_id) => Some(request_id.clone()),
                Follows::Everything | Follows::Nothing => None,
            },
            detaches: *detaches,
            run: run.clone().filter(|run| !matches!(follows, Follows::Turn(turn) if turn == run)),
            reading: account.reading(&self.unread),
        };
        self.outputs.push_back(Output::Attach { peer, attachment });
    }

    /// Returns the session as clients see it, with the state of its turns; `None` before the first message
    /// and after a deletion.
    #[must_use]
    pub fn shown_session(&self) -> Option<Session> {
        Some(Session { state: Some(self.state().into()), ..self.session.clone()? })
    }

    /// Returns the state of the turns. It changes only with a message, at a turn's end, and when a turn
    /// begins to wait or stops waiting. Each of these is a record, so each change brings a `session` event
    /// and a delivery.
    fn state(&self) -> SessionState {
        if self.waiting().next().is_some() {
            return SessionState::Waiting;
        }
        if self.turns.is_empty() { SessionState::Idle } else { SessionState::Running }
    }

    /// Returns the session as one client sees it: before the first message, the settings that its subject
    /// chose, if any.
    pub(super) fn visible_session(&self, peer: &PeerId) -> Option<Session> {
        self.shown_session().or_else(|| {
            let draft = self.peers.get(peer)?.draft.as_ref()?;
            Some(Session {
                state: Some(self.state().into()),
                ..self.drafted_session(draft.set_at, Some(draft))
            })
        })
    }

    fn drafted_session(&self, created_at: Millis, draft: Option<&Draft>) -> Session {
        let blank = blank_session(self.session_id.clone(), created_at);
        let Some(Draft { title, permission_mode, model, metadata, set_at: _ }) = draft.cloned() else {
            return blank;
        };
        Session { title, permission_mode: permission_mode.into(), model, metadata, ..blank }
    }

    pub(super) fn show_session(&mut self) {
        if let Some(session) = self.shown_session() {
            self.send_all(ServerFrame::Session { cursor: self.head(), session });
        }
    }

    pub(super) fn checkpoint(&mut self) -> Option<Checkpoint> {
        self.outbox.saved = self.seq;
        self.outbox.saved_delivered = self.outbox.delivered;
        self.kept()
    }

    /// Returns the thread as a checkpoint.
    #[must_use]
    pub fn kept(&self) -> Option<Checkpoint> {
        let session = self.session.clone()?;
        Some(Checkpoint {
            epoch: self.epoch,
            seq: self.seq,
            delivered: self.outbox.delivered,
            open: Some(self.turns.keys().copied().collect_vec()),
            session,
            place: self.outbox.place,
            database: self.outbox.database.clone(),
            path: self.path.clone(),
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
        permission_mode: PermissionMode::Default.into(),
        created_at,
        last_message_at: created_at,
        owner: None,
        model: None,
        metadata: None,
        state: None,
        other: OtherFields::default(),
    }
}

/// Returns the beginning of a text on one line, cut at the end of a word if possible, or else between two
/// characters as readers see them.
pub(super) fn preview(text: &str) -> String {
    let line = joined(text.split_whitespace(), ' ');
    let Some((end, next)) = line.char_indices().nth(PREVIEW_CHARS_MAX) else { return line };
    let head = line.get(..end).unwrap_or_default();
    let word_end = if next == ' ' { Some(end) } else { head.rfind(' ').filter(|at| *at > end / 2) };
    let cut = word_end.unwrap_or_else(|| character_end(&line, end));
    format!("{}…", line.get(..cut).unwrap_or(head))
}

/// Returns the last position up to `end` that is not inside a character as readers see it, such as a letter
/// with marks, an emoji of several code points, or a flag. Returns `end` itself if an absurd number of marks
/// is piled up.
fn character_end(line: &str, end: usize) -> usize {
    let is_within = |at: usize| {
        let Some((before, after)) = line.split_at_checked(at) else { return true };
        let mut before = before.chars().rev();
        let flag_letters = before.clone().take_while(|letter| is_flag_letter(*letter)).count();
        after.chars().next().is_some_and(|next| {
            is_attached(next)
                || before.next() == Some(JOINER)
                || (is_flag_letter(next) && flag_letters % 2 == 1)
        })
    };
    (end / 2..=end).rev().find(|at| !is_within(*at)).unwrap_or(end)
}

const JOINER: char = '\u{200d}';

/// Returns whether a code point belongs to the character before it. The ranges approximate Unicode's marks;
/// the standard library's exact tables would add 3 kB to the worker.
fn is_attached(letter: char) -> bool {
    match letter {
        // The scripts of India have their marks at the same offsets in blocks of 128 code points.
        '\u{900}'..='\u{dff}' => {
            matches!(u32::from(letter) & 0x7f, 0..=0x03 | 0x3c | 0x3e..=0x57 | 0x62 | 0x63)
        }
        _ => matches!(letter,
            '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' // Latin, Greek, Cyrillic
            | '\u{591}'..='\u{5c7}' | '\u{610}'..='\u{61a}' | '\u{64b}'..='\u{65f}' | '\u{670}'
            | '\u{6d6}'..='\u{6ed}' // Hebrew, Arabic
            | '\u{e31}' | '\u{e34}'..='\u{e3a}' | '\u{e47}'..='\u{e4e}' // Thai
            | '\u{eb1}' | '\u{eb4}'..='\u{ebc}' | '\u{ec8}'..='\u{ece}' // Lao
            | '\u{f71}'..='\u{f84}' | '\u{f8d}'..='\u{fbc}' // Tibetan
            | '\u{102b}'..='\u{103e}' | '\u{1056}'..='\u{1059}' // Burmese
            | '\u{17b4}'..='\u{17d3}' | '\u{17dd}' // Khmer
            | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}'
            | '\u{302a}'..='\u{302f}' | '\u{3099}' | '\u{309a}' // Han, Hangul, kana
            | '\u{200c}' | JOINER | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}' // variations
            | '\u{1f3fb}'..='\u{1f3ff}' | '\u{e0020}'..='\u{e007f}'), // skin tones, flags of regions
    }
}

fn is_flag_letter(letter: char) -> bool {
    matches!(letter, '\u{1f1e6}'..='\u{1f1ff}')
}

#[cfg(test)]
mod tests {
    use super::preview;

    #[test]
    fn a_preview_ends_with_a_word() {
        let words = "wonderful ".repeat(20);
        assert_eq!(preview(&words), format!("{}…", "wonderful ".repeat(10).trim()));
        assert_eq!(
            preview(&format!(" one\n\ttwo {}", "x".repeat(100))),
            format!("one two {}…", "x".repeat(92))
        );
        assert_eq!(preview(&format!("{} end", "x".repeat(100))), format!("{}…", "x".repeat(100)));
    }

    #[test]
    fn a_preview_cuts_no_character_in_half() {
        for character in [
            "e\u{301}",
            "👍🏽",
            "👨\u{200d}👩\u{200d}👧",
            "🇩🇪",
            "❤\u{fe0f}",
            "か\u{3099}",
            "1\u{fe0f}\u{20e3}",
            "ש\u{5c1}\u{5b8}",
            "ب\u{64e}",
            "न\u{93f}",
            "ก\u{e35}\u{e48}",
            "မ\u{103c}\u{102d}",
            "ក\u{17b6}",
        ] {
            for lead in 0..8 {
                let lead = "x".repeat(lead);
                let cut = preview(&format!("{lead}{}", character.repeat(100)));
                let whole = cut.trim_end_matches('…').trim_start_matches('x');
                assert_eq!(whole.replace(character, ""), "", "{character} after {lead}");
                assert!(cut.chars().count() > 90, "{cut}");
            }
        }
    }

    #[test]
    fn a_preview_of_only_marks_is_cut_too() {
        assert_eq!(preview(&format!("x{}", "\u{301}".repeat(300))).chars().count(), 101);
    }
}
