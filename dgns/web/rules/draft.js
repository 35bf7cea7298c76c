// The states a decision reads, and the changes it makes while it is being made.

import { encodeDidState } from "../canonical.js";
import { Refused } from "../cbor.js";
import { equal, hex } from "../hash.js";
import { didText } from "../name.js";
import { LIVE } from "../state.js";

const STATE_BYTES_MAX = 16384;
const WINDOW_FLOOR_DEFAULT_S = 86_400n;
const [NOTARY_ROLE, ZONE_ROLE] = [1, 2];
const ENDED = 8;

/**
 * The states of a log, or of a single DID. A leaf is `{headIndex, headHash, state}`; keys are names, the text of DIDs and the hex of aliases.
 *
 * With `chain`, the world knows one DID: what depends on other labels is taken for met, because the log took the certificate, and leaves no
 * trace in the DID's state (PROTOCOL 11.5). `chain.mayEnd` says whether a due tombstone takes effect, which names below decide.
 */
export class World {
  constructor(zone, { server = null, chain = null, leaves = new Map() } = {}) {
    Object.assign(this, { zone, server, chain, leaves });
  }

  leaf(key) {
    return this.leaves.get(key);
  }

  did(did) {
    return this.leaf(didText(did))?.state;
  }

  /** The authorities that ever signed for the zone, oldest first. */
  zoneAuthorities() {
    return this.authorities().filter(({ role, scope }) => role === ZONE_ROLE && scope === this.zone);
  }

  /** The notaries there ever were, oldest first. */
  notaries() {
    return this.authorities().filter(({ role }) => role === NOTARY_ROLE);
  }

  authorities() {
    const state = this.server === null ? undefined : this.did(this.server);
    return state === undefined || (state.flags & ENDED) !== 0 ? [] : state.authorities;
  }

  /** The newest unrevoked zone authority with the terms it set, or undefined (PROTOCOL 5.2). */
  terms() {
    const newest = this.zoneAuthorities().findLast(({ revokedAt }) => revokedAt === null);
    if (newest === undefined) return undefined;
    const [roads, workFloor, windowFloorS] = newest.terms;
    return { roads: Number(roads), workFloor, windowFloorS, key: newest.key };
  }

  /** The least window a DID may have, in seconds. */
  windowFloorS() {
    return this.chain ? 0n : (this.terms()?.windowFloorS ?? WINDOW_FLOOR_DEFAULT_S);
  }

  /** Returns this world after changes, `[key, leaf]` pairs. */
  with(changes) {
    const { zone, server, chain, leaves } = this;
    return new World(zone, { server, chain, leaves: new Map([...leaves, ...changes]) });
  }
}

/** States as they would be: those of the world, and over them the copies that a decision changed. */
export class Draft {
  constructor(world) {
    this.world = world;
    this.changed = new Map();
  }

  leaf(key) {
    return this.changed.get(key) ?? this.world.leaf(key);
  }

  did(did) {
    return this.leaf(didText(did))?.state;
  }

  name(name) {
    return this.leaf(name)?.state;
  }

  alias(alias) {
    return this.leaf(hex(alias))?.state;
  }

  /** The state of an alias, to be changed; made if there is none. The head of its leaf stays. */
  editAlias(alias) {
    const key = hex(alias);
    if (this.leaf(key) === undefined) {
      this.create(key, { version: 1n, alias, attested: [], breakerMs: 0n }, { index: 0n, sid: new Uint8Array(32) });
    }
    return this.edit(key).state;
  }

  /** The owner of a name if it is live. */
  owner(name) {
    const state = this.name(name);
    return state?.status === LIVE ? state.did : undefined;
  }

  /** The state of a DID that exists, to be changed; the first change raises its version. */
  editDid(did) {
    return this.edit(didText(did)).state;
  }

  /** The state of a name that exists, to be changed by `cause`, which becomes the head of its leaf; without one the head stays. */
  editName(name, cause) {
    if (cause) this.setHead(name, cause);
    return this.edit(name).state;
  }

  setHead(key, { index, sid }) {
    Object.assign(this.edit(key), { headIndex: index, headHash: sid });
  }

  edit(key) {
    if (!this.changed.has(key)) {
      const { headIndex, headHash, state } = this.world.leaf(key);
      this.changed.set(key, { headIndex, headHash, state: { ...copyOf(state), version: state.version + 1n } });
    }
    return this.changed.get(key);
  }

  create(key, state, { index, sid }) {
    this.changed.set(key, { headIndex: index, headHash: sid, state });
  }

  /** Whether a state outgrew its bound; only one with authorities can. */
  isOutgrown() {
    const large = ({ state }) => state.authorities?.length > 0 && encodeDidState(state).length > STATE_BYTES_MAX;
    return [...this.changed.values()].some(large);
  }

  /** Returns the changes, `[key, leaf]` pairs; refuses with `too_many` a state that outgrew its bound. */
  finish() {
    if (this.isOutgrown()) throw new Refused("too_many", "a state would be too large");
    return [...this.changed];
  }
}

/** A copy whose lists may be changed; bytes are never changed in place. */
function copyOf(state) {
  const copies = (list) => list.map((item) => ({ ...item }));
  if (state.attested !== undefined) return { ...state, attested: copies(state.attested) };
  if (state.devices === undefined) return { ...state };
  const pending = state.pending.map((act) => ({ ...act, supporters: [...act.supporters], opponents: [...act.opponents] }));
  return { ...state, devices: copies(state.devices), pending, names: [...state.names], authorities: copies(state.authorities) };
}

/** Returns whether a list of byte strings holds one. */
export const has = (list, bytes) => list.some((one) => equal(one, bytes));
