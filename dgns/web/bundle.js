// Proof bundles: a lookup proved offline, in the stock file form of C2SP (PROTOCOL 9.5, 14.2).

import { Refused, encode } from "./cbor.js";
import { ascii, base64, bigEndian, concat, equal, fromBigEndian, unbase64 } from "./hash.js";
import { LOG_SIGNATURE, checkpointText, cosignatureBytes, openNote, parseCheckpoint, parseNote, parseVerifierKey } from "./note.js";
import { parsePolicy } from "./policy.js";
import { decodeHead, encodeHead } from "./head.js";
import { decodeResolution, verifyDecoded } from "./resolution.js";
import { inclusionFault, leafHash } from "./tree.js";

const HEADER = "c2sp.org/tlog-proof@v1";
const EXTRA_BYTES_MAX = 65536;
const FILE_BYTES_MAX = 2 * EXTRA_BYTES_MAX + 131072;
const PATH_HASHES_MAX = 64;
const NEWLINE = 0x0a;

/** Returns `{extra, index, path, note}` of a proof file's bytes, nothing verified; refuses with `bad_proof_file`. */
export function parseProofFile(bytes) {
  let [at, line] = [0, 0];
  const bad = () => new Refused("bad_proof_file", `line ${line}`);
  if (bytes.length > FILE_BYTES_MAX) throw bad();
  const next = () => {
    line += 1;
    const end = bytes.indexOf(NEWLINE, at);
    if (end < 0) throw bad();
    const text = new TextDecoder("latin1").decode(bytes.subarray(at, end));
    at = end + 1;
    return text;
  };
  if (next() !== HEADER) throw bad();
  let text = next();
  let extra = null;
  if (text.startsWith("extra ")) {
    extra = unbase64(text.slice(6));
    if (extra === null || extra.length > EXTRA_BYTES_MAX) throw bad();
    text = next();
  }
  if (!/^index (?:0|[1-9][0-9]{0,19})$/.test(text) || BigInt(text.slice(6)) >= 1n << 64n) throw bad();
  const index = BigInt(text.slice(6));
  const path = [];
  for (text = next(); text !== ""; text = next()) {
    const hash = unbase64(text);
    if (hash === null || hash.length !== 32 || path.length === PATH_HASHES_MAX) throw bad();
    path.push(hash);
  }
  return { extra, index, path, note: bytes.subarray(at) };
}

/**
 * Verifies the proof bundle of a lookup and returns what was proved, its time beside it (`epochMs`): a head of any age is
 * accepted. `trust` and `asked` as in `verifyResolution`; `trust.retired` = `[[vkey, size], ...]`: keys that sign no more, with the
 * size of the largest head that counts (PROTOCOL 7.5). Refuses with a code of PROTOCOL 9, 11.4 or 14.2.
 */
export async function verifyProofBundle(trust, asked, bytes) {
  const { extra, index, path, note } = parseProofFile(bytes);
  const logKeys = [...trust.logKeys, ...retiredKeys(trust.retired ?? [], note)];
  const keys = logKeys.map(parseVerifierKey).filter(({ name, type }) => name === trust.origin && type === LOG_SIGNATURE);
  const { text, verified } = await openNote(note, keys);
  const { origin, size, root } = parseCheckpoint(text);
  if (origin !== trust.origin) throw new Refused("origin");
  if (index !== size - 1n) throw new Refused("last_leaf");
  const [epochEntry, rest] = splitExtra(extra);
  const cosignatures = cosignaturesOf(note, parsePolicy(trust.policy ?? "quorum none\n"));
  const head = { size, root, signature: verified[0].signature, cosignatures, epochEntry, path };
  head.bytes = encodeHead(head);
  const answer = decodeResolution(rest);
  if (answer.head !== undefined) throw new Refused("malformed", "a head beside the checkpoint");
  const { resolved } = await verifyDecoded({ ...trust, logKeys, maxHeadAgeS: Infinity }, null, asked, { ...answer, head }, Number.MAX_SAFE_INTEGER);
  return resolved;
}

