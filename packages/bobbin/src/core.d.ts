/** The exports of the compiled core: see `src/index.js` of the repository. */
import type { Own } from "./thread.js";

export declare class SessionDO {
  constructor(state: unknown, env: unknown, own?: Own);
  fetch(request: Request): Promise<Response>;
  webSocketMessage(socket: WebSocket, message: string | ArrayBuffer): void;
  webSocketClose(socket: WebSocket, code: number, reason: string, wasClean?: boolean): void;
  webSocketError(socket: WebSocket): void;
  alarm(): void;
  broadcast(name: string, data: string): void;
}

export default class {
  fetch(request: Request, claims?: string, binding?: string): Promise<Response>;
}
