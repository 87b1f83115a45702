import { useThread, useThreadState } from "bobbin-client/react";
import { useEffect } from "react";
import { Blocks } from "./Blocks";

export function Chat({ sessionId }: { sessionId: string }) {
  const thread = useThread({ sessionId, storage: localStorage });
  const { messages, turns, status, reason } = useThreadState(thread);

  // The results of the tools that run here. Several tabs may give one: the first counts.
  useEffect(() => {
    for (const { requestId, blocks, calls = [] } of turns) {
      for (const block of blocks) {
        if (block.type === "tool_use" && block.name === "clock" && calls.includes(block.id)) thread.provide(requestId, block.id, String(new Date())).catch(() => {});
      }
    }
  }, [thread, turns]);

  return (
    <main>
      {messages.map(({ id, role, content, error }) => (
        <article key={id} className={role}>
          <Blocks content={content} />
          {error && <p role="alert">{error.message}</p>}
        </article>
      ))}
      {turns.map(({ requestId, state, content, blocks, calls }) => (
        <article key={requestId} className={state === "sending" ? "user" : "assistant"} aria-busy={state !== "waiting"}>
          <Blocks content={content ?? [...blocks]} open={calls} decide={(id, approved) => thread.decide(requestId, id, approved).catch(() => {})} />
        </article>
      ))}
      <form
        action={(form) => {
          const text = String(form.get("text")).trim();
          if (text) thread.send(text).result.catch(() => {});
        }}
      >
        <input name="text" aria-label="Message" placeholder="Message" autoComplete="off" autoFocus />
        {turns.length > 0 ? (
          <button type="button" onClick={() => thread.cancel()}>
            Stop
          </button>
        ) : (
          <button>Send</button>
        )}
      </form>
      <footer role="status">{status === "ready" ? "" : reason}</footer>
    </main>
  );
}
