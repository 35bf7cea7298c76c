// What a lookup returns, and the promise: nothing is believed before every check below held (PROTOCOL 11).

import { Reader, Refused, refusedAs } from "./cbor.js";
import { followChain } from "./chain.js";
import { decodeCertificate, decodePayload } from "./certificate.js";
import { EPOCH_ENTRY_BYTES } from "./entry.js";
import { badField, bytesOf, listOf, nullOr, oneOf, readMap, tuple, u64 } from "./fields.js";
import { concat, equal, fromBigEndian, hex, sha256 } from "./hash.js";
import { believedHead, cosignersOf, decodeHead } from "./head.js";
import { commitmentOf, decodeMapProof, labelOfAlias, labelOfAnchors, labelOfDid, labelOfLogConf, labelOfName, stateHash, valueBytes, verifyMapProof } from "./map.js";
import { emptyMemory } from "./memory.js";
import { parseName } from "./name.js";
import { parsePolicy } from "./policy.js";
import { FREE, HELD, decodeAliasState, decodeAnchorsState, decodeDidState, decodeLogConfState, decodeNameState, flagsOfDid, flagsOfName } from "./state.js";
import { leafHash, splitHashes, verifyConsistency, verifyInclusion } from "./tree.js";

const RESOLUTION_BYTES_MAX = 65536;
const BODY_BYTES_MAX = 4096;
const PATH_HASHES_MAX = 64;
const [NAME, DID, ALIAS, LOG_CONF, ANCHORS] = [1, 2, 3, 4, 5];
const NO_SID = new Uint8Array(32);
const OPENED_BYTES = 52;
const CERTIFICATE_ENTRY = Uint8Array.of(1);

const bstr = (reader) => reader.bstr();
const body = (reader) => {
  const bytes = reader.bstr();
  return bytes.length <= BODY_BYTES_MAX ? bytes : badField("body too large");
};
/** Reads hashes one behind the other. */
const path = (reader) => {
  const hashes = splitHashes(reader.bstr());
  return hashes !== null && hashes.length <= PATH_HASHES_MAX ? hashes : badField("path");
};
/** Reads a name, a DID of 20 bytes, an alias of 32, null for the log, or 5 for the anchors. */
const subject = (reader) => {
  if (reader.peek() === "text") return reader.tstr();
  if (reader.peek() === "uint") return oneOf(ANCHORS)(reader);
  const bytes = nullOr(bstr)(reader);
  return bytes === null || bytes.length === 20 || bytes.length === 32 ? bytes : badField("subject");
};
const epochProof = tuple(bytesOf(EPOCH_ENTRY_BYTES), path);
const chainRow = tuple(u64, path, body, u64, nullOr(epochProof), epochProof);

const RESOLUTION = {
  0: ["format", oneOf(1)],
  1: ["subject", subject],
  2: ["head", bstr, true],
  3: ["answers", listOf(tuple(oneOf(NAME, DID, ALIAS, LOG_CONF, ANCHORS), nullOr(bytesOf(OPENED_BYTES)), nullOr(bstr)), 1, 4)],
  4: ["mapProof", bstr],
  5: ["consistency", path, true],
  6: ["written", listOf(tuple(u64, path, body), 1, 16), true],
  7: ["chain", listOf(chainRow, 1, 64), true],
  8: ["payloads", listOf(body, 1, 4), true],
};

/** Returns the fields of a Resolution's bytes, nothing verified; refuses with `malformed`. */
export function decodeResolution(bytes) {
  return refusedAs("malformed", () => {
    if (bytes.length > RESOLUTION_BYTES_MAX) badField("too large");
    const reader = new Reader(bytes);
    const fields = readMap(reader, RESOLUTION);
    reader.end();
    if (fields.consistency?.length === 0) badField("an empty path is left out");
    fields.head = fields.head && decodeHead(fields.head);
    fields.mapProofBytes = fields.mapProof;
    fields.mapProof = decodeMapProof(fields.mapProofBytes, fields.answers.length) ?? badField("map proof");
    return { consistency: [], written: [], chain: [], payloads: [], ...fields };
  });
}

/**
 * Verifies a Resolution and returns `{resolved, memory}`; refuses with a code of PROTOCOL 11.4.
 *
 * `trust` = `{origin, zone, logKeys: [vkey text], policy?, maxHeadAgeS?}`: the policy a text (`quorum none`), the age 300 (Infinity
 * accepts any). `memory` = null at first contact, else what the last call returned. `asked` = `{name}` (absolute), `{did}` (20 bytes),
 * `{alias}` (32 bytes) or `{logConf: true}`. `nowMs` = this moment, a number. `resolved` tells what was proved, and how far: `footing` = what the DID's
 * state rests on besides the map (chain.js), `unwitnessed` = the log's signature is all there is, `continuity` = how the head stands
 * to the one remembered.
 */
