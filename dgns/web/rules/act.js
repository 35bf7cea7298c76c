// What judges of several types ask: power, signatures of others, and whether an act waits (PROTOCOL 5.3).

import { Refused } from "../cbor.js";
import { has } from "./draft.js";
import { isAtOnce, perform } from "./effect.js";
import { open, refresh, vetoActsOf } from "./pending.js";
import { Signers } from "./power.js";

const [FROZEN, ENDED] = [1, 8];

/** Returns the signers' power; nobody without one acts. */
export function needsPower({ draft, did, by }) {
  const power = by.power(draft.did(did));
  if (power === 0) throw new Refused("not_allowed");
  return power;
}

/** Refuses a new key that has not signed. */
export function newKeySigned({ signed }, key) {
  if (!has(signed, key)) throw new Refused("not_allowed", "the new key has not signed");
}

/** Asks for a voter of another DID among the signers. */
export function voterOf({ draft, signed }, did) {
  const state = draft.did(did);
  const speaks = state !== undefined && (state.flags & (ENDED | FROZEN)) === 0 && new Signers(state, signed).voters(state) > 0;
  if (!speaks) throw new Refused("not_allowed", "a voter of the other party has not signed");
}

/** Lets an act take effect at once if its signers are strong enough, else after a window. */
export function nowOrLater(act, power) {
  const { draft, did, payload, body, cause } = act;
  if (isAtOnce(payload.type, power)) perform(draft, did, payload.type, body, power, cause);
  else openAct(act, power);
}

/** Opens an act against a device, which is suspended from now on. */
export function holdDown(act, power) {
  vetoActsOf(act.draft.editDid(act.did), act.body.kid, power);
  openAct(act, power);
  refresh(act.draft.editDid(act.did), act.cause.nowMs);
}

/** Puts an act among those that wait. */
export function openAct({ draft, did, payload, body, by, cause }, power) {
  const state = draft.editDid(did);
  open(state, payload.type, body, power, by.voices(state), cause);
}
