//! The list of sessions and the search in them. Both use only D1, so no object is woken.

use std::rc::Rc;

use js_sys::Array;
use wasm_bindgen::JsCast;
use wasm_bindgen::JsValue;
use worker_sys::Context;

use crate::database::{self, Expressions, IS_CURRENT, MIGRATION, SESSION_JSON, owner_key, refill};
use crate::platform::d1::{self, Row};
use crate::platform::{Env, Task, http::json_response, log_failure, normalized, number};
use crate::protocol::limits::{LIST_PART_TIMEOUT_MS, LIST_TIMEOUT_MS, SEARCH_HITS_MAX};
use crate::protocol::{CollectVec, ErrorCode, SessionState, cut, to_json};
use crate::thread::places;

use super::auth::Caller;
use super::params::{Order, before_hit, before_session, limit, order, place, query, state};
use super::routes::{Refused, query_value};
use super::{Answer, is_of_titles};

/// Answers with a page. `class` is the name of the objects' binding, if it is not the default.
pub async fn list(env: &Env, url: String, caller: &Caller, class: Option<&str>, context: &Context) -> Answer {
    let mut scope = Scope::of(caller, row_prefix(env, class)?);
    if caller.is_admin() {
        scope.owner = query_value(&url, "subject");
    }
    let places = scope.places(env);
    let Some(asked) = Asked::of(&url, scope, is_of_titles(env), places.len())? else {
        return page(&[], None, Some(true));
    };
    if !d1::is_bound(env) {
        let message = "this deployment keeps no list of sessions: it has no D1 database bound as DB";
        return Err(Refused::fatal(501, ErrorCode::NotConfigured, message));
    }
    let asked = Rc::new(asked);
    let merged = d1::merged(&rows(env, &asked, &places).await?)?;
    let [found, failed]: [Array; 2] = [merged.get(0), merged.get(1)].map(JsValue::unchecked_into);
    failed.iter().for_each(|thrown| log_failure("d1_failed", &thrown));
    // If one of several databases fails, only its own sessions are missing.
    if failed.length() as usize >= places.len() {
        let message = "the list of sessions is not to be had at the moment; threads go on; try again";
        return Err(Refused::retryable(503, ErrorCode::StorageError, message));
    }
    if asked.seen.is_some() {
        refill::begin(env, context)?;
    }
    asked.page(&found, failed.length() == 0)
}

/// Returns the beginning of the row ids of a class.
pub fn row_prefix(env: &Env, class: Option<&str>) -> Result<String, JsValue> {
    class.map_or(Ok(String::new()), |class| d1::row_prefix_of_class(env, class))
}

/// The sessions of one class that a caller may see: all, or its own and those that its credential names.
struct Scope {
    /// `None` for all.
    owner: Option<String>,
    /// Row ids.
    named: Vec<String>,
    /// The beginning of the row ids.
    prefix: String,
}

impl Scope {
    fn of(caller: &Caller, prefix: String) -> Self {
        let (owner, named) = match caller {
            Caller::Known { sessions, .. } if sessions.iter().any(|id| id == "*") => (None, Vec::new()),
            Caller::Known { identity, sessions } => {
                let named = sessions.iter().map(|id| prefix.clone() + id).collect_vec();
                (Some(identity.subject.clone().unwrap_or_default()), named)
            }
            Caller::Ticket(_) => (Some(String::new()), Vec::new()),
        };
        Scope { owner, named, prefix }
    }

    /// Returns the databases that may have them.
    fn places(&self, env: &Env) -> Vec<u64> {
        match &self.owner {
            Some(owner) if !self.names_some() => places(owner, &d1::generations(env)),
            _ => d1::all(env),
        }
    }

    fn names_some(&self) -> bool {
        !self.named.is_empty()
    }

    /// Returns the sessions that the caller may see, as a condition on the first two bindings.
    fn condition(&self) -> String {
        let who = match (&self.owner, self.names_some()) {
            (None, _) => "(?1 IS NULL AND ?2 IS NULL)",
            (Some(_), false) => "(owner = ?1 AND ?2 IS NULL)",
            (Some(_), true) => "(owner = ?1 OR sessions.id IN (SELECT value FROM json_each(?2)))",
        };
        [who, &self.of_class()].concat()
    }