export async function verifyResolution(trust, memory, asked, bytes, nowMs) {
  return verifyDecoded(trust, memory, asked, decodeResolution(bytes), nowMs);
}

/** As `verifyResolution`, of a Resolution that was put together from parts, such as those of a proof bundle. */
export async function verifyDecoded(trust, remembered, asked, answer, nowMs) {
  const memory = remembered ?? emptyMemory(trust.origin);
  mustBeAbout(answer.subject, asked, trust.zone); //                   1: the answer is to this question
  const policy = parsePolicy(trust.policy ?? "quorum none\n");
  // 2, 3, 4: the log signed the head, and whom we ask to watch, not long ago; its last leaf is the Epoch with this map
  const { head, signedBy, epoch, quorumMs } = await believedHead(trust, policy, memory, answer.head, nowMs);
  const proved = provedStates(answer, memory, asked, epoch); //        5: the map holds these states, or none
  const written = answer.written.map((row) => provedEntry(row, head)); // and the log these certificates
  const continuity = continuityOf(memory, head, answer.consistency); // 6: nothing we saw was taken back
  const known = proved.did === null ? null : knownDid(memory, proved.did.did);
  // 7: and what a DID has become, its own certificates made of it
  const { steps, footing, keep } = await followChain(trust.origin, known, proved.did, answer.chain, head, epoch);
  const dids = keep === null ? memory.dids : { ...memory.dids, [hex(keep.did)]: keep };
  const seen = { size: head.size, root: head.root };
  return {
    resolved: {
      asked, ...proved, written, chain: steps, footing, ...seen, epoch: epoch.k, epochMs: epoch.timeMs, quorumMs,
      unwitnessed: quorumMs === null, signedBy, continuity, head: head.bytes,
    },
    memory: { origin: trust.origin, ...seen, head: head.bytes, cosigners: cosignersOf(policy), dids }, // 8: so it stays
  };
}

function mustBeAbout(answered, { name, did, alias, anchors }, zone) {
  if (name !== undefined) refusedAs("subject", () => parseName(name, zone));
  const bytes = did ?? alias;
  const same = bytes === undefined ? answered === (name ?? (anchors ? ANCHORS : null)) : answered instanceof Uint8Array && equal(answered, bytes);
  if (!same) throw new Refused("subject");
}

/** Returns the subject's state, and its owner's if it is a name or alias that has one, under the Epoch's map root. */
function provedStates(answer, memory, asked, epoch) {
  let wanted = asked;
  const leaves = answer.answers.map((row, place) => {
    const leaf = claimedLeaf(row, wanted, place, memory);
    wanted = [NAME, ALIAS].includes(leaf.state?.subjectKind) && leaf.state.did !== undefined ? { did: leaf.state.did } : undefined;
    return leaf;
  });
  if (wanted !== undefined) throw new Refused("binding", "the owner is missing");
  if (!verifyMapProof(answer.mapProof, leaves, epoch.mapRoot)) throw new Refused("map_proof");
  if (!leaves.every((leaf) => agrees(leaf, epoch))) throw new Refused("value");
  const ofKind = (kind) => leaves.find(({ state }) => state?.subjectKind === kind)?.state ?? null;
  const [name, did, alias, logConf, anchors] = [NAME, DID, ALIAS, LOG_CONF, ANCHORS].map(ofKind);
  return {
    status: statusOf(asked, name, did, logConf ?? anchors),
    name,
    did,
    alias,
    logConf,
    anchors,
    ...namedAnswer(answer.payloads, name),
    frozen: did !== null && (did.flags & 1) !== 0,
    pending: did?.pending ?? [],
  };
}

/** Returns `present`, `held`, `ended` or `absent`. */
function statusOf(asked, name, did, ownState) {
  if (asked.name !== undefined) {
    if (name === null || name.status === FREE) return "absent";
    return name.status === HELD ? "held" : "present";
  }
  if (asked.did !== undefined || asked.alias !== undefined) {
    if (did === null) return "absent";
    return (did.flags & 8) !== 0 ? "ended" : "present";
  }
  return ownState === null ? "absent" : "present";
}

/** Reads one answer as `{label, commitment, opened, state}` of what is wanted there; only what was asked may be absent. */
function claimedLeaf([kind, openedBytes, sent], wanted, place, memory) {
  if (wanted === undefined || kind !== kindOf(wanted)) throw new Refused("binding");
  const label = LABELS[kind](wanted);
  if (openedBytes === null) {
    if (sent !== null) throw new Refused("value", "a State without its leaf");
    if (place > 0) throw new Refused("binding", "the owner is absent");
    return { label, commitment: null, opened: null, state: null };
  }
  const opened = openLeaf(openedBytes);
  const bytes = sent ?? rememberedState(memory, kind, wanted, opened.version);
  const state = refusedAs("value", () => DECODERS[kind](bytes, wanted));
  const commitment = commitmentOf(valueBytes({ ...opened, stateHash: stateHash(bytes) }));
  return { label, commitment, opened, state: { ...state, subjectKind: kind, bytes } };
}

