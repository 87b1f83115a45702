// Files: upload, download, ownership, expiry, and requests that must be refused.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { eventually, type Frame } from "./client.ts";
import { freshId } from "./harness.ts";
import { bearer, shared, startClosed, tokenOf } from "./support/auth.ts";
import { type Json, assertRefused } from "./support/d1_http.ts";
import { type Sent, FILE_BYTES_MAX, Files, block, pattern, text } from "./support/files.ts";
import { residentBytes } from "./support/memory.ts";
import { faultEntry, removeObject, setFault, stored } from "./support/r2_faults.ts";
import { entryWithout } from "./support/without.ts";

const DAY_MS = 24 * 3_600_000;

const bobbin = await startClosed({ ECHO_DELAY_MS: "0" }, { entry: faultEntry });
after(bobbin.close);
const files = new Files(bobbin);

test("a file is uploaded, named by a message, and downloaded unchanged", async () => {
  const id = freshId();
  const bytes = pattern(300_000);
  const file = await files.uploaded(id, "ann", bytes, "image/png", "a photo.png");
  assert.match(file.url, new RegExp(`^/sessions/${id}/files/[0-9a-f-]{36}$`));
  assert.deepEqual({ ...file, url: "" }, { url: "", mediaType: "image/png", name: "a photo.png", size: 300_000 });
  assert.equal(await files.say(id, "ann", [text("look"), block(file)]), undefined);
  const { status, headers, body } = await files.fetch(file.url, "ann");
  assert.equal(status, 200);
  assert.equal(Buffer.compare(body, bytes), 0);
  assert.equal(headers.get("content-type"), "image/png");
  assert.equal(headers.get("content-length"), "300000");
  assert.equal(headers.get("content-disposition"), "inline; filename*=UTF-8''a%20photo.png");
  assert.equal(headers.get("x-content-type-options"), "nosniff");
  assert.match(headers.get("content-security-policy") ?? "", /default-src 'none'.*sandbox/);
  assert.equal(headers.get("cache-control"), "no-store");
  const { body: history } = await files.ask("GET", `/sessions/${id}/messages`, "ann");
  assert.deepEqual(history.messages[0].content, [text("look"), block(file)]);
});

test("HEAD and single ranges are served from the file's row and its place in the bucket", async () => {
  const id = freshId();
  const bytes = pattern(10_000);
  const { url } = await files.uploaded(id, "ann", bytes, "audio/mpeg", "song.mp3");
  const head = await bobbin.fetch(url, { method: "HEAD", ...bearer(tokenOf("ann")) });
  assert.deepEqual([head.status, head.headers.get("content-length"), head.headers.get("accept-ranges"), await head.text()], [200, "10000", "bytes", ""]);
  for (const [range, from, to] of [["bytes=0-0", 0, 0], ["bytes=4000-4999", 4000, 4999], ["bytes=9990-", 9990, 9999], ["bytes=-5", 9995, 9999], ["bytes=5000-99999", 5000, 9999]] as const) {
    const { status, headers, body } = await files.fetch(url, "ann", { range });
    assert.deepEqual([status, headers.get("content-range")], [206, `bytes ${from}-${to}/10000`], range);
    assert.equal(Buffer.compare(body, bytes.subarray(from, to + 1)), 0, range);
  }
  const beyond = await files.fetch(url, "ann", { range: "bytes=10000-" });
  assert.deepEqual([beyond.status, beyond.headers.get("content-range")], [416, "bytes */10000"]);
  for (const range of ["bytes=5-1", "lines=0-1", "bytes=0-1,3-4"]) {
    assert.equal((await files.fetch(url, "ann", { range })).status, 200, range);
  }
});

