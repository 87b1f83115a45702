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
  const end = transcript.messages.findIndex(({ id }) => id === after);
  // What is not held is before all that is.
  const hasEarlier = after !== null && (transcript.hasEarlier || end < 0);
  const now = { ...transcript, messages: [...transcript.messages.slice(0, end + 1), ...messages], hasEarlier };
  if (requestId === undefined) return now;
  const parentId = now.messages.findLast(({ role }) => role === "user")?.id;
  const answer = transcript.messages.find((message) => parentId !== undefined && message.parentId === parentId);
  return begun(now, { requestId, answerId, parentId, versions: answer && oneMore(answer) });
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
