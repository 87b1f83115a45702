//! A message as stock clients show it: an independent model of docs/clients.md and the tables of the protocols.

use bobbin::dialect::{Dialect, Stock};
use bobbin::protocol::{Content, Status};
use bobbin::thread::TurnId;
use bobbin::thread::store::{Record, RecordKind};
use serde_json::{Value, json};

use super::asking::verdict_of;
use super::pieces::{Piece, pieces_of_content};
use super::truth::Truth;
use super::view::text_of;

/// The way in which a turn is shown.
#[derive(Debug)]
pub struct Shown {
    pub parts: Vec<Value>,
    /// Its end, if it has ended.
    pub status: Option<Status>,
    /// Whether it waits for people.
    pub waits: bool,
    /// Whether its thoughts may differ from those that were told, which cannot be taken back.
    pub is_astray: bool,
    /// Whether a part of it can no longer be read.
    pub is_torn: bool,
}

impl Truth {
    /// The turns that form one message with this one, the first one first: a message of results alone continues the
    /// answer with the calls.
    pub fn chain(&self, turn: TurnId) -> Vec<TurnId> {
        let mut chain = vec![turn];
        while let Some(before) = self.goes_on_with(chain[0]) {
            chain.insert(0, before);
        }
        chain
    }

    fn goes_on_with(&self, turn: TurnId) -> Option<TurnId> {
        let question = self.paths.question_of(turn)?;
        let record = self.records.iter().find(|record| record.seq == question)?;
        let results = results_of(&record.content)?;
        let before = self.paths.parent_of(question)?;
        let known: Vec<Piece> = self.chain(before).into_iter().flat_map(|turn| self.pieces(turn).0).collect();
        let is_known = |id: &str| {
            known.iter().any(|piece| matches!(piece, Piece::Block(block) if block["type"] == "tool_use" && block["id"] == id))
        };
        results.iter().all(|result| is_known(text_of(result, "toolUseId"))).then_some(before)
    }

    fn end_of(&self, turn: TurnId) -> Option<&Record> {
        self.turns.get(&turn).filter(|turn| !turn.is_open())?;
        self.records.iter().find(|record| record.turn == turn && record.is_end())
    }

    /// The stored or spoken content of a turn, and its end.
    fn pieces(&self, turn: TurnId) -> (Vec<Piece>, Option<Status>) {
        match self.end_of(turn) {
            Some(end) => {
                let RecordKind::Answer { status, .. } = &end.kind else { return Default::default() };
                (pieces_of_content(&end.content), status.known())
            }
            None => (self.turns.get(&turn).map(|turn| turn.said.clone()).unwrap_or_default(), None),
        }
    }

    pub fn shown_as(&self, turn: TurnId, stock: Stock) -> Shown {
        let own = self.turns.get(&turn);
        let chain = self.chain(turn);
        let mut shown = Shown {
            parts: Vec::new(),
            status: self.pieces(turn).1,
            waits: own.is_some_and(super::truth::Turn::waits),
            is_astray: chain.iter().any(|turn| self.turns.get(turn).is_some_and(|turn| turn.is_astray)),
            is_torn: chain.iter().any(|turn| self.is_unsure(*turn)),
        };
        for (place, turn) in chain.iter().enumerate() {
            if place > 0 {
                let question = self.paths.question_of(*turn);
                let asked = self.records.iter().find(|record| Some(record.seq) == question);
                for result in asked.and_then(|asked| results_of(&asked.content)).unwrap_or_default() {
                    put(&mut shown.parts, &Piece::Block(result), stock);
                }
            }
            let from = shown.parts.len();
            let (pieces, status) = self.pieces(*turn);
            for piece in &pieces {
                put(&mut shown.parts, piece, stock);
            }
            if status.is_some_and(|status| status != Status::Complete) && stock == Stock::AiSdk {
                shown.parts[from..].iter_mut().for_each(leave);
            }
        }
        shown
    }

    /// The text of the message that a turn is a part of.
    pub fn words_of(&self, turn: TurnId) -> String {
        let chain = self.chain(turn);
        let (last, before) = chain.split_last().expect("the turn");
        let texts = |pieces: &[Piece]| -> String {
            pieces
                .iter()
                .filter_map(|piece| if let Piece::Text(text) = piece { Some(text.as_str()) } else { None })
                .collect()
        };
        let before: String = before.iter().map(|turn| texts(&self.pieces(*turn).0)).collect();
        before + &self.turns.get(last).map(|turn| texts(&turn.said)).unwrap_or_default()
    }

    /// Tells whether a turn's stored content has changed.
    fn is_unsure(&self, turn: TurnId) -> bool {
        let question = self.paths.question_of(turn);
        let is_its = |record: &Record| record.turn == turn || Some(record.seq) == question;
        self.has_lost(turn)
            || self
                .records
                .iter()
                .enumerate()
                .any(|(index, it)| is_its(it) && self.versions(index).count() > 1)
    }
}

