// Runs every file of tests/vectors against dgns/web/verify.js: the same cases that the Rust packages run.
//
// A file without a runner here fails, so nothing is skipped in silence. `RUST_ONLY` says why a file has none.

import assert from "node:assert/strict";
import { readFileSync, readdirSync, existsSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { RUNNERS } from "./runners.mjs";

const FOLDER = fileURLToPath(new URL("../vectors", import.meta.url));
const RUST_ONLY = {
  "assertions.json": "pages ask authenticators; what they answer is judged by servers",
  "lobby_bus.json": "nodes of a lobby are servers",
  "pieces.json": "pages cannot ask DNS",
  "witness.json": "witnesses, and the logs that ask them, are servers; pages check what they signed (resolutions.json)",
  "tokens.json": "audiences of tokens are programs; a page only carries one",
  "grants.json": "servers judge chains of grants, and audiences that look at grants themselves",
  "fault_logs.json": "evidence of whole logs is checked by programs, which hold a replay of every entry",
};

for (const file of existsSync(FOLDER) ? readdirSync(FOLDER).sort() : []) {
  if (!file.endsWith(".json") || file in RUST_ONLY) continue;
  test(`vectors/${file}`, async (t) => {
    const run = RUNNERS[file];
    assert.ok(run, `${file} has no runner in tests/js/runners.mjs`);
    const vectors = JSON.parse(readFileSync(`${FOLDER}/${file}`, "utf8"));
    assert.ok(vectors.cases.length > 0, "a file without cases proves nothing");
    for (const [i, given] of vectors.cases.entries()) {
      await t.test(given.name ?? `case ${i}`, () => run(given, vectors));
    }
  });
}
