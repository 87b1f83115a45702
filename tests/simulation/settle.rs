//! The phase after the last step: nothing fails any more, and everything must come to its end.

use bobbin::protocol::{Block, Identity, Json, Message, Millis, SessionUpdate, ToolAnswer, ToolSaid};
use bobbin::thread::store::Record;
use bobbin::thread::{Delivered, Input, Request, Thread, TurnId};

use super::Check;
use super::client::Client;
use super::people::Person;
use super::pieces::{Piece, json_of};
use super::steps::{Does, IndexDoes, With};
use super::truth::Turn;
use super::world::World;
use crate::support::{Faults, Seen};

/// The number of rounds in which everything possible happens.
const ROUNDS_MAX: usize = 400;

impl World {
    pub fn settle(&mut self) -> Check {
        self.host.faults = Faults::default();
        self.host.store.failing_reads.set(0);
        self.clients.iter_mut().for_each(|client| client.is_mute = false);
        self.note(|| "settling, nobody connects".into());
        self.rest()?;
        // A thread whose turns all wait for people sleeps as one that has none.
        if self.host.store.spoilt.is_empty() {
            self.check_sleep()?;
            self.observe()?;
        }
        self.note(|| "settling, everybody comes back".into());
        for _ in 0..ROUNDS_MAX {
            for id in 0..self.clients.len() {
                self.connect(id, With::LastCursor, None)?;
            }
            self.exchange()?;
            self.rest()?;
            self.exchange()?;
            self.check_waiting_views()?;
            self.answer_all()?;
            self.rest()?;
            self.exchange()?;
            if (0..self.clients.len()).all(|id| self.is_settled(id)) {
                self.check_views()?;
                self.check_history()?;
                self.settle_forks()?;
                self.check_sleep()?;
                return self.check_retention();
            }
            if self.is_limited {
                self.advance(61_000, true, 0)?;
            }
        }
        Err("a client's message finds no end".into())
    }

    /// Tells whether the client is connected and has been answered, or may not be.
    fn is_settled(&self, id: usize) -> bool {
        let client = &self.clients[id];
        client.person.access(&self.truth.begun).is_none()
            || (client.pending.is_empty() && client.connection.is_some())
    }

    /// Lets agents, D1, timers and the alarm do all their work.
    fn rest(&mut self) -> Check {
        for round in 0..ROUNDS_MAX {
            while let Some(turn) = self.host.agents.first().copied() {
                self.agent(0, if round == 0 { Does::TextAndBlock } else { Does::TextAndFinish })?;
                if round == 0 {
                    self.note(|| format!("  {turn} goes on"));
                    break;
                }
            }
            while !self.host.deliveries.is_empty() {
                self.deliver(0, IndexDoes::Take)?;
            }
            self.remove_files()?;
            let next = [self.host.timer(), self.near_alarm()].into_iter().flatten().min();
            if next.is_none() && std::mem::take(&mut self.has_lost_d1) {
                self.rebuild()?;
                continue;
            }
            let Some(next) = next else {
                return self.check_rest();
            };
            self.advance(next.saturating_sub(self.host.now), true, 0)?;
        }
        Err("the thread never comes to rest".into())
    }

    /// Restores what D1 has lost, through the next delivery or a request.
    fn rebuild(&mut self) -> Check {
        self.note(|| "  D1 is rebuilt".into());
        if self.truth.records.is_empty() {
            // Of a session that is no more, whoever asks finds nothing, and deletes what there is.
            self.databases.lose();
        } else if self.host.now.is_multiple_of(2) {
            let update = SessionUpdate { title: Some(Some("renamed".into())), ..SessionUpdate::default() };
            self.truth.actor = Some(Person::ANYONE);
            let renamed = self.host.request(&Identity::anyone(), Request::Update(update));
            renamed.map_err(|denied| format!("nobody may rename: {denied:?}"))?;
        } else {
            self.host.pump(Input::DeliverAnew);
        }
        self.observe()?;
        self.truth.actor = None;
        Ok(())
    }

