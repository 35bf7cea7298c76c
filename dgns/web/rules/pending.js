// Acts that wait: opened, confirmed, vetoed, contested (PROTOCOL 5.4, 5.5).

import { encodeBody } from "../canonical.js";
import { Refused } from "../cbor.js";
import { equal } from "../hash.js";
import { kidOf } from "../name.js";
import { has } from "./draft.js";
import { isAtOnce, perform } from "./effect.js";
import { DEVICE_LIVE, FRESH, SUSPENDED, VOTER, counts, deviceOf, powerOfSide, userKeyIsStale } from "./power.js";

const PENDING_MAX = 8;
const NEWCOMER_MS = 86_400_000n;
const NEWCOMER_WAIT_MS = 3_600_000n;
const U64_MAX = (1n << 64n) - 1n;
const [SUSPEND, REVOKE] = [4, 5];
const FROZEN = 1;

const least = (a, b) => (a < b ? a : b);

/** Returns until when an act or a probation waits that begins now: a window; a newcomer's is short. */
export function dueFrom({ windowS, bornMs }, nowMs) {
  const windowMs = least(windowS * 1000n, U64_MAX);
  const young = nowMs - bornMs < NEWCOMER_MS;
  return least(nowMs + (young ? least(windowMs, NEWCOMER_WAIT_MS) : windowMs), U64_MAX);
}

/** Puts an act among those that wait. */
export function open(state, type, body, power, supporters, { index, sid, nowMs }) {
  if (state.pending.length >= PENDING_MAX) throw new Refused("too_many", "pending acts");
  const dueMs = dueFrom(state, nowMs);
  state.pending.push({ sid, type, power, dueMs, supporters, opponents: [], index, bytes: encodeBody(type, body), body });
}

/** The device that a pending suspension or revocation is against. */
export const targetOf = ({ type, body }) => (type === SUSPEND || type === REVOKE ? body.kid : undefined);

const openerOf = ({ supporters }) => supporters[0];

/** The parties of a suspension or revocation, opener first: both are heard even while suspended. */
export function partiesOf(act) {
  const target = targetOf(act);
  return target === undefined ? [] : [...act.supporters.slice(0, 1), target];
}

/** Refuses a second act against one device. */
export function mustNotBeOpenAgainst(state, kid) {
  if (state.pending.some((act) => targetOf(act) !== undefined && equal(targetOf(act), kid))) throw new Refused("act_open");
}

/** Ends the acts that a device opened when signers of `power` hold it down; those against devices stay. */
export function vetoActsOf(state, kid, power) {
  state.pending = state.pending.filter((act) => !equal(openerOf(act), kid) || act.power > power || targetOf(act) !== undefined);
}

/** Supports a pending act; strong enough together, its supporters complete it at once. */
export function confirm(draft, did, sid, by, cause) {
  const state = draft.editDid(did);
  const act = find(state, sid);
  const voices = voicesOn(state, by, act);
  const target = targetOf(act);
  const givesIn = target !== undefined && has(voices, target);
  const contested = act.opponents.length > 0;
  if (givesIn) act.opponents = act.opponents.filter((kid) => !equal(kid, target));
  addVotes(act.supporters, act.opponents, voices);
  act.power = Math.max(act.power, powerOfSide(act.supporters, partiesOf(act), state));
  if (act.type !== SUSPEND && (givesIn || isAtOnce(act.type, act.power))) {
    remove(state, act);
    refresh(state, cause.nowMs);
    perform(draft, did, act.type, act.body, act.power, { index: act.index, sid: act.sid, nowMs: cause.nowMs });
    return;
  }
  // Support that decides a quarrel about a suspension lets it run for a window of its own.
  if (contested && (givesIn || act.power > VOTER)) {
    act.opponents = [];
    act.dueMs = dueFrom(state, cause.nowMs);
  }
  refresh(state, cause.nowMs);
}

