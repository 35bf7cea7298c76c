// Who signed, and how strong that is (PROTOCOL 5.1).

import { Refused } from "../cbor.js";
import { compare, equal } from "../hash.js";
import { kidOf } from "../name.js";
import { has } from "./draft.js";

const STALE = 2;
/** Powers, ascending. */
export const [VOTER, MAJORITY, IDENTITY] = [1, 2, 3];
/** Levels and statuses of devices. */
export const [MEMBER, ADMIN, SERVICE] = [1, 2, 3];
export const [DEVICE_LIVE, FRESH, SUSPENDED] = [1, 2, 3];

/** A device that may vote: of level 2, live, past probation. */
const isVoter = ({ level, status }) => level === ADMIN && status === DEVICE_LIVE;
/** Whether a device is among those a majority is of: suspended ones too. */
export const counts = ({ level, status }) => level === ADMIN && status !== FRESH;

/** Returns the device with this kid. */
export const deviceOf = (state, kid) => state.devices.find(({ sign }) => equal(kidOf(sign), kid));

/** The signers of a certificate as one DID knows them: its identity key, and those of its devices that signed. */
export class Signers {
  constructor(state, signed) {
    this.identity = has(signed, state.identity);
    this.identityKid = kidOf(state.identity);
    this.keys = state.devices.map(({ sign }) => sign).filter((key) => has(signed, key));
  }

  hasKid(kid) {
    return this.keys.some((key) => equal(kidOf(key), kid)) || (this.identity && equal(this.identityKid, kid));
  }

  devicesIn(state) {
    return state.devices.filter(({ sign }) => has(this.keys, sign));
  }

  /** The kids that have a voice: the identity key first, then voters and `parties`, ascending. */
  voices(state, parties = []) {
    const kids = this.devicesIn(state).filter((device) => isVoter(device) || has(parties, kidOf(device.sign))).map(({ sign }) => kidOf(sign));
    kids.sort(compare);
    return this.identity ? [this.identityKid, ...kids] : kids;
  }

  /** Whether a suspended device signed that is none of `parties`. */
  anySuspended(state, parties = []) {
    return this.devicesIn(state).some(({ status, sign }) => status === SUSPENDED && !has(parties, kidOf(sign)));
  }

  voters(state) {
    return this.devicesIn(state).filter(isVoter).length;
  }

  /** Returns the power of the signers, or 0. */
  power(state) {
    return powerOf(this.identity, this.voters(state), state);
  }
}

/** Returns the power of one side of an act: its voters and, suspended as they may be, the `parties` of a quarrel. */
export function powerOfSide(side, parties, state) {
  const speaks = (device) => isVoter(device) || (counts(device) && has(parties, kidOf(device.sign)));
  const voices = state.devices.filter((device) => speaks(device) && has(side, kidOf(device.sign))).length;
  return powerOf(has(side, kidOf(state.identity)), voices, state);
}

function powerOf(identity, voters, state) {
  if (identity) return IDENTITY;
  if (voters === 0) return 0;
  return voters >= 2 && 2 * voters > state.devices.filter(counts).length ? MAJORITY : VOTER;
}

/** Notes that somebody who knows the user key has lost his place, if there is a key. */
export function userKeyIsStale(state) {
  if (state.userKey !== undefined) state.flags |= STALE;
}

/** Refuses to take the power of a device away if no voter would be left; the identity key may. */
export function mustLeaveAnAdmin(state, target, power) {
  const others = state.devices.some((device) => isVoter(device) && !equal(device.sign, target.sign));
  if (counts(target) && !others && power < IDENTITY) throw new Refused("last_device");
}
