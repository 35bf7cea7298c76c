// Proof of work and invitation codes (PROTOCOL 5.2). `solve` yields now and then, so that a page stays alive; in a worker it need not.

import { ascii, bigEndian, concat, domainHash, resumed, sha256 } from "./hash.js";

const DOMAIN = ascii("dgns/pow/v1\0");
/** Tries between two looks at the clock: a few milliseconds. */
const SLICE_TRIES = 1 << 14;

const prefixOf = (name, did) => {
  const text = ascii(name);
  return concat(DOMAIN, bigEndian(text.length, 2), text, did);
};

/** Returns `H(pow; name, did, nonce)`, 32 bytes; the nonce a BigInt or 8 bytes. */
export function workOf(name, did, nonce) {
  return sha256(prefixOf(name, did), nonce instanceof Uint8Array ? nonce : bigEndian(nonce, 8));
}

/** Returns with how many zero bits bytes begin. */
export function leadingZeroBits(bytes) {
  const first = bytes.findIndex((byte) => byte !== 0);
  return first < 0 ? 8 * bytes.length : 8 * first + Math.clz32(bytes[first]) - 24;
}

/**
 * Returns the first nonce (8 bytes) from `start` (BigInt) on whose work begins with at least `bits` zero bits: `2^bits` tries on average.
 *
 * `onProgress(tries)` is called after each slice and may return a promise, which is waited for; the default lets the page breathe.
 * `signal` ends the search with its reason.
 */
export async function solve(name, did, bits, { start = 0n, onProgress = breathe, signal } = {}) {
  const tried = resumed(prefixOf(name, did));
  let [high, low] = [Number(BigInt.asUintN(64, start) >> 32n), Number(BigInt.asUintN(32, start))];
  for (let tries = 0; ; tries += SLICE_TRIES) {
    for (let i = 0; i < SLICE_TRIES; i++) {
      // Looks at the first 32 bits before anything is made of the rest.
      if (Math.clz32(tried(high, low)) >= Math.min(bits, 32)) {
        const nonce = concat(bigEndian(high, 4), bigEndian(low, 4));
        if (leadingZeroBits(workOf(name, did, nonce)) >= bits) return nonce;
      }
      low = (low + 1) >>> 0;
      if (low === 0) high = (high + 1) >>> 0;
    }
    signal?.throwIfAborted();
    await onProgress(tries + SLICE_TRIES);
  }
}

const breathe = () => new Promise((done) => setTimeout(done, 0));

/** Returns `H(invite; code)` of the 16 bytes of an invitation code. */
export const codeHash = (code) => domainHash("invite", code);