test("a name has no folders, cannot end a header, and is the last part of whatever path was given", async () => {
  const id = freshId();
  for (const [given, name] of [
    ["../../../etc/passwd", "passwd"],
    ["C:\\Users\\ann\\evil.exe", "evil.exe"],
    ["a\r\nset-cookie: x=1", "aset-cookie: x=1"],
    ['"; filename=evil.html', '"; filename=evil.html'],
    ["gpj.\u202eexe", "gpj.exe"],
    ["%2e%2e%2fpasswd", "%2e%2e%2fpasswd"],
    ["ünïcödé 漢字.pdf", "ünïcödé 漢字.pdf"],
    ["..", "file"],
    ["", "file"],
    [undefined, "file"],
  ] as const) {
    const { status, body } = await files.upload(id, "ann", "x", "text/plain", given);
    assert.deepEqual([status, body.name], [201, name], given);
    const { headers } = await files.fetch(body.url, "ann");
    assert.equal(headers.get("set-cookie"), null);
    assert.match(headers.get("content-disposition") ?? "", /^attachment; filename\*=UTF-8''[A-Za-z0-9%_.~-]+$/);
    assert.equal(decodeURIComponent(headers.get("content-disposition")?.split("''")[1] ?? ""), name);
  }
});

test("no file runs in a browser, whatever type it claims: documents are saved and not shown", async () => {
  const id = freshId();
  const html = "<!doctype html><script>fetch('/sessions')</script>";
  for (const [type, disposition] of [
    ["text/html", "attachment"],
    ["TEXT/HTML; charset=utf-8", "attachment"],
    ["image/svg+xml", "attachment"],
    ["application/xhtml+xml", "attachment"],
    ["application/javascript", "attachment"],
    ["text/xml", "attachment"],
    // A false type: the file is shown as a broken image, because browsers are told not to guess another type.
    ["image/png", "inline"],
    ["application/pdf", "inline"],
    ["audio/mpeg", "inline"],
  ] as const) {
    const { url, mediaType } = await files.uploaded(id, "ann", html, type, "page.html");
    assert.equal(mediaType, type.toLowerCase().split(";")[0]);
    const { headers } = await files.fetch(url, "ann");
    assert.equal(headers.get("content-disposition")?.split(";")[0], disposition, type);
    assert.equal(headers.get("x-content-type-options"), "nosniff");
    assert.equal(headers.get("content-security-policy"), "default-src 'none'; frame-ancestors 'none'; sandbox");
    assert.equal(headers.get("cross-origin-resource-policy"), "same-origin");
  }
  for (const wrong of ["image", "text/", "*/*", "a/b/c", `a/${"b".repeat(200)}`]) {
    assertRefused(await files.upload(id, "ann", "x", wrong), 400, "INVALID_MESSAGE", wrong);
  }
  assert.equal((await files.upload(id, "ann", Buffer.from("x"))).body.mediaType, "application/octet-stream");
});

test("25 MiB are uploaded whole; one byte more is refused before it is read, and so are an empty file and a stream without a length", { timeout: 120_000 }, async () => {
  const id = freshId();
  const largest = pattern(FILE_BYTES_MAX);
  const { url, size } = await files.uploaded(id, "ann", largest, "application/zip", "large.zip");
  assert.equal(size, FILE_BYTES_MAX);
  assert.equal(Buffer.compare((await files.fetch(url, "ann")).body, largest), 0);
  const over = await files.upload(id, "ann", Buffer.alloc(FILE_BYTES_MAX + 1), "application/zip", "x.zip").catch((thrown: Error) => thrown);
  // A client that continues to send may be cut off before it reads the answer.
  if (!(over instanceof Error)) assertRefused(over, 413, "MESSAGE_TOO_LARGE");
  assert.match(await files.raw(id, "ann", [`content-length: ${FILE_BYTES_MAX + 1}`], ""), /^HTTP\/1.1 413 /);
  assert.match(await files.raw(id, "ann", ["transfer-encoding: chunked"], "1\r\nx\r\n0\r\n\r\n"), /^HTTP\/1.1 411 /);
  assertRefused(await files.upload(id, "ann", "", "text/plain"), 400, "INVALID_MESSAGE");
  assert.equal((await bobbin.sql(id, "SELECT id FROM bobbin_files")).length, 1, "only the accepted file has a row");
});

