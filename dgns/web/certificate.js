// Certificates: what one says, who signed it (PROTOCOL 4). Decoding and signatures; the rules (PROTOCOL 5) are not here.

import { Reader, Refused, encode } from "./cbor.js";
import { isAdmitted, verifyStrict } from "./ed25519.js";
import { badField, bytesOf, listOf, mustAscend, oneOf, readMap, text, tuple, u64, uintWithin } from "./fields.js";
import { ascii, compare, concat, equal, hex, sha256 } from "./hash.js";
import { isWellFormed, kidOf } from "./name.js";

const CERTIFICATE_BYTES_MAX = 4096;
const SIGNATURES_MAX = 8;
const U32_MAX = 0xffffffff;

const key32 = bytesOf(32);
const did20 = bytesOf(20);
const kid8 = bytesOf(8);

/** Names in bodies: the grammar without the zone, which the rules know. */
function anyName(reader) {
  const name = reader.tstr();
  if (!isWellFormed(name)) throw new Refused("bad_name", JSON.stringify(name));
  return name;
}

const device = (reader) => {
  const [sign, kex, level, label] = tuple(key32, key32, oneOf(1, 2, 3), key32)(reader);
  return { sign, kex, level, label };
};

const row = (reader) => {
  const length = reader.array();
  if (length !== 3 && length !== 4) badField("row");
  const [rtype, ttl, rdata] = [uintWithin(0, 65535)(reader), uintWithin(0, U32_MAX)(reader), reader.bstr()];
  return { rtype, ttl, rdata, owner: length === 4 ? reader.tstr() : "" };
};

const deviceEnd = { 1: ["kid", kid8], 2: ["reason", oneOf(0, 1, 2, 3)] };
const actSid = { 1: ["act", key32] };
const zoneTerms = tuple(uintWithin(0, 255), uintWithin(0, 255), u64);

/** Type -> [name, body table]. */
const BODIES = {
  1: ["genesis", {
    1: ["kind", oneOf(1, 3)], 2: ["identity", key32], 3: ["wordsBox", key32], 4: ["device", device], 6: ["windowS", u64, true],
  }],
  2: ["claim", {
    1: ["name", anyName], 2: ["road", oneOf(1, 2, 3, 4)], 3: ["proof", (reader) => reader.bstr(), true], 4: ["bits", uintWithin(0, 255), true],
  }],
  3: ["device_add", { 1: ["device", device] }],
  4: ["device_suspend", deviceEnd],
  5: ["device_revoke", deviceEnd],
  6: ["id_rotate", { 2: ["identity", key32], 3: ["wordsBox", key32] }],
  7: ["policy", { 6: ["windowS", u64] }],
  8: ["transfer", { 1: ["name", anyName], 2: ["to", did20, true] }],
  11: ["records", {
    1: ["name", anyName], 2: ["rows", listOf(row, 0, 32)], 3: ["aliases", listOf(text, 1, 8), true], 4: ["flags", uintWithin(1, U32_MAX), true],
  }],
  19: ["confirm", actSid],
  20: ["veto", actSid],
  25: ["tombstone", {}],
  26: ["notary_add", {
    1: ["role", oneOf(1, 2, 3)], 2: ["key", key32], 3: ["scope", text, true], 4: ["zone", zoneTerms, true],
  }],
  27: ["notary_revoke", { 1: ["kid", kid8] }],
};

function readBody(reader, payload) {
  const known = BODIES[payload.type];
  const body = readMap(reader, known[1]);
  if (payload.type === 2) {
    const shape = { 1: body.proof?.length === 8 && body.bits !== undefined, 3: body.proof?.length === 32, 4: body.proof === undefined };
    if (!shape[body.road] || (body.road !== 1 && body.bits !== undefined)) badField("claim of this road");
  }
  if (payload.type === 11) {
    mustAscend(body.rows, compareRows, "rows");
    mustAscend(body.aliases ?? [], (a, b) => compare(ascii(a), ascii(b)), "aliases");
  }
  if (payload.type === 26 && (body.role === 2) !== (body.zone !== undefined)) badField("zone terms");
  return body;
}

/** Orders records by owner, type, rdata. */
function compareRows(a, b) {
  return compare(ascii(a.owner), ascii(b.owner)) || Number(a.rtype - b.rtype) || compare(a.rdata, b.rdata);
}

