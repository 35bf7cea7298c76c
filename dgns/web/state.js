// States: what the map commits to for a DID, a name, an alias, and the log (PROTOCOL 6).

import { anyName, decodeBody, extras, mustFitRole, zoneTerms } from "./body.js";
import { Reader, Refused } from "./cbor.js";
import { badField, bytesOf, isAscending, listOf, notCanonical, nullOr, oneOf, readMap, text, tuple, u64, uintWithin } from "./fields.js";
import { ascii, compare } from "./hash.js";
import { kidOf } from "./name.js";

const STATE_BYTES_MAX = 16384;
const DEVICES_MAX = 32;
const key32 = bytesOf(32);
const did20 = bytesOf(20);
const kid8 = bytesOf(8);

/** Returns a reader that turns a tuple into an object with these properties. */
const record = (...fields) => {
  const read = tuple(...fields.map(([, item]) => item));
  return (reader) => Object.fromEntries(read(reader).map((value, i) => [fields[i][0], value]));
};

const device = record(
  ["sign", key32], ["kex", key32], ["level", oneOf(1, 2, 3)], ["status", oneOf(1, 2, 3)], ["index", u64], ["untilMs", u64],
);
const kids = (least) => listOf(kid8, least, DEVICES_MAX + 1);
const pendingRow = record(
  ["sid", key32], ["type", uintWithin(0, 255)], ["power", oneOf(1, 2, 3)], ["dueMs", u64], ["supporters", kids(1)],
  ["opponents", kids(0)], ["index", u64], ["bytes", (reader) => reader.bstr()],
);
const pending = (reader) => {
  const act = pendingRow(reader);
  return { ...act, type: Number(act.type), body: decodeBody(act.type, act.bytes) };
};
const authorityRow = record(
  ["role", oneOf(1, 2, 3)], ["key", key32], ["scope", text], ["terms", nullOr(zoneTerms)], ["index", u64], ["revokedAt", nullOr(u64)],
);
const authority = (reader) => {
  const row = authorityRow(reader);
  mustFitRole({ ...row, zone: row.terms });
  return row;
};

const head = record(["seq", u64], ["sid", key32], ["index", u64]);
const userKey = record(["generation", u64], ["key", key32], ["index", u64], ["boxes", key32], ["extras", extras]);
const attested = record(
  ["sign", key32], ["kex", key32], ["index", u64], ["sid", key32], ["notary", kid8], ["disputed", (reader) => reader.bool()],
);

const recoveryKeys = record(
  ["index", u64], ["sid", key32], ["sign", key32], ["kex", key32], ["signIns", uintWithin(1, 4)], ["needed", uintWithin(1, 4)], ["freshUntilMs", u64],
);
const recoveryAttempt = record(["sid", key32], ["sign", key32], ["kex", key32], ["atMs", u64]);
const recoveryRow = record(
  ["epoch", uintWithin(1, 0xffffffff)], ["phase", oneOf(0, 1, 2, 3, 4, 5)], ["keys", nullOr(recoveryKeys)], ["guesses", uintWithin(0, 10)],
  ["attempt", nullOr(recoveryAttempt)], ["dueMs", u64], ["breakerMs", u64],
);
const recovery = (reader) => {
  const row = recoveryRow(reader);
  const { phase, keys, guesses, attempt, dueMs, breakerMs } = row;
  const [isNone, isPending] = [phase === 0, phase === 3 || phase === 4];
  const tried = (attempt !== null) === (guesses > 0n) && (phase === 1 || isNone === (guesses === 0n));
  const fits = isNone === (keys === null) && (!isNone || breakerMs === 0n) && tried && (dueMs !== 0n) === isPending;
  return fits && (keys === null || keys.needed <= keys.signIns) ? row : badField("phase of a recovery");
};

const DID_STATE = {
  0: ["version", u64],
  1: ["did", did20],
  2: ["kind", oneOf(1, 2, 3)],
  3: ["flags", uintWithin(0, 15), true],
  4: ["head", head],
  5: ["identity", key32],
  6: ["wordsBox", key32],
  7: ["devices", listOf(device, 0, 32), true],
  8: ["userKey", userKey, true],
  9: ["windowS", u64],
  10: ["pending", listOf(pending, 0, 8), true],
  11: ["recovery", recovery, true],
  12: ["names", listOf(anyName, 0, 32), true],
  14: ["authorities", listOf(authority, 0, 64), true],
  15: ["uid", u64],
  16: ["bornMs", u64],
};

