// Commands for the maintenance of a deployment: they use HTTP routes under `/admin/`, with an admin's token.
import { createHash } from "node:crypto";
import { createReadStream, createWriteStream, existsSync, mkdirSync, openAsBlob, readFileSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { createInterface } from "node:readline";
import { basename, join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { Refusal, adminToken, optionsOf } from "./common.mjs";

/** The number of concurrent requests, the same as in the worker. */
const AT_ONCE = 6;
const ATTEMPTS = 8;
/** Maximum size of one import body; a worker accepts 8 MiB. */
const BODY_BYTES = 4 * 1024 * 1024;
const PREVIEW_CHARS = 100;

const CONNECTION = `  --url URL         where the deployment is (BOBBIN_URL); a query in it goes along with each request
  --token TOKEN     an admin's token (BOBBIN_TOKEN); by default one is signed with AUTH_JWT_SECRET, as \`bobbin token --admin\` does`;

export const HELP = {
  export: `bobbin export [ID]… --to FOLDER [--subject NAME]

Writes sessions as JSON Lines, \`sessions/ID.jsonl\`, with their files, \`files/ID/FILE\`: those that are named, those of one subject, or all. Each line is the
session, a message of whatever version with its \`parentId\` and whether it is \`current\`, or what an import needs beside these. Said again, it goes on
where it was broken off, and fetches anew what was used since. With --subject, what that subject wrote in sessions of others is in \`elsewhere/ID.jsonl\`.

  --to FOLDER       where to
  --subject NAME    sessions of that subject alone: a person's export
${CONNECTION}`,
  import: `bobbin import FILE|FOLDER…

Brings in what \`bobbin export\` wrote, with ids, versions, files and times; and conversations of your own, a file each: JSON Lines, or a JSON array of the
same. Twice is once. Of your own the first line is {"session":{"id","title"?,"owner"?,"createdAt"?,"metadata"?}}, each other one a message, oldest first:
{"role":"user"|"assistant","content","createdAt"?,"id"?,"requestId"?,"author"?,"metadata"?}. A session of the same id that is another one is left alone.

${CONNECTION}`,
  reindex: `bobbin reindex [ID]… [--from FILE] [--all]

Has sessions deliver to D1 anew what it should have: after it was lost or restored, or once SEARCH is \`messages\` again. Rows of sessions that are no more go.

  --from FILE       ids: one a line, or the rows of a backup as \`wrangler d1 execute --json\` prints them
  --all             all that D1 lists
${CONNECTION}`,
  sweep: `bobbin sweep [ID]…

Has sessions that sleep set the alarm of RETENTION_DAYS: once, after you set that variable, for those that are named or all that D1 lists.

${CONNECTION}`,
};

const TEXT = { type: "string" };

export const commands = {
  export: (args) => run(args, HELP.export, { to: TEXT, subject: TEXT }, exportSessions),
  import: (args) => run(args, HELP.import, {}, importSessions),
  reindex: (args) => run(args, HELP.reindex, { from: TEXT, all: { type: "boolean" } }, reindex),
  sweep: (args) => run(args, HELP.sweep, {}, sweep),
};

async function run(args, help, options, command) {
  const { values, positionals } = optionsOf(args, { ...options, url: TEXT, token: TEXT }, help, true);
  if (values.help) return console.log(help);
  const url = values.url ?? process.env.BOBBIN_URL;
  if (url === undefined || !URL.canParse(url)) throw new Refusal(`Say where the deployment is, by --url https://… or BOBBIN_URL.\n\n${help}`);
  const token = values.token ?? process.env.BOBBIN_TOKEN ?? adminToken();
  try {
    await command(new Deployment(new URL(url), token), positionals, values);
  } catch (error) {
    throw error instanceof Refusal ? error : new Refusal(error.message);
  }
}

class Deployment {
  #url;
  #token;

  constructor(url, token) {
    [this.#url, this.#token] = [url, token];
  }

  /** Retries after temporary failures; any other failure is an error with the deployment's message. */
  async fetch(path, init = {}, isFine = (response) => response.ok) {
    for (let attempt = 1; ; attempt += 1) {
      const response = await this.#once(path, init).catch((error) => error);
      if (response instanceof Response && isFine(response)) return response;
      const passes = response instanceof Error || [429, 500, 502, 503].includes(response.status);
      if (!passes || attempt === ATTEMPTS) throw new Error(`${init.method ?? "GET"} ${path}: ${await wordsOf(response)}`);
      await response.body?.cancel();
      const after = Number(response.headers?.get("retry-after")) * 1_000;
      await new Promise((resolve) => setTimeout(resolve, after || 250 * 2 ** attempt * (0.5 + Math.random() / 2)));
    }
  }

  #once(path, init) {
    const url = new URL(path, this.#url);
    for (const [name, value] of this.#url.searchParams) url.searchParams.set(name, value);
    const headers = { ...init.headers, ...(this.#token && { authorization: `Bearer ${this.#token}` }) };
    return fetch(url, { ...init, headers });
  }

  post(id, what) {
    return this.fetch(`/admin/sessions/${id}/${what}`, { method: "POST" }, (response) => response.ok || response.status === 404);
  }

  /** All sessions that D1 lists, newest first. */
  async *sessions(subject) {
    const of = subject === undefined ? "" : `&subject=${encodeURIComponent(subject)}`;
    for (let before = ""; ; ) {
      const { sessions, nextBefore, complete } = await (await this.fetch(`/admin/sessions?limit=200${of}${before}`)).json();
      if (complete === false) throw new Error("a database does not answer, so the list is not complete: try again later");
      yield* sessions;
      if (nextBefore === null) return;
      before = `&before=${nextBefore}`;
    }
  }
}

async function wordsOf(response) {
  if (response instanceof Error) return response.cause?.message ?? response.message;
  const text = await response.text();
  try {
    return `${response.status} ${JSON.parse(text).error.message}`;
  } catch {
    return `${response.status} ${text.slice(0, 200)}`;
  }
}

/** Runs six at a time. Failures are reported, and the others continue. */
async function each(all, what, work) {
  const [counts, failed] = [new Map(), []];
  const rest = all[Symbol.asyncIterator]?.() ?? all[Symbol.iterator]();
  const worker = async () => {
    for (;;) {
      const { done, value } = await rest.next();
      if (done) return;
      try {
        const outcome = await work(value);
        counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
      } catch (error) {
        failed.push(`${value.id ?? value}: ${error.message}`);
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  const told = [...counts].map(([outcome, count]) => `${count} ${outcome}`).join(", ");
  console.log(`${what}: ${told || "none"}${failed.length > 0 ? `, ${failed.length} failed` : ""}`);
  if (failed.length > 0) throw new Refusal(`${failed.join("\n")}\nSay it again: what is done is not done twice.`);
}

const named = (ids) => ids.map((id) => ({ id }));

async function reindex(deployment, ids, { from, all }) {
  if (ids.length === 0 && from === undefined && !all) throw new Refusal(`Say which: ids, --from FILE or --all.\n\n${HELP.reindex}`);
  const listed = from === undefined ? ids : [...ids, ...idsIn(readFileSync(from, "utf8"))];
  const work = async ({ id }) => ((await deployment.post(id, "reindex")).status === 404 ? "no more there" : "delivered anew");
  await each(all ? deployment.sessions() : named([...new Set(listed)]), "Sessions", work);
}

/** Reads ids from rows as JSON, or one per line. The prefix of the class is removed from the id. */
function idsIn(text) {
  const rows = (value) => (Array.isArray(value) ? value.flatMap(rows) : Array.isArray(value?.results) ? rows(value.results) : [value?.id ?? value?.session_id ?? value]);
  let found;
  try {
    found = rows(JSON.parse(text));
  } catch {
    found = text.split("\n").map((line) => (line.startsWith("{") ? rows(JSON.parse(line))[0] : line.trim()));
  }
  return found.filter((id) => typeof id === "string" && id !== "").map((id) => id.replace(/^.*\//, ""));
}

async function sweep(deployment, ids) {
  const work = async ({ id }) => ((await deployment.post(id, "sweep")).status === 404 ? "no more there" : "swept");
  await each(ids.length > 0 ? named(ids) : deployment.sessions(), "Sessions", work);
}

async function exportSessions(deployment, ids, { to, subject }) {
  if (to === undefined) throw new Refusal(`Say where to, by --to FOLDER.\n\n${HELP.export}`);
  mkdirSync(join(to, "sessions"), { recursive: true });
  await each(ids.length > 0 ? named(ids) : deployment.sessions(subject), "Sessions", (session) => exportSession(deployment, session, to));
  if (subject === undefined) return;
  const { elsewhere } = await (await deployment.fetch(`/subjects/${encodeURIComponent(subject)}`)).json();
  if (elsewhere.length > 0) mkdirSync(join(to, "elsewhere"), { recursive: true });
  await each(named(elsewhere.map((id) => id.replace(/^.*\//, ""))), "In sessions of others", ({ id }) => exportElsewhere(deployment, id, to, subject));
}

async function exportSession(deployment, session, to) {
  const target = join(to, "sessions", `${session.id}.jsonl`);
  if (session.lastMessageAt !== undefined && (await isSame(target, session))) return "written before";
  const response = await deployment.fetch(`/admin/sessions/${session.id}`);
  await pipeline(Readable.fromWeb(response.body), createWriteStream(`${target}.part`));
  for await (const { file } of linesIn(`${target}.part`)) if (file) await exportFile(deployment, session.id, file, to);
  renameSync(`${target}.part`, target);
  return "written";
}

/** Whether the export of the session is complete and current. */
async function isSame(target, session) {
  if (!existsSync(target)) return false;
  for await (const line of linesIn(target)) {
    const { state, ...rest } = line.session ?? {};
    const { state: _, ...now } = session;
    return JSON.stringify(Object.entries(rest).sort()) === JSON.stringify(Object.entries(now).sort());
  }
  return false;
}

async function exportFile(deployment, id, file, to) {
  const target = join(to, "files", id, file.id);
  if (existsSync(target) && statSync(target).size === file.size) return;
  mkdirSync(join(to, "files", id), { recursive: true });
  const response = await deployment.fetch(`/sessions/${id}/files/${file.id}`);
  await pipeline(Readable.fromWeb(response.body), createWriteStream(`${target}.part`));
  renameSync(`${target}.part`, target);
}

/** Only the messages that a person wrote in somebody else's session. */
async function exportElsewhere(deployment, id, to, subject) {
  const target = join(to, "elsewhere", `${id}.jsonl`);
  const response = await deployment.fetch(`/admin/sessions/${id}`);
  const lines = createInterface({ input: Readable.fromWeb(response.body), crlfDelay: Infinity });
  const own = createWriteStream(target);
  for await (const line of lines) {
    const { message } = JSON.parse(line);
    if (message?.author === subject) own.write(`${JSON.stringify({ message })}\n`);
  }
  await new Promise((resolve) => own.end(resolve));
  return "written";
}

async function* linesIn(path) {
  for await (const line of createInterface({ input: createReadStream(path), crlfDelay: Infinity })) {
    if (line.trim() !== "") yield JSON.parse(line);
  }
}

async function importSessions(deployment, paths) {
  if (paths.length === 0) throw new Refusal(`Say what: a folder of an export, or files.\n\n${HELP.import}`);
  await each(paths.flatMap(filesAt), "Sessions", (path) => importSession(deployment, path));
}

function filesAt(path) {
  if (!existsSync(path)) throw new Refusal(`There is no ${path}`);
  if (!statSync(path).isDirectory()) return [path];
  const folder = existsSync(join(path, "sessions")) ? join(path, "sessions") : path;
  return readdirSync(folder).filter((name) => /\.jsonl?$/.test(name)).sort().map((name) => join(folder, name));
}

async function importSession(deployment, path) {
  const lines = await readable(path);
  const { value: head } = await lines.next();
  const id = head?.session?.id;
  if (typeof id !== "string" || !/^[A-Za-z0-9_-]{1,128}$/.test(id)) throw new Error('its first line is {"session":{"id":…}} with 1 to 128 of A-Z a-z 0-9 _ -');
  const files = [];
  let [body, isNew] = ["", false];
  const first = `${JSON.stringify(head)}\n`;
  const send = async () => {
    const response = await deployment.fetch(`/admin/sessions/${id}`, { method: "PUT", body: first + body, headers: { "content-type": "application/x-ndjson" } });
    isNew = (await response.json()).written > 0 || isNew;
    body = "";
  };
  for await (const line of lines) {
    if (line.file) files.push(line.file);
    const text = `${JSON.stringify(line)}\n`;
    if (body !== "" && Buffer.byteLength(body) + Buffer.byteLength(text) > BODY_BYTES) await send();
    body += text;
  }
  await send();
  for (const file of files) isNew = (await importFile(deployment, id, file, join(path, "..", "..", "files", id, file.id))) || isNew;
  return isNew ? "brought in" : "there before";
}

async function importFile(deployment, id, file, path) {
  const at = `/admin/sessions/${id}/files/${file.id}`;
  if (!existsSync(path)) throw new Error(`its file ${file.id} is not there: ${path}`);
  const there = await deployment.fetch(`/sessions/${id}/files/${file.id}`, { headers: { range: "bytes=0-0" } }, (response) => response.ok || response.status === 404);
  await there.body?.cancel();
  if (there.ok) return false;
  const body = await openAsBlob(path);
  await deployment.fetch(at, { method: "PUT", body, headers: { "content-type": file.media_type } });
  return true;
}

/** The lines of an export unchanged, or the lines generated from a custom conversation. */
async function readable(path) {
  const text = () => readFileSync(path, "utf8").trim();
  const isArray = path.endsWith(".json");
  const all = isArray ? JSON.parse(text()) : undefined;
  if (isArray && !Array.isArray(all)) throw new Error("a .json file is an array; else use .jsonl");
  const lines = isArray ? all[Symbol.iterator]() : linesIn(path)[Symbol.asyncIterator]();
  const { value: head } = await lines.next();
  if (head?.thread) return prepended(head, lines);
  return ownLines(head, lines)[Symbol.asyncIterator]();
}

async function* prepended(head, lines) {
  yield head;
  for (;;) {
    const { done, value } = await lines.next();
    if (done) return;
    yield value;
  }
}

/** Converts a conversation to the records that a thread would have stored: each message in order, with an answer for each question. */
async function* ownLines(head, lines) {
  const session = head?.session ?? {};
  const id = String(session.id ?? "");
  const epoch = parseInt(createHash("sha256").update(id).digest("hex").slice(0, 10), 16) || 1;
  const [records, used] = [[], new Set()];
  let [seq, question] = [1, undefined];
  let at = Number(session.createdAt ?? Date.now());
  const push = (record) => {
    records.push({ seq, created_at: at, ...record });
    seq += 2;
  };
  const close = (record) => {
    const answered = { turn: question.seq, request_id: question.request_id, message_id: `${question.message_id}r`, kind: "answer", ...record };
    question = undefined;
    push(answered);
  };
  const unanswered = () => question && close({ status: "interrupted", content: '""', metadata: figures(), error: JSON.stringify({ code: "INTERRUPTED", message: "this was brought in without an answer", retryable: true }) });
  for (let line = 2; ; line += 1) {
    const { done, value: message } = await lines.next();
    if (done) break;
    const { role, content, createdAt, id: clientId, requestId = clientId ?? `import-${line}`, author, metadata } = message.message ?? message;
    if (!["user", "assistant"].includes(role) || (typeof content !== "string" && !Array.isArray(content))) {
      throw new Error(`line ${line}: a message has role user or assistant, and content, a text or an array of blocks`);
    }
    const answers = role === "assistant" && question !== undefined;
    if (!answers) unanswered();
    at = Math.max(at, Number(createdAt ?? at));
    // Content with only text is stored as a string.
    const isText = Array.isArray(content) && content.every(({ type }) => type === "text");
    const common = { content: JSON.stringify(isText ? content.map(({ text }) => text).join("") : content) };
    if (answers) {
      close({ ...common, status: "complete", metadata: figures(metadata) });
      continue;
    }
    if (used.has(requestId)) throw new Error(`line ${line}: the requestId ${requestId} is used twice`);
    used.add(requestId);
    const parent = records.findLast((record) => record.kind === "answer")?.turn;
    const begun = { ...common, turn: seq, request_id: requestId, message_id: `msg_${epoch.toString(16)}_${seq.toString(16)}`, ...(parent !== undefined && { parent }) };
    if (role === "user") {
      question = { seq, ...begun };
      const data = clientId === undefined ? {} : { data: JSON.stringify({ clientId }) };
      push({ ...begun, ...data, kind: "question", started: 1, ...(author !== undefined && { author }), ...(metadata !== undefined && { metadata: JSON.stringify(metadata) }) });
    } else {
      // An answer without a question is stored as the start and the end of an appended turn.
      push({ ...begun, kind: "append" });
      push({ ...common, kind: "answer", turn: begun.turn, request_id: requestId, message_id: `${begun.message_id}r`, status: "complete", metadata: figures(metadata), data: '{"appended":true}', ...(parent !== undefined && { parent }) });
    }
  }
  unanswered();
  yield { session: whole(session, records), thread: { epoch, seq: seq - 1, open: [] } };
  for (const record of records) yield { record };
}

const figures = (more = {}) => JSON.stringify({ tokensUsed: 0, latencyMs: 0, ...more });

function whole({ id, title = null, owner, createdAt, metadata, model, permissionMode = "default" }, records) {
  const shown = records.filter(({ kind }) => kind !== "append");
  const first = records.find(({ kind }) => kind !== "answer");
  return {
    id, title, permissionMode, totalTokens: 0, messageCount: shown.length, firstMessagePreview: preview(first ? JSON.parse(first.content) : ""),
    createdAt: Number(createdAt ?? records[0]?.created_at ?? Date.now()), lastMessageAt: shown.at(-1)?.created_at ?? Number(createdAt ?? Date.now()),
    ...(owner !== undefined && { owner }), ...(metadata !== undefined && { metadata }), ...(model !== undefined && { model }),
  };
}

function preview(content) {
  const text = typeof content === "string" ? content : content.map((block) => block.text ?? "").join(" ");
  const line = [...text.split(/\s+/).filter(Boolean).join(" ")];
  return line.length > PREVIEW_CHARS ? `${line.slice(0, PREVIEW_CHARS).join("")}…` : line.join("");
}
