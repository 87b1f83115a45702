// Empty pages, which show how long a first paint takes at least on this machine and line.
import { once } from "node:events";
import { type Server, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { gzipSync } from "node:zlib";

const EMPTY = gzipSync("<!doctype html><title>Empty</title><p>Empty");

export type EmptyPages = { bare: URL; withHeaders: URL; close(): void };

/** One page without headers, and one with those of the page at `url`. */
export async function serveEmptyPages(url: URL): Promise<EmptyPages> {
  const given = Object.fromEntries([...(await fetch(url)).headers].filter(([name]) => /policy|^x-/.test(name)));
  const server: Server = createServer((request, response) => {
    const headers = request.url === "/with-headers" ? given : {};
    response.writeHead(200, { ...headers, "content-type": "text/html", "content-encoding": "gzip" }).end(EMPTY);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { bare: new URL("/bare", base), withHeaders: new URL("/with-headers", base), close: () => server.close() };
}
