// Blind evaluation, the asker's side (PROTOCOL 1.7): RFC 9497, ristretto255-SHA512, verifiable mode.

import { Refused } from "./cbor.js";
import { L, IDENTITY, add, basePoint, littleEndian, multiply } from "./edwards.js";
import { ascii, bigEndian, concat, equal } from "./hash.js";
import { decodeElement, elementOfUniform, encodeElement } from "./ristretto.js";

const BATCH_MAX = 16;
const INPUT_BYTES_MAX = 65_535;
const SUITE = concat(ascii("OPRFV1-"), Uint8Array.of(1), ascii("-ristretto255-SHA512"));
const sha512 = async (...parts) => new Uint8Array(await crypto.subtle.digest("SHA-512", concat(...parts)));
const prefixed = (bytes) => concat(bigEndian(bytes.length, 2), bytes);

/** Returns 64 bytes by expand_message_xmd of RFC 9380, one block of SHA-512. */
async function expanded(message, purpose) {
  const tag = concat(ascii(purpose), SUITE);
  const tail = concat(tag, Uint8Array.of(tag.length));
  const first = await sha512(new Uint8Array(128), message, bigEndian(64, 2), Uint8Array.of(0), tail);
  return sha512(first, Uint8Array.of(1), tail);
}

/** Returns the scalar that a message leads to. */
export const scalarOf = async (message, purpose = "HashToScalar-") => littleEndian(await expanded(message, purpose)) % L;

/** Returns a fresh scalar other than 0. */
export function freshScalar() {
  for (;;) {
    const scalar = littleEndian(crypto.getRandomValues(new Uint8Array(64))) % L;
    if (scalar !== 0n) return scalar;
  }
}

/** Returns the inverse of a scalar other than 0. */
export const inverseOf = (scalar) => {
  let [result, base] = [1n, scalar];
  for (let e = L - 2n; e > 0n; e >>= 1n, base = (base * base) % L) if (e & 1n) result = (result * base) % L;
  return result;
};

/** Blinds an input by a fresh factor: `{input, blind, element}`, of which `element`, 32 bytes, says nothing about the input. */
export async function blinded(input, blind = freshScalar()) {
  if (input.length < 1 || input.length > INPUT_BYTES_MAX) throw new Refused("bad_input", "an input of no bytes, or of more than 65,535");
  const element = encodeElement(multiply(elementOfUniform(await expanded(input, "HashToGroup-")), blind));
  return { input, blind, element };
}

/** Returns the 64 bytes of each input of a batch, if the key `key` made all of `evaluated`, in the order of the batch. */
export async function finalized(batch, evaluated, proof, key) {
  if (batch.length < 1 || batch.length > BATCH_MAX || batch.length !== evaluated.length) throw new Refused("bad_batch", "1 to 16, one answer for each");
  const public_ = decodeElement(key);
  if (public_ === null) throw new Refused("bad_key", "the key is no point");
  const [challenge, response] = [littleEndian(proof.subarray(0, 32)), littleEndian(proof.subarray(32))];
  if (proof.length !== 64 || challenge >= L || response >= L) throw new Refused("bad_proof", "no proof");
  const answers = evaluated.map(decodeElement);
  if (answers.includes(null)) throw new Refused("bad_element", "an answer is no point");
  const asked = batch.map(({ element }) => element);
  const { m, z } = await composites(key, asked.map(decodeElement), asked, answers, evaluated);
  const t2 = add(multiply(basePoint(), response), multiply(public_, challenge));
  const t3 = add(multiply(m, response), multiply(z, challenge));
  if ((await challengeOf(key, m, z, t2, t3)) !== challenge) throw new Refused("bad_proof", "another key made the answers, or they were changed");
  return Promise.all(batch.map(({ input, blind }, i) => outputOf(input, multiply(answers[i], inverseOf(blind)))));
}

/** The sums that one proof is about, RFC 9497, 2.2.1. */
export async function composites(key, asked, askedBytes, answers, answerBytes) {
  const seed = await sha512(prefixed(key), prefixed(concat(ascii("Seed-"), SUITE)));
  let [m, z] = [IDENTITY, IDENTITY];
  for (let i = 0; i < asked.length; i++) {
    const transcript = concat(prefixed(seed), bigEndian(i, 2), prefixed(askedBytes[i]), prefixed(answerBytes[i]), ascii("Composite"));
    const d = await scalarOf(transcript);
    [m, z] = [add(m, multiply(asked[i], d)), add(z, multiply(answers[i], d))];
  }
  return { m, z };
}

/** The challenge of a proof. */
export const challengeOf = (key, ...points) => scalarOf(concat(prefixed(key), ...points.map((point) => prefixed(encodeElement(point))), ascii("Challenge")));

/** Returns the 64 bytes of an input and the point that the key made of it, nothing blinded. */
export const outputOf = (input, point) => sha512(prefixed(input), prefixed(encodeElement(point)), ascii("Finalize"));
