import { useEffect, useState } from "react";
import { announce, notify } from "../announce.ts";
import { t } from "../language.ts";
import { Icon } from "./icon.tsx";

const SHOWN_MS = 2000;

/** Absent if pages may not write to the clipboard. `text` may be a function that is called on a click. */
export function CopyButton({ text, what, label = t.copy }: { text: string | (() => string); what: string; label?: string }) {
  const [isCopied, setCopied] = useState(false);
  useEffect(() => {
    if (!isCopied) return;
    const timer = setTimeout(() => setCopied(false), SHOWN_MS);
    return () => clearTimeout(timer);
  }, [isCopied]);

  async function copy(): Promise<void> {
    try {
      await navigator.clipboard.writeText(typeof text === "string" ? text : text());
      setCopied(true);
      announce(`${t.copiedWhat(what)}.`);
    } catch {
      notify(t.couldNotCopy(what));
    }
  }

  if (!("clipboard" in navigator)) return null;
  return (
    <button type="button" className="quiet small" onClick={copy} aria-label={isCopied ? t.copiedWhat(what) : t.copyWhat(what)}>
      <Icon name={isCopied ? "check" : "copy"} />
      {isCopied ? t.copied : label}
    </button>
  );
}
