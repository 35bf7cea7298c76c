// Unit tests of dgns/web/verify.js against published vectors and definitions. Run: node --test tests/js

import assert from "node:assert/strict";
import { createHash, webcrypto } from "node:crypto";
import { test } from "node:test";

import { verifyByHand } from "../../dgns/web/ed25519.js";
import * as dgns from "../../dgns/web/verify.js";

const { hex, unhex } = dgns;
const refusal = (run) => {
  try {
    run();
    return null;
  } catch (error) {
    return error.code;
  }
};
const random = (length) => webcrypto.getRandomValues(new Uint8Array(length));

test("sha256 is that of the platform at every length to 300", () => {
  for (let length = 0; length <= 300; length++) {
    const bytes = random(length);
    assert.equal(hex(dgns.sha256(bytes)), createHash("sha256").update(bytes).digest("hex"));
  }
});

test("ed25519 accepts the vectors of RFC 8032 by platform and by hand, and no flipped bit", async () => {
  const vectors = [
    ["d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "", "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"],
    ["3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72", "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"],
    ["fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82", "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"],
  ];
  for (const [key, message, signature] of vectors.map((row) => row.map(unhex))) {
    assert.ok(await dgns.verifyStrict(key, message, signature));
    assert.ok(await verifyByHand(key, message, signature));
    assert.ok(dgns.isAdmitted(key));
    for (const at of [0, 31, 32, 63]) {
      const flipped = Uint8Array.from(signature);
      flipped[at] ^= 1;
      assert.equal(await dgns.verifyStrict(key, message, flipped), false);
    }
  }
});

test("ed25519 refuses small order, torsion, non-canonical keys and S not below L", async () => {
  // Goal: what verify_strict and admission refuse. Method: the points of order 1, 2, 4, 8, their other spellings, and a good key + T.
  const small = [
    "0100000000000000000000000000000000000000000000000000000000000000", "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000", "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05", "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  ].map(unhex);
  const spelled = [
    "0100000000000000000000000000000000000000000000000000000000000080", "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
  ].map(unhex);
  for (const key of [...small, ...spelled]) assert.equal(dgns.isUsableKey(key), false, hex(key));
  const identity = small[0];
  const forged = new Uint8Array(64);
  forged.set(identity);
  assert.equal(await dgns.verifyStrict(identity, unhex("00"), forged), false);
  const pair = await crypto.subtle.generateKey("Ed25519", true, ["sign", "verify"]);
  const key = new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey));
  const signature = new Uint8Array(await crypto.subtle.sign("Ed25519", pair.privateKey, unhex("2a")));
  assert.ok(await dgns.verifyStrict(key, unhex("2a"), signature));
  const L = 2n ** 252n + 27742317777372353535851937790883648493n;
  const raised = Uint8Array.from(signature);
  let s = dgns.hex(signature.subarray(32)).match(/../g).reverse().join("");
  s = (BigInt(`0x${s}`) + L).toString(16).padStart(64, "0");
  raised.set(unhex(s).reverse(), 32);
  assert.equal(await dgns.verifyStrict(key, unhex("2a"), raised), false);
});

test("a key with torsion is usable but not admitted", () => {
  // Goal: only admission needs the prime-order subgroup. Method: -A + (0, -1), which is A's y negated: p - y.
  const key = unhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
  const p = 2n ** 255n - 19n;
  const y = BigInt(`0x${hex(Uint8Array.from(key).reverse())}`) & (2n ** 255n - 1n);
  const torsioned = unhex((p - y).toString(16).padStart(64, "0")).reverse();
  assert.equal(dgns.isUsableKey(torsioned), true);
  assert.equal(dgns.isAdmitted(torsioned), false);
});

