// The group ristretto255 (RFC 9496) on the points of edwards.js: one encoding for each element, and elements made of hashes.

import { D, P, SQRT_MINUS_ONE, add, bytesOf, littleEndian, mod, power } from "./edwards.js";

/** The constants of RFC 9496, 4.1. */
const SQRT_AD_MINUS_ONE = 25063068953384623474111414158702152701244531502492656460079210482610430750235n;
const INVSQRT_A_MINUS_D = 54469307008909316920995813868745141605393597292927456921205312896311721017578n;
const ONE_MINUS_D_SQUARED = mod(1n - D * D);
const D_MINUS_ONE_SQUARED = mod((D - 1n) * (D - 1n));

const isNegative = (a) => (mod(a) & 1n) === 1n;
const absolute = (a) => (isNegative(a) ? mod(-a) : mod(a));

/** Returns `[whether u/v is a square, the root of it or of sqrt(-1) times it]`, RFC 9496, 4.2. */
function squareRootOfRatio(u, v) {
  const v3 = mod(v * v * v);
  let root = mod(u * v3 * power(mod(u * v3 * v3 * v), (P - 5n) / 8n));
  const check = mod(v * root * root);
  const [correct, flipped, flippedTwice] = [mod(u), mod(-u), mod(-u * SQRT_MINUS_ONE)].map((one) => check === one);
  if (flipped || flippedTwice) root = mod(root * SQRT_MINUS_ONE);
  return [correct || flipped, absolute(root)];
}

/** Returns the element that 32 bytes encode, or null; the neutral one is refused too, as RFC 9497 asks. */
export function decodeElement(bytes) {
  const s = littleEndian(bytes);
  if (bytes.length !== 32 || s >= P || isNegative(s) || s === 0n) return null;
  const ss = mod(s * s);
  const [u1, u2] = [mod(1n - ss), mod(1n + ss)];
  const v = mod(-D * u1 * u1 - u2 * u2);
  const [wasSquare, inverse] = squareRootOfRatio(1n, mod(v * u2 * u2));
  const denX = mod(inverse * u2);
  const x = absolute(2n * s * denX);
  const y = mod(u1 * mod(inverse * denX * v));
  const t = mod(x * y);
  return !wasSquare || isNegative(t) || y === 0n ? null : [x, y, 1n, t];
}

/** Returns the 32 bytes of an element. */
export function encodeElement([x0, y0, z0, t0]) {
  const u1 = mod((z0 + y0) * (z0 - y0));
  const u2 = mod(x0 * y0);
  const [, inverse] = squareRootOfRatio(1n, mod(u1 * u2 * u2));
  const [den1, den2] = [mod(inverse * u1), mod(inverse * u2)];
  const zInverse = mod(den1 * den2 * t0);
  const rotate = isNegative(t0 * zInverse);
  const x = rotate ? mod(y0 * SQRT_MINUS_ONE) : x0;
  const y = rotate ? mod(x0 * SQRT_MINUS_ONE) : y0;
  const denInverse = rotate ? mod(den1 * INVSQRT_A_MINUS_D) : den2;
  return bytesOf(absolute(denInverse * (z0 - (isNegative(x * zInverse) ? -y : y))));
}

/** Returns the element that 64 uniform bytes lead to. */
export function elementOfUniform(bytes) {
  const half = (from) => mod(littleEndian(bytes.subarray(from, from + 32)) & ((1n << 255n) - 1n));
  return add(mapped(half(0)), mapped(half(32)));
}

/** The map of RFC 9496, 4.3.4. */
function mapped(t) {
  const r = mod(SQRT_MINUS_ONE * t * t);
  const u = mod((r + 1n) * ONE_MINUS_D_SQUARED);
  const v = mod((-1n - r * D) * (r + D));
  const [wasSquare, root] = squareRootOfRatio(u, v);
  const s = wasSquare ? root : mod(-absolute(root * t));
  const c = wasSquare ? -1n : r;
  const n = mod(c * (r - 1n) * D_MINUS_ONE_SQUARED - v);
  const [w0, w1, w2, w3] = [mod(2n * s * v), mod(n * SQRT_AD_MINUS_ONE), mod(1n - s * s), mod(1n + s * s)];
  return [mod(w0 * w3), mod(w2 * w1), mod(w1 * w3), mod(w0 * w2)];
}
