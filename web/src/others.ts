// What the tabs of one browser tell each other about the list of sessions.
import type { Session } from "bobbin-client";

export type News = { session: Session } | { deleted: string };

const channel = typeof BroadcastChannel === "undefined" ? undefined : new BroadcastChannel("bobbin:sessions");

export function tellOthers(news: News): void {
  channel?.postMessage(news);
}

export function listenToOthers(on: (news: News) => void): () => void {
  const receive = ({ data }: MessageEvent<News>) => on(data);
  channel?.addEventListener("message", receive);
  return () => channel?.removeEventListener("message", receive);
}
