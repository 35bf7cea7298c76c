// An enrolment: made here, tried at every server, and then put into the log (PROTOCOL 24.1 to 24.4).

import { ProofFault, Refused } from "../client.js";
import { compare, equal, sha256 } from "../hash.js";
import { blinded } from "../oprf.js";
import { checkShare, combined, combinedKey, dealtKey, outputUnder } from "../oprf_threshold.js";
import { choosePin, isWords } from "../pin.js";
import { HARDENING, backupOf, encodeBundle, keyOf, signInId } from "../recovery.js";
import { ASK, registerRequest } from "../recovery_message.js";
import { split } from "../shamir.js";
import { evaluatedBy } from "./recovery_servers.js";
import { hardenedBeside } from "./work.js";

/**
 * Makes an enrolment for `scope` at `peers`, has every server keep its share, and tries the PIN through them as a recovery would. `proofs` = sign-ins
 * with a `subject` and a `salt`. Returns the body of the `recovery_set`; refuses with `not_registered`, which has `faults`: nothing is in the log then.
 */
export async function enrolled(client, device, { scope, peers, threshold, typed, proofs, needed }) {
  const pin = choosePin(typed);
  const bundle = encodeBundle({ ...scope, hardening: HARDENING, isWords: isWords(pin) });
  const input = await hardenedBeside(pin, scope, HARDENING);
  const { key: whole, shares } = dealtKey(threshold, peers.length);
  const rho = await outputUnder(whole, input);
  const d = crypto.getRandomValues(new Uint8Array(32));
  const backupShares = split(d, threshold, peers.length);
  const asked = await blinded(input);
  const faults = [];
  const answers = await Promise.all(peers.map(async (peer, i) => {
    const { point, secret, key } = shares[i];
    const rows = proofs.map(({ issuer, statement, nonceRandom, salt }) => ({ issuer, statement, random: nonceRandom, salt }));
    const register = { ...scope, point, keyShare: secret, backupShare: backupShares[i].value, bundle, proofs: rows, needed, blinded: asked.element };
    try {
      const { element, proof } = await evaluatedBy(peer, ASK.register, "/r/v1/register", await registerRequest(client.origin, register, device));
      await checkShare(asked, element, proof, key).catch(() => Promise.reject(new ProofFault("bad_proof", "it does not evaluate with the share it was given")));
      return [point, element];
    } catch (error) {
      faults.push({ url: peer.url, code: error.code ?? "network", why: error.detail ?? error.message, lied: error instanceof ProofFault });
    }
  }));
  if (faults.length > 0) throw Object.assign(new Refused("not_registered"), { faults });
  const { key: sign } = await keyOf(rho, scope);
  await tried(asked, answers.slice(-threshold), shares.slice(-threshold), { scope, sign });
  const kex = (await backupOf(rho, d, scope)).key;
  const servers = peers.map(({ url, info }, i) => ({ url, operator: info.operator, key: info.key, oprf: shares[i].key }));
  const signIns = proofs.map(({ issuer, subject, salt }) => signInId(issuer, subject, salt)).sort(compare);
  return { epoch: scope.epoch, servers, threshold, sign, kex, bundle: sha256(bundle), signIns, needed };
}

/** As a recovery does it, by the servers that come last: what was dealt is what comes back. */
async function tried(asked, answers, shares, { scope, sign }) {
  combinedKey(shares.map(({ point, key }) => [point, key]));
  const { key } = await keyOf(await combined(asked, answers), scope);
  if (!equal(key, sign)) throw new ProofFault("bad_proof", "the servers' answers do not make the key that was dealt");
}
