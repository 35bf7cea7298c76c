// QR codes (ISO/IEC 18004): bytes at level M, versions 1 to 10, which is 213 bytes at most.

const VERSIONS = 10;
/** Error correction codewords of a block, and blocks, by version. */
const CORRECTION = [0, 10, 16, 26, 18, 24, 16, 18, 22, 22, 26];
const BLOCKS = [0, 1, 1, 1, 2, 2, 4, 4, 4, 5, 5];
const MASKS = [
  (x, y) => (x + y) % 2, (x, y) => y % 2, (x) => x % 3, (x, y) => (x + y) % 3, (x, y) => (Math.floor(x / 3) + Math.floor(y / 2)) % 2,
  (x, y) => ((x * y) % 2) + ((x * y) % 3), (x, y) => (((x * y) % 2) + ((x * y) % 3)) % 2, (x, y) => (((x + y) % 2) + ((x * y) % 3)) % 2,
];

/** Returns the code of a text: rows of modules, true for dark, without the margin of four that belongs around it. Throws what is too long. */
export function qrCode(text) {
  const bytes = new TextEncoder().encode(text);
  let version = 1;
  while (version <= VERSIONS && dataCodewords(version) < bytes.length + (version < 10 ? 2 : 3)) version++;
  if (version > VERSIONS) throw new RangeError(`${bytes.length} bytes do not fit a code`);
  const drawn = frame(version);
  place(drawn, interleaved(codewords(bytes, version), version));
  const masked = MASKS.map((mask, number) => withMask(drawn, mask, number));
  return masked.reduce((best, one) => (penalty(one) < penalty(best) ? one : best));
}

function allCodewords(version) {
  const aligns = Math.floor(version / 7) + 2;
  const aligned = version > 1 ? (25 * aligns - 10) * aligns - 55 : 0;
  return Math.floor(((16 * version + 128) * version + 64 - aligned - (version > 6 ? 36 : 0)) / 8);
}

const dataCodewords = (version) => allCodewords(version) - CORRECTION[version] * BLOCKS[version];

/** The bytes behind their mode and length, padded. */
function codewords(bytes, version) {
  const bits = [];
  const put = (value, length) => { for (let i = length - 1; i >= 0; i--) bits.push((value >>> i) & 1); };
  put(4, 4);
  put(bytes.length, version < 10 ? 8 : 16);
  bytes.forEach((byte) => put(byte, 8));
  put(0, Math.min(4, dataCodewords(version) * 8 - bits.length));
  while (bits.length % 8 !== 0) bits.push(0);
  for (let pad = 0xec; bits.length < dataCodewords(version) * 8; pad ^= 0xec ^ 0x11) put(pad, 8);
  return Array.from({ length: bits.length / 8 }, (_, i) => Number.parseInt(bits.slice(8 * i, 8 * i + 8).join(""), 2));
}

// --- Reed and Solomon ----------------------------------------------------------------------------------------------------------

function times(a, b) {
  let product = 0;
  for (let i = 7; i >= 0; i--) product = (product << 1) ^ ((product >>> 7) * 0x11d) ^ (((b >>> i) & 1) * a);
  return product;
}

function divisor(degree) {
  const result = [...Array(degree - 1).fill(0), 1];
  for (let i = 0, root = 1; i < degree; i++, root = times(root, 2)) {
    for (let j = 0; j < degree; j++) result[j] = times(result[j], root) ^ (result[j + 1] ?? 0);
  }
  return result;
}

function remainder(data, by) {
  const result = Array(by.length).fill(0);
  for (const byte of data) {
    const factor = byte ^ result.shift();
    result.push(0);
    by.forEach((coefficient, i) => { result[i] ^= times(coefficient, factor); });
  }
  return result;
}

/** Cuts data into blocks, corrects each, and deals them out in turns. */
function interleaved(data, version) {
  const [correction, count, all] = [CORRECTION[version], BLOCKS[version], allCodewords(version)];
  const [short, length] = [count - (all % count), Math.floor(all / count) - correction];
  const by = divisor(correction);
  let at = 0;
  const blocks = Array.from({ length: count }, (_, i) => data.slice(at, (at += length + (i < short ? 0 : 1))));
  const dealt = (rows, most) => Array.from({ length: most }, (_, i) => rows.map((row) => row[i])).flat().filter((byte) => byte !== undefined);
  return [...dealt(blocks, length + 1), ...dealt(blocks.map((block) => remainder(block, by)), correction)];
}

// --- Modules ---------------------------------------------------------------------------------------------------------------------

