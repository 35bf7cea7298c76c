// Recovery: enrolments, attempts that are counted, a window, a veto, and a new device (PROTOCOL 5.8).

import { Refused } from "../cbor.js";
import { compare, equal } from "../hash.js";
import { kidOf } from "../name.js";
import { decodeElement } from "../ristretto.js";
import { needsPower, newKeySigned, openAct } from "./act.js";
import { notarySigned } from "./aliases.js";
import { has } from "./draft.js";
import { mustRotateTo } from "./effect.js";
import { dueFrom, refresh } from "./pending.js";
import { ADMIN, DEVICE_LIVE, SUSPENDED, VOTER, counts, deviceOf, userKeyIsStale } from "./power.js";

const [USER_KIND, SERVER_KIND] = [1, 3];
const DEVICES_MAX = 32;
const GUESSES_MAX = 10n;
const BACKOFF_MS = [0n, 60_000n, 60_000n, 300_000n, 900_000n, 3_600_000n, 14_400_000n, 86_400_000n, 86_400_000n, 86_400_000n];
const [PROVE_MS, READY_MS, BREAKER_MS] = [600_000n, 2_592_000_000n, 604_800_000n];
const SET = 15;
/** Phases of a recovery. */
export const [NONE, LIVE, OPEN, PROVED, READY, BURNT] = [0, 1, 2, 3, 4, 5];

const isPending = ({ phase }) => phase === PROVED || phase === READY;
const isPoint = (bytes) => decodeElement(bytes) !== null;
const ended = (epoch) => ({ epoch, phase: NONE, keys: null, guesses: 0n, attempt: null, dueMs: 0n, breakerMs: 0n });

/** The keys beside the DID's own that sign in a recovery: K, and that of the device that opened the newest attempt. */
export const recoveryKeysOf = ({ recovery }) => [recovery?.keys, recovery?.attempt].filter(Boolean).map(({ sign }) => sign);

/** The key the user key is sealed to besides devices and words, in a list: empty without a recovery that could end well. */
export const recoveryBoxOf = ({ recovery }) => (recovery?.keys && recovery.phase !== BURNT ? [recovery.keys.kex] : []);

/** recovery_set: I or J at once; the only V if there is no enrolment or its guesses are spent; else V after a window. */
export function recoverySet(act) {
  const { draft, did, body, cause } = act;
  const power = needsPower(act);
  const state = draft.editDid(did);
  if (state.kind !== USER_KIND && state.kind !== SERVER_KIND) throw new Refused("not_allowed", "this kind has no recovery");
  mustSet(state, body);
  if (power > VOTER) enrol(state, body, cause);
  else if (isFree(state)) enrol(state, body, cause, dueFrom(state, cause.nowMs));
  else if (state.pending.some(({ type }) => type === SET)) throw new Refused("act_open");
  else openAct(act, power);
}

/** recover_open: the new device and a notary. The guess is spent, whatever comes of it. */
export function recoverOpen(act) {
  const { world, draft, did, body, signed, cause } = act;
  newKeySigned(act, body.sign);
  if (!world.chain) notarySigned(world, signed);
  const state = draft.editDid(did);
  const recovery = enrolled(state, body);
  const { keys } = recovery;
  if (isPending(recovery)) throw new Refused("recovery_pending");
  if (recovery.guesses >= GUESSES_MAX) throw new Refused("guesses_spent");
  if (body.attempt !== recovery.guesses + 1n) throw new Refused("bad_attempt");
  if (recovery.attempt !== null && cause.nowMs < recovery.attempt.atMs + BACKOFF_MS[Number(recovery.guesses)]) throw new Refused("backoff");
  const shown = BigInt(body.evidence.length);
  if (cause.nowMs < recovery.breakerMs && shown < keys.signIns) throw new Refused("breaker");
  if (shown < keys.needed) throw new Refused("too_few");
  if (!isPoint(body.blinded)) throw new Refused("bad_point");
  const kid = kidOf(body.sign);
  if (deviceOf(state, kid) !== undefined || [state.identity, keys.sign].some((key) => equal(kidOf(key), kid))) throw new Refused("kid_taken");
  const attempt = { sid: cause.sid, sign: body.sign, kex: body.kex, atMs: cause.nowMs };
  state.recovery = { ...recovery, guesses: recovery.guesses + 1n, phase: OPEN, attempt };
}

