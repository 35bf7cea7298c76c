// BLAKE3, unkeyed, 32 bytes: what names bodies of entries and chunks (PROTOCOL 25.2).

const IV = Uint32Array.of(0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19);
const [ROUNDS, BLOCK_BYTES, CHUNK_BYTES] = [7, 64, 1024];
const [CHUNK_START, CHUNK_END, PARENT, ROOT] = [1, 2, 4, 8];
/** The order of a block's words in the next round. */
const NEXT = [2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8];
/** The order in each round. */
const ORDERS = Array.from({ length: ROUNDS - 1 }).reduce((orders) => [...orders, NEXT.map((i) => orders.at(-1)[i])], [NEXT.map((_, i) => i)]);
/** The words that each of the eight mixings of a round takes: columns, then diagonals. */
const MIXINGS = [[0, 4, 8, 12], [1, 5, 9, 13], [2, 6, 10, 14], [3, 7, 11, 15], [0, 5, 10, 15], [1, 6, 11, 12], [2, 7, 8, 13], [3, 4, 9, 14]];

/** Returns BLAKE3 over `bytes`, 32 bytes. */
export function blake3(bytes) {
  const words = chainingValue(bytes, 0, ROOT);
  const out = new Uint8Array(32);
  const view = new DataView(out.buffer);
  words.forEach((word, i) => view.setUint32(4 * i, word, true));
  return out;
}

/** Returns the eight words of the subtree over `bytes`, whose first chunk has the number `counter`. */
function chainingValue(bytes, counter, root) {
  if (bytes.length <= CHUNK_BYTES) return chunk(bytes, counter, root);
  // The left side holds the largest power of two of chunks that leaves something for the right.
  const left = 2 ** Math.floor(Math.log2(Math.ceil(bytes.length / CHUNK_BYTES) - 1));
  const block = new Uint32Array(16);
  block.set(chainingValue(bytes.subarray(0, left * CHUNK_BYTES), counter, 0));
  block.set(chainingValue(bytes.subarray(left * CHUNK_BYTES), counter + left, 0), 8);
  return compress(IV, block, 0, BLOCK_BYTES, PARENT | root);
}

function chunk(bytes, counter, root) {
  const blocks = Math.max(1, Math.ceil(bytes.length / BLOCK_BYTES));
  let state = IV;
  for (let i = 0; i < blocks; i++) {
    const part = bytes.subarray(i * BLOCK_BYTES, (i + 1) * BLOCK_BYTES);
    const isLast = i === blocks - 1;
    state = compress(state, wordsOf(part), counter, part.length, (i === 0 ? CHUNK_START : 0) | (isLast ? CHUNK_END | root : 0));
  }
  return state;
}

/** Returns up to 64 bytes as 16 little-endian words, zeros behind them. */
function wordsOf(bytes) {
  const words = new Uint32Array(16);
  for (let i = 0; i < bytes.length; i++) words[i >> 2] |= bytes[i] << (8 * (i & 3));
  return words;
}

function compress(state, block, counter, length, flags) {
  const v = Uint32Array.of(...state, IV[0], IV[1], IV[2], IV[3], counter, 0, length, flags);
  for (const order of ORDERS) {
    for (let m = 0; m < 8; m++) {
      const [a, b, c, d] = MIXINGS[m];
      v[a] += v[b] + block[order[2 * m]];
      v[d] = turned(v[d] ^ v[a], 16);
      v[c] += v[d];
      v[b] = turned(v[b] ^ v[c], 12);
      v[a] += v[b] + block[order[2 * m + 1]];
      v[d] = turned(v[d] ^ v[a], 8);
      v[c] += v[d];
      v[b] = turned(v[b] ^ v[c], 7);
    }
  }
  return v.slice(0, 8).map((word, i) => word ^ v[i + 8]);
}

const turned = (word, bits) => (word >>> bits) | (word << (32 - bits));
