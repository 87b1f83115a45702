// What the runtime loads: it makes the instance of the wasm and hands out what that exports.
import { WorkerEntrypoint } from "cloudflare:workers";
import { SessionDO, fetch, initSync } from "./bindings.js";
import module from "./index_bg.wasm";

// Ten would be usual, and a panic's own take up as many: its trace alone says where it was.
Error.stackTraceLimit = 30;

initSync({ module });

export { SessionDO };

// The runtime gives the request alone; what else is known of it, the npm package adds.
export default class extends WorkerEntrypoint {
  fetch(request, claims, binding) {
    return fetch(request, this.env, this.ctx, claims, binding);
  }
}
