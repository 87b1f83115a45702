//! Checks the tables of docs/security.md against the core: the rights of each role, by socket and by HTTP
//! route.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

#[path = "support/mod.rs"]
mod support;

use std::collections::BTreeSet;

use bobbin::agent::AgentEvent;
use bobbin::dialect::Dialect;
use bobbin::edge::auth::Token;
use bobbin::edge::{Action, Guarded, Route};
use bobbin::protocol::{Access, Block, CloseCode, Identity, Read, file_path};
use bobbin::thread::{Ask, Config, Denied, File, FileState, Input, PeerId, Unserved};
use serde_json::{Value, json};

use support::{Host, Link};

const PAGE: &str = include_str!("../docs/security.md");
const API: &str = include_str!("../docs/openapi.json");
/// Generated from the frames that the worker reads.
const TYPES: &str = include_str!("../client/src/protocol.ts");
const HEADINGS: [(&str, Kind); 4] = [
    ("A session of one's own", Kind::Own),
    ("A session that the token names", Kind::Shared),
    ("A session of somebody else", Kind::Foreign),
    ("A session that nobody has begun", Kind::New),
];
const ROLES: [&str; 4] = ["owner", "editor", "viewer", "none"];
const ID: &str = "thread";
const FILE: &str = "a-file";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Own,
    Shared,
    Foreign,
    New,
}

#[derive(Debug)]
struct Cell<'a> {
    kind: Kind,
    action: &'a str,
    by: &'a str,
    role: &'static str,
    expected: &'a str,
}

#[test]
fn every_cell_of_the_tables_matches_the_core() {
    let cells = cells();
    assert_eq!(cells.len(), 464);
    for cell in cells.iter().filter(|cell| cell.action != "list") {
        let outcome = if cell.by == "HTTP" { by_http(cell).to_owned() } else { by_socket(cell) };
        assert_eq!(outcome, cell.expected, "{cell:?}");
    }
}

#[test]
fn every_frame_and_every_route_of_a_session_has_a_row() {
    let cells = cells();
    let frames = cells.iter().filter(|cell| cell.by == "WebSocket").map(|cell| frame_of(cell.action).0);
    let tried: BTreeSet<String> = frames.map(|frame| frame["type"].as_str().unwrap().to_owned()).collect();
    let declared = TYPES.split("export type ClientFrame = ").nth(1).unwrap();
    for kind in declared.split("\"type\": \"").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(tried.contains(kind), "the tables of docs/security.md have no row that sends {kind}");
    }
    let api: Value = serde_json::from_str(API).unwrap();
    let paths =
        api["paths"].as_object().unwrap().iter().filter(|(path, _)| path.starts_with("/sessions/{id}"));
    for (path, methods) in paths {
        for method in methods.as_object().unwrap().keys().filter(|method| *method != "parameters") {
            let url = format!("http://worker{}", path.replace("{id}", ID));
            let rows = match Route::of(&method.to_uppercase(), &url, true) {
                Ok(Route::Guarded(Guarded::Connect { .. })) => &["connect"],
                Ok(Route::Guarded(Guarded::Session { action, .. })) => rows_of_action(action),
                other => panic!("{method} {path} is no route of a session: {other:?}"),
            };
            for row in rows {
                let has_row = cells.iter().any(|cell| cell.action == *row);
                assert!(has_row, "the tables of docs/security.md have no row {row}");
            }
        }
    }
}

fn cells() -> Vec<Cell<'static>> {
    let tables = HEADINGS.iter().flat_map(|(heading, kind)| {
        let section = PAGE.split("\n### ").find_map(|part| part.strip_prefix(heading)).expect(heading);
        let section = section.split("\n## ").next().unwrap();
        section.lines().filter(|line| line.starts_with('|')).skip(2).map(|row| (*kind, row))
    });
    let row = |(kind, row): (Kind, &'static str)| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let role = move |(index, role): (usize, &&'static str)| Cell {
            kind,
            action: cells[0],
            by: cells[1],
            role,
            expected: cells[index + 2],
        };
        ROLES.iter().enumerate().map(role).collect::<Vec<_>>()
    };
    tables.flat_map(row).collect()
}

