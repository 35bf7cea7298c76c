// Recovery in the page beyond the vectors: Argon2id against its makers' cases, PINs, what is dealt here, what is sealed.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";

import { argon2id, blake2b } from "../../dgns/web/argon2.js";
import { ascii, concat, equal, hex } from "../../dgns/web/hash.js";
import { kexOf } from "../../dgns/web/keys.js";
import { blinded } from "../../dgns/web/oprf.js";
import { combined, combinedKey, dealtKey, outputUnder } from "../../dgns/web/oprf_threshold.js";
import { choosePin, drawnWords, possible, readPin } from "../../dgns/web/pin.js";
import { backupOf, openBackup } from "../../dgns/web/recovery.js";
import { ProofFault } from "../../dgns/web/client.js";
import { askEach, together } from "../../dgns/web/page/recovery_servers.js";
import { ASK, openShare, sealAsk } from "../../dgns/web/recovery_message.js";
import { decodeElement, encodeElement } from "../../dgns/web/ristretto.js";
import { littleEndian, multiply } from "../../dgns/web/edwards.js";
import { open, seal } from "../../dgns/web/sealed.js";
import { split } from "../../dgns/web/shamir.js";
import { encode, Reader } from "../../dgns/web/cbor.js";

const filled = (length, byte) => new Uint8Array(length).fill(byte);
const SCOPE = { did: filled(20, 0xd1), epoch: 3 };

test("BLAKE2b is that of the platform, at every edge of its blocks", () => {
  for (const length of [0, 1, 63, 64, 127, 128, 129, 255, 256, 300]) {
    const input = Uint8Array.from({ length }, (_, i) => i * 7);
    assert.equal(hex(blake2b(64, input)), createHash("blake2b512").update(input).digest("hex"), `${length} bytes`);
  }
});

test("Argon2id is that of RFC 9106, and of its makers", () => {
  // RFC 9106, 5.3.
  const more = { key: filled(8, 3), data: filled(12, 4) };
  assert.equal(hex(argon2id(filled(32, 1), filled(16, 2), [32, 3, 4], 32, more)), "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659");
  // The test program of the reference implementation (phc-winner-argon2, src/test.c, version 0x13).
  const cases = [
    [[65_536, 2, 1], "password", "somesalt", "09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7"],
    [[256, 2, 1], "password", "somesalt", "9dfeb910e80bad0311fee20f9c0e2b12c17987b4cac90c2ef54d5b3021c68bfe"],
    [[256, 2, 2], "password", "somesalt", "6d093c501fd5999645e0ea3bf620d7b8be7fd2db59c20d9fff9539da2bf57037"],
    [[65_536, 1, 1], "password", "somesalt", "f6a5adc1ba723dddef9b5ac1d464e180fcd9dffc9d1cbf76cca2fed795d9ca98"],
    [[65_536, 2, 1], "differentpassword", "somesalt", "0b84d652cf6b0c4beaef0dfe278ba6a80df6696281d7e0d2891b817d8c458fde"],
    [[65_536, 2, 1], "password", "diffsalt", "bdf32b05ccc42eb15d58fd19b1f856b113da1e9a5874fdcc544308565aa8141c"],
  ];
  for (const [hardening, password, salt, expected] of cases) {
    assert.equal(hex(argon2id(ascii(password), ascii(salt), hardening)), expected, `${password} ${salt} ${hardening}`);
  }
});

test("PINs have one form, and what everybody tries first is not chosen", () => {
  assert.equal(readPin(" 481 502 "), "481502");
  assert.equal(readPin("481-502"), "481502");
  assert.equal(readPin("Zoo  abandon ABLE\tzone"), "zoo abandon able zone");
  for (const wrong of ["", "12345", "48150x", "4815 02 zoo", "zoo abandon able", "zoo abandon able zonk", "a b c d e", "1".repeat(33)]) {
    assert.throws(() => readPin(wrong), { code: "bad_pin" }, wrong);
  }
  const weak = ["000000", "121212", "123123", "123456", "234567", "890123", "654321", "098765", "123321", "311299", "123199", "991231", "19991231", "31121999", "12311999", "11111111"];
  for (const pin of weak) assert.throws(() => choosePin(pin), { code: "weak_pin" }, pin);
  for (const pin of ["481502", "739164", "48150234", "zoo abandon able zone", drawnWords()]) assert.equal(choosePin(pin), pin);
  assert.deepEqual([possible("481502"), possible("zoo abandon able zone")], [1_000_000n, 1n << 44n]);
});

