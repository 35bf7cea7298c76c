// Runners of the vectors of sealed boxes, pairing and user keys: `(op, in)` -> what the case says comes out.

import { createHmac } from "node:crypto";

import { ascii, bigEndian, concat, hex, sha256, unhex } from "../../dgns/web/hash.js";
import { derive } from "../../dgns/web/kdf.js";
import { kexOf } from "../../dgns/web/keys.js";
import { didText } from "../../dgns/web/name.js";
import * as pair from "../../dgns/web/pair.js";
import { open, seal } from "../../dgns/web/sealed.js";
import * as user from "../../dgns/web/user_key.js";

/** Returns the ephemeral key of 32 bytes, as RFC 9180, 7.1.3 derives it. */
async function ephemeralOf(ikm) {
  const suite = concat(ascii("HPKE-v1"), ascii("KEM"), bigEndian(0x20, 2));
  const hmac = (key, ...parts) => createHmac("sha256", key).update(concat(...parts)).digest();
  const secret = hmac(new Uint8Array(0), suite, ascii("dkp_prk"), ikm);
  return kexOf(new Uint8Array(hmac(secret, bigEndian(32, 2), suite, ascii("sk"), Uint8Array.of(1))));
}

export const SEALED = {
  seal: async ({ recipient, info, aad, plaintext, ikm }) => {
    const { enc, ct } = await seal(unhex(recipient), unhex(info), unhex(aad), unhex(plaintext), await ephemeralOf(unhex(ikm)));
    return { enc: hex(enc), ct: hex(ct) };
  },
  open: async ({ secret, info, aad, enc, ct }) =>
    ({ plaintext: hex(await open(await kexOf(unhex(secret)), unhex(info), unhex(aad), { enc: unhex(enc), ct: unhex(ct) })) }),
};

export const PAIRING = {
  digits: ({ session, sign, kex, old, of_new, of_old }) => {
    const newcomer = { sign: unhex(sign), kex: unhex(kex) };
    return {
      commitment: hex(pair.commitment(unhex(session), newcomer, unhex(of_new))),
      digits: pair.digits(unhex(session), newcomer, unhex(old), unhex(of_new), unhex(of_old)),
    };
  },
  message: ({ bytes }) => {
    const message = pair.decodeMessage(unhex(bytes));
    return { number: message.number, bytes: hex(pair.encodeMessage(message)) };
  },
  secret: async ({ text }) => {
    const { secret, origin = null, did } = pair.parseInvitation(text);
    return { session: hex(pair.sessionOf(secret)), key: hex(await pair.relaySecret(secret)), origin, did: did === undefined ? null : didText(did) };
  },
  open: async ({ secret, by, sealed }) => ({ message: hex(await (await pair.relayKey(unhex(secret))).open(by, unhex(sealed))) }),
};

export const USER_KEYS = {
  key: async ({ seed }) => ({ secret: hex(await derive("user-key", unhex(seed))), public: hex((await user.userKeyOf(unhex(seed))).key) }),
  boxes: async ({ did, generation, user_key, recipients, boxes, secret }) => {
    const decoded = user.decodeBoxes(unhex(boxes));
    user.checkBoxes(decoded, generation, recipients.map(unhex));
    const seed = await user.openBoxes(decoded, unhex(did), generation, unhex(user_key), await kexOf(unhex(secret)));
    const previous = await user.openPrevious(decoded, unhex(did), generation, seed);
    return { hash: hex(sha256(unhex(boxes))), seed: hex(seed), previous: previous && hex(previous) };
  },
  file: async ({ seed, file }) => {
    const decoded = user.decodeFile(unhex(file));
    return { content: hex(await user.openFile(decoded, unhex(seed))), did: hex(decoded.did), generation: Number(decoded.generation) };
  },
};
