// Who may do what in a database: the replay of its control log, the same judgement that the server makes (PROTOCOL 25.6).

import { refusing } from "../cbor.js";
import { compare, equal, hex } from "../hash.js";
import { PROFILE, SUBSCRIPTION } from "./control.js";
import { controlLogOf, logIdOf } from "./entry.js";
import { fork } from "./fork.js";
import { GROUPS_MAX, LOGS_MAX, MEMBERS_MAX } from "./limits.js";
import { moved } from "./moves.js";
import { Owners } from "./owners.js";

/** Rights of a member. */
export const [READ, WRITE, GRANT, ALL] = [1, 2, 4, 7];
/** What an entry of a log of data is worth: it counts; its author was revoked, and it stands behind what the revoke left; its author never could write it. */
export const [COUNTS, VOID, FORGED] = ["counts", "void", "forged"];

const FOR_EVER = (1n << 64n) - 1n;
const refuse = refusing({
  bad_genesis: "a control log begins with the one genesis of its database, signed by a device of it",
  not_allowed: "only an owner of the database, or who may grant in the group, may say this",
  grant_wider: "nobody gives more than they have",
  grant_narrower: "a grant takes nothing away",
  bad_cuts: "a revoke says for each log of the group how many of its entries stand, and of no other log",
  epoch_conflict: "the epoch has to be one more than the newest",
  bad_boxes: "the key of a group is sealed to each of its members and to nobody else",
  log_exists: "there is a log of that name",
  full: "a database has at most 256 groups of 1,000 members, and 256 logs",
  said: "a log is trimmed further than it was",
  trim_unsafe: "a log is trimmed before a snapshot of it that stays",
  no_groups: "a subscription database has a partition a user, and no groups or logs besides",
  stays: "a subscription database stays where its users are",
  single_writer: "a profile is of one person, whose devices alone write it",
});
const includes = (rights, other) => (rights & other) === other;

/** A database as its control log has it: `groups` by number, `logs` by their name in hexadecimal, `{id, gid, kind, label}`, and its `owners`. */
export class Acl {
  groups = new Map();
  logs = new Map();
  /** Of a profile: whose it is, once that is said. */
  person = null;
  /** By log: how far it is trimmed, `{to, snapshot}`. */
  trims = new Map();
  /** The databases that this one goes on from, `{did, epochs}`, the first first. */
  sources = [];
  /** By log: the parts that were appended to others, or elsewhere, `{log, size, root}`. */
  parts = new Map();
  /** The servers that it moved to, `{server, url, origin, key}`, the newest last. */
  places = [];
  /** Whether the database itself spoke: an owner of the source alone begins none. */
  begun = true;

  /** Begins with the genesis of the database whose control log is `log`. Refuses with `bad_genesis`. */
  constructor(log, author, said) {
    const isGenesis = said.type === "genesis" && equal(said.did, author) && equal(log, controlLogOf(said.did));
    if (!isGenesis) refuse("bad_genesis");
    Object.assign(this, { did: said.did, kind: said.kind, home: said.home, salt: said.salt, owners: new Owners(said.did) });
  }

  /** Applies what `author` said next, or refuses it with its code and changes nothing. */
  apply(author, said) {
    this.owners.admit(said);
    const { grant, revoke, turn, log, trim, owners } = this;
    const judge = {
      grant,
      revoke,
      key: turn,
      log,
      trim,
      owner: () => owners.add(author, said),
      leave: () => owners.leave(author),
      delete: () => owners.delete(author, said),
      fork: () => fork(this, author, said),
      moved: () => moved(this, author, said),
      tombstone: () => owners.end(author, [...this.logs.values()].map(({ id }) => id).sort(compare), said),
    }[said.type];
    if (judge === undefined) refuse("bad_genesis");
    if (!this.begun && !equal(author, this.did)) refuse("bad_genesis");
    this.isSingle(said);
    this.isApart(said);
    judge.call(this, author, said);
    if (this.kind === PROFILE && said.type === "owner") this.person ??= said.did;
    this.begun ||= equal(author, this.did);
  }

  /** Refuses what would let anybody but its person write a profile, say who reads it, or own it. */
  isSingle({ type, did, rights }) {
    const isPerson = () => this.person !== null && equal(this.person, did);
    const isFit =
      this.kind !== PROFILE ||
      (type === "grant" && (rights === READ || isPerson())) ||
      (type === "owner" && (this.person === null || isPerson())) ||
      !["grant", "owner"].includes(type);
    if (!isFit) refuse("single_writer");
  }

  /** Refuses groups in a database whose users are kept apart, and what its users do not go along with. */
  isApart({ type }) {
    if (this.kind !== SUBSCRIPTION) return;
    if (["grant", "revoke", "key", "log", "trim"].includes(type)) refuse("no_groups");
    if (["moved", "fork"].includes(type)) refuse("stays");
  }

  /** Returns the control log in which a statement about this database stands next: a fork's is that of the new one. */
  controlOf(said) {
    return controlLogOf(said.type === "fork" ? said.did : this.did);
  }

  /** Returns the parts of a log that were appended to others, the first first. */
  partsOf(log) {
    return this.parts.get(hex(log)) ?? [];
  }

  /** Returns the first entry of a log that has its body: those before it were trimmed. */
  first(log) {
    return this.trims.get(hex(log))?.to ?? 0n;
  }

  /** Returns the database under whose DID the key of a group was sealed. */
  sealedBy(gid, epoch) {
    return this.sources.find(({ epochs }) => epoch <= (epochs.get(gid) ?? 0n))?.did ?? this.did;
  }

