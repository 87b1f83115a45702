// Files as models are given them: in the form of each kind of agent, with the bytes that were uploaded.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { convertToModelMessages, validateUIMessages } from "ai";
import { type Client, endOf } from "./client.ts";
import { type Bobbin, type Options, freshId, start } from "./harness.ts";
import { type Sent, type Uploaded, block, pattern, text } from "./support/files.ts";
import { residentBytes } from "./support/memory.ts";
import { faultEntry, removeObject, setFault } from "./support/r2_faults.ts";
import { type Call, Upstream } from "./upstream.ts";

const upstream = await Upstream.start();
after(upstream.close);
const openai = await started(upstream.vars, { entry: faultEntry });

const PNG = pattern(70_001);
const PDF = pattern(200_002);
const CSV = 'name,"quoted"\nänne,\\1\n';

test("chat completions are given images and PDFs as data URLs, texts as text, and the names of other files", async () => {
  const { client, sent } = await asked(openai);
  const call = await upstream.next();
  const { content } = call.body.messages[0];
  assert.equal(Number(call.headers["content-length"]), Buffer.byteLength(JSON.stringify(call.body)));
  assert.equal(call.headers["transfer-encoding"], undefined);
  const [first, image, pdf, rest] = content;
  assert.deepEqual(first, { type: "text", text: "look" });
  assertBytes(image.image_url.url, "image/png", PNG);
  assert.equal(pdf.file.filename, "paper.pdf");
  assertBytes(pdf.file.file_data, "application/pdf", PDF);
  assert.ok(rest.text.includes(`[file table.csv, text/csv]\n${CSV}\n[end of file table.csv]`), rest.text);
  assert.ok(rest.text.includes("[file all.zip, application/zip: not shown to you]"), rest.text);
  call.answer("seen");
  await client.next(endOf("r1"));
  // The next turn hands the same files over; clients still see the message as it was sent.
  client.say("r2", "and again?");
  const second = await upstream.next();
  assertBytes(second.body.messages[0].content[1].image_url.url, "image/png", PNG);
  second.answer("yes");
  await client.next(endOf("r2"));
  const again = await openai.join(client.all[0]?.["sessionId"]);
  assert.deepEqual(again.all.find(({ type }) => type === "snapshot")?.["messages"][0].content, sent);
});

test("the Responses API and Anthropic's Messages API have forms of their own", async () => {
  const responses = await started({ ...upstream.vars, AGENT: "responses" });
  await asked(responses);
  const items = (await answeredBy(500)).body.input[0].content;
  assert.deepEqual(items.map(({ type }: { type: string }) => type), ["input_text", "input_image", "input_file", "input_text"]);
  assertBytes(items[1].image_url, "image/png", PNG);
  assertBytes(items[2].file_data, "application/pdf", PDF);
  const anthropic = await started({ ...upstream.vars, AGENT: "anthropic" });
  await asked(anthropic);
  const parts = (await answeredBy(500)).body.messages[0].content;
  assert.deepEqual(parts.map(({ type }: { type: string }) => type).slice(0, 3), ["text", "image", "document"]);
  assert.equal(parts[1].source.media_type, "image/png");
  assert.equal(Buffer.compare(Buffer.from(parts[1].source.data, "base64"), PNG), 0);
  assert.equal(Buffer.compare(Buffer.from(parts[2].source.data, "base64"), PDF), 0);
});

test("Anthropic is not given an image that it would refuse", async () => {
  const anthropic = await started({ ...upstream.vars, AGENT: "anthropic" });
  const id = freshId();
  const files = [await uploaded(anthropic, id, pattern(3_932_160), "image/png", "fits.png"), await uploaded(anthropic, id, pattern(3_932_161), "image/png", "large.png")];
  const client = await anthropic.join(id);
  client.send({ type: "message", requestId: "r1", content: files.map(block) });
  const [fits, large] = (await answeredBy(500)).body.messages[0].content;
  assert.equal(fits.source.data.length, 5 * 1024 * 1024);
  assert.match(large.text, /\[file large.png, image\/png: not shown to you\]/);
});

test("a route of the AI SDK is given parts that the SDK itself accepts", async () => {
  const sdk = await started({ AGENT: "ai-sdk", AGENT_BASE_URL: upstream.baseUrl, AGENT_RETRIES: "0" });
  await asked(sdk);
  const call = await answeredBy(500);
  const messages = await validateUIMessages({ messages: call.body.messages });
  const parts = (messages[0] as any).parts;
  assert.deepEqual(parts.map(({ type }: { type: string }) => type), ["text", "file", "file", "text", "text"]);
  assertBytes(parts[1].url, "image/png", PNG);
  assertBytes(parts[2].url, "application/pdf", PDF);
  assert.ok(parts[3].text.includes(CSV));
  assert.match(parts[4].text, /all.zip/);
  await convertToModelMessages(messages);
});

test("a model behind the AI binding is given them too", async () => {
  const near = await started({ AGENT: "workers-ai", AGENT_MODEL: "@cf/meta/llama", AGENT_RETRIES: "0" }, { models: upstream.baseUrl });
  const { client } = await asked(near);
  const call = await upstream.next();
  assertBytes(call.body.input.messages[0].content[1].image_url.url, "image/png", PNG);
  call.events({ response: "seen" }).done();
  await client.next(endOf("r1"));
});

