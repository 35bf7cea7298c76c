// Files on their way here: what came and was checked is kept in this browser, so that a download that broke goes on wherever it stood.

import { Refused } from "../cbor.js";
import { concat, hex } from "../hash.js";
import { CHUNK_BYTES } from "../lobby/share.js";
import { browserStore } from "../storage.js";

/** Chunks that are kept as one block, and blocks being written at once. */
const [BLOCK, WRITES_MAX] = [16, 4];
const KEPT_MS = 7 * 86_400_000;
const INDEX = "index";

const store = browserStore("dgns-parts");

/**
 * Fetches a file of a connection: `{blob, kept}`, `kept` = bytes that were here from an attempt before, and are right. `progress(there, size)` is told how
 * many bytes are there. Refuses with `no_room` what this browser has no room for.
 */
export async function fetchFile(connection, path, progress, signal) {
  const contents = await connection.open(path);
  const key = hex(contents.root);
  const wanted = await wantedOf(contents, key);
  const missing = wanted.reduce((sum, index) => sum + contents.lengthOf(index), 0);
  await remember(key, path);
  let there = contents.size - missing;
  progress(there, contents.size);
  const [writes, block] = [new Set(), []];
  const take = async (index, chunk) => {
    block.push(chunk);
    there += chunk.length;
    progress(there, contents.size);
    if ((index + 1) % BLOCK !== 0 && index + 1 !== contents.count) return;
    const write = put(`${key}/${Math.floor(index / BLOCK)}`, concat(...block.splice(0))).finally(() => writes.delete(write));
    write.catch(() => {}); // told below
    writes.add(write);
    if (writes.size >= WRITES_MAX) await Promise.race(writes);
  };
  await connection.chunks(contents, wanted, take, signal);
  await Promise.all(writes);
  const blob = await whole(contents, key);
  await forget(key);
  return { blob, kept: contents.size - missing };
}

/** The chunks of all blocks that are not here, or not what they should be. */
async function wantedOf(contents, key) {
  const wanted = [];
  for (let first = 0; first < contents.count; first += BLOCK) {
    const indexes = Array.from({ length: Math.min(BLOCK, contents.count - first) }, (_, i) => first + i);
    const bytes = await store.get(`${key}/${first / BLOCK}`);
    const has = (index) => contents.has(index, bytes.subarray((index - first) * CHUNK_BYTES, (index - first) * CHUNK_BYTES + contents.lengthOf(index)));
    const isWhole = bytes !== undefined && (await Promise.all(indexes.map(has))).every(Boolean);
    if (!isWhole) wanted.push(...indexes);
  }
  return wanted;
}

/** The file, of blocks that were written; the browser keeps it outside of the page's memory. */
async function whole(contents, key) {
  const blocks = [];
  for (let at = 0; at * BLOCK < contents.count; at++) blocks.push(new Blob([await store.get(`${key}/${at}`)]));
  const blob = new Blob(blocks, { type: "application/octet-stream" });
  if (blob.size !== contents.size) throw new Refused("no_room", "what was kept is gone");
  return blob;
}

async function put(key, bytes) {
  try {
    await store.set(key, bytes);
  } catch (error) {
    throw error.name === "QuotaExceededError" ? new Refused("no_room", "this browser has no room for more") : error;
  }
}

/** Notes which file a download is of, and drops what nobody went on with for a week. */
function remember(key, path) {
  return store.alone(INDEX, async () => {
    const known = (await store.get(INDEX)) ?? [];
    const old = known.filter(({ key: other, atMs }) => other !== key && Date.now() - atMs > KEPT_MS);
    for (const one of old) await drop(one.key);
    const rest = known.filter(({ key: other }) => other !== key && !old.some((one) => one.key === other));
    await store.set(INDEX, [...rest, { key, path, atMs: Date.now() }]);
  });
}

/** Drops what was kept of a file. */
function forget(key) {
  return store.alone(INDEX, async () => {
    await drop(key);
    await store.set(INDEX, ((await store.get(INDEX)) ?? []).filter(({ key: other }) => other !== key));
  });
}

async function drop(key) {
  for (let at = 0; (await store.get(`${key}/${at}`)) !== undefined; at++) await store.delete(`${key}/${at}`);
}
