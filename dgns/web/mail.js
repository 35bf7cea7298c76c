// Letters: what somebody writes to the devices of a person, sealed to each (PROTOCOL 22).

import { Reader, Refused, encode } from "./cbor.js";
import { verifyStrict } from "./ed25519.js";
import { badField, bytesOf, oneOf, readMap, text, tuple, u64 } from "./fields.js";
import { ascii, concat } from "./hash.js";
import { open, seal } from "./sealed.js";

/** The bytes of a letter. */
export const LETTER_BYTES_MAX = 3584;
const NAME_BYTES_MAX = 128;

const content = (reader) => {
  const bytes = reader.bstr();
  if (bytes.length > LETTER_BYTES_MAX) throw new Refused("too_large", `a letter has at most ${LETTER_BYTES_MAX} bytes`);
  return bytes;
};
const fileName = (reader) => {
  const name = text(reader);
  const length = ascii(name).length;
  return length >= 1 && length <= NAME_BYTES_MAX && !/[\p{Cc}/\\]/u.test(name) && !name.startsWith(".") ? name : badField("no file's name");
};
const LETTER = { 0: ["format", oneOf(1)], 1: ["sentS", u64], 2: ["content", content], 3: ["name", fileName, true], 4: ["signed", tuple(bytesOf(20), bytesOf(32), bytesOf(64)), true] };

/** Returns the bytes of a letter. */
export function encodeLetter({ sentS, content, name, signed }) {
  const rows = [[0, 1], [1, sentS], [2, content], [3, name], [4, signed]];
  return encode(new Map(rows.filter(([, value]) => value !== undefined)));
}

/** Returns the bytes of a letter `{sentS, content, name?}` to `to` (20 bytes), signed if `from` = `{did, sign}` says by whom. */
export async function writeLetter(origin, to, letter, from = null) {
  if (from === null) return encodeLetter(letter);
  const signature = await from.sign.sign(signedBytes(origin, to, from.did, letter));
  return encodeLetter({ ...letter, signed: [from.did, from.sign.key, new Uint8Array(signature)] });
}

/** Returns `{sentS, content, name?, signed?}` of bytes; its signature is not looked at. */
export function decodeLetter(bytes) {
  const reader = new Reader(bytes);
  const letter = readMap(reader, LETTER);
  reader.end();
  return letter;
}

/** Seals the bytes of a letter to one device `{sign, kex}` of a person; returns `{enc, ct}`. */
export const sealLetter = (did, device, letter) => seal(device.kex, infoOf(did), device.sign, letter);

/**
 * Opens what was sealed to a device, `{sign: its key, kex: its key pair}`, of the person `did`. Returns `{sentS, content, name, from}`; `from` = `{did, key}` of
 * who signed it, or null. Whether that key is a device of that DID, the log tells.
 */
export async function openLetter(origin, did, { sign, kex }, sealed) {
  const letter = decodeLetter(await open(kex, infoOf(did), sign, sealed));
  const { sentS, content: written, name } = letter;
  if (letter.signed === undefined) return { sentS, content: written, name: name ?? null, from: null };
  const [by, key, signature] = letter.signed;
  if (!(await verifyStrict(key, signedBytes(origin, did, by, letter), signature))) throw new Refused("bad_signature", "signed by another key, or written to somebody else");
  return { sentS, content: written, name: name ?? null, from: { did: by, key } };
}

function signedBytes(origin, to, from, { sentS, content, name }) {
  return concat(ascii("dgns/letter/v1\0"), Uint8Array.of(ascii(origin).length), ascii(origin), to, from, encodeLetter({ sentS, content, name }));
}

const infoOf = (did) => concat(ascii("dgns/mail/v1\0"), did);
