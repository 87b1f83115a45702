import assert from "node:assert/strict";
import { after, test } from "node:test";
import { type ConnectOptions, endOf } from "./client.ts";
import { freshId, start } from "./harness.ts";
import { bearer, shared, startClosed, tokenOf } from "./support/auth.ts";
import { fillD1 } from "./support/d1_fill.ts";
import { Http, type Json, assertRefused, indexedMessages } from "./support/d1_http.ts";

const bobbin = await start({ vars: { ECHO_DELAY_MS: "0", MESSAGES_PER_MINUTE: "100000" } });
after(bobbin.close);
const http = new Http(bobbin);

const long = [
  "今日は東京タワーに行きました。とても楽しかったです。",
  "วันนี้อากาศดีมากเราไปเที่ยวกันเถอะ",
  "ذهب محمد إلى المكتبة",
  "Ich übe für die Prüfung in Köln",
  "C'est déjà l'été à Besançon",
  "नमस्ते दुनिया",
  "Привет, как дела?",
  "오늘 날씨가 좋습니다",
  "שלום לכולם",
  "let us celebrate 🎉 with everybody 👨‍👩‍👧 ❤️",
  "the function snake_case_name in src/edge/search.rs takes C++ and x²",
  "■개요 ▶재생 ①첫째 대학교에서",
  "ＡＢＣ und ｶﾞｲﾄﾞ",
  "©2024 ⌚watch «guillemets» “quoted”",
  "call getUserName of XMLHttpRequest",
  "״ברכה״ ৳550 ฿770 ジョン・スミスさん G♯flat",
];
const said: string[] = [];
for (const content of long) said.push(await say(content));
const ids = new Map(long.map((content, at) => [content, said[at] ?? ""]));

// Two owners who write the same text.
const owned = await startClosed({ ECHO_DELAY_MS: "0", MESSAGES_PER_MINUTE: "100000" });
after(owned.close);
const [ann, bob] = [tokenOf("ann"), tokenOf("bob")];
const [anns, bobs]: [string[], string[]] = [[], []];
for (const content of long) {
  anns.push(await say(content, owned, bearer(ann)));
  bobs.push(await say(content, owned, bearer(bob)));
}

const hits: [string, string][] = [
  ["東京", "今日"], ["東京タワー", "今日"], ["行きまし", "今日"], ["今", "今日"],
  ["อากาศ", "วันนี้"], ["วันนี้", "วันนี้"], ["เที่ยว", "วันนี้"],
  ["محمد", "ذهب"], ["مُحَمَّد", "ذهب"], ["المكتبة", "ذهب"],
  ["übe", "Ich"], ["UBE", "Ich"], ["Pruf", "Ich"], ["Pru\u0308fung", "Ich"], ["köln", "Ich"],
  ["deja", "C'est"], ["ÉTÉ", "C'est"], ["besancon", "C'est"],
  ["नमस्ते", "नमस्ते"], ["दुनि", "नमस्ते"],
  ["привет", "Привет"], ["ДЕЛ", "Привет"],
  ["날씨", "오늘"], ["שלום", "שלום"], ["שָׁלוֹם", "שלום"],
  ["🎉", "let us"], ["👨‍👩‍👧", "let us"], ["❤", "let us"], ["celebrate 🎉", "let us"], ["celeb every", "let us"], ["celebrate → every", "let us"], ["— ¿ celeb", "let us"],
  ["개요", "■"], ["재생", "■"], ["첫째", "■"], ["학교", "■"], ["교에", "■"], ["■개요", "■"],
  ["ABC", "ＡＢＣ"], ["ＡＢＣ", "ＡＢＣ"], ["ガイド", "ＡＢＣ"], ["ｶﾞｲ", "ＡＢＣ"], ["날씨".normalize("NFD"), "오늘"],
  ["2024", "©2024"], ["watch", "©2024"], ["⌚", "©2024"], ["guillemets", "©2024"], ["quoted", "©2024"], ["«guillemets»", "©2024"],
  ["User", "call"], ["user", "call"], ["name of", "call"], ["getusername", "call"], ["getUserName", "call"], ["Request", "call"], ["httpReq", "call"],
  ["ברכה", "״"], ["״ברכה״", "״"], ["550", "״"], ["৳550", "״"], ["770", "״"], ["スミス", "״"], ["ジョンスミス", "״"], ["ジョン・スミス", "״"], ["flat", "״"], ["G♯fl", "״"],
  ["snake_case_name", "the function"], ["search.rs", "the function"], ["C++ x²", "the function"],
];
const misses = ["→", "״", "৳", "฿", "・", "♯", "។", "՞", "— ¿", "大阪", "東タワー", "วิน", "нет такого", "xylophone", "celebrate xylophone", "elebrate", "학대", "serName", "개첫"];

