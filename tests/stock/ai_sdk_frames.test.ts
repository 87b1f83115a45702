// The AI SDK's frames and requests byte by byte: refusals, permissions, and the effects of hibernation and crashes.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { type Client, eventually } from "../worker/client.ts";
import { freshId, start } from "../worker/harness.ts";
import { ORIGIN, shared, startClosed, tokenOf } from "../worker/support/auth.ts";
import { Upstream } from "../worker/upstream.ts";
import { history, overHttp, overSocket } from "./support/chat.ts";

const upstream = await Upstream.start();
after(upstream.close);
const bobbin = await start({ vars: upstream.vars, crashable: true });
after(bobbin.close);
const { url } = bobbin;

let requests = 0;
const user = (text: string, id = `u${(requests += 1)}`) => ({ id, role: "user", parts: [{ type: "text", text }] });
const send = (id: string, text: string, more = {}) => ({
  type: "send", requestId: `R${(requests += 1)}`, id, trigger: "submit-message", messages: [user(text)], headers: {}, body: {}, ...more,
});
const socket = (id: string, query = "", options = {}) => bobbin.connectTo(`/api/chat/${id}/ws${query}`, options);
const chunks = (client: Client, requestId: string) => client.all.filter((it) => it.type === "chunk" && it["requestId"] === requestId).map((it) => it["chunk"]);

test("a socket is sent nothing before it makes a request, and a ping is ignored", async () => {
  const id = freshId();
  const client = await socket(id);
  client.send("ping");
  client.send({ type: "ping", more: 1 });
  client.send({ type: "abort", requestId: "of nothing" });
  client.send({ type: "resume", requestId: "R", id, headers: {}, body: {} });
  assert.deepEqual(await client.next(() => true), { type: "no-active", requestId: "R" });
  assert.equal(client.all.length, 1);
});

test("a frame that does not belong to the protocol closes the socket with 1008", async () => {
  for (const text of ["{", "[]", '"x"', '{"type":"send"}', '{"type":"other","requestId":"R","id":"x"}', '{"type":"send","requestId":7,"id":"x"}']) {
    const client = await socket(freshId());
    client.send(text);
    const { code, reason } = await client.closed;
    assert.deepEqual([code, reason], [1008, "a frame is JSON: send, resume or abort, each with its requestId"], text);
  }
  const client = await socket(freshId());
  client.send(Buffer.from("{}"));
  assert.equal((await client.closed).code, 1003);
});

test("a frame of over 8 MiB closes the socket with 1009, and a smaller one is accepted", async () => {
  const id = freshId();
  const large = (bytes: number) => JSON.stringify(send(id, "hi", { body: { padding: "x".repeat(bytes) } }));
  const client = await socket(id);
  client.send(large(8 * 1024 * 1024 - 1000));
  (await upstream.next()).answer("taken");
  await client.next((it) => it.type === "end");
  client.send(large(8 * 1024 * 1024));
  assert.deepEqual(await client.closed, { code: 1009, reason: "a frame has at most 8388608 bytes" });
  const post = (text: string) => bobbin.fetch("/api/chat", { method: "POST", headers: { "content-type": "application/json" }, body: text });
  const refused = await post(large(8 * 1024 * 1024));
  assert.deepEqual([refused.status, await refused.text()], [413, "the body has at most 8388608 bytes"]);
});

