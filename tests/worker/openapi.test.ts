import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Ajv2020 } from "ajv/dist/2020.js";
import { endOf } from "./client.ts";
import { freshId, start } from "./harness.ts";
import { Http, type Answer, type Json, indexedMessages } from "./support/d1_http.ts";
import { Upstream } from "./upstream.ts";

const read = (path: string): string => readFileSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)), "utf8");
const METHODS = ["get", "put", "post", "delete", "patch", "head", "options", "trace"];

const api: Json = JSON.parse(read("docs/openapi.json"));
const validator = new Ajv2020({ strict: false, allErrors: true });
validator.addSchema({ $id: "api", components: closed(structuredClone(api.components)) });

const upstream = await Upstream.start();
after(upstream.close);
const bobbin = await start({ vars: upstream.vars });
after(bobbin.close);
const http = new Http(bobbin);
const guarded = await start({ vars: { AUTH: "jwt", AUTH_JWT_SECRET: "a secret of at least thirty-two bytes!" } });
after(guarded.close);
const id = await richSession();
const file: string = (await http.ask("POST", `/sessions/${id}/files?name=a.txt`, "described", { "content-type": "text/plain" })).body.url;
await http.patch(id, { title: "Described" });
await http.until(() => http.found("Described"), (found) => found.length === 1, "the session in D1");

test("every route and method of the worker is described, and nothing else is", () => {
  assert.deepEqual(described(), routed());
});

test("every described route is called below", () => {
  const called = calls.map(([method, path]) => `${method} ${path}`);
  assert.deepEqual([...new Set(called)].sort(), described());
});

test("every described error status has the error body", () => {
  for (const [name, operation] of operations()) {
    for (const [status, response] of Object.entries<Json>(operation.responses)) {
      if (Number(status) < 400) continue;
      const { content } = resolved(response);
      // A stock client shows people the body unchanged.
      if (content?.["text/plain; charset=utf-8"]) continue;
      const schema = content?.["application/json"]?.schema;
      // A failure of the worker is reported beside it.
      const body = schema.$ref === "#/components/schemas/Health" ? "Health" : "ErrorBody";
      assert.deepEqual(schema, { $ref: `#/components/schemas/${body}` }, `${name} ${status}`);
      assert.deepEqual(api.components.schemas[body].properties.error, { $ref: "#/components/schemas/Error" });
    }
  }
});

const nobody = "never-created";
const json = { "content-type": "application/json" };
type Call = [method: string, path: string, concrete: string, status: number, more?: { body?: string; headers?: Record<string, string> }];

