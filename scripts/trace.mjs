// Puts the names and lines of Rust into the worker's log: `npm run --silent trace < log.txt`. The source map is the one
// in build/trace, or in the named folder.
import { existsSync, readFileSync } from "node:fs";
import { SourceMap } from "node:module";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { Failure, inRoot, runMain } from "./lib.mjs";
import { functionsOf } from "./wasm.mjs";

// As in `at wasm://wasm/00163f46:wasm-function[941]:0x50e43`.
const FRAME = /(?:wasm:\/\/[^\s()]*:)?wasm-function\[(\d+)\]:0x([0-9a-f]+)/g;
// The hash that says from which build of a crate a name is. Leading zeros are left out.
const CRATE_HASH = /\[[0-9a-f]{8,16}\]|::h[0-9a-f]{16}$/g;

await runMain(async () => {
  const frameOf = readMap(resolve(process.argv[2] ?? inRoot("build", "trace")));
  for await (const line of createInterface({ input: process.stdin })) {
    console.log(line.replace(FRAME, (whole, index, offset) => frameOf(Number(index), Number.parseInt(offset, 16)) ?? `${whole} (not in this map)`));
  }
});

function readMap(folder) {
  const file = join(folder, "index_bg.wasm");
  if (!existsSync(file)) throw new Failure(`There is no map in ${folder}: run \`npm run build\`, or name the folder that you kept when you deployed`);
  const functions = functionsOf(readFileSync(file));
  const map = new SourceMap(JSON.parse(readFileSync(`${file}.map`, "utf8")));
  return (index, offset) => {
    const found = functions.get(index);
    if (!found || offset < found.start || offset >= found.end) return undefined;
    const { originalSource, originalLine } = map.findEntry(0, offset);
    const name = found.name.replace(CRATE_HASH, "");
    return originalSource === undefined ? name : `${name} (${originalSource}:${originalLine + 1})`;
  };
}
