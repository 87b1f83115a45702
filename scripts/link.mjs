// Joins the script and the wasm that wasm-bindgen made: gives their imports and exports short names, and removes those
// that the other one does not use.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseSync } from "vite";
import { Failure, bin, output, run } from "./lib.mjs";
import { sourceMapOf } from "./lines.mjs";
import { alikeInOrder } from "./order.mjs";
import { withExports, withFunctionNames, withoutSections } from "./wasm.mjs";

/** The features that the wasm may use beyond WebAssembly 1.0. The compiler uses them by default, and every engine since 2022 has them. */
export const FEATURES = ["bulk-memory", "multivalue", "nontrapping-float-to-int", "reference-types", "sign-ext"];
export const FEATURE_ARGS = ["--mvp-features", ...FEATURES.map((name) => `--enable-${name}`)];
// The stack is at the bottom of the memory and grows down, so no value is ever at an address below 1,024. Functions
// that are called once are not inlined: on its own, such a function has more in common with others and compresses
// better.
const ASSUMPTIONS = ["--low-memory-unused", "--one-caller-inline-max-function-size=0"];
// Loops and blocks are rebuilt from the control flow, so that similar flow gets the same form and compresses better.
const PASSES = ["-Oz", "--flatten", "--rereloop", "-Oz", "-Oz"];
// A second round finds some more. Functions are sorted by the prefix that `withOrder` adds to their names.
const ORDER_PASSES = ["-Oz", "--reorder-functions-by-name", "--minify-imports-and-exports-and-modules"];
const ORDER_DIGITS = 6;
// The minification's name for the one imported module.
const SHORT_MODULE = "a";
// Nobody frees an object by hand.
const UNUSED_ARGS = ["--define:Symbol.dispose=undefined"];
const ESBUILD_ARGS = ["--bundle", "--format=esm", "--external:cloudflare:*", "--external:*.wasm", "--log-level=warning", ...UNUSED_ARGS];

/**
 * From the files in `parts` to `index.js`, `index_bg.wasm` and the source map of the latter in `trace`, all three in
 * `build`.
 */
export async function link(parts, build) {
  const [script, pruned] = [join(parts, "script.js"), join(parts, "pruned.wasm")];
  const traceable = join(build, "trace", "index_bg.wasm");
  await run(bin("esbuild"), [join(parts, "index.js"), `--outfile=${script}`, "--minify-syntax", ...ESBUILD_ARGS]);
  const seam = seamOf(readFileSync(script, "utf8"));
  prune(join(parts, "bindings_bg.wasm"), pruned, seam);
  const names = await optimise(pruned, traceable);
  const renamedScript = renamed(readFileSync(script, "utf8"), seam, names);
  // Everything after the code is removed into another file, so that the addresses in the source map stay correct.
  const wasm = withoutSections(readFileSync(traceable), () => true);
  checkAgreement(renamedScript, wasm);
  writeFileSync(script, renamedScript);
  writeFileSync(join(build, "index_bg.wasm"), wasm);
  await run(bin("esbuild"), [script, `--outfile=${join(build, "index.js")}`, "--minify", ...ESBUILD_ARGS]);
}

/** Fails unless the script gives every import that the wasm asks for, and the wasm has every export that the script uses. */
export function checkAgreement(script, wasm) {
  const { moduleName, given, used } = seamOf(script);
  const module = new WebAssembly.Module(wasm);
  const [gives, has] = [given, WebAssembly.Module.exports(module)].map((list) => new Set(list.map(({ name }) => name)));
  const notGiven = WebAssembly.Module.imports(module).filter((wanted) => wanted.module !== moduleName || !gives.has(wanted.name));
  const notThere = used.filter(({ name }) => !has.has(name));
  const wrong = new Set([
    ...notGiven.map(({ module, name }) => `the wasm imports "${name}" of "${module}", which the script does not give`),
    ...notThere.map(({ name }) => `the script uses the export "${name}", which the wasm does not have`),
  ]);
  if (wrong.size > 0) throw new Failure(`Script and wasm do not fit together:\n  ${[...wrong].join("\n  ")}`);
}

