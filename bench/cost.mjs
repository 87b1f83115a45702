// The monthly cost of a product, by the counts in docs/operations.md and the platform's list prices: `node
// bench/cost.mjs --help`.
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

const HELP = `node bench/cost.mjs [--seconds 8] [--journal 490] [--search messages|titles|none] [--kept 365] [--turns 1000,100000,10000000]

The bill of a month, in dollars, of so many turns a day: of --seconds each, 10 to a session of 20 messages of 900 bytes, 2 connections to a session, sessions kept for --kept days.`;

/** In dollars; the amounts included in the paid plan of $5 stand beside them. Read on 2026-11-21. */
const PRICES = {
  requests: { each: 0.3e-6, included: 10e6 },
  objectRequests: { each: 0.15e-6, included: 1e6 },
  gigabyteSeconds: { each: 12.5e-6, included: 400e3 },
  objectRows: { each: 1e-6, included: 50e6 },
  objectGigabytes: { each: 0.2, included: 5 },
  databaseRows: { each: 1e-6, included: 50e6 },
  databaseGigabytes: { each: 0.75, included: 5 },
  logLines: { each: 0.6e-6, included: 20e6 },
};
const PLAN = 5;
const DAYS = 30;
const TURNS_OF_SESSION = 10;
const CONNECTIONS_OF_SESSION = 2;
const GUARD_SECONDS = 8;
const OBJECT_GB = 0.128;

/** Of a turn, and of a stored session of ten turns. */
function bobbin({ seconds, journal, search }) {
  const guards = Math.floor((seconds - 0.001) / GUARD_SECONDS);
  const deliveries = seconds > 10 ? 2 : 1;
  const ofMessages = { messages: 8, titles: 0, none: 0 }[search];
  return {
    rows: 3 + Math.max(1, Math.floor((seconds * 1000) / journal)) + 2 + guards,
    databaseRows: search === "none" ? 0 : 3 + ofMessages + (deliveries - 1) * 4,
    objectRequests: 0.05 + guards,
    logLines: seconds * 1000 > journal ? 2 : 1,
    connectionLines: 2,
    objectKilobytes: 45,
    databaseKilobytes: { messages: 91, titles: 2, none: 0 }[search],
  };
}

/** As measured at turns of 8 s; the rows grow with the text. */
function aiChatAgent({ seconds }) {
  return { rows: Math.round((73 * seconds) / 8), databaseRows: 0, objectRequests: 0.05, logLines: 0, connectionLines: 0, objectKilobytes: 291, databaseKilobytes: 0 };
}

/** The bill of a month. */
export function bill(of, { seconds, kept, turns }) {
  const [monthly, sessions] = [turns * DAYS, (turns * DAYS) / TURNS_OF_SESSION];
  const stored = ((turns / TURNS_OF_SESSION) * kept) / 1e6;
  const used = {
    requests: sessions * CONNECTIONS_OF_SESSION,
    objectRequests: monthly * of.objectRequests + sessions * CONNECTIONS_OF_SESSION,
    gigabyteSeconds: monthly * seconds * OBJECT_GB,
    objectRows: monthly * of.rows,
    objectGigabytes: stored * of.objectKilobytes,
    databaseRows: monthly * of.databaseRows,
    databaseGigabytes: stored * of.databaseKilobytes,
    logLines: monthly * of.logLines + sessions * CONNECTIONS_OF_SESSION * of.connectionLines,
  };
  const parts = Object.entries(PRICES).map(([name, { each, included }]) => Math.max(0, used[name] - included) * each);
  return PLAN + parts.reduce((sum, part) => sum + part, 0);
}

const CHOICES = [
  ["defaults", {}],
  ["`JOURNAL_MS=2000`", { journal: 2_000 }],
  ["`JOURNAL_MS=5000`", { journal: 5_000 }],
  ["`SEARCH=titles`", { search: "titles" }],
  ["without `DB`", { search: "none" }],
  ["`RETENTION_DAYS=90`", { kept: 90 }],
  ["`JOURNAL_MS=2000`, `SEARCH=titles`, `RETENTION_DAYS=90`", { journal: 2_000, search: "titles", kept: 90 }],
];

/** The table in docs/operations.md. */
export function table({ seconds = 8, journal = 490, search = "messages", kept = 365, turns = [1_000, 100_000, 10_000_000] } = {}) {
  const dollars = (amount) => `$${Math.round(amount).toLocaleString("en-US")}`;
  const row = (name, of, given) => `| ${[name, ...turns.map((count) => dollars(bill(of, { ...given, turns: count })))].join(" | ")} |`;
  const given = { seconds, journal, search, kept };
  const choices = CHOICES.map(([name, choice]) => ({ name, given: { ...given, ...choice } }));
  return [
    `| turns a day | ${turns.map((count) => count.toLocaleString("en-US")).join(" | ")} |`,
    `|---|${turns.map(() => "---").join("|")}|`,
    ...choices.map(({ name, given }) => row(name, bobbin(given), given)),
    row("AIChatAgent", aiChatAgent(given), given),
    row("AIChatAgent, if it deleted after 90 days", aiChatAgent(given), { ...given, kept: 90 }),
  ].join("\n");
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const text = { type: "string" };
  const { values } = parseArgs({ options: { seconds: text, journal: text, search: text, kept: text, turns: text, help: { type: "boolean" } } });
  const { help, search, turns, ...numbers } = values;
  const given = Object.fromEntries(Object.entries(numbers).map(([name, value]) => [name, Number(value)]));
  console.log(help ? HELP : table({ ...given, ...(search && { search }), ...(turns && { turns: turns.split(",").map(Number) }) }));
}
