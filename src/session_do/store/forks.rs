//! Keeps a fork page by page until all of it is here. Then the session begins with it, in one commit.

use crate::platform::number;
use crate::protocol::{Json, Millis, Read as _, to_json};
use crate::session_do::schema::{FORK, INDICES, TABLES};
use crate::thread::rows::Row;
use crate::thread::store::{StoreError, Write};
use crate::thread::{Copying, ForkOrigin as Origin, Thread};

use super::Store;

impl Store {
    /// Returns the source of this copy.
    pub fn origin(&self) -> Result<Option<Origin>, StoreError> {
        if !self.has_tables.get() {
            return Ok(None);
        }
        let rows = self.rows("SELECT origin FROM bobbin_thread", vec![])?;
        Ok(rows.first().and_then(|row| row.text("origin")).and_then(|origin| Origin::parse(&origin)))
    }

    /// Returns the lowest sequence number of a fork's pages that are here; `None` if there are none of this
    /// fork.
    pub fn fork(&self, origin: &Origin) -> Result<Option<u64>, StoreError> {
        if !self.catalog()?.has(FORK.name, &[]) {
            return Ok(None);
        }
        let query = "SELECT min(n) AS n FROM bobbin_fork WHERE n > 0 AND \
                     (SELECT text FROM bobbin_fork WHERE n = 0) = ?";
        let rows = self.rows(query, vec![to_json(origin).into()])?;
        Ok(rows.first().and_then(|row| row.integer("n")))
    }

    /// Keeps a page of a fork. Pages of any other fork are dropped.
    pub fn keep_page(
        &self,
        origin: &Origin,
        page: &[(u64, String)],
        now: Millis,
    ) -> Result<Option<u64>, StoreError> {
        let text = to_json(origin);
        self.transaction(|| {
            self.run(&FORK.create(), vec![])?;
            self.run(
                "DELETE FROM bobbin_fork WHERE (SELECT text FROM bobbin_fork WHERE n = 0) <> ?",
                vec![text.as_str().into()],
            )?;
            self.upsert(FORK.name, &[("n", number(0)), ("text", text.as_str().into()), ("at", number(now))])?;
            page.iter().try_for_each(|(n, text)| {
                self.upsert(FORK.name, &[("n", number(*n)), ("text", text.as_str().into())])
            })
        })?;
        self.fork(origin)
    }

    /// Begins the session from a fork's pages. They are read and written a few at a time, since 10,000
    /// messages may exceed an isolate's memory. It is one transaction, so a crash leaves all of it or
    /// nothing.
    pub fn begin_fork(
        &self,
        origin: &Origin,
        thread: &Thread,
        now: Millis,
        title: Option<&str>,
    ) -> Result<(), StoreError> {
        let begin = || -> Result<(), StoreError> {
            let mut copying = Copying::new(self.session_id.clone(), thread.epoch(), now);
            let tables: String = TABLES.iter().map(|table| table.create()).collect();
            self.run(&[&tables, INDICES].concat(), vec![])?;
            let mut after = 0;
            loop {
                let query = "SELECT n, text FROM bobbin_fork WHERE n > ? ORDER BY n LIMIT 20";
                let rows = self.rows(query, vec![number(after)])?;
                let Some(last) = rows.last() else { break };
                after = last.integer("n").unwrap_or(u64::MAX >> 11);
                for row in &rows {
                    let message = row.text("text").and_then(|text| Json::parse(&text)).unwrap_or(Json::Null);
                    copying.take(&message).iter().try_for_each(|record| self.append(record))?;
                }
            }
            copying.finish().iter().try_for_each(|record| self.append(record))?;
            self.write(Write::Checkpoint(thread.begun_as(
                &copying,
                origin.by.clone(),
                title.map(str::to_owned),
            )))?;
            self.run("UPDATE bobbin_thread SET origin = ?", vec![to_json(origin).into()])?;
            if self.has_files.get() {
                let named = "UPDATE bobbin_files SET due = NULL WHERE state = 'here' AND id IN (SELECT value FROM json_each(?))";
                self.run(named, vec![to_json(&copying.files()).into()])?;
            }
            self.run("DROP TABLE bobbin_fork", vec![])
        };
        self.transaction(begin)?;
        self.has_tables.set(true);
        Ok(())
    }
}
