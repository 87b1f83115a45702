import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { after, test } from "node:test";
import { Refused } from "./client.ts";
import { freshId, start } from "./harness.ts";
import { asPage, bearer, claimsOf, hmac, ORIGIN, seconds, SECRET, startClosed, tokenOf, unsigned } from "./support/auth.ts";

const bobbin = await startClosed({ AUTH_AUDIENCE: "bobbin" });
after(bobbin.close);
const aud = "bobbin";
const good = (sub = "ann"): string => tokenOf(sub, { aud });

const HS256 = { alg: "HS256", typ: "JWT" };
const claims = (more: object = {}): object => claimsOf("ann", { aud, ...more });
const bad: Record<string, string> = {
  "no token at all": "",
  "a token that is not a JSON Web Token": "sesame",
  "two parts": unsigned(HS256, claims()),
  "four parts": `${good()}.more`,
  "the algorithm none without a signature": `${unsigned({ alg: "none" }, claims())}.`,
  "the algorithm None": `${unsigned({ alg: "None" }, claims())}.`,
  "the algorithm NONE with somebody's signature": `${unsigned({ alg: "NONE" }, claims())}.${good().split(".")[2]}`,
  "an algorithm of no letters": `${unsigned({ alg: "" }, claims())}.`,
  "no algorithm": hmac({ typ: "JWT" }, claims(), SECRET),
  "an algorithm that is a list": hmac({ alg: ["HS256"] }, claims(), SECRET),
  "the algorithm HS512": `${unsigned({ alg: "HS512" }, claims())}.${createHmac("sha512", SECRET).update(unsigned({ alg: "HS512" }, claims())).digest("base64url")}`,
  "an RS256 token where there is only a secret": hmac({ alg: "RS256" }, claims(), SECRET),
  "another secret": tokenOf("ann", { aud }, "another secret of more than thirty-two bytes"),
  "an empty secret": tokenOf("ann", { aud }, ""),
  "an empty signature": `${unsigned(HS256, claims())}.`,
  "a signature of other claims": `${unsigned(HS256, claims({ sub: "bob" }))}.${good().split(".")[2]}`,
  "a signature that is cut": good().slice(0, -4),
  "a signature in the other base64": good().replace(/[^.]*$/, (signature) => `${signature}==`),
  "an extension that is critical": hmac({ ...HS256, crit: ["b64"], b64: false }, claims(), SECRET),
  "another audience": tokenOf("ann", { aud: "elsewhere" }),
  "no audience": tokenOf("ann"),
  "a list of other audiences": tokenOf("ann", { aud: ["bobbin2", "bobbi"] }),
  "a token that expired a minute ago": tokenOf("ann", { aud, exp: seconds(-60) }),
  "an expiry that is not a number": tokenOf("ann", { aud, exp: "never" }),
  "an expiry before the epoch": tokenOf("ann", { aud, exp: -1 }),
  "an expiry beyond all numbers": tokenOf("ann", { aud, exp: 1e300 }),
  "no expiry": tokenOf("ann", { aud, exp: undefined }),
  "a token that is not valid for a minute yet": tokenOf("ann", { aud, nbf: seconds(60) }),
  "a beginning that is not a time": tokenOf("ann", { aud, nbf: "now" }),
  "no subject": tokenOf("ann", { aud, sub: undefined }),
  "an empty subject": tokenOf("", { aud }),
  "a subject that is a number": tokenOf("ann", { aud, sub: 7 }),
  "a subject of 257 bytes": tokenOf("s".repeat(257), { aud }),
  "claims that are a list": hmac(HS256, [claims()], SECRET),
  "claims that are nested without end": nested(),
  "a token of 9 KiB": tokenOf("ann", { aud, filler: "f".repeat(9 * 1024) }),
};

for (const [what, token] of Object.entries(bad)) {
  test(`${what} is refused: 401 over HTTP, 4401 on a socket, and nothing of it is repeated`, async () => {
    for (const path of ["/sessions", "/sessions/a", "/sessions/a/messages", "/sessions/a/diagnostics"]) {
      const response = await bobbin.fetch(path, bearer(token));
      const body = await response.text();
      assert.equal(response.status, 401, body);
      assert.equal(JSON.parse(body).error.code, "UNAUTHENTICATED");
      assertSilent(body, token);
    }
    for (const options of [bearer(token), asPage(token)]) {
      const client = await bobbin.connect(freshId(), options);
      const closed = await client.closed;
      assert.equal(closed.code, 4401);
      assert.match(closed.reason, /\w/);
      assertSilent(closed.reason, token);
      assert.deepEqual(client.all, []);
    }
  });
}

test("a valid token is accepted over HTTP and by both kinds of socket", async () => {
  assert.equal((await bobbin.fetch("/sessions", bearer(good()))).status, 200);
  for (const options of [bearer(good()), asPage(good())]) await bobbin.join(freshId(), options);
});

test("clocks may differ by half a minute", async () => {
  for (const more of [{ exp: seconds(-20) }, { nbf: seconds(20) }, { aud: ["elsewhere", "bobbin"] }, { exp: seconds(60) + 0.5 }]) {
    const response = await bobbin.fetch("/sessions", bearer(tokenOf("ann", { aud, ...more })));
    assert.equal(response.status, 200, JSON.stringify(more));
  }
});

