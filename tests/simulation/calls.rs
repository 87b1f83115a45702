//! The calls of a turn's agent: when the agent is called again, and when it has been silent for too long.

use bobbin::agent::{AgentEvent, Remedy};
use bobbin::protocol::Millis;
use bobbin::protocol::limits::{ENDING_MS, RETRY_AFTER_MS_MAX, RETRY_MS_MIN, SILENT_IDLES_MAX};
use bobbin::thread::Config;

use super::Check;

#[derive(Debug, Default)]
pub struct Calls {
    started_at: Millis,
    was_made: bool,
    retries: u64,
    /// The remedies that were tried and that are worth only one call.
    tried: Vec<Remedy>,
    is_shortened: bool,
    heard_at: Millis,
    /// When a part of the answer last arrived.
    said_at: Option<Millis>,
    /// When the answer counts as finished.
    ending_at: Option<Millis>,
    again: Option<Again>,
}

/// Says that the agent is to be called once more.
#[derive(Clone, Copy, Debug)]
struct Again {
    at: Millis,
    /// A history can be halved only so often, and has fewer messages once some cannot be read.
    may_be_given_up: bool,
}

impl Calls {
    pub fn set_back(&mut self, ms: u64) {
        let times = [&mut self.said_at, &mut self.ending_at].into_iter().flatten();
        let again = self.again.iter_mut().map(|again| &mut again.at);
        let times = times.chain(again).chain([&mut self.started_at, &mut self.heard_at]);
        times.for_each(|at| *at = at.saturating_sub(ms));
    }

    /// Counts a call. Returns whether it is not the first.
    pub fn make(&mut self, now: Millis) -> Check<bool> {
        match self.again.take() {
            None if !self.was_made => (self.started_at, self.heard_at) = (now, now),
            Some(Again { at, .. }) if at <= now => {}
            again => return Err(format!("its agent is asked a second time, where {again:?} was due")),
        }
        Ok(std::mem::replace(&mut self.was_made, true))
    }

    pub fn hear(&mut self, now: Millis, events: &[AgentEvent], config: &Config) {
        self.heard_at = now;
        if events.iter().any(|event| !matches!(event, AgentEvent::Failed(_))) {
            self.said_at = Some(now);
            self.ending_at = None;
        }
        for event in events {
            match event {
                AgentEvent::Ending(_) => self.ending_at = Some(now + ENDING_MS),
                AgentEvent::Failed(failed) => self.fail(now, failed.remedy, config),
                _ => {}
            }
        }
    }

    /// A failed call may be repeated as long as the agent has said nothing.
    fn fail(&mut self, now: Millis, remedy: Remedy, config: &Config) {
        let wait_ms = match remedy {
            _ if self.said_at.is_some() => return,
            Remedy::Plain | Remedy::Tools if !self.tried.contains(&remedy) => {
                self.tried.push(remedy);
                0
            }
            Remedy::Shorter => {
                self.is_shortened = true;
                0
            }
            Remedy::Later { after_ms } if self.retries < config.agent_retries => {
                let wait_ms = after_ms.unwrap_or(RETRY_MS_MIN << self.retries);
                let is_in_time = wait_ms == 0 || now + wait_ms < self.silent_at(config);
                if wait_ms > RETRY_AFTER_MS_MAX || !is_in_time {
                    return;
                }
                self.retries += 1;
                wait_ms
            }
            Remedy::None | Remedy::Plain | Remedy::Tools | Remedy::Later { .. } => return,
        };
        self.again = Some(Again { at: now + wait_ms, may_be_given_up: self.is_shortened });
    }

    /// Tells whether nobody works for the turn until its agent is called again.
    pub fn are_to_go_on(&self) -> bool {
        self.again.is_some()
    }

    /// Tells whether the next event is overdue, with timers up to ten milliseconds late.
    pub fn are_overdue(&self, now: Millis, punctual_since: Millis, config: &Config) -> bool {
        let at = self.next_at(config);
        self.was_made && at >= punctual_since && at + 10 < now
    }

    /// Tells whether the turn must survive the agent's last failure.
    pub fn must_go_on(&self) -> bool {
        self.again.is_some_and(|again| !again.may_be_given_up)
    }

    /// The latest time of the next event: the agent is called again, the answer counts as finished, or the agent has
    /// been silent for too long.
    fn next_at(&self, config: &Config) -> Millis {
        let again = self.again.map(|again| again.at);
        [again, self.ending_at].into_iter().flatten().fold(self.silent_at(config), Millis::min)
    }

    /// The time at which the agent has been silent for too long, apart from keep-alives or completely, or has taken
    /// too long in all.
    fn silent_at(&self, config: &Config) -> Millis {
        let (since, limit_ms) = match self.said_at {
            Some(said_at) => (said_at, config.agent_idle_timeout_ms),
            None => (self.started_at, config.agent_first_token_timeout_ms),
        };
        let alive_ms = limit_ms.max(SILENT_IDLES_MAX * config.agent_idle_timeout_ms);
        let over_at = self.started_at + config.agent_turn_timeout_ms;
        (self.heard_at + limit_ms).min(since + alive_ms).min(over_at)
    }
}
