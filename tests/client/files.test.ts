// Files uploaded to the real worker and downloaded again, over a network that fails.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import {
  DATA_URL_BYTES_MAX,
  FILE_BYTES_MAX,
  type FileBlock,
  type Thread,
  type ThreadOptions,
  createThread,
  exportMessages,
  fetchConfig,
  fetchFile,
  inlineFile,
  uploadFile,
} from "bobbin-client";
import { within } from "../worker/client.ts";
import { freshId, start } from "../worker/harness.ts";
import { entryWithout } from "../worker/support/without.ts";
import { Network, faster } from "./network.ts";

const DEADLINE_MS = 20_000;

const bobbin = await start();
const network = await Network.to(bobbin.url);
const threads: Thread[] = [];
after(async () => {
  for (const thread of threads) thread.close();
  network.close();
  await bobbin.close();
});

test("all messages are exported, one a line", async () => {
  const thread = open();
  for (const text of ["one", "two"]) await thread.send(text).result;
  const lines = (await (await exportMessages(thread)).text()).trim().split("\n").map((line) => JSON.parse(line) as { role: string; content: string });
  assert.deepEqual(lines.map(({ role, content }) => `${role} ${content}`), ["user one", "assistant one", "user two", "assistant two"]);
  await assert.rejects(exportMessages({ url: bobbin.url, sessionId: freshId() }), { code: "NOT_FOUND" });
});

test("a file is uploaded, sent with a message, and downloaded unchanged", async () => {
  const thread = open();
  const bytes = pattern(300_000);
  const progress: number[] = [];
  const block = await uploadFile(thread, new File([bytes], "a photo.png", { type: "image/png" }), { onProgress: ({ sent, total }) => progress.push(sent, total) });
  assert.deepEqual({ ...block, url: "" }, { type: "file", url: "", mediaType: "image/png", name: "a photo.png", size: 300_000 });
  assert.deepEqual(progress, [0, 300_000, 300_000, 300_000]);
  await thread.send([{ type: "text", text: "look" }, block]).result;
  assert.deepEqual(thread.getSnapshot().messages[0]?.content, [{ type: "text", text: "look" }, block]);
  for (const which of [block, block.url]) {
    const blob = await fetchFile(thread, which);
    assert.equal(blob.type, "image/png");
    assert.deepEqual(new Uint8Array(await blob.arrayBuffer()), bytes);
  }
});

test("bytes get the given name and type", async () => {
  const options = { url: bobbin.url, sessionId: freshId() };
  const given = await uploadFile(options, pattern(10), { name: "ten.bin", mediaType: "application/x-ten" });
  assert.deepEqual([given.name, given.mediaType, given.size], ["ten.bin", "application/x-ten", 10]);
  const bare = await uploadFile(options, pattern(10).buffer);
  assert.deepEqual([bare.mediaType, bare.size], ["application/octet-stream", 10]);
});

