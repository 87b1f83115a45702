// A network between a client and the worker that can be cut, delayed, held up and half-closed.
import { once } from "node:events";
import { type AddressInfo, type Socket, connect, createServer } from "node:net";
import type { Timers } from "bobbin-client";

type Line = { client: Socket; server: Socket };

export class Network {
  readonly #server = createServer({ allowHalfOpen: true }, (client) => this.#join(client));
  readonly #lines = new Set<Line>();
  readonly #target: URL;
  #isHeldUp = false;
  #url: URL;
  /** The delay in each direction. */
  delayMs = 0;
  /** Called for each connection: it is cut after so many bytes for the client. */
  cutAfterBytes: () => number = () => Number.POSITIVE_INFINITY;
  connections = 0;

  static async to(target: URL): Promise<Network> {
    const network = new Network(target);
    network.#server.listen(0, "127.0.0.1");
    await once(network.#server, "listening");
    network.#url.port = String((network.#server.address() as AddressInfo).port);
    return network;
  }

  private constructor(target: URL) {
    this.#target = target;
    this.#url = new URL(target);
  }

  get url(): URL {
    return this.#url;
  }

  get open(): number {
    return this.#lines.size;
  }

  /** Breaks every connection. */
  cut(): void {
    for (const { client, server } of this.#lines) {
      client.destroy();
      server.destroy();
    }
  }

  /** Accepts bytes and passes nothing on, in either direction; the connections stay open. */
  holdUp(): void {
    this.#isHeldUp = true;
  }

  /** The bytes that were held up are lost. */
  letPass(): void {
    this.#isHeldUp = false;
  }

  /** Half-closes every connection towards its client, and still accepts the client's bytes. */
  halfClose(): void {
    for (const { client } of this.#lines) client.end();
  }

  close(): void {
    this.cut();
    this.#server.close();
  }

  #join(client: Socket): void {
    const server = connect({ port: Number(this.#target.port), host: this.#target.hostname, allowHalfOpen: true });
    const line = { client, server };
    this.#lines.add(line);
    this.connections += 1;
    this.#pass(client, server, Number.POSITIVE_INFINITY);
    this.#pass(server, client, this.cutAfterBytes());
    const broken = () => {
      this.#lines.delete(line);
      client.destroy();
      server.destroy();
    };
    for (const socket of [client, server]) socket.on("error", broken).on("close", broken);
  }

  #pass(from: Socket, to: Socket, limit: number): void {
    let left = limit;
    from.on("data", (bytes) => {
      if (this.#isHeldUp) return;
      const passed = bytes.subarray(0, Math.min(left, bytes.length));
      left -= passed.length;
      const forward = () => (to.write(passed), left === 0 && to.destroySoon());
      if (this.delayMs === 0) forward();
      else setTimeout(forward, this.delayMs);
    });
    from.on("end", () => void to.end());
  }
}

/** A clock that runs faster for the client than for the worker. */
export function faster(times: number): Timers {
  return {
    setTimeout: (callback, ms) => setTimeout(callback, ms / times),
    clearTimeout: (timer) => clearTimeout(timer),
    now: () => performance.now() * times,
  };
}
