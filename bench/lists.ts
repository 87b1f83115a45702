// The cost of the list and the search with many sessions: fills D1, queries the built worker, prints a table and the
// query plans. `node bench/lists.ts [sessions] [messages of each] [--databases 4] [--plans]`, after `npm run build`.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { parseArgs } from "node:util";
import { type Bobbin, start } from "../tests/worker/harness.ts";
import { SECRET, bearer, shared, tokenOf } from "../tests/worker/support/auth.ts";
import { ownerKey, planOf } from "../tests/worker/support/d1_fill.ts";
import { queries, queriesEntry } from "../tests/worker/support/d1_queries.ts";
import { Random } from "../tests/worker/support/random.ts";

const { positionals, values: options } = parseArgs({ allowPositionals: true, options: { plans: { type: "boolean" }, databases: { type: "string", default: "1" } } });
const [sessions = 20_000, each = 20] = positionals.map(Number);
const databases = Number(options.databases);
const OWNERS = Math.max(1, sessions / 20);
const ROUNDS = 200;
const VOCABULARY = 30_000;

const random = new Random(7);
const vocabulary = Array.from({ length: VOCABULARY }, (_, n) => wordOf(n));

/**
 * Sessions that are used in rotation, twenty for each owner; each message has a word that all have, and one of its own.
 */
async function fill(bobbin: Bobbin): Promise<void> {
  await bobbin.kill();
  const folder = join(bobbin.dir, "d1");
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) => /[0-9a-f]{64}\.sqlite$/.test(name));
  if (files.length !== databases) throw new Error(`there are ${files.length} databases to fill, not ${databases}`);
  const from = Date.now();
  const fillers = files.map((file) => new Filler(join(folder, file)));
  const fillerOf = (n: number) => fillers[(n % OWNERS) % databases] as Filler;
  for (let n = 0; n < sessions; n += 1) fillerOf(n).addSession(n);
  for (let n = 0; n < sessions * each; n += 1) fillerOf(n % sessions).addMessage(n);
  console.log(`${sessions} sessions of ${each} messages, filled in ${Math.round((Date.now() - from) / 1000)} s`);
  for (const filler of fillers) filler.close();
  await bobbin.restart();
}

/** One database that is filled while the worker is down. */
class Filler {
  readonly #database: DatabaseSync;
  readonly #session: StatementSync;
  readonly #message: StatementSync;
  #messages = 0;
  #bytes = 0;

