import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { after, test } from "node:test";
import { Refused } from "./client.ts";
import { freshId } from "./harness.ts";
import { asPage, bearer, startClosed, tokenOf } from "./support/auth.ts";

const bobbin = await startClosed();
after(bobbin.close);
const ann = bearer(tokenOf("ann"));
const MIB = 1024 * 1024;

const paths: [string, number][] = [
  ["/sessions/../health", 200],
  ["/sessions/%2e%2e/health", 200],
  ["/sessions/a/../../health", 200],
  ["/sessions/a/%2E%2E/b/%2e", 404],
  ["/sessions/..%2fb", 400],
  ["/sessions/a%2fb", 400],
  ["/sessions/a%5cb", 400],
  ["/sessions/a\\b", 400],
  ["/sessions/a%00", 400],
  ["/sessions/%00", 400],
  ["/sessions/a%0d%0ax", 400],
  ["/sessions/a%20", 400],
  ["/sessions/%61", 400],
  ["/sessions/%", 400],
  ["/sessions/ä", 400],
  ["/sessions/а", 400],
  ["/sessions/a%EF%BC%8F", 400],
  ["/sessions/a;b", 400],
  ["/sessions/a,b", 400],
  ["/sessions/*", 400],
  ["/sessions/a/", 404],
  ["/sessions//a", 404],
  ["//sessions/a", 404],
  ["/sessions/a//messages", 404],
  ["/SESSIONS", 404],
  ["/sessions/a/messages/", 404],
  [`/sessions/${"a".repeat(129)}`, 400],
  [`/sessions/${"a".repeat(8000)}`, 400],
  ["/api/chat/ws?threadId=a%2f..%2fb", 426],
];

for (const [path, status] of paths) {
  test(`the path ${JSON.stringify(path.slice(0, 40))} is answered ${status} and reaches no other session`, async () => {
    const { head, body } = await raw(`GET ${encodeURI(path).replaceAll("%25", "%")} HTTP/1.1`, [`authorization: ${ann.headers.authorization}`]);
    const answered = Number(head.split(" ")[1]);
    // A path that is no route because of its id is refused for the id, with an upgrade or without.
    assert.ok(answered === status || (status === 426 && answered === 400), `${head}\n${body}`);
    if (status >= 400) assert.match(JSON.parse(body).error.code, /^(INVALID_MESSAGE|NOT_FOUND)$/);
  });
}

for (const id of ["..", "%2e%2e", "a%2Fb", "a%00", "%C3%A4", "a b", "a".repeat(129), "a\u0000b", "a&threadId=b/"]) {
  test(`the alias refuses the thread id ${JSON.stringify(id.slice(0, 20))} with 400`, async () => {
    const path = `/api/chat/ws?threadId=${id === "a&threadId=b/" ? "b/&threadId=a" : encodeURIComponent(decodeURIComponent(id))}`;
    const refused = await bobbin.connectTo(path, ann).catch((error: unknown) => error);
    assert.ok(refused instanceof Refused, String(refused));
    assert.equal(refused.status, 400);
  });
}

const queries: [string, number][] = [
  [`q=${"q".repeat(201)}`, 400],
  [`q=${"%F0%9F%92%A9".repeat(200)}`, 200],
  ["q=%FF%FE", 200],
  ["q=%00", 200],
  ["q=%22%20OR%201%3D1--", 200],
  [`q=${"a+".repeat(90)}`, 200],
  [`before=${"9".repeat(400)}.x`, 400],
  ["before=1e3.x", 400],
  ["before=-1.x", 400],
  ["before=%27%3B--.x", 400],
  ["limit=0", 400],
  ["limit=201", 400],
  ["limit=-1", 400],
  ["limit=1e2", 400],
  ["limit=99999999999999999999", 400],
  ["limit=1&limit=1000", 200],
];

for (const [query, status] of queries) {
  test(`a list request with ${query.slice(0, 40)} is answered ${status}`, async () => {
    const response = await bobbin.fetch(`/sessions?${query}`, ann);
    assert.equal(response.status, status, await response.text());
  });
}

test("a cursor that is oversized, malformed or not UTF-8 is answered with a snapshot", async () => {
  const id = freshId();
  const client = await bobbin.join(id, ann);
  client.say("r1", "hello");
  await client.next("final");
  for (const cursor of ["x", "0.0", "ffffffffffffffff.ffffffffffffffff", "1.-1", "%FF%FE", "a".repeat(8000), "1.".repeat(2000), "\u0000", "1.1.1-1-1.1-1-1"]) {
    const resumed = await bobbin.connectTo(`/sessions/${id}/websocket?cursor=${cursor.includes("%") ? cursor : encodeURIComponent(cursor)}`, ann);
    assert.equal((await resumed.next("connected"))["resumed"], false);
    assert.equal((await resumed.next("snapshot"))["messages"].length, 2);
    await resumed.close();
  }
});

const bodies: [string, string | Uint8Array<ArrayBuffer>, number][] = [
  ["is not JSON", "{", 400],
  ["is a list", "[]", 400],
  ["is not UTF-8", Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d]), 400],
  ["is UTF-16", Buffer.from('{"title":"x"}', "utf16le"), 400],
  ["is nested without end", "[".repeat(16_000), 400],
  ["has objects nested without end", '{"title":'.repeat(1_700), 400],
  ["has 17 KiB", JSON.stringify({ title: "t".repeat(17_000) }), 413],
  ["has a MiB", JSON.stringify({ title: "t".repeat(MIB) }), 413],
  ["has a title of 201 characters", JSON.stringify({ title: "ü".repeat(201) }), 400],
  ["has a title that is an object", '{"title":{"$ne":null}}', 400],
  ["names a prototype", '{"__proto__":{"title":"x"}}', 400],
];

