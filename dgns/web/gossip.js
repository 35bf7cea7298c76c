// Heads that readers of one log show each other, so that nobody can be kept in a history of their own (PROTOCOL 9.8).

import { noteOfHead } from "./bundle.js";
import { Refused } from "./cbor.js";
import { ProofFault } from "./client.js";
import { ascii, bigEndian, concat, equal } from "./hash.js";
import { checkFault, encodeFault } from "./fault.js";
import { decodeHead, encodeHead, keyOfHead } from "./head.js";
import { decodeMemory } from "./memory.js";
import { LOG_SIGNATURE, formatVerifierKey, openNote, parseCheckpoint, parseVerifierKey } from "./note.js";
import { parsePolicy } from "./policy.js";
import { consistencyFault, inclusionRoot, leafHash, splitHashes } from "./tree.js";

const [BYTES_MAX, FIXED_BYTES, COSIGNATURE_BYTES] = [600, 106, 76];
const [DEADLINE_MS, PAUSE_MS] = [10_000, 250];
const NO_EPOCH = new Uint8Array(3);

/** Returns a head as it is shown to others: with as many of its cosignatures as fit, without its Epoch. */
export function showHead(origin, head) {
  const cosignatures = head.cosignatures.slice(0, Math.floor((BYTES_MAX - FIXED_BYTES - origin.length) / COSIGNATURE_BYTES));
  const bare = encodeHead({ ...head, cosignatures, epochEntry: new Uint8Array(0), path: [] });
  return concat(bigEndian(origin.length, 1), ascii(origin), bare.subarray(0, bare.length - NO_EPOCH.length));
}

/** Returns `{origin, size, root, signature, cosignatures}` of a shown head's bytes; refuses with `bad_shown_head`. */
export function decodeShownHead(bytes) {
  const bad = () => new Refused("bad_shown_head", "not the bytes of a shown head");
  if (bytes.length === 0 || bytes.length > BYTES_MAX || bytes.length < 1 + bytes[0]) throw bad();
  const origin = new TextDecoder("latin1").decode(bytes.subarray(1, 1 + bytes[0]));
  let shown;
  try {
    shown = { ...decodeHead(concat(bytes.subarray(1 + bytes[0]), NO_EPOCH)), origin };
  } catch (error) {
    throw error instanceof Refused ? bad() : error;
  }
  if (!equal(showHead(origin, shown), bytes)) throw bad();
  return shown;
}

/** Returns the newest head that a client verified, as it is shown to others; undefined if there is none. */
export async function ownHead(client) {
  const head = await newestHead(client);
  return head === undefined ? undefined : showHead(client.origin, head);
}

async function newestHead(client) {
  const kept = await client.store.get(`log/${client.origin}/memory`);
  const { head } = kept === undefined ? { head: null } : decodeMemory(kept);
  return head === null ? undefined : decodeHead(head);
}

/**
 * Holds a head that somebody shows against the newest one verified here and the newest one the server shows now. What is no head of this log
 * says nothing.
 *
 * Throws ProofFault with evidence kept: `fork`, `inconsistent`, `unproved`; NetworkError if the server does not answer at all.
 */
export async function holdHead(client, bytes) {
  const theirs = await seen(client, bytes);
  if (theirs === null) return;
  const own = await newestHead(client);
  const mine = own && (await seenHead(client, own));
  if (mine) {
    if (isSame(mine, theirs)) return;
    if (mine.size === theirs.size) throw await convicted(client, "fork", mine, theirs);
  }
  const known = [theirs, mine].filter(Boolean);
  const deadline = Date.now() + DEADLINE_MS;
  const newest = await newestFrom(client, known.reduce((most, { size }) => (size > most ? size : most), 0n), deadline);
  for (const head of known) {
    if (newest === null) throw await unproved(client, head, null);
    await continues(client, head, newest, deadline);
  }
}

const isSame = (a, b) => a.size === b.size && equal(a.root, b.root);

/** Returns a shown head that this log signed, or null. */
async function seen(client, bytes) {
  try {
    const shown = decodeShownHead(bytes);
    return shown.origin === client.origin ? await seenHead(client, shown) : null;
  } catch (error) {
    if (error instanceof Refused) return null;
    throw error;
  }
}

/** Returns `{size, root, note}` of a head that a trusted key signed, or null. */
async function seenHead({ origin, trust }, head) {
  const vkey = await keyOfHead(origin, keysOf(trust, head.size), head);
  return vkey === null ? null : { size: head.size, root: head.root, note: ascii(noteOfHead(origin, vkey, trust.policy, head)) };
}

const keysOf = ({ logKeys, retired = [] }, size) => [...logKeys, ...retired.filter(([, largest]) => size <= BigInt(largest)).map(([vkey]) => vkey)];