test("a wrong length leaves nothing: with too few bytes there is no file, and bytes beyond it belong to no file", async () => {
  const id = freshId();
  await files.raw(id, "ann", ["content-length: 1000"], "too few", true);
  const isGone = async () => (await bobbin.tables(id)).length === 0;
  await eventually(isGone, "the end of a file that came in part");
  assert.deepEqual(await stored(bobbin, id), []);
  const answer = await files.raw(id, "ann", ["content-length: 4", "connection: close"], "fourGET / HTTP/1.1\r\n\r\n");
  assert.match(answer, /^HTTP\/1.1 201 /);
  assert.deepEqual((await stored(bobbin, id)).map(({ size }) => size), [4]);
});

test("a hundred uploads at once are each accepted or refused with a message, and accepted files are whole", { timeout: 120_000 }, async () => {
  const id = freshId();
  const bytes = (nth: number) => Buffer.from(`file ${nth} `.repeat(2_000));
  const answers = await Promise.all(Array.from({ length: 100 }, (_, nth) => files.upload(id, "ann", bytes(nth), "text/plain", `${nth}.txt`)));
  assert.deepEqual([...new Set(answers.map(({ status }) => status))], [201]);
  assert.equal(new Set(answers.map(({ body }) => body.url)).size, 100);
  const down = await Promise.all(answers.map(({ body }) => files.fetch(body.url, "ann")));
  for (const [nth, { body }] of down.entries()) assert.equal(Buffer.compare(body, bytes(nth)), 0, `${nth}`);
  assert.equal(await files.say(id, "ann", answers.map(({ body }) => block(body))), undefined);
  assert.deepEqual(await bobbin.sql(id, "SELECT count(*) AS named FROM bobbin_files WHERE due IS NULL"), [{ named: 100 }]);
});

test("once a subject has as many unused files as a message can name, its next upload is refused, and other subjects' files do not count", { timeout: 120_000 }, async () => {
  const id = freshId();
  await files.say(id, "ann", "hello");
  for (let nth = 0; nth < 256; nth += 64) await Promise.all(Array.from({ length: 64 }, () => files.uploaded(id, "ann", "x")));
  const refused = await files.upload(id, "ann", "x", "text/plain");
  assertRefused(refused, 429, "RATE_LIMITED");
  assert.equal(refused.body.error.retryable, true);
  await files.uploaded(id, "eve", "x", "text/plain", "a.txt", shared("editor", id));
});

test("until a message names it only its uploader may read a file; then everybody who may read the session can", async () => {
  const id = freshId();
  await files.say(id, "ann", "hello");
  const viewer = shared("viewer", id);
  const file = await files.uploaded(id, "ann", "secret", "text/plain", "a.txt");
  for (const [who, claims] of [["vic", viewer], ["eve", shared("editor", id)], ["mallory", {}]] as const) {
    assertRefused(await files.ask("GET", file.url, who, {}, claims), 404, "NOT_FOUND", who);
  }
  assert.equal((await files.ask("GET", file.url, "ann")).body, "secret");
  await files.say(id, "ann", [block(file)]);
  assert.equal((await files.ask("GET", file.url, "vic", {}, viewer)).body, "secret");
  assertRefused(await files.ask("GET", file.url, "mallory"), 404, "NOT_FOUND");
  assert.equal((await bobbin.fetch(file.url)).status, 401);
  assertRefused(await files.upload(id, "vic", "x", "text/plain", "a", viewer), 403, "FORBIDDEN");
  assertRefused(await files.upload(id, "mallory", "x", "text/plain"), 404, "NOT_FOUND");
});

