//! A fork: a session that begins as a copy of another one.
//!
//! The source hands out its path page by page, newest first. The copy keeps the pages until it has all of
//! them, and then writes a log of its own in one commit; before that it does not exist.
//!
//! **Invariant:** asking again changes nothing. Pages are numbered by the source's log, and a fork is
//! identified by its [`Origin`].

use crate::protocol::json::OtherFields;
use crate::protocol::limits::{FORK_MESSAGES_MAX, FORK_MS, PAGE_BYTES_MAX, PAGE_MAX};
use crate::protocol::objects::object;
use crate::protocol::{
    Block, CollectVec, Content, ErrorBody, ErrorCode, Json, Message, MessageMetadata, Millis, PermissionMode,
    Read, ResponseMetadata, Role, Session, Status, file_of, file_path,
};

use super::path::{END, Path, Start, Tree};
use super::session::preview;
use super::store::{Begun, Checkpoint, Record, RecordKind, Records, StoreError, answer_id, question_id};
use super::versions::count_up_to;
use super::{File, FileState, Thread, TurnId, unreadable};

object! {
    /// The source of a copy, and its new owner.
    #[derive(Eq)]
    pub struct Origin {
        /// The session that is copied.
        pub from: String = "from",
        /// The last message to copy, as requested; `None` for the whole current path.
        pub message_id: Option<String> = "messageId" optional,
        /// The subject that the copy is made for.
        pub by: Option<String> = "by" optional,
    }
}

object! {
    /// Which part of the source a fork copies. It is fixed by the first page, so that later changes of the source
    /// are not copied in part.
    #[derive(Eq)]
    pub struct Extent {
        /// The last message of the path.
        pub through: String = "through",
        /// The last sequence number of the log. A turn that ended later counts as not over.
        pub seq: u64 = "seq",
    }
}

object! {
    /// A fork that is not complete yet.
    #[derive(Eq)]
    pub struct Underway {
        /// What is copied.
        pub of: Origin = "of",
        /// Which part of it is copied.
        pub extent: Extent = "extent",
        /// When its first page came.
        pub since: Millis = "since",
    }
}

/// What happens to a page that arrives at the copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taking {
    /// It is added to the pages that are here.
    Joins,
    /// It is the fork's first page and replaces the pages of any other fork.
    Begins,
    /// It is dropped: another request for the same fork was first, or pages between this one and those that are here
    /// were dropped. The fork goes on from the pages that are here.
    Yields,
    /// It is refused: another fork has replaced this one's earlier pages.
    Misses,
}

impl Underway {
    /// Returns whether a fork of this origin may still be completed with these pages.
    #[must_use]
    pub fn is_of(&self, origin: &Origin, now: Millis) -> bool {
        self.of == *origin && now < self.since.saturating_add(FORK_MS)
    }

    /// Returns what happens to a page of this fork, which ends before `until`, given the incomplete fork that is here
    /// and the lowest sequence number of its pages.
    #[must_use]
    pub fn taking(&self, here: Option<(&Underway, u64)>, is_first: bool, until: Option<u64>) -> Taking {
        match here.filter(|(here, _)| here.is_of(&self.of, self.since)) {
            Some((here, lowest))
                if here.extent == self.extent && until.is_none_or(|until| until >= lowest) =>
            {
                Taking::Joins
            }
            Some(_) => Taking::Yields,
            None if is_first => Taking::Begins,
            None => Taking::Misses,
        }
    }
}

/// The page that the copy asks the source for.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// The last message, as it was requested.
    pub message_id: Option<String>,
    /// The extent from the first page; `None` for the first page.
    pub extent: Option<Extent>,
    /// The sequence number before which the page ends; `None` for the first page.
    pub before: Option<u64>,
    /// The id of the copy.
    pub to: String,
}

/// A page of what is copied.
#[derive(Clone, Debug, PartialEq)]
pub struct Copied {
    /// Which part of the source is copied.
    pub extent: Extent,
    /// Messages with their sequence numbers, newest first.
    pub messages: Vec<(u64, Message)>,
    /// The files that these messages name.
    pub files: Vec<File>,
    /// The earliest sequence number that was looked at, if there are earlier ones.
    pub before: Option<u64>,
}

