// Signals that arrive once, or end in a named error within ten seconds (PROTOCOL 23.6). Nothing here knows a socket.

import { hex } from "../hash.js";

const RESEND_MS = [250, 500, 1000, 2000, 4000];
const EXPIRED_MS = 10_000;
const WINDOW = 64n;

/** The signals of an end that were not acknowledged yet. */
export class Outbox {
  underWay = new Map();

  /** Takes a `knock` or `signal` of a sess to be sent from now on. */
  post(sess, seq, frame, nowMs) {
    this.underWay.set(`${hex(sess)}/${seq}`, { sess: hex(sess), frame, firstMs: nowMs, nextMs: nowMs, sent: 0 });
  }

  /** Notes that a signal arrived. */
  acknowledged(sess, seq) {
    this.underWay.delete(`${hex(sess)}/${seq}`);
  }

  /** Notes that the other end said something in a sess: its knock was heard. */
  answered(sess) {
    this.drop((signal) => signal.sess === hex(sess) && signal.frame.t === "knock");
  }

  /** Gives everything of a sess up. */
  forget(sess) {
    this.drop((signal) => signal.sess === hex(sess));
  }

  /** Sends everything again at the next `due`, and soon after: there is a new socket, and the other end may come back a moment later. */
  again(nowMs) {
    for (const signal of this.underWay.values()) [signal.nextMs, signal.sent] = [nowMs, 0];
  }

  /** Returns `{send: frames, expired: sess in hexadecimal}`: what is to be sent or given up by now. */
  due(nowMs) {
    const expired = [...this.underWay.values()].filter(({ firstMs }) => nowMs >= firstMs + EXPIRED_MS).map(({ sess }) => sess);
    this.drop(({ firstMs }) => nowMs >= firstMs + EXPIRED_MS);
    const send = [...this.underWay.values()].filter(({ nextMs }) => nextMs <= nowMs);
    for (const signal of send) {
      signal.nextMs = Math.min(nowMs + RESEND_MS[Math.min(signal.sent++, RESEND_MS.length - 1)], signal.firstMs + EXPIRED_MS);
    }
    return { send: send.map(({ frame }) => frame), expired };
  }

  /** Returns when `due` has something to say, or null. */
  next() {
    return this.underWay.size === 0 ? null : Math.min(...[...this.underWay.values()].map(({ nextMs }) => nextMs));
  }

  drop(isDone) {
    for (const [key, signal] of this.underWay) if (isDone(signal)) this.underWay.delete(key);
  }
}

/** What an end saw of one conversation: the numbers of the last 64 signals. */
export class Inbox {
  newest = -1n;
  seen = 0n;

  /** Notes a signal's number; returns whether it is new. */
  arrived(seq) {
    if (seq > this.newest) {
      const ahead = seq - this.newest;
      this.seen = ahead < WINDOW ? ((this.seen << ahead) | 1n) & ((1n << WINDOW) - 1n) : 1n;
      this.newest = seq;
      return true;
    }
    const behind = this.newest - seq;
    if (behind >= WINDOW || (this.seen >> behind) & 1n) return false;
    this.seen |= 1n << behind;
    return true;
  }
}
