// How long the parts of an answer took, as this page saw it: neither the contract nor stored messages have these times.
import type { Block, Thread, TurnState } from "bobbin-client";

/** In Unix ms; `to` is set once it is over. Without a `from` this page did not see its beginning. */
export type Span = { readonly from?: number; readonly to?: number };

const spans = new Map<string, Span>();
/** Turns that were already running when the page loaded: nobody saw the beginning of their first parts. */
const joined = new Set<string>();
const running = new Map<string, TurnState>();

const nameOf = (requestId: string, part: string | number): string => `${requestId} ${part}`;

/** A thinking block is named by its place in the answer, a call by its id. */
export const spanOf = (requestId: string, part: string | number): Span | undefined => spans.get(nameOf(requestId, part));

/** Watches the answers of a thread, also while the page is hidden and draws nothing. */
export function watchTimes(thread: Thread): () => void {
  let { isLoaded } = thread.getSnapshot();
  const look = () => {
    const { turns, ...now } = thread.getSnapshot();
    if (now.isLoaded && !isLoaded) for (const { requestId, state } of turns) if (state === "streaming" || state === "waiting") joined.add(requestId);
    isLoaded = now.isLoaded;
    for (const turn of turns) if (running.get(turn.requestId) !== turn) note(turn);
    for (const requestId of running.keys()) if (!turns.some((turn) => turn.requestId === requestId)) end(requestId);
  };
  look();
  const unsubscribe = thread.subscribe(look);
  return () => {
    unsubscribe();
    running.clear();
  };
}

function note(turn: TurnState): void {
  const { requestId, state, blocks, open } = turn;
  if (state !== "streaming" && state !== "waiting") return;
  const isJoined = joined.has(requestId) && blocks.length > 0;
  if (isJoined) joined.delete(requestId);
  const now = Date.now();
  for (const [index, block] of blocks.entries()) {
    const part = partOf(block, index);
    if (part === undefined) continue;
    const name = nameOf(requestId, part);
    if (!spans.has(name)) spans.set(name, isJoined ? {} : { from: now });
    const span = spans.get(name) as Span;
    if (span.to === undefined && isOver(block, blocks, index === blocks.length - 1 && open !== undefined)) spans.set(name, { ...span, to: now });
  }
  const [last, before] = [nameOf(requestId, "last"), running.get(requestId)];
  // From here on the answer waits for something else.
  if (!before || before.state !== state || before.blocks.length !== blocks.length || (before.open === undefined) !== (open === undefined)) spans.set(last, { from: now });
  running.set(requestId, turn);
}

const partOf = (block: Block, index: number): string | number | undefined =>
  block.type === "thinking" ? index : block.type === "tool_use" ? block.id : undefined;

function isOver(block: Block, blocks: readonly Block[], isOpen: boolean): boolean {
  if (block.type === "thinking") return !isOpen;
  return block.type === "tool_use" && blocks.some((other) => other.type === "tool_result" && other.toolUseId === block.id);
}

/** Parts that were still running when the answer ended took until then. */
function end(requestId: string): void {
  const blocks = running.get(requestId)?.blocks ?? [];
  running.delete(requestId);
  const now = Date.now();
  for (const [index, block] of blocks.entries()) {
    const part = partOf(block, index);
    const span = part === undefined ? undefined : spanOf(requestId, part);
    if (part !== undefined && span && span.to === undefined && block.type === "thinking") spans.set(nameOf(requestId, part), { ...span, to: now });
  }
}
