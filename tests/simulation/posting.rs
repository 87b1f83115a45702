//! Clients that use HTTP alone: their posts, and the required outcomes.

use std::rc::Rc;

use bobbin::dialect::native;
use bobbin::protocol::{Access, CloseCode, Json, ToolAnswer};
use bobbin::pump::Undone;
use bobbin::thread::{Denied, PeerId, Request};
use serde_json::{Value, json};

use super::Check;
use super::allowance::Room;
use super::fate::Fate;
use super::follower::Follower;
use super::people::Begun;
use super::rights::Known;
use super::view::{kind, text_of};
use super::world::{World, nth_of};

impl World {
    /// Makes a request in place of a frame.
    pub fn by_http(&mut self, peer: &PeerId, text: &str) -> Check {
        let frame: Value = serde_json::from_str(text).unwrap_or_default();
        let id = self
            .clients
            .iter()
            .position(|client| client.connection.as_ref().is_some_and(|connection| connection.peer == *peer));
        let Some(id) = id else { return Ok(()) };
        let request_id = frame.get("requestId").and_then(Value::as_str).map(str::to_owned);
        match kind(&frame) {
            "message" if frame["threadId"].is_null() => self.post(id, &frame),
            "cancel" => self.request(id, Access::Editor, &Request::Cancel { request_id }),
            "tool_decision" | "tool_output" => {
                let mut fields =
                    Json::parse(text).and_then(|json| json.as_object().cloned()).expect("fields");
                let answer = ToolAnswer::from_fields(&mut fields, kind(&frame) == "tool_output");
                self.request(id, Access::Editor, &Request::Answer(answer.expect("an answer")))
            }
            // It cannot say what is wrong, or for another thread.
            _ => {
                self.clients[id].pending.remove(text_of(&frame, "requestId"));
                Ok(())
            }
        }
    }

    /// An answer that nobody asked for.
    pub fn append(&mut self, id: usize, nth: usize) -> Check {
        let again = nth_of(&self.appended, nth).filter(|_| nth.is_multiple_of(5)).cloned();
        let frame = again.unwrap_or_else(|| {
            let request_id = format!("c{id}-a{}", self.appended.len());
            json!({ "type": "message", "role": "assistant", "requestId": request_id, "content": format!("by the way {nth}") })
        });
        self.appended.push(frame.clone());
        self.post(id, &frame)
    }

    fn post(&mut self, id: usize, frame: &Value) -> Check {
        let text = frame.to_string();
        let mut fields = Json::parse(&text).and_then(|json| json.as_object().cloned()).expect("fields");
        // An invalid post does not reach the object.
        let Ok(post) = native::post(&mut fields, || "x".into()) else { return Ok(()) };
        let number = self.host.random.next() % 0x1_0000_0000;
        let (peer, follows): (PeerId, bool) = (format!("p{id}-{number}").into(), number.is_multiple_of(2));
        let person = self.clients[id].person;
        let of_connection =
            self.clients[id].connection.as_ref().and_then(|it| self.truth.people.get(&it.peer));
        let expires_at = of_connection.and_then(|known| known.expires_at);
        let known = Known { person, expires_at, invalid_frames: 0, uncertain_frames: 0 };
        self.truth.people.insert(Rc::clone(&peer), known);
        let mut asked = self.ask(&peer, &text);
        self.expect_of_post(&mut asked.expected, &peer, frame, follows);
        let request_id = post.request_id.clone();
        if follows {
            self.followers.insert(Rc::clone(&peer), Follower::new(&request_id));
        }
        self.note(|| format!("  {peer} posts {frame}, and follows: {follows}"));
        let frames = self.room(|all| all.frames.room(self.host.now, &asked.payer));
        self.truth.stats.posts += 1;
        self.truth.actor = Some(person);
        let answer = self.host.post(&peer, person.identity(expires_at), post, follows);
        let course = self.course(asked.start);
        let fate = match &answer {
            None => Fate::default(),
            Some(Ok(_)) => Fate::done(),
            Some(Err(Undone::Denied(Denied::NoSession))) => Fate::refused("NOT_FOUND"),
            Some(Err(Undone::Denied(Denied::Forbidden(_)))) => Fate::refused("FORBIDDEN"),
            Some(Err(Undone::Refused(error))) => Fate::refused(error.code.as_str()),
            Some(Err(Undone::Broken(_))) => Fate::refused("STORAGE_ERROR"),
        };
        let bytes = if asked.reads && follows && fate.is_done { self.bytes_sent(&peer, |_| true) } else { 0 };
        self.observe()?;
        self.truth.actor = None;
        self.count_read(&peer, bytes, course);
        let is_final = matches!(&answer, Some(Err(Undone::Refused(error))) if !error.retryable)
            || matches!(&answer, Some(Err(Undone::Denied(_))));
        if fate.is_done || is_final {
            self.clients[id].pending.remove(&request_id);
        }
        if !fate.is_done || !follows {
            self.followers.remove(&peer);
        }
        // A caller without the right is told so before anything is counted. So is a caller that has read too much to
        // follow, or sent too much to be accepted.
        let is_denied = matches!(&answer, Some(Err(Undone::Denied(_))));
        let is_early = is_denied || fate.refused.as_deref() == Some("UNAUTHENTICATED");
        let is_uncounted = follows || frames != Room::Yes;
        self.allowances.is_certain &= !is_uncounted || fate.refused.as_deref() != Some("RATE_LIMITED");
        let outcome = if is_early && asked.expected.contains(&fate) {
            Ok(())
        } else {
            self.check_fate(&asked, fate, course)
        };
        if !self.followers.contains_key(&peer) {
            self.truth.people.remove(&peer);
        }
        outcome
    }

    /// Adjusts the outcomes for HTTP: no connection is closed, and a caller without the right is told so before
    /// anything is counted.
    fn expect_of_post(&self, expected: &mut Vec<Fate>, peer: &PeerId, frame: &Value, follows: bool) {
        let known = &self.truth.people[peer];
        let is_answer = frame["role"] == "assistant";
        let takes = if is_answer || self.truth.begun == Begun::No { Access::Owner } else { Access::Editor };
        let is_expired = known.expires_at.is_some_and(|at| at <= self.host.now);
        let is_closed = |fate: &mut Fate| {
            if fate.closed.take() == Some(CloseCode::TooMany) {
                fate.refused = Some("RATE_LIMITED".into());
            }
        };
        expected.iter_mut().for_each(is_closed);
        match known.person.access(&self.truth.begun) {
            None => *expected = vec![Fate::refused("NOT_FOUND")],
            Some(access) if access < takes => *expected = vec![Fate::refused("FORBIDDEN")],
            Some(_) if is_expired => *expected = vec![Fate::refused("UNAUTHENTICATED")],
            Some(_) => {
                let subject = known.person.subject().filter(|_| follows);
                let room = subject.map(|who| self.room(|all| all.read_bytes.room(self.host.now, who)));
                match room {
                    Some(Room::No) => *expected = vec![Fate::refused("RATE_LIMITED")],
                    Some(Room::Either) => expected.push(Fate::refused("RATE_LIMITED")),
                    Some(Room::Yes) | None => {}
                }
            }
        }
    }
}
