// The module that the runtime loads: it makes the instance of the wasm and exports its interface.
import { WorkerEntrypoint } from "cloudflare:workers";
import { SessionDO, fetch, initSync } from "./bindings.js";
import module from "./index_bg.wasm";

// The default is ten, which a panic's own frames use up: only the trace shows where the panic was.
Error.stackTraceLimit = 30;

initSync({ module });

export { SessionDO };

// The runtime passes only the request; the npm package adds whatever else is known of it.
export default class extends WorkerEntrypoint {
  fetch(request, claims, binding) {
    return fetch(request, this.env, this.ctx, claims, binding);
  }
}
