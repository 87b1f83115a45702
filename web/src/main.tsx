import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./app.tsx";
import { leaveCompositionsAlone } from "./composition.ts";
import { listenForFiles } from "./files/incoming.ts";
import { chooseLanguage, t } from "./language.ts";
import { loadRest } from "./later.ts";
import { loadMarkdown } from "./markdown/lazy.tsx";
import { listenForPrinting } from "./printing.ts";
import { Boundary, failed } from "./ui/boundary.tsx";
import "./styles/base.css";
import "./styles/layout.css";
import "./styles/sidebar.css";
import "./styles/chat.css";
import "./styles/find.css";
import "./styles/answer.css";
import "./styles/markdown.css";
import "./styles/dialog.css";
import "./styles/files.css";
import "./styles/print.css";

const REST_AFTER_MS = 5000;

leaveCompositionsAlone();
listenForFiles();
listenForPrinting();
// An old session needs this code at once, a new one with its first answer.
if (location.pathname.startsWith("/s/")) void loadMarkdown();
await chooseLanguage();
createRoot(document.getElementById("app") as HTMLElement).render(
  <StrictMode>
    <Boundary instead={failed(t.thisPage)}>
      <App />
    </Boundary>
  </StrictMode>,
);
// Also without a connection.
setTimeout(loadRest, REST_AFTER_MS);