for (const [query, beginning] of hits) {
  test(`"${query}" finds messages that begin with "${beginning}", also in own sessions and in those that a token names`, async () => {
    const at = long.findIndex((content) => content.startsWith(beginning));
    assert.deepEqual(await http.found(query), [said[at]]);
    assert.deepEqual(await found(query, ann), [anns[at]]);
    assert.deepEqual(await found(query, tokenOf("carl", shared("viewer", String(bobs[at])))), [bobs[at]]);
  });
}

for (const query of misses) {
  test(`"${query}" finds nothing`, async () => {
    assert.deepEqual(await http.found(query), []);
    assert.deepEqual(await found(query, ann), []);
  });
}

const hostile = [
  '"', '""', '"quoted', 'a"b', "*", "a*", "OR", "AND", "NOT", "celebrate OR", "NEAR(", "NEAR(a b, 2)", "-celebrate", "words:x",
  "words : x", "^celebrate", "(", ")", "a)", "{words} : x", "+", "a + b", "\\", "'", "';DROP TABLE sessions;--", "%", "_", "\0",
  "celebrate\0", "\u200b", "\u200d", "\ufeff", "→", "🏽", "\u0301", "a".repeat(200), "a ".repeat(100), '"'.repeat(200), "😀".repeat(200),
];
for (const query of hostile) {
  test(`the query ${JSON.stringify(query.slice(0, 24))} of ${query.length} characters is not read as syntax`, async () => {
    for (const session of (await http.search(query))["sessions"]) assert.equal(typeof session.snippet, "string");
  });
}

test("a session that is named by a token and that an older build wrote is found, and breaks no search", async () => {
  const id = freshId();
  await owned.d1(
    `INSERT INTO sessions (id, title, first_message_preview, message_count, total_tokens, permission_mode, owner, created_at, last_message_at, seq, epoch, words)
     VALUES (?1, 'wolverine', '', 0, 0, 'default', 'dave', 1, 1, 1, 1, 'wolverine')`,
    id,
  );
  const token = tokenOf("carl", shared("viewer", id, String(bobs[0])));
  assert.deepEqual(await found("東京", token), [bobs[0]]);
  await http.until(() => found("wolverine", token), (ids) => ids.includes(id), "the title");
});

test("a search by state that finds nothing says that older hits were left out", async () => {
  await fillD1(owned, 1100, 1);
  await owned.d1("UPDATE sessions SET state = 'waiting' WHERE id = 's3'");
  const everything = bearer(tokenOf("support", shared("viewer", "*")));
  const search = async (query: string): Promise<Json> => (await owned.fetch(`/sessions?state=waiting&q=${query}`, everything)).json();
  assert.deepEqual(await search("common"), { sessions: [], nextBefore: null, complete: false });
  assert.deepEqual(await search("xylophone"), { sessions: [], nextBefore: null, complete: true });
  const { sessions, complete } = await search("unique3");
  assert.deepEqual([sessions.map(({ id }: Json) => id), complete], [["s3"], true]);
});

test("a query of over 200 characters is refused, and one without a word finds nothing", async () => {
  assertRefused(await http.ask("GET", `/sessions?q=${"a".repeat(201)}`), 400, "INVALID_MESSAGE");
  assert.deepEqual(await http.search("?! --"), { sessions: [], nextBefore: null, complete: true });
});

test("an empty query lists all sessions", async () => {
  for (const query of ["", "%20%20"]) {
    const { sessions } = await http.get(`/sessions?q=${query}&limit=200`);
    const listed = sessions.map((session: Json) => session.id);
    assert.ok([...ids.values()].every((id) => listed.includes(id)));
    assert.equal(sessions[0].snippet, undefined);
  }
});

test("every hit is a Session with a snippet around the word, and each session appears once", async () => {
  const id = await say(`${"lorem ipsum dolor ".repeat(50)} the needleword stands here ${"sit amet ".repeat(50)}`);
  const { sessions } = await http.search("needleword");
  assert.equal(sessions.length, 1);
  const { snippet, ...session } = sessions[0];
  assert.deepEqual(session, await http.session(id));
  assert.match(snippet, /^….*the needleword stands here.*…$/);
  assert.match((await http.search("東京"))["sessions"][0].snippet, /東京タワー/);
  assert.equal((await http.search("User"))["sessions"][0].snippet, "call getUserName of XMLHttpRequest");
  assert.equal((await http.search("개요"))["sessions"][0].snippet, "■개요 ▶재생 1첫째 대학교에서");
});

