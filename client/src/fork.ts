// A new session that begins as a copy of another one.
import { type Environment, freshId } from "./environment.ts";
import type { Api } from "./http.ts";
import { type TransferOptions, persist, pick } from "./retry.ts";

export type ForkOptions = TransferOptions & {
  /** The last copied message. Default: the whole current path. */
  messageId?: string | undefined;
  /** The id of the new session. The same id again is the same fork. Default: a new id. */
  sessionId?: string | undefined;
};

/** Forks a session. A retry has the same id, so it is the same fork. */
export async function fork(api: Api, environment: Environment, path: string, options: ForkOptions = {}): Promise<string> {
  const body = { id: options.sessionId ?? freshId(), messageId: options.messageId };
  const forked = () => api.json<{ id: string }>(`${path}/fork`, { method: "POST", body, ...pick(options) });
  return (await persist(environment, options, forked)).id;
}
