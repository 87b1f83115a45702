// The results of streamText of the AI SDK, 6 and 7, reach clients whole, and people's decisions and results reach the
// model whole.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { byRequest, endOf, type Frame } from "../worker/client.ts";
import { freshId, type Bobbin } from "../worker/harness.ts";
import { Consumer, pinned } from "./support/consumer.ts";
import { Tab, agreed } from "./support/tab.ts";

let consumer: Consumer;
let bobbin: Bobbin;
before(async () => {
  consumer = await Consumer.install("answers", { ai: pinned("ai"), "ai-6": pinned("ai-6") });
  bobbin = await consumer.start();
});
after(async () => {
  await bobbin?.close();
  consumer?.remove();
});

type Blocks = Record<string, any>[];
type Prompt = { role: string; content: any }[];

const told = async () => (await (await bobbin.fetch("/prompts")).json()) as Record<string, Prompt[]> & { happened: string[] };

/** Sends the message in two tabs and in one that is cut again and again. Returns the end, and the answer's blocks. */
async function ask(content: string) {
  const session = freshId();
  const [first, second, roamer] = [await Tab.open(bobbin, session), await Tab.open(bobbin, session), await Tab.open(bobbin, session)];
  const requestId = freshId();
  first.client.say(requestId, content);
  const [end] = await Promise.all([first.follow(requestId), second.follow(requestId), roamer.roam(requestId, 3)]);
  await agreed(bobbin, session, first, second, roamer);
  const blocks: Blocks = end["response"].blocks ?? [{ type: "text", text: end["response"].content }];
  return { end, blocks, requestId, session, first };
}

const SIGNED = { agent: "ai-sdk", providerMetadata: { mock: { signature: "sig-1" } } };
const text = (words: string) => ({ type: "text", text: words });
const USAGE = { inputTokens: 10, outputTokens: 5, reasoningTokens: 2, cachedTokens: 2 };

