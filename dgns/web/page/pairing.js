// How a device comes to belong to an account: what the new one does, and what one of the account's own does (PROTOCOL 20).

import { decodeCertificate, encodeEnvelope, signedBytes } from "../certificate.js";
import { Refused } from "../cbor.js";
import { equal } from "../hash.js";
import { didText, kidOf } from "../name.js";
import { SIDE, commitment, digits, relayKey, sessionOf } from "../pair.js";
import { LEVEL, certify, newLabel, placeAfter, placeBehind } from "../write.js";
import { newDevice } from "../keys.js";
import { Ended, relayEnd } from "./relay.js";
import { openSeed, turnedKey } from "./user_keys.js";

const TRIES = 3;
/** How long a message that was told of may take to be read. */
const ASK_MS = 5_000;
const ENDED = { rejected: 1, wrongDigits: 2, used: 3, full: 4 };
const random = (length) => crypto.getRandomValues(new Uint8Array(length));

// --- the new device ------------------------------------------------------------------------------------------------------------

/**
 * Asks to belong to the account of `found` (a verified lookup). Calls `show(digits)` once there are any. `device` = keys made
 * before, if there are. Returns `{device, label, found}`
 * when it belongs, its certificate proved to be in the log.
 */
export async function askOnline(client, found, label, { device: made, show, signal }) {
  const [session, nonce] = [random(16), random(32)];
  const [device, named] = [made ?? (await newDevice()), newLabel(label)];
  const keys = { sign: device.sign.key, kex: device.kex.key };
  const end = relayEnd(client, session, { side: SIDE.new });
  const { did } = found.did;
  await end.say({ number: 1, did, ...keys, level: LEVEL.admin, label: named.hash, commitment: commitment(session, keys, nonce) }, didText(did));
  const answer = await end.hear([2], signal);
  await end.say({ number: 3, nonce });
  show(digits(session, keys, answer.sign, nonce, answer.nonce));
  return { device, label: named, found: await takeGrant(client, end, did, device, named, signal) };
}

/** As `askOnline`, with a secret that was carried by hand: there are no digits. `see(found)` is shown whose device this becomes. */
export async function askWithSecret(client, secret, label, { see, signal }) {
  const [device, named] = [await newDevice(), newLabel(label)];
  const end = relayEnd(client, sessionOf(secret), { side: SIDE.new, key: await relayKey(secret) });
  const { did } = await end.hear([7], signal);
  see(await client.lookup({ did }, { genesis: true }));
  await end.say({ number: 1, did, sign: device.sign.key, kex: device.kex.key, level: LEVEL.admin, label: named.hash, commitment: null });
  return { device, label: named, found: await takeGrant(client, end, did, device, named, signal) };
}

/** Waits for the grant, checks that it is what was asked for, adds this device's signature and posts it. */
async function takeGrant(client, end, did, device, label, signal) {
  let boxes;
  for (;;) {
    const heard = await end.hear([4, 5], signal);
    if (heard.number === 5) {
      boxes = heard.boxes;
      continue;
    }
    const found = await client.lookup({ did }, { genesis: true });
    const certificates = heard.envelopes.map(decodeCertificate);
    mustBeMine(certificates[0].payload, placeAfter(found), device, label);
    const [, turned] = certificates;
    if (turned !== undefined) await openSeed(boxes, { did, userKey: turned.payload.body }, device);
    const signed = [await withSignature(client, certificates[0], device), ...certificates.slice(1)];
    try {
      return (await client.post(signed, { did }, turned === undefined ? [] : [boxes])).found;
    } catch (error) {
      if (error.code !== "stale_prev") throw error; // another certificate came between: the old device grants again
    }
  }
}

/** Refuses a grant that is not for exactly this device, next in the chain that was proved. */
function mustBeMine({ typeName, subject, seq, prev, body }, place, device, label) {
  const mine = typeName === "device_add" && equal(body.device.sign, device.sign.key) && equal(body.device.kex, device.kex.key)
    && body.device.level === LEVEL.admin && equal(body.device.label, label.hash);
  if (!mine || !equal(subject, place.did) || seq !== place.seq || !equal(prev, place.prev)) throw new Refused("not_mine", "what was granted is not what was asked for");
}

