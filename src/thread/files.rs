//! Files of a session: which exist, who may have them, and which are to be deleted.
//!
//! The bytes are in the bucket, and each file has a row. The row exists before the first byte is stored and
//! until the bucket has confirmed that all bytes are deleted, so no crash leaves bytes that nobody knows of.
//! A file is named once a message shows it. Until then only its uploader may have it, and it is deleted after
//! a day.

use crate::protocol::limits::{DELIVERY_TIMEOUT_MS, FILE_UNNAMED_MS, FILES_REMOVED_MAX, FILES_UNNAMED_MAX};
use crate::protocol::words::words;
use crate::protocol::{Block, CollectVec, Content, ErrorBody, ErrorCode, Identity, Millis, Named, file_of};

use super::clock::set_back;
use super::events::Event;
use super::outbox::retry_in_ms;
use super::permission::{Ask, Denied};
use super::rows::Row;
use super::store::{Records, StoreError, Write};
use super::{Output, Thread, unreadable};

words! {
    /// The state of a file.
    pub enum FileState {
        /// Its bytes are on their way, or never came.
        Coming = "coming",
        /// All of its bytes are there.
        Here = "here",
        /// Its bytes are to be deleted. The file never comes back.
        Gone = "gone",
    }
}

/// A file, as its row holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// The id, which nobody can guess and which is used once.
    pub id: String,
    /// The name, which is [safe](crate::protocol::safe_name).
    pub name: String,
    /// The media type that its uploader gave.
    pub media_type: String,
    /// Its size in bytes.
    pub size: u64,
    /// The subject that uploaded it; `None` where everybody is let in.
    pub uploader: Option<String>,
    /// The state.
    pub state: FileState,
    /// When its bytes are to be deleted, in Unix milliseconds; `None` once a message names it.
    pub due: Option<Millis>,
}

/// The files that a thread wakes with, except those that messages name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Files that no message names and that are not gone.
    pub unnamed: Vec<File>,
    /// When the first of the gone files is to be deleted.
    pub gone_due: Option<Millis>,
    /// Whether a message names any file.
    pub has_named: bool,
}

/// The state of the thread's files.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// Files that no message names, until the bucket has deleted them. Those of a deleted session are not
    /// among them.
    unnamed: Vec<File>,
    gone_due: Option<Millis>,
    has_named: bool,
    /// When the bucket was asked to delete files; `None` if no such request is under way.
    asked_at: Option<Millis>,
    /// How often it failed in a row, and when it is asked again.
    failures: u32,
    retry_at: Millis,
}

impl File {
    /// Reads a file's row; `None` if it cannot be read.
    #[must_use]
    pub fn read(row: &dyn Row) -> Option<Self> {
        Some(File {
            id: row.text("id")?,
            name: row.text("name")?,
            media_type: row.text("media_type")?,
            size: row.integer("size")?,
            uploader: row.text("uploader"),
            state: FileState::named(&row.text("state")?)?,
            due: row.integer("due"),
        })
    }

    fn is_here(&self, now: Millis) -> bool {
        self.state == FileState::Here && self.due.is_none_or(|due| due > now)
    }

    /// Returns whether somebody who may read the session may have this file of it.
    fn is_for(&self, now: Millis, subject: Option<&str>) -> bool {
        self.is_here(now) && (self.due.is_none() || self.uploader.as_deref() == subject)
    }
}

impl Files {
    pub(super) fn set_back(&mut self, by: Millis) {
        set_back(&mut self.retry_at, by);
        self.asked_at.iter_mut().for_each(|at| set_back(at, by));
    }

    pub(super) fn from_store(kept: Kept) -> Self {
        let Kept { unnamed, gone_due, has_named } = kept;
        Files { unnamed, gone_due, has_named, ..Files::default() }
    }

    fn find(&mut self, id: &str) -> Option<&mut File> {
        self.unnamed.iter_mut().find(|file| file.id == id)
    }

    fn goes_at(&mut self, at: Millis) {
        self.gone_due = Some(self.gone_due.map_or(at, |due| due.min(at)));
    }

    /// Marks all files as gone. Uploads under way stay until they are complete, or until they would be due.
    pub(super) fn session_deleted(&mut self, now: Millis) {
        let is_coming = |file: &&File| file.state == FileState::Coming;
        let coming = self.unnamed.iter().filter(is_coming).filter_map(|file| file.due).min();
        if self.has_named || self.unnamed.iter().any(|file| file.state != FileState::Coming) {
            self.goes_at(now);
        } else if let Some(due) = coming {
            self.goes_at(due);
        }
        self.unnamed.clear();
        self.has_named = false;
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failures > 0
    }

    /// Returns when the bucket is to be asked to delete files.
    fn due_at(&self) -> Option<Millis> {
        let unnamed = self.unnamed.iter().filter(|file| file.state != FileState::Gone);
        let due = unnamed.filter_map(|file| file.due).chain(self.gone_due).min()?;
        Some(due.max(self.retry_at))
    }
}

