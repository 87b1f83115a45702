// Several people use one browser, one after the other: each sees only their own data.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type ThreadOptions, type Token, createThread, subjectOf, undelivered } from "bobbin-client";
import { MemoryStorage, settled, surroundings, token as tokenFrame, userMessage } from "./fakes.ts";

const [ADA, BOB] = [tokenOf("ada"), tokenOf("bob")];

/** All kinds of people that a client can tell apart. */
const people: Record<string, [token: string | undefined, same: string | undefined, other: string | undefined]> = {
  "a token's subject": [ADA, tokenOf("ada", { exp: 2, jti: "refreshed" }), BOB],
  "a subject that is not ASCII": [tokenOf("ädä 🙂"), tokenOf("ädä 🙂", { exp: 2 }), tokenOf("ada")],
  "a subject with a colon": [tokenOf("a:s1"), tokenOf("a:s1", { exp: 2 }), tokenOf("a")],
  "a token that is not a JSON Web Token": ["opaque-1", "opaque-1", "opaque-2"],
  "a JSON Web Token without a subject": [tokenOf(undefined), tokenOf(undefined), tokenOf(undefined, { exp: 2 })],
  "nobody": [undefined, undefined, ADA],
};

for (const [who, [token, same, other]] of Object.entries(people)) {
  test(`${who}: undelivered messages are found again by the same person, and neither shown to nor sent by another`, async () => {
    const storage = new MemoryStorage();
    write(storage, token, "r1");
    const [world, later] = [surroundings(), surroundings()];
    const thread = createThread({ ...world.options, storage, token: other });
    await settled();
    world.last.welcome();
    assert.deepEqual([idsOf(thread), world.last.messages()], [[], []]);
    assert.deepEqual(undelivered(storage, subjectOf(other)), []);
    assert.deepEqual(undelivered(storage, subjectOf(token)), ["s1"]);

    const again = createThread({ ...later.options, storage, token: same });
    assert.deepEqual(idsOf(again), ["r1"]);
    await settled();
    later.last.welcome();
    assert.deepEqual(later.last.messages(), ["r1"]);
  });
}

test("a storage holds no credential", () => {
  const storage = new MemoryStorage();
  for (const token of [ADA, "an-opaque-secret"]) write(storage, token, "r1");
  const stored = Array.from({ length: storage.length }, (_, index) => storage.key(index) + (storage.getItem(storage.key(index) ?? "") ?? ""));
  assert.equal(stored.length, 2);
  assert.doesNotMatch(stored.join(), /opaque|eyJ/);
});

test("messages stored before there were subjects belong to nobody", async () => {
  const storage = new MemoryStorage();
  const frame = JSON.stringify({ type: "message", requestId: "r1", content: "whose?" });
  storage.setItem("bobbin:outbox:s1:r1", JSON.stringify({ at: 1, frame }));
  for (const token of [undefined, ADA]) {
    const world = surroundings();
    const thread = createThread({ ...world.options, storage, token });
    await settled();
    world.last.welcome();
    assert.deepEqual([idsOf(thread), world.last.messages(), undelivered(storage, subjectOf(token))], [[], [], []]);
  }
});

for (const kept of ["a storage", "no storage"]) {
  test(`a token that changes its subject while the thread is open shows and sends nothing of the previous subject, who finds it again (${kept})`, async () => {
    const storage = kept === "a storage" ? new MemoryStorage() : undefined;
    let token: string | undefined = ADA;
    const world = surroundings();
    const thread = createThread({ ...world.options, storage, token: () => token });
    await settled();
    world.last.welcome().push(userMessage("seen"), tokenFrame("seen", "an answer to Ada"));
    const turn = thread.send("from Ada", { requestId: "ada-1" });
    const renamed = thread.updateSession({ title: "Ada's" });
    world.last.drop();
    thread.cancel("seen");
    token = BOB;
    await world.clock.pass(6_000);
    assert.equal(world.last.url.search, "");
    assert.deepEqual([idsOf(thread), thread.getSnapshot().messages], [[], []]);
    await assert.rejects(turn.result, { code: "CLOSED" });
    await assert.rejects(renamed, { code: "CLOSED" });
    thread.send("from Bob", { requestId: "bob-1" });
    world.last.welcome();
    await world.clock.pass(9_000);
    assert.deepEqual(world.last.frames.map(({ requestId }) => requestId), ["bob-1"]);
    world.last.push(userMessage("bob-1"));

    world.last.drop();
    token = undefined;
    await world.clock.pass(12_000);
    assert.deepEqual(idsOf(thread), []);
    world.last.open();
    world.last.drop();
    token = ADA;
    await world.clock.pass(24_000);
    assert.deepEqual(idsOf(thread), ["ada-1"]);
    world.last.welcome();
    assert.deepEqual(world.last.messages(), ["ada-1"]);
  });
}

