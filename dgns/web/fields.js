// Maps with integer keys, read key by key into plain objects: the shape of every payload, body and state (PROTOCOL 1.3).

import { Refused } from "./cbor.js";

/** Refuses with `bad_field`. */
export function badField(why) {
  throw new Refused("bad_field", why);
}

/** Refuses with `not_canonical`. */
export function notCanonical(why) {
  throw new Refused("not_canonical", why);
}

/**
 * Reads a map by `table`: key -> [property, read function, optional?]. A key the table does not name, or one that is missing,
 * is refused with `bad_field`. Optional absent properties are undefined. `read` gets the reader and what was read before.
 */
export function readMap(reader, table) {
  const out = {};
  const pairs = reader.map();
  let last = -1n;
  for (let i = 0; i < pairs; i++) {
    last = reader.keyAfter(last);
    const field = table[last];
    if (field === undefined) badField(`key ${last}`);
    mustHaveBelow(table, out, last);
    out[field[0]] = field[1](reader, out);
  }
  mustHaveBelow(table, out, 1n << 64n);
  return out;
}

/** Refuses a map without a required key below `key`. */
function mustHaveBelow(table, out, key) {
  for (const [number, [property, , optional]] of Object.entries(table)) {
    if (!optional && BigInt(number) < key && out[property] === undefined) badField(`${property} is missing`);
  }
}

/** Returns a reader of a byte string of exactly `length` bytes. */
export const bytesOf = (length) => (reader) => {
  const bytes = reader.bstr();
  return bytes.length === length ? bytes : badField(`${bytes.length} bytes instead of ${length}`);
};

/** Returns a reader of an integer (BigInt) from `least` to `most`. */
export const uintWithin = (least, most) => (reader) => {
  const value = reader.uint();
  return value >= BigInt(least) && value <= BigInt(most) ? value : badField(`${value} outside ${least}..${most}`);
};

/** Reads a u64. */
export const u64 = (reader) => reader.uint();

/** Returns a reader of a small integer, one of `values`, as number. */
export const oneOf = (...values) => (reader) => {
  const value = Number(reader.uint());
  return values.includes(value) ? value : badField(`${value} is not one of ${values}`);
};

/** Reads a text string. */
export const text = (reader) => reader.tstr();

/** Returns a reader of an array of exactly these items, as array. */
export const tuple = (...items) => (reader) => {
  const length = reader.array();
  if (length !== items.length) badField(`${length} items instead of ${items.length}`);
  return items.map((read) => read(reader));
};

/** Returns a reader of an array of `least`..`most` equal items; without bounds the bytes bound it. */
export const listOf = (item, least = 0, most = Infinity) => (reader) => {
  const length = reader.array();
  if (length < least || length > most) badField(`${length} items, not ${least}..${most}`);
  return Array.from({ length }, () => item(reader));
};

/** Returns a reader of `null` or an item. */
export const nullOr = (item) => (reader) => (reader.null() ? null : item(reader));

/** Returns whether a list strictly ascends by `order`. */
export function isAscending(list, order) {
  return list.every((item, i) => i === 0 || order(list[i - 1], item) < 0);
}
