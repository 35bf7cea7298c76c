// Devices: added, suspended, revoked; and the user key that they share (PROTOCOL 5.3).

import { Refused } from "../cbor.js";
import { compare, equal } from "../hash.js";
import { kidOf } from "../name.js";
import { holdDown, needsPower, newKeySigned } from "./act.js";
import { has } from "./draft.js";
import { endDevice } from "./effect.js";
import { dueFrom, mustNotBeOpenAgainst } from "./pending.js";
import { ADMIN, DEVICE_LIVE, FRESH, VOTER, counts, deviceOf, mustLeaveAnAdmin } from "./power.js";
import { recoveryBoxOf } from "./recovery.js";

const DEVICES_MAX = 32;
const STALE = 2;

/** device_add: I or J make a voter, V an admin on probation; other levels have no vote to wait for. */
export function deviceAdd(act) {
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
}

/** device_suspend: V or I at once; it lapses after a window. */
export function deviceSuspend(act) {
  const power = needsPower(act);
  const state = act.draft.did(act.did);
  const target = deviceOf(state, act.body.kid);
  if (target === undefined) throw new Refused("no_such_device");
  if (target.status === FRESH) throw new Refused("not_allowed", "a device on probation is revoked, not suspended");
  mustNotBeOpenAgainst(state, act.body.kid);
  mustLeaveAnAdmin(state, target, power);
  holdDown(act, power);
}

/** device_revoke: I, J or the device itself at once; V at once if it is fresh or has no vote, else after a window. */
export function deviceRevoke(act) {
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
}

/** user_key: V or I at once, the next generation alone. */
export function userKey(act) {
  const { draft, did, body, cause } = act;
  needsPower(act);
  const state = draft.editDid(did);
  const old = state.userKey;
  if (body.generation !== (old?.generation ?? 0n) + 1n) throw new Refused("bad_generation");
  if (old !== undefined && equal(old.key, body.key)) throw new Refused("key_same");
  const places = [state.wordsBox, ...recoveryBoxOf(state), ...state.devices.map(({ kex }) => kex)];
  const extras = body.extras ?? [];
  if ((old !== undefined && equal(old.boxes, body.boxes)) || extras.some(({ kex }) => has(places, kex))) throw new Refused("bad_boxes");
  state.userKey = { generation: body.generation, key: body.key, index: cause.index, boxes: body.boxes, extras };
  state.flags &= ~STALE;
}
