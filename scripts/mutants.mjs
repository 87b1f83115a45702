// Breaks the core on purpose, one line at a time, in a copy of the tree, and shows which seed of the
// simulation catches each: `node scripts/mutants.mjs [--seeds 50000] [name…]`. With `--check` it only looks
// whether every line that it would break is there.
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const ROOT = join(import.meta.dirname, "..");
const COPIED = ["Cargo.toml", "Cargo.lock", "rust-toolchain.toml", "src", "tests", "examples"];

const MUTANTS = [
  {
    name: "A frame goes out before the commit it promises",
    file: "src/thread/turns.rs",
    from: `        self.store(writes);
        if let Some(frame) = record.frame(self.epoch, self.cursor_at(record.seq)) {
            self.send_all(frame);
        }`,
    to: `        if let Some(frame) = record.frame(self.epoch, self.cursor_at(record.seq)) {
            self.send_all(frame);
        }
        self.store(writes);`,
  },
  {
    name: "What a turn's agent says after its end goes to the next turn",
    file: "src/thread/stream.rs",
    from: "self.turns.get_mut(&turn).and_then(Turn::running_mut)",
    to: "self.turns.iter_mut().find(|(id, _)| **id >= turn).and_then(|(_, turn)| turn.running_mut())",
  },
  {
    name: "A catch-up's cursors are one block behind",
    file: "src/thread/log.rs",
    from: "self.advance(turn, |held| Progress { blocks, open: None, ..held });",
    to: "let blocks = blocks.saturating_sub(1); self.advance(turn, |held| Progress { blocks, open: None, ..held });",
  },
  {
    name: "A turn's times stay as they were when the clock is set back",
    file: "src/thread/clock.rs",
    from: "TurnState::Running(running) => running.set_back(by),",
    to: "TurnState::Running(_) => {}",
  },
  {
    name: "Text is journalled after 900 ms",
    file: "src/protocol/limits.rs",
    from: "JOURNAL_MS: u64 = 490",
    to: "JOURNAL_MS: u64 = 900",
  },
  {
    name: "A turn that ran when the object crashed starts again",
    file: "src/thread/wake.rs",
    from: "        None => turn.state = TurnState::Running(Box::new(running(journal))),",
    to: "        None if journal.is_none() => {}\n        None => turn.state = TurnState::Running(Box::new(running(journal))),",
  },
  {
    name: "A duplicate is known as long as its turn is in memory",
    file: "src/thread/turns.rs",
    from: "if self.session.is_some() { records.request(request_id)? } else { None }",
    to: "if self.turns.values().any(|turn| turn.request_id == request_id) { records.request(request_id)? } else { None }",
  },
  {
    name: "A socket that owes too much stays, as long as all together do not",
    file: "src/thread/unread.rs",
    from: "!is_spared && *owed > self.config.socket_owed_bytes_max",
    to: "!is_spared && *owed == u64::MAX",
  },
  {
    name: "The answer to a check counts for nothing",
    file: "src/thread/unread.rs",
    from: "            reading.read = read;\n",
    to: "",
  },
  {
    name: "A message of a deleted session begins it anew",
    file: "src/thread/turns.rs",
    from: "let is_noted = self.was_deleted && records.is_noted(&digest(request_id))?;",
    to: "let is_noted = false;",
  },
  {
    name: "A cancel is told and not stored",
    file: "src/thread/turns.rs",
    from: "        self.store(writes);\n        if let Some(frame)",
    to: "        if !matches!(&record.kind, RecordKind::Answer { status, .. } if *status == Status::Cancelled) { self.store(writes); }\n        if let Some(frame)",
  },
  {
    name: "Cursors do not say how much of a running answer is held",
    file: "src/thread/mod.rs",
    from: "            cursor.set(running.progress(turn));",
    to: "            let _ = running.progress(turn);",
  },
  {
    name: "An end in a catch-up leaves its turn's progress in the cursor",
    file: "src/thread/log.rs",
    from: "                self.at.forget(turn);\n            }\n            RecordKind::Waiting",
    to: "            }\n            RecordKind::Waiting",
  },
  {
    name: "Text that waits to be sent is in the catch-up and comes live too",
    file: "src/thread/log.rs",
    from: "TurnState::Running(running) => Some(running.sent()),",
    to: "TurnState::Running(running) => Some(running.answer.clone()),",
  },
  {
    name: "The alarm is set after the commit it guards",
    file: "src/thread/stream.rs",
    from: "if is_first { self.outputs.push_front(set) } else { self.outputs.push_back(set) }",
    to: "let _ = is_first; self.outputs.push_back(set);",
  },
  {
    name: "A later alarm replaces the one that guards a turn before the turn's end is stored",
    file: "src/thread/stream.rs",
    from: "let is_first = is_kept && !is_later && !(begins_nothing && self.rests());",
    to: "let is_first = is_kept && !is_later;",
  },
  {
    name: "The alarm for the next try of what failed replaces the one that guards a turn before the turn's end is stored",
    file: "src/thread/stream.rs",
    from: "let is_first = is_kept && !is_later && !(begins_nothing && self.rests());",
    to: "let is_first = is_kept && !(begins_nothing && self.rests());",
  },
  {
    name: "A cancelled turn's agent works on",
    file: "src/thread/ending.rs",
    from: "                self.outputs.push_back(Output::AbortAgent { turn });\n                self.take_gathered(now, turn);",
    to: "                self.take_gathered(now, turn);",
  },
  {
    name: "Sockets that outlive a crash are not reset",
    file: "src/thread/wake.rs",
    from: "        if !self.is_settled() {",
    to: "        if !self.is_settled() && false {",
  },
  {
    name: "A client that holds more than the log is resumed",
    file: "src/thread/answer.rs",
    from: "let text = self.text.get(at..)?;",
    to: "let text = self.text.get(at..).unwrap_or_default();",
  },
  {
    name: "A crash keeps nothing of a thought that is open",
    file: "src/thread/stream.rs",
    from: "running.answer.thought().filter(|thought| running.answer.fits(thought))",
    to: "running.answer.thought().filter(|thought| running.answer.fits(thought) && running.attempt() != crate::agent::Attempt::default())",
  },
  {
    name: "A client that holds more of a thought than a crash left is resumed",
    file: "src/thread/log.rs",
    from: "if record.is_broken_off() && answer.may_lack(held) {",
    to: "if false && record.is_broken_off() && answer.may_lack(held) {",
  },
  {
    name: "A resume sends an open block from its beginning",
    file: "src/thread/answer.rs",
    from: "let delta = grown.get(bytes.unwrap_or_default()..)?;",
    to: "let delta = grown.get(bytes.unwrap_or_default().min(0)..)?;",
  },
  {
    name: "Data that took another's place is not sent again",
    file: "src/thread/answer.rs",
    from: "if placed.first > held.blocks { placed.first } else { placed.last };",
    to: "placed.first;",
  },
  {
    name: "What grows is not journalled by its time",
    file: "src/thread/turn.rs",
    from: "        self.answer.grow(more);\n        self.changed(more.len(), now);",
    to: "        self.answer.grow(more);",
  },
  {
    name: "The last queued turn starts first",
    file: "src/thread/queue.rs",
    from: "self.queued().find(may_start)",
    to: "self.queued().filter(may_start).last()",
  },
  {
    name: "A turn that waits holds up an answer that nobody asked for",
    file: "src/thread/queue.rs",
    from: "!is_held || self.turns.get(id).is_some_and(|turn| turn.is_appended)",
    to: "!is_held && self.turns.contains_key(id)",
  },
  {
    name: "Who posts a message again is shown its turn from the middle",
    file: "src/thread/stock/shown.rs",
    from: "let mut shown = CatchUp::at(Cursor::at(epoch, id));",
    to: "let mut shown = CatchUp::at(self.head());",
  },
  {
    name: "Who follows a turn is not let go of at its end",
    file: "src/thread/ending.rs",
    from: "        self.unfollow(&record.request_id);\n        self.log_end",
    to: "        self.log_end",
  },
  {
    name: "A crash takes what it lost of an answer's blocks for what is kept of the open one",
    file: "src/thread/answer.rs",
    from: "const LOST_EVENTS: u64 = 1 << 32;",
    to: "const LOST_EVENTS: u64 = 0;",
  },
  {
    name: "A decision that is taken while the agent speaks is stored without the journal",
    file: "src/thread/waiting.rs",
    from: "writes.push(Write::Journal(running.journal(id)));",
    to: "let _ = running;",
  },
  {
    name: "Queued turns run past one that waits",
    file: "src/thread/queue.rs",
    from: "let is_held = self.config.concurrent_turns == 1 && self.waiting().next().is_some();",
    to: "let is_held = false;",
  },
  {
    name: "A client is taken to hold what was said to a turn that waits since it left",
    file: "src/thread/log.rs",
    from: "records.rounds(turn, from.seq)?",
    to: "records.rounds(turn, u64::MAX >> 1)?",
  },
  {
    name: "What was decided while a turn waited is forgotten by a crash",
    file: "src/thread/waiting.rs",
    from: "waiting.answer.decide(tool_use_id, *approved, reason.as_deref(), by.as_deref());",
    to: "let _ = (tool_use_id, approved, reason, by);",
  },
  {
    name: "A turn that has waited is not called in a commit of its own",
    file: "src/thread/waiting.rs",
    from: "self.call_on(now, id, *waiting, slot, Some(start));",
    to: "let _ = start; self.call_on(now, id, *waiting, slot, None);",
  },
  {
    name: "D1 is taken to have what an earlier log gave it",
    file: "src/thread/outbox.rs",
    from: "if delivery.epoch == self.epoch {",
    to: "if delivery.epoch > 0 {",
  },
  {
    name: "Waking does not count in what came after the checkpoint",
    file: "src/thread/wake.rs",
    from: "MarkKind::Answer { tokens_used } => self.count_message(mark.created_at, tokens_used),",
    to: "MarkKind::Answer { .. } => {}",
  },
  {
    name: "A session_sync is answered with what came after its cursor",
    file: "src/thread/join.rs",
    from: "self.snapshot(records, origin.peer, SnapshotReason::Sync)",
    to: "self.missed(records, origin.peer, cursor).map(|missed| match missed { Missed::Events(_, frames) | Missed::Snapshot(frames) => frames })",
  },
  {
    name: "A frame that meets a failing store while the thread wakes is dropped",
    file: "src/pump/mod.rs",
    from: "            self.restart(&broken, &mut unhandled)?;",
    to: "            self.restart(&broken, &mut None)?;",
  },
  {
    name: "A thread that cannot be started again leaves its sockets open",
    file: "src/pump/mod.rs",
    from: "        self.platform.close_all(CloseCode::InternalError, reason);",
    to: "        let _ = reason;",
  },
  {
    name: "Whoever sent the frame that could not be stored is not told",
    file: "src/pump/mod.rs",
    from: "                Cause::StoreFailed(blame)",
    to: "                Cause::StoreFailed(blame.filter(|_| false))",
  },
  {
    name: "A timer that has fired is still counted on",
    file: "src/pump/mod.rs",
    from: "        self.timers.pop();\n",
    to: "",
  },
  {
    name: "A deadline before the one that a timer is set for is missed",
    file: "src/pump/mod.rs",
    from: "self.timers.last().is_none_or(|armed_for| *armed_for > deadline)",
    to: "self.timers.is_empty()",
  },
  {
    name: "A role that a token names is as good as any other",
    file: "src/protocol/identity.rs",
    from: "self.granted.max(owns.then_some(Access::Owner))",
    to: "self.granted.map(|_| Access::Owner).max(owns.then_some(Access::Owner))",
  },
  {
    name: "A session belongs to everybody whose token names none",
    file: "src/protocol/identity.rs",
    from: "Some(session) => self.subject.is_some() && session.owner == self.subject,",
    to: "Some(session) => self.granted.is_none() || session.owner == self.subject,",
  },
  {
    name: "Whoever may read a session may rename it by HTTP",
    file: "src/pump/requests.rs",
    from: "permits_request(identity, request.ask())",
    to: "permits_request(identity, crate::thread::Ask::Read)",
  },
  {
    name: "A named editor may begin a session",
    file: "src/thread/permission.rs",
    from: "Ask::Send | Ask::Upload if !has_begun => Access::Owner,",
    to: "Ask::Send | Ask::Upload if !has_begun => Access::Editor,",
  },
  {
    name: "An agent that is not well is asked again at once",
    file: "src/agent/attempt.rs",
    from: "after_ms.unwrap_or(RETRY_MS_MIN << self.retries)",
    to: "after_ms.map_or(0, |_| RETRY_MS_MIN & 0)",
  },
  {
    name: "An agent that fails is not asked again",
    file: "src/thread/turn.rs",
    from: "        if self.agent_said_at.is_some() {\n            return None;",
    to: "        if self.agent_said_at.is_none() {\n            return None;",
  },
  {
    name: "An agent is asked again when half of its answer is out",
    file: "src/thread/turn.rs",
    from: "        if self.agent_said_at.is_some() {\n            return None;",
    to: "        if false {\n            return None;",
  },
  {
    name: "An agent that has said that its answer ends is waited for",
    file: "src/thread/stream.rs",
    from: "let ending = running.ending.as_ref().map(|(at, _)| *at);",
    to: "let ending = None;",
  },
  {
    name: "Signs of life keep a turn alive for ever",
    file: "src/thread/turn.rs",
    from: "dead_at.min(since.saturating_add(silent_ms))",
    to: "dead_at.min(Millis::MAX.saturating_add(since).saturating_add(silent_ms))",
  },
  {
    name: "An answer may take for ever",
    file: "src/thread/turn.rs",
    from: ".min(self.over_at(config))",
    to: "",
  },
  {
    name: "Whoever was there before the first message stays",
    file: "src/thread/turns.rs",
    from: "        self.dismiss_strangers();\n",
    to: "",
  },
  {
    name: "What somebody sets of a session that nobody has begun is shown to all",
    file: "src/thread/session.rs",
    from: "self.peers.iter_mut().filter(|(_, peer)| peer.identity.subject == identity.subject)",
    to: "self.peers.iter_mut()",
  },
  {
    name: "A token is good for a millisecond longer",
    file: "src/protocol/identity.rs",
    from: "self.expires_at.is_some_and(|at| at <= now)",
    to: "self.expires_at.is_some_and(|at| at < now)",
  },
  {
    name: "An agent's words go out before sockets are closed whose tokens have expired",
    file: "src/thread/mod.rs",
    from: "        self.dismiss_expired(now);\n        let begins_nothing",
    to: "        if !matches!(input, Input::Agent { .. }) { self.dismiss_expired(now); }\n        let begins_nothing",
  },
  {
    name: "A thread that wakes brings those up to date whose tokens have expired",
    file: "src/thread/wake.rs",
    from: "        self.dismiss_expired(now);\n",
    to: "",
  },
  {
    name: "No alarm is set for a token that expires",
    file: "src/thread/stream.rs",
    from: "self.files_alarm(), self.next_expiry()]",
    to: "self.files_alarm(), None]",
  },
  {
    name: "Messages do not count towards the allowance",
    file: "src/thread/access.rs",
    from: "            self.count(now, who, per_minute, 1);\n",
    to: "",
  },
  {
    name: "What is asked for is not charged",
    file: "src/thread/unread.rs",
    from: "            self.charge(self.now, to, bytes);\n",
    to: "",
  },
  {
    name: "What goes out by itself is charged too",
    file: "src/thread/unread.rs",
    from: "        if is_asked {\n            self.charge",
    to: "        if is_asked || bytes > 0 {\n            self.charge",
  },
  {
    name: "Turns are forgotten where it cannot be read which of them were open",
    file: "src/thread/store.rs",
    from: "if self.checkpoint.open.is_some() {",
    to: "if self.checkpoint.open.is_none() || true {",
  },
  {
    name: "An agent is asked nothing where the message cannot be read",
    file: "src/thread/asking.rs",
    from: "own.filter(|own| !own.is_unreadable())",
    to: "own",
  },
  {
    name: "A message that cannot be read is another one when it is sent again",
    file: "src/thread/turns.rs",
    from: " && !known.is_unreadable()",
    to: "",
  },
  {
    name: "Whoever has lost a session to a row that cannot be read still sees it",
    file: "src/thread/wake.rs",
    from: "        self.dismiss_strangers();\n",
    to: "",
  },
  {
    name: "Turns that leave the path run on",
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
    name: "What ended behind the message that is left is lost to the path",
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
    name: "What the writer saw last makes no difference",
    file: "src/thread/turns.rs",
    from: "        if let Some(after) = &sent.after\n            && ",
    to: "        if let Some(after) = &sent.after\n            && false && ",
  },
  {
    name: "The agent is told every version",
    file: "src/thread/asking.rs",
    from: "records.before(&self.path, END, agent_messages, agent_bytes)?",
    to: "records.before(&super::Path::default(), END, agent_messages, agent_bytes)?",
  },
  {
    name: "The messages of the path that was left are counted on",
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
    name: "D1 is not told of another path",
    file: "src/thread/outbox.rs",
    from: "(self.outbox.delivered, self.path.clone())",
    to: "(self.outbox.delivered, Path::default())",
  },
  {
    name: "A part that grows does not begin anew for who goes on with an answer",
    file: "src/dialect/ai_sdk/chunks.rs",
    from: "            Some(Open::Text) => self.open_text(),",
    to: "            Some(Open::Text) => self.open = Some(Open::Text),",
  },
  {
    name: "A run that is cut off goes on one event too late",
    file: "src/pump/stock.rs",
    from: "let lasting = had.lasting.saturating_sub(all.lasting);",
    to: "let lasting = had.lasting.saturating_add(1).saturating_sub(all.lasting);",
  },
  {
    name: "A run that goes on behind a wait does so at a place that its client has had",
    file: "src/dialect/ag_ui/events.rs",
    from: "let at = Some(self.place(Since::GoingOn(count)));",
    to: "let at = Some(self.place(if count == 1 { Since::GoingOn(1) } else { Since::Told(self.since) }));",
  },
  {
    name: "Who holds more of a run than a crash has left is not told its end",
    file: "src/pump/stock.rs",
    from: "let end = if frame.ends() && self.skipping != Skipping::All { told.pop() } else { None };",
    to: "let end = None;",
  },
  {
    name: "Whoever answers calls is taken to have been told all that came since",
    file: "src/thread/stock/shown.rs",
    from: "if known.iter().any(is_open) {",
    to: "if known.len() < usize::MAX {",
  },
  {
    name: "A request that was being sent a turn is forgotten with the object",
    file: "src/thread/stock.rs",
    from: "(Some((socket, _)), _) => self.dismiss(&socket.into(), CloseCode::InternalError, reason),",
    to: "(Some(_), _) => {}",
  },
  {
    name: "A request that is aborted leaves its turn running",
    file: "src/thread/stock.rs",
    from: "if !detaches && self.permits",
    to: "if detaches && self.permits",
  },
  {
    name: "Results of calls begin a message of their own",
    file: "src/thread/stock/shown.rs",
    from: "                next = *parent;",
    to: "                next = parent.filter(|_| false);",
  },
  {
    name: "A socket owes what the others of its dialect are sent",
    file: "src/thread/unread.rs",
    from: "        if dialect.stock().is_some() {\n            let is_sent",
    to: "        if dialect.stock().is_some() && bytes == 0 {\n            let is_sent",
  },
];

