// The model: a route that answers with the AI SDK's UI message stream, in a process of its own. The user's last text is
// its plan: `words 20`, or `ask 10` for as many words and then a call that somebody has to approve. Once that is
// answered, it sends the rest.
import { createServer } from "node:http";

const everyMs = Number(process.argv[2]);

const server = createServer((request, response) => {
  // A turn that is cancelled aborts its request.
  answer(request, response).catch(() => response.destroy());
});

async function answer(request, response) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const { messages } = JSON.parse(Buffer.concat(chunks).toString());
  const isContinued = messages.at(-1).role === "assistant";
  const plan = messages.findLast(({ role }) => role === "user").parts.find(({ type }) => type === "text").text;
  const [what, count] = plan.split(" ");
  let timer;
  response.on("close", () => clearTimeout(timer));
  response.writeHead(200, { "content-type": "text/event-stream", "x-vercel-ai-ui-message-stream": "v1" });
  const write = (...parts) => parts.forEach((part) => response.write(`data: ${JSON.stringify(part)}\n\n`));
  write({ type: "start" }, { type: "start-step" }, { type: "text-start", id: "t" });
  const words = isContinued ? 3 : Number(count);
  const say = (index) => {
    if (index < words) {
      write({ type: "text-delta", id: "t", delta: `word${index} ` });
      timer = setTimeout(() => say(index + 1), everyMs);
      return;
    }
    write({ type: "text-end", id: "t" });
    const asks = what === "ask" && !isContinued;
    if (asks) {
      const toolCallId = `call-${Math.random().toString(36).slice(2)}`;
      write({ type: "tool-input-available", toolCallId, toolName: "book", input: { place: "here" } });
      write({ type: "tool-approval-request", approvalId: `ask-${toolCallId}`, toolCallId });
    }
    write({ type: "finish-step" }, { type: "finish", finishReason: asks ? "tool-calls" : "stop" });
    response.end("data: [DONE]\n\n");
  };
  say(0);
}

// A connection that is reused in the moment in which it is closed for idleness would cause a failure that is not the
// worker's.
server.keepAliveTimeout = 0;
server.listen(0, "127.0.0.1", () => process.send({ port: server.address().port }));
process.on("disconnect", () => process.exit());
