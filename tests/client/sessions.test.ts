// The list of sessions during a load: the answers are the worker's own, given late.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { type SessionListOptions, createSessionList, createThread } from "bobbin-client";
import { eventually } from "../worker/client.ts";
import { start } from "../worker/harness.ts";
import { until } from "./threads.ts";

const bobbin = await start({ vars: { ECHO_DELAY_MS: "0" } });
after(bobbin.close);

for (const order of ["created", "recent"] as const) {
  test(`a session that begins while the list is loading stays in it (${order})`, async (context) => {
    const { list, load, answer } = slowList(context, { order });
    const loading = load();
    await answer.isThere;
    const session = await begin(context);
    list.put(session);
    answer.give();
    await loading;
    assert.equal(list.getSnapshot().sessions[0]?.id, session.id);
  });
}

test("a session that is renamed while the list is loading keeps its new name", async (context) => {
  const session = await begin(context);
  await listed(session.id);
  const { list, load, answer } = slowList(context);
  const loading = load();
  await answer.isThere;
  await list.rename(session.id, "A new name");
  answer.give();
  await loading;
  assert.equal(list.getSnapshot().sessions.find(({ id }) => id === session.id)?.title, "A new name");
});

test("a session that is deleted while the list is loading stays away", async (context) => {
  const session = await begin(context);
  await listed(session.id);
  const { list, load, answer } = slowList(context);
  const loading = load();
  await answer.isThere;
  await list.remove(session.id);
  answer.give();
  await loading;
  assert.equal(list.getSnapshot().sessions.some(({ id }) => id === session.id), false);
});

test("a session that somebody else deleted disappears with the next load", async (context) => {
  const session = await begin(context);
  await listed(session.id);
  const list = createSessionList({ url: bobbin.url });
  context.after(() => list.close());
  list.put(session);
  await bobbin.fetch(`/sessions/${session.id}`, { method: "DELETE" });
  await eventually(async () => {
    await list.refresh();
    return list.getSnapshot().sessions.every(({ id }) => id !== session.id);
  }, "the list without it");
});

test("a session that turns out to be gone when it is renamed leaves the list", async (context) => {
  const session = await begin(context);
  const list = createSessionList({ url: bobbin.url });
  context.after(() => list.close());
  list.put(session);
  await bobbin.fetch(`/sessions/${session.id}`, { method: "DELETE" });
  await assert.rejects(list.rename(session.id, "Too late"), { code: "NOT_FOUND" });
  assert.deepEqual(list.getSnapshot().sessions, []);
});

type Context = { after(end: () => void): void };

/** A list whose answers are given when the test says so. */
function slowList(context: Context, options: SessionListOptions = {}) {
  const came = Promise.withResolvers<void>();
  const given = Promise.withResolvers<void>();
  const slow: typeof fetch = async (...request) => {
    const response = await fetch(...request);
    if (request[1]?.method !== "GET") return response;
    came.resolve();
    await given.promise;
    return response;
  };
  const list = createSessionList({ ...options, url: bobbin.url, fetch: slow });
  context.after(() => list.close());
  return { list, load: () => list.refresh(), answer: { isThere: came.promise, give: () => given.resolve() } };
}

async function begin(context: Context) {
  const thread = createThread({ url: bobbin.url });
  context.after(() => thread.close());
  await thread.send("hello").result;
  await until(thread, ({ session }) => session !== null);
  return thread.getSnapshot().session!;
}

async function listed(sessionId: string): Promise<void> {
  await eventually(async () => JSON.stringify(await (await bobbin.fetch("/sessions")).json()).includes(sessionId), "the session in D1");
}
