// What the user may do in a session, as far as the page can tell: the server decides.
import type { Session } from "bobbin-client";
import { credential, subject } from "./credential.ts";
import { rightsIn } from "./rights.ts";

type Owned = Pick<Session, "id" | "owner">;

/** `session` is null until it is known. */
export const mayWrite = (sessionId: string, session: Owned | null): boolean => isOwn(session) || !rights()?.onlyReads(sessionId);

/** Whether the user may rename and delete the session. */
export const mayManage = (session: Owned): boolean => isOwn(session) || (rights()?.manages(session.id) ?? true);

/** No token restricts the user's own sessions. */
const isOwn = (session: Owned | null): boolean => session?.owner === subject();

/** Undefined without a token that says something about rights. */
function rights() {
  const token = credential.get();
  return token === null ? undefined : rightsIn(token);
}
