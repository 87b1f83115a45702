// The bill in docs/operations.md is the output of its formula, and the rows of a turn follow JOURNAL_MS as the document
// says.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, test } from "node:test";
import { table } from "../../bench/cost.mjs";
import { endOf } from "./client.ts";
import { freshId, start } from "./harness.ts";
import { Http } from "./support/d1_http.ts";

test("the table in the docs is the output of the formula", () => {
  const page = readFileSync(new URL("../../docs/operations.md", import.meta.url), "utf8");
  assert.ok(page.includes(table()), "write the output of `node bench/cost.mjs` into docs/operations.md");
});

for (const [journalMs, most] of [["100", 60], ["1000", 12], ["5000", 8]] as const) {
  test(`a turn of about three seconds writes few rows at JOURNAL_MS=${journalMs}`, async () => {
    const bobbin = await start({ vars: { JOURNAL_MS: journalMs, ECHO_DELAY_MS: "30" } });
    after(bobbin.close);
    const id = freshId();
    const client = await bobbin.join(id);
    client.say("r1", "word ".repeat(100));
    await client.next(endOf("r1"));
    const { storage } = await new Http(bobbin).get(`/sessions/${id}/diagnostics`);
    const least = journalMs === "100" ? 15 : 4;
    assert.ok(storage.rowsWritten >= least && storage.rowsWritten <= most, `${storage.rowsWritten} rows`);
  });
}
