// Which DNS records an owner may certify (PROTOCOL 4.5), and what a delegation may say (4.7). Decoding has seen to the order of rows and aliases already.

import { Refused } from "../cbor.js";
import { isLabel, isZone } from "../name.js";
import { isRdata, wireName } from "./rdata.js";
import { equal } from "../hash.js";

const [ROWS_MAX, OWNERS_MAX, RDATA_BYTES_MAX, ALIASES_MAX, TXT_BYTES_MAX] = [32, 16, 3072, 8, 1024];
const [TTL_MIN_S, TTL_MAX_S] = [30n, 3600n];
const HOST_BYTES_MAX = 253;
const RESERVED_LABELS = ["_acme", "_checkpoint", "_dgns", "_did", "_proof"];
const [CNAME, TXT] = [5, 16];

const refuse = (reason) => {
  throw new Refused(reason === "too_many" ? "too_many" : "bad_record", reason);
};
const byItself = (labels) => labels.length === 0;
const anywhere = () => true;
const isPort = (label) => /^_[1-9][0-9]{0,4}$/.test(label) && Number(label.slice(1)) <= 65535;
const isService = (labels) => byItself(labels) || labels.length === 1 || (labels.length === 2 && isPort(labels[0]) && labels[1] === "_https");
const below = (protocols, fits) => ([label, protocol, ...rest]) => rest.length === 0 && protocols.includes(protocol) && fits(label);

/** Type -> [the most rows of a set, where it may stand]. */
const TYPES = {
  1: [8, byItself], 28: [8, byItself], [CNAME]: [ROWS_MAX, anywhere], [TXT]: [ROWS_MAX, anywhere], 33: [8, below(["_tcp", "_udp"], anywhere)],
  44: [8, byItself], 52: [4, below(["_tcp", "_udp", "_sctp"], isPort)], 64: [4, isService], 65: [4, isService], 257: [8, byItself],
};

/** Judges the record set of a name; refuses with `bad_record` (the reason is in the message) or `too_many`. */
export function mustBeRecords({ name, rows, aliases = [] }) {
  const owners = new Set(rows.map(({ owner }) => owner));
  const rdataBytes = rows.reduce((sum, { rdata }) => sum + rdata.length, 0);
  const fits = rows.length <= ROWS_MAX && owners.size <= OWNERS_MAX && rdataBytes <= RDATA_BYTES_MAX && aliases.length <= ALIASES_MAX;
  if (!fits) refuse("too_many");
  for (const row of rows) mustBeRow(row, name);
  const setOf = (row) => rows.filter(({ owner, rtype }) => owner === row.owner && rtype === row.rtype);
  for (const row of rows) if (setOf(row)[0] === row) mustBeSet(setOf(row));
  for (const owner of owners) {
    const there = rows.filter((row) => row.owner === owner);
    if (there.length > 1 && there.some(({ rtype }) => Number(rtype) === CNAME)) refuse("conflict");
  }
  if (!aliases.every((alias) => isForeignHost(alias, name))) refuse("owner");
}

const isHost = (host) => host.length <= HOST_BYTES_MAX && host.includes(".") && host.split(".").every(isLabel);
const isWithin = (host, name) => host === name || host.endsWith(`.${name}`);
const isDs = (ds) => ds.length > 4 && ds[2] !== 0 && ({ 2: 32, 4: 48 })[ds[3]] === ds.length - 4;

/** Judges a delegation; refuses as `mustBeRecords` does. */
export function mustBeDelegate({ name, servers = [], ds = [], glue = [], key }) {
  if (!servers.every(isHost)) refuse("owner");
  if (!ds.every(isDs)) refuse("rdata");
  for (const { host, address } of glue) {
    if (!servers.includes(host) || !isWithin(host, name)) refuse("owner");
    const fault = isRdata(address.length <= 4 ? 1 : 28, address);
    if (fault !== null) refuse(fault);
  }
  const isFound = (server) => !isWithin(server, name) || glue.some(({ host }) => host === server);
  if (!servers.every(isFound)) refuse("address");
  if (key !== undefined && !isZone(name)) refuse("owner");
}

function mustBeRow({ owner, rtype, ttl, rdata }, name) {
  const type = Number(rtype);
  if (TYPES[type] === undefined) refuse("type");
  const labels = owner === "" ? [] : owner.split(".");
  const isUnderscored = (label) => label.startsWith("_") && label.length <= 63 && isLabel(label.slice(1));
  if (owner.length + 1 + name.length > HOST_BYTES_MAX || !labels.every(isUnderscored)) refuse("owner");
  if (labels.some((label) => RESERVED_LABELS.includes(label))) refuse("reserved");
  if (!TYPES[type][1](labels)) refuse("owner");
  if (BigInt(ttl) < TTL_MIN_S || BigInt(ttl) > TTL_MAX_S) refuse("ttl");
  const fault = isRdata(type, rdata);
  if (fault !== null) refuse(fault);
  if (type === CNAME && equal(rdata, wireName(owner === "" ? name : `${owner}.${name}`))) refuse("conflict");
}

/** The rows of one owner and type together. */
function mustBeSet(set) {
  const type = Number(set[0].rtype);
  if (set.some(({ ttl }) => ttl !== set[0].ttl)) refuse("ttl");
  const bytes = set.reduce((sum, { rdata }) => sum + rdata.length, 0);
  if (set.length > TYPES[type][0] || (type === TXT && bytes > TXT_BYTES_MAX)) refuse("too_many");
}

function isForeignHost(alias, name) {
  const own = alias === name || alias.endsWith(`.${name}`);
  return alias.length <= HOST_BYTES_MAX && alias.includes(".") && alias.split(".").every(isLabel) && !own;
}
