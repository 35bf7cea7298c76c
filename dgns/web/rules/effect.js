// What acts do once they take effect, at once or when due (PROTOCOL 5.3).

import { Refused } from "../cbor.js";
import { ascii, compare, equal } from "../hash.js";
import { kidOf, parentName } from "../name.js";
import { HELD, LIVE } from "../state.js";
import { dueFrom, partiesOf, refresh, targetOf } from "./pending.js";
import { IDENTITY, MAJORITY, VOTER, deviceOf, mustLeaveAnAdmin, powerOfSide, userKeyIsStale } from "./power.js";
import { endRecovery, enrol } from "./recovery.js";

export const NAMES_MAX = 32;
export const AUTHORITIES_MAX = 64;
const HOLD_MS = 7_776_000_000n;
const ENDED = 8;

/** Type -> the least power that lets it take effect at once; others of those that can wait always wait. */
const AT_ONCE = { 5: MAJORITY, 6: IDENTITY, 7: MAJORITY, 8: IDENTITY, 10: MAJORITY, 15: MAJORITY, 26: MAJORITY };
export const isAtOnce = (type, power) => power >= (AT_ONCE[type] ?? Infinity);

/** Type -> effect of an act that signers of `power` stand behind. What it refuses when it is due lets it die. */
const EFFECTS = {
  5: (draft, did, { kid }, power, { nowMs }) => {
    const state = draft.editDid(did);
    const target = deviceOf(state, kid);
    if (target === undefined) throw new Refused("no_such_device");
    mustLeaveAnAdmin(state, target, power);
    endDevice(state, kid, nowMs);
  },
  6: (draft, did, { identity, wordsBox }) => {
    const state = draft.editDid(did);
    mustRotateTo(state, identity);
    Object.assign(state, { identity, wordsBox });
    userKeyIsStale(state);
  },
  7: (draft, did, { windowS }) => {
    draft.editDid(did).windowS = windowS;
  },
  8: (draft, did, { name, to }, power, cause) => {
    // What becomes of names is for other states to tell.
    if (draft.world.chain) return;
    mustMove(draft, did, name, to);
    if (to === undefined) hold(draft, name, cause);
    else give(draft, name, to, cause);
  },
  10: (draft, did, { alias }) => {
    if (draft.world.chain) return;
    mustBeBound(draft, did, alias);
    Object.assign(draft.editAlias(alias), { did: undefined, attested: [], breakerMs: 0n });
  },
  15: (draft, did, body, power, cause) => enrol(draft.editDid(did), body, cause),
  25: (draft, did, body, power, cause) => {
    mustEnd(draft, did);
    if (!draft.world.chain) for (const name of [...draft.did(did).names]) hold(draft, name, cause);
    const state = draft.editDid(did);
    state.pending = [];
    endRecovery(state);
    refresh(state, cause.nowMs);
    state.flags |= ENDED;
  },
  26: (draft, did, { role, key, scope, zone }, power, { index }) => {
    const { authorities } = draft.editDid(did);
    if (authorities.length >= AUTHORITIES_MAX) throw new Refused("too_many", "authorities");
    authorities.push({ role, key, scope, terms: zone ?? null, index, revokedAt: null });
  },
};

/** Lets an act take effect. */
export const perform = (draft, did, type, body, power, cause) => EFFECTS[type](draft, did, body, power, cause);

/** Ends a device: it is gone, and its votes with it. Who opposed alone leaves the act a window of its own. */
export function endDevice(state, kid, nowMs) {
  const others = (kids) => kids.filter((one) => !equal(one, kid));
  state.devices = state.devices.filter(({ sign }) => !equal(kidOf(sign), kid));
  userKeyIsStale(state);
  for (const act of state.pending) {
    const contested = act.opponents.length > 0;
    act.supporters = others(act.supporters);
    act.opponents = others(act.opponents);
    if (contested && act.opponents.length === 0) act.dueMs = dueFrom(state, nowMs);
    act.power = powerOfSide(act.supporters, partiesOf(act), state) || VOTER;
  }
  const isAgainst = (act) => targetOf(act) !== undefined && equal(targetOf(act), kid);
  state.pending = state.pending.filter((act) => act.supporters.length > 0 && !isAgainst(act));
  refresh(state, nowMs);
}

/** Refuses what is about an alias of somebody else. */
export function mustBeBound(draft, did, alias) {
  const holder = draft.alias(alias)?.did;
  if (holder === undefined || !equal(holder, did)) throw new Refused("not_bound");
}

/** Refuses new words that are the old ones, or whose key is a device's. */
export function mustRotateTo(state, identity) {
  if (equal(state.identity, identity)) throw new Refused("key_same");
  if (deviceOf(state, kidOf(identity)) !== undefined) throw new Refused("kid_taken");
}

/** Binds a free name to a DID. */
export function bind(draft, name, did, cause) {
  const claimed = { did, status: LIVE, claimIndex: cause.index, heldUntilMs: undefined, records: undefined, delegate: undefined, children: 0n };
  if (draft.name(name) === undefined) draft.create(name, { version: 1n, name, ...claimed }, cause);
  else Object.assign(draft.editName(name, cause), claimed);
  addName(draft.editDid(did), name);
  const parent = parentName(name, draft.world.zone);
  if (parent !== null) draft.editName(parent, cause).children += 1n;
}

/** Refuses a move by neither the name's owner nor one of a name above it, or one that cannot go there. */
export function mustMove(draft, did, name, to) {
  const owner = draft.owner(name);
  const mine = (above) => above !== undefined && equal(above, did);
  const ancestors = ancestorsOf(name, draft.world.zone);
  if (owner === undefined || !(mine(owner) || ancestors.some((above) => mine(draft.owner(above))))) throw new Refused("not_name_owner");
  if (to === undefined) {
    if (draft.name(name).children > 0n) throw new Refused("has_children");
    return;
  }
  if (equal(to, owner)) throw new Refused("name_taken");
  const receiver = draft.did(to);
  if (receiver === undefined) throw new Refused("not_allowed", "no such receiver");
  if ((receiver.flags & ENDED) !== 0) throw new Refused("ended");
  if (receiver.names.length >= NAMES_MAX) throw new Refused("too_many", "names of the receiver");
}

/** Refuses to end a DID one of whose names has live names below it. */
export function mustEnd(draft, did) {
  const { chain } = draft.world;
  const keeps = chain ? !chain.mayEnd : draft.did(did).names.some((name) => draft.name(name)?.children > 0n);
  if (keeps) throw new Refused("has_children");
}

function give(draft, name, to, cause) {
  leave(draft, name);
  draft.editName(name, cause).did = to;
  addName(draft.editDid(to), name);
}

/** Holds a name: nobody may claim it for a while. It leaves its owner's list at once. */
function hold(draft, name, cause) {
  leave(draft, name);
  Object.assign(draft.editName(name, cause), { status: HELD, heldUntilMs: cause.nowMs + HOLD_MS });
  const parent = parentName(name, draft.world.zone);
  if (parent === null) return;
  const above = draft.editName(parent, cause);
  if (above.children > 0n) above.children -= 1n;
}

function leave(draft, name) {
  const owner = draft.owner(name);
  if (owner === undefined) return;
  const state = draft.editDid(owner);
  state.names = state.names.filter((known) => known !== name);
}

function addName(state, name) {
  state.names = [...state.names, name].sort((a, b) => compare(ascii(a), ascii(b)));
}

function ancestorsOf(name, zone) {
  const above = parentName(name, zone);
  return above === null ? [] : [above, ...ancestorsOf(above, zone)];
}

