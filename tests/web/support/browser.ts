// One Chromium for each test file, and pages in it that record every error.
import assert from "node:assert/strict";
import { after } from "node:test";
import { type Browser, type BrowserContextOptions, type Locator, type Page, chromium } from "playwright-core";

const DEADLINE_MS = 15_000;
/** Without these flags, Chromium contacts Google's hosts at every start. */
const ARGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

let browser: Promise<Browser> | undefined;
// The screenshots are not a test.
if (process.env["NODE_TEST_CONTEXT"]) after(closeBrowser);

export async function closeBrowser(): Promise<void> {
  await (await browser)?.close();
}

function launch(): Promise<Browser> {
  const executablePath = process.env["CHROME_PATH"];
  if (!executablePath) throw new Error("CHROME_PATH names no browser: run `npm run test:web`, which looks for one");
  const start = () => chromium.launch({ executablePath, args: ARGS });
  // Chromium sometimes crashes at its start, which says nothing about the page.
  browser ??= start().catch(start);
  return browser;
}

/** A person at a browser: all tabs share the browser's storage. */
export class Visitor {
  readonly #context: Awaited<ReturnType<Browser["newContext"]>>;
  readonly #tabs: Tab[] = [];
  readonly close: () => Promise<void>;
  readonly setOffline: (isOffline: boolean) => Promise<void>;

  private constructor(context: Awaited<ReturnType<Browser["newContext"]>>) {
    this.#context = context;
    this.close = () => context.close();
    this.setOffline = (isOffline) => context.setOffline(isOffline);
  }

  static async arrive(options: BrowserContextOptions = {}): Promise<Visitor> {
    const context = await (await launch()).newContext({ viewport: { width: 1200, height: 800 }, ...options });
    context.setDefaultTimeout(DEADLINE_MS);
    await context.grantPermissions(["clipboard-read", "clipboard-write"]);
    return new Visitor(context);
  }

  async open(url: URL | string): Promise<Tab> {
    const tab = this.#watch(await this.#context.newPage());
    await tab.page.goto(String(url));
    return tab;
  }

  /** The tab that a tab opens. */
  async follow(tab: Tab, open: () => Promise<unknown>): Promise<Tab> {
    const [page] = await Promise.all([tab.page.waitForEvent("popup"), open()]);
    return this.#watch(page);
  }

  #watch(page: Page): Tab {
    const tab = new Tab(page);
    this.#tabs.push(tab);
    return tab;
  }

  /** Leaves, after checking that no tab has recorded an error. Errors that match `allowed` do not count. */
  async leave(allowed?: RegExp): Promise<void> {
    await this.close();
    const errors = this.#tabs.flatMap((tab) => tab.errors).filter((error) => !allowed?.test(error));
    assert.deepEqual(errors, []);
  }
}

/** The browser's error for a server that is not there. */
export const OUTAGE = /net::ERR_|WebSocket connection to .* failed/;

/**
 * The errors after a cut connection: without a socket the client makes HTTP requests, also for sessions that do not
 * exist yet.
 */
export const CUT = new RegExp(`${OUTAGE.source}|status of 404`);

export class Tab {
  readonly page: Page;
  readonly errors: string[] = [];

  constructor(page: Page) {
    this.page = page;
    page.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warning") this.errors.push(message.text());
    });
    page.on("pageerror", (error) => this.errors.push(String(error)));
  }

  get field(): Locator {
    return this.page.getByRole("textbox", { name: "Message" });
  }

  get answers(): Locator {
    return this.page.locator(".answer");
  }

  get answer(): Locator {
    return this.answers.last();
  }

  get sessions(): Locator {
    return this.page.getByRole("navigation", { name: "Sessions" });
  }

  get sessionId(): string {
    return new URL(this.page.url()).pathname.replace("/s/", "");
  }

  button(name: string): Locator {
    return this.page.getByRole("button", { name, exact: true });
  }

  async say(text: string): Promise<void> {
    await this.field.fill(text);
    await this.field.press("Enter");
  }

  async choose(action: string): Promise<void> {
    await this.button("Session actions").click();
    await this.page.locator("#actions").getByRole("button", { name: action, exact: true }).click();
  }

  async sees(text: string | RegExp): Promise<void> {
    await this.page.getByText(text).first().waitFor();
  }

  /** The connection's state as the page shows it. */
  async isConnected(): Promise<void> {
    await this.page.locator(".connection.ready").waitFor();
  }

  /** Tries to connect now, unless an attempt is already running. */
  async hurry(): Promise<void> {
    await this.page.evaluate("dispatchEvent(new Event('online')), undefined");
  }

  /** Waits until the last turn is over, however it ended, and the code that renders its Markdown is loaded. */
  async isDone(timeout = DEADLINE_MS): Promise<void> {
    await this.page.locator(".exchange:last-child:not(:has(.markdown.as-written)) .end").waitFor({ timeout });
  }
}

/** Polls until the read value is the expected one. */
export async function until<T>(read: () => Promise<T>, isWanted: (value: T) => boolean, deadlineMs = DEADLINE_MS): Promise<T> {
  const end = Date.now() + deadlineMs;
  for (;;) {
    const value = await read();
    if (isWanted(value)) return value;
    if (Date.now() > end) throw new Error(`not seen in time; at last: ${JSON.stringify(value)}`);
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
}

/** This many different words. */
export const words = (count: number): string => Array.from({ length: count }, (_, index) => `word${index}`).join(" ");
