import assert from "node:assert/strict";
import { after, test } from "node:test";
import type { Client } from "./client.ts";
import { freshId, start } from "./harness.ts";

const MESSAGE_BYTES_MAX = 256 * 1024;
const FRAME_BYTES_MAX = 2 * 1024 * 1024;

const bobbin = await start();
after(bobbin.close);

type Case = { name: string; frame: unknown; code?: string };
const message = (fields: object) => ({ type: "message", requestId: "bad", content: "x", ...fields });
const nested = (depth: number): object => JSON.parse("[".repeat(depth) + "]".repeat(depth));

const refused: Case[] = [
  { name: "an empty frame", frame: "" },
  { name: "a frame that is not JSON", frame: "{type:" },
  { name: "a JSON string", frame: '"ping"' },
  { name: "a JSON array", frame: "[]" },
  { name: "a JSON null", frame: "null" },
  { name: "JSON that is nested without end", frame: "[".repeat(100_000) },
  { name: "a frame without a type", frame: {} },
  { name: "a type that is not a string", frame: { type: 1 } },
  { name: "an unknown type", frame: { type: "shout" } },
  { name: "a message that breaks off", frame: '{"type":"mess' },
  { name: "a list of frames", frame: [message({}), message({})] },
  { name: "a type without end", frame: { type: "t".repeat(10_000) } },
  { name: "a server's type", frame: { type: "final", requestId: "bad" } },
  { name: "a message without requestId", frame: { type: "message", content: "x" } },
  { name: "a requestId that is not a string", frame: message({ requestId: 7 }) },
  { name: "an empty requestId", frame: message({ requestId: "" }) },
  { name: "a requestId that is too long", frame: message({ requestId: "r".repeat(129) }) },
  { name: "a requestId with a line break", frame: message({ requestId: "a\nb" }) },
  { name: "a requestId beyond ASCII", frame: message({ requestId: "naïve-1" }) },
  { name: "a requestId without end", frame: message({ requestId: "r".repeat(10_000) }) },
  { name: "a requestId that is null", frame: message({ requestId: null }) },
  { name: "a tool_result nested 140 deep", frame: message({ content: [{ type: "tool_result", toolUseId: "t", content: nested(140) }] }) },
  { name: "metadata nested 140 deep before its requestId", frame: { metadata: { deep: nested(140) }, ...message({}) } },
  { name: "a message without content", frame: { type: "message", requestId: "bad" } },
  { name: "empty content", frame: message({ content: "" }) },
  { name: "content without blocks", frame: message({ content: [] }) },
  { name: "content that is a number", frame: message({ content: 1 }) },
  { name: "content that is an object", frame: message({ content: { type: "text", text: "x" } }) },
  { name: "a block of an unknown type", frame: message({ content: [{ type: "image" }] }) },
  { name: "a block without its text", frame: message({ content: [{ type: "text" }] }) },
  { name: "a tool_use without its id", frame: message({ content: [{ type: "tool_use", name: "n", input: {} }] }) },
  { name: "too many blocks", frame: message({ content: Array(257).fill({ type: "text", text: "x" }) }) },
  { name: "metadata that is not an object", frame: message({ metadata: 1 }) },
  { name: "a threadId that is not a string", frame: message({ threadId: 1 }) },
  { name: "another thread's threadId", frame: message({ threadId: "elsewhere" }), code: "THREAD_MISMATCH" },
  { name: "a cancel with a requestId that is not a string", frame: { type: "cancel", requestId: {} } },
  { name: "a cursor that is not a string", frame: { type: "session_sync", cursor: 1 } },
  { name: "an update of nothing", frame: { type: "session_update" } },
  { name: "an unknown permission mode", frame: { type: "session_update", permissionMode: "root" } },
  { name: "a title that is not a string", frame: { type: "session_update", title: 1 } },
  { name: "a title that is too long", frame: { type: "session_update", title: "t".repeat(201) } },
  {
    name: "a message above the limit",
    frame: message({ content: "x".repeat(MESSAGE_BYTES_MAX) }),
    code: "MESSAGE_TOO_LARGE",
  },
];

