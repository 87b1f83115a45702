// The AI SDK's chats for Vue and Svelte, from their packages: the same protocol with another way of keeping state.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { Chat as VueChat } from "@ai-sdk/vue";
import { type AbstractChat, type ChatInit, DefaultChatTransport, type UIMessage } from "ai";
import { type Plugin, build } from "esbuild";
import { compileModule } from "svelte/compiler";
import { eventually } from "../worker/client.ts";
import { freshId, start } from "../worker/harness.ts";
import { Upstream } from "../worker/upstream.ts";
import { history, textOf } from "./support/chat.ts";

type Chat = Pick<AbstractChat<UIMessage>, "messages" | "status" | "sendMessage" | "stop" | "resumeStream" | "regenerate">;
type Make = (init: ChatInit<UIMessage>) => Chat;

const folder = mkdtempSync(join(tmpdir(), "bobbin-svelte-"));
after(() => rmSync(folder, { recursive: true, force: true }));
const upstream = await Upstream.start();
after(upstream.close);
const bobbin = await start({ vars: upstream.vars });
after(bobbin.close);
const SvelteChat = await svelteChat();

const frameworks: Record<string, Make> = {
  Vue: (init) => new VueChat(init as never) as unknown as Chat,
  Svelte: (init) => new SvelteChat(init),
};

for (const [name, make] of Object.entries(frameworks)) {
  const open = (id: string, messages: UIMessage[] = []) => make({ id, messages, transport: new DefaultChatTransport({ api: new URL("/api/chat", bobbin.url).href }) });
  const text = (chat: Chat) => textOf(chat.messages.at(-1));

  test(`${name}: an answer streams, and the history has the same ids`, async () => {
    const id = freshId();
    const chat = open(id);
    const sent = chat.sendMessage({ text: "hello" });
    const call = await upstream.next();
    call.text("Hi ");
    await eventually(async () => text(chat) === "Hi ", "the first word");
    assert.equal(chat.status, "streaming");
    call.text("there").finish().done();
    await sent;
    assert.deepEqual([chat.status, text(chat)], ["ready", "Hi there"]);
    assert.deepEqual((await history(bobbin.url, id)).map((message) => message.id), chat.messages.map((message) => message.id));
  });

  test(`${name}: a page that is opened again continues in the middle of the answer`, async () => {
    const id = freshId();
    const first = open(id);
    void first.sendMessage({ text: "hello" });
    const call = await upstream.next();
    call.text("one ");
    await eventually(async () => text(first) === "one ", "the first word");
    await first.stop();
    const second = open(id, await history(bobbin.url, id));
    const resumed = second.resumeStream();
    await eventually(async () => text(second) === "one ", "what was said");
    call.text("two").finish().done();
    await resumed;
    assert.deepEqual([second.status, text(second), second.messages.length], ["ready", "one two", 2]);
  });

  test(`${name}: a regenerated answer takes the place of the one before`, async () => {
    const id = freshId();
    const chat = open(id);
    for (const [ask, said] of [[() => chat.sendMessage({ text: "hello" }), "one"], [() => chat.regenerate(), "two"]] as const) {
      const asked = ask();
      (await upstream.next()).text(said).finish().done();
      await asked;
      assert.deepEqual([text(chat), chat.messages.length], [said, 2]);
    }
    assert.equal(textOf((await history(bobbin.url, id)).at(-1)), "two");
  });
}

/** Svelte's package is written with runes, which its users' bundler compiles. */
async function svelteChat(): Promise<new (init: ChatInit<UIMessage>) => Chat> {
  const runes: Plugin = {
    name: "runes",
    setup: ({ onLoad }) =>
      onLoad({ filter: /\.svelte\.js$/ }, ({ path }) => ({ contents: compileModule(readFileSync(path, "utf8"), { filename: path, generate: "server" }).js.code })),
  };
  const outfile = join(folder, "chat.mjs");
  const entry = fileURLToPath(new URL("../../node_modules/@ai-sdk/svelte/dist/chat.svelte.js", import.meta.url));
  await build({ entryPoints: [entry], bundle: true, format: "esm", platform: "node", outfile, plugins: [runes], logLevel: "error", banner: { js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);' } });
  return ((await import(pathToFileURL(outfile).href)) as { Chat: new (init: ChatInit<UIMessage>) => Chat }).Chat;
}
