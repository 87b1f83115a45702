// The effort of beginning: Bobbin's template `ai-sdk` and AIChatAgent, a chat with the same two tools, one after the
// other.
//   node bench/adopt.mjs [--rounds 3]     writes the table into docs/performance.md; with --dry it only prints it
import { spawn, spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { loadavg, tmpdir } from "node:os";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import { WebSocket } from "ws";
import { childEnv, inRoot, run, runMain, say } from "../scripts/lib.mjs";
import { contestants } from "./contestants.mjs";
import { SHARED, packages } from "./packages.mjs";

const DEADLINE_MS = 120_000;
const DOCUMENT = inRoot("docs", "performance.md");
const [BEGIN, END] = ["<!-- adopt: from here to the end mark, `node bench/adopt.mjs` writes -->", "<!-- adopt: end -->"];

const projects = {
  bobbin: { make: makeOfTemplate, contestant: contestants.bobbin },
  aichat: { make: (folder) => cpSync(inRoot("bench", "adopt", "aichat"), folder, { recursive: true }), contestant: contestants.aichat },
};

await runMain(async () => {
  const { rounds, dry } = parseArgs({ options: { rounds: { type: "string", default: "3" }, dry: { type: "boolean", default: false } } }).values;
  await run("node", ["scripts/steps.mjs", "build", "pack"]);
  const model = await startModel();
  const table = await measureAll(Number(rounds), model.url).finally(model.close);
  console.log(table);
  if (!dry) write(table);
});

async function measureAll(rounds, modelUrl) {
  const measured = { bobbin: [], aichat: [] };
  for (let round = 0; round < rounds; round += 1) {
    // The rounds alternate which one is measured first.
    const names = round % 2 === 0 ? Object.keys(projects) : Object.keys(projects).reverse();
    for (const name of names) measured[name].push(await measure(projects[name], modelUrl));
    say(`Round ${round + 1}: ${JSON.stringify(Object.fromEntries(names.map((name) => [name, measured[name].at(-1)])))}`);
  }
  return tableOf(measured);
}

/** Only the server: the page and its packages are the same work in both. */
function makeOfTemplate(folder) {
  cpSync(inRoot("templates", "ai-sdk"), folder, { recursive: true });
  const { dependencies } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const of = (names) => Object.fromEntries(names.map((name) => [name, dependencies[name]]));
  const tarball = `file:${inRoot("build", "packages", `bobbin-${dependencies.bobbin}.tgz`)}`;
  const { devDependencies } = JSON.parse(readFileSync(inRoot("bench", "adopt", "aichat", "package.json"), "utf8"));
  writeFileSync(join(folder, "package.json"), JSON.stringify({ name: "my-chat", private: true, type: "module", dependencies: { ...of(SHARED), bobbin: tarball }, devDependencies }));
  for (const name of ["vite.config.ts", "index.html", "src/page"]) rmSync(join(folder, name), { recursive: true });
}

async function measure({ make, contestant }, modelUrl) {
  const folder = mkdtempSync(join(tmpdir(), "bobbin-adopt-"));
  try {
    make(folder);
    const began = performance.now();
    const npm = ["install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--loglevel=error"];
    await run("npm", npm, { cwd: folder, stdio: ["ignore", "ignore", "inherit"] });
    const installed = performance.now();
    await firstAnswer(folder, contestant, modelUrl);
    const answered = performance.now();
    return { lines: lines(folder, "src/server.ts"), configuration: lines(folder, "wrangler.toml"), ...packages(folder), startS: (answered - installed) / 1000, allS: (answered - began) / 1000, ...(await gzipped(folder)) };
  } finally {
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

/**
 * Starts `wrangler dev`, sends a message as soon as it listens, and stops the clock at the first words of an answer.
 */
async function firstAnswer(folder, contestant, modelUrl) {
  const args = ["dev", "--port", "0", "--inspector-port", "0", "--var", `MODEL_URL:${modelUrl}`, "--var", "AUTH:none"];
  const child = spawn(join(folder, "node_modules", ".bin", "wrangler"), args, { cwd: folder, env: { ...childEnv, CI: "true" }, detached: true, stdio: ["ignore", "pipe", "pipe"] });
  try {
    const url = await within(listening(child), "wrangler dev listens");
    await within(ask(new URL(contestant.path("adopt"), url.replace("http", "ws")), contestant), "an answer");
  } finally {
    const closed = new Promise((resolve) => child.once("close", resolve));
    process.kill(-child.pid, "SIGKILL");
    await closed;
  }
}

function listening(child) {
  let output = "";
  return new Promise((resolve, reject) => {
    const read = (chunk) => {
      output += chunk;
      const [, url] = /Ready on (http:\/\/[\w.]+:\d+)/.exec(output) ?? [];
      if (url) resolve(url);
    };
    child.stdout.on("data", read);
    child.stderr.on("data", read);
    child.once("close", () => reject(new Error(`wrangler dev ended:\n${output}`)));
  });
}

function ask(url, { path: _path, say: sayOf, read }) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url);
    socket.once("error", reject);
    socket.once("open", () => socket.send(sayOf("r1", "hello")));
    socket.on("message", (data) => {
      const { text, failure, reply } = read(JSON.parse(String(data)));
      if (failure) reject(new Error(JSON.stringify(failure)));
      if (reply) socket.send(reply);
      if (!text) return;
      socket.terminate();
      resolve();
    });
  });
}

