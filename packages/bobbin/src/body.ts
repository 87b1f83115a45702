/** Recognises the format of a body's events, by the first distinctive event. */

/** The format in which the core parses a body: the name of the kind of agent that uses it. */
export type Kind = "ai-sdk" | "openai" | "responses" | "anthropic" | "workers-ai";

/** An event stream begins with a field or a comment; anything else is text. */
const IS_EVENTS = /^\ufeff?\s*(data|event|id|retry)?:/;
const SNIFFED_BYTES_MAX = 65_536;
/** A body that begins with this many characters without a field is text. */
const FIELD_CHARS_MAX = 8;

export class Body {
  readonly #events: (bytes: Uint8Array) => void;
  readonly #kind: (kind: Kind) => void;
  readonly #say: (text: string) => void;
  readonly #decoder = new TextDecoder();
  #begun: Uint8Array[] | undefined = [];
  #isText: boolean;

  constructor(to: { kind: (kind: Kind) => void; events: (bytes: Uint8Array) => void; say: (text: string) => void }, isText: boolean) {
    [this.#kind, this.#events, this.#say, this.#isText] = [to.kind, to.events, to.say, isText];
    if (isText) this.#begun = undefined;
  }

  push(bytes: Uint8Array): void {
    if (this.#begun === undefined) return this.#pass(bytes);
    this.#begun.push(bytes);
    this.#recognise(false);
  }

  /** Ends the body. Returns whether it had the events of an API, whose own end counts. */
  finish(): boolean {
    this.#recognise(true);
    if (this.#isText) this.#say(this.#decoder.decode());
    return !this.#isText;
  }

  #recognise(isWhole: boolean): void {
    if (this.#begun === undefined) return;
    const size = this.#begun.reduce((sum, { length }) => sum + length, 0);
    const begins = new TextDecoder().decode(concat(this.#begun, size));
    const isEvents = IS_EVENTS.test(begins);
    const kind = isEvents ? kindOf(begins, isWhole || size > SNIFFED_BYTES_MAX) : undefined;
    const isTold = kind !== undefined || isWhole || (!isEvents && begins.trim().length > FIELD_CHARS_MAX);
    if (!isTold) return;
    this.#isText = kind === undefined;
    if (kind !== undefined) this.#kind(kind);
    const begun = this.#begun;
    this.#begun = undefined;
    for (const bytes of begun) this.#pass(bytes);
  }

  #pass(bytes: Uint8Array): void {
    if (this.#isText) this.#say(this.#decoder.decode(bytes, { stream: true }));
    else this.#events(bytes);
  }
}

function kindOf(begins: string, isEnough: boolean): Kind | undefined {
  const lines = begins.split(/\r\n|\n|\r/);
  // The last line may be incomplete.
  if (!isEnough) lines.pop();
  let guess: Kind | undefined;
  for (const line of lines) {
    if (!line.startsWith("data:")) continue;
    const kind = kindOfEvent(line.slice("data:".length));
    if (kind !== undefined) return kind;
    if (/"ping"/.test(line)) guess = "anthropic";
  }
  return isEnough ? (guess ?? "ai-sdk") : undefined;
}

function kindOfEvent(data: string): Kind | undefined {
  let event: unknown;
  try {
    event = JSON.parse(data);
  } catch {
    return undefined;
  }
  if (typeof event !== "object" || event === null) return undefined;
  const { type } = event as { type?: unknown };
  if (typeof type === "string") {
    // Two of the formats have this event.
    if (type === "ping") return undefined;
    if (type.startsWith("message_") || type.startsWith("content_block_")) return "anthropic";
    return type.startsWith("response.") ? "responses" : "ai-sdk";
  }
  if ("response" in event && !("choices" in event)) return "workers-ai";
  return "openai";
}

function concat(pieces: Uint8Array[], size: number): Uint8Array {
  const whole = new Uint8Array(size);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
