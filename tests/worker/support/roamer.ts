// A client that loses its connections and keeps what it holds.
import type { Client, Frame } from "../client.ts";
import { within } from "../client.ts";
import type { Bobbin } from "../harness.ts";
import { Fold } from "./fold.ts";

const DEADLINE_MS = 30_000;

export type Drop = (client: Client) => void;
export const terminate: Drop = (client) => client.terminate();

export class Roamer {
  readonly fold = new Fold();
  /** Frames of this connection. */
  heard: Frame[] = [];
  #bobbin: Bobbin;
  #sessionId: string;
  #client: Client | undefined;
  /** Counts connections: one up for each new one, and one more when one is lost. */
  #connection = 0;
  #opened = 0;
  #wrong: unknown;
  #wake = Promise.withResolvers<void>();

  constructor(bobbin: Bobbin, sessionId: string) {
    this.#bobbin = bobbin;
    this.#sessionId = sessionId;
  }

  static async join(bobbin: Bobbin, sessionId: string): Promise<Roamer> {
    const roamer = new Roamer(bobbin, sessionId);
    await roamer.connect();
    await roamer.until(() => roamer.fold.cursor !== undefined && roamer.fold.snapshots.length > 0, "the snapshot");
    return roamer;
  }

  get client(): Client {
    if (!this.#client) throw new Error("not connected");
    return this.#client;
  }

  get isConnected(): boolean {
    return this.#connection === this.#opened;
  }

  /** The other end closed the connection, or there was none. */
  get isLost(): boolean {
    return this.#client === undefined || this.#client.isClosed;
  }

  /** Connects with the last cursor. After `frames` frames the connection is lost, whatever is on its way. */
  async connect(frames = Number.POSITIVE_INFINITY, how: Drop = terminate): Promise<void> {
    this.#connection += 1;
    const connection = this.#connection;
    this.#opened = connection;
    this.heard = [];
    this.#client = undefined;
    let client: Client | undefined;
    const onFrame = (frame: Frame) => {
      if (connection !== this.#connection) return;
      this.#take(frame);
      if (this.heard.length < frames) return;
      this.#connection += 1;
      if (client) how(client);
    };
    const { cursor } = this.fold;
    client = await this.#bobbin.connect(this.#sessionId, { onFrame, ...(cursor === undefined ? {} : { cursor }) });
    this.#client = client;
    void client.closed.then(() => this.#notify());
    if (connection !== this.#connection) how(client);
    else if (frames === 0) this.drop(how);
  }

  /** Later frames of the old connection are ignored. */
  drop(how: Drop = terminate): void {
    this.#connection += 1;
    how(this.client);
    this.#notify();
  }

  /** Waits until the client's state is so, or the connection is dropped. */
  async until(isSo: () => boolean, waitingFor: string): Promise<void> {
    const deadline = Date.now() + DEADLINE_MS;
    for (;;) {
      if (this.#wrong) throw this.#wrong;
      if (isSo()) return;
      await within(this.#wake.promise, deadline - Date.now(), waitingFor);
    }
  }

  /** Waits until the object has answered a new request: no older frame is on its way any more. */
  async settled(): Promise<void> {
    await this.client.settled();
    if (this.#wrong) throw this.#wrong;
  }

  #take(frame: Frame): void {
    this.heard.push(frame);
    try {
      this.fold.take(frame);
    } catch (error) {
      this.#wrong ??= error;
    }
    this.#notify();
  }

  #notify(): void {
    this.#wake.resolve();
    this.#wake = Promise.withResolvers<void>();
  }
}
