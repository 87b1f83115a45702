import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const GZIPPED_BYTES_MAX = 320_000;

test(`the worker and its wasm are at most ${GZIPPED_BYTES_MAX / 1000} KB gzipped`, (t) => {
  const sizes = ["index.js", "index_bg.wasm"].map((name) => {
    const path = fileURLToPath(new URL(`../../build/${name}`, import.meta.url));
    return gzipSync(readFileSync(path), { level: 9 }).length;
  });
  const bytes = sizes.reduce((sum, size) => sum + size, 0);
  t.diagnostic(`${bytes} bytes`);
  assert.ok(bytes <= GZIPPED_BYTES_MAX, `${bytes} bytes`);
});
