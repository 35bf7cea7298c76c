// A tree that is only its right edge: what must be kept of it to append, and to know its root (PROTOCOL 8). Sizes are BigInt.

import { Refused } from "./cbor.js";
import { EMPTY_ROOT, nodeHash } from "./tree.js";

export class Edge {
  size = 0n;
  /** The roots of the full subtrees that the leaves make up, largest first. */
  peaks = [];

  /** Returns the edge of `size` leaves whose last is `last`, with its path; believed until its root is compared. Refuses with `proof_length`. */
  static of(size, last, path) {
    const edge = new Edge();
    if (size < 1n || path.length !== ones(size - 1n)) throw new Refused("proof_length", "no edge of a tree of this size");
    [edge.size, edge.peaks] = [size - 1n, [...path].reverse()];
    return edge.with(last);
  }

  /** Returns the edge with one leaf more. */
  with(leaf) {
    const edge = new Edge();
    [edge.size, edge.peaks] = [this.size + 1n, [...this.peaks, leaf]];
    // Each full subtree that the leaf completes becomes one with the one left of it.
    for (let odd = this.size; (odd & 1n) === 1n; odd >>= 1n) {
      const [left, right] = edge.peaks.splice(-2);
      edge.peaks.push(nodeHash(left, right));
    }
    return edge;
  }

  get root() {
    return this.size === 0n ? EMPTY_ROOT : this.peaks.reduceRight((right, left) => nodeHash(left, right));
  }
}

const ones = (number) => number.toString(2).replaceAll("0", "").length;
