// What pages write: every certificate of certificates.json, put together again from its fields and signed with the keys of the tests, is the same
// byte for byte; and every State comes back.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { encodeDidState, encodeNameState, encodePayload } from "../../dgns/web/canonical.js";
import { keptDevice, deviceToKeep, newDevice, signerOf } from "../../dgns/web/keys.js";
import { memoryStore } from "../../dgns/web/storage.js";
import * as dgns from "../../dgns/web/verify.js";
import { certify, genesis, labelHash, newLabel, placeBehind, postBody, signPayload } from "../../dgns/web/write.js";
import { keysOfWords, newWords, parseWords } from "../../dgns/web/words.js";

const { hex, unhex } = dgns;
const vectors = (name) => JSON.parse(readFileSync(new URL(`../vectors/${name}.json`, import.meta.url), "utf8")).cases;
const ORIGIN = "dgns.test/log";

test("certificates are written as the Rust package writes them", async (t) => {
  const signers = new Map();
  for (let number = 1; number < 100; number++) {
    const signer = await signerOf(new Uint8Array(32).fill(number));
    signers.set(hex(signer.key), signer);
  }
  const accepted = vectors("certificates").filter(({ out }) => out !== undefined);
  assert.ok(accepted.length >= 20);
  for (const { name, in: given, out } of accepted) {
    await t.test(name, async () => {
      const { payload, payloadBytes } = dgns.decodeCertificate(unhex(given.envelope));
      assert.equal(hex(encodePayload(payload)), hex(payloadBytes));
      const written = await signPayload(payload, given.origin, out.signers.map((key) => signers.get(key)));
      assert.equal(hex(written.bytes), given.envelope);
      assert.equal(hex(written.sid), out.sid);
    });
  }
});

test("states are spelled as they were decoded", () => {
  let states = 0;
  for (const { out } of vectors("resolutions")) {
    if (out?.did) assert.equal(hex(encodeDidState(dgns.decodeDidState(unhex(out.did)))), out.did);
    if (out?.name) assert.equal(hex(encodeNameState(dgns.decodeNameState(unhex(out.name)))), out.name);
    states += 1;
  }
  assert.ok(states > 10);
});

test("a newcomer's two certificates decode, are signed, and follow each other", async () => {
  const root = await keysOfWords(newWords());
  const device = await newDevice();
  const head = { size: 5n, root: new Uint8Array(32).fill(3) };
  const label = newLabel("kitchen laptop");
  const first = await genesis({ ...root, device, label: label.hash, head, nowMs: 1_800_000_000_999 }, ORIGIN);
  const claim = await certify(placeBehind(first, head), "claim", { name: "alice.dgns.test", road: 1, proof: new Uint8Array(8), bits: 3 }, [device.sign], { origin: ORIGIN, nowMs: 1_800_000_000_999 });
  const [a, b] = [first, claim].map(({ bytes }) => dgns.decodeCertificate(bytes));
  assert.equal(hex(first.did), hex(a.sid.subarray(0, 20)));
  assert.equal(hex(b.payload.prev), hex(a.sid));
  assert.deepEqual([a.payload.seen, b.payload.unixS], [[5n, head.root], 1_800_000_000n]);
  assert.deepEqual(a.payload.body.device.label, labelHash("kitchen laptop", label.nonce));
  await dgns.verifyCertificate(a, ORIGIN, [root.identity.key, device.sign.key]);
  await assert.rejects(dgns.verifyCertificate(b, "other.test/log", [device.sign.key]), { code: "bad_signature" });
  assert.ok(postBody([first, claim]).length > first.bytes.length + claim.bytes.length);
});

test("nothing is signed that a decoder would refuse", async () => {
  const device = await newDevice();
  const place = { did: new Uint8Array(20), seq: 1n, prev: new Uint8Array(32), head: null };
  const write = (type, body, by) => certify(place, type, body, [device.sign], { origin: ORIGIN, nowMs: 0, by });
  await assert.rejects(write("claim", { name: "Alice.dgns.test", road: 4 }), { code: "bad_name" });
  await assert.rejects(write("claim", { name: "alice.dgns.test", road: 1 }), { code: "bad_field" });
  await assert.rejects(write("policy", { windowS: 1n }, new Uint8Array(20)), { code: "bad_field" });
});

test("the secrets of a device and of words are no script's to read", async () => {
  const device = await newDevice();
  const { identity, wordsBox } = await keysOfWords(newWords());
  for (const { handle } of [device.sign, device.kex, identity, wordsBox]) {
    assert.equal(handle.extractable, false);
    await assert.rejects(crypto.subtle.exportKey("pkcs8", handle));
  }
  const again = keptDevice(structuredClone({ ...deviceToKeep(device) }));
  const message = unhex("2a");
  assert.ok(await dgns.verifyStrict(device.sign.key, message, await again.sign.sign(message)));
});

test("words that were mistyped are told apart", () => {
  const words = newWords();
  assert.equal(parseWords(`  ${words.toUpperCase()} `), words);
  for (const [text, code] of [["", "words_count"], [words.split(" ").slice(1).join(" "), "words_count"], [words.replace(/^\w+/, "xyzzy"), "words_unknown"]]) {
    assert.throws(() => parseWords(text), { code });
  }
});

test("a store lets one task at a time hold a key", async () => {
  const store = memoryStore();
  const steps = [];
  const task = (name) => async () => {
    steps.push(`${name} begins`);
    await Promise.resolve();
    steps.push(`${name} ends`);
  };
  await Promise.all([store.alone("x", task("a")), store.alone("x", async () => Promise.reject(new Error("b"))).catch(() => {}), store.alone("x", task("c"))]);
  assert.deepEqual(steps, ["a begins", "a ends", "c begins", "c ends"]);
});
