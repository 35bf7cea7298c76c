// Strict Ed25519 (PROTOCOL 1.2) and key admission (PROTOCOL 3.1).
//
// WebCrypto accepts keys and signatures that strict checking refuses, so the points are judged here first. Where a browser
// has no Ed25519 the same arithmetic verifies by itself, slower.

import { L, add, basePoint, compress, decompress, isIdentity, isSmallOrder, littleEndian, mod, multiply } from "./edwards.js";
import { equal } from "./hash.js";

/** Returns whether 32 bytes are a key that may verify: canonical, on the curve, not of small order. */
export function isUsableKey(key) {
  const point = key.length === 32 ? decompress(key) : null;
  return point !== null && !isSmallOrder(point);
}

/** Keys judged so far: the same few log and witness keys are asked about again with each answer. */
const admitted = new Map();
const ADMITTED_MAX = 256;

/** Returns whether a key may enter a chain: usable, and in the prime-order subgroup. */
export function isAdmitted(key) {
  const name = key.join();
  if (!admitted.has(name)) {
    if (admitted.size === ADMITTED_MAX) admitted.clear();
    admitted.set(name, isOfPrimeOrder(key));
  }
  return admitted.get(name);
}

function isOfPrimeOrder(key) {
  const point = key.length === 32 ? decompress(key) : null;
  return point !== null && !isSmallOrder(point) && isIdentity(multiply(point, L));
}

/** Verifies by the arithmetic of this file alone; `a` is the point of `key`. */
export async function verifyByHand(key, message, signature, a = decompress(key)) {
  const s = littleEndian(signature.subarray(32));
  const hashed = new Uint8Array(64 + message.length);
  hashed.set(signature.subarray(0, 32));
  hashed.set(key, 32);
  hashed.set(message, 64);
  const k = littleEndian(new Uint8Array(await crypto.subtle.digest("SHA-512", hashed))) % L;
  const [x, y, z, t] = a;
  const minusA = [mod(-x), y, z, mod(-t)];
  return equal(compress(add(multiply(basePoint(), s), multiply(minusA, k))), signature.subarray(0, 32));
}

/** Returns whether `signature` (64 bytes) over `message` is by `key` (32 bytes), strictly (PROTOCOL 1.2). */
export async function verifyStrict(key, message, signature) {
  if (key.length !== 32 || signature.length !== 64) return false;
  if (littleEndian(signature.subarray(32)) >= L) return false;
  const a = decompress(key);
  const r = decompress(signature.subarray(0, 32));
  if (a === null || r === null || isSmallOrder(a) || isSmallOrder(r)) return false;
  try {
    const imported = await crypto.subtle.importKey("raw", key, "Ed25519", false, ["verify"]);
    return await crypto.subtle.verify("Ed25519", imported, signature, message);
  } catch {
    return verifyByHand(key, message, signature, a);
  }
}
