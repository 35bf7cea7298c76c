// Runners of the vectors of blind evaluation, aliases and letters. A page never evaluates; the server's side stands here, on the page's arithmetic.

import { addressCommitment, aliasId, emailOf, standingOf } from "../../dgns/web/alias.js";
import { issuerHash } from "../../dgns/web/attest.js";
import { Refused } from "../../dgns/web/cbor.js";
import { L, basePoint, bytesOf, littleEndian, multiply } from "../../dgns/web/edwards.js";
import { bigEndian, concat, hex, unhex } from "../../dgns/web/hash.js";
import { kexOf } from "../../dgns/web/keys.js";
import { decodeLetter, encodeLetter, openLetter } from "../../dgns/web/mail.js";
import { blinded, challengeOf, composites, finalized, scalarOf } from "../../dgns/web/oprf.js";
import { decodeElement, encodeElement } from "../../dgns/web/ristretto.js";
import { decodeAliasState, decodeDidState } from "../../dgns/web/state.js";

/** DeriveKeyPair of RFC 9497, 3.2.1. */
async function keyOf(seed, info) {
  for (let counter = 0; ; counter++) {
    const secret = await scalarOf(concat(seed, bigEndian(info.length, 2), info, Uint8Array.of(counter)), "DeriveKeyPair");
    if (secret !== 0n) return { secret, key: encodeElement(multiply(basePoint(), secret)) };
  }
}

export const OPRF = {
  async evaluate({ seed, info, blinded: given, proof_scalar: drawn }) {
    const { secret, key } = await keyOf(unhex(seed), unhex(info));
    if (given.length < 1 || given.length > 16) throw new Refused("bad_batch");
    const bytes = given.map(unhex);
    const asked = bytes.map(decodeElement);
    if (asked.includes(null)) throw new Refused("bad_element");
    const answers = asked.map((point) => multiply(point, secret));
    const evaluated = answers.map(encodeElement);
    const { m } = await composites(key, asked, bytes, answers, evaluated);
    const z = multiply(m, secret);
    const random = littleEndian(unhex(drawn)) % L;
    const challenge = await challengeOf(key, m, z, multiply(basePoint(), random), multiply(m, random));
    const response = (((random - challenge * secret) % L) + L) % L;
    return { pk: hex(key), evaluated: evaluated.map(hex), proof: hex(bytesOf(challenge)) + hex(bytesOf(response)) };
  },
  async finalize({ inputs, blinds, evaluated, proof, pk }) {
    const batch = await Promise.all(inputs.map((input, i) => blinded(unhex(input), littleEndian(unhex(blinds[i])))));
    const outputs = await finalized(batch, evaluated.map(unhex), unhex(proof), unhex(pk));
    return { blinded: batch.map(({ element }) => hex(element)), outputs: outputs.map(hex) };
  },
};

export const ALIASES = {
  address: ({ text }) => ({ address: emailOf(text) }),
  id: ({ evaluation, tag }) => ({ id: hex(aliasId(unhex(evaluation), tag === null ? undefined : unhex(tag))) }),
  commitment: ({ address, nonce }) => ({ commitment: hex(addressCommitment(address, unhex(nonce))) }),
  issuer: ({ issuer }) => ({ hash: hex(issuerHash(issuer)) }),
  standing({ alias: bytes, owner, server, epoch_ms: epochMs }) {
    const alias = decodeAliasState(unhex(bytes));
    const [of, by] = [owner, server].map((state) => decodeDidState(unhex(state)));
    return { standings: alias.attested.map((row) => standingOf(row, alias, of, by, BigInt(epochMs))) };
  },
};

export const MAIL = {
  letter: ({ letter }) => ({ letter: hex(encodeLetter(decodeLetter(unhex(letter)))) }),
  async open({ origin, did, sign, secret, enc, ct }) {
    const device = { sign: unhex(sign), kex: await kexOf(unhex(secret)) };
    const { sentS, content, name, from } = await openLetter(origin, unhex(did), device, { enc: unhex(enc), ct: unhex(ct) });
    return { sent_s: Number(sentS), content: hex(content), name, from: from && { did: hex(from.did), key: hex(from.key) } };
  },
};