impl Thread {
    /// Returns a page of the path up to a message, or of the current path.
    ///
    /// # Errors
    /// The error that the caller is told.
    pub fn copied(&self, records: &dyn Records, wanted: &Wanted) -> Result<Copied, ErrorBody> {
        let unread = |StoreError(_)| unreadable();
        let extent = wanted.extent.clone().or_else(|| self.extent(wanted.message_id.as_deref()));
        let place = match &extent {
            Some(extent) => self.turn_with(records, &extent.through).map_err(unread)?,
            None => None,
        };
        let (Some(extent), Some((turn, is_answer))) = (extent, place) else {
            let message = "there is no message of this id in the session";
            return Err(ErrorBody::fatal(ErrorCode::NotFound, message));
        };
        let (path, count) = self.path_through(records, turn, is_answer).map_err(unread)?;
        if count > FORK_MESSAGES_MAX {
            let message = format!("a fork has at most {FORK_MESSAGES_MAX} messages; fork at an earlier one");
            return Err(ErrorBody::fatal(ErrorCode::MessageTooLarge, message));
        }
        let mut page = Copied { extent, messages: Vec::new(), files: Vec::new(), before: wanted.before };
        loop {
            self.copy_page(records, &path, &wanted.to, &mut page).map_err(unread)?;
            // Few messages are left out, so this loop is short.
            if !page.messages.is_empty() || page.before.is_none() {
                break;
            }
        }
        if page.messages.is_empty() && wanted.before.is_none() {
            let message = "no turn of that path is over yet, and what is not over is not copied";
            return Err(ErrorBody::fatal(ErrorCode::Conflict, message));
        }
        Ok(page)
    }

    /// Returns the extent of a fork that begins now; `None` if there is no message.
    fn extent(&self, message_id: Option<&str>) -> Option<Extent> {
        let newest = || {
            self.last_turn
                .as_ref()
                .map(|(turn, old_id)| old_id.clone().unwrap_or_else(|| answer_id(self.epoch, *turn)))
        };
        let through = message_id.map(str::to_owned).or_else(newest);
        through.map(|through| Extent { through, seq: self.seq })
    }

    /// Returns the first checkpoint of this thread as a copy for this owner.
    #[must_use]
    pub fn begun_as(&self, copying: &Copying, owner: Option<String>, title: Option<String>) -> Checkpoint {
        let session = Session {
            id: self.session_id.clone(),
            title,
            first_message_preview: copying.preview.clone().unwrap_or_default(),
            message_count: copying.count,
            total_tokens: copying.tokens,
            permission_mode: PermissionMode::Default.into(),
            created_at: copying.now,
            last_message_at: copying.now,
            owner,
            model: None,
            metadata: None,
            state: None,
            other: OtherFields::default(),
        };
        Checkpoint {
            epoch: self.epoch,
            seq: copying.seq,
            delivered: 0,
            open: Some(Vec::new()),
            place: self.place_of(session.owner.as_ref()),
            database: None,
            session,
            path: Path::default(),
        }
    }

    /// Returns the path up to a question or an answer, and the most messages that it can have.
    fn path_through(
        &self,
        records: &dyn Records,
        turn: TurnId,
        is_answer: bool,
    ) -> Result<(Path, u64), StoreError> {
        let tree = Tree::new(records.starts(None)?);
        let first = if is_answer { Self::next_begun(records, turn)? } else { None };
        let behind = Start { turn: END, parent: Some(turn), is_answer: !is_answer, first, old_id: None };
        let begun = records.these(&[turn])?.pop();
        let count = begun.map_or(Ok(0), |begun| count_up_to(records, &begun))?;
        Ok((self.path_of(records, &tree.way_before(&behind))?, count))
    }

    /// Returns the turn that began next, on any path.
    fn next_begun(records: &dyn Records, turn: TurnId) -> Result<Option<TurnId>, StoreError> {
        let mut after = turn;
        loop {
            let page = records.events(after, PAGE_MAX, 0)?;
            if let Some(begun) = page.records.iter().find(|record| record.begun().is_some()) {
                return Ok(Some(begun.seq));
            }
            match page.records.last() {
                Some(last) if page.more => after = last.seq,
                _ => return Ok(None),
            }
        }
    }

