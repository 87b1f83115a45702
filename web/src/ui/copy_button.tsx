import { useEffect, useState } from "react";
import { announce } from "../announce.ts";
import { Icon } from "./icon.tsx";

const SHOWN_MS = 2000;

/** Absent where pages may not write to the clipboard. */
export function CopyButton({ text, what, label = "Copy" }: { text: string; what: string; label?: string }) {
  const [isCopied, setCopied] = useState(false);
  useEffect(() => {
    if (!isCopied) return;
    const timer = setTimeout(() => setCopied(false), SHOWN_MS);
    return () => clearTimeout(timer);
  }, [isCopied]);

  async function copy(): Promise<void> {
    try {
      await navigator.clipboard.writeText(text);
      setCopied(true);
      announce(`Copied ${what}.`);
    } catch {
      announce(`The browser did not allow copying ${what}.`);
    }
  }

  if (!("clipboard" in navigator)) return null;
  return (
    <button type="button" className="quiet small" onClick={copy} aria-label={`${isCopied ? "Copied" : "Copy"} ${what}`}>
      <Icon name={isCopied ? "check" : "copy"} />
      {isCopied ? "Copied" : label}
    </button>
  );
}
