// Fault files: evidence that convicts by itself, whoever brings it (PROTOCOL 14.3).

import { subjectOfBundle, verifyEntryProof, verifyProofBundle } from "./bundle.js";
import { Refused } from "./cbor.js";
import { decodeEntry, decodeEpochEntry } from "./entry.js";
import { subjectText } from "./explain.js";
import { ascii, concat, equal, hex } from "./hash.js";
import { COSIGNATURE, LOG_SIGNATURE, formatVerifierKey, openNote, parseCheckpoint, parseNote, parseVerifierKey } from "./note.js";
import { chainOf } from "./rules.js";
import { EMPTY_ROOT, consistencyRoots, leafHash, rootsAtEdge, splitHashes } from "./tree.js";

const HEADER = "dgns.fault@v1";
const [FILE_BYTES_MAX, LOG_FILE_BYTES_MAX, PARTS_MAX, KEYS_MAX, LINE_BYTES_MAX, PATH_HASHES_MAX] = [4 * 1024 * 1024, 36 * 1024 * 1024, 16, 7, 511, 64];
const ENTRY_BYTES_MAX = 4097;
const KINDS = ["same-size", "prefix", "cosigner", "epoch", "entry", "map", "rollback", "store", "answer", "audit"];
const NEWLINE = 0x0a;

/** Returns the bytes of a fault file: `vkeys` = the log's keys as texts, `parts` = `{name: bytes}`. */
export function encodeFault({ vkeys, kind, parts }) {
  const lines = Object.entries(parts).flatMap(([name, bytes]) => [ascii(`part ${name} ${bytes.length}\n`), bytes, Uint8Array.of(NEWLINE)]);
  return concat(ascii(`${HEADER}\n${vkeys.map((vkey) => `log ${vkey}\n`).join("")}kind ${kind}\n`), ...lines);
}

/** Returns `{vkeys, kind, parts}` of a fault file's bytes; refuses with `bad_fault_file` every other spelling. */
export function decodeFault(bytes) {
  let at = 0;
  const bad = () => new Refused("bad_fault_file", `byte ${at}`);
  const line = () => {
    const end = bytes.indexOf(NEWLINE, at);
    if (end < 0 || end - at > LINE_BYTES_MAX) throw bad();
    const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes.subarray(at, end));
    at = end + 1;
    return text;
  };
  if (bytes.length > LOG_FILE_BYTES_MAX || line() !== HEADER) throw bad();
  const vkeys = [];
  let text = line();
  for (; text.startsWith("log "); text = line()) vkeys.push(text.slice(4));
  const kind = text.startsWith("kind ") ? text.slice(5) : "";
  if (bytes.length > FILE_BYTES_MAX && kind !== "map") throw bad();
  if (!KINDS.includes(kind) || vkeys.length < 1 || vkeys.length > KEYS_MAX || !vkeys.every(isLogKey)) throw bad();
  const parts = {};
  while (at < bytes.length) {
    const [, name, length] = /^part ([a-z-]{1,32}) (0|[1-9][0-9]*)$/.exec(line()) ?? [];
    const end = at + Number(length);
    if (name === undefined || Object.hasOwn(parts, name) || Object.keys(parts).length === PARTS_MAX || bytes[end] !== NEWLINE) throw bad();
    parts[name] = bytes.subarray(at, end);
    at = end + 1;
  }
  if (!equal(encodeFault({ vkeys, kind, parts }), bytes)) throw bad();
  return { vkeys, kind, parts };
}

function isLogKey(vkey) {
  try {
    return parseVerifierKey(vkey).type === LOG_SIGNATURE;
  } catch {
    return false;
  }
}

/**
 * Checks a decoded fault file by its own keys: whether somebody signed what nobody honest can. Returns `{key, heads, what}`: whoever acts
 * on it compares the vkey `key` with the one they pinned.
 *
 * A file of kind `map` or `store` is `needs_replay`: nothing here replays a whole log, `dgns verify` does; store/fault.js judges servers of databases.
 * Refuses with `proves_nothing`, `fault_part`, `fault_signature`, `fault_proof`, `no_contradiction`.
 */
export async function checkFault({ vkeys, kind, parts }) {
  const check = { epoch: checkEpoch, entry: checkEntry, rollback: checkRollback }[kind];
  if (["same-size", "prefix", "cosigner"].includes(kind)) return checkHeads(vkeys, kind, parts);
  if (kind === "map" || kind === "store") throw new Refused("needs_replay");
  if (check === undefined) throw new Refused("proves_nothing");
  let why = new Refused("fault_signature");
  for (const vkey of vkeys) {
    try {
      const { heads, what } = await check(parts, parseVerifierKey(vkey));
      return { key: vkey, heads: distinct(heads), what };
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      if (error.code !== "fault_signature") why = error;
    }
  }
  throw why;
}

