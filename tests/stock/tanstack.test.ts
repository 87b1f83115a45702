// The real TanStack AI client against the build, by Server-Sent Events and by WebSocket.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { ChatClient, type UIMessage, fetchServerSentEvents, webSocket } from "@tanstack/ai-client";
import WebSocket from "ws";
import { eventually } from "../worker/client.ts";
import { freshId, start } from "../worker/harness.ts";
import { type Call, Upstream } from "../worker/upstream.ts";
import { history } from "./support/chat.ts";

const upstream = await Upstream.start();
after(upstream.close);
const bobbin = await start({ vars: { AGENT: "ai-sdk", AGENT_BASE_URL: upstream.baseUrl } });
after(bobbin.close);
const { url } = bobbin;

const delta = (text: string) => ({ type: "text-delta", id: "t", delta: text });
const begin = (call: Call, text: string) => call.events({ type: "text-start", id: "t" }, delta(text));
const done = (call: Call, text = "") => call.events(delta(text), { type: "text-end", id: "t" }, { type: "finish", finishReason: "stop" }).done();
const textOf = (message: UIMessage | undefined) => (message?.parts ?? []).map((part) => (part.type === "text" ? part.content : "")).join("");

class Seen {
  readonly client: ChatClient;
  readonly chunks: { type: string; runId?: string }[] = [];
  readonly sockets: WebSocket[] = [];

  constructor(id: string, by: string, options: object = {}) {
    const { sockets } = this;
    const address = new URL(`/sessions/${id}/ag-ui`, url);
    class Recorded extends WebSocket {
      constructor(target: string | URL, protocols?: string | string[]) {
        super(target, protocols);
        sockets.push(this);
      }
    }
    const sse = fetchServerSentEvents(address.href);
    const ws = { ...webSocket(`${address.href.replace("http", "ws")}/websocket`, { WebSocket: Recorded } as never), hydrate: sse.hydrate };
    this.client = new ChatClient({ threadId: id, connection: (by === "SSE" ? sse : ws) as never, onChunk: (chunk: any) => void this.chunks.push(chunk), ...options } as never);
  }

  get messages(): UIMessage[] {
    return this.client.getMessages();
  }

  get text(): string {
    return textOf(this.messages.at(-1));
  }

  untilText(text: string): Promise<unknown> {
    return eventually(async () => this.text === text, `the text "${text}", and not ${JSON.stringify(this.messages.map(textOf))}`);
  }
}

// The adapter uses its runtime's WebSocket.
(globalThis as { WebSocket: unknown }).WebSocket = class extends WebSocket {
  constructor(target: string | URL, protocols?: string | string[]) {
    super(target, protocols ?? []);
    opened.push(this);
  }
};
const opened: WebSocket[] = [];

