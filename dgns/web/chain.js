// A DID met before: the certificates since lead from the state remembered towards the one shown (PROTOCOL 11.3 step 7, 11.5).
//
// The rules (PROTOCOL 5) are not implemented here, so a chain is never called followed: rows are placed, linked and signed, and
// what they made of the DID's state stays the map's word. The result says so: `footing` is then "linked".

import { Refused, refusedAs } from "./cbor.js";
import { decodeCertificate, verifyCertificate } from "./certificate.js";
import { decodeEpochEntry } from "./entry.js";
import { concat, equal } from "./hash.js";
import { kidOf } from "./name.js";
import { leafHash, verifyInclusion } from "./tree.js";

const CERTIFICATE_ENTRY = Uint8Array.of(1);
const NO_CHAIN = { seq: -1n, sid: undefined, index: -1n };

/**
 * Returns `{steps: [{index, epochMs, certificate}], footing}` of the rows from the state remembered (null = never met) on.
 *
 * `footing` = null without a DID, "map" = first met, "remembered" = the state remembered, "linked" = every certificate to the
 * state shown is there and signed, the rules not judged, "unfollowed" = certificates are missing. Refuses with `rollback`, `chain`.
 */
export async function followChain(origin, known, shown, rows, head, epoch) {
  if (shown === null) {
    if (rows.length > 0) throw new Refused("chain", "rows of nobody");
    return { steps: [], footing: null, keep: null };
  }
  if (known === null && rows.length === 0) return { steps: [], footing: "map", keep: keeping(shown) };
  if (known !== null) mustNotBeOlder(known, shown);
  let newest = known?.head ?? NO_CHAIN;
  const keys = known === null ? [] : [known.identity, ...known.devices.map(({ sign }) => sign)];
  const steps = [];
  for (const row of rows) {
    const step = placed(row, head, epoch);
    newest = extended(newest, shown.did, step);
    keys.push(...newKeys(step.certificate.payload));
    await mustBeSigned(step.certificate, origin, keys);
    steps.push(step);
  }
  if (!leadsTo(newest, shown.head)) throw new Refused("chain", "rows beyond the state");
  if (!sameHead(newest, shown.head)) return { steps, footing: "unfollowed", keep: null };
  return { steps, footing: known !== null && equal(known.bytes, shown.bytes) ? "remembered" : "linked", keep: keeping(shown) };
}

const keeping = ({ did, version, bytes }) => ({ did, version, state: bytes, fromGenesis: false });

function mustNotBeOlder(known, shown) {
  if (shown.version < known.version) throw new Refused("rollback", "version of a DID");
  const same = shown.version > known.version || equal(shown.bytes, known.bytes);
  if (!same || !leadsTo(known.head, shown.head)) throw new Refused("chain", "another state");
}

const sameHead = (a, b) => a.seq === b.seq && a.index === b.index && equal(a.sid, b.sid);
const leadsTo = (old, next) => (old.seq < next.seq && old.index < next.index) || sameHead(old, next);

/** Returns the certificate of a row, in the log and between Epochs of its history; refuses with `chain`. */
function placed([index, path, envelope, k, before, proof], { size, root }, newest) {
  if (!verifyInclusion(leafHash(concat(CERTIFICATE_ENTRY, envelope)), index, size, path, root)) throw new Refused("chain", "place");
  const epoch = inHistory(proof, k, newest);
  if ((before === null) !== (k === 0n)) throw new Refused("chain", "the Epoch before");
  const opened = before === null || inHistory(before, k - 1n, newest).covers < index;
  if (!opened || index >= epoch.covers) throw new Refused("chain", "not of this batch");
  return { index, epochMs: epoch.timeMs, certificate: refusedAs("chain", () => decodeCertificate(envelope)) };
}

/** Returns Epoch `k` of the history that the newest Epoch commits to, or that Epoch itself. */
function inHistory([entry, path], k, newest) {
  const epoch = decodeEpochEntry(entry);
  if (epoch === null || epoch.k !== k) throw new Refused("chain", "not the Epoch it is said to be");
  const own = k === newest.k && equal(entry, newest.entry) && path.length === 0;
  const earlier = k < newest.k && verifyInclusion(leafHash(entry), k, newest.k, path, newest.historyRoot);
  if (!own && !earlier) throw new Refused("chain", "an Epoch outside the history");
  return epoch;
}

/** Returns the chain's end after its next certificate, which is the genesis if there is none yet. */
function extended(newest, did, { index, certificate: { payload, sid } }) {
  const subject = payload.subject ?? sid.subarray(0, 20);
  const linked = newest.sid === undefined ? payload.prev === undefined : payload.prev !== undefined && equal(payload.prev, newest.sid);
  const next = equal(subject, did) && linked && payload.seq === newest.seq + 1n && newest.index < index;
  if (!next) throw new Refused("chain", "not the next certificate");
  return { seq: payload.seq, sid, index };
}

/** Returns the Ed25519 keys that a certificate brings into its DID. */
const newKeys = ({ body }) => [body.identity, body.device?.sign].filter((key) => key !== undefined);

/** Checks signatures by keys that the DID has or had; other parties sign claims and transfers too, with keys not known here. */
async function mustBeSigned(certificate, origin, keys) {
  const { payload, signatures } = certificate;
  const isKnown = ({ kid }) => keys.some((key) => equal(kidOf(key), kid));
  const withOthers = payload.typeName === "claim" || (payload.typeName === "transfer" && payload.body.to !== undefined);
  const own = withOthers ? signatures.filter(isKnown) : signatures;
  const candidates = payload.typeName === "notary_add" ? [...keys, payload.body.key] : keys;
  if (own.length === 0) throw new Refused("chain", "not signed by the DID");
  try {
    await verifyCertificate({ ...certificate, signatures: own }, origin, candidates);
  } catch (error) {
    throw error instanceof Refused ? new Refused("chain", error.code) : error;
  }
}
