// One payload under one signature, which hellos and cards travel in (PROTOCOL 23.2).

import { decodeEnvelope, encodeEnvelope, signedBytes } from "../certificate.js";
import { verifyStrict } from "../ed25519.js";
import { badField } from "../fields.js";
import { domainHash, equal } from "../hash.js";
import { kidOf } from "../name.js";

/** Returns what stands in for the DID of a guest, whose key is in no log; it is never spelled out (PROTOCOL 23.17). */
export const standIn = (key) => domainHash("guest-key", key).slice(0, 20);

/** Returns a DID as it is spelled beside its key: a guest's not at all. */
export const spelled = (did, key) => (equal(did, standIn(key)) ? undefined : did);

/** Returns the envelope of a payload, signed by `signer` (keys.js) for a purpose such as `card` and the log of `origin`. */
export async function sealed(purpose, origin, payload, signer) {
  const signature = await signer.sign(signedBytes(purpose, origin, payload));
  return encodeEnvelope(payload, [{ kid: signer.kid, signature }]);
}

/** Returns `{payload, kid, signature}` of an envelope of at most `most` bytes, nothing verified. */
export function opened(bytes, most) {
  if (bytes.length > most) badField(`${bytes.length} bytes`);
  const { payload, signatures } = decodeEnvelope(bytes);
  return signatures.length === 1 ? { payload, ...signatures[0] } : badField(`${signatures.length} signatures`);
}

/** Returns whether `key` signed an opened envelope for a purpose and the log of `origin`, strictly. */
export async function isSignedBy({ payload, kid, signature }, purpose, origin, key) {
  return equal(kid, kidOf(key)) && verifyStrict(key, signedBytes(purpose, origin, payload), signature);
}
