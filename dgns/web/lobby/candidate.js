// Candidates: addresses at which a side may be reached, as data and never as lines of text (PROTOCOL 23.3).

import { Reader, encode } from "../cbor.js";
import { badField, oneOf, text, tuple, uintWithin } from "../fields.js";

const BYTES_MAX = 96;
const PORT_MIN = 1024;
const HTTPS = 443;

/** Where a candidate comes from, by number, as SDP calls it. */
export const KINDS = ["host", "srflx", "prflx", "relay"];

const port = (reader) => {
  const value = Number(uintWithin(0, 65_535)(reader));
  return value >= PORT_MIN || value === HTTPS ? value : badField(`port ${value}`);
};
const address = (reader) => {
  const read = text(reader);
  return isAddress(read) ? read : badField(`address ${JSON.stringify(read)}`);
};
const number = (reader) => Number(uintWithin(0, 0xffffffff)(reader));
const FIELDS = tuple(oneOf(0, 1, 2, 3), address, port, number);

/** Returns the bytes of `{kind, address, port, priority}`. */
export const encodeCandidate = ({ kind, address: at, port: through, priority }) => encode([kind, at, through, priority]);

/** Reads a candidate that stands as a byte string in a card. */
export function readCandidate(outer) {
  const bytes = outer.bstr();
  if (bytes.length > BYTES_MAX) badField(`a candidate of ${bytes.length} bytes`);
  const reader = new Reader(bytes);
  const [kind, at, through, priority] = FIELDS(reader);
  reader.end();
  return { kind, address: at, port: through, priority };
}

const V4 = /^(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(?:\.(?!$)|$)){4}$/;
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\.local$/;
const MAPPED = "::ffff:";

/** Returns whether text is a browser's name for an address it keeps to itself. */
export const isHidden = (text_) => UUID.test(text_);

/** Returns whether text is an IP literal in its one spelling, or `<uuid>.local`. */
export function isAddress(text_) {
  if (V4.test(text_) || isHidden(text_)) return true;
  if (text_.startsWith(MAPPED) && V4.test(text_.slice(MAPPED.length))) return true;
  return text_.includes(":") && canonicalV6(text_) === text_;
}

/** Returns the one spelling of an IPv6 address, or null. One that holds an IPv4 address is written otherwise. */
function canonicalV6(text_) {
  try {
    const written = new URL(`http://[${text_}]`).hostname.slice(1, -1);
    return written.startsWith(MAPPED) ? null : written;
  } catch {
    return null;
  }
}

/** Returns whether packets may be sent to an address: no name, nobody's and not everybody's; this machine's own only if `loopback`. */
export function mayBeTried(at, loopback) {
  if (isHidden(at)) return false;
  const v4 = V4.test(at) ? at : at.startsWith(MAPPED) ? at.slice(MAPPED.length) : null;
  if (v4 !== null) {
    const first = Number(v4.split(".")[0]);
    const isNobody = v4 === "0.0.0.0" || v4 === "255.255.255.255" || (first >= 224 && first <= 239);
    return !isNobody && (first !== 127 || loopback);
  }
  return at !== "::" && !at.startsWith("ff") && (at !== "::1" || loopback);
}
