// People found by an address: the server evaluates it blinded, the log tells whose it is, and notaries that were revoked since count for
// nothing (PROTOCOL 3.5, 12.15, 22.1).

import { aliasId, emailOf, standingOf } from "./alias.js";
import { Reader, Refused, encode, refusedAs } from "./cbor.js";
import { ProofFault } from "./client.js";
import { bytesOf, listOf, readMap } from "./fields.js";
import { ascii } from "./hash.js";
import { parseDid } from "./name.js";
import { blinded, finalized } from "./oprf.js";
import { decodeDidState } from "./state.js";

const ALIAS_ROLE = 3;
const SERVICE = 3;
const SUSPENDED = 3;
const ANSWER = { 1: ["evaluated", listOf(bytesOf(32), 1, 1)], 2: ["proof", bytesOf(64)] };

/**
 * Finds who has an address, or proves that nobody can be found by it; what leaves the browser is blinded. Refuses with `bad_address`, `no_aliases`.
 *
 * Returns the result of `Client.lookup` with `attested` = `[{row, standing}]`: the keys that signed in as its holder, each with what it may be taken for.
 */
export async function findAddress(client, text) {
  const evaluation = await evaluationOf(client, emailOf(text));
  const found = await client.lookup({ alias: aliasId(evaluation) }, { genesis: true });
  // Asked again: a notary that was revoked meanwhile vouches for nothing that is still to be shared.
  const server = await serverState(client);
  const rows = found.status === "present" ? found.alias.attested : [];
  const owner = found.did === null ? null : decodeDidState(found.did.bytes);
  return { ...found, attested: rows.map((row) => ({ row, standing: standingOf(row, found.alias, owner, server, found.epochMs) })) };
}

/** Returns the evaluation of an address in its one form: the server makes it blinded, and proves that it used the key in the log. */
export async function evaluationOf(client, address) {
  const key = aliasKeyOf(await serverState(client), client.zone);
  if (key === undefined) throw new Refused("no_aliases", "nobody is found by an address here");
  const asked = await blinded(ascii(address));
  const answer = await client.net.post("/v1/alias/evaluate", encode(new Map([[1, [asked.element]]])));
  const [evaluation] = await believed(answer, asked, key);
  return evaluation;
}

/** Returns whether people are found by addresses here: the log has a key for that. */
export const findsAddresses = async (client) => aliasKeyOf(await serverState(client), client.zone) !== undefined;

/** Returns the keys that receive a letter: the owner's devices, then, for a found address, whoever signed in as its holder. */
export function receiversOf({ did, alias, attested = [] }) {
  const receives = ({ level, status }) => level !== SERVICE && status !== SUSPENDED;
  const devices = did.devices.filter(receives).map(({ sign, kex }) => ({ sign, kex }));
  const signedIn = attested.filter(({ standing }) => standing === "signed_in");
  return [...devices, ...signedIn.map(({ row: { sign, kex } }) => ({ sign, kex, alias: alias.alias }))];
}

/** Returns the proved state of the log's own server, the DID of entry 0. */
export async function serverState(client) {
  const { server_did: said } = await client.info();
  const { did } = await client.lookup({ did: parseDid(said) });
  if (did?.uid !== 0n) throw new ProofFault("binding", "the server named is not the one of entry 0");
  return decodeDidState(did.bytes);
}

/** Returns the newest unrevoked alias key of the zone. */
function aliasKeyOf({ authorities }, zone) {
  return authorities.findLast(({ role, scope, revokedAt }) => role === ALIAS_ROLE && scope === zone && revokedAt === null)?.key;
}

/** Returns the evaluation, if the key in the log made it; otherwise the server was caught. */
async function believed(answer, asked, key) {
  try {
    const reader = new Reader(answer);
    const { evaluated, proof } = refusedAs("malformed", () => readMap(reader, ANSWER));
    refusedAs("malformed", () => reader.end());
    return await finalized([asked], evaluated, proof, key);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    throw new ProofFault(error.code, error.message, answer);
  }
}
