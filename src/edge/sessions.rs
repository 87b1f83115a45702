//! The list of sessions and the search in them: from D1 alone, no object is woken.

use js_sys::Array;
use wasm_bindgen::JsCast;
use wasm_bindgen::JsValue;

use crate::database::{self, SESSION_JSON, fitting};
use crate::platform::d1::{self, Row};
use crate::platform::{Env, http::json_response, log_failure, number};
use crate::protocol::ErrorCode;
use crate::protocol::limits::{LIST_TIMEOUT_MS, SEARCH_HITS_MAX};
use crate::protocol::to_json;

use super::auth::Caller;
use super::params::{before_hit, before_session, limit, place, query};
use super::routes::Refused;
use super::{Answer, match_expression};

pub async fn list(env: &Env, url: &str, caller: &Caller) -> Answer {
    let scope = Scope::of(caller);
    let Some(asked) = asked(url, &scope)? else { return page(&[], None) };
    match rows(env, &asked).await.and_then(d1::rows) {
        Ok(rows) => asked.page(&rows),
        Err(thrown) => {
            log_failure("d1_failed", &thrown);
            let message = "the list of sessions is not to be had at the moment; threads go on; try again";
            Err(Refused::retryable(503, ErrorCode::StorageError, message))
        }
    }
}

/// The sessions that a caller may see: all, or its own and those its credential names.
enum Scope {
    All,
    Some { owner: String, named: Vec<String> },
}

impl Scope {
    fn of(caller: &Caller) -> Self {
        match caller {
            Caller::Known { sessions, .. } if sessions.iter().any(|id| id == "*") => Scope::All,
            Caller::Known { identity, sessions } => {
                Scope::Some { owner: identity.subject.clone().unwrap_or_default(), named: sessions.clone() }
            }
            Caller::Ticket(_) => Scope::Some { owner: String::new(), named: Vec::new() },
        }
    }

    /// Of the first two bindings.
    fn condition(&self) -> &'static str {
        match self {
            Scope::All => "(?1 IS NULL AND ?2 IS NULL)",
            Scope::Some { named, .. } if named.is_empty() => "(owner = ?1 AND ?2 IS NULL)",
            Scope::Some { .. } => "(owner = ?1 OR sessions.id IN (SELECT value FROM json_each(?2)))",
        }
    }

    /// The same for a page of the newest, of the bindings ?3 to ?5: of those it owns no more are looked at.
    fn condition_of_page(&self) -> &'static str {
        match self {
            Scope::Some { named, .. } if !named.is_empty() => {
                "id IN (SELECT id FROM (SELECT id FROM sessions WHERE owner = ?1 AND (created_at, id) < (?3, ?4) \
                 ORDER BY created_at DESC, id DESC LIMIT ?5) UNION SELECT value FROM json_each(?2))"
            }
            _ => self.condition(),
        }
    }

    fn bindings(&self) -> [JsValue; 2] {
        match self {
            Scope::All => [JsValue::NULL, JsValue::NULL],
            Scope::Some { owner, named } if named.is_empty() => [owner.into(), JsValue::NULL],
            Scope::Some { owner, named } => [owner.into(), to_json(named).into()],
        }
    }
}

/// A question to D1, which each [`Row`] is an answer to.
struct Asked<'a> {
    scope: &'a Scope,
    bindings: [JsValue; 5],
    limit: usize,
    /// How many hits of a search were seen; `None` for a page of the newest.
    seen: Option<u64>,
}

/// `None` if it is for a query without a word in it.
fn asked<'a>(url: &str, scope: &'a Scope) -> Result<Option<Asked<'a>>, Refused> {
    let limit = limit(url)?;
    let [owner, named] = scope.bindings();
    let rows = number(limit.saturating_add(1) as u64);
    let Some(words) = query(url)? else {
        let (at, id) = before_session(url)?.unwrap_or((1 << 53, String::new()));
        let bindings = [owner, named, number(at), id.into(), rows];
        return Ok(Some(Asked { scope, bindings, limit, seen: None }));
    };
    let Some(expression) = match_expression(&words) else { return Ok(None) };
    let seen = before_hit(url)?;
    let bindings = [owner, named, expression.into(), rows, number(seen)];
    Ok(Some(Asked { scope, bindings, limit, seen: Some(seen) }))
}