/** Returns the text of a note over a head: signed by `vkey`, cosigned by the witnesses of a policy's text. */
export function noteOfHead(origin, vkey, policy, { size, root, signature, cosignatures }) {
  const line = ({ name, id }, bytes) => `\u2014 ${name} ${base64(concat(id, bytes))}\n`;
  const witnesses = parsePolicy(policy ?? "quorum none\n").witnesses.map(({ key }) => key);
  const cosigned = cosignatures.map(({ id, timeS, signature: by }) => [witnesses.find((one) => equal(one.id, id)), cosignatureBytes(timeS, by)]);
  const lines = cosigned.filter(([key]) => key !== undefined).map(([key, bytes]) => line(key, bytes));
  return `${checkpointText(origin, size, root)}\n${line(parseVerifierKey(vkey), signature)}${lines.join("")}`;
}

/**
 * Returns the proof bundle of a lookup that was verified: `head` = the bytes of the head it was proved under, `did` = the DID's state
 * (`resolved.did`), `vkey` = the key that signed the head.
 */
export function writeProofBundle({ origin, policy }, vkey, headBytes, did, bytes) {
  const head = decodeHead(headBytes);
  const { subject, answers, mapProofBytes, payloads } = decodeResolution(bytes);
  const whole = answers.map(([kind, opened, state]) => [kind, opened, state ?? (opened === null ? null : did.bytes)]);
  const resolution = encode(new Map([[0, 1], [1, subject], [3, whole], [4, mapProofBytes], [8, payloads.length > 0 ? payloads : undefined]]));
  const extra = concat(bigEndian(head.epochEntry.length, 2), head.epochEntry, resolution);
  const hashes = head.path.map((hash) => `${base64(hash)}\n`).join("");
  return ascii(`${HEADER}\nextra ${base64(extra)}\nindex ${head.size - 1n}\n${hashes}\n${noteOfHead(origin, vkey, policy, head)}`);
}

/** Returns the subject a proof bundle is about, as in `verifyResolution`, nothing verified. */
export function subjectOfBundle(bytes) {
  const { subject } = decodeResolution(splitExtra(parseProofFile(bytes).extra)[1]);
  if (subject === null) return { logConf: true };
  if (typeof subject === "number") return { anchors: true };
  return typeof subject === "string" ? { name: subject } : subject.length === 20 ? { did: subject } : { alias: subject };
}

/**
 * Verifies a proof file of one entry, which stands in extra: `{index, entry, head: {origin, size, root}}`, signed by one of `keys` (parsed
 * vkeys) under the name `origin`. Refuses with a code of PROTOCOL 8.4, 9 or 14.2.
 */
export async function verifyEntryProof(bytes, origin, keys) {
  const { extra, index, path, note } = parseProofFile(bytes);
  const head = parseCheckpoint((await openNote(note, keys)).text);
  if (head.origin !== origin) throw new Refused("origin");
  const entry = extra ?? new Uint8Array(0);
  const fault = inclusionFault(leafHash(entry), index, head.size, path, head.root);
  if (fault !== null) throw new Refused(fault);
  return { index, entry, head };
}

/** Returns the vkeys of those that may have signed the head a note is of; none if it is of no head. */
function retiredKeys(retired, note) {
  try {
    const { size } = parseCheckpoint(parseNote(note).text);
    return retired.filter(([, largest]) => size <= BigInt(largest)).map(([vkey]) => vkey);
  } catch (error) {
    if (error instanceof Refused) return []; // the same note is opened next, and refused
    throw error;
  }
}

/** Returns the lines of a note by a policy's witnesses in the form a head carries, not verified. */
function cosignaturesOf(note, { witnesses }) {
  const isKnown = ({ name, id }) => witnesses.some(({ key }) => key.name === name && equal(key.id, id));
  const lines = parseNote(note).lines.filter((line) => line.signature.length === 72 && isKnown(line));
  return lines.map(({ id, signature }) => ({ id, timeS: fromBigEndian(signature.subarray(0, 8)), signature: signature.subarray(8) }));
}

/** Returns the Epoch entry and the Resolution that stand in extra. */
function splitExtra(extra) {
  if (extra === null || extra.length < 2) throw new Refused("malformed", "no Resolution");
  const end = 2 + Number(fromBigEndian(extra.subarray(0, 2)));
  if (end > extra.length) throw new Refused("malformed", "extra is cut short");
  return [extra.subarray(2, end), extra.subarray(end)];
}
