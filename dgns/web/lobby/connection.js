// A connection to the host of a name, both ends proved: what is served, files chunk by chunk, logs as they grow; renewed when its path breaks, and ended
// when the log takes the host's device away (PROTOCOL 23.11, 23.12).

import { Refused, encode } from "../cbor.js";
import { ascii, equal } from "../hash.js";
import { KIND } from "./card.js";
import { shownOf, signCredential } from "./credential.js";
import { untilGone } from "./follow.js";
import { CHUNK_BYTES, Contents, FILE_BYTES_MAX, READ, READ_AND_WRITE, chunksOf, decodeSaid, encodeSaid } from "./share.js";

const ANSWER_MS = 30_000;
/** How long a path may be silent before another one is looked for, how long one attempt may take, and all of them: the host gives up by then. */
const [DOUBTED_MS, ATTEMPT_MS, RENEW_MS] = [5000, 12_000, 60_000];
/** Chunks asked for and not there yet. More in flight than a browser's socket holds is lost and sent again. */
const [WINDOW_MIN, WINDOW_MAX] = [2, 16];

/** Log -> the line of this page that may be on the host's disk or not, as it was numbered. */
const UNSURE = new Map();
/** What is shown of what this page was given, the newest first, and how often a line is numbered anew before that is given up. */
const [SHOWN_MAX, NUMBERED_MAX] = [8, 3];

export class Connection {
  ids = 0n;
  asked = new Map();
  /** Handle -> the request that reads under it. */
  reads = new Map();
  /** Log -> the lease under which it is written to. */
  writes = new Map();
  /** Tokens and grants to be shown where the rules alone do not do. */
  shown = [];
  over = null;

  /** Takes what connect.js made; `changed(state)` may be set: `renewing`, `stands`, or `ended`, and then `over` says why. */
  constructor(parts) {
    const { client, lobby, name, sess, card, offer, talk, host, link, answer, seq, fault, who } = parts;
    Object.assign(this, { client, lobby, name, sess, card, offer, talk, host, link, answer, seq, who, changed: () => {} });
    this.faultOf = (code, what) => fault.call(this, code, what, answer);
    this.path = link.path();
    link.broke = () => this.end(new Refused("closed", "the connection to the host broke"));
    link.wavers = (state) => this.wavers(state);
    link.tellsLate((ufrag, candidates, last) => this.tell(KIND.candidates, { ufrag, candidates, last }));
    lobby.listen(sess, { card: (signed) => this.judge(signed), refused: (code) => this.renewed?.(new Refused(code, "the lobby refuses")), expired: () => this.renewed?.(new Refused("expired", "nobody answers")) });
    parts.more?.forEach((signed) => this.judge(signed));
    link.listen((bytes) => this.hear(bytes));
    this.stop = new AbortController();
    const stays = (devices) => devices.some((key) => equal(key, answer.card.from));
    untilGone(client, this.host.did, stays, this.stop.signal).then(async (gone) => {
      if (gone === "not_host") this.end(await this.faultOf(gone, "the log no longer gives the host's device to the name's owner"));
      else this.end(gone instanceof Error ? gone : new Refused(gone, "the log gave no news for a minute"));
    }, () => {});
  }

  /** Returns every file that is served to this device, `[{path, size, modifiedS}, ...]`. */
  async list() {
    const files = [];
    for (;;) {
      const after = files.at(-1)?.path ?? "";
      const { files: some, more } = await this.ask({ t: "list", after }, "listing");
      const ascends = some.every(({ path }, i) => before(i === 0 ? after : some[i - 1].path, path));
      if (!ascends || (more && some.length === 0)) throw this.nonsense();
      files.push(...some);
      if (!more) return files;
    }
  }

  /** Opens a file: fetches the ids of its chunks, which must be those that its root names. Returns Contents. */
  async open(path) {
    const { root, size } = await this.ask({ t: "open", path }, "opened");
    if (size > FILE_BYTES_MAX) throw this.nonsense();
    const ids = new Uint8Array(32 * chunksOf(size));
    for (let known = 0; known < ids.length; ) {
      const { ids: more } = await this.ask({ t: "ids", root, from: known / 32 }, "idsAre");
      if (more.length === 0 || known + more.length > ids.length) throw this.nonsense();
      ids.set(more, known);
      known += more.length;
    }
    try {
      return new Contents(size, ids, root);
    } catch (error) {
      throw this.end(await this.faultOf(error.code, error.message));
    }
  }

