// A client that takes every frame literally: it folds frames into a transcript and keeps the last cursor. It throws on
// everything that the contract forbids: a gap, a token too many, an end that differs from the streamed text.
import assert from "node:assert/strict";
import type { Frame } from "../client.ts";
import type { Bobbin } from "../harness.ts";

export type Entry = { id: string; requestId: string; role: string; status: string; content: unknown };
export type Block = { type: string; [field: string]: any };
/** A block that still grows. It is the last one. */
type Open = { type: "open"; block: Block; grown: string };

const ENDS: Record<string, string> = { final: "complete", cancelled: "cancelled" };

export class Fold {
  cursor: string | undefined;
  session: Frame | null = null;
  /** The reason of each snapshot. */
  readonly snapshots: string[] = [];
  readonly #messages = new Map<string, Entry>();
  readonly #running = new Map<string, Block[]>();

  static of(frames: Frame[]): Fold {
    const fold = new Fold();
    for (const frame of frames) fold.take(frame);
    return fold;
  }

  get messages(): Entry[] {
    return [...this.#messages.values()];
  }

  /** Turns whose end is still to come. */
  get open(): string[] {
    const ended = new Set(this.messages.filter(isAnswer).map((message) => message.requestId));
    return this.messages.filter((message) => !isAnswer(message) && !ended.has(message.requestId)).map((message) => message.requestId);
  }

  ends(requestId: string): Entry[] {
    return this.messages.filter((message) => isAnswer(message) && message.requestId === requestId);
  }

  /**
   * The blocks of an answer that still runs. A thought that still grows is included as far as it is; half a call is
   * left out.
   */
  blocksOf(requestId: string): Block[] {
    const blocks = this.#running.get(requestId) ?? [];
    const open = openOf(blocks);
    if (!open) return blocks;
    return open.block.type === "thinking" ? [...whole(blocks), { ...open.block, text: open.grown }] : whole(blocks);
  }

  /** Whether the last block still grows. */
  isOpen(requestId: string): boolean {
    return openOf(this.#running.get(requestId) ?? []) !== undefined;
  }

  textOf(requestId: string): string {
    return textOf(this.blocksOf(requestId));
  }

  /** Everything that it holds, to be compared with another client's state. */
  state(): object {
    return { messages: this.messages, running: Object.fromEntries(this.#running), session: this.session };
  }

  take(frame: Frame): void {
    if (frame["cursor"] !== undefined) this.cursor = frame["cursor"];
    if (frame.type === "snapshot") this.#replace(frame);
    if (frame.type === "session") this.session = frame["session"];
    if (frame.type === "user_message") this.#add({ ...frame["message"], role: "user" });
    if (frame.type === "token") this.#append(frame["requestId"], { type: "text", text: frame["token"] });
    if (frame.type === "block") this.#place(frame["requestId"], frame["index"], frame["block"]);
    if (frame.type === "block_start") this.#begin(frame["requestId"], frame["index"], frame["block"]);
    if (frame.type === "block_delta") this.#grow(frame["requestId"], frame["index"], frame["delta"]);
    if (frame.type === "tool_decided") this.#decide(frame);
    if (frame["response"] !== undefined) this.#end(frame);
  }

  #decide({ requestId, toolUseId, approved, reason, by }: Frame): void {
    const approval = { state: approved ? "approved" : "denied", ...(reason !== undefined && { reason }), ...(by !== undefined && { by }) };
    const blocks = this.#running.get(requestId) ?? [];
    this.#running.set(requestId, blocks.map((block) => (block["id"] === toolUseId ? { ...block, approval } : block)));
  }

  #replace(frame: Frame): void {
    this.snapshots.push(frame["reason"]);
    this.session = frame["session"];
    this.#messages.clear();
    this.#running.clear();
    for (const message of frame["messages"]) this.#add(message);
    for (const { requestId, state, content, blocks } of frame["inFlight"]) {
      if (state === "streaming" && content !== "") this.#running.set(requestId, [{ type: "text", text: content }]);
      if (blocks.length > 0) this.#running.set(requestId, blocks);
    }
  }

  #add({ id, requestId, role, status, content }: Entry): void {
    this.#messages.set(id, { id, requestId, role, status, content });
  }

  #append(requestId: string, block: Block): void {
    assert.deepEqual(this.ends(requestId), [], `${requestId} continues after its end`);
    const blocks = whole(this.#running.get(requestId) ?? []);
    const last = blocks.at(-1);
    if (block.type === "text" && last?.type === "text") blocks[blocks.length - 1] = { type: "text", text: last["text"] + block["text"] };
    else blocks.push(block);
    this.#running.set(requestId, blocks);
  }

  /** Puts a block at its place among those that are not text. */
  #place(requestId: string, index: number, block: Block): void {
    const blocks = whole(this.#running.get(requestId) ?? []);
    const others = blocks.filter(({ type }) => type !== "text");
    const earlier = others[index];
    if (earlier) {
      this.#running.set(requestId, blocks.map((other) => (other === earlier ? block : other)));
    } else {
      assert.equal(index, others.length, `block ${index} of ${requestId} comes before others`);
      this.#append(requestId, block);
    }
  }

  #begin(requestId: string, index: number, block: Block): void {
    assert.ok(!("text" in block || "input" in block), "the growing text is in the block that begins");
    const blocks = whole(this.#running.get(requestId) ?? []);
    assert.equal(index, blocks.filter(({ type }) => type !== "text").length);
    this.#append(requestId, { type: "open", block, grown: "" } satisfies Open);
  }

  #grow(requestId: string, index: number, delta: string): void {
    const blocks = this.#running.get(requestId) ?? [];
    const open = openOf(blocks);
    assert.ok(open, `${requestId} has no block that grows`);
    assert.equal(index, whole(blocks).filter(({ type }) => type !== "text").length);
    this.#running.set(requestId, [...whole(blocks), { ...open, grown: open.grown + delta }]);
  }

