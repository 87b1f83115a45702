import assert from "node:assert/strict";
import { after, test } from "node:test";
import { type Client, type Frame, byRequest, endOf, eventually } from "./client.ts";
import { type Bobbin, freshId, start } from "./harness.ts";
import { type Call, Upstream } from "./upstream.ts";

// The alarm that guards a running turn is at most this far away; the start of the runtime is added to it.
const NOTICED_MS_MAX = 20_000;
const ENDS = "SELECT request_id, status, content FROM messages WHERE session_id = ? AND role = 'assistant' ORDER BY seq";

const upstream = await Upstream.start();
after(upstream.close);
const bobbin = await start({ vars: upstream.vars, crashable: true });
after(bobbin.close);

const ways: [string, (worker: Bobbin) => Promise<void>][] = [
  ["the object crashes", (worker) => worker.crash()],
  ["the process is killed", async (worker) => {
    await worker.kill();
    await worker.restart();
  }],
];

for (const [what, crash] of ways) {
  test(`when ${what} and nobody connects, a running turn ends as interrupted and a waiting one is answered, each once`, async (t) => {
    const { id, client } = await streaming();
    client.say("r2", "and then?");
    await client.next((frame) => frame.type === "queued");
    const heard = await journalled(id, client);
    const questions: string[] = [];
    upstream.respond = (call) => {
      questions.push(call.body.messages.at(-1).content);
      call.answer("then this");
    };
    t.after(() => {
      upstream.respond = undefined;
      upstream.forget();
    });

    await crash(bobbin);
    assert.equal((await client.closed).code, 1006);
    const rows = await eventually(
      async () => {
        const ends = await bobbin.d1(ENDS, id);
        return ends.length >= 2 ? ends : undefined;
      },
      "both ends in D1",
      NOTICED_MS_MAX,
    );
    assert.deepEqual(
      rows.map((row) => [row["request_id"], row["status"]]),
      [
        ["r1", "interrupted"],
        ["r2", "complete"],
      ],
    );
    const kept = JSON.parse(String(rows[0]?.["content"]));
    assert.ok(kept.startsWith(heard), `"${kept}" lacks "${heard}"`);
    assert.equal(questions.length, 1, "the interrupted turn's model was called again");
    assert.match(questions[0] ?? "", /and then\?$/);
  });

  test(`a client that reconnects after ${what} is told how its turn ended, and continues`, async () => {
    const { id, client } = await streaming();
    await crash(bobbin);
    await client.closed;
    const again = await bobbin.connect(id, { cursor: client.cursor });
    const { text, end } = await resumed(again, textOf(client));
    assert.equal(end["error"].code, "INTERRUPTED");
    assert.equal(end["error"].retryable, true);
    assert.equal(end["response"].content, text);
    await assertNextTurnWorks(again);
  });

  test(`an acknowledged message is kept when ${what} right afterwards`, async () => {
    const id = freshId();
    const client = await bobbin.join(id);
    client.say("r1", "remember me");
    await client.next("user_message");
    await crash(bobbin);
    const again = await bobbin.connect(id);
    await again.next("connected");
    const snapshot = await again.next("snapshot");
    assert.equal(snapshot["messages"][0].content, "remember me");
    assert.equal(snapshot["session"].firstMessagePreview, "remember me");
    await assertNextTurnWorks(again);
  });
}

async function streaming(): Promise<{ id: string; client: Client; call: Call }> {
  const id = freshId();
  const client = await bobbin.join(id);
  client.say("r1", "tell me a story");
  const call = await upstream.next();
  call.text("Once ", "upon ", "a ", "time ");
  await client.until(() => textOf(client) === "Once upon a time ");
  return { id, client, call };
}

/** Text that a crash must not lose: it arrived a while before the last text. */
async function journalled(id: string, client: Client): Promise<string> {
  const text = textOf(client);
  await eventually(async () => {
    for (const table of await bobbin.tables(id)) {
      const rows = await bobbin.sql(id, `SELECT * FROM "${table}"`);
      if (JSON.stringify(rows).includes(text)) return true;
    }
    return false;
  }, "the running text in the object's own storage");
  return text;
}

/** The text that the client holds after its catch-up or its reset, and the turn's end. */
async function resumed(client: Client, held: string): Promise<{ text: string; end: Frame }> {
  let text = held;
  for (;;) {
    const frame = await client.next();
    if (frame.type === "token") text += frame["token"];
    if (frame.type === "snapshot") {
      const answer = frame["messages"].find((message: Frame) => message["role"] === "assistant");
      if (answer) {
        assert.equal(frame["reason"], "reset");
        assert.equal(answer["status"], "interrupted");
        return { text: answer["content"], end: { type: "error", error: answer["error"], response: { content: answer["content"] } } };
      }
      text = frame["inFlight"][0]?.content ?? "";
    }
    if (endOf("r1")(frame)) return { text, end: frame };
  }
}

async function assertNextTurnWorks(client: Client): Promise<void> {
  client.say("next", "go on");
  const isNext = (call: Call) => call.body.messages.at(-1).content.endsWith("go on");
  let call = await upstream.next();
  while (!isNext(call)) call = await upstream.next();
  call.answer("gladly");
  assert.equal((await client.next(endOf("next")))["response"].content, "gladly");
}

function textOf(client: Client): string {
  return client.all
    .filter(byRequest("r1", "token"))
    .map((frame) => frame["token"])
    .join("");
}
