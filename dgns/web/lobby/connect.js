// A client of a private server: the name resolved with proof, a knock, an answer that must be the name's own host's, a connection on which both ends
// are proved (PROTOCOL 23.4 to 23.12).

import { Refused } from "../cbor.js";
import { holdHead, ownHead } from "../gossip.js";
import { ascii, hex } from "../hash.js";
import { KIND, signCard } from "./card.js";
import { Connection } from "./connection.js";
import { SIDE, peerChallenge, signPeerHello, verifyPeerHello } from "./hello.js";
import { Talk } from "./ledger.js";
import { Link } from "./link.js";
import { decodeSaid, encodeSaid } from "./share.js";

const [CARD_LIFE_S, ANSWER_MS, CONNECT_MS] = [60, 12_000, 30_000];
/** When a hello is said again, ms after the time before: what comes before the other side of a channel is open may be lost. */
const AGAIN_MS = [50, 100, 200, 400];
const SUSPENDED = 3;
/** Why a card is not believed (PROTOCOL 23.4), but for those that say nothing of anybody. */
const REFUSALS = ["expired", "wrong_target", "wrong_offer", "wrong_sender", "not_host", "bad_signature", "fp_changed", "too_many_candidates"];

/** Whoever stands at the other end is not who the log says, or gives what its own hash does not name. `evidence` = `{name, bytes}`, kept in the store. */
export class PeerFault extends Error {
  constructor(code, what) {
    super(`${code}: ${what}`);
    this.code = code;
  }
}

/**
 * Connects to the host of `name`. `who` = `{did, sign}`, the device of this browser; `lobby` = attach.js; `step(name, more)` is told what was reached:
 * `name`, `lobby`, `answer`, `path`, `proved`.
 *
 * Refuses with `absent`, `ended`; `unavailable`, which is all that somebody learns who is not let in; `denied`, `rate`, `no_path`, ..; throws ProofFault if
 * the log lies, PeerFault if whoever answers is not the name's host.
 */
export async function connect({ client, who, lobby, name, certificate, loopback, step = () => {} }) {
  const making = new Making({ client, who, lobby, name, step });
  try {
    return await making.run(certificate, loopback);
  } catch (error) {
    making.giveUp();
    throw error;
  }
}

/** Returns what the log proves of the owner of a name, from its genesis on: `{did, devices}`, the keys that count. */
export async function hostOf(client, asked) {
  const found = await client.lookup(asked, { genesis: true });
  if (found.status !== "present") throw new Refused(found.status === "ended" || found.status === "held" ? "ended" : "absent", found.summary);
  return { did: found.did.did, devices: found.did.devices.filter(({ status }) => status !== SUSPENDED).map(({ sign }) => sign), found };
}

class Making {
  constructor(parts) {
    Object.assign(this, parts);
    this.sess = crypto.getRandomValues(new Uint8Array(16));
    this.late = new Refused("unavailable", "nobody answers: it is offline, or not for this device");
  }

  async run(certificate, loopback) {
    const { client, lobby, name, step } = this;
    const attached = lobby.here().then((here) => (step("lobby"), here));
    const reached = attached.then(async ({ ice }) => {
      this.link = await Link.offering(ice, { loopback, certificate });
      if (this.over) this.link.close();
      return this.link.own();
    });
    reached.catch(() => {}); // told below, if the name is there
    this.host = await hostOf(client, name);
    step("name", this.host);
    const answer = await this.answered(await this.knock(await reached));
    step("answer", answer.card);
    await this.link.open(answer.card.fingerprint, CONNECT_MS).catch(async (error) => {
      throw error.code === "wrong_certificate" ? await this.fault(error.code, error.message, answer) : error;
    });
    step("path");
    await this.meet(answer);
    const connection = new Connection({ ...this, fault: this.fault, answer });
    step("proved");
    return connection;
  }

  /** Signs the offer and sends it to whoever hosts the name. */
  async knock(transport) {
    const { client, who, name, sess, host } = this;
    const expiresS = BigInt(Math.floor(client.now() / 1000) + CARD_LIFE_S);
    this.card = (kind, more) => signCard({ kind, sess, from: who.sign.key, did: who.did, expiresS, ...more }, client.origin, who.sign);
    this.offer = await this.card(KIND.offer, { seq: 0, to: host.did, name, ...transport });
    this.talk = new Talk(this.offer, host.did);
    return { t: "knock", id: 1, name, card: this.offer.bytes };
  }

  /** Sends the knock and waits for the answer of the name's host; what comes from anybody else ends it with a fault. */
  async answered(knock) {
    const { lobby, sess } = this;
    const answer = await new Promise((done, failed) => {
      const timer = setTimeout(() => failed(this.late), ANSWER_MS);
      const refused = (code) => failed(code === "unavailable" || code === "expired" ? this.late : new Refused(code, "the lobby refuses the knock"));
      let turn = Promise.resolve();
      const card = (signed) => (turn = turn.then(() => this.judge(signed)).then((found) => found && done(found), failed));
      lobby.listen(sess, { card, refused, expired: () => failed(this.late) });
      lobby.post(sess, 0, knock);
      this.stop = () => clearTimeout(timer);
    }).finally(() => this.stop());
    lobby.answered(sess);
    await this.link.answered(answer.card);
    // Cards after the offer are numbered on.
    this.seq = 1;
    this.link.tellsLate((ufrag, candidates, last) => this.tellCandidates(answer, ufrag, candidates, last));
    this.more = [];
    lobby.listen(sess, { card: (signed) => this.more.push(signed), refused: () => {}, expired: () => {} });
    return answer;
  }

