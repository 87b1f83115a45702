//! A session as JSON Lines: its whole history, or everything that an import needs.

use std::rc::Rc;

use web_sys::Response;

use crate::edge::Answer;
use crate::platform::http::stream;
use crate::protocol::limits::{PAGE_BYTES_MAX, PAGE_MAX};
use crate::protocol::{CollectVec, Identity, to_json};
use crate::thread::Thread;
use crate::thread::store::{Page, Record, Records, StoreError};

use super::api::{check_read, count_read, epoch, no_session, session, unreadable};
use super::shell::Shell;
use super::store::Store;

/// Answers with everything that an import needs.
pub fn export(shell: &Rc<Shell>, identity: Identity) -> Answer {
    check_read(shell, &identity)?;
    let shown = session(shell)?.ok_or_else(no_session)?;
    let kept = shell.thread(Thread::kept)?.ok_or_else(no_session)?;
    let (session, open, path) = (to_json(&shown), to_json(&kept.open), to_json(&kept.path));
    let mut first = format!(
        r#"{{"session":{session},"thread":{{"epoch":{},"seq":{},"open":{open},"path":{path}}}}}"#,
        kept.epoch, kept.seq
    );
    first.push('\n');
    for file in shell.store().files_as_json().map_err(unreadable)? {
        first.extend(["{\"file\":", &file, "}\n"]);
    }
    pages(shell, identity, first, |records, seq| records.events(seq, PAGE_MAX, PAGE_BYTES_MAX), exported)
}

/// Returns each record and, if it is a message, the message as it is shown.
fn exported(thread: &Thread, store: &Store, page: &[Record]) -> Result<Vec<u8>, StoreError> {
    let messages: Vec<Record> = page.iter().filter(|record| record.is_message()).cloned().collect_vec();
    let shown = json_lines(thread, store, &messages)?;
    let mut shown = shown.split(|byte| *byte == b'\n');
    let seqs: Vec<u64> = page.iter().map(|record| record.seq).collect_vec();
    let mut lines = Vec::new();
    for (record, row) in page.iter().zip(store.rows_as_json(&seqs)?) {
        lines.push(b'{');
        if record.is_message() {
            lines.extend_from_slice(b"\"message\":");
            lines.extend_from_slice(shown.next().unwrap_or_default());
            lines.push(b',');
        }
        lines.extend_from_slice(b"\"record\":");
        lines.extend(row.into_bytes());
        lines.extend_from_slice(b"}\n");
    }
    Ok(lines)
}

/// Answers with the whole history.
pub fn lines(shell: &Rc<Shell>, identity: Identity) -> Answer {
    check_read(shell, &identity)?;
    let page = |records: &Store, seq| records.after(seq, PAGE_MAX, PAGE_BYTES_MAX);
    pages(shell, identity, String::new(), page, json_lines)
}

/// Turns some records into lines.
type Lines = fn(&Thread, &Store, &[Record]) -> Result<Vec<u8>, StoreError>;

/// Streams JSON Lines page by page, so that memory use does not grow with their number.
fn pages(
    shell: &Rc<Shell>,
    identity: Identity,
    mut first: String,
    next: fn(&Store, u64) -> Result<Page, StoreError>,
    lines: Lines,
) -> Answer {
    let epoch = epoch(shell)?;
    let (shell, mut after) = (Rc::downgrade(shell), Some(0));
    let body = stream(move || {
        let Some(seq) = after else { return Ok(None) };
        let shell = shell.upgrade().ok_or("the object is gone")?;
        // If the session was deleted, a slow reader must not get messages of the next one with this name.
        if shell.thread(Thread::epoch).map_err(|broken| broken.to_string())? != epoch {
            return Ok(None);
        }
        let page = next(&shell.store(), seq).map_err(|StoreError(why)| why)?;
        after = page.records.last().filter(|_| page.more).map(|last| last.seq);
        let mut text = std::mem::take(&mut first).into_bytes();
        text.extend(
            shell
                .read(|thread, store| lines(thread, store, &page.records))
                .map_err(|broken| broken.to_string())?,
        );
        let lines = text;
        count_read(&shell, &identity, lines.len());
        Ok((!lines.is_empty()).then_some(lines))
    })?;
    let response = Response::new_with_opt_readable_stream(Some(&body))?;
    response.headers().set("content-type", "application/x-ndjson")?;
    Ok(response)
}

/// Returns the messages of all versions, each marked with whether it is on the current path.
fn json_lines(thread: &Thread, records: &Store, page: &[Record]) -> Result<Vec<u8>, StoreError> {
    let mut lines = Vec::new();
    for (message, record) in thread.messages(records, page)?.iter().zip(page) {
        let mut line = to_json(message).into_bytes();
        line.pop();
        let current =
            if thread.is_current(record) { ",\"current\":true}\n" } else { ",\"current\":false}\n" };
        line.extend_from_slice(current.as_bytes());
        lines.extend(line);
    }
    Ok(lines)
}
