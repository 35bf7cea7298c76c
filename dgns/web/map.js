// The map: labels, values, commitments, and proofs of presence and absence (PROTOCOL 10).

import { ascii, bigEndian, concat, domainHash, equal, sha256 } from "./hash.js";

const LEAF = Uint8Array.of(2);
const PARENT = Uint8Array.of(3);
const LABELS_MAX = 4;

/** The hash of a missing child and of the empty map. */
export const EMPTY = new Uint8Array(32);

/** Returns the label of an absolute name. */
export const labelOfName = (name) => domainHash("label-name", ascii(name));
/** Returns the label of a DID's 20 bytes. */
export const labelOfDid = (did) => domainHash("label-did", did);
/** Returns the label of an alias's 32 bytes. */
export const labelOfAlias = (alias) => domainHash("label-alias", alias);
/** Returns the label of the log's configuration. */
export const labelOfLogConf = () => domainHash("label-log", ascii("logconf"));
export const labelOfAnchors = () => domainHash("label-log", ascii("anchors"));

/** Returns the hash of a State's bytes. */
export const stateHash = (state) => domainHash("state", state);

/** Returns the 84 bytes that a label maps to. Numbers are BigInt but `flags`. */
export function valueBytes({ version, headIndex, headHash, stateHash, flags }) {
  return concat(bigEndian(version, 8), bigEndian(headIndex, 8), headHash, stateHash, bigEndian(flags, 4));
}

/** Returns the commitment to a value. */
export const commitmentOf = (value) => domainHash("value", value);

const leafNode = (label, commitment) => sha256(LEAF, label, commitment);
const parentNode = (left, right) => sha256(PARENT, left, right);
const bit = (label, i) => (label[i >> 3] >> (7 - (i & 7))) & 1;

/** Returns the root of the map of `[label, commitment]` pairs, by the recursive definition. */
export function mapRoot(pairs, depth = 0) {
  if (pairs.length === 0) return EMPTY;
  if (pairs.length === 1) return leafNode(pairs[0][0], pairs[0][1]);
  const side = (which) => mapRoot(pairs.filter(([label]) => bit(label, depth) === which), depth + 1);
  return parentNode(side(0), side(1));
}

/** Returns `{paths: [{kind, depth, bitmap, other?}], siblings}` of a proof for `labels` labels, or null if malformed. */
export function decodeMapProof(bytes, labels) {
  if (labels < 1 || labels > LABELS_MAX) return null;
  let at = 0;
  const take = (length) => {
    at += length;
    return at <= bytes.length ? bytes.subarray(at - length, at) : null;
  };
  const paths = [];
  for (let i = 0; i < labels; i++) {
    const head = take(2);
    if (head === null || head[0] < 1 || head[0] > 3) return null;
    const [kind, depth] = head;
    const bitmap = take((depth + 7) >> 3);
    if (bitmap === null || (depth > 0 && bit(bitmap, depth - 1) === 0)) return null;
    if (depth % 8 !== 0 && (bitmap[bitmap.length - 1] & (0xff >> depth % 8)) !== 0) return null;
    const other = kind === 2 ? take(64) : undefined;
    if (other === null) return null;
    paths.push({ kind, depth, bitmap, other: other && { label: other.subarray(0, 32), commitment: other.subarray(32) } });
  }
  const rest = bytes.subarray(at);
  if (rest.length % 32 !== 0) return null;
  const siblings = Array.from({ length: rest.length / 32 }, (_, i) => rest.subarray(32 * i, 32 * i + 32));
  if (siblings.some((hash) => equal(hash, EMPTY))) return null;
  return { paths, siblings };
}

/** Returns the hash that a path ends in, or null if its kind contradicts the claim. */
function endOf({ label, commitment, path }) {
  if ((commitment !== null) !== (path.kind === 1)) return null;
  if (path.kind === 1) return leafNode(label, commitment);
  if (path.kind === 3) return EMPTY;
  const { other } = path;
  if (equal(other.label, label)) return null;
  for (let i = 0; i < path.depth; i++) if (bit(other.label, i) !== bit(label, i)) return null;
  return leafNode(other.label, other.commitment);
}

/**
 * Returns whether a decoded proof shows, under `root`, each claim `{label, commitment}`: present with that commitment, or absent where it
 * is null.
 *
 * All paths are rebuilt at once, from the root down: siblings that no path yields are taken from the proof, left to right.
 */
export function verifyMapProof(proof, claims, root) {
  let taken = 0;
  const build = (items, depth) => {
    if (items.some(({ path }) => path.depth === depth)) {
      if (!items.every(({ path }) => path.depth === depth)) return null;
      const ends = items.map(endOf);
      return ends.every((end) => end !== null && equal(end, ends[0] ?? EMPTY)) ? ends[0] : null;
    }
    const sides = [0, 1].map((which) => items.filter(({ label }) => bit(label, depth) === which));
    const claimsSibling = ({ path }) => bit(path.bitmap, depth) === 1;
    const hashes = [null, null];
    for (const which of [0, 1]) {
      if (sides[which].length > 0) {
        hashes[which] = build(sides[which], depth + 1);
        if (hashes[which] === null) return null;
      } else {
        const filled = items.filter(claimsSibling).length;
        if (filled !== 0 && filled !== items.length) return null;
        hashes[which] = filled === 0 ? EMPTY : (proof.siblings[taken++] ?? null);
        if (hashes[which] === null) return null;
      }
    }
    if (sides[0].length > 0 && sides[1].length > 0) {
      const agrees = (side, sibling) => side.every((item) => claimsSibling(item) === !equal(sibling, EMPTY));
      if (!agrees(sides[0], hashes[1]) || !agrees(sides[1], hashes[0])) return null;
    }
    return parentNode(hashes[0], hashes[1]);
  };
  const distinct = new Set(claims.map(({ label }) => label.join()));
  if (distinct.size !== claims.length || claims.length !== proof.paths.length) return false;
  const found = build(claims.map((claim, i) => ({ ...claim, path: proof.paths[i] })), 0);
  return found !== null && taken === proof.siblings.length && equal(found, root);
}