    /// Adds the messages before those of the page.
    fn copy_page(
        &self,
        records: &dyn Records,
        path: &Path,
        to: &str,
        page: &mut Copied,
    ) -> Result<(), StoreError> {
        let seq = page.extent.seq;
        let before = page.before.unwrap_or(END).min(seq.saturating_add(1));
        let read = records.before(path, before, PAGE_MAX, PAGE_BYTES_MAX / 2)?;
        page.before = read.records.last().map(|last| last.seq).filter(|_| read.more);
        let open = self.questions_open(records, path, seq)?;
        for record in read.records {
            if !record.is_end() && open.contains(&record.turn) {
                continue;
            }
            let mut message = record.message(self.epoch);
            if let Content::Blocks(blocks) = &mut message.content {
                for block in blocks {
                    self.copy_file(records, block, to, &mut page.files)?;
                }
            }
            page.messages.push((record.seq, message));
        }
        Ok(())
    }

    /// Returns the questions that are left out, since their turns were not over at a sequence number. A question
    /// stays if the path has an answer to it that was over, even while another answer to it is being made.
    fn questions_open(
        &self,
        records: &dyn Records,
        path: &Path,
        seq: u64,
    ) -> Result<Vec<TurnId>, StoreError> {
        let ended: Vec<TurnId> = records
            .late(seq, None)?
            .into_iter()
            .filter_map(|(turn, _)| (turn <= seq).then_some(turn))
            .collect_vec();
        let mut open: Vec<(TurnId, TurnId)> =
            self.turns.iter().map(|(id, turn)| (*id, turn.question(*id))).collect_vec();
        for begun in records.these(&ended)? {
            open.extend(begun.question().map(|question| (begun.turn, question)));
        }
        open.retain(|(turn, question)| turn == question || path.has_answer(*turn));
        Ok(open.into_iter().map(|(_, question)| question).collect_vec())
    }

    /// Copies a file of this session for the other one.
    fn copy_file(
        &self,
        records: &dyn Records,
        block: &mut Block,
        to: &str,
        files: &mut Vec<File>,
    ) -> Result<(), StoreError> {
        let Block::File { url, .. } = block else { return Ok(()) };
        let Some((_, id)) = file_of(url).filter(|(session_id, _)| *session_id == self.session_id) else {
            return Ok(());
        };
        let file = records.file(id)?.filter(|file| file.state == FileState::Here);
        files.extend(file.filter(|file| !files.iter().any(|other| other.id == file.id)));
        *url = file_path(to, id);
        Ok(())
    }
}

/// Builds a log from copied messages.
#[derive(Debug)]
pub struct Copying {
    session_id: String,
    epoch: u64,
    now: Millis,
    seq: u64,
    /// The new turns of the questions, by the questions' former ids.
    turns: Vec<(String, TurnId)>,
    /// Turns without an end so far, with their `requestId`s.
    open: Vec<(TurnId, String)>,
    last: Option<TurnId>,
    /// How many messages there are once each turn has its end.
    count: u64,
    tokens: u64,
    preview: Option<String>,
    files: Vec<String>,
}

impl Copying {
    /// Begins the log of a session with this id and epoch.
    #[must_use]
    pub fn new(session_id: String, epoch: u64, now: Millis) -> Self {
        Copying {
            session_id,
            epoch,
            now,
            seq: 0,
            turns: Vec::new(),
            open: Vec::new(),
            last: None,
            count: 0,
            tokens: 0,
            preview: None,
            files: Vec::new(),
        }
    }

    /// Returns the records of the next message, in log order; none if the message cannot be read.
    pub fn take(&mut self, message: &Json) -> Vec<Record> {
        Message::read(message).map_or_else(Vec::new, |message| self.copy(message))
    }

