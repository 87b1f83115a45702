import { useSyncExternalStore } from "react";
import { createRoot } from "react-dom/client";
import { Chat } from "./Chat";
import { Conversations } from "./Conversations";
import "./style.css";

// The URL contains the conversation's id, so a reload or another tab shows the same conversation.
const open = () => location.hash.slice(1);
const begin = () => (location.hash = crypto.randomUUID());
if (!open()) begin();

function App() {
  const sessionId = useSyncExternalStore((changed) => {
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, open);
  return (
    <>
      <Conversations openId={sessionId} onBegin={begin} />
      <Chat key={sessionId} sessionId={sessionId} />
    </>
  );
}

createRoot(document.body).render(<App />);
