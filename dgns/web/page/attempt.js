// An attempt to recover an account, from a blank browser to a device of it (PROTOCOL 24.5, design of the steps in 5.8). Each step leaves what the next
// needs in the store of this browser, so the page goes on after whatever ended it. The PIN is never kept; what was hardened of it for as long as
// the sign-in takes, and in this tab alone.
//
//   { did, name, epoch, attempt, device, blind?, element?, needed, proofs?, rho?, backup?, label?, faults?, madeMs }
//
// `proofs` = sign-ins (goals.js); `rho` = what the right PIN made, once it did: what the PIN could be tried by is gone then. `backup` = the key pair of the
// backup, once it was opened.

import { ProofFault, Refused } from "../client.js";
import { bytesOf } from "../edwards.js";
import { compare, equal, hex, unhex } from "../hash.js";
import { deviceToKeep, keptDevice, newDevice } from "../keys.js";
import { blinded } from "../oprf.js";
import { blindOf, checkShare, combined } from "../oprf_threshold.js";
import { GUESSES_MAX, readPin } from "../pin.js";
import { decodeDidState } from "../state.js";
import { keyOf, openBackup } from "../recovery.js";
import { ASK, evaluateRequest, openShare, releaseRequest, sealAsk } from "../recovery_message.js";
import { LEVEL, deviceRow } from "../write.js";
import { BACKOFF_MS, put } from "./recovery_log.js";
import { askEach, evaluatedBy, meet } from "./recovery_servers.js";
import { hardenedBeside } from "./work.js";

/** Where the attempt of this browser is kept. */
export const attemptKey = (origin) => `recover/${origin}`;
/** Where what was hardened waits for the sign-in: gone with the tab. */
const INPUT = "recover-input";

/** Forgets it: it is over. */
export async function forgetAttempt(store, origin) {
  sessionStorage.removeItem(INPUT);
  await store.delete(attemptKey(origin));
}

/** Whether the newest attempt in the log is the one of this browser. */
export const isMine = (kept, { recovery }) => kept !== undefined && recovery?.attempt != null && BigInt(kept.epoch) === recovery.epoch
  && equal(recovery.attempt.sign, kept.device.sign.key);

/** Returns when the next attempt may begin, ms; 0: now. */
export function nextMs({ recovery: { attempt, guesses } }) {
  return attempt === null ? 0 : Number(attempt.atMs) + (BACKOFF_MS[Number(guesses)] ?? 0);
}

/** Returns how many sign-ins an attempt has to show now. */
export function neededNow({ found, recovery }) {
  return Number(found.epochMs < recovery.breakerMs ? recovery.keys.signIns : recovery.keys.needed);
}

/** Hardens and blinds what somebody typed, with new keys: what the sign-in is to be about. Nothing is spent yet. */
export async function prepare(client, store, logged, name, typed, bundle) {
  const pin = readPin(typed);
  const { state: { did }, recovery } = logged;
  const scope = { did, epoch: Number(recovery.epoch) };
  const [input, device] = await Promise.all([hardenedBeside(pin, scope, bundle.hardening), newDevice()]);
  const { blind, element } = await blinded(input);
  const kept = {
    ...scope, name, attempt: Number(recovery.guesses) + 1, device: deviceToKeep(device), blind: bytesOf(blind), element, needed: neededNow(logged), proofs: [], madeMs: client.now(),
  };
  sessionStorage.setItem(INPUT, hex(input));
  await store.set(attemptKey(client.origin), kept);
  return kept;
}

/** Returns what is blinded in a kept attempt: of this tab, or of the PIN typed again; null if it has to be typed. Refuses with `other_pin`. */
export async function inputOf(kept, typed, hardening) {
  const { did, epoch, blind, element } = kept;
  const held = sessionStorage.getItem(INPUT);
  if (typed === undefined && held === null) return null;
  const input = typed === undefined ? unhex(held) : await hardenedBeside(readPin(typed), { did, epoch }, hardening);
  const again = await blinded(input, blindOf(blind));
  if (!equal(again.element, element)) {
    if (typed === undefined) return null;
    throw new Refused("other_pin", "this is not the PIN that this attempt was begun with");
  }
  return again;
}

/** Puts the attempt into the log: the guess is spent. */
export async function openAttempt(client, kept) {
  const { sign, kex } = keptDevice(kept.device);
  const evidence = kept.proofs.map((proof) => proof.evidence).sort(compare);
  const body = { epoch: kept.epoch, attempt: kept.attempt, sign: sign.key, kex: kex.key, blinded: kept.element, evidence };
  return put(client, kept.did, "recover_open", body, [sign]);
}

