// Reading a log so that nobody can show another one later: the tree grows from the entries themselves, must end in the signed head, and must continue the head
// that is remembered (PROTOCOL 25.5, 25.6).

import { Edge } from "../edge.js";
import { Refused } from "../cbor.js";
import { ProofFault } from "../client.js";
import { equal, hex } from "../hash.js";
import { EMPTY_ROOT, consistencyFault } from "../tree.js";
import { decodeRange } from "./answer.js";
import { verifyEntry } from "./entry.js";
import { faultOf } from "./evidence.js";
import { keepHead, keptHead } from "./kept.js";

/** What a server answers that does not have what is asked for; of who hands its answers on they are no word of it. */
export const GONE = ["range", "not_found", "store_behind"];

/**
 * A reader of one log. `source` is how the server is asked, and who is to blame: `{client, ask(target), lies(code, what), caught(code, what), unproved(code, what)}`;
 * `ask` returns the bytes of an answer, `lies` the fault of whoever handed it on, `caught` that of the server which signed it, `unproved` that of what contradicts
 * what was met, and convicts nobody.
 */
export class Follower {
  /** Reads from the place `from` (BigInt) on. */
  constructor(source, people, log, from = 0n) {
    Object.assign(this, { source, people, log, next: from, edge: from === 0n ? new Edge() : null });
    this.isWhole = from === 0n;
    /** Device, in hexadecimal -> the newest lsn and leaf that was met of it. */
    this.lasts = new Map();
    this.epoch = 0n;
    /** How the log ended here, `{size, root}`, where the database moved to another server. */
    this.ended = null;
  }

  /** Returns `{entries, size}`: the next entries, all of them checked, and how many the log has; waits a little for one if `waitS` says so. */
  async read(limit, waitS = 0) {
    const { source, log, next } = this;
    const kept = await keptHead(source.client, log);
    const query = [`from=${next}`, `limit=${limit}`, ...(kept === null ? [] : [`old=${kept.size}`]), ...(waitS > 0 ? [`wait=${waitS}`] : [])];
    const answer = await source.ask(`/v1/logs/${hex(log)}/entries?${query.join("&")}`).catch(async (error) => {
      if (kept === null || !GONE.includes(error.code)) throw error;
      throw await faultOf(source, this.people, log, "store_rollback", `the server does not have the log any more, of which it signed ${kept.size} entries`, { heads: [kept] });
    });
    const range = decoded(source, decodeRange, answer);
    await this.check(kept, range);
    await keepHead(source.client, range.head);
    return { entries: range.entries, size: range.head.size };
  }

  /** Checks a range, and moves on behind it. */
  async check(kept, { from, entries, head, edge: parts, consistency, rest }) {
    const { source, people, log } = this;
    if (from !== this.next || !equal(head.log, log)) throw source.lies("malformed", "another range than the one asked for");
    await people.checkHead(head);
    await checkContinues(source, people, kept, head, consistency);
    const { ended } = this;
    if (ended !== null && (head.size !== ended.size || !equal(head.size === 0n ? EMPTY_ROOT : head.root, ended.root))) {
      throw source.caught("fork_base", `the log has ${head.size} entries here, and its owners say that ${ended.size} went along, or others`);
    }
    if (this.edge === null && parts.length === 0) throw source.lies("malformed", "no edge");
    const before = this.edge ?? decoded(source, ([last, ...path]) => Edge.of(from, last, path), parts);
    const edges = [before];
    for (const { leaf } of entries) edges.push(edges.at(-1).with(leaf));
    const end = edges.at(-1);
    const fault = consistencyFault(end.size, end.root, head.size, head.root, rest);
    if (fault !== null) {
      const lie = source.lies("store_root", `the entries are not those of the head that the server signed (${fault})`);
      throw lie instanceof ProofFault ? await faultOf(source, people, log, lie.code, lie.message, { heads: [head], path: rest }) : lie;
    }
    if (entries.length === 0 && end.size < head.size) throw source.lies("malformed", "no entries although there are some");
    for (const entry of entries) {
      if (!equal(entry.header.log, log)) throw source.caught("malformed", "an entry of another log");
      await verifyEntry(entry, source.client.origin).catch(asFault(source.lies));
      await people.check(entry.header);
    }
    // Nothing is waited for from here on: what did not arrive whole is asked for again, and is no entry that was shown twice.
    entries.forEach((entry, i) => this.checkOrder(entry, edges[i]));
    [this.next, this.edge] = [end.size, end];
  }

  /** Refuses an entry that does not follow the one before it of its device, the key of those before it, or the tree that its device signed it to follow. */
  checkOrder({ header, leaf }, before) {
    const { device, lsn, prev, epoch, expect } = header;
    const last = this.lasts.get(hex(device));
    const follows = last === undefined ? !this.isWhole || lsn === 0n : lsn === last.lsn + 1n && equal(prev, last.leaf);
    if (!follows) throw this.source.caught("lsn_gap", `entry ${lsn} of a device of ${this.people.nameOf(header.author)} does not follow the one before it`);
    if (epoch < this.epoch) throw this.source.caught("epoch_conflict", `an entry under key ${epoch} stands behind one under key ${this.epoch}`);
    const isThere = expect === undefined || (expect[0] === before.size && equal(expect[1], before.root));
    if (!isThere) throw this.source.caught("head_mismatch", `entry ${before.size} was to stand at ${expect[0]} alone`);
    this.lasts.set(hex(device), { lsn, leaf });
    this.epoch = epoch;
  }
}

/** Checks that a head continues the one that is remembered, by its consistency path. */
export async function checkContinues(source, people, kept, head, path) {
  if (kept === null) return;
  if (head.size < kept.size) {
    const what = `the log has ${head.size} entries, and its server signed ${kept.size} before: it was rolled back`;
    throw await faultOf(source, people, head.log, "store_rollback", what, { heads: [head, kept] });
  }
  const fault = consistencyFault(kept.size, kept.size === 0n ? EMPTY_ROOT : kept.root, head.size, head.root, path);
  if (fault === null) return;
  throw await faultOf(source, people, head.log, "store_fork", `the log is not the one that its server signed before (${fault})`, { heads: [head, kept], path });
}

/** Runs a decoder over what whoever was asked handed on. */
export function decoded(source, decode, answer) {
  try {
    return decode(answer);
  } catch (error) {
    return asFault((code, what) => source.lies(code === "hash_mismatch" ? code : "malformed", what))(error);
  }
}

const asFault = (fault) => (error) => {
  throw error instanceof Refused ? fault(error.code, error.message) : error;
};
