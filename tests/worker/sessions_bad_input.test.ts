import assert from "node:assert/strict";
import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { after, test } from "node:test";
import { endOf, within } from "./client.ts";
import { Bobbin, freshId, start } from "./harness.ts";
import { DEADLINE_MS, Http, assertRefused } from "./support/d1_http.ts";

const BODY_BYTES_MAX = 16 * 1024;

const bobbin = await start({ vars: { ECHO_DELAY_MS: "0" } });
after(bobbin.close);
const http = new Http(bobbin);
const id = await spoken();

const methods: [string, string][] = [
  ["/health", "GET"],
  ["/config", "GET"],
  ["/sessions", "GET, POST"],
  [`/sessions/${id}`, "GET, PATCH, DELETE"],
  [`/sessions/${id}/messages`, "GET, POST"],
  [`/sessions/${id}/events`, "GET"],
  [`/sessions/${id}/cancel`, "POST"],
  [`/sessions/${id}/ticket`, "POST"],
  [`/sessions/${id}/diagnostics`, "GET"],
  [`/sessions/${id}/websocket`, "GET"],
  ["/api/chat/ws", "GET"],
];
for (const [path, allowed] of methods) {
  test(`${path.replace(id, "{id}")} takes ${allowed} and refuses every other method`, async () => {
    for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE", "PROPFIND"]) {
      if (allowed.split(", ").includes(method)) continue;
      const answer = await http.ask(method, path);
      assertRefused(answer, 405, "INVALID_MESSAGE", method);
      assert.equal(answer.headers.get("allow"), allowed);
    }
  });
}

test("HEAD is answered like GET, without the body", async () => {
  for (const [path, status] of [["/health", 200], ["/sessions", 200], [`/sessions/${id}`, 200], ["/sessions/nobody", 404]] as const) {
    const response = await bobbin.fetch(path, { method: "HEAD" });
    assert.deepEqual([response.status, await response.text()], [status, ""], path);
    assert.equal(response.headers.get("content-type"), "application/json");
  }
});

test("an unknown address is refused", async () => {
  for (const path of ["/session", "/sessions/", `/sessions/${id}/`, `/sessions/${id}/message`, `/sessions/${id}/messages/1`, "/health/", "/api/chat/a/b"]) {
    const answer = await http.ask("GET", path);
    assert.ok([400, 404].includes(answer.status), `${path} ${answer.status}`);
    assertRefused(answer, answer.status, answer.status === 404 ? "NOT_FOUND" : "INVALID_MESSAGE", path);
  }
});

test("an invalid id is refused in every request", async () => {
  for (const bad of ["a b", "a%2Fb", "a%00", "ü", "a.b", "x".repeat(129), "%ff", "a'b"]) {
    for (const [method, path] of [["GET", ""], ["PATCH", ""], ["DELETE", ""], ["GET", "/messages"], ["POST", "/cancel"], ["POST", "/ticket"], ["GET", "/diagnostics"], ["GET", "/websocket"]] as const) {
      assertRefused(await http.ask(method, `/sessions/${bad}${path}`), 400, "INVALID_MESSAGE", `${method} ${bad}${path}`);
    }
  }
});

test("an id of 128 characters is valid", async () => {
  const long = "x".repeat(128);
  assertRefused(await http.ask("GET", `/sessions/${long}`), 404, "NOT_FOUND");
});

const bodies: [string, string][] = [
  ["nothing", ""],
  ["no JSON", "{title:"],
  ["a JSON string", '"title"'],
  ["a JSON array", "[]"],
  ["null", "null"],
  ["JSON nested without end", "[".repeat(16_000)],
  ["half an escape", '{"title":"\\ud8"}'],
  ["no field that is known", '{"colour":"red"}'],
  ["a title that is a number", '{"title":1}'],
  ["an empty title", '{"title":""}'],
  ["a title of white space", '{"title":" \\n\\t "}'],
  ["a title of 201 characters", JSON.stringify({ title: "t".repeat(201) })],
  ["an unknown mode", '{"permissionMode":"root"}'],
  ["a mode in other letters", '{"permissionMode":"Plan"}'],
  ["a mode that is null", '{"permissionMode":null}'],
  ["a good title and a bad mode", '{"title":"good","permissionMode":"bad"}'],
];
test("an unpaired surrogate in a change is replaced by U+FFFD, as it is in a frame", async () => {
  assert.equal((await http.patch(id, { title: "half \ud800" })).title, "half \ufffd");
});

for (const [what, body] of bodies) {
  test(`a change with ${what} is refused and changes nothing`, async () => {
    const before = await http.session(id);
    assertRefused(await http.ask("PATCH", `/sessions/${id}`, body), 400, "INVALID_MESSAGE");
    assert.deepEqual(await http.session(id), before);
  });
}

