// The floor: an object that relays and does nothing else. No storage, no resume, no cancel, no errors.
import { DurableObject } from "cloudflare:workers";
import { pieces } from "./relay.js";

export class Relay extends DurableObject {
  fetch() {
    const [client, server] = Object.values(new WebSocketPair());
    this.ctx.acceptWebSocket(server);
    return new Response(null, { status: 101, webSocket: client });
  }

  async webSocketMessage(_socket, message) {
    const { content } = JSON.parse(message);
    for await (const token of pieces(this.env, content)) this.#send({ type: "token", token });
    this.#send({ type: "done" });
  }

  webSocketClose(socket) {
    socket.close();
  }

  #send(frame) {
    const text = JSON.stringify(frame);
    for (const socket of this.ctx.getWebSockets()) socket.send(text);
  }
}

export default {
  fetch(request, env) {
    const { pathname } = new URL(request.url);
    if (pathname === "/health") return new Response("ok");
    return env.OBJECT.get(env.OBJECT.idFromName(pathname)).fetch(request);
  },
};
