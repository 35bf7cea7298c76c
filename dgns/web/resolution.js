// What a lookup returns, and the promise: nothing is believed before every check below held (PROTOCOL 11).

import { Reader, Refused } from "./cbor.js";
import { followChain } from "./chain.js";
import { decodeCertificate, decodePayload } from "./certificate.js";
import { EPOCH_ENTRY_BYTES, decodeEpochEntry } from "./entry.js";
import { verifyStrict } from "./ed25519.js";
import { badField, bytesOf, listOf, nullOr, oneOf, readMap, tuple, u64 } from "./fields.js";
import { ascii, bigEndian, concat, equal, fromBigEndian, hex, sha256 } from "./hash.js";
import { commitmentOf, decodeMapProof, labelOfDid, labelOfLogConf, labelOfName, stateHash, valueBytes, verifyMapProof } from "./map.js";
import { parseName } from "./name.js";
import { LOG_SIGNATURE, checkpointText, cosignatureBytes, formatVerifierKey, parseVerifierKey, verifyLine } from "./note.js";
import { asksForNothing, parsePolicy, quorumReached } from "./policy.js";
import { FREE, HELD, decodeDidState, decodeLogConfState, decodeNameState, flagsOfDid, flagsOfName } from "./state.js";
import { leafHash, splitHashes, verifyConsistency, verifyInclusion } from "./tree.js";

const RESOLUTION_BYTES_MAX = 65536;
const BODY_BYTES_MAX = 4096;
const PATH_HASHES_MAX = 64;
const CLOCK_TOLERANCE_MS = 300_000n;
const HEAD_AGE_S_MAX = 300;
const [NAME, DID, LOG_CONF] = [1, 2, 4];
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
const subject = (reader) => (reader.peek() === "text" ? reader.tstr() : nullOr(bytesOf(20))(reader));
const epochProof = tuple(bytesOf(EPOCH_ENTRY_BYTES), path);
const chainRow = tuple(u64, path, body, u64, nullOr(epochProof), epochProof);

const RESOLUTION = {
  0: ["format", oneOf(1)],
  1: ["subject", subject],
  2: ["head", bstr, true],
  3: ["answers", listOf(tuple(oneOf(NAME, DID, LOG_CONF), nullOr(bytesOf(OPENED_BYTES)), nullOr(bstr)), 1, 4)],
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
    fields.mapProof = decodeMapProof(fields.mapProof, fields.answers.length) ?? badField("map proof");
    return { consistency: [], written: [], chain: [], payloads: [], ...fields };
  });
}

/** Runs a decoder; whatever it refuses has `code` here. */
function refusedAs(code, decode) {
  try {
    return decode();
  } catch (error) {
    if (error instanceof Refused) throw new Refused(code, error.message);
    throw error;
  }
}

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
 * Verifies a Resolution and returns `{resolved, memory}`; refuses with a code of PROTOCOL 11.4.
 *
 * `trust` = `{origin, zone, logKeys: [vkey text], policy?, maxHeadAgeS?}`: the policy a text (`quorum none`), the age 300 (Infinity
 * accepts any). `memory` = null at first
 * contact, else what the last call returned. `asked` = `{name}` (absolute), `{did}` (20 bytes) or `{logConf: true}`. `nowMs` =
 * this moment, a number. `resolved.footing` says what the DID's state rests on besides the map (see chain.js).
 */
export async function verifyResolution(trust, memory, asked, bytes, nowMs) {
  return verifyDecoded(trust, memory, asked, decodeResolution(bytes), nowMs);
}