/**
 * Asks the servers for the attempt's point, and holds what they make against the log: returns `{rho, faults}`; `rho` is null if the PIN was wrong.
 *
 * Refuses with `too_few_answers`, which has `faults` too: the guess is spent, and the same point is answered again. With `other_signin` if every server
 * knows the account by another sign-in than those shown.
 */
export async function evaluate(client, kept, enrolment, asked) {
  const { did, epoch, attempt } = kept;
  const needed = Number(enrolment.threshold);
  const proofs = kept.proofs.map(({ issuer, statement, nonceRandom, random }) => ({ issuer, statement, random: nonceRandom, salt: random }));
  const request = evaluateRequest({ did, epoch }, attempt, proofs);
  const { good, faults } = await askEach(enrolment.servers, needed, async (server, point) => {
    const peer = await meet(client.origin, server, point);
    const { element, proof } = await evaluatedBy(peer, ASK.evaluate, "/r/v1/evaluate", request);
    await checkShare(asked, element, proof, server.oprf).catch((error) => Promise.reject(new ProofFault("bad_proof", error.message)));
    return [point, element];
  });
  if (good.length === 0 && faults.every(({ code }) => code === "unknown_signin")) throw Object.assign(new Refused("other_signin"), { faults });
  if (good.length < needed) throw Object.assign(new Refused("too_few_answers"), { faults, detail: `${good.length} of ${needed} servers answered well.` });
  const rho = await combined(asked, good.slice(0, needed));
  const { key } = await keyOf(rho, { did, epoch });
  return { rho: equal(key, enrolment.sign) ? rho : null, faults };
}

/** Keeps what the right PIN made, and no longer what it could be tried by. */
export async function keepRho(client, store, kept, rho) {
  const { blind, element, proofs, ...rest } = kept;
  const next = { ...rest, rho };
  await store.set(attemptKey(client.origin), next);
  sessionStorage.removeItem(INPUT);
  return next;
}

/** Puts into the log that the PIN was right: the window begins. */
export async function prove(client, kept) {
  const { did, epoch, attempt, rho } = kept;
  const key = await keyOf(rho, { did, epoch });
  return put(client, did, "recover_prove", { epoch, attempt }, [key, keptDevice(kept.device).sign]);
}

/** Collects the shares of the backup, and opens it: returns `{kept, faults}`. Refuses with `too_few_answers`. */
export async function release(client, store, kept, enrolment) {
  const { did, epoch, attempt, rho } = kept;
  const device = keptDevice(kept.device);
  const [faults, shares] = [[], []];
  await Promise.all(enrolment.servers.map(async (server, i) => {
    try {
      const peer = await meet(client.origin, server, i + 1);
      const request = await releaseRequest(client.origin, { did, epoch }, attempt, server.key, device.sign);
      const answer = await peer.ask("/r/v1/release", await sealAsk(ASK.release, peer.info, request));
      const share = await openShare(answer, { did, epoch }, server.key, device.kex).catch((error) => Promise.reject(new ProofFault("bad_share", error.message)));
      if (share.point !== i + 1) throw new ProofFault("bad_share", "it is not its own share");
      shares.push(share);
    } catch (error) {
      faults.push({ url: server.url, code: error.code ?? "network", why: error.detail ?? error.message, lied: error instanceof ProofFault });
    }
  }));
  const opened = await openBackup(rho, { did, epoch }, enrolment, shares);
  if (opened === null) throw Object.assign(new Refused("too_few_answers"), { faults, detail: `${shares.length} of ${enrolment.threshold} shares of the backup came.` });
  const lied = opened.liars.map((point) => ({ url: enrolment.servers[point - 1].url, code: "bad_share", why: "its share of the backup is false", lied: true }));
  const next = { ...kept, backup: opened.backup };
  await store.set(attemptKey(client.origin), next);
  return { kept: next, faults: [...faults, ...lied] };
}

/** Takes the account over: this browser alone is left of its devices. `words` = the keys of new words, or undefined. */
export async function takeOver(client, kept, label, words) {
  const { did, epoch, attempt, rho } = kept;
  const device = keptDevice(kept.device);
  const key = await keyOf(rho, { did, epoch });
  const body = {
    epoch, attempt, device: deviceRow(device, LEVEL.admin, label.hash), ...(words && { identity: words.identity.key, wordsBox: words.wordsBox.key }),
  };
  return put(client, did, "recover_final", body, [key, device.sign, ...(words ? [words.identity] : [])]);
}

/** Returns how many guesses are left of an enrolment. */
export const guessesLeft = ({ recovery }) => GUESSES_MAX - Number(recovery.guesses);

/** Whether the device of the kept attempt belongs to the account by now. */
export const hasArrived = (kept, { found }) => kept !== undefined && equal(kept.did, found.did.did) && decodeDidState(found.did.bytes).devices.some(({ sign }) => equal(sign, kept.device.sign.key));
