// What a host serves, and how it is asked for inside a channel (PROTOCOL 23.12). A file's root names its contents, and each chunk is checked by its
// id before it is used.

import { Reader, Refused, encode } from "../cbor.js";
import { badField, bytesOf, listOf, readMap, text, tuple, u64 } from "../fields.js";
import { ascii, bigEndian, domainHash, equal } from "../hash.js";
import { ANSWER_BYTES_MAX } from "../store/limits.js";

/** The bytes of a chunk. */
export const CHUNK_BYTES = 65_536;
/** The bytes of a file, at most. */
export const FILE_BYTES_MAX = 2n ** 36n;
const [PIECE_BYTES_MAX, IDS_MAX, LISTED_MAX, PATH_BYTES_MAX, HEAD_BYTES_MAX] = [15_360, 400, 1000, 1024, 600];
const [TOKEN_BYTES_MAX, CREDENTIAL_BYTES_MAX, ENVELOPE_BYTES_MAX, SITE_BYTES_MAX, ENTRIES_MAX, WRITTEN_BYTES_MAX] = [2420, 4608, 4096, 255, 256, 14_336];
const TARGET_BYTES_MAX = 512;
/** The bytes of an answer, or a body, that a host hands on. */
export const ASKED_BYTES_MAX = BigInt(ANSWER_BYTES_MAX);
/** What a lease is for. */
export const [READ, READ_AND_WRITE] = [1n, 3n];

/** Returns whether text is the path of a file as hosts serve them. */
export function isPath(path) {
  const isPart = (part) => part !== "" && !part.startsWith(".") && !part.includes("\\");
  return ascii(path).length <= PATH_BYTES_MAX && path.split("/").every(isPart) && !/\p{Cc}/u.test(path);
}

const upTo = (most) => (reader) => {
  const bytes = reader.bstr();
  return bytes.length <= most ? bytes : badField(`${bytes.length} bytes`);
};
const path = (reader) => {
  const read = text(reader);
  return ascii(read).length <= PATH_BYTES_MAX ? read : badField("a path of more than 1,024 bytes");
};
const code = (reader) => {
  const read = text(reader);
  return /^[a-z_]{1,32}$/.test(read) ? read : badField("no code");
};
const listed = (reader) => {
  const [at, size, modifiedS] = tuple(path, u64, u64)(reader);
  return isPath(at) ? { path: at, size, modifiedS } : badField("no path");
};
const ids = (reader) => {
  const bytes = reader.bstr();
  return bytes.length % 32 === 0 && bytes.length <= 32 * IDS_MAX ? bytes : badField("ids");
};
const bool = (reader) => reader.bool();
const root = bytesOf(32);
const short = (most) => (reader) => {
  const read = text(reader);
  const { length } = ascii(read);
  return length >= 1 && length <= most ? read : badField(`a text of ${length} bytes`);
};
const rights = (reader) => {
  const bits = u64(reader);
  return bits === READ || bits === READ_AND_WRITE ? bits : badField(`rights ${bits}`);
};
const askedBytes = (reader) => {
  const length = u64(reader);
  return length <= ASKED_BYTES_MAX ? length : badField(`${length} bytes`);
};
const entries = (reader) => {
  const all = listOf((one) => one.bstr(), 1, ENTRIES_MAX)(reader);
  const bytes = all.reduce((sum, { length }) => sum + length + 1, 0);
  return bytes <= WRITTEN_BYTES_MAX && !all.some((entry) => entry.includes(10)) ? all : badField("entries");
};

