import { createRoot } from "react-dom/client";
import { Chat } from "./Chat";
import "./style.css";

// The address names the conversation: it is there again after a reload, and in another tab.
if (!location.hash) history.replaceState(null, "", `#${crypto.randomUUID()}`);
addEventListener("hashchange", () => location.reload());

createRoot(document.body).render(<Chat sessionId={location.hash.slice(1)} />);
