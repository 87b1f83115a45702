// A document as a test reads it: its code blocks, by the section that contains them.
import { readFileSync } from "node:fs";

export type CodeBlock = { section: string; language: string; info: string; text: string };

export function blocksOf(file: string): CodeBlock[] {
  const blocks: CodeBlock[] = [];
  let section = "";
  let open: CodeBlock | undefined;
  for (const line of readFileSync(file, "utf8").split("\n")) {
    const fence = /^```(\w*) ?(.*)$/.exec(line);
    if (open && fence) {
      blocks.push(open);
      open = undefined;
    } else if (open) open.text += `${line}\n`;
    else if (fence) open = { section, language: fence[1] ?? "", info: fence[2] ?? "", text: "" };
    else section = /^#+ (.*)$/.exec(line)?.[1] ?? section;
  }
  return blocks;
}

const ACCOUNT = /\s+# account$/;

/** The commands of a shell block that run without an account. */
export const offline = (text: string): string => text.split("\n").filter((line) => !ACCOUNT.test(line)).join("\n").trim();

/** The commands that need one. */
export const withAccount = (text: string): string[] => text.split("\n").filter((line) => ACCOUNT.test(line)).map((line) => line.replace(ACCOUNT, ""));
