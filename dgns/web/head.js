// Heads: the signed state of a log as answers carry it, and whether it may be believed now (PROTOCOL 11.2, steps 2 to 4 of 11.3).

import { Refused } from "./cbor.js";
import { decodeEpochEntry } from "./entry.js";
import { verifyStrict } from "./ed25519.js";
import { ascii, bigEndian, concat, equal, fromBigEndian } from "./hash.js";
import { cosignersHash } from "./memory.js";
import { LOG_SIGNATURE, checkpointText, cosignatureBytes, formatVerifierKey, parseVerifierKey, verifyLine } from "./note.js";
import { asksForNothing, quorumReached } from "./policy.js";
import { leafHash, verifyInclusion } from "./tree.js";

const CLOCK_TOLERANCE_MS = 300_000n;
const HEAD_AGE_S_MAX = 300;

/** Returns the fields of a Head's bytes (PROTOCOL 11.2) and these, nothing verified; refuses with `malformed`. */
export function decodeHead(bytes) {
  let at = 0;
  const take = (length) => {
    at += length;
    if (at > bytes.length) throw new Refused("malformed", "head is cut short");
    return bytes.subarray(at - length, at);
  };
  const size = fromBigEndian(take(8));
  const root = take(32);
  const signature = take(64);
  const cosignatures = Array.from({ length: take(1)[0] }, () => ({ id: take(4), timeS: fromBigEndian(take(8)), signature: take(64) }));
  const epochEntry = take(Number(fromBigEndian(take(2))));
  const path = Array.from({ length: take(1)[0] }, () => take(32));
  if (at !== bytes.length) throw new Refused("malformed", "bytes behind the head");
  return { bytes, size, root, signature, cosignatures, epochEntry, path };
}

/** Returns the bytes of a Head. */
export function encodeHead({ size, root, signature, cosignatures, epochEntry, path }) {
  const cosigned = cosignatures.flatMap(({ id, timeS, signature: by }) => [id, bigEndian(timeS, 8), by]);
  const counts = [bigEndian(epochEntry.length, 2), epochEntry, Uint8Array.of(path.length)];
  return concat(bigEndian(size, 8), root, signature, Uint8Array.of(cosignatures.length), ...cosigned, ...counts, ...path);
}

/**
 * Returns `{head, signedBy, epoch, quorumMs}` of the head sent, or of the one remembered if none was sent or it is that: signed by the log,
 * witnessed as the policy asks, ending in an Epoch, and young. `signedBy` is null if it was remembered, so checked before.
 */
export async function believedHead(trust, policy, memory, sent, nowMs) {
  const { head, signedBy } = await signedHead(trust, memory, sent);
  const cosigned = await cosignatures(trust, policy, memory, head);
  const epoch = endingEpoch(head);
  const quorumMs = freshQuorum(trust, policy, cosigned, epoch, BigInt(nowMs));
  if (!verifyInclusion(leafHash(head.epochEntry), head.size - 1n, head.size, head.path, head.root)) throw new Refused("last_leaf");
  return { head, signedBy, epoch, quorumMs };
}

async function signedHead(trust, memory, sent) {
  if (memory.origin !== trust.origin) throw new Refused("origin");
  if (sent === undefined && memory.head === null) throw new Refused("malformed", "no head, none remembered");
  if (memory.head !== null && (sent === undefined || equal(sent.bytes, memory.head))) return { head: decodeHead(memory.head), signedBy: null };
  const signedBy = await keyOfHead(trust.origin, trust.logKeys, sent);
  if (signedBy === null) throw new Refused("log_signature");
  return { head: sent, signedBy };
}

/** Returns which of these vkeys, named as the log, signed a head; null if none did. */
export async function keyOfHead(origin, vkeys, { size, root, signature }) {
  const text = ascii(checkpointText(origin, size, root));
  for (const vkey of vkeys) {
    const { name, type, key } = parseVerifierKey(vkey);
    if (name === origin && type === LOG_SIGNATURE && (await verifyStrict(key, text, signature))) return vkey;
  }
  return null;
}

/** Returns the hash by which a memory knows a policy's witnesses. */
export const cosignersOf = ({ witnesses }) => cosignersHash(witnesses.map(({ key }) => formatVerifierKey(key)));

/** Returns the cosignatures of the policy's witnesses, `[{key, timeS}]`; each holds, and they are enough. */
async function cosignatures({ origin }, policy, memory, head) {
  const verified = memory.head !== null && equal(head.bytes, memory.head) && equal(memory.cosigners, cosignersOf(policy));
  const text = checkpointText(origin, head.size, head.root);
  const cosigned = [];
  for (const { id, timeS, signature } of head.cosignatures) {
    const key = policy.witnesses.find((witness) => equal(witness.key.id, id))?.key;
    if (key === undefined || cosigned.some((seen) => seen.key === key)) continue;
    if (!verified && !(await verifyLine(key, text, cosignatureBytes(timeS, signature)))) throw new Refused("quorum", key.name);
    cosigned.push({ key, timeS });
  }
  if (quorumReached(policy, cosigned) === null) throw new Refused("quorum");
  return cosigned;
}

function endingEpoch({ size, epochEntry }) {
  const epoch = decodeEpochEntry(epochEntry);
  if (epoch === null || epoch.covers !== size - 1n) throw new Refused("epoch");
  return { ...epoch, entry: epochEntry };
}

/** Returns when the quorum was reached, ms, by cosignatures that are young and lie near the Epoch; null under `quorum none`. */
function freshQuorum({ maxHeadAgeS = HEAD_AGE_S_MAX }, policy, cosigned, { timeMs }, nowMs) {
  const isYoung = (ms) => maxHeadAgeS === Infinity || ms + BigInt(maxHeadAgeS) * 1000n >= nowMs;
  const isPast = (ms) => ms <= nowMs + CLOCK_TOLERANCE_MS;
  if (asksForNothing(policy)) {
    if (!isYoung(timeMs)) throw new Refused("stale_head");
    if (!isPast(timeMs)) throw new Refused("time_bound");
    return null;
  }
  const isNear = (ms) => ms - timeMs <= CLOCK_TOLERANCE_MS && timeMs - ms <= CLOCK_TOLERANCE_MS;
  const young = cosigned.filter(({ timeS }) => isYoung(timeS * 1000n));
  if (quorumReached(policy, young) === null) throw new Refused("stale_head");
  const reached = quorumReached(policy, young.filter(({ timeS }) => isPast(timeS * 1000n) && isNear(timeS * 1000n)));
  if (reached === null) throw new Refused("time_bound");
  return reached * 1000n;
}
