import assert from "node:assert/strict";
import { after, test } from "node:test";
import { eventually, type Client } from "./client.ts";
import { freshId } from "./harness.ts";
import { bearer, shared, startClosed, tokenOf } from "./support/auth.ts";
import { cellsOf, type Cell, type Kind } from "./support/auth_matrix.ts";

const bobbin = await startClosed();
after(bobbin.close);

const KINDS: Kind[] = ["own", "shared", "foreign", "new"];
const ME = "me";
/** The path of the file in each session's first message. */
const files = new Map<string, string>();

for (const kind of KINDS) {
  const cells = cellsOf(kind);
  assert.equal(cells.length, 116, `${kind}: a table of twenty-nine actions and four roles`);
  for (const cell of cells) {
    const { action, by, role, expected } = cell;
    test(`${kind}, role ${role}: ${action} by ${by} is answered ${expected}`, async () => {
      const id = freshId();
      if (kind !== "new") await begin(id, kind === "own" ? ME : "somebody");
      const outcome = by === "HTTP" ? await byHttp(cell, id) : await bySocket(cell, id);
      assert.equal(outcome, expected);
    });
  }
}

async function begin(id: string, owner: string): Promise<void> {
  const client = await bobbin.join(id, bearer(tokenOf(owner)));
  const uploaded = await bobbin.fetch(`/sessions/${id}/files`, { method: "POST", body: "x", headers: { ...bearer(tokenOf(owner)).headers, "content-type": "text/plain" } });
  files.set(id, ((await uploaded.json()) as { url: string }).url);
  client.send({ type: "message", requestId: "first", content: [{ type: "text", text: "hello" }, { type: "file", mediaType: "text/plain", url: files.get(id) }] });
  await client.next("final");
  await client.close();
}

/** The caller's token: `none` names no role, and only a shared session without one. */
function tokenFor({ kind, role }: Cell, id: string): string {
  if (role === "none") return tokenOf(ME, kind === "shared" ? shared(undefined, id) : {});
  return tokenOf(ME, shared(role, kind === "foreign" ? freshId() : id));
}

async function bySocket(cell: Cell, id: string): Promise<string> {
  const client = await bobbin.connect(id, bearer(tokenFor(cell, id)));
  const first = await Promise.race([client.closed, client.next("connected").catch(() => client.closed)]);
  if ("code" in first) return String(first.code);
  if (!first["resumed"]) await client.next("snapshot");
  const outcome = await attempt(cell.action, client);
  await client.close();
  return outcome;
}

async function attempt(action: string, client: Client): Promise<string> {
  const answers: Record<string, [object | undefined, string]> = {
    connect: [undefined, "pong"],
    read: [{ type: "session_sync" }, "session_synced"],
    send: [{ type: "message", requestId: "r1", content: "hello" }, "user_message"],
    regenerate: [{ type: "regenerate", requestId: "r1", of: "first" }, "branch"],
    select: [{ type: "select", messageId: "none" }, "pong"],
    cancel: [{ type: "cancel", requestId: "first" }, "pong"],
    "answer a call": [{ type: "tool_decision", requestId: "first", toolUseId: "none", approved: true }, "pong"],
    "give a result": [{ type: "tool_output", requestId: "first", toolUseId: "none", content: 9 }, "pong"],
    rename: [{ type: "session_update", title: "A title" }, "session"],
    "permission mode": [{ type: "session_update", permissionMode: "plan" }, "session"],
    check: [{ type: "check", n: 7 }, "pong"],
  };
  const [frame, type] = answers[action] ?? assert.fail(action);
  if (frame) client.send(frame);
  // Only the exact bytes of a ping are answered without the object; this ping differs, so its pong comes after the
  // object's answer.
  client.send('{ "type": "ping" }');
  const frames = await client.until("pong");
  const refused = frames.find((each) => each.type === "error" && each["cursor"] === undefined);
  // A caller that may answer calls is told that there is none.
  if (refused) return refused["error"].code === "NOT_FOUND" ? "yes" : refused["error"].code;
  const answer = frames.find((each) => each.type === type);
  assert.ok(answer, `${action} was answered ${frames.map((each) => each.type).join(", ")}`);
  if (action === "rename") assert.equal(answer["session"].title, "A title");
  if (action === "permission mode") assert.equal(answer["session"].permissionMode, "plan");
  return "yes";
}

