// An application's own thread: its hooks, its methods, and its additions beside Bobbin's.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { byRequest, endOf, eventually, type Frame } from "../worker/client.ts";
import { freshId, type Bobbin } from "../worker/harness.ts";
import { Consumer } from "./support/consumer.ts";
import { Tab, agreed } from "./support/tab.ts";

let consumer: Consumer;
let bobbin: Bobbin;
before(async () => {
  consumer = await Consumer.install("hooks");
  bobbin = await consumer.start();
});
after(async () => {
  await bobbin?.close();
  consumer?.remove();
});

type Note = { what: string; data: any };

async function call(session: string, method: string, ...args: unknown[]): Promise<any> {
  const response = await bobbin.fetch(`/rpc/${session}/${method}`, { method: "POST", body: JSON.stringify(args) });
  const { value, thrown } = (await response.json()) as { value: unknown; thrown?: string };
  if (thrown !== undefined) throw new Error(thrown);
  return value;
}

const notes = (session: string): Promise<Note[]> => call(session, "notes");
/** Without waking the object. */
const stored = async (session: string, what: string) => (await bobbin.sql(session, "SELECT data FROM notes WHERE what = ?", what)).map(({ data }) => JSON.parse(String(data)));
const named = async (session: string, what: string) => (await notes(session)).filter((note) => note.what === what).map(({ data }) => data);

async function said(content: string, session = freshId(), requestId = "r1") {
  const tab = await Tab.open(bobbin, session);
  tab.client.say(requestId, content, { metadata: { page: 7 } });
  const end = await tab.follow(requestId);
  return { tab, session, end };
}

test("hooks are called in order, each with its arguments", async () => {
  const { session, tab } = await said("hello");
  await tab.client.next((frame) => frame.type === "session" && frame["session"].title !== null);
  const all = await notes(session);
  assert.deepEqual(all.map(({ what }) => what), ["onSessionCreated", "beforeTurn", "onTurnEnded", "title"]);
  const { answerId, ...turn } = all[1]?.data;
  assert.match(answerId, /^msg_/);
  assert.deepEqual(turn, {
    round: 1, sessionId: session, requestId: "r1", permissionMode: "default", subject: null, metadata: { page: 7 },
    session: { id: session, title: null, model: null, metadata: null }, messages: 1,
  });
  const { latencyMs, ...ended } = all[2]?.data;
  assert.equal(typeof latencyMs, "number");
  assert.deepEqual({ requestId: ended.requestId, status: ended.status, tokensUsed: ended.tokensUsed }, { requestId: "r1", status: "complete", tokensUsed: 1 });
  assert.equal(tab.fold.session?.["title"], "About hello");
  tab.client.say("r2", "again");
  await tab.client.next(endOf("r2"));
  const later = (await notes(session)).map(({ what }) => what);
  assert.equal(later.filter((what) => what === "onSessionCreated").length, 1);
  assert.equal(later.filter((what) => what === "title").length, 1);
});

test("the class is told the place of its turn in the request's trace", async () => {
  const session = freshId();
  const trace = "0af7651916cd43dd8448eb211c80319c";
  const client = await bobbin.join(session, { headers: { traceparent: `00-${trace}-b7ad6b7169203331-01`, tracestate: "vendor=1" } });
  client.say("r1", "hello");
  await client.next(endOf("r1"));
  const [turn] = await named(session, "beforeTurn");
  assert.match(turn.traceparent, new RegExp(`^00-${trace}-(?!b7ad6b7169203331)[0-9a-f]{16}-01$`));
  assert.equal(turn.tracestate, "vendor=1");
});

test("a broadcast that a hook makes at once reaches connected clients", async () => {
  const { tab } = await said("hello");
  await tab.client.settled();
  const data = tab.client.all.filter(({ type }) => type === "data").map(({ name, data }) => [name, data]);
  assert.deepEqual(data, [["created", true], ["ended", "r1"]]);
});

test("beforeTurn refuses with a message that the client is shown", async () => {
  const { end } = await said("forbidden");
  assert.deepEqual([end.type, end["error"].code, end["error"].message], ["error", "AGENT_ERROR", "this is not spoken of here"]);
});

test("onWaiting is told of a turn that waits, and onTurnEnded only of its end", async () => {
  const { session, tab } = await said("wait");
  assert.deepEqual(await named(session, "onWaiting"), [{ requestId: "r1", calls: 1 }]);
  assert.deepEqual(await named(session, "onTurnEnded"), []);
  tab.client.send({ type: "tool_decision", requestId: "r1", toolUseId: "c1", approved: true });
  await tab.client.next(endOf("r1"));
  assert.deepEqual((await named(session, "beforeTurn")).map(({ round, messages }) => [round, messages]), [[1, 1], [2, 2]]);
  assert.deepEqual((await named(session, "onTurnEnded")).map(({ status }) => status), ["complete"]);
});

