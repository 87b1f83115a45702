// Admin commands for a deployment: export and import of everything, of one person or of conversations from elsewhere;
// reindex and sweep.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { promisify } from "node:util";
import { endOf, eventually, type Client } from "../worker/client.ts";
import { type Bobbin, freshId } from "../worker/harness.ts";
import { SECRET, bearer, shared, startClosed, tokenOf } from "../worker/support/auth.ts";
import { indexed } from "../worker/support/d1_http.ts";
import { plainEnv, root, scratchFolder } from "../templates/project.ts";

const CLI = join(root, "packages", "bobbin", "bin", "bobbin.mjs");
const scratch = scratchFolder();
const ann = bearer(tokenOf("ann")).headers;
const admin = bearer(tokenOf("ops", { bobbin: { admin: true } })).headers;
let folders = 0;

async function bobbin(of: Bobbin, ...args: string[]): Promise<{ status: number; stdout: string; stderr: string }> {
  const env = { ...plainEnv, AUTH_JWT_SECRET: SECRET, BOBBIN_URL: of.url.origin };
  try {
    return { status: 0, ...(await promisify(execFile)(process.execPath, [CLI, ...args], { cwd: scratch, env })) };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    return { status: code, stdout, stderr };
  }
}

async function done(of: Bobbin, ...args: string[]): Promise<string> {
  const { status, stdout, stderr } = await bobbin(of, ...args);
  assert.equal(status, 0, stdout + stderr);
  return stdout;
}

const emptyFolder = () => {
  const folder = join(scratch, `export-${++folders}`);
  mkdirSync(folder);
  return folder;
};

const get = async (of: Bobbin, path: string, headers: Record<string, string> = admin) => (await of.fetch(path, { headers })).json() as Promise<any>;
const lines = async (of: Bobbin, id: string) =>
  (await (await of.fetch(`/sessions/${id}/messages`, { headers: { ...admin, accept: "application/x-ndjson" } })).text()).trim().split("\n").map((line) => JSON.parse(line));

async function open(of: Bobbin, id: string, who = "ann", more = {}): Promise<Client> {
  return of.join(id, { headers: bearer(tokenOf(who, more)).headers });
}

async function say(client: Client, requestId: string, content: unknown, more: object = {}): Promise<void> {
  client.send({ type: "message", requestId, content, ...more });
  await client.next(endOf(requestId));
}

async function upload(of: Bobbin, id: string, text: string): Promise<any> {
  const response = await of.fetch(`/sessions/${id}/files?name=notes.txt`, { method: "POST", body: text, headers: { ...ann, "content-type": "text/plain" } });
  assert.equal(response.status, 201);
  return response.json();
}

const [from, to] = [await startClosed({ ECHO_DELAY_MS: "1" }), await startClosed({ ECHO_DELAY_MS: "1", DB_GENERATIONS: "1,3" }, { databases: 3 })];
after(from.close);
after(to.close);
const [plain, versions] = [freshId(), freshId()];
let cursor = "";

test("sessions are exported with versions and files, and unused ones are not fetched again", async () => {
  const client = await open(from, versions);
  await say(client, "r1", "first");
  await say(client, "r2", "second");
  await say(client, "r3", "second, otherwise", { replaces: "r2" });
  client.send({ type: "regenerate", requestId: "r4", of: "r3" });
  await client.next(endOf("r4"));
  cursor = client.all.findLast((frame) => frame["cursor"] !== undefined)?.["cursor"];
  await client.close();
  const { url } = await upload(from, plain, "the words of a file");
  const other = await open(from, plain);
  await say(other, "r1", [{ type: "text", text: "look at this" }, { type: "file", url, mediaType: "text/plain", name: "notes.txt" }]);
  await other.close();
  await eventually(async () => (await get(from, "/admin/sessions")).sessions.length === 2, "both in D1");
  await eventually(async () => (await get(from, "/admin/sessions")).sessions.every(({ state }: { state: string }) => state === "idle"), "both at rest in D1");

  const folder = emptyFolder();
  assert.match(await done(from, "export", "--to", folder), /Sessions: 2 written/);
  assert.deepEqual(readdirSync(join(folder, "sessions")).sort(), [`${plain}.jsonl`, `${versions}.jsonl`].sort());
  const [file] = readdirSync(join(folder, "files", plain));
  assert.equal(readFileSync(join(folder, "files", plain, file as string), "utf8"), "the words of a file");
  const exported = readFileSync(join(folder, "sessions", `${versions}.jsonl`), "utf8").trim().split("\n").map((line) => JSON.parse(line));
  assert.deepEqual(exported.flatMap(({ message }) => message ?? []), await lines(from, versions));
  assert.ok(exported.some(({ message }) => message?.current === false && message.parentId !== undefined));
  assert.match(await done(from, "export", "--to", folder), /Sessions: 2 written before/);
});

