// Files cannot be sent. A browser opens one that is dropped on a page, in the place of the page.
import { createStore } from "./store.ts";

/** Why the last file was refused. */
export const fileRefusal = createStore<string | null>(null);

export function refuseFiles(): void {
  for (const type of ["dragover", "drop", "paste"] as const) addEventListener(type, refuse);
  addEventListener("input", () => fileRefusal.set(null));
}

function refuse(event: DragEvent | ClipboardEvent): void {
  const data = event instanceof DragEvent ? event.dataTransfer : event.clipboardData;
  const hasFiles = data?.types.includes("Files") === true;
  // What comes from a word processor has a picture beside its text.
  if (!hasFiles || (event.type === "paste" && data?.types.includes("text/plain"))) return;
  event.preventDefault();
  if (event.type !== "dragover") fileRefusal.set("Images and files cannot be sent here. Only text can.");
}
