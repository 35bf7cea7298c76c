// The user key: what others share with a person is sealed to it, and every device of the person opens it (PROTOCOL 21).

import { Reader, Refused, encode } from "./cbor.js";
import { bytesOf, isAscending, listOf, notCanonical, nullOr, oneOf, readMap, tuple, u64 } from "./fields.js";
import { ascii, bigEndian, compare, concat, equal, hex, sha256 } from "./hash.js";
import { derive } from "./kdf.js";
import { kexOf } from "./keys.js";
import { recoveryBoxOf } from "./rules/recovery.js";
import { open, seal } from "./sealed.js";

const BOXES_BYTES_MAX = 4000;
const ROWS_MAX = 38;
const SUSPENDED = 3;
const SERVICE = 3;
const NONE = new Uint8Array(0);

const infoOf = (purpose, did, generation) => concat(ascii(`dgns/${purpose}/v1\0`), did, bigEndian(generation, 8));

/** The boxes of generation 1 name no DID: a genesis may bring them, and its DID is made of their hash. */
const boxInfo = (did, generation) => infoOf("box", BigInt(generation) === 1n ? new Uint8Array(20) : did, generation);

/** Returns the key pair of a generation's seed, `{key, handle}`. */
export const userKeyOf = async (seed) => kexOf(await derive("user-key", seed));

/** Returns what a recipient is called: the first 8 bytes of SHA-256 over its X25519 key. */
export const recipientOf = (kex) => sha256(kex).subarray(0, 8);

/** Returns the keys a user key of this DID is sealed to, as its state says; `extras` = further ones. */
export function recipientsOf(state, extras = (state.userKey?.extras ?? []).map(({ kex }) => kex)) {
  const reading = state.devices.filter(({ status, level }) => status !== SUSPENDED && level !== SERVICE).map(({ kex }) => kex);
  return [...new Map([...reading, state.wordsBox, ...recoveryBoxOf(state), ...extras].map((key) => [hex(key), key])).values()];
}

const box = tuple(bytesOf(32), bytesOf(48));
const row = tuple(bytesOf(8), bytesOf(32), bytesOf(48));
const BOXES = tuple(listOf(row, 0, ROWS_MAX), nullOr(box));

/** Returns the bytes of boxes of `seed`, one for each recipient, and the seed before under the new key. */
export async function sealBoxes(did, generation, seed, previous, recipients) {
  const info = boxInfo(did, generation);
  const rows = await Promise.all(recipients.map(async (kex) => {
    const { enc, ct } = await seal(kex, info, recipientOf(kex), seed);
    return [recipientOf(kex), enc, ct];
  }));
  rows.sort(([a], [b]) => compare(a, b));
  const older = previous === null ? null : await seal((await userKeyOf(seed)).key, info, NONE, previous);
  return encode([rows, older && [older.enc, older.ct]]);
}

/** Returns `{rows, previous}` of boxes; refuses with `bad_boxes`. */
export function decodeBoxes(bytes) {
  try {
    if (bytes.length > BOXES_BYTES_MAX) throw new Refused("bad_boxes", "too large");
    const reader = new Reader(bytes);
    const [rows, previous] = BOXES(reader);
    reader.end();
    if (!isAscending(rows, ([a], [b]) => compare(a, b))) notCanonical("order of recipients");
    return { rows, previous };
  } catch (error) {
    throw error instanceof Refused ? new Refused("bad_boxes", error.message) : error;
  }
}

/** Refuses boxes that leave a recipient out, hold one for a stranger, or lack the seed before: `bad_boxes`. */
export function checkBoxes({ rows, previous }, generation, recipients) {
  const [wanted, present] = [recipients.map((kex) => hex(recipientOf(kex))), rows.map(([recipient]) => hex(recipient))];
  const fits = wanted.every((one) => present.includes(one)) && present.every((one) => wanted.includes(one));
  if (!fits || (previous !== null) !== (BigInt(generation) > 1n)) throw new Refused("bad_boxes", "recipients, or the seed before");
}

/** Returns the seed in the box of `{key, handle}`; it must be that of `userKey`, as the state has it. Refuses with `no_box`, `wrong_seed`. */
export async function openBoxes({ rows }, did, generation, userKey, own) {
  const found = rows.find(([recipient]) => equal(recipient, recipientOf(own.key)));
  if (found === undefined) throw new Refused("no_box", "another device has to turn the user key");
  const [recipient, enc, ct] = found;
  const seed = await open(own, boxInfo(did, generation), recipient, { enc, ct });
  if (!equal((await userKeyOf(seed)).key, userKey)) throw new Refused("wrong_seed", "the box holds another key than the log says");
  return seed;
}

/** Returns the seed before `seed`, which is this generation's; null in the first. */
export async function openPrevious({ previous }, did, generation, seed) {
  if (previous === null) return null;
  const [enc, ct] = previous;
  return open(await userKeyOf(seed), boxInfo(did, generation), NONE, { enc, ct });
}

const FILE = { 0: ["format", oneOf(1)], 1: ["did", bytesOf(20)], 2: ["generation", u64], 3: ["enc", bytesOf(32)], 4: ["ct", (reader) => reader.bstr()] };

/** Returns the bytes of a file that only this person opens; `userKey` as the proved state has it. */
export async function sealFile(did, generation, userKey, content) {
  const { enc, ct } = await seal(userKey, infoOf("sealed-file", did, generation), NONE, content);
  return encode(new Map([[0, 1], [1, did], [2, generation], [3, enc], [4, ct]]));
}

/** Returns `{did, generation, enc, ct}` of a sealed file. */
export function decodeFile(bytes) {
  const reader = new Reader(bytes);
  const file = readMap(reader, FILE);
  reader.end();
  return file;
}

/** Returns the content of a sealed file; `seed` is that of its generation. */
export const openFile = async ({ did, generation, enc, ct }, seed) => open(await userKeyOf(seed), infoOf("sealed-file", did, generation), NONE, { enc, ct });