const calls: Call[] = [
  ["GET", "/health", "/health", 200],
  ["GET", "/health", "/health?deep=1", 200],
  ["GET", "/health", "/health?deep=1", 401],
  ["GET", "/config", "/config", 200],
  ["GET", "/config", "/config?ticket=none", 401],
  ["POST", "/sessions", "/sessions", 201],
  ["POST", "/sessions", "/sessions?ticket=none", 401],
  ["GET", "/sessions", "/sessions", 200],
  ["GET", "/sessions", "/sessions?q=described", 200],
  ["GET", "/sessions", "/sessions?order=recent&state=idle", 200],
  ["GET", "/sessions", "/sessions?order=oldest", 400],
  ["GET", "/sessions", "/sessions?limit=0", 400],
  ["GET", "/sessions", "/sessions?before=x", 400],
  ["GET", "/sessions", "/sessions?ticket=none", 401],
  ["GET", "/sessions/{id}", `/sessions/${id}`, 200],
  ["GET", "/sessions/{id}", "/sessions/no%20id", 400],
  ["GET", "/sessions/{id}", `/sessions/${id}?ticket=none`, 401],
  ["GET", "/sessions/{id}", `/sessions/${nobody}`, 404],
  ["PATCH", "/sessions/{id}", `/sessions/${id}`, 200, { body: '{"title":"Described again"}' }],
  ["PATCH", "/sessions/{id}", `/sessions/${id}`, 400, { body: "{}" }],
  ["PATCH", "/sessions/{id}", `/sessions/${nobody}`, 404, { body: "{}" }],
  ["PATCH", "/sessions/{id}", `/sessions/${id}`, 413, { body: JSON.stringify({ title: "t".repeat(20_000) }) }],
  ["PATCH", "/sessions/{id}", `/sessions/${id}`, 415, { body: "title=t", headers: { "content-type": "text/plain" } }],
  ["DELETE", "/sessions/{id}", `/sessions/${nobody}`, 404],
  ["DELETE", "/sessions/{id}", "/sessions/no%20id", 400],
  ["GET", "/sessions/{id}/messages", `/sessions/${id}/messages`, 200],
  ["GET", "/sessions/{id}/messages", `/sessions/${id}/messages?limit=1`, 200],
  ["GET", "/sessions/{id}/messages", `/sessions/${id}/messages?before=1`, 400],
  ["GET", "/sessions/{id}/messages", `/sessions/${nobody}/messages`, 404],
  ["POST", "/sessions/{id}/messages", `/sessions/${id}/messages`, 202, { body: '{"requestId":"p1","role":"assistant","content":"By the way."}' }],
  ["POST", "/sessions/{id}/messages", `/sessions/${id}/messages`, 200, { body: '{"requestId":"p1","role":"assistant","content":"By the way."}', headers: { accept: "text/event-stream" } }],
  ["POST", "/sessions/{id}/messages", `/sessions/${id}/messages`, 400, { body: "{}" }],
  ["POST", "/sessions/{id}/messages", `/sessions/${id}/messages?ticket=none`, 401, { body: '{"content":"x"}' }],
  ["POST", "/sessions/{id}/messages", `/sessions/${id}/messages`, 409, { body: '{"requestId":"p1","content":"another"}' }],
  ["POST", "/sessions/{id}/messages", `/sessions/${id}/messages`, 413, { body: " ".repeat(300_000) }],
  ["POST", "/sessions/{id}/messages", `/sessions/${id}/messages`, 415, { body: "{}", headers: { "content-type": "text/html" } }],
  ["GET", "/sessions/{id}/events", "/sessions/no%20id/events", 400],
  ["GET", "/sessions/{id}/events", `/sessions/${id}/events?ticket=none`, 401],
  ["POST", "/sessions/{id}/cancel", `/sessions/${id}/cancel`, 202],
  ["POST", "/sessions/{id}/cancel", `/sessions/${id}/cancel`, 400, { body: "[]" }],
  ["POST", "/sessions/{id}/cancel", `/sessions/${nobody}/cancel`, 404],
  ["POST", "/sessions/{id}/cancel", `/sessions/${id}/cancel`, 413, { body: " ".repeat(20_000) }],
  ["POST", "/sessions/{id}/decisions", `/sessions/${id}/decisions`, 400, { body: "{}", headers: json }],
  ["POST", "/sessions/{id}/decisions", `/sessions/${id}/decisions`, 404, { body: JSON.stringify({ requestId: "r", toolUseId: "t", approved: true }), headers: json }],
  ["POST", "/sessions/{id}/decisions", `/sessions/${id}/decisions`, 413, { body: " ".repeat(300_000) }],
  ["POST", "/sessions/{id}/decisions", `/sessions/${id}/decisions`, 415, { body: "{}", headers: { "content-type": "text/html" } }],
  ["POST", "/sessions/{id}/cancel", `/sessions/${id}/cancel`, 415, { body: "{}", headers: { "content-type": "text/html" } }],
  ["POST", "/sessions/{id}/fork", `/sessions/${id}/fork`, 201, { body: '{"id":"a-fork"}', headers: json }],
  ["POST", "/sessions/{id}/fork", `/sessions/${id}/fork`, 400, { body: '{"id":"no id"}', headers: json }],
  ["POST", "/sessions/{id}/fork", `/sessions/${nobody}/fork`, 404],
  ["POST", "/sessions/{id}/fork", `/sessions/${id}/fork`, 409, { body: JSON.stringify({ id }), headers: json }],
  ["POST", "/sessions/{id}/fork", `/sessions/${id}/fork`, 413, { body: " ".repeat(20_000) }],
  ["POST", "/sessions/{id}/fork", `/sessions/${id}/fork`, 415, { body: "{}", headers: { "content-type": "text/html" } }],
  ["POST", "/sessions/{id}/files", `/sessions/${id}/files?name=a.txt`, 201, { body: "bytes", headers: { "content-type": "text/plain" } }],
  ["POST", "/sessions/{id}/files", `/sessions/${id}/files`, 400, { body: "bytes", headers: { "content-type": "text" } }],
  ["GET", "/sessions/{id}/files/{file}", file, 200],
  ["GET", "/sessions/{id}/files/{file}", file, 206, { headers: { range: "bytes=1-2" } }],
  ["GET", "/sessions/{id}/files/{file}", file, 416, { headers: { range: "bytes=100-" } }],
  ["GET", "/sessions/{id}/files/{file}", `/sessions/${id}/files/none`, 404],
  ["GET", "/sessions/{id}/files/{file}", `/sessions/${nobody}/files/none`, 404],
  ["POST", "/sessions/{id}/ticket", `/sessions/${id}/ticket`, 201],
  ["POST", "/sessions/{id}/ticket", `/sessions/${id}/ticket`, 201, { body: '{"for":"events"}' }],
  ["POST", "/sessions/{id}/ticket", `/sessions/${id}/ticket`, 400, { body: '{"for":"everything"}' }],
  ["POST", "/sessions/{id}/ticket", `/sessions/${id}/ticket`, 413, { body: " ".repeat(20_000) }],
  ["POST", "/sessions/{id}/ticket", `/sessions/${id}/ticket`, 415, { body: "{}", headers: { "content-type": "text/html" } }],
  ["POST", "/sessions/{id}/ticket", "/sessions/no%20id/ticket", 400],
  ["GET", "/sessions/{id}/diagnostics", `/sessions/${id}/diagnostics`, 200],
  ["GET", "/sessions/{id}/diagnostics", `/sessions/${nobody}/diagnostics`, 200],
  ["GET", "/sessions/{id}/websocket", `/sessions/${id}/websocket`, 426],
  ["GET", "/sessions/{id}/websocket", "/sessions/no%20id/websocket", 400],
  ["POST", "/api/chat", "/api/chat", 400, { body: "{}" }],
  ["POST", "/api/chat", "/api/chat", 401, { body: "{}" }],
  ["POST", "/api/chat", "/api/chat", 415, { body: "{}", headers: { "content-type": "text/html" } }],
  ["GET", "/api/chat/{id}/stream", `/api/chat/${id}/stream`, 200],
  ["GET", "/api/chat/{id}/stream", `/api/chat/${nobody}/stream`, 204],
  ["GET", "/api/chat/{id}/messages", `/api/chat/${id}/messages`, 200],
  ["GET", "/api/chat/{id}/messages", `/api/chat/${id}/messages?before=1`, 400],
  ["GET", "/api/chat/{id}/messages", `/api/chat/${nobody}/messages`, 404],
  ["POST", "/api/chat/{id}/stop", `/api/chat/${id}/stop`, 202],
  ["POST", "/api/chat/{id}/stop", `/api/chat/${nobody}/stop`, 404],
  ["GET", "/api/chat/{id}/ws", `/api/chat/${id}/ws`, 426],
  ["POST", "/sessions/{id}/ag-ui", `/sessions/${id}/ag-ui`, 400, { body: "{}" }],
  ["POST", "/sessions/{id}/ag-ui", `/sessions/${id}/ag-ui`, 415, { body: "{}", headers: { "content-type": "text/html" } }],
  ["GET", "/sessions/{id}/ag-ui", `/sessions/${id}/ag-ui?threadId=${id}`, 200],
  ["GET", "/sessions/{id}/ag-ui", `/sessions/${id}/ag-ui`, 400],
  ["GET", "/sessions/{id}/ag-ui", `/sessions/${id}/ag-ui?runId=none`, 404],
  ["GET", "/sessions/{id}/ag-ui/websocket", `/sessions/${id}/ag-ui/websocket`, 426],
  ["GET", "/api/chat/ws", "/api/chat/ws", 426],
  ["GET", "/api/chat/ws", "/api/chat/ws?threadId=no%20id", 400],
  ["GET", "/admin/sessions", "/admin/sessions", 200],
  ["GET", "/admin/sessions", "/admin/sessions?subject=nobody", 200],
  ["GET", "/admin/sessions", "/admin/sessions?limit=0", 400],
  ["GET", "/admin/sessions", "/admin/sessions?ticket=none", 401],
  ["GET", "/admin/sessions/{id}", `/admin/sessions/${id}`, 200],
  ["GET", "/admin/sessions/{id}", `/admin/sessions/${nobody}`, 404],
  ["PUT", "/admin/sessions/{id}", `/admin/sessions/${nobody}`, 400, { body: "{}" }],
  ["PUT", "/admin/sessions/{id}", `/admin/sessions/${nobody}?ticket=none`, 401, { body: "{}" }],
  ["PUT", "/admin/sessions/{id}/files/{file}", `/admin/sessions/${id}/files/none`, 404, { body: "x" }],
  ["POST", "/admin/sessions/{id}/reindex", `/admin/sessions/${id}/reindex`, 202],
  ["POST", "/admin/sessions/{id}/reindex", `/admin/sessions/${nobody}/reindex`, 404],
  ["POST", "/admin/sessions/{id}/sweep", `/admin/sessions/${id}/sweep`, 202],
  ["POST", "/admin/sessions/{id}/forget", `/admin/sessions/${id}/forget?subject=nobody`, 202],
  ["GET", "/subjects/{subject}", "/subjects/nobody", 200],
  ["GET", "/subjects/{subject}", "/subjects/nobody?ticket=none", 401],
  ["DELETE", "/subjects/{subject}", "/subjects/nobody", 202],
  ["DELETE", "/sessions/{id}", `/sessions/${id}`, 204],
  ["POST", "/sessions/{id}/messages", `/sessions/${id}/messages`, 410, { body: '{"requestId":"p1","role":"assistant","content":"By the way."}' }],
];

