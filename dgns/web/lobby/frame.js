// Frames of the lobby in CBOR, the form that pages speak (PROTOCOL 23.1). A frame is unsigned; what must be believed in it is an envelope of its own.

import { Reader, Refused, encode } from "../cbor.js";

const [FRAME_BYTES_MAX, CARD_BYTES_MAX, PROOF_BYTES_MAX, HEAD_BYTES_MAX, DEPTH_MAX] = [16_384, 3072, 8192, 600, 4];
const [WATCHES_MAX, FEATURES_MAX, GUARDED_MAX, NEWS_MAX, TOKEN_BYTES_MAX] = [100, 64, 1024, 64, 2420];

const bad = () => {
  throw new Refused("bad_frame", "not a frame of this protocol");
};
const is = (kind) => (value) => (typeof value === kind ? value : bad());
const [uint, text, bool] = [is("bigint"), is("string"), is("boolean")];
const upTo = (most) => (value) => (value instanceof Uint8Array && value.length <= most ? value : bad());
const shortText = (value) => (text(value).length >= 1 && value.length <= TOKEN_BYTES_MAX ? value : bad());
const fixed = (length) => (value) => (value instanceof Uint8Array && value.length === length ? value : bad());
const list = (item, most = Infinity) => (value) => (Array.isArray(value) && value.length <= most ? value.map(item) : bad());
const among = (values) => (value) => (values.includes(Number(uint(value))) ? Number(value) : bad());
const iceServer = (value) => (Array.isArray(value) && value.length === 3 ? [list(text)(value[0]), text(value[1]), text(value[2])] : bad());
const guard = (value) => {
  const [mode, salt, prefixes, ...more] = Array.isArray(value) ? value : bad();
  if ((mode === 0n || mode === 2n) && salt === undefined) return [Number(mode)];
  return mode === 1n && more.length === 0 ? [1, fixed(16)(salt), list(fixed(8), GUARDED_MAX)(prefixes)] : bad();
};
const row = (...checks) => (value) => (Array.isArray(value) && value.length === checks.length ? value.map((cell, i) => checks[i](cell)) : bad());
const news = row(text, fixed(16), uint);
const change = row(among([0, 1, 2, 3]), fixed(32), text, fixed(16), uint);
const anything = (value) => value;