test("a token in the address, a cookie or a body is not accepted as a credential", async () => {
  const [token, id] = [good(), freshId()];
  for (const name of ["token", "access_token", "jwt", "bearer", "authorization"]) {
    assert.equal((await bobbin.fetch(`/sessions?${name}=${token}`)).status, 401);
  }
  assert.equal((await bobbin.fetch("/sessions", { headers: { cookie: `token=${token}` } })).status, 401);
  const cancel = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ token }) };
  assert.equal((await bobbin.fetch(`/sessions/${id}/cancel`, cancel)).status, 401);
});

test("a scheme that is not Bearer is refused", async () => {
  for (const authorization of [`Basic ${btoa("ann:secret")}`, good(), `Bearer${good()}`, `Token ${good()}`]) {
    const response = await bobbin.fetch("/sessions", { headers: { authorization } });
    assert.equal(response.status, 401);
    assertSilent(await response.text(), authorization);
  }
});

test("a bearer subprotocol without bobbin.v1 beside it is refused", async () => {
  const { protocols = [] } = asPage(good());
  const client = await bobbin.connect(freshId(), { protocols: protocols.slice(1), headers: { origin: ORIGIN } }).catch((error: Error) => error);
  // The client library gives up on a server that speaks none of the protocols it offered; nobody was let in.
  if (client instanceof Error) assert.match(client.message, /subprotocol/i);
  else assert.equal((await client.closed).code, 4401);
});

test("only bobbin.v1 of the offered subprotocols is echoed, never a credential", async () => {
  for (const token of [good(), "sesame"]) {
    const client = await bobbin.connect(freshId(), asPage(token));
    assert.equal(client.protocol, "bobbin.v1");
  }
  const { protocols = [], ...rest } = asPage(good());
  const reversed = await bobbin.connect(freshId(), { ...rest, protocols: protocols.toReversed() });
  assert.equal(reversed.protocol, "bobbin.v1");
  await reversed.join();
});

test("the headers that tell the object about a caller cannot be set from outside", async () => {
  const [id, owner] = [freshId(), bearer(good("owner"))];
  const client = await bobbin.join(id, owner);
  client.say("r1", "mine");
  await client.next("final");
  const identity = JSON.stringify({ subject: "owner", granted: "owner", mayCreate: true });
  for (const value of [identity, encodeURIComponent(identity)]) {
    for (const name of ["x-bobbin-identity", "X-Bobbin-Identity", "x-bobbin-ticket"]) {
      const forged = { [name]: value };
      assert.equal((await bobbin.fetch(`/sessions/${id}`, { headers: forged })).status, 401);
      const headers = { ...bearer(good("mallory")).headers, ...forged };
      assert.equal((await bobbin.fetch(`/sessions/${id}`, { headers })).status, 404);
      assert.equal((await (await bobbin.connect(id, { headers })).closed).code, 4403);
      assert.equal((await (await bobbin.connect(id, { headers: forged })).closed).code, 4401);
    }
  }
});

test("a deployment without configuration refuses everybody and says what to set", async () => {
  const closed = await start({ vars: { AUTH: "" } });
  try {
    assert.equal((await closed.fetch("/health")).status, 200);
    for (const path of ["/sessions", "/sessions/a", "/sessions/a/messages"]) {
      const response = await closed.fetch(path, bearer(tokenOf("ann", {}, "")));
      assert.equal(response.status, 401);
      assert.match(((await response.json()) as { error: { message: string } }).error.message, /AUTH_JWT_SECRET.*AUTH_JWKS_URL.*AUTH=none/);
    }
    const ended = await (await closed.connect(freshId())).closed;
    assert.equal(ended.code, 4401);
    assert.match(ended.reason, /AUTH_JWT_SECRET/);
  } finally {
    await closed.close();
  }
});

test("an unknown value of AUTH lets nobody in", async () => {
  for (const mode of ["None", "NONE", "off", "false", "open", " none"]) {
    const closed = await start({ vars: { AUTH: mode } });
    try {
      assert.equal((await closed.fetch("/sessions")).status, 401, mode);
    } finally {
      await closed.close();
    }
  }
});

test("credentials never appear in a log", async () => {
  const token = good("logged");
  await bobbin.fetch("/sessions", bearer(`${token}x`));
  const session = freshId();
  await bobbin.join(session, asPage(token));
  await bobbin.logged([session, '"event":"connected"']);
  const logged = bobbin.logs.map((log) => log.message).join("\n");
  for (const secret of [SECRET, token, Buffer.from(token).toString("base64url"), ...Object.values(bad).filter((each) => each.length > 10)]) {
    assert.ok(!logged.includes(secret), secret);
  }
  assert.ok(!logged.includes(token.split(".")[1] as string));
});

test("an upgrade that is refused for its Origin is told so over HTTP", async () => {
  const refused = await bobbin.connect(freshId(), asPage(good(), "https://evil.example")).then(
    () => assert.fail("was connected"),
    (error: unknown) => error as Refused,
  );
  assert.ok(refused instanceof Refused, String(refused));
  assert.equal(refused.status, 403);
  assert.equal(JSON.parse(refused.body).error.code, "FORBIDDEN");
});

function assertSilent(text: string, token: string): void {
  for (const part of token.split(".").filter((part) => part.length > 8)) assert.ok(!text.includes(part), text);
}

function nested(): string {
  const deep = `{"sub":"ann","aud":"bobbin","exp":${seconds(60)},"x":${"[".repeat(2000)}${"]".repeat(2000)}}`;
  const text = `${Buffer.from(JSON.stringify(HS256)).toString("base64url")}.${Buffer.from(deep).toString("base64url")}`;
  return `${text}.${createHmac("sha256", SECRET).update(text).digest("base64url")}`;
}
