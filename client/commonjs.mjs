// After `tsc`: what `require("bobbin-client")` finds. Its code is the ES module itself, so that a program which both
// imports and requires it has one `bobbin-client`; its types are written once more, as those of CommonJS.
import { readFileSync, readdirSync, writeFileSync } from "node:fs";

const dist = new URL("dist/", import.meta.url);
const RELATIVE = /(["'])(\.\/[\w./-]+)\.[jt]s\1/g;

for (const name of readdirSync(dist).filter((name) => name.endsWith(".d.ts"))) {
  const types = readFileSync(new URL(name, dist), "utf8");
  // The compiler leaves the endings of the sources in them.
  writeFileSync(new URL(name, dist), types.replace(RELATIVE, "$1$2.js$1"));
  writeFileSync(new URL(name.replace(/\.d\.ts$/, ".d.cts"), dist), types.replace(RELATIVE, "$1$2.cjs$1"));
}

for (const [name, module] of [["index", "bobbin-client"], ["react", "bobbin-client/react"], ["ai_sdk", "bobbin-client/ai-sdk"]]) {
  const words = `${module} is an ES module, which this version of Node cannot require. Use Node 20.19, 22.12 or later, or: await import("${module}")`;
  const code = `try {
  module.exports = require("./${name}.js");
} catch (cause) {
  if (cause.code !== "ERR_REQUIRE_ESM") throw cause;
  throw new Error('${words}', { cause });
}
`;
  writeFileSync(new URL(`${name}.cjs`, dist), name === "react" ? `"use client";\n${code}` : code);
}