    /// Returns a condition for sessions of the class. It repeats the condition of the partial index that
    /// holds only sessions of such classes. An owner's sessions are found by the owner's index.
    fn of_class(&self) -> String {
        if self.prefix.is_empty() {
            return " AND instr(sessions.id, '/') = 0".into();
        }
        let by_index = if self.owner.is_none() { " AND instr(sessions.id, '/') > 0 AND " } else { " AND +" };
        let name = self.prefix.replace('\'', "''");
        [by_index, "substr(sessions.id, 1, instr(sessions.id, '/')) = '", &name, "'"].concat()
    }

    fn bindings(&self) -> [JsValue; 2] {
        let owner = self.owner.as_deref().map_or(JsValue::NULL, JsValue::from_str);
        let named = if self.names_some() { to_json(&self.named).into() } else { JsValue::NULL };
        [owner, named]
    }
}

/// The snippet of a hit's text: around the words, without marks, including those of older builds. If the
/// words are not found, as in a text that is being rewritten, it is the beginning.
const SNIPPET: &str = "(SELECT replace(replace(trim(substr(text, 1, instr(text || char(30), char(30)) - 1), char(31) || ' '), char(31), ''), char(8203), '')
     FROM (SELECT coalesce(CASE message
       WHEN 0 THEN (SELECT snippet(session_search, 0, '', '', '…', 16) FROM session_search
         WHERE session_search MATCH ?8 AND rowid = session)
       ELSE (SELECT snippet(message_search, 0, '', '', '…', 16) FROM message_search
         WHERE message_search MATCH ?8 AND rowid = message) END,
       substr(iif(message = 0, sessions.words, (SELECT words FROM messages WHERE n = message)), 1, 120)) AS text))";

/// A query to D1; each [`Row`] is an answer to it.
struct Asked {
    scope: Scope,
    bindings: Vec<JsValue>,
    limit: usize,
    order: Order,
    /// Whether a search covers only titles.
    is_of_titles: bool,
    /// A part of a statement that selects a state of sessions.
    state: &'static str,
    /// How many hits of a search were seen; `None` for a page of the list.
    seen: Option<u64>,
    /// How many rows of all databases together come before the page.
    skipped: usize,
    timeout_ms: u64,
}

impl Asked {
    /// Reads a query; `None` if it has no word to search for.
    fn of(url: &str, scope: Scope, is_of_titles: bool, places: usize) -> Result<Option<Self>, Refused> {
        let timeout_ms = if places > 1 { LIST_PART_TIMEOUT_MS } else { LIST_TIMEOUT_MS };
        let (limit, state, words) = (limit(url)?, state(url)?.map_or("", of_state), query(url)?);
        let order = order(url, words.is_some())?;
        let [owner, named] = scope.bindings();
        let rows = number(limit.saturating_add(1) as u64);
        let Some(words) = words else {
            let (at, id) = before_session(url, order)?.unwrap_or((1 << 53, String::new()));
            let id = scope.prefix.clone() + &id;
            let bindings = vec![owner, named, number(at), id.into(), rows];
            return Ok(Some(Asked {
                scope,
                bindings,
                limit,
                order,
                is_of_titles,
                state,
                seen: None,
                skipped: 0,
                timeout_ms,
            }));
        };
        let Some(expressions) = Expressions::of(&normalized(&words)) else { return Ok(None) };
        let seen = before_hit(url)?;
        let key = scope.owner.as_ref().map(|owner| owner_key(Some(owner))).unwrap_or_default();
        // The overall rank of a database's hit is known only once all hits are there, so none can be skipped
        // in SQL.
        let skipped = if places > 1 { usize::try_from(seen).unwrap_or_default() } else { 0 };
        let (rows, offset) = if places > 1 {
            (number(seen.saturating_add(limit as u64).saturating_add(1)), number(0))
        } else {
            (rows, number(seen))
        };
        let Expressions { words, older_words, places } = expressions;
        let bindings =
            vec![owner, named, words.into(), rows, offset, older_words.into(), key.into(), places.into()];
        let seen = Some(seen);
        Ok(Some(Asked { scope, bindings, limit, order, is_of_titles, state, seen, skipped, timeout_ms }))
    }

    /// Returns the statement. SQLite itself builds the JSON of each session, so no row is parsed only to be
    /// written again.
    fn query(&self, migration: u64) -> String {
        match self.seen {
            None => self.newest(),
            Some(_) => self.best(migration),
        }
    }

