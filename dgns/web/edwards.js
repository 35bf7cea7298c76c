// The curve under Ed25519 and ristretto255: its field, its points, their bytes.
//
// Of big integers, so neither fast nor equally fast for all numbers: nothing here is asked about a secret that somebody else could time.

/** The prime of the field, and the order of the group. */
export const P = 2n ** 255n - 19n;
export const L = 2n ** 252n + 27742317777372353535851937790883648493n;

/** Returns a number reduced into the field. */
export const mod = (a) => {
  const r = a % P;
  return r < 0n ? r + P : r;
};

/** Returns a power in the field. */
export function power(base, exponent) {
  let result = 1n;
  for (let b = base, e = exponent; e > 0n; e >>= 1n, b = (b * b) % P) {
    if (e & 1n) result = (result * b) % P;
  }
  return result;
}

/** The constant of the curve, and a root of -1. */
export const D = mod(-121665n * power(121666n, P - 2n));
export const SQRT_MINUS_ONE = power(2n, (P - 1n) / 4n);

/** Points are extended coordinates [X, Y, Z, T] with x = X/Z, y = Y/Z, xy = T/Z. */
export const IDENTITY = [0n, 1n, 1n, 0n];

/** Returns the sum of two points. */
export function add([x1, y1, z1, t1], [x2, y2, z2, t2]) {
  const a = mod((y1 - x1) * (y2 - x2));
  const b = mod((y1 + x1) * (y2 + x2));
  const c = mod(2n * D * t1 * t2);
  const d = mod(2n * z1 * z2);
  const [e, f, g, h] = [b - a, d - c, d + c, b + a];
  return [mod(e * f), mod(g * h), mod(f * g), mod(e * h)];
}

/** Returns a point twice. */
export function double([x, y, z]) {
  const a = mod(x * x);
  const b = mod(y * y);
  const c = mod(2n * z * z);
  const e = mod((x + y) * (x + y) - a - b);
  const g = b - a;
  const [f, h] = [g - c, -a - b];
  return [mod(e * f), mod(g * h), mod(f * g), mod(e * h)];
}

/** Returns a point a number of times; the time it takes tells the number. */
export function multiply(point, scalar) {
  let result = IDENTITY;
  for (let bit = scalar.toString(2).length - 1; bit >= 0; bit--) {
    result = double(result);
    if ((scalar >> BigInt(bit)) & 1n) result = add(result, point);
  }
  return result;
}

/** Returns whether a point is the neutral one. */
export const isIdentity = ([x, y, z]) => mod(x) === 0n && mod(y - z) === 0n;

/** Returns the number that little-endian bytes spell. */
export function littleEndian(bytes) {
  let value = 0n;
  for (let i = bytes.length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i]);
  return value;
}

/** Returns the point that 32 bytes encode canonically, or null. */
export function decompress(bytes) {
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

/** Returns a number below 2^256 as 32 little-endian bytes. */
export function bytesOf(value) {
  const out = new Uint8Array(32);
  for (let i = 0, rest = value; i < 32; i++, rest >>= 8n) out[i] = Number(rest & 255n);
  return out;
}

/** Returns the 32 bytes of a point. */
export function compress([x, y, z]) {
  const inverse = power(z, P - 2n);
  return bytesOf(mod(y * inverse) | ((mod(x * inverse) & 1n) << 255n));
}

/** Returns whether eight times the point is the neutral one. */
export const isSmallOrder = (point) => isIdentity(double(double(double(point))));

let base = null;
/** Returns the base point. */
export const basePoint = () => (base ??= decompress(Uint8Array.from({ length: 32 }, (_, i) => (i === 0 ? 0x58 : 0x66))));