/** Name -> `[type, {key: [property, read, optional?]}]`. */
const MESSAGES = {
  hello: [0x02, { 1: ["envelope", (reader) => reader.bstr()], 2: ["head", upTo(HEAD_BYTES_MAX), true], 3: ["token", short(TOKEN_BYTES_MAX), true] }],
  welcome: [0x03, {}],
  err: [0x09, { 1: ["id", u64], 2: ["code", code] }],
  list: [0x40, { 1: ["id", u64], 2: ["after", path] }],
  open: [0x41, { 1: ["id", u64], 2: ["path", path] }],
  ids: [0x42, { 1: ["id", u64], 2: ["root", root], 3: ["from", u64] }],
  chunk: [0x43, { 1: ["id", u64], 2: ["root", root], 3: ["index", u64] }],
  ok: [0x08, { 1: ["id", u64], 2: ["index", u64, true] }],
  attest: [0x30, { 1: ["id", u64], 2: ["envelope", upTo(ENVELOPE_BYTES_MAX)] }],
  revoke: [0x31, { 1: ["handle", u64], 2: ["code", code] }],
  redirect: [0x32, { 1: ["id", u64], 2: ["to", short(PATH_BYTES_MAX)] }],
  lease: [0x33, { 1: ["id", u64], 2: ["site", short(SITE_BYTES_MAX)], 3: ["log", path], 4: ["rights", rights], 5: ["credential", upTo(CREDENTIAL_BYTES_MAX), true] }],
  read: [0x34, { 1: ["id", u64], 2: ["handle", u64], 3: ["from", u64] }],
  handle: [0x36, { 1: ["id", u64], 2: ["handle", u64], 3: ["rights", rights], 4: ["size", u64], 5: ["untilS", u64], 6: ["head", root, true], 7: ["lsn", u64, true] }],
  needproof: [0x37, { 1: ["id", u64], 2: ["nonce", root] }],
  stop: [0x45, { 1: ["id", u64] }],
  write: [0x46, { 1: ["id", u64], 2: ["handle", u64], 3: ["lsn", u64], 4: ["entries", entries], 5: ["expect", root, true] }],
  ask: [0x47, { 1: ["id", u64], 2: ["target", short(TARGET_BYTES_MAX)], 3: ["body", askedBytes, true] }],
  receipt: [0x56, { 1: ["id", u64], 2: ["position", u64], 3: ["size", u64], 4: ["head", root] }],
  listing: [0x50, { 1: ["id", u64], 2: ["files", listOf(listed, 0, LISTED_MAX)], 3: ["more", bool] }],
  opened: [0x51, { 1: ["id", u64], 2: ["root", root], 3: ["size", u64], 4: ["modifiedS", u64] }],
  idsAre: [0x52, { 1: ["id", u64], 2: ["ids", ids] }],
  piece: [0x3e, { 1: ["id", u64], 2: ["offset", u64], 3: ["last", bool], 4: ["bytes", upTo(PIECE_BYTES_MAX)] }],
  bye: [0x3f, { 2: ["code", code] }],
};
const BY_TYPE = new Map(Object.entries(MESSAGES).map(([name, [type, table]]) => [type, [name, { 0: ["type", u64], ...table }]]));
const asRow = ({ path: at, size, modifiedS }) => [at, size, modifiedS];

/** Returns the bytes of a message, `{t: name, ...}`. */
export function encodeSaid(said) {
  const [type, table] = MESSAGES[said.t];
  const rows = Object.entries(table).map(([key, [property]]) => [Number(key), property === "files" ? said.files.map(asRow) : said[property]]);
  return encode(new Map([[0, type], ...rows]));
}

/** Returns the message that bytes spell, `{t: name, ...}`; refuses with `bad_frame` or `unknown_type`. */
export function decodeSaid(bytes) {
  try {
    const [name, table] = BY_TYPE.get(typeOf(bytes)) ?? [];
    if (name === undefined) throw new Refused("unknown_type", "messages of this type are not known");
    const reader = new Reader(bytes);
    const said = readMap(reader, table);
    reader.end();
    return { ...said, t: name };
  } catch (error) {
    if (!(error instanceof Refused) || error.code === "unknown_type") throw error;
    throw new Refused("bad_frame", error.message);
  }
}

function typeOf(bytes) {
  const reader = new Reader(bytes);
  if (reader.map() === 0 || reader.keyAfter(-1n) !== 0n) badField("no type");
  return Number(reader.uint());
}

/** Returns how many chunks a file of `size` bytes (BigInt) has. */
export const chunksOf = (size) => Number((size + BigInt(CHUNK_BYTES) - 1n) / BigInt(CHUNK_BYTES));

/** Returns the root that names contents: `H(file; size as 8 bytes, the ids)`. */
export const rootOfFile = (size, all) => domainHash("file", bigEndian(size, 8), all);

/** Contents, known by the ids of their chunks. */
export class Contents {
  /** Takes `ids`, one behind the other, if they are those that `named` names; refuses with `hash_mismatch`. */
  constructor(size, all, named) {
    const fits = size <= FILE_BYTES_MAX && all.length === 32 * chunksOf(size) && equal(rootOfFile(size, all), named);
    if (!fits) throw new Refused("hash_mismatch", "the ids are not those that the root names");
    Object.assign(this, { size: Number(size), ids: all, root: named, count: chunksOf(size) });
  }

  /** Returns the bytes of a chunk. */
  lengthOf(index) {
    return Math.min(CHUNK_BYTES, this.size - index * CHUNK_BYTES);
  }

  /** Returns whether bytes are the chunk of this number. */
  async has(index, chunk) {
    const id = new Uint8Array(await crypto.subtle.digest("SHA-256", chunk));
    return index < this.count && chunk.length === this.lengthOf(index) && equal(id, this.ids.subarray(32 * index, 32 * index + 32));
  }
}
