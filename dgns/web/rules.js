// The law: whether a certificate may follow, and what changes if it does (PROTOCOL 5). Nothing else changes a state.
//
// A function for each type (5.3), here and in rules/claim.js, devices.js, server.js, aliases.js, recovery.js. Who signed and how strong that is:
// rules/power.js. Acts that wait and quarrels: rules/pending.js. What acts do: rules/effect.js. What falls due: rules/settle.js. A DID followed by its own
// certificates: rules/chain.js. A refusal throws `Refused` with a code of 4.6, and nothing has changed.

import { Refused } from "./cbor.js";
import { newKeysOf } from "./certificate.js";
import { isAdmitted } from "./ed25519.js";
import { equal } from "./hash.js";
import { didText, kidOf, parseName } from "./name.js";
import { needsPower, newKeySigned, nowOrLater, openAct, voterOf } from "./rules/act.js";
import { asksANotary, attest, bindAlias, dispute } from "./rules/aliases.js";
import { claim } from "./rules/claim.js";
import { deviceAdd, deviceRevoke, deviceSuspend, userKey } from "./rules/devices.js";
import { Draft, has } from "./rules/draft.js";
import { mustBeBound, mustEnd, mustMove, mustRotateTo } from "./rules/effect.js";
import { confirm, veto } from "./rules/pending.js";
import { ADMIN, DEVICE_LIVE, Signers, counts, deviceOf } from "./rules/power.js";
import { mustBeDelegate, mustBeRecords } from "./rules/records.js";
import {
  breakCircuit, confirmRecovery, isAboutRecovery, recoverFinal, recoverOpen, recoverProve, recoveryKeysOf, recoverySet, vetoRecovery,
} from "./rules/recovery.js";
import { notaryAdd, notaryRevoke } from "./rules/server.js";

export { World } from "./rules/draft.js";
export { earliest, settle } from "./rules/settle.js";
export { Chain } from "./rules/chain.js";

const WINDOW_DEFAULT_S = 259_200n;
const WINDOW_MAX_S = 1_209_600n;
const [FROZEN, ENDED] = [1, 8];

/** Returns the 20 bytes of the DID, or the 32 of the alias, whose chain a certificate extends. */
export const chainOf = ({ payload, sid }) => payload.subject ?? sid.subarray(0, 20);

/** Returns every key whose signature could count on a certificate. */
export function candidates(world, certificate) {
  const { payload } = certificate;
  const isDid = (id) => id !== undefined && id.length === 20;
  const states = [chainOf(certificate), payload.by].filter(isDid).map((did) => world.did(did)).filter(Boolean);
  const keys = [...newKeysOf(payload).signing, ...states.flatMap((state) => [state.identity, ...state.devices.map(({ sign }) => sign)])];
  if (payload.typeName === "recover_prove" || payload.typeName === "recover_final") keys.push(...states.flatMap(recoveryKeysOf));
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
  const recovers = payload.typeName.startsWith("recover_");
  if (!recovers && (state.flags & FROZEN) !== 0 && !by.identity) throw new Refused("frozen");
  const voteless = payload.typeName === "device_revoke" && deviceOf(state, body.kid);
  if (payload.typeName === "records" || payload.typeName === "user_key" || (voteless && !counts(voteless))) return;
  if (!by.identity && state.pending.some(({ supporters }) => by.hasKid(supporters[0]))) throw new Refused("act_open");
}

const JUDGES = {
  claim,
  device_add: deviceAdd,
  device_suspend: deviceSuspend,
  device_revoke: deviceRevoke,
  user_key: userKey,
  recovery_set: recoverySet,
  recover_open: recoverOpen,
  recover_prove: recoverProve,
  recover_final: recoverFinal,
  notary_add: notaryAdd,
  notary_revoke: notaryRevoke,
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
      if (draft.name(body.name).delegate !== undefined) throw new Refused("name_delegated");
    }
    mustBeRecords(body);
    if (!world.chain) draft.editName(body.name, cause).records = { index: cause.index, sid: cause.sid };
  },

  delegate(act) {
    const { world, draft, did, body, cause } = act;
    needsPower(act);
    parseName(body.name, world.zone);
    const owner = world.chain ? did : draft.owner(body.name);
    if (owner === undefined || !equal(owner, did)) throw new Refused("not_name_owner");
    mustBeDelegate(body);
    if (body.key !== undefined && !isAdmitted(body.key)) throw new Refused("weak_key");
    if (world.chain) return;
    const ends = body.servers === undefined;
    if (!ends && draft.name(body.name).children > 0n) throw new Refused("has_children");
    const state = draft.editName(body.name, cause);
    state.delegate = ends ? undefined : { index: cause.index, sid: cause.sid };
    if (!ends) state.records = undefined;
  },

  confirm(act) {
    const { draft, did, body, by, cause } = act;
    if (isAboutRecovery(draft.did(did), body.act)) confirmRecovery(act);
    else confirm(draft, did, body.act, by, cause);
  },

  veto(act) {
    const { world, draft, did, body, by, cause } = act;
    if (body.alias === undefined && isAboutRecovery(draft.did(did), body.act)) {
      vetoRecovery(act);
      return;
    }
    if (body.alias === undefined) {
      veto(draft, did, body.act, by, cause);
      return;
    }
    needsPower(act);
    breakCircuit(draft.editDid(did), cause.nowMs);
    if (!world.chain) dispute(act);
  },

  tombstone(act) {
    const power = needsPower(act);
    if (!act.world.chain) mustEnd(act.draft, act.did);
    openAct(act, power);
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
