// The README's example for React in a Next application, built as users build it.
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { exampleOf } from "./examples.ts";
import { emptyFolder, execute, install, packed } from "./installed.ts";

const NEXT = ["next@16.4.6", "react@19.3.1", "react-dom@19.3.1", "typescript@7.0.2", "@types/react@19.3.0", "@types/node@22.20.5"];
const BUILD_TIMEOUT_MS = 100_000;

const LAYOUT = `import type { ReactNode } from "react";
export default function Layout({ children }: { children: ReactNode }) {
  return <html lang="en"><body>{children}</body></html>;
}
`;
/** Rendered on the server; the components in it are not. */
const PAGE = `import { Chat } from "./chat";
export default function Page() {
  return <Chat sessionId="demo" url="http://localhost:8787" />;
}
`;
/** A server may create a thread but use no hooks: Next's error says that `"use client"` is missing. */
const BARE = `import { createThread } from "bobbin-client";
import { useThread } from "bobbin-client/react";
export default function Page() {
  const { status } = createThread({ url: "http://localhost:8787", connect: false }).getSnapshot();
  try {
    useThread("demo");
  } catch (error) {
    return <p>{status}: {String(error)}</p>;
  }
}
`;

const { path: folder, remove } = emptyFolder();
after(remove);

test("the README's example for React builds with Next, and its server renders it", { timeout: 200_000 }, async (context) => {
  const why = await install(folder, [await packed(folder), ...NEXT], true);
  if (why !== undefined) return context.skip(`Next is not there, as ${why}`);
  mkdirSync(join(folder, "app", "bare"), { recursive: true });
  const files = { "layout.tsx": LAYOUT, "page.tsx": PAGE, "chat.tsx": exampleOf("client/README.md", "tsx", "function Chat("), "bare/page.tsx": BARE };
  for (const [name, code] of Object.entries(files)) writeFileSync(join(folder, "app", name), code);
  const env = { ...process.env, NEXT_TELEMETRY_DISABLED: "1", CI: "1" };
  const built = await execute(process.execPath, [join("node_modules", "next", "dist", "bin", "next"), "build"], { cwd: folder, env, timeout: BUILD_TIMEOUT_MS });
  assert.match(built.stdout, /○ \/\n/, built.stdout + built.stderr);
  const html = (name: string) => readFileSync(join(folder, ".next", "server", "app", name), "utf8");
  assert.match(html("index.html"), /<main><form>.*aria-label="Message".*<small>Not connected\.<\/small><\/form><\/main>/);
  assert.match(html("bare.html"), /<p>idle(<!-- -->)?: (<!-- -->)?Error: Attempted to call useThread\(\) from the server but useThread is on the client/);
});
