// Pages of the log's entries, each entry hashed and led to the signed root before it is shown.

import { ProofFault } from "../client.js";
import { decodeEntry } from "../entry.js";
import { equal } from "../hash.js";
import { inclusionFault, leafHash, rootOf, splitHashes } from "../tree.js";
import { pathRanges } from "./proof.js";

const WIDTH = 256n;

/** Returns the path of a tile or bundle: groups of three digits, all but the last with `x` before them (PROTOCOL 8.2). */
export function tilePath(level, n, width) {
  const digits = n.toString().padStart(Math.ceil(n.toString().length / 3) * 3, "0").match(/.{3}/g);
  const groups = digits.map((three, i) => (i < digits.length - 1 ? `x${three}` : three)).join("/");
  return `/log/tile/${level}/${groups}${width === WIDTH ? "" : `.p/${width}`}`;
}

/**
 * Returns the entries of the bundle that holds `index`, `{first, entries: [{index, bytes, leaf, entry}]}`, in the tree of a head that
 * was verified, `{size, root}`; refuses what does not lead to its root.
 */
export async function readBundle(client, index, { size, root }) {
  const n = index / WIDTH;
  const first = n * WIDTH;
  const width = size - first < WIDTH ? size - first : WIDTH;
  const [bytes, hashes] = await Promise.all([client.net.get(tilePath("entries", n, width)), client.net.get(`/v1/log/proof?index=${first}&size=${size}`)]);
  const entries = split(bytes).map((entry, i) => ({ index: first + BigInt(i), bytes: entry, leaf: leafHash(entry) }));
  if (BigInt(entries.length) !== width) throw new ProofFault("tile_bytes", `${entries.length} entries where ${width} were asked for`, bytes);
  const leaves = entries.map(({ leaf }) => leaf);
  const path = splitHashes(hashes) ?? [];
  // The path of the bundle's first leaf begins inside the bundle: there it must be what the other entries hash to.
  const inside = pathRanges(0n, width).map(({ from, to }) => rootOf(leaves.slice(Number(from), Number(to))));
  const fault = inclusionFault(leaves[0], first, size, path, root) ?? (inside.every((hash, i) => equal(hash, path[i])) ? null : "proof_root");
  if (fault !== null) throw new ProofFault(fault, `entries ${first} to ${first + width - 1n} are not those under the signed head`, bytes);
  return { first, entries: entries.map((one) => ({ ...one, entry: decodeEntry(one.bytes) })) };
}

/** Returns the proof that one entry is in the tree of a verified head: the hashes of its path, checked. */
export async function proveEntry(client, { index, leaf }, { size, root }) {
  const path = splitHashes(await client.net.get(`/v1/log/proof?index=${index}&size=${size}`)) ?? [];
  const fault = inclusionFault(leaf, index, size, path, root);
  if (fault !== null) throw new ProofFault(fault, `entry ${index} is not under the signed head`);
  return path;
}

/** Takes a bundle apart: `u16 length, entry`, again and again. */
function split(bytes) {
  const entries = [];
  for (let at = 0; at < bytes.length;) {
    const end = at + 2 + ((bytes[at] << 8) | bytes[at + 1]);
    if (end > bytes.length) throw new ProofFault("tile_bytes", "an entry is cut short", bytes);
    entries.push(bytes.subarray(at + 2, end));
    at = end;
  }
  return entries;
}