for (const [method, path, concrete, status, more] of calls) {
  const body = more?.body === undefined ? "" : ` with ${more.body.slice(0, 30).trim()}`;
  test(`${method} ${concrete.replace(id, "{id}")}${body} is answered ${status} as described`, async () => {
    const headers = { ...(more?.body === undefined ? {} : json), ...more?.headers };
    const asked = status === 401 ? new Http(guarded) : http;
    assertDescribed(await asked.ask(method, concrete, more?.body, headers), method, path, status);
  });
}

test("JSON Lines are of the described type, each a described message", async () => {
  const session = await richSession();
  const { headers, body } = await http.ask("GET", `/sessions/${session}/messages`, undefined, { accept: "application/x-ndjson" });
  const { content } = api.paths["/sessions/{id}/messages"].get.responses["200"];
  assert.ok(Object.hasOwn(content, headers.get("content-type") ?? ""));
  for (const line of body.trimEnd().split("\n")) assertValid(JSON.parse(line), { $ref: "#/components/schemas/Message" }, line);
});

test("events are of the described type, and each is a frame", async () => {
  const { content } = api.paths["/sessions/{id}/events"].get.responses["200"];
  const response = await bobbin.fetch(`/sessions/${nobody}/events`);
  assert.ok(Object.hasOwn(content, response.headers.get("content-type") ?? ""));
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  assert.match((await reader?.read())?.value ?? "", /^id: \S+\ndata: {"type":"connected".*}\n\n/);
  await reader?.cancel();
});

