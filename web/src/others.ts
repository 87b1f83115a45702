// Messages between one person's tabs about the list of sessions.
import type { Session } from "bobbin-client";
import { subject } from "./credential.ts";

export type News = { session: Session } | { deleted: string } | { renamed: string };

const channel = typeof BroadcastChannel === "undefined" ? undefined : new BroadcastChannel("bobbin:sessions");

export function tellOthers(news: News): void {
  channel?.postMessage({ ...news, whose: subject() });
}

export function listenToOthers(on: (news: News) => void): () => void {
  const receive = ({ data }: MessageEvent<News & { whose: string }>) => data.whose === subject() && on(data);
  channel?.addEventListener("message", receive);
  return () => channel?.removeEventListener("message", receive);
}