for (const [what, body, status] of bodies) {
  test(`a body that ${what} is answered ${status}`, async () => {
    const id = freshId();
    const client = await bobbin.join(id, ann);
    client.say("r1", "hello");
    await client.next("final");
    const headers = { ...ann.headers, "content-type": "application/json" };
    const response = await bobbin.fetch(`/sessions/${id}`, { method: "PATCH", headers, body });
    assert.equal(response.status, status);
    assert.match(((await response.json()) as { error: { message: string } }).error.message, /\w/);
    assert.equal((await bobbin.fetch(`/sessions/${id}`, ann)).status, 200);
  });
}

test("a frame of 30 MiB closes its own socket with 1009, and the object loses nothing", async () => {
  const id = freshId();
  const [client, neighbour] = [await bobbin.join(id, ann), await bobbin.join(id, ann)];
  client.send("x".repeat(30 * MIB));
  assert.equal((await client.closed).code, 1009);
  neighbour.say("r1", "still here");
  assert.equal((await neighbour.next("final"))["response"].content, "still here");
});

test("a text frame that is not UTF-8 affects no other socket", async () => {
  const id = freshId();
  const neighbour = await bobbin.join(id, ann);
  const { socket, head } = await upgraded(id);
  assert.match(head, /101/);
  // A masked text frame of two bytes that are never valid in UTF-8; its mask is zero.
  socket.write(Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0xff, 0xfe]));
  neighbour.say("r1", "still here");
  assert.equal((await neighbour.next("final"))["response"].content, "still here");
  socket.destroy();
});

test("frames that are cut off, reserved or out of order affect no other socket", async () => {
  const id = freshId();
  const neighbour = await bobbin.join(id, ann);
  for (const bytes of [[0x81], [0x81, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], [0x80, 0x80, 0, 0, 0, 0], [0xf1, 0x80, 0, 0, 0, 0], [0x81, 0x01, 0x20], [0x8b, 0x80, 0, 0, 0, 0]]) {
    const { socket } = await upgraded(id);
    socket.end(Buffer.from(bytes));
  }
  neighbour.say("r1", "still here");
  assert.equal((await neighbour.next("final"))["response"].content, "still here");
});

test("deeply nested frames are refused in every field that takes JSON", async () => {
  const client = await bobbin.join(freshId(), ann);
  const deep = (open: string, close: string): string => open.repeat(50_000) + close.repeat(50_000);
  for (const value of [deep("[", "]"), deep('{"a":', "}").replace("}", "1}")]) {
    client.send(`{"type":"message","requestId":"r1","content":[{"type":"tool_use","id":"1","name":"n","input":${value}}]}`);
    client.send(`{"type":"message","requestId":"r1","content":"x","metadata":${value}}`);
    client.send(value);
    for (const _ of [1, 2, 3]) assert.match((await client.next("error"))["error"].code, /INVALID_MESSAGE|MESSAGE_TOO_LARGE/);
  }
  client.say("good", "still here");
  await client.next("final");
});

test("a header of 60 KiB is refused or ignored wherever it stands, and never echoed", async () => {
  const long = "h".repeat(60 * 1024);
  for (const headers of [{ authorization: `Bearer ${long}` }, { ...ann.headers, "x-bobbin-identity": long }, { ...ann.headers, origin: long }, { ...ann.headers, cookie: long }]) {
    const response = await bobbin.fetch("/sessions", { headers }).catch(() => undefined);
    if (!response) continue;
    assert.ok([200, 401, 413, 431].includes(response.status), String(response.status));
    assert.ok(!(await response.text()).includes("hhhh"));
    assert.ok(![...response.headers.values()].some((value) => value.includes("hhhh")));
  }
  const token = tokenOf("ann", { filler: "f".repeat(20_000) });
  assert.equal((await (await bobbin.connect(freshId(), asPage(token))).closed).code, 4401);
});

async function raw(line: string, headers: string[]): Promise<{ head: string; body: string }> {
  const socket = await dial();
  socket.end([line, `host: ${bobbin.url.host}`, "connection: close", ...headers, "", ""].join("\r\n"));
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk as Buffer);
  const [head = "", ...rest] = Buffer.concat(chunks).toString().split("\r\n\r\n");
  const body = rest.join("\r\n\r\n");
  return { head, body: /chunked/i.test(head) ? (body.split("\r\n")[1] ?? "") : body };
}

async function upgraded(id: string): Promise<{ socket: Socket; head: string }> {
  const socket = await dial();
  const headers = ["connection: Upgrade", "upgrade: websocket", "sec-websocket-version: 13", `sec-websocket-key: ${btoa("0123456789abcdef")}`];
  socket.write([`GET /sessions/${id}/websocket HTTP/1.1`, `host: ${bobbin.url.host}`, `authorization: ${ann.headers.authorization}`, ...headers, "", ""].join("\r\n"));
  const [chunk] = (await once(socket, "data")) as [Buffer];
  socket.on("data", () => {});
  return { socket, head: chunk.toString("latin1") };
}

async function dial(): Promise<Socket> {
  const socket = connect(Number(bobbin.url.port), "127.0.0.1");
  socket.on("error", () => {});
  await once(socket, "connect");
  return socket;
}