/** recover_prove: K and the new device, soon after the attempt. The window begins. */
export function recoverProve(act) {
  const { draft, did, body, cause } = act;
  const state = draft.editDid(did);
  const recovery = enrolled(state, body);
  recovererSigned(act, recovery);
  if (isPending(recovery)) throw new Refused("recovery_pending");
  if (body.attempt !== recovery.guesses) throw new Refused("bad_attempt");
  if (recovery.phase !== OPEN || cause.nowMs > recovery.attempt.atMs + PROVE_MS) throw new Refused("open_expired");
  state.recovery = { ...recovery, phase: PROVED, dueMs: dueFrom(state, cause.nowMs) };
}

/** recover_final: K and the new device, once it is ready. The new device is a voter; whoever is not kept is gone. */
export function recoverFinal(act) {
  const { draft, did, body, cause } = act;
  const state = draft.editDid(did);
  const recovery = enrolled(state, body);
  recovererSigned(act, recovery);
  newKeySigned(act, body.device.sign);
  if (recovery.phase !== READY) throw new Refused("not_ready");
  if (body.attempt !== recovery.guesses) throw new Refused("bad_attempt");
  if (!equal(recovery.attempt.sign, body.device.sign) || body.device.level !== ADMIN) throw new Refused("not_allowed", "another device");
  if (body.identity !== undefined) {
    newKeySigned(act, body.identity);
    mustRotateTo(state, body.identity);
  }
  takeOver(state, body, cause);
}

function takeOver(state, { keep = [], device, identity, wordsBox }, cause) {
  const kid = kidOf(device.sign);
  if (deviceOf(state, kid) !== undefined || equal(kidOf(identity ?? state.identity), kid)) throw new Refused("kid_taken");
  const isHeard = (one) => deviceOf(state, one) !== undefined && deviceOf(state, one).status !== SUSPENDED;
  if (!keep.every(isHeard)) throw new Refused("no_such_device");
  if (keep.length >= DEVICES_MAX) throw new Refused("too_many", "devices");
  const { sign, kex, level } = device;
  const newcomer = { sign, kex, level, status: DEVICE_LIVE, index: cause.index, untilMs: 0n };
  state.pending = [];
  state.devices = [...state.devices.filter((one) => has(keep, kidOf(one.sign))), newcomer];
  state.devices.sort((a, b) => compare(kidOf(a.sign), kidOf(b.sign)));
  if (identity !== undefined) Object.assign(state, { identity, wordsBox });
  endRecovery(state);
  userKeyIsStale(state);
  refresh(state, cause.nowMs);
}

function recovererSigned({ signed }, recovery) {
  const both = recoveryKeysOf({ recovery });
  if (both.length < 2 || !both.every((key) => has(signed, key))) throw new Refused("not_allowed", "K and the new device sign");
}

/** Refuses an enrolment that is not the next, or could not be used. */
function mustSet(state, { epoch, servers, threshold, sign, signIns, needed }) {
  if (epoch !== (state.recovery?.epoch ?? 0n) + 1n) throw new Refused("bad_epoch");
  if (servers === undefined) {
    if (!state.recovery?.keys) throw new Refused("no_recovery");
    return;
  }
  const count = BigInt(servers.length);
  const differ = servers.every((one, i) => servers.slice(i + 1).every((other) =>
    one.url !== other.url && !equal(one.key, other.key) && !equal(one.oprf, other.oprf)));
  const fits = threshold >= 2n && threshold <= count && 2n * threshold > count && needed >= 1n && needed <= BigInt(signIns.length);
  if (!fits || !differ) throw new Refused("bad_threshold");
  if (!servers.every(({ oprf }) => isPoint(oprf))) throw new Refused("bad_point");
  if (deviceOf(state, kidOf(sign)) !== undefined || equal(kidOf(state.identity), kidOf(sign))) throw new Refused("kid_taken");
}

