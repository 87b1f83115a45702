import type { Block, Thread } from "bobbin-client";
import { useThreadState } from "bobbin-client/react";
import { type FormEvent, useState } from "react";
import { announce } from "../announce.ts";
import { subject } from "../credential.ts";
import { t } from "../language.ts";

export type Call = Extract<Block, { type: "tool_use" }>;
type Props = { thread: Thread; requestId: string; call: Call };

const REASON_CHARS_MAX = 1000;

/** A person's possible answers to a waiting call: carry it out or not, or the tool's result. */
export function Asking({ thread, requestId, call }: Props) {
  const [error, setError] = useState("");
  const [isSent, setSent] = useState(false);

  async function say(answer: () => Promise<void>, said: string): Promise<void> {
    setError("");
    setSent(true);
    try {
      await answer();
      announce(said);
    } catch (error) {
      setError(error instanceof Error ? error.message : String(error));
    }
    setSent(false);
  }

  const props = { thread, requestId, call, say, isSent };
  return (
    <div className="asking" role="group" aria-label={t.yourAnswerTo(call.title ?? call.name)}>
      {call.approval?.state === "requested" ? <Approval {...props} /> : <Result {...props} />}
      {error && <p role="alert">{error}</p>}
    </div>
  );
}

type Answering = Props & { say: (answer: () => Promise<void>, said: string) => Promise<void>; isSent: boolean };

function Approval({ thread, requestId, call, say, isSent }: Answering) {
  const [reason, setReason] = useState<string | null>(null);
  const isOwner = useThreadState(thread, ({ session }) => !session?.owner || session.owner === subject());
  const mode = call.kind === "read" || call.kind === "edit" ? "acceptEdits" : "bypassPermissions";
  const decide = (approved: boolean, why?: string) => thread.decide(requestId, call.id, approved, why);

  function deny(event: FormEvent): void {
    event.preventDefault();
    void say(() => decide(false, reason?.trim() || undefined), t.denied);
  }

  if (reason !== null) {
    return (
      <form onSubmit={deny}>
        <label>
          {t.whyNot} <input autoFocus dir="auto" maxLength={REASON_CHARS_MAX} value={reason} onChange={(event) => setReason(event.target.value)} />
        </label>
        <button className="small" disabled={isSent}>
          {t.deny}
        </button>
        <button type="button" className="small" onClick={() => setReason(null)}>
          {t.back}
        </button>
      </form>
    );
  }
  return (
    <>
      <p>{t.mayIt}</p>
      <button type="button" className="small" disabled={isSent} onClick={() => void say(() => decide(true), t.approved)}>
        {t.approve}
      </button>
      <button type="button" className="small" disabled={isSent} onClick={() => setReason("")}>
        {t.deny}
      </button>
      {isOwner && (
        <button
          type="button"
          className="small"
          disabled={isSent}
          onClick={() => void say(() => thread.updateSession({ permissionMode: mode }), t.alwaysSaid)}
        >
          {t.always}
        </button>
      )}
    </>
  );
}

/** A tool that no program here runs: a person may give its result. */
function Result({ thread, requestId, call, say, isSent }: Answering) {
  const [text, setText] = useState("");

  function provide(event: FormEvent): void {
    event.preventDefault();
    void say(() => thread.provide(requestId, call.id, text), t.sent);
  }

  return (
    <form onSubmit={provide}>
      <label>
        {t.result} <input dir="auto" required value={text} onChange={(event) => setText(event.target.value)} />
      </label>
      <button className="small" disabled={isSent}>
        {t.send}
      </button>
    </form>
  );
}
