// Evidence against a server of databases: a fault file of kind `store` (PROTOCOL 14.3, 25.10).

import { subjectOfBundle, verifyProofBundle } from "../bundle.js";
import { Refused } from "../cbor.js";
import { decodeAnchor } from "../entry.js";
import { hashesOf, lookupFault, orPart, part, refuse } from "../fault.js";
import { equal, hex } from "../hash.js";
import { decodeMapProof } from "../map.js";
import { didText, kidOf } from "../name.js";
import { parseVerifierKey } from "../note.js";
import { decodeDidState } from "../state.js";
import { consistencyRoots } from "../tree.js";
import { decodeAnchoredHead } from "./anchor.js";
import { isAnchored } from "./answer.js";
import { STAND, decodeStoreHead, verifyStoreHead } from "./head.js";

const SERVER = 3;

/**
 * Checks a decoded fault file of kind `store` by its own keys. Returns `{key, server, log, what}`: the vkey of the log of names under which the server is
 * who it is, its DID, the log that went wrong, and how. Refuses with `proves_nothing`, `fault_part`, `fault_signature`, `fault_proof`, `no_contradiction`.
 */
export async function checkStoreFault({ vkeys, kind, parts }) {
  if (kind !== "store") refuse("proves_nothing");
  let why = new Refused("fault_signature");
  for (const vkey of vkeys) {
    try {
      return { key: vkey, ...(await byKey(parts, parseVerifierKey(vkey).name, vkey)) };
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      if (error.code !== "fault_signature") why = error;
    }
  }
  throw why;
}

async function byKey(parts, origin, vkey) {
  const trust = { origin, zone: origin.replace(/\/log$/, ""), logKeys: [vkey] };
  const server = serverOf(await proved(trust, part(parts, "server")));
  const keys = server.devices.map(({ sign }) => sign);
  const first = await headOf(parts, "head", origin, server, keys);
  const path = parts.path?.length > 0 ? hashesOf(parts.path) : undefined;
  const what = parts.second === undefined ? ofAnchor(parts, first, await anchorOf(trust, parts), path) : ofHeads(first, await headOf(parts, "second", origin, server, keys), path);
  return { server: server.did, log: first.log, what: `${didText(server.did)} ${what ?? refuse("no_contradiction")}` };
}

async function proved(trust, bytes) {
  try {
    return await verifyProofBundle(trust, subjectOfBundle(bytes), bytes);
  } catch (error) {
    throw error instanceof Refused ? new Refused(lookupFault(error.code), error.message) : error;
  }
}

function serverOf({ did }) {
  const state = did && decodeDidState(did.bytes);
  return state?.kind === SERVER && state.uid === 0n ? state : refuse("fault_part", "no server");
}

async function anchorOf(trust, parts) {
  const { anchors } = await proved(trust, part(parts, "anchors"));
  return anchors === null ? refuse("fault_part", "no anchor") : orPart(() => decodeAnchor(anchors.bytes));
}

async function headOf(parts, name, origin, server, keys) {
  const head = orPart(() => decodeStoreHead(part(parts, name)));
  const key = keys.find((one) => equal(kidOf(one), head.signed.kid)) ?? refuse("fault_signature", name);
  await verifyStoreHead(head, origin, [key]).catch(() => refuse("fault_signature", name));
  return equal(head.store, server.did) ? head : refuse("fault_part", "the head of another server");
}

/** Two heads that one server signed: of one log, one after the other. */
function ofHeads(a, b, path) {
  if (!equal(a.log, b.log)) refuse("fault_part", "two logs");
  const [smaller, larger] = a.size <= b.size ? [a, b] : [b, a];
  const isLater = smaller.timeMs > larger.timeMs || (smaller.since !== undefined && larger.since !== undefined && smaller.since > larger.since);
  if (smaller.size < larger.size && isLater && !equal(a.log, STAND)) return wentBack(larger.size, smaller);
  return isSplit(smaller, larger, path) ? twoHistories(smaller.size, a.log) : null;
}

const wentBack = (before, { log, size }) => `signed ${size} entries of log ${hex(log)} although it had ${before}: it went back`;
const twoHistories = (size, log) => `signed two heads of log ${hex(log)} that differ within its first ${size} entries: two histories`;

function ofAnchor(parts, head, anchor, path) {
  return equal(head.log, STAND) ? ofStand(head, anchor) : ofAnchored(parts, head, anchor, path);
}

/** What the server says of all its databases, and an anchor that it knew when it said so. */
function ofStand(stand, { k, root }) {
  if (stand.since !== undefined && stand.since >= k && stand.size < k) {
    return `signed that its databases are at anchor ${stand.size}, and its log of names has anchor ${k}: they went back`;
  }
  return stand.size === k && !equal(stand.root, root) ? `signed other databases than those of anchor ${k}: two histories` : null;
}

/** A head of a log, and what an anchor has of the log that is not younger than it. */
function ofAnchored(parts, head, anchor, path) {
  const salt = part(parts, "salt");
  const anchored = orPart(() => decodeAnchoredHead(part(parts, "anchored")));
  const proof = decodeMapProof(part(parts, "proof"), 1);
  if (salt.length !== 16 || proof === null) refuse("fault_part", "salt or proof");
  if (!isAnchored({ anchor, anchored, proof }, head.log, salt)) refuse("fault_proof", "anchored");
  if (anchored.size > head.size && head.since !== undefined && head.since >= anchor.k) return wentBack(anchored.size, head);
  const [smaller, larger] = anchored.size <= head.size ? [anchored, head] : [head, anchored];
  return isSplit(smaller, larger, path) ? twoHistories(smaller.size, head.log) : null;
}

/** Whether the larger tree is shown to begin with another one than the smaller. */
function isSplit(smaller, larger, path) {
  if (smaller.size === larger.size) return !equal(smaller.root, larger.root);
  if (path === undefined) return false;
  const roots = consistencyRoots(smaller.size, larger.size, path) ?? refuse("fault_part", "path");
  return equal(roots[1], larger.root) && !equal(roots[0], smaller.root);
}
