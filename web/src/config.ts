// What the worker offers. It is requested once for each token; without an answer, nothing is offered that may not be
// there.
import type { ServerConfig } from "bobbin-client";
import { useEffect } from "react";
import { credential, server } from "./credential.ts";
import { rest } from "./later.ts";
import { createStore, useStore } from "./store.ts";

const known = createStore<ServerConfig | null>(null);
let asked: string | null | undefined;

credential.subscribe(() => {
  asked = undefined;
  known.set(null);
  void ask();
});

export function useConfig(): ServerConfig | null {
  useEffect(() => void ask(), []);
  return useStore(known);
}

async function ask(): Promise<void> {
  const token = credential.get();
  if (asked === token) return;
  asked = token;
  try {
    const { fetchConfig } = await rest;
    const config = await fetchConfig(server, { retries: Number.POSITIVE_INFINITY });
    if (asked === token) known.set(config);
  } catch {
    // Requested again with the next session that is opened.
    if (asked === token) asked = undefined;
  }
}

/** Agents that never ask whether a call may be carried out: for them a permission mode has no effect. */
const NEVER_ASKING = ["echo", "openai", "responses", "anthropic", "workers-ai"];

export const mayAsk = ({ agent }: ServerConfig): boolean => agent !== undefined && !NEVER_ASKING.includes(agent);
