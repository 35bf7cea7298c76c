// Names, zones and DIDs (PROTOCOL 2.1, 3.3).

import { Refused } from "./cbor.js";
import { sha256 } from "./hash.js";

const LABEL = /^(?!-)[a-z0-9-]{1,63}(?<!-)$/;
const ZONE_BYTES_MAX = 90;
const NAME_BYTES_MAX = 100;
const LABELS_MAX = 4;
const FIRST_LEVEL_BYTES_MIN = 3;

const RESERVED = new Set(
  `abuse account accounts admin administrator alt api app auth autoconfig autodiscover billing cdn dgns did dns example ftp help
  hostmaster imap info invalid isatap local localhost lobby log login mail monitor mta-sts mx noc ns ns0 ns1 ns2 ns3 ns4 ns5 ns6 ns7
  ns8 ns9 onion openpgpkey pop postmaster recover recovery root security signin smtp static status support test webmaster witness
  wpad www`.split(/\s+/),
);

/** Returns whether `text` is a label of a zone's form. */
export const isLabel = (text) => LABEL.test(text);

/** Returns whether `text` is a zone. */
export function isZone(text) {
  return text.length <= ZONE_BYTES_MAX && text.split(".").every((label) => LABEL.test(label));
}

const isClaimable = (label) => LABEL.test(label) && label.slice(2, 4) !== "--";

/** Returns whether `text` could be a name of some zone: all that a certificate's bytes alone can tell. */
export function isWellFormed(text) {
  return text.length <= NAME_BYTES_MAX && text.includes(".") && text.split(".").every((label) => LABEL.test(label));
}

/** Returns the labels of an absolute name that lie below the zone, or null if it is not a name of it. */
function labelsBelow(name, zone) {
  if (name.length > NAME_BYTES_MAX || !name.endsWith(`.${zone}`)) return null;
  const labels = name.slice(0, -zone.length - 1).split(".");
  const first = labels[labels.length - 1];
  const fits = labels.length <= LABELS_MAX && first.length >= FIRST_LEVEL_BYTES_MIN && labels.every(isClaimable);
  return fits ? labels : null;
}

/** Returns `name` if it is an absolute name of `zone`; refuses with `bad_name`. */
export function parseName(name, zone) {
  if (labelsBelow(name, zone) === null) throw new Refused("bad_name", JSON.stringify(name));
  return name;
}

/** Returns the name that `text` abbreviates: `alice` is `alice.<zone>`, and a final dot goes. */
export function completeName(text, zone) {
  if (text.endsWith(".")) return parseName(text.slice(0, -1), zone);
  return parseName(text.endsWith(`.${zone}`) ? text : `${text}.${zone}`, zone);
}

/** Returns the name above, or null for a first-level name. */
export function parentName(name, zone) {
  return labelsBelow(name, zone).length === 1 ? null : name.slice(name.indexOf(".") + 1);
}

/** Returns whether a first-level label of the zone is kept for the operator (PROTOCOL 2.2). */
export function isReserved(name, zone) {
  const labels = labelsBelow(name, zone);
  return labels.length === 1 && RESERVED.has(labels[0]);
}

const BASE32 = "abcdefghijklmnopqrstuvwxyz234567";

/** Returns the text of a DID's 20 bytes. */
export function didText(bytes) {
  let text = "";
  let bits = 0;
  let held = 0;
  for (const byte of bytes) {
    held = (held << 8) | byte;
    for (bits += 8; bits >= 5; bits -= 5) text += BASE32[(held >> (bits - 5)) & 31];
    held &= (1 << bits) - 1;
  }
  return `did:dgns:${text}`;
}

/** Returns the 20 bytes of a DID's text; refuses with `bad_did`. */
export function parseDid(text) {
  const match = /^did:dgns:([a-z2-7]{32})$/.exec(text);
  if (match === null) throw new Refused("bad_did", JSON.stringify(text));
  const out = new Uint8Array(20);
  let [bits, held, at] = [0, 0, 0];
  for (const character of match[1]) {
    held = (held << 5) | BASE32.indexOf(character);
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      out[at++] = held >> bits;
      held &= (1 << bits) - 1;
    }
  }
  return out;
}

/** Returns the kid of an Ed25519 key: the first 8 bytes of its SHA-256. */
export function kidOf(key) {
  return sha256(key).subarray(0, 8);
}