test("cbor refuses every second spelling", () => {
  const item = (text) => refusal(() => {
    const reader = new dgns.Reader(unhex(text));
    reader.item();
    reader.end();
  });
  for (const good of ["00", "17", "1818", "190100", "1a00010000", "1b0000000100000000", "40", "4101", "60", "80", "a0", "a200010102", "f4", "f5", "f6"]) {
    assert.equal(item(good), null, good);
  }
  for (const spelled of ["1800", "1817", "190001", "1900ff", "1a0000ffff", "1b00000000ffffffff", "5800", "a201010001", "a200010001", "9fff", "bfff", "5fff", "7fff"]) {
    assert.equal(item(spelled), "not_canonical", spelled);
  }
  for (const bad of ["", "18", "41", "62c328", "810100", "20", "c000", "f97e00", "fb0000000000000000", "f7", "f0", "1c", "ff", "81", "a100"]) {
    assert.equal(item(bad), "bad_cbor", bad);
  }
  const value = new Map([[0, 7n], [3, [null, true, "é", unhex("00ff")]], [1, 2n ** 64n - 1n]]);
  assert.equal(hex(dgns.encode(value)), "a3" + "0007" + "011bffffffffffffffff" + "0384f6f562c3a94200ff");
});

test("inclusion and consistency hold for every tree to 70 leaves, and for no other length or root", () => {
  const leaves = Array.from({ length: 70 }, (_, i) => dgns.leafHash(Uint8Array.of(i)));
  const roots = Array.from({ length: 71 }, (_, size) => dgns.rootOf(leaves.slice(0, size)));
  const largestBelow = (n) => 2 ** Math.floor(Math.log2(n - 1));
  const path = (i, d) => {
    if (d.length === 1) return [];
    const k = largestBelow(d.length);
    return i < k ? [...path(i, d.slice(0, k)), dgns.rootOf(d.slice(k))] : [...path(i - k, d.slice(k)), dgns.rootOf(d.slice(0, k))];
  };
  const subproof = (m, d, whole) => {
    if (m === d.length) return whole ? [] : [dgns.rootOf(d)];
    const k = largestBelow(d.length);
    return m <= k
      ? [...subproof(m, d.slice(0, k), whole), dgns.rootOf(d.slice(k))]
      : [...subproof(m - k, d.slice(k), false), dgns.rootOf(d.slice(0, k))];
  };
  for (let size = 1; size <= 70; size++) {
    for (let i = 0; i < size; i++) {
      const proof = path(i, leaves.slice(0, size));
      assert.ok(dgns.verifyInclusion(leaves[i], BigInt(i), BigInt(size), proof, roots[size]));
      assert.equal(dgns.inclusionFault(leaves[i], BigInt(i), BigInt(size), [...proof, roots[1]], roots[size]), "proof_length");
      assert.equal(dgns.inclusionFault(roots[0], BigInt(i), BigInt(size), proof, roots[size]), "proof_root");
      const older = subproof(i + 1, leaves.slice(0, size), true);
      assert.ok(dgns.verifyConsistency(BigInt(i + 1), roots[i + 1], BigInt(size), roots[size], older));
      assert.equal(dgns.verifyConsistency(BigInt(i + 1), roots[i], BigInt(size), roots[size], older), false);
    }
  }
  assert.equal(hex(roots[0]), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
});

test("the tree of the certificate transparency test data has its published roots", () => {
  const inputs = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"].map(unhex);
  const published = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d", "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77", "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4", "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c", "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
  ];
  published.forEach((root, i) => assert.equal(hex(dgns.rootOf(inputs.slice(0, i + 1).map(dgns.leafHash))), root));
});

test("names follow the grammar", () => {
  const zone = "dgns.test";
  for (const good of ["abc", "a-b-c", "x".repeat(63), "a.abc", "a.b.c.abc", "abc.dgns.test.", "xn-abc", "123"]) {
    assert.equal(refusal(() => dgns.completeName(good, zone)), null, good);
  }
  for (const bad of ["", "ab", "-abc", "abc-", "ab--c", "Abc", "a_c", "x".repeat(64), "a.b.c.d.abc", "abc..", ".abc", "a..abc", "é", "abc.ab"]) {
    assert.equal(refusal(() => dgns.completeName(bad, zone)), "bad_name", bad);
  }
  assert.equal(dgns.parentName("photos.alice.dgns.test", zone), "alice.dgns.test");
  assert.equal(dgns.parentName("alice.dgns.test", zone), null);
  assert.ok(dgns.isReserved("www.dgns.test", zone) && !dgns.isReserved("www.alice.dgns.test", zone));
});

