// The memory of a runtime's process, by the inspector of each isolate: its own isolates and those that stand for D1, R2
// and the front door.
import WebSocket from "ws";

const MB = 1024 * 1024;

/** The same contestant, whose worker reports the size of its wasm memory at `/__memory`. */
export function withWasmMemory(contestant) {
  const [main, ...others] = contestant.modules;
  const entry = `import "./memories.js"; import worker from "./${main.path}"; export * from "./${main.path}";
    const isAsked = (request) => new URL(request.url).pathname === "/__memory";
    const answer = () => Response.json(memories.reduce((sum, { buffer }) => sum + buffer.byteLength, 0));
    export default typeof worker === "function"
      ? class extends worker { fetch(request) { return isAsked(request) ? answer() : super.fetch(request); } }
      : { fetch: (request, env, ctx) => isAsked(request) ? answer() : worker.fetch(request, env, ctx) };`;
  const memories = `globalThis.memories = [];
    WebAssembly.Instance = new Proxy(WebAssembly.Instance, {
      construct(target, args, newTarget) {
        const instance = Reflect.construct(target, args, newTarget);
        memories.push(...Object.values(instance.exports).filter((each) => each instanceof WebAssembly.Memory));
        return instance;
      },
    });`;
  const added = [["measured.js", entry], ["memories.js", memories]].map(([path, contents]) => ({ type: "ESModule", path, contents }));
  return { ...contestant, modules: [...added, main, ...others] };
}

export async function wasmMb(runtime) {
  return (await (await fetch(new URL("/__memory", runtime.url))).json()) / MB;
}

/** As text, in MB. On request it first collects the garbage of all isolates. */
export async function memoryOf(runtime, isCollected = false) {
  const heaps = await heapsOf(runtime.inspector, isCollected);
  const wasm = await wasmMb(runtime);
  const [own, others] = [true, false].map((isOwn) => Object.entries(heaps).filter(([id]) => id.startsWith("core:user:") === isOwn).map(([, heap]) => heap));
  const sum = (of, what) => of.reduce((total, heap) => total + heap[what], 0);
  const anonymous = runtime.anonymousKb() / 1024;
  const left = anonymous - sum(own, "total") - sum(others, "total") - wasm;
  const shown = (mb) => mb.toFixed(1);
  return `process ${shown(anonymous)}; heap ${shown(sum(own, "used"))} of ${shown(sum(own, "total"))}; wasm ${shown(wasm)}; heaps of Miniflare's workers ${shown(sum(others, "used"))} of ${shown(sum(others, "total"))}; the rest ${shown(left)}`;
}

/** MB of each isolate's heap, in use and in total. */
async function heapsOf(inspector, isCollected) {
  const targets = await (await fetch(new URL("/json", inspector))).json();
  const heaps = {};
  for (const { id, webSocketDebuggerUrl } of targets) {
    const session = await Session.open(webSocketDebuggerUrl);
    // The one request that collects first; `HeapProfiler.collectGarbage` is never answered.
    if (isCollected) await session.ask("HeapProfiler.takeHeapSnapshot");
    const { usedSize, totalSize } = await session.ask("Runtime.getHeapUsage");
    heaps[id] = { used: usedSize / MB, total: totalSize / MB };
    session.close();
  }
  return heaps;
}

class Session {
  #socket;
  #asked = new Map();
  #next = 0;

  static async open(url) {
    const session = new Session();
    session.#socket = new WebSocket(url);
    session.#socket.on("message", (data) => session.#take(JSON.parse(String(data))));
    await new Promise((resolve, reject) => session.#socket.once("open", resolve).once("error", reject));
    return session;
  }

  ask(method, params = {}) {
    const id = (this.#next += 1);
    const asked = Promise.withResolvers();
    this.#asked.set(id, asked);
    this.#socket.send(JSON.stringify({ id, method, params }));
    return asked.promise;
  }

  close() {
    this.#socket.close();
  }

  #take({ id, result, error }) {
    const asked = this.#asked.get(id);
    this.#asked.delete(id);
    if (error) asked?.reject(new Error(error.message));
    else asked?.resolve(result);
  }
}
