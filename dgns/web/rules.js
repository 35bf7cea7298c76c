// The law: whether a certificate may follow, and what changes if it does (PROTOCOL 5). Nothing else changes a state.
//
// A function for each type, in the order of the decision table (5.3). Who signed and how strong that is: rules/power.js. Acts that wait
// and quarrels: rules/pending.js. What acts do: rules/effect.js. What falls due: rules/settle.js. A DID followed by its own
// certificates: rules/chain.js. A refusal throws `Refused` with a code of 4.6, and nothing has changed.

import { Refused } from "./cbor.js";
import { newKeysOf } from "./certificate.js";
import { compare, equal } from "./hash.js";
import { didText, isReserved, kidOf, parentName, parseName } from "./name.js";
import { FREE } from "./state.js";
import { leadingZeroBits, workOf } from "./work.js";
import { asksANotary, attest, bindAlias, dispute, notarySigned } from "./rules/aliases.js";
import { Draft, has } from "./rules/draft.js";
import { AUTHORITIES_MAX, NAMES_MAX, bind, endDevice, isAtOnce, mustBeBound, mustEnd, mustMove, mustRotateTo, perform } from "./rules/effect.js";
import { confirm, dueFrom, mustNotBeOpenAgainst, open, refresh, veto, vetoActsOf } from "./rules/pending.js";
import { ADMIN, DEVICE_LIVE, FRESH, Signers, VOTER, counts, deviceOf, mustLeaveAnAdmin } from "./rules/power.js";
import { mustBeRecords } from "./rules/records.js";

export { World } from "./rules/draft.js";
export { earliest, settle } from "./rules/settle.js";
export { Chain } from "./rules/chain.js";

const DEVICES_MAX = 32;
const WINDOW_DEFAULT_S = 259_200n;
const WINDOW_MAX_S = 1_209_600n;
const WORK_BITS_MAX = 40n;
const SERVER_KIND = 3;
const [FROZEN, STALE, ENDED] = [1, 2, 8];
const [OPEN, ATTESTED, PARENT] = [1, 2, 4];
const [ZONE_ROLE, ALIAS_ROLE] = [2, 3];

/** Returns the 20 bytes of the DID, or the 32 of the alias, whose chain a certificate extends. */
export const chainOf = ({ payload, sid }) => payload.subject ?? sid.subarray(0, 20);

/** Returns every key whose signature could count on a certificate. */
export function candidates(world, certificate) {
  const { payload } = certificate;
  const isDid = (id) => id !== undefined && id.length === 20;
  const states = [chainOf(certificate), payload.by].filter(isDid).map((did) => world.did(did)).filter(Boolean);
  const keys = [...newKeysOf(payload).signing, ...states.flatMap((state) => [state.identity, ...state.devices.map(({ sign }) => sign)])];
  if (payload.typeName === "claim") keys.push(...world.zoneAuthorities().map(({ key }) => key));
  if (asksANotary(payload)) keys.push(...world.notaries().map(({ key }) => key));
  return keys;
}

/**
 * Judges a certificate, signed by these whole keys, at its place: `index` and `epochMs` (BigInt), the time of the Epoch that closes its
 * batch. Returns the changes, `[key, leaf]` pairs.
 */
export function apply(world, certificate, signed, { index, epochMs }) {
  const { payload, sid } = certificate;
  const did = chainOf(certificate);
  const cause = { index, sid, nowMs: epochMs };
  const draft = new Draft(world);
  if (payload.typeName === "genesis") {
    genesis(draft, did, payload.body, signed, cause);
    return draft.finish();
  }
  if (payload.typeName === "attest_login") {
    attest(draft, payload, signed, cause);
    return draft.finish();
  }
  const state = draft.did(did);
  if (state === undefined) throw new Refused("stale_prev", "no such chain");
  if ((state.flags & ENDED) !== 0) throw new Refused("ended");
  if (payload.seq !== state.head.seq + 1n || !equal(payload.prev, state.head.sid)) throw new Refused("stale_prev");
  const act = { world, draft, did, payload, body: payload.body, signed, by: new Signers(state, signed), cause };
  maySpeak(act, state);
  if (JUDGES[payload.typeName] === undefined) throw new Refused("did_exists");
  JUDGES[payload.typeName](act);
  draft.editDid(did).head = { seq: payload.seq, sid, index };
  draft.setHead(didText(did), cause);
  return draft.finish();
}

