// Runners of the vectors of recovery. What a server reads is read here, and written again by what the page writes with.

import { Reader, refusedAs } from "../../dgns/web/cbor.js";
import { bytesOf, listOf, readMap, text, tuple, uintWithin } from "../../dgns/web/fields.js";
import { equal, hex, unhex } from "../../dgns/web/hash.js";
import { blinded } from "../../dgns/web/oprf.js";
import { blindOf, checkShare, combined, combinedKey } from "../../dgns/web/oprf_threshold.js";
import { readPin } from "../../dgns/web/pin.js";
import { backupOf, decodeBundle, encodeBundle, hardened, keyOf, saltOf, signInId } from "../../dgns/web/recovery.js";
import { decodeEvaluated, evaluateRequest, openInfo, openSigned, registerRequest, releaseRequest } from "../../dgns/web/recovery_message.js";
import { signerOf } from "../../dgns/web/keys.js";
import { combine } from "../../dgns/web/shamir.js";

const ORIGIN = "dgns.test/log";
const key32 = bytesOf(32);
const proofs = listOf(tuple(text, (r) => r.bstr(), bytesOf(16), bytesOf(16)), 0, 4);
const place = { 1: ["did", bytesOf(20)], 2: ["epoch", uintWithin(1, 0xffffffff)] };
const REGISTER = {
  ...place, 3: ["point", uintWithin(1, 255)], 4: ["keyShare", key32], 5: ["backupShare", key32], 6: ["bundle", (r) => r.bstr()], 7: ["proofs", proofs],
  8: ["needed", uintWithin(1, 4)], 9: ["blinded", key32], 10: ["sign", key32], 11: ["kex", key32],
};
const EVALUATE = { ...place, 3: ["attempt", uintWithin(0, 255)], 4: ["proofs", proofs] };
const RELEASE = { ...place, 3: ["attempt", uintWithin(0, 255)], 4: ["server", key32] };

const named = (rows) => rows.map(([issuer, statement, random, salt]) => ({ issuer, statement, random, salt }));
const numbered = (number) => signerOf(new Uint8Array(32).fill(number));

/** Fails unless the page writes the same bytes. */
function same(written, bytes) {
  if (!equal(written, bytes)) throw new Error(`the page writes ${hex(written)}`);
}

export const RECOVERY = {
  harden({ pin, did, epoch, hardening }) {
    const read = readPin(pin);
    const scope = { did: unhex(did), epoch };
    return { salt: hex(saltOf(scope)), input: hex(hardened(read, scope, hardening)) };
  },
  async combine({ did, epoch, input, factor, answers, d }) {
    const scope = { did: unhex(did), epoch };
    const blind = await blinded(unhex(input), blindOf(unhex(factor)));
    const rho = await combined(blind, answers.map(([point, element]) => [point, unhex(element)]));
    const [{ key: sign }, { key: backup }] = [await keyOf(rho, scope), await backupOf(rho, unhex(d), scope)];
    return { blinded: hex(blind.element), rho: hex(rho), sign: hex(sign), backup: hex(backup) };
  },
  shares: ({ shares }) => ({ secret: hex(combine(shares.map(([point, value]) => ({ point, value: unhex(value) })))) }),
  signin_id: ({ issuer, subject, salt }) => ({ id: hex(signInId(issuer, subject, unhex(salt))) }),
  bundle({ bytes }) {
    const bundle = decodeBundle(unhex(bytes));
    same(encodeBundle(bundle), unhex(bytes));
    return { hash: hex(bundle.hash) };
  },
  async info({ bytes }) {
    const { operator, domain } = await openInfo(unhex(bytes), ORIGIN);
    return { domain, operator };
  },
  async register({ bytes }) {
    const fields = await openSigned("recover-register", ORIGIN, unhex(bytes), REGISTER, ({ sign }) => sign);
    const sign = await numbered(11);
    same(await registerRequest(ORIGIN, { ...fields, proofs: named(fields.proofs) }, { sign, kex: { key: fields.kex } }), unhex(bytes));
    return { point: Number(fields.point), needed: Number(fields.needed) };
  },
  evaluate({ bytes }) {
    const fields = refusedAs("bad_field", () => {
      const reader = new Reader(unhex(bytes));
      const read = readMap(reader, EVALUATE);
      reader.end();
      return read;
    });
    same(evaluateRequest(fields, fields.attempt, named(fields.proofs)), unhex(bytes));
    return { attempt: Number(fields.attempt) };
  },
  async release({ bytes }) {
    const signer = await numbered(80);
    const fields = await openSigned("recover-release", ORIGIN, unhex(bytes), RELEASE, () => signer.key);
    same(await releaseRequest(ORIGIN, fields, fields.attempt, fields.server, signer), unhex(bytes));
    return { attempt: Number(fields.attempt) };
  },
  evaluated: ({ bytes }) => ({ element: hex(decodeEvaluated(unhex(bytes)).element) }),
};

/** The key of RFC 9497 among three servers: checked one by one, put together. */
export async function threshold({ input, blind, answers }) {
  const asked = await blinded(unhex(input), blindOf(unhex(blind)));
  for (const [, key, element, proof] of answers) await checkShare(asked, unhex(element), unhex(proof), unhex(key));
  const output = await combined(asked, answers.map(([point, , element]) => [point, unhex(element)]));
  return { blinded: hex(asked.element), pk: hex(combinedKey(answers.map(([point, key]) => [point, unhex(key)]))), output: hex(output) };
}
