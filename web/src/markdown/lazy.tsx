// Markdown is a script of its own, which an empty page does not wait for. Until it is loaded, texts are shown as
// source.
import type { ComponentType } from "react";
import { createStore, useStore } from "../store.ts";
import { untilLoaded } from "../until_loaded.ts";
import { PlainText } from "../ui/plain_text.tsx";

type Props = { text: string; isStreaming?: boolean };

/** React's `lazy` is not used, because it shows the placeholder for a moment even if the code is already loaded. */
const read = createStore<ComponentType<Props> | undefined>(undefined);
let loading: Promise<void> | undefined;

/** Begins to load it, for a page that will soon have a text. */
export function loadMarkdown(): Promise<void> {
  loading ??= untilLoaded(() => import("./markdown.tsx")).then(({ Markdown }) => read.set(Markdown));
  return loading;
}

export function Markdown(props: Props) {
  const Read = useStore(read);
  if (Read) return <Read {...props} />;
  void loadMarkdown();
  return (
    <div className="markdown as-written" dir="auto">
      <PlainText text={props.text.trimEnd()} />
    </div>
  );
}