/** As `verifyResolution`, of a Resolution that was put together from parts, such as those of a proof bundle. */
export async function verifyDecoded(trust, memory, asked, answer, nowMs) {
  mustBeAbout(answer.subject, asked, trust.zone); //                  1: the answer is to this question
  const policy = parsePolicy(trust.policy ?? "quorum none\n");
  const head = await signedHead(trust, memory, answer.head); //       2: the log signed it
  const cosigned = await cosignatures(trust, policy, memory, head); //   and whom we ask to watch
  const epoch = endingEpoch(head);
  const quorumMs = freshQuorum(trust, policy, cosigned, epoch, BigInt(nowMs)); // 3: not long ago
  mustEndInEpoch(head); //                                            4: its last leaf is the Epoch with this map
  const proved = provedStates(answer, memory, asked, epoch); //       5: the map holds these states, or none
  const written = answer.written.map((row) => provedEntry(row, head)); // and the log these certificates
  mustContinue(memory, head, answer.consistency); //                  6: nothing we saw was taken back
  const known = proved.did === null ? null : knownDid(memory, proved.did.did);
  // 7: and what a DID has become, certificates of its own lead to
  const { steps, footing } = await followChain(trust.origin, known, proved.did, answer.chain, head, epoch);
  const dids = { ...memory?.dids };
  if (proved.did !== null && footing !== "unfollowed") dids[hex(proved.did.did)] = { version: proved.did.version, state: proved.did.bytes };
  const seen = { size: head.size, root: head.root };
  return {
    resolved: { ...proved, written, chain: steps, footing, ...seen, epochMs: epoch.timeMs, quorumMs, unwitnessed: quorumMs === null },
    memory: { origin: trust.origin, ...seen, head: head.bytes, cosigners: namesOf(policy), dids }, // 8: so it stays
  };
}

function mustBeAbout(answered, { name, did }, zone) {
  if (name !== undefined) refusedAs("subject", () => parseName(name, zone));
  const same = did === undefined ? answered === (name ?? null) : answered instanceof Uint8Array && equal(answered, did);
  if (!same) throw new Refused("subject");
}

/** Returns the head sent, signed by the log; or the one remembered, if none was sent or it is that. */
async function signedHead(trust, memory, sent) {
  if (memory !== null && memory.origin !== trust.origin) throw new Refused("origin");
  if (sent === undefined && memory === null) throw new Refused("malformed", "no head, none remembered");
  if (memory !== null && (sent === undefined || equal(sent.bytes, memory.head))) return decodeHead(memory.head);
  const text = ascii(checkpointText(trust.origin, sent.size, sent.root));
  const keys = trust.logKeys.map(parseVerifierKey).filter(({ name, type }) => name === trust.origin && type === LOG_SIGNATURE);
  const signed = await Promise.all(keys.map(({ key }) => verifyStrict(key, text, sent.signature)));
  if (!signed.some(Boolean)) throw new Refused("log_signature");
  return sent;
}

/** The witnesses a policy knows, as one text. */
const namesOf = ({ witnesses }) => witnesses.map(({ key }) => formatVerifierKey(key)).join("\n");

