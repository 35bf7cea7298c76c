// What falls due: acts take effect, suspensions lapse, probation ends, recoveries ripen, holds run out (PROTOCOL 5.6).

import { Refused } from "../cbor.js";
import { compare, equal } from "../hash.js";
import { kidOf } from "../name.js";
import { FREE, HELD } from "../state.js";
import { Draft } from "./draft.js";
import { perform } from "./effect.js";
import { refresh } from "./pending.js";
import { DEVICE_LIVE, FRESH } from "./power.js";
import { settleRecovery } from "./recovery.js";

const SUSPEND = 4;
const [ACT, PROBATION, RECOVERY] = [0, 1, 2];
const NONE = new Uint8Array(0);

/** Returns the earliest due of a state, `{dueMs, ...}`; of equal ones acts come first, by sid, then devices, by kid, then recovery. Undefined: none. */
export function earliest(state) {
  if (state.devices === undefined) return state.status === HELD ? { dueMs: state.heldUntilMs } : undefined;
  const acts = state.pending.filter(({ opponents }) => opponents.length === 0).map(({ dueMs, sid }) => ({ dueMs, order: ACT, id: sid }));
  const onProbation = state.devices.filter(({ status, untilMs }) => status === FRESH && untilMs !== 0n);
  const ends = onProbation.map(({ untilMs, sign }) => ({ dueMs: untilMs, order: PROBATION, id: kidOf(sign) }));
  const before = (a, b) => (a.dueMs < b.dueMs ? -1 : a.dueMs > b.dueMs ? 1 : a.order - b.order || compare(a.id, b.id));
  const { dueMs } = state.recovery ?? { dueMs: 0n };
  const ripens = dueMs === 0n ? [] : [{ dueMs, order: RECOVERY, id: NONE }];
  return [...acts, ...ends, ...ripens].sort(before)[0];
}

/**
 * Settles the earliest thing of `key` that is due at or before `epochMs`; returns the changes, `[key, leaf]` pairs, none if nothing is
 * due. An act that cannot take effect any more dies, and nothing else happens.
 */
export function settle(world, key, epochMs) {
  const state = world.leaf(key)?.state;
  const due = state && earliest(state);
  if (due === undefined || due.dueMs > epochMs) return [];
  if (state.devices === undefined) return freed(world, key);
  if (due.order === RECOVERY) return ripened(world, state.did);
  return due.order === ACT ? actSettled(world, state.did, due.id, epochMs) : probationEnded(world, state.did, due.id);
}

function freed(world, name) {
  const draft = new Draft(world);
  Object.assign(draft.editName(name), { status: FREE, heldUntilMs: undefined, did: undefined, records: undefined, delegate: undefined, children: 0n });
  return [...draft.changed];
}

function ripened(world, did) {
  const draft = new Draft(world);
  settleRecovery(draft.editDid(did));
  return [...draft.changed];
}

function probationEnded(world, did, kid) {
  const draft = new Draft(world);
  const device = draft.editDid(did).devices.find(({ sign }) => equal(kidOf(sign), kid));
  [device.status, device.untilMs] = [DEVICE_LIVE, 0n];
  return [...draft.changed];
}

function actSettled(world, did, sid, epochMs) {
  const [dead] = withoutAct(world, did, sid, epochMs);
  const [draft, act] = withoutAct(world, did, sid, epochMs);
  if (act.type === SUSPEND) return [...dead.changed];
  try {
    perform(draft, did, act.type, act.body, act.power, { index: act.index, sid: act.sid, nowMs: epochMs });
    return draft.finish();
  } catch (error) {
    if (error instanceof Refused) return [...dead.changed];
    throw error;
  }
}

/** A due act taken out; whom it held down is judged as the others are. */
function withoutAct(world, did, sid, epochMs) {
  const draft = new Draft(world);
  const state = draft.editDid(did);
  const act = state.pending.find((one) => equal(one.sid, sid));
  state.pending = state.pending.filter((one) => one !== act);
  refresh(state, epochMs);
  return [draft, act];
}
