// Rows that an older build wrote to D1 are still found, and are indexed anew while somebody searches.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { endOf } from "./client.ts";
import { Bobbin, freshId } from "./harness.ts";
import { SECRET, bearer, shared, tokenOf } from "./support/auth.ts";
import { applyMigration, migrations, ownerKey } from "./support/d1_fill.ts";
import { Http, type Json, indexedMessages } from "./support/d1_http.ts";

const PAGE = 200;

const bobbin = new Bobbin({ vars: { AUTH: "jwt", AUTH_JWT_SECRET: SECRET, ECHO_DELAY_MS: "0" } });
after(bobbin.close);
await bobbin.restart();
const http = new Http(bobbin);
for (const name of migrations.slice(0, 3)) await applyMigration(bobbin, name);

const ann = bearer(tokenOf("ann")).headers;
const everything = bearer(tokenOf("support", shared("viewer", "*"))).headers;
const found = async (query: string, headers: Record<string, string>): Promise<string[]> => {
  const { body } = await http.ask("GET", `/sessions?${new URLSearchParams({ q: query })}`, undefined, headers);
  return body.sessions.map(({ id }: Json) => id);
};

test("after the migration to words by owner the same rows are found, and soon the others no longer are", async () => {
  await older("ann1", "ann", "오늘 대학교에서 ■개요");
  await older("bob1", "bob", "오늘 대학교에서 ■개요");
  // More rows than are indexed in one go.
  for (let n = 0; n < 2 * PAGE; n += 1) await older(`more${n}`, "ann", `row ${n} of 대학교에서`);
  await applyMigration(bobbin, migrations[3] as string);
  assert.deepEqual(await found("오늘", ann), ["ann1"]);
  assert.deepEqual((await found("오늘", everything)).toSorted(), ["ann1", "bob1"]);
  const left = async () => {
    await found("오늘", everything);
    return olderTexts();
  };
  await http.until(left, (count) => count === 0, "the texts to be indexed anew");
  for (const query of ["오늘", "학교에서 개요", "개요"]) {
    assert.deepEqual(await found(query, ann), ["ann1"], query);
    assert.deepEqual((await found(query, everything)).toSorted(), ["ann1", "bob1"], query);
  }
  assert.deepEqual(await found("title of ann1", ann), ["ann1"]);
  assert.deepEqual(await found("row 123 학교", ann), ["more123"]);
  const [row] = await bobbin.d1("SELECT owner_key FROM sessions WHERE id = 'ann1'");
  assert.equal(row?.["owner_key"], ownerKey("ann"));
});

test("rows that an older build still writes beside this one are found as it writes them", async () => {
  const id = freshId();
  const client = await bobbin.join(id, { headers: ann });
  client.say("r1", "a pangolin");
  await client.next(endOf("r1"));
  await indexedMessages(bobbin, id, 2);
  await bobbin.d1("UPDATE sessions SET title = 'older okapi', words = 'older okapi' WHERE id = ?", id);
  await bobbin.d1(
    `INSERT INTO messages (id, session_id, request_id, role, status, content, words, created_at, seq)
     VALUES ('m9', ?, 'r9', 'user', 'complete', '"an older quokka"', 'an older quokka', 1, 900)`,
    id,
  );
  for (const query of ["okapi", "quokka", "pangolin"]) {
    assert.deepEqual(await found(query, ann), [id], query);
    assert.deepEqual(await found(query, everything), [id], query);
  }
});

/** A session as a build before the migration wrote it. */
async function older(id: string, owner: string, text: string): Promise<void> {
  await bobbin.d1(
    `INSERT INTO sessions (id, title, first_message_preview, message_count, total_tokens, permission_mode, owner, created_at, last_message_at, seq, epoch, words)
     VALUES (?1, ?2, '', 1, 0, 'default', ?3, 1, 1, 1, 1, ?2)`,
    id,
    `title of ${id}`,
    owner,
  );
  await bobbin.d1(
    `INSERT INTO messages (id, session_id, request_id, role, status, content, words, created_at, seq)
     VALUES ('m1', ?1, 'r1', 'user', 'complete', ?3, ?2, 1, 1)`,
    id,
    text,
    JSON.stringify(text),
  );
}

async function olderTexts(): Promise<number> {
  const [row] = await bobbin.d1(`SELECT (SELECT count(*) FROM sessions WHERE substr(words, 1, 1) <> char(31))
    + (SELECT count(*) FROM messages WHERE substr(words, 1, 1) <> char(31)) AS count`);
  return Number(row?.["count"]);
}