test("the described limits are enforced", async () => {
  const { schema } = api.components.parameters.limit;
  for (const [limit, status] of [[schema.minimum - 1, 400], [schema.minimum, 200], [schema.maximum, 200], [schema.maximum + 1, 400]]) {
    assert.equal((await http.ask("GET", `/sessions?limit=${limit}`)).status, status, `limit ${limit}`);
  }
  const { maxLength } = api.paths["/sessions"].get.parameters.find(({ name }: Json) => name === "q").schema;
  for (const [length, status] of [[maxLength, 200], [maxLength + 1, 400]]) {
    assert.equal((await http.ask("GET", `/sessions?q=${"ü".repeat(length)}`)).status, status, `q of ${length}`);
  }
  const session = await richSession();
  const { maxLength: title } = api.components.schemas.SessionUpdate.properties.title;
  for (const [length, status] of [[title, 200], [title + 1, 400]]) {
    assert.equal((await http.ask("PATCH", `/sessions/${session}`, { title: "ü".repeat(length) })).status, status, `title of ${length}`);
  }
});

/** `GET /sessions/{id}` and so on, as the OpenAPI document has them. */
function described(): string[] {
  return operations().map(([name]) => name).sort();
}

function operations(): [string, Json][] {
  return Object.entries<Json>(api.paths).flatMap(([path, item]) =>
    METHODS.filter((method) => item[method]).map((method): [string, Json] => [`${method.toUpperCase()} ${path}`, item[method]]),
  );
}

