// The model: an OpenAI-compatible server in a process of its own. The last message's text is its plan, as JSON: {"id",
// "steps": [{"tokens", "everyMs", "thinking"}, {"waitMs"}, …]}. It tells its parent when it was asked and when it wrote
// each token.
import { createServer } from "node:http";
import { now } from "./clock.mjs";
import { tokenAt } from "./tokens.mjs";

const server = createServer(async (request, response) => {
  const askedAt = now();
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const { messages } = JSON.parse(Buffer.concat(chunks).toString());
  const plan = planOf(messages.at(-1).content);
  request.socket.setNoDelay(true);
  let isGone = false;
  response.on("close", () => (isGone = !response.writableEnded));
  response.writeHead(200, { "content-type": "text/event-stream" });

  const writtenAt = [];
  for (const { tokens = 0, everyMs = 0, waitMs = 0, thinking = false } of plan.steps) {
    if (waitMs) await until(now() + waitMs);
    const start = now();
    for (let index = 0; index < tokens && !isGone; index += 1) {
      // On an absolute schedule: a late token does not delay later ones.
      if (everyMs) await until(start + index * everyMs);
      response.write(event({ [thinking ? "reasoning_content" : "content"]: tokenAt(writtenAt.length) }));
      writtenAt.push(now());
    }
    process.send({ id: plan.id, askedAt, writtenAt, isOver: false });
  }
  if (isGone) return;
  response.write(event({}, "stop"));
  response.write(usage(writtenAt.length));
  response.end("data: [DONE]\n\n");
  process.send({ id: plan.id, askedAt, writtenAt, isOver: true });
});

// A connection that is reused in the moment in which it is closed for idleness would cause a failure that is not the
// worker's.
server.keepAliveTimeout = 0;
server.listen(0, "127.0.0.1", () => process.send({ port: server.address().port }));
process.on("disconnect", () => process.exit());

function planOf(content) {
  return JSON.parse(typeof content === "string" ? content : content.map((part) => part.text ?? "").join(""));
}

// As OpenAI writes it, with all the fields that a client skips.
const HEAD = `data: {"id":"chatcmpl-C0ffee0123456789abcdefghijkl","object":"chat.completion.chunk","created":1790000000,"model":"bench-model","service_tier":"default","system_fingerprint":"fp_0123456789"`;

function event(delta, finishReason = null) {
  const choice = JSON.stringify({ index: 0, delta, logprobs: null, finish_reason: finishReason });
  return `${HEAD},"choices":[${choice}],"usage":null}\n\n`;
}

function usage(tokens) {
  const counted = { prompt_tokens: 10, completion_tokens: tokens, total_tokens: tokens + 10 };
  return `${HEAD},"choices":[],"usage":${JSON.stringify(counted)}}\n\n`;
}

async function until(at) {
  for (let wait = at - now(); wait > 0; wait = at - now()) await new Promise((resolve) => setTimeout(resolve, wait));
}
