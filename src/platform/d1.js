// Queries to D1, and requests to one object after the other. In JavaScript this takes a third of the size.

/** Calls `ask` for each item and returns the results or errors. Six run at a time, since a worker may have six connections. */
export const ask_all = async (all, ask) => {
  const answers = [], rest = all.entries();
  const work = async () => {
    for (const [at, one] of rest) {
      try {
        answers[at] = await ask(one);
      } catch (thrown) {
        answers[at] = thrown instanceof Error ? thrown : Error(thrown);
      }
    }
  };
  await Promise.all(Array.from({ length: 6 }, work));
  return answers;
};

/** Merges the rows of all answers in one order: by rank, the newest first, and by place. Returns them with the failed answers. */
export const merged = (answers) => {
  const isFine = (answer) => answer?.results;
  const rows = answers.flatMap((answer) => answer?.results ?? []);
  rows.sort((a, b) => a.rank - b.rank || b.at - a.at || (a.place < b.place ? 1 : -1));
  return [rows, answers.filter((answer) => !isFine(answer)).map((answer) => answer ?? Error("D1 does not answer"))];
};

/** Returns the health of the database that is worst off. `null` stands for one that cannot be reached. */
export const worst = (names, answers, unreachable) => {
  const STATES = ["current", "newer", "older", "unreachable"];
  const all = answers.map((answer, at) => ({ name: names[at], databases: names.length, ...JSON.parse(typeof answer === "string" ? answer : unreachable) }));
  const [{ name, databases, ...health }] = all.sort((a, b) => STATES.indexOf(b.state) - STATES.indexOf(a.state));
  return JSON.stringify(databases > 1 ? { name, databases, ...health } : health);
};

/** Like `ask_all`, but throws if one failed. */
const all_of = async (all, ask) => {
  const answers = await ask_all(all, ask);
  const failed = answers.find((answer) => answer instanceof Error);
  if (failed) throw failed;
  return answers;
};

// If the same objects have several names, the default one counts, otherwise the first. A service has every
// property that it is asked for, so a binding is recognised by its constructor.
export const row_prefix = (env, id) => {
  const name = ["SESSION_DO", ...Object.keys(env)].find((name) => {
    const objects = env[name];
    if (objects?.constructor?.name !== "DurableObjectNamespace") return false;
    return (id.jurisdiction ? objects.jurisdiction(id.jurisdiction) : objects).idFromName(id.name).equals(id);
  });
  return name && name !== "SESSION_DO" ? name + "/" : "";
};

export const row_prefix_of_class = (env, name) => row_prefix(env, env[name].idFromName("any"));

// Sessions of a subject that is to be forgotten, if they began before that was requested.
const OWN = "FROM sessions WHERE owner = ?1 AND created_at <= coalesce((SELECT at FROM erasures WHERE owner = ?1), 1 << 53)";
const ELSEWHERE = "SELECT session_id AS id FROM participants WHERE subject = ?1 LIMIT ";
const ROUND = 20;

const run = (database, bindings, ...statements) => database.batch(statements.map((statement) => database.prepare(statement).bind(...bindings)));

const found = async (databases, statement, subject) => {
  const answers = await all_of(databases, (database) => database.prepare(statement).bind(subject).all());
  return answers.flatMap(({ results }, at) => results.map((row) => ({ ...row, database: databases[at] })));
};

export const forget_rows = (databases, id) =>
  all_of(databases, (database) =>
    run(database, [id], ...["messages WHERE session_id", "sessions WHERE id", "participants WHERE session_id"].map((rows) => `DELETE FROM ${rows} = ?1`)));

export const subject_held = async (own, all, subject) => {
  const mine = await found(own, `SELECT count(*) AS n, (SELECT at FROM erasures WHERE owner = ?1) AS at ${OWN}`, subject);
  const elsewhere = (await found(all, ELSEWHERE + 1000, subject)).map(({ id }) => id);
  return JSON.stringify({ subject, sessions: mine.reduce((sum, { n }) => sum + n, 0), elsewhere, deletedAt: mine[0].at });
};

// Later deliveries find this row.
export const subject_note = (own, subject, at) =>
  all_of(own, (database) =>
    run(database, [subject, at], "INSERT INTO erasures (owner, at) VALUES (?1, ?2) ON CONFLICT (owner) DO UPDATE SET at = excluded.at"));

export const subject_erase = async (env, own, all, subject, header, identity) => {
  const ask = async (id, method, path) => {
    const [, binding = "SESSION_DO", name] = /^(?:(.*)\/)?(.*)$/.exec(id);
    const response = await env[binding].getByName(name).fetch(`https://bobbin${path(name)}`, { method, headers: { [header]: identity } });
    await response.arrayBuffer();
    if (!response.ok && response.status !== 404) throw Error(`${id} was not forgotten: ${response.status}`);
    return response.ok;
  };
  for (;;) {
    const mine = await found(own, `SELECT id ${OWN} LIMIT ${ROUND}`, subject);
    const elsewhere = await found(all, ELSEWHERE + ROUND, subject);
    if (mine.length + elsewhere.length === 0) return;
    // A backup may have restored rows of a session that was deleted.
    await all_of(mine, async ({ id, database }) => (await ask(id, "DELETE", (name) => `/sessions/${name}`)) || forget_rows([database], id));
    await all_of(elsewhere, async ({ id, database }) => {
      await ask(id, "POST", (name) => `/admin/sessions/${name}/forget?subject=${encodeURIComponent(subject)}`);
      await run(database, [id, subject], "UPDATE messages SET author = NULL WHERE session_id = ?1 AND author = ?2", "DELETE FROM participants WHERE session_id = ?1 AND subject = ?2");
    });
  }
};