/** The modules that are the same whatever the code says; `fixed` marks them. */
function frame(version) {
  const size = 4 * version + 17;
  const [dark, fixed] = [0, 1].map(() => Array.from({ length: size }, () => Array(size).fill(false)));
  const set = (x, y, value) => {
    if (x < 0 || y < 0 || x >= size || y >= size) return;
    dark[y][x] = Boolean(value);
    fixed[y][x] = true;
  };
  const rings = (cx, cy, radius, light) => {
    for (let y = -radius; y <= radius; y++) for (let x = -radius; x <= radius; x++) set(cx + x, cy + y, !light.includes(Math.max(Math.abs(x), Math.abs(y))));
  };
  for (let i = 0; i < size; i++) [[6, i], [i, 6]].forEach(([x, y]) => set(x, y, i % 2 === 0));
  const middles = alignments(version, size);
  const last = middles.length - 1;
  middles.forEach((y, i) => middles.forEach((x, j) => {
    if (!((i === 0 && (j === 0 || j === last)) || (i === last && j === 0))) rings(x, y, 2, [1]);
  }));
  [[3, 3], [size - 4, 3], [3, size - 4]].forEach(([x, y]) => rings(x, y, 4, [2, 4]));
  if (version > 6) {
    let rest = version;
    for (let i = 0; i < 12; i++) rest = (rest << 1) ^ ((rest >>> 11) * 0x1f25);
    for (let i = 0; i < 18; i++) {
      const [a, b, bit] = [size - 11 + (i % 3), Math.floor(i / 3), ((version << 12 | rest) >>> i) & 1];
      set(a, b, bit);
      set(b, a, bit);
    }
  }
  format(set, size, 0);
  return { size, dark, fixed };
}

function alignments(version, size) {
  if (version === 1) return [];
  const count = Math.floor(version / 7) + 2;
  const step = Math.ceil((4 * version + 4) / (2 * count - 2)) * 2;
  return [6, ...Array.from({ length: count - 1 }, (_, i) => size - 7 - step * (count - 2 - i))];
}

/** Writes level M and the mask, twice. */
function format(set, size, mask) {
  let rest = mask;
  for (let i = 0; i < 10; i++) rest = (rest << 1) ^ ((rest >>> 9) * 0x537);
  const bit = (i) => (((mask << 10 | rest) ^ 0x5412) >>> i) & 1;
  for (let i = 0; i < 6; i++) set(8, i, bit(i));
  [[8, 7], [8, 8], [7, 8]].forEach(([x, y], i) => set(x, y, bit(6 + i)));
  for (let i = 9; i < 15; i++) set(14 - i, 8, bit(i));
  for (let i = 0; i < 8; i++) set(size - 1 - i, 8, bit(i));
  for (let i = 8; i < 15; i++) set(8, size - 15 + i, bit(i));
  set(8, size - 8, true);
}

/** Lays the codewords out in columns of two, up and down by turns, from the right. */
function place({ size, dark, fixed }, words) {
  let at = 0;
  for (let right = size - 1; right > 0; right -= 2) {
    if (right === 6) right = 5;
    for (let step = 0; step < size; step++) {
      const y = ((right + 1) & 2) === 0 ? size - 1 - step : step;
      for (const x of [right, right - 1]) {
        if (fixed[y][x]) continue;
        dark[y][x] = ((words[at >>> 3] >>> (7 - (at & 7))) & 1) === 1;
        at++;
      }
    }
  }
}

function withMask({ size, dark, fixed }, mask, number) {
  const rows = dark.map((row, y) => row.map((module, x) => (fixed[y][x] ? module : module !== (mask(x, y) === 0))));
  format((x, y, value) => { rows[y][x] = Boolean(value); }, size, number);
  return rows;
}

/** How hard a code is to read, as the standard counts. */
function penalty(rows) {
  const lines = [...rows, ...rows.map((_, x) => rows.map((row) => row[x]))].map((line) => line.map(Number).join(""));
  let sum = 0;
  for (const line of lines) {
    for (const [run] of line.matchAll(/0{5,}|1{5,}/g)) sum += run.length - 2;
    sum += 40 * [...line.matchAll(/(?=10111010000|00001011101)/g)].length;
  }
  for (let y = 1; y < rows.length; y++) for (let x = 1; x < rows.length; x++) if (rows[y][x] === rows[y - 1][x] && rows[y][x] === rows[y][x - 1] && rows[y][x] === rows[y - 1][x - 1]) sum += 3;
  const share = rows.flat().filter(Boolean).length / rows.length ** 2;
  return sum + 10 * Math.floor(Math.abs(share - 0.5) * 20);
}
