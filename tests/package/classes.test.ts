// Two Thread classes in one worker, with one D1 database: the same session id exists once in each.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { endOf, eventually } from "../worker/client.ts";
import { freshId, type Bobbin } from "../worker/harness.ts";
import { Consumer } from "./support/consumer.ts";

const CLASSES = ["CHAT", "HELPER"];
type Session = { id: string; title: string | null; state: string; snippet?: string };

let consumer: Consumer;
let bobbin: Bobbin;
before(async () => {
  consumer = await Consumer.install("hooks");
  bobbin = await consumer.start({ vars: { ALLOWED_ORIGINS: "" } });
});
after(async () => {
  await bobbin?.close();
  consumer?.remove();
});

async function ask(method: string, path: string, binding: string, body?: object): Promise<any> {
  const to = `${path}${path.includes("?") ? "&" : "?"}class=${binding}`;
  const response = await bobbin.fetch(to, { method, ...(body && { body: JSON.stringify(body), headers: { "content-type": "application/json" } }) });
  const text = await response.text();
  assert.ok(response.ok, `${method} ${to}: ${response.status} ${text}`);
  return text === "" ? undefined : JSON.parse(text);
}

async function say(binding: string, session: string, content: string, requestId = "r1"): Promise<void> {
  const client = await bobbin.connectTo(`/sessions/${session}/websocket?class=${binding}`);
  client.say(requestId, content);
  await client.next(endOf(requestId));
  client.terminate();
}

const list = async (binding: string, query = ""): Promise<Session[]> => (await ask("GET", `/sessions?limit=200${query}`, binding)).sessions;
const ids = async (binding: string, query = "") => (await list(binding, query)).map(({ id }) => id);
const messages = (row: string) => bobbin.d1("SELECT content FROM messages WHERE session_id = ? ORDER BY seq", row);
const until = async (row: string, count: number) => eventually(async () => (await messages(row)).length >= count, `${count} messages of ${row}`);

/** Creates the same id in both classes, and waits until D1 has both. */
async function both(): Promise<string> {
  const session = freshId();
  for (const binding of CLASSES) await say(binding, session, `a word to ${binding.toLowerCase()} about ${session}`);
  for (const binding of CLASSES) await until(`${binding}/${session}`, 2);
  return session;
}

test("a session of the same id under two bindings is two rows, each with its own messages", async () => {
  const session = await both();
  assert.deepEqual((await messages(`CHAT/${session}`)).map(({ content }) => JSON.parse(String(content)))[0], `a word to chat about ${session}`);
  assert.deepEqual((await messages(`HELPER/${session}`)).map(({ content }) => JSON.parse(String(content))), [`a word to helper about ${session}`, "I am the helper"]);
  assert.deepEqual(await bobbin.d1("SELECT id FROM sessions WHERE id LIKE ? ORDER BY id", `%${session}`), CLASSES.map((binding) => ({ id: `${binding}/${session}` })));
});

test("lists, pages and state lists show the sessions of the requested binding, by their own ids", async () => {
  const [alone] = [freshId(), await both()];
  await say("HELPER", alone, "only here");
  await until(`HELPER/${alone}`, 2);
  assert.ok((await ids("HELPER")).includes(alone));
  assert.ok(!(await ids("CHAT")).includes(alone));
  for (const binding of CLASSES) {
    for (const query of ["", "&order=recent", "&state=idle", "&order=recent&state=idle"]) {
      const all = await ids(binding, query);
      const paged: string[] = [];
      for (let before = ""; ; ) {
        const page = await ask("GET", `/sessions?limit=1${query}${before}`, binding);
        paged.push(...page.sessions.map(({ id }: Session) => id));
        if (page.nextBefore === null) break;
        before = `&before=${page.nextBefore}`;
      }
      assert.deepEqual(paged, all, `${binding} ${query}`);
      assert.equal(new Set(all).size, all.length);
    }
  }
});

test("a search finds messages of the requested binding", async () => {
  const session = await both();
  for (const binding of CLASSES) {
    assert.deepEqual(await ids(binding, `&q=${session}`), [session]);
    const [found] = await list(binding, `&q=${encodeURIComponent(`word ${binding.toLowerCase()} ${session}`)}`);
    assert.match(found?.snippet ?? "", new RegExp(binding.toLowerCase()));
    const other = CLASSES.find((it) => it !== binding) as string;
    assert.deepEqual(await ids(binding, `&q=${encodeURIComponent(`${other.toLowerCase()} ${session}`)}`), []);
  }
});

test("a change or deletion under one binding leaves the other alone", async () => {
  const session = await both();
  await ask("PATCH", `/sessions/${session}`, "HELPER", { title: "the helper's" });
  await eventually(async () => (await list("HELPER")).find(({ id }) => id === session)?.title === "the helper's", "the title in the list");
  assert.notEqual((await list("CHAT")).find(({ id }) => id === session)?.title, "the helper's");
  await ask("DELETE", `/sessions/${session}`, "HELPER");
  assert.deepEqual(await messages(`HELPER/${session}`), []);
  assert.equal((await messages(`CHAT/${session}`)).length, 2);
  assert.ok(!(await ids("HELPER")).includes(session));
  assert.ok((await ids("CHAT")).includes(session));
});

test("an object that its alarm wakes knows the name of its binding", async () => {
  const other = await consumer.start({ hasDatabase: false });
  try {
    const client = await other.connectTo("/sessions/asleep/websocket?class=HELPER");
    client.say("r1", "nobody asks again");
    await client.next(endOf("r1"));
    await eventually(async () => other.logs.some(({ message }) => message.includes('"delivery_failed"')), "a delivery that failed");
    await other.kill();
    await other.restart();
    await other.migrate();
    await eventually(async () => (await other.d1("SELECT id FROM messages WHERE session_id = 'HELPER/asleep'")).length === 2, "the delivery by alarm", 60_000);
    assert.deepEqual(await other.d1("SELECT id FROM sessions"), [{ id: "HELPER/asleep" }]);
  } finally {
    await other.close();
  }
});

test("two names for the same objects are one list", async () => {
  const twice = await Consumer.install("hooks");
  twice.write("wrangler.toml", `${twice.read("wrangler.toml")}\n[[durable_objects.bindings]]\nname = "SESSION_DO"\nclass_name = "Helper"\n`);
  const other = await twice.start();
  try {
    const client = await other.connectTo("/sessions/twice/websocket?class=HELPER");
    client.say("r1", "hello");
    await client.next(endOf("r1"));
    await eventually(async () => (await other.d1("SELECT id FROM messages WHERE session_id = 'twice'")).length === 2, "both messages");
    for (const binding of ["HELPER", "SESSION_DO"]) {
      const { sessions } = (await (await other.fetch(`/sessions?class=${binding}`)).json()) as { sessions: Session[] };
      assert.deepEqual(sessions.map(({ id }) => id), ["twice"]);
    }
    assert.deepEqual(((await (await other.fetch("/sessions?class=CHAT")).json()) as { sessions: Session[] }).sessions, []);
  } finally {
    await other.close();
    twice.remove();
  }
});
