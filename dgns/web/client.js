// A small client for pages: one server, one pinned log, lookups that are verified before anything is shown, posts that end in a proof.
//
//   const client = await Client.open(location.origin, browserStore());
//   const found = await client.lookup("alice");            // throws ProofFault, Problem, NetworkError, Refused
//   found.summary                                            // "alice.example is proved present"
//   found.steps                                              // [{check, holds, by}]: what was proved, and by what
//   found.did.devices, found.records, found.pending          // the proved states themselves
//
// Nothing of an answer that failed a check is ever returned.

import { Refused } from "./cbor.js";
import { evidenceOfAnswer, proofOf } from "./evidence.js";
import { stepsOf, subjectText, summaryOf } from "./explain.js";
import { offered } from "./first.js";
import { equal, hex } from "./hash.js";
import { stateHash } from "./map.js";
import { heldAgainstLast } from "./last.js";
import { decodeMemory, emptyMemory, encodeMemory } from "./memory.js";
import { completeName, didText, parseDid } from "./name.js";
import { parseVerifierKey } from "./note.js";
import { formatPolicy, parsePolicy } from "./policy.js";
import { verifyResolution } from "./resolution.js";
import { followLogConfs } from "./rotation.js";
import { decodeDidState } from "./state.js";
import { NetworkError, Problem, net } from "./net.js";
import { postBody } from "./write.js";

/**
 * The server was caught: what it sent does not verify. `code` is of PROTOCOL 11.4 or 7.5; `bytes` is what it sent; `evidence` is
 * `{name, bytes, kind}`, a fault file (PROTOCOL 14.3), also kept in the store, or null.
 */
export class ProofFault extends Error {
  constructor(code, what, bytes) {
    super(what.startsWith(code) ? what : `${code}: ${what}`);
    this.code = code;
    this.bytes = bytes;
    this.evidence = null;
  }
}

export { NetworkError, Problem, Refused };

export class Client {
  /**
   * Returns the client of the server at `base`. The first time its log, key and policy are believed as it says, and pinned in `store`
   * (storage.js); ever after they are not asked again. `now` and `fetch` are those of the platform unless given.
   */
  static async open(base, store, { now = Date.now, fetch = (...asked) => globalThis.fetch(...asked) } = {}) {
    const client = new Client();
    Object.assign(client, { base: base.replace(/\/+$/, ""), store, now, net: net(base, fetch) });
    const origin = await store.get(`server/${client.base}`);
    client.pinned = origin === undefined ? await client.meet() : await store.get(`log/${origin}/trust`);
    return client;
  }

  /** The log's origin, and the zone of its names. */
  get origin() {
    return this.pinned.origin;
  }
  get zone() {
    return this.origin.replace(/\/log$/, "");
  }

  /** What is believed of the log, as `verifyResolution` takes it. */
  get trust() {
    const { origin, vkeys, policy, retired } = this.pinned;
    return { origin, zone: this.zone, logKeys: vkeys, policy, retired };
  }

  /** What the server says of itself; nothing in it is proved. */
  info() {
    return this.net.json("/v1/info");
  }

  /** Returns what `text` means here: `{name}`, completed with the zone, or `{did}`; refuses with `bad_name`, `bad_did`. */
  subject(text) {
    const typed = text.trim().toLowerCase();
    return typed.startsWith("did:") ? { did: parseDid(typed) } : { name: completeName(typed, this.zone) };
  }

  /**
   * Looks a name, DID or alias up (text, or `{name}`, `{did}`, `{alias}`, `{anchors: true}`), verifies the answer, follows the DID's chain and keeps the memory.
   *
   * `genesis: true` follows the DID from its genesis, unless that was done before; `whole: true` does it all the same, so that `chain` has every
   * certificate. Returns the result of `verifyResolution` with `summary`, `steps`, `subject` (text), `bytes`.
   */
  async lookup(text, { genesis = false, whole: isWhole = false } = {}) {
    const asked = typeof text === "string" ? this.subject(text) : text;
    return this.withMemory(async (memory) => {
      const found = await this.follow(memory, asked, knownOf(memory, asked));
      if (found.footing === null || !(isWhole || (genesis && found.footing !== "genesis"))) return found;
      delete memory.now.dids[hex(found.did.did)];
      const whole = await this.follow(memory, asked, `${didText(found.did.did).slice(9)}.0`);
      if (whole.footing !== "genesis") throw new ProofFault("chain", "the certificates shown do not begin with the genesis", found.bytes);
      return whole;
    });
  }