impl Thread {
    /// Returns why an upload is refused; `None` if it is accepted.
    #[must_use]
    pub fn refuses_upload(&self, uploader: Option<&str>) -> Option<ErrorBody> {
        if !self.config.keeps_files {
            return Some(no_bucket());
        }
        let is_theirs = |file: &&File| file.uploader.as_deref() == uploader;
        let is_full = self.files.unnamed.iter().filter(is_theirs).count() >= FILES_UNNAMED_MAX;
        let message = format!(
            "{FILES_UNNAMED_MAX} files of yours are in this session that no message names; send some of them, or wait until \
             they are gone"
        );
        is_full.then(|| ErrorBody::retryable(ErrorCode::RateLimited, message))
    }

    /// Adds the file's row before the first byte is stored, so that no byte is ever forgotten.
    pub(super) fn upload(&mut self, now: Millis, file: File) {
        let mut file = file;
        file.state = FileState::Coming;
        file.due = Some(now.saturating_add(FILE_UNNAMED_MS));
        self.files.unnamed.push(file.clone());
        self.store(vec![Write::AddFile(file)]);
    }

    /// Notes that all bytes of an upload are in the bucket. If the session was deleted meanwhile, they are
    /// deleted.
    pub(super) fn uploaded(&mut self, now: Millis, id: &str) {
        let Some(file) = self.files.find(id).filter(|file| file.state == FileState::Coming) else {
            return self.lose_file(now, id);
        };
        file.state = FileState::Here;
        let write = Write::SetFile { id: id.to_owned(), state: file.state, due: file.due };
        self.store(vec![write]);
    }

    /// Makes a file unavailable. Its bytes, if there are any, are deleted.
    pub(super) fn lose_file(&mut self, now: Millis, id: &str) {
        let state = FileState::Gone;
        if let Some(file) = self.files.find(id) {
            file.state = state;
        }
        self.files.goes_at(now);
        self.store(vec![Write::SetFile { id: id.to_owned(), state, due: Some(now) }]);
    }

    /// Returns whether an upload is complete, so that a message may name it.
    #[must_use]
    pub fn has_uploaded(&self, id: &str) -> bool {
        self.files.unnamed.iter().any(|file| file.id == id && file.state == FileState::Here)
    }

    /// Returns whether a subject has uploaded files that no message names.
    pub(super) fn has_uploads_of(&self, subject: Option<&str>) -> bool {
        let is_theirs = |file: &File| file.uploader.as_deref() == subject && file.state == FileState::Here;
        self.files.unnamed.iter().any(is_theirs)
    }

    /// Deletes a subject's own uploads, which is all that deleting a session means before anybody has begun
    /// it.
    pub(super) fn delete_uploads(&mut self, now: Millis, subject: Option<&str>) {
        let is_theirs = |file: &&File| file.uploader.as_deref() == subject && file.state == FileState::Here;
        let theirs: Vec<String> =
            self.files.unnamed.iter().filter(is_theirs).map(|file| file.id.clone()).collect_vec();
        for id in &theirs {
            self.lose_file(now, id);
        }
    }

    /// Returns a file for somebody who asks for it.
    ///
    /// # Errors
    /// If the file does not exist, or is not for them: the two look the same. Or if the store could not be
    /// read.
    pub fn file(
        &self,
        now: Millis,
        records: &dyn Records,
        by: &Identity,
        id: &str,
    ) -> Result<File, Unserved> {
        self.permits(by, Ask::Fetch).map_err(Unserved::Denied)?;
        if !self.config.keeps_files {
            return Err(Unserved::Refused(no_bucket()));
        }
        let file = records.file(id).map_err(|_| Unserved::Refused(unreadable()))?;
        match file.filter(|file| file.is_for(now, by.subject.as_deref())) {
            Some(file) => Ok(file),
            None if self.session.is_none() => Err(Unserved::Denied(Denied::NoSession)),
            None => Err(Unserved::Refused(no_file())),
        }
    }

    /// Returns the files that a message names for the first time.
    ///
    /// # Errors
    /// If the message may not name one of them.
    pub(super) fn named_files(
        &self,
        now: Millis,
        records: &dyn Records,
        by: Option<&str>,
        content: &Content,
    ) -> Result<Vec<String>, ErrorBody> {
        let Content::Blocks(blocks) = content else { return Ok(Vec::new()) };
        let mut named = Vec::new();
        for block in blocks {
            let Block::File { url, .. } = block else { continue };
            if !url.starts_with('/') {
                continue;
            }
            let id = self.own_file(url)?;
            let found = records.file(id).map_err(|_| unreadable())?.filter(|file| file.is_for(now, by));
            let file = found.ok_or_else(|| no_such(url))?;
            if file.due.is_some() && !named.contains(&file.id) {
                named.push(file.id);
            }
        }
        Ok(named)
    }

