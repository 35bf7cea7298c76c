// What a server answers of a log (PROTOCOL 25.5, 25.9). Nothing in it is believed before it was checked against the head and what is remembered.

import { Reader } from "../cbor.js";
import { badField, bytesOf, listOf, nullOr, readMap, u64 } from "../fields.js";
import { decodeMapProof, verifyMapProof } from "../map.js";
import { anchorLabel, anchoredHash, readAnchor, readAnchoredHead } from "./anchor.js";
import { readEntry } from "./entry.js";
import { decodeStoreHead } from "./head.js";
import { ENTRIES_PER_ANSWER_MAX, PATH_HASHES_MAX } from "./limits.js";

const head = (reader) => decodeStoreHead(reader.bstr());
const path = listOf(bytesOf(32), 0, PATH_HASHES_MAX);
const mapProof = (reader) => {
  const bytes = reader.bstr();
  return { ...(decodeMapProof(bytes, 1) ?? badField("no proof")), bytes };
};
const whole = (table) => (bytes) => {
  const reader = new Reader(bytes);
  const answer = readMap(reader, table);
  reader.end();
  return answer;
};

const RANGE = { 1: ["from", u64], 2: ["entries", listOf(readEntry, 0, ENTRIES_PER_ANSWER_MAX)], 3: ["head", head], 4: ["edge", path], 5: ["consistency", path], 6: ["rest", path] };
const ANCHORED = { 0: ["anchor", readAnchor], 1: ["anchored", nullOr(readAnchoredHead)], 2: ["proof", mapProof], 3: ["head", head], 4: ["grown", path], 5: ["consistency", path] };

/** Returns `{from, entries, head, edge, consistency, rest}`: entries of a log, the newest head, and the paths that join them. */
export const decodeRange = whole(RANGE);

/** Returns `{anchor, anchored, proof, head, grown, consistency}`: how an anchor has a log. `anchored` is null if no anchor has it yet. */
export const decodeAnchoredLog = whole(ANCHORED);

/** Returns whether the anchor's tree has of a log what the answer says. */
export function isAnchored({ anchor, anchored, proof }, log, salt) {
  const claim = { label: anchorLabel(log, salt), commitment: anchored && anchoredHash(anchored) };
  return verifyMapProof(proof, [claim], anchor.root);
}