    /// Answers every call that is open.
    fn answer_all(&mut self) -> Check {
        for _ in 0..ROUNDS_MAX {
            let open = |(id, turn): (&TurnId, &Turn)| {
                let request_id = self.host.store.records.get(id)?.request_id.clone();
                turn.waits().then(|| (request_id, turn.open_calls(), turn.said.clone()))
            };
            let Some((request_id, calls, said)) = self.truth.turns.iter().find_map(open) else {
                return Ok(());
            };
            let tool_use_id = calls.first().ok_or("it waits for nothing")?.clone();
            let asks = |piece: &Piece| {
                matches!(piece, Piece::Block(block)
                    if block["id"] == tool_use_id && block["approval"]["state"] == "requested")
            };
            let said = if said.iter().any(asks) {
                ToolSaid::Decision { approved: true, reason: None }
            } else {
                ToolSaid::Output(Box::new(Block::tool_result(tool_use_id.clone(), Json::Bool(true), false)))
            };
            self.truth.actor = Some(Person::ANYONE);
            let answer = ToolAnswer { request_id, tool_use_id, said };
            self.note(|| format!("  {answer:?}"));
            let answered = self.host.request(&Identity::anyone(), Request::Answer(answer));
            self.observe()?;
            self.truth.actor = None;
            answered.map_err(|denied| format!("nobody may answer: {denied:?}"))?;
        }
        Err("calls are open without end".into())
    }

    /// Checks that connected clients hold everything that waits.
    fn check_waiting_views(&self) -> Check {
        for (id, client) in self.clients.iter().enumerate().filter(|(_, client)| client.connection.is_some())
        {
            let waiting = self.truth.turns.iter().filter(|(_, turn)| turn.waits());
            for (turn, waiting) in waiting {
                let request_id = &self.host.store.records[turn].request_id;
                let held = client.view.answers.get(request_id);
                if client.is_let_in() && held != Some(&waiting.said) && !self.truth.is_torn(request_id) {
                    return Err(format!(
                        "client {id} holds\n    {held:?}\nof what waits:\n    {:?}",
                        waiting.said
                    ));
                }
            }
        }
        Ok(())
    }

    fn exchange(&mut self) -> Check {
        loop {
            while self.uplinks.values().any(|uplink| uplink.is_gone || !uplink.frames.is_empty()) {
                self.up(0)?;
            }
            let mut moved = false;
            for id in 0..self.clients.len() {
                moved |= self.down(id, usize::MAX)?;
            }
            if !moved {
                return Ok(());
            }
        }
    }

    fn check_rest(&self) -> Check {
        let open = || self.truth.turns.values().filter(|turn| turn.is_open());
        let is_held = self.host.config.concurrent_turns == 1 && open().any(Turn::waits);
        if let Some(turn) = open().find(|turn| !turn.waits() && (turn.is_started || !is_held)) {
            return Err(format!("a turn never ended: {turn:?}"));
        }
        if self.truth.has_lost_turn() && self.host.thread().is_none() {
            return Ok(());
        }
        let kept = &self.truth.records;
        let d1 = self.databases.held();
        for (index, record) in kept.iter().enumerate() {
            let indexed = d1.messages.get(&record.message_id);
            let is_it = |(_, message): &(u64, Message)| {
                self.truth.versions(index).any(|version| *message == version.message(0))
            };
            if !indexed.is_some_and(is_it) && !self.truth.parked.contains(&record.seq) {
                return Err(format!("D1 lacks {record:?}"));
            }
        }
        if let Some(id) = d1.messages.keys().find(|id| self.truth.index_of(id).is_err()) {
            return Err(format!("D1 has {id}, and the thread has not"));
        }
        let tokens = kept.iter().filter_map(|record| record.message(0).tokens_used).sum::<u64>();
        match &d1.session {
            None if kept.is_empty() => Ok(()),
            Some(_) if self.truth.is_session_torn => Ok(()),
            Some((_, _, session))
                if session.message_count == self.truth.path().len() as u64
                    && session.total_tokens == tokens =>
            {
                self.check_indexed_path()
            }
            session => Err(format!("D1 says {session:?} of {} messages, {tokens} tokens", kept.len())),
        }
    }

    /// Checks that D1 knows which messages are on the path.
    fn check_indexed_path(&self) -> Check {
        let path = self.truth.path();
        let indexed = self.databases.held().path;
        let is_wrong = |record: &&Record| {
            let is_indexed = indexed.as_ref().is_some_and(|path| path.contains(record.seq));
            is_indexed != path.contains(&record.message_id.as_str())
        };
        match self.truth.records.iter().find(is_wrong) {
            None => Ok(()),
            Some(record) => Err(format!("D1 has {indexed:?} where {record:?}")),
        }
    }

