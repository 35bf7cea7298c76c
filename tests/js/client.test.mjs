// The client of the pages before logs that this file makes: the first contact, and every way to be caught. Against a real server: journey.mjs.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Client } from "../../dgns/web/client.js";
import { checkFault, decodeFault, encodeFault } from "../../dgns/web/fault.js";
import { concat } from "../../dgns/web/hash.js";
import { memoryStore } from "../../dgns/web/storage.js";
import * as dgns from "../../dgns/web/verify.js";
import { Log, ORIGIN, TIME_MS, certify, cborMap, consistencyPath, makeKey } from "./log.mjs";

const NAME = "alice.dgns.test";
const BASE = "http://dgns.test";
const SEEN = [0, dgns.sha256(new Uint8Array(0))];

/** A log in which alice owns her name, and a function that sets her name's state to a version. */
async function aliceLog(logKey) {
  const [identity, device] = await Promise.all([makeKey(), makeKey()]);
  const log = new Log(logKey);
  const kex = new Uint8Array(32).fill(9);
  const body = new Map([[1, 1], [2, identity.bytes], [3, kex], [4, [device.bytes, kex, 2, new Uint8Array(32)]]]);
  const genesis = await certify([[0, 1], [2, 0], [4, SEEN], [5, 1_700_000_000], [6, body]], [identity, device]);
  const { sid } = dgns.decodeCertificate(genesis);
  const did = sid.subarray(0, 20);
  log.append(concat(Uint8Array.of(1), genesis));
  const state = cborMap([
    [0, 1], [1, did], [2, 1], [4, [0, sid, 0]], [5, identity.bytes], [6, kex], [7, [[device.bytes, kex, 2, 1, 0, 0]]], [9, 259200], [12, [NAME]], [15, 0], [16, TIME_MS],
  ]);
  log.set(dgns.labelOfDid(did), { version: 1n, headIndex: 0n, headHash: sid, flags: 0 }, state);
  const setName = (version) =>
    log.set(dgns.labelOfName(NAME), { version: BigInt(version), headIndex: 0n, headHash: sid, flags: 0 }, cborMap([[0, version], [1, NAME], [2, did], [3, 1], [4, 0]]));
  setName(2);
  log.close();
  return { log, did, setName, labels: [[1, dgns.labelOfName(NAME)], [2, dgns.labelOfDid(did)]] };
}

/** A server of such a log: `serve.alice` may be replaced by another one's, `serve.bend` bends what it answers. */
function serverOf(alice) {
  const serve = { alice, bend: (bytes) => bytes, policy: undefined };
  const json = (value, status = 200) => new Response(JSON.stringify(value), { status });
  serve.fetch = async (url) => {
    const { pathname, searchParams } = new URL(url);
    const { log, labels } = serve.alice;
    if (pathname === "/v1/info") return json({ origin: ORIGIN, vkey: log.vkey });
    if (pathname === "/v1/log/policy") return serve.policy === undefined ? json({ code: "not_found", detail: "" }, 404) : new Response(serve.policy);
    if (pathname !== `/v1/names/${NAME}`) return json({ code: "not_found", detail: "no such path" }, 404);
    const from = Number(searchParams.get("from") ?? 0);
    if (from > log.leaves.length) return json({ code: "unknown_head", detail: "", checkpoint: "" }, 409);
    const path = from > 0 && from < log.leaves.length ? concat(...consistencyPath(from, log.leaves)) : undefined;
    return new Response(serve.bend(await log.resolve(NAME, labels, (fields) => path && fields.set(5, path))));
  };
  return serve;
}

const open = (serve, store = memoryStore()) => Client.open(BASE, store, { now: () => TIME_MS, fetch: serve.fetch });
const caught = (promise) => promise.then(() => assert.fail("it was believed"), (error) => error);

test("what is shown is what was proved, in words", async () => {
  const client = await open(serverOf(await aliceLog(await makeKey())));
  assert.equal(client.pinned.firstUse, true);
  const found = await client.lookup(" Alice ");
  assert.equal(found.summary, `${NAME} is proved present`);
  assert.deepEqual(found.steps.map(({ check }) => check), ["question", "signature", "witnesses", "time", "epoch", "map", "memory", "chain"]);
  assert.ok(found.steps.every(({ holds, by }) => holds.length > 10 && by.length > 5));
  const again = await client.lookup("alice");
  assert.deepEqual([again.continuity.kind, again.footing], ["same", "remembered"]);
  const file = await client.proofFile(again);
  assert.equal((await dgns.verifyProofBundle(client.trust, again.asked, file)).status, "present");
});

test("a server is believed the first time, if what it says fits together", async () => {
  const alice = await aliceLog(await makeKey());
  const stranger = dgns.formatVerifierKey({ name: ORIGIN, type: 1, key: (await makeKey()).bytes });
  const serve = serverOf(alice);
  for (const policy of [`log ${stranger}\nquorum none\n`, "quorum none\n", "nonsense\n", ""]) {
    serve.policy = policy;
    assert.equal((await caught(open(serve))).code, "malformed", policy);
  }
  serve.policy = `log ${alice.log.vkey} https://log.example/log\nquorum none\n`;
  const store = memoryStore();
  const first = await open(serve, store);
  await first.trustKeys([alice.log.vkey]);
  assert.equal(first.pinned.firstUse, false);
  await assert.rejects(first.trustKeys([stranger.replace("dgns.test", "other.test")]), { code: "bad_vkey" });
  // Another server of the same log: its word for keys counts for nothing.
  const other = await Client.open("http://elsewhere.test", store, { now: () => TIME_MS, fetch: serverOf(await aliceLog(await makeKey())).fetch });
  assert.deepEqual(other.trust.logKeys, [alice.log.vkey]);
  assert.equal((await caught(other.lookup("alice"))).code, "log_signature");
});

