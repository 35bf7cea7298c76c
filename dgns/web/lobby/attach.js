// Attached to a lobby: one session over as many sockets as it takes, and signals that arrive once or are given up by name (PROTOCOL 23). Nothing of
// what it hands on is believed here: cards are judged by whoever gets them.

import { Refused } from "../cbor.js";
import { ownHead } from "../gossip.js";
import { hex } from "../hash.js";
import { KIND, openCard } from "./card.js";
import { Inbox, Outbox } from "./delivery.js";
import { counts, decodeFrame, encodeFrame } from "./frame.js";
import { HOP_START, hop, signHello } from "./hello.js";

const FORM = "dgns.lobby.v1+cbor";
const GREETING_MS = 10_000;
const [SEEN_EVERY, SEEN_MS] = [16, 5000];
const [BACK_FIRST_MS, BACK_MAX_MS] = [200, 15_000];
/** The ids of questions begin here; knocks have smaller ones. */
const ASKED_FROM = 1n << 32n;
/** Close codes after which coming back would not help. */
const FOR_GOOD = [4000, 4001];

/** What a page talks to a lobby with. `listen(sess, listener)` hears of one conversation: `{card(signed), refused(code), expired()}`. */
export class Lobby {
  outbox = new Outbox();
  talks = new Map();
  asked = new Map();
  ids = ASKED_FROM;
  instance = crypto.getRandomValues(new Uint8Array(8));
  received = null;
  attempts = 0;
  unseen = 0;
  welcome = null;
  over = null;
  waiting = [];

  /** `who` = `{did, sign}`, the device that attaches (keys.js); `heads(bytes)` is told the head that the lobby shows. */
  constructor(client, who, heads = () => {}) {
    Object.assign(this, { client, who, heads, url: `${client.base.replace(/^http/, "ws")}/v1/lobby` });
    this.open();
  }

  /** Waits until the session stands; returns `{ice}`, where to gather candidates. Refuses with why it never will, or `network` after `patienceMs`. */
  async here(patienceMs = 15_000) {
    if (this.over !== null) throw this.over;
    if (this.welcome !== null) return this.welcome;
    return new Promise((done, failed) => {
      const timer = setTimeout(() => failed(new Refused("network", this.why ?? "the lobby does not welcome")), patienceMs);
      this.waiting.push((error) => (clearTimeout(timer), error === undefined ? done(this.welcome) : failed(error)));
    });
  }

  /** Hears of one conversation from now on. */
  listen(sess, listener) {
    this.talks.set(hex(sess), { listener, inbox: new Inbox() });
  }

  /** Hears of it no more, and sends nothing more of it. */
  leave(sess) {
    this.talks.delete(hex(sess));
    this.outbox.forget(sess);
  }

  /** Sends a knock or signal until it is acknowledged, for at most 10 s. */
  post(sess, seq, frame) {
    this.outbox.post(sess, seq, frame, Date.now());
    this.tick();
  }

  /** Asks once, over the session that stands or is about to; returns the value of the answer. Refuses with the lobby's code, or `network`. */
  async ask(frame) {
    await this.here();
    const id = this.ids++;
    return new Promise((done, failed) => {
      this.asked.set(id, { done, failed });
      this.say({ ...frame, id });
    });
  }

  /** Notes that a knock was answered. */
  answered(sess) {
    this.outbox.answered(sess);
  }

  /** Looks at once whether the socket still stands: the network changed, or the page was asleep. */
  wake() {
    if (this.welcome !== null) this.say({ t: "ping", id: 0 });
    else if (this.back !== undefined && this.over === null) {
      clearTimeout(this.back);
      this.open();
    }
  }

  /** Ends the session. */
  close() {
    this.end(new Refused("closed", "the page left the lobby"));
    this.socket?.close(1000);
  }

  open() {
    this.back = undefined;
    const socket = new WebSocket(this.url, FORM);
    socket.binaryType = "arraybuffer";
    const greeting = setTimeout(() => socket.close(), GREETING_MS);
    // One message after the other: a hello takes time to sign.
    let turn = Promise.resolve();
    socket.onmessage = ({ data }) => (turn = turn.then(() => this.socket === socket && this.hear(data, greeting)).catch((error) => this.failed(socket, error)));
    socket.onclose = ({ code }) => turn.then(() => (clearTimeout(greeting), this.socket === socket && this.lost(code)));
    this.socket = socket;
  }

  /** What cannot be read, or said, ends a socket; a lobby that wants a hello for elsewhere ends it for good. */
  failed(socket, error) {
    this.why = error.message;
    if (error.code === "wrong_url") this.end(error);
    else if (!(error instanceof Refused)) console.error(error);
    socket.close();
  }

  async hear(data, greeting) {
    if (typeof data === "string") throw new Refused("bad_form", "the lobby speaks text");
    const bytes = new Uint8Array(data);
    const frame = decodeUnlessNew(bytes);
    if (this.received !== null && this.welcome !== null && (frame === null || counts(frame))) {
      this.received = { ...this.received, n: this.received.n + 1n, hash: hop(this.received.hash, bytes) };
      this.unseen += 1;
      if (this.unseen >= SEEN_EVERY) this.see();
      else this.seeing ??= setTimeout(() => this.see(), SEEN_MS);
    }
    if (frame !== null) await this.on[frame.t]?.call(this, frame, greeting);
  }