  /** Returns the log of this database that has the entries of `log`: itself, or one that goes on from it. */
  here(log) {
    if (this.logs.has(hex(log))) return log;
    const found = [...this.logs.values()].find(({ id }) => this.partsOf(id).some((part) => equal(part.log, log)));
    return found?.id ?? log;
  }

  isOwner(did) {
    return this.owners.has(did);
  }

  /** Returns whether somebody is a member of a group with a right now (Unix seconds, BigInt), or an owner. */
  may(did, gid, right, nowS) {
    const member = this.groups.get(gid)?.members.get(hex(did));
    return this.isOwner(did) || (member !== undefined && includes(member.rights, right) && nowS < member.untilS);
  }

  /** Returns the logs of a group, ascending by what names them. */
  logsOf(gid) {
    return [...this.logs.values()].filter((log) => log.gid === gid).sort((a, b) => compare(a.id, b.id));
  }

  /**
   * Judges the entry at place `pos` of a log of data, which `author` wrote under the key of `epoch`: COUNTS, VOID or FORGED. Until when a member is one is the
   * server's to know: the time of an entry is nowhere proved.
   */
  standing(of, pos, author, epoch) {
    const log = this.here(of);
    const here = this.logs.get(hex(log));
    const group = this.groups.get(here?.gid);
    if (group === undefined || epoch < 1n || epoch > BigInt(group.epochs.length)) return FORGED;
    // A database writes in its own logs alone: in those that go on from them it is nobody.
    const writes = ({ did }) => equal(author, did) && equal(of, logIdOf(did, here.gid, here.kind, here.label));
    if (this.kind !== PROFILE && [this, ...this.sources].some(writes)) return COUNTS;
    const each = (group.terms.get(hex(author)) ?? []).map(({ since, ended }) => {
      if (epoch < since) return FORGED;
      if (ended === null) return COUNTS;
      if (epoch > ended.epoch) return FORGED;
      return pos < (ended.cuts.get(hex(log)) ?? 0n) ? COUNTS : VOID;
    });
    return [COUNTS, VOID].find((one) => each.includes(one)) ?? FORGED;
  }

  /** What the author may hand on in a group. */
  of(author, gid) {
    if (this.isOwner(author)) return { rights: ALL, untilS: FOR_EVER };
    const member = this.groups.get(gid)?.members.get(hex(author));
    return member !== undefined && includes(member.rights, GRANT) ? member : refuse("not_allowed");
  }

  grant(author, { gid, did, rights, untilS }) {
    const own = this.of(author, gid);
    if (!includes(own.rights, rights) || untilS > own.untilS) refuse("grant_wider");
    const [known, key] = [this.groups.get(gid), hex(did)];
    const isFull = known === undefined ? this.groups.size >= GROUPS_MAX : known.members.size >= MEMBERS_MAX && !known.members.has(key);
    if (isFull) refuse("full");
    const had = known?.members.get(key);
    if (had !== undefined && (!includes(rights, had.rights) || untilS < had.untilS)) refuse("grant_narrower");
    const group = known ?? { members: new Map(), epochs: [], rekeyDue: false, terms: new Map() };
    this.groups.set(gid, group);
    group.members.set(key, { did, rights, untilS });
    const terms = group.terms.get(key) ?? [];
    group.terms.set(key, terms);
    const writes = terms.length > 0 && terms.at(-1).ended === null;
    if (includes(rights, WRITE) && !writes) terms.push({ since: BigInt(group.epochs.length), ended: null });
  }

  revoke(author, { gid, did, cuts }) {
    // Everybody may go.
    const own = equal(author, did) ? { rights: ALL, untilS: FOR_EVER } : this.of(author, gid);
    const group = this.groups.get(gid) ?? refuse("not_allowed");
    const member = group.members.get(hex(did)) ?? refuse("not_allowed");
    if (!includes(own.rights, member.rights) || member.untilS > own.untilS) refuse("grant_wider");
    const logs = this.logsOf(gid);
    if (logs.length !== cuts.length || !logs.every(({ id }, i) => equal(id, cuts[i].log))) refuse("bad_cuts");
    group.members.delete(hex(did));
    group.rekeyDue = true;
    const last = group.terms.get(hex(did))?.at(-1);
    if (last?.ended === null) last.ended = { epoch: BigInt(group.epochs.length), cuts: new Map(cuts.map(({ log, size }) => [hex(log), size])) };
  }

  turn(author, { gid, epoch, boxes, previous }) {
    this.of(author, gid);
    const group = this.groups.get(gid) ?? refuse("not_allowed");
    if (epoch !== BigInt(group.epochs.length) + 1n) refuse("epoch_conflict");
    if (boxes.length !== group.members.size || !boxes.every(({ did }) => group.members.has(hex(did)))) refuse("bad_boxes");
    group.epochs.push({ boxes, previous });
    group.rekeyDue = false;
  }

  log(author, { gid, kind, label }) {
    this.of(author, gid);
    if (!this.groups.has(gid)) refuse("not_allowed");
    // A label names one log, whoever may begin others.
    if ([...this.logs.values()].some((known) => known.kind === kind && known.label === label)) refuse("log_exists");
    const id = logIdOf(this.did, gid, kind, label);
    if (this.logs.size >= LOGS_MAX) refuse("full");
    this.logs.set(hex(id), { id, gid, kind, label });
  }

  trim(author, { log, to, snapshot }) {
    if (!this.isOwner(author)) refuse("not_allowed");
    if (!this.logs.has(hex(log))) refuse("bad_cuts");
    if (to <= this.first(log)) refuse("said");
    if (snapshot < to) refuse("trim_unsafe");
    this.trims.set(hex(log), { to, snapshot });
  }
}
