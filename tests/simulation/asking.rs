//! Calls that people answer: an independent model of docs/protocol.md, "Waiting for a person".

use serde_json::{Value, json};

use super::pieces::Piece;
use super::view::text_of;

/// The calls of an answer, each with the blocks behind it.
fn calls(pieces: &[Piece]) -> Vec<(&Value, Vec<&Value>)> {
    let blocks: Vec<&Value> = pieces.iter().filter_map(block_of).collect();
    let with_rest = |(place, block): (usize, &&Value)| {
        (block["type"] == "tool_use").then(|| (blocks[place], blocks[place + 1..].to_vec()))
    };
    blocks.iter().enumerate().filter_map(with_rest).collect()
}

fn block_of(piece: &Piece) -> Option<&Value> {
    match piece {
        Piece::Block(block) => Some(block),
        _ => None,
    }
}

fn result<'a>(call: &Value, behind: &[&'a Value]) -> Option<&'a Value> {
    behind.iter().find(|block| block["type"] == "tool_result" && block["toolUseId"] == call["id"]).copied()
}

fn is_clients(call: &Value, clients: &[String]) -> bool {
    call["output"] == "client" || clients.iter().any(|id| call["id"] == **id)
}

fn is_open(call: &Value, behind: &[&Value], clients: &[String]) -> bool {
    let state = call["approval"]["state"].as_str();
    state == Some("requested")
        || (state != Some("denied") && is_clients(call, clients) && result(call, behind).is_none())
}

pub fn open_calls(pieces: &[Piece], clients: &[String]) -> Vec<String> {
    let calls = calls(pieces);
    let open = calls.iter().filter(|(call, behind)| is_open(call, behind, clients));
    open.map(|(call, _)| text_of(call, "id").to_owned()).collect()
}

/// Tells whether the agent has to continue after the calls from that block on, provided that none of them is open.
pub fn needs_its_agent(pieces: &[Piece], from: usize) -> bool {
    let blocks = pieces.iter().filter_map(block_of).count();
    calls(pieces).iter().filter(|(_, behind)| blocks - behind.len() > from).any(|(call, behind)| {
        if result(call, behind).is_some() { is_clients(call, &[]) } else { !call["approval"].is_null() }
    })
}

/// Calls without a mark and without a result.
pub fn unmarked(pieces: &[Piece], from: usize) -> Vec<String> {
    let blocks = pieces.iter().filter_map(block_of).count();
    let all = calls(pieces);
    let is_meant = |(call, behind): &&(&Value, Vec<&Value>)| {
        blocks - behind.len() > from
            && call["approval"].is_null()
            && call["output"].is_null()
            && result(call, behind).is_none()
    };
    all.iter().filter(is_meant).map(|(call, _)| text_of(call, "id").to_owned()).collect()
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meets {
    Taken,
    /// The same was said before.
    Known,
    Refused(&'static str),
}

/// The required outcome of an answer to a call.
pub fn meets(pieces: &[Piece], clients: &[String], frame: &Value) -> Meets {
    let calls = calls(pieces);
    let Some((call, behind)) = calls.iter().rev().find(|(call, _)| call["id"] == frame["toolUseId"]) else {
        return Meets::Refused("NOT_FOUND");
    };
    let state = call["approval"]["state"].as_str();
    let is_same = if frame["type"] == "tool_decision" {
        match state {
            None => return Meets::Refused("INVALID_MESSAGE"),
            Some("requested") => return Meets::Taken,
            Some(state) => {
                (state == "approved") == (frame["approved"] == true)
                    && call["approval"].get("reason")
                        == frame.get("reason").filter(|reason| !reason.is_null())
            }
        }
    } else {
        match result(call, behind) {
            _ if !is_clients(call, clients) || state == Some("requested") => {
                return Meets::Refused("INVALID_MESSAGE");
            }
            Some(given) => *given == given_block(frame),
            None if state == Some("denied") => false,
            None => return Meets::Taken,
        }
    };
    if is_same { Meets::Known } else { Meets::Refused("ALREADY_ANSWERED") }
}

fn given_block(frame: &Value) -> Value {
    let content = &frame["content"];
    let mut block = json!({ "type": "tool_result", "toolUseId": frame["toolUseId"], "content": content,
                            "isError": frame["isError"].as_bool().unwrap_or_default() });
    if !content.is_string() && !content.is_array() {
        block["content"] = json!(content.to_string());
        if !content.is_null() {
            block["output"] = content.clone();
        }
    }
    block
}

/// Sets the approval of the calls of this id that ask for one. Returns whether there was one.
pub fn decide(pieces: &mut [Piece], id: Option<&str>, approval: &Value) -> bool {
    let mut has_any = false;
    for piece in pieces {
        if let Piece::Block(block) = piece
            && block["type"] == "tool_use"
            && block["approval"]["state"] == "requested"
            && id.is_none_or(|id| block["id"] == id)
        {
            block["approval"] = approval.clone();
            has_any = true;
        }
    }
    has_any
}

pub fn approval(approved: bool, reason: Option<&str>, by: Option<&str>) -> Value {
    let mut approval = json!({ "state": if approved { "approved" } else { "denied" } });
    for (name, value) in [("reason", reason), ("by", by)] {
        if let Some(value) = value {
            approval[name] = json!(value);
        }
    }
    approval
}

/// The decision that a mode makes; `None` if the mode asks a person.
pub fn verdict(call: &Value, mode: &str) -> Option<bool> {
    let kind = call["kind"].as_str().unwrap_or("execute");
    match mode {
        "acceptEdits" if kind == "read" || kind == "edit" => Some(true),
        "plan" => Some(kind == "read"),
        "bypassPermissions" => Some(true),
        _ => None,
    }
}

/// Changes a call to the form in which it is sent.
pub fn shown(block: &mut Value, mode: &str, waits_for_tools: bool) {
    if block["type"] != "tool_use" {
        return;
    }
    if waits_for_tools && block["output"].is_null() {
        block["output"] = json!("client");
    }
    if block["approval"]["state"] == "requested"
        && let Some(approved) = verdict(block, mode)
    {
        block["approval"] = approval(approved, None, Some("mode"));
    }
}

/// Adds a result from a person, which comes before a block that still grows.
pub fn give(pieces: &mut Vec<Piece>, block: Value) {
    let place = pieces.len() - usize::from(matches!(pieces.last(), Some(Piece::Open(..))));
    pieces.insert(place, Piece::Block(block));
}

/// The state in which a stock client shows a call without a result.
pub fn verdict_of(approval: &Value) -> &'static str {
    match approval["state"].as_str() {
        None => "input-available",
        Some("requested") => "approval-requested",
        Some("denied") => "output-denied",
        Some(_) => "approval-responded",
    }
}
