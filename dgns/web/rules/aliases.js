// Aliases and the notaries that speak for them (PROTOCOL 5.7).

import { Refused } from "../cbor.js";
import { ascii, domainHash, equal, hex } from "../hash.js";
import { kidOf } from "../name.js";
import { has } from "./draft.js";
import { mustBeBound } from "./effect.js";

const ATTESTED_MAX = 8;
const BREAKER_MS = 604_800_000n;
const ENDED = 8;
const ATTESTED_ROAD = 2;

/** Whether a notary's signature has a part in it. */
export const asksANotary = ({ typeName, body }) =>
  typeName === "alias_bind" || typeName === "attest_login" || typeName === "recover_open" || (typeName === "claim" && body.road === ATTESTED_ROAD);

/** Returns the unrevoked notary that signed; one of this issuer, if the certificate says which. */
export function notarySigned(world, signed, issuer) {
  const notaries = world.notaries().filter(({ key }) => has(signed, key));
  const live = notaries.filter(({ revokedAt }) => revokedAt === null);
  const speaks = ({ scope }) => issuer === undefined || equal(domainHash("issuer", ascii(scope)), issuer);
  const notary = live.find(speaks);
  if (notary !== undefined) return notary;
  throw new Refused(live.length > 0 ? "bad_scope" : notaries.length > 0 ? "notary_revoked" : "not_allowed");
}

/** attest_login: a notary of that issuer, at once. The alias remembers the key; no DID changes. */
export function attest(draft, { subject, seq, prev, body }, signed, cause) {
  const head = draft.alias(subject)?.head;
  const follows = head === undefined ? prev === undefined : prev !== undefined && seq === head.seq + 1n && equal(prev, head.sid);
  if (!follows) throw new Refused("stale_prev");
  const notary = notarySigned(draft.world, signed, body.issuer);
  const state = draft.editAlias(subject);
  state.head = { seq, sid: cause.sid, index: cause.index };
  const isIt = ({ sign }) => equal(sign, body.sign);
  const disputed = state.attested.some((row) => isIt(row) && row.disputed);
  const row = { sign: body.sign, kex: body.kex, index: cause.index, sid: cause.sid, notary: kidOf(notary.key), disputed };
  state.attested = [...state.attested.filter((other) => !isIt(other)).slice(1 - ATTESTED_MAX), row];
  draft.setHead(hex(subject), cause);
}

/** alias_bind, its power apart: a notary. An alias of a DID that ended is nobody's. */
export function bindAlias({ world, draft, did, body, signed }) {
  const holder = draft.alias(body.alias)?.did;
  if (holder !== undefined && (draft.did(holder).flags & ENDED) === 0) throw new Refused("alias_bound");
  notarySigned(world, signed);
  // Whose address it was before keeps nothing: senders would go on sealing to keys of a stranger.
  const own = draft.editDid(did).devices.map(({ sign }) => sign);
  const state = draft.editAlias(body.alias);
  if (holder !== undefined) state.attested = state.attested.filter(({ sign }) => has(own, sign));
  state.did = did;
}

/** A veto of a sign-in, its power apart. */
export function dispute({ draft, did, body, cause }) {
  mustBeBound(draft, did, body.alias);
  const state = draft.editAlias(body.alias);
  const row = state.attested.find(({ sid }) => equal(sid, body.act));
  if (row === undefined) throw new Refused("no_such_act");
  if (row.disputed) throw new Refused("already_voted");
  row.disputed = true;
  state.breakerMs = cause.nowMs + BREAKER_MS;
}