  #end(frame: Frame): void {
    const { requestId, messageId, response } = frame as Frame & { requestId: string };
    // A repeated acknowledgement or end changes nothing.
    if (!this.#messages.has(messageId)) {
      assert.deepEqual(this.ends(requestId), [], `${requestId} ended twice`);
      const isAppended = !this.messages.some((message) => message.requestId === requestId) && response.metadata.latencyMs === 0;
      // An answer that belongs to no message arrives whole.
      const streamed = isAppended && !this.#running.has(requestId) ? (response.blocks ?? [{ type: "text", text: response.content }]) : whole(this.#running.get(requestId) ?? []);
      assert.equal(response.content, textOf(streamed), `${requestId} ends with another text than was streamed`);
      if (response.blocks) assert.deepEqual(response.blocks, streamed, `${requestId} ends with other blocks than were streamed`);
      this.#running.delete(requestId);
    }
    const status = ENDS[frame.type] ?? (frame["error"].code === "INTERRUPTED" ? "interrupted" : "failed");
    this.#add({ id: messageId, requestId, role: "assistant", status, content: response.blocks ?? response.content });
  }
}

/** The transcript that the object itself holds. */
export async function logOf(bobbin: Bobbin, sessionId: string): Promise<Entry[]> {
  const rows = await bobbin.sql(sessionId, "SELECT * FROM bobbin_records WHERE kind IN ('question', 'answer') ORDER BY seq");
  return rows.map((row) => ({
    id: String(row["message_id"]),
    requestId: String(row["request_id"]),
    role: row["kind"] === "answer" ? "assistant" : "user",
    status: String(row["status"] ?? "complete"),
    content: JSON.parse(String(row["content"])),
  }));
}

export const isAnswer = (message: Entry): boolean => message.role === "assistant";

function openOf(blocks: Block[]): Open | undefined {
  const last = blocks.at(-1);
  return last?.type === "open" ? (last as Open) : undefined;
}

const whole = (blocks: Block[]): Block[] => (openOf(blocks) ? blocks.slice(0, -1) : blocks);

function textOf(blocks: Block[]): string {
  return blocks
    .filter((block) => block.type === "text")
    .map((block) => block["text"])
    .join("");
}
