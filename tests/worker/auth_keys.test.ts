import assert from "node:assert/strict";
import { createPublicKey, generateKeyPairSync } from "node:crypto";
import { after, afterEach, test } from "node:test";
import { eventually } from "./client.ts";
import type { Bobbin } from "./harness.ts";
import { bearer, claimsOf, hmac, SECRET, signedBy, signerOf, startClosed, tokenOf, unsigned, type Claims, type Signer } from "./support/auth.ts";
import { issuerOf, type Issuer } from "./support/auth_issuer.ts";

const rsa = signerOf("RS256", "rsa");
const ec = signerOf("ES256", "ec");
const ed = signerOf("EdDSA", "ed");
const known = [rsa, ec, ed];

const open: { close: () => Promise<void> }[] = [];
const closeAll = async (): Promise<void> => {
  for (const each of open.splice(0)) await each.close();
};
afterEach(closeAll);
after(closeAll);

for (const signer of known) {
  test(`a token signed with ${signer.alg} is accepted, with and without a key id`, async () => {
    const { statusOf } = await closed([signer.jwk]);
    assert.equal(await statusOf(signedBy(signer, claims())), 200);
    assert.equal(await statusOf(signedBy(signer, claims(), { kid: undefined })), 200);
    const impostor = signerOf(signer.alg, signer.kid);
    assert.equal(await statusOf(signedBy(impostor, claims())), 401);
  });
}

test("a public key is not accepted as an HMAC secret: RS256 swapped for HS256 is refused in every spelling of the key", async () => {
  const { statusOf } = await closed(known.map(({ jwk }) => jwk));
  for (const { jwk, pem, kid } of known) {
    const der = createPublicKey(pem).export({ format: "der", type: "spki" });
    for (const key of [pem, pem.trim(), der, JSON.stringify(jwk), jwk.n ?? jwk.x ?? "", Buffer.from(jwk.n ?? jwk.x ?? "", "base64url")]) {
      assert.equal(await statusOf(hmac({ alg: "HS256", kid }, claims(), key)), 401);
      assert.equal(await statusOf(hmac({ alg: "HS256" }, claims(), key)), 401);
    }
  }
});

test("an algorithm is accepted only with its own kind of key", async () => {
  const { statusOf } = await closed(known.map(({ jwk }) => jwk));
  for (const signer of known) {
    for (const other of known.filter((each) => each !== signer)) {
      assert.equal(await statusOf(signedBy(signer, claims(), { alg: other.alg })), 401);
      assert.equal(await statusOf(signedBy(signer, claims(), { kid: other.kid })), 401);
    }
    assert.equal(await statusOf(`${unsigned({ alg: "none", kid: signer.kid }, claims())}.`), 401);
    assert.equal(await statusOf(`${unsigned({ alg: signer.alg, kid: signer.kid }, claims())}.`), 401);
  }
});

test("an elliptic-curve signature in another form, or of zeros, is refused", async () => {
  const { statusOf } = await closed([ec.jwk]);
  const text = signedBy(ec, claims()).split(".").slice(0, 2).join(".");
  const zeros = Buffer.alloc(64).toString("base64url");
  assert.equal(await statusOf(`${text}.${zeros}`), 401);
  assert.equal(await statusOf(`${text}.${Buffer.from("3006020100020100", "hex").toString("base64url")}`), 401);
});

test("a token cannot bring the key that verifies it", async () => {
  const { statusOf, issuer } = await closed([rsa.jwk]);
  const mallory = signerOf("RS256", "rsa");
  const rogue = await issuerOf([mallory.jwk]);
  open.push(rogue);
  for (const header of [{ jwk: mallory.jwk }, { jku: rogue.url }, { x5u: rogue.url }, { x5c: [mallory.pem] }]) {
    assert.equal(await statusOf(signedBy(mallory, claims(), header)), 401);
  }
  assert.equal(rogue.asked, 0);
  assert.equal(issuer.asked, 1);
});

