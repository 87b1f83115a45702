// Creates a project from a template: copies it, and replaces the template's name with the project's name.
import { copyFileSync, cpSync, existsSync, readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { basename, join, relative, resolve } from "node:path";
import { parseArgs } from "node:util";

/** The project name in the templates. */
const PLACEHOLDER = "my-chat";
const DEFAULT_TEMPLATE = "ai-sdk";

const TEMPLATES = {
  minimal: "an echo in ten lines",
  "workers-ai": "a model of Workers AI, without code",
  "ai-sdk": "tools by the AI SDK, one with an approval, and a page in React",
  react: "a page in React with a list of conversations; needs no key",
  "assistant-ui": "a page of assistant-ui's parts; needs no key",
};

/** A worker's name becomes a subdomain of `workers.dev`, so it must be a valid host name. */
const NAME = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const ANYWHERE_BUT = ["node_modules", "favicon"];

/** The content is here because npm leaves a file with this name out of packages. */
const IGNORED = ["node_modules/", "dist/", ".wrangler/", ".dev.vars", ".env"];

export const USAGE = `npm create bobbin@latest NAME -- --template TEMPLATE

Makes the folder NAME with a small project in it. Templates:

${Object.entries(TEMPLATES).map(([name, what]) => `  ${name.padEnd(13)} ${what}${name === DEFAULT_TEMPLATE ? " (the default)" : ""}`).join("\n")}`;

/** An error that the user can fix: its message is for the user. */
export class Refusal extends Error {}

/** Parses a command line to `{ help, target, template }`. */
export function readArguments(args) {
  const { values, positionals } = parsed(args);
  if (values.help) return { help: true };
  if (positionals.length === 0) throw new Refusal(`Name the project, as in \`${exampleOf("my-chat")}\`.\n\n${USAGE}`);
  if (positionals.length > 1) throw new Refusal(`One name, not ${positionals.length} (${positionals.join(", ")}). Between npm and --template stands a --: \`${exampleOf(positionals[0])}\``);
  return { help: false, target: positionals[0], template: values.template };
}

function parsed(args) {
  const options = { template: { type: "string", short: "t", default: DEFAULT_TEMPLATE }, help: { type: "boolean", short: "h", default: false } };
  try {
    return parseArgs({ args, options, allowPositionals: true });
  } catch (error) {
    throw new Refusal(`${error.message.split(". ")[0]}.\n\n${USAGE}`);
  }
}

const exampleOf = (name) => `npm create bobbin@latest ${name} -- --template ${DEFAULT_TEMPLATE}`;

/** Checks and returns the project's folder. `target` must not exist, or must be empty; its last part is the project's name. */
export function checkProject({ target, template, from = process.cwd() }) {
  if (!Object.hasOwn(TEMPLATES, template)) throw new Refusal(`There is no template "${template}": there are ${Object.keys(TEMPLATES).join(", ")}`);
  const folder = resolve(from, target);
  checkName(basename(folder));
  checkFolder(folder);
  return folder;
}

/** Creates the project and returns its folder. */
export function createProject({ target, template, templates, from = process.cwd() }) {
  const folder = checkProject({ target, template, from });
  // Skip `dist`, `node_modules` and local state, which a run of the template in a clone may have left.
  const isLeft = (path) => IGNORED.some((ignored) => basename(path) === ignored.replace("/", ""));
  cpSync(join(templates, template), folder, { recursive: true, filter: (path) => !isLeft(path) });
  renameIn(folder, basename(folder));
  writeFileSync(join(folder, ".gitignore"), `${IGNORED.join("\n")}\n`);
  const example = join(folder, ".dev.vars.example");
  if (existsSync(example)) copyFileSync(example, join(folder, ".dev.vars"));
  return folder;
}

function checkName(name) {
  if (NAME.test(name) && !ANYWHERE_BUT.includes(name)) return;
  const better = name.toLowerCase().replace(/[^a-z0-9]+/g, "-").slice(0, 63).replace(/^-+|-+$/g, "");
  const hint = NAME.test(better) && better !== name ? ` How about "${better}"?` : "";
  throw new Refusal(`"${name}" cannot be the name of a worker: it has 1 to 63 of the characters a to z, 0 to 9 and -, and neither begins nor ends with -.${hint}`);
}

function checkFolder(folder) {
  if (!existsSync(folder)) return;
  if (!statSync(folder).isDirectory()) throw new Refusal(`${folder} is a file: choose another name`);
  if (readdirSync(folder).some((name) => name !== ".git")) throw new Refusal(`${folder} is there already and is not empty: choose another name, or remove it`);
}

function renameIn(folder, name) {
  for (const file of readdirSync(folder, { recursive: true }).map((path) => join(folder, path)).filter((path) => statSync(path).isFile())) {
    const text = readFileSync(file, "utf8");
    if (text.includes(PLACEHOLDER)) writeFileSync(file, text.replaceAll(PLACEHOLDER, name));
  }
}

/** The next steps for the user, as text. */
export function nextSteps(folder, template, from = process.cwd()) {
  return `${folder} is made of the template ${template}. Now:\n\n${stepsIn(folder, template, from)}${noteOnNode(folder)}`;
}

function stepsIn(folder, template, from) {
  const path = [relative(from, folder), folder].sort((one, other) => one.length - other.length)[0];
  const key = template === "ai-sdk" ? "  # your model's key goes into .dev.vars" : "";
  const login = template === "workers-ai" ? "  npx wrangler login\n" : "";
  return `${path === "" ? "" : `  cd ${path}\n`}  npm install\n${login}  npm run dev${key}`;
}

/** A line for users whose Node is too old for the project. */
function noteOnNode(folder) {
  const { engines } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const major = Number.parseInt(engines.node.replace(/\D+/, ""), 10);
  const own = nodeOfUser();
  return Number.parseInt(own, 10) < major ? `\n\nThe project needs Node ${major} or later, and this is Node ${own}: install a newer one from https://nodejs.org first.` : "";
}

/** npm names its own Node, which is the user's: a script may run with another one that its packages contain. */
function nodeOfUser() {
  return /\bnode\/v([\d.]+)/.exec(process.env.npm_config_user_agent ?? "")?.[1] ?? process.versions.node;
}