for (const version of ["6", "7"]) {
  for (const form of ["result", "full", "ui", "response"]) {
    // A stream for the AI SDK's own clients has only what they show: no sources, no usage figures, and failures without
    // their messages.
    const isForClients = form === "ui" || form === "response";
    const say = (name: string) => ask(`sdk ${version} ${name} ${form}`);

    test(`version ${version}, ${form}: text, with its usage figures`, async () => {
      const { end, blocks } = await say("text");
      assert.deepEqual(blocks, [text("Hello from the model.")]);
      const { usage, model, finish, tokensUsed } = end["response"].metadata;
      assert.equal(finish, "stop");
      if (!isForClients) assert.deepEqual({ usage, model, tokensUsed }, { usage: USAGE, model: `mock-${version}`, tokensUsed: 15 });
      assert.equal((await say("cut")).end["response"].metadata.finish, "length");
    });

    test(`version ${version}, ${form}: reasoning with its provider's metadata`, async () => {
      assert.deepEqual((await say("reasoning")).blocks, [{ type: "thinking", text: "Let me see.", providerData: SIGNED }, text("I see.")]);
    });

    test(`version ${version}, ${form}: several steps with a tool of the server`, async () => {
      const { blocks, first } = await say("tool");
      assert.deepEqual(blocks, [
        { type: "thinking", text: "I look. ", providerData: SIGNED },
        text("Looking. "),
        { type: "tool_use", id: "c1", name: "weather", input: { city: "Oslo" } },
        { type: "tool_result", toolUseId: "c1", content: '{"city":"Oslo","degrees":7}', isError: false, output: { city: "Oslo", degrees: 7 } },
        text("It is 7 degrees."),
      ]);
      // The input is shown while it grows, and whole before its result.
      const of = (frame: Frame) => `${frame.type} ${frame["block"]?.type ?? ""}`.trim();
      const shown = first.client.all.filter(({ index }) => index === 1 || index === 2).map(of);
      assert.deepEqual([...new Set(shown)].filter((name) => name !== "block_delta"), ["block_start tool_use", "block tool_use", "block tool_result"]);
    });

    test(`version ${version}, ${form}: a tool that fails, and a call that is not valid`, async () => {
      const failed = (await say("tool-fails")).blocks;
      assert.deepEqual(failed.map(({ type }) => type), ["tool_use", "tool_result", "text"]);
      assert.equal(failed[1]?.["isError"], true);
      if (!isForClients) assert.equal(failed[1]?.["content"], "the tool broke");
      const invalid = (await say("tool-invalid")).blocks;
      assert.deepEqual(invalid.map(({ type }) => type), ["tool_use", "tool_result", "text"]);
      assert.deepEqual([invalid[0]?.["input"], invalid[1]?.["isError"]], [{ town: 5 }, true]);
      if (!isForClients) assert.match(invalid[1]?.["content"], /not valid/);
    });

    test(`version ${version}, ${form}: a provider's tool, and sources`, async () => {
      const { blocks } = await say("at-provider");
      const [call, result, ...others] = blocks;
      assert.deepEqual([call?.["name"], call?.["providerData"].providerExecuted], ["search", true]);
      assert.deepEqual(result, { type: "tool_result", toolUseId: "p1", content: '{"hits":3}', isError: false, output: { hits: 3 } });
      const sources = [
        { type: "source", url: "https://source.example/", title: "A source" },
        { type: "source", title: "A document", mediaType: "application/pdf" },
      ];
      assert.deepEqual(others, [...(isForClients ? [] : sources), text("Three hits.")]);
    });

    test(`version ${version}, ${form}: a file`, async () => {
      assert.deepEqual((await say("file")).blocks, [{ type: "file", mediaType: "image/png", url: "data:image/png;base64,iVBORw0KGgo=" }, text("A picture.")]);
    });

    test(`version ${version}, ${form}: a model that breaks off`, async () => {
      const { end } = await say("breaks");
      assert.deepEqual([end.type, end["error"].code, end["response"].content], ["error", "AGENT_ERROR", "Half. "]);
      assert.doesNotMatch(JSON.stringify(end), /hunter2/);
      if (!isForClients) assert.equal((await say("public")).end["error"].message, "no budget is left");
    });

    for (const [decision, mode] of [["approved"], ["denied"], ["approved", "acceptEdits"], ["denied", "plan"]] as const) {
      test(`version ${version}, ${form}: a call that is ${decision}${mode ? ` by the mode ${mode}` : ""}`, async () => {
        await approval({ version, form, decision, mode });
      });
    }

    test(`version ${version}, ${form}: a client tool`, async () => {
      const session = freshId();
      const [tab, other] = [await Tab.open(bobbin, session), await Tab.open(bobbin, session)];
      const requestId = freshId();
      tab.client.say(requestId, `sdk ${version} client ${form}`);
      assert.deepEqual((await tab.follow(requestId))["toolUseIds"], ["c1"]);
      await bobbin.evict(session);
      other.client.send({ type: "tool_output", requestId, toolUseId: "c1", content: { city: "Oslo" } });
      const end = await tab.client.next(endOf(requestId));
      assert.deepEqual(end["response"].blocks, [
        text("Where? "),
        { type: "tool_use", id: "c1", name: "place", input: {} },
        { type: "tool_result", toolUseId: "c1", content: '{"city":"Oslo"}', isError: false, output: { city: "Oslo" } },
        text("There."),
      ]);
      const [, second] = (await told())[requestId] ?? [];
      assert.deepEqual(second?.map(({ role }) => role), ["user", "assistant", "tool"]);
      assert.deepEqual(second?.[2]?.content[0].output, { type: "json", value: { city: "Oslo" } });
      await agreed(bobbin, session, tab, other);
      assert.deepEqual(await rolesOfNext(tab, `sdk ${version} client ${form}`), ["user", "assistant", "tool", "assistant", "user"]);
    });
  }

  test(`version ${version}: calls and results of the provider are sent back to it`, async () => {
    const { first } = await ask(`sdk ${version} at-provider`);
    const requestId = freshId();
    first.client.say(requestId, `sdk ${version} at-provider`);
    assert.equal((await first.client.next(endOf(requestId)))["response"].content, "The next one.");
    const [prompt] = (await told())[requestId] ?? [];
    assert.deepEqual(prompt?.map(({ role }) => role), ["user", "assistant", "user"]);
    const [call, result] = prompt?.[1]?.content ?? [];
    assert.deepEqual([call.type, call.providerExecuted, result.type, result.output], ["tool-call", true, "tool-result", { type: "json", value: { hits: 3 } }]);
  });

  test(`version ${version}: of several calls in one step each gets its own answer`, async () => {
    const session = freshId();
    const tab = await Tab.open(bobbin, session);
    const requestId = freshId();
    tab.client.say(requestId, `sdk ${version} approval-and-tool`);
    assert.deepEqual((await tab.follow(requestId))["toolUseIds"], ["c2", "c3"]);
    tab.client.send({ type: "tool_decision", requestId, toolUseId: "c3", approved: true });
    tab.client.send({ type: "tool_decision", requestId, toolUseId: "c2", approved: false, reason: "no" });
    const end = await tab.client.next(endOf(requestId));
    assert.equal(end.type, "final", JSON.stringify(end["error"]));
    const [, second] = (await told())[requestId] ?? [];
    assert.deepEqual(second?.map(({ role }) => role), ["user", "assistant", "tool"]);
    const results = Object.fromEntries(second?.[2]?.content.filter((part: Frame) => part.type === "tool-result").map((part: Frame) => [part["toolCallId"], part["output"]]));
    assert.deepEqual(results, {
      c1: { type: "json", value: { city: "Oslo", degrees: 7 } },
      c2: { type: "execution-denied", reason: "no" },
      c3: { type: "text", value: "erased /b" },
    });
    await agreed(bobbin, session, tab);
    assert.deepEqual(await rolesOfNext(tab, `sdk ${version} approval-and-tool`), ["user", "assistant", "tool", "assistant", "user"]);
  });
}