/// The blocks of a message that consists of results alone.
fn results_of(content: &Content) -> Option<Vec<Value>> {
    let pieces = pieces_of_content(content);
    let blocks = pieces.into_iter().map(|piece| match piece {
        Piece::Block(block) if block["type"] == "tool_result" => Some(block),
        _ => None,
    });
    blocks.collect::<Option<Vec<Value>>>().filter(|blocks| !blocks.is_empty())
}

fn put(parts: &mut Vec<Value>, piece: &Piece, stock: Stock) {
    let block = match piece {
        Piece::Text(text) => return parts.push(json!({ "text": text })),
        Piece::Open(block, grown) if block["type"] == "thinking" => {
            return parts.push(json!({ "thought": grown }));
        }
        Piece::Open(..) => return,
        Piece::Block(block) => block,
    };
    match text_of(block, "type") {
        "thinking" => parts.push(json!({ "thought": block["text"] })),
        "tool_use" if stock == Stock::AgUi => {
            parts.push(json!({ "call": block["id"], "input": block["input"] }));
        }
        "tool_use" => {
            let state = verdict_of(&block["approval"]);
            parts.push(json!({ "call": block["id"], "input": block["input"], "state": state }));
        }
        "tool_result" => {
            let call = parts.iter_mut().rev().find(|part| part["call"] == block["toolUseId"]);
            let (state, output) = given(block, stock);
            match call {
                Some(call) if stock == Stock::AgUi => call["output"] = output,
                Some(call) => {
                    call["state"] = json!(state);
                    call["output"] = output;
                }
                None => parts.push(json!({ "result": block["toolUseId"], "output": output })),
            }
        }
        "data" if stock == Stock::AgUi => {}
        "data" => {
            let name = format!("data-{}", text_of(block, "name"));
            let part = json!({ "data": name, "id": block["id"], "value": block["data"] });
            let is_same = |it: &&mut Value| {
                block["id"].is_string() && it["data"] == part["data"] && it["id"] == part["id"]
            };
            match parts.iter_mut().find(is_same) {
                Some(earlier) => *earlier = part,
                None => parts.push(part),
            }
        }
        _ => parts.push(json!({ "other": block })),
    }
}

fn given(result: &Value, stock: Stock) -> (&'static str, Value) {
    let content = &result["content"];
    let in_words = || content.as_str().map_or_else(|| content.to_string(), str::to_owned);
    let is_error = result["isError"] == true;
    match result.get("output") {
        _ if stock == Stock::AgUi => ("", json!(in_words())),
        _ if is_error => ("output-error", json!(in_words())),
        Some(output) => ("output-available", output.clone()),
        // A result of null is stored as text only.
        None if content == "null" => ("output-available", Value::Null),
        None => ("output-available", content.clone()),
    }
}

/// Nobody is to wait for the results of an answer that broke off.
fn leave(part: &mut Value) {
    let state = part["state"].as_str().unwrap_or_default();
    if ["input-available", "approval-requested", "approval-responded"].contains(&state) {
        part["state"] = json!("output-error");
        part["output"] = json!("cancelled");
    }
}

/// Puts parts into a form that can be compared, whatever the pieces in which they arrived.
pub fn plain(parts: &[Value], dialect: Dialect, without_thoughts: bool) -> Vec<Value> {
    let mut plain: Vec<Value> = Vec::new();
    for part in parts {
        if part["state"] == "not-finished" || part["state"] == "input-streaming" {
            continue;
        }
        let mut part = part.clone();
        if let Some(fields) = part.as_object_mut() {
            fields.remove("asked");
            fields.remove("of");
        }
        if let Some(text) = part["text"].as_str()
            && let Some(Value::String(before)) = plain.last_mut().and_then(|last| last.get_mut("text"))
        {
            before.push_str(text);
            continue;
        }
        let is_thought = part.get("thought").is_some();
        if part["text"] == "" || part["thought"] == "" || is_thought && without_thoughts {
            continue;
        }
        // Version 6 is told only the consequence of a decision.
        let is_open =
            ["approval-requested", "approval-responded"].iter().any(|state| part["state"] == *state);
        if dialect == Dialect::AiSdkEvents && is_open {
            part["state"] = json!("input-available");
        }
        if let (Some(Stock::AgUi), Some(input)) = (dialect.stock(), part["input"].as_str()) {
            part["input"] = serde_json::from_str(input).unwrap_or_else(|_| json!(input));
        }
        plain.push(part);
    }
    plain
}

/// The text of all parts.
pub fn words(parts: &[Value]) -> String {
    parts.iter().filter_map(|part| part["text"].as_str()).collect()
}