test("the newest files of a conversation are sent as far as there is room, and the runtime does not hold them in memory", { timeout: 120_000 }, async (t) => {
  const id = freshId();
  const files = [];
  for (const name of ["first.pdf", "second.pdf", "third.pdf"]) files.push(await uploaded(openai, id, pattern(9 * 1024 * 1024), "application/pdf", name));
  const client = await openai.join(id);
  const before = residentBytes();
  let most = before;
  const watch = setInterval(() => (most = Math.max(most, residentBytes())), 50);
  for (const [nth, file] of files.entries()) {
    client.send({ type: "message", requestId: `r${nth}`, content: [block(file)] });
    const call = await upstream.next();
    const said = JSON.stringify(call.body.messages);
    const shown: string[] = files.filter(({ name }) => said.includes(`"filename":"${name}"`)).map(({ name }) => name);
    assert.deepEqual(shown, [["first.pdf"], ["first.pdf", "second.pdf"], ["second.pdf", "third.pdf"]][nth]);
    assert.equal(said.includes("[file first.pdf, application/pdf: not shown to you]"), nth === 2);
    call.answer("read");
    await client.next(endOf(`r${nth}`));
  }
  clearInterval(watch);
  t.diagnostic(`24 MB of base64 in one call: the runtime grew by at most ${Math.round((most - before) / 1e6)} MB`);
  assert.ok(most - before < 300e6);
});

test("a file that somebody removed from the bucket is left out, and the thread continues", async () => {
  const { client, files } = await asked(openai);
  (await upstream.next()).answer("seen");
  await client.next(endOf("r1"));
  for (const { url } of files.slice(0, 3)) await removeObject(openai, url.replace(/^\/sessions\/(.*)\/files\//, "$1/"));
  client.say("r2", "still there?");
  const call = await upstream.next();
  const said = JSON.stringify(call.body.messages);
  for (const { name, mediaType } of files) assert.ok(said.includes(`[file ${name}, ${mediaType}: not shown to you]`), said);
  call.answer("no");
  assert.equal((await client.next(endOf("r2"))).type, "final");
});

test("while the bucket is away a turn with files fails with a message and may be retried, and a turn without files works", async (t) => {
  t.after(() => setFault(openai, "none"));
  const id = freshId();
  const file = await uploaded(openai, id, PNG, "image/png", "a.png");
  const client = await openai.join(id);
  await setFault(openai, "away");
  client.send({ type: "message", requestId: "r1", content: [block(file)] });
  const { error } = await client.next(endOf("r1"));
  assert.deepEqual([error.code, error.retryable], ["STORAGE_ERROR", true]);
  await setFault(openai, "none");
  client.send({ type: "message", requestId: "r2", content: [block(file)] });
  (await upstream.next()).answer("seen");
  assert.equal((await client.next(endOf("r2"))).type, "final");
});

test("text that a user writes is never taken for a file reference", async () => {
  const id = freshId();
  const file = await uploaded(openai, id, PNG, "image/png", "a.png");
  const client = await openai.join(id);
  client.send({ type: "message", requestId: "r1", content: [text("bobbin0000000000000000:0. and 0."), block(file)] });
  const call = await upstream.next();
  assert.equal(call.body.messages[0].content[0].text, "bobbin0000000000000000:0. and 0.");
  call.answer("fine");
  await client.next(endOf("r1"));
});

async function started(vars: Record<string, string>, options: Options = {}): Promise<Bobbin> {
  const bobbin = await start({ ...options, vars });
  after(bobbin.close);
  return bobbin;
}

/** A client that has sent one file of each sort. */
async function asked(bobbin: Bobbin): Promise<{ client: Client; files: Uploaded[]; sent: Sent[] }> {
  const id = freshId();
  const files = [
    await uploaded(bobbin, id, PNG, "image/png", "photo.png"),
    await uploaded(bobbin, id, PDF, "application/pdf", "paper.pdf"),
    await uploaded(bobbin, id, Buffer.from(CSV), "text/csv", "table.csv"),
    await uploaded(bobbin, id, Buffer.from("PK"), "application/zip", "all.zip"),
  ];
  const client = await bobbin.join(id);
  const sent = [text("look"), ...files.map(block)];
  client.send({ type: "message", requestId: "r1", content: sent });
  return { client, files, sent };
}

async function uploaded(bobbin: Bobbin, id: string, bytes: Buffer, mediaType: string, name: string): Promise<Uploaded> {
  const response = await bobbin.fetch(`/sessions/${id}/files?name=${name}`, { method: "POST", body: new Uint8Array(bytes), headers: { "content-type": mediaType } });
  assert.equal(response.status, 201);
  return (await response.json()) as Uploaded;
}

/** The next call, which is refused: only its request is looked at. */
async function answeredBy(status: number): Promise<Call> {
  const call = await upstream.next();
  call.status(status, "not today");
  return call;
}

function assertBytes(url: string, mediaType: string, bytes: Buffer): void {
  const prefix = `data:${mediaType};base64,`;
  assert.ok(url.startsWith(prefix), url.slice(0, 60));
  assert.equal(Buffer.compare(Buffer.from(url.slice(prefix.length), "base64"), bytes), 0);
}
