import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./app.tsx";
import { leaveCompositionsAlone } from "./composition.ts";
import { listenForFiles } from "./files/incoming.ts";
import { loadLater } from "./later.ts";
import { Boundary, failed } from "./ui/boundary.tsx";
import "./styles/base.css";
import "./styles/layout.css";
import "./styles/sidebar.css";
import "./styles/chat.css";
import "./styles/answer.css";
import "./styles/markdown.css";
import "./styles/dialog.css";
import "./styles/files.css";

leaveCompositionsAlone();
listenForFiles();
createRoot(document.getElementById("app") as HTMLElement).render(
  <StrictMode>
    <Boundary instead={failed("This page")}>
      <App />
    </Boundary>
  </StrictMode>,
);
// Who needs it tries again.
addEventListener("load", () => void loadLater().catch(() => {}));
