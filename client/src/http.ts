import type { ServerOptions, Token } from "./environment.ts";
import { ThreadError } from "./error.ts";

export type Request = { method?: string; body?: object; signal?: AbortSignal; accept?: string };

/** The worker's HTTP interface for one caller. Every failure is a `ThreadError`. */
export type Api = {
  /** The worker's URL, without a slash at the end. */
  origin(): string;
  token(): Promise<string | undefined>;
  /** Whether calling `token` again may return another token. */
  canRefresh(): boolean;
  parse(text: string): unknown;
  /** Returns the response with any status. After a 401 it retries once with a fresh token. */
  fetch(path: string, request?: Request): Promise<Response>;
  /** Returns the body of a successful response. */
  json<T>(path: string, request?: Request): Promise<T>;
};

export function createApi(options: ServerOptions): Api {
  const { parseJson = JSON.parse } = options;
  // With hooks the token changes when a component is rendered with another one.
  const canRefresh = () => typeof options.token === "function";

  async function ask(path: string, { method = "GET", body, signal, accept }: Request): Promise<Response> {
    const headers = new Headers(accept ? { accept } : undefined);
    const credential = await tokenOf(options.token);
    if (credential !== undefined) headers.set("authorization", `Bearer ${credential}`);
    if (body) headers.set("content-type", "application/json");
    const init = { method, headers, body: JSON.stringify(body), signal: signal ?? null };
    return await (options.fetch ?? fetch)(originOf(options.url) + path, init);
  }

  async function answer(path: string, request: Request = {}): Promise<Response> {
    try {
      const response = await ask(path, request);
      return response.status === 401 && canRefresh() ? await ask(path, request) : response;
    } catch (cause) {
      throw new ThreadError({ code: "UNREACHABLE", message: `The server cannot be reached: ${wordsOf(cause)}`, retryable: true });
    }
  }

  async function json<T>(path: string, request?: Request): Promise<T> {
    const response = await answer(path, request);
    if (!response.ok) throw await errorOf(response);
    return response.status === 204 ? (undefined as T) : (parseJson(await response.text()) as T);
  }

  return { origin: () => originOf(options.url), canRefresh, token: () => tokenOf(options.token), parse: parseJson, fetch: answer, json };
}

/** The error in a response's body. */
export async function errorOf(response: Response): Promise<ThreadError> {
  const body = (await response.json().catch(() => undefined)) as { error?: ThreadError } | undefined;
  if (typeof body?.error?.message === "string") return new ThreadError(body.error);
  const isBusy = response.status === 429;
  const message = `The server answered ${response.status}.`;
  return new ThreadError({ code: isBusy ? "RATE_LIMITED" : "INTERNAL", message, retryable: isBusy || response.status >= 500 });
}

export const wordsOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause));

/** Encodes text as base64url, for a URL or a subprotocol (RFC 4648, section 5). */
export function base64Url(text: string): string {
  const bytes = String.fromCharCode(...new TextEncoder().encode(text));
  return btoa(bytes).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

async function tokenOf(token: Token | undefined): Promise<string | undefined> {
  return typeof token === "function" ? await token() : token;
}

function originOf(url: string | URL | undefined = globalThis.location?.origin): string {
  if (url === undefined) throw new TypeError("url is missing; outside of a page there is no default");
  return String(url).replace(/^ws/, "http").replace(/\/+$/, "");
}