  /** What a page does about each frame; it knows no others. */
  on = {
    async challenge({ challenge, url }) {
      if (url !== this.url) {
        throw new Refused("wrong_url", `the lobby says it is reached at ${url}, and this page was reached elsewhere: a hello for another place would be good there`);
      }
      const { client, who, instance } = this;
      const unixS = Math.floor(client.now() / 1000);
      const hello = { challenge, url, device: who.sign.key, did: who.did, instance, ...this.received, unixS };
      const [envelope, head] = await Promise.all([signHello(hello, client.origin, who.sign), ownHead(client)]);
      this.say({ t: "hello", envelope, head });
    },
    welcome(frame, greeting) {
      clearTimeout(greeting);
      this.attempts = 0;
      if (!frame.resumed || this.received === null) this.received = { sid: frame.sid, n: 0n, hash: HOP_START };
      const ice = frame.ice.map(([urls, username, credential]) => ({ urls, ...(username && { username, credential }) }));
      this.welcome = { ice };
      if (frame.head !== undefined) this.heads(frame.head);
      for (const wake of this.waiting.splice(0)) wake();
      this.outbox.again(Date.now());
      this.tick();
    },
    ping({ id }) {
      this.say({ t: "pong", id });
    },
    signal({ peer, sess, seq, card }) {
      const talk = this.talks.get(hex(sess));
      const signed = decoded(() => openCard(card));
      if (signed === null || talk === undefined) return;
      if (signed.card.kind !== KIND.offer) this.say({ t: "ack", peer, sess, seq });
      if (talk.inbox.arrived(seq)) talk.listener.card(signed);
    },
    ack({ sess, seq }) {
      this.outbox.acknowledged(sess, seq);
    },
    ok({ id, value }) {
      this.asked.get(id)?.done(value);
      this.asked.delete(id);
    },
    err({ id, code, sess }) {
      if (this.asked.has(id)) {
        this.asked.get(id).failed(new Refused(code, "the lobby refuses"));
        this.asked.delete(id);
      } else if (sess === undefined) this.lastWord = code;
      else {
        this.outbox.forget(sess);
        this.talks.get(hex(sess))?.listener.refused(code);
      }
    },
    revoke({ name, handle, code }) {
      if (name === undefined && handle === undefined) this.lastWord = code;
    },
    restarting({ inMs, tryMs }) {
      this.backMs = Number(inMs + tryMs);
      this.socket.close();
    },
  };

  say(frame) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(encodeFrame(frame));
  }

  see() {
    clearTimeout(this.seeing);
    [this.seeing, this.unseen] = [undefined, 0];
    if (this.welcome !== null) this.say({ t: "seen", n: this.received.n });
  }

  /** Sends what is due, and comes again when something else is. */
  tick() {
    clearTimeout(this.timer);
    if (this.over !== null) return;
    if (this.welcome !== null || this.outbox.next() !== null) {
      const { send, expired } = this.outbox.due(Date.now());
      if (this.welcome !== null) send.forEach((frame) => this.say(frame));
      for (const sess of expired) this.talks.get(sess)?.listener.expired();
    }
    const next = this.outbox.next();
    if (next !== null) this.timer = setTimeout(() => this.tick(), Math.max(1, next - Date.now()));
  }

  /** A socket ended: another one comes after a while that nobody else waits, unless none would help. */
  lost(code) {
    this.welcome = null;
    this.unanswered();
    const word = this.lastWord;
    this.lastWord = undefined;
    if (word === "hello_mismatch") this.received = null;
    else if (FOR_GOOD.includes(code)) this.end(new Refused(word ?? "replaced", "the lobby closed the session"));
    if (this.over !== null) return;
    const wait = this.backMs ?? Math.random() * Math.min(BACK_MAX_MS, BACK_FIRST_MS * 2 ** this.attempts);
    this.backMs = undefined;
    this.attempts = Math.min(this.attempts + 1, 10);
    this.back = setTimeout(() => this.open(), Math.min(wait, BACK_MAX_MS));
  }

  /** What was asked over a socket that ended may be done or not: whoever asked hears that. */
  unanswered() {
    for (const { failed } of this.asked.values()) failed(new Refused("network", "the lobby was lost before it answered"));
    this.asked.clear();
  }

  end(why) {
    this.over ??= why;
    this.unanswered();
    clearTimeout(this.timer);
    clearTimeout(this.back);
    clearTimeout(this.seeing);
    for (const wake of this.waiting.splice(0)) wake(this.over);
    for (const { listener } of this.talks.values()) listener.refused(this.over.code);
  }
}

/** Returns a frame; null for one of a type that is not known, which a newer lobby may say. */
function decodeUnlessNew(bytes) {
  try {
    return decodeFrame(bytes);
  } catch (error) {
    if (error.code === "unknown_type") return null;
    throw error;
  }
}

function decoded(read) {
  try {
    return read();
  } catch (error) {
    if (error instanceof Refused) return null;
    throw error;
  }
}
