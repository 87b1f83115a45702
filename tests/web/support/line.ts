// A connection between a browser and the worker that can be cut.
import { once } from "node:events";
import { type AddressInfo, type Server, type Socket, connect, createServer } from "node:net";

export class Line {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #isCut = false;
  #takesSockets = true;
  /** How uploads that begin from now on are treated: they pass, stay on their way, or lose their answer. */
  uploads: "pass" | "hold" | "lose answer" = "pass";
  uploadsBegun = 0;

  private constructor(target: URL) {
    this.#server = createServer((near) => {
      if (this.#isCut) return void near.destroy();
      const far = connect(Number(target.port), target.hostname);
      near.once("data", (head) => {
        if (!this.#takesSockets && /^upgrade: websocket/im.test(String(head))) near.destroy();
      });
      near.on("data", (bytes) => this.#isUpload(bytes) && this.#onUpload(near, far));
      for (const [one, other] of [[near, far], [far, near]] as const) {
        this.#sockets.add(one);
        one.pipe(other);
        one.on("error", () => other.destroy());
        one.on("close", () => this.#sockets.delete(one) && other.destroy());
      }
    });
  }

  static async to(target: URL): Promise<Line> {
    const line = new Line(target);
    line.#server.listen(0, "127.0.0.1");
    await once(line.#server, "listening");
    return line;
  }

  get url(): URL {
    return new URL(`http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/`);
  }

  #isUpload(bytes: Buffer): boolean {
    return /^POST \/sessions\/[^/ ]+\/files\b/.test(bytes.toString("latin1", 0, 200));
  }

  #onUpload(near: Socket, far: Socket): void {
    this.uploadsBegun += 1;
    if (this.uploads === "hold") {
      near.unpipe(far);
      near.pause();
    } else if (this.uploads === "lose answer") {
      far.unpipe(near);
      far.once("data", () => near.destroy()).resume();
    }
  }

  /** Breaks every connection, and accepts no other until `mend`. */
  cut(): void {
    this.#isCut = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  mend(): void {
    this.#isCut = false;
    this.#takesSockets = true;
  }

  /** Breaks every connection, and accepts only pages and requests until `mend`. */
  cutSockets(): void {
    this.cut();
    this.#isCut = false;
    this.#takesSockets = false;
  }

  close(): void {
    this.cut();
    this.#server.close();
  }
}
