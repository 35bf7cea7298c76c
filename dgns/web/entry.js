// Log entries: certificates, Epochs, LogConfs, Notices, anchors (PROTOCOL 7).

import { Reader, Refused } from "./cbor.js";
import { decodeCertificate, decodeEnvelope } from "./certificate.js";
import { badField, bytesOf, listOf, oneOf, readMap, text, tuple, u64, uintWithin } from "./fields.js";
import { ascii, fromBigEndian, sha256 } from "./hash.js";
import { isZone } from "./name.js";
import { LOG_SIGNATURE, formatVerifierKey, parseVerifierKey } from "./note.js";

const ENTRY_BYTES_MAX = 4097;
const ENVELOPE_BYTES_MAX = 4096;
/** The bytes of an Epoch entry, its type included. */
export const EPOCH_ENTRY_BYTES = 89;

/** Returns `{k, covers, timeMs, mapRoot, historyRoot}` of an Epoch entry, or null if it is none. */
export function decodeEpochEntry(entry) {
  if (entry.length !== EPOCH_ENTRY_BYTES || entry[0] !== 2) return null;
  const number = (at) => fromBigEndian(entry.subarray(at, at + 8));
  return { k: number(1), covers: number(9), timeMs: number(17), mapRoot: entry.subarray(25, 57), historyRoot: entry.subarray(57) };
}

/** Reads a text of at most 255 bytes. */
function shortText(reader) {
  const value = reader.tstr();
  return ascii(value).length <= 255 ? value : badField("text too long");
}

/** Reads the origin of a log. */
export function originText(reader) {
  const value = reader.tstr();
  return value.endsWith("/log") && isZone(value.slice(0, -4)) ? value : badField("origin");
}

/** Reads the vkey of a log. */
function logKey(reader) {
  const value = reader.tstr();
  try {
    const key = parseVerifierKey(value);
    return key.type === LOG_SIGNATURE && formatVerifierKey(key) === value ? key : badField("log key");
  } catch {
    return badField("log key");
  }
}

const LOG_CONF = {
  0: ["format", oneOf(1)],
  1: ["seq", u64],
  2: ["prev", bytesOf(32), true],
  3: ["origin", originText],
  4: ["server", bytesOf(20)],
  5: ["logKeys", listOf(logKey, 1, 7)],
  6: ["policy", text],
  7: ["prefixes", listOf(shortText, 0, 16)],
  8: ["predecessor", tuple(shortText, u64, bytesOf(32)), true],
};

/** Returns the LogConf that payload bytes spell. */
export function decodeLogConf(bytes) {
  const reader = new Reader(bytes);
  const conf = readMap(reader, LOG_CONF);
  reader.end();
  if ((conf.prev === undefined) !== (conf.seq === 0n)) badField("seq and prev");
  const names = new Set(conf.logKeys.map(formatVerifierKey));
  if (names.size !== conf.logKeys.length || conf.logKeys.some(({ name }) => name !== conf.origin)) badField("log keys");
  return conf;
}

/** Returns `{type: "logconf", sid, conf, payloadBytes, signatures}` of a LogConf's envelope. */
export function decodeLogConfEnvelope(bytes) {
  if (bytes.length > ENVELOPE_BYTES_MAX) badField("too long");
  const { payload, signatures } = decodeEnvelope(bytes);
  return { type: "logconf", sid: sha256(payload), conf: decodeLogConf(payload), payloadBytes: payload, signatures };
}

const NOTICE = { 0: ["kind", uintWithin(1, 4)], 1: ["origin", shortText], 2: ["evidenceHash", bytesOf(32)], 3: ["evidence", (r) => r.bstr(), true] };

function decodeNotice(bytes) {
  const reader = new Reader(bytes);
  const notice = readMap(reader, NOTICE);
  reader.end();
  return notice;
}

const ANCHOR = { 0: ["k", u64], 1: ["prev", bytesOf(32), true], 2: ["root", bytesOf(32)], 3: ["logs", u64] };

/** Returns `{k, prev, root, logs}` of an anchor (PROTOCOL 7.7). */
export function decodeAnchor(bytes) {
  const reader = new Reader(bytes);
  const anchor = readMap(reader, ANCHOR);
  reader.end();
  if (anchor.k === 0n || (anchor.k === 1n) !== (anchor.prev === undefined)) badField("number and prev");
  return anchor;
}

/** Returns `{type, ...}` of any entry; refuses with `bad_entry` or the code of what is inside. */
export function decodeEntry(entry) {
  if (entry.length === 0 || entry.length > ENTRY_BYTES_MAX) throw new Refused("bad_entry", `${entry.length} bytes`);
  const body = entry.subarray(1);
  switch (entry[0]) {
    case 1:
      return { type: "certificate", certificate: decodeCertificate(body) };
    case 2: {
      const epoch = decodeEpochEntry(entry);
      if (epoch === null) throw new Refused("bad_entry", "epoch");
      return { type: "epoch", epoch };
    }
    case 3:
      return decodeLogConfEnvelope(body);
    case 4:
      return { type: "notice", notice: decodeNotice(body) };
    case 5:
      return { type: "anchor", anchor: decodeAnchor(body) };
    default:
      throw new Refused("bad_entry", `type ${entry[0]}`);
  }
}
