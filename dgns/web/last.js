// What was last shown of each subject, kept with its proof: a log that goes back on it convicts itself. The memory holds the DIDs met and
// one head; of a name, and for others who remember nothing, it takes both proofs.

import { evidenceOfAnswer, evidenceOfRollback, proofOf } from "./evidence.js";
import { subjectText } from "./explain.js";
import { wentBack } from "./fault.js";
import { equal } from "./hash.js";
import { decodeAliasState, decodeAnchorsState, decodeDidState, decodeNameState } from "./state.js";

const KINDS = ["name", "did", "alias", "anchors"];

/**
 * Holds what was proved against what was proved of the subject last, and keeps the newer; returns null, or the evidence if the subject has an
 * older state than before, or another of the same version.
 */
export async function heldAgainstLast(store, trust, resolved, bytes) {
  const subject = subjectText(resolved.asked);
  const key = `log/${trust.origin}/last/${subject}`;
  const last = await store.get(key);
  const now = Object.fromEntries(KINDS.map((kind) => [kind, resolved[kind]?.bytes ?? null]));
  if (last !== undefined && KINDS.every((kind) => isSame(last[kind] ?? null, now[kind]))) return null;
  const proof = await proofOf(trust, resolved.head, resolved, bytes);
  if (last === undefined || !wentBack(statesOf(last, resolved.asked), resolved)) {
    await store.set(key, { ...now, proof });
    return null;
  }
  if (last.proof && proof) return evidenceOfRollback(trust, resolved.size, last.proof, proof);
  return evidenceOfAnswer(trust, "rollback", subject, bytes, null);
}

const isSame = (a, b) => (a === null || b === null ? a === b : equal(a, b));

/** What was kept of a lookup, as `wentBack` compares it. */
function statesOf({ name, did, alias, anchors }, asked) {
  const decoded = (bytes, decode) => (bytes ? { ...decode(bytes), bytes } : null);
  return {
    asked,
    name: decoded(name, decodeNameState),
    did: decoded(did, decodeDidState),
    alias: decoded(alias, decodeAliasState),
    anchors: decoded(anchors, decodeAnchorsState),
  };
}
