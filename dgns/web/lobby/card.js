// Cards: what two ends tell each other through the lobby, signed by the device that says it (PROTOCOL 23.3). Decoding checks the form; whether
// a card may be believed ledger.js decides.

import { Reader, encode } from "../cbor.js";
import { badField, bytesOf, listOf, oneOf, readMap, text, u64, uintWithin } from "../fields.js";
import { equal, sha256 } from "../hash.js";
import { isWellFormed } from "../name.js";
import { encodeCandidate, readCandidate } from "./candidate.js";
import { isSignedBy, opened, sealed, spelled, standIn } from "./envelope.js";

/** Kinds of cards. */
export const KIND = { offer: 1, answer: 2, candidates: 3, deny: 4, bye: 5, restartOffer: 6, restartAnswer: 7 };
/** Candidates of one card. */
export const CANDIDATES_MAX = 12;
const CARD_BYTES_MAX = 3072;
const HEAD_BYTES_MAX = 600;
const [ACTPASS, ACTIVE] = [1, 2];

const iceText = (least, most) => (reader) => {
  const read = text(reader);
  return read.length >= least && read.length <= most && /^[A-Za-z0-9+/]*$/.test(read) ? read : badField("no text of ICE");
};
const code = (reader) => {
  const read = text(reader);
  return /^[a-z_]{1,32}$/.test(read) ? read : badField("no code");
};
const to = (reader) => {
  const bytes = reader.bstr();
  return bytes.length === 20 || bytes.length === 32 ? bytes : badField(`to ${bytes.length} bytes`);
};
const head = (reader) => {
  const bytes = reader.bstr();
  return bytes.length <= HEAD_BYTES_MAX ? bytes : badField(`a head of ${bytes.length} bytes`);
};
const PAYLOAD = {
  0: ["version", oneOf(1)], 1: ["kind", oneOf(1, 2, 3, 4, 5, 6, 7)], 2: ["sess", bytesOf(16)], 3: ["seq", u64], 4: ["from", bytesOf(32)], 5: ["did", bytesOf(20), true],
  6: ["to", to], 7: ["name", text, true], 8: ["expiresS", u64], 9: ["offer", bytesOf(32), true], 10: ["ufrag", iceText(4, 32), true],
  11: ["pwd", iceText(22, 64), true], 12: ["fingerprint", bytesOf(32), true], 13: ["setup", oneOf(ACTPASS, ACTIVE), true],
  14: ["candidates", listOf(readCandidate, 0, CANDIDATES_MAX), true], 15: ["last", (reader) => reader.bool(), true],
  16: ["messageMax", uintWithin(0, 0xffffffff), true], 17: ["code", code, true], 18: ["head", head, true],
};

/** The fields that a kind has besides those of all kinds; `head`, `candidates` and `last` may be absent. */
const TRANSPORT = ["ufrag", "pwd", "fingerprint", "setup", "candidates", "last", "messageMax"];
const FIELDS = {
  1: ["name", ...TRANSPORT], 2: ["offer", ...TRANSPORT], 3: ["offer", "ufrag", "candidates", "last"], 4: ["offer", "code"], 5: ["offer", "code"],
  6: ["offer", ...TRANSPORT], 7: ["offer", ...TRANSPORT],
};
const MAY_BE_ABSENT = ["candidates", "last"];
const OF_SOME = ["name", "offer", ...TRANSPORT, "code"];
const setupOf = (kind) => (kind === KIND.offer || kind === KIND.restartOffer ? ACTPASS : ACTIVE);

/** Returns the payload of a card; its `setup` follows from its kind. */
export function encodeCard(card) {
  const { kind, candidates = [], last = false } = card;
  const rows = [
    [0, 1], [1, kind], [2, card.sess], [3, card.seq], [4, card.from], [5, spelled(card.did, card.from)], [6, card.to], [7, card.name], [8, card.expiresS], [9, card.offer],
    [10, card.ufrag], [11, card.pwd], [12, card.fingerprint], [13, card.fingerprint && setupOf(kind)],
    [14, candidates.length > 0 ? candidates.map(encodeCandidate) : undefined], [15, last ? true : undefined], [16, card.messageMax], [17, card.code], [18, card.head],
  ];
  return encode(new Map(rows));
}

/** Returns the fields of a card's payload. */
export function decodeCard(payload) {
  const reader = new Reader(payload);
  const card = readMap(reader, PAYLOAD);
  reader.end();
  const has = FIELDS[card.kind];
  for (const field of OF_SOME) {
    const isThere = card[field] !== undefined;
    if (isThere !== has.includes(field) && (isThere || !MAY_BE_ABSENT.includes(field))) badField(`${field} in kind ${card.kind}`);
  }
  if (card.to.length === 20 && card.kind !== KIND.offer) badField("to a DID");
  if (card.setup !== undefined && card.setup !== setupOf(card.kind)) badField("setup");
  if (card.name !== undefined && !isWellFormed(card.name)) badField("name");
  card.did ??= standIn(card.from);
  if (!equal(encodeCard(card), payload)) badField("a default is spelled out");
  card.candidates ??= [];
  card.last ??= false;
  return card;
}

/** Returns a card, signed for the log of `origin`, as `openCard` does. */
export async function signCard(card, origin, signer) {
  return openCard(await sealed("card", origin, encodeCard(card), signer));
}

/** Returns `{bytes, hash, card, isSigned(origin)}` of an envelope: what it says, SHA-256 of the payload, whether the device it names signed it. */
export function openCard(bytes) {
  const envelope = opened(bytes, CARD_BYTES_MAX);
  const card = decodeCard(envelope.payload);
  return { bytes, hash: sha256(envelope.payload), card, isSigned: (origin) => isSignedBy(envelope, "card", origin, card.from) };
}
