// The client's state of a thread, built from the server's frames.
//
// **Invariant:** knows nothing about sockets, timers or sending. Values are immutable, so that unchanged parts stay the
// same objects.
import { askedAgain, branched, lastSeen, parentOf } from "./paths.ts";
import type { Block, Content, ErrorBody, InFlight, Message, Response, ServerFrame, Session, Status, Versions } from "./protocol.ts";

/** An unfinished turn. */
export type TurnState = {
  readonly requestId: string;
  /** `sending` until the server has the message, `queued` behind other turns, then `streaming`; `waiting` for people. */
  readonly state: "sending" | "queued" | "streaming" | "waiting";
  /** While `waiting`: the open calls, as far as they are known. */
  readonly calls?: readonly string[];
  /** The user's message, until it is in the list of messages. */
  readonly content: Content | null;
  /** While `sending`: the turn whose message this one replaces. Nothing changes until the server has it. */
  readonly replaces?: string | undefined;
  /** While `sending`: the turn whose answer this one regenerates. */
  readonly of?: string | undefined;
  /** The id that the answer's message will have. */
  readonly answerId?: string | undefined;
  /** The id of the answered message. */
  readonly parentId?: string | undefined;
  /** The place of this answer, if there are several to the same message. */
  readonly versions?: Versions | undefined;
  /** The answer's text so far. */
  readonly text: string;
  /** The answer so far, its text included, in order. */
  readonly blocks: readonly Block[];
  /**
   * While the last of `blocks` still grows: its content so far, which is the text of the thinking or the JSON of a call's
   * input. The block's own `input` is not set yet.
   */
  readonly open?: string;
  /** While `sending`: whether the message survives a reload. */
  readonly isStored?: boolean;
};

export type Transcript = {
  /** The position in the log; a client without a cursor receives a snapshot. */
  readonly cursor: string | undefined;
  readonly session: Session | null;
  /** In the log's order. */
  readonly messages: readonly Message[];
  readonly turns: readonly TurnState[];
  /** Whether there are messages before the first. */
  readonly hasEarlier: boolean;
  /** Whether this state came from the server. */
  readonly isLoaded: boolean;
};

export const EMPTY: Transcript = { cursor: undefined, session: null, messages: [], turns: [], hasEarlier: false, isLoaded: false };

type EndFrame = Extract<ServerFrame, { response: Response }>;

/** Applies a frame. Events of finished turns, and messages that are already present, only change the cursor. */
export function apply(transcript: Transcript, frame: ServerFrame): Transcript {
  const held = "cursor" in frame ? { ...transcript, cursor: frame.cursor } : transcript;
  // An event moves the cursor. A repeated acknowledgement does not, and its message may have left the path.
  const isAgain = held.cursor === transcript.cursor;
  switch (frame.type) {
    case "connected":
      return { ...held, session: frame.session, isLoaded: held.isLoaded || frame.resumed };
    case "snapshot":
      return {
        cursor: frame.cursor,
        session: frame.session,
        messages: frame.messages,
        turns: turnsOf(frame),
        hasEarlier: frame.hasMore,
        isLoaded: true,
      };
    case "user_message":
      return isAgain && frame.message.parentId !== lastSeen(held) ? held : accept(held, frame);
    case "branch":
      return frame.requestId !== undefined && (isAgain || has(held, frame.requestId)) ? held : branched(held, frame);
    case "token":
      return change(held, frame.requestId, (turn) => withBlock(closed(turn), { type: "text", text: frame.token }));
    case "block":
      return change(held, frame.requestId, (turn) => placed(closed(turn), frame.index, frame.block));
    case "block_start":
      return change(held, frame.requestId, (turn) => grown(withBlock(closed(turn), frame.block as Block), ""));
    case "block_delta":
      return change(held, frame.requestId, (turn) => (turn.open === undefined ? turn : grown(turn, turn.open + frame.delta)));
    case "waiting":
      return change(held, frame.requestId, (turn) => ({ ...closed(turn), state: "waiting", calls: frame.toolUseIds }));
    case "tool_decided":
      return change(held, frame.requestId, (turn) => decided(turn, frame));
    case "queued":
      return change(held, frame.requestId, (turn) => ({ ...turn, state: "queued" }));
    case "session":
      return { ...held, session: frame.session };
    case "final":
    case "cancelled":
    case "error":
      return "response" in frame ? end(held, frame, isAgain) : held;
    default:
      // Frames of a newer server also end here. The compiler reports each new frame of the contract.
      frame satisfies { type: "session_synced" | "pong" | "check" | "data" };
      return held;
  }
}

