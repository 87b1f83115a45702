import { useChat } from "@ai-sdk/react";
import { useThreadState } from "bobbin-client/react";
import { chat, thread } from "./chat";
import { Parts } from "./Parts";

export function Chat() {
  const { messages, status, error, sendMessage, stop, addToolApprovalResponse } = useChat({ chat });
  const connection = useThreadState(thread, ({ status, reason }) => (status === "ready" ? "" : reason));
  const isBusy = status === "submitted" || status === "streaming";

  return (
    <main>
      {messages.map(({ id, role, parts }) => (
        <article key={id} className={role}>
          <Parts parts={parts} decide={(id, approved) => addToolApprovalResponse({ id, approved })} />
        </article>
      ))}
      {error && <p role="alert">{error.message}</p>}
      <form
        action={(form) => {
          const text = String(form.get("text")).trim();
          if (text) void sendMessage({ text });
        }}
      >
        <input name="text" aria-label="Message" placeholder="Message" autoComplete="off" autoFocus />
        {isBusy ? (
          <button key="stop" type="button" onClick={() => stop()}>
            Stop
          </button>
        ) : (
          <button key="send">Send</button>
        )}
      </form>
      <footer role="status">{connection}</footer>
    </main>
  );
}