    fn own_file<'a>(&self, url: &'a str) -> Result<&'a str, ErrorBody> {
        let invalid = |message: &str| ErrorBody::fatal(ErrorCode::InvalidMessage, message);
        match file_of(url) {
            None => Err(invalid("a file's path is /sessions/{id}/files/{file}, as its upload answered")),
            Some((session_id, _)) if session_id != self.session_id => {
                Err(invalid("the message names a file of another session; upload it to this one"))
            }
            Some(_) if !self.config.keeps_files => Err(no_bucket()),
            Some((_, id)) => Ok(id),
        }
    }

    /// Returns the writes that make the files the session's own.
    pub(super) fn name_files(&mut self, named: Vec<String>) -> Vec<Write> {
        let name = |id: String| {
            self.files.unnamed.retain(|file| file.id != id);
            self.files.has_named = true;
            Write::SetFile { id, state: FileState::Here, due: None }
        };
        named.into_iter().map(name).collect_vec()
    }

    /// Returns the files that [`Output::RemoveFiles`] has to delete.
    ///
    /// # Errors
    /// If the store could not be read.
    pub fn files_to_remove(&self, records: &dyn Records) -> Result<Vec<String>, StoreError> {
        records.gone_files(self.now, FILES_REMOVED_MAX)
    }

    /// Gives up files that nobody has named in time, and asks the bucket to delete the bytes of gone files.
    pub(super) fn remove_files(&mut self, now: Millis) {
        let is_due = |due: Option<Millis>| due.is_some_and(|at| at <= now);
        if !self.config.keeps_files || self.files.asked_at.is_some() || !is_due(self.files.due_at()) {
            return;
        }
        let over = self.files.unnamed.iter().filter(|file| file.state != FileState::Gone && is_due(file.due));
        let over: Vec<String> = over.map(|file| file.id.clone()).collect_vec();
        // The store learns of it before the bucket is asked, so that no message can name a file whose bytes
        // are deleted.
        for id in &over {
            self.lose_file(now, id);
        }
        self.files.asked_at = Some(now);
        self.outputs.push_back(Output::RemoveFiles);
    }

    /// Notes that the bucket has deleted these files. An empty list means that there was nothing left to
    /// delete.
    pub(super) fn files_removed(&mut self, now: Millis, records: &dyn Records, ids: Vec<String>) {
        self.files.asked_at = None;
        self.files.failures = 0;
        self.files.retry_at = 0;
        if ids.is_empty() {
            self.files.gone_due = records.gone_due().unwrap_or(Some(now));
            return;
        }
        self.files.unnamed.retain(|file| !ids.contains(&file.id));
        self.store(vec![Write::ForgetFiles(ids)]);
        // There may be more of them.
        self.files.gone_due = Some(now);
    }

    pub(super) fn files_not_removed(&mut self, now: Millis) {
        if self.files.asked_at.take().is_some() {
            self.files.failures = self.files.failures.saturating_add(1);
            let waited_ms = self.files.gone_due.map_or(0, |due| now.saturating_sub(due));
            let retry_in_ms = retry_in_ms(self.files.failures, waited_ms, self.next_random());
            self.files.retry_at = now.saturating_add(retry_in_ms);
            self.log(Event::FilesNotRemoved { failures: self.files.failures, retry_in_ms });
        }
    }

    /// Gives up on a request that the bucket has not answered in time.
    pub(super) fn time_out_removal(&mut self, now: Millis) {
        if self.files.asked_at.is_some_and(|at| at.saturating_add(DELIVERY_TIMEOUT_MS) <= now) {
            self.files_not_removed(now);
        }
    }

    pub(super) fn files_alarm(&self) -> Option<Millis> {
        let timed_out_at = self.files.asked_at.map(|at| at.saturating_add(DELIVERY_TIMEOUT_MS));
        timed_out_at.or(self.files.due_at()).filter(|_| self.config.keeps_files)
    }
}

/// Why somebody is not given a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unserved {
    /// They may not read the session.
    Denied(Denied),
    /// The file does not exist, or cannot be read.
    Refused(ErrorBody),
}

fn no_file() -> ErrorBody {
    ErrorBody::fatal(ErrorCode::NotFound, "there is no file of this id in the session")
}

fn no_such(url: &str) -> ErrorBody {
    let name = url.rsplit('/').next().unwrap_or_default();
    let message = format!(
        "there is no file {name} in this session that you could send; one that no message names is gone after 24 hours: \
         upload it again"
    );
    ErrorBody::fatal(ErrorCode::NotFound, message)
}

fn no_bucket() -> ErrorBody {
    let message = "this worker keeps no files: bind an R2 bucket as FILES; without one, send a data: URL of at most 128 KiB or an \
                   https: address";
    ErrorBody::fatal(ErrorCode::NotConfigured, message)
}