/** Puts a page of earlier messages before the loaded ones. */
export function prepend(transcript: Transcript, earlier: readonly Message[], hasEarlier: boolean): Transcript {
  return { ...transcript, messages: [...earlier, ...transcript.messages], hasEarlier };
}

/** The answer of a finished turn. */
export function answerOf({ messages }: Transcript, requestId: string): Message | undefined {
  return messages.findLast((message) => message.requestId === requestId && message.role === "assistant");
}

/** Whether the server has this message, as far as the client knows. */
export function has({ messages, turns }: Transcript, requestId: string): boolean {
  return turns.some((turn) => turn.requestId === requestId) || messages.some((message) => message.requestId === requestId);
}

/** The text of a message, without its other blocks. */
export function textOf(content: Content): string {
  if (typeof content === "string") return content;
  return content.map((block) => (block.type === "text" ? block.text : "")).join("");
}

function accept(transcript: Transcript, { message, answerId }: Extract<ServerFrame, { type: "user_message" }>): Transcript {
  if (has(transcript, message.requestId)) return transcript;
  return begun(append(transcript, message), { requestId: message.requestId, answerId, parentId: message.id });
}

/** Adds a turn without any answer yet. */
export function begun(transcript: Transcript, turn: Omit<TurnState, "state" | "content" | "text" | "blocks">): Transcript {
  const state = transcript.turns.length > 0 ? "queued" : "streaming";
  return { ...transcript, turns: [...transcript.turns, { ...turn, state, content: null, text: "", blocks: [] }] };
}

function end(transcript: Transcript, frame: EndFrame, isAgain: boolean): Transcript {
  const turn = transcript.turns.find(({ requestId }) => requestId === frame.requestId);
  const isKnown = transcript.messages.some((message) => message.id === frame.messageId);
  // Without a turn, it is an answer that no message asked for.
  const place = { parentId: parentOf(transcript, turn, frame.messageId), versions: turn?.versions };
  const after = isKnown || (isAgain && !turn) ? transcript : append(transcript, messageOf(frame, place));
  return turn ? { ...after, turns: started(transcript.turns.filter((other) => other !== turn)) } : after;
}

/** When a turn has ended, the next one runs, although no event says so. */
function started(turns: readonly TurnState[]): readonly TurnState[] {
  const next = turns.some((turn) => turn.state === "streaming" || turn.state === "waiting") ? undefined : turns[0];
  return turns.map((turn) => (turn === next ? { ...turn, state: "streaming" } : turn));
}

/** Whether a repeated old message belongs to the messages that are not loaded. */
function append(transcript: Transcript, message: Message): Transcript {
  const { messages, hasEarlier } = transcript;
  const isEarlier = hasEarlier && message.createdAt < (messages[0]?.createdAt ?? 0);
  return isEarlier ? transcript : { ...transcript, messages: [...messages, message] };
}

/** The answer in the frame that ends a turn. */
export function messageOf(frame: EndFrame, { parentId, versions }: Pick<TurnState, "parentId" | "versions">): Message {
  const { cursor, requestId, messageId, createdAt, response } = frame;
  const message: Message = {
    id: messageId,
    requestId,
    role: "assistant",
    content: response.blocks ?? response.content,
    status: statusOf(frame),
    createdAt,
    tokensUsed: response.metadata.tokensUsed,
    metadata: response.metadata,
    ...(parentId && { parentId }),
    ...(versions && { versions }),
    cursor,
  };
  return frame.type === "error" ? { ...message, error: frame.error as ErrorBody } : message;
}

function statusOf(frame: EndFrame): Status {
  if (frame.type === "final") return "complete";
  if (frame.type === "cancelled") return "cancelled";
  return frame.error.code === "INTERRUPTED" ? "interrupted" : "failed";
}

