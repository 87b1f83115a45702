// AGENT_SERVICE and AI as a service binding, an entrypoint of the same worker, and a plain object: each is used, and a
// cancel reaches it.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { endOf, eventually } from "../worker/client.ts";
import { freshId, type Bobbin } from "../worker/harness.ts";
import { Consumer } from "./support/consumer.ts";

const KINDS = { SESSION_DO: "entrypoint", EXPORTED: "entrypoint", PLAIN: "plain" };
const VARS = { AGENT: "ai-sdk", AGENT_BASE_URL: "https://agent.invalid/" };

let consumer: Consumer;
let bobbin: Bobbin;
before(async () => {
  consumer = await Consumer.install("services");
  await start(VARS);
});
after(async () => {
  await bobbin?.close();
  consumer?.remove();
});

async function start(vars: Record<string, string>): Promise<void> {
  await bobbin?.close();
  bobbin = await consumer.start({ vars, hasDatabase: false, binding: "SESSION_DO", className: "Bound" });
}

async function ask(binding: string) {
  const client = await bobbin.connectTo(`/sessions/${freshId()}/websocket?class=${binding}`);
  client.say("r1", "hello");
  return client;
}

const happened = async () => (await (await bobbin.fetch("/happened")).json()) as { happened: string[]; asked: [string, unknown][] };
const warnings = () => bobbin.logs.filter(({ message }) => message.includes('"request_signal_missing"'));

test("each kind of service answers, and the network is never used", async () => {
  for (const [binding, by] of Object.entries(KINDS)) {
    const end = await (await ask(binding)).next(endOf("r1"));
    assert.deepEqual([end.type, end["response"].content], ["final", `${by}: 1 2 3 `]);
  }
  const end = await (await ask("NOTHING")).next(endOf("r1"), 30_000);
  assert.deepEqual([end.type, end["error"].code], ["error", "AGENT_ERROR"]);
  await bobbin.logged(["AGENT_SERVICE has no fetch"]);
  assert.deepEqual(warnings(), []);
});

test("a cancel reaches each kind of service", async () => {
  await start({ ...VARS, AGENT_BASE_URL: "https://agent.invalid/endless" });
  for (const [binding, by] of Object.entries(KINDS)) {
    const before = (await happened()).happened.length;
    const client = await ask(binding);
    await client.next("token");
    client.cancel("r1");
    await client.next(endOf("r1"));
    await eventually(async () => (await happened()).happened.slice(before).includes(`${by} aborted`), `${binding} is told`);
  }
});

test("without the compatibility flag, the log says once that a cancel would not reach the worker's own entrypoints", async () => {
  const withFlag = consumer.read("wrangler.toml");
  consumer.write("wrangler.toml", withFlag.replace(/^compatibility_flags.*$/m, ""));
  try {
    await start(VARS);
    await (await ask("PLAIN")).next(endOf("r1"));
    assert.deepEqual(warnings(), []);
    for (const binding of ["SESSION_DO", "EXPORTED", "SESSION_DO"]) await (await ask(binding)).next(endOf("r1"));
    const [warning, ...others] = await bobbin.logged(['"request_signal_missing"']);
    assert.deepEqual(others, []);
    assert.match(warning ?? "", /"level":"warn".*enable_request_signal/);
  } finally {
    consumer.write("wrangler.toml", withFlag);
  }
});

test("the binding AI may be an entrypoint of the worker or a plain object", async () => {
  await start({ AGENT: "workers-ai", AGENT_MODEL: "@cf/some/model" });
  for (const binding of ["EXPORTED", "PLAIN"]) {
    const end = await (await ask(binding)).next(endOf("r1"));
    assert.deepEqual([end.type, end["response"].content], ["final", "from the model"]);
  }
  const { asked } = await happened();
  assert.deepEqual(asked.map(([model]) => model), ["@cf/some/model", "@cf/some/model"]);
  assert.deepEqual(asked[0]?.[1], [{ role: "user", content: "hello" }]);
});
