// What a page believes of cards, and how it writes and reads descriptions and signals.

import assert from "node:assert/strict";
import { test } from "node:test";

import { isAddress, mayBeTried } from "../../dgns/web/lobby/candidate.js";
import { KIND, signCard } from "../../dgns/web/lobby/card.js";
import { untilGone } from "../../dgns/web/lobby/follow.js";
import { Inbox, Outbox } from "../../dgns/web/lobby/delivery.js";
import { Talk } from "../../dgns/web/lobby/ledger.js";
import { ownCandidate, ownTransport, remoteDescription } from "../../dgns/web/lobby/sdp.js";
import { signerOf } from "../../dgns/web/keys.js";

const ORIGIN = "dgns.test/log";
const NOW_S = 1_800_000_000;
const bytes = (length, fill) => new Uint8Array(length).fill(fill);
const who = async (seed) => ({ signer: await signerOf(bytes(32, seed)), did: bytes(20, seed) });
const candidate = (address, kind = 0) => ({ kind, address, port: 5000, priority: 7 });
const TRANSPORT = { ufrag: "ufrg", pwd: "p".repeat(24), fingerprint: bytes(32, 0xab), candidates: [candidate("192.0.2.1")], last: true, messageMax: 16_384 };

/** A knock, and how to answer it: `says(by, change)` = a card of `by`, an answer but for `change`. */
async function scene() {
  const [client, host, other] = await Promise.all([1, 2, 3].map(who));
  const common = { sess: bytes(16, 7), seq: 0, expiresS: BigInt(NOW_S + 60) };
  const first = { ...common, kind: KIND.offer, from: client.signer.key, did: client.did, to: host.did, name: "db.alice.dgns.test", ...TRANSPORT };
  const offer = await signCard(first, ORIGIN, client.signer);
  const answer = { ...common, ...TRANSPORT, kind: KIND.answer, from: host.signer.key, did: host.did, to: client.signer.key, offer: offer.hash };
  const says = (by, change = {}, origin = ORIGIN) => signCard({ ...answer, from: by.signer.key, did: by.did, ...change }, origin, by.signer);
  const proved = { did: host.did, devices: [host.signer.key] };
  const talk = new Talk(offer, host.did);
  const take = (card, at = NOW_S, about = proved) => talk.take(card, about, ORIGIN, at).catch(({ code }) => code);
  return { client, host, other, offer, says, take, talk, proved };
}
const bare = { ufrag: undefined, pwd: undefined, fingerprint: undefined, candidates: undefined, last: undefined, messageMax: undefined };

test("an answer is believed only from a device that the log gives to the host, and every refusal has its code", async () => {
  const { client, host, other, says, take, proved } = await scene();
  const refused = [
    ["expired", await says(host, { expiresS: BigInt(NOW_S - 121) })],
    ["expired", await says(host, { expiresS: BigInt(NOW_S + 181) })],
    ["wrong_target", await says(host, { to: other.signer.key })],
    ["replayed", await says(host, { sess: bytes(16, 8) })],
    ["wrong_offer", await says(host, { offer: bytes(32, 9) })],
    ["replayed", await says(host, { kind: KIND.candidates, pwd: undefined, fingerprint: undefined, messageMax: undefined })],
    ["replayed", await says(host, { kind: KIND.restartAnswer })],
    ["not_host", await says(other)],
    ["not_host", await says(other, { did: host.did })],
    ["not_host", await says(client)],
    ["not_host", await says(other, { kind: KIND.deny, ...bare, code: "denied" })],
    ["bad_signature", await signCard((await says(host)).card, ORIGIN, other.signer)],
    ["bad_signature", await says(host, {}, "other.test/log")],
  ];
  for (const [code, card] of refused) assert.equal(await take(card), code);
  assert.equal(await take(await says(host), NOW_S, { ...proved, devices: [] }), "not_host", "a device that was revoked");
  assert.equal(await take(await says(host)), "answer", "what was refused changed nothing");
});

test("behind the answer the same device, certificate and no more than 32 candidates count, until the end", async () => {
  const { host, other, says, take, talk, proved } = await scene();
  assert.equal(await take(await says(host)), "answer");
  proved.devices.push(other.signer.key);
  const two = { ...other, did: host.did };
  const more = (by, change) => says(by, { kind: KIND.candidates, pwd: undefined, fingerprint: undefined, messageMax: undefined, seq: 1, ...change });
  assert.equal(await take(await more(two)), "wrong_sender", "another device of the same account");
  assert.equal(await take(await says(host, { kind: KIND.restartAnswer, fingerprint: bytes(32, 1) })), "fp_changed");
  const twelve = Array.from({ length: 12 }, (_, i) => candidate(`192.0.2.${i + 2}`));
  assert.equal(await take(await more(host, { candidates: twelve })), "more");
  assert.equal(await take(await more(host, { candidates: twelve })), "more");
  assert.equal(await take(await more(host, { candidates: twelve })), "too_many_candidates");
  assert.equal(await take(await says(host, { kind: KIND.restartAnswer, candidates: twelve })), "more", "counted anew");
  assert.equal(await take(await says(host, { kind: KIND.bye, ...bare, code: "done" })), "end");
  assert.equal(await take(await more(host)), "replayed", "nothing is open");
  assert.equal(talk.open, false);
});

