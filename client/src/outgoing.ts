// Checks messages before they are sent: everything that any server would refuse is refused here, before it is stored.
import { fatal } from "./error.ts";
import { wordsOf } from "./http.ts";
import { type Content, JSON_DEPTH_MAX, MESSAGE_BYTES_MAX, REQUEST_ID_CHARS_MAX } from "./protocol.ts";

export type Outgoing = {
  readonly requestId: string;
  /** The content as the server stores it; null for a regenerated answer. */
  readonly content: Content | null;
  /** The turn whose message this one replaces. */
  readonly replaces?: string | undefined;
  /** The turn whose answer is regenerated. */
  readonly of?: string | undefined;
  /** The exact bytes: for the server, only an identical frame is the same message. */
  readonly frame: string;
};

/** A frame that starts a turn. */
export type Beginning = {
  requestId: string;
  content?: Content;
  metadata?: object | undefined;
  after?: string | undefined;
  replaces?: string;
  of?: string;
};

/** Throws a `ThreadError` that says what is wrong with an invalid message. */
export function outgoing(beginning: Beginning): Outgoing {
  for (const name of ["requestId", "replaces", "of"] as const) {
    // Callers without TypeScript may pass anything.
    const id = beginning[name];
    if (name in beginning && (!id?.match?.(/^[ -~]+$/) || id.length > REQUEST_ID_CHARS_MAX)) {
      throw invalid(`A requestId has 1 to ${REQUEST_ID_CHARS_MAX} printable ASCII characters.`);
    }
  }
  let frame;
  try {
    frame = toJson({ type: "of" in beginning ? "regenerate" : "message", ...beginning });
  } catch (cause) {
    throw invalid(`The message is no JSON: ${wordsOf(cause)}`);
  }
  const bytes = new TextEncoder().encode(frame).length;
  if (bytes > MESSAGE_BYTES_MAX) {
    throw fatal("MESSAGE_TOO_LARGE", `The message has ${bytes} bytes; at most ${MESSAGE_BYTES_MAX} are allowed.`);
  }
  if (isDeep(JSON.parse(frame), JSON_DEPTH_MAX)) {
    throw invalid(`The message is nested deeper than ${JSON_DEPTH_MAX} arrays and objects.`);
  }
  return fromFrame(frame);
}

/** Returns the message of a frame that this or another version wrote. Throws if there is none. */
export function fromFrame(frame: string): Outgoing {
  const { requestId, content, replaces, of } = JSON.parse(frame) as Outgoing;
  if (!content?.length && of === undefined) throw invalid("The message is empty; give a string or an array of blocks.");
  return { requestId, content: content ?? null, replaces, of, frame };
}

/** Writes JSON, with U+FFFD for each half of a surrogate pair, because the server reads it like this. */
export function toJson(value: unknown): string {
  // `JSON.stringify` writes only half surrogates as escapes that begin with "ud".
  return JSON.stringify(value).replace(/\\(?:(ud...)|.)/g, (escape, half) => (half ? "\ufffd" : escape));
}

const isDeep = (value: unknown, allowed: number): boolean =>
  typeof value === "object" && value !== null && (allowed === 0 || Object.values(value).some((inner) => isDeep(inner, allowed - 1)));

const invalid = (message: string) => fatal("INVALID_MESSAGE", message);
