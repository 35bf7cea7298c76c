// The bodies of certificates, one type after another (PROTOCOL 4.4).

import { Reader, Refused } from "./cbor.js";
import { badField, bytesOf, isAscending, listOf, notCanonical, oneOf, readMap, text, tuple, u64, uintWithin } from "./fields.js";
import { ascii, compare } from "./hash.js";
import { isWellFormed, isZone } from "./name.js";

const SCOPE_BYTES_MAX = 255;
const [URL_BYTES_MAX, OPERATOR_BYTES_MAX] = [128, 64];
const DELEGATION_POLICY_BYTES_MAX = 1024;
const U32_MAX = 0xffffffff;

const key32 = bytesOf(32);
const did20 = bytesOf(20);
const kid8 = bytesOf(8);

/** Reads a name: the grammar without the zone, which the rules know. */
export function anyName(reader) {
  const name = reader.tstr();
  if (!isWellFormed(name)) throw new Refused("bad_name", JSON.stringify(name));
  return name;
}

const device = (reader) => {
  const [sign, kex, level, label] = tuple(key32, key32, oneOf(1, 2, 3), key32)(reader);
  return { sign, kex, level, label };
};

const row = (reader) => {
  const length = reader.array();
  if (length !== 3 && length !== 4) badField("row");
  const [rtype, ttl, rdata] = [uintWithin(0, 65535)(reader), uintWithin(0, U32_MAX)(reader), reader.bstr()];
  const owner = length === 4 ? reader.tstr() : "";
  return { rtype, ttl, rdata, owner, isSpelledOut: length === 4 && owner === "" };
};

const deviceEnd = { 1: ["kid", kid8], 2: ["reason", oneOf(0, 1, 2, 3)] };
const actSid = { 1: ["act", key32] };
const extra = (reader) => {
  const [kind, kex] = tuple(oneOf(1), key32)(reader);
  return { kind, kex };
};
/** Reads the extra recipients of a user key: at most 4, strictly ascending. */
export const extras = (reader) => {
  const list = listOf(extra, 0, 4)(reader);
  return isAscending(list, (a, b) => a.kind - b.kind || compare(a.kex, b.kex)) ? list : badField("order of recipients");
};
/** Reads `[road mask, work floor bits, window floor s]`. */
export const zoneTerms = tuple(uintWithin(0, 15), uintWithin(0, 255), u64);

const server = (reader) => {
  const [url, operator, key, oprf] = tuple(text, text, key32, key32)(reader);
  const isOf = (bytes, most) => bytes >= 1 && bytes <= most;
  const fits = isOf(url.length, URL_BYTES_MAX) && /^[!-~]*$/.test(url) && isOf(new TextEncoder().encode(operator).length, OPERATOR_BYTES_MAX);
  return fits ? { url, operator, key, oprf } : badField("url or operator of a recovery server");
};
/** Reads 1 to 4 hashes, strictly ascending. */
const hashes = (reader) => {
  const list = listOf(key32, 1, 4)(reader);
  return isAscending(list, compare) ? list : badField("order of hashes");
};
/** Which attempt of which epoch of a recovery. */
const attempt = { 1: ["epoch", uintWithin(1, U32_MAX)], 2: ["attempt", uintWithin(1, 10)] };
/** Reads devices that stay, strictly ascending. */
const keep = (reader) => {
  const list = listOf(kid8, 0, 32)(reader);
  return isAscending(list, compare) ? list : badField("order of devices");
};

/** Reads an address of a name server: `[host, 4 or 16 bytes]`. */
const glue = (reader) => {
  const [host, address] = tuple(text, (r) => r.bstr())(reader);
  return { host, address };
};

/** Type -> [name, body table]. */
const BODIES = {
  1: ["genesis", {
    1: ["kind", oneOf(1, 2, 3)], 2: ["identity", key32], 3: ["wordsBox", key32], 4: ["device", device], 6: ["windowS", u64, true],
    7: ["userKey", key32, true], 8: ["boxes", key32, true],
  }],
  2: ["claim", {
    1: ["name", anyName], 2: ["road", oneOf(1, 2, 3, 4)], 3: ["proof", (reader) => reader.bstr(), true], 4: ["bits", uintWithin(0, 255), true],
  }],
  3: ["device_add", { 1: ["device", device] }],
  4: ["device_suspend", deviceEnd],
  5: ["device_revoke", deviceEnd],
  6: ["id_rotate", { 2: ["identity", key32], 3: ["wordsBox", key32] }],
  7: ["policy", { 6: ["windowS", u64] }],
  8: ["transfer", { 1: ["name", anyName], 2: ["to", did20, true] }],
  9: ["alias_bind", { 1: ["alias", key32], 2: ["commitment", key32], 3: ["evidence", key32] }],
  10: ["alias_unbind", { 1: ["alias", key32] }],
  11: ["records", {
    1: ["name", anyName], 2: ["rows", listOf(row)], 3: ["aliases", listOf(text), true], 4: ["flags", uintWithin(0, 3), true],
  }],
  13: ["delegate", {
    1: ["name", anyName], 2: ["servers", listOf(text, 0, 8), true], 3: ["ds", listOf((r) => r.bstr(), 0, 4), true], 4: ["url", text, true],
    5: ["key", key32, true], 6: ["glue", listOf(glue, 0, 16), true], 7: ["policy", text, true],
  }],
  14: ["user_key", { 7: ["key", key32], 8: ["boxes", key32], 9: ["generation", u64], 10: ["extras", extras, true] }],
  15: ["recovery_set", {
    1: ["epoch", uintWithin(1, U32_MAX)], 2: ["servers", listOf(server, 0, 7), true], 3: ["threshold", uintWithin(0, 255), true], 4: ["sign", key32, true],
    5: ["kex", key32, true], 6: ["bundle", key32, true], 7: ["signIns", hashes, true], 8: ["needed", uintWithin(0, 255), true],
  }],
  16: ["recover_open", { ...attempt, 3: ["sign", key32], 4: ["kex", key32], 5: ["blinded", key32], 6: ["evidence", hashes] }],
  17: ["recover_prove", attempt],
  18: ["recover_final", {
    ...attempt, 3: ["keep", keep, true], 4: ["device", device], 5: ["identity", key32, true], 6: ["wordsBox", key32, true],
  }],
  19: ["confirm", actSid],
  20: ["veto", { ...actSid, 2: ["alias", key32, true] }],
  25: ["tombstone", {}],
  26: ["notary_add", {
    1: ["role", oneOf(1, 2, 3)], 2: ["key", key32], 3: ["scope", text], 4: ["zone", zoneTerms, true],
  }],
  27: ["notary_revoke", { 1: ["kid", kid8] }],
  28: ["attest_login", { 2: ["sign", key32], 3: ["kex", key32], 4: ["issuer", key32], 5: ["evidence", key32] }],
};

