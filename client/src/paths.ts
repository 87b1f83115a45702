// Which of several versions of a conversation a client holds: messages that begin at one and follow their parents.
import type { Message, ServerFrame, Versions } from "./protocol.ts";
import { type Transcript, begun } from "./transcript.ts";

type Branch = Extract<ServerFrame, { type: "branch" }>;

/** What somebody who looks at this has seen last. */
export function lastSeen({ messages, turns }: Transcript): string | undefined {
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

/** Of an answer that is made beside this one. */
function oneMore({ id, versions }: Message): Versions {
  const index = versions?.count ?? 1;
  return { index, count: index + 1, ...(!versions?.next && { previous: id }) };
}
