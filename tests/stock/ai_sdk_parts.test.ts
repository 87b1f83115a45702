// Files, data, sources and metadata, as the real AI SDK sends and shows them.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { type UIMessage, safeValidateUIMessages } from "ai";
import { freshId, start } from "../worker/harness.ts";
import { entryWithout } from "../worker/support/without.ts";
import { Upstream } from "../worker/upstream.ts";
import { history, overHttp, overSocket } from "./support/chat.ts";

const upstream = await Upstream.start();
after(upstream.close);
const bobbin = await start({ vars: { AGENT: "ai-sdk", AGENT_BASE_URL: upstream.baseUrl } });
after(bobbin.close);
const { url } = bobbin;
const transports = { HTTP: overHttp, WebSocket: overSocket };
const KB = 1024;

const base64 = (bytes: number): string => Buffer.alloc(bytes, "abcdefg").toString("base64");
const parts = (message: UIMessage | undefined) => message?.parts.map((part) => JSON.parse(JSON.stringify(part)));

for (const [name, open] of Object.entries(transports)) {
  test(`by ${name}, the agent's data, sources, files and metadata are parts of the message`, async () => {
    const id = freshId();
    const chat = open(url, id);
    const sent = chat.sendMessage({ text: "show" });
    const call = await upstream.next();
    call.events(
      { type: "start", messageMetadata: { mood: "good" } },
      { type: "start-step" },
      { type: "data-progress", id: "p", data: 1 },
      { type: "data-progress", id: "p", data: { done: true } },
      { type: "data-hint", data: "only now", transient: true },
      { type: "source-url", sourceId: "s", url: "https://a.example/", title: "A" },
      { type: "source-document", sourceId: "d", mediaType: "application/pdf", title: "R" },
      { type: "file", url: "https://a.example/x.png", mediaType: "image/png" },
      { type: "custom", kind: "a.b", value: 7 },
      { type: "finish-step" },
      { type: "finish", finishReason: "length", messageMetadata: { usage: { inputTokens: 1, outputTokens: 2, totalTokens: 3 } } },
    );
    call.done();
    await sent;
    const shown = [
      { type: "step-start" },
      { type: "data-progress", id: "p", data: { done: true } },
      { type: "source-url", sourceId: "https://a.example/", url: "https://a.example/", title: "A" },
      { type: "source-document", sourceId: "R", mediaType: "application/pdf", title: "R" },
      { type: "file", url: "https://a.example/x.png", mediaType: "image/png" },
      { type: "data-custom", data: { type: "custom", kind: "a.b", value: 7 } },
    ];
    assert.deepEqual(chat.errors, []);
    assert.deepEqual(parts(chat.messages.at(-1)), shown);
    assert.equal(chat.finished.at(-1)?.finishReason, "length");
    assert.ok(chat.data.some((part) => (part as { type: string; data: string }).data === "only now"));
    const metadata = chat.messages.at(-1)?.metadata as { mood: string; tokensUsed: number; createdAt: number };
    assert.deepEqual([metadata.mood, metadata.tokensUsed], ["good", 3]);
    const stored = await history(url, id);
    assert.deepEqual(parts(stored.at(-1)), shown);
    assert.deepEqual(stored.at(-1)?.metadata, metadata);
    assert.equal((await safeValidateUIMessages({ messages: stored })).success, true);
  });

  test(`by ${name}, a user's files, data and metadata come back as they were sent`, async () => {
    const id = freshId();
    const chat = open(url, id);
    const small = `data:image/png;base64,${base64(3 * KB)}`;
    const message = {
      id: "the.client's own.1",
      role: "user" as const,
      metadata: { at: 1, deep: { b: [1.50, null] } },
      parts: [
        { type: "file" as const, mediaType: "image/png", filename: "a.png", url: small },
        { type: "data-place" as const, id: "here", data: { x: 1 } },
        { type: "text" as const, text: "look" },
      ],
    };
    const sent = chat.sendMessage(message);
    const call = await upstream.next();
    assert.equal(call.body.messages.at(-1).parts.at(-1).text, "look");
    assert.deepEqual(call.body.messages.at(-1).metadata, message.metadata);
    call.events({ type: "finish" }).done();
    await sent;
    const [stored] = await history(url, id);
    assert.deepEqual([stored?.id, stored?.metadata], [message.id, message.metadata]);
    assert.deepEqual(parts(stored), message.parts.map((part) => (part.type === "text" ? { ...part, state: "done" } : part)));
  });

  test(`by ${name}, a file of over 128 KiB is stored, and sending the same message again stores nothing more`, async () => {
    const id = freshId();
    const bytes = 600 * KB;
    const chat = open(url, id);
    const message = { id: "u1", role: "user" as const, parts: [{ type: "file" as const, mediaType: "image/png", filename: "b.png", url: `data:image/png;base64,${base64(bytes)}` }] };
    const sent = chat.sendMessage(message);
    (await upstream.next()).events({ type: "finish" }).done();
    await sent;
    assert.deepEqual(chat.errors, []);
    const [stored] = await history(url, id);
    const file = stored?.parts[0] as { url: string; mediaType: string; filename: string };
    assert.match(file.url, new RegExp(`^/sessions/${id}/files/[0-9a-f]{64}$`));
    assert.deepEqual([file.mediaType, file.filename], ["image/png", "b.png"]);
    const fetched = await bobbin.fetch(file.url);
    assert.equal(Buffer.from(await fetched.arrayBuffer()).equals(Buffer.alloc(bytes, "abcdefg")), true);
    const again = open(url, id);
    await again.sendMessage(message);
    assert.deepEqual([again.status, again.errors], ["ready", []]);
    assert.equal((await history(url, id)).length, 2);
  });

  test(`by ${name}, a message that cannot be accepted is an error with a message`, async () => {
    const id = freshId();
    const words = async (message: object) => {
      const chat = open(url, id);
      await chat.sendMessage(message as never);
      return [chat.status, chat.errors[0]?.message];
    };
    assert.deepEqual(await words({ text: "" }), ["error", "the message is empty; say something"]);
    const far = { type: "file", mediaType: "image/png", url: "http://a.example/x.png" };
    assert.deepEqual(await words({ parts: [far] }), ["error", "a file's url is an https: address, a data: URL or the path of an uploaded file"]);
    assert.deepEqual(await words({ text: "x", metadata: "no object" }), ["error", "the message's metadata is not an object"]);
    assert.match(String((await words({ text: "x".repeat(300 * KB) }))[1]), /^the message has \d+ bytes; at most 262144 are allowed$/);
    assert.deepEqual(await history(url, id).catch((error) => error.message.slice(0, 3)), "404");
  });

  test(`by ${name}, a history of several megabytes is accepted and ignored`, async () => {
    const id = freshId();
    const old = Array.from({ length: 2000 }, (_, index) => ({
      id: `old${index}`,
      role: index % 2 ? ("assistant" as const) : ("user" as const),
      parts: [{ type: "text" as const, text: "x".repeat(3 * KB) }],
    }));
    const chat = open(url, id, { messages: old });
    const sent = chat.sendMessage({ text: "after all that" });
    const call = await upstream.next();
    assert.equal(call.body.messages.length, 1);
    call.events({ type: "finish" }).done();
    await sent;
    assert.deepEqual([chat.status, chat.errors], ["ready", []]);
  });
}

test("without a bucket, a large file is refused with a message and a small one is accepted", async (t) => {
  const worker = await start({ entry: entryWithout("FILES") });
  t.after(worker.close);
  const id = freshId();
  for (const open of [overHttp, overSocket]) {
    const chat = open(worker.url, id);
    const file = (bytes: number) => ({ type: "file" as const, mediaType: "image/png", url: `data:image/png;base64,${base64(bytes)}` });
    await chat.sendMessage({ parts: [file(200 * KB)] });
    assert.match(chat.errors[0]?.message ?? "", /^a file of over 128 KiB needs the bucket FILES/);
    await chat.sendMessage({ parts: [file(KB)] });
    assert.equal(chat.status, "ready");
  }
});
