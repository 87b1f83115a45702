// PartyServer with the relay that its documentation suggests: `broadcast` of each piece of text.
import { Server, routePartykitRequest } from "partyserver";
import { pieces } from "./relay.js";

export class Relay extends Server {
  static options = { hibernate: true };

  async onMessage(_connection, message) {
    const { content } = JSON.parse(message);
    for await (const token of pieces(this.env, content)) this.broadcast(JSON.stringify({ type: "token", token }));
    this.broadcast(JSON.stringify({ type: "done" }));
  }
}

export default {
  async fetch(request, env) {
    if (new URL(request.url).pathname === "/health") return new Response("ok");
    return (await routePartykitRequest(request, env)) ?? new Response("not found", { status: 404 });
  },
};
