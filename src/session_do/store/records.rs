//! Reads of committed data. Each is bounded by an index, so that none takes longer in a long thread.

use wasm_bindgen::prelude::*;

use crate::platform::number;
use crate::protocol::{CollectVec, Millis, to_json};
use crate::session_do::schema::{RECORDS, ROUNDS};
use crate::thread::rows::{ANSWER, APPEND, QUESTION, REGENERATE, Row, SELECT, WAITING};
use crate::thread::store::{Begun, Page, Record, Records, StoreError};
use crate::thread::{File, Path, Start};

use super::Store;
use super::rows::{SqlRow, optional};

const THESE: &str = "seq IN (SELECT value FROM json_each(?))";

impl Records for Store {
    fn events(&self, seq: u64, count_max: usize, bytes_max: usize) -> Result<Page, StoreError> {
        self.page(&format!("{} AND seq > ? ORDER BY seq", known_kinds()), seq, count_max, bytes_max)
    }

    fn rounds(&self, turn: u64, until: u64) -> Result<Vec<Record>, StoreError> {
        if !self.has_tables.get() {
            return Ok(Vec::new());
        }
        let rounds = format!("FROM bobbin_records WHERE turn = ?1 AND seq <= ?2 AND {ROUNDS}");
        let last = format!("SELECT max(seq) {rounds} AND kind = '{WAITING}'");
        let query = format!("SELECT * {rounds} AND seq >= ({last}) ORDER BY seq");
        let rows = self.rows(&query, vec![number(turn), number(until)])?;
        Ok(rows.iter().map(|row| self.record(row)).collect_vec())
    }

    fn after(&self, seq: u64, count_max: usize, bytes_max: usize) -> Result<Page, StoreError> {
        self.page(&format!("{} AND seq > ? ORDER BY seq", messages()), seq, count_max, bytes_max)
    }

    fn before(&self, path: &Path, seq: u64, count_max: usize, bytes_max: usize) -> Result<Page, StoreError> {
        let (mut seqs, mut bytes) = (Vec::new(), 0_u64);
        let query = format!(
            "SELECT seq, octet_length(content) AS bytes FROM bobbin_records WHERE {} AND seq >= ? AND seq < ? \
             ORDER BY seq DESC LIMIT ?",
            messages()
        );
        let mut more = false;
        for (from, to) in path.newest_first().filter(|(from, _)| *from < seq && self.has_tables.get()) {
            let left = count_max.saturating_add(1).saturating_sub(seqs.len()) as u64;
            for row in self.rows(&query, vec![number(from), number(to.min(seq)), number(left)])? {
                bytes = bytes.saturating_add(row.integer("bytes").unwrap_or_default());
                more |= seqs.len() >= count_max || (bytes > bytes_max as u64 && !seqs.is_empty());
                if !more {
                    seqs.extend(row.integer("seq"));
                }
            }
            if more {
                break;
            }
        }
        let mut records = self.these(&seqs)?;
        records.reverse();
        Ok(Page { records, more })
    }

    fn these(&self, seqs: &[u64]) -> Result<Vec<Record>, StoreError> {
        if seqs.is_empty() {
            return Ok(Vec::new());
        }
        let query = format!("SELECT * FROM bobbin_records WHERE {THESE} ORDER BY seq");
        Ok(self.rows(&query, vec![to_json(&seqs).into()])?.iter().map(|row| self.record(row)).collect_vec())
    }

    fn starts(&self, parents: Option<&[u64]>) -> Result<Vec<Start>, StoreError> {
        let query = format!(
            "SELECT seq, kind, parent, data FROM bobbin_records INDEXED BY bobbin_versions \
             WHERE segment > 0 AND {} ORDER BY seq",
            if parents.is_some() { "parent IN (SELECT value FROM json_each(?))" } else { "?1 IS NULL" }
        );
        let parents = parents.map(|parents| to_json(&parents));
        let rows = self.rows(&query, vec![optional(parents.as_deref())])?;
        Ok(rows.iter().map(|row| Start::read(row)).collect_vec())
    }

    fn begun_before(&self, seq: u64) -> Result<Option<Record>, StoreError> {
        Ok(self.begin(0, seq)?.map(|row| self.record(&row)))
    }

    fn begun(&self, turns: &[u64]) -> Result<Vec<(u64, Begun)>, StoreError> {
        let query = format!("SELECT seq, data FROM bobbin_records WHERE {THESE}");
        let rows = self.rows(&query, vec![to_json(&turns).into()])?;
        Ok(rows.iter().map(|row| (row.integer("seq").unwrap_or_default(), Begun::of(row))).collect_vec())
    }

    fn late(&self, seq: u64, turns: Option<&[u64]>) -> Result<Vec<(u64, u64)>, StoreError> {
        let (of, count) = match turns {
            Some(turns) => ("turn IN (SELECT value FROM json_each(?2))", turns.len()),
            None => ("turn < ?1 AND ?2 IS NULL", usize::MAX >> 1),
        };
        let query = format!(
            "SELECT turn, seq FROM bobbin_records WHERE seq > ?1 AND kind = '{ANSWER}' AND {of} ORDER BY seq LIMIT ?3"
        );
        let turns = turns.map(|turns| to_json(&turns));
        let rows = self.rows(&query, vec![number(seq), optional(turns.as_deref()), number(count as u64)])?;
        let pair = |row: &SqlRow| Some((row.integer("turn")?, row.integer("seq")?));
        Ok(rows.iter().filter_map(pair).collect_vec())
    }

