// Heads of logs: what a server promises when it acknowledges an append (PROTOCOL 25.4).

import { Reader, Refused } from "../cbor.js";
import { bytesOf, readMap, u64 } from "../fields.js";
import { isSignedBy, opened } from "../lobby/envelope.js";

const HEAD = { 1: ["log", bytesOf(32)], 2: ["size", u64], 3: ["root", bytesOf(32)], 4: ["timeMs", u64], 5: ["store", bytesOf(20)], 6: ["since", u64, true] };

/** What stands for all logs where a server says how far its databases are. */
export const STAND = new Uint8Array(32);

/** Returns `{log, size, root, timeMs, store, since?, bytes, signed}` of a head's envelope: nobody vouches for it before `verifyStoreHead`. */
export function decodeStoreHead(bytes) {
  const signed = opened(bytes, Infinity);
  const reader = new Reader(signed.payload);
  const head = readMap(reader, HEAD);
  reader.end();
  return { ...head, bytes, signed };
}

/** Checks that one of these keys signed a head for the log of `origin`; refuses with `bad_signature`. */
export async function verifyStoreHead({ signed }, origin, keys) {
  for (const key of keys) if (await isSignedBy(signed, "receipt", origin, key)) return;
  throw new Refused("bad_signature", "a head of a log that its server did not sign");
}
