import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { after, before, test } from "node:test";
import { type Bobbin, start } from "../worker/harness.ts";
import { Visitor } from "./support/browser.ts";

const SECRET = "a secret of thirty-two characters";
const HOUR_S = 3_600;
/** Chromium tells every refusal. */
const REFUSED = /status of 401/;

let bobbin: Bobbin;
before(async () => {
  bobbin = await start({ vars: { AUTH: "jwt", AUTH_JWT_SECRET: SECRET } });
});
after(() => bobbin.close());

test("a deployment that asks for a token gets the one that is pasted, until the tab is closed", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  await tab.sees("This deployment asks for a token");
  await tab.page.getByLabel("Token", { exact: true }).fill("no token at all");
  await tab.button("Use this token").click();
  await tab.sees("This deployment asks for a token");
  await tab.page.getByLabel("Token", { exact: true }).fill(tokenOf("ada"));
  await tab.button("Use this token").click();
  await tab.isConnected();
  await tab.say("let in");
  await tab.isDone();
  await tab.sessions.getByRole("link", { name: "let in" }).waitFor();
  await tab.page.reload();
  await tab.isDone();
  await tab.choose("Diagnostics");
  await tab.sees("All is well.");
  await tab.page.keyboard.press("Escape");
  assert.equal(await tab.page.evaluate("JSON.stringify(localStorage).includes('eyJ')"), false);

  const other = await visitor.open(bobbin.url);
  await other.sees("This deployment asks for a token");
  await visitor.leave(REFUSED);
});

test("a token that is forgotten closes the session", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  await tab.page.getByLabel("Token", { exact: true }).fill(tokenOf("grace"));
  await tab.button("Use this token").click();
  await tab.isConnected();
  await tab.button("Forget the token").click();
  await tab.sees("This deployment asks for a token");
  await visitor.leave(REFUSED);
});

function tokenOf(subject: string): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const signed = `${part({ alg: "HS256", typ: "JWT" })}.${part({ sub: subject, exp: Math.floor(Date.now() / 1000) + HOUR_S })}`;
  return `${signed}.${createHmac("sha256", SECRET).update(signed).digest("base64url")}`;
}
