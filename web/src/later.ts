import { type ComponentType, lazy } from "react";
import { loadMarkdown } from "./markdown/lazy.tsx";
import { untilLoaded } from "./until_loaded.ts";

/**
 * Code that is not needed at once, in one script. It is loaded once the page is shown, so that it is there when the
 * connection becomes bad.
 */
export const loadLater = () => import("./later_parts.ts");

type Parts = Awaited<ReturnType<typeof loadLater>>;
type ComponentName = { [Name in keyof Parts]: Parts[Name] extends ComponentType<never> ? Name : never }[keyof Parts];

/** A component of that code; its place is empty until the code is loaded. */
export const lazyPart = <Name extends ComponentName>(name: Name) => lazy(async () => ({ default: (await untilLoaded(loadLater))[name] }));

/**
 * Loads the code that is needed next, once the page is connected: earlier it would compete with the connection for
 * bandwidth.
 */
export let loadRest: () => void;

/** That code, for what can wait for the connection. */
export const rest = new Promise<void>((resolve) => (loadRest = resolve)).then(() => {
  void loadMarkdown();
  return untilLoaded(loadLater);
});
