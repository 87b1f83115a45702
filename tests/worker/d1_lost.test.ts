// D1 is lost, restored, or bound for the first time: the missing rows are delivered again.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { type Client, endOf, eventually } from "./client.ts";
import { type Bobbin, freshId, start } from "./harness.ts";
import { bearer, startClosed, tokenOf } from "./support/auth.ts";
import { DEADLINE_MS, Http, indexed } from "./support/d1_http.ts";

const THREADS = 20;
const TURNS = 12;
const admin = bearer(tokenOf("ops", { bobbin: { admin: true } })).headers;

/** Asserts that D1 has everything of a session that its object has. */
async function isWhole(bobbin: Bobbin, http: Http, id: string, headers = {}): Promise<boolean> {
  const { messages } = (await http.ask("GET", `/sessions/${id}/messages?limit=200`, undefined, headers)).body;
  const held = await indexed(bobbin, id);
  const ids = (all: { id: string }[]) => all.map((message) => message.id).join();
  return held.session?.message_count === messages.length && ids(held.messages) === ids(messages);
}

const lose = async (bobbin: Bobbin) => {
  for (const statement of ["DELETE FROM messages", "DELETE FROM sessions", "UPDATE bobbin_database SET id = lower(hex(randomblob(8)))"]) await bobbin.d1(statement);
};

test("a database that is deleted under load is complete again once each thread has run another turn", { timeout: 120_000 }, async (t) => {
  const bobbin = await start({ vars: { ECHO_DELAY_MS: "1" } });
  after(bobbin.close);
  const http = new Http(bobbin);
  const ids = Array.from({ length: THREADS }, freshId);
  const clients: Client[] = await Promise.all(ids.map((id) => bobbin.join(id)));
  let losses = 0;
  await Promise.all(clients.map(async (client, thread) => {
    for (let turn = 0; turn < TURNS; turn += 1) {
      client.say(`r${turn}`, `word ${turn} of thread ${thread}`);
      await client.next(endOf(`r${turn}`));
      if (thread === 0 && turn % 4 === 2) {
        await lose(bobbin);
        losses += 1;
      }
    }
  }));
  assert.equal(losses, 3);
  for (const client of clients) {
    client.say("last", "once more");
    await client.next(endOf("last"));
  }
  for (const id of ids) await eventually(() => isWhole(bobbin, http, id), `${id} to be whole in D1`, DEADLINE_MS);
  const anew = await bobbin.logged(['"delivered_anew"'], THREADS);
  t.diagnostic(`${anew.length} times a thread found that something was lost`);
  const { sessions } = await http.get("/sessions?limit=200");
  assert.deepEqual(new Set(sessions.map(({ id }: { id: string }) => id)), new Set(ids));
});

test("a new database in its place is filled as threads run turns, also after a crash under load", { timeout: 120_000 }, async () => {
  const bobbin = await start({ vars: { ECHO_DELAY_MS: "1" } });
  after(bobbin.close);
  const http = new Http(bobbin);
  const ids = Array.from({ length: 6 }, freshId);
  for (const id of ids) {
    const client = await bobbin.join(id);
    for (const turn of ["r1", "r2", "r3"]) {
      client.say(turn, `said ${turn}`);
      if (turn !== "r3") await client.next(endOf(turn));
    }
  }
  await bobbin.kill();
  await bobbin.restart({}, { lives: 2 });
  await bobbin.migrate();
  for (const id of ids) {
    const client = await bobbin.join(id);
    client.say("r4", "said r4");
    await client.next(endOf("r4"));
  }
  for (const id of ids) await eventually(() => isWhole(bobbin, http, id), `${id} to be whole in D1`, DEADLINE_MS);
});

test("a database that is restored to an earlier state gets the later rows", async () => {
  const bobbin = await start({ vars: { ECHO_DELAY_MS: "1" } });
  after(bobbin.close);
  const http = new Http(bobbin);
  const id = freshId();
  const client = await bobbin.join(id);
  for (const turn of ["r1", "r2"]) {
    client.say(turn, turn);
    await client.next(endOf(turn));
  }
  await eventually(() => isWhole(bobbin, http, id), "all of it in D1");
  // The state after the first turn.
  await bobbin.d1("DELETE FROM messages WHERE request_id = 'r2'");
  await bobbin.d1("UPDATE sessions SET seq = 4, message_count = 2");
  client.say("r3", "r3");
  await client.next(endOf("r3"));
  await eventually(() => isWhole(bobbin, http, id), "all of it in D1 again");
});

test("a thread that existed before DB was bound is complete in it after its next turn", async () => {
  const bobbin = await start({ vars: { ECHO_DELAY_MS: "1" }, without: ["DB"] });
  after(bobbin.close);
  const id = freshId();
  const client = await bobbin.join(id);
  client.say("r1", "nobody lists this");
  await client.next(endOf("r1"));
  assert.equal((await bobbin.fetch("/sessions")).status, 501);
  await bobbin.restart({}, { without: [] });
  await bobbin.migrate();
  const http = new Http(bobbin);
  const again = await bobbin.join(id);
  again.say("r2", "now they do");
  await again.next(endOf("r2"));
  await eventually(() => isWhole(bobbin, http, id), "all of it in D1");
});

test("an admin makes sleeping threads deliver again, and removes rows of sessions deleted since a backup", async () => {
  const bobbin = await startClosed({ ECHO_DELAY_MS: "1" });
  after(bobbin.close);
  const http = new Http(bobbin);
  const ann = bearer(tokenOf("ann")).headers;
  const [kept, gone] = [freshId(), freshId()];
  for (const id of [kept, gone]) {
    const client = await bobbin.join(id, { headers: ann });
    client.say("r1", "hello");
    await client.next(endOf("r1"));
    await client.close();
    await eventually(() => isWhole(bobbin, http, id, ann), `${id} in D1`);
  }
  const backup = await indexed(bobbin, gone);
  await http.ask("DELETE", `/sessions/${gone}`, undefined, ann);
  await eventually(async () => (await indexed(bobbin, gone)).session === undefined, "the deletion in D1");
  await lose(bobbin);
  const { words, ...row } = backup.session;
  await bobbin.d1(
    `INSERT INTO sessions (${Object.keys({ ...row, words }).join()}) VALUES (${Object.keys({ ...row, words }).map(() => "?").join()})`,
    ...Object.values({ ...row, words }),
  );
  for (const headers of [ann, bearer(tokenOf("bob", { bobbin: { sessions: ["*"], role: "admin" } })).headers]) {
    assert.ok([403, 404].includes((await http.ask("POST", `/admin/sessions/${kept}/reindex`, undefined, headers)).status));
  }
  assert.equal((await http.ask("POST", `/admin/sessions/${kept}/reindex`, undefined, admin)).status, 202);
  assert.equal((await http.ask("POST", `/admin/sessions/${gone}/reindex`, undefined, admin)).status, 404);
  await eventually(() => isWhole(bobbin, http, kept, ann), "what was kept in D1");
  assert.deepEqual(await indexed(bobbin, gone), { session: undefined, messages: [] });
});