const args = process.argv.slice(2);
const seedsAt = args.indexOf("--seeds");
const seeds = seedsAt < 0 ? "50000" : args[seedsAt + 1];
const names = args.filter((arg, at) => !arg.startsWith("--") && (seedsAt < 0 || at !== seedsAt + 1));
const chosen = MUTANTS.filter((mutant) => names.length === 0 || names.some((name) => mutant.name.includes(name)));

const astray = MUTANTS.filter(({ file, from }) => readFileSync(join(ROOT, file), "utf8").split(from).length !== 2);
for (const { name, file } of astray) console.error(`"${name}": its line is not in ${file} exactly once`);
if (astray.length > 0) process.exitCode = 1;
else if (!args.includes("--check")) tryAll();

function tryAll() {
  const tree = mkdtempSync(join(tmpdir(), "bobbin-mutants-"));
  try {
    for (const path of COPIED) cpSync(join(ROOT, path), join(tree, path), { recursive: true });
    mkdirSync(join(tree, "target"), { recursive: true });
    console.log("| deliberate fault | seed | what it is caught by |\n| --- | --- | --- |");
    const caught = chosen.map((mutant) => tryOut(tree, mutant));
    process.exitCode = caught.every(Boolean) ? 0 : 1;
  } finally {
    rmSync(tree, { recursive: true, force: true });
  }
}

/** Returns whether a seed catches it. */
function tryOut(tree, { name, file, from, to }) {
  const path = join(tree, file);
  const source = readFileSync(path, "utf8");
  writeFileSync(path, source.replace(from, () => to));
  try {
    const build = cargo(tree, "build", "--profile", "simulate", "--quiet", "--example", "simulate");
    if (build.status !== 0) {
      console.log(`| ${name} | none | it does not compile |`);
      console.error(build.stderr);
      return false;
    }
    const run = spawnSync(join(tree, "target/simulate/examples/simulate"), ["--seeds", seeds], {
      encoding: "utf8",
      maxBuffer: 1 << 28,
    });
    const [, seed, why] = /^--- seed (\d+) fails: (.*)$/m.exec(run.stdout) ?? [, "none", ""];
    console.log(`| ${name} | ${seed} | ${why.replaceAll("|", "\\|")} |`);
    return seed !== "none";
  } finally {
    writeFileSync(path, source);
  }
}

function cargo(tree, ...args) {
  const env = { ...process.env, CARGO_TARGET_DIR: join(tree, "target") };
  return spawnSync("cargo", args, { cwd: tree, env, encoding: "utf8" });
}
