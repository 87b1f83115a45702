// The floor with one durable write: the message is stored before the model is asked, and nothing is sent until that is confirmed.
import worker, { Relay as Floor } from "./floor.js";

export class Relay extends Floor {
  constructor(ctx, env) {
    super(ctx, env);
    ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS messages (content TEXT)");
  }

  webSocketMessage(socket, message) {
    this.ctx.storage.sql.exec("INSERT INTO messages VALUES (?)", message);
    return super.webSocketMessage(socket, message);
  }
}

export default worker;
