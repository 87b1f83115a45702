// This build reads what any older build has stored; and what a newer one has stored, as far as it can.
import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, test } from "node:test";
import { type Client, endOf, eventually } from "./client.ts";
import { type Bobbin, freshId, start } from "./harness.ts";
import { Http, type Json } from "./support/d1_http.ts";
import { Fold } from "./support/fold.ts";
import { Upstream } from "./upstream.ts";

const FORMATS = join(import.meta.dirname, "../formats");
/** The number of Bobbin's own tables. */
const COLUMNS = `SELECT tables.name AS "table", columns.name AS name, columns.type AS type FROM sqlite_master AS tables,
  pragma_table_info(tables.name) AS columns WHERE tables.type = 'table' AND tables.name LIKE 'bobbin\\_%' ESCAPE '\\' ORDER BY 1, columns.cid`;
/** The session of every stored database. */
const SESSION = "stored";

const upstream = await Upstream.start();
after(upstream.close);
const vars = { ...upstream.vars, CONCURRENT_TURNS: "1" };

for (const file of readdirSync(FORMATS).filter((name) => name.endsWith(".sqlite"))) {
  test(`a thread stored in format ${file.replace(".sqlite", "")} is read, continues, and is unchanged after an eviction`, async () => {
    const bobbin = await stored(file);
    const http = new Http(bobbin);
    const client = await bobbin.connect(SESSION);
    assert.equal((await client.next("connected"))["session"].title, "The sea");
    const before = (await http.get(`/sessions/${SESSION}/messages`)).messages;
    assert.deepEqual(shown(before).slice(0, 8), [
      ["plain", "user", "complete", "What is the sea?"],
      ["plain", "assistant", "complete", "Water."],
      ["blocks", "user", "complete", "Look it up."],
      ["blocks", "assistant", "complete", "I look. "],
      ["failing", "user", "complete", "Fail."],
      ["failing", "assistant", "failed", ""],
      ["cancelled", "user", "complete", "Talk."],
      ["cancelled", "assistant", "cancelled", "Once upon "],
    ]);
    assert.match(JSON.stringify(before[3].content), /"thinking".*"Where\?".*"tool_use".*"depth":1\.50?/);

    // Files were added in 2.2.
    const block = [...before.find(({ requestId, role }: Json) => requestId === "running" && role === "user").content].at(-1);
    if (block.type === "file") {
      const { status, headers } = await bobbin.fetch(block.url, { method: "HEAD" });
      assert.deepEqual([status, headers.get("content-length"), headers.get("content-type")], [200, "5", "application/zip"]);
    }

    // The running turn is over, and the waiting one runs.
    (await upstream.next()).answer("And then it was over.");
    const end = await client.next(endOf("waiting"));
    assert.equal(end["response"].content, "And then it was over.");
    const interrupted = (await http.get(`/sessions/${SESSION}/messages`)).messages.find((message: Json) => message.status === "interrupted");
    assert.deepEqual([interrupted.requestId, interrupted.content], ["running", "Half an answer"]);

    client.say("new", "And now?");
    (await upstream.next()).answer("Now it goes on.");
    await client.next(endOf("new"));
    // Versions were added in 2.3.
    client.say("plain", "What is the sea?", before[0].versions ? { replaces: "draft" } : {});
    const again = await client.next((frame) => frame.type === "user_message" && frame["requestId"] === "plain");
    assert.equal(again["answerId"], before[1].id, "the id of an answer changed");
    // The earlier messages were delivered to a different database: this one receives them, too.
    const lines = await (await bobbin.fetch(`/sessions/${SESSION}/messages`, { headers: { accept: "application/x-ndjson" } })).text();
    const count = lines.trim().split("\n").length;
    await eventually(async () => (await bobbin.d1("SELECT id FROM messages WHERE session_id = ?", SESSION)).length === count, `${count} messages in D1`);
    const whole = (await http.get(`/sessions/${SESSION}/messages`)).messages;
    await client.settled();
    await bobbin.evict(SESSION);
    assert.deepEqual((await http.get(`/sessions/${SESSION}/messages`)).messages, whole);
    assert.deepEqual(Fold.of(client.all).messages.map(({ id }) => id), whole.map(({ id }: Json) => id));
    await changesPath(client, http, whole);
    assert.equal((await http.ask("DELETE", `/sessions/${SESSION}`)).status, 204);
    await eventually(async () => (await bobbin.tables(SESSION)).every((name) => name === "bobbin_deleted"), "the end of all other tables");
  });
}