test("the better match is listed first, and a title before a mention", async () => {
  const mention = await say("a word on gardening among very many other words on other matters that are of no use here");
  const topic = await say("gardening gardening gardening");
  const title = await say("nothing to see");
  await http.patch(title, { title: "gardening tips" });
  await http.until(() => http.found("gardening"), (found) => found.length === 3, "three hits");
  assert.equal((await http.found("gardening")).at(-1), mention);
  assert.deepEqual(await http.found("gardening tips"), [title]);
  await http.patch(topic, { title: "something else" });
  await http.until(() => http.found("something else"), (found) => found.length === 1, "the title");
  assert.equal((await http.found("gardening"))[0], title);
});

test("the pages of a search contain all hits, each once", async () => {
  const wanted = new Set<string>();
  for (let n = 0; n < 7; n += 1) wanted.add(await say(`pagination number ${n}`));
  const seen: string[] = [];
  for (let before: string | null = "0"; before !== null; ) {
    const page: Json = await http.search("paginat", { limit: "3", before });
    assert.ok(page.sessions.length <= 3);
    seen.push(...page.sessions.map((session: Json) => session.id));
    before = page.nextBefore;
  }
  assert.equal(seen.length, 7);
  assert.deepEqual(new Set(seen), wanted);
});

test("after a rename the old title is not found, and after a deletion nothing is", async () => {
  const id = await say("a body of platypus");
  await http.patch(id, { title: "wombat" });
  await http.until(() => http.found("wombat"), (found) => found.includes(id), "the first title");
  await http.patch(id, { title: "quokka" });
  await http.until(() => http.found("quokka"), (found) => found.includes(id), "the second title");
  assert.deepEqual(await http.found("wombat"), []);
  assert.deepEqual(await http.found("platypus"), [id]);
  await http.delete(id);
  for (const query of ["wombat", "quokka", "platypus"]) assert.deepEqual(await http.found(query), []);
  const [row] = await bobbin.d1("SELECT (SELECT count(*) FROM message_search WHERE message_search MATCH 'platypus') AS hits");
  assert.equal(row?.["hits"], 0);
});

test("answers are searched as well as questions, and words in separate blocks", async () => {
  const id = freshId();
  const client = await bobbin.join(id);
  client.say("r1", [
    { type: "text", text: "find the armadillo" },
    { type: "thinking", text: "unspoken" },
    { type: "text", text: "pangolin" },
  ]);
  await client.next(endOf("r1"));
  await indexedMessages(bobbin, id, 2);
  for (const query of ["armadillo", "pangolin"]) assert.deepEqual(await http.found(query), [id]);
  assert.deepEqual(await http.found("unspoken"), []);
  const [row] = await bobbin.d1("SELECT count(*) AS hits FROM message_search WHERE message_search MATCH 'armadillo*'");
  assert.equal(row?.["hits"], 2, "question and answer");
});

test("the longest message in a script without spaces reaches D1 and is found", async () => {
  const id = freshId();
  const client = await bobbin.join(id);
  client.say("r1", `鯨${"東".repeat(80_000)}`);
  await client.next(endOf("r1"));
  await indexedMessages(bobbin, id, 2);
  assert.deepEqual(await http.found("鯨東"), [id]);
});

test("a title with NUL and other control characters is kept unchanged and does no harm", async () => {
  const id = await say("control");
  const title = "a\0b\u0001c\u{10ffff}\u2028d";
  assert.equal((await http.patch(id, { title })).title, title);
  await http.until(() => http.get("/sessions"), ({ sessions }) => sessions.some((session: Json) => session.id === id && session.title === title), "the title in the list");
});

/** A session in D1 that begins with a message. */
async function say(content: string, to = bobbin, as: ConnectOptions = {}): Promise<string> {
  const id = freshId();
  const client = await to.join(id, as);
  client.say("r1", content);
  await client.next(endOf("r1"));
  await client.close();
  await indexedMessages(to, id, 2);
  return id;
}

async function found(query: string, token: string): Promise<string[]> {
  const response = await owned.fetch(`/sessions?${new URLSearchParams({ q: query })}`, bearer(token));
  const { sessions } = (await response.json()) as Json;
  for (const { snippet } of sessions) assert.match(snippet, /\S/);
  return sessions.map(({ id }: Json) => id);
}
