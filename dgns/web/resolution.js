// What a lookup returns, and the promise: nothing is believed before every check below held (PROTOCOL 11).

import { Reader, Refused } from "./cbor.js";
import { decodeCertificate } from "./certificate.js";
import { decodeEpochEntry } from "./entry.js";
import { verifyStrict } from "./ed25519.js";
import { bytesOf, listOf, nullOr, oneOf, readMap, tuple, u64 } from "./fields.js";
import { ascii, equal, fromBigEndian, hex } from "./hash.js";
import { commitmentOf, decodeMapProof, labelOfDid, labelOfName, stateHash, valueBytes, verifyMapProof } from "./map.js";
import { parseName } from "./name.js";
import { LOG_SIGNATURE, checkpointText, parseVerifierKey } from "./note.js";
import { FREE, decodeDidState, decodeNameState, flagsOfDid, flagsOfName } from "./state.js";
import { leafHash, splitHashes, verifyConsistency, verifyInclusion } from "./tree.js";

const RESOLUTION_BYTES_MAX = 65536;
const ANSWERS_MAX = 4;
const CLOCK_TOLERANCE_MS = 300_000n;
const [NAME, DID] = [1, 2];
const OPENED_BYTES = 52;

const bstr = (reader) => reader.bstr();
const item = (reader) => reader.item();

const RESOLUTION = {
  0: ["format", oneOf(1)],
  1: ["subject", (reader) => (reader.peek() === "text" ? reader.tstr() : bytesOf(20)(reader))],
  2: ["head", bstr, true],
  3: ["answers", listOf(tuple(oneOf(1, 2, 4), nullOr(bytesOf(OPENED_BYTES)), nullOr(bstr)), 1, ANSWERS_MAX)],
  4: ["mapProof", bstr],
  5: ["consistency", bstr, true],
  6: ["written", listOf(tuple(u64, bstr), 1, 64), true],
  7: ["chain", listOf(item, 1, 64), true],
  8: ["certificates", listOf(bstr, 1, 16), true],
};

/** Returns the fields of a Resolution's bytes, nothing verified; refuses with `malformed`. */
export function decodeResolution(bytes) {
  return malformedUnless(() => {
    if (bytes.length > RESOLUTION_BYTES_MAX) throw new Refused("too_large");
    const reader = new Reader(bytes);
    const fields = readMap(reader, RESOLUTION);
    reader.end();
    fields.proof = decodeMapProof(fields.mapProof, fields.answers.length);
    if (fields.proof === null) throw new Refused("map_proof");
    return fields;
  });
}

/** Runs a decoder; what it refuses is `malformed` here. */
function malformedUnless(decode) {
  try {
    return decode();
  } catch (error) {
    if (error instanceof Refused) throw new Refused("malformed", error.message);
    throw error;
  }
}

/** Returns the fields of a Head's bytes (PROTOCOL 11.2), nothing verified; refuses with `malformed`. */
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
  return { size, root, signature, cosignatures, epochEntry, path };
}

/**
 * Verifies a Resolution and returns `{resolved, memory}`; refuses with a code of PROTOCOL 11.4.
 *
 * `trust` = `{origin, zone, logKeys: [vkey text], maxHeadAgeS?}`. `memory` = null at first contact, else what the last call
 * returned. `subject` = `{name}` (absolute) or `{did}` (20 bytes). `nowMs` = this moment, a number.
 */
export async function verifyResolution(trust, memory, subject, bytes, nowMs) {
  const fields = decodeResolution(bytes);
  mustBeAsked(fields.subject, subject, trust.zone);
  const head = await verifyHead(trust, memory, fields, BigInt(nowMs));
  const resolved = verifyAnswers(fields, subject, head.epoch, head.size);
  const next = remember(memory, head, fields, resolved);
  return { resolved: { ...resolved, size: head.size, root: head.root, epochMs: head.epoch.timeMs, unwitnessed: true }, memory: next };
}

/** Step 1, second half: the answer is about the subject asked. */
function mustBeAsked(answered, { name, did }, zone) {
  if (name !== undefined) parseName(name, zone);
  const same = name !== undefined ? answered === name : answered instanceof Uint8Array && equal(answered, did);
  if (!same) throw new Refused("subject");
}

/** Steps 2 to 4: the head is signed by the log, is fresh, and ends in its Epoch. */
async function verifyHead(trust, memory, fields, nowMs) {
  if (fields.head === undefined && memory === null) throw new Refused("malformed", "no head, none remembered");
  const head = decodeHead(fields.head ?? memory.head);
  const text = ascii(checkpointText(trust.origin, head.size, head.root));
  const keys = trust.logKeys.map(parseVerifierKey).filter(({ name, type }) => name === trust.origin && type === LOG_SIGNATURE);
  const signed = await Promise.all(keys.map(({ key }) => verifyStrict(key, text, head.signature)));
  if (!signed.some(Boolean)) throw new Refused("log_signature");
  const epoch = decodeEpochEntry(head.epochEntry);
  if (epoch === null || epoch.covers !== head.size - 1n) throw new Refused("epoch");
  const maxAgeMs = BigInt(trust.maxHeadAgeS ?? 300) * 1000n;
  if (epoch.timeMs + maxAgeMs < nowMs) throw new Refused("stale_head");
  if (epoch.timeMs > nowMs + CLOCK_TOLERANCE_MS) throw new Refused("time_bound");
  if (!verifyInclusion(leafHash(head.epochEntry), head.size - 1n, head.size, head.path, head.root)) throw new Refused("last_leaf");
  return { ...head, epoch, bytes: fields.head ?? memory.head };
}

