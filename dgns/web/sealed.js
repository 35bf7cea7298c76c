// Sealed boxes: what only the holder of an X25519 key opens (PROTOCOL 1.6). HPKE of RFC 9180 in base mode, of WebCrypto's parts:
// DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-128-GCM.

import { Refused } from "./cbor.js";
import { ascii, bigEndian, concat } from "./hash.js";

const NONE = new Uint8Array(0);
const KEM = concat(ascii("KEM"), bigEndian(0x20, 2));
const HPKE = concat(ascii("HPKE"), bigEndian(0x20, 2), bigEndian(1, 2), bigEndian(1, 2));
const HASH_BYTES = 32;

/** Seals `plaintext` to the X25519 key `recipient`; returns `{enc, ct}`. `ephemeral` = the key pair of this box, `{key, handle}`. */
export async function seal(recipient, info, aad, plaintext, ephemeral) {
  const { key: enc, handle } = ephemeral ?? (await newEphemeral());
  const dh = await agreed(handle, recipient, "weak_key");
  const { key, nonce } = await schedule(dh, concat(enc, recipient), info);
  return { enc, ct: new Uint8Array(await crypto.subtle.encrypt({ name: "AES-GCM", iv: nonce, additionalData: aad }, key, plaintext)) };
}

/** Opens a box that was sealed to the key pair `{key, handle}`; refuses with `bad_enc` or `not_opened`. */
export async function open({ key: own, handle }, info, aad, { enc, ct }) {
  const dh = await agreed(handle, enc, "bad_enc");
  const { key, nonce } = await schedule(dh, concat(enc, own), info);
  try {
    return new Uint8Array(await crypto.subtle.decrypt({ name: "AES-GCM", iv: nonce, additionalData: aad }, key, ct));
  } catch {
    throw new Refused("not_opened", "sealed to another key or for another purpose, or damaged");
  }
}

async function newEphemeral() {
  const { publicKey, privateKey } = await crypto.subtle.generateKey("X25519", false, ["deriveBits"]);
  return { key: new Uint8Array(await crypto.subtle.exportKey("raw", publicKey)), handle: privateKey };
}

/** Returns what a secret and a public key agree on; a key of small order agrees with everybody and is refused. */
async function agreed(handle, key, code) {
  try {
    const other = await crypto.subtle.importKey("raw", key, "X25519", false, []);
    const secret = new Uint8Array(await crypto.subtle.deriveBits({ name: "X25519", public: other }, handle, 256));
    if (secret.some((byte) => byte !== 0)) return secret;
  } catch {
    // refused by the platform: the same
  }
  throw new Refused(code, "a key of small order");
}

/** The key schedule of RFC 9180, 5.1, in base mode. */
async function schedule(dh, context, info) {
  const shared = await expand(KEM, await extract(KEM, NONE, "eae_prk", dh), "shared_secret", context, HASH_BYTES);
  const [pskHash, infoHash] = await Promise.all([extract(HPKE, NONE, "psk_id_hash", NONE), extract(HPKE, NONE, "info_hash", info)]);
  const secret = await extract(HPKE, shared, "secret", NONE);
  const all = concat(Uint8Array.of(0), pskHash, infoHash);
  const [raw, nonce] = await Promise.all([expand(HPKE, secret, "key", all, 16), expand(HPKE, secret, "base_nonce", all, 12)]);
  return { key: await crypto.subtle.importKey("raw", raw, "AES-GCM", false, ["encrypt", "decrypt"]), nonce };
}

const labelled = (suite, label) => concat(ascii("HPKE-v1"), suite, ascii(label));

async function hmac(key, message) {
  // An empty key is as many zero bytes as HMAC fills it up with; WebCrypto takes no empty one.
  const used = await crypto.subtle.importKey("raw", key.length === 0 ? new Uint8Array(HASH_BYTES) : key, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", used, message));
}

const extract = (suite, salt, label, input) => hmac(salt, concat(labelled(suite, label), input));

/** Expands to at most one block, which is all that is asked for here. */
async function expand(suite, secret, label, info, length) {
  return (await hmac(secret, concat(bigEndian(length, 2), labelled(suite, label), info, Uint8Array.of(1)))).subarray(0, length);
}
