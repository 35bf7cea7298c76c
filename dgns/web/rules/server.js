// The server's authorities: zones, notaries, alias keys (PROTOCOL 5.3).

import { Refused } from "../cbor.js";
import { equal } from "../hash.js";
import { kidOf } from "../name.js";
import { needsPower, nowOrLater } from "./act.js";
import { AUTHORITIES_MAX } from "./effect.js";

const SERVER_KIND = 3;
const [ZONE_ROLE, ALIAS_ROLE] = [2, 3];
const WINDOW_MAX_S = 1_209_600n;
const WORK_BITS_MAX = 40n;

/** notary_add: I or J of the server at once, V after a window. */
export function notaryAdd(act) {
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
}

/** notary_revoke: I, J or V of the server at once. */
export function notaryRevoke(act) {
  mustBeServer(act);
  needsPower(act);
  const { authorities } = act.draft.editDid(act.did);
  const live = authorities.find(({ key, revokedAt }) => revokedAt === null && equal(kidOf(key), act.body.kid));
  if (live === undefined) throw new Refused("bad_scope");
  live.revokedAt = act.cause.index;
}

function mustBeServer({ world, draft, did }) {
  const isServer = world.chain ? draft.did(did).kind === SERVER_KIND : world.server !== null && equal(world.server, did);
  if (!isServer) throw new Refused("not_server");
}
