import { type Block, type Message, type Thread, exportMessages } from "bobbin-client";
import { announce } from "../announce.ts";
import { allOf } from "../chat/earlier.ts";
import { save } from "../files/save.ts";
import { atTime, t } from "../language.ts";
import { loadMarkdown } from "../markdown/lazy.tsx";
import { isPrinting } from "../printing.ts";
import { whenIdle } from "../slices.ts";
import { titleOf } from "../title.ts";

const NAME_CHARS_MAX = 60;

/** All of a session as a file: as the server has it, one message a line, or in a readable form. */
export async function exportSession(thread: Thread, form: "jsonl" | "md"): Promise<void> {
  const title = titleOf(thread.getSnapshot().session, t.newSession);
  const lines = await exportMessages(thread);
  const name = `${title.replace(/[\s\\/:*?"<>|\p{Cc}]+/gu, " ").trim().slice(0, NAME_CHARS_MAX) || thread.sessionId}.${form}`;
  const file = form === "jsonl" ? lines : new Blob([markdownOf(title, messagesIn(await lines.text()))], { type: "text/markdown" });
  save(file, name);
  announce(t.exported);
}

const messagesIn = (lines: string): Message[] => lines.split("\n").filter(Boolean).map((line) => JSON.parse(line) as Message);

export function markdownOf(title: string, messages: readonly Message[]): string {
  return [`# ${title}`, ...messages.map(inMarkdown)].join("\n\n") + "\n";
}

function inMarkdown({ role, content, status, error, createdAt }: Message): string {
  const head = `## ${role === "user" ? t.you : t.answer} · ${atTime(createdAt)}`;
  const blocks = typeof content === "string" ? [content] : content.map(blockInMarkdown);
  const end = status === "complete" ? [] : [`*${status === "cancelled" ? t.stopped : status === "interrupted" ? t.interrupted : `${t.failed} ${error?.message ?? ""}`.trim()}*`];
  return [head, ...blocks, ...end].filter((part) => part !== "").join("\n\n");
}

function blockInMarkdown(block: Block): string {
  switch (block.type) {
    case "text":
      return block.text;
    case "thinking":
      return `<details>\n<summary>${t.thought}</summary>\n\n${block.text}\n\n</details>`;
    case "tool_use":
      return `**${block.title ?? block.name}**\n\n${fenced(JSON.stringify(block.input, null, 2), "json")}`;
    case "tool_result":
      return `**${block.isError ? t.error : t.result}**\n\n${fenced(typeof block.content === "string" ? block.content : JSON.stringify(block.content, null, 2))}`;
    case "file":
      return block.url.startsWith("data:") ? `[${block.name ?? block.mediaType}]` : `[${block.name ?? block.mediaType}](${new URL(block.url, location.origin).href})`;
    case "source":
      return block.url ? `[${block.title ?? block.url}](${block.url})` : (block.title ?? "");
    case "data":
      return `**${block.name}**\n\n${fenced(JSON.stringify(block.data, null, 2), "json")}`;
    default:
      return fenced(JSON.stringify(block, null, 2), "json");
  }
}

/** A fence that is longer than any in the text. */
function fenced(text: string, language = ""): string {
  const longest = Math.max(2, ...(text.match(/`{3,}/g) ?? []).map(({ length }) => length));
  const fence = "`".repeat(longest + 1);
  return `${fence}${language}\n${text}\n${fence}`;
}

/** Prints the whole session, with everything that is folded. */
export async function printSession(thread: Thread): Promise<void> {
  if (thread.getSnapshot().hasEarlier) announce(t.printing);
  await Promise.all([allOf(thread), loadMarkdown()]);
  isPrinting.set(true);
  await new Promise(requestAnimationFrame);
  await whenIdle();
  print();
  isPrinting.set(false);
}
