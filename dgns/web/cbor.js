// Strict deterministic CBOR: the subset that everything signed is written in (PROTOCOL 1.3).

import { concat } from "./hash.js";

/** Why something is refused: one of the stable codes of PROTOCOL 4.6 or 11.4, and what was seen, for people. */
export class Refused extends Error {
  constructor(code, detail = "") {
    super(detail ? `${code}: ${detail}` : code);
    this.code = code;
  }
}

const UINT = 0;
const BYTES = 2;
const TEXT = 3;
const ARRAY = 4;
const MAP = 5;
const SIMPLE = 7;

/** Reads one item after the other from a byte array and refuses at once whatever is not the only permitted spelling. */
export class Reader {
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
  }

  fail(code) {
    throw new Refused(code, `byte ${this.at}`);
  }

  /** Returns the head of the next item: its major type and argument (BigInt), and steps over it. */
  head() {
    if (this.at >= this.bytes.length) this.fail("bad_cbor");
    const first = this.bytes[this.at];
    const major = first >> 5;
    const info = first & 31;
    if (info < 24) {
      this.at += 1;
      return { major, value: BigInt(info), info };
    }
    if (info === 31 && [BYTES, TEXT, ARRAY, MAP].includes(major)) this.fail("not_canonical");
    if (info > 27) this.fail("bad_cbor");
    const width = 1 << (info - 24);
    if (this.at + 1 + width > this.bytes.length) this.fail("bad_cbor");
    let value = 0n;
    for (let i = 1; i <= width; i++) value = (value << 8n) | BigInt(this.bytes[this.at + i]);
    if (major !== SIMPLE) {
      const least = width === 1 ? 24n : 1n << BigInt(4 * width);
      if (value < least) this.fail("not_canonical");
    }
    this.at += 1 + width;
    return { major, value, info };
  }

  expect(major) {
    const start = this.at;
    const head = this.head();
    if (head.major !== major) {
      this.at = start;
      this.fail("bad_cbor");
    }
    return head.value;
  }

  /** Returns the next item's major type without reading it. */
  peek() {
    if (this.at >= this.bytes.length) this.fail("bad_cbor");
    return this.bytes[this.at] >> 5;
  }

  /** Returns an unsigned integer as BigInt. */
  uint() {
    return this.expect(UINT);
  }

  take(length) {
    if (length > BigInt(this.bytes.length - this.at)) this.fail("bad_cbor");
    const start = this.at;
    this.at += Number(length);
    return this.bytes.subarray(start, this.at);
  }

  /** Returns a byte string. */
  bstr() {
    return this.take(this.expect(BYTES));
  }

  /** Returns a text string. */
  tstr() {
    const bytes = this.take(this.expect(TEXT));
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    } catch {
      return this.fail("bad_cbor");
    }
  }

  /** Returns the number of items of an array; each takes a byte at least. */
  array() {
    const length = this.expect(ARRAY);
    if (length > BigInt(this.bytes.length - this.at)) this.fail("bad_cbor");
    return Number(length);
  }

  /** Returns the number of pairs of a map. Its keys are read with `key`. */
  map() {
    const length = this.expect(MAP);
    if (2n * length > BigInt(this.bytes.length - this.at)) this.fail("bad_cbor");
    return Number(length);
  }

  /** Steps over `null` and returns true if it is next. */
  null() {
    if (this.bytes[this.at] !== 0xf6) return false;
    this.at += 1;
    return true;
  }

  /** Returns `true` or `false`. */
  bool() {
    const byte = this.bytes[this.at];
    if (byte !== 0xf4 && byte !== 0xf5) this.fail("bad_cbor");
    this.at += 1;
    return byte === 0xf5;
  }

  /** Steps over one whole item and returns its bytes; nested at most 16 deep. */
  item(depth = 0) {
    const start = this.at;
    if (depth > 16) this.fail("bad_cbor");
    const { major, value, info } = this.head();
    if (major === BYTES) this.take(value);
    else if (major === TEXT) {
      this.at = start;
      this.tstr();
    } else if (major === ARRAY) {
      if (value > BigInt(this.bytes.length - this.at)) this.fail("bad_cbor");
      for (let i = 0n; i < value; i++) this.item(depth + 1);
    } else if (major === MAP) {
      if (2n * value > BigInt(this.bytes.length - this.at)) this.fail("bad_cbor");
      let last = -1n;
      for (let i = 0n; i < value; i++) {
        last = this.keyAfter(last);
        this.item(depth + 1);
      }
    } else if (major !== UINT && !(major === SIMPLE && info >= 20 && info <= 22)) {
      this.at = start;
      this.fail("bad_cbor");
    }
    return this.bytes.subarray(start, this.at);
  }

  /** Returns the next key of a map, which lies above `last` (BigInt; -1n at the start). */
  keyAfter(last) {
    const start = this.at;
    const key = this.uint();
    if (key <= last) {
      this.at = start;
      this.fail("not_canonical");
    }
    return key;
  }

  /** Refuses bytes behind the item. */
  end() {
    if (this.at !== this.bytes.length) this.fail("bad_cbor");
  }
}

/** Returns the shortest head of an item. */
function head(major, value) {
  const number = BigInt(value);
  const width = number < 24n ? 0 : number < 256n ? 1 : number < 65536n ? 2 : number < 4294967296n ? 4 : 8;
  const out = new Uint8Array(1 + width);
  out[0] = (major << 5) | (width === 0 ? Number(number) : 24 + Math.log2(width));
  let rest = number;
  for (let i = width; i > 0; i--, rest >>= 8n) out[i] = Number(rest & 255n);
  return out;
}

/**
 * Returns the canonical bytes of a value: BigInt or number, Uint8Array, string, boolean, null, array, or Map with integer keys.
 * Keys are sorted; entries whose value is undefined are left out.
 */
export function encode(value) {
  if (value === null) return Uint8Array.of(0xf6);
  if (typeof value === "boolean") return Uint8Array.of(value ? 0xf5 : 0xf4);
  if (typeof value === "number" || typeof value === "bigint") return head(UINT, value);
  if (typeof value === "string") {
    const bytes = new TextEncoder().encode(value);
    return concat(head(TEXT, bytes.length), bytes);
  }
  if (value instanceof Uint8Array) return concat(head(BYTES, value.length), value);
  if (Array.isArray(value)) return concat(head(ARRAY, value.length), ...value.map(encode));
  const entries = [...value].filter(([, v]) => v !== undefined).sort(([a], [b]) => (BigInt(a) < BigInt(b) ? -1 : 1));
  return concat(head(MAP, entries.length), ...entries.flatMap(([k, v]) => [head(UINT, k), encode(v)]));
}