async function byHttp(cell: Cell, id: string): Promise<string> {
  const { headers } = bearer(tokenFor(cell, id));
  if (cell.action === "list") return isListed(id, cell, headers);
  const patch = (fields: object) => ({ method: "PATCH", body: JSON.stringify(fields), headers: { ...headers, "content-type": "application/json" } });
  const post = (fields: object) => ({ ...patch(fields), method: "POST" });
  const requests: Record<string, [string, RequestInit, number]> = {
    read: ["", { headers }, 200],
    history: ["/messages", { headers }, 200],
    send: ["/messages", post({ content: "hello" }), 202],
    append: ["/messages", post({ requestId: "r9", role: "assistant", content: "hello" }), 202],
    follow: ["/events", { headers }, 200],
    cancel: ["/cancel", { method: "POST", headers }, 202],
    "answer a call": ["/decisions", post({ requestId: "first", toolUseId: "none", approved: true }), 202],
    "give a result": ["/decisions", post({ requestId: "first", toolUseId: "none", content: 9 }), 202],
    rename: ["", patch({ title: "A title" }), 200],
    "permission mode": ["", patch({ permissionMode: "plan" }), 200],
    delete: ["", { method: "DELETE", headers }, 204],
    fork: ["/fork", post({}), 201],
    ticket: ["/ticket", { method: "POST", headers }, 201],
    diagnostics: ["/diagnostics", { headers }, 200],
    administer: [`/../../admin/sessions/${id}/reindex`, { method: "POST", headers }, 202],
    upload: ["/files?name=a.txt", { method: "POST", headers: { ...headers, "content-type": "text/plain" }, body: "words" }, 201],
    download: [(files.get(id) ?? `/sessions/${id}/files/none`).replace(`/sessions/${id}`, ""), { headers }, 200],
  };
  const [path, init, done] = requests[cell.action] ?? assert.fail(cell.action);
  const response = await bobbin.fetch(`/sessions/${id}${path}`, init);
  if (response.headers.get("content-type") === "text/event-stream") {
    // It never ends by itself.
    await response.body?.cancel();
    return "yes";
  }
  const body = await response.text();
  const isNoCall = response.status === 404 && JSON.parse(body).error.message.includes("no such call");
  if (response.status === done || isNoCall) return "yes";
  assert.match(JSON.parse(body).error.message, /\w/);
  await assertUnchanged(id, cell.kind);
  return String(response.status);
}

async function isListed(id: string, { kind }: Cell, headers: Record<string, string>): Promise<string> {
  if (kind !== "new") await eventually(async () => (await bobbin.d1("SELECT id FROM sessions WHERE id = ?", id)).length, "a row in D1");
  const response = await bobbin.fetch("/sessions?limit=200", { headers });
  const { sessions } = (await response.json()) as { sessions: { id: string }[] };
  const found = await bobbin.fetch("/sessions?limit=200&q=hello", { headers });
  const hits = (await found.json()) as typeof response & { sessions: { id: string }[] };
  const [listed, hit] = [sessions, hits.sessions].map((each) => each.some((session) => session.id === id));
  assert.equal(listed, hit);
  return listed ? "yes" : "no";
}

async function assertUnchanged(id: string, kind: Kind): Promise<void> {
  const everything = bearer(tokenOf("root", shared("owner", "*")));
  const response = await bobbin.fetch(`/sessions/${id}`, everything);
  if (kind === "new") return assert.equal(response.status, 404);
  const session = (await response.json()) as { title: string | null; permissionMode: string; messageCount: number };
  assert.deepEqual([session.title, session.permissionMode, session.messageCount], [null, "default", 2]);
}