fn by_http(cell: &Cell) -> &'static str {
    let action = match cell.action {
        "read" => Action::Read,
        "history" => Action::Messages,
        "send" | "append" => Action::Post,
        "follow" => Action::Events,
        "cancel" => Action::Cancel,
        "answer a call" | "give a result" => Action::Decide,
        "rename" | "permission mode" => Action::Update,
        "delete" => Action::Delete,
        "fork" => Action::Fork,
        "ticket" => Action::Ticket,
        "upload" => Action::Upload,
        "download" => Action::Fetch,
        "diagnostics" => Action::Diagnostics,
        "administer" => Action::Reindex,
        other => panic!("{other}"),
    };
    assert!(rows_of_action(action).contains(&cell.action));
    let mut host = host(cell.kind);
    host.pump(Input::Deadline);
    if action == Action::Fetch {
        let thread = host.thread().unwrap();
        return match thread.file(host.now, &host.store, &identity(cell), FILE) {
            Ok(_) => "yes",
            Err(Unserved::Denied(Denied::Forbidden(_))) => "403",
            Err(_) => "404",
        };
    }
    // A post's action is known only once its body is read.
    let ask = if cell.action == "append" { Ask::Append } else { action.ask() };
    match host.thread().unwrap().permits_request(&identity(cell), ask) {
        // No token names the new session.
        Ok(()) if action == Action::Fork && !identity(cell).may_create => "403",
        Ok(()) => "yes",
        Err(Denied::Forbidden(_)) => "403",
        Err(Denied::NoSession) => "404",
    }
}

fn by_socket(cell: &Cell) -> String {
    let mut host = host(cell.kind);
    let peer = join(&mut host, "me", identity(cell));
    match host.links[&peer].close {
        None => {}
        Some(CloseCode::Forbidden) => return "4403".into(),
        Some(other) => return format!("{other:?}"),
    }
    let (mut frame, answer) = frame_of(cell.action);
    if let ("select", Some(message)) = (cell.action, host.store.records.values().next()) {
        frame["messageId"] = json!(message.message_id);
    }
    drain(&mut host, &peer);
    host.receive(&peer, &frame.to_string());
    let frames = drain(&mut host, &peer);
    match frames.iter().find(|frame| frame["type"] == "error" && frame["cursor"].is_null()) {
        // If nobody has begun the session, it has no call either.
        Some(refused) if refused["error"]["code"] == "NOT_FOUND" && cell.kind == Kind::New => "yes".into(),
        Some(refused) => refused["error"]["code"].as_str().unwrap().to_owned(),
        None if answer.is_empty() || frames.iter().any(|frame| frame["type"] == answer) => "yes".into(),
        None => format!("{frames:?}"),
    }
}

/// Returns the frame that asks for an action, and the type of the frame that shows its effect.
fn frame_of(action: &str) -> (Value, &'static str) {
    match action {
        "connect" => (json!({ "type": "ping" }), "pong"),
        "read" => (json!({ "type": "session_sync" }), "session_synced"),
        "send" => (json!({ "type": "message", "requestId": "r1", "content": "hello" }), "user_message"),
        "regenerate" => (json!({ "type": "regenerate", "requestId": "r1", "of": "r0" }), "branch"),
        "select" => (json!({ "type": "select", "messageId": "msg" }), "branch"),
        "cancel" => (json!({ "type": "cancel" }), ""),
        "answer a call" => (
            json!({ "type": "tool_decision", "requestId": "r0", "toolUseId": "c1", "approved": true }),
            "tool_decided",
        ),
        "give a result" => {
            (json!({ "type": "tool_output", "requestId": "r0", "toolUseId": "c2", "content": 9 }), "block")
        }
        "check" => (json!({ "type": "check", "n": 7 }), ""),
        "rename" => (json!({ "type": "session_update", "title": "A title" }), "session"),
        "permission mode" => (json!({ "type": "session_update", "permissionMode": "plan" }), "session"),
        other => panic!("{other}"),
    }
}

/// Returns the rows of the tables for an action of HTTP.
fn rows_of_action(action: Action) -> &'static [&'static str] {
    match action {
        Action::Read => &["read"],
        Action::Messages | Action::UiMessages => &["history"],
        Action::Post => &["send", "append"],
        Action::Events | Action::Chat | Action::Resume | Action::Run | Action::ReadRun => &["follow"],
        Action::Cancel | Action::Stop => &["cancel"],
        Action::Decide => &["answer a call", "give a result"],
        Action::Update => &["rename", "permission mode"],
        Action::Delete => &["delete"],
        Action::Fork => &["fork"],
        Action::Ticket => &["ticket"],
        Action::Diagnostics => &["diagnostics"],
        Action::Upload => &["upload"],
        Action::Fetch => &["download"],
        Action::Export
        | Action::Import
        | Action::ImportFile
        | Action::Reindex
        | Action::Sweep
        | Action::Forget => &["administer"],
    }
}

