// verifyResolution against a log that this file makes by the definitions: every code, and every flipped byte.

import assert from "node:assert/strict";
import { test } from "node:test";

import { base64, bigEndian, concat } from "../../dgns/web/hash.js";
import * as dgns from "../../dgns/web/verify.js";
import { Log, TIME_MS, certify, consistencyPath, cborMap, makeKey } from "./log.mjs";

const NAME = "alice.dgns.test";
const SEEN = [0, dgns.sha256(new Uint8Array(0))];

/** Returns a log in which alice's DID owns her name, with 60 other labels, and what she is. */
async function aliceLog({ flags = 0, status = 1 } = {}) {
  const [logKey, identity, device] = await Promise.all([makeKey(), makeKey(), makeKey()]);
  const log = new Log(logKey);
  const genesis = await certify([
    [0, 1], [2, 0], [4, SEEN], [5, 1_700_000_000],
    [6, new Map([[1, 1], [2, identity.bytes], [3, new Uint8Array(32).fill(7)], [4, [device.bytes, new Uint8Array(32).fill(9), 2, new Uint8Array(32)]]])],
  ], [identity, device]);
  const { sid } = dgns.decodeCertificate(genesis);
  const did = sid.subarray(0, 20);
  log.append(concat(Uint8Array.of(1), genesis));
  for (let i = 1; i <= 60; i++) {
    const headHash = dgns.sha256(Uint8Array.of(i));
    log.set(headHash, { version: 1n, headIndex: 0n, headHash, flags: 0 }, new Uint8Array(0));
  }
  const didState = cborMap([
    [0, 1], [1, did], [2, 1], [3, flags || undefined], [4, [0, sid, 0]], [5, identity.bytes], [6, new Uint8Array(32).fill(7)],
    [7, [[device.bytes, new Uint8Array(32).fill(9), 2, 1, 0, 0]]], [9, 259200], [12, status === 1 ? [NAME] : undefined], [15, 0], [16, TIME_MS],
  ]);
  const nameState = cborMap([[0, 2], [1, NAME], [2, status === 3 ? undefined : did], [3, status], [4, 0], [5, status === 2 ? TIME_MS + 1 : undefined]]);
  log.set(dgns.labelOfDid(did), { version: 1n, headIndex: 0n, headHash: sid, flags }, didState);
  log.set(dgns.labelOfName(NAME), { version: 2n, headIndex: 0n, headHash: sid, flags: status === 2 ? 256 : status === 3 ? 4096 : 0 }, nameState);
  log.close();
  const trust = { origin: "dgns.test/log", zone: "dgns.test", logKeys: [log.vkey] };
  return { log, did, trust, genesis, labels: [[1, dgns.labelOfName(NAME)], [2, dgns.labelOfDid(did)]] };
}

const verify = (trust, bytes, { memory = null, subject = { name: NAME }, now = TIME_MS } = {}) =>
  dgns.verifyResolution(trust, memory, subject, bytes, now);

const codeOf = (promise) => promise.then(() => null, (error) => error.code ?? Promise.reject(error));

test("a present name, a DID and an absent name are proved", async () => {
  const { log, did, trust, labels } = await aliceLog();
  const { resolved, memory } = await verify(trust, await log.resolve(NAME, labels));
  assert.deepEqual([resolved.status, resolved.frozen], ["present", false]);
  assert.deepEqual(resolved.did.did, did);
  assert.equal(memory.size, 2n);
  const alone = await verify(trust, await log.resolve(did, [labels[1]]), { subject: { did } });
  assert.equal(alone.resolved.status, "present");
  const bob = "bob.dgns.test";
  const absent = await verify(trust, await log.resolve(bob, [[1, dgns.labelOfName(bob)]]), { subject: { name: bob } });
  assert.equal(absent.resolved.status, "absent");
});