  constructor(file: string) {
    this.#database = new DatabaseSync(file);
    this.#database.exec("PRAGMA synchronous = OFF; BEGIN");
    this.#session = this.#database.prepare(
      `INSERT INTO sessions (id, title, first_message_preview, message_count, total_tokens, permission_mode, owner, created_at, last_message_at, state, seq, epoch, words, owner_key)
       VALUES (?, ?, 'preview', ?, 0, 'default', ?, ?, ?, 'idle', 99, 1, ?, ?)`,
    );
    this.#message = this.#database.prepare(
      `INSERT INTO messages (id, session_id, request_id, role, status, content, words, created_at, seq) VALUES (?, ?, ?, ?, 'complete', ?, ?, ?, ?)`,
    );
  }

  addSession(n: number): void {
    const [owner, title] = [`owner${n % OWNERS}`, `title ${word()} ${n}`];
    this.#session.run(`s${n}`, title, each, owner, 1.7e12 + n, 1.7e12 + each * sessions + n, marked(title), ownerKey(owner));
  }

  addMessage(n: number): void {
    const words = ["common", `w${n % 997}`, `unique${n}`, ...Array.from({ length: random.between(10, 90) }, word)].join(" ");
    this.#messages += 1;
    this.#bytes += words.length;
    const place = Math.floor(n / sessions);
    this.#message.run(`m${n}`, `s${n % sessions}`, `r${place}`, place % 2 ? "assistant" : "user", JSON.stringify(words), marked(words), 1.7e12 + n, place);
  }

  close(): void {
    this.#database.exec("COMMIT; PRAGMA wal_checkpoint(TRUNCATE)");
    const perMessage = (sql: string) => Math.round(Number((this.#database.prepare(sql).get() as { bytes: number }).bytes) / this.#messages);
    console.log(`bytes of a message: text ${Math.round(this.#bytes / this.#messages)}, marks ${perMessage("SELECT sum(length(words) - length(content) + 2) AS bytes FROM messages")}, index of all ${perMessage("SELECT sum(length(block)) AS bytes FROM message_search_data")}, index by owner ${perMessage("SELECT sum(length(block)) AS bytes FROM owned_search_data")}, database ${perMessage("SELECT page_count * page_size AS bytes FROM pragma_page_count, pragma_page_size")}\n`);
    this.#database.close();
  }
}

/** An owner whose sessions are in the database that the worker reads: `fill` does not know which file belongs to which binding. */
async function ownerThatIsFound(bobbin: Bobbin): Promise<{ number: number; token: string }> {
  for (let number = 0; number < OWNERS; number += 1) {
    const token = tokenOf(`owner${number}`);
    const { sessions } = (await (await bobbin.fetch("/sessions", bearer(token))).json()) as { sessions: unknown[] };
    if (sessions.length > 0) return { number, token };
  }
  throw new Error("no owner's sessions are found");
}

async function measure(bobbin: Bobbin): Promise<void> {
  const { number, token: owner } = await ownerThatIsFound(bobbin);
  const named = tokenOf("guest", shared("viewer", "s7", "s1007"));
  const all = tokenOf("support", shared("viewer", "*"));
  const sixteen = vocabulary.slice(0, 16).join(" ");
  const deep = `${1.7e12 + Math.floor(sessions / 2)}.s1`;
  const asked: [string, string, string][] = [
    ["list, newest", all, ""],
    ["list, a page far down", all, `before=${deep}`],
    ["list by last use", all, "order=recent"],
    ["list by last use, a page far down", all, `order=recent&before=u${1.7e12 + each * sessions + Math.floor(sessions / 2)}.s1`],
    ["list of running sessions", all, "order=recent&state=running"],
    ["list by last use, one owner", owner, "order=recent"],
  ];
  const searches: [string, string][] = [
    ["a word in every message", "common"],
    ["a rare word", `unique${number + 3 * sessions}`],
    ["one letter", "u"],
    ["two letters", "un"],
    ["16 words", sixteen],
    ["16 letters", "a b c d e f g h i j k l m n o p"],
    ["a title", "title"],
  ];
  for (const [who, token] of [["an owner", owner], ["named sessions", named], ["all", all]] as const) {
    for (const [what, q] of searches) asked.push([`search of ${who}: ${what}`, token, new URLSearchParams({ q }).toString()]);
  }
  console.log("| asked | p50 ms | p99 ms | found | complete |\n|---|---|---|---|---|");
  const plans: string[] = [];
  for (const [what, token, query] of asked) {
    const times: number[] = [];
    let body: { sessions: unknown[]; complete?: boolean } = { sessions: [] };
    await queries(bobbin);
    for (let round = 0; round < ROUNDS && (times.length < 5 || sum(times) < 10_000); round += 1) {
      const from = performance.now();
      const response = await bobbin.fetch(`/sessions?${query}`, bearer(token));
      body = (await response.json()) as typeof body;
      times.push(performance.now() - from);
      if (response.status !== 200) throw new Error(`${what}: ${response.status} ${JSON.stringify(body)}`);
    }
    times.sort((one, other) => one - other);
    const at = (part: number) => (times[Math.min(times.length - 1, Math.floor(times.length * part))] ?? 0).toFixed(1);
    console.log(`| ${what} | ${at(0.5)} | ${at(0.99)} | ${body.sessions.length} | ${body.complete ?? ""} |`);
    const query1 = (await queries(bobbin)).at(-1);
    if (query1) plans.push(`${what}\n${(await planOf(bobbin, query1.statement, ...query1.values)).replace(/^/gm, "  ")}`);
  }
  if (options.plans) console.log(`\n${plans.join("\n\n")}`);
}

/** In the form in which the worker indexes words of letters and spaces. */
function marked(text: string): string {
  return text.replace(/\b\w/g, "\u001f$&");
}

/** As in real text, the commonest words make up much of a text, and most words are rare. */
function word(): string {
  return vocabulary[Math.floor(VOCABULARY ** random.fraction()) - 1] ?? "the";
}

function wordOf(n: number): string {
  let [letters, rest] = ["", n * 7919 + 11];
  for (let syllable = 0; syllable < 2 + (n % 3); syllable += 1) {
    letters += `${"bcdfghjklmnprstvwz"[rest % 18]}${"aeiou"[Math.floor(rest / 18) % 5]}`;
    rest = Math.floor(rest / 90) + n + 1;
  }
  return letters;
}

function sum(numbers: number[]): number {
  return numbers.reduce((all, one) => all + one, 0);
}

const bobbin = await start({ entry: queriesEntry, databases, vars: { AUTH: "jwt", AUTH_JWT_SECRET: SECRET, DB_GENERATIONS: options.databases } });
try {
  await fill(bobbin);
  await measure(bobbin);
} finally {
  await bobbin.close();
}