/** The model's prompt for another message of the same thread, by roles. */
async function rolesOfNext(tab: Tab, content: string): Promise<string[] | undefined> {
  const requestId = freshId();
  tab.client.say(requestId, content);
  const end = await tab.client.next(endOf(requestId));
  assert.equal(end["response"].content, "The next one.", JSON.stringify(end["error"]));
  const [prompt] = (await told())[requestId] ?? [];
  return prompt?.map(({ role }) => role);
}

async function approval({ version, form, decision, mode }: { version: string; form: string; decision: string; mode: string | undefined }) {
  const session = freshId();
  const [tab, other] = [await Tab.open(bobbin, session), await Tab.open(bobbin, session)];
  const requestId = freshId();
  const before = (await told()).happened.length;
  if (mode) tab.client.send({ type: "session_update", permissionMode: mode });
  tab.client.say(requestId, `sdk ${version} approval ${form}`);
  if (!mode) {
    assert.deepEqual((await tab.follow(requestId))["toolUseIds"], ["c1"]);
    await bobbin.evict(session);
    await tab.cut();
    const reason = decision === "denied" ? { reason: "too risky" } : {};
    other.client.send({ type: "tool_decision", requestId, toolUseId: "c1", approved: decision === "approved", ...reason });
  }
  const end = await tab.client.next(endOf(requestId));
  assert.equal(end.type, "final", JSON.stringify(end["error"]));
  const [thought, asked, call, ...rest]: Blocks = end["response"].blocks;
  assert.deepEqual([thought, asked], [{ type: "thinking", text: "May I? ", providerData: SIGNED }, text("I ask. ")]);
  assert.deepEqual([call?.["kind"], call?.["approval"].state, call?.["approval"].by], ["edit", decision, mode && "mode"]);
  const result = { type: "tool_result", toolUseId: "c1", content: "erased /a", isError: false };
  assert.deepEqual(rest, [...(decision === "approved" ? [result] : []), text("So it is.")]);

  const all = await told();
  const [happened, prompts] = [all.happened, all[requestId]];
  assert.equal(happened.slice(before).includes("erased /a"), decision === "approved");
  const [first, second] = prompts ?? [];
  assert.deepEqual(first?.map(({ role }) => role), ["user"]);
  assert.deepEqual(second?.map(({ role }) => role), ["user", "assistant", "tool"]);
  const said = second?.[1]?.content.filter(({ type }: Frame) => type !== "tool-approval-request");
  assert.deepEqual(said.map(({ type }: Frame) => type), ["reasoning", "text", "tool-call"]);
  assert.deepEqual([said[0].providerOptions, said[2].input], [{ mock: { signature: "sig-1" } }, { path: "/a" }]);
  const output = second?.[2]?.content.find(({ type }: Frame) => type === "tool-result").output;
  const denied = { type: "execution-denied", ...(mode ? {} : { reason: "too risky" }) };
  assert.deepEqual(output, decision === "approved" ? { type: "text", value: "erased /a" } : { ...denied, ...(mode && output.reason !== undefined && { reason: output.reason }) });
  await agreed(bobbin, session, tab, other);
  assert.deepEqual(await rolesOfNext(tab, `sdk ${version} approval ${form}`), ["user", "assistant", "tool", "assistant", "user"]);
}

test("of several decisions on a call the first counts, and its tool runs once", async () => {
  const session = freshId();
  const [tab, other] = [await Tab.open(bobbin, session), await Tab.open(bobbin, session)];
  const requestId = freshId();
  const erased = async () => (await told()).happened.filter((what) => what === "erased /b").length;
  const before = await erased();
  tab.client.say(requestId, "sdk 7 approval-and-tool");
  await tab.follow(requestId);
  tab.client.send({ type: "tool_decision", requestId, toolUseId: "c3", approved: true });
  await other.client.next("tool_decided");
  for (const approved of [true, false]) other.client.send({ type: "tool_decision", requestId, toolUseId: "c3", approved });
  const refusals = (await other.client.settled()).filter(byRequest(requestId, "error"));
  assert.deepEqual(refusals.map(({ error }) => error.code), ["ALREADY_ANSWERED"]);
  tab.client.send({ type: "tool_decision", requestId, toolUseId: "c2", approved: false });
  await tab.client.next(endOf(requestId));
  assert.equal(await erased(), before + 1);
});
