// A browser's own EventSource, without any of Bobbin's client.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import type { Frame } from "../worker/client.ts";
import { type Bobbin, freshId, start } from "../worker/harness.ts";
import { bearer, tokenOf, SECRET } from "../worker/support/auth.ts";
import { Fold, logOf } from "../worker/support/fold.ts";
import { post } from "../worker/support/events.ts";
import { Upstream } from "../worker/upstream.ts";
import { OUTAGE, type Tab, Visitor, until } from "./support/browser.ts";
import { Line } from "./support/line.ts";

const CUTS = 3;
/** Chromium reconnects after 3 s. */
const RETRY_MS = 15_000;

const text = readFileSync(fileURLToPath(new URL("../../docs/http.md", import.meta.url)), "utf8");
const FOLLOW = /^```js\n(.*?)^```/ms.exec(text)?.[1] ?? "";

let upstream: Upstream;
let bobbin: Bobbin;
let closed: Bobbin;
before(async () => {
  upstream = await Upstream.start();
  bobbin = await start({ vars: upstream.vars });
  closed = await start({ vars: { ...upstream.vars, AUTH: "jwt", AUTH_JWT_SECRET: SECRET } });
});
after(async () => {
  await bobbin.close();
  await closed.close();
  upstream.close();
});

test("an EventSource that is cut in mid-answer reconnects by itself, with nothing missing and nothing twice", { timeout: 60_000 }, async (t) => {
  await followThroughCuts(t, bobbin, {}, (id) => `window.source = new EventSource("/sessions/${id}/events"); source.onmessage = ({ data }) => frames.push(JSON.parse(data));`);
});

test("an EventSource with an events ticket does the same, using the snippet in docs/http.md", { timeout: 60_000 }, async (t) => {
  const token = tokenOf("ann");
  await followThroughCuts(t, closed, bearer(token).headers, (id) => `(${FOLLOW.trim()})("${id}", "${token}", (frame) => frames.push(frame)).then((it) => { window.source = it; })`);
});

test("deleting the session closes the source, which stays closed", async () => {
  const token = tokenOf("ann");
  const id = freshId();
  await post(closed.url, id, { content: "hello" }, bearer(token).headers);
  (await upstream.next()).answer("hi");
  const visitor = await Visitor.arrive();
  const tab = await emptyPage(visitor, closed.url);
  await begin(tab, `(${FOLLOW.trim()})("${id}", "${token}", (frame) => frames.push(frame)).then((it) => { window.source = it; })`);
  await until(() => framesOf(tab), (frames) => frames.some(({ type }) => type === "snapshot"));
  await closed.fetch(`/sessions/${id}`, { method: "DELETE", ...bearer(token) });
  await until(() => framesOf(tab), (frames) => frames.at(-1)?.["code"] === 4410);
  assert.equal(await tab.page.evaluate("source.readyState"), 2);
  await visitor.leave();
});

type Test = { after(done: () => unknown): void };

async function followThroughCuts(t: Test, worker: Bobbin, headers: Record<string, string>, code: (id: string) => string): Promise<void> {
  const id = freshId();
  const line = await Line.to(worker.url);
  t.after(() => line.close());
  const visitor = await Visitor.arrive();
  const tab = await emptyPage(visitor, line.url);
  await begin(tab, code(id));
  await until(() => framesOf(tab), (frames) => frames.some(({ type }) => type === "snapshot"));
  await post(worker.url, id, { requestId: "r1", content: "hello" }, headers);
  const call = await upstream.next();
  for (let cut = 0; cut < CUTS; cut += 1) {
    call.text(`${cut}a `);
    await until(() => framesOf(tab), (frames) => tokens(frames).endsWith(`${cut}a `), RETRY_MS);
    line.cut();
    call.text(`${cut}b `);
    line.mend();
  }
  call.finish().done();
  const frames = await until(() => framesOf(tab), (frames) => frames.some(({ type }) => type === "final"), RETRY_MS);
  assert.equal(frames.filter(({ type }) => type === "connected").length, CUTS + 1);
  assert.equal(frames.filter(({ type }) => type === "snapshot").length, 1);
  assert.equal(tokens(frames), "0a 0b 1a 1b 2a 2b ");
  assert.deepEqual(Fold.of(frames).messages, await logOf(worker, id));
  await tab.page.evaluate("source.close()");
  await visitor.leave(OUTAGE);
}

/** A page of this origin without the worker's content security policy. */
async function emptyPage(visitor: Visitor, url: URL): Promise<Tab> {
  const tab = await visitor.open("about:blank");
  await tab.page.route("**/empty", (route) => route.fulfill({ contentType: "text/html", body: "<!doctype html><title>Empty</title><link rel=icon href=data:,>" }));
  await tab.page.goto(String(new URL("/empty", url)));
  return tab;
}

async function begin(tab: Tab, code: string): Promise<void> {
  await tab.page.evaluate(`window.frames_ = []; { const frames = window.frames_; ${code} }`);
}

const framesOf = (tab: Tab): Promise<Frame[]> => tab.page.evaluate("window.frames_");
const tokens = (frames: Frame[]): string => frames.filter(({ type }) => type === "token").map((frame) => frame["token"]).join("");
