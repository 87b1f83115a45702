import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type Bobbin, start } from "../worker/harness.ts";
import { askForPlace, askToSend, partsOf, say } from "../worker/support/route.ts";
import { Upstream } from "../worker/upstream.ts";
import { Visitor } from "./support/browser.ts";

let upstream: Upstream;
let bobbin: Bobbin;
before(async () => {
  upstream = await Upstream.start();
  bobbin = await start({ vars: { AGENT: "ai-sdk", AGENT_BASE_URL: upstream.baseUrl } });
});
after(async () => {
  await bobbin.close();
  upstream.close();
});

test("a waiting call asks for a decision in every tab, and the first answer counts for all", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  await tab.say("Write to Ann.");
  askToSend(await upstream.next());
  await tab.answer.getByText("May this be carried out?").waitFor();
  await tab.answer.locator("pre").getByText("ann@example.com").waitFor();
  const other = await visitor.open(tab.page.url());
  await other.answer.getByRole("button", { name: "Approve" }).waitFor();
  await tab.answer.getByRole("button", { name: "Approve" }).press("Enter");
  const again = await upstream.next();
  assert.deepEqual(partsOf(again, "send_mail").map(({ state, approval }) => [state, approval.approved]), [["approval-responded", true]]);
  await other.answer.getByText("May this be carried out?").waitFor({ state: "detached" });
  say(again, "It is sent.");
  for (const page of [tab, other]) await page.answer.getByText("It is sent.").waitFor();
  await visitor.leave();
});

test("a call is denied with a reason, which the agent is told, also after a reload", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  await tab.say("Write to Ann.");
  askToSend(await upstream.next());
  await tab.answer.getByRole("button", { name: "Deny" }).waitFor();
  await tab.page.reload();
  await tab.answer.getByRole("button", { name: "Deny" }).click();
  await tab.answer.getByLabel("Why not?").fill("She is on holiday.");
  await tab.answer.getByLabel("Why not?").press("Enter");
  const again = await upstream.next();
  const [part] = partsOf(again, "send_mail");
  assert.equal(part.approval.approved, false);
  assert.equal(part.approval.reason, "She is on holiday.");
  say(again, "Then not.");
  await tab.answer.getByText("Then not.").waitFor();
  await tab.answer.locator("summary", { hasText: "send_mail" }).click();
  await tab.answer.getByText("She is on holiday.").first().waitFor();
  await visitor.leave();
});

test("a tool that is always allowed in a session does not ask again", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  await tab.say("Write to Ann.");
  askToSend(await upstream.next());
  await tab.answer.getByRole("button", { name: "Always in this session" }).click();
  const again = await upstream.next();
  assert.equal(partsOf(again, "send_mail")[0].approval.approved, true);
  say(again, "Sent.");
  await tab.answer.getByText("Sent.").waitFor();
  await tab.say("And once more.");
  askToSend(await upstream.next(), "c2");
  const next = await upstream.next();
  assert.equal(next.body.permissionMode, "bypassPermissions");
  say(next, "Sent again.");
  await tab.answer.getByText("Sent again.").waitFor();
  assert.equal(await tab.answer.getByRole("button", { name: "Approve" }).count(), 0);
  await visitor.leave();
});

test("Stop ends a waiting turn, and its open calls are denied", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  await tab.say("Write to Ann.");
  askToSend(await upstream.next());
  await tab.answer.getByRole("button", { name: "Approve" }).waitFor();
  await tab.button("Stop").click();
  await tab.answer.getByText("Stopped.").waitFor();
  assert.equal(await tab.answer.getByRole("button", { name: "Approve" }).count(), 0);
  await visitor.leave();
});

test("a person gives the result of a tool that no program runs", async () => {
  const visitor = await Visitor.arrive();
  const tab = await visitor.open(bobbin.url);
  await tab.say("Where am I?");
  askForPlace(await upstream.next());
  await tab.answer.getByLabel("Result").fill("In Oslo");
  await tab.answer.getByRole("button", { name: "Send" }).click();
  const again = await upstream.next();
  const [part] = partsOf(again, "ask_place");
  assert.deepEqual([part.state, part.output], ["output-available", "In Oslo"]);
  say(again, "Oslo, then.");
  await tab.answer.getByText("Oslo, then.").waitFor();
  await visitor.leave();
});