/** The same, as the worker's source has them: the table of addresses, each with its methods. */
function routed(): string[] {
  const source = read("src/edge/routes.rs");
  const [table = ""] = source.slice(source.indexOf("const ADDRESSES")).split("\n];");
  const addresses = [...table.matchAll(/\(\s*"([^"]+)",\s*&\[([^\]]*)\]/g)];
  const names: Record<string, string> = { files: "{file}", subjects: "{subject}" };
  return addresses.flatMap(([, address = "", served = ""]) => {
    const path = address.split("/").map((segment, at, all) => (segment === "*" ? (names[all[at - 1] ?? ""] ?? "{id}") : segment)).join("/");
    return [...served.matchAll(/\("([A-Z]+)", /g)].map(([, method]) => `${method} /${path}`);
  }).sort();
}

function assertDescribed(answer: Answer, method: string, path: string, status: number): void {
  assert.equal(answer.status, status, JSON.stringify(answer.body));
  const response = resolved(api.paths[path][method.toLowerCase()].responses[status]);
  for (const [name, { schema }] of Object.entries<Json>(response.headers ?? {})) {
    if (schema.const !== undefined) assert.equal(answer.headers.get(name), schema.const, name);
  }
  const type = answer.headers.get("content-type");
  if (!response.content) return assert.equal(answer.body, "");
  const content = response.content["*/*"] ?? (type !== null && response.content[type]);
  assert.ok(content, `${type} is not described`);
  assertValid(answer.body, content.schema, `${method} ${path}`);
}

function assertValid(value: Json, schema: Json, what: string): void {
  const local = JSON.parse(JSON.stringify(closed(structuredClone(schema))).replaceAll('"#/', '"api#/'));
  const validate = validator.compile(local);
  assert.ok(validate(value), `${what}: ${JSON.stringify(validate.errors)} ${JSON.stringify(value)}`);
}

/** A field that is not described is an error here, although clients ignore it. */
function closed(schema: Json): Json {
  if (schema === null || typeof schema !== "object") return schema;
  if (schema.properties) schema.additionalProperties = false;
  for (const part of Object.values(schema)) closed(part);
  return schema;
}

function resolved(response: Json): Json {
  return response.$ref ? api.components.responses[response.$ref.split("/").at(-1)] : response;
}

/** A session with a message of every kind of end and block. */
async function richSession(): Promise<string> {
  const session = freshId();
  const client = await bobbin.join(session);
  client.say("r1", [{ type: "text", text: "hello" }, { type: "tool_result", toolUseId: "t", content: ["x"], isError: true }]);
  const call = await upstream.next();
  call.delta({ reasoning_content: "hm" }).tool("t", "look_up", ["{}"]).answer("well");
  await client.next(endOf("r1"));
  client.say("r2", "fail");
  (await upstream.next()).status(500, "no");
  await client.next(endOf("r2"));
  client.say("r3", "go on");
  await upstream.next();
  client.cancel("r3");
  await client.next(endOf("r3"));
  await indexedMessages(bobbin, session, 6);
  return session;
}