  async tellCandidates({ card: { from } }, ufrag, candidates, last) {
    const seq = this.seq++;
    const card = await this.card(KIND.candidates, { seq, to: from, offer: this.offer.hash, ufrag, candidates, last });
    this.lobby.post(this.sess, seq, { t: "signal", peer: from, sess: this.sess, seq, card: card.bytes });
  }

  /** Judges a card (PROTOCOL 23.4); null: it is not the answer, and nothing to be afraid of. */
  async judge(signed) {
    const { client, name } = this;
    try {
      const taken = await this.take(signed).catch(async (error) => {
        if (error.code !== "not_host") throw error;
        // A device that was added since the name was looked up.
        this.host = await hostOf(client, name);
        return this.take(signed);
      });
      if (taken === "end") throw new Refused("denied", signed.card.code);
      return taken === "answer" ? signed : null;
    } catch (error) {
      // What was sent twice or late says nothing of anybody.
      if (error.code === "replayed") return null;
      const isLie = REFUSALS.includes(error.code);
      throw isLie ? await this.fault(error.code, `whoever answers for ${name} is not believed: ${error.message}`, signed) : error;
    }
  }

  take(signed) {
    return this.talk.take(signed, this.host, this.client.origin, Math.floor(this.client.now() / 1000));
  }

  /** Exchanges hellos; nothing else is said before both are good, and both ends' heads fit together. */
  async meet(answer) {
    const { client, who, link, offer } = this;
    const challenge = peerChallenge(offer, answer);
    const envelope = await signPeerHello({ challenge, side: SIDE.client, device: who.sign.key, did: who.did }, client.origin, who.sign);
    const hello = encodeSaid({ t: "hello", envelope, head: await ownHead(client) });
    const theirs = { challenge, side: SIDE.host, device: answer.card.from, did: answer.card.did };
    const verify = (said) => verifyPeerHello(theirs, said.envelope, client.origin);
    const [greeted, bye] = await this.greeted(hello, verify).catch(async (error) => {
      throw error.code === "bad_peer_hello" ? await this.fault(error.code, error.message, answer) : error;
    });
    // First the heads: an end that finds a fork goes, and the other is to find it too.
    if (greeted.head !== undefined) await holdHead(client, greeted.head);
    if (bye !== null) throw new Refused(bye, "the other end closed the connection");
  }

  /** Says one's own hello until the other end's came, and its welcome. Returns the hello, and the code with which the other end went, or null. */
  greeted(hello, verify) {
    const { link } = this;
    return new Promise((done, failed) => {
      let [theirs, said, timer] = [null, 0, undefined];
      const over = setTimeout(() => failed(new Refused("no_hello", "the other end says no hello")), CONNECT_MS);
      const say = () => {
        if (link.over || !link.isOpen) return link.broke();
        link.send(hello);
        timer = setTimeout(say, AGAIN_MS[Math.min(said++, AGAIN_MS.length - 1)]);
      };
      const end = (finish) => (...given) => (clearTimeout(timer), clearTimeout(over), finish(...given));
      const ends = { done: end(done), failed: end(failed) };
      const hear = async (bytes) => {
        const message = decodedOr(bytes);
        if (message.t === "hello") {
          if (theirs !== null) return;
          await verify(message);
          theirs = message;
        } else if (message.t === "bye") ends.done([theirs ?? {}, message.code]);
        else if (message.t === "welcome" && theirs !== null) ends.done([theirs, null]);
        else throw new Refused("bad_peer_hello", "the other end says something before its hello");
      };
      let turn = Promise.resolve();
      link.listen((bytes) => (turn = turn.then(() => hear(bytes)).catch(ends.failed)));
      // Whoever said its hello is judged by it, also when it is gone before its goodbye came.
      link.broke = () => turn.then(() => (theirs === null ? ends.failed(new Refused("closed", "the connection broke")) : ends.done([theirs, "closed"])));
      say();
    }).finally(() => link.listen(null));
  }

  /** Keeps what was signed as evidence, and returns the fault that goes with it. */
  async fault(code, what, ...cards) {
    const fault = new PeerFault(code, what);
    const { client, sess, offer } = this;
    const value = { code, what, origin: client.origin, cards: [offer, ...cards].map(({ bytes }) => hex(bytes)) };
    return client.convicted(fault, { name: `lobby-${hex(sess)}-${code}.json`, kind: "cards", bytes: ascii(`${JSON.stringify(value)}\n`) });
  }

  giveUp() {
    this.over = true;
    this.lobby.leave(this.sess);
    this.link?.close();
  }
}

function decodedOr(bytes) {
  try {
    return decodeSaid(bytes);
  } catch {
    return { t: "nothing" };
  }
}

