// What this person may do in a session, as far as the page can tell: the server decides.
import type { Session } from "bobbin-client";
import { credential, subject } from "./credential.ts";
import { rightsIn } from "./rights.ts";

type Owned = Pick<Session, "id" | "owner">;

/** `session` is null as long as it is not known. */
export const mayWrite = (sessionId: string, session: Owned | null): boolean => isOwn(session) || !rights()?.onlyReads(sessionId);

/** Whether this person may rename and delete it. */
export const mayManage = (session: Owned): boolean => isOwn(session) || (rights()?.manages(session.id) ?? true);

/** Of one's own session, no token takes anything away. */
const isOwn = (session: Owned | null): boolean => session?.owner === subject();

/** Undefined where no token says anything. */
function rights() {
  const token = credential.get();
  return token === null ? undefined : rightsIn(token);
}
