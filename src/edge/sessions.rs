//! The list of sessions and the search in them: from D1 alone, no object is woken.

use wasm_bindgen::JsValue;
use worker::{D1Database, Env, Response, Result};

use crate::platform::number;
use crate::protocol::limits::SEARCH_HITS_MAX;
use crate::protocol::{ErrorBody, ErrorCode, to_json};

use super::auth::Caller;
use super::http::log_failure;
use super::params::{before_hit, before_session, limit, query};
use super::routes::Refused;
use super::{match_expression, refusal};

/// A session as clients see it, put together by SQLite: no row is taken apart only to be put together again.
const SESSION: &str = "json_patch(json_object('id', id, 'title', title, 'firstMessagePreview', first_message_preview, \
     'messageCount', message_count, 'totalTokens', total_tokens, 'permissionMode', permission_mode, \
     'createdAt', created_at, 'lastMessageAt', last_message_at), \
     CASE WHEN owner IS NULL THEN '{}' ELSE json_object('owner', owner) END)";

/// A page, and where the next one begins.
struct Page {
    sessions: Vec<String>,
    next_before: Option<String>,
}

pub async fn list(env: &Env, url: &str, caller: &Caller) -> Result<Response> {
    let scope = Scope::of(caller);
    let page = match asked(url) {
        Ok(Asked::Newest { limit, before }) => newest(env, &scope, limit, before).await,
        Ok(Asked::Search { limit, seen, expression }) => search(env, &scope, limit, seen, &expression).await,
        Ok(Asked::Nothing) => Ok(Page { sessions: Vec::new(), next_before: None }),
        Err(refused) => return refusal(&refused),
    };
    match page {
        Ok(page) => page.response(),
        Err(error) => {
            log_failure("d1_failed", &error);
            let message = "the list of sessions is not to be had at the moment; threads go on; try again";
            let error = ErrorBody::retryable(ErrorCode::StorageError, message);
            refusal(&Refused { status: 503, error, allow: None })
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

enum Asked {
    Newest {
        limit: usize,
        before: Option<(u64, String)>,
    },
    Search {
        limit: usize,
        seen: u64,
        expression: String,
    },
    /// A query without a word in it.
    Nothing,
}

fn asked(url: &str) -> std::result::Result<Asked, Refused> {
    let limit = limit(url)?;
    match query(url)? {
        None => Ok(Asked::Newest { limit, before: before_session(url)? }),
        Some(query) => match match_expression(&query) {
            Some(expression) => Ok(Asked::Search { limit, seen: before_hit(url)?, expression }),
            None => Ok(Asked::Nothing),
        },
    }
}

/// By creation, which never changes: a page stays what it is while messages arrive.
async fn newest(env: &Env, scope: &Scope, limit: usize, before: Option<(u64, String)>) -> Result<Page> {
    let (at, id) = before.unwrap_or((1 << 53, String::new()));
    let query = format!(
        "SELECT {SESSION}, created_at || '.' || id FROM sessions WHERE (created_at, id) < (?3, ?4) AND {} \
         ORDER BY created_at DESC, id DESC LIMIT ?5",
        scope.condition_of_page()
    );
    let [owner, named] = scope.bindings();
    let bindings = [owner, named, number(at), id.into(), number(limit.saturating_add(1) as u64)];
    let rows = rows(&env.d1("DB")?, &query, &bindings).await?;
    let last = rows.get(limit.saturating_sub(1)).map(|(_, place)| place.clone());
    let next_before = if rows.len() > limit { last } else { None };
    Ok(Page { sessions: rows.into_iter().take(limit).map(|(session, _)| session).collect(), next_before })
}

/// The best hit of each session, best first. A title says more of a session than one of its messages.
/// What the caller may not see takes no place among the hits.
async fn search(env: &Env, scope: &Scope, limit: usize, seen: u64, expression: &str) -> Result<Page> {
    let condition = scope.condition();
    let query = format!(
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
         SELECT json_patch({SESSION}, json_object('snippet', replace(CASE message
             WHEN 0 THEN (SELECT snippet(session_search, 0, '', '', '…', 16) FROM session_search
               WHERE session_search MATCH ?3 AND rowid = session)
             ELSE (SELECT snippet(message_search, 0, '', '', '…', 16) FROM message_search
               WHERE message_search MATCH ?3 AND rowid = message) END, char(8203), ''))), ''
         FROM best CROSS JOIN sessions ON sessions.n = session
         ORDER BY best.rank, created_at DESC, id DESC LIMIT ?4 OFFSET ?5"
    );
    let [owner, named] = scope.bindings();
    let bindings = [owner, named, expression.into(), number(limit.saturating_add(1) as u64), number(seen)];
    let rows = rows(&env.d1("DB")?, &query, &bindings).await?;
    let next_before = (rows.len() > limit).then(|| seen.saturating_add(limit as u64).to_string());
    Ok(Page { sessions: rows.into_iter().take(limit).map(|(session, _)| session).collect(), next_before })
}

async fn rows(database: &D1Database, query: &str, bindings: &[JsValue]) -> Result<Vec<(String, String)>> {
    let rows = database.prepare(query).bind(bindings)?.raw_js_value().await?;
    let text = |row: &js_sys::Array, column: u32| row.get(column).as_string().unwrap_or_default();
    Ok(rows.iter().map(js_sys::Array::from).map(|row| (text(&row, 0), text(&row, 1))).collect())
}

impl Page {
    fn response(&self) -> Result<Response> {
        let next_before = to_json(&self.next_before);
        let body = format!("{{\"sessions\":[{}],\"nextBefore\":{next_before}}}", self.sessions.join(","));
        super::json_response(body)
    }
}
