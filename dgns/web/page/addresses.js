// The e-mail addresses of an account, as its own devices know them (PROTOCOL 12.18): what the server keeps, what the log binds, and, for a device
// that opens what is sealed to the person, which address it is.

import { Reader } from "../cbor.js";
import { bytesOf, listOf, readMap, text, tuple, u64 } from "../fields.js";
import { equal } from "../hash.js";
import { signedBytesOf } from "./signed.js";
import { openSealed } from "./user_keys.js";

const MINE_MAX = 64;
const OPENING = { 1: ["address", text], 2: ["nonce", bytesOf(32)], 3: ["tag", bytesOf(16), true] };

/** Returns what the server keeps of an account's addresses: `{aliases: [{alias, sealed}], accounts, addresses}`, as it says. */
export async function keptOf(client, record) {
  const reader = new Reader(await signedBytesOf(client, record, "/v1/alias/mine"));
  const [rows, accounts, addresses] = tuple(listOf(tuple(bytesOf(32), (r) => r.bstr(), (r) => r.bool()), 0, MINE_MAX), u64, u64)(reader);
  reader.end();
  return { aliases: rows.map(([alias, sealed]) => ({ alias, sealed })), accounts, addresses };
}

/**
 * Returns the addresses of an account: `{own: [{alias, bound, opening, found}], accounts, addresses}`. `bound` is proved, `found` its lookup; `opening` =
 * `{address, nonce, tag?}`, or null if this device cannot read it.
 */
export async function addressesOf(client, record, account) {
  const kept = await keptOf(client, record);
  const own = [];
  for (const { alias, sealed } of kept.aliases) {
    const found = await client.lookup({ alias });
    const bound = found.alias?.did !== undefined && equal(found.alias.did, record.did);
    own.push({ alias, bound, found, opening: await openingOf(client, record, account, sealed) });
  }
  return { ...kept, own };
}

async function openingOf(client, record, account, sealed) {
  try {
    const reader = new Reader(await openSealed(client, record, account, sealed));
    const opening = readMap(reader, OPENING);
    reader.end();
    return opening;
  } catch {
    return null;
  }
}
