// The wire forms of record data, type by type: RFC 1035, 2782, 4255, 6698, 8659, 9460 (PROTOCOL 4.5).

import { concat, ascii } from "../hash.js";
import { isLabel } from "../name.js";

const NAME_BYTES_MAX = 255;
const LABEL_BYTES_MAX = 63;
const NAME_BYTE = /^[a-z0-9_-]*$/;
/** The parameters of SVCB and HTTPS that we know the form of; 65280 is ours: kid and log index of a device. */
const SVC = {
  MANDATORY: 0, ALPN: 1, NO_DEFAULT_ALPN: 2, PORT: 3, IPV4HINT: 4, ECH: 5, IPV6HINT: 6, DOHPATH: 7, OHTTP: 8, DEVICE: 65280, INVALID: 65535,
};

const latin1 = (bytes) => String.fromCharCode(...bytes);
const u16 = (bytes, at) => (bytes[at] << 8) | bytes[at + 1];
const chunks = (bytes, width) => Array.from({ length: Math.floor(bytes.length / width) }, (_, i) => bytes.subarray(i * width, (i + 1) * width));

/** Returns null if the data is the wire form of its type with values we permit, else the reason: `rdata`, `address`. */
export function isRdata(type, data) {
  const judged = FORMS[type](data);
  return judged === true ? null : judged === false ? "rdata" : judged;
}

const FORMS = {
  1: (data) => data.length === 4 && (isUsableV4(data) || "address"),
  28: (data) => data.length === 16 && (isUsableV6(data) || "address"),
  5: (data) => nameBytes(data, 0) === data.length && data.length > 1,
  33: (data) => data.length > 6 && nameBytes(data, 6) === data.length - 6,
  16: (data) => data.length > 0 && strings(data) !== null,
  52: isTlsa,
  44: ([algorithm, type, ...digest]) => [1, 2, 3, 4, 6].includes(algorithm) && type === 2 && digest.length === 32,
  257: isCaa,
  64: judgeSvcb,
  65: judgeSvcb,
};

/** Returns the wire form of a name's text. */
export const wireName = (text) => concat(...text.split(".").flatMap((label) => [Uint8Array.of(label.length), ascii(label)]), Uint8Array.of(0));

/** Returns how many bytes the uncompressed lower-case name at `start` has, root included; null if there is none. */
function nameBytes(data, start) {
  for (let at = start; at < data.length; ) {
    const [length, end] = [data[at], at + 1 + data[at]];
    const fits = length <= LABEL_BYTES_MAX && end - start <= NAME_BYTES_MAX && end <= data.length;
    if (!fits || !NAME_BYTE.test(latin1(data.subarray(at + 1, end)))) return null;
    if (length === 0) return end - start;
    at = end;
  }
  return null;
}

/** Not of "this network", multicast, reserved or broadcast. */
const isUsableV4 = ([first]) => first >= 1 && first <= 223;

/** Global unicast, loopback, ULA, link-local: all other space is unspecified, multicast, mapped or reserved. */
function isUsableV6(address) {
  const [first, second] = address;
  const isLoopback = address.every((byte, i) => byte === (i === 15 ? 1 : 0));
  return first >> 5 === 1 || isLoopback || (first & 0xfe) === 0xfc || (first === 0xfe && (second & 0xc0) === 0x80);
}

/** Returns the strings, each behind its length, or null. */
function strings(data) {
  const found = [];
  for (let at = 0; at < data.length; at += 1 + data[at]) {
    if (at + 1 + data[at] > data.length) return null;
    found.push(data.subarray(at + 1, at + 1 + data[at]));
  }
  return found;
}

function isTlsa(data) {
  const [usage, selector, matching, ...digest] = data;
  if (data.length < 3 || usage > 3 || selector > 1) return false;
  return [digest.length > 0, digest.length === 32, digest.length === 64][matching] ?? false;
}

/** Flags 0 or 128 (critical), a tag we know, and a value of its grammar. */
function isCaa(data) {
  if (data.length < 2 || (data[0] !== 0 && data[0] !== 128) || 2 + data[1] > data.length) return false;
  const [tag, value] = [latin1(data.subarray(2, 2 + data[1])), latin1(data.subarray(2 + data[1]))];
  if (!/^[\x20-\x7e]*$/.test(value)) return false;
  if (tag === "issue" || tag === "issuewild") return isIssueValue(value);
  return tag === "iodef" && /^(?:mailto:|https?:\/\/)/.test(value);
}

/** `[domain] *(";" tag "=" value)` with the parameters of RFC 8657; a lone `;` forbids everyone. */
function isIssueValue(value) {
  const split = value.indexOf(";");
  const [issuer, parameters] = split < 0 ? [value.trim(), ""] : [value.slice(0, split).trim(), value.slice(split + 1)];
  const isIssuer = issuer === "" || issuer.split(".").every(isLabel);
  const isParameter = (text) => /^(?:accounturi|validationmethods)=[^ ]+$/.test(text.trim());
  return isIssuer && (parameters.trim() === "" || parameters.split(";").every(isParameter));
}

function judgeSvcb(data) {
  const params = svcParams(data);
  if (params === null || (u16(data, 0) === 0 && params.size > 0)) return false;
  for (const [key, value] of params) {
    if (!isSvcValue(key, value, params)) return false;
    const usable = { [SVC.IPV4HINT]: () => chunks(value, 4).every(isUsableV4), [SVC.IPV6HINT]: () => chunks(value, 16).every(isUsableV6) }[key];
    if (usable !== undefined && !usable()) return "address";
  }
  return true;
}

/** Returns the parameters, key -> value; their keys ascend. Null: not the form. */
function svcParams(data) {
  const length = data.length > 2 ? nameBytes(data, 2) : null;
  if (length === null) return null;
  const params = new Map();
  let last = -1;
  for (let at = 2 + length; at < data.length; ) {
    if (at + 4 > data.length) return null;
    const [key, end] = [u16(data, at), at + 4 + u16(data, at + 2)];
    if (end > data.length || key <= last) return null;
    params.set(key, data.subarray(at + 4, end));
    [last, at] = [key, end];
  }
  return params;
}

function isSvcValue(key, value, params) {
  const forms = {
    [SVC.MANDATORY]: () => {
      const keys = chunks(value, 2).map((two) => u16(two, 0));
      const named = keys.every((one, i) => one !== SVC.MANDATORY && params.has(one) && (i === 0 || keys[i - 1] < one));
      return value.length > 0 && value.length % 2 === 0 && named;
    },
    [SVC.ALPN]: () => value.length > 0 && strings(value)?.every(({ length }) => length > 0) === true,
    [SVC.NO_DEFAULT_ALPN]: () => value.length === 0 && params.has(SVC.ALPN),
    [SVC.PORT]: () => value.length === 2,
    [SVC.IPV4HINT]: () => value.length > 0 && value.length % 4 === 0,
    [SVC.IPV6HINT]: () => value.length > 0 && value.length % 16 === 0,
    [SVC.ECH]: () => value.length > 0,
    [SVC.DOHPATH]: () => value[0] === 0x2f && isUtf8(value),
    [SVC.OHTTP]: () => value.length === 0,
    [SVC.DEVICE]: () => value.length === 16,
    [SVC.INVALID]: () => false,
  };
  return forms[key]?.() ?? true;
}

function isUtf8(bytes) {
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    return true;
  } catch {
    return false;
  }
}
