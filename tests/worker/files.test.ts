// Files: up into the bucket and down again, whose they are, and when they go.
import assert from "node:assert/strict";
import { connect as openTcp } from "node:net";
import { after, test } from "node:test";
import { endOf, eventually } from "./client.ts";
import { type Bobbin, freshId } from "./harness.ts";
import { bearer, shared, startClosed, tokenOf } from "./support/auth.ts";
import { type Json, assertRefused } from "./support/d1_http.ts";

const FILE_BYTES_MAX = 25 * 1024 * 1024;
const DAY_MS = 24 * 3_600_000;

const bobbin = await startClosed({ ECHO_DELAY_MS: "0" });
after(bobbin.close);

test("a file goes up, is named by a message, and comes down as it was", async () => {
  const id = freshId();
  const bytes = pattern(300_000);
  const file = await uploaded(id, "ann", bytes, "image/png", "a photo.png");
  assert.match(file.url, new RegExp(`^/sessions/${id}/files/[0-9a-f-]{36}$`));
  assert.deepEqual({ ...file, url: "" }, { url: "", mediaType: "image/png", name: "a photo.png", size: 300_000 });
  await say(id, "ann", [text("look"), block(file)]);
  const response = await bobbin.fetch(file.url, bearer(tokenOf("ann")));
  assert.equal(response.status, 200);
  assert.equal(Buffer.compare(Buffer.from(await response.arrayBuffer()), bytes), 0);
  const { headers } = response;
  assert.equal(headers.get("content-type"), "image/png");
  assert.equal(headers.get("content-length"), "300000");
  assert.equal(headers.get("content-disposition"), "inline; filename*=UTF-8''a%20photo.png");
  assert.equal(headers.get("x-content-type-options"), "nosniff");
  assert.match(headers.get("content-security-policy") ?? "", /default-src 'none'.*sandbox/);
  assert.equal(headers.get("cache-control"), "no-store");
  const { body } = await ask("GET", `/sessions/${id}/messages`, "ann");
  assert.deepEqual(body.messages[0].content, [text("look"), block(file)]);
});

async function ask(method: string, path: string, who: string, init: RequestInit = {}, claims = {}): Promise<{ status: number; headers: Headers; body: Json }> {
  const response = await bobbin.fetch(path, { method, ...init, headers: { ...bearer(tokenOf(who, claims)).headers, ...(init.headers as Record<string, string>) } });
  const body = await response.text();
  return { status: response.status, headers: response.headers, body: response.headers.get("content-type") === "application/json" ? JSON.parse(body) : body };
}

function upload(id: string, who: string, bytes: Uint8Array | string, mediaType: string | undefined, name?: string, claims = {}) {
  const query = name === undefined ? "" : `?name=${encodeURIComponent(name)}`;
  return ask("POST", `/sessions/${id}/files${query}`, who, { body: bytes as BodyInit, headers: mediaType === undefined ? {} : { "content-type": mediaType } }, claims);
}

async function uploaded(id: string, who: string, bytes: Uint8Array | string, mediaType = "text/plain", name = "a.txt", claims = {}): Promise<Json> {
  const { status, body } = await upload(id, who, bytes, mediaType, name, claims);
  assert.equal(status, 201, JSON.stringify(body));
  return body;
}

const text = (words: string) => ({ type: "text", text: words });
const block = (file: Json) => ({ type: "file", mediaType: file.mediaType, url: file.url, name: file.name, size: file.size });

let messages = 0;

/** Sends a message and waits for its answer, or gives the error that it is refused with. */
async function say(id: string, who: string, content: unknown, on: Bobbin = bobbin): Promise<Json | undefined> {
  const client = await on.join(id, bearer(tokenOf(who)));
  const requestId = `r${(messages += 1)}`;
  client.send({ type: "message", requestId, content });
  const frame = await client.next((each) => endOf(requestId)(each) || (each.type === "error" && each["refused"] === "message"));
  await client.close();
  return frame.type === "error" ? frame["error"] : undefined;
}

/** Bytes that no two places of a file have in common for long. */
function pattern(size: number): Buffer {
  const bytes = Buffer.alloc(size);
  for (let at = 0; at < size; at += 4) bytes.writeUInt32LE(Math.imul(at, 2654435761) >>> 0, Math.min(at, size - 4));
  return bytes;
}
