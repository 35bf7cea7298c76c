// What a client believes of the cards that come to a knock of its own (PROTOCOL 23.4). All of it happens before anything of a card reaches ICE.

import { Refused } from "../cbor.js";
import { equal } from "../hash.js";
import { KIND } from "./card.js";

const [LATE_S, EARLY_S] = [120n, 180n];
const SIDE_CANDIDATES_MAX = 32;

/** One conversation, from its offer on. */
export class Talk {
  /** `offer` = the offer, signed (card.js); `host` = the DID that the log gives the name to. */
  constructor(offer, host) {
    Object.assign(this, { offer, host, peer: null, fingerprint: null, candidates: 0, open: true });
  }

  /**
   * Judges a card. `proved` = `{did, devices}`: what the log proves of the host's DID, the keys of its devices that count. Returns `answer`,
   * `more` or `end`; refuses with a code of PROTOCOL 23.4, and then nothing changed.
   */
  async take(signed, proved, origin, nowS) {
    const { card } = signed;
    const me = this.offer.card;
    if (card.expiresS + LATE_S < BigInt(nowS) || card.expiresS > BigInt(nowS) + EARLY_S) refuse("expired", "check the clocks of both ends");
    if (!equal(card.to, me.from)) refuse("wrong_target", "the card is to somebody else");
    const isOpen = this.open && equal(card.sess, me.sess) && card.kind !== KIND.offer;
    if (!isOpen) refuse("replayed", "the card belongs to no open conversation");
    if (!equal(card.offer, this.offer.hash)) refuse("wrong_offer", "the card answers another offer");
    const isAnswer = card.kind === KIND.answer || card.kind === KIND.deny;
    if (this.peer !== null && !equal(this.peer, card.from)) refuse("wrong_sender", "another device speaks in this conversation");
    if (this.peer === null && !isAnswer) refuse("replayed", "whoever has not answered has nothing else to say");
    const speaks = equal(card.did, this.host) && equal(proved.did, this.host) && proved.devices.some((key) => equal(key, card.from));
    if (!speaks) refuse("not_host", "the log does not say that this device may speak here");
    if (!(await signed.isSigned(origin))) refuse("bad_signature", "the signature of the card does not hold");
    const changed = this.fingerprint !== null && card.fingerprint !== undefined && !equal(this.fingerprint, card.fingerprint);
    if (changed) refuse("fp_changed", "the other end names another certificate than before");
    const isRestart = card.kind === KIND.restartOffer || card.kind === KIND.restartAnswer;
    const candidates = (isRestart ? 0 : this.candidates) + card.candidates.length;
    if (candidates > SIDE_CANDIDATES_MAX) refuse("too_many_candidates", "a side names at most 32 candidates");
    this.candidates = candidates;
    this.peer = card.from;
    this.fingerprint ??= card.fingerprint ?? null;
    if (card.kind === KIND.answer) return "answer";
    if (card.kind !== KIND.deny && card.kind !== KIND.bye) return "more";
    this.open = false;
    return "end";
  }

  /** Ends it: nothing more is taken. */
  end() {
    this.open = false;
  }
}

function refuse(code, why) {
  throw new Refused(code, why);
}
