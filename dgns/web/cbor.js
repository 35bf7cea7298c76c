// Strict deterministic CBOR: the subset that everything signed is written in (PROTOCOL 1.3).

import { concat } from "./hash.js";

/** Why something is refused: one of the stable codes of PROTOCOL 4.6 or 11.4, and what was seen, for people. */
export class Refused extends Error {
  constructor(code, detail = "") {
    super(detail ? `${code}: ${detail}` : code);
    this.code = code;
  }
}

/** Returns what refuses with a code, and says why in the words that `why` has for it. */
export const refusing = (why) => (code) => {
  throw new Refused(code, why[code]);
};

/** Runs a decoder; whatever it refuses has `code` here. */
export function refusedAs(code, decode) {
  try {
    return decode();
  } catch (error) {
    if (error instanceof Refused) throw new Refused(code, error.message);
    throw error;
  }
}

const DEPTH_MAX = 8;
const [UINT, BYTES, TEXT, ARRAY, MAP, BOOL, NULL] = ["uint", "bytes", "text", "array", "map", "bool", "null"];
const MAJORS = { 0: UINT, 2: BYTES, 3: TEXT, 4: ARRAY, 5: MAP };
const SIMPLE = { 0xf4: BOOL, 0xf5: BOOL, 0xf6: NULL };

/**
 * Reads one item after the other from a byte array and refuses at once whatever is not the only permitted spelling: `bad_cbor`,
 * `not_canonical`, and `bad_field` where the structure has another kind of item.
 */
export class Reader {
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
  }

  fail(code) {
    throw new Refused(code, `byte ${this.at}`);
  }

  /** Returns the kind of the next item without reading it. */
  peek() {
    if (this.at >= this.bytes.length) this.fail("bad_cbor");
    const first = this.bytes[this.at];
    const [major, info] = [first >> 5, first & 31];
    if (info === 31 && major >= 2 && major <= 5) this.fail("not_canonical");
    const kind = info < 28 ? (MAJORS[major] ?? SIMPLE[first]) : undefined;
    return kind ?? this.fail("bad_cbor");
  }

  /** Reads a head of this kind; returns its argument (BigInt) and whether it had its shortest form. */
  head(kind) {
    if (this.peek() !== kind) this.fail("bad_field");
    const info = this.bytes[this.at] & 31;
    const width = info < 24 ? 0 : 1 << (info - 24);
    if (this.at + 1 + width > this.bytes.length) this.fail("bad_cbor");
    let value = width === 0 ? BigInt(info) : 0n;
    for (let i = 1; i <= width; i++) value = (value << 8n) | BigInt(this.bytes[this.at + i]);
    this.at += 1 + width;
    const least = [0n, 24n, 256n, undefined, 65536n, undefined, undefined, undefined, 4294967296n][width];
    return { value, shortest: value >= least };
  }

  /** Returns an unsigned integer as BigInt. */
  uint() {
    const { value, shortest } = this.head(UINT);
    return shortest ? value : this.fail("not_canonical");
  }

  content(kind, use) {
    const { value, shortest } = this.head(kind);
    if (value > BigInt(this.bytes.length - this.at)) this.fail("bad_cbor");
    const out = use(this.bytes.subarray(this.at, this.at + Number(value)));
    this.at += Number(value);
    return shortest ? out : this.fail("not_canonical");
  }

  /** Returns a byte string. */
  bstr() {
    return this.content(BYTES, (bytes) => bytes);
  }

  /** Returns a text string. */
  tstr() {
    return this.content(TEXT, (bytes) => {
      try {
        return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
      } catch {
        return this.fail("bad_cbor");
      }
    });
  }

  count(kind) {
    const { value, shortest } = this.head(kind);
    if (!shortest) this.fail("not_canonical");
    return value <= BigInt(this.bytes.length - this.at) ? Number(value) : this.fail("bad_cbor");
  }

  /** Returns the number of items of an array, no more than the bytes that follow. */
  array() {
    return this.count(ARRAY);
  }

  /** Returns the number of entries of a map, no more than the bytes that follow. Its keys are read with `keyAfter`. */
  map() {
    return this.count(MAP);
  }

  /** Steps over `null` and returns true if it is next. */
  null() {
    if (this.peek() !== NULL) return false;
    this.at += 1;
    return true;
  }

  /** Returns `true` or `false`. */
  bool() {
    if (this.peek() !== BOOL) this.fail("bad_field");
    return this.bytes[this.at++] === 0xf5;
  }

  /** Returns the next key of a map, which lies above `last` (BigInt; -1n at the start). */
  keyAfter(last) {
    if (this.peek() !== UINT) this.fail("bad_cbor");
    const key = this.uint();
    return key > last ? key : this.fail("not_canonical");
  }

  /** Steps over one whole item and returns its bytes; nested at most 8 deep. */
  item(depth = 0) {
    const start = this.at;
    if (depth > DEPTH_MAX) this.fail("bad_cbor");
    const kind = this.peek();
    if (kind === UINT) this.uint();
    else if (kind === BYTES) this.bstr();
    else if (kind === TEXT) this.tstr();
    else if (kind === ARRAY) {
      for (let left = this.array(); left > 0; left--) this.item(depth + 1);
    } else if (kind === MAP) {
      let last = -1n;
      for (let left = this.map(); left > 0; left--) {
        last = this.keyAfter(last);
        this.item(depth + 1);
      }
    } else this.at += 1;
    return this.bytes.subarray(start, this.at);
  }

  /** Refuses bytes behind the item. */
  end() {
    if (this.at !== this.bytes.length) this.fail("bad_cbor");
  }
}

/** Returns the shortest head of an item. */
function headBytes(major, value) {
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
  if (typeof value === "number" || typeof value === "bigint") return headBytes(0, value);
  if (typeof value === "string") {
    const bytes = new TextEncoder().encode(value);
    return concat(headBytes(3, bytes.length), bytes);
  }
  if (value instanceof Uint8Array) return concat(headBytes(2, value.length), value);
  if (Array.isArray(value)) return concat(headBytes(4, value.length), ...value.map(encode));
  const entries = [...value].filter(([, v]) => v !== undefined).sort(([a], [b]) => (BigInt(a) < BigInt(b) ? -1 : 1));
  return concat(headBytes(5, entries.length), ...entries.flatMap(([k, v]) => [headBytes(0, k), encode(v)]));
}