/** Messages stored by an older build have versions as well, and are counted correctly. */
async function changesPath(client: Client, http: Http, whole: Json[]): Promise<void> {
  const shown = async () => {
    const { messages } = await http.get(`/sessions/${SESSION}/messages`);
    assert.equal((await http.session(SESSION))["messageCount"], messages.length);
    return messages;
  };
  whole.forEach(({ parentId }, n) => assert.ok(n === 0 || whole.some(({ id }) => id === parentId), `a parent of message ${n}`));
  client.say("edited", "Look it up again.", { replaces: "blocks" });
  assert.equal((await client.next("branch"))["after"], whole[1].id);
  (await upstream.next()).answer("I looked.");
  await client.next(endOf("edited"));
  const edited = await shown();
  assert.deepEqual(edited.map(({ content }: Json) => content), ["What is the sea?", "Water.", "Look it up again.", "I looked."]);
  assert.deepEqual(edited[2].versions, { index: 1, count: 2, previous: whole[2].id });
  client.send({ type: "regenerate", requestId: "again", of: "plain" });
  const { answerId } = await client.next("branch");
  (await upstream.next()).answer("Salt.");
  await client.next(endOf("again"));
  assert.deepEqual((await shown())[1].versions, { index: 1, count: 2, previous: whole[1].id });
  client.send({ type: "select", messageId: whole[2].id });
  await client.next("branch");
  const versions = [[1, { index: 0, count: 2, next: answerId }], [2, { index: 0, count: 2, next: edited[2].id }]] as const;
  const back = whole.map((message) => ({ ...message }));
  for (const [n, of] of versions) back[n].versions = of;
  assert.deepEqual(await shown(), back);
}

test("this build's format has its stored database, with the tables and columns that this build creates", async () => {
  const { bobbin, id } = await conversed();
  await bobbin.fetch(`/sessions/${id}/files`, { method: "POST", body: "waves" });
  const [format] = await bobbin.sql(id, "SELECT major || '.' || minor AS name FROM bobbin_thread");
  const file = join(FORMATS, `${format?.["name"]}.sqlite`);
  const advice = "raise MINOR in src/thread/store.rs with the columns of src/session_do/schema.rs, and run `node tests/formats/make.ts` for the new format";
  assert.ok(existsSync(file), `${file} is missing: ${advice}`);
  const made = await bobbin.sql(id, COLUMNS);
  assert.ok(made.length > 20, JSON.stringify(made));
  const checkedIn = new DatabaseSync(file, { readOnly: true });
  after(() => checkedIn.close());
  assert.deepEqual(checkedIn.prepare(COLUMNS).all().map((row) => ({ ...row })), made, advice);
});

test("a build of the first format finds no log that it could read in a thread that was upgraded", async () => {
  const bobbin = await stored("1.sqlite");
  await (await bobbin.join(SESSION)).settled();
  const columns = await bobbin.sql(SESSION, "SELECT name FROM pragma_table_info('thread')");
  assert.deepEqual(columns, [{ name: "moved_to_bobbin_thread" }]);
  (await upstream.next()).answer("over");
});

test("data that a newer build of the same major format has stored is kept and shown, and the thread continues", async () => {
  const { bobbin, id, http } = await conversed();
  const hologram = { type: "hologram", depth: 1.5, of: { a: "sea" } };
  await bobbin.change(id, `
    UPDATE bobbin_thread SET minor = 9, session = json_set(session, '$.permissionMode', 'askTwice', '$.mood', 'calm');
    ALTER TABLE bobbin_thread ADD COLUMN weather TEXT;
    UPDATE bobbin_thread SET weather = 'rain';
    ALTER TABLE bobbin_records ADD COLUMN colour TEXT;
    UPDATE bobbin_records SET colour = 'blue', content = '${JSON.stringify([{ type: "text", text: "hi" }, hologram])}' WHERE request_id = 'r0' AND kind = 'answer';
    UPDATE bobbin_records SET status = 'postponed', error = '{"code":"NO_MOON","message":"wait","retryable":true}' WHERE request_id = 'r1' AND kind = 'answer';
    INSERT INTO bobbin_records (seq, turn, kind, message_id, request_id, created_at, content) SELECT max(seq) + 3, max(seq) + 3, 'ballot', 'msg_x', 'r-ballot', 1, '"?"' FROM bobbin_records;
    CREATE TABLE bobbin_moons (name TEXT)`);
  const client = await bobbin.connect(id);
  const { session } = await client.next("connected");
  assert.deepEqual([session.permissionMode, session.mood], ["askTwice", "calm"]);
  const { messages } = await http.get(`/sessions/${id}/messages`);
  assert.deepEqual(messages[1].content[1], hologram);
  assert.deepEqual([messages[3].status, messages[3].error.code], ["postponed", "NO_MOON"]);
  assert.equal(messages.length, 4);

  client.say("r2", "go on");
  const call = await upstream.next();
  assert.equal(call.headers["x-bobbin-permission-mode"], "askTwice");
  call.answer("on");
  const end = await client.next(endOf("r2"));
  assert.equal(end["response"].content, "on");
  await client.settled();
  await eventually(async () => (await bobbin.sql(id, "SELECT delivered = seq AS rests FROM bobbin_thread"))[0]?.["rests"] === 1, "the thread to rest");
  const [thread] = await bobbin.sql(id, "SELECT minor, weather, session FROM bobbin_thread");
  assert.deepEqual([thread?.["minor"], thread?.["weather"]], [9, "rain"]);
  assert.equal(JSON.parse(String(thread?.["session"])).mood, "calm");
  assert.deepEqual((await bobbin.sql(id, "SELECT colour FROM bobbin_records WHERE colour IS NOT NULL")), [{ colour: "blue" }]);
  assert.equal((await http.ask("DELETE", `/sessions/${id}`)).status, 204, "a session of an unknown mode cannot be deleted");
});

