import type { ThreadError } from "./error.ts";
import type { ClientFrame, PermissionMode, ServerFrame, Session } from "./protocol.ts";
import { type Deferred, deferred } from "./turn.ts";

export type SessionChange = {
  /** 1 to 200 characters; `null` takes the title away. */
  title?: string | null;
  permissionMode?: PermissionMode;
};

type Waiting = Deferred<void> & { change: SessionChange };

/**
 * Changes of the session that are on their way. They have no acknowledgement of their own: one has
 * arrived when the session says so.
 */
export function createSessionUpdates(send: (frame: ClientFrame) => boolean) {
  let owed: SessionChange | undefined;
  let waiting: Waiting[] = [];
  /** All that was set before the first message: until then the server keeps it with its sockets alone. */
  let draft: SessionChange | undefined;

  function push(): void {
    if (owed) send({ type: "session_update", ...owed });
  }

  return {
    isOwing: () => owed !== undefined,
    push,
    add(change: SessionChange): Promise<void> {
      const added = { ...deferred<void>(), change };
      // Who does not wait for it is not to be told.
      added.promise.catch(() => {});
      waiting.push(added);
      owed = { ...owed, ...change };
      draft = { ...draft, ...change };
      push();
      return added.promise;
    },
    connected({ status, session }: Extract<ServerFrame, { type: "connected" }>): void {
      if (status === "created") draft = undefined;
      else if (session === null && draft) owed = { ...draft, ...owed };
    },
    settle(session: Session): void {
      if (session.messageCount > 0) draft = undefined;
      if (owed && says(session, owed)) owed = undefined;
      for (const { change, resolve } of waiting) if (says(session, change)) resolve();
      waiting = waiting.filter(({ change }) => !says(session, change));
    },
    fail(error: ThreadError): void {
      owed = undefined;
      draft = undefined;
      for (const { reject } of waiting) reject(error);
      waiting = [];
    },
  };
}

function says(session: Session, { title = session.title, permissionMode = session.permissionMode }: SessionChange): boolean {
  return session.title === (title?.trim() ?? null) && session.permissionMode === permissionMode;
}