test("two histories of one size convict the log that signed them", async () => {
  const key = await makeKey();
  const serve = serverOf(await aliceLog(key));
  const store = memoryStore();
  const client = await open(serve, store);
  await client.lookup("alice");
  serve.alice = await aliceLog(key); // the same key, other people
  const fault = await caught(client.lookup("alice"));
  assert.deepEqual([fault.constructor.name, fault.code, fault.evidence.kind], ["ProofFault", "fork", "same-size"]);
  const conviction = await checkFault(decodeFault(fault.evidence.bytes));
  assert.equal(conviction.key, serve.alice.log.vkey);
  assert.deepEqual(await store.get(`log/${ORIGIN}/evidence/dgns.test-2-fork.fault`), fault.evidence.bytes);
  assert.equal((await caught(client.lookup("alice"))).code, "fork", "the memory is as it was");
});

test("a name that goes back under a head that goes on convicts the log", async () => {
  const serve = serverOf(await aliceLog(await makeKey()));
  const client = await open(serve);
  await client.lookup("alice");
  serve.alice.setName(5);
  serve.alice.log.close(TIME_MS + 1);
  assert.equal((await client.lookup("alice")).name.version, 5n);
  serve.alice.setName(4);
  serve.alice.log.close(TIME_MS + 2);
  const fault = await caught(client.lookup("alice"));
  assert.deepEqual([fault.code, fault.evidence.kind], ["rollback", "rollback"]);
  const { what } = await checkFault(decodeFault(fault.evidence.bytes));
  assert.equal(what, `${NAME} went back`);
  const { vkeys, parts } = decodeFault(fault.evidence.bytes);
  const check = (first, second) => checkFault({ vkeys, kind: "rollback", parts: { first, second } });
  await assert.rejects(check(parts.first, parts.first), { code: "no_contradiction" });
  await assert.rejects(check(parts.second, parts.first), { code: "fault_part" });
  await assert.rejects(check(parts.first, undefined), { code: "fault_part" });
  const bent = Uint8Array.from(parts.second);
  bent[bent.length - 10] ^= 1;
  await assert.rejects(check(parts.first, bent), { code: "fault_signature" });
  assert.deepEqual(decodeFault(encodeFault({ vkeys, kind: "rollback", parts })).parts, parts);
});

test("an older head, a shorter log, no proof that nothing was taken back: each is a fault with its evidence", async () => {
  const key = await makeKey();
  const serve = serverOf(await aliceLog(key));
  const client = await open(serve);
  let first;
  serve.bend = (bytes) => (first = bytes);
  await client.lookup("alice");
  serve.bend = (bytes) => bytes;
  serve.alice.log.close(TIME_MS + 1);
  serve.alice.log.close(TIME_MS + 2);
  serve.bend = (bytes) => {
    const flipped = Uint8Array.from(bytes);
    flipped[flipped.length - 1] ^= 1; // the last hash of the consistency proof
    return flipped;
  };
  const unproved = await caught(client.lookup("alice"));
  assert.deepEqual([unproved.code, unproved.evidence.kind], ["inconsistent", "answer"]);
  serve.bend = (bytes) => bytes;
  assert.equal((await client.lookup("alice")).continuity.kind, "extends");
  serve.bend = () => first;
  const older = await caught(client.lookup("alice"));
  assert.deepEqual([older.code, older.evidence.kind], ["rollback", "answer"]);
  await assert.rejects(checkFault(decodeFault(older.evidence.bytes)), { code: "proves_nothing" });
  assert.deepEqual(Object.keys(decodeFault(older.evidence.bytes).parts), ["code", "subject", "first", "second", "answer"]);
  serve.bend = (bytes) => bytes;
  serve.alice = await aliceLog(key);
  assert.equal((await caught(client.lookup("alice"))).code, "rollback", "a log smaller than the head remembered");
});

test("garbage is a fault, silence and refusals are none", async () => {
  const serve = serverOf(await aliceLog(await makeKey()));
  const client = await open(serve);
  serve.bend = () => new Uint8Array([0xa0]);
  const fault = await caught(client.lookup("alice"));
  assert.deepEqual([fault.constructor.name, fault.code, fault.evidence.kind], ["ProofFault", "malformed", "answer"]);
  serve.bend = () => new Uint8Array(2 << 20);
  assert.match((await caught(client.lookup("alice"))).message, /too large/);
  assert.equal((await caught(client.lookup("bob"))).constructor.name, "Problem");
  assert.equal((await caught(client.lookup("no name"))).code, "bad_name");
  serve.fetch = async () => Promise.reject(new TypeError("fetch failed"));
  const alone = await Client.open(BASE, memoryStore(), { fetch: (...asked) => serve.fetch(...asked) }).catch((error) => error);
  assert.deepEqual([alone.constructor.name, alone.code], ["NetworkError", "network"]);
});