/** Refuses those who may not speak at all: the suspended, anybody but the identity key while frozen, and who has an act open. */
function maySpeak({ payload, body, by }, state) {
  const isDispute = payload.typeName === "veto" && body.alias !== undefined;
  const votes = payload.typeName === "confirm" || payload.typeName === "veto";
  if (votes && !isDispute) return;
  if (by.anySuspended(state)) throw new Refused("suspended");
  if (isDispute) return;
  if ((state.flags & FROZEN) !== 0 && !by.identity) throw new Refused("frozen");
  const voteless = payload.typeName === "device_revoke" && deviceOf(state, body.kid);
  if (payload.typeName === "records" || payload.typeName === "user_key" || (voteless && !counts(voteless))) return;
  if (!by.identity && state.pending.some(({ supporters }) => by.hasKid(supporters[0]))) throw new Refused("act_open");
}

const JUDGES = {
  claim(act) {
    const { world, draft, did, body, cause } = act;
    needsPower(act);
    const name = parseName(body.name, world.zone);
    if (isReserved(name, world.zone)) throw new Refused("reserved_name");
    if (world.chain) return;
    const [terms, parent] = [world.terms(), parentName(name, world.zone)];
    const isOpen = terms !== undefined && (terms.roads & (1 << (body.road - 1))) !== 0;
    if (!isOpen || (body.road !== PARENT && parent !== null)) throw new Refused("road_closed");
    if (draft.name(name) !== undefined && draft.name(name).status !== FREE) throw new Refused("name_taken");
    if (body.road === PARENT) parentGrants(act, parent);
    if (body.road === OPEN) {
      const work = leadingZeroBits(workOf(name, did, body.proof));
      if (body.bits < terms.workFloor || BigInt(work) < body.bits) throw new Refused("pow_short");
    }
    if (body.road === ATTESTED) notarySigned(world, act.signed);
    zoneSigned(act, terms.key);
    if (draft.did(did).names.length >= NAMES_MAX) throw new Refused("too_many", "names");
    bind(draft, name, did, cause);
  },

  device_add(act) {
    const { draft, did, body, cause } = act;
    const power = needsPower(act);
    const { sign, kex, level } = body.device;
    newKeySigned(act, sign);
    const state = draft.editDid(did);
    if (deviceOf(state, kidOf(sign)) !== undefined || equal(kidOf(state.identity), kidOf(sign))) throw new Refused("kid_taken");
    if (state.devices.length >= DEVICES_MAX) throw new Refused("too_many", "devices");
    const fresh = level === ADMIN && power === VOTER;
    const [status, untilMs] = fresh ? [FRESH, dueFrom(state, cause.nowMs)] : [DEVICE_LIVE, 0n];
    state.devices.push({ sign, kex, level, status, index: cause.index, untilMs });
    state.devices.sort((a, b) => compare(kidOf(a.sign), kidOf(b.sign)));
  },

  device_suspend(act) {
    const power = needsPower(act);
    const state = act.draft.did(act.did);
    const target = deviceOf(state, act.body.kid);
    if (target === undefined) throw new Refused("no_such_device");
    if (target.status === FRESH) throw new Refused("not_allowed", "a device on probation is revoked, not suspended");
    mustNotBeOpenAgainst(state, act.body.kid);
    mustLeaveAnAdmin(state, target, power);
    holdDown(act, power);
  },

  device_revoke(act) {
    const { draft, did, body, by, cause } = act;
    const state = draft.did(did);
    const target = deviceOf(state, body.kid);
    if (target === undefined) throw new Refused("no_such_device");
    const byItself = by.hasKid(body.kid);
    const power = by.power(state) || (byItself ? VOTER : 0);
    if (power === 0) throw new Refused("not_allowed");
    mustLeaveAnAdmin(state, target, power);
    if (power > VOTER || byItself || !counts(target)) {
      endDevice(draft.editDid(did), body.kid, cause.nowMs);
      return;
    }
    mustNotBeOpenAgainst(state, body.kid);
    holdDown(act, power);
  },

  id_rotate(act) {
    const power = needsPower(act);
    newKeySigned(act, act.body.identity);
    mustRotateTo(act.draft.editDid(act.did), act.body.identity);
    nowOrLater(act, power);
  },

  policy(act) {
    const power = needsPower(act);
    mustBeWindow(act.world, act.body.windowS);
    nowOrLater(act, power);
  },

  transfer(act) {
    const { world, draft, did, payload, body } = act;
    const power = needsPower(act);
    parseName(body.name, world.zone);
    const second = body.to === undefined || equal(body.to, did) ? undefined : body.to;
    const agree = payload.by === undefined || second === undefined ? payload.by === second : equal(payload.by, second);
    if (!agree) throw new Refused("not_allowed", "the second party is the receiver");
    if (!world.chain) {
      if (body.to !== undefined) voterOf(act, body.to);
      mustMove(draft, did, body.name, body.to);
    }
    nowOrLater(act, power);
  },

  alias_bind(act) {
    needsPower(act);
    if (!act.world.chain) bindAlias(act);
  },

  alias_unbind(act) {
    const power = needsPower(act);
    if (!act.world.chain) mustBeBound(act.draft, act.did, act.body.alias);
    nowOrLater(act, power);
  },

  records(act) {
    const { world, draft, did, body, cause } = act;
    needsPower(act);
    parseName(body.name, world.zone);
    if (!world.chain) {
      const owner = draft.owner(body.name);
      if (owner === undefined || !equal(owner, did)) throw new Refused("not_name_owner");
    }
    mustBeRecords(body);
    if (!world.chain) draft.editName(body.name, cause).records = { index: cause.index, sid: cause.sid };
  },

  confirm: ({ draft, did, body, by, cause }) => confirm(draft, did, body.act, by, cause),
  veto(act) {
    const { world, draft, did, body, by, cause } = act;
    if (body.alias === undefined) {
      veto(draft, did, body.act, by, cause);
      return;
    }
    needsPower(act);
    if (!world.chain) dispute(act);
  },

  user_key(act) {
    const { draft, did, body, cause } = act;
    needsPower(act);
    const state = draft.editDid(did);
    const old = state.userKey;
    if (body.generation !== (old?.generation ?? 0n) + 1n) throw new Refused("bad_generation");
    if (old !== undefined && equal(old.key, body.key)) throw new Refused("key_same");
    const places = [state.wordsBox, ...state.devices.map(({ kex }) => kex)];
    const extras = body.extras ?? [];
    if ((old !== undefined && equal(old.boxes, body.boxes)) || extras.some(({ kex }) => has(places, kex))) throw new Refused("bad_boxes");
    state.userKey = { generation: body.generation, key: body.key, index: cause.index, boxes: body.boxes, extras };
    state.flags &= ~STALE;
  },

  tombstone(act) {
    const power = needsPower(act);
    if (!act.world.chain) mustEnd(act.draft, act.did);
    openAct(act, power);
  },

  notary_add(act) {
    const { role, scope, zone } = act.body;
    mustBeServer(act);
    const power = needsPower(act);
    if (role === ZONE_ROLE) {
      const [, workFloor, windowFloorS] = zone;
      if (scope !== act.world.zone || windowFloorS > WINDOW_MAX_S || workFloor > WORK_BITS_MAX) throw new Refused("bad_scope");
    }
    if (role === ALIAS_ROLE && scope !== act.world.zone) throw new Refused("bad_scope");
    if (act.draft.did(act.did).authorities.length >= AUTHORITIES_MAX) throw new Refused("too_many", "authorities");
    nowOrLater(act, power);
  },

  notary_revoke(act) {
    mustBeServer(act);
    needsPower(act);
    const { authorities } = act.draft.editDid(act.did);
    const live = authorities.find(({ key, revokedAt }) => revokedAt === null && equal(kidOf(key), act.body.kid));
    if (live === undefined) throw new Refused("bad_scope");
    live.revokedAt = act.cause.index;
  },
};