    /// Lists the newest sessions first. By creation, a page stays the same while messages arrive. By last
    /// use, a session that is used meanwhile moves before all later pages: so none comes twice, and each
    /// unused one is on its page.
    fn newest(&self) -> String {
        let Asked { scope, state, .. } = self;
        let mark = self.order.mark();
        let time = match self.order {
            Order::Created => "created_at",
            Order::Recent => "last_message_at",
        };
        // An index gives one page of the owned sessions, so the database sorts no more than these and the
        // named ones.
        let condition = if scope.names_some() {
            let of_class = scope.of_class();
            format!(
                "id IN (SELECT id FROM (SELECT id FROM sessions WHERE owner = ?1 AND ({time}, id) < (?3, ?4){of_class} {state} \
                 ORDER BY {time} DESC, id DESC LIMIT ?5) UNION SELECT value FROM json_each(?2))"
            )
        } else {
            scope.condition()
        };
        format!(
            "SELECT {SESSION_JSON} AS json, 0 AS rank, {time} AS at, '{mark}' || {time} || '.' || substr(id, instr(id, '/') + 1) AS place FROM sessions \
             WHERE ({time}, id) < (?3, ?4) AND {condition} {state} ORDER BY {time} DESC, id DESC LIMIT ?5"
        )
    }

    /// Returns the best hit of each session, best first, among the newest hits. A title counts more than a
    /// message. Sessions that the caller may not see take no place among the hits. If no session of the state
    /// is among them, a row without a session says whether some were left out. A snippet costs more than
    /// finding its hit, so only the rows of the page get one.
    fn best(&self, migration: u64) -> String {
        let Asked { state, .. } = self;
        // Hits in messages alternate with hits in titles.
        let mut hits = self.hits(migration);
        let mut is_of_title = true;
        hits.retain(|_| {
            is_of_title = !is_of_title;
            is_of_title || !self.is_of_titles
        });
        let hits = hits.join(" UNION ALL ");
        let complete =
            format!("NOT EXISTS (SELECT 1 FROM hits GROUP BY source HAVING count(*) >= {SEARCH_HITS_MAX})");
        format!(
            "WITH hits (source, session, message, rank) AS ({hits}),
             best AS (SELECT session, message, min(rank) AS rank FROM hits GROUP BY session)
             SELECT json_patch({SESSION_JSON}, json_object('snippet', {SNIPPET})) AS json, {complete} AS complete,
               rank, created_at AS at, id AS place
             FROM (SELECT session, message, rank FROM best CROSS JOIN sessions ON sessions.n = session WHERE ?7 IS NOT NULL {state}
               ORDER BY rank, created_at DESC, id DESC LIMIT ?4 OFFSET ?5) CROSS JOIN sessions ON sessions.n = session
             UNION ALL SELECT '', {complete}, 0, 0, '' WHERE NOT EXISTS
               (SELECT 1 FROM best CROSS JOIN sessions ON sessions.n = session WHERE true {state})"
        )
    }

    /// Returns statements for hits in messages and in titles, using the index of all words or that of each
    /// owner's words.
    fn hits(&self, migration: u64) -> Vec<String> {
        let condition = self.scope.condition();
        let current = if migration < MIGRATION { "" } else { IS_CURRENT };
        let of_all = |source: &str, expression: &str, before: &str, and: &str| {
            let and_of = |table: &str| {
                cut(and, "words").map(|(before, behind)| [before, table, ".words", behind].concat())
            };
            [
                hits(
                    &format!(
                        "'{source}m', sessions.n, message_search.rowid, rank FROM {before} message_search
                   CROSS JOIN messages ON messages.n = message_search.rowid
                   CROSS JOIN sessions ON sessions.id = messages.session_id
                   WHERE message_search MATCH {expression} AND {condition} {} {current}",
                        and_of("messages").unwrap_or_default()
                    ),
                    "message_search.rowid DESC",
                ),
                hits(
                    &format!(
                        "'{source}t', sessions.n, 0, 2 * rank FROM {before} session_search
                   CROSS JOIN sessions ON sessions.n = session_search.rowid
                   WHERE session_search MATCH {expression} AND {condition} {}",
                        and_of("sessions").unwrap_or_default()
                    ),
                    "session_search.rowid DESC",
                ),
            ]
        };
        // Without texts in the older form, nothing is looked up in their index.
        let older = of_all(
            "b",
            "?6",
            "(SELECT 1 WHERE EXISTS (SELECT 1 FROM messages WHERE substr(words, 1, 1) <> char(31)) \
             OR EXISTS (SELECT 1 FROM sessions WHERE substr(words, 1, 1) <> char(31))) CROSS JOIN",
            "AND substr(words, 1, 1) <> char(31)",
        );
        let newer = match self.scope.owner {
            None => of_all("a", "?3", "", ""),
            Some(_) => self.owned(current),
        };
        [newer, older].concat()
    }

