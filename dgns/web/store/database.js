// Databases, opened by their proved names: the control log replayed, the keys opened as far as they are sealed to this person (PROTOCOL 25.6).

import { Refused } from "../cbor.js";
import { Problem } from "../client.js";
import { equal, hex } from "../hash.js";
import { derive } from "../kdf.js";
import { kexOf } from "../keys.js";
import { open } from "../sealed.js";
import { decodeDidState } from "../state.js";
import { EMPTY_ROOT } from "../tree.js";
import { userKeyOf } from "../user_key.js";
import { Acl, COUNTS, FORGED } from "./acl.js";
import { verifyAnchored } from "./anchored.js";
import { openRecords } from "./body.js";
import { decodeControl, keyInfo } from "./control.js";
import { SNAPSHOT, controlLogOf } from "./entry.js";
import { Follower } from "./follow.js";
import { ENTRIES_PER_ANSWER_MAX } from "./limits.js";
import { People } from "./people.js";

const DATABASE = 2;
const NONE = new Uint8Array(0);
const PREVIOUS = new TextEncoder().encode("previous");

export class Database {
  people;
  acl = null;
  /** Group and epoch -> the key, as far as it is sealed to this person. */
  keys = new Map();
  /** Group and epoch and by what -> what does not open. */
  failed = new Set();

  /**
   * Opens the database of a name. `source` as follow.js takes it; `me` = `{did, seed(generation)}`: whose keys open what is sealed, `seed` refuses a generation
   * that there is none of. Refuses with `absent`, `no_database`, `deleted`. One that moved is opened as the server has it that it left, up to its owners' word; then
   * `place` is where it is.
   */
  static async open(source, name, me) {
    const { did } = await source.client.lookup({ name });
    const state = did && decodeDidState(did.bytes);
    if (state === null) throw new Refused("absent", name);
    if (state.kind !== DATABASE) throw new Refused("no_database", `${name} is no database`);
    const database = Object.assign(new Database(), { source, name, me, did: state.did, people: new People(source) });
    await database.refresh();
    return database;
  }

  /** Reads the control log again, to the head that was proved before anything is judged by it: nothing that was said can be left out. */
  async refresh() {
    const { source, people, did } = this;
    const log = controlLogOf(did);
    const follower = new Follower(source, people, log);
    for (let [acl, proved, gone] = [null, null, false]; proved === null || (follower.next < proved && !gone); ) {
      const { entries } = await follower.read(ENTRIES_PER_ANSWER_MAX).catch((error) => this.unlessSaid(error));
      for (const { header, body } of entries) {
        // What stands behind the word that it is elsewhere counts for nothing here.
        if (gone) break;
        const said = this.judged(() => decodeControl(body));
        if (acl === null) this.judged(() => (acl = new Acl(log, header.author, said)));
        else this.judged(() => acl.apply(header.author, said));
        gone = acl.places.length > 0;
      }
      if (acl === null) throw source.lies("malformed", "an empty control log");
      // The salt stands in the first entry.
      proved ??= (await verifyAnchored(source, people, log, acl.salt)).head;
      if (gone || follower.next >= proved) this.acl = acl;
    }
    if (this.acl.home !== source.client.origin) throw source.caught("bad_genesis", "its home is another log");
    const { tombstone, all, deleting } = this.acl.owners;
    if (tombstone !== null) {
      const detail = `entry ${follower.next - 1n} of its control log is the tombstone, ${deleting.size} of its owners being for it, of ${all.size}`;
      throw Object.assign(new Refused("deleted", detail), { detail });
    }
    await this.openKeys();
  }

  /**
   * Throws what came instead of an answer; who says that the database is deleted, or at another server, and that its control log does not say so, lies (`no_tombstone`,
   * `not_moved`).
   */
  unlessSaid(error) {
    if (error.code === "deleted") throw this.source.lies("no_tombstone", "what was asked is said to be deleted, and the control log does not say so");
    if (error.code === "moved" && this.place !== null) throw Object.assign(error, { place: this.place });
    if (error.code === "moved") throw this.source.lies("not_moved", "what was asked is said to be elsewhere, and the control log does not say so");
    throw error;
  }

  /** Returns what comes of asking for a log: that the database is deleted, or elsewhere, is believed after its control log alone. */
  async asked(answer) {
    try {
      return await answer;
    } catch (error) {
      if (["deleted", "moved"].includes(error.code)) await this.refresh();
      return this.unlessSaid(error);
    }
  }

  /** Where its owners said that it is, `{server, url, origin, key}`; null if that is here. */
  get place() {
    return this.acl?.places.at(-1) ?? null;
  }

  /** Returns how a log ended here when the database moved, `{size, root}`; null if it did not. */
  ended(log) {
    return this.place === null ? null : (this.acl.partsOf(log).at(-1) ?? { size: 0n, root: EMPTY_ROOT });
  }

  judged(judge) {
    try {
      return judge();
    } catch (error) {
      throw error instanceof Refused ? this.source.caught(error.code, "the control log says what its author may not") : error;
    }
  }

