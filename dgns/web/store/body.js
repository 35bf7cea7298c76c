// What a server sees of records: sealed, padded bytes, which open at their place alone (PROTOCOL 25.7).

import { Reader, Refused } from "../cbor.js";
import { badField, listOf, oneOf, tuple } from "../fields.js";
import { bigEndian, concat } from "../hash.js";
import { derive } from "../kdf.js";
import { open } from "../xchacha.js";
import { RECORDS_MAX, RECORD_BYTES_MAX } from "./limits.js";

const RAW = 0;
const record = (reader) => {
  const [, bytes] = tuple(oneOf(RAW), (one) => one.bstr())(reader);
  return bytes.length <= RECORD_BYTES_MAX ? bytes : badField("a record of more than 65,536 bytes");
};

/** Returns the records of an entry's body, byte arrays, opened by the key of its group in its epoch. Refuses with `not_opened`. */
export async function openRecords(key, { log, device, lsn, epoch }, body) {
  const bodyKey = await derive("body", key, log, device);
  const plaintext = open(bodyKey, body, concat(log, device, bigEndian(lsn, 8), bigEndian(epoch, 8)));
  try {
    const reader = new Reader(plaintext);
    const records = listOf(record, 0, RECORDS_MAX)(reader);
    if (plaintext.subarray(reader.at).some((byte) => byte !== 0)) badField("padding");
    return records;
  } catch (error) {
    throw error instanceof Refused ? new Refused("not_opened", `no records: ${error.message}`) : error;
  }
}
