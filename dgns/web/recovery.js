// Recovery: what a PIN and enough servers make, and no fewer (PROTOCOL 24.1 to 24.3).
//
// A scope, `{did, epoch}`, says whose and which enrolment. No server has more than its share, and no share says whether a PIN is right: the only
// check is the public key of K in the log, and it needs as many answers as are needed, to one point that the log has counted.

import { argon2id } from "./argon2.js";
import { Reader, encode, refusedAs } from "./cbor.js";
import { badField, bytesOf, oneOf, readMap, tuple, uintWithin } from "./fields.js";
import { ascii, bigEndian, concat, domainHash, equal, sha256 } from "./hash.js";
import { derive } from "./kdf.js";
import { kexOf, signerOf } from "./keys.js";
import { combine } from "./shamir.js";

/** What enrolments are made with: 64 MiB, three passes, one lane. */
export const HARDENING = [65_536, 3, 1];

const scopeBytes = ({ did, epoch }) => concat(did, bigEndian(epoch, 4));

/** Returns the salt of Argon2id. */
export const saltOf = (scope) => domainHash("pin", scopeBytes(scope)).subarray(0, 16);

/** Returns what is blinded: a PIN in its one form, hardened for a scope. It takes a second or two and as much memory as it says. */
export function hardened(pin, scope, hardening) {
  return concat(ascii("dgns/recover/v1\0"), scopeBytes(scope), argon2id(ascii(pin), saltOf(scope), hardening));
}

/** Returns K, which signs for whoever knew the PIN. */
export const keyOf = async (rho, scope) => signerOf(await derive("recover-sign", rho, scopeBytes(scope)));

/** Returns the key pair that the backup is sealed to. */
export const backupOf = async (rho, d, scope) => kexOf(await derive("recover-box", concat(rho, d), scopeBytes(scope)));

/**
 * Returns the key pair of the backup from shares that servers released, and the points of those that lied, `{backup, liars}`; null if too few are honest.
 *
 * No share can be checked by itself: every `threshold` of them are tried until the key is the one in the log.
 */
export async function openBackup(rho, scope, { threshold, kex }, shares) {
  for (const some of choices(shares, Number(threshold))) {
    const d = combined(some);
    if (d === null) continue;
    const backup = await backupOf(rho, d, scope);
    if (!equal(backup.key, kex)) continue;
    const isHonest = (share) => some.includes(share) || (some.every(({ point }) => point !== share.point) && equal(combined([share, ...some.slice(1)]) ?? [], d));
    return { backup, liars: shares.filter((share) => !isHonest(share)).map(({ point }) => point) };
  }
  return null;
}

function combined(shares) {
  try {
    return combine(shares);
  } catch {
    return null; // a point twice
  }
}

/** Returns every choice of `count` of a list, in order. */
function choices(list, count) {
  if (count === 0) return [[]];
  return list.flatMap((one, i) => choices(list.slice(i + 1), count - 1).map((rest) => [one, ...rest]));
}

/** Returns what the log calls a sign-in: `H(signin-id; u16 length, issuer, u16 length, subject, salt)`. */
export function signInId(issuer, subject, salt) {
  const prefixed = (text) => {
    const bytes = new TextEncoder().encode(text);
    return concat(bigEndian(bytes.length, 2), bytes);
  };
  return domainHash("signin-id", prefixed(issuer), prefixed(subject), salt);
}

const hardening = (reader) => tuple(uintWithin(8192, 262_144), uintWithin(1, 16), uintWithin(1, 4))(reader).map(Number);
const BUNDLE = { 1: ["did", bytesOf(20)], 2: ["epoch", uintWithin(0, 0xffffffff)], 3: ["hardening", hardening], 4: ["kind", oneOf(1, 2)] };

/** Returns the bytes of a bundle, `{did, epoch, hardening, isWords}`, whose hash the log has. */
export const encodeBundle = ({ did, epoch, hardening: with_, isWords }) => encode(new Map([[1, did], [2, epoch], [3, with_], [4, isWords ? 2 : 1]]));

/** Returns `{did, epoch, hardening, isWords, hash}` of bytes; refuses with `bad_field`. */
export function decodeBundle(bytes) {
  return refusedAs("bad_field", () => {
    const reader = new Reader(bytes);
    const { kind, ...bundle } = readMap(reader, BUNDLE);
    reader.end();
    return { ...bundle, isWords: kind === 2, hash: sha256(bytes) };
  });
}

/** Refuses a bundle of another scope than `scope`. */
export function mustBeOf(bundle, { did, epoch }) {
  if (!equal(bundle.did, did) || bundle.epoch !== BigInt(epoch)) badField("a bundle of another enrolment");
}
