// Heads that others show a page: one history, or evidence of two.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Client, ProofFault } from "../../dgns/web/client.js";
import { checkFault, decodeFault } from "../../dgns/web/fault.js";
import { decodeShownHead, holdHead, ownHead, showHead } from "../../dgns/web/gossip.js";
import { ascii, bigEndian, concat } from "../../dgns/web/hash.js";
import { encodeHead } from "../../dgns/web/head.js";
import { signerOf } from "../../dgns/web/keys.js";
import { emptyMemory, encodeMemory } from "../../dgns/web/memory.js";
import { noteOfHead } from "../../dgns/web/bundle.js";
import { checkpointText, formatVerifierKey } from "../../dgns/web/note.js";
import { memoryStore } from "../../dgns/web/storage.js";
import { leafHash, rootOf } from "../../dgns/web/tree.js";

const ORIGIN = "dgns.test/log";
const key = await signerOf(new Uint8Array(32).fill(1));
const vkey = formatVerifierKey({ name: ORIGIN, type: 1, key: key.key });

/** A log of so many entries; from the `turn`-th on they are another history's. */
const entries = (size, turn = size) => Array.from({ length: size }, (_, i) => ascii(`${i < turn ? "this" : "that"} ${i}`));
const leaves = (log) => log.map(leafHash);

/** The signed head of a log. */
async function headOf(log, signer = key) {
  const [size, root] = [BigInt(log.length), rootOf(leaves(log))];
  const signature = await signer.sign(ascii(checkpointText(ORIGIN, size, root)));
  return { size, root, signature, cosignatures: [], epochEntry: new Uint8Array(0), path: [] };
}

/** RFC 6962's paths, the slow way. */
const split = (n) => 2 ** (Math.ceil(Math.log2(n)) - 1);
const inclusion = (all, m) => (all.length === 1 ? [] : m < split(all.length) ? [...inclusion(all.slice(0, split(all.length)), m), rootOf(all.slice(split(all.length)))]
  : [...inclusion(all.slice(split(all.length)), m - split(all.length)), rootOf(all.slice(0, split(all.length)))]);
function consistency(all, m, whole = true) {
  if (m === all.length) return whole ? [] : [rootOf(all)];
  const k = split(all.length);
  return m <= k ? [...consistency(all.slice(0, k), m, whole), rootOf(all.slice(k))] : [...consistency(all.slice(k), m - k, false), rootOf(all.slice(0, k))];
}

/** A client that remembers the head of `mine`, of a server that shows `shown`. */
async function client(mine, shown) {
  const store = memoryStore();
  if (mine !== null) await store.set(`log/${ORIGIN}/memory`, encodeMemory({ ...emptyMemory(ORIGIN), head: encodeHead(await headOf(mine)) }));
  const get = async (path) => {
    const { pathname, searchParams: asked } = new URL(path, "http://server");
    if (pathname === "/log/checkpoint") return ascii(noteOfHead(ORIGIN, vkey, undefined, await headOf(shown)));
    if (pathname === "/v1/log/entries/0") return shown[0];
    if (asked.has("index")) return concat(...inclusion(leaves(shown).slice(0, Number(asked.get("size"))), Number(asked.get("index"))));
    return concat(...consistency(leaves(shown).slice(0, Number(asked.get("to"))), Number(asked.get("from"))));
  };
  const made = Object.assign(new Client(), { store, net: { get }, pinned: { origin: ORIGIN, vkeys: [vkey], policy: undefined, retired: [] } });
  return made;
}

const shownBy = async (log, signer) => showHead(ORIGIN, await headOf(log, signer));

test("a shown head has one spelling", async () => {
  const bytes = await shownBy(entries(5));
  assert.equal(decodeShownHead(bytes).size, 5n);
  for (const wrong of [new Uint8Array(0), bytes.subarray(0, -1), concat(bytes, new Uint8Array(1)), concat(bytes, new Uint8Array(600)), concat(bigEndian(255, 1), bytes.subarray(1))]) {
    assert.throws(() => decodeShownHead(wrong), { code: "bad_shown_head" });
  }
  assert.deepEqual(await ownHead(await client(entries(5), entries(5))), bytes);
  assert.equal(await ownHead(await client(null, entries(5))), undefined);
});

test("heads of one history pass, and what is no head of this log says nothing", async () => {
  const server = entries(13);
  for (const [mine, theirs] of [[5, 5], [5, 8], [8, 5], [13, 1], [1, 13], [4, 12]]) await holdHead(await client(server.slice(0, mine), server), await shownBy(server.slice(0, theirs)));
  await holdHead(await client(null, server), await shownBy(server.slice(0, 3)));
  const other = await signerOf(new Uint8Array(32).fill(2));
  for (const nothing of [new Uint8Array(3), await shownBy(entries(5, 2), other), showHead("other.test/log", await headOf(entries(5, 2)))]) await holdHead(await client(server.slice(0, 5), server), nothing);
});

test("two histories are convicted by a file that anybody can check", async () => {
  const server = entries(13);
  const cases = [["fork", 6, 6], ["fork", 8, 8], ["inconsistent", 13, 6], ["inconsistent", 13, 8], ["inconsistent", 5, 7], ["fork", 5, 13]];
  for (const [code, mine, theirs] of cases) {
    const page = await client(server.slice(0, mine), server);
    const caught = await holdHead(page, await shownBy(entries(theirs, 3))).then(() => assert.fail(`${mine} ${theirs}`), (error) => error);
    assert.ok(caught instanceof ProofFault, caught.stack);
    assert.equal(caught.code, code, `${mine} and ${theirs}`);
    const kept = await page.store.get(`log/${ORIGIN}/evidence/${caught.evidence.name}`);
    const { key: convicted } = await checkFault(decodeFault(kept));
    assert.equal(convicted, vkey);
  }
});

test("a server that does not show how heads belong together is recorded", async () => {
  const page = await client(entries(5), entries(13));
  page.net.get = ((get) => (path) => (path.includes("from=") ? Promise.resolve(new Uint8Array(64)) : get(path)))(page.net.get);
  await assert.rejects(holdHead(page, await shownBy(entries(9))), { code: "unproved" });
});
