//! The pieces that stock clients are sent, and the rules for them.

use std::rc::Rc;

use bobbin::dialect::ai_sdk::message::history;
use bobbin::dialect::{Dialect, Stock};
use bobbin::protocol::{CloseCode, Status};
use bobbin::thread::PeerId;
use bobbin::thread::stock::{request_peer, socket_of};
use bobbin::thread::store::Records;
use serde_json::{Value, json};

use super::Check;
use super::parts::{Shown, plain, words};
use super::people::Begun;
use super::tabs::{Reader, Stream, Tab};
use super::view::text_of;
use super::world::World;
use crate::support::Seen;

impl World {
    /// The texts that tabs were sent, and the ends of their connections.
    pub fn tell(&mut self, seen: &Seen) -> Check {
        match seen {
            Seen::Follows { peer, turn } => {
                let streams = self.tabs.iter_mut().flat_map(|tab| &mut tab.streams);
                let its = streams.filter(|stream| stream.peer == *peer);
                its.for_each(|stream| stream.follows = Some(turn.clone()));
                Ok(())
            }
            Seen::Told { to, text } => self.told(to, text).map_err(|why| format!("{to}: {why}")),
            Seen::Closed { peer, code } => self.closed(peer, *code),
            _ => Ok(()),
        }
    }