const unusableKeys: Record<string, (signer: Signer) => object> = {
  "is for encryption": ({ jwk }) => ({ ...jwk, use: "enc" }),
  "has another algorithm": ({ jwk }) => ({ ...jwk, alg: "RS512" }),
  "is not for verifying": ({ jwk }) => ({ ...jwk, key_ops: ["encrypt", "wrapKey"] }),
  "is private": ({ key }) => ({ ...key.export({ format: "jwk" }), kid: "rsa" }),
  "is shared": () => ({ kty: "oct", kid: "rsa", k: Buffer.from(SECRET).toString("base64url"), alg: "HS256" }),
  "is broken": ({ jwk }) => ({ ...jwk, n: "%%%" }),
  "lacks its kind": ({ jwk: { kty: _, ...rest } }) => rest,
};

for (const [what, made] of Object.entries(unusableKeys)) {
  test(`a key in the set that ${what} verifies no token`, async () => {
    const { statusOf } = await closed([made(rsa)]);
    assert.equal(await statusOf(signedBy(rsa, claims())), 401);
    assert.equal(await statusOf(hmac({ alg: "HS256", kid: "rsa" }, claims(), SECRET)), 401);
  });
}

test("a key on another curve verifies no token", async () => {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-384" });
  const signer: Signer = { ...ec, key: privateKey, jwk: { ...publicKey.export({ format: "jwk" }), kid: "ec" } };
  const { statusOf } = await closed([signer.jwk]);
  assert.equal(await statusOf(signedBy(signer, claims())), 401);
});

test("a token without a key id is refused where several keys fit", async () => {
  const { statusOf } = await closed([rsa.jwk, signerOf("RS256", "other").jwk]);
  assert.equal(await statusOf(signedBy(rsa, claims(), { kid: undefined })), 401);
  assert.equal(await statusOf(signedBy(rsa, claims())), 200);
});

test("a hundred tokens with unknown keys do not make the worker fetch the key set a second time", async () => {
  const { statusOf, issuer } = await closed([rsa.jwk]);
  assert.equal(await statusOf(signedBy(rsa, claims())), 200);
  const strangers = Array.from({ length: 100 }, (_, index) => signedBy(rsa, claims(), { kid: `unknown-${index}` }));
  assert.deepEqual(new Set(await Promise.all(strangers.map(statusOf))), new Set([401]));
  assert.equal(issuer.asked, 1);
});

test("a hundred clients that connect to a cold worker at once cause one fetch of the key set, and all are let in", async () => {
  const { statusOf, issuer } = await closed([rsa.jwk]);
  const gate = Promise.withResolvers<void>();
  issuer.gate = gate.promise;
  const statuses = Promise.all(Array.from({ length: 100 }, () => statusOf(signedBy(rsa, claims()))));
  await eventually(async () => issuer.asked > 0, "the issuer to be asked");
  gate.resolve();
  assert.deepEqual(new Set(await statuses), new Set([200]));
  assert.equal(issuer.asked, 1);
});

test("while the key set is missing nobody is let in, it is not fetched at every request, and clients are told to retry", async () => {
  const { bobbin, issuer, statusOf } = await closed([rsa.jwk]);
  issuer.answer = { status: 500, body: "down" };
  const response = await bobbin.fetch("/sessions", bearer(signedBy(rsa, claims())));
  assert.equal(response.status, 503);
  const { error } = (await response.json()) as { error: { code: string; retryable: boolean; message: string } };
  assert.deepEqual([error.code, error.retryable], ["UNAUTHENTICATED", true]);
  assert.ok(!error.message.includes(issuer.url));
  await Promise.all(Array.from({ length: 20 }, () => statusOf(signedBy(rsa, claims()))));
  assert.ok(issuer.asked <= 2, `fetched ${issuer.asked} times`);
  await assert.rejects(bobbin.connect("a", bearer(signedBy(rsa, claims()))), /503/);
  issuer.answer = undefined;
  await eventually(async () => (await statusOf(signedBy(rsa, claims()))) === 200, "the token to be taken");
});

for (const body of ["", "not JSON", "{}", '{"keys":7}', "[]", "[".repeat(10_000)]) {
  test(`a key set with the body ${JSON.stringify(body.slice(0, 10))} lets nobody in`, async () => {
    const { issuer, statusOf } = await closed([]);
    issuer.answer = { status: 200, body };
    assert.equal(await statusOf(signedBy(rsa, claims())), 503);
  });
}

