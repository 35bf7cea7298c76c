// Anchors: the heads of all logs under one root, which stands in the log of names (PROTOCOL 25.9).

import { Reader } from "../cbor.js";
import { decodeAnchor } from "../entry.js";
import { badField, bytesOf, isAscending, listOf, notCanonical, readMap, tuple, u64 } from "../fields.js";
import { compare, domainHash } from "../hash.js";
import { ANCHOR_CHANGES_MAX } from "./limits.js";

/** Returns the label of a log in the tree of anchors. */
export const anchorLabel = (log, salt) => domainHash("anchor-label", log, salt);

const ANCHORED_HEAD = { 0: ["version", u64], 1: ["size", u64], 2: ["root", bytesOf(32)], 3: ["prev", bytesOf(32), true], 4: ["k", u64] };

/** Returns `{version, size, root, prev?, k, bytes}`: the head of a log as an anchor has it. */
export function decodeAnchoredHead(bytes) {
  const reader = new Reader(bytes);
  const head = readMap(reader, ANCHORED_HEAD);
  reader.end();
  const isWell = head.version > 0n && head.k > 0n && head.size > 0n && (head.version === 1n) === (head.prev === undefined);
  return isWell ? { ...head, bytes } : badField("version, size or anchor");
}

/** Returns what the tree holds at the label of a log, and what the next head of the log names. */
export const anchoredHash = ({ bytes }) => domainHash("anchor-leaf", bytes);

/** Reads an anchored head in a byte string, and an anchor, `{k, prev?, root, logs, bytes}`. */
export const readAnchoredHead = (reader) => decodeAnchoredHead(reader.bstr());
export const readAnchor = (reader) => {
  const bytes = reader.bstr();
  return { ...decodeAnchor(bytes), bytes };
};

const CHANGES = { 0: ["anchor", readAnchor], 1: ["heads", listOf(tuple(bytesOf(32), readAnchoredHead), 0, ANCHOR_CHANGES_MAX)] };

/** Returns `{anchor, heads: [[label, head], ...]}`: an anchor with what it changes. */
export function decodeChanges(bytes) {
  const reader = new Reader(bytes);
  const changes = readMap(reader, CHANGES);
  reader.end();
  return isAscending(changes.heads, ([a], [b]) => compare(a, b)) ? changes : notCanonical("order of labels");
}
