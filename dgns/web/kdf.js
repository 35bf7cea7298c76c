// Secrets made from secrets: HKDF-SHA256 under a domain string (PROTOCOL 1.5).

import { ascii, concat } from "./hash.js";

const NONE = new Uint8Array(0);

/** Returns `KDF(x; secret; parts)`: 32 bytes of HKDF-SHA256 with empty salt and the info `dgns/x/v1`, a zero byte, the parts. */
export async function derive(x, secret, ...parts) {
  const base = await crypto.subtle.importKey("raw", secret, "HKDF", false, ["deriveBits"]);
  const info = concat(ascii(`dgns/${x}/v1\0`), ...parts);
  return new Uint8Array(await crypto.subtle.deriveBits({ name: "HKDF", hash: "SHA-256", salt: NONE, info }, base, 256));
}
