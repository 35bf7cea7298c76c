// One key among several servers (PROTOCOL 24.2): any t of n evaluate as one, fewer learn nothing. Shamir's sharing over the scalars of the group.

import { Refused } from "./cbor.js";
import { IDENTITY, L, add, basePoint, bytesOf, littleEndian, multiply } from "./edwards.js";
import { blinded, finalized, freshScalar, inverseOf, outputOf } from "./oprf.js";
import { decodeElement, encodeElement } from "./ristretto.js";

/** Makes a key and splits it: returns `{key, shares: [{point, secret, key}]}`, the key and `secret` as scalars, `key` of a share its public key. */
export function dealtKey(threshold, servers) {
  if (threshold < 1 || threshold > servers || servers > 255) throw new Refused("bad_batch", "no such split");
  const polynomial = Array.from({ length: threshold }, freshScalar);
  const shares = Array.from({ length: servers }, (_, i) => {
    const secret = polynomial.reduceRight((sum, coefficient) => (sum * BigInt(i + 1) + coefficient) % L, 0n);
    return { point: i + 1, secret: bytesOf(secret), key: encodeElement(multiply(basePoint(), secret)) };
  });
  return { key: polynomial[0], shares };
}

/** Returns the 64 bytes of an input under a whole key, as whoever dealt it knows them. */
export async function outputUnder(key, input) {
  const { element } = await blinded(input, 1n);
  return outputOf(input, multiply(decodeElement(element), key));
}

/** Refuses with `bad_proof`, or a code of bytes, what the share with this public key did not make of what was blinded. */
export const checkShare = async (blind, element, proof, key) => void (await finalized([blind], [element], proof, key));

/** Returns the 64 bytes under the whole key, of answers `[[point, element], ...]` that were checked; as many as are needed. */
export async function combined({ input, blind }, answers) {
  const whole = interpolated(answers, "bad_element");
  return outputOf(input, multiply(whole, inverseOf(blind)));
}

/** Returns the public key of the whole, of those of as many shares as are needed, `[[point, key], ...]`. */
export const combinedKey = (keys) => encodeElement(interpolated(keys, "bad_key"));

/** Returns the factor that the scalar spells in 32 bytes, or refuses with `bad_key`. */
export function blindOf(bytes) {
  const blind = littleEndian(bytes);
  if (bytes.length !== 32 || blind === 0n || blind >= L) throw new Refused("bad_key", "no scalar");
  return blind;
}

/** Returns the value at 0 of what goes through these elements at these points. */
function interpolated(rows, code) {
  const points = rows.map(([point]) => point);
  if (points.length === 0 || points.some((point, i) => point === 0 || points.indexOf(point) !== i)) throw new Refused("bad_batch", "no answer, a point 0 or twice");
  const factorOf = (own) => points.filter((other) => other !== own).reduce((product, other) => {
    const difference = (BigInt(other) - BigInt(own) + L) % L;
    return (((product * BigInt(other)) % L) * inverseOf(difference)) % L;
  }, 1n);
  return rows.reduce((sum, [point, bytes]) => {
    const element = decodeElement(bytes);
    if (element === null) throw new Refused(code, "no point");
    return add(sum, multiply(element, factorOf(point)));
  }, IDENTITY);
}
