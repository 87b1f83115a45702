// Says in words what a running answer is waiting for.
import type { Block, TurnState } from "bobbin-client";
import { t } from "../language.ts";
import { Elapsed } from "./elapsed.tsx";
import { spanOf } from "./times.ts";

/** Empty while text streams, because the text itself shows the progress. */
function wordsFor(turn: TurnState): string {
  const { state, blocks, open, calls } = turn;
  if (state === "waiting") return waitsForPeople(blocks, calls);
  const last = blocks.at(-1);
  if (!last) return t.waitsFor.model;
  if (last.type === "thinking") return open === undefined ? t.waitsFor.next : t.waitsFor.thinking;
  if (last.type === "tool_use" && open !== undefined) return t.waitsFor.input(last.title ?? last.name);
  const unanswered = blocks.filter((block) => block.type === "tool_use" && block.output !== "client" && !hasResult(blocks, block.id));
  const [call] = unanswered;
  if (last.type === "tool_use" && call?.type === "tool_use") return unanswered.length > 1 ? t.waitsFor.tools(unanswered.length) : t.waitsFor.tool(call.title ?? call.name);
  return last.type === "text" ? "" : t.waitsFor.next;
}

function waitsForPeople(blocks: readonly Block[], calls: readonly string[] | undefined): string {
  if (blocks.some((block) => block.type === "tool_use" && block.approval?.state === "requested")) return t.waitsFor.you;
  const call = blocks.find((block) => block.type === "tool_use" && (calls?.includes(block.id) || block.output === "client") && !hasResult(blocks, block.id));
  return call?.type === "tool_use" ? t.waitsFor.others(call.title ?? call.name) : t.waitsFor.you;
}

const hasResult = (blocks: readonly Block[], id: string): boolean => blocks.some((block) => block.type === "tool_result" && block.toolUseId === id);

/** An animation while nothing is written. */
export function Awaited({ turn }: { turn: TurnState }) {
  const words = wordsFor(turn);
  if (words === "") return null;
  return (
    <p className="waiting">
      {turn.state !== "waiting" && (
        <span className="dots" aria-hidden="true">
          <i />
          <i />
          <i />
        </span>
      )}
      <span>{words}</span>
      {turn.state !== "waiting" && <Elapsed key={words} span={spanOf(turn.requestId, "last")} />}
    </p>
  );
}
