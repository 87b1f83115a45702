// How many requests the AI SDK's adapter of Durable Streams makes to write an answer, by the latency to the server.
import { createServer, request } from "node:http";
import { setTimeout as pause } from "node:timers/promises";
import { toDurableStreamResponse } from "@durable-streams/aisdk-transport";
import { DurableStreamTestServer } from "@durable-streams/server";

const server = new DurableStreamTestServer({ port: 0, host: "127.0.0.1" });
const target = new URL(await server.start());

for (const [tokens, delayMs] of [[400, 0], [400, 50], [25, 0], [25, 50]]) {
  let writes = 0;
  const far = createServer((incoming, outgoing) => {
    writes += 1;
    setTimeout(() => {
      const { url: path, method, headers } = incoming;
      const onward = request({ host: target.hostname, port: target.port, path, method, headers }, (answer) => {
        outgoing.writeHead(answer.statusCode, answer.headers);
        answer.pipe(outgoing);
      });
      incoming.pipe(onward);
    }, delayMs);
  });
  await new Promise((resolve) => far.listen(0, "127.0.0.1", resolve));
  const writeUrl = `http://127.0.0.1:${far.address().port}/v1/stream/${tokens}-${delayMs}`;
  await toDurableStreamResponse({ source: answer(tokens), mode: "await", stream: { writeUrl } });
  far.close();
  console.log(`  ${tokens} tokens 20 ms apart, a server ${delayMs} ms away: ${writes} writes`);
}
await server.stop();

async function* answer(tokens) {
  yield { type: "start" };
  yield { type: "start-step" };
  yield { type: "text-start", id: "1" };
  for (let index = 0; index < tokens; index += 1) {
    await pause(20);
    yield { type: "text-delta", id: "1", delta: "word " };
  }
  yield { type: "text-end", id: "1" };
  yield { type: "finish-step" };
  yield { type: "finish" };
}