function within(promise, what) {
  let timer;
  const late = new Promise((_, reject) => (timer = setTimeout(() => reject(new Error(`not within ${DEADLINE_MS} ms: ${what}`)), DEADLINE_MS)));
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** A model that gives the same answer to every request. */
async function startModel() {
  const server = createServer((request, response) => {
    request.resume().on("end", () => {
      const chunk = (delta, finish_reason = null) => `data: ${JSON.stringify({ id: "1", object: "chat.completion.chunk", created: 0, model: "m", choices: [{ index: 0, delta, finish_reason }] })}\n\n`;
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.end(`${chunk({ content: "hello" })}${chunk({}, "stop")}data: [DONE]\n\n`);
    });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${server.address().port}/v1`, close: () => void server.close(server.closeAllConnections()) };
}

function lines(folder, file) {
  return readFileSync(join(folder, file), "utf8").split("\n").filter((line) => line.trim() !== "" && !/^\s*(\/\/|#)/.test(line)).length;
}

/**
 * As the template deploys: `vite build` bundles, and wrangler reports the size of the upload. The plugin is not part of
 * the figures above.
 */
async function gzipped(folder) {
  const { devDependencies } = JSON.parse(readFileSync(inRoot("templates", "ai-sdk", "package.json"), "utf8"));
  const plugin = ["vite", "@cloudflare/vite-plugin"].map((name) => `${name}@${devDependencies[name]}`);
  await run("npm", ["install", "--no-save", "--no-audit", "--no-fund", "--prefer-offline", "--loglevel=error", ...plugin], { cwd: folder, stdio: ["ignore", "ignore", "inherit"] });
  writeFileSync(join(folder, "vite.config.mjs"), 'import { cloudflare } from "@cloudflare/vite-plugin";\nexport default { build: { minify: true }, plugins: [cloudflare()] };\n');
  await run(join(folder, "node_modules", ".bin", "vite"), ["build"], { cwd: folder, stdio: ["ignore", "ignore", "inherit"] });
  const ofVite = dryRun(folder, ["--no-bundle"]);
  rmSync(join(folder, ".wrangler", "deploy"), { recursive: true, force: true });
  return { ofVite, ofWrangler: dryRun(folder, ["--minify"]) };
}

function dryRun(folder, args) {
  const { stdout } = spawnSync(join(folder, "node_modules", ".bin", "wrangler"), ["deploy", "--dry-run", ...args], { cwd: folder, env: { ...childEnv, CI: "true" }, encoding: "utf8" });
  return Number(/gzip: ([\d.]+) KiB/.exec(stdout)[1]);
}

function tableOf(measured) {
  const median = (name, what) => measured[name].map((each) => each[what]).sort((one, other) => one - other)[Math.floor(measured[name].length / 2)];
  const row = (title, show) => `| ${title} | ${show("bobbin")} | ${show("aichat")} |`;
  const fixed = (what, digits) => (name) => median(name, what).toFixed(digits);
  const ranged = (what) => (name) => {
    const all = measured[name].map((each) => each[what]);
    return `${median(name, what).toFixed(1)} (${Math.min(...all).toFixed(1)} to ${Math.max(...all).toFixed(1)})`;
  };
  return [
    "| | Bobbin | AIChatAgent |",
    "|---|---|---|",
    row("lines of the server", fixed("lines", 0)),
    row("lines of configuration", fixed("configuration", 0)),
    row(`packages installed beside ${SHARED.map((name) => `\`${name}\``).join(", ")} and what these need`, fixed("beside", 0)),
    row("all packages", fixed("packages", 0)),
    row("MB installed", fixed("mb", 1)),
    row("s from the end of the install to the first words of an answer", ranged("startS")),
    row("s from an empty folder to there, npm's cache filled", ranged("allS")),
    row("KiB of the worker, built by `vite build` and minified, gzipped", fixed("ofVite", 0)),
    row("the same, built by wrangler", fixed("ofWrangler", 0)),
  ].join("\n");
}

function write(table) {
  const text = readFileSync(DOCUMENT, "utf8");
  const [before, rest] = text.split(BEGIN);
  const versions = JSON.parse(readFileSync(inRoot("bench", "adopt", "aichat", "package.json"), "utf8")).dependencies;
  const said = `\n\nMeasured on ${new Date().toISOString().slice(0, 10)} with ${["ai", "agents", "@cloudflare/ai-chat"].map((name) => `\`${name}\` ${versions[name]}`).join(", ")}; the machine's load was ${loadavg()[0].toFixed(1)}, of other work too.\n\n${table}\n\n`;
  writeFileSync(DOCUMENT, `${before}${BEGIN}${said}${END}${rest.split(END)[1]}`);
  say(`Written into ${basename(DOCUMENT)}`);
}