test("held, free and frozen are told", async () => {
  const held = await aliceLog({ status: 2 });
  assert.equal((await verify(held.trust, await held.log.resolve(NAME, held.labels))).resolved.status, "held");
  const free = await aliceLog({ status: 3 });
  assert.equal((await verify(free.trust, await free.log.resolve(NAME, free.labels.slice(0, 1)))).resolved.status, "absent");
  assert.equal(await codeOf(verify(free.trust, await free.log.resolve(NAME, free.labels))), "binding");
  const frozen = await aliceLog({ flags: 1 });
  assert.equal((await verify(frozen.trust, await frozen.log.resolve(NAME, frozen.labels))).resolved.frozen, true);
});

test("each failure has its code", async () => {
  const { log, did, trust, labels, genesis } = await aliceLog();
  const stranger = await makeKey();
  const other = "bob.dgns.test";
  const cases = [
    ["malformed", (f) => f.set(0, 2)],
    ["malformed", (f) => f.set(9, 1)],
    ["malformed", (f) => f.set(4, f.get(4).subarray(1))],
    ["subject", (f) => f.set(1, other)],
    ["subject", (f) => f.set(1, did)],
    ["log_signature", (f) => (f.get(2)[50] ^= 1)],
    ["binding", (f) => (f.get(3)[1][0] = 4)],
    ["map_proof", (f) => (f.get(4)[f.get(4).length - 1] ^= 1)],
    ["map_proof", (f) => (f.get(3)[0][1] = concat(f.get(3)[0][1].subarray(0, 51), Uint8Array.of(1)))],
    ["value", (f) => (f.get(3)[0][2] = null)],
    ["value", (f) => f.set(8, [genesis])],
    ["binding", (f) => (f.get(3)[1][1] = f.get(3)[1][2] = null)],
    ["malformed", (f) => f.set(5, new Uint8Array(0))],
    ["inconsistent", (f) => f.set(5, new Uint8Array(32))],
    ["written", (f) => f.set(6, [[0, new Uint8Array(32), genesis]])],
  ];
  for (const [code, change] of cases) {
    assert.equal(await codeOf(verify(trust, await log.resolve(NAME, labels, change))), code, `${code}: ${change}`);
  }
  const bytes = await log.resolve(NAME, labels);
  assert.equal(await codeOf(verify({ ...trust, logKeys: [dgns.formatVerifierKey({ name: trust.origin, type: 1, key: stranger.bytes })] }, bytes)), "log_signature");
  assert.equal(await codeOf(verify(trust, bytes, { now: TIME_MS + 300_000 })), null);
  assert.equal(await codeOf(verify(trust, bytes, { now: TIME_MS + 300_001 })), "stale_head");
  assert.equal(await codeOf(verify(trust, bytes, { now: TIME_MS - 300_001 })), "time_bound");
  const fewer = await log.resolve(NAME, labels.slice(0, 1));
  assert.equal(await codeOf(verify(trust, fewer)), "binding");
});

test("a head that does not end in its Epoch is refused", async () => {
  const { log, trust, labels } = await aliceLog();
  log.close(TIME_MS, (entry) => entry.map((byte, i) => (i === 16 ? byte + 1 : byte)));
  assert.equal(await codeOf(verify(trust, await log.resolve(NAME, labels))), "epoch");
  log.close(TIME_MS, (entry) => concat(entry, Uint8Array.of(0)));
  assert.equal(await codeOf(verify(trust, await log.resolve(NAME, labels))), "epoch");
  log.close();
  log.epochEntry = Uint8Array.from(log.epochEntry, (byte, i) => (i === 24 ? byte ^ 1 : byte));
  assert.equal(await codeOf(verify(trust, await log.resolve(NAME, labels))), "last_leaf");
});