  /** Fetches chunks, several at a time, in order; each is checked, then handed on to `take(index, bytes)`. */
  async chunks(contents, wanted, take, signal) {
    const pace = new Pace();
    const under = [];
    let next = 0;
    try {
      while (next < wanted.length || under.length > 0) {
        signal?.throwIfAborted();
        while (next < wanted.length && under.length < pace.window) {
          const index = wanted[next++];
          under.push([index, this.chunk(contents, index)]);
          under.at(-1)[1].catch(() => {}); // told when its turn comes
        }
        const [index, coming] = under.shift();
        const chunk = await coming;
        pace.got(chunk.length);
        await take(index, chunk);
      }
    } finally {
      under.forEach(([, coming]) => coming.catch(() => {}));
    }
  }

  /** Returns the bytes of a chunk, checked. */
  async chunk(contents, index) {
    const whole = new Uint8Array(contents.lengthOf(index));
    let filled = 0;
    await this.asks({ t: "chunk", root: contents.root, index }, (said, done) => {
      if (said.t !== "piece") return;
      const fits = said.offset === BigInt(filled) && filled + said.bytes.length <= whole.length;
      if (!fits) throw new Refused("hash_mismatch", "the pieces make no chunk");
      whole.set(said.bytes, filled);
      filled += said.bytes.length;
      if (said.last) done();
    }).catch(async (error) => {
      throw error.code === "hash_mismatch" ? this.end(await this.faultOf(error.code, error.message)) : error;
    });
    if (await contents.has(index, filled === whole.length ? whole : whole.subarray(0, filled))) return whole;
    throw this.end(await this.faultOf("hash_mismatch", "what the host sends is not what its hash names"));
  }

  /** Takes a token or grants, as text, to be shown wherever the host's rules alone do not do. Refuses with `bad_proof` what is neither. */
  shows(text) {
    const shown = shownOf(text);
    const isOther = (other) => !equal(encode(other), encode(shown));
    this.shown = [shown, ...this.shown.filter(isOther)].slice(0, SHOWN_MAX);
  }

  /**
   * Leases a log, to read it or to write to it as well; returns the host's `handle`. Refuses with `needproof`, or with the code of what was shown last, where
   * neither rules nor what is shown do; `moved` where it is elsewhere.
   */
  async lease(log, rights = READ) {
    let said = await this.askLease(log, rights);
    for (const [number, shown] of this.shown.entries()) {
      if (said.t !== "needproof") break;
      const credential = await signCredential(shown, said.nonce, this.client.origin, this.who.sign);
      said = await this.askLease(log, rights, credential).catch((error) => {
        if (number + 1 === this.shown.length) throw error;
        // What counts for nothing is no reason not to show the next, under a nonce of its own.
        return this.askLease(log, rights);
      });
    }
    if (said.t === "needproof") throw new Refused("needproof", "the host wants a grant or a token");
    if (said.t === "redirect") throw new Refused("moved", said.to);
    if (said.rights !== rights || (rights === READ_AND_WRITE && said.lsn === undefined)) throw this.nonsense();
    return said;
  }

  askLease(log, rights, credential) {
    const kinds = ["handle", "needproof", "redirect"];
    return this.asks({ t: "lease", site: this.name, log, rights, credential }, (answer, done) => (kinds.includes(answer.t) ? done(answer) : undefined));
  }

  /** Returns whether this device may add lines to a log; the lease for it is kept, and holds until the host ends it. */
  async mayWrite(log) {
    if (this.writes.has(log)) return true;
    try {
      this.writes.set(log, await this.lease(log, READ_AND_WRITE));
      return true;
    } catch {
      return false;
    }
  }

  /**
   * Adds a line to a log; returns when it is on the host's disk. A line of which nobody knows whether it is there, because the connection broke, is sent under
   * its number when it comes again: it is there once.
   */
  async append(log, line) {
    const [entry, key] = [ascii(line), `${this.name} ${log}`];
    for (let numbered = 0; ; numbered++) {
      let lease = this.writes.get(log);
      if (lease === undefined) this.writes.set(log, (lease = await this.lease(log, READ_AND_WRITE)));
      const before = UNSURE.get(key);
      const lsn = before !== undefined && equal(before.entry, entry) ? before.lsn : lease.lsn + 1n;
      UNSURE.set(key, { entry, lsn });
      try {
        const receipt = await this.ask({ t: "write", handle: lease.handle, lsn, entries: [entry] }, "receipt");
        lease.lsn = lsn > lease.lsn ? lsn : lease.lsn;
        UNSURE.delete(key);
        return receipt;
      } catch (error) {
        // The host said no, so it is not there; without a word of the host, or after a failure of its disk, it may be.
        if (this.over !== null || ["no_answer", "failed"].includes(error.code)) throw error;
        UNSURE.delete(key);
        this.writes.delete(log);
        // The lease ended meanwhile, or another window of this browser wrote under the same number.
        if (!["bad_handle", "lsn_conflict", "lsn_gap"].includes(error.code) || numbered >= NUMBERED_MAX) throw error;
      }
    }
  }

