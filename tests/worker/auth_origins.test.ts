import assert from "node:assert/strict";
import { once } from "node:events";
import { get, type IncomingMessage } from "node:http";
import { text } from "node:stream/consumers";
import { after, test } from "node:test";
import { Refused } from "./client.ts";
import { freshId, start, type Bobbin } from "./harness.ts";
import { asPage, bearer, ORIGIN, startClosed, tokenOf } from "./support/auth.ts";

const bobbin = await startClosed({ ALLOWED_ORIGINS: `${ORIGIN}, https://two.example:8443` });
const open = await start();
after(async () => {
  await bobbin.close();
  await open.close();
});

const own = bobbin.url.origin;
const foreign = [
  "https://evil.example",
  "https://app.example.evil.example",
  "https://evilapp.example",
  "https://evil.example/https://app.example",
  "https://sub.app.example",
  "https://app.exampl",
  "https://app.examples",
  "http://app.example",
  "https://app.example:8443",
  "https://app.example:443",
  "https://two.example",
  "https://two.example:84430",
  "https://user@app.example",
  "https://app.example/",
  "HTTPS://APP.EXAMPLE",
  "https://app.example, https://evil.example",
  "https://app.example https://evil.example",
  "app.example",
  "null",
  "*",
  own.replace("http:", "https:"),
  `${own}0`,
  `${own}.evil.example`,
];

for (const origin of foreign) {
  test(`a page of ${origin} connects with no credential and can read nothing`, async () => {
    const token = tokenOf("ann");
    for (const options of [asPage(token, origin), { headers: { ...bearer(token).headers, origin } }]) {
      await assertRefused(bobbin, options);
    }
    const response = await bobbin.fetch("/sessions", { headers: { ...bearer(token).headers, origin } });
    assert.equal(response.headers.get("access-control-allow-origin"), null);
    assert.equal((await preflight(bobbin, origin)).headers.get("access-control-allow-origin"), null);
  });
}

for (const origin of [ORIGIN, "https://two.example:8443", own]) {
  test(`a page of ${origin === own ? "the worker itself" : origin} connects`, async () => {
    await bobbin.join(freshId(), asPage(tokenOf("ann"), origin));
  });
}

test("without an Origin a program connects with a bearer token, and is refused without a credential", async () => {
  await bobbin.join(freshId(), bearer(tokenOf("ann")));
  assert.equal((await (await bobbin.connect(freshId())).closed).code, 4401);
});

test("an allowed page may read answers and send what clients send, and the preflight tells its browser so", async () => {
  for (const response of [await preflight(bobbin, ORIGIN), await bobbin.fetch("/health", { headers: { origin: ORIGIN } })]) {
    assert.equal(response.headers.get("access-control-allow-origin"), ORIGIN);
    assert.equal(response.headers.get("access-control-allow-credentials"), null);
    assert.deepEqual(response.headers.get("access-control-allow-methods")?.split(", "), ["GET", "POST", "PATCH", "DELETE"]);
    assert.deepEqual(response.headers.get("access-control-allow-headers")?.split(", "), ["authorization", "content-type", "last-event-id", "range", "traceparent", "tracestate"]);
    assert.match(response.headers.get("vary") ?? "", /origin/i);
  }
  assert.equal((await preflight(bobbin, ORIGIN)).status, 204);
});

test("an allowed page can also read an error answer", async () => {
  for (const path of ["/sessions", "/sessions/a.b", "/nowhere"]) {
    const response = await bobbin.fetch(path, { headers: { origin: ORIGIN } });
    assert.ok(response.status >= 400);
    assert.equal(response.headers.get("access-control-allow-origin"), ORIGIN);
  }
});

test("every answer has headers that forbid a browser to do anything with it", async () => {
  const { headers } = bearer(tokenOf("ann"));
  const json = { ...headers, "content-type": "application/json" };
  const calls: [string, RequestInit][] = [
    ["/health", {}],
    ["/nowhere", {}],
    ["/sessions", {}],
    ["/sessions", { headers }],
    ["/sessions", { method: "POST", headers }],
    ["/sessions", { method: "OPTIONS" }],
    ["/sessions/a", { headers }],
    ["/sessions/a", { method: "PATCH", headers: json, body: "{" }],
    ["/sessions/a", { method: "DELETE", headers }],
    ["/sessions/a", { method: "PUT", headers }],
    ["/sessions/a.b", { headers }],
    ["/sessions/a/messages", { headers }],
    ["/sessions/a/websocket", { headers }],
    ["/sessions/a/ticket", { method: "POST", headers }],
    ["/sessions/a/cancel", { method: "POST", headers }],
  ];
  for (const [path, init] of calls) {
    const response = await bobbin.fetch(path, init);
    const what = `${init.method ?? "GET"} ${path}: ${response.status}`;
    assert.match(response.headers.get("content-security-policy") ?? "", /default-src 'none'.*frame-ancestors 'none'/, what);
    assert.equal(response.headers.get("x-content-type-options"), "nosniff", what);
    assert.equal(response.headers.get("x-frame-options"), "DENY", what);
    assert.equal(response.headers.get("referrer-policy"), "no-referrer", what);
    assert.equal(response.headers.get("cross-origin-resource-policy"), "same-origin", what);
    assert.equal(response.headers.get("cache-control"), "no-store", what);
    const body = await response.text();
    if (body) assert.match(response.headers.get("content-type") ?? "", /^application\/json/, what);
  }
});

