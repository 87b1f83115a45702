// Breaks the core on purpose, one line at a time, in a copy of the tree, and shows which seed of the
// simulation catches each: `node scripts/mutants.mjs [--seeds 50000] [name…]`.
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
        let frame = record.frame(self.epoch, &self.cursor_at(record.seq));
        self.send_all(frame);`,
    to: `        let frame = record.frame(self.epoch, &self.cursor_at(record.seq));
        self.send_all(frame);
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
    from: "blocks: held.blocks.saturating_add(1)",
    to: "blocks: held.blocks",
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
    from: "None => TurnState::Running(Running::new(0, now)),",
    to: "None => TurnState::Queued,",
  },
  {
    name: "A duplicate is known as long as its turn is in memory",
    file: "src/thread/turns.rs",
    from: "if self.session.is_some() { records.request(request_id) } else { Ok(None) }",
    to: "if self.turns.values().any(|turn| turn.request_id == request_id) { records.request(request_id) } else { Ok(None) }",
  },
  {
    name: "A cancel is told and not stored",
    file: "src/thread/turns.rs",
    from: "        self.store(writes);\n        let frame",
    to: "        if !matches!(record.kind, RecordKind::Assistant { status: Status::Cancelled, .. }) { self.store(writes); }\n        let frame",
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
    from: "            self.at.forget(record.turn);\n",
    to: "",
  },
  {
    name: "Text that waits to be sent is in the catch-up and comes live too",
    file: "src/thread/log.rs",
    from: "catch_up.answer(turn, request_id, &running.sent())\n            })",
    to: "catch_up.answer(turn, request_id, &running.answer)\n            })",
  },
  {
    name: "The alarm is set after the commit it guards",
    file: "src/thread/stream.rs",
    from: "if wanted.is_some() { self.outputs.push_front(set) } else { self.outputs.push_back(set) }",
    to: "self.outputs.push_back(set);",
  },
  {
    name: "A cancelled turn's agent works on",
    file: "src/thread/turns.rs",
    from: "                self.outputs.push_back(Output::AbortAgent { turn });\n            }\n            count",
    to: "            }\n            count",
  },
  {
    name: "Sockets that outlive a crash are not reset",
    file: "src/thread/wake.rs",
    from: "        if !self.is_settled() {",
    to: "        if !self.is_settled() && false {",
  },
  {
    name: "A client that holds more than the log is resumed",
    file: "src/thread/turn.rs",
    from: "match self.text.get(at..)? {",
    to: "match self.text.get(at..).unwrap_or_default() {",
  },
  {
    name: "The last queued turn starts first",
    file: "src/thread/turns.rs",
    from: "            let Some(turn) = self.queued().next() else { return };",
    to: "            let Some(turn) = self.queued().last() else { return };",
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
    from: "        self.count_message(mark.created_at, tokens_used);\n",
    to: "        let _ = tokens_used;\n",
  },
  {
    name: "A session_sync is answered with what came after its cursor",
    file: "src/thread/join.rs",
    from: "self.snapshot(records, received.peer, SnapshotReason::Sync)",
    to: "self.missed(records, received.peer, cursor).map(|missed| match missed { Missed::Events(_, frames) | Missed::Snapshot(frames) => frames })",
  },
];

const args = process.argv.slice(2);
const seedsAt = args.indexOf("--seeds");
const seeds = seedsAt < 0 ? "50000" : args[seedsAt + 1];
const names = args.filter((arg, at) => at !== seedsAt && (seedsAt < 0 || at !== seedsAt + 1));

const tree = mkdtempSync(join(tmpdir(), "bobbin-mutants-"));
try {
  for (const path of COPIED) cpSync(join(ROOT, path), join(tree, path), { recursive: true });
  mkdirSync(join(tree, "target"), { recursive: true });
  const chosen = MUTANTS.filter((mutant) => names.length === 0 || names.some((name) => mutant.name.includes(name)));
  console.log("| deliberate fault | seed | what it is caught by |\n| --- | --- | --- |");
  const caught = chosen.map((mutant) => tryOut(mutant));
  process.exitCode = caught.every(Boolean) ? 0 : 1;
} finally {
  rmSync(tree, { recursive: true, force: true });
}

/** Whether a seed catches it. */
function tryOut({ name, file, from, to }) {
  const path = join(tree, file);
  const source = readFileSync(path, "utf8");
  if (source.split(from).length !== 2) throw new Error(`"${name}": its line is not in ${file} exactly once`);
  writeFileSync(path, source.replace(from, () => to));
  try {
    const build = cargo("build", "--release", "--quiet", "--example", "simulate");
    if (build.status !== 0) throw new Error(`"${name}" does not compile:\n${build.stderr}`);
    const run = spawnSync(join(tree, "target/release/examples/simulate"), ["--seeds", seeds], {
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

function cargo(...args) {
  // Quick to build: a mutant lives for a second.
  const profile = { CARGO_PROFILE_RELEASE_LTO: "off", CARGO_PROFILE_RELEASE_CODEGEN_UNITS: "16" };
  const env = { ...process.env, ...profile, CARGO_TARGET_DIR: join(tree, "target") };
  return spawnSync("cargo", args, { cwd: tree, env, encoding: "utf8" });
}