/** Returns the cosignatures of the policy's witnesses, `[{key, timeS}]`; each holds, and they are enough. */
async function cosignatures({ origin }, policy, memory, head) {
  const verified = memory !== null && equal(head.bytes, memory.head) && memory.cosigners === namesOf(policy);
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

function mustEndInEpoch({ size, root, epochEntry, path }) {
  if (!verifyInclusion(leafHash(epochEntry), size - 1n, size, path, root)) throw new Refused("last_leaf");
}

/** Returns the subject's state, and its owner's if it is a name that has one, under the Epoch's map root. */
function provedStates(answer, memory, asked, epoch) {
  let wanted = asked;
  const leaves = answer.answers.map((row, place) => {
    const leaf = claimedLeaf(row, wanted, place, memory);
    wanted = leaf.state?.kind === NAME && leaf.state.did !== undefined ? { did: leaf.state.did } : undefined;
    return leaf;
  });
  if (wanted !== undefined) throw new Refused("binding", "the owner is missing");
  if (!verifyMapProof(answer.mapProof, leaves, epoch.mapRoot)) throw new Refused("map_proof");
  if (!leaves.every((leaf) => agrees(leaf, epoch))) throw new Refused("value");
  const ofKind = (kind) => leaves.find(({ state }) => state?.kind === kind)?.state ?? null;
  const [name, did, logConf] = [NAME, DID, LOG_CONF].map(ofKind);
  return {
    status: statusOf(asked, name, did, logConf),
    name,
    did,
    logConf,
    records: namedRecords(answer.payloads, name),
    frozen: did !== null && (did.flags & 1) !== 0,
    pending: did?.pending ?? [],
  };
}

/** Returns `present`, `held`, `ended` or `absent`. */
function statusOf(asked, name, did, logConf) {
  if (asked.name !== undefined) {
    if (name === null || name.status === FREE) return "absent";
    return name.status === HELD ? "held" : "present";
  }
  if (asked.did !== undefined) {
    if (did === null) return "absent";
    return (did.flags & 8) !== 0 ? "ended" : "present";
  }
  return logConf === null ? "absent" : "present";
}

/** Reads one answer as `{label, commitment, opened, state}` of what is wanted there; only what was asked may be absent. */
function claimedLeaf([kind, openedBytes, sent], wanted, place, memory) {
  if (wanted === undefined || kind !== kindOf(wanted)) throw new Refused("binding");
  const label = kind === NAME ? labelOfName(wanted.name) : kind === DID ? labelOfDid(wanted.did) : labelOfLogConf();
  if (openedBytes === null) {
    if (sent !== null) throw new Refused("value", "a State without its leaf");
    if (place > 0) throw new Refused("binding", "the owner is absent");
    return { label, commitment: null, opened: null, state: null };
  }
  const opened = openLeaf(openedBytes);
  const bytes = sent ?? rememberedState(memory, kind, wanted, opened.version);
  const state = refusedAs("value", () => decodeState(kind, bytes, wanted));
  const commitment = commitmentOf(valueBytes({ ...opened, stateHash: stateHash(bytes) }));
  return { label, commitment, opened, state: { ...state, kind, bytes } };
}

const kindOf = ({ name, did }) => (name !== undefined ? NAME : did !== undefined ? DID : LOG_CONF);

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

function decodeState(kind, bytes, { name, did }) {
  const state = kind === NAME ? decodeNameState(bytes) : kind === DID ? decodeDidState(bytes) : decodeLogConfState(bytes);
  const same = kind === NAME ? state.name === name : kind === DID ? equal(state.did, did) : true;
  return same ? state : badField("the State of another subject");
}

/** Returns whether an opened leaf says the same as its state. */
function agrees({ opened, state }, { covers }) {
  if (opened === null) return true;
  const flags = state.kind === NAME ? flagsOfName(state) : state.kind === DID ? flagsOfDid(state) : 0;
  const ofItsChain = state.kind !== DID || (opened.headIndex === state.head.index && equal(opened.headHash, state.head.sid));
  return opened.version === state.version && opened.flags === flags && opened.headIndex < covers && ofItsChain;
}

/** Returns the records sent along, or null; they must be the ones that the name's state names by their hash. */
function namedRecords(payloads, name) {
  if (payloads.length === 0) return null;
  const payload = refusedAs("value", () => decodePayload(payloads[0]));
  const named = name?.records !== undefined && equal(name.records.sid, sha256(payloads[0]));
  const isIts = payloads.length === 1 && named && payload.typeName === "records" && payload.body.name === name.name;
  if (!isIts) throw new Refused("value", "records the name does not name");
  return payload.body;
}

/** Returns a certificate just written, a leaf of the head's tree. */
function provedEntry([index, path, envelope], { size, root }) {
  const leaf = leafHash(concat(CERTIFICATE_ENTRY, envelope));
  if (!verifyInclusion(leaf, index, size, path, root)) throw new Refused("written");
  return { index, certificate: refusedAs("written", () => decodeCertificate(envelope)) };
}

function mustContinue(memory, { size, root }, path) {
  if (memory === null) {
    if (path.length > 0) throw new Refused("inconsistent", "nothing is remembered");
    return;
  }
  if (size === memory.size && !equal(root, memory.root)) throw new Refused("fork");
  if (size < memory.size) throw new Refused("rollback");
  if (!verifyConsistency(memory.size, memory.root, size, root, path)) throw new Refused("inconsistent");
}

/** Returns the State of a DID as it was remembered, decoded, or null. */
function knownDid(memory, did) {
  const state = memory?.dids[hex(did)]?.state;
  return state === undefined ? null : { ...decodeDidState(state), bytes: state };
}
