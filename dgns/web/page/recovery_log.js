// What the log says of somebody's recovery, followed from the genesis of the DID (PROTOCOL 5.8, 6.5), and how something is put into it.

import { ProofFault } from "../client.js";
import { equal } from "../hash.js";
import { OPEN } from "../rules/recovery.js";
import { decodeDidState } from "../state.js";
import { certify, placeAfter } from "../write.js";

export { BURNT, OPEN, PROVED, READY } from "../rules/recovery.js";

const TRIES = 8;

/** How long after it began an attempt may be proved, ms. */
const PROVE_MS = 600_000;

/** Whether an attempt that is open in the log may be proved no more: the PIN was wrong, or nobody went on. */
export const hasExpired = ({ phase, attempt }, nowMs) => phase === OPEN && nowMs > Number(attempt.atMs) + PROVE_MS;

/** When the next attempt of an enrolment may begin, after the one with this number, ms. */
export const BACKOFF_MS = [0, 60_000, 60_000, 300_000, 900_000, 3_600_000, 14_400_000, 86_400_000, 86_400_000, 86_400_000];

/**
 * Reads a DID (as `lookup` takes it), and what it says of recovery: `{found, state, recovery, enrolment, open}`. `recovery` is null if nobody enrolled
 * or it is over, `enrolment` = the body of the certificate that is in force, `open` = that of the newest attempt, a certificate.
 */
export async function recoveryOf(client, asked) {
  const found = await client.lookup(asked, { whole: true });
  if (found.did === null) return { found, state: null, recovery: null };
  const state = decodeDidState(found.did.bytes);
  const recovery = state.recovery?.keys ? state.recovery : null;
  const certificateOf = (sid) => found.chain.map(({ certificate }) => certificate).find((one) => equal(one.sid, sid)) ?? missing(found);
  const enrolment = recovery && certificateOf(recovery.keys.sid).payload.body;
  const open = recovery?.attempt ? certificateOf(recovery.attempt.sid) : null;
  return { found, state, recovery, enrolment, open };
}

const missing = (found) => {
  throw new ProofFault("chain", "the certificates shown do not have the enrolment that the state names", found.bytes);
};

/** Signs what comes next in a DID's chain and posts it, again if another certificate came first. Returns `{indexes, found}`. */
export async function put(client, did, type, body, signers, attachments = []) {
  for (let left = TRIES; ; left--) {
    const now = await client.lookup({ did });
    const certificate = await certify(placeAfter(now), type, body, signers, { origin: client.origin, nowMs: client.now() });
    try {
      return { sid: certificate.sid, ...(await client.post([certificate], { did }, attachments)) };
    } catch (error) {
      if (error.code !== "stale_prev" || left === 0) throw error;
    }
  }
}