    fn copy(&mut self, message: Message) -> Vec<Record> {
        let Message { id, request_id, role, content, status, created_at, error, author, .. } = message;
        let Message { metadata, parent_id, client_id, .. } = message;
        self.note(&content);
        let metadata = match metadata {
            Some(MessageMetadata::Sent(metadata)) => Some(metadata),
            Some(MessageMetadata::Answer(_)) | None => None,
        };
        let begun = Begun { client_id, ..Begun::default() };
        if role == Role::User {
            let (parent, started, answer_id) = (None, true, None);
            let kind =
                RecordKind::Question { parent, author, started, answer_id, metadata, fault: error, begun };
            let record = self.begin(&request_id, created_at, content, kind);
            self.turns.push((id, record.turn));
            self.open.push((record.turn, request_id));
            return vec![record];
        }
        let is_parent = |(asked, _): &&(String, TurnId)| Some(asked) == parent_id.as_ref();
        let asked = self.turns.iter().find(is_parent).map(|(_, turn)| *turn);
        let (mut records, is_appended, before) = (Vec::new(), asked.is_none(), self.last);
        let turn = asked.unwrap_or_else(|| {
            let kind = RecordKind::Append { parent: None, author, metadata: None, fault: None, begun };
            records.push(self.begin(&request_id, created_at, content.clone(), kind));
            self.seq.saturating_sub(1)
        });
        let open = self.open.iter().position(|(open, _)| *open == turn).map(|at| self.open.remove(at));
        let request_id = open.map_or(request_id, |(_, request_id)| request_id);
        let metadata = metadata.as_ref().and_then(ResponseMetadata::read).unwrap_or_default();
        self.tokens = self.tokens.saturating_add(metadata.tokens_used);
        let parent = before.filter(|_| is_appended);
        let kind =
            RecordKind::Answer { parent, status, error, metadata, events: None, reason: None, is_appended };
        records.push(self.end(turn, request_id, created_at, content, kind));
        records
    }

    fn note(&mut self, content: &Content) {
        self.preview.get_or_insert_with(|| preview(&content.words()));
        let Content::Blocks(blocks) = content else { return };
        for block in blocks {
            let Block::File { url, .. } = block else { continue };
            if let Some((_, id)) = file_of(url).filter(|(session_id, _)| *session_id == self.session_id) {
                self.files.push(id.to_owned());
            }
        }
    }

    /// Returns the next sequence number, and leaves room for the `session` event that follows each record.
    fn next_seq(&mut self) -> u64 {
        let seq = self.seq.saturating_add(1);
        self.seq = seq.saturating_add(1);
        seq
    }

    /// Begins a turn that follows the one before it.
    fn begin(
        &mut self,
        request_id: &str,
        created_at: Millis,
        content: Content,
        mut kind: RecordKind,
    ) -> Record {
        let turn = self.next_seq();
        let before = self.last.replace(turn);
        let messages = if matches!(kind, RecordKind::Append { .. }) { 1 } else { 2 };
        self.count = self.count.saturating_add(messages);
        if let RecordKind::Question { parent, begun, .. } | RecordKind::Append { parent, begun, .. } =
            &mut kind
        {
            *parent = before;
            begun.count = Some(self.count);
            begun.open = Some(self.open.iter().map(|(turn, _)| *turn).collect_vec());
        }
        let message_id = question_id(self.epoch, turn);
        Record { seq: turn, turn, message_id, request_id: request_id.into(), created_at, content, kind }
    }

    fn end(
        &mut self,
        turn: TurnId,
        request_id: String,
        created_at: Millis,
        content: Content,
        kind: RecordKind,
    ) -> Record {
        let message_id = answer_id(self.epoch, turn);
        Record { seq: self.next_seq(), turn, message_id, request_id, created_at, content, kind }
    }

    /// Returns ends for the turns of which only the question was copied, since each turn must have one.
    pub fn finish(&mut self) -> Vec<Record> {
        let open = std::mem::take(&mut self.open);
        let end = |(turn, request_id)| {
            let kind = RecordKind::Answer {
                parent: None,
                status: Status::Cancelled.into(),
                error: None,
                metadata: ResponseMetadata::default(),
                events: None,
                reason: None,
                is_appended: false,
            };
            self.end(turn, request_id, self.now, Content::default(), kind)
        };
        open.into_iter().map(end).collect_vec()
    }

    /// Returns the files of the session that its messages name.
    #[must_use]
    pub fn files(&self) -> &[String] {
        &self.files
    }
}