test("memory: forward with proof, never back, never aside", async () => {
  const { log, trust, labels } = await aliceLog();
  const first = await log.resolve(NAME, labels);
  const { memory } = await verify(trust, first);
  assert.equal(await codeOf(verify(trust, first, { memory })), null);
  const warm = await log.resolve(NAME, labels, (f) => f.delete(2));
  assert.equal(await codeOf(verify(trust, warm, { memory })), null);
  assert.equal(await codeOf(verify(trust, warm)), "malformed");
  log.close(TIME_MS + 1);
  log.close(TIME_MS + 2);
  const path = concat(...consistencyPath(2, log.leaves));
  assert.equal(await codeOf(verify(trust, await log.resolve(NAME, labels, (f) => f.set(5, path)), { memory })), null);
  assert.equal(await codeOf(verify(trust, await log.resolve(NAME, labels), { memory })), "inconsistent");
  const later = await verify(trust, await log.resolve(NAME, labels));
  assert.equal(await codeOf(verify(trust, first, { memory: later.memory })), "rollback");
  assert.equal(await codeOf(verify(trust, first, { memory: { ...memory, head: later.memory.head, root: new Uint8Array(32) } })), "fork");
  assert.equal(await codeOf(verify(trust, first, { memory: { ...memory, origin: "x.test/log" } })), "origin");
  const kept = await log.resolve(NAME, labels, (f) => (f.get(3)[1][2] = null));
  assert.equal(await codeOf(verify(trust, kept, { memory: later.memory })), null);
});

test("a flipped bit anywhere in a Resolution is refused by name", async () => {
  const { log, trust, labels } = await aliceLog();
  const bytes = await log.resolve(NAME, labels);
  const codes = new Set();
  for (let at = 0; at < bytes.length; at++) {
    const flipped = Uint8Array.from(bytes);
    flipped[at] ^= 1 << at % 8;
    const code = await codeOf(verify(trust, flipped));
    assert.ok(code !== null, `byte ${at} of ${bytes.length}`);
    codes.add(code);
  }
  for (const code of ["malformed", "subject", "log_signature", "map_proof"]) assert.ok(codes.has(code), code);
});

test("a proof bundle is proved offline at any age, and no altered line", async () => {
  const { log, trust, labels } = await aliceLog();
  const resolution = await log.resolve(NAME, labels, (f) => f.delete(2));
  const head = dgns.decodeHead(await log.head());
  const extra = concat(bigEndian(head.epochEntry.length, 2), head.epochEntry, resolution);
  const note = `${dgns.checkpointText(trust.origin, head.size, head.root)}\n` +
    `\u2014 ${trust.origin} ${base64(concat(dgns.parseVerifierKey(log.vkey).id, head.signature))}\n`;
  const file = (index = head.size - 1n) =>
    ["c2sp.org/tlog-proof@v1", `extra ${base64(extra)}`, `index ${index}`, ...head.path.map(base64), "", note].join("\n");
  const run = (text) => dgns.verifyProofBundle(trust, { name: NAME }, new TextEncoder().encode(text));
  const proved = await run(file());
  assert.deepEqual([proved.status, proved.epochMs], ["present", BigInt(TIME_MS)]);
  assert.equal(await codeOf(run(file(0n))), "last_leaf");
  assert.equal(await codeOf(run(file().replace("@v1", "@v2"))), "bad_proof_file");
  assert.equal(await codeOf(run(file().replace("index ", "index 0"))), "bad_proof_file");
  assert.equal(await codeOf(run(file().replace(`\n${head.size}\n`, `\n${head.size + 1n}\n`))), "bad_note_signature");
  assert.equal(await codeOf(run(file().replace(`${base64(head.path[0])}\n`, ""))), "last_leaf");
  assert.equal(await codeOf(dgns.verifyProofBundle(trust, { name: "bob.dgns.test" }, new TextEncoder().encode(file()))), "subject");
});

test("a cold answer is verified in 10 ms", async () => {
  const { log, trust, labels } = await aliceLog();
  const bytes = await log.resolve(NAME, labels);
  for (let i = 0; i < 20; i++) await verify(trust, bytes);
  const started = performance.now();
  for (let i = 0; i < 20; i++) await verify(trust, bytes);
  const eachMs = (performance.now() - started) / 20;
  assert.ok(eachMs <= 10, `${eachMs.toFixed(1)} ms`);
});