  /**
   * Posts certificates (write.js), all or none, and verifies that they are in the log. `text` = whom to show afterwards, as in `lookup`; the
   * answer itself is about the name of the last certificate that has one, else its DID.
   *
   * `attachments` = bytes that the certificates name by their hash. Returns `{indexes, found}`. A post that was not answered may be repeated:
   * the same bytes have the same answer.
   */
  async post(certificates, text, attachments = []) {
    const asked = subjectOfPost(certificates);
    const shown = text === undefined ? asked : typeof text === "string" ? this.subject(text) : text;
    return this.withMemory(async (memory) => {
      const body = postBody(certificates, attachments);
      const ask = () => {
        const query = [knownHead(memory), known(knownOf(memory, asked) ?? bornWith(certificates)), this.asksForWitnesses() ? ["wait=cosigned"] : []];
        return this.net.post(`/v1/certificates${queryText(query.flat())}`, body);
      };
      const found = await this.verified(memory, asked, ask);
      const isPosted = ({ certificate }, i) => equal(certificate.sid, certificates[i].sid);
      const inOrder = found.written.length === certificates.length && found.written.every(isPosted);
      if (!inOrder) throw new ProofFault("written", "the certificates posted are not those proved to be in the log", found.bytes);
      const indexes = found.written.map(({ index }) => index);
      const isWhole = found.footing !== "unfollowed" && subjectText(shown) === subjectText(asked);
      return { indexes, found: isWhole ? found : await this.follow(memory, shown, knownOf(memory, shown)) };
    });
  }

  /** Looks up until the chain of the DID shown is followed to its end; `chain` is all that was followed. Each answer must bring it further. */
  async follow(memory, asked, from) {
    for (const chain = []; ; ) {
      const path = pathOf(asked);
      const ask = () => {
        const query = [["with=certs"], knownHead(memory), known(from)];
        return this.net.get(`${path}${queryText(query.flat())}`).catch((error) => this.judgeRefusal(error, memory));
      };
      const found = await this.verified(memory, asked, ask);
      chain.push(...found.chain);
      if (found.footing !== "unfollowed") return { ...found, chain };
      const next = knownOf(memory, { did: found.did.did });
      if (next === from) throw new ProofFault("chain", "the server shows a state and not the certificates that made it", found.bytes);
      from = next;
    }
  }

  /** Asks, verifies the answer and keeps what it showed. */
  async verified(memory, asked, ask) {
    const before = memory.now;
    let bytes = await ask();
    try {
      let answer = await this.judged(memory, asked, bytes).catch((error) => this.afterFollowing(memory, error));
      if (answer === null) {
        // The way to the keys of now showed a newer head: what was asked is asked again, from there.
        bytes = await ask();
        answer = await this.judged(memory, asked, bytes);
      }
      const { resolved, memory: after } = answer;
      memory.now = after;
      await this.keep(memory);
      if (resolved.footing !== "unfollowed") {
        const evidence = await heldAgainstLast(this.store, this.trust, resolved, bytes);
        const what = `${subjectText(asked)} has an older state than it had, or another of the same version`;
        if (evidence !== null) throw await this.convicted(new ProofFault("rollback", what, bytes), evidence);
      }
      // What was asked is proved. If the newest keys cannot be learnt now, they are when they are needed.
      if (resolved.signedBy !== null && resolved.signedBy !== this.pinned.vkeys[0]) await this.followKeys(memory).catch(() => {});
      return { ...resolved, subject: subjectText(asked), summary: summaryOf(resolved), steps: stepsOf(resolved, this.trust), bytes };
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      const evidence = await evidenceOfAnswer(this.trust, error.code, subjectText(asked), bytes, before.head);
      throw await this.convicted(new ProofFault(error.code, error.message, bytes), evidence);
    }
  }

  judged(memory, asked, bytes) {
    return verifyResolution(this.trust, memory.now, asked, bytes, this.now());
  }

  /**
   * If no trusted key signed a head, the log's keys may have changed: they are followed, and null says that they could be. Else the refusal stands,
   * unless keys were replaced without a signature of ours (`repin`): then a person has to decide.
   */
  async afterFollowing(memory, refusal) {
    if (refusal.code !== "log_signature") throw refusal;
    try {
      await this.followKeys(memory);
      return null;
    } catch (error) {
      throw error.code === "repin" ? error : refusal;
    }
  }

  /** Follows the log from the keys that are pinned to those that sign now, and pins those (PROTOCOL 7.5). */
  async followKeys(memory) {
    const { size } = memory.now;
    const bytes = await this.net.get(`/v1/log/conf/chain${queryText(size === null ? [] : [`from=${size}`])}`);
    const { seq, vkeys, retired, memory: after } = await followLogConfs(this.trust, memory.now, this.pinned.confSeq, bytes, this.now());
    memory.now = after;
    // The keys first: a crash leaves a memory that is older than what is trusted, never one that nothing vouches for.
    await this.pin({ ...this.pinned, vkeys, retired, confSeq: seq });
    await this.keep(memory);
  }