fn host(kind: Kind) -> Host {
    let mut host = Host::new(Config::default(), 1);
    let owner = match kind {
        Kind::Own => "me",
        Kind::Shared | Kind::Foreign => "somebody",
        Kind::New => return host,
    };
    let plain = Identity {
        subject: Some(owner.into()),
        granted: None,
        may_create: true,
        expires_at: None,
        trace: None,
    };
    let peer = join(&mut host, "first", plain);
    let file = File {
        id: FILE.into(),
        name: "a.txt".into(),
        media_type: "text/plain".into(),
        size: 1,
        uploader: Some(owner.into()),
        state: FileState::Coming,
        due: None,
    };
    host.pump(Input::Upload(file));
    host.pump(Input::Uploaded { id: FILE.into() });
    let content = json!([
        { "type": "text", "text": "hello" },
        { "type": "file", "mediaType": "text/plain", "url": file_path("s1", FILE) },
    ]);
    host.receive(&peer, &json!({ "type": "message", "requestId": "r0", "content": content }).to_string());
    let call = |call: &str| AgentEvent::Block(Block::parse(call).unwrap());
    let asking = r#"{"type":"tool_use","id":"c1","name":"f","input":1,"approval":{"state":"requested"}}"#;
    let at_client = r#"{"type":"tool_use","id":"c2","name":"f","input":1,"output":"client"}"#;
    host.agent(1, vec![call(asking), call(at_client)]);
    host
}

fn join(host: &mut Host, name: &str, identity: Identity) -> PeerId {
    let peer: PeerId = name.into();
    host.links.insert(peer.clone(), Link { is_open: true, ..Link::default() });
    host.pump(Input::Joined { peer: peer.clone(), identity, dialect: Dialect::Native, cursor: None });
    peer
}

fn drain(host: &mut Host, peer: &PeerId) -> Vec<Value> {
    host.links.get_mut(peer).unwrap().down.drain(..).map(|frame| frame.json().clone()).collect()
}

/// Returns the identity that the edge would read from a token.
fn identity(cell: &Cell) -> Identity {
    let named = if cell.kind == Kind::Foreign { "another" } else { ID };
    let claims = match (cell.role, cell.kind) {
        ("none", Kind::Shared) => json!({ "sub": "me", "bobbin": { "sessions": [named] } }),
        ("none", _) => json!({ "sub": "me" }),
        (role, _) => json!({ "sub": "me", "bobbin": { "sessions": [named], "role": role } }),
    };
    let token = [json!({ "alg": "HS256" }), claims].map(|part| encode(part.to_string().as_bytes()));
    Token::parse(&format!("{}.{}.", token[0], token[1])).unwrap().claims.identity(Some(ID))
}

#[test]
fn a_named_editor_or_viewer_stores_nothing_in_a_session_that_nobody_has_begun() {
    for granted in [Access::Editor, Access::Viewer] {
        let mut host = Host::new(Config::default(), 1);
        let named = |subject: &str, granted: Option<Access>| Identity {
            subject: Some(subject.into()),
            granted,
            may_create: granted.is_none(),
            expires_at: None,
            trace: None,
        };
        let peer = join(&mut host, "named", named("named", Some(granted)));
        drain(&mut host, &peer);
        let tries = [
            json!({ "type": "message", "requestId": "r1", "content": "mine" }),
            json!({ "type": "session_update", "title": "Mine", "permissionMode": "bypassPermissions" }),
            json!({ "type": "message", "requestId": "r1", "content": "mine" }),
        ];
        for frame in tries {
            host.receive(&peer, &frame.to_string());
            let frames = drain(&mut host, &peer);
            assert_eq!((frames.len(), &frames[0]["error"]["code"]), (1, &json!("FORBIDDEN")), "{frames:?}");
        }
        host.evict();
        host.receive(&peer, &json!({ "type": "message", "requestId": "r1", "content": "mine" }).to_string());
        assert_eq!(drain(&mut host, &peer)[0]["error"]["code"], json!("FORBIDDEN"), "after it slept");
        assert_eq!((host.store.rows_written, host.alarm), (0, None));
        let owner = join(&mut host, "owner", named("owner", None));
        host.receive(
            &owner,
            &json!({ "type": "message", "requestId": "r2", "content": "hello" }).to_string(),
        );
        let session = host.thread().and_then(|thread| thread.session()).unwrap();
        assert_eq!((session.owner.as_deref(), &session.title), (Some("owner"), &None));
        assert_eq!(session.permission_mode.as_str(), "default");
        drain(&mut host, &peer);
        host.receive(&peer, &json!({ "type": "message", "requestId": "r1", "content": "mine" }).to_string());
        let answer = if granted == Access::Editor { "user_message" } else { "error" };
        assert_eq!(drain(&mut host, &peer)[0]["type"], json!(answer), "once it has begun");
    }
}

#[test]
fn a_role_includes_the_lower_roles() {
    assert!(Access::Viewer < Access::Editor && Access::Editor < Access::Owner);
}

fn encode(bytes: &[u8]) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut bits: Vec<bool> =
        bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1)).collect();
    bits.resize(bits.len().div_ceil(6) * 6, false);
    let value = |bits: &[bool]| bits.iter().fold(0, |value, bit| value * 2 + usize::from(*bit));
    bits.chunks(6).map(|bits| char::from(LETTERS[value(bits)])).collect()
}
