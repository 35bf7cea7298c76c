// Signed notes, verifier keys, checkpoints and cosignatures (PROTOCOL 9): the stock formats of C2SP.

import { Refused } from "./cbor.js";
import { isAdmitted, verifyStrict } from "./ed25519.js";
import { ascii, base64, bigEndian, concat, equal, fromBigEndian, hex, sha256, unbase64, unhex } from "./hash.js";

const NEWLINE = Uint8Array.of(0x0a);
const NOTE_BYTES_MAX = 131072;
const LINES_MAX = 64;

/** The type byte of a log's signature, over the text. */
export const LOG_SIGNATURE = 1;
/** The type byte of a witness's cosignature, over time and text. */
export const COSIGNATURE = 4;

const KEY_NAME_BYTES_MAX = 255;
const isKeyName = (name) => name.length > 0 && ascii(name).length <= KEY_NAME_BYTES_MAX && !/[\p{White_Space}+\p{Cc}]/u.test(name);

/** Returns the 4-byte id of a key. */
export function keyId(name, type, key) {
  return sha256(ascii(name), NEWLINE, Uint8Array.of(type), key).subarray(0, 4);
}

/** Returns `{name, id, type, key}` of `<name>+<id>+<base64>`; refuses with `bad_vkey`. */
export function parseVerifierKey(text) {
  const bad = (why) => new Refused("bad_vkey", why);
  const [name, idText, ...rest] = text.split("+");
  const body = unbase64(rest.join("+"));
  if (!isKeyName(name) || !/^[0-9a-f]{8}$/.test(idText ?? "") || body === null) throw bad("form");
  const [type, key] = [body[0], body.subarray(1)];
  if (body.length !== 33 || (type !== LOG_SIGNATURE && type !== COSIGNATURE)) throw bad("type");
  const id = keyId(name, type, key);
  if (!equal(id, unhex(idText))) throw bad("key id");
  if (!isAdmitted(key)) throw bad("key");
  return { name, id, type, key };
}

/** Returns the text form of a key. */
export function formatVerifierKey({ name, type, key }) {
  return `${name}+${hex(keyId(name, type, key))}+${base64(concat(Uint8Array.of(type), key))}`;
}

/** Returns the text a checkpoint signs. */
export function checkpointText(origin, size, root) {
  return `${origin}\n${size}\n${base64(root)}\n`;
}

/**
 * Returns `{origin, size, root}` of a checkpoint's text; refuses with `bad_checkpoint`. With `extended` there may be extension lines, as in
 * the checkpoints of other logs: they are signed and mean nothing here.
 */
export function parseCheckpoint(text, { extended = false } = {}) {
  const bad = (why) => new Refused("bad_checkpoint", why);
  const lines = text.split("\n");
  const end = lines.indexOf("");
  if (end < 3 || end !== lines.length - 1 || (end !== 3 && !extended)) throw bad("lines");
  const [origin, sizeText, rootText] = lines;
  if (origin === "") throw bad("origin");
  if (!/^(?:0|[1-9][0-9]{0,19})$/.test(sizeText) || BigInt(sizeText) >= 1n << 64n) throw bad("size");
  const root = unbase64(rootText);
  if (root === null || root.length !== 32) throw bad("root");
  return { origin, size: BigInt(sizeText), root };
}

/** Returns `{text, lines: [{name, id, signature}]}` of a note's bytes, nothing verified; refuses with `bad_note`. */
export function parseNote(bytes) {
  const bad = (why) => new Refused("bad_note", why);
  if (bytes.length > NOTE_BYTES_MAX) throw bad("too long");
  let whole;
  try {
    whole = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw bad("not UTF-8");
  }
  if (/[\x00-\x09\x0b-\x1f]/.test(whole)) throw bad("control character");
  const split = whole.lastIndexOf("\n\n");
  if (split < 0 || !whole.endsWith("\n")) throw bad("no signatures");
  const signed = whole.slice(split + 2);
  if (signed === "") throw bad("no signatures");
  const lines = signed.slice(0, -1).split("\n").map((line) => {
    const match = /^\u2014 ([^ ]+) ([^ ]+)$/.exec(line);
    const body = match && isKeyName(match[1]) ? unbase64(match[2]) : null;
    if (body === null || body.length < 5) throw bad("signature line");
    return { name: match[1], id: body.subarray(0, 4), signature: body.subarray(4) };
  });
  if (lines.length > LINES_MAX) throw bad("too many lines");
  return { text: whole.slice(0, split + 1), lines };
}

/** Returns whether one signature of `key` over a checkpoint's text holds; a cosignature's time stands before it. */
export async function verifyLine(key, text, signature) {
  if (key.type === LOG_SIGNATURE) return signature.length === 64 && verifyStrict(key.key, ascii(text), signature);
  if (signature.length !== 72) return false;
  const time = fromBigEndian(signature.subarray(0, 8));
  return verifyStrict(key.key, ascii(`cosignature/v1\ntime ${time}\n${text}`), signature.subarray(8));
}

/**
 * Returns `{text, verified: [{key, signature}]}` of a note, every line by a known key verified.
 *
 * Unknown keys are ignored; a known key whose line fails, or no known key at all, refuses the note: `bad_note_signature`,
 * `unknown_note_key`.
 */
export async function openNote(bytes, keys) {
  const { text, lines } = parseNote(bytes);
  const verified = [];
  for (const line of lines) {
    const key = keys.find((known) => known.name === line.name && equal(known.id, line.id));
    if (key === undefined || verified.some((seen) => seen.key === key)) continue;
    if (!(await verifyLine(key, text, line.signature))) throw new Refused("bad_note_signature", line.name);
    verified.push({ key, signature: line.signature });
  }
  if (verified.length === 0) throw new Refused("unknown_note_key");
  return { text, verified };
}

/** Returns the signature bytes of a cosignature line: its time and the 64 bytes. */
export function cosignatureBytes(timeS, signature) {
  return concat(bigEndian(timeS, 8), signature);
}