for (const by of ["SSE", "WebSocket"]) {
  test(`by ${by}, turns stream and the next message is answered`, async () => {
    const id = freshId();
    const seen = new Seen(id, by);
    for (const turn of ["one", "two"]) {
      const sent = seen.client.sendMessage(turn);
      const call = await upstream.next();
      begin(call, "answer ");
      await seen.untilText("answer ");
      done(call, turn);
      await sent;
      assert.deepEqual([seen.text, seen.client.getStatus(), seen.client.getError()], [`answer ${turn}`, "ready", undefined]);
    }
    const stored = await history(url, id);
    assert.deepEqual(stored.map((it) => (it.parts.at(-1) as { text: string }).text), ["one", "answer one", "two", "answer two"]);
    assert.deepEqual(seen.messages.map((it) => it.id), stored.map((it) => it.id));
  });

  test(`by ${by}, thinking, a tool and text are one message`, async () => {
    const id = freshId();
    const seen = new Seen(id, by);
    const sent = seen.client.sendMessage("weather?");
    const call = await upstream.next();
    call.events(
      { type: "reasoning-start", id: "r" }, { type: "reasoning-delta", id: "r", delta: "hm" }, { type: "reasoning-end", id: "r" },
      { type: "tool-input-available", toolCallId: "c1", toolName: "weather", input: { city: "Oslo" }, providerExecuted: true },
      { type: "tool-output-available", toolCallId: "c1", output: { c: 7 }, providerExecuted: true },
      { type: "start-step" },
    );
    begin(call, "It is 7.");
    done(call);
    await sent;
    assert.equal(seen.messages.length, 2, JSON.stringify(seen.messages));
    assert.deepEqual(seen.messages.at(-1)?.parts.map((part) => part.type), ["thinking", "tool-call", "tool-result", "text"]);
    const loaded = (await (await bobbin.fetch(`/sessions/${id}/ag-ui?threadId=${id}`)).json()) as { messages: UIMessage[]; activeRun: null };
    assert.equal(loaded.activeRun, null);
    assert.deepEqual(loaded.messages.map((it) => it.id), seen.messages.map((it) => it.id));
    assert.deepEqual(loaded.messages.at(-1)?.parts.map((part) => part.type), ["thinking", "tool-call", "tool-result", "text"]);
    assert.deepEqual((loaded.messages.at(-1)?.parts[1] as { output: unknown }).output, { c: 7 });
  });

  test(`by ${by}, a page that loads a thread in the middle of a run joins the run`, async () => {
    const id = freshId();
    const seen = new Seen(id, by);
    const sent = seen.client.sendMessage("question");
    const call = await upstream.next();
    begin(call, "begun ");
    await seen.untilText("begun ");
    const tab = new Seen(id, by, { persistence: true });
    tab.client.attach();
    await tab.untilText("begun ");
    done(call, "and done");
    await sent;
    await tab.untilText("begun and done");
    assert.deepEqual(tab.messages.map((it) => it.id), seen.messages.map((it) => it.id));
    assert.equal(tab.client.getError(), undefined);
  });

  test(`by ${by}, reload answers the last message again`, async () => {
    const id = freshId();
    const seen = new Seen(id, by);
    const sent = seen.client.sendMessage("question");
    const call = await upstream.next();
    begin(call, "first");
    done(call);
    await sent;
    const again = seen.client.reload();
    const next = await upstream.next();
    assert.equal(next.body.messages.length, 1);
    begin(next, "second");
    done(next);
    await again;
    assert.deepEqual(seen.messages.map(textOf), ["question", "second"]);
    assert.deepEqual((await history(url, id)).map((it) => (it.parts.at(-1) as { text: string }).text), ["question", "second"]);
  });

  test(`by ${by}, a run that fails is an error with a message`, async () => {
    const seen = new Seen(freshId(), by);
    const sent = seen.client.sendMessage("fail");
    (await upstream.next()).events({ type: "error", errorText: "out of order" }).done();
    await sent.catch(() => {});
    assert.match(seen.client.getError()?.message ?? "", /out of order/);
    assert.equal(seen.client.getStatus(), "error");
  });

  test(`by ${by}, a run that another client stops ends without an error`, async () => {
    const id = freshId();
    const seen = new Seen(id, by);
    const sent = seen.client.sendMessage("long");
    begin(await upstream.next(), "begun");
    await seen.untilText("begun");
    await bobbin.fetch(`/sessions/${id}/cancel`, { method: "POST", headers: { "content-type": "application/json" }, body: "{}" });
    await sent;
    assert.deepEqual([seen.text, seen.client.getStatus(), seen.client.getError()], ["begun", "ready", undefined]);
  });
}

async function goesOn(seen: Seen): Promise<void> {
  const next = seen.client.sendMessage("next");
  const second = await upstream.next();
  begin(second, "goes on");
  done(second);
  await next;
  assert.equal(seen.text, "goes on");
}

test("by WebSocket, stop ends the call to the model", async () => {
  const id = freshId();
  const seen = new Seen(id, "WebSocket");
  const sent = seen.client.sendMessage("long");
  const call = await upstream.next();
  begin(call, "begun");
  await seen.untilText("begun");
  seen.client.stop();
  await sent.catch(() => {});
  await call.aborted;
  await goesOn(seen);
});

test("by WebSocket, the client resumes exactly at the cut, without a call by its application", async () => {
  const id = freshId();
  const seen = new Seen(id, "WebSocket");
  const before = opened.length;
  const sent = seen.client.sendMessage("question");
  const call = await upstream.next();
  begin(call, "begun ");
  await seen.untilText("begun ");
  opened.at(-1)?.terminate();
  call.events(delta("while away, "));
  await seen.untilText("begun while away, ");
  done(call, "and done");
  await sent;
  assert.deepEqual([seen.text, seen.client.getStatus(), seen.client.getError()], ["begun while away, and done", "ready", undefined]);
  assert.equal(opened.length - before, 2);
  assert.match(opened.at(-1)?.url ?? "", /\?runId=run-.*&offset=/);
  const deltas = seen.chunks.filter((chunk) => chunk.type === "TEXT_MESSAGE_CONTENT").map((chunk) => (chunk as unknown as { delta: string }).delta);
  assert.equal(deltas.join(""), "begun while away, and done");
  // Another run opens a socket for its conversation again.
  await goesOn(seen);
});

