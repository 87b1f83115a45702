import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const ASSETS = fileURLToPath(new URL("../../web/dist/assets/", import.meta.url));
/**
 * What a first visit waits for. Colours for code come later; and, once the page stands, what files and the dialogs of a session need. 500 are
 * what the client has for others: for programs that nobody watches, for tokens that change as props, for pages that a server renders; 1,600 are for versions.
 */
const GZIPPED_BYTES_MAX = 124_000;

test(`the page's script is at most ${GZIPPED_BYTES_MAX / 1000} KB gzipped`, (t) => {
  const names = readdirSync(ASSETS).filter((name) => name.startsWith("index-") && name.endsWith(".js"));
  const bytes = names.reduce((sum, name) => sum + gzipSync(readFileSync(ASSETS + name), { level: 9 }).length, 0);
  t.diagnostic(`${bytes} bytes`);
  assert.ok(bytes > 0 && bytes <= GZIPPED_BYTES_MAX, `${bytes} bytes`);
});
