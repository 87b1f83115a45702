// Only the page's Markdown, in the browser: it can be given any text at once.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { type Server, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "vite";

const root = fileURLToPath(new URL("./markdown_page/", import.meta.url));
const configFile = fileURLToPath(new URL("../../../web/vite.config.ts", import.meta.url));
const TYPES: Record<string, string> = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css" };

export async function serveMarkdownPage(): Promise<{ url: string; close: () => void }> {
  const outDir = mkdtempSync(join(tmpdir(), "bobbin-markdown-"));
  await build({ configFile, root, logLevel: "warn", build: { outDir, emptyOutDir: true } });
  const server: Server = createServer(({ url = "/" }, response) => {
    const path = url === "/" ? "/index.html" : url;
    try {
      const bytes = readFileSync(join(outDir, path));
      response.writeHead(200, { "content-type": TYPES[extname(path)] ?? "text/plain" }).end(bytes);
    } catch {
      response.writeHead(204).end();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    close: () => {
      server.close();
      rmSync(outDir, { recursive: true });
    },
  };
}
