// The server is killed at random moments of deliveries, uploads, decisions and branches: `BOBBIN_KILLS=200 node --test
// tests/client/sigkill.test.ts` for as many of them.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { type FileBlock, type Thread, ThreadError, type Turn, type TurnResult, createThread, fetchFile, uploadFile } from "bobbin-client";
import { eventually, within } from "../worker/client.ts";
import { type Row, freshId, start } from "../worker/harness.ts";
import { Random, pause, seedOf } from "../worker/support/random.ts";
import { type Call, Upstream } from "../worker/upstream.ts";
import { faster } from "./network.ts";
import { transcript, until, withoutPlaces } from "./threads.ts";

const KILLS = Number(process.env["BOBBIN_KILLS"] ?? 6);
/** After that many kills all clients come to rest and are compared, and new ones begin. */
const KILLS_PER_PHASE = 10;
const [SESSIONS, CLIENTS_EACH, OWN_TURNS_MAX] = [4, 2, 3];
const LIFE_MS_MAX = 1_200;
const TIMES_FASTER = 10;
const DEADLINE_MS = 60_000;
/** Errors that a client may get when others change the thread at the same time. */
const REFUSED = ["CONFLICT", "BUSY", "INVALID_MESSAGE", "ALREADY_ANSWERED", "NOT_WAITING"];

const upstream = await Upstream.start();
after(upstream.close);
const vars = { AGENT: "ai-sdk", AGENT_RETRIES: "0", AGENT_BASE_URL: upstream.baseUrl, CONCURRENT_TURNS: "2" };
const bobbin = await start({ vars });
after(bobbin.close);

test(`a server killed at ${KILLS} moments loses, doubles and holds up nothing, calls no model twice, and leaves all clients with the log`, { timeout: 60_000 + KILLS * 15_000 }, async (t) => {
  const random = new Random(seedOf(t));
  upstream.respond = (call) => answer(call, random);
  const tally: Record<string, number> = {};
  const count = (name: string) => (tally[name] = (tally[name] ?? 0) + 1);
  for (let killed = 0; killed < KILLS; killed += KILLS_PER_PHASE) {
    const people = Array.from({ length: SESSIONS }, freshId).flatMap((id) => Array.from({ length: CLIENTS_EACH }, () => new Person(id, random)));
    t.after(() => people.forEach((person) => person.leave()));
    const acting = people.map((person) => person.act());
    for (let kill = 0; kill < Math.min(KILLS_PER_PHASE, KILLS - killed); kill += 1) {
      await pause(random.between(0, LIFE_MS_MAX));
      const doing = people.flatMap((person) => person.doing());
      for (const what of new Set(await isDelivering(people) ? [...doing, "a delivery"] : doing)) count(`killed during ${what}`);
      await bobbin.kill();
      await bobbin.restart();
    }
    for (const person of people) person.rest();
    await Promise.all(acting);
    for (const person of people) (await person.outcomes()).forEach(count);
    for (const id of new Set(people.map((person) => person.id))) await assertWhole(people.filter((person) => person.id === id));
    for (const person of people) person.leave();
  }
  t.diagnostic(JSON.stringify(tally, Object.keys(tally).sort()));
});

/** A person with a Bobbin client who does one thing after another and decides every call. */
class Person {
  readonly id: string;
  readonly turns: Turn[] = [];
  readonly uploaded: { file: FileBlock; text: string }[] = [];
  readonly #random: Random;
  readonly #thread: Thread;
  readonly #under = new Map<object, string>();
  readonly #asked = new Set<string>();
  /** Turns that the thread is known to have. */
  readonly #kept: string[] = [];
  #isResting = false;

  constructor(id: string, random: Random) {
    this.id = id;
    this.#random = random;
    this.#thread = createThread({ url: bobbin.url, sessionId: id, timers: faster(TIMES_FASTER), connectTimeoutMs: Number.POSITIVE_INFINITY });
    this.#thread.subscribe(() => this.#decide());
  }

  get thread(): Thread {
    return this.#thread;
  }

