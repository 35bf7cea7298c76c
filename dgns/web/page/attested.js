// Who says of a device that asks that somebody signed in on it (PROTOCOL 20.4). The log says so beside an address that is bound to the account; what it
// says is checked: the alias is bound to this account, the certificate is the one that its state names, the notary signed it and stands.

import { standingOf } from "../alias.js";
import { verifyCertificate } from "../certificate.js";
import { ProofFault } from "../client.js";
import { decodeEntry } from "../entry.js";
import { serverState } from "../finding.js";
import { equal } from "../hash.js";
import { kidOf } from "../name.js";
import { decodeDidState } from "../state.js";
import { addressesOf } from "./addresses.js";

const NOTARY = 1;

/** Which standings turn a device away, and which make it doubtful. */
export const REFUSED = ["notary_revoked", "disputed"];

/**
 * Returns the newest sign-in with these keys that the log shows beside an address of the account: `{issuer, index, unixS, address, standing}`; null if there
 * is none, undefined if no address is bound, so that the log never says anything. `issuer` is undefined if the log knows no such notary, `address` if this device cannot read it.
 */
export async function signInOf(client, record, account, { sign, kex }) {
  const { own } = await addressesOf(client, record, account).catch((error) => {
    if (error.code === "not_found") return { own: [] }; // a server that signs nobody in keeps no addresses
    throw error;
  });
  if (!own.some(({ bound }) => bound)) return undefined;
  const rows = own.filter(({ bound }) => bound).flatMap((one) => one.found.alias.attested.map((row) => ({ ...one, row })));
  const mine = rows.filter(({ row }) => equal(row.sign, sign) && equal(row.kex, kex)).sort((a, b) => Number(b.row.index - a.row.index));
  return mine.length === 0 ? null : shown(client, mine[0]);
}

async function shown(client, { row, found, opening }) {
  // Asked behind the alias: a notary that was revoked meanwhile vouches for nothing.
  const server = await serverState(client);
  const entry = await client.net.get(`/v1/log/entries/${row.index}`);
  const certificate = certificateIn(entry);
  const said = certificate?.payload;
  const about = said?.typeName === "attest_login" && equal(said.body.sign, row.sign) && equal(said.body.kex, row.kex);
  if (!about || !equal(certificate.sid, row.sid)) throw new ProofFault("sid", "the entry is not the sign-in that the state of the alias names", entry);
  const notary = server.authorities.find(({ role, key }) => role === NOTARY && equal(kidOf(key), row.notary));
  if (notary !== undefined) {
    const signers = await verifyCertificate(certificate, client.origin, [notary.key], { oneParty: true }).catch(() => []);
    if (signers.length === 0) throw new ProofFault("sid", "the sign-in is not signed by the notary that the state of the alias names", entry);
  }
  const standing = standingOf(row, found.alias, decodeDidState(found.did.bytes), server, found.epochMs);
  return { issuer: notary?.scope, index: row.index, unixS: said.unixS, address: opening?.address, standing };
}

function certificateIn(entry) {
  try {
    return decodeEntry(entry).certificate;
  } catch {
    return undefined;
  }
}
