// Entries: what a device appends to a log of a database (PROTOCOL 25.3). One signature covers the header, the header the body by its hash, and `prev`
// everything that the device appended to this log before.

import { blake3 } from "../blake3.js";
import { Reader, Refused } from "../cbor.js";
import { signedBytes } from "../certificate.js";
import { verifyStrict } from "../ed25519.js";
import { badField, bytesOf, isAscending, listOf, notCanonical, oneOf, readMap, tuple, u64, uintWithin } from "../fields.js";
import { ascii, bigEndian, compare, domainHash, equal } from "../hash.js";
import { leafHash } from "../tree.js";
import { BODY_BYTES_MAX, HEADER_BYTES_MAX, REFS_MAX } from "./limits.js";

/** What an entry is, and what a log is for. */
export const [DATA, CONTROL, SNAPSHOT, PLAIN] = [0, 1, 4, 5];
export const [CONTROL_LOG, SHARED_LOG, PROOFS_LOG, INVITATIONS_LOG] = [0, 1, 4, 5];

/** Returns the 32 bytes that name a log: `H(db-log; db 20, gid u32, kind u8, label)`. */
export const logIdOf = (db, gid, kind, label) => domainHash("db-log", db, bigEndian(gid, 4), Uint8Array.of(kind), ascii(label));

/** Returns what names the control log of a database. */
export const controlLogOf = (db) => logIdOf(db, 0, CONTROL_LOG, "");

const HEADER = {
  1: ["class", oneOf(DATA, CONTROL, SNAPSHOT, PLAIN)],
  2: ["log", bytesOf(32)],
  3: ["author", bytesOf(20)],
  4: ["device", bytesOf(32)],
  5: ["lsn", u64],
  6: ["prev", bytesOf(32), true],
  7: ["epoch", u64, true],
  9: ["refs", listOf(bytesOf(32), 0, REFS_MAX), true],
  11: ["bodyBytes", uintWithin(0, BODY_BYTES_MAX)],
  12: ["body", bytesOf(32)],
  13: ["expect", tuple(u64, bytesOf(32)), true],
  14: ["unixMs", u64],
};

/** Returns the header that bytes spell, numbers as BigInt; `epoch` is 0 in control entries and in those of a partition. Refuses with `bad_cbor`, `not_canonical`, `bad_field`, `too_large`. */
export function decodeHeader(bytes) {
  if (bytes.length > HEADER_BYTES_MAX) throw new Refused("too_large", "a header has at most 4,096 bytes");
  const reader = new Reader(bytes);
  const header = readMap(reader, HEADER);
  reader.end();
  const isSpelledOut = header.epoch === 0n || header.refs?.length === 0;
  header.epoch ??= 0n;
  header.refs ??= [];
  if ((header.lsn === 0n) !== (header.prev === undefined)) badField("lsn and prev");
  const isPlain = [CONTROL, PLAIN].includes(header.class);
  if (isPlain !== (header.epoch === 0n)) badField("class and epoch");
  if (!isAscending(header.refs, compare) || (isPlain && header.refs.length > 0)) badField("chunks");
  if (header.class === PLAIN && header.expect !== undefined) badField("a head that must be there");
  return isSpelledOut ? notCanonical("an epoch of 0, or no chunks, spelled out") : header;
}

const parts = tuple((reader) => reader.bstr(), bytesOf(64), (reader) => reader.bstr());

/** Reads an entry, `{header, headerBytes, signature, body, leaf}`; its body is the one that its header names. Refuses as `decodeHeader`, and with `hash_mismatch`. */
export function readEntry(reader) {
  const [headerBytes, signature, body] = parts(reader);
  const header = decodeHeader(headerBytes);
  const isIts = header.bodyBytes === BigInt(body.length) && equal(header.body, blake3(body));
  if (!isIts) throw new Refused("hash_mismatch", "the body is not the one that the header names");
  return { header, headerBytes, signature, body, leaf: leafHash(headerBytes) };
}

/** Returns the entry that bytes spell. */
export function decodeEntry(bytes) {
  const reader = new Reader(bytes);
  const entry = readEntry(reader);
  reader.end();
  return entry;
}

/** Checks the signature by the key that the header names, for the database whose home is `home`: whether that is a device of the author is asked elsewhere. Refuses with `bad_signature`. */
export async function verifyEntry({ header, headerBytes, signature }, home) {
  const holds = await verifyStrict(header.device, signedBytes("entry", home, headerBytes), signature);
  if (!holds) throw new Refused("bad_signature", "the signature of the entry does not hold");
}