test("a message cannot name a file of another session, of another subject, or one that does not exist", async () => {
  const [id, other] = [freshId(), freshId()];
  await files.say(id, "ann", "hello");
  const elsewhere = await files.uploaded(other, "ann", "x");
  const eves = await files.uploaded(id, "eve", "x", "text/plain", "a.txt", shared("editor", id));
  const refusals: [string, string, RegExp][] = [
    [elsewhere.url, "INVALID_MESSAGE", /another session/],
    [eves.url, "NOT_FOUND", /upload it again/],
    [`/sessions/${id}/files/00000000-0000-4000-8000-000000000000`, "NOT_FOUND", /upload it again/],
    [`/sessions/${id}/files/../../${other}/files/x`, "INVALID_MESSAGE", /\{file\}/],
    [`/sessions/${id}/files/`, "INVALID_MESSAGE", /\{file\}/],
    [new URL(eves.url, bobbin.url).href, "INVALID_MESSAGE", /https: address/],
  ];
  for (const [url, code, words] of refusals) {
    const refused = await files.say(id, "ann", [{ type: "file", mediaType: "text/plain", url }]);
    assert.equal(refused?.code, code, url);
    assert.match(refused.message, words);
  }
  const { body } = await files.ask("GET", `/sessions/${id}/messages`, "ann");
  assert.equal(body.messages.length, 2);
});

test("an upload as the first write sets one row and an alarm in 24 hours, after which nothing is left", async () => {
  const id = freshId();
  const owner = shared("owner", id);
  const before = Date.now();
  const file = await files.uploaded(id, "ann", "bytes", "text/plain", "a.txt", owner);
  assert.deepEqual(await bobbin.tables(id), ["bobbin_files"]);
  assert.equal((await files.ask("GET", `/sessions/${id}`, "ann", {}, owner)).status, 404);
  const { body } = await files.ask("GET", `/sessions/${id}/diagnostics`, "ann", {}, owner);
  const waits = body.thread.alarmAt - before;
  assert.ok(waits >= DAY_MS && waits < DAY_MS + 60_000, `${waits} ms`);
  // A day passes while the object sleeps: only the test moves its clock.
  await bobbin.evict(id);
  await bobbin.change(id, `UPDATE bobbin_files SET due = due - ${DAY_MS}`);
  assertRefused(await files.ask("GET", file.url, "ann", {}, owner), 404, "NOT_FOUND");
  await eventually(async () => (await bobbin.tables(id)).length === 0, "the end of the row");
  assert.deepEqual(await stored(bobbin, id), []);
  const { body: then } = await files.ask("GET", `/sessions/${id}/diagnostics`, "ann", {}, owner);
  assert.equal(then.thread.alarmAt, null);
});

test("a file that a message names is kept after the day, while its author's unused files are removed", async () => {
  const id = freshId();
  const [kept, left] = [await files.uploaded(id, "ann", "kept"), await files.uploaded(id, "ann", "left")];
  await files.say(id, "ann", [block(kept)]);
  await bobbin.evict(id);
  await bobbin.change(id, `UPDATE bobbin_files SET due = due - ${2 * DAY_MS}`);
  assertRefused(await files.ask("GET", left.url, "ann"), 404, "NOT_FOUND");
  assert.equal((await files.ask("GET", kept.url, "ann")).body, "kept");
  await eventually(async () => (await stored(bobbin, id)).length === 1, "the end of the other file");
  const refused = await files.say(id, "ann", [block(left)]);
  assert.equal(refused?.code, "NOT_FOUND");
});

test("a deletion removes the session's files, and the next session of that name has its own", async () => {
  const id = freshId();
  const [named, unnamed] = [await files.uploaded(id, "ann", "old"), await files.uploaded(id, "ann", "older")];
  await files.say(id, "ann", [block(named)]);
  assert.equal((await files.ask("DELETE", `/sessions/${id}`, "ann")).status, 204);
  for (const { url } of [named, unnamed]) assertRefused(await files.ask("GET", url, "ann"), 404, "NOT_FOUND");
  await eventually(async () => (await stored(bobbin, id)).length === 0, "the end of the bytes");
  assert.deepEqual(await bobbin.tables(id), ["bobbin_deleted"]);
  const again = await files.uploaded(id, "bob", "new");
  await files.say(id, "bob", [block(again)]);
  assert.equal((await files.ask("GET", again.url, "bob")).body, "new");
  for (const who of ["ann", "bob"]) assertRefused(await files.ask("GET", named.url, who), 404, "NOT_FOUND");
  assert.equal((await files.say(id, "bob", [block(named)]))?.code, "NOT_FOUND");
});