const NAME_STATE = {
  0: ["version", u64],
  1: ["name", anyName],
  2: ["did", did20, true],
  3: ["status", oneOf(1, 2, 3)],
  4: ["claimIndex", u64],
  5: ["heldUntilMs", u64, true],
  6: ["records", record(["index", u64], ["sid", key32]), true],
  8: ["delegate", record(["index", u64], ["sid", key32]), true],
  10: ["children", u64, true],
};

const ALIAS_STATE = {
  0: ["version", u64],
  1: ["alias", key32],
  2: ["did", did20, true],
  3: ["head", head, true],
  4: ["attested", listOf(attested, 0, 8), true],
  5: ["breakerMs", u64, true],
};

/** Name statuses. */
export const [LIVE, HELD, FREE] = [1, 2, 3];

function read(bytes, table) {
  if (bytes.length > STATE_BYTES_MAX) throw new Refused("too_large", `state of ${bytes.length} bytes`);
  const reader = new Reader(bytes);
  const state = readMap(reader, table);
  reader.end();
  return state;
}

/** Returns the DidState that canonical bytes spell. */
export function decodeDidState(bytes) {
  const state = read(bytes, DID_STATE);
  const lists = ["devices", "pending", "names", "authorities"];
  const isSpelledOut = state.flags === 0n || lists.some((list) => state[list]?.length === 0);
  state.flags = Number(state.flags ?? 0n);
  for (const list of lists) state[list] ??= [];
  const sorted = isAscending(state.devices.map(({ sign }) => kidOf(sign)), compare) && isAscending(state.names.map(ascii), compare);
  const staleFits = state.userKey !== undefined || (state.flags & 2) === 0;
  if (!sorted || !staleFits || state.version === 0n) badField("version, flags, order of devices or names");
  if (isSpelledOut) notCanonical("a default is spelled out");
  return state;
}

/** Returns the NameState that canonical bytes spell. */
export function decodeNameState(bytes) {
  const state = read(bytes, NAME_STATE);
  const isHeld = (state.heldUntilMs ?? 0n) !== 0n;
  const fits = (state.did === undefined) === (state.status === FREE) && isHeld === (state.status === HELD);
  const answersFit = state.delegate === undefined || (state.records === undefined && (state.children ?? 0n) === 0n);
  if (!fits || !answersFit || state.version === 0n) badField("version, owner, hold or answers of this status");
  if (state.heldUntilMs === 0n || state.children === 0n) notCanonical("a default is spelled out");
  state.children ??= 0n;
  return state;
}

/** Returns the AliasState that canonical bytes spell. */
export function decodeAliasState(bytes) {
  const state = read(bytes, ALIAS_STATE);
  const isSpelledOut = state.attested?.length === 0 || state.breakerMs === 0n;
  state.attested ??= [];
  state.breakerMs ??= 0n;
  const sorted = isAscending(state.attested, (a, b) => Number(a.index - b.index));
  const grown = state.head !== undefined || state.attested.length === 0;
  if (!sorted || !grown || state.version === 0n) badField("version, head, order of the keys that signed in");
  if (isSpelledOut) notCanonical("a default is spelled out");
  return state;
}

/** Returns the state of the log's own label: its LogConf payload, of which the version is one more than the seq (key 1). */
export function decodeLogConfState(bytes) {
  const reader = new Reader(bytes);
  const pairs = reader.map();
  if (pairs < 2 || reader.keyAfter(-1n) !== 0n) badField("LogConf");
  reader.uint();
  if (reader.keyAfter(0n) !== 1n) badField("LogConf");
  return { version: reader.uint() + 1n };
}

/** Returns the state of the label of anchors: the body of the newest anchor, whose number is the version (key 0). */
export function decodeAnchorsState(bytes) {
  const reader = new Reader(bytes);
  if (reader.map() < 1 || reader.keyAfter(-1n) !== 0n) badField("anchor");
  return { version: reader.uint() };
}

/** Returns the flags a DidState gives its map value (PROTOCOL 6.3). */
export const flagsOfDid = (state) => state.flags | (state.pending.length > 0 ? 1 << 10 : 0) | (recoveryDueOf(state) === null ? 0 : 1 << 11);

/** Returns when the phase of a proved recovery ends, epoch ms, `{dueMs, isReady}`; null if none is pending. */
export function recoveryDueOf({ recovery }) {
  const isPending = recovery !== undefined && (recovery.phase === 3 || recovery.phase === 4);
  return isPending ? { dueMs: recovery.dueMs, isReady: recovery.phase === 4 } : null;
}

const flagsOfLive = ({ delegate }) => (delegate === undefined ? 0 : 1 << 9);
/** Returns the flags a NameState gives its map value. */
export const flagsOfName = (state) => ({ [LIVE]: flagsOfLive(state), [HELD]: 1 << 8, [FREE]: 1 << 12 })[state.status];
