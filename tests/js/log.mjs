// A tiny log for tests: entries, map and heads made by the definitions of PROTOCOL, signed by WebCrypto.

import { concat, bigEndian, compare } from "../../dgns/web/hash.js";
import * as dgns from "../../dgns/web/verify.js";

export const ORIGIN = "dgns.test/log";
export const TIME_MS = 1_800_000_000_000;

/** Returns a fresh Ed25519 key: its public bytes and a function that signs. */
export async function makeKey() {
  const pair = await crypto.subtle.generateKey("Ed25519", true, ["sign", "verify"]);
  const bytes = new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey));
  return { bytes, sign: async (message) => new Uint8Array(await crypto.subtle.sign("Ed25519", pair.privateKey, message)) };
}

/** Returns the bytes of an optional-key map. */
export const cborMap = (entries) => dgns.encode(new Map(entries));

/** Returns a signed certificate's envelope. */
export async function certify(payload, keys, origin = ORIGIN) {
  const bytes = cborMap(payload);
  const message = dgns.signedBytes("cert", origin, bytes);
  const signatures = await Promise.all(keys.map(async (key) => ({ kid: dgns.kidOf(key.bytes), signature: await key.sign(message) })));
  return dgns.encodeEnvelope(bytes, signatures);
}

/** Returns the inclusion path of a leaf, and the consistency path from an older size, by the definitions. */
export function inclusionPath(index, leaves) {
  if (leaves.length === 1) return [];
  const k = 2 ** Math.floor(Math.log2(leaves.length - 1));
  const [left, right] = [leaves.slice(0, k), leaves.slice(k)];
  return index < k ? [...inclusionPath(index, left), dgns.rootOf(right)] : [...inclusionPath(index - k, right), dgns.rootOf(left)];
}

export function consistencyPath(from, leaves, whole = true) {
  if (from === leaves.length) return whole ? [] : [dgns.rootOf(leaves)];
  const k = 2 ** Math.floor(Math.log2(leaves.length - 1));
  const [left, right] = [leaves.slice(0, k), leaves.slice(k)];
  return from <= k
    ? [...consistencyPath(from, left, whole), dgns.rootOf(right)]
    : [...consistencyPath(from - k, right, false), dgns.rootOf(left)];
}

const bit = (label, i) => (label[i >> 3] >> (7 - (i & 7))) & 1;

/** Returns the proof of labels in a map of `[label, commitment]` pairs. */
export function mapProof(pairs, labels) {
  const paths = labels.map(() => ({ bits: [] }));
  const siblings = [];
  const walk = (here, depth, asked) => {
    if (here.length <= 1) {
      for (const i of asked) {
        paths[i].end = here.length === 0 ? [3] : compare(here[0][0], labels[i]) === 0 ? [1] : [2, here[0]];
      }
      return;
    }
    const sides = [0, 1].map((which) => here.filter(([label]) => bit(label, depth) === which));
    for (const which of [0, 1]) {
      const mine = asked.filter((i) => bit(labels[i], depth) === which);
      for (const i of mine) paths[i].bits.push(sides[1 - which].length > 0 ? 1 : 0);
      if (mine.length > 0) walk(sides[which], depth + 1, mine);
      else if (sides[which].length > 0) siblings.push(dgns.mapRoot(sides[which], depth + 1));
    }
  };
  walk(pairs, 0, labels.map((_, i) => i));
  const heads = paths.map(({ bits, end: [kind, other] }) => {
    const bitmap = new Uint8Array((bits.length + 7) >> 3);
    bits.forEach((set, i) => (bitmap[i >> 3] |= set << (7 - (i & 7))));
    return concat(Uint8Array.of(kind, bits.length), bitmap, ...(other ?? []));
  });
  return concat(...heads, ...siblings);
}

/** A log whose entries, States and Epochs a test lays down as it likes. */
export class Log {
  constructor(key) {
    this.key = key;
    this.leaves = [];
    this.epochs = [];
    this.labels = new Map();
  }

  get vkey() {
    return dgns.formatVerifierKey({ name: ORIGIN, type: 1, key: this.key.bytes });
  }

  /** Appends an entry; returns its index. */
  append(entry) {
    return this.leaves.push(dgns.leafHash(entry)) - 1;
  }

  /** Sets a label's value. */
  set(label, leaf, state) {
    this.labels.set(dgns.hex(label), { label, leaf, state });
  }

  get pairs() {
    return [...this.labels.values()].map(({ label, leaf, state }) => [
      label, dgns.commitmentOf(dgns.valueBytes({ ...leaf, stateHash: dgns.stateHash(state) })),
    ]);
  }

  /** Closes a batch with an Epoch, altered by `change` before it is hashed. */
  close(timeMs = TIME_MS, change = (entry) => entry) {
    const fields = [this.epochs.length, this.leaves.length, timeMs].map((n) => bigEndian(n, 8));
    const entry = change(concat(Uint8Array.of(2), ...fields, dgns.mapRoot(this.pairs), dgns.rootOf(this.epochs)));
    this.epochs.push(dgns.leafHash(entry));
    this.append(entry);
    this.epochEntry = entry;
  }

  /** Returns the Head's bytes, signed by `key`. */
  async head(key = this.key, origin = ORIGIN) {
    const [size, root] = [this.leaves.length, dgns.rootOf(this.leaves)];
    const signature = await key.sign(new TextEncoder().encode(dgns.checkpointText(origin, size, root)));
    const path = inclusionPath(size - 1, this.leaves);
    return concat(bigEndian(size, 8), root, signature, Uint8Array.of(0), bigEndian(this.epochEntry.length, 2), this.epochEntry,
      Uint8Array.of(path.length), ...path);
  }

  /** Returns the Resolution of a subject (text or DID bytes) with answers for these `[kind, label]`; `change` edits its fields. */
  async resolve(subject, asked, change = () => {}) {
    const answers = asked.map(([kind, label]) => {
      const held = this.labels.get(dgns.hex(label));
      if (held === undefined) return [kind, null, null];
      const { version, headIndex, headHash, flags } = held.leaf;
      return [kind, concat(bigEndian(version, 8), bigEndian(headIndex, 8), headHash, bigEndian(flags, 4)), held.state];
    });
    const fields = new Map([[0, 1], [1, subject], [2, await this.head()], [3, answers], [4, mapProof(this.pairs, asked.map(([, label]) => label))]]);
    change(fields);
    return dgns.encode(fields);
  }
}
