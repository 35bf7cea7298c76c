// Certificates: what one says, who signed it (PROTOCOL 4). Decoding and signatures; the rules (PROTOCOL 5) are not here.

import { readBody, typeName } from "./body.js";
import { Reader, Refused, encode } from "./cbor.js";
import { isAdmitted, verifyStrict } from "./ed25519.js";
import { badField, bytesOf, isAscending, listOf, notCanonical, readMap, tuple, u64 } from "./fields.js";
import { ascii, compare, concat, equal, hex, sha256 } from "./hash.js";
import { kidOf } from "./name.js";

const CERTIFICATE_BYTES_MAX = 4096;
const SIGNATURES_MAX = 8;
const key32 = bytesOf(32);
const did20 = bytesOf(20);
const kid8 = bytesOf(8);

/** Reads what a chain belongs to: a DID of 20 bytes, an alias of 32. */
const didOrAlias = (reader) => {
  const bytes = reader.bstr();
  return bytes.length === 20 || bytes.length === 32 ? bytes : badField(`a subject of ${bytes.length} bytes`);
};

/** Bytes of the subject by type, others than a DID's 20. */
const SUBJECT_BYTES = { 1: undefined, 28: 32 };

const PAYLOAD = {
  0: ["type", (reader) => {
    const type = reader.uint();
    if (typeName(type) === undefined) throw new Refused("unknown_type", `type ${type}`);
    return Number(type);
  }],
  1: ["subject", didOrAlias, true],
  2: ["seq", u64],
  3: ["prev", key32, true],
  4: ["seen", tuple(u64, key32)],
  5: ["unixS", u64],
  6: ["body", (reader, { type }) => readBody(reader, type)],
  7: ["critical", (reader) => (reader.bool() ? notCanonical("critical is spelled out") : false), true],
  8: ["by", did20, true],
};

/** Returns the payload that canonical bytes spell; refuses with a code of PROTOCOL 4.6. */
export function decodePayload(bytes) {
  const reader = new Reader(bytes);
  const payload = readMap(reader, PAYLOAD);
  reader.end();
  const [isFirst, isLater] = [payload.prev === undefined && payload.seq === 0n, payload.prev !== undefined && payload.seq > 0n];
  const isInPlace = payload.type === 28 ? isFirst || isLater : payload.type === 1 ? isFirst : isLater;
  const width = payload.type in SUBJECT_BYTES ? SUBJECT_BYTES[payload.type] : 20;
  if (!isInPlace || payload.subject?.length !== width) badField("subject, seq, prev");
  const twoParties = (payload.type === 2 && payload.body.road === 4) || (payload.type === 8 && payload.body.to !== undefined);
  if (payload.by !== undefined && !twoParties) badField("a second party");
  payload.critical ??= true;
  payload.typeName = typeName(payload.type);
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

/** Returns `{signing, sealing}`: the Ed25519 keys, and those of X25519 or ristretto255, that a body brings into a chain. */
export function newKeysOf({ type, body }) {
  const signing = {
    1: () => [body.identity, body.device.sign],
    3: () => [body.device.sign],
    6: () => [body.identity],
    15: () => (body.servers ? [body.sign] : []),
    16: () => [body.sign],
    18: () => [body.device.sign, ...(body.identity ? [body.identity] : [])],
    26: () => (body.role === 3 ? [] : [body.key]),
    28: () => [body.sign],
  };
  const sealing = {
    1: () => [body.wordsBox, body.device.kex, ...(body.userKey ? [body.userKey] : [])],
    3: () => [body.device.kex],
    6: () => [body.wordsBox],
    14: () => [body.key, ...(body.extras ?? []).map(({ kex }) => kex)],
    15: () => (body.servers ? [...body.servers.map(({ oprf }) => oprf), body.kex] : []),
    16: () => [body.kex],
    18: () => [body.device.kex, ...(body.identity ? [body.wordsBox] : [])],
    26: () => (body.role === 3 ? [body.key] : []),
    28: () => [body.kex],
  };
  return { signing: signing[type]?.() ?? [], sealing: sealing[type]?.() ?? [] };
}

/** Returns whether the keys that a body brings into a chain are admitted (PROTOCOL 3.1). */
function bringsGoodKeys(payload) {
  const { signing, sealing } = newKeysOf(payload);
  return signing.every(isAdmitted) && sealing.every((key) => key.some((byte) => byte !== 0));
}

/**
 * Returns the whole keys that signed, each signature checked strictly (PROTOCOL 4.3). With `oneParty` signatures by keys that are no
 * candidates are left out: what another party's signature was worth only that party's state tells.
 *
 * Refuses with `weak_key`, `unknown_signer`, `bad_signature`.
 */
export async function verifyCertificate(certificate, origin, candidates, { oneParty = false } = {}) {
  if (!bringsGoodKeys(certificate.payload)) throw new Refused("weak_key");
  const matching = ({ kid }) => candidates.filter((key) => equal(kidOf(key), kid));
  const signatures = oneParty ? certificate.signatures.filter((one) => matching(one).length > 0) : certificate.signatures;
  const signers = signatures.map((one) => {
    const keys = matching(one);
    if (keys.length === 0 || !keys.every((key) => equal(key, keys[0]))) throw new Refused("unknown_signer", hex(one.kid));
    return keys[0];
  });
  const message = signedBytes("cert", origin, certificate.payloadBytes);
  for (const [i, { signature }] of signatures.entries()) {
    if (!(await verifyStrict(signers[i], message, signature))) throw new Refused("bad_signature", hex(signers[i]));
  }
  return signers;
}
