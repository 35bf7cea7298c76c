// What a reader keeps of one log between lookups, so that the log cannot show another past: the bytes of PROTOCOL 14.1.

import { Reader, Refused, encode } from "./cbor.js";
import { bytesOf, listOf, oneOf, readMap, text } from "./fields.js";
import { ascii, compare, equal, hex, sha256, unhex } from "./hash.js";
import { decodeHead } from "./head.js";
import { decodeDidState } from "./state.js";

const NO_COSIGNERS = sha256(new Uint8Array(0));

const MEMORY = {
  0: ["format", oneOf(1)],
  1: ["origin", text],
  2: ["head", (reader) => reader.bstr(), true],
  3: ["states", listOf((reader) => reader.bstr(), 1), true],
  4: ["cosigners", bytesOf(32), true],
  5: ["whole", listOf(bytesOf(20), 1), true],
};

/** Returns the hash that says which witnesses were known when a head's cosignatures were verified; `vkeys` in the policy's order. */
export const cosignersHash = (vkeys) => sha256(ascii(vkeys.join("\n")));

/** Returns the memory of a log never met. */
export const emptyMemory = (origin) => ({ origin, size: null, root: null, head: null, cosigners: NO_COSIGNERS, dids: {} });

/** Returns the bytes of a memory, `{origin, head, cosigners, dids: {<hex DID>: {version, state, fromGenesis}}}`. */
export function encodeMemory({ origin, head, cosigners, dids }) {
  const known = Object.entries(dids).sort(([a], [b]) => (a < b ? -1 : 1));
  const whole = known.filter(([, { fromGenesis }]) => fromGenesis).map(([did]) => unhex(did));
  return encode(new Map([
    [0, 1],
    [1, origin],
    [2, head ?? undefined],
    [3, known.length > 0 ? known.map(([, { state }]) => state) : undefined],
    [4, head && !equal(cosigners, NO_COSIGNERS) ? cosigners : undefined],
    [5, whole.length > 0 ? whole : undefined],
  ]));
}

/** Returns the memory that bytes spell; refuses with `bad_memory` what was not written whole: then the log is met anew. */
export function decodeMemory(bytes) {
  try {
    const reader = new Reader(bytes);
    const fields = readMap(reader, MEMORY);
    reader.end();
    const whole = new Set((fields.whole ?? []).map(hex));
    const states = (fields.states ?? []).map((state) => [state, decodeDidState(state)]);
    const dids = states.map(([state, { did, version }]) => [hex(did), { version, state, fromGenesis: whole.has(hex(did)) }]);
    const { size, root } = fields.head === undefined ? { size: null, root: null } : decodeHead(fields.head);
    const { origin, head = null, cosigners = NO_COSIGNERS } = fields;
    const memory = { origin, size, root, head, cosigners, dids: Object.fromEntries(dids) };
    if (compare(encodeMemory(memory), bytes) !== 0) throw new Refused("not_canonical");
    return memory;
  } catch (error) {
    throw error instanceof Refused ? new Refused("bad_memory", error.message) : error;
  }
}
