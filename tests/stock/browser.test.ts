// useChat in Chromium, on a page of another origin, by both transports.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, test } from "node:test";
import { build } from "esbuild";
import type { Page } from "playwright-core";
import { openTab, skip } from "../templates/browser.ts";
import { eventually } from "../worker/client.ts";
import { freshId, start } from "../worker/harness.ts";
import { Upstream } from "../worker/upstream.ts";
import { history } from "./support/chat.ts";

const upstream = await Upstream.start();
after(upstream.close);
const bobbin = await start({ vars: { AGENT: "ai-sdk", AGENT_BASE_URL: upstream.baseUrl } });
after(bobbin.close);
const site = skip ? undefined : await serve();
after(() => site?.close());

const say = (text: string) => [{ type: "text-start", id: "t" }, { type: "text-delta", id: "t", delta: text }];
const status = (page: Page, is: string) => page.locator("output", { hasText: new RegExp(`^${is}$`) }).waitFor();
const shows = (page: Page, text: string) => page.locator("article").last().getByText(text, { exact: true }).waitFor();
const texts = (page: Page) => page.locator("article").allInnerTexts();

async function ask(page: Page, text: string) {
  await page.getByLabel("Message").fill(text);
  await page.getByRole("button", { name: "Send" }).click();
  return upstream.next();
}

for (const by of ["HTTP", "WebSocket"]) {
  test(`by ${by}, a page sends, is reloaded in mid-stream, and a second tab shows the same`, { skip }, async () => {
    const id = freshId();
    const page = await openTab(address(id, by));
    const call = await ask(page, "hello");
    call.events(...say("begun "));
    await shows(page, "begun");
    await page.reload();
    await shows(page, "begun");
    const tab = await openTab(address(id, by));
    await shows(tab, "begun");
    call.events({ type: "text-delta", id: "t", delta: "and done" }, { type: "text-end", id: "t" }, { type: "finish", finishReason: "stop" }).done();
    for (const seen of [page, tab]) {
      await shows(seen, "begun and done");
      await status(seen, "ready");
      assert.deepEqual(await texts(seen), ["hello", "begun and done"]);
    }
    await page.getByRole("button", { name: "Again" }).click();
    (await upstream.next()).events(...say("once more"), { type: "text-end", id: "t" }, { type: "finish" }).done();
    await shows(page, "once more");
    assert.deepEqual(await texts(page), ["hello", "once more"]);
    await Promise.all([page.close(), tab.close()]);
  });

  test(`by ${by}, stop keeps the text so far, and the next message is answered`, { skip }, async () => {
    const id = freshId();
    const page = await openTab(address(id, by));
    const call = await ask(page, "long");
    call.events(...say("begun"));
    await shows(page, "begun");
    await page.getByRole("button", { name: "Stop" }).click();
    await status(page, "ready");
    if (by === "HTTP") await bobbin.fetch(`/api/chat/${id}/stop`, { method: "POST" });
    await call.aborted;
    (await ask(page, "next")).events(...say("goes on"), { type: "text-end", id: "t" }, { type: "finish" }).done();
    await shows(page, "goes on");
    await status(page, "ready");
    assert.deepEqual((await history(bobbin.url, id)).map((it) => it.parts.at(-1)).map((part: any) => part.text), ["long", "begun", "next", "goes on"]);
    await page.close();
  });

  test(`by ${by}, an approval is still requested after a reload, and given`, { skip }, async () => {
    const id = freshId();
    const page = await openTab(address(id, by));
    const call = await ask(page, "remove it");
    call.events(
      { type: "tool-input-available", toolCallId: "c1", toolName: "remove", input: {} },
      { type: "tool-approval-request", approvalId: "a1", toolCallId: "c1" },
      { type: "finish", finishReason: "tool-calls" },
    );
    call.done();
    await page.getByRole("button", { name: "Approve" }).waitFor();
    await status(page, "ready");
    await page.reload();
    await page.getByRole("button", { name: "Approve" }).click();
    const again = await upstream.next();
    again.events({ type: "tool-output-available", toolCallId: "c1", output: "removed" }, { type: "start-step" }, ...say("It is gone."), { type: "text-end", id: "t" }, { type: "finish" });
    again.done();
    await shows(page, "It is gone.");
    await status(page, "ready");
    assert.deepEqual(await texts(page), ["remove it", "output-available\n\nIt is gone."]);
    await page.close();
  });
}

for (const isOutside of [false, true]) {
  test(`by WebSocket, a chat that is made ${isOutside ? "outside of its component continues without it" : "by its component stops with it"}`, { skip }, async () => {
    const id = freshId();
    const page = await openTab(address(id, "WebSocket", isOutside));
    const call = await ask(page, "long");
    call.events(...say("begun "));
    await shows(page, "begun");
    await page.getByRole("button", { name: "Leave" }).click();
    if (!isOutside) await call.aborted;
    else call.events({ type: "text-delta", id: "t", delta: "and done" }, { type: "text-end", id: "t" }, { type: "finish", finishReason: "stop" }).done();
    const answer = async () => ((await history(bobbin.url, id)).at(-1)?.parts.at(-1) as { text?: string } | undefined)?.text;
    await eventually(async () => (await answer()) === (isOutside ? "begun and done" : "begun "), "the answer");
    await page.getByRole("button", { name: "Return" }).click();
    if (isOutside) assert.deepEqual(await texts(page), ["long", "begun and done"]);
    await page.close();
  });
}

function address(id: string, by: string, isOutside = false): URL {
  const url = new URL(site?.url ?? "");
  url.search = String(new URLSearchParams({ id, by, ...(isOutside && { outside: "" }) }));
  return url;
}

/** The page, which loads its chat's history as an application does. */
async function serve() {
  const bundle = await build({
    entryPoints: [new URL("support/page.tsx", import.meta.url).pathname],
    bundle: true, write: false, format: "esm", jsx: "automatic", define: { "process.env.NODE_ENV": '"production"' }, logLevel: "error",
  });
  const script = bundle.outputFiles[0]?.text ?? "";
  const server = createServer(async (request, response) => {
    const asked = new URL(request.url ?? "/", "http://localhost");
    if (asked.pathname === "/page.js") return response.writeHead(200, { "content-type": "text/javascript" }).end(script);
    if (asked.pathname !== "/") return response.writeHead(204).end();
    const id = asked.searchParams.get("id") ?? "";
    const messages = await history(bobbin.url, id).catch(() => []);
    const data = JSON.stringify({ worker: bobbin.url.origin, id, by: asked.searchParams.get("by"), isOutside: asked.searchParams.has("outside"), messages });
    response.writeHead(200, { "content-type": "text/html" });
    response.end(`<!doctype html><meta charset="utf-8"><body><script>test = ${data.replaceAll("<", "\\u003c")}</script><script type="module" src="/page.js"></script>`);
  });
  server.listen(0, "localhost");
  await once(server, "listening");
  return { url: `http://localhost:${(server.address() as AddressInfo).port}`, close: () => (server.closeAllConnections(), server.close()) };
}
