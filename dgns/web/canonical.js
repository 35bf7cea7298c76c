// Bodies, payloads and states as bytes: the only spelling that decoding admits (PROTOCOL 4, 6). What is left out there is left out here.

import { encode } from "./cbor.js";

const map = (...entries) => new Map(entries);
/** Absent where a list is empty, a number is 0. */
const unlessEmpty = (list) => (list === undefined || list.length === 0 ? undefined : list);
const unlessZero = (number) => (number === undefined || BigInt(number) === 0n ? undefined : number);

const device = ({ sign, kex, level, label }) => [sign, kex, level, label];
const row = ({ rtype, ttl, rdata, owner }) => (owner ? [rtype, ttl, rdata, owner] : [rtype, ttl, rdata]);
const deviceEnd = ({ kid, reason }) => map([1, kid], [2, reason]);
const actSid = ({ act }) => map([1, act]);
const extraRows = (extras) => (extras ?? []).map(({ kind, kex }) => [kind, kex]);
const head = ({ seq, sid, index }) => [seq, sid, index];

/** Type -> the body's map. */
const BODIES = {
  1: (b) => map([1, b.kind], [2, b.identity], [3, b.wordsBox], [4, device(b.device)], [6, b.windowS], [7, b.userKey], [8, b.boxes]),
  2: (b) => map([1, b.name], [2, b.road], [3, b.proof], [4, b.bits]),
  3: (b) => map([1, device(b.device)]),
  4: deviceEnd,
  5: deviceEnd,
  6: (b) => map([2, b.identity], [3, b.wordsBox]),
  7: (b) => map([6, b.windowS]),
  8: (b) => map([1, b.name], [2, b.to]),
  11: (b) => map([1, b.name], [2, b.rows.map(row)], [3, unlessEmpty(b.aliases)], [4, unlessZero(b.flags)]),
  9: (b) => map([1, b.alias], [2, b.commitment], [3, b.evidence]),
  10: (b) => map([1, b.alias]),
  13: (b) => map(
    [1, b.name], [2, unlessEmpty(b.servers)], [3, unlessEmpty(b.ds)], [4, b.url], [5, b.key],
    [6, unlessEmpty((b.glue ?? []).map(({ host, address }) => [host, address]))], [7, b.policy],
  ),
  14: (b) => map([7, b.key], [8, b.boxes], [9, b.generation], [10, unlessEmpty(extraRows(b.extras))]),
  15: (b) => map(
    [1, b.epoch], [2, b.servers?.map(({ url, operator, key, oprf }) => [url, operator, key, oprf])], [3, b.threshold], [4, b.sign], [5, b.kex],
    [6, b.bundle], [7, b.signIns], [8, b.needed],
  ),
  16: (b) => map([1, b.epoch], [2, b.attempt], [3, b.sign], [4, b.kex], [5, b.blinded], [6, b.evidence]),
  17: (b) => map([1, b.epoch], [2, b.attempt]),
  18: (b) => map([1, b.epoch], [2, b.attempt], [3, unlessEmpty(b.keep)], [4, device(b.device)], [5, b.identity], [6, b.wordsBox]),
  19: actSid,
  20: ({ act, alias }) => map([1, act], [2, alias]),
  25: () => map(),
  26: (b) => map([1, b.role], [2, b.key], [3, b.scope], [4, b.zone]),
  27: (b) => map([1, b.kid]),
  28: (b) => map([2, b.sign], [3, b.kex], [4, b.issuer], [5, b.evidence]),
};

/** Returns the bytes of a body. */
export const encodeBody = (type, body) => encode(BODIES[type](body));

/** Returns the bytes of a payload: `{type, subject?, seq, prev?, seen: [size, root], unixS, body, critical?, by?}`. */
export function encodePayload({ type, subject, seq, prev, seen, unixS, body, critical, by }) {
  const critical7 = critical === false ? false : undefined;
  return encode(map([0, type], [1, subject], [2, seq], [3, prev], [4, seen], [5, unixS], [6, BODIES[type](body)], [7, critical7], [8, by]));
}

const pendingRow = (act) => [act.sid, act.type, act.power, act.dueMs, act.supporters, act.opponents, act.index, act.bytes];
const userKeyRow = (k) => [k.generation, k.key, k.index, k.boxes, extraRows(k.extras)];
const attestedRow = (a) => [a.sign, a.kex, a.index, a.sid, a.notary, a.disputed];
const recoveryKeysRow = (k) => [k.index, k.sid, k.sign, k.kex, k.signIns, k.needed, k.freshUntilMs];
const recoveryRow = (r) => [
  r.epoch, r.phase, r.keys && recoveryKeysRow(r.keys), r.guesses, r.attempt && [r.attempt.sid, r.attempt.sign, r.attempt.kex, r.attempt.atMs],
  r.dueMs, r.breakerMs,
];
const deviceRow = (d) => [d.sign, d.kex, d.level, d.status, d.index, d.untilMs];
const authorityRow = (a) => [a.role, a.key, a.scope, a.terms, a.index, a.revokedAt];

/** Returns the bytes of a DidState as `decodeDidState` returns it. */
export const encodeDidState = (s) => encode(map(
  [0, s.version], [1, s.did], [2, s.kind], [3, unlessZero(s.flags)], [4, head(s.head)], [5, s.identity],
  [6, s.wordsBox], [7, unlessEmpty(s.devices.map(deviceRow))], [8, s.userKey && userKeyRow(s.userKey)], [9, s.windowS], [10, unlessEmpty(s.pending.map(pendingRow))],
  [11, s.recovery && recoveryRow(s.recovery)], [12, unlessEmpty(s.names)], [14, unlessEmpty(s.authorities.map(authorityRow))], [15, s.uid], [16, s.bornMs],
));

/** Returns the bytes of a NameState as `decodeNameState` returns it. */
export const encodeNameState = (s) => encode(map(
  [0, s.version], [1, s.name], [2, s.did], [3, s.status], [4, s.claimIndex], [5, unlessZero(s.heldUntilMs)],
  [6, s.records && [s.records.index, s.records.sid]], [8, s.delegate && [s.delegate.index, s.delegate.sid]], [10, unlessZero(s.children)],
));

/** Returns the bytes of an AliasState as `decodeAliasState` returns it. */
export const encodeAliasState = (s) => encode(map(
  [0, s.version], [1, s.alias], [2, s.did], [3, s.head && head(s.head)], [4, unlessEmpty(s.attested.map(attestedRow))],
  [5, unlessZero(s.breakerMs)],
));
