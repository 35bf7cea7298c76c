// Strict Ed25519 (PROTOCOL 1.2) and key admission (PROTOCOL 3.1).
//
// WebCrypto accepts keys and signatures that strict checking refuses, so the points are judged here first. Where a browser
// has no Ed25519 the same arithmetic verifies by itself, slower.

import { equal } from "./hash.js";

const P = 2n ** 255n - 19n;
const L = 2n ** 252n + 27742317777372353535851937790883648493n;
const mod = (a) => {
  const r = a % P;
  return r < 0n ? r + P : r;
};

function power(base, exponent) {
  let result = 1n;
  for (let b = base, e = exponent; e > 0n; e >>= 1n, b = (b * b) % P) {
    if (e & 1n) result = (result * b) % P;
  }
  return result;
}

const D = mod(-121665n * power(121666n, P - 2n));
const SQRT_MINUS_ONE = power(2n, (P - 1n) / 4n);

/** Points are extended coordinates [X, Y, Z, T] with x = X/Z, y = Y/Z, xy = T/Z. */
const IDENTITY = [0n, 1n, 1n, 0n];

function add([x1, y1, z1, t1], [x2, y2, z2, t2]) {
  const a = mod((y1 - x1) * (y2 - x2));
  const b = mod((y1 + x1) * (y2 + x2));
  const c = mod(2n * D * t1 * t2);
  const d = mod(2n * z1 * z2);
  const [e, f, g, h] = [b - a, d - c, d + c, b + a];
  return [mod(e * f), mod(g * h), mod(f * g), mod(e * h)];
}

function double([x, y, z]) {
  const a = mod(x * x);
  const b = mod(y * y);
  const c = mod(2n * z * z);
  const e = mod((x + y) * (x + y) - a - b);
  const g = b - a;
  const [f, h] = [g - c, -a - b];
  return [mod(e * f), mod(g * h), mod(f * g), mod(e * h)];
}

function multiply(point, scalar) {
  let result = IDENTITY;
  for (let bit = scalar.toString(2).length - 1; bit >= 0; bit--) {
    result = double(result);
    if ((scalar >> BigInt(bit)) & 1n) result = add(result, point);
  }
  return result;
}

const isIdentity = ([x, y, z]) => mod(x) === 0n && mod(y - z) === 0n;

function littleEndian(bytes) {
  let value = 0n;
  for (let i = bytes.length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i]);
  return value;
}

/** Returns the point that 32 bytes encode canonically, or null. */
function decompress(bytes) {
  const encoded = littleEndian(bytes);
  const sign = encoded >> 255n;
  const y = encoded & ((1n << 255n) - 1n);
  if (y >= P) return null;
  const u = mod(y * y - 1n);
  const v = mod(D * y * y + 1n);
  const v3 = mod(v * v * v);
  let x = mod(u * v3 * power(mod(u * v3 * v3 * v), (P - 5n) / 8n));
  const check = mod(v * x * x);
  if (check !== u) {
    if (check !== mod(-u)) return null;
    x = mod(x * SQRT_MINUS_ONE);
  }
  if (x === 0n && sign === 1n) return null;
  if ((x & 1n) !== sign) x = P - x;
  return [x, y, 1n, mod(x * y)];
}

function compress([x, y, z]) {
  const inverse = power(z, P - 2n);
  let value = mod(y * inverse) | ((mod(x * inverse) & 1n) << 255n);
  const out = new Uint8Array(32);
  for (let i = 0; i < 32; i++, value >>= 8n) out[i] = Number(value & 255n);
  return out;
}

const isSmallOrder = (point) => isIdentity(double(double(double(point))));

let base = null;
const basePoint = () => (base ??= decompress(Uint8Array.from({ length: 32 }, (_, i) => (i === 0 ? 0x58 : 0x66))));

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
