// An identity provider's key set on loopback, which counts requests and can fail.
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

const PATH = "/.well-known/jwks.json";

export type Issuer = {
  url: string;
  /** How many requests it got. */
  asked: number;
  keys: object[];
  /** The answer in place of its keys. */
  answer: { status: number; body: string; headers?: Record<string, string> } | undefined;
  /** Answers wait for this. */
  gate: Promise<void>;
  close: () => Promise<void>;
};

export async function issuerOf(keys: object[]): Promise<Issuer> {
  const server = createServer(async (request, response) => {
    issuer.asked += 1;
    await issuer.gate;
    // This answer applies to the configured address; the keys are at the address to which it redirects.
    const instead = request.url === PATH ? issuer.answer : undefined;
    const { status, body, headers } = { headers: {}, ...(instead ?? { status: 200, body: JSON.stringify({ keys: issuer.keys }) }) };
    response.writeHead(status, { "content-type": "application/json", ...headers }).end(body);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const issuer: Issuer = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}${PATH}`,
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
