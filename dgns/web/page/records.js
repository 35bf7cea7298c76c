// DNS records as people read them. What a certificate carries is wire form (PROTOCOL 4.5).

import { hex } from "../hash.js";
import { el, table } from "./dom.js";

const TYPES = { 1: "A", 5: "CNAME", 16: "TXT", 28: "AAAA", 33: "SRV", 44: "SSHFP", 52: "TLSA", 64: "SVCB", 65: "HTTPS", 257: "CAA" };
const text = (bytes) => new TextDecoder().decode(bytes);
const u16 = (bytes, at) => (bytes[at] << 8) | bytes[at + 1];

/** Returns the name that wire form spells, from `at` on. */
function nameAt(bytes, at) {
  const labels = [];
  while (at < bytes.length && bytes[at] !== 0) {
    labels.push(text(bytes.subarray(at + 1, at + 1 + bytes[at])));
    at += 1 + bytes[at];
  }
  return `${labels.join(".")}.`;
}

/** Returns the strings of a TXT record, quoted. */
function stringsOf(bytes) {
  const strings = [];
  for (let at = 0; at < bytes.length; at += 1 + bytes[at]) strings.push(JSON.stringify(text(bytes.subarray(at + 1, at + 1 + bytes[at]))));
  return strings.join(" ");
}

/** Returns an IPv6 address in its short form. */
function v6(bytes) {
  const groups = Array.from({ length: 8 }, (_, i) => u16(bytes, 2 * i).toString(16));
  const zeros = groups.join(":").match(/(?:^|:)0(?::0)+(?:$|(?=:))/g) ?? [];
  const longest = zeros.sort((a, b) => b.length - a.length)[0];
  return longest === undefined ? groups.join(":") : groups.join(":").replace(longest, longest.startsWith(":") || longest === groups.join(":") ? "::" : ":").replace(":::", "::");
}

const VALUES = {
  A: (bytes) => [...bytes].join("."),
  AAAA: v6,
  CNAME: (bytes) => nameAt(bytes, 0),
  TXT: stringsOf,
  SRV: (bytes) => `${u16(bytes, 0)} ${u16(bytes, 2)} ${u16(bytes, 4)} ${nameAt(bytes, 6)}`,
  CAA: (bytes) => `${bytes[0]} ${text(bytes.subarray(2, 2 + bytes[1]))} ${JSON.stringify(text(bytes.subarray(2 + bytes[1])))}`,
  SSHFP: (bytes) => `${bytes[0]} ${bytes[1]} ${hex(bytes.subarray(2))}`,
  TLSA: (bytes) => `${bytes[0]} ${bytes[1]} ${bytes[2]} ${hex(bytes.subarray(3))}`,
};

/** Returns `{type, value}` of a record, as texts; what has no text form here is shown as its bytes. */
export function recordText({ rtype, rdata }) {
  const type = TYPES[Number(rtype)] ?? `TYPE${rtype}`;
  const value = VALUES[type];
  return { type, value: value === undefined ? `\\# ${rdata.length} ${hex(rdata)}` : value(rdata) };
}

/** Returns the table of a name's proved records, or a sentence that there are none. */
export function recordTable(records, name) {
  if (records === null || records.rows.length === 0) return el("p", { class: "soft" }, "None.");
  const row = (one) => {
    const { type, value } = recordText(one);
    return [el("code", {}, one.owner === "" ? name : `${one.owner}.${name}`), type, el("code", {}, value), `${one.ttl} s`];
  };
  return table([["Name"], ["Type"], ["Value"], ["Kept for", "number"]], records.rows.map(row));
}
