// Faults in versions of messages and the path through them.
export default [
  {
    name: "Turns that leave the path keep running",
    file: "src/thread/versions.rs",
    from: "        for turn in leaving {\n            self.end(now, turn, Outcome::Cancelled(Some(SUPERSEDED)));\n        }\n",
    to: "",
  },
  {
    name: "The ends of turns that leave the path are commits of their own",
    file: "src/thread/versions.rs",
    from: "        self.store(writes);\n        self.outputs.extend(others);",
    to: "        for write in writes { self.store(vec![write]); }\n        self.outputs.extend(others);",
  },
  {
    name: "Answers that ended after the replaced message are missing from the path",
    file: "src/thread/versions.rs",
    from: "        Ok(way.path(&late))",
    to: "        Ok(way.path(&[]))",
  },
  {
    name: "The oldest of several versions is chosen",
    file: "src/thread/path.rs",
    from: "versions.last().map_or(",
    to: "versions.min().map_or(",
  },
  {
    name: "The message that the writer saw last is ignored",
    file: "src/thread/turns.rs",
    from: "        if let Some(after) = &sent.after\n            && ",
    to: "        if let Some(after) = &sent.after\n            && false && ",
  },
  {
    name: "The agent is sent every version",
    file: "src/thread/asking.rs",
    from: "records.before(&self.path, END, agent_messages, agent_bytes)?",
    to: "records.before(&super::Path::default(), END, agent_messages, agent_bytes)?",
  },
  {
    name: "The messages of the abandoned path still count",
    file: "src/thread/versions.rs",
    from: "            session.message_count = count.saturating_sub(open);\n",
    to: "            session.message_count = session.message_count.max(count.saturating_sub(open));\n",
  },
  {
    name: "A catch-up leaves branches out",
    file: "src/thread/log.rs",
    from: "                catch_up.branch(record, std::mem::take(messages));\n",
    to: "                let _ = messages;\n",
  },
  {
    name: "A change of the path is not delivered to D1",
    file: "src/thread/outbox.rs",
    from: "(self.outbox.delivered, self.path.clone())",
    to: "(self.outbox.delivered, Path::default())",
  },
];