/// The newest sessions first, by creation. That never changes: a page stays what it is while messages arrive.
fn newest(scope: &Scope, session: &str) -> String {
    let condition = scope.condition_of_page();
    format!(
        "SELECT {session} AS json, created_at || '.' || id AS place FROM sessions WHERE (created_at, id) < (?3, ?4) AND {condition} \
         ORDER BY created_at DESC, id DESC LIMIT ?5"
    )
}

/// The best hit of each session, best first. A title says more of a session than one of its messages.
/// What the caller may not see takes no place among the hits.
fn best(scope: &Scope, session: &str) -> String {
    let condition = scope.condition();
    format!(
        "WITH hits AS (
           SELECT * FROM (SELECT sessions.n AS session, message_search.rowid AS message, rank
             FROM message_search CROSS JOIN messages ON messages.n = message_search.rowid
             CROSS JOIN sessions ON sessions.id = messages.session_id
             WHERE message_search MATCH ?3 AND {condition} ORDER BY rank LIMIT {SEARCH_HITS_MAX})
           UNION ALL
           SELECT * FROM (SELECT sessions.n, 0, 2 * rank
             FROM session_search CROSS JOIN sessions ON sessions.n = session_search.rowid
             WHERE session_search MATCH ?3 AND {condition} ORDER BY rank LIMIT {SEARCH_HITS_MAX})),
         best AS (SELECT session, message, min(rank) AS rank FROM hits GROUP BY session)
         SELECT json_patch({session}, json_object('snippet', replace(CASE message
             WHEN 0 THEN (SELECT snippet(session_search, 0, '', '', '…', 16) FROM session_search
               WHERE session_search MATCH ?3 AND rowid = session)
             ELSE (SELECT snippet(message_search, 0, '', '', '…', 16) FROM message_search
               WHERE message_search MATCH ?3 AND rowid = message) END, char(8203), ''))) AS json
         FROM best CROSS JOIN sessions ON sessions.n = session
         ORDER BY best.rank, created_at DESC, id DESC LIMIT ?4 OFFSET ?5"
    )
}

async fn rows(env: &Env, asked: &Asked<'_>) -> Result<JsValue, JsValue> {
    let query = |migration| {
        let query = d1::statement(&d1::database(env)?, &asked.query(migration), &asked.bindings)?;
        Ok(d1::within(&query.all()?, LIST_TIMEOUT_MS))
    };
    database::ask(&query).await
}

impl Asked<'_> {
    /// For a database with this migration. A session comes as clients see it, put together by SQLite: no row is
    /// taken apart only to be put together again.
    fn query(&self, migration: u64) -> String {
        let session = fitting(SESSION_JSON, migration);
        match self.seen {
            None => newest(self.scope, &session),
            Some(_) => best(self.scope, &session),
        }
    }

    fn page(&self, rows: &Array) -> Answer {
        let has_more = rows.length() as usize > self.limit;
        let found: Vec<Row> = rows.iter().take(self.limit).map(JsValue::unchecked_into).collect();
        let next_before = match (found.last(), self.seen) {
            (Some(last), None) if has_more => Some(last.place()),
            (Some(_), Some(seen)) if has_more => Some(seen.saturating_add(self.limit as u64).to_string()),
            _ => None,
        };
        let sessions: Vec<String> = found.iter().map(Row::json).collect();
        page(&sessions, next_before.as_deref())
    }
}

/// A page of sessions, and where the next page begins.
fn page(sessions: &[String], next_before: Option<&str>) -> Answer {
    let next_before = place(next_before);
    let body = format!(r#"{{"sessions":[{}],"nextBefore":{next_before}}}"#, sessions.join(","));
    Ok(json_response(200, &body)?)
}