async function withSignature(client, certificate, { sign }) {
  const signature = await sign.sign(signedBytes("cert", client.origin, certificate.payloadBytes));
  return { ...certificate, bytes: encodeEnvelope(certificate.payloadBytes, [...certificate.signatures, { kid: sign.kid, signature }]) };
}

// --- one of the account's own ----------------------------------------------------------------------------------------------------

/** Returns what waits at a session, if it asks to belong to `did`: message 1; null if nothing does any more. */
export async function readAsk(client, session, did) {
  const end = relayEnd(client, session, { side: SIDE.old });
  try {
    const ask = await end.hear([1], AbortSignal.timeout(ASK_MS));
    return equal(ask.did, did) && ask.commitment !== null && !end.isOver() ? { ask, end } : null;
  } catch (error) {
    if (error instanceof Ended || error.name === "TimeoutError" || error.code === "network") return null;
    throw error;
  }
}

/**
 * Answers a device that asks; returns `{check(typed)}`: whether the digits a person typed are those that both computed. The third wrong
 * ones end the pairing: `pair_digits`.
 */
export async function answer({ ask, end }, session, own) {
  const nonce = random(32);
  await end.say({ number: 2, sign: own.sign.key, nonce });
  const { nonce: revealed } = await end.hear([3]);
  const keys = { sign: ask.sign, kex: ask.kex };
  if (!equal(commitment(session, keys, revealed), ask.commitment)) throw new Refused("pair_commitment", "the new device changed its mind about its nonce");
  const right = digits(session, keys, own.sign.key, revealed, nonce);
  let tries = 0;
  return {
    check: async (typed) => {
      if (typed === right) return true;
      tries += 1;
      if (tries < TRIES) return false;
      await end.say({ number: 6, reason: ENDED.wrongDigits });
      throw new Ended(ENDED.wrongDigits);
    },
  };
}

/** Says no. */
export const reject = ({ end }) => end.say({ number: 6, reason: ENDED.rejected });

/** Makes the certificates that let the device in, and waits until it is proved to belong. Returns the account as it is then. */
export async function letIn(client, record, { ask, end }, own, signal) {
  const kid = kidOf(ask.sign);
  const has = ({ did }) => did.devices.some((device) => equal(kidOf(device.sign), kid));
  let granted = null;
  for (;;) {
    signal?.throwIfAborted();
    const found = await client.lookup({ did: record.did }, { genesis: true });
    if (has(found)) return found;
    if (granted === null || found.did.head.seq !== granted) {
      granted = found.did.head.seq;
      const body = { device: { sign: ask.sign, kex: ask.kex, level: ask.level, label: ask.label } };
      const how = { origin: client.origin, nowMs: client.now() };
      const added = await certify(placeAfter(found), "device_add", body, [own.sign], how);
      const envelopes = [added.bytes];
      const turned = await turnedKey(client, record, found, own, [ask.kex]).catch(notOpened);
      if (turned !== null) {
        await end.say({ number: 5, boxes: turned.boxes });
        const place = placeBehind({ did: record.did, sid: added.sid, payload: added.payload }, { size: found.size, root: found.root });
        envelopes.push((await certify(place, "user_key", turned.body, [own.sign], how)).bytes);
      }
      await end.say({ number: 4, envelopes });
    }
    await new Promise((done) => setTimeout(done, 500));
  }
}

/** This device cannot open the user key that is there: the new one waits for a device that can. */
function notOpened(error) {
  if (["no_box", "wrong_seed", "bad_boxes", "not_found"].includes(error.code)) return null;
  throw error;
}

/** Offers a secret to be carried by hand; lets the first device in that knows it. Returns `{secret, done}`. */
export function offerSecret(client, record, own, signal) {
  const secret = random(16);
  const done = (async () => {
    const end = relayEnd(client, sessionOf(secret), { side: SIDE.old, key: await relayKey(secret) });
    await end.say({ number: 7, did: record.did });
    const ask = await end.hear([1], signal);
    if (!equal(ask.did, record.did)) throw new Refused("pair_commitment", "it asks for another account");
    return letIn(client, record, { ask, end }, own, signal);
  })();
  return { secret, done };
}
