// The path of a conversation that a client holds: a chain of messages that are linked by their parents.
import type { Message, ServerFrame, Versions } from "./protocol.ts";
import { type Transcript, type TurnState, begun } from "./transcript.ts";

type Branch = Extract<ServerFrame, { type: "branch" }>;

/** The id of the last message that a person can see in this state. */
export function lastSeen({ messages, turns }: Pick<Transcript, "messages" | "turns">): string | undefined {
  return turns.at(-1)?.answerId ?? messages.at(-1)?.id;
}

/** Whether a message is on the path, as far as it is loaded. */
export function holds({ messages, turns }: Transcript, messageId: string): boolean {
  return messages.some(({ id }) => id === messageId) || turns.some(({ answerId }) => answerId === messageId);
}

/** Replaces everything after a message. The turns that leave the path have ended before. */
export function branched(transcript: Transcript, { after, messages, requestId, answerId }: Branch): Transcript {
  const end = transcript.messages.findIndex(({ id }) => id === after);
  // A message that is not loaded comes before all loaded ones.
  const hasEarlier = after !== null && (transcript.hasEarlier || end < 0);
  const now = { ...transcript, messages: [...transcript.messages.slice(0, end + 1), ...messages], hasEarlier };
  if (requestId === undefined) return now;
  const parentId = now.messages.findLast(({ role }) => role === "user")?.id;
  const answer = transcript.messages.find((message) => parentId !== undefined && message.parentId === parentId);
  return begun(now, { requestId, answerId, parentId, versions: answer && oneMore(answer) });
}

/** The versions of a new answer next to this one, as far as they follow from this one. */
function oneMore({ id, versions = { index: 0, count: 1 } }: Message): Versions {
  const { index, count, next = id } = versions;
  return { index: count, count: count + 1, ...(count - index <= 2 && { previous: next }) };
}

/** The questions whose answers are being regenerated in a snapshot, in its order: those without an answer and without a running turn of their own. */
export function askedAgain({ messages, inFlight }: { messages: readonly Message[]; inFlight: readonly { requestId: string }[] }): Message[] {
  const answered = new Set(messages.map(({ parentId }) => parentId));
  const open = new Set(inFlight.map(({ requestId }) => requestId));
  return messages.filter(({ id, role, requestId }) => role === "user" && !answered.has(id) && !open.has(requestId));
}

/** The parent of an answer: its question, or for an answer that no message asked for, the message before it. */
export function parentOf(transcript: Transcript, turn: TurnState | undefined, answerId: string): string | undefined {
  const { messages, turns } = transcript;
  // Messages sent while the answer was queued come after it.
  const isBefore = messages.some(({ parentId }) => parentId === answerId);
  return turn?.parentId ?? (isBefore ? messages.at(-1)?.id : lastSeen({ messages, turns: turns.filter((other) => other !== turn) }));
}

/** Whether an answer has other versions, and the previous one is unknown. */
export function lacksVersions({ messages }: Transcript, { parentId, requestId, versions }: TurnState): boolean {
  const question = messages.find(({ id }) => id === parentId);
  return question !== undefined && question.requestId !== requestId && versions?.previous === undefined;
}
