export { SessionDO, default } from "./core.js";
export { routeThreadRequest } from "./route.js";
export { Thread } from "./thread.js";
export * from "./types.js";
