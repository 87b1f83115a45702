// An identity provider's key set on loopback, which counts who asks and can fail.
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

export type Issuer = {
  url: string;
  /** How often it was asked. */
  asked: number;
  keys: object[];
  /** What it answers instead of its keys. */
  answer: { status: number; body: string } | undefined;
  /** Answers wait for this. */
  gate: Promise<void>;
  close: () => Promise<void>;
};

export async function issuerOf(keys: object[]): Promise<Issuer> {
  const server = createServer(async (_, response) => {
    issuer.asked += 1;
    await issuer.gate;
    const { status, body } = issuer.answer ?? { status: 200, body: JSON.stringify({ keys: issuer.keys }) };
    response.writeHead(status, { "content-type": "application/json" }).end(body);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const issuer: Issuer = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/.well-known/jwks.json`,
    asked: 0,
    keys,
    answer: undefined,
    gate: Promise.resolve(),
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
  return issuer;
}