const kindOf = ({ name, did, alias, anchors }) =>
  name !== undefined ? NAME : did !== undefined ? DID : alias !== undefined ? ALIAS : anchors ? ANCHORS : LOG_CONF;

const LABELS = {
  [NAME]: ({ name }) => labelOfName(name),
  [DID]: ({ did }) => labelOfDid(did),
  [ALIAS]: ({ alias }) => labelOfAlias(alias),
  [LOG_CONF]: () => labelOfLogConf(),
  [ANCHORS]: () => labelOfAnchors(),
};

function openLeaf(bytes) {
  const number = (at, width) => fromBigEndian(bytes.subarray(at, at + width));
  return { version: number(0, 8), headIndex: number(8, 8), headHash: bytes.subarray(16, 48), flags: Number(number(48, 4)) };
}

/** Returns the bytes of a DID's state that was left out because we keep it at this version. */
function rememberedState(memory, kind, { did }, version) {
  const known = kind === DID ? memory?.dids[hex(did)] : undefined;
  if (known === undefined || known.version !== version) throw new Refused("value", "no State");
  return known.state;
}

/** Kind -> the State that bytes spell, which is of what is wanted. */
const DECODERS = {
  [NAME]: (bytes, { name }) => ofSubject(decodeNameState(bytes), (state) => state.name === name),
  [DID]: (bytes, { did }) => ofSubject(decodeDidState(bytes), (state) => equal(state.did, did)),
  [ALIAS]: (bytes, { alias }) => ofSubject(decodeAliasState(bytes), (state) => equal(state.alias, alias)),
  [LOG_CONF]: (bytes) => decodeLogConfState(bytes),
  [ANCHORS]: (bytes) => decodeAnchorsState(bytes),
};

const ofSubject = (state, isIt) => (isIt(state) ? state : badField("the State of another subject"));

/** Returns whether an opened leaf says the same as its state. */
function agrees({ opened, state }, { covers }) {
  if (opened === null) return true;
  const flags = state.subjectKind === NAME ? flagsOfName(state) : state.subjectKind === DID ? flagsOfDid(state) : 0;
  // Before its first sign-in an alias has no chain.
  const head = [DID, ALIAS].includes(state.subjectKind) ? (state.head ?? { index: 0n, sid: NO_SID }) : null;
  const ofItsChain = head === null || (opened.headIndex === head.index && equal(opened.headHash, head.sid));
  return opened.version === state.version && opened.flags === flags && opened.headIndex < covers && ofItsChain;
}

/** Returns `{records, delegate}` sent along, null each; one must be what the name's state names by its hash. */
function namedAnswer(payloads, name) {
  if (payloads.length === 0) return { records: null, delegate: null };
  const { typeName, body } = refusedAs("value", () => decodePayload(payloads[0]));
  const answer = typeName === "records" || typeName === "delegate" ? name?.[typeName] : undefined;
  const isIts = payloads.length === 1 && answer !== undefined && equal(answer.sid, sha256(payloads[0])) && body.name === name.name;
  if (!isIts) throw new Refused("value", "records or a delegation that the name does not name");
  return { records: null, delegate: null, [typeName]: body };
}

/** Returns a certificate just written, a leaf of the head's tree. */
function provedEntry([index, path, envelope], { size, root }) {
  const leaf = leafHash(concat(CERTIFICATE_ENTRY, envelope));
  if (!verifyInclusion(leaf, index, size, path, root)) throw new Refused("written");
  return { index, certificate: refusedAs("written", () => decodeCertificate(envelope)) };
}

/** Returns `{kind: "first" | "same" | "extends", fromSize}`: how the head stands to the one remembered. */
function continuityOf(memory, { size, root }, path) {
  if (memory.head === null) {
    if (path.length > 0) throw new Refused("inconsistent", "nothing is remembered");
    return { kind: "first" };
  }
  if (size === memory.size && !equal(root, memory.root)) throw new Refused("fork");
  if (size < memory.size) throw new Refused("rollback");
  if (!verifyConsistency(memory.size, memory.root, size, root, path)) throw new Refused("inconsistent");
  return size === memory.size ? { kind: "same" } : { kind: "extends", fromSize: memory.size };
}

/** Returns the State of a DID as it was remembered, decoded, or null. */
function knownDid(memory, did) {
  const known = memory.dids[hex(did)];
  return known === undefined ? null : { ...decodeDidState(known.state), bytes: known.state, fromGenesis: known.fromGenesis };
}