test("a newer major format is refused with a message, and nothing of it is changed", async () => {
  const { bobbin, id } = await conversed();
  await bobbin.change(id, "ALTER TABLE bobbin_records DROP COLUMN data; UPDATE bobbin_thread SET major = 3");
  const response = await bobbin.fetch(`/sessions/${id}`);
  assert.equal(response.status, 503);
  const { error } = (await response.json()) as Json;
  assert.deepEqual([error.code, error.retryable], ["STORAGE_ERROR", true]);
  assert.match(error.message, /newer version of Bobbin/);
  assert.equal((await bobbin.sql(id, "SELECT name FROM pragma_table_info('bobbin_records') WHERE name = 'data'")).length, 0);
  await bobbin.logged(["store_failed", "format 3.3"]);
});

test("a missing column is added, and only the values it had are lost", async () => {
  const { bobbin, id, http } = await conversed();
  await bobbin.change(id, "ALTER TABLE bobbin_records DROP COLUMN author; ALTER TABLE bobbin_records DROP COLUMN metadata; ALTER TABLE bobbin_journal DROP COLUMN tokens_used; ALTER TABLE bobbin_thread DROP COLUMN delivered");
  const { messages } = await http.get(`/sessions/${id}/messages`);
  assert.deepEqual(shown(messages).map(([, , status]) => status), ["complete", "complete", "complete", "complete"]);
  const client = await bobbin.join(id);
  client.say("r2", "go on");
  (await upstream.next()).answer("on");
  assert.equal((await client.next(endOf("r2")))["response"].metadata.tokensUsed, 7);
});

for (const [what, change] of [
  ["content that is not JSON", "content = 'half a'"],
  ["content of another kind", "content = '{}'"],
  ["no status", "status = NULL"],
] as const) {
  test(`a row with ${what} is shown as a failed message in its place, is logged once, and the rest is served`, async () => {
    const { bobbin, id, http } = await conversed();
    await bobbin.change(id, `UPDATE bobbin_records SET ${change} WHERE request_id = 'r0' AND kind = 'answer'`);
    const client = await bobbin.connect(id);
    const snapshot = await client.next("snapshot");
    const { messages } = await http.get(`/sessions/${id}/messages`);
    assert.deepEqual(snapshot["messages"], messages);
    assert.deepEqual([messages[1].status, messages[1].error.code, messages[1].error.retryable], ["failed", "STORAGE_ERROR", false]);
    assert.deepEqual(shown(messages).map(([, , , text]) => text).filter((_, place) => place !== 1), ["say 0", "say 1", "answer 1"]);
    const lines = await (await bobbin.fetch(`/sessions/${id}/messages`, { headers: { accept: "application/x-ndjson" } })).text();
    assert.equal(lines.trim().split("\n").length, 4);
    client.say("r2", "go on");
    (await upstream.next()).answer("on");
    await client.next(endOf("r2"));
    const logged = await bobbin.logged(["row_unreadable"]);
    assert.equal(logged.length, 1, JSON.stringify(logged));
    assert.match(String(logged[0]), /bobbin_records 3: column/);
  });
}

test("a session that can only be read in part is shown as far as possible, and can be deleted", async () => {
  const { bobbin, id, http } = await conversed();
  await bobbin.change(id, "UPDATE bobbin_thread SET session = json_remove(session, '$.createdAt'), open = '?'");
  assert.equal((await http.get(`/sessions/${id}`)).firstMessagePreview, "say 0");
  assert.equal((await http.get(`/sessions/${id}/messages`)).messages.length, 4);
  assert.equal((await http.ask("DELETE", `/sessions/${id}`)).status, 204);
});

async function stored(file: string): Promise<Bobbin> {
  const bobbin = await start({ vars });
  after(bobbin.close);
  await bobbin.place(SESSION, join(FORMATS, file));
  return bobbin;
}

/** A thread of two turns that sleeps. */
async function conversed(): Promise<{ bobbin: Bobbin; id: string; http: Http }> {
  const bobbin = await start({ vars });
  after(bobbin.close);
  const id = freshId();
  const client = await bobbin.join(id);
  for (let turn = 0; turn < 2; turn += 1) {
    client.say(`r${turn}`, `say ${turn}`);
    (await upstream.next()).answer(`answer ${turn}`);
    await client.next(endOf(`r${turn}`));
  }
  await client.settled();
  await eventually(async () => (await bobbin.sql(id, "SELECT delivered = seq AS rests FROM bobbin_thread"))[0]?.["rests"] === 1, "the thread to rest");
  client.terminate();
  await bobbin.kill();
  await bobbin.restart();
  return { bobbin, id, http: new Http(bobbin) };
}

function shown(messages: Json[]): string[][] {
  const text = (content: Json) => (typeof content === "string" ? content : content.map((block: Json) => (block.type === "text" ? block.text : "")).join(""));
  return messages.map(({ requestId, role, status, content }) => [requestId, role, status, text(content)]);
}