test("an import keeps ids, versions, times and files, cursors stay valid, and importing twice changes nothing", async () => {
  const folder = emptyFolder();
  await done(from, "export", "--to", folder);
  assert.match(await done(to, "import", folder), /Sessions: 2 brought in/);
  const without = (all: any[]) => all.map(({ versions: _, ...rest }) => rest);
  for (const id of [plain, versions]) {
    assert.deepEqual(await lines(to, id), await lines(from, id));
    assert.deepEqual(await get(to, `/sessions/${id}`), await get(from, `/sessions/${id}`));
    assert.deepEqual(await get(to, `/sessions/${id}/messages`, ann), await get(from, `/sessions/${id}/messages`, ann));
  }
  assert.ok(without(await lines(to, versions)).length > 0);
  const [{ content }] = (await get(to, `/sessions/${plain}/messages`)).messages;
  const bytes = await to.fetch(content[1].url, { headers: ann });
  assert.deepEqual([bytes.status, await bytes.text()], [200, "the words of a file"]);
  const resumed = await to.connect(versions, { headers: ann, cursor });
  assert.equal((await resumed.next("connected"))["resumed"], true);
  // It continues as the same conversation.
  await say(resumed, "r5", "on the other side");
  const last = (await lines(to, versions)).at(-2);
  assert.equal(last.parentId, (await lines(from, versions)).findLast(({ current, role }) => current && role === "assistant").id);
  await eventually(async () => (await get(to, "/sessions", ann)).sessions.length === 2, "both in the list");
  assert.match(await done(to, "import", folder), /Sessions: 2 there before/);
});

test("an existing session of that id is left unchanged, and problems with an import are reported", async () => {
  const folder = emptyFolder();
  await done(from, "export", plain, "--to", folder);
  const third = await startClosed({ ECHO_DELAY_MS: "1" });
  after(third.close);
  const client = await open(third, plain, "bob");
  await say(client, "r1", "mine");
  const { status, stderr } = await bobbin(third, "import", folder);
  assert.equal(status, 1);
  assert.match(stderr, /409 there is another session of this id/);
  assert.deepEqual((await lines(third, plain)).map(({ content }) => content), ["mine", "mine"]);
  const id = freshId();
  for (const [body, words] of [
    ["{}", /the first line is/],
    ['{"session":{"id":"x"},"thread":{"epoch":1,"seq":1,"open":[]}}', /the first line is/],
    [`${JSON.stringify({ session: await get(from, `/sessions/${plain}`), thread: { epoch: 7, seq: 2, open: [] } })}\n{"record":{"seq":1,"kind":"question"}}`, /line 2/],
    [`${JSON.stringify({ session: await get(from, `/sessions/${plain}`), thread: { epoch: 7, seq: 2, open: [] } })}\nnonsense`, /line 2 is not JSON/],
  ] as const) {
    const response = await third.fetch(`/admin/sessions/${id}`, { method: "PUT", body, headers: admin });
    assert.equal(response.status, 400);
    assert.match(await response.text(), words);
  }
  assert.equal((await third.fetch(`/sessions/${id}`, { headers: admin })).status, 404);
  assert.ok([403, 404].includes((await third.fetch(`/admin/sessions/${id}`, { method: "PUT", body: "{}", headers: ann })).status));
});

test("an answer that was running when it was exported ends as interrupted", async () => {
  const slow = await startClosed({ ECHO_DELAY_MS: "400" });
  after(slow.close);
  const id = freshId();
  const client = await open(slow, id);
  client.send({ type: "message", requestId: "r1", content: "one two three four five six seven eight nine" });
  await client.next("token");
  const folder = emptyFolder();
  await done(slow, "export", id, "--to", folder);
  await done(to, "import", folder);
  await eventually(async () => (await lines(to, id)).length === 2, "the end");
  assert.deepEqual((await lines(to, id)).map(({ status }) => status), ["complete", "interrupted"]);
  await done(to, "import", folder);
  assert.equal((await lines(to, id)).length, 2);
});

