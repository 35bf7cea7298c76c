// The owners of a database: equals, who take in others by a majority, leave by themselves, and delete and move by half (PROTOCOL 25.12).

import { refusing } from "../cbor.js";
import { equal, hex } from "../hash.js";
import { OWNERS_MAX, VOICES_MAX } from "./limits.js";

/** What a database has come to: it is written to; half of its owners are for deleting it; its tombstone stands. */
export const [LIVE, DELETING, DELETED] = [1, 2, 3];

const refuse = refusing({
  not_allowed: "only an owner of the database may say this",
  owner_exists: "this is an owner of the database already",
  said: "the owner is for this already, or was not",
  last_owner: "the last owner of a database does not leave it",
  no_quorum: "a database is deleted when half of its owners are for it",
  deleting: "half of the owners are for deleting the database",
  deleted: "the database is deleted: its control log ends with the tombstone",
  bad_cuts: "a tombstone says of each log how many entries it has, and of no other log",
  full: "a database has at most 64 owners, each of whom is for 16 others at a time",
});

/** The owners by their DID in hexadecimal: `all`; `asked`, who is to be one, with who is for it; `deleting`, who is for deleting the database; `going`, who is for which server. */
export class Owners {
  asked = new Map();
  deleting = new Set();
  going = new Map();
  tombstone = null;

  /** Begins with the database itself as its own owner. */
  constructor(did) {
    this.all = new Set([hex(did)]);
  }

  has(did) {
    return this.all.has(hex(did));
  }

  /** Returns how many more owners have to be for deleting the database. */
  get lacking() {
    return Math.max(0, Math.ceil(this.all.size / 2) - this.deleting.size);
  }

  get stage() {
    if (this.tombstone !== null) return DELETED;
    return this.lacking === 0 ? DELETING : LIVE;
  }

  /** Refuses what may not be said any more, whoever says it. */
  admit({ type }) {
    if (this.stage === DELETED) refuse("deleted");
    if (this.stage === DELETING && !["delete", "tombstone", "fork"].includes(type)) refuse("deleting");
  }

  owner(author) {
    return this.has(author) ? hex(author) : refuse("not_allowed");
  }

  add(author, { did, yes }) {
    const [by, who] = [this.owner(author), hex(did)];
    if (this.all.has(who)) refuse("owner_exists");
    const voices = this.asked.get(who) ?? new Set();
    if (voices.has(by) === (yes === 1)) refuse("said");
    if (yes === 0) return this.silence(by, who);
    const said = [...this.asked.values()].filter((others) => others.has(by)).length;
    if (this.all.size >= OWNERS_MAX || said >= VOICES_MAX) refuse("full");
    this.asked.set(who, voices.add(by));
    this.takeIn();
  }

  /** Makes owners of those for whom more than half are, ascending: each may make it too few for the next. */
  takeIn() {
    for (const who of [...this.asked.keys()].sort()) {
      if (this.asked.get(who).size * 2 <= this.all.size || this.all.size >= OWNERS_MAX) continue;
      this.asked.delete(who);
      this.all.add(who);
    }
  }

  /** Takes back that an owner is for making `about` one, or anybody. */
  silence(by, about = null) {
    for (const [who, voices] of this.asked) if ((about ?? who) === who && voices.delete(by) && voices.size === 0) this.asked.delete(who);
  }

  leave(author) {
    const by = this.owner(author);
    if (this.all.size === 1) refuse("last_owner");
    this.all.delete(by);
    this.deleting.delete(by);
    this.going.delete(by);
    this.silence(by);
    this.takeIn();
  }

  delete(author, { yes }) {
    const by = this.owner(author);
    if (this.deleting.has(by) === (yes === 1)) refuse("said");
    if (yes === 1) this.deleting.add(by);
    else this.deleting.delete(by);
  }

  /** Is for going on at the server of this `place`, and at no other; returns whether half of the owners are now, and begins anew if so. */
  go(author, place) {
    const by = this.owner(author);
    const isThat = (other) =>
      other !== undefined && equal(other.server, place.server) && equal(other.key, place.key) && other.url === place.url && other.origin === place.origin;
    const before = this.going.get(by);
    const voices = [...this.going].filter(([who, other]) => who !== by && isThat(other)).length + 1;
    if (voices * 2 < this.all.size && isThat(before)) refuse("said");
    this.going.set(by, place);
    if (voices * 2 < this.all.size) return false;
    this.going.clear();
    return true;
  }

  /** Sets the tombstone; `logs` are the names of all logs but the control log, ascending. */
  end(author, logs, { ends }) {
    this.owner(author);
    if (this.lacking > 0) refuse("no_quorum");
    if (logs.length !== ends.length || !logs.every((id, i) => equal(id, ends[i].log))) refuse("bad_cuts");
    this.tombstone = ends;
  }
}
