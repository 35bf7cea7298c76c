// Certificates of a person on their way into the log: put together, placed in their chain, signed (PROTOCOL 4).

import { encodePayload } from "./canonical.js";
import { decodePayload, encodeEnvelope, signedBytes } from "./certificate.js";
import { encode } from "./cbor.js";
import { ascii, bigEndian, concat, domainHash, sha256 } from "./hash.js";

/** Levels of a device, and roads of a claim, by what people call them. */
export const LEVEL = { member: 1, admin: 2, service: 3 };
export const ROAD = { open: 1, attested: 2, invite: 3, parent: 4 };
/** Types of certificates that people write, by their names. */
export const TYPE = {
  genesis: 1, claim: 2, device_add: 3, device_suspend: 4, device_revoke: 5, id_rotate: 6, policy: 7, transfer: 8, alias_bind: 9,
  alias_unbind: 10, records: 11, delegate: 13, user_key: 14, recovery_set: 15, recover_open: 16, recover_prove: 17, recover_final: 18, confirm: 19, veto: 20, tombstone: 25, notary_add: 26, notary_revoke: 27,
};

/** Who signed no head yet says so. */
const SEEN_NONE = [0, sha256(new Uint8Array(0))];
const seenOf = (head) => (head === null ? SEEN_NONE : [head.size, head.root]);

/**
 * Signs a payload, `{type, subject?, seq, prev?, seen: [size, root], unixS, body, by?}`, for the log of `origin`.
 *
 * Returns `{bytes, sid, payload, payloadBytes}`: the envelope to post, and the identity of the certificate. What the decoder would
 * refuse is refused here.
 */
export async function signPayload(payload, origin, signers) {
  const payloadBytes = encodePayload(payload);
  const decoded = decodePayload(payloadBytes);
  const message = signedBytes("cert", origin, payloadBytes);
  const signatures = await Promise.all(signers.map(async ({ kid, sign }) => ({ kid, signature: await sign(message) })));
  return { bytes: encodeEnvelope(payloadBytes, signatures), sid: sha256(payloadBytes), payload: decoded, payloadBytes };
}

/**
 * Returns the genesis of a DID, signed by the identity key and the first device: `{..., did}`.
 *
 * `head` = `{size, root}` of a head that was verified, or null; `label` = the 32 bytes of `labelHash`; `userKey` = `{key, boxes}`, the hash of
 * boxes that are posted along with it.
 */
export async function genesis({ identity, wordsBox, device, label, windowS, kind = 1, userKey, head, nowMs }, origin) {
  const first = { sign: device.sign.key, kex: device.kex.key, level: LEVEL.admin, label };
  const body = { kind, identity: identity.key, wordsBox: wordsBox.key, device: first, windowS, userKey: userKey?.key, boxes: userKey?.boxes };
  const payload = { type: TYPE.genesis, seq: 0, seen: seenOf(head), unixS: secondsOf(nowMs), body };
  const certificate = await signPayload(payload, origin, [identity, device.sign]);
  return { ...certificate, did: certificate.sid.subarray(0, 20) };
}

/** Returns the place after the newest certificate of a DID, as a verified lookup showed it: `{did, seq, prev, head}`. */
export function placeAfter({ did, size, root }) {
  return { did: did.did, seq: did.head.seq + 1n, prev: did.head.sid, head: { size, root } };
}

/** Returns the place after a certificate that is posted along with the next. */
export function placeBehind({ did, sid, payload }, head) {
  return { did: did ?? payload.subject, seq: payload.seq + 1n, prev: sid, head };
}

/** Signs what comes next at a place: `type` as in `TYPE`, `by` = the DID of the second party of a claim or transfer. */
export function certify(place, type, body, signers, { origin, nowMs, by }) {
  const { did, seq, prev, head } = place;
  return signPayload({ type: TYPE[type], subject: did, seq, prev, seen: seenOf(head), unixS: secondsOf(nowMs), body, by }, origin, signers);
}

const secondsOf = (ms) => Math.floor(ms / 1000);

/** Returns `{label, nonce, hash}`: the commitment to a device's label that is logged, and what opens it, for the owner to keep. */
export function newLabel(label, nonce = crypto.getRandomValues(new Uint8Array(16))) {
  return { label, nonce, hash: labelHash(label, nonce) };
}

/** Returns `H(device-label; u16 length, label, nonce 16)`. */
export function labelHash(label, nonce) {
  const text = ascii(label);
  return domainHash("device-label", concat(bigEndian(text.length, 2), text, nonce));
}

/** Returns the row of a device in `device_add`. */
export const deviceRow = ({ sign, kex }, level, label) => ({ sign: sign.key, kex: kex.key, level, label });

/** Returns the body of `POST /v1/certificates`; `attachments` = bytes that they name by their hash. */
export const postBody = (certificates, attachments = []) =>
  encode(new Map([[1, certificates.map(({ bytes }) => bytes)], [2, attachments.length > 0 ? attachments : undefined]]));
