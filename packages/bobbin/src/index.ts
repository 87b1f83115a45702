export { SessionDO, default } from "./core.js";
export { routeThreadRequest, type Caller, type Options } from "./route.ts";
export { Thread, type Accepted, type Content } from "./thread.ts";
export * from "./types.ts";
