// Argon2id (RFC 9106, version 0x13), and BLAKE2b (RFC 7693) as far as it needs it.
//
// Memory is words of 32 bits, a number of 64 bits two of them, low first. What touches each block of memory is written for speed; the few
// hashes at both ends are of big integers. How long it takes does not depend on the secret but in where the second half of the passes reads.

import { Refused } from "./cbor.js";
import { concat } from "./hash.js";

const [BLOCK_BYTES, BLOCK_WORDS, SLICES, VERSION, ARGON2ID] = [1024, 256, 4, 0x13, 2];

/**
 * Returns `length` bytes of Argon2id over a secret and a salt; `[memoryKib, passes, lanes]`. `key` and `data` are the optional inputs of the RFC.
 *
 * Refuses with `no_memory` where that much is not to be had.
 */
export function argon2id(secret, salt, [memoryKib, passes, lanes], length = 32, { key = NONE, data = NONE } = {}) {
  const first = blake2b(64, concat(...[lanes, length, memoryKib, passes, VERSION, ARGON2ID].map(le32), ...[secret, salt, key, data].flatMap((part) => [le32(part.length), part])));
  const laneBlocks = SLICES * Math.floor(memoryKib / (SLICES * lanes));
  const memory = allocated(laneBlocks * lanes);
  for (let lane = 0; lane < lanes; lane++) {
    for (const at of [0, 1]) memory.set(wordsOf(longHash(BLOCK_BYTES, concat(first, le32(at), le32(lane)))), (lane * laneBlocks + at) * BLOCK_WORDS);
  }
  const shape = { memory, memoryBlocks: laneBlocks * lanes, laneBlocks, lanes, passes };
  for (let pass = 0; pass < passes; pass++) {
    for (let slice = 0; slice < SLICES; slice++) {
      for (let lane = 0; lane < lanes; lane++) fillSegment(shape, pass, slice, lane);
    }
  }
  const last = new Uint32Array(BLOCK_WORDS);
  for (let lane = 0; lane < lanes; lane++) {
    const from = (lane * laneBlocks + laneBlocks - 1) * BLOCK_WORDS;
    for (let i = 0; i < BLOCK_WORDS; i++) last[i] ^= memory[from + i];
  }
  memory.fill(0);
  return longHash(length, bytesOf(last));
}

const NONE = new Uint8Array(0);

function allocated(blocks) {
  try {
    return new Uint32Array(blocks * BLOCK_WORDS);
  } catch {
    throw new Refused("no_memory", `${blocks} KiB are not to be had`);
  }
}

// --- the memory ------------------------------------------------------------------------------------------------------------------------

/** Fills a quarter of a lane, RFC 9106, 3.4. In the first half of the first pass what is read does not depend on the secret. */
function fillSegment({ memory, memoryBlocks, laneBlocks, lanes, passes }, pass, slice, lane) {
  const segment = laneBlocks / SLICES;
  const isIndependent = pass === 0 && slice < SLICES / 2;
  const [zero, input, addresses] = [new Uint32Array(BLOCK_WORDS), new Uint32Array(BLOCK_WORDS), new Uint32Array(BLOCK_WORDS)];
  for (const [i, value] of [pass, lane, slice, memoryBlocks, passes, ARGON2ID].entries()) input[2 * i] = value;
  const next = () => {
    input[12]++;
    compress(input, 0, zero, 0, addresses, 0, false);
    compress(addresses, 0, zero, 0, addresses, 0, false);
  };
  const start = pass === 0 && slice === 0 ? 2 : 0;
  if (isIndependent && start > 0) next();
  for (let i = start; i < segment; i++) {
    const column = slice * segment + i;
    const current = lane * laneBlocks + column;
    const previous = column === 0 ? current + laneBlocks - 1 : current - 1;
    if (isIndependent && i % 128 === 0) next();
    const from = isIndependent ? addresses : memory;
    const at = isIndependent ? 2 * (i % 128) : previous * BLOCK_WORDS;
    const [j1, j2] = [from[at], from[at + 1]];
    const refLane = pass === 0 && slice === 0 ? lane : j2 % lanes;
    const isOwn = refLane === lane;
    const behind = (pass === 0 ? slice : SLICES - 1) * segment;
    const area = behind + (isOwn ? i - 1 : i === 0 ? -1 : 0);
    const x = highOf(j1, j1);
    const relative = area - 1 - highOf(area, x);
    const origin = pass === 0 ? 0 : ((slice + 1) % SLICES) * segment;
    const reference = refLane * laneBlocks + ((origin + relative) % laneBlocks);
    compress(memory, previous * BLOCK_WORDS, memory, reference * BLOCK_WORDS, memory, current * BLOCK_WORDS, pass > 0);
  }
}

