// A session of one's own that begins as another one.
import { type Environment, freshId } from "./environment.ts";
import type { Api } from "./http.ts";
import { type TransferOptions, persist, pick } from "./retry.ts";

export type ForkOptions = TransferOptions & {
  /** The last message that it has. Default: all of the path that is current. */
  messageId?: string | undefined;
  /** Its id. The same one again is the same fork. Default: a fresh one. */
  sessionId?: string | undefined;
};

/** Tried again, it is the same fork, since it has the same id. */
export async function fork(api: Api, environment: Environment, path: string, options: ForkOptions = {}): Promise<string> {
  const body = { id: options.sessionId ?? freshId(), messageId: options.messageId };
  const forked = () => api.json<{ id: string }>(`${path}/fork`, { method: "POST", body, ...pick(options) });
  return (await persist(environment, options, forked)).id;
}
