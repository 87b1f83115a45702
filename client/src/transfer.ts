// Bytes on their way up, and how far they are.
import type { Timers } from "./environment.ts";

/** A connection on which no byte leaves and none comes for so long is taken for lost. */
const STALL_MS = 60_000;

// Before TypeScript 5.7 no array says what it is in.
export type FileBytes = Blob | ArrayBuffer | Uint8Array;

/** A `fetch` that sends these bytes. Browsers tell of a request's progress by `XMLHttpRequest` alone. */
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