/** Opposes a pending act: withdraws, ends or contests it. */
export function veto(draft, did, sid, by, cause) {
  const state = draft.editDid(did);
  const act = find(state, sid);
  const voices = voicesOn(state, by, act);
  const withdrawn = has(voices, openerOf(act));
  if (withdrawn || !isContest(state, by, act)) {
    remove(state, act);
    refresh(state, cause.nowMs);
    return;
  }
  const begins = act.opponents.length === 0;
  addVotes(act.opponents, act.supporters, voices);
  if (powerOfSide(act.opponents, partiesOf(act), state) > VOTER) {
    remove(state, act);
  } else if (begins) {
    // A quarrel leaves nothing of its parties to ripen.
    const parties = partiesOf(act);
    state.pending = state.pending.filter((other) => other === act || !has(parties, openerOf(other)));
  }
  refresh(state, cause.nowMs);
}

/** Whether a veto begins or joins a quarrel, or ends the act; refused if it is too weak for either. */
function isContest(state, by, act) {
  const target = targetOf(act);
  // A member or a host has no voice to contest with: it never counts among voters.
  const defendsItself = target !== undefined && by.hasKid(target) && deviceOf(state, target) !== undefined && counts(deviceOf(state, target));
  const power = by.power(state) || (defendsItself ? VOTER : 0);
  if (power === 0 || power < act.power) throw new Refused("not_allowed", "a veto of too little power");
  return power === VOTER && target !== undefined;
}

/** Whose voices count on an act: the identity key, voters, its opener and the device it is against. */
function voicesOn(state, by, act) {
  const target = targetOf(act);
  const concerned = [openerOf(act), ...(target === undefined ? [] : [target])];
  if (by.anySuspended(state, concerned)) throw new Refused("suspended");
  const voices = by.voices(state, concerned);
  if (voices.length === 0) throw new Refused("not_allowed", "no voice on this act");
  return voices;
}

function addVotes(side, other, voices) {
  const fresh = voices.filter((kid) => !has(side, kid));
  if (fresh.length === 0 || fresh.some((kid) => has(other, kid))) throw new Refused("already_voted");
  side.push(...fresh);
}

function find(state, sid) {
  return state.pending.find((act) => equal(act.sid, sid)) ?? refuseUnknown();
}

function refuseUnknown() {
  throw new Refused("no_such_act");
}

const remove = (state, act) => (state.pending = state.pending.filter((other) => other !== act));

/**
 * Brings flags, suspensions and probations in line with the acts that wait: suspended is whoever a pending suspension or revocation is
 * against, and while it is contested its opener too; when that begins the user key is stale. Probation stands still while the DID is
 * frozen and begins anew after.
 */
export function refresh(state, nowMs) {
  const frozen = state.pending.some(({ opponents }) => opponents.length > 0);
  state.flags = frozen ? state.flags | FROZEN : state.flags & ~FROZEN;
  const held = state.pending.flatMap(heldBy);
  const newDueMs = dueFrom(state, nowMs);
  for (const device of state.devices) {
    const until = held.filter(([kid]) => equal(kid, kidOf(device.sign))).map(([, ms]) => ms);
    if (device.status === FRESH) {
      if (frozen) device.untilMs = 0n;
      else if (device.untilMs === 0n) device.untilMs = newDueMs;
    } else if (until.length > 0) {
      if (device.status !== SUSPENDED) userKeyIsStale(state);
      device.status = SUSPENDED;
      device.untilMs = until.includes(0n) ? 0n : until.reduce((a, b) => (a > b ? a : b)); // 0: without end
    } else if (device.status === SUSPENDED) {
      [device.status, device.untilMs] = [DEVICE_LIVE, 0n];
    }
  }
}

/** The devices that an act keeps suspended, with the time until which. */
function heldBy(act) {
  const target = targetOf(act);
  if (target === undefined) return [];
  return act.opponents.length === 0 ? [[target, act.dueMs]] : partiesOf(act).map((kid) => [kid, 0n]);
}
