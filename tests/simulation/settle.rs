//! After the last step: nothing fails any more, and everything must come to its end.

use super::Check;
use super::steps::{Does, IndexDoes, With};
use super::world::World;
use crate::support::{Faults, Seen};

/// Rounds in which everything that can happen does.
const ROUNDS_MAX: usize = 400;

impl World {
    pub fn settle(&mut self) -> Check {
        self.host.faults = Faults::default();
        self.host.store.failing_reads.set(0);
        self.note(|| "settling, nobody connects".into());
        self.rest()?;
        self.note(|| "settling, everybody comes back".into());
        for _ in 0..ROUNDS_MAX {
            for id in 0..self.clients.len() {
                self.connect(id, With::LastCursor)?;
            }
            self.exchange()?;
            self.rest()?;
            self.exchange()?;
            if self.clients.iter().all(|client| client.pending.is_empty()) {
                self.check_views()?;
                return self.check_sleep();
            }
        }
        Err("a client's message finds no end".into())
    }

    /// Agents, D1, timers and the alarm do all they have to do.
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
            let Some(next) = [self.host.timer(), self.host.alarm].into_iter().flatten().min() else {
                return self.check_rest();
            };
            self.advance(next.saturating_sub(self.host.now), true)?;
        }
        Err("the thread never comes to rest".into())
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
        if self.truth.unfinished() > 0 {
            return Err(format!("{} turns never ended", self.truth.unfinished()));
        }
        let kept = &self.truth.records;
        let lacking = kept.iter().filter(|record| !self.truth.parked.contains(&record.seq)).find(|record| {
            self.index
                .messages
                .get(&record.message_id)
                .is_none_or(|(_, message)| *message != record.message(0))
        });
        if let Some(record) = lacking {
            return Err(format!("D1 lacks {record:?}"));
        }
        if let Some(id) = self.index.messages.keys().find(|id| self.truth.index_of(id).is_err()) {
            return Err(format!("D1 has {id}, and the thread has not"));
        }
        let tokens = kept.iter().filter_map(|record| record.message(0).tokens_used).sum::<u64>();
        match &self.index.session {
            None if kept.is_empty() => Ok(()),
            Some((_, _, session))
                if session.message_count == kept.len() as u64 && session.total_tokens == tokens =>
            {
                Ok(())
            }
            session => Err(format!("D1 says {session:?} of {} messages, {tokens} tokens", kept.len())),
        }
    }

    fn check_views(&self) -> Check {
        let session = self.host.thread().and_then(|thread| thread.session());
        if let (Some(session), Some((_, _, indexed))) = (session, &self.index.session)
            && session != indexed
        {
            return Err(format!("D1 has {indexed:?}\n  where the thread has {session:?}"));
        }
        for (id, client) in self.clients.iter().enumerate() {
            let view = &client.view;
            let wanted = self.truth.records.last().map(|record| &record.message_id);
            if view.messages.last() != wanted || !view.answers.is_empty() {
                return Err(format!("client {id} ends with {view:?}"));
            }
            if let Some(session) = session
                && serde_json::to_value(session).ok().as_ref() != Some(&view.session)
            {
                return Err(format!(
                    "client {id} ends with the session {}\n  and not {session:?}",
                    view.session
                ));
            }
        }
        Ok(())
    }

    /// Whoever is woken from rest has nothing to do and nothing to say.
    fn check_sleep(&mut self) -> Check {
        self.host.evict();
        self.host.fire_timer();
        let said = self.host.seen.iter().find(|seen| !matches!(seen, Seen::Woken { .. }));
        match said {
            Some(seen) => Err(format!("woken from rest, the thread comes out with {seen:?}")),
            None => Ok(()),
        }
    }
}