for (const fault of ["away", "hang"] as const) {
  test(`a deletion while R2 is away (${fault}) is answered, and carried out when R2 is back even if nobody connects`, { timeout: 120_000 }, async (t) => {
    t.after(() => setFault(bobbin, "none"));
    const id = freshId();
    const file = await files.uploaded(id, "ann", "bytes");
    await files.say(id, "ann", [block(file)]);
    await setFault(bobbin, fault);
    assert.equal((await files.ask("DELETE", `/sessions/${id}`, "ann")).status, 204);
    assertRefused(await files.ask("GET", file.url, "ann"), 404, "NOT_FOUND");
    assert.equal((await stored(bobbin, id)).length, 1);
    await setFault(bobbin, "none");
    await eventually(async () => (await stored(bobbin, id)).length === 0, "the end of the bytes", 60_000);
    await eventually(async () => (await bobbin.tables(id)).join() === "bobbin_deleted", "the end of the rows", 60_000);
  });
}

test("deletions that R2 did not learn of before a kill are carried out after the start, even if nobody connects", { timeout: 120_000 }, async (t) => {
  t.after(() => setFault(bobbin, "none"));
  const id = freshId();
  await files.say(id, "ann", [block(await files.uploaded(id, "ann", "bytes"))]);
  await setFault(bobbin, "away");
  assert.equal((await files.ask("DELETE", `/sessions/${id}`, "ann")).status, 204);
  await bobbin.kill();
  await bobbin.restart();
  await eventually(async () => (await stored(bobbin, id)).length === 0, "the end of the bytes", 60_000);
});

test("a subject that has only uploaded can delete that together with the session that nobody has begun", async () => {
  const id = freshId();
  await files.uploaded(id, "ann", "bytes");
  assertRefused(await files.ask("DELETE", `/sessions/${id}`, "bob"), 404, "NOT_FOUND");
  assert.equal((await files.ask("DELETE", `/sessions/${id}`, "ann")).status, 204);
  await eventually(async () => (await bobbin.tables(id)).length === 0, "the end of the row");
  assert.deepEqual(await stored(bobbin, id), []);
});

test("a file whose session is deleted during the upload is not created, and its bytes are removed", async (t) => {
  t.after(() => setFault(bobbin, "none"));
  const id = freshId();
  await files.say(id, "ann", "hello");
  await setFault(bobbin, "slow");
  const upload = files.upload(id, "ann", "bytes", "text/plain");
  await eventually(async () => (await stored(bobbin, id)).length === 1, "the bytes");
  assert.equal((await files.ask("DELETE", `/sessions/${id}`, "ann")).status, 204);
  await setFault(bobbin, "none");
  assertRefused(await upload, 404, "NOT_FOUND");
  await eventually(async () => (await stored(bobbin, id)).length === 0, "the end of the bytes");
});

test("an upload that R2 does not accept is refused, may be retried, and leaves nothing", async (t) => {
  t.after(() => setFault(bobbin, "none"));
  const id = freshId();
  await setFault(bobbin, "away");
  const refused = await files.upload(id, "ann", "bytes", "text/plain");
  assertRefused(refused, 503, "STORAGE_ERROR");
  assert.equal(refused.body.error.retryable, true);
  await setFault(bobbin, "none");
  await files.uploaded(id, "ann", "bytes");
  await eventually(async () => (await bobbin.sql(id, "SELECT id FROM bobbin_files")).length === 1, "the end of the broken one");
});

test("an upload that a kill breaks off creates no file, and nothing of it is shown", { timeout: 120_000 }, async () => {
  const id = freshId();
  const half = files.raw(id, "ann", ["content-length: 100000"], "half of it").catch(() => "");
  await eventually(async () => (await bobbin.tables(id)).includes("bobbin_files"), "the row");
  const [row] = await bobbin.sql(id, "SELECT id, state FROM bobbin_files");
  assert.equal(row?.["state"], "coming");
  await bobbin.kill();
  await half;
  await bobbin.restart();
  assertRefused(await files.ask("GET", `/sessions/${id}/files/${String(row["id"])}`, "ann"), 404, "NOT_FOUND");
  assert.deepEqual(await stored(bobbin, id), []);
});

