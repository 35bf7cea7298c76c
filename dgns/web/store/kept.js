// What this browser remembers of logs of databases: the newest head that was proved of each, and the first one that no anchor has yet.

import { hex } from "../hash.js";
import { decodeStoreHead } from "./head.js";

const keyOf = (client, log) => `log/${client.origin}/head/${hex(log)}`;
const owedKeyOf = (client, log) => `log/${client.origin}/owed/${hex(log)}`;

async function headAt(client, key) {
  const bytes = await client.store.get(key);
  return bytes === undefined ? null : decodeStoreHead(bytes);
}

/** Returns the newest head that was proved of a log, or null. */
export const keptHead = (client, log) => headAt(client, keyOf(client, log));

/** Keeps a head that was proved, unless a longer one is remembered. */
export function keepHead(client, head) {
  const key = keyOf(client, head.log);
  return client.store.alone(key, async () => {
    const before = await keptHead(client, head.log);
    if (before === null || before.size < head.size) await client.store.set(key, head.bytes);
  });
}

/**
 * Returns the heads of a log that go beyond the `anchored` entries that an anchor has: the first that was met, which is remembered until an anchor has it, and those of
 * `proved`, the oldest first.
 */
export function owedHeads(client, log, anchored, proved) {
  const key = owedKeyOf(client, log);
  return client.store.alone(key, async () => {
    const before = await headAt(client, key);
    const owed = [before, ...proved].filter((head) => head !== null && head.size > anchored);
    if (owed.length > 0 && owed[0] !== before) await client.store.set(key, owed[0].bytes);
    return owed;
  });
}