test("a hook that fails is logged, and changes nothing else", async () => {
  const { session, tab } = await said("fail");
  tab.client.say("r2", "hello");
  assert.equal((await tab.client.next(endOf("r2")))["response"].content, "you said hello");
  await bobbin.logged(['"hook_failed"', session, "a hook that fails"]);
});

test("onDelete is called once the session is gone", async () => {
  const { session } = await said("hello");
  assert.equal((await bobbin.fetch(`/sessions/${session}`, { method: "DELETE" })).status, 204);
  await eventually(async () => (await notes(session)).length === 1, "onDelete");
  assert.deepEqual((await notes(session)).map(({ what }) => what), ["onDelete"]);
  await bobbin.logged([`"${session}","event":"session_deleted"`]);
});

test("append and send are accepted during a turn, and take their place after it", async () => {
  for (const [word, note, role] of [["append", "appended", "assistant"], ["send", "sent", "user"]] as const) {
    const { session, tab } = await said(word);
    const [{ requestId, answerId, cursor }] = await eventually(async () => (await named(session, note)).length > 0 && named(session, note), note);
    assert.ok(requestId && answerId && cursor);
    if (tab.fold.ends(requestId).length === 0) await tab.client.next(endOf(requestId));
    if (tab.fold.ends("r1").length === 0) await tab.client.next(endOf("r1"));
    const fold = await agreed(bobbin, session, tab);
    assert.deepEqual(fold.ends("r1").map(({ content }) => content), ["the answer"]);
    const others = fold.messages.filter((message) => message.requestId === requestId).map(({ role, content }) => [role, content]);
    assert.deepEqual(others, role === "assistant" ? [[role, "by the way"]] : [[role, "a question of the server's"], ["assistant", "you said a question of the server's"]]);
    // The answer in progress was not split.
    const ends = tab.client.all.filter(({ type }) => type === "final").map((frame) => frame["requestId"]);
    assert.deepEqual(ends, ["r1", requestId]);
    tab.client.terminate();
  }
});

test("methods are called from the worker's other code: a repeated requestId sends nothing twice", async () => {
  const session = freshId();
  const first = await call(session, "send", "hello", { requestId: "s1", subject: "ada", metadata: { from: "cron" } });
  assert.deepEqual(await call(session, "send", "hello", { requestId: "s1", subject: "ada", metadata: { from: "cron" } }), { ...first });
  await assert.rejects(call(session, "send", "other", { requestId: "s1" }), /requestId was used/);
  await call(session, "append", [{ type: "text", text: "and this" }], { requestId: "a1" });
  const tab = await Tab.open(bobbin, session);
  await eventually(async () => tab.fold.ends("s1").length + tab.fold.ends("a1").length === 2, "both answers");
  const connected = tab.client.all.find(({ type }) => type === "connected");
  assert.equal(connected?.["session"].owner, "ada");
  assert.deepEqual(tab.fold.messages.map(({ content }) => content), ["hello", "you said hello", "and this"]);
  await call(session, "broadcast", "news", { n: 1 });
  assert.deepEqual(await tab.client.next("data"), { type: "data", name: "news", data: { n: 1 } });
});

test("cancel ends a turn from inside and from outside the object", async () => {
  assert.equal((await said("cancel")).end.type, "cancelled");
  const session = freshId();
  const tab = await Tab.open(bobbin, session);
  tab.client.say("r1", "slow");
  await tab.client.next("user_message");
  await call(session, "cancel");
  assert.equal((await tab.client.next(endOf("r1"))).type, "cancelled");
});

test("a scheduled callback runs, also after an eviction and a crash with nobody connected; a cancelled one does not", async () => {
  const session = freshId();
  await said("hello", session);
  const at = Date.now() + 2500;
  await call(session, "schedule", at, "remind", { of: "this" });
  await call(session, "schedule", at + 1, "second");
  await call(session, "schedule", at + 2, "fails");
  await call(session, "wakeMe", at + 3);
  const id = await call(session, "schedule", at, "never");
  await call(session, "unschedule", id);
  await bobbin.evict(session);
  // It is due after everything else: it does not delay an earlier one.
  await call(session, "schedule", at + 3_600_000, "late");
  await bobbin.kill();
  await bobbin.restart();
  await eventually(async () => (await stored(session, "onSchedule")).length === 5, "all that is due", 15_000);
  assert.ok(Date.now() >= at);
  const came = await stored(session, "onSchedule");
  assert.deepEqual(came.slice(0, 3), [{ name: "remind", data: { of: "this" } }, { name: "second", data: null }, { name: "fails", data: null }]);
  // A callback that threw is run again until it succeeds.
  assert.deepEqual(came.slice(3).map(({ name }) => name), ["fails", "fails"]);
  assert.equal((await stored(session, "alarm")).length, 1);
  const left = await bobbin.sql(session, "SELECT name FROM bobbin_schedule");
  assert.deepEqual(left.map(({ name }) => name), ["late"]);
});

