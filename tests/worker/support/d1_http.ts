// The HTTP API as tests use it: paths in, parsed bodies and their status out.
import assert from "node:assert/strict";
import { eventually } from "../client.ts";
import type { Bobbin } from "../harness.ts";

export const DEADLINE_MS = 30_000;

// As loosely typed as the wire: the content of a body is what is tested.
export type Json = any;
export type Answer = { status: number; headers: Headers; body: Json };

export class Http {
  readonly bobbin: Bobbin;

  constructor(bobbin: Bobbin) {
    this.bobbin = bobbin;
  }

  async ask(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer> {
    const json = body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) };
    const type: Record<string, string> = body === undefined ? {} : { "content-type": "application/json" };
    const response = await this.bobbin.fetch(path, { method, ...json, headers: { ...type, ...headers } });
    const text = await response.text();
    const isJson = response.headers.get("content-type") === "application/json";
    return { status: response.status, headers: response.headers, body: isJson ? JSON.parse(text) : text };
  }

  async get(path: string): Promise<Json> {
    const { status, body } = await this.ask("GET", path);
    assert.equal(status, 200, `${path}: ${JSON.stringify(body)}`);
    return body;
  }

  session(id: string): Promise<Json> {
    return this.get(`/sessions/${id}`);
  }

  async patch(id: string, change: object): Promise<Json> {
    const { status, body } = await this.ask("PATCH", `/sessions/${id}`, change);
    assert.equal(status, 200, JSON.stringify(body));
    return body;
  }

  async delete(id: string): Promise<void> {
    assert.equal((await this.ask("DELETE", `/sessions/${id}`)).status, 204);
  }

  async search(q: string, query: Record<string, string> = {}): Promise<Json> {
    return this.get(`/sessions?${new URLSearchParams({ q, ...query })}`);
  }

  async found(q: string): Promise<string[]> {
    return (await this.search(q))["sessions"].map((session: Json) => session.id);
  }

  /** Polls until the answer is as wanted, for changes that reach D1 a moment later. */
  async until<T>(ask: () => Promise<T>, isWanted: (answer: T) => boolean, what: string): Promise<T> {
    const wanted = async () => {
      const answer = await ask();
      return isWanted(answer) ? { answer } : undefined;
    };
    return (await eventually(wanted, what, DEADLINE_MS)).answer;
  }
}

/** An error answer, as the contract describes it. */
export function assertRefused({ status, body, headers }: Answer, wanted: number, code: string, what = ""): void {
  assert.equal(status, wanted, `${what} ${JSON.stringify(body)}`);
  assert.equal(headers.get("content-type"), "application/json");
  assert.deepEqual(Object.keys(body), ["error"]);
  assert.equal(body.error.code, code, what);
  assert.equal(typeof body.error.retryable, "boolean");
  assert.match(body.error.message, /\w/);
}

/** Waits until D1 has all of a session. */
export async function delivered(bobbin: Bobbin, id: string): Promise<void> {
  const isDelivered = async () => {
    const { thread } = await new Http(bobbin).get(`/sessions/${id}/diagnostics`);
    return thread.outbox.undeliveredEvents === 0;
  };
  await eventually(isDelivered, `all of ${id} in D1`, DEADLINE_MS);
}

/** The rows that D1 holds of a session, without those for search only. */
export async function indexed(bobbin: Bobbin, id: string): Promise<{ session: Json; messages: Json[] }> {
  const [session] = await bobbin.d1("SELECT * FROM sessions WHERE id = ?", id);
  const messages = await bobbin.d1("SELECT * FROM messages WHERE session_id = ? ORDER BY seq", id);
  return { session, messages };
}

/** Waits until D1 has `count` messages of a session, and returns its rows. */
export async function indexedMessages(bobbin: Bobbin, id: string, count: number, deadlineMs = DEADLINE_MS): Promise<{ session: Json; messages: Json[] }> {
  const all = async () => {
    const held = await indexed(bobbin, id);
    return held.messages.length >= count && held.session?.message_count === held.messages.length ? held : undefined;
  };
  return eventually(all, `${count} messages of ${id} in D1`, deadlineMs);
}