/** Returns the server's newest head once it has at least `size` leaves; null if it does not get there in time. */
async function newestFrom(client, size, deadline) {
  const keys = client.trust.logKeys.map(parseVerifierKey).filter(({ name, type }) => name === client.origin && type === LOG_SIGNATURE);
  for (;;) {
    const note = await inTime(client.net.get("/log/checkpoint"), deadline);
    if (note === null) return null;
    const newest = await opened(note, keys);
    if (newest.size >= size) return newest;
    if (Date.now() + PAUSE_MS >= deadline) return null;
    await new Promise((done) => setTimeout(done, PAUSE_MS));
  }
}

async function opened(note, keys) {
  try {
    const { origin, size, root } = parseCheckpoint((await openNote(note, keys)).text);
    if (origin !== keys[0].name) throw new Refused("origin", origin);
    return { size, root, note };
  } catch (error) {
    throw error instanceof Refused ? new ProofFault(error.code, `the checkpoint: ${error.message}`, note) : error;
  }
}

/** Has the server prove that its newest head continues a known one. */
async function continues(client, known, newest, deadline) {
  if (isSame(known, newest)) return;
  if (known.size === newest.size) throw await convicted(client, "fork", known, newest);
  const path = splitHashes((await inTime(proofOf(client, `from=${known.size}&to=${newest.size}`), deadline)) ?? new Uint8Array(1));
  if (path === null) throw await unproved(client, known, newest);
  if (consistencyFault(known.size, known.root, newest.size, newest.root, path) === null) return;
  // Where the smaller size is a power of two a proof leaves the larger tree's root of it out; without that nothing convicts.
  const isWhole = (known.size & (known.size - 1n)) === 0n;
  const seed = isWhole ? [await inTime(rootWithin(client, known.size), deadline)] : [];
  if (!seed.includes(null)) {
    const evidence = await convicting(client, known, newest, concat(...seed, ...path));
    if (evidence.length > 0) throw await fault(client, "inconsistent", known, newest, evidence);
  }
  throw await unproved(client, known, newest);
}

const proofOf = (client, query) => client.net.get(`/v1/log/proof?${query}`).catch((error) => (error.status === undefined ? Promise.reject(error) : null));

/** The root that the server's tree has at this size, a power of two, or null. */
async function rootWithin(client, size) {
  const [first, path] = await Promise.all([client.net.get("/v1/log/entries/0"), proofOf(client, `index=0&size=${size}`)]);
  const hashes = path === null ? null : splitHashes(path);
  return hashes === null ? null : inclusionRoot(leafHash(first), 0n, size, hashes);
}

function inTime(promise, deadline) {
  let timer;
  const late = new Promise((done) => (timer = setTimeout(() => done(null), Math.max(0, deadline - Date.now()))));
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

async function convicted(client, code, one, other) {
  return fault(client, code, one, other, await convicting(client, one, other, undefined));
}

/** Returns the fault files that two contradicting heads make: against the log, and against each known witness that cosigned both. */
async function convicting({ trust }, one, other, path) {
  const [first, second] = one.size <= other.size ? [one, other] : [other, one];
  const kind = first.size === second.size ? "same-size" : "prefix";
  const parts = { first: first.note, second: second.note, ...(path && { path }) };
  const vkeys = keysOf(trust, first.size);
  const witnesses = parsePolicy(trust.policy ?? "quorum none\n").witnesses.map(({ key }) => ascii(formatVerifierKey(key)));
  const files = [{ vkeys, kind, parts }, ...witnesses.map((cosigner) => ({ vkeys, kind: "cosigner", parts: { cosigner, ...parts } }))];
  const holds = await Promise.all(files.map((file) => checkFault(file).then(() => true, () => false)));
  return files.filter((_, i) => holds[i]);
}

async function fault(client, code, one, other, files) {
  const what = `the log signed two histories: a head of ${one.size} leaves that somebody verified, and one of ${other.size}`;
  const caught = new ProofFault(code, what, other.note);
  const size = one.size > other.size ? one.size : other.size;
  // The first convicts the log; those behind it witnesses.
  for (const [i, file] of [...files.entries()].reverse()) await client.convicted(caught, kept(client, size, i === 0 ? code : `${code}-${i}`, file));
  return caught;
}

/** Records that the log does not show how two heads that it signed belong together. */
async function unproved(client, known, newest) {
  const parts = { code: ascii("unproved"), first: known.note, ...(newest && { second: newest.note }) };
  const what = `the log signed a head of ${known.size} leaves, shows ${newest === null ? "none of so many" : `one of ${newest.size}`}, and does not prove that it continues the first`;
  const file = { vkeys: keysOf(client.trust, known.size), kind: "answer", parts };
  return client.convicted(new ProofFault("unproved", what, known.note), kept(client, known.size, "unproved", file));
}

const kept = ({ zone }, size, code, file) => ({ name: `${zone}-${size}-${code}.fault`, kind: file.kind, bytes: encodeFault(file) });