/** Returns the upper 32 bits of a product of two numbers of 32 bits. */
const highOf = (a, b) => Number((BigInt(a) * BigInt(b)) >> 32n);

const mixed = new Int32Array(BLOCK_WORDS);
const whole = new Int32Array(BLOCK_WORDS);

/** The compression G of RFC 9106, 3.5: out = G(x, y), or out XOR G(x, y). */
function compress(x, xAt, y, yAt, out, outAt, isAdded) {
  for (let i = 0; i < BLOCK_WORDS; i++) whole[i] = mixed[i] = x[xAt + i] ^ y[yAt + i];
  for (let i = 0; i < 256; i += 32) permute(i, i + 2, i + 4, i + 6, i + 8, i + 10, i + 12, i + 14, i + 16, i + 18, i + 20, i + 22, i + 24, i + 26, i + 28, i + 30);
  for (let i = 0; i < 32; i += 4) {
    permute(i, i + 2, i + 32, i + 34, i + 64, i + 66, i + 96, i + 98, i + 128, i + 130, i + 160, i + 162, i + 192, i + 194, i + 224, i + 226);
  }
  if (isAdded) for (let i = 0; i < BLOCK_WORDS; i++) out[outAt + i] ^= whole[i] ^ mixed[i];
  else for (let i = 0; i < BLOCK_WORDS; i++) out[outAt + i] = whole[i] ^ mixed[i];
}

/** The permutation P of RFC 9106, 3.6, on sixteen numbers of `mixed`. */
function permute(v0, v1, v2, v3, v4, v5, v6, v7, v8, v9, v10, v11, v12, v13, v14, v15) {
  mix(v0, v4, v8, v12);
  mix(v1, v5, v9, v13);
  mix(v2, v6, v10, v14);
  mix(v3, v7, v11, v15);
  mix(v0, v5, v10, v15);
  mix(v1, v6, v11, v12);
  mix(v2, v7, v8, v13);
  mix(v3, v4, v9, v14);
}

/** The function GB: four times a sum with a product, and a rotation, by 32, 24, 16 and 63. */
function mix(a, b, c, d) {
  let [al, ah, bl, bh] = [mixed[a], mixed[a + 1], mixed[b], mixed[b + 1]];
  let [cl, ch, dl, dh] = [mixed[c], mixed[c + 1], mixed[d], mixed[d + 1]];
  let low = 0, x = 0, y = 0;

  low = sumLow(al, bl);
  ah = sumHigh(al, ah, bl, bh, low);
  al = low | 0;
  [dl, dh] = [dh ^ ah, dl ^ al];

  low = sumLow(cl, dl);
  ch = sumHigh(cl, ch, dl, dh, low);
  cl = low | 0;
  [x, y] = [bl ^ cl, bh ^ ch];
  [bl, bh] = [(x >>> 24) | (y << 8), (y >>> 24) | (x << 8)];

  low = sumLow(al, bl);
  ah = sumHigh(al, ah, bl, bh, low);
  al = low | 0;
  [x, y] = [dl ^ al, dh ^ ah];
  [dl, dh] = [(x >>> 16) | (y << 16), (y >>> 16) | (x << 16)];

  low = sumLow(cl, dl);
  ch = sumHigh(cl, ch, dl, dh, low);
  cl = low | 0;
  [x, y] = [bl ^ cl, bh ^ ch];
  [bl, bh] = [(x << 1) | (y >>> 31), (y << 1) | (x >>> 31)];

  mixed[a] = al;
  mixed[a + 1] = ah;
  mixed[b] = bl;
  mixed[b + 1] = bh;
  mixed[c] = cl;
  mixed[c + 1] = ch;
  mixed[d] = dl;
  mixed[d + 1] = dh;
}

/** Returns the low half of a + b + 2 * low(a) * low(b), below 3 * 2^32: what is above 2^32 is the carry. */
const sumLow = (al, bl) => (al >>> 0) + (bl >>> 0) + ((Math.imul(al, bl) << 1) >>> 0);