test("with AUTH=none other websites are refused", async () => {
  for (const origin of ["https://evil.example", "null", "http://localhost.evil.example", "http://127.0.0.1.evil.example"]) {
    await assertRefused(open, { headers: { origin } });
    await assertRefused(open, { headers: { origin: "x://localhost" } });
    for (const [path, method] of [["/sessions", "GET"], ["/sessions/a/cancel", "POST"], ["/sessions/a", "DELETE"]] as const) {
      assert.equal((await open.fetch(path, { method, headers: { origin } })).status, 403, `${method} ${path} from ${origin}`);
    }
  }
  for (const origin of ["http://localhost:5173", "http://127.0.0.1:3000", "http://[::1]:80", open.url.origin]) {
    await open.join(freshId(), { headers: { origin } });
  }
  await open.join(freshId());
});

test("with AUTH=none and no origin named a page of the same machine reads answers, and no other page does", async () => {
  const named = await start({ vars: { ALLOWED_ORIGINS: "https://app.example" } });
  after(named.close);
  const readable = async (worker: Bobbin, origin: string) => {
    const answers = [await worker.fetch("/sessions", { headers: { origin } }), await worker.fetch("/config", { headers: { origin } }), await preflight(worker, origin)];
    return answers.map(({ headers }) => headers.get("access-control-allow-origin"));
  };
  for (const origin of ["http://localhost:5173", "http://127.0.0.1:3000", "http://[::1]:80"]) {
    assert.deepEqual(await readable(open, origin), [origin, origin, origin]);
    assert.deepEqual(await readable(named, origin), [null, null, null], "other origins are named");
    assert.deepEqual(await readable(bobbin, origin), [null, null, null], "tokens are asked for");
  }
  const closed = await startClosed({ ALLOWED_ORIGINS: "" });
  after(closed.close);
  assert.deepEqual(await readable(closed, "http://localhost:5173"), [null, null, null], "tokens are asked for and no origin is named");
  for (const origin of ["https://evil.example", "null", "http://localhost.evil.example", "x://localhost"]) {
    assert.deepEqual(await readable(open, origin), [null, null, null], origin);
  }
});

test("with AUTH=none the worker is reached by a local or configured host name, and by no other", async () => {
  const { port } = open.url;
  const listed = await start({ vars: { ALLOWED_ORIGINS: "https://app.example" } });
  after(listed.close);
  for (const host of [`evil.example:${port}`, "evil.example", `localhost.evil.example:${port}`, "app.example"]) {
    for (const headers of [{ host }, { host, origin: `http://${host}` }]) {
      for (const path of ["/sessions", "/sessions/a", "/sessions/a/messages"]) {
        const { status, body } = await ask(open.url, path, headers);
        assert.equal(status, 403, `${path} as ${host}: ${body}`);
        assert.match(JSON.parse(body).error.message, /ALLOWED_ORIGINS/);
      }
      await assertRefused(open, { headers });
    }
  }
  for (const host of [`localhost:${port}`, `127.0.0.1:${port}`, `[::1]:${port}`, "localhost"]) {
    assert.equal((await ask(open.url, "/sessions", { host })).status, 200, host);
  }
  assert.equal((await ask(listed.url, "/sessions", { host: "app.example" })).status, 200);
  assert.equal((await ask(listed.url, "/sessions", { host: "evil.example" })).status, 403);
});

test("with AUTH=none an unneeded credential does no harm", async () => {
  for (const authorization of ["Basic abc", "Bearer ", "sesame"]) {
    assert.equal((await open.fetch("/sessions", { headers: { authorization } })).status, 200);
    await open.join(freshId(), { headers: { authorization } });
  }
});

async function assertRefused(worker: Bobbin, options: object): Promise<void> {
  const refused = await worker.connect(freshId(), options).catch((error: unknown) => error);
  assert.ok(refused instanceof Refused, `${JSON.stringify(options)}: ${String(refused)}`);
  assert.equal(refused.status, 403);
  assert.equal(JSON.parse(refused.body).error.code, "FORBIDDEN");
}

function preflight(worker: Bobbin, origin: string): Promise<Response> {
  const asked = { "access-control-request-method": "PATCH", "access-control-request-headers": "authorization,content-type" };
  return worker.fetch("/sessions/a", { method: "OPTIONS", headers: { origin, ...asked } });
}

/** `fetch` sets the Host header by itself. */
async function ask(url: URL, path: string, headers: Record<string, string>): Promise<{ status: number; body: string }> {
  const request = get({ host: url.hostname, port: url.port, path, headers });
  const [response] = (await once(request, "response")) as [IncomingMessage];
  return { status: response.statusCode ?? 0, body: await text(response) };
}
