// The answers of a route with the AI SDK, chunk by chunk.
import type { Call } from "../upstream.ts";

/** Calls a tool that sends mails, and asks for approval. */
export function askToSend(call: Call, ...ids: string[]): void {
  call.events({ type: "start" });
  for (const id of ids.length > 0 ? ids : ["c1"]) {
    call.events(
      { type: "tool-input-available", toolCallId: id, toolName: "send_mail", input: { to: "ann@example.com" } },
      { type: "tool-approval-request", toolCallId: id, approvalId: `approval-${id}` },
    );
  }
  finish(call, "tool-calls");
}

/** Calls a tool whose result a client is to give. */
export function askForPlace(call: Call, id = "c1"): void {
  call.events({ type: "start" }, { type: "tool-input-available", toolCallId: id, toolName: "ask_place", input: {} });
  finish(call, "tool-calls");
}

export function say(call: Call, text: string): void {
  call.events({ type: "start" }, { type: "text-start", id: "t" }, { type: "text-delta", id: "t", delta: text }, { type: "text-end", id: "t" });
  finish(call, "stop");
}

function finish(call: Call, finishReason: string): void {
  call.events({ type: "finish", finishReason });
  call.done();
}

/** What the route was told about its calls of this tool. */
export const partsOf = (call: Call, tool: string): any[] => call.body.messages.at(-1).parts.filter(({ type }: { type: string }) => type === `tool-${tool}`);
