// A tab of a thread: it takes every frame literally, and reconnects with its last cursor.
import assert from "node:assert/strict";
import { Fold } from "../../worker/support/fold.ts";
import { byRequest, endOf, type Client, type Frame } from "../../worker/client.ts";
import type { Bobbin } from "../../worker/harness.ts";

export class Tab {
  readonly fold = new Fold();
  readonly #bobbin: Bobbin;
  readonly #session: string;
  #client: Client | undefined;

  static async open(bobbin: Bobbin, session: string): Promise<Tab> {
    const tab = new Tab(bobbin, session);
    await tab.connect();
    return tab;
  }

  constructor(bobbin: Bobbin, session: string) {
    [this.#bobbin, this.#session] = [bobbin, session];
  }

  get client(): Client {
    if (!this.#client) throw new Error("not connected");
    return this.#client;
  }

  /** Connects, and reads the missed frames. */
  async connect(): Promise<void> {
    const cursor = this.fold.cursor;
    const onFrame = (frame: Frame) => this.fold.take(frame);
    this.#client = await this.#bobbin.connect(this.#session, { onFrame, ...(cursor !== undefined && { cursor }) });
    await this.client.join();
  }

  /** Cuts the connection without a close, and reconnects. */
  async cut(): Promise<void> {
    this.client.terminate();
    await this.client.closed;
    await this.connect();
  }

  /** Reads until the turn is over or waits, and returns the frame that says so. */
  async follow(requestId: string, deadlineMs?: number): Promise<Frame> {
    return this.client.next((frame) => endOf(requestId)(frame) || byRequest(requestId, "waiting")(frame), deadlineMs);
  }

  /** Reads until the turn is over, and cuts the connection after every so many frames. */
  async roam(requestId: string, frames: number): Promise<void> {
    for (let read = 1; this.fold.ends(requestId).length === 0; read += 1) {
      await this.client.next();
      if (read % frames === 0) await this.cut();
    }
  }
}

/** Asserts that all tabs hold the same as a newly opened one. */
export async function agreed(bobbin: Bobbin, session: string, ...tabs: Tab[]): Promise<Fold> {
  const fresh = await Tab.open(bobbin, session);
  for (const tab of [...tabs, fresh]) await tab.client.settled();
  const { messages } = fresh.fold;
  for (const tab of tabs) assert.deepEqual(tab.fold.messages, messages);
  fresh.client.terminate();
  return fresh.fold;
}
