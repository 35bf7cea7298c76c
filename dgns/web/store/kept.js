// What this browser remembers of logs of databases: the newest head that was proved of each.

import { hex } from "../hash.js";
import { decodeStoreHead } from "./head.js";

const keyOf = (client, log) => `log/${client.origin}/head/${hex(log)}`;

/** Returns the newest head that was proved of a log, or null. */
export async function keptHead(client, log) {
  const bytes = await client.store.get(keyOf(client, log));
  return bytes === undefined ? null : decodeStoreHead(bytes);
}

/** Keeps a head that was proved, unless a longer one is remembered. */
export function keepHead(client, head) {
  const key = keyOf(client, head.log);
  return client.store.alone(key, async () => {
    const before = await keptHead(client, head.log);
    if (before === null || before.size < head.size) await client.store.set(key, head.bytes);
  });
}
