// How much memory the runtimes hold.
import { execFileSync } from "node:child_process";

/** Of all runtimes that this process started. */
export function residentBytes(): number {
  const lines = execFileSync("ps", ["-A", "-o", "ppid=,rss=,comm="], { encoding: "utf8" }).split("\n");
  const mine = lines.map((line) => line.trim().split(/\s+/)).filter(([parent, , command]) => Number(parent) === process.pid && command?.endsWith("workerd"));
  return mine.reduce((sum, [, kibibytes]) => sum + Number(kibibytes) * 1024, 0);
}