/** Removes the wasm's own list of features, which would widen the list of those that are allowed. */
function prune(from, to, { used }) {
  const compiled = readFileSync(from);
  const pruned = withExports(withoutSections(compiled, (name) => name !== "name"), new Set(used.map(({ name }) => name)));
  writeFileSync(to, pruned);
  writeFileSync(`${to}.map`, sourceMapOf(compiled, pruned));
}

/** Returns the new names of imports and exports by the old ones. */
async function optimise(from, to) {
  mkdirSync(join(to, ".."), { recursive: true });
  const small = `${from}.small.wasm`;
  await wasmOpt(from, small, PASSES);
  writeFileSync(small, withOrder(readFileSync(small)));
  const { imports, exports } = JSON.parse(await wasmOpt(small, to, ORDER_PASSES));
  writeFileSync(to, withoutOrder(readFileSync(to)));
  return { imports: new Map(imports.map(([, ...names]) => names)), exports: new Map(exports) };
}

/** The last pass prints the renamed names. */
async function wasmOpt(from, to, passes) {
  const maps = ["--input-source-map", `${from}.map`, "--output-source-map", `${to}.map`];
  const printed = await output(bin("wasm-opt"), [from, "-o", to, "-g", ...ASSUMPTIONS, ...passes, ...FEATURE_ARGS, ...maps], { stdio: ["ignore", "pipe", "inherit"] });
  if (printed === undefined) throw new Failure(`wasm-opt failed: its words are above. The wasm may use ${FEATURES.join(", ")}, see scripts/link.mjs`);
  return printed;
}

function withOrder(wasm) {
  const places = new Map(alikeInOrder(wasm).map((index, place) => [index, place]));
  return withFunctionNames(wasm, (name, index) => `${String(places.get(index) ?? 0).padStart(ORDER_DIGITS, "0")}${name}`);
}

const withoutOrder = (wasm) => withFunctionNames(wasm, (name) => name.slice(ORDER_DIGITS));

function renamed(script, { moduleKey, given, used }, { imports, exports }) {
  const edits = [
    { ...moduleKey, text: SHORT_MODULE },
    ...given.map(({ name, key, end }) => (imports.has(name) ? { ...key, text: imports.get(name) } : { start: key.start, end, text: "" })),
    ...used.filter(({ name }) => exports.has(name)).map(({ name, place }) => ({ ...place, text: exports.get(name) })),
  ];
  let [text, at] = ["", 0];
  for (const edit of edits.sort((a, b) => a.start - b.start)) {
    // It lies within an import that was removed as a whole.
    if (edit.start < at) continue;
    text += script.slice(at, edit.start) + edit.text;
    at = edit.end;
  }
  return text + script.slice(at);
}

/** The places where a script of wasm-bindgen touches its wasm: the imports that it gives, and each use of an export. */
function seamOf(script) {
  const nodes = [...nodesIn(parseSync("script.js", script).program)];
  const assigned = nodes.find(({ type, right }) => type === "AssignmentExpression" && right.property?.name === "exports");
  const getImports = nodes.find(({ type, id }) => type === "FunctionDeclaration" && id.name === "__wbg_get_imports");
  const modules = propertiesOf(getImports?.body.body.at(-1).argument);
  if (!assigned || modules.length !== 1) throw unread("one object of imports and one variable of exports");
  const [{ key, value }] = modules;
  const uses = nodes.filter(({ type, object }) => type === "MemberExpression" && object.name === assigned.left.name);
  if (uses.some(({ computed }) => computed)) throw unread("exports that are named where they are used");
  return {
    moduleName: nameOf(key),
    moduleKey: placeOf(key),
    given: propertiesOf(value).map(({ key }, index, all) => ({ name: nameOf(key), key: placeOf(key), end: all[index + 1]?.start ?? value.end - 1 })),
    used: uses.map(({ property }) => ({ name: property.name, place: placeOf(property) })),
  };
}

function* nodesIn(value) {
  if (value === null || typeof value !== "object") return;
  if (typeof value.type === "string") yield value;
  for (const child of Object.values(value)) yield* nodesIn(child);
}

const propertiesOf = (object) => (object?.properties ?? []).filter(({ key }) => nameOf(key) !== "__proto__");
const nameOf = (key) => key.name ?? key.value;
const placeOf = ({ start, end }) => ({ start, end });
const unread = (expected) => new Failure(`The script of wasm-bindgen is not as scripts/link.mjs reads it: expected ${expected}`);
