// A worker that requires tokens.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { after, test } from "node:test";
import { type Thread, type ThreadOptions, createSessionList, createThread, diagnose } from "bobbin-client";
import WebSocket from "ws";
import { freshId, start } from "../worker/harness.ts";
import { faster } from "./network.ts";
import { isReady, until } from "./threads.ts";

const SECRET = "a secret of thirty-two characters";
const HOUR_S = 3_600;
const SHORTLY_MS = 3_000;

const bobbin = await start({ vars: { AUTH: "jwt", AUTH_JWT_SECRET: SECRET } });
after(bobbin.close);

test("a subject with a token can chat, list, change and diagnose", async (context) => {
  const thread = open({ token: tokenOf("ada") });
  context.after(() => thread.close());
  assert.equal((await thread.send("hello").result).text, "hello");
  await thread.updateSession({ title: "Greetings" });
  const list = createSessionList({ url: bobbin.url, token: async () => tokenOf("ada") });
  await list.rename(thread.sessionId, "Hellos");
  await until(thread, ({ session }) => session?.title === "Hellos");
  const report = await diagnose(thread);
  assert.deepEqual(report.checks.filter(({ ok }) => !ok), []);
});

test("without a token, or with a wrong one, the thread fails and says why", async () => {
  for (const token of [undefined, "nonsense", tokenOf("ada", -HOUR_S), tokenOf("ada", HOUR_S, "another secret")]) {
    const thread = open({ token });
    await until(thread, ({ status }) => status === "failed");
    const { reason, connection } = thread.getSnapshot();
    assert.equal(connection.closeCode, 4401);
    assert.match(reason, /token|credential/);
    thread.close();
  }
});

test("an expired token is replaced by a fresh one", async (context) => {
  let asked = 0;
  const thread = open({ token: () => tokenOf("ada", (asked += 1) === 1 ? -HOUR_S : HOUR_S) });
  context.after(() => thread.close());
  await until(thread, isReady);
  assert.equal(asked, 2);
});

test("somebody else's session is not shown, and the thread says why", async (context) => {
  const own = open({ token: tokenOf("ada") });
  context.after(() => own.close());
  await own.send("mine").result;
  const stranger = open({ token: tokenOf("eve"), sessionId: own.sessionId });
  context.after(() => stranger.close());
  await until(stranger, ({ status }) => status === "failed", SHORTLY_MS);
  assert.equal(stranger.getSnapshot().connection.closeCode, 4403);
  assert.deepEqual(stranger.getSnapshot().messages, []);
});

test("a program outside a browser sends its token in the same way", async (context) => {
  const thread = open({ token: tokenOf("ada"), webSocket: undefined });
  context.after(() => thread.close());
  await until(thread, isReady, SHORTLY_MS);
});

/** A page's socket sends its Origin. */
class PageSocket extends WebSocket {
  constructor(url: string, protocols: string[] = []) {
    super(url, protocols, { origin: bobbin.url.origin });
  }
}

function open(options: ThreadOptions): Thread {
  const surroundings = { webSocket: PageSocket, timers: faster(20), random: () => 0.1 };
  return createThread({ url: bobbin.url, sessionId: freshId(), ...surroundings, ...options });
}

function tokenOf(subject: string, forSeconds = HOUR_S, secret = SECRET): string {
  const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString("base64url");
  const claims = { sub: subject, exp: Math.floor(Date.now() / 1_000) + forSeconds };
  const signed = `${encode({ alg: "HS256", typ: "JWT" })}.${encode(claims)}`;
  return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
}
