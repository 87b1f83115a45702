// Clients and a model: who sends, who receives, what arrives and when.
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import WebSocket from "ws";
import { now, pause } from "./clock.mjs";
import { TOKEN_CHARS } from "./tokens.mjs";

const DEADLINE_MS = 120_000;
/** The CPU time that a process at rest may use in 100 ms. */
const QUIET_CPU_MS = 1;

/** The model's process. */
export class Model {
  #child = fork(fileURLToPath(new URL("upstream.mjs", import.meta.url)));
  #told = new Map();
  #wake = Promise.withResolvers();

  static async start() {
    const model = new Model();
    const { port } = await new Promise((resolve) => model.#child.once("message", resolve));
    model.vars = { AGENT_BASE_URL: `http://127.0.0.1:${port}/v1`, AGENT_MODEL: "bench-model", AGENT_API_KEY: "key" };
    model.#child.on("message", (told) => {
      model.#told.set(told.id, told);
      model.#wake.resolve();
      model.#wake = Promise.withResolvers();
    });
    return model;
  }

  /** The times at which the model wrote each token of a plan, once there are as many. */
  async wrote(id, tokens) {
    return (await this.answered(id, tokens)).writtenAt;
  }

  /** The same, with the time at which the model was asked: `{ askedAt, writtenAt }`. */
  async answered(id, tokens) {
    for (;;) {
      const told = this.#told.get(id);
      if (told && told.writtenAt.length >= tokens) return told;
      await within(this.#wake.promise, `${tokens} tokens of ${id}`);
    }
  }

  close() {
    this.#child.disconnect();
  }
}

export class Client {
  frames = 0;
  bytes = 0;
  chars = 0;
  /** The time at which each token arrived; only for clients that read. */
  arrivedAt = [];
  messages = 0;
  cursor;
  #contestant;
  #socket;
  #reads;
  #joined = Promise.withResolvers();
  #over = Promise.withResolvers();
  #wanted;

  /** A client that does not read only counts frames, and sees the turn's end. */
  static async connect(runtime, contestant, thread, { reads = true, cursor, tokens = 0 } = {}) {
    const client = new Client();
    const url = new URL(contestant.path(thread, cursor), runtime.url);
    url.protocol = "ws:";
    client.#contestant = contestant;
    client.#reads = reads;
    client.startedAt = now();
    if (tokens) client.#wanted = { tokens, done: Promise.withResolvers() };
    client.#socket = new WebSocket(url, { perMessageDeflate: false, maxPayload: 256 * 1024 * 1024 });
    client.#socket.on("message", (data) => client.#receive(data));
    client.#socket.on("error", (error) => client.#fail(error));
    client.#socket.on("close", (code) => client.#fail(new Error(`closed with ${code}`)));
    for (const promise of [client.#joined.promise, client.#over.promise]) promise.catch(() => {});
    await new Promise((resolve, reject) => client.#socket.once("open", resolve).once("error", reject));
    if (contestant.isSilent) client.#joined.resolve();
    return client;
  }

  joined() {
    return within(this.#joined.promise, "the join");
  }

  over() {
    return within(this.#over.promise, "the turn's end");
  }

  /** Resolves when the text is as long as this many tokens. */
  tokens(count) {
    if (this.chars >= count * TOKEN_CHARS) return Promise.resolve();
    this.#wanted = { tokens: count, done: Promise.withResolvers() };
    return within(this.#wanted.done.promise, `${count} tokens`);
  }

  reset() {
    Object.assign(this, { frames: 0, bytes: 0, chars: 0, arrivedAt: [] });
    this.#over = Promise.withResolvers();
    this.#over.promise.catch(() => {});
  }

  send(text) {
    this.#socket.send(text);
  }

  close() {
    this.#socket.terminate();
  }

  #receive(data) {
    const at = now();
    this.frames += 1;
    this.bytes += data.length;
    const raw = this.#reads || data.length < 100_000 ? String(data) : "";
    // Checks are answered as Bobbin's clients do.
    if (raw.startsWith('{"type":"check"')) return this.send(raw);
    if (!this.#reads) {
      this.#joined.resolve();
      if (this.#contestant.isOver(raw)) this.#over.resolve(at);
      return;
    }
    const { text, isOver, isJoined, cursor, reply, failure, messages } = this.#contestant.read(JSON.parse(raw));
    if (failure) return this.#fail(new Error(JSON.stringify(failure)));
    if (cursor) this.cursor = cursor;
    if (reply) this.send(reply);
    if (text) {
      this.chars += text.length;
      while (this.arrivedAt.length < Math.floor(this.chars / TOKEN_CHARS)) this.arrivedAt.push(at);
    }
    if (messages !== undefined) this.messages = messages;
    if (isJoined) this.#joined.resolve(at);
    if (isOver) this.#over.resolve(at);
    if (this.#wanted && this.chars >= this.#wanted.tokens * TOKEN_CHARS) this.#wanted.done.resolve(at);
  }

  #fail(error) {
    this.#joined.reject(error);
    this.#over.reject(error);
    this.#wanted?.done.reject(error);
  }
}

let ids = 0;
export const freshId = (name) => `${name}-${process.pid}-${(ids += 1)}`;

/**
 * Waits until the process is at rest, because the last writes and deliveries are part of a turn. Returns its CPU time.
 */
export async function settledCpuMs(runtime) {
  let last = runtime.cpuMs();
  for (let quiet = 0; quiet < 4; ) {
    await pause(100);
    const cpu = runtime.cpuMs();
    quiet = cpu - last < QUIET_CPU_MS ? quiet + 1 : 0;
    last = cpu;
  }
  return last;
}

export async function within(promise, what, deadlineMs = DEADLINE_MS) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`too late: ${what}`)), deadlineMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