test("a DID has one spelling", () => {
  const bytes = random(20);
  assert.deepEqual(dgns.parseDid(dgns.didText(bytes)), bytes);
  assert.equal(dgns.didText(new Uint8Array(20)), `did:dgns:${"a".repeat(32)}`);
  for (const bad of ["did:dgns:", `did:dgns:${"A".repeat(32)}`, `did:dgns:${"a".repeat(31)}`, `did:dgns:${"1".repeat(32)}`]) {
    assert.equal(refusal(() => dgns.parseDid(bad)), "bad_did", bad);
  }
});

test("the note of the Go documentation opens", async () => {
  // Source: golang.org/x/mod/sumdb/note, package example.
  const key = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
  const note = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n" +
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
  const bytes = new TextEncoder().encode(note);
  const verifier = dgns.parseVerifierKey(key);
  assert.equal(dgns.formatVerifierKey(verifier), key);
  assert.equal((await dgns.openNote(bytes, [verifier])).verified.length, 1);
  const altered = new TextEncoder().encode(note.replace("answer", "Answer"));
  await assert.rejects(dgns.openNote(altered, [verifier]), { code: "bad_note_signature" });
});

test("a map proof of presence and of both absences leads to the root, and no altered bit does", () => {
  // Goal: all three kinds at once. Method: 200 labels, proofs built by the recursive definition here.
  const pairs = Array.from({ length: 200 }, () => [random(32), random(32)]);
  const root = dgns.mapRoot(pairs);
  const bit = (label, i) => (label[i >> 3] >> (7 - (i & 7))) & 1;
  const prove = (label) => {
    let [here, depth] = [pairs, 0];
    const [bits, siblings] = [[], []];
    while (here.length > 1) {
      const mine = here.filter(([l]) => bit(l, depth) === bit(label, depth));
      const other = here.filter(([l]) => bit(l, depth) !== bit(label, depth));
      bits.push(other.length > 0 ? 1 : 0);
      if (other.length > 0) siblings.push([bit(label, depth) === 1, dgns.mapRoot(other, depth + 1)]);
      [here, depth] = [mine, depth + 1];
    }
    const kind = here.length === 0 ? 3 : hex(here[0][0]) === hex(label) ? 1 : 2;
    const bitmap = new Uint8Array((depth + 7) >> 3);
    bits.forEach((set, i) => (bitmap[i >> 3] |= set << (7 - (i & 7))));
    const left = siblings.filter(([isLeft]) => isLeft).map(([, hash]) => hash);
    const right = siblings.filter(([isLeft]) => !isLeft).map(([, hash]) => hash).reverse();
    const other = kind === 2 ? [here[0][0], here[0][1]] : [];
    return [kind, Buffer.concat([Uint8Array.of(kind, depth), bitmap, ...other, ...left, ...right])];
  };
  const holds = (proof, claims) => {
    const decoded = dgns.decodeMapProof(proof, claims.length);
    return decoded !== null && dgns.verifyMapProof(decoded, claims, root);
  };
  const met = new Set();
  for (const [label, commitment] of pairs) {
    const [kind, proof] = prove(label);
    assert.equal(kind, 1);
    assert.ok(holds(proof, [{ label, commitment }]));
    assert.ok(!holds(proof, [{ label, commitment: null }]));
    const flipped = Uint8Array.from(proof);
    flipped[Math.floor(Math.random() * flipped.length)] ^= 1 << Math.floor(Math.random() * 8);
    assert.ok(!holds(flipped, [{ label, commitment }]));
  }
  for (let i = 0; i < 300; i++) {
    const label = random(32);
    const [kind, proof] = prove(label);
    met.add(kind);
    assert.ok(holds(proof, [{ label, commitment: null }]));
    assert.ok(!holds(proof, [{ label, commitment: random(32) }]));
  }
  assert.deepEqual([...met].sort(), [2, 3]);
  const twins = [pairs[0][0], Uint8Array.from(pairs[0][0])];
  twins[1][31] ^= 1;
  const deep = [[twins[0], pairs[0][1]], [twins[1], pairs[1][1]]];
  assert.equal(hex(dgns.mapRoot([])), "00".repeat(32));
  assert.notEqual(hex(dgns.mapRoot(deep)), hex(dgns.mapRoot(deep.slice(1))));
});
