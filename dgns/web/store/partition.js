// Partitions of a subscription database: what one user proves there, and what others send that user (PROTOCOL 25.20).

import { Reader } from "../cbor.js";
import { badField, bytesOf, notCanonical, nullOr, text, u64 } from "../fields.js";
import { equal } from "../hash.js";
import { derive } from "../kdf.js";
import { decodeControl } from "./control.js";
import { CONTROL, decodeEntry } from "./entry.js";
import { INVITATION_TEXT_BYTES_MAX, PARTITION_BODY_BYTES_MAX } from "./limits.js";

/** What the plaintext of an invitation is padded to a multiple of, and what its box adds. */
const [PADDED_TO, TAG_BYTES] = [1024, 16];
const did = bytesOf(20);

/** Reads all of some bytes, at most as many as a body of a partition has. */
function whole(bytes, read) {
  if (bytes.length > PARTITION_BODY_BYTES_MAX) badField("more than a partition takes");
  const reader = new Reader(bytes);
  const found = read(reader, reader.array());
  reader.end();
  return found;
}

/** Returns the salt of a partition: of the seed of the first generation of its user's key, and the database. */
export const partitionSalt = async (seed, db) => (await derive("partition", seed, db)).subarray(0, 16);

/** Reads the bytes of an entry; what is none is a bad field. */
function entryOf(bytes) {
  try {
    return decodeEntry(bytes);
  } catch {
    return badField("a grant");
  }
}

const PROOFS = {
  1: [2, (reader) => ({ type: "open", salt: bytesOf(16)(reader) })],
  2: [5, (reader) => ({ type: "member", db: did(reader), pos: u64(reader), epoch: u64(reader), grant: entryOf(reader.bstr()) })],
  3: [2, (reader) => ({ type: "left", db: did(reader) })],
};

/** Returns what a user says in their own partition. That its grant is one, and to whom, nobody has looked at. Refuses with `bad_cbor`, `not_canonical`, `bad_field`. */
export const decodeProof = (bytes) =>
  whole(bytes, (reader, length) => {
    const [items, read] = PROOFS[reader.uint()] ?? [];
    return items === length ? read(reader) : badField("no proof");
  });

/** Returns the group of a grant to `user`, and until when it is, Unix seconds; null if it is none. */
export function grantedTo({ grant }, user) {
  if (grant.header.class !== CONTROL) return null;
  let said = null;
  try {
    said = decodeControl(grant.body);
  } catch {
    return null;
  }
  return said.type === "grant" && equal(said.did, user) ? { gid: said.gid, untilS: said.untilS } : null;
}

/** Returns an invitation as it is kept, `{generation, enc, ct}`. */
export function decodeSealedInvitation(bytes) {
  const sealed = whole(bytes, (reader, length) => {
    if (length !== 3) badField(`${length} items`);
    return { generation: u64(reader), enc: bytesOf(32)(reader), ct: reader.bstr() };
  });
  const isPadded = sealed.ct.length % PADDED_TO === TAG_BYTES && sealed.ct.length >= PADDED_TO;
  return isPadded ? sealed : badField("a box of nothing that is padded");
}

/** Returns what an invitation says, `{db, text}`, of its plaintext with its zeros. */
export function readInvitation(plain) {
  const reader = new Reader(plain);
  const length = reader.array();
  if (length !== 2) badField(`${length} items`);
  const read = { db: nullOr(did)(reader), text: text(reader) };
  const end = reader.at;
  const isPadded = plain.length === Math.ceil(end / PADDED_TO) * PADDED_TO && plain.subarray(end).every((byte) => byte === 0);
  const fits = new TextEncoder().encode(read.text).length <= INVITATION_TEXT_BYTES_MAX;
  return isPadded && fits ? read : notCanonical("zeros, or too many words");
}
