// Which of several versions of a conversation a client holds: messages that begin at one and follow their parents.
import type { Message, ServerFrame, Versions } from "./protocol.ts";
import { type Transcript, type TurnState, begun } from "./transcript.ts";

type Branch = Extract<ServerFrame, { type: "branch" }>;

/** What somebody who looks at this has seen last. */
export function lastSeen({ messages, turns }: Pick<Transcript, "messages" | "turns">): string | undefined {
  return turns.at(-1)?.answerId ?? messages.at(-1)?.id;
}

/** Whether a message stands on the path, as far as it is loaded. */
export function holds({ messages, turns }: Transcript, messageId: string): boolean {
  return messages.some(({ id }) => id === messageId) || turns.some(({ answerId }) => answerId === messageId);
}

/** What follows a message is now another thing. The turns that left the path with it have ended before. */
export function branched(transcript: Transcript, { after, messages, requestId, answerId }: Branch): Transcript {
  const isHeld = after !== null && holds(transcript, after);
  const left = new Set([after]);
  // Of turns that ran at once, an answer may stand behind what follows it.
  for (let size = 0; size < left.size; ) {
    size = left.size;
    for (const { id, parentId } of transcript.messages) if (parentId !== undefined && left.has(parentId)) left.add(id);
  }
  const kept = isHeld ? transcript.messages.filter(({ id }) => id === after || !left.has(id)) : [];
  const hasEarlier = after !== null && (transcript.hasEarlier || !isHeld);
  const now = { ...transcript, messages: [...kept, ...messages], hasEarlier };
  const answer = transcript.messages.find(({ parentId }) => parentId === after);
  return requestId === undefined ? now : begun(now, { requestId, answerId, parentId: after, versions: answer && oneMore(answer) });
}

/** Of an answer that is made beside this one, as far as this one tells. */
function oneMore({ id, versions = { index: 0, count: 1 } }: Message): Versions {
  const { index, count, next = id } = versions;
  return { index: count, count: count + 1, ...(count - index <= 2 && { previous: next }) };
}

/** The questions that turns of a snapshot answer once more, in its order: those without an answer, and without a turn of their own. */
export function askedAgain({ messages, inFlight }: { messages: readonly Message[]; inFlight: readonly { requestId: string }[] }): Message[] {
  const answered = new Set(messages.map(({ parentId }) => parentId));
  const open = new Set(inFlight.map(({ requestId }) => requestId));
  return messages.filter(({ id, role, requestId }) => role === "user" && !answered.has(id) && !open.has(requestId));
}

/** What an answer follows: its question, or where none asked for it, what was there before. */
export function parentOf(transcript: Transcript, turn: TurnState | undefined, answerId: string): string | undefined {
  const { messages, turns } = transcript;
  // What was said while it waited for its place stands behind it.
  const isBefore = messages.some(({ parentId }) => parentId === answerId);
  return turn?.parentId ?? (isBefore ? messages.at(-1)?.id : lastSeen({ messages, turns: turns.filter((other) => other !== turn) }));
}

/** Whether an answer has come beside others, of which it is not known which is before it. */
export function lacksVersions({ messages }: Transcript, { parentId, requestId, versions }: TurnState): boolean {
  const question = messages.find(({ id }) => id === parentId);
  return question !== undefined && question.requestId !== requestId && versions?.previous === undefined;
}
