// What a server sees of records: sealed, padded bytes, which open at their place alone, and chunks that their entry names (PROTOCOL 25.7).

import { Reader, Refused } from "../cbor.js";
import { badField, bytesOf, listOf, oneOf, tuple, uintWithin } from "../fields.js";
import { bigEndian, concat, equal } from "../hash.js";
import { derive } from "../kdf.js";
import { open } from "../xchacha.js";
import { PIECE_BYTES, RECORDS_MAX, RECORD_BYTES_MAX, REFS_MAX } from "./limits.js";

const [RAW, IN_CHUNKS] = [0, 2];
const inChunks = tuple(uintWithin(1, REFS_MAX * PIECE_BYTES), listOf(tuple(bytesOf(32), bytesOf(32)), 1, REFS_MAX));
/** Reads a record: its bytes, or `{bytes, pieces: [[id, key], ...]}`. */
export const record = (reader) => {
  if (reader.array() !== 2) badField("a record");
  if (oneOf(RAW, IN_CHUNKS)(reader) === RAW) {
    const bytes = reader.bstr();
    return bytes.length <= RECORD_BYTES_MAX ? bytes : badField("a record of more than 65,536 bytes");
  }
  const [bytes, pieces] = inChunks(reader);
  return Math.ceil(Number(bytes) / PIECE_BYTES) === pieces.length ? { bytes: Number(bytes), pieces } : badField("pieces");
};

/**
 * Returns the records of an entry's body, opened by the key of its group in its epoch: byte arrays, and of one in chunks `{bytes, pieces: [[id, key], ...]}`, which
 * its entry names, `refs`. Refuses with `not_opened`.
 */
export async function openRecords(key, { log, device, lsn, epoch, refs }, body) {
  const bodyKey = await derive("body", key, log, device);
  const plaintext = open(bodyKey, body, concat(log, device, bigEndian(lsn, 8), bigEndian(epoch, 8)));
  try {
    const reader = new Reader(plaintext);
    const records = listOf(record, 0, RECORDS_MAX)(reader);
    if (plaintext.subarray(reader.at).some((byte) => byte !== 0)) badField("padding");
    const ids = records.flatMap(({ pieces = [] }) => pieces.map(([id]) => id));
    if (ids.length > REFS_MAX || !ids.every((id) => refs.some((ref) => equal(ref, id)))) badField("chunks that the entry does not name");
    return records;
  } catch (error) {
    throw error instanceof Refused ? new Refused("not_opened", `no records: ${error.message}`) : error;
  }
}
