// Chats of the real AI SDK, in versions 7 and 6, as its hooks use them, but without a page around them.
import { AbstractChat, type ChatInit, type ChatState, type ChatStatus, DefaultChatTransport, type UIMessage, WebSocketChatTransport } from "ai";
import { AbstractChat as AbstractChat6, DefaultChatTransport as DefaultChatTransport6 } from "ai-6";
import WebSocket from "ws";
import { within } from "../../worker/client.ts";

export type Finished = { isAbort: boolean; isDisconnect: boolean; isError: boolean; finishReason?: string | undefined };

/** The state that a hook keeps of a chat; it reports every change. */
class State implements ChatState<UIMessage> {
  #status: ChatStatus = "ready";
  #error: Error | undefined;
  #messages: UIMessage[];
  readonly #changed: () => void;

  constructor(messages: UIMessage[], changed: () => void) {
    this.#messages = messages;
    this.#changed = changed;
  }

  get status(): ChatStatus {
    return this.#status;
  }
  set status(status) {
    this.#status = status;
    this.#changed();
  }
  get error(): Error | undefined {
    return this.#error;
  }
  set error(error) {
    this.#error = error;
    this.#changed();
  }
  get messages(): UIMessage[] {
    return this.#messages;
  }
  set messages(messages) {
    this.#messages = messages;
    this.#changed();
  }

  pushMessage = (message: UIMessage): void => void (this.messages = [...this.messages, message]);
  popMessage = (): void => void (this.messages = this.messages.slice(0, -1));
  replaceMessage = (index: number, message: UIMessage): void => void (this.messages = this.messages.with(index, structuredClone(message)));
  snapshot = <T>(thing: T): T => structuredClone(thing);
}

type Options = Partial<Omit<ChatInit<UIMessage>, "transport">> & { messages?: UIMessage[] };

/** A chat, and the callbacks that its application received. */
export class TestChat extends AbstractChat<UIMessage> {
  readonly finished: Finished[] = [];
  readonly errors: Error[] = [];
  readonly data: unknown[] = [];
  readonly calls: { toolCallId: string; toolName: string }[] = [];
  #wake: () => void;
  #changed = Promise.withResolvers<void>();

  constructor(init: ChatInit<UIMessage>) {
    let wake = () => {};
    super({
      ...init,
      state: new State(init.messages ?? [], () => wake()),
      onFinish: (it) => void this.finished.push({ isAbort: it.isAbort, isDisconnect: it.isDisconnect, isError: it.isError, finishReason: it.finishReason }),
      onError: (error) => void this.errors.push(error),
      onData: (part) => void this.data.push(part),
      onToolCall: ({ toolCall }) => void this.calls.push({ toolCallId: toolCall.toolCallId, toolName: toolCall.toolName }),
    });
    this.#wake = () => {
      this.#changed.resolve();
      this.#changed = Promise.withResolvers<void>();
    };
    wake = () => this.#wake();
  }

  /** Waits until the condition holds. */
  async until(holds: () => boolean, what = "the chat"): Promise<void> {
    while (!holds()) {
      await within(this.#changed.promise, 10_000, what).catch((error) => {
        throw new Error(`${error.message} (${this.status}, ${JSON.stringify(this.messages)})`);
      });
    }
  }

  /** The text of the last message. */
  get text(): string {
    return textOf(this.messages.at(-1));
  }

  untilText(part: string): Promise<void> {
    return this.until(() => this.text.includes(part), `the text "${part}"`);
  }

  async untilStatus(status: ChatStatus): Promise<void> {
    await this.until(() => this.status === status, `the status ${status}`);
  }
}

export const textOf = (message: UIMessage | undefined): string =>
  (message?.parts ?? []).map((part) => (part.type === "text" ? part.text : "")).join("");

/** By HTTP, as `useChat` does without a transport of its own. */
export function overHttp(url: URL, id: string, options: Options = {}, transport: object = {}): TestChat {
  return new TestChat({ id, transport: new DefaultChatTransport({ api: new URL("/api/chat", url).href, ...transport }), ...options });
}

/** Every socket that a transport opened, with every frame that arrived over it. */
export type Sockets = (WebSocket & { received: { type: string; requestId: string; sequence?: number }[] })[];

/** By WebSocket. Frames are recorded in both directions. */
export function overSocket(url: URL, id: string, options: Options = {}, { query = "", sockets = [] as Sockets, transport = {}, headers = {} } = {}): TestChat {
  const address = new URL(`/api/chat/${id}/ws${query}`, url);
  class Recorded extends WebSocket {
    readonly received: Sockets[number]["received"] = [];
    constructor(target: string | URL, protocols?: string | string[]) {
      super(target, protocols, { headers });
      sockets.push(this);
      this.on("message", (data) => this.received.push(JSON.parse(String(data))));
    }
  }
  const webSocket = Recorded as unknown as typeof globalThis.WebSocket;
  return new TestChat({ id, transport: new WebSocketChatTransport({ url: address.href, webSocket, ...transport }), ...options });
}

/** Version 6, over HTTP. */
export function ofVersion6(url: URL, id: string, messages: UIMessage[] = []): InstanceType<typeof Chat6> {
  const transport = new DefaultChatTransport6({ api: new URL("/api/chat", url).href });
  return new Chat6({ id, transport, messages: messages as never });
}

class Chat6 extends AbstractChat6<any> {
  readonly errors: Error[] = [];
  constructor(init: any) {
    super({ ...init, state: new State(init.messages, () => {}) as never, onError: (error: Error) => void this.errors.push(error) });
  }
}

/** The history as a page loads it. */
export async function history(url: URL, id: string): Promise<UIMessage[]> {
  const response = await fetch(new URL(`/api/chat/${id}/messages`, url));
  if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
  return (await response.json()) as UIMessage[];
}
