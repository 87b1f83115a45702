// Runs the commands and programs in docs/http.md as they stand.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Line } from "../web/support/line.ts";
import { endOf, eventually } from "./client.ts";
import { freshId, start } from "./harness.ts";
import { follow, post } from "./support/events.ts";
import { askToSend, say } from "./support/route.ts";
import { Upstream } from "./upstream.ts";

const NEEDS_HTTPX = hasHttpx() ? false : "python3 with httpx is not here: `python3 -m pip install httpx`; the calls that the program makes are tested below";

const text = readFileSync(fileURLToPath(new URL("../../docs/http.md", import.meta.url)), "utf8");
const snippets = (language: string): string[] => [...text.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\``, "gms"))].map(([, code]) => code ?? "");
const [ask = "", resume = "", append = ""] = snippets("sh");
const [program = ""] = snippets("python");

const bobbin = await start();
after(bobbin.close);
const upstream = await Upstream.start();
after(upstream.close);
const deciding = await start({ vars: { AGENT: "ai-sdk", AGENT_BASE_URL: upstream.baseUrl } });
after(deciding.close);

test("the document has the snippets that are run here", () => {
  assert.deepEqual([snippets("sh").length, snippets("python").length, snippets("js").length], [3, 1, 1]);
});

test("with curl a message is sent and its answer followed, and repeating it is safe", async () => {
  const session = freshId();
  for (const _ of [1, 2]) {
    const { out, code } = await run("bash", ["-euc", ask], { SESSION: session });
    assert.equal(code, 0);
    const frames = framesOf(out);
    assert.match(frames.map(({ type }) => type).join(), /^user_message,(token,)+final$/);
    assert.equal(frames.at(-1).response.content, "How deep is the sea?");
  }
});

test("with curl a thread is followed from the last id", { timeout: 30_000 }, async () => {
  const session = freshId();
  const { body } = await post(bobbin.url, session, { requestId: "r1", content: "hello" });
  const { out, code } = await run("bash", ["-euc", resume], { SESSION: session, LAST: body.cursor });
  assert.equal(code, 0);
  const frames = framesOf(out);
  assert.equal(frames[0].resumed, true);
  assert.equal(frames.find(endOf("r1"))?.response.content, "hello");
});

test("a cron job that runs twice posts its message once", async () => {
  const session = freshId();
  const said = [];
  for (const _ of [1, 2]) {
    const { out, code } = await run("bash", ["-euc", append], { SESSION: session });
    assert.equal(code, 0);
    said.push(JSON.parse(out).requestId);
  }
  assert.match(said[0], /^backup-\d{4}-\d\d-\d\d$/);
  assert.equal(said[0], said[1]);
  const { messages } = (await (await bobbin.fetch(`/sessions/${session}/messages`)).json()) as any;
  assert.deepEqual(messages.map(({ role, content }: any) => [role, content]), [["assistant", "The backup of today is done."]]);
});

test("the Python program sends a message and prints the answer as it streams", { skip: NEEDS_HTTPX }, async () => {
  const { out, code } = await run("python3", ["-c", program], { SESSION: freshId() });
  assert.deepEqual([code, out], [0, "And how high is the sky?\n[final]\n"]);
});

test("the Python program decides a call and continues where its connection was cut, with nothing missing and nothing twice", { skip: NEEDS_HTTPX, timeout: 60_000 }, async (t) => {
  const line = await Line.to(deciding.url);
  t.after(() => line.close());
  const session = freshId();
  const running = run("python3", ["-c", program], { SESSION: session, BOBBIN: origin(line.url) });
  askToSend(await upstream.next());
  const again = await upstream.next();
  again.events({ type: "start" }, { type: "text-start", id: "t" }, { type: "text-delta", id: "t", delta: "It has " });
  await eventually(async () => running.out().includes("It has"), "the beginning");
  line.cut();
  again.events({ type: "text-delta", id: "t", delta: "no end." }, { type: "text-end", id: "t" }, { type: "finish", finishReason: "stop" }).done();
  line.mend();
  const { out, code } = await running;
  assert.equal(code, 0);
  assert.ok(out.endsWith("It has no end.\n[final]\n"), out);
});

test("the Python program's requests are answered as it expects, also where Python is not installed", async () => {
  const session = freshId();
  const sent = await post(deciding.url, session, { requestId: "ask-2", content: "And how high is the sky?" });
  assert.equal(sent.status, 202);
  askToSend(await upstream.next());
  const reader = await follow(deciding.url, session, { last: sent.body.cursor });
  const waiting = await reader.next("waiting");
  reader.leave();
  for (const toolUseId of waiting["toolUseIds"]) {
    const body = JSON.stringify({ requestId: "ask-2", toolUseId, approved: true });
    const { status } = await deciding.fetch(`/sessions/${session}/decisions`, { method: "POST", headers: { "content-type": "application/json" }, body });
    assert.equal(status, 202);
  }
  const back = await follow(deciding.url, session, { last: reader.lastId as string });
  say(await upstream.next(), "Very.");
  assert.equal((await back.next(endOf("ask-2"))).type, "final");
  assert.equal(back.all[0]?.["resumed"], true);
  back.leave();
});

type Ran = { out: string; code: number | null };

/** Runs a program beside this process, which has to continue serving. */
function run(command: string, args: string[], env: Record<string, string>): Promise<Ran> & { out(): string } {
  const child = spawn(command, args, { env: { ...process.env, BOBBIN: origin(bobbin.url), ...env }, stdio: ["ignore", "pipe", "inherit"] });
  let out = "";
  child.stdout.on("data", (piece) => (out += String(piece)));
  const done = new Promise<Ran>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve({ out, code }));
  });
  return Object.assign(done, { out: () => out });
}

const origin = (url: URL): string => url.href.replace(/\/$/, "");

function framesOf(out: string): any[] {
  return [...out.matchAll(/^data: (.*)$/gm)].map(([, data]) => JSON.parse(data ?? ""));
}

function hasHttpx(): boolean {
  try {
    execFileSync("python3", ["-c", "import httpx"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}