    fn check_views(&self) -> Check {
        let session = self.host.thread().and_then(Thread::shown_session);
        if let (Some(session), Some((_, _, indexed))) = (&session, &self.databases.held().session)
            && session != indexed
            && !self.truth.is_session_torn
        {
            return Err(format!("D1 has {indexed:?}\n  where the thread has {session:?}"));
        }
        let may_see = |(_, client): &(usize, &Client)| client.person.access(&self.truth.begun).is_some();
        for (id, client) in self.clients.iter().enumerate().filter(may_see) {
            let view = &client.view;
            let wanted = self.truth.path();
            let mut newest = wanted.iter().rev().zip(view.messages.iter().rev());
            if !newest.all(|(one, other)| one == other)
                || view.messages.len() > wanted.len()
                || (view.messages.is_empty() && !wanted.is_empty())
                || !view.answers.is_empty()
            {
                return Err(format!("client {id} ends with {view:?}"));
            }
            if let Some(session) = &session
                && view.session.as_ref().map(|frame| &frame.json()["session"]) != Some(&json_of(session))
            {
                return Err(format!(
                    "client {id} ends with the session {:?}\n  and not {session:?}",
                    view.session
                ));
            }
        }
        Ok(())
    }

    /// The alarm, unless it is the alarm of retention.
    fn near_alarm(&self) -> Option<Millis> {
        let retention_ms = self.host.config.retention_ms;
        self.host.alarm.filter(|at| retention_ms == 0 || *at < self.host.now + retention_ms / 2)
    }

    /// Checks that an unused session is deleted in time without any request, and leaves no alarm.
    fn check_retention(&mut self) -> Check {
        let Some(checkpoint) = self.host.store.checkpoint.clone() else { return Ok(()) };
        if self.host.config.retention_ms == 0 || self.truth.is_session_torn {
            return Ok(());
        }
        let messages = self.host.store.records.values().filter(|record| record.is_message());
        let used = messages.map(|record| record.created_at).max();
        let due = used.unwrap_or(checkpoint.session.last_message_at) + self.host.config.retention_ms;
        for _ in 0..ROUNDS_MAX {
            while let Some((delivery, _)) = self.host.deliveries.pop_front() {
                let found = self.databases.apply(&delivery);
                self.host.pump(Input::Delivered(Delivered::new(&delivery, found)));
            }
            while let Some((ids, _)) = self.host.removals.pop_front() {
                self.host.bucket.retain(|id| !ids.contains(id));
                self.host.pump(Input::FilesRemoved { ids });
            }
            let Some(next) = [self.host.timer(), self.host.alarm].into_iter().flatten().min() else { break };
            if self.host.store.checkpoint.is_some() && next > due {
                return Err(format!("it is to go at {due}, and the alarm is set for {next}"));
            }
            self.host.now = self.host.now.max(next);
            if self.host.timer().is_some_and(|at| at <= next) {
                self.host.fire_timer();
            } else {
                self.host.pump(Input::Alarm);
            }
            if self.host.now < due && self.host.store.checkpoint.is_none() {
                return Err(format!("it is to go at {due}, and is gone at {}", self.host.now));
            }
        }
        let held = self.databases.held();
        if self.host.store.checkpoint.is_some() || held.session.is_some() || !held.messages.is_empty() {
            return Err(format!("nobody uses it since long ago, and it is not gone: {held:?}"));
        }
        Ok(())
    }

    /// Checks that a thread woken from rest has nothing to do and nothing to send.
    fn check_sleep(&mut self) -> Check {
        // What cannot be read is found out about in waking, and acted upon.
        self.host.store.spoilt.clear();
        self.host.evict();
        self.host.fire_timer();
        // That a run is to begin may be told again.
        let begins = |text: &str| text.contains("RUN_STARTED") || text.contains(r#""name":"queued""#);
        let is_said = |seen: &&Seen| match seen {
            Seen::Woken { .. } | Seen::Follows { .. } => false,
            Seen::Told { text, .. } => !begins(text),
            _ => true,
        };
        let said = self.host.seen.iter().find(is_said);
        match said {
            Some(seen) => Err(format!("woken from rest, the thread comes out with {seen:?}")),
            None => Ok(()),
        }
    }
}
