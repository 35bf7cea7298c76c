// Shamir's sharing of 32 bytes over GF(2^8), polynomial 0x11b (PROTOCOL 24.3): any t shares give the secret, fewer say nothing.

import { Refused } from "./cbor.js";

const BYTES = 32;

/** Splits 32 bytes among servers, of whom `threshold` are needed: `[{point, value}, ...]`, points from 1. */
export function split(secret, threshold, servers) {
  if (threshold < 1 || threshold > servers || servers > 255) throw new Refused("bad_shares", "more needed than there are");
  const higher = Array.from({ length: threshold - 1 }, () => crypto.getRandomValues(new Uint8Array(BYTES)));
  return Array.from({ length: servers }, (_, i) => {
    const above = (at) => higher.reduceRight((sum, coefficients) => times(sum ^ coefficients[at], i + 1), 0);
    return { point: i + 1, value: secret.map((byte, at) => above(at) ^ byte) };
  });
}

/** Returns what shares make: the secret, if they are enough and none of them is false. Refuses a point 0 or twice with `bad_shares`. */
export function combine(shares) {
  const points = shares.map(({ point }) => point);
  if (points.length === 0 || points.some((point, i) => point === 0 || points.indexOf(point) !== i)) throw new Refused("bad_shares", "no share, a point 0 or twice");
  const secret = new Uint8Array(BYTES);
  for (const { point, value } of shares) {
    const factor = points.filter((other) => other !== point).reduce((product, other) => times(product, times(other, inverse(other ^ point))), 1);
    for (let at = 0; at < BYTES; at++) secret[at] ^= times(value[at], factor);
  }
  return secret;
}

/** Returns the product in the field; no table, no branch on a secret. */
function times(a, b) {
  let [rest, product] = [a, 0];
  for (let bit = 0; bit < 8; bit++) {
    product ^= rest & -((b >> bit) & 1);
    rest = ((rest << 1) ^ (0x1b & -(rest >> 7))) & 255;
  }
  return product;
}

/** Returns the inverse of a byte that is not 0: its 254th power. */
function inverse(a) {
  let power = a;
  for (let i = 0; i < 6; i++) power = times(times(power, power), a);
  return times(power, power);
}