    fn count(&self, turn: u64) -> Result<u64, StoreError> {
        let query = format!(
            "SELECT sum(iif(kind = '{QUESTION}', 2, kind = '{APPEND}')) FROM bobbin_records \
             WHERE seq = turn AND seq <= {turn}"
        );
        Ok(self.number(&query)?.unwrap_or_default())
    }

    fn request(&self, request_id: &str) -> Result<Option<Record>, StoreError> {
        self.first("request_id = ? AND seq = turn", request_id.into())
    }

    fn end(&self, turn: u64) -> Result<Option<Record>, StoreError> {
        self.first("seq > ?1 AND turn = ?1 AND kind = 'answer' ORDER BY seq", number(turn))
    }

    fn file(&self, id: &str) -> Result<Option<File>, StoreError> {
        if !self.has_files.get() {
            return Ok(None);
        }
        let rows = self.rows("SELECT * FROM bobbin_files WHERE id = ?", vec![id.into()])?;
        Ok(rows.first().and_then(|row| File::read(row)))
    }

    fn gone_files(&self, now: Millis, count_max: usize) -> Result<Vec<String>, StoreError> {
        if !self.has_files.get() {
            return Ok(Vec::new());
        }
        let query = "SELECT id FROM bobbin_files WHERE due <= ? AND state = 'gone' ORDER BY due LIMIT ?";
        let rows = self.rows(query, vec![number(now), number(count_max as u64)])?;
        Ok(rows.iter().filter_map(|row| row.text("id")).collect_vec())
    }

    fn gone_due(&self) -> Result<Option<Millis>, StoreError> {
        if !self.has_files.get() {
            return Ok(None);
        }
        self.number("SELECT min(due) FROM bobbin_files WHERE due IS NOT NULL AND state = 'gone'")
    }

    fn is_noted(&self, digest: &str) -> Result<bool, StoreError> {
        let query = "SELECT 1 FROM bobbin_deleted WHERE instr(requests, ?) > 0";
        Ok(!self.rows(query, vec![digest.into()])?.is_empty())
    }
}

impl Store {
    /// Asks for the sizes first, so that records that do not fit are never read.
    fn page(&self, place: &str, seq: u64, count_max: usize, bytes_max: usize) -> Result<Page, StoreError> {
        if !self.has_tables.get() {
            return Ok(Page::default());
        }
        let range = format!("FROM bobbin_records WHERE {place} LIMIT ?");
        let bindings = |count: usize| vec![number(seq), number(count as u64)];
        // SQLite knows the length in bytes of a long text without reading the pages that hold it.
        let sizes = format!("SELECT octet_length(content) AS bytes {range}");
        let sizes = self.rows(&sizes, bindings(count_max.saturating_add(1)))?;
        let (mut count, mut bytes) = (0_usize, 0_u64);
        for size in sizes.iter().take(count_max) {
            bytes = bytes.saturating_add(size.integer("bytes").unwrap_or_default());
            if bytes > bytes_max as u64 && count > 0 {
                break;
            }
            count = count.saturating_add(1);
        }
        let rows = self.rows(&format!("SELECT * {range}"), bindings(count))?;
        let records = rows.iter().map(|row| self.record(row)).collect_vec();
        Ok(Page { records, more: count < sizes.len() })
    }

    fn first(&self, condition: &str, binding: JsValue) -> Result<Option<Record>, StoreError> {
        if !self.has_tables.get() {
            return Ok(None);
        }
        let query = format!("SELECT * FROM bobbin_records WHERE {condition} LIMIT 1");
        Ok(self.rows(&query, vec![binding])?.first().map(|row| self.record(row)))
    }

    /// Returns the messages that D1 refused.
    pub fn parked(&self) -> Result<Vec<String>, StoreError> {
        if !self.has_tables.get() {
            return Ok(Vec::new());
        }
        let query = "SELECT message_id FROM bobbin_records WHERE parked = 1 ORDER BY seq LIMIT 100";
        Ok(self.rows(query, vec![])?.iter().filter_map(|row| row.text("message_id")).collect_vec())
    }

    /// Returns records with these sequence numbers as JSON, oldest first, each without a message's content.
    pub fn rows_as_json(&self, seqs: &[u64]) -> Result<Vec<String>, StoreError> {
        let is_kept = |column: &&(&'static str, &str)| !["content", "parked"].contains(&column.0);
        let columns: Vec<String> =
            RECORDS.columns.iter().filter(is_kept).map(|(name, _)| format!("'{name}', {name}")).collect_vec();
        let query = format!(
            "SELECT json_patch('{{}}', json_object({}, 'content', iif({}, NULL, content))) AS json FROM bobbin_records \
             WHERE {THESE} ORDER BY seq",
            columns.join(", "),
            messages()
        );
        let rows = self.rows(&query, vec![to_json(&seqs).into()])?;
        Ok(rows.iter().filter_map(|row| row.text("json")).collect_vec())
    }

    /// Returns the files that messages name, as JSON.
    pub fn files_as_json(&self) -> Result<Vec<String>, StoreError> {
        if !self.has_files.get() {
            return Ok(Vec::new());
        }
        let query = "SELECT json_object('id', id, 'name', name, 'media_type', media_type, 'size', size, 'state', state) AS json \
                     FROM bobbin_files WHERE due IS NULL AND state = 'here'";
        Ok(self.rows(query, vec![])?.iter().filter_map(|row| row.text("json")).collect_vec())
    }
}

/// A newer version may have written records of other kinds. They are skipped, so that this build can go on
/// with the thread.
pub(super) fn known_kinds() -> String {
    format!("({} OR {ROUNDS} OR kind IN ('{APPEND}', '{REGENERATE}', '{SELECT}'))", messages())
}

pub(super) fn messages() -> String {
    format!("kind IN ('{QUESTION}', '{ANSWER}')")
}
