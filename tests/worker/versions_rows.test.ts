// A choice at the root of a long conversation writes few rows, in the object and in D1, at any length.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { endOf } from "./client.ts";
import { freshId, start } from "./harness.ts";
import { fillObject, linked } from "./support/d1_fill.ts";
import { Http, delivered } from "./support/d1_http.ts";
import { probeEntry, seen } from "./support/probe.ts";

const ROWS_MAX = 9;

for (const count of [10, 100_000]) {
  test(`a select at the root of ${count} messages writes fewer than ten rows in the object and fewer than ten in D1`, async (t) => {
    const bobbin = await start({ vars: { ECHO_DELAY_MS: "0" }, entry: probeEntry });
    after(bobbin.close);
    const id = freshId();
    const first = await bobbin.join(id);
    first.say("begin", "begin");
    await first.next(endOf("begin"));
    await first.close();
    await bobbin.evict(id);
    await fillObject(bobbin, count);
    await linked(bobbin, id, count);
    const client = await bobbin.join(id);
    client.say("edit", "edited", { replaces: "r0" });
    await client.next(endOf("edit"));
    await delivered(bobbin, id);
    const { messages } = await new Http(bobbin).get(`/sessions/${id}/messages`);
    const root = messages[0].versions.previous;
    const before = await seen(bobbin, id);
    client.send({ type: "select", messageId: root });
    await client.next(({ type }) => type === "branch" || type === "snapshot");
    await delivered(bobbin, id);
    const written = await seen(bobbin, id);
    const [rows, inD1] = [written.rowsWritten - before.rowsWritten, written.rowsWrittenInD1 - before.rowsWrittenInD1];
    t.diagnostic(`${rows} rows in the object, ${inD1} in D1`);
    assert.ok(rows > 0 && rows <= ROWS_MAX, `${rows} rows in the object`);
    assert.ok(inD1 > 0 && inD1 <= ROWS_MAX, `${inD1} rows in D1`);
    assert.equal((await new Http(bobbin).get(`/sessions/${id}`)).messageCount, count);
  });
}