test("addresses have one spelling, and nobody is sent to loopback or to everybody", () => {
  for (const wrong of ["", "localhost", "010.0.0.1", "1.2.3", "1.2.3.4.", "256.0.0.1", "::0001", "2001:DB8::1", "::ffff:c000:201", "[::1]", "fe80::1%eth0", "a.local", "5F0C9A77-D1E2-4344-8000-000000000000.local"]) {
    assert.ok(!isAddress(wrong), wrong);
  }
  for (const right of ["10.0.0.1", "2001:db8::1", "::", "::1", "::ffff:192.0.2.1", "5f0c9a77-d1e2-4344-8000-000000000000.local"]) assert.ok(isAddress(right), right);
  for (const never of ["0.0.0.0", "::", "224.0.0.1", "239.1.1.1", "ff02::1", "255.255.255.255", "::ffff:224.0.0.1"]) assert.ok(!mayBeTried(never, true), never);
  for (const own of ["127.0.0.1", "::1", "::ffff:127.0.0.1"]) assert.ok(!mayBeTried(own, false) && mayBeTried(own, true), own);
  assert.ok(mayBeTried("192.0.2.1", false) && mayBeTried("2001:db8::1", false) && !mayBeTried("5f0c9a77-d1e2-4344-8000-000000000000.local", true));
});

test("a description has one fingerprint and the lines of the template, and one's own is read again", () => {
  const transport = { ...TRANSPORT, candidates: [candidate("192.0.2.1"), candidate("127.0.0.1"), candidate("198.51.100.7", 3)] };
  const text = remoteDescription(transport, "active", 2, false);
  const expected = [
    "v=0", "o=- 1 2 IN IP4 0.0.0.0", "s=-", "t=0 0", "a=group:BUNDLE 0", "m=application 9 UDP/DTLS/SCTP webrtc-datachannel", "c=IN IP4 0.0.0.0", "a=mid:0", "a=ice-ufrag:ufrg",
    `a=ice-pwd:${"p".repeat(24)}`, "a=ice-options:trickle", `a=fingerprint:sha-256 ${Array(32).fill("AB").join(":")}`, "a=setup:active", "a=sctp-port:5000",
    "a=max-message-size:16384", "a=candidate:1 1 udp 7 192.0.2.1 5000 typ host", "a=candidate:1 1 udp 7 198.51.100.7 5000 typ relay raddr 0.0.0.0 rport 0", "",
  ];
  assert.deepEqual(text.split("\r\n"), expected);
  const { last: _, ...own } = transport;
  assert.deepEqual(ownTransport(remoteDescription(transport, "actpass", 1, true)), own);
  assert.equal(ownCandidate("a=candidate:1 2 udp 7 192.0.2.1 5000 typ host"), null, "another component");
  assert.equal(ownCandidate("a=candidate:1 1 tcp 7 192.0.2.1 9 typ host tcptype active"), null, "another protocol");
  assert.equal(ownCandidate("a=candidate:1 1 udp 7 host.example 5000 typ host"), null, "a name");
});

test("a signal is sent until it is acknowledged, and given up after ten seconds", () => {
  const outbox = new Outbox();
  const [knock, signal, sess] = [{ t: "knock" }, { t: "signal" }, bytes(16, 1)];
  outbox.post(sess, 0, knock, 0);
  outbox.post(sess, 1, signal, 0);
  assert.deepEqual(outbox.due(0).send, [knock, signal]);
  assert.deepEqual([outbox.due(249).send, outbox.next()], [[], 250]);
  outbox.answered(sess);
  assert.deepEqual(outbox.due(250).send, [signal], "an answer acknowledges a knock, and nothing else");
  const times = [750, 1750, 3750, 7750];
  for (const at of times) assert.deepEqual(outbox.due(at).send, [signal], String(at));
  assert.deepEqual(outbox.due(9999).send, []);
  outbox.again(9999);
  assert.deepEqual(outbox.due(9999).send, [signal], "another socket");
  assert.deepEqual(outbox.due(10_000), { send: [], expired: ["01".repeat(16)] });
  assert.equal(outbox.next(), null);
  outbox.post(sess, 2, signal, 0);
  outbox.acknowledged(sess, 2);
  outbox.post(sess, 3, signal, 0);
  outbox.forget(sess);
  assert.equal(outbox.next(), null);
});

test("a signal is taken once, in whatever order it comes", () => {
  const inbox = new Inbox();
  assert.deepEqual([0n, 0n, 2n, 1n, 1n, 66n, 2n, 3n, 3n, 200n, 136n, 137n].map((seq) => inbox.arrived(seq)), [true, false, true, true, false, true, false, true, false, true, false, true]);
});

test("whoever cannot be asked about for a minute does not count any more", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"], now: NOW_S * 1000 });
  t.mock.method(globalThis, "fetch", () => Promise.reject(new Error("no way there")));
  const did = bytes(20, 1);
  let asked = 0;
  const client = { base: "http://127.0.0.1:1", lookup: () => (asked++, Promise.reject(new Error("no way there"))) };
  const gone = untilGone(client, did, () => true, new AbortController().signal);
  let over = null;
  gone.then((why) => (over = why));
  const beganMs = Date.now();
  while (over === null && Date.now() - beganMs < 120_000) {
    t.mock.timers.tick(500);
    for (let turn = 0; turn < 20; turn++) await null;
  }
  assert.equal(over, "feed_stale");
  assert.ok(Date.now() - beganMs > 60_000 && Date.now() - beganMs < 70_000, `${Date.now() - beganMs} ms`);
  assert.ok(asked > 5);
});
