// Control entries: what is said about a database itself, in plaintext (PROTOCOL 25.6).

import { Reader } from "../cbor.js";
import { originText } from "../entry.js";
import { badField, bytesOf, isAscending, listOf, notCanonical, nullOr, oneOf, text, u64, uintWithin } from "../fields.js";
import { ascii, bigEndian, compare, concat } from "../hash.js";
import { SHARED_LOG } from "./entry.js";
import { LABEL_BYTES_MAX, LOGS_MAX, MEMBERS_MAX, PLACE_URL_BYTES_MAX } from "./limits.js";

const did = bytesOf(20);
const gid = (reader) => Number(uintWithin(1, 0xffffffff)(reader));
/** Returns a reader of an array of exactly these items, as object; a row is spelled in one order. */
const record = (fields) => (reader) => {
  const length = reader.array();
  if (length !== Object.keys(fields).length) badField(`${length} items`);
  return items(fields)(reader);
};
const items = (fields) => (reader) => Object.fromEntries(Object.entries(fields).map(([property, read]) => [property, read(reader)]));

const label = (reader) => {
  const read = text(reader);
  return new RegExp(`^[a-z0-9._-]{1,${LABEL_BYTES_MAX}}$`).test(read) ? read : badField("label");
};
const url = (reader) => {
  const read = text(reader);
  return new RegExp(`^[!-~]{1,${PLACE_URL_BYTES_MAX}}$`).test(read) ? read : badField("URL");
};
const cuts = (reader) => {
  const rows = listOf(record({ log: bytesOf(32), size: u64 }), 0, LOGS_MAX)(reader);
  return isAscending(rows, (a, b) => compare(a.log, b.log)) ? rows : notCanonical("order of logs");
};
const heads = (reader) => {
  const rows = listOf(record({ log: bytesOf(32), size: u64, root: bytesOf(32) }), 0, LOGS_MAX)(reader);
  return isAscending(rows, (a, b) => compare(a.log, b.log)) ? rows : notCanonical("order of logs");
};
const boxes = (reader) => {
  const rows = listOf(record({ did, generation: u64, enc: bytesOf(32), ct: bytesOf(48) }), 0, MEMBERS_MAX)(reader);
  return isAscending(rows, (a, b) => compare(a.did, b.did)) ? rows : notCanonical("order of members");
};

/** What a database is: anything; what one person says, which others read; a partition a user. */
export const [GENERAL, PROFILE, SUBSCRIPTION] = [1, 2, 3];

/** Number -> `[name, {property: read}]`, as the items follow. */
const STATEMENTS = {
  1: ["genesis", { did, kind: oneOf(GENERAL, PROFILE, SUBSCRIPTION), home: originText, salt: bytesOf(16) }],
  2: ["grant", { gid, did, rights: oneOf(1, 2, 3, 4, 5, 6, 7), untilS: u64 }],
  3: ["revoke", { gid, did, cuts }],
  4: ["key", { gid, epoch: u64, boxes, previous: nullOr(record({ enc: bytesOf(32), ct: bytesOf(48) })) }],
  7: ["trim", { log: bytesOf(32), to: u64, snapshot: u64 }],
  8: ["log", { gid, kind: oneOf(SHARED_LOG), label }],
  10: ["moved", { server: did, url, origin: originText, key: bytesOf(32), heads }],
  11: ["owner", { did, yes: oneOf(0, 1) }],
  12: ["leave", {}],
  13: ["delete", { yes: oneOf(0, 1) }],
  14: ["tombstone", { ends: cuts }],
  15: ["fork", { source: did, did, salt: bytesOf(16), base: heads }],
};

/** Returns the statement that the body of a control entry spells, `{type, ...}`; refuses with `bad_cbor`, `not_canonical`, `bad_field`. */
export function decodeControl(bytes) {
  const reader = new Reader(bytes);
  const length = reader.array();
  const [type, fields] = STATEMENTS[reader.uint()] ?? [];
  if (type === undefined || length !== 1 + Object.keys(fields).length) badField("no statement");
  const said = { type, ...items(fields)(reader) };
  if (type === "key" && (said.epoch === 1n) !== (said.previous === null)) badField("epoch and the key before");
  reader.end();
  return said;
}

/** Returns the info under which the key of a group is sealed. */
export const keyInfo = (db, group, epoch) => concat(ascii("dgns/group-key/v1\0"), db, bigEndian(group, 4), bigEndian(epoch, 8));
