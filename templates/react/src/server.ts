import { type Block, type JsonValue, type Message, type Part, routeThreadRequest, Thread, type Turn } from "bobbin";

/** A fake model, so that no key is needed: replace `onTurn` with your agent. */
export class Chat extends Thread {
  async *onTurn({ messages, round }: Turn): AsyncGenerator<Part | string> {
    const last = messages.at(-1);
    if (round > 1) return yield* this.remind(blocksOf(last));
    const text = textOf(last);
    for (const word of `You said: ${text}`.split(/(?<= )/)) {
      await scheduler.wait(20);
      yield word;
    }
    if (/remind/i.test(text)) yield { type: "tool_use", id: crypto.randomUUID(), name: "remind", title: "Remind you in 5 seconds", input: { text }, kind: "edit", approval: "requested" };
  }

  /** Continues the turn after somebody has approved or denied the call. */
  *remind(blocks: Block[]): Generator<Part | string> {
    for (const block of blocks) {
      if (block.type !== "tool_use" || block.approval?.state !== "approved") continue;
      this.schedule(Date.now() + 5_000, "reminder", block.input);
      yield { type: "tool_result", toolUseId: block.id, content: "I will." };
    }
  }

  /** Works even if nobody is connected: the message is in the conversation when they return. */
  async onSchedule(_name: string, data: JsonValue) {
    await this.append(`A reminder: ${(data as { text: string }).text}`);
  }

  title(messages: Message[]) {
    return textOf(messages[0]).slice(0, 40);
  }
}

const blocksOf = (message?: Message): Block[] => (typeof message?.content === "object" ? message.content : []);
const textOf = (message?: Message) => (typeof message?.content === "string" ? message.content : blocksOf(message).map((block) => (block.type === "text" ? block.text : "")).join(""));

export default {
  fetch: async (request, env, ctx) => (await routeThreadRequest(request, env, ctx)) ?? new Response("Not found", { status: 404 }),
} satisfies ExportedHandler<object>;