test("an application's alarm does not delay the thread's: a turn that a crash ended is over within 10 s", async () => {
  const session = freshId();
  const tab = await Tab.open(bobbin, session);
  tab.client.say("r1", "slow");
  await tab.client.next("user_message");
  await call(session, "wakeMe", Date.now() + 3_600_000);
  await bobbin.kill();
  await bobbin.restart();
  // The object exists, and its thread has not been woken.
  await call(session, "schedule", Date.now() + 3_600_000, "late");
  const ends = () => bobbin.sql(session, "SELECT status FROM bobbin_records WHERE kind = 'answer'");
  await eventually(async () => (await ends()).length === 1, "the turn's end", 12_000);
  assert.deepEqual(await ends(), [{ status: "interrupted" }]);
});

test("the application's own sockets are left alone, and hibernate beside Bobbin's", async () => {
  const session = freshId();
  const { tab } = await said("hello", session);
  const own = await bobbin.connectTo(`/own/${session}/own`);
  for (const evict of [false, true]) {
    if (evict) await bobbin.evict(session);
    own.send("hi");
    assert.deepEqual(await own.next("mine"), { type: "mine", message: "hi", sockets: 1 });
    tab.client.say(`r${evict}`, "hello");
    await tab.client.next(endOf(`r${evict}`));
  }
  assert.deepEqual(own.all.filter(({ type }) => type !== "mine"), []);
  const { thread } = (await (await bobbin.fetch(`/sessions/${session}/diagnostics`)).json()) as Frame;
  assert.equal(thread.sockets, 1);
  await own.close();
  await eventually(async () => (await notes(session)).some(({ what }) => what === "webSocketClose"), "webSocketClose");
});

test("a session's files are delivered with their bytes, and files that no model reads are described in text", async () => {
  const session = freshId();
  const upload = async (name: string, type: string, body: string) =>
    (await (await bobbin.fetch(`/sessions/${session}/files?name=${name}`, { method: "POST", headers: { "content-type": type }, body })).json()) as { url: string };
  const files = [await upload("a.png", "image/png", "png!"), await upload("b.zip", "application/zip", "zip!"), await upload("c.txt", "text/plain", 'a "quoted" text')];
  const tab = await Tab.open(bobbin, session);
  tab.client.say("r1", [{ type: "text", text: "look" }, ...files.map((file) => ({ type: "file", ...file }))]);
  await tab.client.next(endOf("r1"));
  tab.client.say("r2", "files");
  const [{ content }] = JSON.parse((await tab.client.next(endOf("r2")))["response"].content);
  assert.deepEqual(content.slice(0, 3), [
    { type: "text", text: "look" },
    { type: "file", data: `data:image/png;base64,${btoa("png!")}`, mediaType: "image/png", filename: "a.png" },
    { type: "text", text: "[the file b.zip (application/zip), which you cannot see]" },
  ]);
  assert.match(content[3].text, /c\.txt[^]*a "quoted" text/);
});

test("two classes in one worker are two threads, even with the same session id", async () => {
  const session = freshId();
  const client = await bobbin.connectTo(`/sessions/${session}/websocket?class=HELPER`);
  client.say("r1", "hello");
  assert.equal((await client.next(endOf("r1")))["response"].content, "I am the helper");
  assert.equal((await said("hello", session)).end["response"].content, "you said hello");
  assert.equal(client.all.filter(byRequest("r1", "final")).length, 1);
});

test("without DB and FILES the chat works, and the missing bindings are named", async () => {
  const bare = await Consumer.install("hooks");
  bare.write("wrangler.toml", bare.read("bare.toml"));
  const other = await bare.start({ hasDatabase: false });
  try {
    const client = await other.join("one");
    client.say("r1", "hello");
    assert.equal((await client.next(endOf("r1")))["response"].content, "you said hello");
    const list = await other.fetch("/sessions");
    assert.equal(list.status, 501);
    assert.match(await list.text(), /DB/);
    const file = await other.fetch("/sessions/one/files?name=a", { method: "POST", headers: { "content-type": "text/plain" }, body: "x" });
    assert.equal(file.status, 501);
    assert.match(await file.text(), /FILES/);
    const ownRoute = await other.fetch("/elsewhere");
    assert.deepEqual([ownRoute.status, await ownRoute.text()], [404, "Not found"]);
    const wrong = await other.fetch("/sessions?class=NOBODY");
    assert.equal(wrong.status, 500);
  } finally {
    await other.close();
    bare.remove();
  }
});
