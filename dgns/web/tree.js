// RFC 6962: leaf and node hashes, inclusion and consistency (PROTOCOL 8). Sizes and indexes are BigInt.

import { equal, sha256 } from "./hash.js";

const LEAF = Uint8Array.of(0);
const NODE = Uint8Array.of(1);
const SIZE_MAX = (1n << 63n) - 1n;

/** The root of the tree without leaves. */
export const EMPTY_ROOT = sha256(new Uint8Array(0));

/** Returns the hash of an entry. */
export function leafHash(entry) {
  return sha256(LEAF, entry);
}

/** Returns the hash of two subtrees. */
export function nodeHash(left, right) {
  return sha256(NODE, left, right);
}

/** Returns the root over leaf hashes, by the recursive definition. */
export function rootOf(leaves) {
  if (leaves.length === 0) return EMPTY_ROOT;
  if (leaves.length === 1) return leaves[0];
  const left = Number(split(BigInt(leaves.length)));
  return nodeHash(rootOf(leaves.slice(0, left)), rootOf(leaves.slice(left)));
}

/** Returns the largest power of two below `size`: how many leaves the left subtree holds. */
function split(size) {
  return 1n << BigInt((size - 1n).toString(2).length - 1);
}

/** Returns how many hashes the inclusion path of a leaf has. */
function inclusionLength(index, size) {
  if (size === 1n) return 0;
  const left = split(size);
  return 1 + (index < left ? inclusionLength(index, left) : inclusionLength(index - left, size - left));
}

/** Returns how many hashes a consistency path has; `whole` while the old tree still is a subtree by itself. */
function consistencyLength(from, to, whole = true) {
  if (from === to) return whole ? 0 : 1;
  const left = split(to);
  return 1 + (from <= left ? consistencyLength(from, left, whole) : consistencyLength(from - left, to - left, false));
}

/** Returns the root that `path` leads to: its last hash is the sibling highest in the tree. */
function climb(leaf, index, size, path) {
  if (size === 1n) return leaf;
  const left = split(size);
  const [below, sibling] = [path.slice(0, -1), path[path.length - 1]];
  if (index < left) return nodeHash(climb(leaf, index, left, below), sibling);
  return nodeHash(sibling, climb(leaf, index - left, size - left, below));
}

/** Returns the roots of the old and the new tree that `path` leads to. */
function climbBoth(from, to, path, oldRoot) {
  if (from === to) {
    const start = path.length === 0 ? oldRoot : path[0];
    return [start, start];
  }
  const left = split(to);
  const [below, sibling] = [path.slice(0, -1), path[path.length - 1]];
  if (from <= left) {
    const [older, newer] = climbBoth(from, left, below, oldRoot);
    return [older, nodeHash(newer, sibling)];
  }
  return climbBoth(from - left, to - left, below, oldRoot).map((root) => nodeHash(sibling, root));
}

/** Returns null if `leaf` stands at `index` in the tree of `size` leaves with this root, else the code (PROTOCOL 8.4). */
export function inclusionFault(leaf, index, size, path, root) {
  if (size > SIZE_MAX) return "proof_size";
  if (index < 0n || index >= size) return "proof_index";
  if (path.length !== inclusionLength(index, size)) return "proof_length";
  return equal(climb(leaf, index, size, path), root) ? null : "proof_root";
}

/** Returns the root that an inclusion path leads to, or null if it is none. */
export function inclusionRoot(leaf, index, size, path) {
  const fits = size <= SIZE_MAX && index >= 0n && index < size && path.length === inclusionLength(index, size);
  return fits ? climb(leaf, index, size, path) : null;
}

/** Returns null if the tree (to, newRoot) begins with the tree (from, oldRoot), else the code (PROTOCOL 8.4). */
export function consistencyFault(from, oldRoot, to, newRoot, path) {
  if (to > SIZE_MAX) return "proof_size";
  if (from < 0n || from > to) return "proof_order";
  if (path.length !== (from === 0n ? 0 : consistencyLength(from, to))) return "proof_length";
  if (from === 0n && !equal(oldRoot, EMPTY_ROOT)) return "proof_old_root";
  if (from === 0n) return to === 0n && !equal(newRoot, EMPTY_ROOT) ? "proof_root" : null;
  const [older, newer] = climbBoth(from, to, path, oldRoot);
  if (!equal(older, oldRoot)) return "proof_old_root";
  return equal(newer, newRoot) ? null : "proof_root";
}

/**
 * Returns `[old root, new root]` that `path` leads to, its first hash the root of the smaller tree's last full subtree in the larger one, or null
 * if it does not fit: what shows that the larger tree begins otherwise (PROTOCOL 14.3).
 */
export function consistencyRoots(from, to, path) {
  if (to > SIZE_MAX || from <= 0n || from >= to) return null;
  // Where the smaller tree is that subtree, a consistency path leaves its root out.
  const isWhole = (from & (from - 1n)) === 0n;
  return path.length === consistencyLength(from, to) + (isWhole ? 1 : 0) ? climbBoth(from, to, path) : null;
}

/** Returns the root of a tree of `size` leaves by its last leaf and that leaf's path; and the root once `next` is appended. Null: another path. */
export function rootsAtEdge(size, last, path, next) {
  if (path.length !== inclusionLength(size - 1n, size)) return null;
  const root = path.reduce((below, sibling) => nodeHash(sibling, below), last);
  // The path of the last leaf is what stands left of it: full subtrees, the least first.
  let [peak, rest] = [last, path];
  for (let odd = size - 1n; (odd & 1n) === 1n; odd >>= 1n) [peak, rest] = [nodeHash(rest[0], peak), rest.slice(1)];
  return [root, [peak, ...rest].reduce((below, sibling) => nodeHash(sibling, below), next)];
}

/** Returns whether an inclusion path holds. */
export const verifyInclusion = (leaf, index, size, path, root) => inclusionFault(leaf, index, size, path, root) === null;

/** Returns whether a consistency path holds. */
export const verifyConsistency = (from, oldRoot, to, newRoot, path) =>
  consistencyFault(from, oldRoot, to, newRoot, path) === null;

/** Returns the hashes of a byte string that holds nothing else, or null. */
export function splitHashes(bytes) {
  if (bytes.length % 32 !== 0) return null;
  return Array.from({ length: bytes.length / 32 }, (_, i) => bytes.subarray(32 * i, 32 * i + 32));
}