/** genesis: I and R; the first device is a voter. */
function genesis(draft, did, body, signed, cause) {
  const { kind, identity, wordsBox, device } = body;
  if (draft.did(did) !== undefined) throw new Refused("did_exists");
  const byBoth = has(signed, identity) && has(signed, device.sign);
  if (device.level !== ADMIN || !byBoth) throw new Refused("not_allowed");
  if (equal(kidOf(identity), kidOf(device.sign))) throw new Refused("kid_taken");
  const windowS = body.windowS ?? WINDOW_DEFAULT_S;
  mustBeWindow(draft.world, windowS);
  const { index, sid, nowMs } = cause;
  const first = { sign: device.sign, kex: device.kex, level: device.level, status: DEVICE_LIVE, index, untilMs: 0n };
  const userKey = body.userKey && { generation: 1n, key: body.userKey, index, boxes: body.boxes, extras: [] };
  const state = {
    version: 1n, did, kind, flags: 0, head: { seq: 0n, sid, index }, identity, wordsBox, devices: [first], userKey, windowS, pending: [], names: [],
    authorities: [], uid: index, bornMs: nowMs,
  };
  draft.create(didText(did), state, cause);
}

function mustBeWindow(world, windowS) {
  if (windowS < world.windowFloorS() || windowS > WINDOW_MAX_S) throw new Refused("bad_window");
}

