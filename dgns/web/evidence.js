// What is kept when a proof is wrong: a fault file that convicts if it can, else shows what was given (PROTOCOL 14.3).

import { noteOfHead, writeProofBundle } from "./bundle.js";
import { Refused } from "./cbor.js";
import { ascii, concat } from "./hash.js";
import { decodeHead, keyOfHead } from "./head.js";
import { checkFault, encodeFault } from "./fault.js";
import { decodeResolution } from "./resolution.js";

/**
 * Returns `{name, bytes, kind}`: a fault file about an answer that was refused with `code`. `known` = the bytes of the head remembered, or null.
 * Two signed heads that contradict each other convict; anything else shows what this reader was given.
 */
export async function evidenceOfAnswer(trust, code, subject, bytes, known) {
  const { head: offered, consistency } = decoded(bytes);
  const notes = { first: await noteOf(trust, known === null ? undefined : decodeHead(known)), second: await noteOf(trust, offered) };
  const path = consistency?.length > 0 ? concat(...consistency) : undefined;
  const parts = { code: ascii(code), subject: ascii(subject), ...notes, path, answer: bytes };
  const present = Object.fromEntries(Object.entries(parts).filter(([, part]) => part !== undefined));
  const fault = await convicting({ vkeys: trust.logKeys, parts: present });
  return kept(trust, offered?.size ?? 0n, code, fault);
}

/** Returns the fault file that the proofs of two lookups make, the later of which shows an older state. */
export function evidenceOfRollback(trust, size, first, second) {
  return kept(trust, size, "rollback", { vkeys: trust.logKeys, kind: "rollback", parts: { first, second } });
}

/** Returns the proof of a lookup as a file, or null if no key of `trust` signed its head. */
export async function proofOf(trust, head, { did }, bytes) {
  const key = await keyOfHead(trust.origin, trust.logKeys, decodeHead(head));
  return key === null ? null : writeProofBundle(trust, key, head, did, bytes);
}

const kept = ({ zone }, size, code, fault) => ({ name: `${zone}-${size}-${code}.fault`, kind: fault.kind, bytes: encodeFault(fault) });

async function convicting({ vkeys, parts }) {
  for (const kind of ["same-size", "prefix"]) {
    try {
      await checkFault({ vkeys, kind, parts });
      return { vkeys, kind, parts };
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
    }
  }
  return { vkeys, kind: "answer", parts };
}

function decoded(bytes) {
  try {
    return decodeResolution(bytes);
  } catch (error) {
    if (error instanceof Refused) return {};
    throw error;
  }
}

/** The note of a head that a trusted key signed; of another it would show nothing. */
async function noteOf({ origin, logKeys, policy }, head) {
  const vkey = head === undefined ? null : await keyOfHead(origin, logKeys, head);
  return vkey === null ? undefined : ascii(noteOfHead(origin, vkey, policy, head));
}
