// Pairing: how a new device and one of a DID's own meet over a relay that neither believes (PROTOCOL 20).

import { Reader, Refused, encode } from "./cbor.js";
import { badField, bytesOf, listOf, nullOr, oneOf, tuple } from "./fields.js";
import { ascii, base64, bigEndian, concat, domainHash, fromBigEndian, hex, unbase64 } from "./hash.js";
import { derive } from "./kdf.js";
import { didText, isZone, parseDid } from "./name.js";
import { entropyOf, wordsOf } from "./words.js";

const MESSAGE_BYTES_MAX = 4096;
const ENVELOPE_BYTES_MAX = 4096;
const SCHEME = "dgns:pair?";

/** Who speaks: the device that belongs to the DID, and the one that wants to. */
export const SIDE = { old: 1, new: 2 };
/** Why a pairing is over, by the number of message 6. */
export const ENDINGS = { 1: "pair_rejected", 2: "pair_digits", 3: "pair_used", 4: "too_many" };

/** Returns what the new device says of its nonce before it shows it; `newcomer` = `{sign, kex}`. */
export const commitment = (session, newcomer, nonce) => domainHash("pair", session, newcomer.sign, newcomer.kex, nonce);

/** Returns the six digits that agree only if both sides saw the same keys; `old` = the old device's signing key. */
export function digits(session, newcomer, old, ofNew, ofOld) {
  const hash = domainHash("sas", session, newcomer.sign, newcomer.kex, old, ofNew, ofOld);
  return String(fromBigEndian(hash.subarray(0, 8)) % 1_000_000n).padStart(6, "0");
}

// --- messages --------------------------------------------------------------------------------------------------------------

const key32 = bytesOf(32);
const envelope = (reader) => {
  const bytes = reader.bstr();
  return bytes.length <= ENVELOPE_BYTES_MAX ? bytes : badField("envelope too large");
};

/** Number -> [names, readers]. */
const MESSAGES = {
  1: [["did", "sign", "kex", "level", "label", "commitment"], [bytesOf(20), key32, key32, oneOf(1, 2, 3), key32, nullOr(key32)]],
  2: [["sign", "nonce"], [key32, key32]],
  3: [["nonce"], [key32]],
  4: [["envelopes"], [listOf(envelope, 1, 2)]],
  5: [["boxes"], [(reader) => reader.bstr()]],
  6: [["reason"], [oneOf(1, 2, 3, 4)]],
  7: [["did"], [bytesOf(20)]],
};

/** Returns the bytes of a message: `{number, ...}` as in `decodeMessage`. */
export function encodeMessage(message) {
  const [names] = MESSAGES[message.number];
  return encode([message.number, ...names.map((name) => message[name])]);
}

/** Returns the message that bytes spell; there is one spelling. */
export function decodeMessage(bytes) {
  if (bytes.length > MESSAGE_BYTES_MAX) throw new Refused("too_large", `${bytes.length} bytes`);
  const peeked = new Reader(bytes);
  const known = peeked.array() > 0 ? MESSAGES[Number(peeked.uint())] : undefined;
  if (known === undefined) badField("message");
  const [names, readers] = known;
  const reader = new Reader(bytes);
  const [number, ...values] = tuple((r) => Number(r.uint()), ...readers)(reader);
  reader.end();
  return { number, ...Object.fromEntries(values.map((value, i) => [names[i], value])) };
}

// --- the offline road --------------------------------------------------------------------------------------------------------

/** Returns where the two meet who share a secret of 16 bytes. */
export const sessionOf = (secret) => domainHash("pair-session", secret).subarray(0, 16);

/** Returns the key of what is said under a secret, its 16 bytes. */
export const relaySecret = async (secret) => (await derive("pair-key", secret)).subarray(0, 16);

/** Returns `{seal(by, message), open(by, sealed)}` of a secret; what the other side did not seal is refused with `not_opened`. */
export async function relayKey(secret) {
  const key = await crypto.subtle.importKey("raw", await relaySecret(secret), "AES-GCM", false, ["encrypt", "decrypt"]);
  const how = (iv, by) => ({ name: "AES-GCM", iv, additionalData: concat(sessionOf(secret), Uint8Array.of(by)) });
  return {
    seal: async (by, message) => {
      const nonce = crypto.getRandomValues(new Uint8Array(12));
      return concat(nonce, new Uint8Array(await crypto.subtle.encrypt(how(nonce, by), key, message)));
    },
    open: async (by, sealed) => {
      try {
        return new Uint8Array(await crypto.subtle.decrypt(how(sealed.subarray(0, 12), by), key, sealed.subarray(12)));
      } catch {
        throw new Refused("not_opened", "this was not said by the other side");
      }
    },
  };
}

/** Returns the text of a QR code. */
export function invitationText({ origin, did, secret }) {
  const k = base64(secret).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  return `${SCHEME}o=${origin}&d=${didText(did).slice(9)}&k=${k}`;
}

/** Returns `{secret, origin?, did?}` of what a person scanned or typed: the text, an address it stands in, or the words; refuses with `bad_secret`. */
export function parseInvitation(typed) {
  const text = typed.trim().replace(/^https?:[^#]*#(?=dgns:pair\?)/, "");
  if (!text.startsWith(SCHEME)) {
    try {
      const secret = entropyOf(text);
      if (secret.length === 16) return { secret };
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      throw new Refused("bad_secret", error.message);
    }
    throw new Refused("bad_secret", "24 words, not 12");
  }
  const parts = /^o=([^&]+)&d=([a-z2-7]{32})&k=([A-Za-z0-9_-]{22})$/.exec(text.slice(SCHEME.length));
  const secret = parts && unbase64(`${parts[3].replaceAll("-", "+").replaceAll("_", "/")}==`);
  const origin = parts?.[1];
  const did = parts && didOf(parts[2]);
  const whole = secret && did && origin.endsWith("/log") && isZone(origin.slice(0, -4)) && invitationText({ origin, did, secret }) === text;
  if (!whole) throw new Refused("bad_secret", "not the text of a pairing code");
  return { secret, origin, did };
}

function didOf(text) {
  try {
    return parseDid(`did:dgns:${text}`);
  } catch {
    return null;
  }
}

/** Returns a secret as twelve words. */
export const secretWords = (secret) => wordsOf(secret);

/** Returns a session as it stands in a path. */
export const sessionText = (session) => hex(session);