  /** Its operations that are still running. */
  doing(): string[] {
    return [...new Set(this.#under.values())];
  }

  async act(): Promise<void> {
    while (!this.#isResting) {
      await pause(this.#random.between(20, 300));
      if (this.turns.filter((turn) => this.#under.has(turn)).length >= OWN_TURNS_MAX) continue;
      const of = this.#kept[this.#random.between(0, this.#kept.length - 1)];
      const chance = this.#random.fraction();
      if (chance < 0.25) this.#track("an answer", this.#thread.send(this.#plan("words")));
      else if (chance < 0.5) this.#track("an answer that asks", this.#thread.send(this.#plan("ask")));
      else if (chance < 0.65) await this.#upload();
      else if (chance < 0.8 && of) this.#track("an edit", this.#thread.edit(of, this.#plan("words")));
      else if (chance < 0.92 && of) this.#track("another answer", this.#thread.regenerate(of));
      else this.turns.at(-1)?.cancel();
    }
  }

  rest(): void {
    this.#isResting = true;
  }

  leave(): void {
    this.#thread.close();
  }

  /** How each of its turns ended. None is stuck, and refusals are due to other clients' actions. */
  async outcomes(): Promise<string[]> {
    const outcomes = await within(Promise.all(this.turns.map(outcomeOf)), DEADLINE_MS, `the ends of ${[...this.#under.keys()].map((turn) => (turn as Turn).requestId)} in ${this.id}`);
    return outcomes.map((outcome) => (outcome instanceof ThreadError ? `refused with ${outcome.code}` : outcome.status));
  }

  #plan(what: string): string {
    return `${what} ${this.#random.between(3, 40)}`;
  }

  #track(what: string, turn: Turn): void {
    this.turns.push(turn);
    this.#during(turn, what, turn.result);
    void turn.result.then(({ message }) => message && this.#kept.push(turn.requestId), () => {});
  }

  #during(key: object, what: string, until: Promise<unknown>): void {
    this.#under.set(key, what);
    const isOver = () => void this.#under.delete(key);
    until.then(isOver, isOver);
  }

  async #upload(): Promise<void> {
    const text = this.#random.words(500).join("");
    const uploading = uploadFile(this.#thread, new Blob([text], { type: "text/plain" }), { name: "a.txt" });
    this.#during(uploading, "an upload", uploading);
    const file = await uploading;
    this.uploaded.push({ file, text });
    this.#track("an answer", this.#thread.send([{ type: "text", text: this.#plan("words") }, file]));
  }

  #decide(): void {
    for (const { requestId, calls } of this.#thread.getSnapshot().turns) {
      for (const call of calls ?? []) {
        if (this.#asked.has(call)) continue;
        this.#asked.add(call);
        void this.#decideOn(requestId, call);
      }
    }
  }

  async #decideOn(requestId: string, call: string): Promise<void> {
    await pause(this.#random.between(0, 400));
    const deciding = this.#thread.decide(requestId, call, this.#random.chance(0.7));
    this.#during(deciding, "a decision", deciding);
    // The turn may be over by now, or another decision was first.
    await deciding.catch((error: unknown) => assert.ok(error instanceof ThreadError, String(error)));
  }
}

async function isDelivering(people: Person[]): Promise<boolean> {
  for (const id of new Set(people.map((person) => person.id))) {
    if (!(await bobbin.tables(id)).includes("bobbin_thread")) continue;
    const [row] = await bobbin.sql(id, "SELECT delivered < seq AS owes FROM bobbin_thread");
    if (row?.["owes"] === 1) return true;
  }
  return false;
}

/** The object, D1, R2 and every client hold the same of a thread, and each turn is there once. */
async function assertWhole(people: Person[]): Promise<void> {
  const [{ id }] = people as [Person];
  await eventually(() => isAtRest(id), `${id} at rest`, DEADLINE_MS);
  const late = createThread({ url: bobbin.url, sessionId: id });
  for (const thread of [late, ...people.map((person) => person.thread)]) {
    await until(thread, ({ isLoaded, status, turns }) => isLoaded && status === "ready" && turns.length === 0);
    while (await thread.loadEarlier(200));
  }
  for (const { thread } of people) assert.deepEqual(transcript(thread), transcript(late));
  late.close();
  const log = (await bobbin.tables(id)).includes("bobbin_records") ? await bobbin.sql(id, "SELECT kind, request_id, message_id, status FROM bobbin_records WHERE kind IN ('question', 'answer') ORDER BY seq") : [];
  for (const { turns } of people) for (const turn of turns) assertOnce(log, turn.requestId, await outcomeOf(turn));
  assertCalledOnce(id);
  const inD1 = await bobbin.d1("SELECT id FROM messages WHERE session_id = ? ORDER BY seq", id);
  const shown = withoutPlaces(people[0]?.thread.getSnapshot().messages ?? []).map((message) => message.id);
  assert.deepEqual(shown.filter((message) => !inD1.some((row) => row["id"] === message)), [], "D1 lacks messages that are shown");
  for (const { uploaded, thread } of people) for (const { file, text } of uploaded) assert.equal(await (await fetchFile(thread, file)).text(), text);
}

async function isAtRest(id: string): Promise<boolean> {
  const response = await bobbin.fetch(`/sessions/${id}/diagnostics`);
  if (response.status === 404) return true;
  const { thread } = (await response.json()) as any;
  return thread.running.length === 0 && thread.queued.length === 0 && thread.outbox.undeliveredEvents === 0;
}

/**
 * A turn that was refused, or taken back before it was sent, is not in the log. Any other has one end there, the one
 * that its client got.
 */
function assertOnce(log: Row[], requestId: string, outcome: TurnResult | ThreadError): void {
  const [questions, answers] = ["question", "answer"].map((kind) => log.filter((row) => row["kind"] === kind && row["request_id"] === requestId)) as [Row[], Row[]];
  assert.ok(questions.length <= 1, `${requestId} was accepted twice`);
  if (outcome instanceof ThreadError) {
    assert.ok(REFUSED.includes(outcome.code), `${requestId}: ${outcome.code} ${outcome.message}`);
    assert.deepEqual([questions, answers], [[], []], `${requestId} was refused with ${outcome.code}, but kept`);
    return;
  }
  if (outcome.message === null) return;
  assert.deepEqual(answers.map((row) => [row["message_id"], row["status"]]), [[outcome.message.id, outcome.status]], `the end of ${requestId}`);
}

/** A model is called once for a turn, and once more for each decision of a person. */
function assertCalledOnce(id: string): void {
  const asked = upstream.calls.filter(({ headers }) => headers["x-bobbin-session-id"] === id);
  const keys = asked.map(({ headers, body }) => JSON.stringify([headers["x-bobbin-request-id"], partsIfContinued(body.messages)]));
  const twice = keys.filter((key, index) => keys.indexOf(key) !== index);
  assert.deepEqual(twice, [], "a model was called twice for the same turn");
}

const partsIfContinued = (messages: any[]): unknown => (messages.at(-1).role === "assistant" ? messages.at(-1).parts : null);

const outcomeOf = (turn: Turn): Promise<TurnResult | ThreadError> => turn.result.catch((error: ThreadError) => error);

/** The user's last text is the script: so many words, and perhaps a call then that somebody has to approve. */
async function answer(call: Call, random: Random): Promise<void> {
  const { messages } = call.body;
  const isContinued = messages.at(-1).role === "assistant";
  const [what, words] = messages.findLast((message: any) => message.role === "user").parts.find((part: any) => part.type === "text").text.split(" ");
  call.events({ type: "start" }, { type: "text-start", id: "t" });
  const everyMs = random.between(2, 25);
  for (const delta of random.words(isContinued ? 3 : Number(words))) {
    await pause(everyMs);
    if (call.abortedAt !== undefined) return;
    call.events({ type: "text-delta", id: "t", delta });
  }
  call.events({ type: "text-end", id: "t" });
  const asks = what === "ask" && !isContinued;
  const toolCallId = `call-${random.between(0, 1e9)}`;
  if (asks) {
    call.events(
      { type: "tool-input-available", toolCallId, toolName: "book", input: { place: "here" } },
      { type: "tool-approval-request", approvalId: `ask-${toolCallId}`, toolCallId },
    );
  }
  call.events({ type: "finish", finishReason: asks ? "tool-calls" : "stop" });
  call.done();
}
