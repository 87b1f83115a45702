import type { Session } from "bobbin-client";

/** Whether a text shows nothing: it consists of spaces and of characters that are drawn as nothing. */
export const isBlank = (text: string): boolean => /^[\s\p{Default_Ignorable_Code_Point}]*$/u.test(text);

/** What a session is called: by its title or else its first message. */
export function titleOf(session: Pick<Session, "title" | "firstMessagePreview"> | null, instead: string): string {
  return [session?.title, session?.firstMessagePreview].find((name) => name && !isBlank(name)) || instead;
}
