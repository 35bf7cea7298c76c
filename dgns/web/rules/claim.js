// Claims: the roads to a name (PROTOCOL 5.2).

import { Refused } from "../cbor.js";
import { equal } from "../hash.js";
import { isReserved, parentName, parseName } from "../name.js";
import { FREE } from "../state.js";
import { leadingZeroBits, workOf } from "../work.js";
import { needsPower, voterOf } from "./act.js";
import { notarySigned } from "./aliases.js";
import { has } from "./draft.js";
import { NAMES_MAX, bind } from "./effect.js";

const [OPEN, ATTESTED, PARENT] = [1, 2, 4];

/** claim: (V or I) and Z at once; road 2 also a notary, road 4 a voter of the parent's owner. */
export function claim(act) {
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
}

function parentGrants(act, parent) {
  const owner = parent === null ? undefined : act.draft.owner(parent);
  if (owner === undefined) throw new Refused("no_parent");
  if (act.draft.name(parent).delegate !== undefined) throw new Refused("name_delegated");
  if (!equal(act.payload.by ?? act.did, owner)) throw new Refused("not_allowed", "the parent belongs to somebody else");
  voterOf(act, owner);
}

function zoneSigned({ world, signed }, key) {
  if (has(signed, key)) return;
  const wasAuthority = ({ key: old, revokedAt }) => revokedAt !== null && has(signed, old);
  throw new Refused(world.zoneAuthorities().some(wasAuthority) ? "key_revoked" : "not_allowed");
}
