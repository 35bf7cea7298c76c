// Certificates: what one says, who signed it (PROTOCOL 4). Decoding and signatures; the rules (PROTOCOL 5) are not here.

import { Reader, Refused, encode } from "./cbor.js";
import { isAdmitted, verifyStrict } from "./ed25519.js";
import { badField, bytesOf, isAscending, listOf, notCanonical, oneOf, readMap, text, tuple, u64, uintWithin } from "./fields.js";
import { ascii, compare, concat, equal, hex, sha256 } from "./hash.js";
import { isWellFormed, isZone, kidOf } from "./name.js";

const CERTIFICATE_BYTES_MAX = 4096;
const SIGNATURES_MAX = 8;
const SCOPE_BYTES_MAX = 255;
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
  const owner = length === 4 ? reader.tstr() : "";
  return { rtype, ttl, rdata, owner, isSpelledOut: length === 4 && owner === "" };
};

const deviceEnd = { 1: ["kid", kid8], 2: ["reason", oneOf(0, 1, 2, 3)] };
const actSid = { 1: ["act", key32] };
const zoneTerms = tuple(uintWithin(0, 15), uintWithin(0, 255), u64);

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
    1: ["name", anyName], 2: ["rows", listOf(row)], 3: ["aliases", listOf(text), true], 4: ["flags", uintWithin(0, 3), true],
  }],
  19: ["confirm", actSid],
  20: ["veto", actSid],
  25: ["tombstone", {}],
  26: ["notary_add", {
    1: ["role", oneOf(1, 2, 3)], 2: ["key", key32], 3: ["scope", text], 4: ["zone", zoneTerms, true],
  }],
  27: ["notary_revoke", { 1: ["kid", kid8] }],
};

function readBody(reader, payload) {
  const body = readMap(reader, BODIES[payload.type][1]);
  CHECKS[payload.type]?.(body);
  return body;
}

/** What the fields of a body must be together, by type. */
const CHECKS = {
  2: ({ road, proof, bits }) => {
    const shape = { 1: proof?.length === 8 && bits !== undefined, 3: proof?.length === 32, 4: proof === undefined };
    if (!shape[road] || (road !== 1 && bits !== undefined)) badField("what this road shows");
  },
  11: ({ rows, aliases, flags }) => {
    if (!isAscending(rows, compareRows) || !isAscending(aliases ?? [], compareTexts)) badField("order of rows or aliases");
    if (flags === 0n || aliases?.length === 0 || rows.some((row) => row.isSpelledOut)) notCanonical("a default is spelled out");
  },
  26: ({ role, scope, zone }) => {
    const bytes = ascii(scope).length;
    const fits = { 1: bytes >= 1 && bytes <= SCOPE_BYTES_MAX, 2: isZone(scope), 3: scope === "" };
    if (!fits[role] || (zone !== undefined) !== (role === 2)) badField("scope or terms of this role");
  },
};

const compareTexts = (a, b) => compare(ascii(a), ascii(b));

/** Orders records by owner, type, rdata. */
function compareRows(a, b) {
  return compareTexts(a.owner, b.owner) || Number(a.rtype - b.rtype) || compare(a.rdata, b.rdata);
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
  7: ["critical", (reader) => (reader.bool() ? notCanonical("critical is spelled out") : false), true],
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
  const twoParties = (payload.type === 2 && payload.body.road === 4) || (payload.type === 8 && payload.body.to !== undefined);
  if (payload.by !== undefined && !twoParties) badField("a second party");
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
  if (!isAscending(signatures, (a, b) => compare(a.kid, b.kid))) notCanonical("order of signatures");
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

/** Returns whether the keys that a body brings into a chain are admitted (PROTOCOL 3.1). */
function bringsGoodKeys({ type, body }) {
  const signing = { 1: [body.identity, body.device?.sign], 3: [body.device?.sign], 6: [body.identity], 26: body.role === 3 ? [] : [body.key] };
  const sealing = { 1: [body.wordsBox, body.device?.kex], 3: [body.device?.kex], 6: [body.wordsBox] };
  return (signing[type] ?? []).every(isAdmitted) && (sealing[type] ?? []).every((key) => key.some((byte) => byte !== 0));
}

/**
 * Returns the whole keys that signed, each signature checked strictly (PROTOCOL 4.3).
 *
 * Refuses with `weak_key`, `unknown_signer`, `bad_signature`.
 */
export async function verifyCertificate(certificate, origin, candidates) {
  if (!bringsGoodKeys(certificate.payload)) throw new Refused("weak_key");
  const signers = certificate.signatures.map(({ kid }) => {
    const matching = candidates.filter((key) => equal(kidOf(key), kid));
    const unique = matching.length > 0 && matching.every((key) => equal(key, matching[0]));
    if (!unique) throw new Refused("unknown_signer", hex(kid));
    return matching[0];
  });
  const message = signedBytes("cert", origin, certificate.payloadBytes);
  for (const [i, { signature }] of certificate.signatures.entries()) {
    if (!(await verifyStrict(signers[i], message, signature))) throw new Refused("bad_signature", hex(signers[i]));
  }
  return signers;
}