test("a cancel with a requestId that no message can have is refused, and one without a body is not", async () => {
  const wrong = ["", "naïve-1", "a\nb", "r".repeat(129)].map((requestId) => JSON.stringify({ requestId }));
  for (const body of ['{"requestId":1}', '{"requestId":{}}', "[]", "no JSON", ...wrong]) {
    assertRefused(await http.ask("POST", `/sessions/${id}/cancel`, body), 400, "INVALID_MESSAGE", body);
  }
  for (const body of [undefined, "", "{}", '{"requestId":null}']) {
    assert.equal((await http.ask("POST", `/sessions/${id}/cancel`, body)).status, 202);
  }
});

test("a body of another type is refused, and the JSON type is accepted in every spelling", async () => {
  for (const type of ["text/plain", "application/x-www-form-urlencoded", "application/xml", "multipart/form-data; boundary=x", ""]) {
    const answer = await http.ask("PATCH", `/sessions/${id}`, '{"title":"t"}', { "content-type": type });
    assertRefused(answer, 415, "INVALID_MESSAGE", type);
  }
  for (const type of ["application/json", "Application/JSON", "application/json; charset=utf-8", " application/json"]) {
    assert.equal((await http.ask("PATCH", `/sessions/${id}`, '{"title":"t"}', { "content-type": type })).status, 200, type);
  }
});

test("a body at the limit is accepted, a larger and an endless one are refused", async () => {
  const padded = (bytes: number) => '{"title":"t"}'.padEnd(bytes);
  assert.equal((await http.ask("PATCH", `/sessions/${id}`, padded(BODY_BYTES_MAX))).status, 200);
  for (const bytes of [BODY_BYTES_MAX + 1, 1024 * 1024]) {
    assertRefused(await http.ask("PATCH", `/sessions/${id}`, padded(bytes)), 413, "MESSAGE_TOO_LARGE");
  }
  assert.equal(await statusOfEndless(`/sessions/${id}`), 413);
  assert.equal((await http.ask("GET", "/health")).status, 200);
});

test("cursors of another kind of list are refused", async () => {
  for (const before of ["x", "1", "1.", ".x", "-1.x", "1.5.x", "1.a b", "99999999999999999999999.x", "1.%00", "1.2.3", "0x1.a"]) {
    assertRefused(await http.ask("GET", `/sessions?before=${before}`), 400, "INVALID_MESSAGE", before);
  }
  for (const before of ["x", "-1", "1.x", "1.5", "99999999999999999999999", "1000001"]) {
    assertRefused(await http.ask("GET", `/sessions?q=word&before=${before}`), 400, "INVALID_MESSAGE", before);
  }
});

test("a session that was never created is not found, and asking for it stores nothing", async () => {
  const nobody = freshId();
  for (const [method, path] of [["GET", ""], ["PATCH", ""], ["DELETE", ""], ["GET", "/messages"], ["POST", "/cancel"]] as const) {
    assertRefused(await http.ask(method, `/sessions/${nobody}${path}`, method === "PATCH" ? { title: "t" } : undefined), 404, "NOT_FOUND", `${method} ${path}`);
  }
  assert.equal((await http.ask("GET", `/sessions/${nobody}/diagnostics`)).status, 200);
  assert.deepEqual(await bobbin.tables(nobody), []);
  assert.deepEqual(await bobbin.d1("SELECT * FROM sessions WHERE id = ?", nobody), []);
});

test("without its index the list and the search answer 503, and threads work", async () => {
  const bare = new Bobbin({ vars: { ECHO_DELAY_MS: "0" } });
  after(bare.close);
  await bare.restart();
  for (const query of ["", "?q=word"]) {
    const answer = await new Http(bare).ask("GET", `/sessions${query}`);
    assertRefused(answer, 503, "STORAGE_ERROR");
    assert.equal(answer.body.error.retryable, true);
    assert.doesNotMatch(answer.body.error.message, /sqlite|no such table|d1/i);
  }
  const session = freshId();
  const client = await bare.join(session);
  client.say("r1", "hello");
  await client.next(endOf("r1"));
  assert.equal((await new Http(bare).session(session)).messageCount, 2);
});

/** The status of a request whose body continues until it is answered. */
async function statusOfEndless(path: string): Promise<number | undefined> {
  const sending = request(new URL(path, bobbin.url), { method: "PATCH", headers: { "content-type": "application/json" } });
  // The server may close the connection while more is on its way.
  sending.on("error", () => {});
  sending.write(Buffer.alloc(64 * 1024, " "));
  const [response] = (await within(once(sending, "response"), DEADLINE_MS, "an answer before the body's end")) as [IncomingMessage];
  sending.destroy();
  return response.statusCode;
}

async function spoken(): Promise<string> {
  const session = freshId();
  const client = await bobbin.join(session);
  client.say("r1", "hello");
  await client.next(endOf("r1"));
  return session;
}
