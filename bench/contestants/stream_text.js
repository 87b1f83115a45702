// The AI SDK's `streamText` alone: an object that reads its stream to the end and sends one frame.
import { streamText } from "ai";
import floor, { Relay as Floor } from "./floor.js";
import { scriptedModel } from "./scripted.js";

export class Relay extends Floor {
  async webSocketMessage(_socket, message) {
    const { content } = JSON.parse(message);
    const { fullStream } = streamText({ model: scriptedModel, messages: [{ role: "user", content }] });
    for await (const _part of fullStream);
    for (const socket of this.ctx.getWebSockets()) socket.send('{"type":"done"}');
  }
}

export default floor;