test("a file whose bytes somebody removed from the bucket is answered 404, and is removed with its session", async () => {
  const id = freshId();
  const file = await files.uploaded(id, "ann", "bytes");
  await files.say(id, "ann", [block(file)]);
  await removeObject(bobbin, file.url.replace(/^\/sessions\/(.*)\/files\//, "$1/"));
  assertRefused(await files.ask("GET", file.url, "ann"), 404, "NOT_FOUND");
  assert.equal((await files.ask("DELETE", `/sessions/${id}`, "ann")).status, 204);
  await eventually(async () => (await bobbin.tables(id)).join() === "bobbin_deleted", "the end of the row");
});

test("without a bucket small data: URLs work, and everything else is refused with the name of the missing binding", async () => {
  const bare = await startClosed({ ECHO_DELAY_MS: "0" }, { entry: entryWithout("FILES") });
  after(bare.close);
  const there = new Files(bare);
  const id = freshId();
  const small: Sent = { type: "file", mediaType: "image/png", url: `data:image/png;base64,${"A".repeat(1000)}` };
  assert.equal(await there.say(id, "ann", [text("look"), small]), undefined);
  const { body } = await there.ask("GET", `/sessions/${id}/messages`, "ann");
  assert.deepEqual(body.messages[0].content[1], small);
  const refusals: Json[] = [await there.upload(id, "ann", "x", "text/plain"), await there.ask("GET", `/sessions/${id}/files/x`, "ann")];
  for (const refused of refusals) {
    assertRefused(refused, 501, "NOT_CONFIGURED");
    assert.match(refused.body.error.message, /bind an R2 bucket as FILES/);
    assert.equal(refused.body.error.retryable, false);
  }
  const named = await there.say(id, "ann", [{ type: "file", mediaType: "text/plain", url: `/sessions/${id}/files/x` }]);
  assert.deepEqual([named?.code, /FILES/.test(named?.message)], ["NOT_CONFIGURED", true]);
  const { body: config } = await there.ask("GET", "/config", "ann");
  assert.ok(!config.bound.includes("FILES"));
  assert.ok((await files.ask("GET", "/config", "ann")).body.bound.includes("FILES"));
  assert.equal(config.limits.fileBytes, FILE_BYTES_MAX);
});

test("all sockets are shown a message's file", async () => {
  const id = freshId();
  const file = await files.uploaded(id, "ann", "bytes");
  const other = await bobbin.join(id, bearer(tokenOf("ann")));
  await files.say(id, "ann", [block(file)]);
  const shown = await other.next((frame: Frame) => frame.type === "user_message");
  assert.deepEqual(shown["message"].content, [block(file)]);
});

test("ten files of 25 MiB are uploaded and downloaded at once, and the runtime does not hold them in memory", { timeout: 180_000 }, async (t) => {
  const id = freshId();
  const bytes = pattern(FILE_BYTES_MAX);
  await files.uploaded(id, "ann", "warm");
  const resident = () => Math.round(residentBytes() / 1e6);
  const before = resident();
  let most = before;
  const watch = setInterval(() => (most = Math.max(most, resident())), 100);
  const up = await Promise.all(Array.from({ length: 10 }, () => files.uploaded(id, "ann", bytes, "application/zip", "a.zip")));
  const both = await Promise.all(up.flatMap(({ url }) => [files.fetch(url, "ann"), files.uploaded(id, "ann", bytes, "application/zip", "b.zip")]));
  clearInterval(watch);
  for (const each of both) {
    if ("body" in each) assert.equal(Buffer.compare(each.body, bytes), 0);
  }
  t.diagnostic(`the runtime grew from ${before} MB to at most ${most} MB`);
  assert.ok(most - before < 300, `${most - before} MB`);
});
