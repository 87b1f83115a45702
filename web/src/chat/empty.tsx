import type { Thread } from "bobbin-client";
import { useConfig } from "../config.ts";
import { setDraft } from "../drafts.ts";
import { t } from "../language.ts";
import { Logo } from "../ui/icon.tsx";
import { MESSAGE_FIELD } from "./focus.ts";

/** A thread without messages: what can be done, and suggestions to begin with. */
export function Empty({ thread, isLoaded }: { thread: Thread; isLoaded: boolean }) {
  const isEcho = useConfig()?.agent === "echo";
  function take(text: string): void {
    setDraft(thread.sessionId, text);
    document.getElementById(MESSAGE_FIELD)?.focus();
  }
  if (!isLoaded) return <Skeleton />;
  return (
    <div className="empty">
      <Logo />
      <h2>{t.empty}</h2>
      <p>{t.emptyHint}</p>
      {isEcho && <p className="echo">{t.emptyEcho}</p>}
      <ul className="suggestions" aria-label={t.suggestionsLabel}>
        {t.suggestions.map(({ title, text }) => (
          <li key={title}>
            <button type="button" onClick={() => take(text)}>
              <strong>{title}</strong>
              <span>{text}</span>
            </button>
          </li>
        ))}
      </ul>
      <p>{t.emptyCan}</p>
    </div>
  );
}

/** A placeholder in the shape of a conversation, until it is loaded. */
const Skeleton = () => (
  <div className="skeleton" role="status">
    <span className="visually-hidden">{t.opening}</span>
    <i className="asked" />
    <i />
    <i />
    <i className="short" />
  </div>
);
