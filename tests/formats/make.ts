// Writes a stored conversation that contains something of everything, as this build stores it: `node
// tests/formats/make.ts 2.0`. Run it once for each format, with the build that releases it, and check the file in:
// every later build must be able to read it.
import { join } from "node:path";
import { endOf } from "../worker/client.ts";
import { start } from "../worker/harness.ts";
import { Upstream } from "../worker/upstream.ts";

const SESSION = "stored";
const file = join(import.meta.dirname, `${process.argv[2] ?? "new"}.sqlite`);

const upstream = await Upstream.start();
const bobbin = await start({ vars: upstream.vars });
try {
  const client = await bobbin.join(SESSION);
  client.say("draft", "What is the see?");
  (await upstream.next()).answer("What do you see?");
  await client.next(endOf("draft"));
  client.send({ type: "message", requestId: "plain", content: "What is the sea?", replaces: "draft" });
  (await upstream.next()).answer("Water.");
  await client.next(endOf("plain"));

  client.send({ type: "session_update", title: "The sea", permissionMode: "plan" });
  client.say("blocks", "Look it up.");
  const looking = await upstream.next();
  looking.delta({ reasoning_content: "Where?" }).text("I look. ").tool("t1", "look", ['{"depth":', "1.50}"]);
  looking.finish("tool_calls").usage(10, 5).done();
  await client.next(endOf("blocks"));

  client.say("failing", "Fail.");
  (await upstream.next()).status(400, "this is not to be answered");
  await client.next(endOf("failing"));

  client.say("cancelled", "Talk.");
  (await upstream.next()).text("Once upon ");
  await client.next("token");
  client.send({ type: "cancel", requestId: "cancelled" });
  await client.next(endOf("cancelled"));

  const uploaded = await bobbin.fetch(`/sessions/${SESSION}/files?name=sea.txt`, { method: "POST", body: "waves", headers: { "content-type": "application/zip" } });
  const { url, mediaType } = (await uploaded.json()) as { url: string; mediaType: string };
  client.send({ type: "message", requestId: "running", content: [{ type: "text", text: "Talk again." }, { type: "file", mediaType, url }] });
  client.say("waiting", "And then?");
  (await upstream.next()).text("Half an answer");
  await client.next("token");
  const isJournalled = async () => JSON.stringify(await rows("journal")).includes("Half an answer");
  while (!(await isJournalled())) await new Promise((resolve) => setTimeout(resolve, 50));
  await bobbin.kill();
  await bobbin.restart();
  await bobbin.save(SESSION, file);
} finally {
  await bobbin.close();
  await upstream.close();
}

/** The rows of the table whose name ends like this, in any format. */
async function rows(name: string) {
  const table = (await bobbin.tables(SESSION)).find((table) => table.endsWith(name));
  return bobbin.sql(SESSION, `SELECT * FROM "${table}"`);
}