for (const { name, frame, code = "INVALID_MESSAGE" } of refused) {
  test(`${name} is refused with ${code} and its own request id, and the next valid frame works`, async () => {
    const client = await bobbin.join(freshId());
    client.send(frame as object);
    const error = await client.next();
    assert.equal(error.type, "error");
    assert.equal(error["cursor"], undefined);
    assert.deepEqual([error["refused"], error["requestId"], error["frame"]], nameOf(frame));
    assert.equal(error["error"].code, code);
    assert.equal(error["error"].retryable, false);
    assert.match(error["error"].message, /\w/);
    await assertWorks(client);
  });
}

/** How a refusal identifies a frame: its type, its requestId and, without one, its beginning. */
function nameOf(frame: unknown): unknown[] {
  const text = typeof frame === "string" ? frame : JSON.stringify(frame);
  const { type, requestId } = (typeof frame === "object" && !Array.isArray(frame) ? frame : {}) as Record<string, unknown>;
  const refused = typeof type === "string" ? type.slice(0, 256) : "unknown";
  return typeof requestId === "string" ? [refused, requestId.slice(0, 256), undefined] : [refused, undefined, text.slice(0, 64)];
}

test("an unpaired surrogate is replaced by U+FFFD wherever it stands, and the frame is accepted", async () => {
  const client = await bobbin.join(freshId());
  client.say("r1", "half \ud83d", { metadata: { "\udc00": "\ud83d" } });
  assert.equal((await client.next("final"))["response"].content, "half \ufffd");
  client.say("r2", [{ type: "text", text: "\ude00" }, { type: "tool_use", id: "t", name: "n", input: { half: "\ud83d" } }]);
  const { content } = (await client.next("user_message"))["message"];
  assert.deepEqual([content[0].text, content[1].input], ["\ufffd", { half: "\ufffd" }]);
  await client.next("final");
  client.send({ type: "session_update", title: "half \ud83d" });
  await client.next((frame) => frame.type === "session" && frame["session"].title === "half \ufffd");
  await assertWorks(client);
});

test("a refused first message creates nothing", async () => {
  const id = freshId();
  const client = await bobbin.join(id);
  for (const { frame } of refused) client.send(frame as object);
  for (const _ of refused) await client.next("error");
  await client.settled();
  assert.deepEqual(await bobbin.tables(id), []);
});

test("a message exactly at the limit is accepted", async () => {
  const client = await bobbin.join(freshId());
  const empty = JSON.stringify(message({ content: "" })).length;
  client.send(message({ content: "x".repeat(MESSAGE_BYTES_MAX - empty) }));
  assert.equal((await client.next())["requestId"], "bad");
  assert.equal((await client.next("final"))["response"].content.length, MESSAGE_BYTES_MAX - empty);
});

test("unknown fields are ignored", async () => {
  const client = await bobbin.join(freshId());
  client.send({ ...message({}), later: { version: 2 } });
  assert.equal((await client.next("final"))["response"].content, "x");
});

test("the thread's own threadId in a frame is accepted", async () => {
  const id = freshId();
  const client = await bobbin.join(id);
  client.send(message({ threadId: id }));
  await client.next("final");
});

test("a binary frame closes the socket with 1003, and no other", async () => {
  const id = freshId();
  const [client, neighbour] = [await bobbin.join(id), await bobbin.join(id)];
  client.send(Buffer.from("{}"));
  assert.equal((await client.closed).code, 1003);
  await assertWorks(neighbour);
});

test("a frame above the frame limit closes the socket with 1009, and no other", async () => {
  const id = freshId();
  const [client, neighbour] = [await bobbin.join(id), await bobbin.join(id)];
  client.send("x".repeat(FRAME_BYTES_MAX + 1));
  assert.equal((await client.closed).code, 1009);
  await assertWorks(neighbour);
});

async function assertWorks(client: Client): Promise<void> {
  client.say("good", "still here");
  const final = await client.next("final");
  assert.equal(final["requestId"], "good");
  assert.equal(final["response"].content, "still here");
}
