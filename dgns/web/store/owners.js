// The owners of a database: equals, who take in others by a majority, leave by themselves, and delete by half (PROTOCOL 25.12).

import { Refused } from "../cbor.js";
import { equal, hex } from "../hash.js";
import { OWNERS_MAX } from "./limits.js";

/** What a database has come to: it is written to; half of its owners are for deleting it; its tombstone stands. */
export const [LIVE, DELETING, DELETED] = [1, 2, 3];

const WHY = {
  not_allowed: "only an owner of the database may say this",
  owner_exists: "this is an owner of the database already",
  last_owner: "the last owner of a database does not leave it",
  no_quorum: "a database is deleted when half of its owners are for it",
  deleting: "half of the owners are for deleting the database",
  deleted: "the database is deleted: its control log ends with the tombstone",
  bad_cuts: "a tombstone says of each log how many entries it has, and of no other log",
  full: "a database has at most 64 owners",
};
const refuse = (code) => {
  throw new Refused(code, WHY[code]);
};

/** The owners by their DID in hexadecimal: `all`; `asked`, who is to be one, with who is for it; `deleting`, who is for deleting the database. */
export class Owners {
  asked = new Map();
  deleting = new Set();
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

  add(author, { did }) {
    const [by, who] = [this.owner(author), hex(did)];
    if (this.all.has(who)) refuse("owner_exists");
    if (this.all.size >= OWNERS_MAX || (this.asked.size >= OWNERS_MAX && !this.asked.has(who))) refuse("full");
    const voices = (this.asked.get(who) ?? new Set()).add(by);
    this.asked.set(who, voices);
    if (voices.size * 2 <= this.all.size) return;
    this.asked.delete(who);
    this.all.add(who);
  }

  leave(author) {
    const by = this.owner(author);
    if (this.all.size === 1) refuse("last_owner");
    this.all.delete(by);
    this.deleting.delete(by);
    for (const [who, voices] of this.asked) if (voices.delete(by) && voices.size === 0) this.asked.delete(who);
  }

  delete(author, { yes }) {
    const by = this.owner(author);
    if (yes === 1) this.deleting.add(by);
    else this.deleting.delete(by);
  }

  /** Sets the tombstone; `logs` are the names of all logs but the control log, ascending. */
  end(author, logs, { ends }) {
    this.owner(author);
    if (this.lacking > 0) refuse("no_quorum");
    if (logs.length !== ends.length || !logs.every((id, i) => equal(id, ends[i].log))) refuse("bad_cuts");
    this.tombstone = ends;
  }
}
