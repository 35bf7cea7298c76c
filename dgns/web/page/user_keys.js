// The user key in the hands of a device: opened, turned, and used for what is sealed to the person (PROTOCOL 21).

import { Reader, Refused } from "../cbor.js";
import { bytesOf, listOf, tuple, u64 } from "../fields.js";
import { compare, equal, hex, sha256 } from "../hash.js";
import { decodeDidState } from "../state.js";
import { checkBoxes, decodeBoxes, decodeFile, openBoxes, openFile, openPrevious, recipientsOf, sealBoxes, userKeyOf } from "../user_key.js";
import { certify, placeAfter } from "../write.js";
import { deviceOf } from "./me.js";
import { signedBytesOf } from "./signed.js";

const GENERATIONS_MAX = 1 << 16;
const STALE = 2;
const EXTRAS_MAX = 4;
const PASSKEY = 1;
const newSeed = () => crypto.getRandomValues(new Uint8Array(32));

/** Returns the seed of a state's user key out of its boxes, with the key pair of a device; refuses boxes the state does not name. */
export async function openSeed(boxes, { did, userKey }, device) {
  if (boxes === undefined || !equal(sha256(boxes), userKey.boxes)) throw new Refused("bad_boxes", "other boxes than the log names");
  return openBoxes(decodeBoxes(boxes), did, userKey.generation, userKey.key, device.kex);
}

/** Returns the boxes that a state names, from the server, which cannot change them unseen. */
export const boxesOf = (client, record, { userKey }) => signedBytesOf(client, record, `/v1/attachments/${hex(userKey.boxes)}`);

/** Returns the first generation, for an account that a genesis with it begins: its boxes, and what the genesis says of it. */
export async function firstKey(recipients) {
  const seed = newSeed();
  const boxes = await sealBoxes(null, 1, seed, null, recipients);
  return { boxes, userKey: { key: (await userKeyOf(seed)).key, boxes: sha256(boxes) } };
}

/**
 * Returns the next generation for an account: its boxes and the body of its certificate. `more` = keys that the state has not yet, `extras` = recipients
 * besides devices and words, `[{kind, kex}, ...]`.
 */
export async function turnedKey(client, record, found, own, more = [], extras = found.did.userKey?.extras ?? []) {
  const { did } = found;
  const old = did.userKey;
  const previous = old === undefined ? null : await openSeed(await boxesOf(client, record, did), did, own);
  const generation = (old?.generation ?? 0n) + 1n;
  const seed = newSeed();
  const recipients = [...new Map([...recipientsOf(did, extras.map(({ kex }) => kex)), ...more].map((key) => [hex(key), key])).values()];
  const boxes = await sealBoxes(did.did, generation, seed, previous, recipients);
  checkBoxes(decodeBoxes(boxes), generation, recipients);
  const body = { key: (await userKeyOf(seed)).key, boxes: sha256(boxes), generation, extras: extras.length > 0 ? extras : undefined };
  return { seed, boxes, body };
}

/**
 * Returns the account with a user key that fits its devices: made if there is none, turned if the state says that it is stale, as any
 * full device does unasked (PROTOCOL 21.2); sealed to `extras` besides, if these are others than before. Returns `found` itself where nothing is to be done or this device may not.
 * `opener` = whose key pair opens the boxes of now, if not this device's.
 */
export async function withUserKey(client, record, found, extras = found.did.userKey?.extras ?? [], opener = deviceOf(record)) {
  const own = found.did.devices.find(({ sign }) => equal(sign, record.device.sign.key));
  const had = (found.did.userKey?.extras ?? []).map(({ kex }) => hex(kex));
  const same = had.length === extras.length && extras.every(({ kex }) => had.includes(hex(kex)));
  const fits = found.did.userKey !== undefined && (found.did.flags & STALE) === 0 && same;
  if (fits || found.status !== "present" || own === undefined || own.level !== 2 || own.status !== 1) return found;
  const device = deviceOf(record);
  const { boxes, body } = await turnedKey(client, record, found, opener, [], extras);
  const certificate = await certify(placeAfter(found), "user_key", body, [device.sign], { origin: client.origin, nowMs: client.now() });
  return (await client.post([certificate], { did: record.did }, [boxes])).found;
}

/** Returns recipients besides devices and words with the key of a passkey's PRF among them, or null if there is no more room. */
export function extrasWith(extras, kex) {
  if (extras.some((extra) => equal(extra.kex, kex))) return extras;
  if (extras.length >= EXTRAS_MAX) return null;
  return [...extras, { kind: PASSKEY, kex }].sort((a, b) => compare(a.kex, b.kex));
}

/** Returns the hashes of all boxes that the server keeps for an account, by generation. */
async function generationsOf(client, record) {
  const reader = new Reader(await signedBytesOf(client, record, "/v1/attachments"));
  const rows = listOf(tuple(u64, bytesOf(32)), 0, GENERATIONS_MAX)(reader);
  reader.end();
  return new Map(rows);
}

/** Returns the seed of a generation of the user key of a record's person, whose proved state is `did`; refuses with `no_box` a generation that there is none of. */
export async function seedOf(client, record, did, wanted) {
  if (did.userKey === undefined || wanted < 1n || wanted > did.userKey.generation) throw new Refused("no_box", "a key that the log does not know");
  let { generation } = did.userKey;
  let boxes = await boxesOf(client, record, did);
  let seed = await openSeed(boxes, did, deviceOf(record));
  const listed = generation > wanted ? await generationsOf(client, record) : new Map();
  while (generation > wanted) {
    seed = await openPrevious(decodeBoxes(boxes), did.did, generation, seed);
    generation -= 1n;
    if (generation > wanted && !listed.has(generation)) throw new Refused("no_box", "the server keeps no boxes of a generation between");
    if (generation > wanted) boxes = await signedBytesOf(client, record, `/v1/attachments/${hex(listed.get(generation))}`);
  }
  return seed;
}

/**
 * Returns whose keys open what is sealed to the person of a record, as store/database.js takes it: `{did, seed(generation)}`. A generation is asked for once, unless
 * the server did not answer; one that is newer than what is known of the account has it looked up again.
 */
export function personOf(client, record, open = seedOf) {
  const seeds = new Map();
  let known = null;
  const seed = async (generation) => {
    if (known === null || (known.userKey?.generation ?? 0n) < generation) {
      const { did } = await client.lookup({ did: record.did });
      if (did === null) throw new Refused("absent", "the account of this browser");
      known = decodeDidState(did.bytes);
    }
    return open(client, record, known, generation);
  };
  const once = (generation) => {
    const asked = seed(generation);
    seeds.set(generation, asked);
    asked.catch((error) => error instanceof Refused || seeds.delete(generation));
    return asked;
  };
  return { did: record.did, seed: (generation) => seeds.get(generation) ?? once(generation) };
}

/** Returns the content of a file that was sealed to the person of a record, whichever generation it is of. */
export async function openSealed(client, record, found, bytes) {
  const file = decodeFile(bytes);
  const { did } = found;
  if (!equal(file.did, record.did)) throw new Refused("not_opened", "it is sealed to somebody else");
  if (did.userKey === undefined || file.generation > did.userKey.generation) throw new Refused("not_opened", "it is sealed to a key that the log does not know");
  return openFile(file, await seedOf(client, record, did, file.generation));
}