test("a token that is refreshed for the same subject keeps everything pending", async () => {
  const storage = new MemoryStorage();
  let expiry = 1;
  const world = surroundings();
  const thread = createThread({ ...world.options, storage, token: async () => tokenOf("ada", { exp: (expiry += 1) }) });
  const turn = thread.send("hello", { requestId: "r1" });
  await settled();
  world.last.welcome();
  world.last.drop(4401);
  await settled();
  world.last.resume();
  assert.deepEqual(world.last.messages(), ["r1"]);
  world.last.push(userMessage("r1"));
  turn.result.catch(() => {});
  assert.deepEqual(idsOf(thread), ["r1"]);
});

test("a token that arrives late counts for the connection that requested it, and for no other", async () => {
  const storage = new MemoryStorage();
  write(storage, ADA, "ada-1");
  const waiting: ((token: string) => void)[] = [];
  const world = surroundings();
  const thread = createThread({ ...world.options, storage, token: () => new Promise((resolve) => waiting.push(resolve)) });
  await settled();
  thread.close();
  thread.open();
  await settled();
  waiting[1]?.(BOB);
  await settled();
  waiting[0]?.(ADA);
  await settled();
  world.last.welcome();
  assert.deepEqual([idsOf(thread), world.last.messages()], [[], []]);
});

test("a message written before the token is known belongs to the token's subject", async () => {
  const storage = new MemoryStorage();
  let give = (_: string) => {};
  const world = surroundings();
  const thread = createThread({ ...world.options, storage, token: () => new Promise<string>((resolve) => (give = resolve)) });
  thread.send("hello", { requestId: "r1" });
  assert.deepEqual([idsOf(thread), thread.getSnapshot().turns[0]?.isStored], [["r1"], false]);
  await settled();
  give(ADA);
  await settled();
  assert.equal(thread.getSnapshot().turns[0]?.isStored, true);
  assert.deepEqual(undelivered(storage, "ada"), ["s1"]);
  world.last.welcome();
  assert.deepEqual(world.last.messages(), ["r1"]);
});

test("an application that identifies people in another way names the subject itself", async () => {
  const storage = new MemoryStorage();
  const { options } = surroundings();
  createThread({ ...options, storage, connect: false, subject: "ada" }).send("hello", { requestId: "r1" });
  const ids = ["ada", "bob", undefined].map((subject) => idsOf(createThread({ ...options, storage, connect: false, subject })));
  assert.deepEqual(ids, [["r1"], [], []]);
  const [token, subject] = [() => BOB, "ada"];
  assert.deepEqual(idsOf(createThread({ ...options, storage, connect: false, token, subject })), ["r1"]);
});

function write(storage: MemoryStorage, token: Token | undefined, requestId: string): void {
  const options: ThreadOptions = { ...surroundings().options, storage, token, connect: false };
  createThread(options).send("not delivered", { requestId });
}

const idsOf = (thread: ReturnType<typeof createThread>) => thread.getSnapshot().turns.map(({ requestId }) => requestId);

/** A well-formed token; only a server checks the signature. */
function tokenOf(sub: unknown, more: Record<string, unknown> = {}): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  return `${part({ alg: "none" })}.${part({ ...more, sub })}.c2lnbmF0dXJl`;
}
