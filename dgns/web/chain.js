// What a DID has become follows from the state remembered, or from its genesis, by its own certificates (PROTOCOL 11.3 step 7, 11.5).

import { encodeDidState } from "./canonical.js";
import { Refused, refusedAs } from "./cbor.js";
import { decodeCertificate } from "./certificate.js";
import { decodeEpochEntry } from "./entry.js";
import { concat, equal } from "./hash.js";
import { Chain } from "./rules.js";
import { leafHash, verifyInclusion } from "./tree.js";

const CERTIFICATE_ENTRY = Uint8Array.of(1);

/**
 * Follows the rows from the state remembered (`known`: a decoded state with `bytes` and `fromGenesis`; null = never met) and compares where
 * they lead with the state shown. Returns `{steps: [{index, epochMs, certificate}], footing, keep}`.
 *
 * `footing`, what the state rests on besides the map: null = no DID is shown; "map" = nothing, it is the first that was shown of this DID;
 * "remembered" = every certificate since the state first met was judged; "genesis" = every certificate from the genesis on was, so
 * no key can be false; "unfollowed" = certificates are missing, `next` is the place of the first: ask again with what is remembered then.
 * `keep` = what to remember of the DID. Refuses with `rollback`, `chain`.
 */
export async function followChain(origin, known, shown, rows, head, epoch) {
  if (shown === null) {
    if (rows.length > 0) throw new Refused("chain", "rows of nobody");
    return { steps: [], footing: null, keep: null };
  }
  if (known !== null) mustNotBeOlder(known, shown);
  const chain = new Chain(origin, shown.did, known);
  const steps = [];
  for (const row of rows) {
    const step = placed(row, head, epoch);
    await judged(chain, step, row[3]);
    steps.push(step);
  }
  const fromGenesis = known?.fromGenesis ?? true;
  const { state } = chain;
  if (state === undefined) return { steps, footing: "map", keep: kept(shown, shown.bytes, false) };
  if (sameHead(state.head, shown.head)) {
    if (!chain.leadsTo(shown, epoch.k, epoch.timeMs)) throw new Refused("chain", "the certificates do not make the state shown");
    return { steps, footing: fromGenesis ? "genesis" : "remembered", keep: kept(shown, shown.bytes, fromGenesis) };
  }
  // The rows may end before the state does, never beyond it or elsewhere.
  if (!leadsTo(state.head, shown.head)) throw new Refused("chain", "rows beyond the state");
  return { steps, footing: "unfollowed", next: state.head.seq + 1n, keep: kept(state, encodeDidState(state), fromGenesis) };
}

const kept = ({ did, version }, state, fromGenesis) => ({ did, version, state, fromGenesis });

async function judged(chain, { index, epochMs, certificate }, k) {
  try {
    await chain.follow(certificate, k, { index, epochMs });
  } catch (error) {
    throw error instanceof Refused ? new Refused("chain", error.message) : error;
  }
}

/** A higher version may have a longer chain, the same version is the same state. */
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