test("what is dealt here comes back of any that are enough, and of no fewer", async () => {
  const input = ascii("a hardened PIN");
  const { key, shares } = dealtKey(2, 3);
  const rho = await outputUnder(key, input);
  const asked = await blinded(input);
  const answer = ({ point, secret }) => [point, encodeElement(multiply(decodeElement(asked.element), littleEndian(secret)))];
  for (const some of [[0, 1], [0, 2], [2, 1], [0, 1, 2]]) {
    assert.ok(equal(await combined(asked, some.map((at) => answer(shares[at]))), rho), `servers ${some}`);
  }
  for (const one of shares) assert.ok(!equal(await combined(asked, [answer(one)]), rho));
  const whole = combinedKey(shares.slice(0, 2).map((share) => [share.point, share.key]));
  assert.deepEqual(combinedKey(shares.slice(1).map((share) => [share.point, share.key])), whole);
});

test("a server that releases a false share is named and skipped", async () => {
  const [rho, d] = [filled(64, 9), filled(32, 7)];
  const good = split(d, 2, 3);
  const enrolment = { threshold: 2n, kex: (await backupOf(rho, d, SCOPE)).key };
  const liarsOf = async (shares) => (await openBackup(rho, SCOPE, enrolment, shares))?.liars ?? null;
  const lie = (point) => ({ point, value: filled(32, 0xfa) });
  assert.deepEqual(await liarsOf(good), []);
  assert.deepEqual(await liarsOf(good.slice(1)), []);
  assert.deepEqual(await liarsOf([good[0], lie(2), good[2]]), [2]);
  assert.deepEqual(await liarsOf([lie(1), good[1], good[2]]), [1]);
  assert.deepEqual(await liarsOf([good[0], lie(1), good[2]]), [1], "another's point");
  assert.equal(await liarsOf([good[0], lie(2)]), null);
  assert.equal(await liarsOf(good.slice(0, 1)), null);
});

test("what is asked opens at its server for its purpose alone, and a share for its device", async () => {
  const [kex, other] = [await kexOf(filled(32, 71)), await kexOf(filled(32, 72))];
  const server = { key: filled(32, 5), kex: kex.key };
  const body = await sealAsk(ASK.evaluate, server, ascii("asked"));
  const opened = (own, ask, key) => {
    const reader = new Reader(body);
    reader.array();
    return open(own, ascii("dgns/recover-ask/v1\0"), concat(Uint8Array.of(ask), key), { enc: reader.bstr(), ct: reader.bstr() });
  };
  assert.deepEqual(await opened(kex, ASK.evaluate, server.key), ascii("asked"));
  for (const [own, ask, key] of [[kex, ASK.release, server.key], [kex, ASK.evaluate, filled(32, 6)], [other, ASK.evaluate, server.key]]) {
    await assert.rejects(opened(own, ask, key), { code: "not_opened" });
  }
  const sealed = async (plain) => {
    const { enc, ct } = await seal(kex.key, concat(ascii("dgns/recover-share/v1\0"), SCOPE.did, Uint8Array.of(0, 0, 0, 3)), server.key, plain);
    return encode([enc, ct]);
  };
  const share = await sealed(concat(Uint8Array.of(2), filled(32, 9)));
  assert.deepEqual(await openShare(share, SCOPE, server.key, kex), { point: 2, value: filled(32, 9) });
  await assert.rejects(openShare(share, { ...SCOPE, epoch: 4 }, server.key, kex), { code: "not_opened" });
  await assert.rejects(openShare(share, SCOPE, filled(32, 6), kex), { code: "not_opened" });
  await assert.rejects(openShare(share, SCOPE, server.key, other), { code: "not_opened" });
  await assert.rejects(openShare(share.subarray(1), SCOPE, server.key, kex), { code: "bad_field" });
  await assert.rejects(openShare(await sealed(filled(33, 0)), SCOPE, server.key, kex), { code: "bad_field" });
});

test("servers of one operator, one domain, or of whoever runs the names are told together", () => {
  const peer = (operator, domain) => ({ info: { operator, domain } });
  assert.deepEqual(together([peer("Anna", "anna.example"), peer("Berta", "berta.example")], "dgns.test"), []);
  const same = [peer("Anna", "one.anna.example"), peer("Anna", "two.anna.example."), peer("Berta", "ns.dgns.test")];
  assert.deepEqual(together(same, "dgns.test"), [
    { whose: "the operator Anna", count: 2 }, { whose: "the domain anna.example", count: 2 }, { whose: "whoever runs the names of dgns.test", count: 1 },
  ]);
});

test("a server that never answers holds nobody up, and one that lies is named", async () => {
  const servers = ["good", "silent", "liar", "good too"].map((url) => ({ url }));
  const answers = {
    good: async () => 1, "good too": async () => 4, silent: () => new Promise(() => {}), liar: () => Promise.reject(new ProofFault("bad_proof", "false")),
  };
  const { good, faults } = await askEach(servers, 2, ({ url }) => answers[url]());
  assert.deepEqual(good, [1, 4]);
  assert.deepEqual(faults.map(({ url, code, lied }) => [url, code, lied]), [["liar", "bad_proof", true]]);
  // Too few: everybody is heard to the end.
  const few = await askEach(servers.slice(2), 2, ({ url }) => answers[url]());
  assert.deepEqual([few.good, few.faults.length], [[4], 1]);
});
