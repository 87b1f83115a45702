// The tables of docs/security.md.
import { readFileSync } from "node:fs";

export type Cell = { kind: Kind; action: string; by: "WebSocket" | "HTTP"; role: "owner" | "editor" | "viewer" | "none"; expected: string };
export type Kind = keyof typeof HEADINGS;

const HEADINGS = {
  own: "A session of one's own",
  shared: "A session that the token names",
  foreign: "A session of somebody else",
  new: "A session that nobody has begun",
};
const ROLES = ["owner", "editor", "viewer", "none"] as const;

export function cellsOf(kind: Kind): Cell[] {
  const page = readFileSync(new URL("../../../docs/security.md", import.meta.url), "utf8");
  const section = page.split(/^#+ /m).find((part) => part.startsWith(`${HEADINGS[kind]}\n`));
  if (!section) throw new Error(`docs/security.md has no "${HEADINGS[kind]}"`);
  const rows = section.split("\n").filter((line) => line.startsWith("|")).slice(2);
  return rows.flatMap((row) => {
    const [action = "", by, ...expected] = row.split("|").slice(1, -1).map((cell) => cell.trim());
    if (by !== "WebSocket" && by !== "HTTP") throw new Error(`docs/security.md: ${row}`);
    return ROLES.map((role, index) => ({ kind, action, by, role, expected: expected[index] ?? "" }));
  });
}