test("a key set is still used when its issuer goes away", async () => {
  const { issuer, statusOf } = await closed([rsa.jwk]);
  assert.equal(await statusOf(signedBy(rsa, claims())), 200);
  await issuer.close();
  open.splice(open.indexOf(issuer), 1);
  assert.equal(await statusOf(signedBy(rsa, claims())), 200);
  assert.equal(await statusOf(signedBy(rsa, claims(), { kid: "unknown" })), 401);
});

test("with a secret and a key set both are accepted, each for its own algorithms, and the set is fetched for its own only", async () => {
  const { issuer, statusOf } = await closed([rsa.jwk], { AUTH_JWT_SECRET: SECRET });
  assert.equal(await statusOf(tokenOf("ann")), 200);
  assert.equal(await statusOf(tokenOf("ann", {}, "another secret")), 401);
  assert.equal(issuer.asked, 0);
  assert.equal(await statusOf(signedBy(rsa, claims())), 200);
  assert.equal(await statusOf(hmac({ alg: "HS256", kid: "rsa" }, claims(), rsa.pem)), 401);
});

for (const [what, status, headers, body, words] of [
  ["redirects to http on another machine", 302, { location: "http://issuer.example/keys" }, "", /AUTH_JWKS_URL redirects to an address that does not begin with https:\/\//],
  ["redirects to something that is not a web address", 307, { location: "data:application/json,{}" }, "", /does not begin with https:\/\//],
  ["redirects without end", 301, { location: "/.well-known/jwks.json" }, "", /redirects too often/],
  ["has more than 1 MiB", 200, {}, JSON.stringify({ keys: [], padding: "x".repeat(1024 * 1024) }), /more than 1 MiB/],
  ["is no key set", 200, {}, "<html>", /no key set/],
] as const) {
  test(`a key set that ${what} is refused with a message`, async () => {
    const { bobbin, issuer } = await closed([rsa.jwk]);
    issuer.answer = { status, body, headers };
    const response = await bobbin.fetch("/sessions", bearer(signedBy(rsa, claims())));
    assert.equal(response.status, 503);
    assert.match(((await response.json()) as { error: { message: string } }).error.message, words);
  });
}

test("a key set that is redirected on the same machine is accepted", async () => {
  const { issuer, statusOf } = await closed([rsa.jwk]);
  issuer.answer = { status: 302, body: "", headers: { location: "/keys" } };
  assert.equal(await statusOf(signedBy(rsa, claims())), 200);
});

test("an RSA key of fewer than 2048 bits is refused with a message", async () => {
  const weak = signerOf("RS256", "weak", 2040);
  const { bobbin, statusOf } = await closed([weak.jwk, rsa.jwk]);
  const response = await bobbin.fetch("/sessions", bearer(signedBy(weak, claims())));
  assert.equal(response.status, 401);
  assert.match(((await response.json()) as { error: { message: string } }).error.message, /2048 bits/);
  assert.equal(await statusOf(signedBy(rsa, claims())), 200);
});

for (const [what, vars, words] of [
  ["a secret of 31 bytes", { AUTH_JWT_SECRET: "x".repeat(31) }, /AUTH_JWT_SECRET has at least 32 bytes/],
  ["keys that come by http from another machine", { AUTH_JWKS_URL: "http://issuer.example/keys" }, /AUTH_JWKS_URL begins with https:\/\//],
] as const) {
  test(`${what} closes the deployment, and its answers say so`, async () => {
    const bobbin = await startClosed({ AUTH_JWT_SECRET: "", ...vars });
    open.push(bobbin);
    const response = await bobbin.fetch("/sessions", bearer(tokenOf("ann", {}, "x".repeat(31))));
    assert.equal(response.status, 401);
    assert.match(((await response.json()) as { error: { message: string } }).error.message, words);
  });
}

const claims = (): Claims => claimsOf("ann");

type Closed = { bobbin: Bobbin; issuer: Issuer; statusOf: (token: string) => Promise<number> };

async function closed(keys: object[], vars: Record<string, string> = {}): Promise<Closed> {
  const issuer = await issuerOf(keys);
  const bobbin = await startClosed({ AUTH_JWT_SECRET: "", AUTH_JWKS_URL: issuer.url, ...vars });
  open.push(bobbin, issuer);
  const statusOf = async (token: string): Promise<number> => (await bobbin.fetch("/sessions", bearer(token))).status;
  return { bobbin, issuer, statusOf };
}
