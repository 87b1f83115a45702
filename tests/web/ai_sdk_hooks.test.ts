// The example for the AI SDK's hooks, exactly as the client's README has it: the real `useChat`, in a real browser.
import { after, before, test } from "node:test";
import { exampleOf } from "../client/examples.ts";
import { Network } from "../client/network.ts";
import { type Bobbin, freshId, start } from "../worker/harness.ts";
import { CUT, type Tab, Visitor, until, words } from "./support/browser.ts";
import { type DevServer, serve } from "./support/dev_server.ts";

const MOUNT = `import { StrictMode, createElement as h, useState } from "react";
  import { createRoot } from "react-dom/client";
  import { AiChat } from "./chat.tsx";
  function Page(props) {
    const [isShown, show] = useState(true);
    return h(StrictMode, null, h("button", { onClick: () => show(!isShown) }, "Leave"), isShown && h(AiChat, props));
  }
  window.mount = (target, props) => createRoot(target).render(h(Page, props));`;

let bobbin: Bobbin;
let server: DevServer;

before(async () => {
  bobbin = await start({ vars: { ECHO_DELAY_MS: "20" } });
  const index = "<!doctype html><title>Chat</title><link rel=icon href=data:,><div id=app></div>";
  server = await serve({ "chat.tsx": exampleOf("client/README.md", "tsx", "function AiChat("), "mount.js": MOUNT, "index.html": index }, ["@ai-sdk/react", "ai"]);
});
after(async () => {
  await server.close();
  await bobbin.close();
});

test("a cut in a visible tab resumes by itself: every word is there once, and no error is shown", async (context) => {
  const network = await Network.to(bobbin.url);
  context.after(() => network.close());
  const visitor = await Visitor.arrive();
  const tab = await opened(visitor, freshId(), network.url);
  const said = words(80);
  await tab.say(said);
  await until(() => paragraphs(tab), (all) => (all[1] ?? "").length > 50);
  network.cut();
  await until(async () => (await tab.hurry(), paragraphs(tab)), (all) => (all[1] ?? "").length > 300);
  network.cut();
  await until(async () => (await tab.hurry(), paragraphs(tab)), (all) => JSON.stringify(all) === JSON.stringify([said, said]));
  await tab.button("Send").waitFor();
  await visitor.leave(CUT);
});

test("a second tab follows live, and either may stop", async () => {
  const visitor = await Visitor.arrive();
  const id = freshId();
  const one = await opened(visitor, id);
  await one.say(words(400));
  await until(() => paragraphs(one), (all) => (all[1] ?? "").length > 50);
  const other = await opened(visitor, id);
  await until(() => paragraphs(other), (all) => (all[1] ?? "").length > 100);
  await other.button("Stop").click();
  for (const tab of [one, other]) await tab.button("Send").waitFor();
  await until(async () => [await paragraphs(one), await paragraphs(other)], ([here, there]) => JSON.stringify(here) === JSON.stringify(there));
  await other.say("and now");
  for (const tab of [one, other]) await until(() => paragraphs(tab), (all) => all.length === 4 && all[3] === "and now");
  await visitor.leave();
});

test("a reload and a remounted component resume the streaming answer", async () => {
  const visitor = await Visitor.arrive();
  const id = freshId();
  const tab = await opened(visitor, id);
  const said = words(120);
  await tab.say(said);
  await until(() => paragraphs(tab), (all) => (all[1] ?? "").length > 50);
  await tab.page.reload();
  await mount(tab, id);
  await until(() => paragraphs(tab), (all) => (all[1] ?? "").length > 100);
  await tab.button("Leave").click();
  await tab.field.waitFor({ state: "detached" });
  await tab.button("Leave").click();
  await until(() => paragraphs(tab), (all) => JSON.stringify(all) === JSON.stringify([said, said]));
  await visitor.leave();
});

async function opened(visitor: Visitor, sessionId: string, url = bobbin.url): Promise<Tab> {
  const tab = await visitor.open(server.url);
  await mount(tab, sessionId, url);
  return tab;
}

async function mount(tab: Tab, sessionId: string, url = bobbin.url): Promise<void> {
  const props = JSON.stringify({ sessionId, url: url.origin });
  await tab.page.addScriptTag({ type: "module", content: `await import("/mount.js"); mount(document.getElementById("app"), ${props});` });
  await tab.field.waitFor();
}

const paragraphs = async ({ page }: Tab): Promise<string[]> => (await page.locator("p:not([role])").allInnerTexts()).map((text) => text.trim());
