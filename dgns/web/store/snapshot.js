// Snapshots: the records of a log up to a place, in the chunks that its manifest names (PROTOCOL 25.16).

import { Reader, Refused } from "../cbor.js";
import { badField, bytesOf, listOf, nullOr, tuple, u64, uintWithin } from "../fields.js";
import { bigEndian, concat, equal } from "../hash.js";
import { derive } from "../kdf.js";
import { open } from "../xchacha.js";
import { record } from "./body.js";
import { PARTS_MAX, PIECE_BYTES, RECORDS_MAX } from "./limits.js";

const SEALED_BYTES = 40;
const U64_MAX = 2n ** 64n - 1n;
const part = (reader) => {
  const [at, id, key, records, bytes] = tuple(nullOr(u64), bytesOf(32), bytesOf(32), uintWithin(1, U64_MAX), uintWithin(1, PIECE_BYTES))(reader);
  return { at, id, key, records, bytes: Number(bytes) };
};
const manifest = tuple(u64, bytesOf(32), nullOr(u64), listOf(part, 0, PARTS_MAX));
const row = (reader) => {
  const [pos, epoch, author, unixMs, records] = tuple(u64, u64, bytesOf(20), u64, listOf(record, 1, RECORDS_MAX))(reader);
  return { pos, epoch, author, unixMs, records };
};

/** Runs what reads a plaintext; whatever it refuses does not open. */
function opened(read) {
  try {
    return read();
  } catch (error) {
    throw error instanceof Refused ? new Refused("not_opened", `no snapshot: ${error.message}`) : error;
  }
}

/** How many bytes a plaintext is padded to (25.7). */
function padded(bytes) {
  let power = 256;
  while (power < bytes) power *= 2;
  if (power <= 65_536) return power;
  const [half, step] = [power / 2, power / 8];
  return half + Math.ceil((bytes - half) / step) * step;
}

const isZeros = (bytes) => bytes.every((byte) => byte === 0);

/**
 * Returns what a snapshot says, `{size, root, before, parts: [{at, id, key, records, bytes}, ...]}`, numbers but `bytes` as BigInt: the body of an entry, opened by the key of its group in its
 * epoch. A chunk of its own is one that its entry names, `refs`. Refuses with `not_opened`.
 */
export async function openManifest(key, { log, device, lsn, epoch, refs }, body) {
  const plaintext = open(await derive("snapshot", key, log, device), body, concat(log, device, bigEndian(lsn, 8), bigEndian(epoch, 8)));
  return opened(() => {
    const reader = new Reader(plaintext);
    const [size, root, before, parts] = manifest(reader);
    if (!isZeros(plaintext.subarray(reader.at))) badField("padding");
    const isNamed = ({ at, id }) => at !== null || refs.some((ref) => equal(ref, id));
    return parts.every(isNamed) ? { size, root, before, parts } : badField("a chunk that the entry does not name");
  });
}

/** Returns the rows of a part, `[{pos, epoch, author, unixMs, records}, ...]`, from its chunk. Refuses with `not_opened`. */
export function openPart({ key, records, bytes }, chunk) {
  return opened(() => {
    if (chunk.length !== padded(bytes + SEALED_BYTES)) badField("length of a chunk");
    const plaintext = open(key, chunk, new Uint8Array(0));
    if (!isZeros(plaintext.subarray(bytes))) badField("padding");
    const reader = new Reader(plaintext.subarray(0, bytes));
    const rows = listOf(row)(reader);
    reader.end();
    const isInOrder = rows.every(({ pos }, i) => i === 0 || pos > rows[i - 1].pos);
    const count = rows.reduce((sum, row) => sum + BigInt(row.records.length), 0n);
    return isInOrder && count === BigInt(records) ? rows : badField("order or number of records");
  });
}
