// What ties a sign-in to the keys of one device (PROTOCOL 19): the nonce an issuer signs, and what the log keeps of its statement.

import { ascii, bigEndian, concat, domainHash, hex, url64 } from "./hash.js";
import { verifyStrict } from "./ed25519.js";
import { Refused } from "./cbor.js";
import { derive } from "./kdf.js";

const NONE = new Uint8Array(32);

/** Returns the nonce, 32 bytes: purpose 1 sign-in, 2 recovery (with its blinded element), 3 enrolment. */
export function signinNonce({ purpose, sign, kex, blinded, random }) {
  return domainHash("oidc", Uint8Array.of(purpose), sign, kex, blinded ?? NONE, random);
}

/** Returns the nonce as an issuer or an authenticator sees it. */
export function nonceText(nonce) {
  return url64(nonce);
}

/** Returns the evidence hash of an id_token's bytes, or of `assertionBytes`. */
export function evidenceHash(statement, random) {
  return domainHash("evidence", bigEndian(statement.length, 2), statement, random);
}

/** Returns what the log calls an issuer: its URL, or `passkey:` and the zone. */
export function issuerHash(issuer) {
  return domainHash("issuer", ascii(issuer));
}

/** Returns what the evidence hash of a passkey's answer is made of. */
export function assertionBytes({ authenticatorData, clientData, signature }) {
  return concat(...[authenticatorData, clientData, signature].flatMap((part) => [bigEndian(part.length, 2), part]));
}

/** Returns what a passkey's PRF is asked over. */
export function passkeySalt(origin) {
  return domainHash("passkey-salt", ascii(origin));
}

/** Returns the secret that the output of a passkey's PRF makes, 32 bytes: that of a further recipient of the user key. */
export function passkeySecret(output) {
  return derive("passkey-prf", output);
}

/** Returns the bytes that the device which began a sign-in signs to finish it. */
export function finishSignedBytes(origin, state) {
  return concat(ascii("dgns/signin/v1\0"), Uint8Array.of(ascii(origin).length), ascii(origin), state);
}

/** Checks that the holder of `key` finishes the sign-in with this state. */
export async function verifyFinish(origin, state, key, signature) {
  const holds = await verifyStrict(key, finishSignedBytes(origin, state), signature);
  if (!holds) throw new Refused("bad_signature", `not over ${hex(state)}`);
  return true;
}