test("by WebSocket, a run that waited in the queue, and was sent the events that are sent once, is resumed after a cut", async () => {
  const id = freshId();
  const native = await bobbin.join(id);
  native.say("n1", "first");
  const first = await upstream.next();
  const seen = new Seen(id, "WebSocket");
  const sent = seen.client.sendMessage("question");
  const customs = () => seen.chunks.filter((chunk) => chunk.type === "CUSTOM").map((chunk) => (chunk as unknown as { name: string }).name);
  await eventually(async () => customs().includes("queued"), "the run's place in the queue");
  opened.at(-1)?.terminate();
  done(first, "answered");
  const call = await upstream.next();
  const note = { type: "data-note", data: { n: 1 }, transient: true };
  begin(call, "begun ");
  await seen.untilText("begun ");
  call.events(note, note);
  await eventually(async () => customs().filter((name) => name === "note").length === 2, "both notes");
  opened.at(-1)?.terminate();
  call.events(delta("while away, "));
  await seen.untilText("begun while away, ");
  done(call, "and done");
  await sent;
  assert.deepEqual([seen.text, seen.client.getStatus(), seen.client.getError()], ["begun while away, and done", "ready", undefined]);
});

test("a socket for a run ends with the run, and a socket for no run is refused", async () => {
  const id = freshId();
  const seen = new Seen(id, "SSE");
  const sent = seen.client.sendMessage("question");
  const call = await upstream.next();
  begin(call, "begun ");
  await seen.untilText("begun ");
  const runId = seen.chunks.find((chunk) => chunk.type === "RUN_STARTED")?.runId ?? "";
  const joined = await bobbin.connectTo(`/sessions/${id}/ag-ui/websocket?offset=-1&runId=${runId}`);
  await joined.next((frame) => frame["chunk"]?.type === "TEXT_MESSAGE_CONTENT");
  done(call, "and done");
  await sent;
  assert.equal((await joined.closed).code, 1000);
  const text = joined.all.map((frame) => frame["chunk"]?.delta ?? "").join("");
  assert.equal(text, "begun and done");
  assert.equal(new Set(joined.all.map((frame) => frame["id"])).size, joined.all.length);
  const unknown = await bobbin.connectTo(`/sessions/${id}/ag-ui/websocket?offset=-1&runId=none`);
  assert.deepEqual(await unknown.closed, { code: 1008, reason: "there is no such run in this session, or no such place in it; load the session again" });
  const odd = await bobbin.connectTo(`/sessions/${id}/ag-ui/websocket`);
  odd.send("{}");
  assert.equal((await odd.closed).code, 1008);
});

test("by SSE, a body that is cut is requested again from the last event, and the model is not called again", async () => {
  const id = freshId();
  const calls = upstream.calls.length;
  const real = globalThis.fetch;
  let cut = () => {};
  const asked: string[] = [];
  globalThis.fetch = async (input, init) => {
    const response = await real(input, init);
    if (!String(input).includes("/ag-ui") || init?.method !== "POST") return response;
    asked.push(String(new Headers(init.headers).get("last-event-id")));
    const reader = response.body!.getReader();
    const body = new ReadableStream({
      async pull(controller) {
        if (asked.length === 1) cut = () => { controller.error(new TypeError("network error")); void reader.cancel(); };
        const { done, value } = await reader.read();
        try {
          if (done) controller.close();
          else controller.enqueue(value);
        } catch {}
      },
    });
    return new Response(body, { status: response.status, headers: response.headers });
  };
  try {
    const seen = new Seen(id, "SSE");
    const sent = seen.client.sendMessage("question");
    const call = await upstream.next();
    begin(call, "begun ");
    await seen.untilText("begun ");
    cut();
    call.events(delta("while away, "));
    await seen.untilText("begun while away, ");
    done(call, "and done");
    await sent;
    assert.deepEqual([seen.text, seen.client.getError()], ["begun while away, and done", undefined]);
    assert.equal(asked.length, 2);
    assert.notEqual(asked[1], "null");
    assert.equal(upstream.calls.length - calls, 1);
  } finally {
    globalThis.fetch = real;
  }
});

test("history is loaded in pages", async () => {
  const id = freshId();
  const seen = new Seen(id, "SSE");
  for (const turn of ["one", "two"]) {
    const sent = seen.client.sendMessage(turn);
    const call = await upstream.next();
    begin(call, turn);
    done(call);
    await sent;
  }
  const page = async (query: string) => (await (await bobbin.fetch(`/sessions/${id}/ag-ui?threadId=${id}${query}`)).json()) as { messages: UIMessage[]; page: { truncated: boolean; cursor?: string } };
  const newest = await page("&limit=3");
  assert.deepEqual([newest.messages.map(textOf), newest.page.truncated], [["one", "two", "two"], true]);
  const older = await page(`&limit=3&before=${newest.page.cursor}`);
  assert.deepEqual([older.messages.map(textOf), older.page], [["one"], { truncated: false }]);
  assert.deepEqual(await page("").then((all) => all.messages.map(textOf)), ["one", "one", "two", "two"]);
  const none = await bobbin.fetch(`/sessions/${freshId()}/ag-ui?threadId=x`);
  assert.deepEqual(await none.json(), { messages: [], activeRun: null, interrupts: null, page: { truncated: false } });
});
