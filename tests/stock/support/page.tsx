// A page as an application has it: useChat and nothing of Bobbin's.
import { Chat, useChat } from "@ai-sdk/react";
import { DefaultChatTransport, type UIMessage, WebSocketChatTransport, lastAssistantMessageIsCompleteWithApprovalResponses } from "ai";
import { useState } from "react";
import { createRoot } from "react-dom/client";

type Test = { worker: string; id: string; by: string; isOutside: boolean; messages: UIMessage[] };
const { worker, id, by, isOutside, messages } = (globalThis as unknown as { test: Test }).test;

const transport =
  by === "WebSocket"
    ? new WebSocketChatTransport({ url: `${worker}/api/chat/${id}/ws` })
    : new DefaultChatTransport({ api: `${worker}/api/chat` });

const init = { id, messages, transport, sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithApprovalResponses };
/** Created outside of the component, it outlives the component. */
const outside = isOutside ? new Chat<UIMessage>(init) : undefined;

function Page() {
  const [text, setText] = useState("");
  const { messages: shown, status, error, sendMessage, stop, regenerate, addToolApprovalResponse } = useChat({ ...(outside ? { chat: outside } : init), resume: messages.length > 0 });
  return (
    <main>
      {shown.map((message) => (
        <article key={message.id} className={message.role}>
          {message.parts.map((part, index) => {
            if (part.type === "text") return <p key={index}>{part.text}</p>;
            if (!("toolCallId" in part)) return null;
            return (
              <section key={index}>
                {part.state}
                {part.state === "approval-requested" && (
                  <button onClick={() => addToolApprovalResponse({ id: part.approval.id, approved: true })}>Approve</button>
                )}
              </section>
            );
          })}
        </article>
      ))}
      <output>{error ? `${status}: ${error.message}` : status}</output>
      <input aria-label="Message" value={text} onChange={(event) => setText(event.target.value)} />
      <button onClick={() => void sendMessage({ text })}>Send</button>
      <button onClick={() => void stop()}>Stop</button>
      <button onClick={() => void regenerate()}>Again</button>
    </main>
  );
}

function Site() {
  const [isShown, setIsShown] = useState(true);
  return (
    <>
      {isShown && <Page />}
      <button onClick={() => setIsShown(!isShown)}>{isShown ? "Leave" : "Return"}</button>
    </>
  );
}

createRoot(document.body.appendChild(document.createElement("div"))).render(<Site />);
