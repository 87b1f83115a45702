// Takes the screenshots in docs/images: `npm run screenshots`.
import { mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { BrowserContextOptions } from "playwright-core";
import { type Bobbin, start } from "../worker/harness.ts";
import { type Call, Upstream } from "../worker/upstream.ts";
import { closeBrowser, type Tab, Visitor } from "./support/browser.ts";

const FOLDER = fileURLToPath(new URL("../../docs/images/", import.meta.url));
const PHONE: BrowserContextOptions = { viewport: { width: 390, height: 780 }, hasTouch: true, isMobile: true };
const HAPPENED = ["Names for a sailing boat", "Why is the sky blue?", "Review of the retry logic", "Packing list for Tromsø"];

const TIDES = `Twice a day the sea rises and falls, because the **moon** pulls harder on the near side of the Earth than on the far side.

1. The near side bulges towards the moon.
2. The far side is left behind, and bulges away from it.
3. The Earth turns under both bulges once in 24 h 50 min.

The height follows a sum of cosines, one for each pull:

$$h(t) = \\sum_{i=1}^{n} a_i \\cos\\left(\\frac{2\\pi t}{T_i} + \\varphi_i\\right)$$

\`\`\`python
def height(t, parts):
    """Metres above the mean, t in hours."""
    return sum(a * cos(2 * pi * t / period + phase)
               for a, period, phase in parts)
\`\`\`

The strongest part, called M2, has a period of 12.42 h.`;

/** The place in the answer at which the streaming is captured. */
const PAUSE = TIDES.indexOf(" M2, has");

const upstream = await Upstream.start();
const bobbin = await start({ vars: upstream.vars });
mkdirSync(FOLDER, { recursive: true });
try {
  await take(bobbin);
} finally {
  await closeBrowser();
  await bobbin.close();
  upstream.close();
}

async function take(bobbin: Bobbin): Promise<void> {
  const visitor = await Visitor.arrive({ viewport: { width: 1120, height: 720 }, reducedMotion: "reduce" });
  const tab = await visitor.open(bobbin.url);
  await tab.isConnected();
  await save(tab, "empty");
  for (const title of HAPPENED) {
    await ask(tab, title, (call) => call.answer("Gladly."));
    await tab.button("New session").click();
  }
  await ask(tab, "Why are there two tides a day, and how would I compute one?", (call) => {
    call.text(TIDES.slice(0, PAUSE));
  }, false);
  await tab.answer.getByText("The strongest part").waitFor();
  await save(tab, "streaming");
  upstream.calls.at(-1)?.text(TIDES.slice(PAUSE)).finish().usage(412, 187).done();
  await tab.isDone();
  await tab.choose("Find in this session");
  await tab.page.locator(".find-bar input").fill("far side");
  await tab.page.locator(".find-count", { hasText: "of" }).waitFor();
  await save(tab, "find");
  await tab.page.keyboard.press("Escape");
  await tab.button("Regenerate").click();
  (await upstream.next()).text(TIDES).finish().usage(412, 187).done();
  await tab.answer.getByRole("group", { name: "Versions" }).waitFor();
  await tab.button("Figures").click();
  await tab.page.emulateMedia({ colorScheme: "dark" });
  await save(tab, "dark");
  await tab.page.emulateMedia({ colorScheme: "light" });
  await tab.choose("Diagnostics");
  await tab.sees("All is well.");
  await save(tab, "diagnostics");
  await tab.page.keyboard.press("Escape");
  const tides = tab.page.url();

  await tab.button("New session").click();
  await ask(tab, "Is it a good evening to sail out of Oslo?", (call) => {
    call.delta({ reasoning_content: "They want to sail tonight. I need the wind first, then the time of sunset." });
    call.text("Let me look at the wind and the light.");
    call.tool("call-1", "get_weather", [JSON.stringify({ place: "Oslo", hours: 6 })]);
    call.tool("call-2", "get_sunset", [JSON.stringify({ place: "Oslo" })], 1).finish("tool_calls").done();
  });
  for (const index of [0, 1]) await tab.answer.locator("summary").nth(index).click();
  await save(tab, "tools");
  await visitor.close();

  const phone = await Visitor.arrive({ ...PHONE, reducedMotion: "reduce" });
  const small = await phone.open(tides);
  await small.isDone();
  await small.answer.locator(".hljs-keyword").first().waitFor();
  await save(small, "phone");
  await phone.close();
}

async function ask(tab: Tab, text: string, answer: (call: Call) => unknown, isWhole = true): Promise<void> {
  await tab.say(text);
  answer(await upstream.next());
  if (isWhole) await tab.isDone();
}

async function save(tab: Tab, name: string): Promise<void> {
  await tab.page.mouse.move(1, 1);
  // Highlighting and the list appear a moment later.
  await tab.page.waitForTimeout(500);
  const path = join(FOLDER, `${name}.png`);
  await tab.page.screenshot({ path });
  console.log(`${name}.png ${Math.round(statSync(path).size / 1024)} KB`);
}
