// Aliases: what stands in the log for an e-mail address, so that nobody finds the address in it (PROTOCOL 3.5).

import { Refused } from "./cbor.js";
import { ascii, bigEndian, concat, domainHash, equal } from "./hash.js";
import { kidOf } from "./name.js";

const LOCAL_BYTES_MAX = 64;
const DOMAIN_BYTES_MAX = 255;
const LABEL = /^[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/;
const lowered = (text) => text.replaceAll(/[A-Z]+/g, (letters) => letters.toLowerCase());

/** Returns an address in its one form: spaces around it gone, ASCII letters in lower case. Refuses with `bad_address`. */
export function emailOf(text) {
  const trimmed = text.replaceAll(/^[\p{White_Space}]+|[\p{White_Space}]+$/gu, "");
  const at = trimmed.lastIndexOf("@");
  const [local, domain] = [trimmed.slice(0, Math.max(at, 0)), trimmed.slice(at + 1)];
  const bytes = ascii(local).length;
  const localFits = bytes >= 1 && bytes <= LOCAL_BYTES_MAX && !/[\p{White_Space}\p{Cc}]/u.test(local) && local.isWellFormed();
  const domainFits = domain.length <= DOMAIN_BYTES_MAX && domain.includes(".") && domain.split(".").every((label) => LABEL.test(label));
  if (at < 0 || !localFits || !domainFits) throw new Refused("bad_address", "one @ between a name and an ASCII domain of two labels or more, without spaces");
  return lowered(trimmed);
}

/** Returns the alias id of an evaluation; with a tag of 16 bytes it is hidden from who knows the address alone. */
export const aliasId = (evaluation, tag = new Uint8Array(0)) => domainHash("alias", evaluation, tag);

/** Returns what a binding says of its address: who keeps the nonce can show later which it was. */
export function addressCommitment(address, nonce) {
  const bytes = ascii(address);
  return domainHash("alias-open", bigEndian(bytes.length, 2), bytes, nonce);
}

const NOTARY = 1;
const SUSPENDED = 3;

/**
 * Returns what a key that signed in with an alias may be taken for (PROTOCOL 22.1), by the newest states of alias, owner and server, at this epoch
 * time: "device", "suspended", "disputed", "notary_revoked", "breaker" or "signed_in". Something may be sealed to the first and the last.
 */
export function standingOf(row, alias, owner, server, epochMs) {
  const device = owner.devices.find(({ sign, kex }) => equal(sign, row.sign) && equal(kex, row.kex));
  if (device !== undefined) return device.status === SUSPENDED ? "suspended" : "device";
  if (row.disputed) return "disputed";
  const stands = server.authorities.some(({ role, key, revokedAt }) => role === NOTARY && revokedAt === null && equal(kidOf(key), row.notary));
  if (!stands) return "notary_revoked";
  return epochMs < alias.breakerMs ? "breaker" : "signed_in";
}