  /** Hands on what a log holds from a place (BigInt) on, and whatever is added to it, until `signal` is aborted or the connection ends. */
  async tail(log, from, take, signal) {
    let next = from;
    const place = { next: () => next, take: (bytes) => ((next += BigInt(bytes.length)), take(bytes)) };
    let ended = null;
    while (!signal.aborted) {
      const { handle } = await this.lease(log).catch((error) => {
        throw ended !== null && error.code === "needproof" ? ended : error;
      });
      ended = await this.read(handle, place, signal);
    }
    return next;
  }

  /** Reads under a handle; returns why the host ended that, or null where `signal` did. */
  async read(handle, place, signal) {
    const id = this.ids + 1n;
    const stop = () => this.asked.get(id)?.failed(signal.reason);
    signal.addEventListener("abort", stop, { once: true });
    const hear = (said) => {
      if (said.t !== "piece") return;
      if (said.offset !== place.next()) throw this.nonsense();
      place.take(said.bytes);
    };
    try {
      this.reads.set(handle, id);
      await this.asks({ t: "read", handle, from: place.next() }, hear, Infinity);
    } catch (error) {
      if (error instanceof LeaseOver) return new Refused(error.code, "the host ended the lease");
      if (!signal.aborted) throw error;
      if (this.over === null && this.link.isOpen) this.say({ t: "stop", id });
    } finally {
      this.reads.delete(handle);
      signal.removeEventListener("abort", stop);
    }
    return null;
  }

  /** Ends the connection; whoever is still there is told. */
  close() {
    if (this.over === null && this.link.isOpen) this.say({ t: "bye", code: "done" });
    this.end(new Refused("left", "closed by you"));
  }

  /** Asks and returns the answer, which is of kind `t`. */
  ask(request, t) {
    return this.asks(request, (said, done) => (said.t === t ? done(said) : undefined));
  }

  /** Asks; `hear(said, done)` is given what is answered until it says that it is done. */
  asks(request, hear, patienceMs = ANSWER_MS) {
    if (this.over !== null) return Promise.reject(this.over);
    const id = ++this.ids;
    return new Promise((done, failed) => {
      const slow = () => failed(new Refused("no_answer", "the host does not answer"));
      const again = () => (clearTimeout(entry.timer), patienceMs < Infinity && (entry.timer = setTimeout(() => (this.renewing ? again() : slow()), patienceMs)));
      const entry = { failed, hear: (said) => (again(), hear(said, done)) };
      again();
      this.asked.set(id, entry);
      this.say({ ...request, id });
    }).finally(() => {
      clearTimeout(this.asked.get(id)?.timer);
      this.asked.delete(id);
    });
  }

  say(said) {
    this.link.send(encodeSaid(said));
  }

  hear(bytes) {
    let said;
    try {
      said = decodeSaid(bytes);
    } catch {
      return this.end(this.nonsense());
    }
    if (said.t === "bye") return this.end(new Refused(said.code, "the host closed the connection"));
    if (said.t === "revoke") for (const [log, { handle }] of this.writes) if (handle === said.handle) this.writes.delete(log);
    if (said.t === "revoke") return this.asked.get(this.reads.get(said.handle))?.failed(new LeaseOver(said.code));
    const entry = this.asked.get(said.id);
    if (entry === undefined) return; // of a question that was given up, or a hello said again
    try {
      if (said.t === "err") entry.failed(new Refused(said.code, "the host does not give it"));
      else entry.hear(said);
    } catch (error) {
      entry.failed(error);
    }
  }

  nonsense() {
    return new Refused("bad_frame", "the host says what makes no sense here");
  }

  /** Ends everything with this reason, if nothing did before; returns the reason that counts. */
  end(why) {
    if (this.over !== null) return this.over;
    this.over = why;
    this.writes.clear();
    this.stop.abort();
    clearTimeout(this.doubt);
    this.link.close();
    this.lobby.leave(this.sess);
    for (const { failed } of this.asked.values()) failed(why);
    this.renewed?.(why);
    this.changed("ended");
    return why;
  }

  /** What ICE says of the path. */
  wavers(state) {
    clearTimeout(this.doubt);
    if (state === "disconnected") this.doubt = setTimeout(() => this.renew(), DOUBTED_MS);
    if (state === "failed") this.renew();
  }

