// Data points of turns. The test's entry replaces Analytics Engine, because the local runtime stores nothing for it.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { endOf, eventually } from "./client.ts";
import { type Entry, freshId, start } from "./harness.ts";
import { Upstream } from "./upstream.ts";

type Point = { indexes: string[]; blobs: string[]; doubles: number[] };

const entry = (write: string): Entry => ({
  type: "ESModule",
  path: "analytics.js",
  contents: `
    import Worker, { SessionDO as Built } from "./build/index.js";
    export default Worker;
    export class SessionDO extends Built {
      constructor(state, env) {
        super(state, { ...env, ANALYTICS: { writeDataPoint(point) { ${write} } } });
      }
    }`,
});
const upstream = await Upstream.start();
after(upstream.close);
const vars = { AGENT: "openai", AGENT_BASE_URL: upstream.baseUrl, AGENT_MODEL: "small", AGENT_RETRIES: "0" };
const bobbin = await start({ vars, entry: entry(`console.log("point " + JSON.stringify(point));`) });
after(bobbin.close);

test("a complete turn writes one data point with its model, times, tokens, sockets and rows", async () => {
  const id = freshId();
  const client = await bobbin.connect(id);
  const other = await bobbin.connect(id);
  await Promise.all([client.next("snapshot"), other.next("snapshot")]);
  client.say("r1", "hello");
  (await upstream.next()).text("Hi").finish().usage(3, 4).done();
  await client.next(endOf("r1"));
  const [point] = await pointsOf(id, 1);
  assert.deepEqual(point!.blobs, ["complete", "", "openai", "test-model"]);
  const [firstMs, latencyMs, tokens, sockets, rows] = point!.doubles;
  assert.ok(firstMs! >= 0 && latencyMs! >= firstMs!);
  assert.deepEqual([tokens, sockets], [7, 2]);
  assert.ok(rows! > 0);
});

test("a turn that failed before it had content writes its error code, and -1 for the time of its first content", async () => {
  const id = freshId();
  const client = await bobbin.connect(id);
  await client.next("snapshot");
  client.say("r1", "hello");
  (await upstream.next()).status(500, "no");
  await client.next(endOf("r1"));
  const [point] = await pointsOf(id, 1);
  assert.deepEqual(point!.blobs.slice(0, 3), ["failed", "AGENT_ERROR", "openai"]);
  assert.equal(point!.doubles[0], -1);
});

test("the rows of a turn are the rows written since the turn before it", async () => {
  const id = freshId();
  const client = await bobbin.connect(id);
  await client.next("snapshot");
  for (const name of ["r1", "r2", "r3"]) {
    client.say(name, "hello");
    (await upstream.next()).text("Hi").finish().done();
    await client.next(endOf(name));
  }
  const rows = (await pointsOf(id, 3)).map(({ doubles }) => doubles[4]!);
  const { storage } = (await (await bobbin.fetch(`/sessions/${id}/diagnostics`)).json()) as { storage: { rowsWritten: number } };
  assert.ok(rows.reduce((sum, each) => sum + each) <= storage.rowsWritten, `${rows} of ${storage.rowsWritten}`);
  assert.ok(rows[1]! < rows[0]!, `the first turn creates the tables: ${rows}`);
});

test("a dataset that fails causes a log line and does not fail the turn", async (t) => {
  const failing = await start({ entry: entry(`throw new Error("not today");`) });
  t.after(failing.close);
  const client = await failing.connect(freshId());
  await client.next("snapshot");
  client.say("r1", "hello");
  assert.equal((await client.next(endOf("r1"))).type, "final");
  await eventually(async () => failing.logs.some(({ message }) => message.includes('"analytics_failed"') && message.includes("not today")), "the log line");
});

async function pointsOf(id: string, count: number): Promise<Point[]> {
  const points = () =>
    bobbin.logs.flatMap(({ message }) => (message.startsWith("point ") ? [JSON.parse(message.slice(6)) as Point] : [])).filter(({ indexes }) => indexes[0] === id);
  return eventually(async () => points().length >= count && points(), `${count} data points`);
}
