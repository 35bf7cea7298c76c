// Requests that a device signs (PROTOCOL 12.9): how a page says whose device it is.

import { Refused } from "./cbor.js";
import { verifyStrict } from "./ed25519.js";
import { ascii, base64, bigEndian, concat, equal, hex, sha256, unbase64, unhex } from "./hash.js";
import { kidOf } from "./name.js";

const SKEW_S = 60n;
const METHOD_BYTES_MAX = 16;
const TARGET_BYTES_MAX = 2048;
const FORM = /^DGNS-Sig ([0-9a-f]{16})\.(0|[1-9][0-9]{0,19})\.([A-Za-z0-9_-]{22})\.([A-Za-z0-9_-]{86})$/;

const base64url = (bytes) => base64(bytes).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
const unbase64url = (text) => unbase64(text.replaceAll("-", "+").replaceAll("_", "/").padEnd(Math.ceil(text.length / 4) * 4, "="));
const prefixed = (text) => concat(bigEndian(ascii(text).length, 2), ascii(text));

/** Returns the bytes a device signs. `target` is the path with its query, `did` the 20 bytes. */
export function requestSignedBytes({ origin, did, method, target, body }, unixS, nonce) {
  if (ascii(method).length > METHOD_BYTES_MAX || ascii(target).length > TARGET_BYTES_MAX) throw new Refused("bad_authorization", "too long");
  const head = concat(ascii("dgns/request/v1\0"), Uint8Array.of(ascii(origin).length), ascii(origin), did);
  return concat(head, prefixed(method), prefixed(target), bigEndian(unixS, 8), nonce, sha256(body));
}

/**
 * Returns the value of `Authorization` for a request. `key` is the public key's 32 bytes, `sign` signs bytes with it (64 bytes
 * come back), `nowS` is the time in unix seconds.
 */
export async function authorize(request, key, sign, nowS, nonce = crypto.getRandomValues(new Uint8Array(16))) {
  const signature = await sign(requestSignedBytes(request, BigInt(nowS), nonce));
  return `DGNS-Sig ${hex(kidOf(key))}.${BigInt(nowS)}.${base64url(nonce)}.${base64url(new Uint8Array(signature))}`;
}

/** Returns `{kid, unixS, nonce, signature}` of a header's value; refuses every other spelling. */
export function parseAuthorization(text) {
  const parts = FORM.exec(text);
  const [kid, unixS, nonce, signature] = parts ? [unhex(parts[1]), BigInt(parts[2]), unbase64url(parts[3]), unbase64url(parts[4])] : [];
  if (!nonce || !signature || unixS > 0xffffffffffffffffn) throw new Refused("bad_authorization", "no DGNS-Sig");
  return { kid, unixS, nonce, signature };
}

/** Checks a signed request as a server does; `key` is the one that the DID's state has under the kid. */
export async function verifyRequest(request, authorization, key, nowS) {
  const { kid, unixS, nonce, signature } = parseAuthorization(authorization);
  if (!equal(kid, kidOf(key))) throw new Refused("unknown_signer", "another key");
  const apart = unixS > BigInt(nowS) ? unixS - BigInt(nowS) : BigInt(nowS) - unixS;
  if (apart > SKEW_S) throw new Refused("request_time", "signed at another time");
  const signed = requestSignedBytes(request, unixS, nonce);
  if (!(await verifyStrict(key, signed, signature))) throw new Refused("bad_signature", "not over this request");
  return { kid, unixS, nonce, signed };
}
