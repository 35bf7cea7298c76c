// XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03), opening alone: what bodies of entries are sealed with (PROTOCOL 25.7).

import { Refused } from "./cbor.js";
import { concat, equal } from "./hash.js";

const CONSTANTS = Uint32Array.of(0x61707865, 0x3320646e, 0x79622d32, 0x6b206574);
const [BLOCK_BYTES, TAG_BYTES, NONCE_BYTES] = [64, 16, 24];
const [P, R_MASK, TWO_128] = [(1n << 130n) - 5n, 0x0ffffffc0ffffffc0ffffffc0fffffffn, 1n << 128n];

/** Opens `nonce 24, ct` under a key of 32 bytes; refuses with `not_opened`. */
export function open(key, bytes, aad) {
  if (bytes.length < NONCE_BYTES + TAG_BYTES) throw notOpened();
  const [nonce, sealed, tag] = [bytes.subarray(0, NONCE_BYTES), bytes.subarray(NONCE_BYTES, -TAG_BYTES), bytes.subarray(-TAG_BYTES)];
  // HChaCha20 makes the key of this nonce out of its first 16 bytes; the rest is ChaCha20's own nonce.
  const start = [...CONSTANTS, ...wordsOf(key), ...wordsOf(nonce.subarray(0, 16))];
  const mixed = rounds(start);
  const begin = [...CONSTANTS, ...mixed.subarray(0, 4), ...mixed.subarray(12), 0, 0, ...wordsOf(nonce.subarray(16))];
  if (!equal(poly1305(block(begin, 0), padded(aad), padded(sealed), lengths(aad, sealed)), tag)) throw notOpened();
  const out = Uint8Array.from(sealed);
  for (let at = 0; at < out.length; at += BLOCK_BYTES) {
    const stream = block(begin, 1 + at / BLOCK_BYTES);
    for (let i = 0; i < BLOCK_BYTES && at + i < out.length; i++) out[at + i] ^= stream[i];
  }
  return out;
}

const notOpened = () => new Refused("not_opened", "sealed under another key or for another place, or damaged");

/** Returns the bytes of the key stream's block of this number. */
function block(start, counter) {
  const words = Uint32Array.from(start);
  words[12] = counter;
  const mixed = rounds(words);
  const out = new Uint8Array(BLOCK_BYTES);
  const view = new DataView(out.buffer);
  for (let i = 0; i < 16; i++) view.setUint32(4 * i, mixed[i] + words[i], true);
  return out;
}

const QUARTERS = [[0, 4, 8, 12], [1, 5, 9, 13], [2, 6, 10, 14], [3, 7, 11, 15], [0, 5, 10, 15], [1, 6, 11, 12], [2, 7, 8, 13], [3, 4, 9, 14]];

/** Returns the sixteen words after twenty rounds. */
function rounds(words) {
  const v = Uint32Array.from(words);
  for (let twice = 0; twice < 10; twice++) {
    for (const [a, b, c, d] of QUARTERS) {
      v[a] += v[b];
      v[d] = turned(v[d] ^ v[a], 16);
      v[c] += v[d];
      v[b] = turned(v[b] ^ v[c], 12);
      v[a] += v[b];
      v[d] = turned(v[d] ^ v[a], 8);
      v[c] += v[d];
      v[b] = turned(v[b] ^ v[c], 7);
    }
  }
  return v;
}

const turned = (word, bits) => (word << bits) | (word >>> (32 - bits));

/** Returns the tag over the parts, each of whole blocks, under the first block of the key stream (RFC 8439, 2.5). */
function poly1305(first, ...parts) {
  const [r, s] = [littleEndian(first.subarray(0, 16)) & R_MASK, littleEndian(first.subarray(16, 32))];
  const message = concat(...parts);
  let sum = 0n;
  for (let at = 0; at < message.length; at += 16) sum = ((sum + littleEndian(message.subarray(at, at + 16)) + TWO_128) * r) % P;
  const tag = (sum + s) % TWO_128;
  return Uint8Array.from({ length: TAG_BYTES }, (_, i) => Number((tag >> BigInt(8 * i)) & 255n));
}

/** Returns bytes with zeros up to whole blocks of 16. */
const padded = (bytes) => concat(bytes, new Uint8Array((16 - (bytes.length % 16)) % 16));

/** Returns two lengths as Poly1305 covers them. */
function lengths(...parts) {
  const out = new Uint8Array(16);
  parts.forEach(({ length }, i) => new DataView(out.buffer).setUint32(8 * i, length, true));
  return out;
}

/** Returns little-endian words of bytes. */
function wordsOf(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return Uint32Array.from({ length: bytes.length / 4 }, (_, i) => view.getUint32(4 * i, true));
}

function littleEndian(bytes) {
  const words = wordsOf(bytes);
  return words.reduceRight((value, word) => (value << 32n) | BigInt(word), 0n);
}