  keep(memory) {
    return this.store.set(`log/${this.origin}/memory`, encodeMemory(memory.now));
  }

  async pin(pinned) {
    this.pinned = pinned;
    await this.store.set(`log/${pinned.origin}/trust`, pinned);
  }

  /** The first visit to a server. What is believed of its log may be known from another one: then this one's word counts for nothing. */
  async meet() {
    const offer = await offered(this.net, this.base).catch((error) => Promise.reject(asFault(error)));
    await this.pin((await this.store.get(`log/${offer.origin}/trust`)) ?? offer);
    await this.store.set(`server/${this.base}`, offer.origin);
    return this.pinned;
  }

  /**
   * Believes these log keys from now on (vkeys), and this policy if one is given: what a person decides who heard them by other means, at the
   * first visit or after keys were replaced without the old ones (`repin`). The memory stays: a head that contradicts it is still refused.
   */
  async trustKeys(vkeys, policy = this.pinned.policy) {
    const isOfLog = (vkey) => parseVerifierKey(vkey).name === this.origin;
    if (vkeys.length === 0 || !vkeys.every(isOfLog)) throw new Refused("bad_vkey", "not a key of this log");
    await this.pin({ ...this.pinned, vkeys: [...vkeys], policy: formatPolicy(parsePolicy(policy)), firstUse: false, confSeq: null });
  }

  /** Keeps the evidence of a fault, and hangs it on. */
  async convicted(fault, evidence) {
    fault.evidence = evidence;
    if (evidence !== null) await this.store.set(`log/${this.origin}/evidence/${evidence.name}`, evidence.bytes);
    return fault;
  }

  /** Returns the proof of what a lookup found, as a file that proves it offline (PROTOCOL 14.2). */
  proofFile(found) {
    return proofOf(this.trust, found.head, found, found.bytes);
  }

  /** A server that never had the head remembered runs a log that went back. */
  judgeRefusal(error, memory) {
    if (!(error instanceof Problem) || error.code !== "unknown_head") throw error;
    // No answer came with it that could be kept beside the head.
    throw new ProofFault("rollback", `the log is smaller than the head of ${memory.now.size} entries met before`);
  }

  /** Runs `task` with the memory in hand; lookups of one log run one after another, in all pages of this browser. */
  withMemory(task) {
    return this.store.alone(`log/${this.origin}`, async () => {
      const kept = await this.store.get(`log/${this.origin}/memory`);
      return task({ now: kept === undefined ? emptyMemory(this.origin) : decodeMemory(kept) });
    });
  }

  asksForWitnesses() {
    return parsePolicy(this.pinned.policy).quorum !== null;
  }
}

/** What a lookup says of the DID remembered, PROTOCOL 12.1 `known`; undefined if there is none. */
function knownOf({ now: { dids } }, { name, did }) {
  const states = did === undefined ? Object.values(dids) : [dids[hex(did)]].filter((one) => one !== undefined);
  const found = states.map(({ state }) => [state, decodeDidState(state)]).find(([, state]) => did !== undefined || state.names.includes(name));
  if (found === undefined) return undefined;
  const [bytes, state] = found;
  return `${didText(state.did).slice(9)}.${state.head.seq + 1n}.${hex(stateHash(bytes).subarray(0, 8))}`;
}

/** What a post says of a DID that begins with it: its chain is asked for from the genesis. */
function bornWith(certificates) {
  const born = certificates.find(({ payload }) => payload.typeName === "genesis");
  return born && `${didText(born.sid.subarray(0, 20)).slice(9)}.0`;
}

/** Whom the answer to a post is about (PROTOCOL 12.1). */
function subjectOfPost(certificates) {
  const name = certificates.map(({ payload }) => payload.body.name).findLast((one) => one !== undefined);
  const { payload, sid } = certificates[certificates.length - 1];
  return name === undefined ? { did: payload.subject ?? sid.subarray(0, 20) } : { name };
}

const asFault = (error) => (error instanceof Refused ? new ProofFault("malformed", error.message) : error);
function pathOf({ name, did, alias, anchors }) {
  if (anchors) return "/v1/log/anchors";
  if (alias !== undefined) return `/v1/aliases/${hex(alias)}`;
  return name === undefined ? `/v1/dids/${didText(did)}` : `/v1/names/${name}`;
}

const knownHead = ({ now: { size } }) => (size === null ? [] : [`from=${size}`]);
const known = (from) => (from === undefined ? [] : [`known=${from}`]);
const queryText = (parts) => (parts.length > 0 ? `?${parts.join("&")}` : "");