/** Returns the high half; `low` as `sumLow` returned it. */
function sumHigh(al, ah, bl, bh, low) {
  // Twice the product in floating point is wrong by 2^12 at most: without its low half it is a multiple of 2^32, which rounding finds.
  const twice = (al >>> 0) * (bl >>> 0) * 2 - ((Math.imul(al, bl) << 1) >>> 0);
  return (ah + bh + ((twice * 2 ** -32 + 0.5) | 0) + ((low * 2 ** -32) | 0)) | 0;
}

// --- the ends ----------------------------------------------------------------------------------------------------------------------------

const le32 = (value) => Uint8Array.of(value & 255, (value >>> 8) & 255, (value >>> 16) & 255, value >>> 24);
const bytesOf = (words) => concat(...Array.from(words, le32));

function wordsOf(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return Uint32Array.from({ length: bytes.length / 4 }, (_, i) => view.getUint32(4 * i, true));
}

/** The hash of any length, H' of RFC 9106, 3.3. */
function longHash(length, input) {
  if (length <= 64) return blake2b(length, concat(le32(length), input));
  const parts = [];
  let block = blake2b(64, concat(le32(length), input));
  let left = length;
  for (; left > 64; left -= 32) {
    parts.push(block.subarray(0, 32));
    block = blake2b(left - 32 > 64 ? 64 : left - 32, block);
  }
  return concat(...parts, block);
}

const MASK = (1n << 64n) - 1n;
const IV = [
  0x6a09e667f3bcc908n, 0xbb67ae8584caa73bn, 0x3c6ef372fe94f82bn, 0xa54ff53a5f1d36f1n, 0x510e527fade682d1n, 0x9b05688c2b3e6c1fn, 0x1f83d9abfb41bd6bn,
  0x5be0cd19137e2179n,
];
const SIGMA = [
  "0123456789abcdef", "ea489fd61c02b753", "b8c052fdae367194", "7931dcbe265a40f8", "905724afe1bc683d", "2c6a0b834d75fe19", "c51fed4a0763928b",
  "db7ec13950f4862a", "6fe9b308c2d714a5", "a2847615fb9e3cd0",
].map((row) => [...row].map((digit) => parseInt(digit, 16)));
const COLUMNS = [[0, 4, 8, 12], [1, 5, 9, 13], [2, 6, 10, 14], [3, 7, 11, 15], [0, 5, 10, 15], [1, 6, 11, 12], [2, 7, 8, 13], [3, 4, 9, 14]];

/** Returns the unkeyed BLAKE2b hash of 1 to 64 bytes. */
export function blake2b(length, input) {
  const h = [...IV];
  h[0] ^= BigInt(0x01010000 ^ length);
  const blocks = Math.max(1, Math.ceil(input.length / 128));
  const padded = new Uint8Array(blocks * 128);
  padded.set(input);
  const words = new BigUint64Array(padded.buffer);
  for (let block = 0; block < blocks; block++) {
    const isLast = block === blocks - 1;
    compressHash(h, words.subarray(16 * block, 16 * block + 16), BigInt(isLast ? input.length : 128 * (block + 1)), isLast);
  }
  return new Uint8Array(BigUint64Array.from(h).buffer).slice(0, length);
}

function compressHash(h, m, count, isLast) {
  const v = [...h, ...IV];
  v[12] ^= count;
  if (isLast) v[14] ^= MASK;
  const rotated = (x, by) => ((x >> by) | (x << (64n - by))) & MASK;
  for (let round = 0; round < 12; round++) {
    const order = SIGMA[round % 10];
    for (const [i, [a, b, c, d]] of COLUMNS.entries()) {
      v[a] = (v[a] + v[b] + m[order[2 * i]]) & MASK;
      v[d] = rotated(v[d] ^ v[a], 32n);
      v[c] = (v[c] + v[d]) & MASK;
      v[b] = rotated(v[b] ^ v[c], 24n);
      v[a] = (v[a] + v[b] + m[order[2 * i + 1]]) & MASK;
      v[d] = rotated(v[d] ^ v[a], 16n);
      v[c] = (v[c] + v[d]) & MASK;
      v[b] = rotated(v[b] ^ v[c], 63n);
    }
  }
  for (let i = 0; i < 8; i++) h[i] ^= v[i] ^ v[i + 8];
}
