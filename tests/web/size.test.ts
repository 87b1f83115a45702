import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const ASSETS = fileURLToPath(new URL("../../web/dist/assets/", import.meta.url));
/** The scripts that a first visit waits for: those that the page's document names. */
const FIRST_BYTES_MAX = 109_000;
/**
 * The scripts that load after the page is shown: Markdown, and those for files, dialogs and the search within a
 * session.
 */
const LATER_BYTES_MAX = 52_000;
/** The scripts that load with the first code, the first formula, or for a person with another language. */
const ON_DEMAND: Record<string, number> = { highlight_worker: 37_500, math_worker: 60_500, de: 5_500 };

const document = readFileSync(new URL("../index.html", `file://${ASSETS}`), "utf8");
const scripts = readdirSync(ASSETS).filter((name) => name.endsWith(".js"));
const first = scripts.filter((name) => document.includes(name));
const onDemand = (name: string) => name.replace(/-[\w-]{8}\.js$/, "");

test(`the page's first scripts are at most ${FIRST_BYTES_MAX / 1000} KB gzipped`, (t) => {
  const bytes = bytesOf(first);
  t.diagnostic(`${bytes} bytes`);
  assert.ok(bytes > 0 && bytes <= FIRST_BYTES_MAX, `${bytes} bytes`);
});

test(`the scripts loaded later are at most ${LATER_BYTES_MAX / 1000} KB gzipped, and those loaded on demand no larger than their known sizes`, (t) => {
  const later = scripts.filter((name) => !first.includes(name) && !(onDemand(name) in ON_DEMAND));
  const bytes = bytesOf(later);
  t.diagnostic(`${bytes} bytes`);
  assert.ok(bytes > 0 && bytes <= LATER_BYTES_MAX, `${bytes} bytes`);
  for (const [name, max] of Object.entries(ON_DEMAND)) {
    const found = bytesOf(scripts.filter((script) => onDemand(script) === name));
    assert.ok(found > 0 && found <= max, `${name}: ${found} bytes`);
  }
});

const bytesOf = (names: readonly string[]): number => names.reduce((sum, name) => sum + gzipSync(readFileSync(ASSETS + name), { level: 9 }).length, 0);