  /** Looks for another path now: the network changed. */
  wake() {
    this.lobby.wake();
    if (!["connected", "completed"].includes(this.link.pc.iceConnectionState)) this.renew();
  }

  /** Renews a path that broke, through the lobby, as soon as that is there; ends the connection if none is found in a minute. */
  async renew() {
    if (this.renewing || this.over !== null) return;
    this.renewing = true;
    this.changed("renewing");
    const until = Date.now() + RENEW_MS;
    while (this.over === null && !(await this.restarted(until - Date.now()))) {
      if (Date.now() >= until) this.end(new Refused("no_path", "the path to the host broke, and no other was found"));
    }
    this.renewing = false;
    if (this.over !== null) return;
    this.path = this.link.path();
    this.changed("stands");
  }

  /** One attempt; returns whether a path stands. */
  async restarted(patienceMs) {
    try {
      await this.lobby.here(Math.max(patienceMs, 1));
      const transport = await this.link.own({ restart: true });
      const seq = BigInt(this.seq);
      const answered = new Promise((done, failed) => {
        const timer = setTimeout(() => failed(new Refused("expired", "nobody answers")), ATTEMPT_MS);
        this.renewed = (error, signed) => {
          if (error === null && signed.card.seq !== seq) return;
          clearTimeout(timer);
          if (error === null) done(signed);
          else failed(error);
        };
      });
      answered.catch(() => {}); // it may fail before it is awaited
      await this.tell(KIND.restartOffer, transport);
      await this.link.answered((await answered).card);
      return await this.stands();
    } catch (error) {
      if (!(error instanceof Refused)) console.error(error);
      await new Promise((done) => setTimeout(done, 500));
      return false;
    } finally {
      this.renewed = undefined;
    }
  }

  /** Waits until ICE says that the path stands; returns whether it does. */
  stands() {
    const { pc } = this.link;
    return new Promise((done) => {
      const timer = setTimeout(() => done(false), ATTEMPT_MS);
      const look = () => ["connected", "completed"].includes(pc.iceConnectionState) && (clearTimeout(timer), done(true));
      pc.addEventListener("iceconnectionstatechange", look);
      look();
    });
  }

  /** Signs a card of this conversation to the host, and sends it. A restart goes as a knock: the lobby may have forgotten the conversation. */
  async tell(kind, more) {
    const { lobby, sess, name, answer: { card: { from } } } = this;
    const seq = this.seq++;
    const { bytes } = await this.card(kind, { seq, to: from, offer: this.offer.hash, ...more });
    const asKnock = kind === KIND.restartOffer;
    lobby.post(sess, seq, asKnock ? { t: "knock", id: seq, name, card: bytes } : { t: "signal", peer: from, sess, seq, card: bytes });
  }

  /** Judges a card that comes while the connection stands (PROTOCOL 23.4). */
  async judge(signed) {
    const taken = await this.talk.take(signed, this.host, this.client.origin, Math.floor(this.client.now() / 1000)).catch((error) => error.code);
    if (this.over !== null) return;
    const { card } = signed;
    if (taken === "more" && card.kind === KIND.restartAnswer) this.renewed?.(null, signed);
    else if (taken === "more" && card.kind === KIND.candidates) await this.link.more(card.ufrag, card.candidates).catch(() => {});
    else if (taken === "end") this.end(new Refused(card.code, "the host ended the conversation"));
  }
}

/** The host ended a lease, with this code; the connection goes on. */
class LeaseOver extends Error {
  constructor(code) {
    super(code);
    this.code = code;
  }
}

const before = (one, other) => {
  const [a, b] = [one, other].map((text) => new TextEncoder().encode(text));
  for (let i = 0; i < Math.min(a.length, b.length); i++) if (a[i] !== b[i]) return a[i] < b[i];
  return a.length < b.length;
};

/** How many chunks are under way: as many as came faster than fewer did. */
class Pace {
  window = WINDOW_MIN;
  best = 0;
  bytes = 0;
  sinceMs = performance.now();

  got(length) {
    this.bytes += length;
    const tookMs = performance.now() - this.sinceMs;
    if (tookMs < 100 || this.bytes < this.window * CHUNK_BYTES) return;
    const rate = this.bytes / tookMs;
    [this.bytes, this.sinceMs] = [0, performance.now()];
    if (rate >= this.best * 0.9) this.window = Math.min(WINDOW_MAX, this.window + 1);
    else this.window = Math.max(WINDOW_MIN, Math.ceil(this.window / 2));
    this.best = Math.max(rate, this.best * 0.95);
  }
}