test("an invalid request gets an error of its own, and the socket stays open", async () => {
  const id = freshId();
  const client = await socket(id);
  const said = async (frame: { requestId: string }) => {
    client.send(frame as never);
    const { type, requestId, errorText } = await client.next(() => true);
    assert.deepEqual([type, requestId], ["error", frame.requestId]);
    return errorText;
  };
  assert.match(await said(send("another", "hi")), /^this socket is of another chat/);
  assert.match(await said(send(id, "hi", { messages: [] })), /^messages is not an array with a message in it/);
  assert.match(await said(send(id, "hi", { messages: 7 })), /^messages is not an array/);
  assert.match(await said(send(id, "hi", { messages: [7] })), /^the last message is not an object/);
  assert.match(await said(send(id, "hi", { messages: [{ id: "u", role: "system", parts: [] }] })), /^the last message's role is/);
  assert.match(await said(send(id, "hi", { trigger: "other" })), /^trigger is/);
  assert.match(await said(send(id, "hi", { messages: [{ ...user("x"), parts: [{ type: "text" }] }] })), /^a text part has no text/);
  client.send(send(id, "works"));
  (await upstream.next()).answer("yes");
  await client.next((it) => it.type === "end");
});

test("over HTTP, refusals are messages that people can read", async () => {
  const post = (body: string, type = "application/json") => bobbin.fetch("/api/chat", { method: "POST", headers: { "content-type": type }, body });
  const said = async (response: Response) => [response.status, response.headers.get("content-type"), await response.text()];
  const plain = "text/plain; charset=utf-8";
  assert.deepEqual(await said(await post("{")), [400, plain, "the body is a JSON object, and its id is that of the chat"]);
  assert.deepEqual(await said(await post("{}", "text/plain")), [415, plain, "the body's content-type is application/json"]);
  assert.deepEqual(await said(await post('{"id":"a b"}')), [400, plain, "the session's id has 1 to 128 of A-Z a-z 0-9 _ -"]);
  assert.deepEqual(await said(await post('{"id":"a"}')), [400, plain, "messages is missing; send the chat's messages"]);
  const got = await bobbin.fetch("/api/chat");
  assert.deepEqual([...(await said(got)), got.headers.get("allow")], [405, plain, "this address takes POST and not GET", "POST"]);
  assert.equal((await bobbin.fetch(`/api/chat/${freshId()}/stream`)).status, 204);
  assert.equal((await bobbin.fetch(`/api/chat/${freshId()}/messages`)).status, 404);
  assert.equal((await bobbin.fetch(`/api/chat/${freshId()}/ws`)).status, 426);
});

test("a message queued behind a turn that waits for a person survives hibernation, and its socket is sent the answer", async (t) => {
  const asking = await Upstream.start();
  t.after(asking.close);
  const worker = await start({ vars: { AGENT: "ai-sdk", AGENT_BASE_URL: asking.baseUrl } });
  t.after(worker.close);
  const id = freshId();
  const native = await worker.join(id);
  native.say("r1", "where?");
  const call = { type: "tool-input-available", toolCallId: "c1", toolName: "locate", input: {} };
  (await asking.next()).events(call, { type: "finish" }).done();
  await native.next((it) => it.type === "waiting");
  const appended = { requestId: "a1", role: "assistant", content: "beside" };
  await worker.fetch(`/sessions/${id}/messages`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(appended) });
  const client = await worker.connectTo(`/api/chat/${id}/ws`);
  client.send({ type: "resume", requestId: "R1", id, headers: {}, body: {} });
  await client.next((it) => it.type === "end");
  await worker.evict(id);
  // The message ends the waiting turn, and its own turn runs: the object still knows the socket.
  client.send(send(id, "never mind"));
  (await asking.next()).events({ type: "text-start", id: "t" }, { type: "text-delta", id: "t", delta: "fine" }, { type: "text-end", id: "t" }, { type: "finish" }).done();
  const { requestId } = await client.next((it) => it.type === "end");
  assert.equal(chunks(client, requestId).find((it) => it.type === "text-delta").delta, "fine");
});