  /**
   * Opens the keys of every group: each by the person's own box, and where there is none that opens, by the key after it, in which whoever turned that one may have
   * put anything.
   */
  async openKeys() {
    for (const [gid, { epochs }] of this.acl.groups) {
      for (const [i, { boxes }] of epochs.entries()) {
        const row = boxes.find(({ did }) => equal(did, this.me.did));
        if (row !== undefined) await this.keep(gid, i + 1, "own", async () => open(await userKeyOf(await this.me.seed(row.generation)), this.info(gid, i + 1), NONE, row));
      }
      for (let epoch = epochs.length; epoch > 1; epoch--) {
        const key = this.keys.get(`${gid} ${epoch}`);
        if (key !== undefined) await this.keep(gid, epoch - 1, "previous", async () => open(await kexOf(await derive("group-box", key)), this.info(gid, epoch), PREVIOUS, epochs[epoch - 1].previous));
      }
    }
  }

  info(gid, epoch) {
    return keyInfo(this.did, gid, epoch);
  }

  /** Keeps a key, unless there is one; what did not open is not tried `by` this again, unless it was the server that had no time for it. */
  async keep(gid, epoch, by, opened) {
    const [at, tried] = [`${gid} ${epoch}`, `${gid} ${epoch} ${by}`];
    if (this.keys.has(at) || this.failed.has(tried)) return;
    try {
      const key = await opened();
      if (key.length === 32) this.keys.set(at, key);
      else this.failed.add(tried);
    } catch (error) {
      if (!(error instanceof Refused || error instanceof Problem)) throw error;
      const isForNow = error instanceof Problem && (error.status === 429 || error.status >= 500);
      if (!isForNow) this.failed.add(tried);
    }
  }

  /** Returns the log of a label, `{id, gid, ...}`, in the group that has the lowest number. Refuses with `no_log`. */
  log(label) {
    const [log] = [...this.acl.logs.values()].filter((one) => one.label === label).sort((a, b) => a.gid - b.gid);
    if (log === undefined) throw new Refused("no_log", `the database has no log ${label}`);
    return log;
  }

  /** Returns what of a group this person opens: `all`, by its newest key; `before`, by older ones alone; `none`. */
  opens(gid) {
    const has = this.acl.groups.get(gid).epochs.map((_, i) => this.keys.has(`${gid} ${i + 1}`));
    return has.at(-1) ? "all" : has.includes(true) ? "before" : "none";
  }

  /** Proves a log by the newest anchor; returns a reader of it from the place that `from(size)` names on, or from the first that was not trimmed, which has what the anchor has of it as `anchored`. */
  async follower(log, from = () => 0n) {
    const anchored = await this.anchored(log);
    const [asked, first] = [from(anchored.head), this.acl.first(log)];
    return Object.assign(new Follower(this.source, this.people, log, asked < first ? first : asked), { anchored });
  }

  /** Proves by the newest anchors that a log is the server's of now, and that nothing said about the database is left out; returns what `anchored` does. */
  async prove(log) {
    await this.refresh();
    return this.anchored(log);
  }

  /** Proves a log by the newest anchor; returns `{k, size, head}` as anchored.js does. */
  anchored(log) {
    return this.asked(verifyAnchored(this.source, this.people, log, this.acl.salt));
  }

  /** Returns the next entries of a reader of `follower`, `{entries, size}`. Refuses with `deleted` besides, and with `trimmed` what owners let go of meanwhile. */
  async read(follower, limit, waitS) {
    follower.ended = this.ended(follower.log);
    try {
      return await this.asked(follower.read(limit, this.place === null ? waitS : 0));
    } catch (error) {
      // Nothing comes any more to who waits; what there was is still read.
      if (error.code === "moved" && waitS > 0) return this.read(follower, limit, 0);
      if (error.code !== "trimmed") throw error;
      await this.refresh();
      if (follower.next < this.acl.first(follower.log)) throw error;
      throw this.source.lies("no_trim", `entry ${follower.next} is said to be trimmed, and no owner said so`);
    }
  }

  /**
   * Returns whether the entry at place `pos` of a log counts; what is not known yet is asked for. An entry that its author never could write is the fault of the server (`not_writer`), or of
   * a host, which may have held back who was let in.
   */
  async counts(pos, { log, author, epoch }) {
    const standing = () => this.acl.standing(log, pos, author, epoch);
    if (standing() === FORGED) await this.refresh();
    if (standing() === FORGED) throw this.source.unproved("not_writer", `entry ${pos} is by ${this.people.nameOf(author)}, who could not write there`);
    return standing() === COUNTS;
  }

  /** Returns the records of an entry, or null where its key is not sealed to this person, or what is in it does not open. */
  async records({ header, body }) {
    if (header.class === SNAPSHOT) return [];
    const { gid } = this.acl.logs.get(hex(header.log));
    const key = this.keys.get(`${gid} ${header.epoch}`);
    if (key === undefined) return null;
    try {
      return await openRecords(key, header, body);
    } catch (error) {
      if (error instanceof Refused) return null;
      throw error;
    }
  }
}
