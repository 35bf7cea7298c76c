// Runners of the lobby's formats, and of those inside a channel.

import assert from "node:assert/strict";

import { encodeCard, openCard } from "../../dgns/web/lobby/card.js";
import { openCredential, signCredential } from "../../dgns/web/lobby/credential.js";
import { opened, sealed } from "../../dgns/web/lobby/envelope.js";
import { counts, decodeFrame, encodeFrame } from "../../dgns/web/lobby/frame.js";
import { SIDE, decodeHello, encodeHello, encodePeerHello, hop, openHello, peerChallenge, signHello, signPeerHello, verifyPeerHello } from "../../dgns/web/lobby/hello.js";
import { Contents, chunksOf, decodeSaid, encodeSaid, rootOfFile } from "../../dgns/web/lobby/share.js";
import { hex, unhex } from "../../dgns/web/hash.js";
import { signerOf } from "../../dgns/web/keys.js";
import { outcome } from "./outcome.mjs";

const signer = (seed) => signerOf(unhex(seed));

async function frame({ cbor, json, counts: expected, refused }) {
  // The other form is of programs of others; pages speak CBOR.
  if (cbor === undefined) return assert.equal(typeof json, "string");
  const found = await outcome(() => decodeFrame(unhex(cbor)));
  if (refused !== undefined) return assert.equal(found, refused);
  assert.equal(hex(encodeFrame(found)), cbor);
  assert.equal(counts(found), expected);
}

async function card({ seed, origin, kind, payload, envelope, payload_hash: hash, refused }) {
  const found = await outcome(() => openCard(unhex(envelope)));
  if (refused !== undefined) return assert.equal(found, refused);
  assert.equal(found.card.kind, kind);
  assert.equal(hex(encodeCard(found.card)), payload);
  assert.equal(hex(found.hash), hash);
  assert.equal(hex(await sealed("card", origin, unhex(payload), await signer(seed))), envelope);
  assert.ok(await found.isSigned(origin));
  assert.ok(!(await found.isSigned("other.test/log")));
}

async function hello({ seed, origin, payload, envelope, refused, before, message, after }) {
  if (message !== undefined) return assert.equal(hex(hop(unhex(before), unhex(message))), after);
  const found = await outcome(() => openHello(unhex(envelope)));
  if (refused !== undefined) return assert.equal(found, refused);
  assert.equal(hex(encodeHello(found)), payload);
  assert.deepEqual(decodeHello(unhex(payload)), found);
  assert.equal(hex(await signHello(found, origin, await signer(seed))), envelope);
}

async function peerHello({ seed, origin, offer, answer, challenge, side, payload, envelope, refused }) {
  const cards = [offer, answer].map((one) => openCard(unhex(one)));
  const { from: device, did } = cards[side === SIDE.client ? 0 : 1].card;
  const waited = { challenge: peerChallenge(...cards), side, device, did };
  const found = await outcome(() => verifyPeerHello(waited, unhex(envelope), origin));
  if (refused !== undefined) return assert.equal(found, refused);
  assert.equal(found, undefined);
  assert.equal(hex(waited.challenge), challenge);
  assert.equal(hex(encodePeerHello(waited)), payload);
  assert.equal(hex(await signPeerHello(waited, origin, await signer(seed))), envelope);
  assert.equal(await outcome(() => verifyPeerHello({ ...waited, side: 3 - side }, unhex(envelope), origin)), "bad_peer_hello");
  assert.equal(hex(opened(unhex(envelope), 1024).payload), payload);
}

async function message({ message: bytes, refused, sevens, ids, root }) {
  if (sevens !== undefined) return contents(new Uint8Array(sevens).fill(7), ids, root);
  const found = await outcome(() => decodeSaid(unhex(bytes)));
  if (refused !== undefined) return assert.equal(found, refused);
  assert.equal(hex(encodeSaid(found)), bytes);
}

async function credential({ seed, origin, nonce, token, grants, credential: bytes, refused }) {
  const device = await signer(seed);
  const found = await outcome(() => openCredential(unhex(bytes), unhex(nonce), origin, device.key));
  if (refused !== undefined) return assert.equal(found, refused);
  const shown = token ?? grants.map(unhex);
  assert.deepEqual(found, shown);
  assert.equal(hex(await signCredential(shown, unhex(nonce), origin, device)), bytes);
}

async function contents(bytes, ids, root) {
  const all = unhex(ids.join(""));
  assert.equal(hex(rootOfFile(BigInt(bytes.length), all)), root);
  const found = new Contents(BigInt(bytes.length), all, unhex(root));
  assert.equal(found.count, chunksOf(BigInt(bytes.length)));
  for (let i = 0; i < found.count; i++) {
    const chunk = bytes.slice(i * 65_536, i * 65_536 + found.lengthOf(i));
    assert.ok(await found.has(i, chunk));
    chunk[0] ^= 1;
    assert.ok(!(await found.has(i, chunk)));
  }
  assert.equal(await outcome(() => new Contents(BigInt(bytes.length) + 1n, all, unhex(root))), "hash_mismatch");
}

export const LOBBY = {
  "lobby_frames.json": frame, "lobby_cards.json": card, "lobby_hellos.json": hello, "peer_hellos.json": peerHello, "peer_messages.json": message,
  "lobby_credentials.json": credential,
};
