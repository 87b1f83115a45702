//! The object's database: statements, and rows whose columns have names.

use std::rc::Rc;

use js_sys::Array;
use wasm_bindgen::prelude::*;

use crate::platform::{self, SqlCursor, describe};
use crate::protocol::{CollectVec, to_json};
use crate::session_do::logs;
use crate::session_do::schema::{
    ALL_TABLES, DELETED, FILES, FIRST_FORMAT, FORK, JOURNAL, RECORDS, THREAD, Table,
};
use crate::thread::rows::{Found, Row};
use crate::thread::store::{Record, StoreError};

use super::Store;

/// The tables that a thread may have. Other tables in the object's database are the application's.
const TABLE_NAMES: [&str; 8] = [
    THREAD.name,
    RECORDS.name,
    JOURNAL.name,
    DELETED.name,
    FILES.name,
    FORK.name,
    FIRST_FORMAT.0,
    FIRST_FORMAT_DELETED,
];

/// The first format's note of a deletion that D1 has yet to learn of.
pub(super) const FIRST_FORMAT_DELETED: &str = "deleted";

/// Each unreadable row is logged once; this many of them are remembered.
const LOGGED_MAX: usize = 1_000;

impl Store {
    /// Inserts or updates a row by its first column. Columns that are not named keep their values.
    pub(super) fn upsert(&self, table: &str, columns: &[(&str, JsValue)]) -> Result<(), StoreError> {
        let Some(((key, _), others)) = columns.split_first() else { return Ok(()) };
        let updates: Vec<String> =
            others.iter().map(|(name, _)| format!("{name} = excluded.{name}")).collect_vec();
        let on_conflict = format!(" ON CONFLICT ({key}) DO UPDATE SET {}", updates.join(", "));
        self.insert(table, columns, &on_conflict)
    }

    pub(super) fn insert(
        &self,
        table: &str,
        columns: &[(&str, JsValue)],
        on_conflict: &str,
    ) -> Result<(), StoreError> {
        let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect_vec();
        let (names, places) = (names.join(", "), vec!["?"; columns.len()].join(", "));
        let query = format!("INSERT INTO {table} ({names}) VALUES ({places}){on_conflict}");
        self.run(&query, columns.iter().map(|(_, value)| value.clone()).collect_vec())
    }

    pub(super) fn run(&self, query: &str, bindings: Vec<JsValue>) -> Result<(), StoreError> {
        if query.is_empty() {
            return Ok(());
        }
        let cursor = self.exec(query, bindings)?;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let rows = cursor.rows_written() as usize;
        self.rows_written.set(self.rows_written.get().saturating_add(rows));
        Ok(())
    }

    pub(super) fn rows(&self, query: &str, bindings: Vec<JsValue>) -> Result<Vec<SqlRow>, StoreError> {
        let cursor = self.exec(query, bindings)?;
        let columns = Rc::new(cursor.column_names());
        let values = platform::rows(&cursor).map_err(failed)?;
        Ok(values.into_iter().map(|values| SqlRow { columns: columns.clone(), values }).collect_vec())
    }

    /// Returns the first column of the first row.
    pub(super) fn number(&self, query: &str) -> Result<Option<u64>, StoreError> {
        Ok(self.rows(query, vec![])?.first().and_then(|row| integer(&row.values.get(0))))
    }

    fn exec(&self, query: &str, bindings: Vec<JsValue>) -> Result<SqlCursor, StoreError> {
        self.sql.exec(query, &bindings.into_iter().collect()).map_err(failed)
    }

    pub(super) fn catalog(&self) -> Result<Catalog, StoreError> {
        let names = to_json(&TABLE_NAMES.as_slice());
        let query = "SELECT tables.name AS name, columns.name AS column_name FROM sqlite_master AS tables, \
                     pragma_table_info(tables.name) AS columns \
                     WHERE tables.type = 'table' AND tables.name IN (SELECT value FROM json_each(?))";
        let rows = self.rows(query, vec![names.into()])?;
        let pair = |row: &SqlRow| Some((row.text("name")?, row.text("column_name")?));
        Ok(Catalog(rows.iter().filter_map(pair).collect_vec()))
    }

    pub(super) fn record(&self, row: &SqlRow) -> Record {
        self.reported(RECORDS.name, row.integer("seq").unwrap_or_default(), Record::read(row))
    }

    /// Returns the value, and logs which part of its row could not be read.
    pub(super) fn reported<T>(&self, table: &'static str, key: u64, found: Found<T>) -> T {
        if let Some(fault) = found.fault {
            let mut logged = self.logged.borrow_mut();
            if !logged.contains(&(table, key)) && logged.len() < LOGGED_MAX {
                logged.push((table, key));
                logs::row_unreadable(&self.session_id, table, key, &fault);
            }
        }
        found.value
    }
}

/// The columns of the existing tables.
pub(super) struct Catalog(Vec<(String, String)>);

impl Catalog {
    /// Returns whether a table with these columns exists.
    pub(super) fn has(&self, table: &str, columns: &[&str]) -> bool {
        let has_column = |column: &&str| self.0.iter().any(|(name, has)| name == table && has == *column);
        self.0.iter().any(|(name, _)| name == table) && columns.iter().all(has_column)
    }

    /// Returns whether an existing table lacks a column that this build writes.
    pub(super) fn lacks_something(&self) -> bool {
        let lacks = |table: &&Table| {
            let columns: Vec<&str> = table.columns.iter().map(|(name, _)| *name).collect_vec();
            self.has(table.name, &[]) && !self.has(table.name, &columns)
        };
        ALL_TABLES.iter().any(lacks)
    }
}

/// A row and the names of its columns.
pub(super) struct SqlRow {
    columns: Rc<Vec<String>>,
    pub(super) values: Array,
}

impl SqlRow {
    fn value(&self, column: &str) -> Option<JsValue> {
        let place = self.columns.iter().position(|name| name == column)?;
        Some(self.values.get(u32::try_from(place).ok()?))
    }
}

impl Row for SqlRow {
    fn integer(&self, column: &str) -> Option<u64> {
        integer(&self.value(column)?)
    }

    fn text(&self, column: &str) -> Option<String> {
        self.value(column)?.as_string()
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
pub(super) fn integer(value: &JsValue) -> Option<u64> {
    value.as_f64().filter(|value| *value >= 0.0).map(|value| value as u64)
}

pub(super) fn optional(text: Option<&str>) -> JsValue {
    text.map_or(JsValue::NULL, JsValue::from_str)
}

#[allow(clippy::needless_pass_by_value)]
pub(super) fn failed(thrown: JsValue) -> StoreError {
    StoreError(describe(&thrown))
}