/** Returns the name of a type, or undefined if no rule admits it. */
export const typeName = (type) => BODIES[type]?.[0];

/** Reads the body of a certificate of a known type. */
export function readBody(reader, type) {
  const body = readMap(reader, BODIES[type][1]);
  CHECKS[type]?.(body);
  return body;
}

/** Returns the body that canonical bytes spell, as a pending act carries it. */
export function decodeBody(type, bytes) {
  if (typeName(type) === undefined) throw new Refused("unknown_type", `type ${type}`);
  const reader = new Reader(bytes);
  const body = readBody(reader, type);
  reader.end();
  return body;
}

/** Refuses an authority whose scope or terms do not fit its role. */
export function mustFitRole({ role, scope, zone }) {
  const bytes = ascii(scope).length;
  const fits = { 1: bytes >= 1 && bytes <= SCOPE_BYTES_MAX, 2: isZone(scope), 3: isZone(scope) };
  if (!fits[role] || (zone != null) !== (role === 2)) badField("scope or terms of this role");
}

/** What the fields of a body must be together, by type. */
const CHECKS = {
  1: ({ userKey, boxes }) => {
    if ((userKey === undefined) !== (boxes === undefined)) badField("a user key without its boxes, or the other way round");
  },
  2: ({ road, proof, bits }) => {
    const shape = { 1: proof?.length === 8 && bits !== undefined, 2: proof?.length === 32, 3: proof?.length === 32, 4: proof === undefined };
    if (!shape[road] || (road !== 1 && bits !== undefined)) badField("what this road shows");
  },
  11: ({ rows, aliases, flags }) => {
    if (!isAscending(rows, compareRows) || !isAscending(aliases ?? [], compareTexts)) badField("order of rows or aliases");
    if (flags === 0n || aliases?.length === 0 || rows.some((row) => row.isSpelledOut)) notCanonical("a default is spelled out");
  },
  13: (body) => {
    const { servers = [], ds = [], glue = [], url, key, policy } = body;
    if ([body.servers, body.ds, body.glue].some((list) => list?.length === 0)) notCanonical("an empty list is spelled out");
    const ascends = isAscending(servers, compareTexts) && isAscending(ds, compare) && isAscending(glue, compareGlue);
    const urlFits = url === undefined || (url.length >= 1 && url.length <= URL_BYTES_MAX && /^[!-~]*$/.test(url));
    const policyFits = policy === undefined || (policy.length >= 1 && policy.length <= DELEGATION_POLICY_BYTES_MAX && /^[\n -~]*$/.test(policy));
    const hasLog = key !== undefined || (url === undefined && policy === undefined);
    const isWhole = servers.length > 0 || (ds.length === 0 && glue.length === 0 && key === undefined);
    if (!ascends || !urlFits || !policyFits || !hasLog || !isWhole) badField("lists, log or end of a delegation");
  },
  14: ({ extras }) => {
    if (extras?.length === 0) notCanonical("no recipients spelled out");
  },
  15: ({ epoch, ...enrolment }) => {
    const given = Object.values(enrolment).filter((value) => value !== undefined).length;
    if (given !== 0 && given !== 7) badField("part of an enrolment");
  },
  18: ({ keep, identity, wordsBox }) => {
    if ((identity === undefined) !== (wordsBox === undefined)) badField("an identity key without its words box, or the other way round");
    if (keep?.length === 0) notCanonical("no device spelled out");
  },
  26: mustFitRole,
};

const compareGlue = (a, b) => compareTexts(a.host, b.host) || compare(a.address, b.address);
const compareTexts = (a, b) => compare(ascii(a), ascii(b));

/** Orders records by owner, type, rdata. */
function compareRows(a, b) {
  return compareTexts(a.owner, b.owner) || Number(a.rtype - b.rtype) || compare(a.rdata, b.rdata);
}
