// A Chromium for a test file. Without one its tests are reported as skipped.
import assert from "node:assert/strict";
import { after } from "node:test";
import { type Browser, type Page, chromium } from "playwright-core";

const DEADLINE_MS = 20_000;

export const executablePath = process.env["CHROME_PATH"];
/** For `test`: the reason why it is skipped, if it is. */
export const skip = executablePath ? false : "CHROME_PATH names no browser";

let browser: Promise<Browser> | undefined;
const errors: string[] = [];
after(async () => {
  await (await browser)?.close();
  assert.deepEqual(errors, []);
});

let context: ReturnType<Browser["newContext"]> | undefined;

/** A tab, whose errors fail the file. Tabs share the browser's storage. */
export async function openTab(url: URL | string): Promise<Page> {
  browser ??= chromium.launch({ ...(executablePath && { executablePath }), args: ["--no-sandbox", "--disable-gpu", "--no-first-run"] });
  context ??= browser.then((launched) => launched.newContext());
  const page = await (await context).newPage();
  page.setDefaultTimeout(DEADLINE_MS);
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  await page.goto(String(url));
  return page;
}

export async function say(page: Page, text: string): Promise<void> {
  await page.getByLabel("Message").fill(text);
  await page.getByRole("button", { name: "Send" }).click();
}

/** The last answer, once it is over. */
export async function answered(page: Page, text: string): Promise<void> {
  await page.getByRole("button", { name: "Send" }).waitFor();
  await page.locator("article.assistant").last().getByText(text, { exact: true }).waitFor();
}