    fn told(&mut self, to: &PeerId, text: &str) -> Check {
        let is_its = |tab: &Tab| {
            tab.socket.as_ref() == Some(to) || tab.streams.iter().any(|stream| stream.peer == *to)
        };
        let Some(id) = self.tabs.iter().position(is_its) else {
            // The client has everything, but the object died before it could send the end.
            let is_broken_off = text.contains("RUN_ERROR") || text.contains(r#""type":"error""#);
            if to.starts_with('h') && is_broken_off {
                return Ok(());
            }
            return Err(format!("nobody is there who is told {text}"));
        };
        let tab = &mut self.tabs[id];
        let request = || {
            let frame: Value = serde_json::from_str(text).ok()?;
            Some(request_peer(to, frame["requestId"].as_str()?))
        };
        let named = if tab.socket.as_ref() != Some(to) {
            Some(Rc::clone(to))
        } else if tab.stock == Stock::AiSdk {
            request()
        } else {
            tab.streams.iter().find(|stream| stream.is_of(to)).map(|stream| Rc::clone(&stream.peer))
        };
        let place = tab.streams.iter().position(|stream| Some(&stream.peer) == named.as_ref());
        let Some(place) = place else {
            // The client ignores failures after the end.
            let is_error = text.contains("RUN_ERROR") || text.starts_with(r#"{"type":"error""#);
            let is_ignored = is_error && self.is_faulty;
            let wrong = || Err(format!("it has asked for nothing, and is told {text}"));
            return if is_ignored { Ok(()) } else { wrong() };
        };
        let stream = &mut tab.streams[place];
        stream.read(text)?;
        if stream.dialect.stock() == Some(Stock::AgUi) {
            stream.told.push(text.to_owned());
        }
        let is_expired = tab.expires_at.is_some_and(|at| at <= self.host.now);
        let may_see = tab.person.access(&self.truth.begun).is_some() && !is_expired;
        if !may_see && !stream.reader.is_over() {
            return Err(format!("it may not see the session, and is told {text}"));
        }
        self.truth.stats.told += 1;
        self.check_told_so_far(id, place)?;
        if self.tabs[id].streams[place].reader.is_over() {
            let stream = self.tabs[id].streams.swap_remove(place);
            return self.end_stream(id, stream);
        }
        Ok(())
    }

    /// Checks that the client holds a beginning of what was said.
    fn check_told_so_far(&self, id: usize, place: usize) -> Check {
        let stream = &self.tabs[id].streams[place];
        let held = words(stream.reader.parts());
        let Some(turn) = self.turn_of_stream(stream).filter(|_| !held.is_empty()) else { return Ok(()) };
        let said = self.truth.words_of(turn);
        if said.starts_with(&held) {
            return Ok(());
        }
        Err(format!("it holds {held:?} of turn {turn}\n  where {said:?} was said"))
    }

    /// It was told the end.
    fn end_stream(&mut self, id: usize, stream: Stream) -> Check {
        let turn = self.turn_of_stream(&stream);
        let is_broken_off = stream.follows.as_ref().is_some_and(|turn| self.truth.is_broken_off(turn));
        let Stream { reader, dialect, before, .. } = stream;
        // It may hold more than what is kept, and was told why.
        let may_hold_more = is_broken_off && before.last.is_some();
        let outcome = match &reader {
            Reader::Ui(stream) => match (stream.ended.as_deref(), stream.last.as_deref()) {
                (Some("error"), _) => return Ok(()),
                (Some("no-active"), _) if self.truth.begun == Begun::No => return Ok(()),
                (Some("no-active"), _) => return Err("it is told that there is nothing".into()),
                // The run was broken off as its turn failed, or it asked too often.
                (_, Some("error")) if self.is_faulty || self.is_limited => return Ok(()),
                (_, Some("error")) => "error",
                (_, Some("abort")) => "abort",
                (_, Some(_)) => stream.finish.as_deref().unwrap_or("none"),
                (_, None) => return Err(format!("its stream ends without an end: {stream:?}")),
            },
            // It was refused, or broken off.
            Reader::Run(run) if run.ended.as_deref() == Some("RUN_ERROR") && !run.has_failed => return Ok(()),
            Reader::Run(run) => run.ended.as_deref().unwrap_or_default(),
        };
        let Some(turn) = turn else {
            let is_refused = outcome == "RUN_ERROR" || outcome == "error";
            return if is_refused {
                Ok(())
            } else {
                Err(format!("it ends with {outcome}, and follows no turn"))
            };
        };
        let shown = self.truth.shown_as(turn, dialect.stock().unwrap_or(Stock::AiSdk));
        if !self.truth.is_open(turn) || shown.waits {
            check_outcome(&shown, outcome, dialect)?;
            if !may_hold_more {
                check_parts(&shown, reader.parts(), dialect)?;
            }
            self.truth.stats.shown += 1;
        } else if outcome != "error" && outcome != "RUN_ERROR" {
            return Err(format!("it is told the end of turn {turn}, which goes on: {outcome}"));
        } else {
            return Ok(());
        }
        let name = match &reader {
            Reader::Ui(stream) => stream.message_id.clone().unwrap_or_default(),
            Reader::Run(_) => String::new(),
        };
        let tab = &mut self.tabs[id];
        let parts = reader.parts().to_vec();
        if shown.status.is_none_or(|status| status == Status::Complete) && has_open(&parts) {
            tab.waiting.push((name, parts.clone()));
        }
        Ok(())
    }

    fn closed(&mut self, peer: &PeerId, code: CloseCode) -> Check {
        let Some(tab) = self.tabs.iter_mut().find(|tab| {
            tab.socket.as_ref() == Some(peer) || tab.streams.iter().any(|stream| stream.peer == *peer)
        }) else {
            return Ok(());
        };
        if tab.socket.as_ref() == Some(peer) {
            tab.socket = None;
            tab.lose(|stream| stream.is_of(peer), None);
            return Ok(());
        }
        let is_told = code != CloseCode::Normal;
        tab.lose(|stream| stream.peer == *peer, None);
        if is_told { Ok(()) } else { Err(format!("{peer} is closed in the middle, as if that were its end")) }
    }

    /// Checks that a client that loads the history, or is shown the last turn again, holds the same as clients that
    /// followed it live.
    pub fn check_history(&mut self) -> Check {
        for id in 0..self.tabs.len() {
            let is_sure = !self.is_limited && self.debts.is_none();
            if is_sure && self.tabs[id].person.access(&self.truth.begun).is_some() {
                self.resume_tab(id, 1)?;
            }
        }
        let Some(thread) = self.host.thread().filter(|thread| thread.session().is_some()) else {
            return Ok(());
        };
        let page = self.host.store.before(thread.path(), u64::MAX >> 1, 200, usize::MAX);
        let page = page.map_err(|error| error.0)?;
        let shown = history(&thread.with_waiting(&page.records));
        let shown: Vec<Value> = serde_json::from_str(&shown).map_err(|error| error.to_string())?;
        let path = self.truth.paths.turns_to(self.truth.paths.tail());
        for message in shown.iter().filter(|message| message["role"] == "assistant") {
            let (head, _) = self.truth.turn_with(text_of(message, "id")).ok_or("a message of no turn")?;
            let last = path.iter().rev().find(|turn| self.truth.chain(**turn)[0] == head);
            let wanted = self.truth.shown_as(*last.unwrap_or(&head), Stock::AiSdk);
            let parts = message["parts"].as_array().into_iter().flatten().filter_map(streamed);
            let parts: Vec<Value> = parts.collect();
            check_parts(&Shown { is_astray: false, ..wanted }, &parts, Dialect::AiSdk)
                .map_err(|why| format!("in the history {why}"))?;
        }
        Ok(())
    }

    /// Ends the connections that died with the object, which their clients notice.
    pub fn lose_dead_tabs(&mut self) {
        let links = &self.host.links;
        let is_open = |peer: &PeerId| links.get(peer).is_some_and(|link| link.is_open);
        for tab in &mut self.tabs {
            if tab.socket.as_ref().is_some_and(|socket| !is_open(socket)) {
                let socket = tab.socket.take().expect("a socket");
                tab.lose(|stream| stream.is_of(&socket), None);
            }
            tab.lose(|stream| socket_of(&stream.peer).is_none() && !is_open(&stream.peer), None);
        }
    }

    /// Checks that no client waits for something that never comes.
    pub fn check_tabs(&self) -> Check {
        let Some(_) = self.host.thread() else { return Ok(()) };
        for stream in self.tabs.iter().flat_map(|tab| &tab.streams) {
            let link = self.host.links.get(&stream.peer).filter(|link| link.is_open);
            let peer = &stream.peer;
            if link.is_none() {
                return Err(format!("{peer} is told nothing more, and not that it is over"));
            }
            let turn = self.turn_of_stream(stream).and_then(|turn| self.truth.turns.get(&turn));
            if !turn.is_some_and(|turn| turn.is_open() && !turn.waits()) {
                return Err(format!("{peer} is told nothing of {turn:?}"));
            }
        }
        if let Some((peer, _)) =
            self.host.links.iter().find(|(peer, link)| peer.starts_with(['t', 'h']) && !link.down.is_empty())
        {
            return Err(format!("{peer} is sent what is not of its protocol"));
        }
        Ok(())
    }
}

fn check_outcome(shown: &Shown, outcome: &str, dialect: Dialect) -> Check {
    let is_right = match (shown.status, dialect.stock()) {
        _ if shown.is_torn => true,
        (None, Some(Stock::AiSdk)) => outcome == "tool-calls",
        (Some(Status::Complete), Some(Stock::AiSdk)) => outcome == "stop",
        (Some(Status::Cancelled), Some(Stock::AiSdk)) => outcome == "abort",
        (Some(Status::Interrupted), Some(Stock::AiSdk)) => {
            outcome == "error" || outcome == if dialect == Dialect::AiSdk { "interrupted" } else { "other" }
        }
        (Some(Status::Failed), Some(Stock::AiSdk)) => outcome == "error",
        (None | Some(Status::Complete | Status::Cancelled), _) => outcome == "RUN_FINISHED",
        (Some(_), _) => outcome == "RUN_ERROR",
    };
    if is_right { Ok(()) } else { Err(format!("it ends with {outcome} where it is {shown:?}")) }
}

fn check_parts(shown: &Shown, held: &[Value], dialect: Dialect) -> Check {
    let held = plain(held, dialect, shown.is_astray);
    let wanted = plain(&shown.parts, dialect, shown.is_astray);
    if held == wanted || shown.is_torn {
        return Ok(());
    }
    Err(format!("it holds\n    {}\n  and is to hold\n    {}", json!(held), json!(wanted)))
}

/// A part of the history in the form in which it was streamed.
fn streamed(part: &Value) -> Option<Value> {
    let kind = part["type"].as_str()?;
    Some(match kind {
        "step-start" => return None,
        "text" => json!({ "text": part["text"] }),
        "reasoning" => json!({ "thought": part["text"] }),
        _ if kind.starts_with("data-") => json!({ "data": kind, "id": part["id"], "value": part["data"] }),
        _ => {
            let mut call =
                json!({ "call": part["toolCallId"], "input": part["input"], "state": part["state"] });
            if let Some(output) = part.get("output").or(part.get("errorText")) {
                call["output"] = output.clone();
            }
            call
        }
    })
}

/// Tells whether a client has answers for the calls of this message.
fn has_open(parts: &[Value]) -> bool {
    let open = ["input-available", "approval-requested", "approval-responded"];
    parts.iter().any(|part| {
        part.get("call").is_some()
            && part.get("output").is_none()
            && part["state"].as_str().is_none_or(|state| open.contains(&state))
    })
}
