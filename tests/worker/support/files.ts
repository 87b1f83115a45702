// Files as a client uploads and downloads them.
import assert from "node:assert/strict";
import { connect as openTcp } from "node:net";
import { endOf } from "../client.ts";
import type { Bobbin } from "../harness.ts";
import { type Claims, bearer, tokenOf } from "./auth.ts";
import type { Answer, Json } from "./d1_http.ts";

export const FILE_BYTES_MAX = 25 * 1024 * 1024;

export type Uploaded = { url: string; mediaType: string; name: string; size: number };
export type Sent = { type: "file"; mediaType: string; url: string; name?: string; size?: number } | { type: "text"; text: string };
type Bytes = Uint8Array | string;

export const text = (words: string): Sent => ({ type: "text", text: words });
export const block = ({ mediaType, url, name, size }: Uploaded): Sent => ({ type: "file", mediaType, url, name, size });

let messages = 0;

export class Files {
  readonly bobbin: Bobbin;

  constructor(bobbin: Bobbin) {
    this.bobbin = bobbin;
  }

  async ask(method: string, path: string, who: string, init: RequestInit = {}, claims: Claims = {}): Promise<Answer> {
    const headers = { ...bearer(tokenOf(who, claims)).headers, ...(init.headers as Record<string, string>) };
    const response = await this.bobbin.fetch(path, { method, ...init, headers });
    const body = await response.text();
    const isJson = response.headers.get("content-type") === "application/json";
    return { status: response.status, headers: response.headers, body: isJson ? JSON.parse(body) : body };
  }

  /** A file as bytes. */
  async fetch(url: string, who: string, headers: Record<string, string> = {}): Promise<{ status: number; headers: Headers; body: Buffer }> {
    const response = await this.bobbin.fetch(url, { headers: { ...bearer(tokenOf(who)).headers, ...headers } });
    return { status: response.status, headers: response.headers, body: Buffer.from(await response.arrayBuffer()) };
  }

  upload(id: string, who: string, bytes: Bytes, mediaType?: string, name?: string, claims: Claims = {}): Promise<Answer> {
    const query = name === undefined ? "" : `?name=${encodeURIComponent(name)}`;
    const headers: Record<string, string> = mediaType === undefined ? {} : { "content-type": mediaType };
    return this.ask("POST", `/sessions/${id}/files${query}`, who, { body: bytes as string, headers }, claims);
  }

  async uploaded(id: string, who: string, bytes: Bytes, mediaType: string | undefined = "text/plain", name = "a.txt", claims: Claims = {}): Promise<Uploaded> {
    const { status, body } = await this.upload(id, who, bytes, mediaType, name, claims);
    assert.equal(status, 201, JSON.stringify(body));
    return body as Uploaded;
  }

  /** Sends a message and waits for its answer, or returns the error with which it is refused. */
  async say(id: string, who: string, content: string | Sent[]): Promise<Json | undefined> {
    const client = await this.bobbin.join(id, bearer(tokenOf(who)));
    const requestId = `r${(messages += 1)}`;
    client.send({ type: "message", requestId, content });
    const frame = await client.next((each) => endOf(requestId)(each) || (each.type === "error" && each["refused"] === "message"));
    await client.close();
    return frame.type === "error" ? frame["error"] : undefined;
  }

  /** The answer to an upload whose bytes are written to the connection by hand; it may end in the middle. */
  raw(id: string, who: string, headers: string[], body: string, breaks = false): Promise<string> {
    const { hostname, port, host } = this.bobbin.url;
    const socket = openTcp(Number(port), hostname);
    const head = [`POST /sessions/${id}/files?name=a.txt HTTP/1.1`, `host: ${host}`, "content-type: text/plain", `authorization: Bearer ${tokenOf(who)}`, ...headers];
    return new Promise((resolve, reject) => {
      let answer = "";
      const done = () => {
        resolve(answer);
        socket.destroy();
      };
      socket.on("connect", () => {
        socket.write(`${head.join("\r\n")}\r\n\r\n${body}`);
        if (breaks) socket.end();
      });
      socket.on("data", (bytes) => {
        answer += String(bytes);
        if (answer.includes("\r\n\r\n")) done();
      });
      socket.on("close", done);
      socket.on("error", reject);
    });
  }
}

/** Bytes in which no longer sequence occurs twice. */
export function pattern(size: number): Buffer {
  const bytes = Buffer.alloc(size);
  for (let at = 0; at + 4 <= size; at += 4) bytes.writeUInt32LE(Math.imul(at, 2654435761) >>> 0, at);
  return bytes;
}
