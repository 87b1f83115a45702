import type { Thread } from "bobbin-client";
import { useThreadState } from "bobbin-client/react";
import { useEffect, useRef, useState } from "react";
import { announce } from "../announce.ts";
import { filesOf, nameOfFile } from "../files/attachments.ts";
import { t } from "../language.ts";
import { lackOf } from "./ends.ts";
import { textOf } from "./exchanges.ts";

/** A screen reader gets whole sentences, and not more often than this. */
const SPEAK_EVERY_MS = 2000;
const LINES_MAX = 12;
/** Longer text is announced only in part; it can be read where it stands. */
const LINE_CHARS_MAX = 2000;
const SENTENCE_END = /[.!?:…](?=\s)|\n/g;

type Line = { id: number; text: string };

/** The running answer for screen readers: only the text that arrived since the page was opened. */
export function StreamLog({ thread }: { thread: Thread }) {
  const running = useThreadState(thread, ({ turns }) => turns.find(({ state }) => state === "streaming")?.requestId);
  const [lines, setLines] = useState<readonly Line[]>([]);
  const count = useRef(0);

  useEffect(() => {
    if (running === undefined) return;
    let said = 0;
    function say(text: string): void {
      const plain = text.slice(-LINE_CHARS_MAX).replace(/[*_`#>|~-]+/g, " ").replace(/\s+/g, " ").trim();
      if (plain === "") return;
      count.current += 1;
      const line = { id: count.current, text: plain };
      setLines((lines) => [...lines.slice(1 - LINES_MAX), line]);
    }
    const timer = setInterval(() => {
      const text = thread.getSnapshot().turns.find(({ requestId }) => requestId === running)?.text ?? "";
      const from = Math.max(said, text.length - LINE_CHARS_MAX);
      const end = [...text.slice(from).matchAll(SENTENCE_END)].at(-1);
      if (!end) return;
      const upTo = from + end.index + 1;
      say(text.slice(said, upTo));
      said = upTo;
    }, SPEAK_EVERY_MS);
    return () => {
      clearInterval(timer);
      const answer = thread.getSnapshot().messages.findLast((message) => message.requestId === running && message.role === "assistant");
      if (!answer) return;
      say(textOf(answer.content).slice(said));
      for (const block of filesOf(answer.content)) say(t.fileNamed(nameOfFile(block)));
      const lack = lackOf(answer);
      say(lack ? t.lacks[lack] : t.ends[answer.status]);
    };
  }, [thread, running]);

  const asking = useThreadState(thread, ({ turns }) => turns.find(({ state }) => state === "waiting")?.requestId);
  useEffect(() => {
    if (asking !== undefined) announce(t.waitsForYou);
  }, [asking]);

  return (
    <div className="visually-hidden" role="log" aria-live="polite" aria-label={t.answerArriving}>
      {lines.map(({ id, text }) => (
        <p key={id}>{text}</p>
      ))}
    </div>
  );
}