/** Name -> `[type, {key: [property, check, optional?]}]`. */
const FRAMES = {
  challenge: [0x01, { 1: ["challenge", fixed(32)], 2: ["url", text], 3: ["node", text], 4: ["timeMs", uint], 5: ["features", list(text, FEATURES_MAX)], 6: ["limits", list(uint)] }],
  hello: [0x02, { 1: ["envelope", upTo(1024)], 3: ["token", shortText, true], 4: ["head", upTo(HEAD_BYTES_MAX), true] }],
  welcome: [0x03, {
    1: ["sid", fixed(16)], 2: ["resumed", bool], 3: ["next", uint], 4: ["heartbeatMs", uint], 5: ["ice", list(iceServer)], 6: ["ttlS", uint], 8: ["head", upTo(HEAD_BYTES_MAX), true],
  }],
  seen: [0x04, { 1: ["n", uint] }],
  ping: [0x05, { 1: ["id", uint] }],
  pong: [0x06, { 1: ["id", uint] }],
  restarting: [0x07, { 1: ["inMs", uint], 2: ["tryMs", uint] }],
  ok: [0x08, { 1: ["id", uint], 2: ["value", anything, true] }],
  err: [0x09, { 1: ["id", uint, true], 2: ["code", text], 3: ["retryMs", uint, true], 4: ["sess", fixed(16), true] }],
  register: [0x10, { 1: ["id", uint], 2: ["name", text], 3: ["visible", among([0, 1, 2])], 4: ["guard", guard, true] }],
  renew: [0x11, { 1: ["id", uint], 2: ["name", text] }],
  unregister: [0x12, { 1: ["id", uint], 2: ["name", text] }],
  knock: [0x13, { 1: ["id", uint], 2: ["name", text], 3: ["card", upTo(CARD_BYTES_MAX)], 4: ["proof", upTo(PROOF_BYTES_MAX), true] }],
  signal: [0x14, { 1: ["peer", fixed(32)], 2: ["sess", fixed(16)], 3: ["seq", uint], 4: ["card", upTo(CARD_BYTES_MAX)], 5: ["proof", upTo(PROOF_BYTES_MAX), true] }],
  ack: [0x15, { 1: ["peer", fixed(32)], 2: ["sess", fixed(16)], 3: ["seq", uint] }],
  watch: [0x16, { 1: ["id", uint], 2: ["names", list(text, WATCHES_MAX)] }],
  unwatch: [0x17, { 1: ["id", uint], 2: ["names", list(text, WATCHES_MAX)] }],
  presence: [0x18, { 1: ["name", text], 2: ["state", among([0, 1, 2])], 3: ["epoch", uint] }],
  ice: [0x19, { 1: ["id", uint] }],
  update: [0x20, { 1: ["id", uint], 2: ["version", uint], 3: ["changes", list(change, NEWS_MAX)] }],
  notify: [0x21, { 1: ["news", list(news, NEWS_MAX)] }],
  readTo: [0x22, { 1: ["id", uint], 2: ["news", list(news, NEWS_MAX)] }],
  push: [0x23, { 1: ["id", uint], 2: ["endpoint", text, true], 3: ["p256dh", fixed(65), true], 4: ["auth", fixed(16), true] }],
  joined: [0x25, { 1: ["id", uint] }],
  publish: [0x26, { 1: ["id", uint], 2: ["news", list(news, NEWS_MAX)] }],
  attest: [0x30, { 1: ["id", uint], 2: ["envelope", upTo(4096)] }],
  redirect: [0x32, { 1: ["id", uint], 2: ["url", text] }],
  lease: [0x33, { 1: ["id", uint], 2: ["site", text], 3: ["log", text], 4: ["rights", uint] }],
  handle: [0x36, { 1: ["id", uint], 2: ["handle", uint], 3: ["rights", uint], 4: ["size", uint], 5: ["untilS", uint] }],
  write: [0x46, { 1: ["id", uint], 2: ["handle", uint], 3: ["lsn", uint], 4: ["entries", list(upTo(14_336), 256)] }],
  read: [0x34, { 1: ["id", uint], 2: ["handle", uint], 3: ["from", uint] }],
  data: [0x35, { 1: ["id", uint], 2: ["from", uint], 3: ["entries", list(upTo(14_336))] }],
  revoke: [0x31, { 1: ["name", text, true], 2: ["code", text], 3: ["handle", uint, true] }],
};
const BY_TYPE = new Map(Object.entries(FRAMES).map(([name, [type, keys]]) => [BigInt(type), [name, Object.entries(keys)]]));
const LAST_UNCOUNTED = 0x07;

/** Returns whether a frame counts in a session's chain: those that keep the connection itself do not. */
export const counts = ({ t }) => FRAMES[t][0] > LAST_UNCOUNTED;

/** Returns the bytes of a frame, `{t: name, ...}`. */
export function encodeFrame(frame) {
  const [type, keys] = FRAMES[frame.t];
  return encode(new Map([[0, type], ...Object.entries(keys).map(([key, [property]]) => [Number(key), frame[property]])]));
}

/** Returns the frame that bytes spell, `{t: name, ...}`; refuses with `bad_frame`, `too_large`, `unknown_type`. Keys nobody knows are passed over. */
export function decodeFrame(bytes) {
  if (bytes.length > FRAME_BYTES_MAX) throw new Refused("too_large", "a frame has at most 16,384 bytes");
  const rows = rowsOf(bytes);
  const [name, keys] = BY_TYPE.get(uint(rows.get(0n))) ?? [];
  if (name === undefined) throw new Refused("unknown_type", `type ${rows.get(0n)}`);
  const frame = { t: name };
  for (const [key, [property, check, optional]] of keys) {
    const value = rows.get(BigInt(key));
    if (value !== undefined) frame[property] = check(value);
    else if (!optional) bad();
  }
  return frame;
}

function rowsOf(bytes) {
  try {
    const [reader, rows] = [new Reader(bytes), new Map()];
    let last = -1n;
    for (let left = reader.map(); left > 0; left--) {
      last = reader.keyAfter(last);
      rows.set(last, valueOf(reader, 0));
    }
    reader.end();
    return rows;
  } catch (error) {
    if (error instanceof Refused) return bad();
    throw error;
  }
}

function valueOf(reader, depth) {
  if (depth > DEPTH_MAX) bad();
  const kind = reader.peek();
  if (kind === "uint") return reader.uint();
  if (kind === "bytes") return reader.bstr();
  if (kind === "text") return reader.tstr();
  if (kind === "bool") return reader.bool();
  if (kind !== "array") return bad();
  return Array.from({ length: reader.array() }, () => valueOf(reader, depth + 1));
}