test("an upload that is cut off is repeated", async () => {
  const thread = open();
  const waits: string[] = [];
  const onWait = ({ code }: { code: string }) => {
    waits.push(code);
    network.letPass();
  };
  network.holdUp();
  const upload = uploadFile({ url: network.url, sessionId: thread.sessionId, timers: faster(20) }, pattern(3_000_000), { onWait });
  while (network.open === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  network.cut();
  const block = await within(upload, DEADLINE_MS, "the upload");
  assert.deepEqual(waits, ["UNREACHABLE"]);
  assert.deepEqual(new Uint8Array(await (await fetchFile(thread, block)).arrayBuffer()), pattern(3_000_000));
});

test("an upload whose answer is lost is repeated, and its message has the file once", async () => {
  const thread = open();
  let calls = 0;
  const losing: typeof fetch = async (...request) => {
    const response = await fetch(...request);
    if ((calls += 1) === 1) throw new TypeError("the answer is lost");
    return response;
  };
  const block = await uploadFile({ url: bobbin.url, sessionId: thread.sessionId, timers: faster(20), fetch: losing }, pattern(10));
  assert.equal(calls, 2);
  await thread.send([block]).result;
  assert.deepEqual(thread.getSnapshot().messages[0]?.content, [block]);
});

test("a download that is cut off is repeated, and is complete", async (context) => {
  const thread = open();
  const bytes = pattern(2_000_000);
  const block = await uploadFile(thread, bytes);
  const unlucky = await Network.to(bobbin.url);
  context.after(() => unlucky.close());
  let times = 0;
  unlucky.cutAfterBytes = () => ((times += 1) <= 2 ? 500_000 : Number.POSITIVE_INFINITY);
  const blob = await fetchFile({ url: unlucky.url, sessionId: thread.sessionId, timers: faster(20) }, block);
  assert.equal(times, 3);
  assert.deepEqual(new Uint8Array(await blob.arrayBuffer()), bytes);
});

test("retries end at some point, and an abort ends them at once with its reason", async () => {
  const nowhere = { url: "http://127.0.0.1:9", sessionId: freshId(), timers: faster(1_000) };
  let waits = 0;
  await assert.rejects(uploadFile(nowhere, pattern(1), { retries: 2, onWait: () => (waits += 1) }), { name: "ThreadError", code: "UNREACHABLE", retryable: true });
  assert.equal(waits, 2);
  const aborted = new AbortController();
  const reason = new Error("changed my mind");
  const never = { ...nowhere, timers: { setTimeout: () => undefined, clearTimeout: () => {}, now: Date.now } };
  await assert.rejects(uploadFile(never, pattern(1), { signal: aborted.signal, onWait: () => setTimeout(() => aborted.abort(reason)) }), reason);
  await assert.rejects(fetchFile(nowhere, "/sessions/s/files/f", { signal: AbortSignal.abort(reason) }), reason);
});

test("a file that is too large is refused with a message before any byte is sent", async () => {
  const asked: unknown[] = [];
  const options = { url: bobbin.url, sessionId: freshId(), fetch: recording(asked) };
  await assert.rejects(uploadFile(options, new Blob([new Uint8Array(FILE_BYTES_MAX + 1)]), { name: "film.mp4" }), {
    code: "MESSAGE_TOO_LARGE",
    message: "The file film.mp4 has 25.1 MiB; at most 25 MiB are allowed.",
    retryable: false,
  });
  assert.deepEqual(asked, []);
  assert.equal((await uploadFile(open(), new Blob([new Uint8Array(FILE_BYTES_MAX)]))).size, FILE_BYTES_MAX);
});

test("without a bucket an upload names the missing setting, and a small file is sent within the message", async (context) => {
  const bare = await start({ entry: entryWithout("FILES") });
  context.after(bare.close);
  const thread = open({ url: bare.url });
  assert.equal((await fetchConfig(thread)).bound?.includes("FILES"), false);
  assert.equal((await fetchConfig(open())).bound?.includes("FILES"), true);
  await assert.rejects(uploadFile(thread, pattern(10)), { code: "NOT_CONFIGURED", retryable: false });
  const head = "data:application/octet-stream;base64,".length;
  const largest = Math.floor((DATA_URL_BYTES_MAX - head) / 4) * 3;
  const block = await inlineFile(pattern(largest), { name: "large" });
  await thread.send([block]).result;
  assert.deepEqual(thread.getSnapshot().messages[0]?.content, [block]);
  assert.deepEqual(new Uint8Array(await (await fetchFile(thread, block)).arrayBuffer()), pattern(largest));
  await assert.rejects(inlineFile(pattern(largest + 1)), { code: "MESSAGE_TOO_LARGE" });
});

test("the credential is sent to the worker's files, renewed after a refusal, and sent to nobody else", async () => {
  const asked: { url: string; authorization: string | null }[] = [];
  const options = { url: "https://worker.example", sessionId: "s", token: () => `token-${asked.length}`, fetch: recording(asked, [401, 200]) };
  assert.equal(await (await fetchFile(options, "/sessions/s/files/f")).text(), "bytes");
  await fetchFile(options, "https://elsewhere.example/picture.png");
  assert.deepEqual(asked, [
    { url: "https://worker.example/sessions/s/files/f", authorization: "Bearer token-0" },
    { url: "https://worker.example/sessions/s/files/f", authorization: "Bearer token-1" },
    { url: "https://elsewhere.example/picture.png", authorization: null },
  ]);
  for (const url of ["/sessions/s", "/sessions/s/files/f?x", "/sessions/s/files/../../t", "//elsewhere.example/f", "http://elsewhere.example/f", "javascript:alert(1)"]) {
    await assert.rejects(fetchFile(options, url), { code: "INVALID_MESSAGE" }, url);
  }
  assert.equal(asked.length, 3);
});

for (const [url, text, type] of [
  ["data:,a%20b", "a b", "text/plain"],
  ["data:text/html;charset=utf-8,%C3%A9", "é", "text/html"],
  ["data:text/plain;base64,w6k=", "é", "text/plain"],
] as const) {
  test(`${url} is read without a request`, async () => {
    const blob = await fetchFile({ url: "https://worker.example", fetch: recording([], []) }, url);
    assert.deepEqual([await blob.text(), blob.type], [text, type]);
  });
}

test("an invalid data: URL is refused with a message", async () => {
  for (const url of ["data:text/plain", "data:;base64,%%%", "data:,%E0%A4%A"]) {
    const file: FileBlock = { type: "file", mediaType: "text/plain", url };
    await assert.rejects(fetchFile({ url: "https://worker.example" }, file), { code: "INVALID_MESSAGE", message: /cannot be read/ }, url);
  }
});

function open(options: ThreadOptions = {}): Thread {
  const thread = createThread({ url: bobbin.url, sessionId: freshId(), ...options });
  threads.push(thread);
  return thread;
}

/** A `fetch` that records its requests, and answers with these statuses, then with 200. */
function recording(asked: unknown[], statuses: number[] = []): typeof fetch {
  return async (url, init) => {
    asked.push({ url: String(url), authorization: new Headers(init?.headers).get("authorization") });
    return new Response("bytes", { status: statuses.shift() ?? 200 });
  };
}

/** Bytes in which no longer sequence occurs twice. */
function pattern(size: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length: size }, (_, at) => Math.imul(at, 2_654_435_761) >>> 24);
}
