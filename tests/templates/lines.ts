import { readFileSync } from "node:fs";

/** Lines of a file that are neither empty nor a comment. */
export function codeLines(file: string): number {
  return readFileSync(file, "utf8")
    .split("\n")
    .filter((line) => line.trim() !== "" && !/^\s*(\/\/|#|\/\*\*.*\*\/$)/.test(line)).length;
}
