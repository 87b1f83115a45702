// AI Elements over the client's transport, as docs/clients.md describes it, in a real browser. Their command line
// copies the components from a server that no package registry has, so the test takes them from a checkout of their
// repository, if AI_ELEMENTS names one.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { openTab, skip as noBrowser } from "./browser.ts";
import { blocksOf } from "./document.ts";
import { Served, install, makeProject, plainEnv, root } from "./project.ts";

const checkout = process.env["AI_ELEMENTS"];
const skip = checkout === undefined ? "AI_ELEMENTS names no checkout of AI Elements" : noBrowser;
const NAMES = ["code-block", "confirmation", "conversation", "message", "prompt-input", "shimmer", "tool"];
/** Dependencies of their components and of those of shadcn/ui. */
const PACKAGES = [
  "class-variance-authority@0.7.1", "clsx", "cmdk@1.1.1", "lucide-react@0.577.0", "motion@12", "nanoid@5", "radix-ui", "shiki@3.22.0", "streamdown@2",
  "tailwind-merge@3", "use-stick-to-bottom@1", "@radix-ui/react-use-controllable-state@1", "@streamdown/cjk@1", "@streamdown/code@1", "@streamdown/math@1", "@streamdown/mermaid@1",
];

let folder = "";
let served: Served;

before(async () => {
  if (skip) return;
  folder = makeProject("assistant-ui");
  const source = join(folder, "src");
  cpSync(join(checkout ?? "", "packages/shadcn-ui"), source, { recursive: true, filter: (path) => !/(package|tsconfig|components)\.json$/.test(path) });
  mkdirSync(join(source, "components/ai-elements"));
  for (const name of NAMES) cpSync(join(checkout ?? "", `packages/elements/src/${name}.tsx`), join(source, `components/ai-elements/${name}.tsx`));
  for (const kind of ["ai-elements", "ui"]) rewrite(join(source, "components", kind));
  writeFileSync(join(source, "page/Chat.tsx"), pageOf());
  const config = readFileSync(join(folder, "vite.config.ts"), "utf8");
  writeFileSync(join(folder, "vite.config.ts"), config.replace("plugins:", 'resolve: { alias: { "@": new URL("./src", import.meta.url).pathname } },\n  plugins:'));
  install(folder, ...PACKAGES);
  served = await Served.start(folder, "npm", "run", "dev");
  // The first visit waits until all packages are bundled.
  await (await openTab("about:blank")).goto(served.url.href, { timeout: 120_000 });
});

test("an answer streams, a call asks for approval in both tabs, and whichever allows it, both show its result", { skip }, async () => {
  const one = await openTab(new URL("#reminders", served.url));
  const write = async (text: string) => {
    await one.getByLabel("Message").fill(text);
    await one.getByRole("button", { name: "Submit" }).click();
  };
  await write("hello");
  await one.getByText("You said: hello").waitFor();
  const other = await openTab(one.url());
  await write("remind me to stretch");
  await other.getByText("May it be carried out?").waitFor();
  await other.getByText('"remind me to stretch"').waitFor();
  await other.getByRole("button", { name: "Allow" }).click();
  for (const page of [one, other]) {
    await page.getByText("I will.").waitFor();
    await page.getByText("Completed").waitFor();
  }
  await one.reload();
  await one.getByText("Completed").waitFor();
});

test("a denied call says so, and Stop ends an answer", { skip }, async () => {
  const page = await openTab(new URL("#denied", served.url));
  const write = (text: string) => page.getByLabel("Message").fill(text).then(() => page.getByRole("button", { name: "Submit" }).click());
  await write("remind me");
  await page.getByRole("button", { name: "Deny" }).click();
  await page.getByText("It was denied.").waitFor();
  await write(Array.from({ length: 300 }, (_, index) => `word${index}`).join(" "));
  await page.getByText(/You said: word0 .*word5/).waitFor();
  await page.getByRole("button", { name: "Stop" }).click();
  await page.getByRole("button", { name: "Submit" }).waitFor();
});

test("the page's types are right", { skip }, () => {
  const config = JSON.parse(readFileSync(join(folder, "tsconfig.json"), "utf8"));
  config.compilerOptions.paths = { "@/*": ["./src/*"] };
  config.include = ["src/page"];
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(config));
  const { stdout } = spawnSync("npx", ["tsc"], { cwd: folder, env: plainEnv, encoding: "utf8" });
  // The components' own type errors are not the page's.
  assert.deepEqual(stdout.split("\n").filter((line) => line.startsWith("src/page")), []);
});

/** The page as the document has it. */
function pageOf(): string {
  return blocksOf(join(root, "docs/clients.md")).find(({ section, language }) => section === "AI Elements" && language === "tsx")?.text ?? "";
}

/**
 * In their repository the components are packages of a workspace; their command line rewrites the imports for the
 * application.
 */
function rewrite(path: string): void {
  for (const name of readdirSync(path)) {
    const file = join(path, name);
    writeFileSync(file, readFileSync(file, "utf8").replaceAll("@repo/shadcn-ui/", "@/"));
  }
}
