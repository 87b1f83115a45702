// Measures the page, for the table in docs/page.md: `npm run figures`.
import { readFileSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import type { CDPSession } from "playwright-core";
import { freshId, start } from "../worker/harness.ts";
import { fillObject } from "../worker/support/d1_fill.ts";
import { type Call, Upstream } from "../worker/upstream.ts";
import { type Tab, Visitor, closeBrowser, until } from "./support/browser.ts";
import { serveEmptyPages } from "./support/empty_pages.ts";
import { longestTasks } from "./support/tasks.ts";

const ASSETS = fileURLToPath(new URL("../../web/dist/assets/", import.meta.url));
const ROUNDS = 5;
const PAINTS = 15;
const MESSAGES = 5000;
/** 400 kbit/s, as a phone has at the edge of a cell. */
const SLOW = { offline: false, latency: 20, downloadThroughput: 50_000, uploadThroughput: 50_000 };
const LINES = [["this machine", undefined], ["400 kbit/s, processor ÷ 4", SLOW]] as const;

/** Records when the page says that it is connected. */
const WATCH = `new MutationObserver(() => {
  if (document.querySelector(".connection.ready")) window.connectedAt ??= performance.now();
}).observe(document, { childList: true, subtree: true, attributes: true });`;

try {
  for (const name of readdirSync(ASSETS).sort()) say(name.replace(/-[\w-]{8}\./, "."), `${gzipSync(readFileSync(ASSETS + name), { level: 9 }).length} bytes gzipped`);
  await painting();
  await connecting();
  await streaming();
  await many();
} finally {
  await closeBrowser();
}

/** The time to the first paint, compared with that of an empty page. The pages alternate, since the load of the machine changes. */
async function painting(): Promise<void> {
  const bobbin = await start();
  const empty = await serveEmptyPages(bobbin.url);
  const pages = { "an empty page": empty.bare, "an empty page with the headers of this one": empty.withHeaders, "this page": bobbin.url };
  for (const [name, line] of LINES) {
    const paints = new Map<string, Paint[]>();
    for (let round = 0; round < PAINTS; round += 1) {
      for (const [page, url] of Object.entries(pages)) paints.set(page, [...(paints.get(page) ?? []), await paint(url, line)]);
    }
    for (const [page, all] of paints) {
      const part = (read: (paint: Paint) => number) => `${Math.round(Math.min(...all.map(read)))} | ${median(all.map(read))}`;
      say(`${page}, ${name}: the document has come, first paint after it, first paint (best, median; ms)`, [part(({ came }) => came), part(({ came, painted }) => painted - came), part(({ painted }) => painted)].join(" | "));
    }
  }
  empty.close();
  await bobbin.close();
}

type Paint = { came: number; painted: number };

async function paint(url: URL, line: typeof SLOW | undefined): Promise<Paint> {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open("about:blank");
  if (line) await slow(await tab.page.context().newCDPSession(tab.page), line);
  await tab.page.goto(String(url), { waitUntil: "commit" });
  const times = `(() => {
    const paint = performance.getEntriesByName("first-contentful-paint")[0];
    return paint && { came: performance.getEntriesByType("navigation")[0].responseEnd, painted: paint.startTime };
  })()`;
  const seen = await until(() => tab.page.evaluate(times) as Promise<Paint | undefined>, (paint) => paint !== undefined);
  await visitor.close();
  return seen as Paint;
}

/** The time from the navigation to `connected`. */
async function connecting(): Promise<void> {
  const bobbin = await start();
  for (const [name, line] of LINES) {
    const times: number[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      const visitor = await Visitor.arrive();
      const tab = await visitor.open("about:blank");
      await tab.page.addInitScript(WATCH);
      if (line) await slow(await tab.page.context().newCDPSession(tab.page), line);
      await tab.page.goto(String(bobbin.url), { waitUntil: "commit" });
      await tab.page.locator(".connection.ready").waitFor({ timeout: 60_000 });
      times.push((await tab.page.evaluate("window.connectedAt")) as number);
      await visitor.close();
    }
    say(`connected, ${name}`, `${median(times)} ms`);
  }
  await bobbin.close();
}

async function slow(devtools: CDPSession, line: typeof SLOW): Promise<void> {
  await devtools.send("Network.enable");
  await devtools.send("Network.emulateNetworkConditions", line);
  await devtools.send("Emulation.setCPUThrottlingRate", { rate: 4 });
}

/** 200 tokens a second of thinking, of a tool's input and of text. */
async function streaming(): Promise<void> {
  const upstream = await Upstream.start();
  const bobbin = await start({ vars: upstream.vars });
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  await tab.isConnected();
  const [longest] = await longestTasks(tab.page, [
    async () => {
      await tab.say("Think, look it up and tell me all.");
      await answer(await upstream.next());
      await tab.isDone();
    },
  ]);
  say("longest task in 20 s at 200 tokens/s, processor time", `${Math.round(longest ?? 0)} ms`);
  await visitor.close();
  await bobbin.close();
  upstream.close();
}

async function answer(call: Call): Promise<void> {
  const thoughts = Array.from({ length: 1000 }, (_, index) => `thought${index}${index % 20 === 19 ? ".\n\n" : " "}`);
  await call.thinking(thoughts, 5);
  call.tool("call-1", "look_up", ['{"words":"']);
  await paced(1000, (index) => call.delta({ tool_calls: [{ index: 0, function: { arguments: `input${index} ` } }] }));
  call.delta({ tool_calls: [{ index: 0, function: { arguments: '"}' } }] });
  const part = (index: number) => `## Part ${index}\n\nWords with **bold**, \`code\` and [a link](https://example.com).\n\n- a\n- b\n\n\`\`\`js\nconst a = ${index};\n\`\`\`\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n`;
  const tokens = (Array.from({ length: 70 }, (_, index) => part(index)).join("").match(/[\s\S]{1,5}/g) ?? []).slice(0, 2000);
  await call.paced(tokens, 5);
  call.finish("tool_calls").done();
}

async function paced(count: number, say: (index: number) => void): Promise<void> {
  const begin = Date.now();
  for (let index = 0; index < count; index += 1) {
    const wait = begin + index * 5 - Date.now();
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
    say(index);
  }
}

/** The cost of a thread of 5,000 messages once all of it was read. */
async function many(): Promise<void> {
  const bobbin = await start({ vars: { ECHO_DELAY_MS: "0", REQUESTS_PER_MINUTE: "100000" } });
  const sessionId = freshId();
  const client = await bobbin.join(sessionId);
  client.say("first", "first");
  await client.until((frame) => frame.type === "final");
  await fillObject(bobbin, MESSAGES, 400);
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(new URL(`/s/${sessionId}`, bobbin.url));
  await tab.answer.getByText(`text ${MESSAGES - 1}`).waitFor();
  say("heap with its newest 50 messages", await heapOf(tab));
  const begin = Date.now();
  const [longest] = await longestTasks(tab.page, [() => toFirst(tab)]);
  say(`to the first of ${MESSAGES} messages`, `${Date.now() - begin} ms`);
  say("longest task meanwhile, processor time", `${Math.round(longest ?? 0)} ms`);
  say(`heap with ${MESSAGES} messages`, await heapOf(tab));
  await visitor.close();
  await bobbin.close();
}

async function toFirst(tab: Tab): Promise<void> {
  await tab.page.locator(".scroller").focus();
  await until(
    async () => {
      if ((await tab.page.locator(".earlier button[aria-disabled=true]").count()) === 0) await tab.page.keyboard.press("Home");
      return (await tab.page.getByText("text 0 ", { exact: false }).count()) > 0 && (await tab.page.locator(".earlier").count()) === 0;
    },
    (isThere) => isThere,
    180_000,
  );
}

async function heapOf(tab: Tab): Promise<string> {
  const devtools = await tab.page.context().newCDPSession(tab.page);
  await devtools.send("HeapProfiler.collectGarbage");
  const { usedSize } = await devtools.send("Runtime.getHeapUsage");
  const { nodes } = await devtools.send("Memory.getDOMCounters");
  await devtools.detach();
  return `${(usedSize / 1e6).toFixed(1)} MB, ${nodes} nodes`;
}

function median(values: number[]): number {
  return Math.round(values.sort((one, other) => one - other)[values.length >> 1] ?? 0);
}

function say(what: string, figure: string): void {
  console.log(`| ${what} | ${figure} |`);
}
