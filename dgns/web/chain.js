// A DID met before: its state, and the certificates since, follow the one remembered (PROTOCOL 11.3 step 7, 11.5).

import { Refused } from "./cbor.js";
import { decodeCertificate } from "./certificate.js";
import { decodeEpochEntry } from "./entry.js";
import { concat, equal } from "./hash.js";
import { leafHash, verifyInclusion } from "./tree.js";

const CERTIFICATE_ENTRY = Uint8Array.of(1);

/**
 * Returns the steps `{index, epochMs, certificate}` of the rows between the state remembered (null = never met) and the one shown.
 *
 * Refuses with `rollback` or `chain`. Whether the rules allow each step is not judged here.
 */
export function followChain(known, shown, rows, head, epoch) {
  if (known === null || shown === null) {
    if (rows.length > 0) throw new Refused("chain", "rows of a DID never met");
    return [];
  }
  if (shown.version < known.version) throw new Refused("rollback", "version of a DID");
  const same = shown.version > known.version || equal(shown.bytes, known.bytes);
  if (!same || !leadsTo(known.head, shown.head)) throw new Refused("chain", "another state");
  let newest = known.head;
  let last = -1n;
  const steps = rows.map((row) => {
    const step = placed(row, head, epoch);
    if (step.index <= last) throw new Refused("chain", "order of rows");
    last = step.index;
    newest = extended(newest, shown.did, step);
    return step;
  });
  if (!leadsTo(newest, shown.head)) throw new Refused("chain", "rows beyond the state");
  return steps;
}

const sameHead = (a, b) => a.seq === b.seq && a.index === b.index && equal(a.sid, b.sid);
const leadsTo = (old, next) => sameHead(old, next) || (old.seq < next.seq && old.index < next.index);

/** Returns the certificate of a row, in the log and between Epochs of its history; refuses with `chain`. */
function placed([index, path, envelope, k, before, proof], { size, root }, newest) {
  if (!verifyInclusion(leafHash(concat(CERTIFICATE_ENTRY, envelope)), index, size, path, root)) throw new Refused("chain", "place");
  const epoch = inHistory(proof, k, newest);
  if ((before === null) !== (k === 0n)) throw new Refused("chain", "the Epoch before");
  const opened = before === null || inHistory(before, k - 1n, newest).covers < index;
  if (!opened || index >= epoch.covers) throw new Refused("chain", "not of this batch");
  try {
    return { index, epochMs: epoch.timeMs, certificate: decodeCertificate(envelope) };
  } catch (error) {
    if (error instanceof Refused) throw new Refused("chain", error.message);
    throw error;
  }
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

/** Returns the chain's end after a step: its next certificate, or another chain's transfer to this DID. */
function extended(newest, did, { index, certificate: { payload, sid } }) {
  if (payload.subject === undefined || !equal(payload.subject, did)) {
    const received = payload.typeName === "transfer" && payload.body.to !== undefined && equal(payload.body.to, did);
    if (!received) throw new Refused("chain", "another chain's certificate");
    return newest;
  }
  const next = equal(payload.prev, newest.sid) && payload.seq === newest.seq + 1n && newest.index < index;
  if (!next) throw new Refused("chain", "not the next certificate");
  return { seq: payload.seq, sid, index };
}
