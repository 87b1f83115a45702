// Fills databases faster than a conversation would.
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { unstable_splitSqlQuery as splitSql } from "wrangler";
import type { Bobbin } from "../harness.ts";

const folder = fileURLToPath(new URL("../../../migrations", import.meta.url));

/** Names, in the order in which they are applied. */
export const migrations = readdirSync(folder).sort();

export async function applyMigration(bobbin: Bobbin, name: string): Promise<void> {
  for (const statement of splitSql(readFileSync(join(folder, name), "utf8"))) await bobbin.d1(statement);
}

/**
 * Gives the messages of `fillObject` ids, parents and counts as a thread gives them; D1 is assumed to have it all.
 * Restarts the runtime.
 */
export async function linked(bobbin: Bobbin, id: string, messages: number): Promise<void> {
  await bobbin.d1("UPDATE sessions SET seq = ?1", messages * 2);
  await bobbin.change(id, `UPDATE bobbin_records SET parent = iif(kind = 'question' AND seq > 4, seq - 4, NULL),
    data = iif(kind = 'question', json_object('count', (turn - 1) / 2 + 2), NULL),
    message_id = printf('msg_%x_%x', (SELECT epoch FROM bobbin_thread), turn) || iif(kind = 'answer', 'r', '')`);
  await bobbin.restart();
}

/**
 * Gives the only object of a runtime `count` messages in place of those it has: `text 0`, `text 1`, … of about `bytes`,
 * all marked as delivered to D1. Restarts the runtime, whose file it writes.
 */
export async function fillObject(bobbin: Bobbin, count: number, bytes = 20): Promise<void> {
  await bobbin.kill();
  const objects = join(bobbin.dir, "do", "bobbin-SessionDO");
  const [file, ...others] = readdirSync(objects).filter((name) => /^[0-9a-f]{64}\.sqlite$/.test(name));
  if (file === undefined || others.length > 0) throw new Error("one object is filled, and there is to be no other");
  const database = new DatabaseSync(join(objects, file));
  try {
    // Numbered as a thread does it: each message is followed by its session event.
    database.exec(`
      DELETE FROM bobbin_records;
      WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < ${count})
      INSERT INTO bobbin_records (seq, turn, kind, message_id, request_id, created_at, started, status, tokens_used, metadata, content)
      SELECT 2 * n + 1, 4 * (n / 2) + 1, iif(n % 2, 'answer', 'question'), 'msg_' || n, 'r' || (n / 2), 1700000000000 + n,
        iif(n % 2, NULL, 1), iif(n % 2, 'complete', NULL), iif(n % 2, 1, NULL),
        iif(n % 2, '{"tokensUsed":1,"latencyMs":1}', NULL), json_quote('text ' || n || printf('%.*c', ${bytes}, ' '))
      FROM numbers;
      UPDATE bobbin_thread SET seq = ${2 * count}, delivered = ${2 * count}, open = '[]',
        session = json_set(session, '$.messageCount', ${count}, '$.totalTokens', ${Math.floor(count / 2)});`);
  } finally {
    database.close();
  }
  await bobbin.restart();
}

/**
 * Gives D1 sessions `s0`, `s1`, … of `perSession` messages each, with a hundred owners in rotation. With `older` their
 * words are those of a build that has no index by owner, for a database without it.
 */
export async function fillD1(bobbin: Bobbin, sessions: number, perSession: number, older = false): Promise<void> {
  const words = (...parts: string[]) => parts.map((part) => (older ? part : `char(31) || ${part}`)).join(" || ' ' || ");
  const name = `iif(n % 10, ${words("'preview'", "n")}, ${words("'title'", "n")})`;
  await bobbin.d1(
    `WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < ?1)
     INSERT INTO sessions (id, title, first_message_preview, message_count, total_tokens, permission_mode, owner, created_at, last_message_at, seq, epoch, words${older ? "" : ", owner_key"})
     SELECT 's' || n, iif(n % 10, NULL, 'title ' || n), 'preview ' || n, ?2, 0, 'default', 'owner' || (n % 100), 1700000000000 + n / 3, 1700000000000 + n, 10, 1,
       ${name}${older ? "" : `, ${keys()}`} FROM numbers`,
    sessions,
    perSession,
  );
  await bobbin.d1(
    `WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < ?1 * ?2)
     INSERT INTO messages (id, session_id, request_id, role, status, content, words, created_at, seq)
     SELECT 'm' || n, 's' || (n / CAST(?2 AS INTEGER)), 'r' || (n / 2), iif(n % 2, 'assistant', 'user'), 'complete', '"common w' || (n % 997) || ' unique' || n || '"',
       ${words("'common'", "'w' || (n % 997)", "'unique' || n")}, 1700000000000 + n, n % CAST(?2 AS INTEGER) FROM numbers`,
    sessions,
    perSession,
  );
}

/** The owners' keys, by the number of the session. */
function keys(): string {
  const list = Array.from({ length: 100 }, (_, owner) => ownerKey(`owner${owner}`));
  return `json_extract('${JSON.stringify(list)}', '$[' || (n % 100) || ']')`;
}

/** The token for an owner in the index of words: the first ten digits of its digest (FNV-1a, 64 bits). */
export function ownerKey(owner: string): string {
  let digest = 0xcbf29ce484222325n;
  for (const byte of Buffer.from(owner)) digest = ((digest ^ BigInt(byte)) * 0x100000001b3n) & 0xffffffffffffffffn;
  return digest.toString(16).padStart(16, "0").slice(0, 10);
}

/** SQLite's query plan of a statement, one step a line. */
export async function planOf(bobbin: Bobbin, statement: string, ...values: unknown[]): Promise<string> {
  const steps = await bobbin.d1(`EXPLAIN QUERY PLAN ${statement}`, ...values);
  return steps.map((step) => String(step["detail"])).join("\n");
}
