// The floor with one durable write, which also sets the object's alarm: without one, nobody would end the turn after a crash.
import worker, { Relay as Durable } from "./durable.js";

const GUARD_MS = 8_000;

export class Relay extends Durable {
  async webSocketMessage(socket, message) {
    this.ctx.storage.setAlarm(Date.now() + GUARD_MS);
    await super.webSocketMessage(socket, message);
    this.ctx.storage.deleteAlarm();
  }

  alarm() {}
}

export default worker;
