// The examples for React, Vue and Svelte exactly as the documents have them, from a development server beside the
// worker.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { createElement } from "react";
import { renderToString } from "react-dom/server";
import { render as renderSvelte } from "svelte/server";
import { type Component, createSSRApp } from "vue";
import { renderToString as renderVue } from "vue/server-renderer";
import { exampleOf } from "../client/examples.ts";
import { Network } from "../client/network.ts";
import { type Bobbin, freshId, start } from "../worker/harness.ts";
import { CUT, type Tab, Visitor, until } from "./support/browser.ts";
import { type DevServer, serve } from "./support/dev_server.ts";

/** More than a message may have. */
const TOO_LONG = "x".repeat(300_000);

const MOUNTS = {
  React: `import { StrictMode, createElement } from "react";
    import { hydrateRoot } from "react-dom/client";
    import { Chat } from "./chat.tsx";
    const element = (props) => createElement(StrictMode, null, createElement(Chat, props));
    window.mount = (target, props) => hydrateRoot(target, element(props), { onRecoverableError: (error) => console.error(error) });`,
  Vue: `import { createApp } from "vue";
    import Chat from "./chat.vue";
    window.mount = (target, props) => createApp(Chat, props).mount(target);`,
  Svelte: `import { mount } from "svelte";
    import Chat from "./chat.svelte";
    window.mount = (target, props) => mount(Chat, { target, props });`,
};

let bobbin: Bobbin;
let server: DevServer;
let chat: Parameters<typeof createElement>[0];

before(async () => {
  bobbin = await start();
  server = await serve({
    "chat.tsx": exampleOf("client/README.md", "tsx", "function Chat("),
    "chat.vue": exampleOf("docs/frameworks.md", "vue"),
    "chat.svelte": exampleOf("docs/frameworks.md", "svelte"),
    ...Object.fromEntries(Object.entries(MOUNTS).map(([name, code]) => [`${name}.js`, code])),
    "index.html": "<!doctype html><title>Chat</title><link rel=icon href=data:,><div id=app></div>",
  });
  chat = (await server.load("/chat.tsx"))["Chat"] as typeof chat;
});
after(async () => {
  await server.close();
  await bobbin.close();
});

for (const framework of Object.keys(MOUNTS)) {
  test(`the example for ${framework} shows delivered, unsent and refused messages`, async (context) => {
    const network = await Network.to(bobbin.url);
    context.after(() => network.close());
    const visitor = await Visitor.arrive();
    const tab = await visitor.open(server.url);
    await mount(tab, framework, { sessionId: freshId(), url: network.url.origin });
    await tab.page.locator("small").waitFor({ state: "detached" });
    await tab.say("hello brave new world");
    await shows(tab, ["hello brave new world", "hello brave new world"]);
    await say(tab, TOO_LONG);
    await until(() => tab.page.getByRole("alert").innerText(), (text) => /has 300\d+ bytes; at most 262144 are allowed/.test(text));

    network.holdUp();
    network.cut();
    await tab.page.locator("small").filter({ hasNotText: "not sent" }).waitFor();
    await tab.say("are you there?");
    await until(() => paragraphs(tab), (all) => /^are you there\?.*not sent yet/.test(all[2] ?? ""));
    network.letPass();
    network.cut();
    await until(
      async () => (await tab.hurry(), paragraphs(tab)),
      (all) => all.filter((text) => text === "are you there?").length === 2,
    );
    await visitor.leave(CUT);
  });
}

test("a server renders the examples for Vue and Svelte, and opens no connection", async (context) => {
  const network = await Network.to(bobbin.url);
  context.after(() => network.close());
  const props = { sessionId: freshId(), url: network.url.origin };
  const [vue, svelte] = [await server.load("/chat.vue"), await server.load("/chat.svelte")];
  const rendered = [await renderVue(createSSRApp(vue["default"] as Component, props)), renderSvelte(svelte["default"] as never, { props } as never).body];
  for (const html of rendered) assert.match(html, /aria-label="Message".*Not connected\./s);
  // A connection that was on its way would have arrived by now.
  await fetch(new URL("/health", network.url));
  assert.equal(network.connections, 1);
});

test("a server-rendered page is hydrated unchanged, although there are unsent messages", async (context) => {
  const network = await Network.to(bobbin.url);
  context.after(() => network.close());
  const visitor = await Visitor.arrive();
  const props = { sessionId: freshId(), url: network.url.origin };
  network.holdUp();
  const tab = await visitor.open(server.url);
  await mount(tab, "React", props);
  await tab.say("wait for me");
  await until(() => paragraphs(tab), (all) => /not sent yet/.test(all[0] ?? ""));
  await tab.page.reload();
  await mount(tab, "React", props);
  await until(() => paragraphs(tab), (all) => /^wait for me.*not sent yet/.test(all[0] ?? ""));
  network.letPass();
  network.cut();
  await until(async () => (await tab.hurry(), paragraphs(tab)), (all) => all.filter((text) => text === "wait for me").length === 2);
  await visitor.leave(CUT);
});

test("a page on a development server's port can read the worker's list and sessions at once", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(server.url);
  assert.notEqual(new URL(server.url).port, bobbin.url.port);
  await mount(tab, "Vue", { sessionId: "from-a-dev-server", url: bobbin.url.origin });
  await tab.say("hello");
  await shows(tab, ["hello", "hello"]);
  const read = (path: string) => tab.page.evaluate(`fetch(${JSON.stringify(bobbin.url.origin + path)}).then((response) => response.json())`);
  const ids = async () => ((await read("/sessions")) as { sessions: { id: string }[] }).sessions.map(({ id }) => id);
  await until(ids, (all) => all.includes("from-a-dev-server"));
  assert.equal(((await read("/sessions/from-a-dev-server")) as { messageCount: number }).messageCount, 2);
  await visitor.leave();
});

async function mount({ page }: Tab, framework: string, props: { sessionId: string; url: string }): Promise<void> {
  const html = framework === "React" ? renderToString(createElement(chat, props as object)) : "";
  assert.ok(framework !== "React" || html.includes("Not connected."));
  await page.locator("#app").evaluate((app: { innerHTML: string }, html) => void (app.innerHTML = html), html);
  await page.addScriptTag({ type: "module", content: `await import("/${framework}.js"); mount(document.getElementById("app"), ${JSON.stringify(props)});` });
  await page.getByRole("textbox", { name: "Message" }).waitFor();
  // A form that is not hydrated yet would leave the page.
  if (framework === "React") await page.waitForFunction("Object.keys(document.querySelector('form')).some((name) => name.startsWith('__react'))");
}

const paragraphs = async ({ page }: Tab): Promise<string[]> => (await page.locator("p:not([role])").allInnerTexts()).map((text) => text.trim());

const shows = (tab: Tab, wanted: string[]) => until(() => paragraphs(tab), (all) => JSON.stringify(all) === JSON.stringify(wanted));

/** Filled at once: typing this much would take long. */
async function say(tab: Tab, text: string): Promise<void> {
  await tab.field.evaluate((field: { value: string; dispatchEvent(event: object): void }, text) => {
    field.value = text;
    field.dispatchEvent(new Event("input", { bubbles: true }));
  }, text);
  await tab.field.press("Enter");
}
