// Many sockets on one thread: how many frames each gets for an answer of 200 words, produced in a second, and when the
// last one has its end.
//   node bench/crowd.mjs [sockets ...]     by default 250 1000 4096
import WebSocket from "ws";
import { runMain, say } from "../scripts/lib.mjs";
import { contestants } from "./contestants.mjs";
import { Runtime } from "./runtime.mjs";

const WORDS = 200;
const WORD_MS = 5;
const AT_ONCE = 64;

const { bobbin } = contestants;
const echo = { ...bobbin, vars: { ...bobbin.vars, AGENT: "echo", ECHO_DELAY_MS: String(WORD_MS) } };

await runMain(async () => {
  const sizes = process.argv.slice(2).map(Number);
  for (const sockets of sizes.length > 0 ? sizes : [250, 1000, 4096]) {
    const runtime = await Runtime.start(echo);
    try {
      say(JSON.stringify({ sockets, ...(await measure(String(runtime.url), sockets)) }));
    } finally {
      await runtime.close();
    }
  }
});

async function measure(url, sockets) {
  const clients = [];
  while (clients.length < sockets) {
    const more = Math.min(AT_ONCE, sockets - clients.length);
    clients.push(...(await Promise.all(Array.from({ length: more }, () => join(url)))));
  }
  const began = performance.now();
  clients[0].socket.send(JSON.stringify({ type: "message", requestId: "crowd", content: "word ".repeat(WORDS).trim() }));
  const ends = await Promise.all(clients.map(({ over }) => over));
  const seconds = (at) => Number(((at - began) / 1000).toFixed(2));
  const tokens = clients.map((client) => client.tokens).sort((one, other) => one - other);
  for (const { socket } of clients) socket.terminate();
  return { tokenFrames: tokens[Math.floor(tokens.length / 2)], firstEndS: seconds(Math.min(...ends)), lastEndS: seconds(Math.max(...ends)) };
}

/**
 * Resolves once the socket is connected. It looks only at the frame's type, so that the measurement is not dominated by
 * its readers.
 */
function join(url) {
  const socket = new WebSocket(new URL("/sessions/crowd/websocket", url.replace("http:", "ws:")), { perMessageDeflate: false });
  const over = Promise.withResolvers();
  const client = { socket, tokens: 0, over: over.promise };
  return new Promise((resolve, reject) => {
    socket.on("error", reject);
    over.promise.catch(() => {});
    socket.on("close", (code) => over.reject(new Error(`closed with ${code}`)));
    socket.on("message", (bytes) => {
      const head = bytes.toString("latin1", 0, 32);
      if (head.startsWith('{"type":"token"')) client.tokens += 1;
      else if (head.startsWith('{"type":"connected"')) resolve(client);
      else if (head.startsWith('{"type":"check"')) socket.send(bytes.toString());
      else if (head.startsWith('{"type":"final"')) over.resolve(performance.now());
    });
  });
}