const PAYLOAD = {
  0: ["type", (reader) => {
    const type = reader.uint();
    if (BODIES[type] === undefined) throw new Refused("unknown_type", `type ${type}`);
    return Number(type);
  }],
  1: ["subject", did20, true],
  2: ["seq", u64],
  3: ["prev", key32, true],
  4: ["seen", tuple(u64, key32)],
  5: ["unixS", u64],
  6: ["body", readBody],
  7: ["critical", (reader) => (reader.bool() ? badField("critical true is left out") : false), true],
  8: ["by", did20, true],
};

/** Returns the payload that canonical bytes spell; refuses with a code of PROTOCOL 4.6. */
export function decodePayload(bytes) {
  const reader = new Reader(bytes);
  const payload = readMap(reader, PAYLOAD);
  reader.end();
  const genesis = payload.type === 1;
  const first = payload.subject === undefined && payload.prev === undefined && payload.seq === 0n;
  const later = payload.subject !== undefined && payload.prev !== undefined && payload.seq > 0n;
  if (genesis ? !first : !later) badField("subject, seq, prev");
  payload.critical ??= true;
  payload.typeName = BODIES[payload.type][0];
  return payload;
}

/** Returns `{payload: bytes, signatures: [{kid, signature}]}` of an envelope (PROTOCOL 4.1), which LogConfs share. */
export function decodeEnvelope(bytes) {
  if (bytes.length > CERTIFICATE_BYTES_MAX) throw new Refused("too_large", `${bytes.length} bytes`);
  const reader = new Reader(bytes);
  if (reader.array() !== 3) badField("envelope");
  if (reader.uint() !== 1n) badField("envelope version");
  const payload = reader.bstr();
  const signature = tuple(kid8, bytesOf(64));
  const signatures = listOf(signature, 1, SIGNATURES_MAX)(reader).map(([kid, bytes]) => ({ kid, signature: bytes }));
  reader.end();
  mustAscend(signatures, (a, b) => compare(a.kid, b.kid), "signatures");
  return { payload, signatures };
}

/** Returns `{bytes, sid, payload, payloadBytes, signatures}` of a certificate, nothing verified. */
export function decodeCertificate(bytes) {
  const envelope = decodeEnvelope(bytes);
  const payload = decodePayload(envelope.payload);
  return { bytes, sid: sha256(envelope.payload), payload, payloadBytes: envelope.payload, signatures: envelope.signatures };
}

/** Returns the envelope of a payload and its signatures, ascending by kid. */
export function encodeEnvelope(payloadBytes, signatures) {
  const sorted = [...signatures].sort((a, b) => compare(a.kid, b.kid));
  return encode([1, payloadBytes, sorted.map(({ kid, signature }) => [kid, signature])]);
}

/** Returns what a key signs: `"dgns/<purpose>/v1" 00, u8 length(origin), origin, payload` (PROTOCOL 1.2). */
export function signedBytes(purpose, origin, payload) {
  const name = ascii(origin);
  return concat(ascii(`dgns/${purpose}/v1\0`), Uint8Array.of(name.length), name, payload);
}

/** Returns the Ed25519 keys that a body brings into a chain. */
function newKeys({ type, body }) {
  if (type === 1) return [body.identity, body.device.sign];
  if (type === 3) return [body.device.sign];
  if (type === 6) return [body.identity];
  if (type === 26 && body.role !== 3) return [body.key];
  return [];
}

/**
 * Returns the whole keys that signed, each signature checked strictly (PROTOCOL 4.3).
 *
 * Refuses with `weak_key`, `unknown_signer`, `bad_signature`.
 */
export async function verifyCertificate(certificate, origin, candidates) {
  const message = signedBytes("cert", origin, certificate.payloadBytes);
  const signers = certificate.signatures.map(({ kid }) => {
    const matching = candidates.filter((key, i) => equal(kidOf(key), kid) && candidates.findIndex((k) => equal(k, key)) === i);
    if (matching.length !== 1) throw new Refused("unknown_signer", hex(kid));
    return matching[0];
  });
  for (const key of [...signers, ...newKeys(certificate.payload)]) {
    if (!isAdmitted(key)) throw new Refused("weak_key", hex(key));
  }
  for (const [i, { signature }] of certificate.signatures.entries()) {
    if (!(await verifyStrict(signers[i], message, signature))) throw new Refused("bad_signature", hex(signers[i]));
  }
  return signers;
}

