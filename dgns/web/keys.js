// Keys of this device and of the words, held by WebCrypto (PROTOCOL 3): what is made here never leaves the platform's key store.

import { Refused } from "./cbor.js";
import { concat, unhex } from "./hash.js";
import { kidOf } from "./name.js";

/** The fixed beginnings of PKCS#8 for a 32-byte seed or secret (RFC 8410). */
const PKCS8 = { Ed25519: unhex("302e020100300506032b657004220420"), X25519: unhex("302e020100300506032b656e04220420") };
const USES = { Ed25519: ["sign"], X25519: ["deriveBits"] };

/** A signer: `key` (32 public bytes), `kid`, and `sign(message)`. `handle` is the CryptoKey, for whoever keeps it. */
const signer = (key, handle) => ({
  key,
  kid: kidOf(key),
  handle,
  sign: async (message) => new Uint8Array(await crypto.subtle.sign("Ed25519", handle, message)),
});

/** An X25519 key pair: `key` (32 public bytes) and `handle`, which `deriveBits` takes. */
const kex = (key, handle) => ({ key, handle });

/**
 * Returns new keys of a device, `{sign, kex}`, whose secrets no script can read.
 *
 * Refuses with `no_ed25519` where the browser does not know these keys.
 */
export async function newDevice() {
  const [sign, box] = await Promise.all([generate("Ed25519", ["sign", "verify"]), generate("X25519", ["deriveBits"])]);
  return { sign: signer(sign.key, sign.handle), kex: kex(box.key, box.handle) };
}

/** Returns what a store keeps of a device: public bytes and handles, which IndexedDB holds without showing their secrets. */
export const deviceToKeep = ({ sign, kex: box }) => ({
  sign: { key: sign.key, handle: sign.handle }, kex: { key: box.key, handle: box.handle },
});

/** Returns the device that a store kept. */
export const keptDevice = ({ sign, kex: box }) => ({ sign: signer(sign.key, sign.handle), kex: kex(box.key, box.handle) });

/** Returns the signer of a 32-byte Ed25519 seed. */
export const signerOf = async (seed) => signer(...(await imported("Ed25519", seed)));

/** Returns the key pair of a 32-byte X25519 secret. */
export const kexOf = async (secret) => kex(...(await imported("X25519", secret)));

async function generate(algorithm, uses) {
  try {
    const { publicKey, privateKey } = await crypto.subtle.generateKey(algorithm, false, uses);
    return { key: new Uint8Array(await crypto.subtle.exportKey("raw", publicKey)), handle: privateKey };
  } catch (error) {
    throw new Refused("no_ed25519", `this browser makes no ${algorithm} keys (${error.name}); a newer one does`);
  }
}

/** Returns `[public bytes, handle]`; the platform alone tells the public bytes of a secret, in its readable form. */
async function imported(algorithm, secret) {
  const pkcs8 = concat(PKCS8[algorithm], secret);
  const readable = await crypto.subtle.importKey("pkcs8", pkcs8, algorithm, true, USES[algorithm]);
  const { x } = await crypto.subtle.exportKey("jwk", readable);
  const handle = await crypto.subtle.importKey("pkcs8", pkcs8, algorithm, false, USES[algorithm]);
  const key = Uint8Array.from(atob(x.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
  return [key, handle];
}
