// What a push says: numbers, and nothing that could be shown as it is (PROTOCOL 23.14). A hint: whoever is woken looks.

import { Reader, Refused } from "./cbor.js";

const [PADDED_BYTES, LOG_BYTES] = [128, 16];
const NAME = /^[a-z_]{1,32}$/;

/** Returns `{log, size}` of a log that grew, `{event, index}` of what happened to an account (`index` null: nothing in the log), or null for anything else. */
export function readPush(bytes) {
  if (bytes.length > PADDED_BYTES) return null;
  try {
    const [reader, said] = [new Reader(bytes), new Map()];
    let last = -1n;
    for (let left = reader.map(); left > 0; left--) {
      last = reader.keyAfter(last);
      said.set(last, last === 1n ? reader.bstr() : last === 3n ? reader.tstr() : reader.uint());
    }
    reader.end();
    const [log, size, event, index] = [1n, 2n, 3n, 4n].map((key) => said.get(key));
    if (event !== undefined) return log === undefined && size === undefined && NAME.test(event) ? { event, index: index ?? null } : null;
    return log?.length === LOG_BYTES && size !== undefined && index === undefined ? { log, size } : null;
  } catch (error) {
    if (error instanceof Refused) return null;
    throw error;
  }
}