/** Whether nobody is passed over and no way back lost: one device has a vote, and no enrolment, or all its guesses were wrong. */
function isFree({ devices, recovery }) {
  if (devices.filter(counts).length > 1) return false;
  const { phase, guesses } = recovery ?? ended(0n);
  return phase === NONE || ((phase === LIVE || phase === OPEN) && guesses === GUESSES_MAX);
}

/** Puts the next enrolment in the place of what there was, an attempt of it included. */
export function enrol(state, body, { index, sid }, freshUntilMs = 0n) {
  mustSet(state, body);
  state.recovery = ended(body.epoch);
  if (body.servers !== undefined) {
    const keys = { index, sid, sign: body.sign, kex: body.kex, signIns: BigInt(body.signIns.length), needed: body.needed, freshUntilMs };
    state.recovery = { ...state.recovery, phase: LIVE, keys };
  }
  userKeyIsStale(state);
}

/** Ends an enrolment, if there is one; its epoch stays. */
export function endRecovery(state) {
  if (state.recovery !== undefined) state.recovery = ended(state.recovery.epoch);
}

/** Whether a vote is about the newest attempt of a recovery, which is no pending act. */
export const isAboutRecovery = ({ recovery }, sid) => recovery?.attempt != null && equal(recovery.attempt.sid, sid);

/** A confirm by V or I: the recovery is ready at once. While the enrolment is fresh V is not enough. */
export function confirmRecovery({ draft, did, by, cause }) {
  const [state, power] = votedOn(draft, did, by);
  const { recovery } = state;
  if (recovery.phase === READY) throw new Refused("already_voted");
  if (recovery.phase === OPEN) throw new Refused("not_ready");
  if (recovery.phase !== PROVED) throw new Refused("no_such_act");
  if (cause.nowMs < recovery.keys.freshUntilMs && power === VOTER) throw new Refused("not_allowed", "the enrolment is fresh");
  state.recovery = { ...recovery, phase: READY, dueMs: cause.nowMs + READY_MS };
}

/** A veto by V or I: the epoch is burnt. */
export function vetoRecovery({ draft, did, by }) {
  const [state] = votedOn(draft, did, by);
  if (![OPEN, PROVED, READY].includes(state.recovery.phase)) throw new Refused("no_such_act");
  state.recovery = { ...state.recovery, phase: BURNT, dueMs: 0n };
}

/** Who is suspended has no voice here: a recovery is the way out for who is suspended wrongly. */
function votedOn(draft, did, by) {
  const state = draft.editDid(did);
  if (by.anySuspended(state)) throw new Refused("suspended");
  const power = by.power(state);
  if (power === 0) throw new Refused("not_allowed");
  return [state, power];
}

/** Lets a phase end whose time has come: the window into readiness, readiness into nothing. */
export function settleRecovery(state) {
  const { recovery } = state;
  const next = recovery.phase === PROVED ? { phase: READY, dueMs: recovery.dueMs + READY_MS } : { phase: LIVE, dueMs: 0n };
  state.recovery = { ...recovery, ...next };
}

/** A sign-in of the DID's alias was disputed: for a week an attempt has to show every sign-in that is listed. */
export function breakCircuit(state, nowMs) {
  if (state.recovery?.keys) state.recovery = { ...state.recovery, breakerMs: nowMs + BREAKER_MS };
}

/** Returns the recovery an attempt is for, unless it is over or another's. */
function enrolled({ recovery }, { epoch }) {
  if (!recovery?.keys) throw new Refused("no_recovery");
  if (epoch !== recovery.epoch) throw new Refused("bad_epoch");
  if (recovery.phase === BURNT) throw new Refused("burnt");
  return recovery;
}