test("a crash in mid-stream breaks the stream, and its turn is shown as interrupted", async () => {
  const id = freshId();
  const [chat, http] = [overSocket(url, id), overHttp(url, id)];
  const sent = chat.sendMessage({ text: "long" });
  const call = await upstream.next();
  call.text("begun ");
  await chat.untilText("begun ");
  const resumed = http.resumeStream();
  await http.untilText("begun ");
  await eventually(async () => (await bobbin.sql(id, "SELECT text FROM bobbin_journal"))[0]?.["text"] === "begun ", "the journal");
  await bobbin.crash();
  await Promise.all([sent, resumed]);
  assert.deepEqual([chat.status, chat.finished.at(-1)?.isDisconnect, http.status], ["error", true, "error"]);
  await eventually(async () => (await history(url, id)).length === 2, "the end of the turn");
  await chat.resumeStream();
  assert.deepEqual([chat.status, chat.text, chat.finished.at(-1)?.finishReason], ["ready", "begun ", "interrupted"]);
  await http.resumeStream();
  assert.deepEqual([http.status, http.text, http.finished.at(-1)?.finishReason], ["ready", "begun ", "other"]);
  const stored = (await history(url, id)).at(-1);
  assert.equal((stored?.metadata as { status: string }).status, "interrupted");
  assert.deepEqual(stored?.metadata, chat.messages.at(-1)?.metadata);
});

test("an object that restarts closes the sockets to which it was sending a turn with 1011", async () => {
  const id = freshId();
  const client = await socket(id);
  const idle = await socket(id);
  client.send(send(id, "hi"));
  (await upstream.next()).text("begun ");
  await client.next((it) => it["chunk"]?.type === "text-delta");
  await bobbin.crash();
  const { code } = await client.closed;
  assert.ok([1006, 1011].includes(code), String(code));
  idle.terminate();
});

test("credentials and roles are checked as at the other addresses", async (t) => {
  const worker = await startClosed(upstream.vars);
  t.after(worker.close);
  const id = freshId();
  const as = (sub: string, claims = {}) => ({ headers: { authorization: `Bearer ${tokenOf(sub, claims)}` } });
  const nobody = overHttp(worker.url, id);
  await nobody.sendMessage({ text: "hi" });
  assert.match(nobody.errors[0]?.message ?? "", /^no credential/);
  assert.equal((await worker.fetch(`/api/chat/${id}/messages`)).status, 401);
  const ann = overHttp(worker.url, id, {}, as("ann"));
  const sent = ann.sendMessage({ text: "hi" });
  (await upstream.next()).answer("hello ann");
  await sent;
  assert.equal(ann.text, "hello ann");
  const stranger = overHttp(worker.url, id, {}, as("bob"));
  await stranger.sendMessage({ text: "hi" });
  assert.equal(stranger.status, "error");
  await stranger.resumeStream();
  assert.equal(stranger.status, "error");
  // A viewer sees the answer, and can neither send nor stop.
  const viewer = overHttp(worker.url, id, {}, as("vic", shared("viewer", id)));
  await viewer.resumeStream();
  assert.equal(viewer.text, "hello ann");
  await viewer.sendMessage({ text: "hi" });
  assert.equal(viewer.errors.at(-1)?.message, "you may read this session and not write to it");
  assert.equal((await worker.fetch(`/api/chat/${id}/stop`, { method: "POST", ...as("vic", shared("viewer", id)) })).status, 403);
  // A ticket opens a socket, because the address is built anew for each.
  const headers = { origin: ORIGIN };
  const ticket = async (who: { headers: Record<string, string> }) =>
    ((await (await worker.fetch(`/sessions/${id}/ticket`, { method: "POST", ...who })).json()) as { ticket: string }).ticket;
  const byTicket = overSocket(worker.url, id, {}, { transport: { params: async () => ({ ticket: await ticket(as("ann")) }) }, headers });
  const next = byTicket.sendMessage({ text: "by ticket" });
  (await upstream.next()).answer("let in");
  await next;
  assert.equal(byTicket.text, "let in");
  const watching = overSocket(worker.url, id, {}, { transport: { params: async () => ({ ticket: await ticket(as("vic", shared("viewer", id))) }) }, headers });
  await watching.resumeStream();
  assert.equal(watching.text, "let in");
  await watching.sendMessage({ text: "hi" });
  assert.equal(watching.errors.at(-1)?.message, "you may read this session and not write to it");
  const protocols = ["bobbin.v1", `bobbin.bearer.${Buffer.from(tokenOf("ann")).toString("base64url")}`];
  const byProtocol = overSocket(worker.url, id, {}, { transport: { protocols } });
  await byProtocol.resumeStream();
  assert.equal(byProtocol.text, "let in");
});