/** Returns a conviction in words. */
export function convictionText({ key, heads, what }) {
  const shown = heads.map(({ size, root }, i) => `${i === 0 ? " a head" : " and one"} of ${size} leaves with root ${hex(root)}`);
  return `${key} signed${shown.join("")}: ${what}`;
}

/** Returns a part of a file; refuses with `fault_part` where there is none. */
export const part = (parts, name) => parts[name] ?? refuse("fault_part", name);
export const refuse = (code, why) => {
  throw new Refused(code, why);
};
/** Runs a decoder of a part; what it refuses makes the part malformed. */
export const orPart = (read) => {
  try {
    return read();
  } catch (error) {
    throw error instanceof Refused ? new Refused("fault_part", error.message) : error;
  }
};
const distinct = (heads) => {
  const sorted = [...heads].sort((a, b) => (a.size < b.size ? -1 : a.size > b.size ? 1 : 0));
  return sorted.filter((head, i) => i === 0 || head.size !== sorted[i - 1].size || !equal(head.root, sorted[i - 1].root));
};

/** Two signed heads that no one log can have. */
async function checkHeads(vkeys, kind, parts) {
  const notes = ["first", "second"].map((name) => part(parts, name));
  const parsed = notes.map((bytes) => orPart(() => parseNote(bytes)));
  const accused = kind === "cosigner" ? [cosignerOf(parts)] : vkeys.map(parseVerifierKey);
  const key = await firstThat(accused, (one) => allSigned(notes, one));
  if (key === undefined) refuse("fault_signature");
  const heads = parsed.map(({ text }) => orPart(() => parseCheckpoint(text, { extended: true })));
  const [first, second] = heads;
  // A log speaks of itself; a witness of many logs, each with a history of its own.
  const origin = kind === "cosigner" ? first.origin : key.name;
  if (heads.some((head) => head.origin !== origin)) refuse("fault_part", "origin");
  const sameSize = kind === "same-size" || (kind === "cosigner" && first.size === second.size);
  const contradicts = sameSize ? first.size === second.size && !equal(first.root, second.root) : !begins(parts, first, second);
  if (!contradicts) refuse("no_contradiction");
  return { key: formatVerifierKey(key), heads, what: "two histories" };
}

function cosignerOf(parts) {
  const key = orPart(() => parseVerifierKey(new TextDecoder().decode(part(parts, "cosigner"))));
  return key.type === COSIGNATURE ? key : refuse("fault_part", "cosigner");
}

async function allSigned(notes, key) {
  try {
    for (const note of notes) await openNote(note, [key]);
    return true;
  } catch (error) {
    if (error instanceof Refused) return false;
    throw error;
  }
}

async function firstThat(list, holds) {
  for (const one of list) if (await holds(one)) return one;
  return undefined;
}

/** Whether nothing shows that the larger head's tree begins otherwise than the smaller head's. */
function begins(parts, smaller, larger) {
  const path = hashesOf(part(parts, "path"));
  const roots = consistencyRoots(smaller.size, larger.size, path) ?? refuse("fault_part", "path");
  return !(equal(roots[1], larger.root) && !equal(roots[0], smaller.root));
}

/** Returns the hashes of a path that a part holds. */
export function hashesOf(bytes) {
  const hashes = splitHashes(bytes);
  return hashes !== null && hashes.length > 0 && hashes.length <= PATH_HASHES_MAX + 1 ? hashes : refuse("fault_part", "hashes");
}

/** An entry proved under a head that `key` signed. */
async function provedPart(parts, name, key) {
  if (parts[name] === undefined) return null;
  try {
    return await verifyEntryProof(parts[name], key.name, [key]);
  } catch (error) {
    throw error instanceof Refused ? new Refused(bundleFault(error.code), error.message) : error;
  }
}

/** What a proof file's refusal means for the part it is. */
function bundleFault(code) {
  if (["bad_proof_file", "bad_note"].includes(code)) return "fault_part";
  return ["bad_note_signature", "unknown_note_key"].includes(code) ? "fault_signature" : "fault_proof";
}

/** As `bundleFault`, of the proof of a lookup. */
export function lookupFault(code) {
  if (["bad_note", "bad_note_signature", "unknown_note_key"].includes(code)) return "fault_signature";
  return ["bad_proof_file", "bad_checkpoint", "origin"].includes(code) ? "fault_part" : "fault_proof";
}

/** The last leaf is no Epoch of its place, or an Epoch does not follow from the one before. */
async function checkEpoch(parts, key) {
  const later = (await provedPart(parts, "entry", key)) ?? refuse("fault_part", "entry");
  const earlier = await provedPart(parts, "before", key);
  const what = earlier === null ? ownFault(later) : successionFault(parts, earlier, later);
  return { heads: [...(earlier === null ? [] : [earlier.head]), later.head], what: what ?? refuse("no_contradiction") };
}