function turnsOf(snapshot: Extract<ServerFrame, { type: "snapshot" }>): TurnState[] {
  const again = askedAgain(snapshot);
  const parentOf = (requestId: string) => snapshot.messages.find((message) => message.requestId === requestId) ?? again.shift();
  return snapshot.inFlight.map((turn) => turnOf(turn, parentOf(turn.requestId)?.id));
}

function turnOf({ requestId, answerId, state, content, blocks, toolUseIds }: InFlight, parentId: string | undefined): TurnState {
  const text: Block[] = content === "" ? [] : [{ type: "text", text: content }];
  const turn: TurnState = { requestId, answerId, parentId, state, content: null, text: content, blocks: blocks.length > 0 ? blocks : text };
  return toolUseIds ? { ...turn, calls: toolUseIds } : turn;
}

/** The calls that are marked as open: those with a requested approval, or with a result to come from a client. */
function openCalls(blocks: readonly Block[]): string[] {
  const isOpen = (block: Block, place: number) => {
    if (block.type !== "tool_use" || block.approval?.state === "denied") return false;
    const isGiven = blocks.slice(place).some((other) => other.type === "tool_result" && other.toolUseId === block.id);
    return block.approval?.state === "requested" || (block.output === "client" && !isGiven);
  };
  return blocks.filter(isOpen).map((block) => (block as Extract<Block, { type: "tool_use" }>).id);
}

function decided(turn: TurnState, { toolUseId, approved, reason, by }: Extract<ServerFrame, { type: "tool_decided" }>): TurnState {
  const state = approved ? "approved" : "denied";
  const approval = { state, ...(reason === undefined ? {} : { reason }), ...(by === undefined ? {} : { by }) } as const;
  const isIt = (block: Block) => block.type === "tool_use" && block.id === toolUseId && block.approval?.state === "requested";
  const blocks = turn.blocks.map((block) => (isIt(block) ? { ...block, approval } : block));
  return answered({ ...turn, blocks }, toolUseId);
}

/** A waiting turn continues once none of its calls is open. */
function answered({ calls, ...turn }: TurnState, toolUseId: string): TurnState {
  if (turn.state !== "waiting" || !calls) return turn;
  const isOpen = openCalls(turn.blocks).includes(toolUseId);
  const left = calls.filter((id) => id !== toolUseId || isOpen);
  return left.length > 0 ? { ...turn, calls: left } : { ...turn, state: "streaming" };
}

function change(transcript: Transcript, requestId: string, to: (turn: TurnState) => TurnState): Transcript {
  return { ...transcript, turns: transcript.turns.map((turn) => (turn.requestId === requestId ? to(turn) : turn)) };
}

/** Removes the block that still grows: the complete block replaces it, or it is dropped. */
function closed({ open, ...turn }: TurnState): TurnState {
  return open === undefined ? turn : { ...turn, blocks: turn.blocks.slice(0, -1) };
}

function grown(turn: TurnState, open: string): TurnState {
  const last = turn.blocks.at(-1);
  const blocks = last?.type === "thinking" ? [...turn.blocks.slice(0, -1), { ...last, text: open }] : turn.blocks;
  return { ...turn, blocks, open };
}

/** Puts a block at its index among the blocks that are not text. */
function placed(turn: TurnState, index: number, block: Block): TurnState {
  const others = turn.blocks.filter((other) => other.type !== "text");
  const earlier = others[index];
  const blocks = earlier ? turn.blocks.map((other) => (other === earlier ? block : other)) : [...turn.blocks, block];
  const isOutput = turn.state === "waiting" && block.type === "tool_result";
  return isOutput ? answered({ ...turn, blocks }, block.toolUseId) : earlier ? { ...turn, blocks } : withBlock(turn, block);
}

function withBlock(turn: TurnState, block: Block): TurnState {
  const last = turn.blocks.at(-1);
  const isMore = block.type === "text" && last?.type === "text";
  const blocks = isMore ? [...turn.blocks.slice(0, -1), { ...last, text: last.text + block.text }] : [...turn.blocks, block];
  return { ...streaming(turn), text: turn.text + textOf([block]), blocks };
}

function streaming({ calls, ...turn }: TurnState): TurnState {
  return { ...turn, state: "streaming" };
}
