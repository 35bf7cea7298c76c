// One DID followed by its own certificates: what a reader can judge who has the chain and nothing else (PROTOCOL 11.5).

import { encodeDidState } from "../canonical.js";
import { Refused } from "../cbor.js";
import { verifyCertificate } from "../certificate.js";
import { equal } from "../hash.js";
import { didText } from "../name.js";
import { apply, candidates, chainOf } from "../rules.js";
import { World } from "./draft.js";
import { settle } from "./settle.js";

const ENDED = 8;

/**
 * A DID's state as its certificates, and what fell due between them, have made it: judged by the same `apply` and `settle` as in the log, in
 * a world of that DID alone. Its names and its version depend on others and are not followed.
 */
export class Chain {
  /** The chain of `did` in the log of `origin`, after `state`; null: before its genesis. */
  constructor(origin, did, state = null) {
    Object.assign(this, { origin, zone: origin.replace(/\/log$/, ""), did, key: didText(did), settledBy: null });
    this.leaf = state === null ? undefined : { headIndex: state.head.index, headHash: state.head.sid, state };
  }

  /** The state so far; undefined before the genesis. */
  get state() {
    return this.leaf?.state;
  }

  /**
   * Settles what was due when Epoch `k`, at `epochMs`, closed the batch of this certificate, checks its signatures strictly, and judges it at
   * `index`. Signatures of other parties to a claim, transfer, alias_bind or recover_open are left out: their keys are not the
   * chain's. Refuses with a
   * code of PROTOCOL 4.6.
   */
  async follow(certificate, k, { index, epochMs }) {
    const { payload } = certificate;
    const isNext = equal(chainOf(certificate), this.did) && (this.state === undefined || this.state.head.index < index);
    if (!isNext) throw new Refused("stale_prev");
    if (this.settledBy !== k) {
      while (this.settleOne(epochMs, false));
      this.settledBy = k;
    }
    const world = this.world(false);
    const hasOthers = ["claim", "alias_bind", "recover_open"].includes(payload.typeName);
    const oneParty = hasOthers || (payload.typeName === "transfer" && payload.body.to !== undefined);
    const signed = await verifyCertificate(certificate, this.origin, candidates(world, certificate), { oneParty });
    this.take(apply(world, certificate, signed, { index, epochMs }));
  }

  /**
   * Returns whether the log may show `shown` under Epoch `k`, at `epochMs`, if this chain is whole. Whether a due tombstone took effect
   * rests on names below the DID's own; `shown` says which, and must fit.
   */
  leadsTo(shown, k, epochMs) {
    const isSettled = this.settledBy === k;
    const chain = this.copy();
    for (;;) {
      const last = chain.copy();
      while (!isSettled && last.settleOne(epochMs, true));
      if (last.state !== undefined && isShownAs(last.state, shown)) return true;
      // Perhaps the earliest tombstone died, and a later one, or none, took effect.
      if (isSettled || !chain.settleOne(epochMs, false)) return false;
    }
  }

  copy() {
    return Object.assign(Object.create(Chain.prototype), this);
  }

  /** Settles the earliest due; returns whether there was one. */
  settleOne(epochMs, mayEnd) {
    return this.leaf !== undefined && this.take(settle(this.world(mayEnd), this.key, epochMs));
  }

  take(changes) {
    const own = changes.find(([key]) => key === this.key);
    if (own !== undefined) this.leaf = own[1];
    return own !== undefined;
  }

  world(mayEnd) {
    const leaves = new Map(this.leaf === undefined ? [] : [[this.key, this.leaf]]);
    return new World(this.zone, { chain: { mayEnd }, leaves });
  }
}

/** Whether the log may show a state that was followed as `shown`: equal but for what others change. */
function isShownAs(followed, shown) {
  let { devices } = followed;
  if ((shown.flags & ENDED) !== 0) {
    // A tombstone that ends a quarrel lets probations begin anew at its Epoch, whose time the chain does not tell.
    devices = devices.map((device, i) => ({ ...device, status: shown.devices[i]?.status ?? 0, untilMs: shown.devices[i]?.untilMs ?? 0n }));
  }
  const expected = { ...followed, devices, version: shown.version, names: shown.names };
  return followed.version <= shown.version && equal(encodeDidState(expected), encodeDidState(shown));
}
