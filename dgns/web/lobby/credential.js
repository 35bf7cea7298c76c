// What is shown to a host where its rules alone do not give a lease: a token or a chain of grants, signed for the nonce it gave (PROTOCOL 23.15).

import { Reader, Refused, encode } from "../cbor.js";
import { signedBytes } from "../certificate.js";
import { verifyStrict } from "../ed25519.js";
import { badField } from "../fields.js";
import { ascii, bytesOfUrl64, concat, equal, sha256 } from "../hash.js";

const [TOKEN_BYTES_MAX, GRANT_BYTES_MAX, GRANT_CHAIN_MAX] = [2420, 1024, 4];

/** Returns what somebody was given as text, `dgt1...` or `dgg1.` with the grants of a chain: a token as it is, grants as a list of bytes. */
export function shownOf(text) {
  const given = text.trim();
  if (given.startsWith("dgt1.") && given.length <= TOKEN_BYTES_MAX && /^[\x21-\x7e]+$/.test(given)) return given;
  const grants = given.startsWith("dgg1.") ? given.slice(5).split(".").map(bytesOfUrl64) : [];
  const isChain = grants.length >= 1 && grants.length <= GRANT_CHAIN_MAX && grants.every((grant) => grant !== null && grant.length >= 1 && grant.length <= GRANT_BYTES_MAX);
  if (!isChain) throw new Refused("bad_proof", "neither a token nor grants");
  return grants;
}

const signed = (shown, nonce, origin) => signedBytes("proof", origin, concat(nonce, sha256(encode(shown))));

/** Returns the credential: what is shown, signed by `signer` (keys.js) for a nonce of the host. */
export async function signCredential(shown, nonce, origin, signer) {
  return encode([nonce, await signer.sign(signed(shown, nonce, origin)), shown]);
}

/** Returns what `device` shows for a nonce; refuses anything else with `bad_proof`. */
export async function openCredential(bytes, nonce, origin, device) {
  try {
    const reader = new Reader(bytes);
    if (reader.array() !== 3) badField("no credential");
    const [shownFor, signature] = [reader.bstr(), reader.bstr()];
    const shown = reader.peek() === "text" ? token(reader) : grants(reader);
    reader.end();
    const isIt = shownFor.length === 32 && equal(shownFor, nonce) && signature.length === 64;
    if (isIt && (await verifyStrict(device, signed(shown, nonce, origin), signature))) return shown;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
  }
  throw new Refused("bad_proof", "what is shown is not signed by this device for the nonce it was given");
}

function token(reader) {
  const text = reader.tstr();
  return ascii(text).length <= TOKEN_BYTES_MAX ? text : badField("a token that is too long");
}

function grants(reader) {
  const count = reader.array();
  if (count > GRANT_CHAIN_MAX) badField(`${count} grants`);
  return Array.from({ length: count }, () => {
    const grant = reader.bstr();
    return grant.length <= GRANT_BYTES_MAX ? grant : badField("a grant that is too long");
  });
}