    fn owned(&self, current: &str) -> [String; 2] {
        let condition = self.scope.condition();
        let (keys, key) = if self.scope.names_some() {
            (
                "(SELECT ?7 AS key UNION SELECT owner_key FROM sessions WHERE id IN (SELECT value FROM json_each(?2)) AND owner_key IS NOT NULL) CROSS JOIN",
                "key",
            )
        } else {
            ("", "?7")
        };
        let expression = format!("replace(?3, char(31), char(31) || {key})");
        [
            hits(
                &format!(
                    "'m', sessions.n, owned_search.rowid, rank FROM {keys} owned_search
               CROSS JOIN messages ON messages.n = owned_search.rowid
               CROSS JOIN sessions ON sessions.id = messages.session_id
               WHERE owned_search MATCH {expression} AND owned_search.rowid > 0 AND {condition} {current}"
                ),
                "owned_search.rowid DESC",
            ),
            hits(
                &format!(
                    "'t', sessions.n, 0, 2 * rank FROM {keys} owned_search
               CROSS JOIN sessions ON sessions.n = -owned_search.rowid
               WHERE owned_search MATCH {expression} AND owned_search.rowid < 0 AND {condition}"
                ),
                "owned_search.rowid",
            ),
        ]
    }
}

/// Returns a condition for sessions of this state. The second half of the last two repeats the condition of
/// the partial index; otherwise SQLite would not use it.
fn of_state(state: SessionState) -> &'static str {
    match state {
        SessionState::Idle => "AND coalesce(state, 'idle') = 'idle'",
        SessionState::Running => "AND state = 'running' AND state <> 'idle'",
        SessionState::Waiting => "AND state = 'waiting' AND state <> 'idle'",
    }
}

/// Returns the first hits of a statement in this order. The limit bounds the work of a search for a frequent
/// word.
fn hits(select: &str, order: &str) -> String {
    format!("SELECT * FROM (SELECT {select} ORDER BY {order} LIMIT {SEARCH_HITS_MAX})")
}

async fn rows(env: &Env, asked: &Rc<Asked>, places: &[u64]) -> Result<Array, JsValue> {
    let (env, asked) = (JsValue::from(env), asked.clone());
    let ask = move |place| -> Task<Result<JsValue, JsValue>> {
        let (env, asked): (Env, _) = (env.clone().unchecked_into(), asked.clone());
        Box::pin(async move {
            let query = |migration| {
                let query =
                    d1::statement(&d1::database(&env, place)?, &asked.query(migration), &asked.bindings)?;
                Ok(d1::within(&query.all()?, asked.timeout_ms))
            };
            database::ask(place, &query).await
        })
    };
    d1::of_all(places, ask).await
}

impl Asked {
    /// Merges the results of the databases, each of which is in order, into a page. Each was asked for one
    /// row more than the page may have.
    fn page(&self, found: &Array, is_whole: bool) -> Answer {
        let mut found: Vec<Row> = found.iter().map(JsValue::unchecked_into).collect_vec();
        let is_complete = is_whole && (self.seen.is_none() || found.iter().all(Row::is_complete));
        found.retain(|row| !row.place().is_empty());
        let end = self.skipped.saturating_add(self.limit);
        let has_more = found.len() > end;
        found.truncate(end);
        let next_before = match (found.last(), self.seen) {
            (Some(last), None) if has_more => Some(last.place()),
            (Some(_), Some(seen)) if has_more => Some(seen.saturating_add(self.limit as u64).to_string()),
            _ => None,
        };
        let sessions: Vec<String> = found.iter().skip(self.skipped).map(Row::json).collect_vec();
        // A list is complete unless it says that it is not.
        let is_told = self.seen.is_some() || !is_complete;
        page(&sessions, next_before.as_deref(), is_told.then_some(is_complete))
    }
}

/// Returns a page of sessions as JSON, with the cursor of the next page and, for a search, whether all hits
/// were looked at.
fn page(sessions: &[String], next_before: Option<&str>, is_complete: Option<bool>) -> Answer {
    let next_before = place(next_before);
    let complete = is_complete.map(|is_so| format!(r#","complete":{is_so}"#)).unwrap_or_default();
    let body = format!(r#"{{"sessions":[{}],"nextBefore":{next_before}{complete}}}"#, sessions.join(","));
    Ok(json_response(200, &body)?)
}
