// Uploads bytes, and reports their progress.
import type { Timers } from "./environment.ts";

/** After this time without a byte in either direction, a connection counts as lost. */
const STALL_MS = 60_000;

// Before TypeScript 5.7 the type of a typed array has no parameter for its buffer.
export type FileBytes = Blob | ArrayBuffer | Uint8Array;

/** A `fetch` that sends these bytes. In browsers only `XMLHttpRequest` reports the progress of a request. */
export function sending(
  blob: Blob,
  mediaType: string,
  given: typeof fetch | undefined,
  timers: Timers,
  onSent: (bytes: number) => void,
): typeof fetch {
  return (url, init) => {
    const headers = new Headers(init?.headers);
    headers.set("content-type", mediaType);
    if (given || !globalThis.XMLHttpRequest) return (given ?? fetch)(url, { ...init, headers, body: blob });
    return send(String(url), headers, blob, init?.signal ?? undefined, timers, onSent);
  };
}

function send(
  url: string,
  headers: Headers,
  blob: Blob,
  signal: AbortSignal | undefined,
  timers: Timers,
  onSent: (bytes: number) => void,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    let timer: unknown;
    const isAlive = () => {
      timers.clearTimeout(timer);
      timer = timers.setTimeout(() => request.abort(), STALL_MS);
    };
    const abort = () => request.abort();
    request.open("POST", url);
    headers.forEach((value, name) => request.setRequestHeader(name, value));
    request.upload.onprogress = ({ loaded }) => {
      isAlive();
      onSent(loaded);
    };
    request.onloadend = () => {
      timers.clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
      const { status, response } = request;
      if (status === 0) reject(new TypeError("the upload was cut off"));
      else resolve(new Response((response as string) || null, { status }));
    };
    signal?.addEventListener("abort", abort);
    isAlive();
    request.send(blob);
  });
}