/** Step 5: the answers are those the subject calls for, the map holds them, and State and value agree. */
function verifyAnswers(fields, subject, epoch, size) {
  const answers = fields.answers.map(([kind, opened, state]) => ({ kind, opened: opened && openLeaf(opened), state }));
  const decoded = answers.map(decodeState);
  const labels = labelsOf(subject, answers, decoded);
  const claims = answers.map(({ opened, state }, i) => ({
    label: labels[i],
    commitment: opened && commitmentOf(valueBytes({ ...opened, stateHash: stateHash(state) })),
  }));
  if (!verifyMapProof(fields.proof, claims, epoch.mapRoot)) throw new Refused("map_proof");
  answers.forEach((answer, i) => mustAgree(answer, decoded[i], size));
  mustBeNamed(fields.certificates ?? [], decoded);
  const name = answers[0].kind === NAME ? decoded[0] : null;
  const did = decoded.find((_, i) => answers[i].kind === DID) ?? null;
  const present = decoded[0] !== null && !(name !== null && name.status === FREE);
  return {
    present,
    name,
    did,
    frozen: did !== null && (did.flags & 1) !== 0,
    ended: did !== null && (did.flags & 8) !== 0,
    pending: did === null ? [] : did.pending,
    held: name !== null && name.status === 2,
    certificates: (fields.certificates ?? []).map((envelope) => decodeCertificate(envelope)),
  };
}

function openLeaf(bytes) {
  const number = (at, width) => fromBigEndian(bytes.subarray(at, at + width));
  return { version: number(0, 8), headIndex: number(8, 8), headHash: bytes.subarray(16, 48), flags: Number(number(48, 4)) };
}

function decodeState({ kind, opened, state }) {
  if ((opened === null) !== (state === null)) throw new Refused("value", "a State without its leaf, or the reverse");
  if (state === null) return null;
  try {
    return kind === NAME ? decodeNameState(state) : decodeDidState(state);
  } catch (error) {
    if (error instanceof Refused) throw new Refused("value", error.message);
    throw error;
  }
}

/** Returns the label of each answer, recomputed from the subject and the owner that the name's State names. */
function labelsOf(subject, answers, decoded) {
  const kinds = answers.map(({ kind }) => kind);
  if (subject.did !== undefined) {
    if (kinds.join() !== `${DID}`) throw new Refused("binding");
    return [labelOfDid(subject.did)];
  }
  const owner = kinds[0] === NAME ? decoded[0]?.did : undefined;
  if (kinds.join() !== (owner === undefined ? `${NAME}` : `${NAME},${DID}`)) throw new Refused("binding");
  return owner === undefined ? [labelOfName(subject.name)] : [labelOfName(subject.name), labelOfDid(owner)];
}

/** Refuses an answer whose State, opened leaf and place disagree. */
function mustAgree({ kind, opened }, state, size) {
  if (opened === null) return;
  const flags = kind === NAME ? flagsOfName(state) : flagsOfDid(state);
  const agrees = opened.version === state.version && opened.flags === flags && opened.headIndex < size - 1n;
  const heads = kind === NAME || (opened.headIndex === state.head.index && equal(opened.headHash, state.head.sid));
  if (!agrees || !heads) throw new Refused("value");
}

/** Refuses a certificate that no NameState of the answer names. */
function mustBeNamed(envelopes, decoded) {
  for (const envelope of envelopes) {
    const { sid } = malformedUnless(() => decodeCertificate(envelope));
    const named = decoded.some((state) => state?.records?.sid !== undefined && equal(state.records.sid, sid));
    if (!named) throw new Refused("value", `certificate ${hex(sid)}`);
  }
}

/** Steps 6 to 8: the head continues the one remembered, no DID went back; returns the memory to keep. */
function remember(memory, head, fields, { did }) {
  if (memory !== null) {
    if (head.size === memory.size && !equal(head.root, memory.root)) throw new Refused("fork");
    if (head.size < memory.size) throw new Refused("rollback");
    if (head.size > memory.size) {
      const path = splitHashes(fields.consistency ?? new Uint8Array(0));
      const holds = path !== null && verifyConsistency(memory.size, memory.root, head.size, head.root, path);
      if (!holds) throw new Refused("inconsistent");
    }
  }
  const dids = { ...(memory?.dids ?? {}) };
  if (did !== null) {
    const known = dids[hex(did.did)];
    if (known !== undefined && did.version < known.version) throw new Refused("rollback", "version of a DID");
    dids[hex(did.did)] = { version: did.version, head: did.head.sid };
  }
  return { size: head.size, root: head.root, head: head.bytes, dids };
}

