// Files that are pasted, or dropped anywhere on the page. Without this a browser would replace the page with a dropped
// file.
import { createStore } from "../store.ts";

/** Whether files are being dragged over the page. */
export const isHovered = createStore(false);

type Taker = (files: readonly File[]) => void;
let taker: Taker | undefined;
/** The files that came before the page was drawn; null once it is. */
let early: File[] | null = [];

/** Sets the receiver of files from now on; returns a function that ends this. */
export function takeFiles(take: Taker): () => void {
  taker = take;
  if (early?.length) take(early);
  early = null;
  return () => {
    if (taker === take) taker = undefined;
  };
}

export function listenForFiles(): void {
  addEventListener("paste", (event) => receive(event, event.clipboardData));
  for (const type of ["dragenter", "dragover", "dragleave", "drop"] as const) addEventListener(type, onDrag);
}

function onDrag(event: DragEvent): void {
  const { type, dataTransfer, relatedTarget } = event;
  if (!dataTransfer?.types.includes("Files")) return;
  // A drop directly after an element was entered counts only if that event was accepted, too.
  const isOver = type === "dragenter" || type === "dragover" || (type === "dragleave" && relatedTarget !== null);
  if (isOver !== isHovered.get()) isHovered.set(isOver);
  if (type === "drop") receive(event, dataTransfer);
  else event.preventDefault();
}

function receive(event: Event, data: DataTransfer | null): void {
  const files = [...(data?.files ?? [])];
  if (files.length === 0 || (event.type === "paste" && isText(data?.getData("text/plain") ?? "", files))) return;
  event.preventDefault();
  // A dialog's question has to be answered first.
  if (document.querySelector("dialog[open]")) return;
  if (taker) taker(files);
  else early?.push(...files);
}

/** From now on a file that nothing on the page can take is not kept. */
export function endEarlyFiles(): void {
  early = null;
}

/** A copy from a word processor has a picture beside its text; one from a file manager adds the names of its files. */
function isText(text: string, files: readonly File[]): boolean {
  const lines = text.split(/[\r\n]+/).filter((line) => line !== "");
  return !lines.every((line) => files.some(({ name }) => line.endsWith(name)));
}
