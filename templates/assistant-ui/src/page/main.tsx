import { createRoot } from "react-dom/client";
import { Chat } from "./Chat";
import "./style.css";

createRoot(document.body).render(<Chat />);