function ownFault({ index, entry, head }) {
  const epoch = decodeEpochEntry(entry);
  if (epoch !== null) return epoch.covers === index ? null : wrongEpoch(epoch, index, "covers");
  return index + 1n === head.size ? `the head of ${head.size} leaves does not end in an Epoch` : null;
}

const wrongEpoch = ({ k }, index, field) => `Epoch ${k} at entry ${index} has a wrong ${field}`;

function successionFault(parts, earlier, later) {
  const [before, after] = [earlier, later].map(({ entry }) => decodeEpochEntry(entry) ?? refuse("fault_part", "no Epoch"));
  if (earlier.index >= later.index) refuse("fault_part", "order");
  // Between two places there are at most as many Epochs as entries.
  if (after.k <= before.k || after.k - before.k > later.index - earlier.index) return wrongEpoch(after, later.index, "k");
  if (after.timeMs < before.timeMs) return wrongEpoch(after, later.index, "time_ms");
  const isNext = after.k === before.k + 1n;
  if (!isNext && parts.history === undefined) return null;
  // Trees of two sizes never have one root.
  const matches = equal(after.historyRoot, historyThrough(parts, before, earlier.entry));
  return matches === isNext ? null : wrongEpoch(after, later.index, isNext ? "history_root" : "k");
}

/** Returns the root of the history tree once an Epoch stands in it; that of the Epochs before it is the one it states itself. */
function historyThrough(parts, { k, historyRoot }, entry) {
  const leaf = leafHash(entry);
  if (k === 0n) return equal(historyRoot, EMPTY_ROOT) ? leaf : refuse("fault_proof", "history");
  const [last, ...path] = hashesOf(part(parts, "history"));
  const [root, next] = rootsAtEdge(k, last, path, leaf) ?? refuse("fault_part", "history");
  return equal(root, historyRoot) ? next : refuse("fault_proof", "history");
}

/** An entry that no format ever had, or two of a chain in another order than its own. */
async function checkEntry(parts, key) {
  const later = (await provedPart(parts, "entry", key)) ?? refuse("fault_part", "entry");
  const earlier = await provedPart(parts, "before", key);
  const what = earlier === null ? unreadable(later) : outOfOrder(earlier, later);
  return { heads: [...(earlier === null ? [] : [earlier.head]), later.head], what: what ?? refuse("no_contradiction") };
}

function unreadable({ index, entry }) {
  const isEpoch = entry[0] === 2 && decodeEpochEntry(entry) === null;
  const isWrong = entry.length === 0 || entry.length > ENTRY_BYTES_MAX || isEpoch;
  return isWrong ? `entry ${index} is no valid entry (bad_entry)` : null;
}

function outOfOrder(earlier, later) {
  const certificate = ({ entry }) => orPart(() => decodeEntry(entry)).certificate ?? refuse("fault_part", "no certificate");
  const [before, after] = [certificate(earlier), certificate(later)];
  if (!equal(chainOf(before), chainOf(after)) || earlier.index >= later.index) refuse("fault_part", "order");
  if (before.payload.seq < after.payload.seq) return null;
  return `entry ${later.index} is refused by the rules (stale_prev): the certificate does not follow the head of its chain`;
}

/** The later of two lookups shows an older state, or another at the same version. */
async function checkRollback(parts, key) {
  const vkey = formatVerifierKey(key);
  const trust = { origin: key.name, zone: key.name.replace(/\/log$/, ""), logKeys: [vkey] };
  const lookup = async (name) => {
    const bytes = part(parts, name);
    try {
      return await verifyProofBundle(trust, subjectOfBundle(bytes), bytes);
    } catch (error) {
      throw error instanceof Refused ? new Refused(lookupFault(error.code), error.message) : error;
    }
  };
  const [first, second] = [await lookup("first"), await lookup("second")];
  const subject = subjectText(first.asked);
  if (subject !== subjectText(second.asked) || first.size > second.size) refuse("fault_part", "subject or order");
  if (!wentBack(first, second)) refuse("no_contradiction");
  const heads = [first, second].map(({ size, root }) => ({ origin: key.name, size, root }));
  return { heads, what: `${subject} went back` };
}

/** Whether the second of two lookups shows an older state of the subject, or another of the same version. */
export function wentBack(first, second) {
  const isOlder = (after, before) => after.version < before.version || (after.version === before.version && !equal(after.bytes, before.bytes));
  const [name, alias, anchors] = ["name", "alias", "anchors"].map((kind) => first[kind] !== null && (second[kind] === null || isOlder(second[kind], first[kind])));
  // A name or alias may have another owner by now.
  const sameDid = first.did !== null && second.did !== null && equal(first.did.did, second.did.did);
  const did = sameDid ? isOlder(second.did, first.did) : first.did !== null && second.did === null && first.asked.did !== undefined;
  return name || alias || anchors || did;
}

