//! Import of a session from elsewhere. It keeps the epoch and sequence numbers of its log, so ids, versions
//! and cursors stay the same.

use crate::protocol::json::Json;
use crate::protocol::{CollectVec, ErrorBody, ErrorCode, Session, is_request_id, optional, required};

use super::path::Path;
use super::rows::{Found, Row};
use super::store::{Checkpoint, Record, RecordKind, Records, StoreError, Write};
use super::{File, Thread};

/// A session, and a part of its log.
#[derive(Clone, Debug, PartialEq)]
pub struct Import {
    epoch: u64,
    seq: u64,
    open: Vec<u64>,
    path: Path,
    session: Session,
    records: Vec<Record>,
    files: Vec<File>,
}

/// Why an import is refused.
#[derive(Clone, Debug, PartialEq)]
pub enum Unimported {
    /// The store could not be read.
    Unread(StoreError),
    /// It conflicts with the session that is here.
    Refused(ErrorBody),
}

/// An object whose fields are columns. The content of a message is nested in its message.
struct Columns<'a> {
    fields: &'a Json,
    content: Option<String>,
}

impl Row for Columns<'_> {
    fn integer(&self, column: &str) -> Option<u64> {
        self.fields.get(column)?.as_u64()
    }

    fn text(&self, column: &str) -> Option<String> {
        let text = || Some(self.fields.get(column)?.as_str()?.to_owned());
        if column == "content" { self.content.clone().or_else(text) } else { text() }
    }
}

impl Import {
    /// Reads JSON Lines: first the session with its thread, then records and files.
    ///
    /// # Errors
    /// A sentence that names the line and its fault.
    pub fn read(text: &str, session_id: &str) -> Result<Self, String> {
        let mut lines = text.lines().filter(|line| !line.trim().is_empty()).zip(1_u64..);
        let head = lines.next().and_then(|(line, _)| Json::parse(line));
        let mut import = head.as_ref().and_then(|head| Self::head(head, session_id)).ok_or(
            "the first line is an object with a session and its thread, as GET /admin/sessions/{id} gives them",
        )?;
        for (line, number) in lines {
            let line = Json::parse(line).ok_or_else(|| format!("line {number} is not JSON"))?;
            if let Some(file) = line.get("file") {
                let row = Columns { fields: file, content: None };
                let mut file =
                    File::read(&row).ok_or_else(|| format!("line {number}: the file cannot be read"))?;
                file.due = None;
                import.files.push(file);
            } else {
                import.records.push(record(&line).map_err(|why| format!("line {number}: {why}"))?);
            }
        }
        Ok(import)
    }

    fn head(head: &Json, session_id: &str) -> Option<Self> {
        let thread = head.get("thread")?;
        let mut session: Session = required(head, "session")?;
        session.id = session_id.into();
        session.state = None;
        Some(Import {
            epoch: required::<u64>(thread, "epoch").filter(|epoch| *epoch > 0)?,
            seq: required(thread, "seq")?,
            open: required(thread, "open")?,
            path: optional(thread, "path")?.unwrap_or_default(),
            session,
            records: Vec::new(),
            files: Vec::new(),
        })
    }
}

fn record(line: &Json) -> Result<Record, String> {
    let fields = line.get("record").ok_or("there is neither a record nor a file in it")?;
    let content =
        line.get("message").and_then(|message| message.get("content")).map(crate::protocol::to_json);
    let Found { value: record, fault } = Record::read(&Columns { fields, content });
    if let Some(fault) = fault {
        return Err(format!("the record cannot be read: {fault}"));
    }
    let is_known = fields.get("kind").and_then(Json::as_str) == Some(record.kind.name());
    let is_placed = (1..=record.seq).contains(&record.turn) && record.seq < 1 << 53;
    if is_known && is_placed && is_request_id(&record.request_id) && !record.message_id.is_empty() {
        return Ok(record);
    }
    Err("a record has a kind that is known here, a seq, a turn up to that, a request_id and a message_id"
        .into())
}

impl Thread {
    /// Returns the writes for the part of an import that is not here yet; none if all of it is.
    ///
    /// # Errors
    /// If another session has this id, if a turn runs, or if the store cannot be read.
    pub fn import(&self, records: &dyn Records, import: Import) -> Result<Vec<Write>, Unimported> {
        let refused = |error| Err(Unimported::Refused(error));
        let Import { epoch, seq, open, path, session, records: brought, files } = import;
        if self.session.is_some() && self.epoch != epoch {
            let message = "there is another session of this id; it is left as it is";
            return refused(ErrorBody::fatal(ErrorCode::Conflict, message));
        }
        if self.turns.values().any(|turn| turn.waiting().is_none()) {
            let message = "a turn of this session is not over; import when it rests";
            return refused(ErrorBody::retryable(ErrorCode::Busy, message));
        }
        let seqs: Vec<u64> = brought.iter().map(|record| record.seq).collect_vec();
        let there = if self.session.is_some() { records.these(&seqs) } else { Ok(Vec::new()) };
        let there = there.map_err(Unimported::Unread)?;
        let is_new = |record: &Record| !there.iter().any(|known| known.seq == record.seq);
        let mut writes: Vec<Write> = Vec::new();
        let mut still_open: Vec<u64> = self.turns.keys().copied().collect_vec();
        for mut record in brought.into_iter().filter(is_new) {
            if record.seq == record.turn && open.contains(&record.turn) {
                still_open.push(record.turn);
                // Nobody here has called its agent, so the turn ends as interrupted.
                if let RecordKind::Question { started, .. } | RecordKind::Regenerate { started, .. } =
                    &mut record.kind
                {
                    *started = true;
                }
            }
            writes.push(Write::Append(record));
        }
        for file in files {
            if records.file(&file.id).map_err(Unimported::Unread)?.is_none() {
                writes.push(Write::AddFile(file));
            }
        }
        let first = match self.kept() {
            Some(_) if writes.is_empty() => return Ok(writes),
            // Imported records may stand before the place up to which D1 has the log, so all of it is
            // delivered again.
            Some(kept) => Write::Checkpoint(Checkpoint { open: Some(still_open), delivered: 0, ..kept }),
            None => Write::Create(Checkpoint {
                epoch,
                seq,
                delivered: 0,
                open: Some(still_open),
                place: self.place_of(session.owner.as_ref()),
                database: None,
                session,
                path,
            }),
        };
        writes.insert(0, first);
        Ok(writes)
    }
}