test("a conversation from another system is imported once, and continues", async () => {
  const file = join(scratch, "own.jsonl");
  const at = 1_700_000_000_000;
  const own = [
    { session: { id: "own-1", title: "My order", owner: "ann", createdAt: at, metadata: { shop: 7 } } },
    { role: "user", content: "Where is it?", createdAt: at, id: "m1", author: "ann" },
    { role: "assistant", content: [{ type: "text", text: "On its way." }], createdAt: at + 4_000 },
    { role: "assistant", content: "It has arrived.", createdAt: at + 60_000 },
    { role: "user", content: "Thanks", createdAt: at + 90_000 },
    { role: "user", content: "Are you there?", createdAt: at + 95_000 },
    { role: "assistant", content: "Yes", createdAt: at + 99_000 },
  ];
  writeFileSync(file, own.map((line) => JSON.stringify(line)).join("\n"));
  writeFileSync(join(scratch, "own.json"), JSON.stringify(own));
  assert.match(await done(to, "import", file), /1 brought in/);
  assert.match(await done(to, "import", join(scratch, "own.json")), /1 there before/);
  const all = await lines(to, "own-1");
  assert.deepEqual(all.map(({ role, content, status, createdAt }) => [role, content, status, createdAt - at]), [
    ["user", "Where is it?", "complete", 0],
    ["assistant", "On its way.", "complete", 4_000],
    ["assistant", "It has arrived.", "complete", 60_000],
    ["user", "Thanks", "complete", 90_000],
    ["assistant", "", "interrupted", 90_000],
    ["user", "Are you there?", "complete", 95_000],
    ["assistant", "Yes", "complete", 99_000],
  ]);
  const ids = all.map(({ id }) => id);
  assert.deepEqual(all.map(({ parentId }) => parentId), [undefined, ...ids.slice(0, -1)]);
  assert.deepEqual([all[0].clientId, all[0].requestId], ["m1", "m1"]);
  const session = await get(to, "/sessions/own-1", ann);
  assert.deepEqual([session.title, session.owner, session.createdAt, session.messageCount, session.lastMessageAt, session.metadata], ["My order", "ann", at, 7, at + 99_000, { shop: 7 }]);
  await eventually(async () => (await get(to, "/sessions?q=arrived", ann)).sessions[0]?.id === "own-1", "the search to find it");
  const client = await open(to, "own-1");
  await say(client, "next", "and now?");
  assert.equal((await lines(to, "own-1")).length, 9);
  assert.match(await done(to, "import", file), /1 there before/);
});

test("a person's export has the person's sessions, and their messages in other people's sessions", async () => {
  const bobs = freshId();
  const bob = await open(to, bobs, "bob");
  await say(bob, "r1", "bob's own words");
  await say(await open(to, bobs, "ann", shared("editor", bobs)), "r2", "ann's words at bob's");
  await eventually(async () => (await get(to, "/subjects/ann")).elsewhere.includes(bobs), "D1 to know");
  const folder = emptyFolder();
  await done(to, "export", "--subject", "ann", "--to", folder);
  assert.ok(!readdirSync(join(folder, "sessions")).includes(`${bobs}.jsonl`));
  assert.ok(readdirSync(join(folder, "sessions")).includes("own-1.jsonl"));
  const elsewhere = readFileSync(join(folder, "elsewhere", `${bobs}.jsonl`), "utf8").trim().split("\n").map((line) => JSON.parse(line));
  assert.deepEqual(elsewhere.map(({ message }) => message.content), ["ann's words at bob's"]);
});

test("a large session is sent in parts, and D1 gets all of it", { timeout: 120_000 }, async () => {
  const file = join(scratch, "large.jsonl");
  const text = "word ".repeat(20_000);
  const own = [{ session: { id: "large-1", owner: "ann" } }, ...Array.from({ length: 120 }, (_, n) => ({ role: n % 2 ? "assistant" : "user", content: `${n} ${text}`, createdAt: 1_700_000_000_000 + n }))];
  writeFileSync(file, own.map((line) => JSON.stringify(line)).join("\n"));
  assert.match(await done(to, "import", file), /1 brought in/);
  assert.equal((await lines(to, "large-1")).length, 120);
  const names = ["DB", "DB_1", "DB_2"];
  const held = async () => (await Promise.all(names.map((name) => to.d1Of(name, "SELECT count(*) AS n FROM messages WHERE session_id = 'large-1'")))).map(([row]) => Number(row?.["n"]));
  await eventually(async () => (await held()).includes(120), "all of it in D1", 60_000);
});

test("reindex and sweep reach all listed sessions, and those that are named", async () => {
  await from.d1("DELETE FROM messages");
  assert.match(await done(from, "reindex", "--all"), /Sessions: 2 delivered anew/);
  await eventually(async () => (await indexed(from, plain)).messages.length === 2 && (await indexed(from, versions)).messages.length === 7, "the messages in D1");
  const ids = join(scratch, "ids.txt");
  writeFileSync(ids, `${plain}\nnobody\n`);
  assert.match(await done(from, "reindex", "--from", ids), /1 delivered anew, 1 no more there|1 no more there, 1 delivered anew/);
  writeFileSync(ids, JSON.stringify([{ results: [{ id: `CHAT/${plain}`, title: null }], success: true }]));
  assert.match(await done(from, "reindex", "--from", ids), /1 delivered anew/);
  assert.match(await done(from, "sweep"), /Sessions: 2 swept/);
  const { status, stderr } = await bobbin(from, "reindex");
  assert.deepEqual([status, stderr.startsWith("Say which")], [1, true]);
  const refused = await bobbin(from, "sweep", "--token", tokenOf("ann"));
  assert.equal(refused.status, 1);
  assert.match(refused.stderr, /403 only an admin/);
});