function parentGrants(act, parent) {
  const owner = parent === null ? undefined : act.draft.owner(parent);
  if (owner === undefined) throw new Refused("no_parent");
  if (!equal(act.payload.by ?? act.did, owner)) throw new Refused("not_allowed", "the parent belongs to somebody else");
  voterOf(act, owner);
}

function zoneSigned({ world, signed }, key) {
  if (has(signed, key)) return;
  const wasAuthority = ({ key: old, revokedAt }) => revokedAt !== null && has(signed, old);
  throw new Refused(world.zoneAuthorities().some(wasAuthority) ? "key_revoked" : "not_allowed");
}

function mustBeServer({ world, draft, did }) {
  const isServer = world.chain ? draft.did(did).kind === SERVER_KIND : world.server !== null && equal(world.server, did);
  if (!isServer) throw new Refused("not_server");
}

/** Returns the signers' power; nobody without one acts. */
function needsPower({ draft, did, by }) {
  const power = by.power(draft.did(did));
  if (power === 0) throw new Refused("not_allowed");
  return power;
}

function newKeySigned({ signed }, key) {
  if (!has(signed, key)) throw new Refused("not_allowed", "the new key has not signed");
}

/** Asks for a voter of another DID among the signers. */
function voterOf({ draft, signed }, did) {
  const state = draft.did(did);
  const speaks = state !== undefined && (state.flags & (ENDED | FROZEN)) === 0 && new Signers(state, signed).voters(state) > 0;
  if (!speaks) throw new Refused("not_allowed", "a voter of the other party has not signed");
}

function nowOrLater(act, power) {
  const { draft, did, payload, body, cause } = act;
  if (isAtOnce(payload.type, power)) perform(draft, did, payload.type, body, power, cause);
  else openAct(act, power);
}

/** Opens an act against a device, which is suspended from now on. */
function holdDown(act, power) {
  vetoActsOf(act.draft.editDid(act.did), act.body.kid, power);
  openAct(act, power);
  refresh(act.draft.editDid(act.did), act.cause.nowMs);
}

function openAct({ draft, did, payload, body, by, cause }, power) {
  const state = draft.editDid(did);
  open(state, payload.type, body, power, by.voices(state), cause);
}
