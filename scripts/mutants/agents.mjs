// Faults in calls to agents: retries and time limits.
export default [
  {
    name: "A failing agent is called again at once",
    file: "src/agent/attempt.rs",
    from: "after_ms.unwrap_or(RETRY_MS_MIN << self.retries)",
    to: "after_ms.map_or(0, |_| RETRY_MS_MIN & 0)",
  },
  {
    name: "A failing agent is not called again",
    file: "src/thread/running.rs",
    from: "        if self.agent_said_at.is_some() {\n            return None;",
    to: "        if self.agent_said_at.is_none() {\n            return None;",
  },
  {
    name: "An agent is called again when half of its answer is sent",
    file: "src/thread/running.rs",
    from: "        if self.agent_said_at.is_some() {\n            return None;",
    to: "        if false {\n            return None;",
  },
  {
    name: "An agent that has announced the end of its answer is still waited for",
    file: "src/thread/stream.rs",
    from: "let ending = running.ending.as_ref().map(|(at, _)| *at);",
    to: "let ending = None;",
  },
  {
    name: "Keep-alives keep a turn running for ever",
    file: "src/thread/running.rs",
    from: "dead_at.min(since.saturating_add(silent_ms))",
    to: "dead_at.min(Millis::MAX.saturating_add(since).saturating_add(silent_ms))",
  },
  {
    name: "An answer may take for ever",
    file: "src/thread/running.rs",
    from: ".min(self.over_at(config))",
    to: "",
  },
];
