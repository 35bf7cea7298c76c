// Reading databases before servers that this file makes: what is shown, and every way to be caught.

import assert from "node:assert/strict";
import { mock, test } from "node:test";

import { Refused } from "../../dgns/web/cbor.js";
import { NetworkError, Problem, ProofFault } from "../../dgns/web/client.js";
import { decodeFault } from "../../dgns/web/fault.js";
import { hex } from "../../dgns/web/hash.js";
import { derive } from "../../dgns/web/kdf.js";
import { kexOf } from "../../dgns/web/keys.js";
import { Rows, partsOf } from "../../dgns/web/page/database_rows.js";
import { personOf } from "../../dgns/web/page/user_keys.js";
import { seal } from "../../dgns/web/sealed.js";
import { memoryStore } from "../../dgns/web/storage.js";
import { keyInfo } from "../../dgns/web/store/control.js";
import { Database } from "../../dgns/web/store/database.js";
import { checkStoreFault } from "../../dgns/web/store/fault.js";
import { DELETING } from "../../dgns/web/store/owners.js";
import { userKeyOf } from "../../dgns/web/user_key.js";
import * as dgns from "../../dgns/web/verify.js";
import { GROUP_KEY, NAME, SEED, Site } from "./store.mjs";

class Lie extends Error {
  constructor(code, what) {
    super(`${code}: ${what}`);
    this.code = code;
  }
}

/** A reader of a site, alice unless `did` says somebody else: `{open(), all(database), source}`. */
async function readerOf(site, { store = memoryStore(), did = site.alice.did, lies = (code, what) => new Lie(code, what), unproved = (_, what) => new Lie("bad_host", what) } = {}) {
  const client = await site.client(store);
  const source = { client, ask: (target) => site.answer(target), lies, caught: (code, what) => new ProofFault(code, what), unproved };
  const seed = async (generation) => (generation === 1n ? SEED : Promise.reject(new Refused("no_box", "no such generation")));
  const open = (seeds = seed) => Database.open(source, NAME, { did, seed: seeds });
  const all = async (from) => {
    const database = await open();
    const follower = await database.follower(site.main, from);
    const first = follower.next;
    const { entries } = await follower.read(100);
    const counts = [];
    for (const [i, { header }] of entries.entries()) counts.push(await database.counts(first + BigInt(i), header));
    return { database, follower, texts: entries.map(({ body }) => new TextDecoder().decode(body)), counts };
  };
  return { client, store, open, all };
}

const fails = (promise) => promise.then(() => assert.fail("it was believed"), (error) => error);

test("entries come in order from any place on, and the key of the group opens for its member alone", async () => {
  const site = await Site.begin();
  const reader = await readerOf(site);
  const { database, follower, texts, counts } = await reader.all();
  assert.deepEqual([texts, counts], [["one", "two", "three"], [true, true, true]]);
  assert.equal(hex(database.keys.get("1 1")), hex(GROUP_KEY));
  assert.equal(database.people.nameOf(site.alice.did), "alice.dgns.test");
  assert.equal(await database.records((await site.of(site.main), { header: { log: site.main, device: site.alice.key.bytes, lsn: 0n, epoch: 1n }, body: new Uint8Array(64) })), null, "what does not open is nothing");
  await site.writes(site.alice, "four");
  assert.equal((await follower.read(100)).entries.length, 1);
  site.anchor();
  assert.deepEqual((await reader.all((size) => size - 1n)).texts, ["four"]);
  const bob = await (await readerOf(site, { did: site.bob.did })).all();
  assert.deepEqual([bob.texts.length, bob.database.keys.size, bob.database.opens(1), database.opens(1)], [4, 0, "none", "all"]);
});

test("an entry behind a revoke is left out, one that its author never could write convicts the server", async () => {
  const site = await Site.begin();
  await site.says(site.db, [2, 1, site.bob.did, 3, 4_000_000_000]);
  await site.writes(site.bob, "by bob");
  await site.writes(site.bob, "too late");
  await site.says(site.db, [3, 1, site.bob.did, [[site.main, 4]]]);
  site.anchor();
  assert.deepEqual((await (await readerOf(site)).all()).counts, [true, true, true, true, false]);
  const other = await Site.begin();
  await other.writes(other.bob, "never let in");
  other.anchor();
  const atServer = await fails((await readerOf(other, { unproved: (code, what) => new ProofFault(code, what) })).all());
  assert.deepEqual([atServer.constructor.name, atServer.code], ["ProofFault", "not_writer"]);
  // A host may have held back who was let in: nothing shows that the server took it.
  const atHost = await fails((await readerOf(other)).all());
  assert.deepEqual([atHost.constructor.name, atHost.code], ["Lie", "bad_host"]);
});

/** Turns the key of the group to `key`, sealed to alice under these generations, the key before it being said to be `before`. */
async function turns(site, epoch, key, before, generation = 1, seed = SEED) {
  const info = keyInfo(site.db.did, 1, epoch);
  const box = await seal((await userKeyOf(seed)).key, info, new Uint8Array(0), key);
  const previous = await seal((await kexOf(await derive("group-box", key))).key, info, new TextEncoder().encode("previous"), before);
  await site.says(site.db, [4, 1, epoch, [[site.alice.did, generation, box.enc, box.ct]], [previous.enc, previous.ct]]);
}

test("a record opens by the key of its epoch; a box of one's own comes before what whoever turned the key says of the one before", async () => {
  const site = await Site.begin();
  const [second, wrong] = [new Uint8Array(32).fill(7), new Uint8Array(32).fill(8)];
  await turns(site, 2, second, wrong);
  await site.seals(site.alice, GROUP_KEY, ["of the first"]);
  await site.seals(site.alice, second, ["of the second", "and more"], { epoch: 2 });
  site.anchor();
  const { database, follower } = await (await readerOf(site)).all((size) => size - 2n);
  assert.equal(hex(database.keys.get("1 1")), hex(GROUP_KEY));
  assert.equal(follower.next, 5n);
  const again = await database.follower(site.main);
  const { entries } = await database.read(again, 100);
  const texts = await Promise.all(entries.map((entry) => database.records(entry)));
  const read = texts.map((records) => records && records.map((bytes) => new TextDecoder().decode(bytes)));
  assert.deepEqual(read, [null, null, null, ["of the first"], ["of the second", "and more"]]);
  // Who has no box of the first has the key that is handed on.
  const late = await Site.begin({ isSealed: false });
  await turns(late, 2, second, GROUP_KEY);
  late.anchor();
  const opened = await (await readerOf(late)).open();
  assert.deepEqual([...opened.keys].map(([at, key]) => [at, hex(key)]).sort(), [["1 1", hex(GROUP_KEY)], ["1 2", hex(second)]]);
});

test("boxes under two generations of one's own open, each by its seed", async () => {
  const site = await Site.begin();
  const [seed, second] = [new Uint8Array(32).fill(4), new Uint8Array(32).fill(7)];
  await turns(site, 2, second, new Uint8Array(32), 2, seed);
  site.anchor();
  const database = await (await readerOf(site)).open(async (generation) => (generation === 1n ? SEED : seed));
  assert.deepEqual([...database.keys].map(([at, key]) => [at, hex(key)]).sort(), [["1 1", hex(GROUP_KEY)], ["1 2", hex(second)]]);
});

test("a key that does not open ends nothing, and is tried once, unless the server had no time", async () => {
  const site = await Site.begin();
  await turns(site, 2, new Uint8Array(32).fill(7), GROUP_KEY, 2);
  site.anchor();
  const reader = await readerOf(site);
  let asked = [];
  const refuse = (error) => async (generation) => {
    asked.push(generation);
    if (generation === 2n) throw error;
    return SEED;
  };
  for (const [error, each] of [[new Refused("no_box", ""), []], [new Problem(404, { code: "not_found", detail: "" }), []], [new Problem(429, { code: "rate", detail: "" }), [2n]]]) {
    asked = [];
    const database = await reader.open(refuse(error));
    assert.deepEqual([database.opens(1), asked], ["before", [1n, 2n]]);
    asked = [];
    await database.refresh();
    assert.deepEqual(asked, each, error.code);
  }
  await assert.rejects(reader.open(refuse(new TypeError("a mistake"))), TypeError);
});

test("the keys of an account are asked for once a generation, and the account again for one that is newer", async () => {
  const site = await Site.begin();
  const client = await site.client();
  const lookup = client.lookup.bind(client);
  let [lookups, opened] = [0, []];
  client.lookup = (subject) => ((lookups += 1), lookup(subject));
  const answers = { 1: () => SEED, 2: () => Promise.reject(new Refused("no_box", "")), 3: () => Promise.reject(new Problem(503, { code: "busy", detail: "" })) };
  const me = personOf(client, { did: site.alice.did }, async (_client, _record, state, generation) => (opened.push([hex(state.did), generation]), answers[generation]()));
  assert.deepEqual(await Promise.all([me.seed(1n), me.seed(1n)]), [SEED, SEED]);
  assert.deepEqual(opened, [[hex(site.alice.did), 1n]]);
  for (const [generation, times] of [[2n, 1], [3n, 2]]) {
    [lookups, opened] = [0, []];
    for (let i = 0; i < 2; i++) await assert.rejects(me.seed(generation));
    assert.deepEqual([opened.length, lookups], [times, times], `${generation}`);
  }
  client.lookup = async () => ({ did: null });
  await assert.rejects(personOf(client, { did: site.bob.did }).seed(1n), { code: "absent" });
});

/** What is wrong, how, who is to blame, and the code. */
const WRONG = [
  ["another body", "entries", (fields) => (fields.get(2)[0][2] = new TextEncoder().encode("ONE")), "Lie", "hash_mismatch"],
  ["another signature", "entries", (fields) => (fields.get(2)[0][1] = new Uint8Array(64)), "Lie", "bad_signature"],
  ["an entry left out", "entries", (fields) => fields.get(2).splice(1, 1), "Lie", "store_root"],
  ["two entries changed places", "entries", (fields) => fields.get(2).reverse(), "Lie", "store_root"],
  ["none of what is there", "entries", (fields) => (fields.set(2, []), fields.set(6, [])), "Lie", "malformed"],
  ["another range", "entries", (fields) => fields.set(1, 1), "Lie", "malformed"],
  ["no answer at all", "entries", (fields) => fields.delete(6), "Lie", "malformed"],
  ["no edge", "entries", (fields) => fields.set(4, []), "Lie", "malformed", () => 1n],
  ["a head by somebody else", "entries", async (fields, site, log) => fields.set(3, await site.head(log, { key: site.alice.key })), "Lie", "store_head"],
  ["another anchor", "anchor", (fields) => fields.set(0, fields.get(0).map((byte, i) => (i === 2 ? byte ^ 1 : byte))), "Lie", "malformed"],
  ["nothing anchored", "anchor", (fields) => fields.set(1, null), "Lie", "anchor_proof"],
  ["a head that the server signed before the anchor", "anchor", async (fields, site, log) => fields.set(3, await site.head(log, { since: site.k - 1 })), "Lie", "bad_host"],
  ["a head that the server signed long ago, and smaller", "anchor", async (fields, site, log) => (fields.set(3, await site.head(log, { size: 2, since: 0 })), fields.set(4, [])), "Lie", "bad_host"],
];

for (const [name, of, bend, blamed, code, from] of WRONG) {
  test(`not believed: ${name}`, async () => {
    const site = await Site.begin();
    const reader = await readerOf(site);
    site.bend = (what, fields, log) => what === of && bend(fields, site, log);
    const error = await fails(reader.all(from));
    assert.deepEqual([error.constructor.name, error.code], [blamed, code], error.stack);
  });
}

test("entries that are not those of the signed head are kept as evidence where the server itself showed them", async () => {
  const site = await Site.begin();
  const reader = await readerOf(site, { lies: (code, what) => new ProofFault(code, what), unproved: (code, what) => new ProofFault(code, what) });
  site.bend = (what, fields) => what === "entries" && fields.get(2).splice(1, 1);
  const error = await fails(reader.all());
  assert.deepEqual([error.code, error.message.match(/store_root/g).length], ["store_root", 1]);
  const file = decodeFault(error.evidence.bytes);
  assert.deepEqual(["server", "head", "code"].filter((name) => file.parts[name] === undefined), []);
});

test("a server whose key is turned while its log is followed is believed by its new key, and by that alone", async () => {
  const site = await Site.begin();
  const reader = await readerOf(site);
  const { database, follower } = await reader.all();
  const before = site.server.key;
  await site.turnsServerKey();
  // No chain stands in the log of this file: whoever met the server before would ask for it.
  reader.client.lookup = async (subject) => (await site.client()).lookup(subject);
  await site.writes(site.alice, "under the new key");
  assert.equal((await database.read(follower, 100)).entries.length, 1);
  await database.prove(site.main);
  site.server.key = before;
  assert.equal((await fails(database.read(follower, 100))).code, "store_head");
  // What goes wrong on the way there is no lie.
  reader.client.lookup = () => Promise.reject(new NetworkError("gone"));
  assert.equal((await fails(database.read(follower, 100))).constructor.name, "NetworkError");
});

test("order, keys and heads that a device signed to follow are held to, whoever shows them under a signed head", async () => {
  const cases = {
    lsn_gap: (site) => site.writes(site.alice, "again", { lsn: 1 }),
    epoch_conflict: async (site) => {
      await site.says(site.db, [4, 1, 2, [[site.alice.did, 1, new Uint8Array(32), new Uint8Array(48)]], [new Uint8Array(32), new Uint8Array(48)]]);
      await site.writes(site.alice, "under the second key", { epoch: 2 });
      await site.writes(site.alice, "under the first again", { epoch: 1 });
    },
    head_mismatch: (site) => site.writes(site.alice, "elsewhere", { expect: [2, new Uint8Array(32)] }),
    grant_narrower: (site) => site.says(site.db, [2, 1, site.alice.did, 1, 4_000_000_000]),
  };
  for (const [code, done] of Object.entries(cases)) {
    const site = await Site.begin();
    await done(site);
    site.anchor();
    const error = await fails((await readerOf(site)).all());
    assert.deepEqual([error.constructor.name, error.code], ["ProofFault", code], error.stack);
  }
});

test("an entry by a device that its author never had convicts the server, whatever the chain says", async () => {
  const site = await Site.begin();
  await site.writes({ did: site.bob.did, key: site.alice.key }, "with a borrowed device");
  site.anchor();
  const reader = await readerOf(site);
  const lookup = reader.client.lookup.bind(reader.client);
  const asked = [];
  // No chain stands in the log of this file: what of it was followed is empty.
  reader.client.lookup = async (subject, how = {}) => (asked.push(how.whole === true), { ...(await lookup(subject)), chain: [] });
  const error = await fails(reader.all());
  assert.deepEqual([error.constructor.name, error.code, asked.includes(true)], ["ProofFault", "unknown_device", true], error.stack);
});

/** Reads, has the server do something, reads again: returns the fault, whose evidence convicts. */
async function convicts(done, code) {
  const site = await Site.begin();
  const reader = await readerOf(site);
  await reader.all();
  await done(site);
  const error = await fails(reader.all());
  assert.deepEqual([error.constructor.name, error.code], ["ProofFault", code], error.stack);
  assert.ok(await reader.store.get(`log/${site.names.vkey.split("+")[0]}/evidence/${error.evidence.name}`));
  const file = decodeFault(error.evidence.bytes);
  const { what, server } = await checkStoreFault(file);
  assert.equal(hex(server), hex(site.server.did));
  return { site, file, what };
}

test("a log that goes back is convicted by what its server signed, before a reader who saw more", async () => {
  const { file, what } = await convicts((site) => {
    site.entries.set(hex(site.main), site.of(site.main).slice(0, 2));
    site.bend = async (kind, fields, log) => kind === "anchor" && hex(log) === hex(site.main) && (fields.set(4, []), fields.set(5, []), fields.set(3, await site.head(log)));
  }, "store_rollback");
  assert.match(what, /signed 2 entries of log [0-9a-f]{64} although it had 3: it went back/);
  // Whoever accuses has to show all of it.
  for (const name of ["server", "head", "anchors", "anchored", "proof", "salt"]) {
    const { [name]: _, ...parts } = file.parts;
    await assert.rejects(checkStoreFault({ ...file, parts }), (error) => error.code === "fault_part", name);
  }
  await assert.rejects(checkStoreFault({ ...file, kind: "rollback" }), { code: "proves_nothing" });
  const salt = file.parts.salt.map((byte) => byte ^ 1);
  await assert.rejects(checkStoreFault({ ...file, parts: { ...file.parts, salt } }), { code: "fault_proof" });
});

test("a log with another history is convicted, by the anchor and by the head that was met", async () => {
  const { what } = await convicts(async (site) => {
    site.entries.set(hex(site.main), site.of(site.main).slice(0, 2));
    await site.writes(site.alice, "another third");
  }, "store_fork");
  assert.match(what, /differ within its first 3 entries: two histories/);
});

test("a server that says itself how far back it is convicts itself", async () => {
  const { what } = await convicts((site) => {
    const { k } = site;
    site.stand = () => site.head(new Uint8Array(32), { size: k - 1, root: new Uint8Array(32), since: k });
    site.bend = async (kind, fields, log) => kind === "anchor" && fields.set(3, await site.head(log, { since: k - 1 }));
  }, "store_stale");
  assert.match(what, /its databases are at anchor 0, and its log of names has anchor 1: they went back/);
});

test("a log that is gone is a rollback to whoever met it or its anchor, and to nobody else", async () => {
  const gone = (site, what) => {
    const answer = site.answer.bind(site);
    site.answer = async (target) => (target.includes(what) ? Promise.reject(new Refused("not_found", "no such log")) : answer(target));
  };
  const stranger = await Site.begin();
  gone(stranger, "/entries");
  assert.equal((await fails((await readerOf(stranger)).all())).code, "not_found");
  for (const what of ["/entries", "/anchor"]) {
    const site = await Site.begin();
    const reader = await readerOf(site);
    await reader.all();
    gone(site, what);
    assert.equal((await fails(reader.all())).code, "bad_host", "nothing that was signed shows it");
    const { k } = site;
    site.stand = () => site.head(new Uint8Array(32), { size: k - 1, root: new Uint8Array(32), since: k });
    const error = await fails(reader.all());
    assert.deepEqual([error.constructor.name, error.code], ["ProofFault", "store_rollback"]);
    assert.match((await checkStoreFault(decodeFault(error.evidence.bytes))).what, /they went back/);
  }
});

/** Runs something with a clock that goes as fast as it is asked for. */
async function inNoTime(task) {
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
  const ticks = setInterval(() => mock.timers.tick(1000), 1);
  try {
    return await task();
  } finally {
    clearInterval(ticks);
    mock.timers.reset();
  }
}

test("a server that does not anchor what it acknowledged is caught, whatever time it writes into newer heads", async () => {
  const minute = 60_001;
  /** The log of names goes on without an anchor. */
  const passes = (site) => {
    site.timeMs += minute;
    site.names.close(site.timeMs);
  };
  const overdue = async (work) => {
    const error = await fails(inNoTime(work));
    assert.deepEqual([error.constructor.name, error.code], ["ProofFault", "anchor_overdue"], error.stack);
  };
  const site = await Site.begin();
  const reader = await readerOf(site);
  await site.writes(site.alice, "four");
  const { database, follower } = await reader.all();
  passes(site);
  await overdue(() => database.prove(site.main)); // the head of before is late, the one of now is not
  await overdue(async () => (await readerOf(site, { store: reader.store })).all());
  // Who follows remembers the first that no anchor has, and not the newest.
  const other = await Site.begin();
  const followed = await (await readerOf(other)).all();
  await other.writes(other.alice, "four");
  await followed.database.prove(other.main);
  passes(other);
  await other.writes(other.alice, "five");
  await followed.database.read(followed.follower, 100);
  await overdue(() => followed.database.prove(other.main));
  other.anchor();
  await followed.database.prove(other.main);
  passes(other);
  await followed.database.prove(other.main);
  assert.equal(follower.next, 4n);
  // What was read and not proved since is owed as well.
  await other.writes(other.alice, "six");
  await followed.database.read(followed.follower, 100);
  passes(other);
  await overdue(() => followed.database.prove(other.main));
  // A head that is late itself needs no memory.
  const third = await Site.begin();
  await third.writes(third.alice, "four");
  third.bend = async (what, fields, log) => what === "anchor" && fields.set(3, await third.head(log, { timeMs: third.timeMs - minute }));
  await overdue(async () => (await readerOf(third)).all());
});

test("a database that its owners deleted is opened by nobody, once all that was said of it is proved", async () => {
  const site = await Site.begin();
  const reader = await readerOf(site);
  await site.says(site.db, [13, 1]);
  const { database, follower } = await reader.all();
  assert.equal(database.acl.owners.stage, DELETING);
  const answer = site.answer.bind(site);
  const refuses = (log) => {
    site.answer = async (target) => (target.includes(hex(log)) ? Promise.reject(new Refused("deleted", "the database is deleted")) : answer(target));
  };
  // Who says so without the tombstone lies, whichever log is asked.
  for (const log of [site.main, site.control]) {
    refuses(log);
    for (const ask of [() => reader.all(), () => database.prove(site.main)]) {
      const error = await fails(ask());
      assert.deepEqual([error.constructor.name, error.code], ["Lie", "no_tombstone"], error.stack);
    }
  }
  refuses(site.main);
  assert.equal((await fails(database.read(follower, 100))).code, "no_tombstone");
  site.answer = answer;
  await site.says(site.db, [14, [[site.main, 3]]]);
  refuses(site.main);
  const told = await fails(database.read(follower, 100));
  assert.deepEqual([told.constructor.name, told.code], ["Refused", "deleted"], "who follows is told");
  assert.match(told.detail, /entry 5 of its control log is the tombstone, 1 of its owners being for it, of 1/);
  site.anchor();
  assert.equal((await fails(reader.open())).code, "deleted");
});

test("a database that moved is shown where it was as its owners took it along, and nobody else says that it is elsewhere", async () => {
  const [to, url] = [[new Uint8Array(20).fill(4), "other.test/log", new Uint8Array(32).fill(3)], "https://other.example"];
  const moves = (site, size, root) => site.says(site.db, [10, to[0], url, to[1], to[2], [[site.main, size, root]]]);
  const rootOf = (site) => dgns.rootOf(site.leaves(site.main));
  const site = await Site.begin();
  const reader = await readerOf(site);
  const { database, follower } = await reader.all();
  assert.equal(database.place, null);
  const answer = site.answer.bind(site);
  const refuses = (log) => {
    site.answer = async (target) => (target.includes(hex(log)) ? Promise.reject(new Refused("moved", "it moved")) : answer(target));
  };
  // Who says so without the word of its owners lies, whichever log is asked.
  for (const log of [site.main, site.control]) {
    refuses(log);
    for (const ask of [() => reader.all(), () => database.prove(site.main)]) {
      const error = await fails(ask());
      assert.deepEqual([error.constructor.name, error.code], ["Lie", "not_moved"], error.stack);
    }
  }
  site.answer = answer;
  await moves(site, 3, rootOf(site));
  // What is said behind that word counts for nothing here.
  await site.says(site.db, [8, 1, 1, "behind"]);
  site.anchor();
  const there = await reader.all();
  assert.deepEqual([there.texts, there.database.place.url, there.database.acl.logs.size], [["one", "two", "three"], url, 1]);
  refuses(site.main);
  const told = await fails(database.read(follower, 100));
  assert.deepEqual([told.constructor.name, told.code, told.place.url], ["Refused", "moved", url], "who follows is told");
  site.answer = answer;
  const { database: open } = await reader.all();
  const end = await open.follower(site.main, (size) => size);
  assert.deepEqual(await open.read(end, 100), { entries: [], size: 3n });
  await site.writes(site.alice, "four");
  for (const ask of [() => open.read(end, 100), async () => open.read(await (await reader.open()).follower(site.main), 100)]) {
    const error = await fails(ask());
    assert.deepEqual([error.constructor.name, error.code], ["ProofFault", "fork_base"], "an entry more");
  }
  for (const [size, root] of [[3, new Uint8Array(32)], [4, new Uint8Array(32)], [2, new Uint8Array(32)], [0, new Uint8Array(32)]]) {
    const other = await Site.begin();
    await moves(other, size, root);
    const database = await (await readerOf(other)).open();
    const error = await fails(database.read(await database.follower(other.main), 100));
    assert.deepEqual([error.constructor.name, error.code], ["ProofFault", "fork_base"], `${size} entries`);
  }
});

test("a log that an owner trimmed is read from the first entry that is left, and nobody else says what is gone", async () => {
  const site = await Site.begin();
  const reader = await readerOf(site);
  const { database } = await reader.all();
  const follower = await database.follower(site.main);
  const answer = site.answer.bind(site);
  const withholds = (log) => {
    site.answer = async (target) => (target.includes(`${hex(log)}/entries`) ? Promise.reject(new Refused("trimmed", "trimmed")) : answer(target));
  };
  withholds(site.main);
  const lie = await fails(database.read(follower, 100));
  assert.deepEqual([lie.constructor.name, lie.code], ["Lie", "no_trim"], lie.stack);
  site.answer = answer;
  await site.says(site.db, [7, site.main, 2, 2]);
  withholds(site.main);
  assert.equal((await fails(database.read(follower, 100))).code, "trimmed", "who follows is told");
  const behind = await database.follower(site.main).catch((error) => error);
  assert.equal(behind.next, 2n);
  const further = await fails(database.read(behind, 100));
  assert.equal(further.code, "no_trim", "no further than was said");
  site.answer = answer;
  const { entries } = await database.read(behind, 100);
  assert.equal(entries.length, 1);
});

test("what convicts nobody is kept where the server itself showed it", async () => {
  const site = await Site.begin();
  const reader = await readerOf(site, { unproved: (code, what) => new ProofFault(code, what) });
  await reader.all();
  site.entries.set(hex(site.main), site.of(site.main).slice(0, 2));
  site.bend = async (kind, fields, log) => hex(log) === hex(site.main) && kind === "anchor" && (fields.set(4, []), fields.set(5, []), fields.set(3, await site.head(log, { since: 0 })));
  const error = await fails(reader.all());
  assert.equal(error.code, "store_stale");
  const file = decodeFault(error.evidence.bytes);
  assert.equal(new TextDecoder().decode(file.parts.code), "store_stale");
  await assert.rejects(checkStoreFault(file), { code: "no_contradiction" });
});

test("two heads convict, and one that is repeated does not", async () => {
  const site = await Site.begin();
  const reader = await readerOf(site);
  await reader.all();
  const server = await reader.client.proofFile(await reader.client.lookup({ did: site.server.did }));
  const file = (head, second, more = {}) => ({ vkeys: [site.names.vkey], kind: "store", parts: { server, head, second, ...more } });
  const [three, two, later] = [await site.head(site.main), await site.head(site.main, { size: 2 }), await site.head(site.main, { size: 2, timeMs: 1_800_000_000_001 })];
  await assert.rejects(checkStoreFault(file(three, two)), { code: "no_contradiction" });
  assert.match((await checkStoreFault(file(three, later))).what, /although it had 3: it went back/);
  assert.match((await checkStoreFault(file(three, await site.head(site.main, { root: new Uint8Array(32) })))).what, /two histories/);
  await assert.rejects(checkStoreFault(file(three, three)), { code: "no_contradiction" });
  await assert.rejects(checkStoreFault(file(three, await site.head(site.control))), { code: "fault_part" });
  await assert.rejects(checkStoreFault(file(three, await site.head(site.main, { size: 2, key: site.alice.key }))), { code: "fault_signature" });
});

test("what is shown of a log is bounded, and what was shown is judged again", async () => {
  const utf8 = (text) => new TextEncoder().encode(text);
  const [long, cut] = ["a".repeat(5000), `${"a".repeat(4095)}\u20ac and on`];
  assert.deepEqual(partsOf([utf8("short"), utf8(long), utf8(cut), new Uint8Array([255, 0])]), {
    parts: [{ text: "short", more: 0 }, { text: "a".repeat(4096), more: 904 }, { text: "a".repeat(4095), more: 10 }, { text: "2 bytes that are no text", more: 0 }], more: 0,
  });
  const many = partsOf(Array.from({ length: 20 }, () => utf8("one")));
  assert.deepEqual([many.parts.length, many.more], [8, 12]);

  const row = (pos, bytes) => ({ pos, counts: true, entry: { header: pos, headerBytes: new Uint8Array(0), body: new Uint8Array(bytes) } });
  const places = (rows) => rows.map(({ pos }) => pos);
  const rows = new Rows();
  assert.deepEqual(places(rows.add([row(0, 1 << 20), row(1, 1 << 20), row(2, 2 << 20)])), []);
  assert.deepEqual(places(rows.add([row(3, 1)])), [0], "no room for the first any more");
  assert.deepEqual(places(rows.add([row(4, 5 << 20)])), [1, 2, 3], "the newest is shown, whatever its size");
  assert.deepEqual(places(rows.add(Array.from({ length: 1001 }, (_, i) => row(5 + i, 1)))), [4, 5]);
  assert.equal(rows.all.length, 1000);
  assert.deepEqual(places(await rows.judged(async (pos) => pos !== 7)), [7]);
  assert.deepEqual(places(await rows.judged(async (pos) => pos !== 7)), [], "once");
  assert.deepEqual(places(await rows.judged(async () => true)), [7]);
});

test("entries that were shown are left out once their author was revoked, and what an anchor has is told apart", async () => {
  const site = await Site.begin();
  await site.says(site.db, [2, 1, site.bob.did, 3, 4_000_000_000]);
  await site.writes(site.bob, "by bob");
  const { database, follower } = await (await readerOf(site)).all();
  assert.deepEqual(follower.anchored, { k: 1n, size: 3n, head: 4n });
  const { header } = (await (await database.follower(site.main)).read(100)).entries[3];
  assert.equal(await database.counts(3n, header), true);
  await site.says(site.db, [3, 1, site.bob.did, [[site.main, 3]]]);
  site.anchor();
  assert.deepEqual(await database.prove(site.main), { k: 2n, size: 4n, head: 4n });
  assert.equal(await database.counts(3n, header), false);
});

test("no byte of what a server says of a log can be changed", async () => {
  for (const of of ["entries", "anchor"]) {
    const site = await Site.begin();
    const { client } = await readerOf(site);
    const honest = new Map();
    const source = { client, lies: (code, what) => new Lie(code, what), caught: (code, what) => new ProofFault(code, what), unproved: (_, what) => new Lie("bad_host", what) };
    let [target, bent] = [null, null];
    source.ask = async (asked) => {
      const isIt = asked.includes(hex(site.main)) && asked.includes(of === "anchor" ? "/anchor" : "/entries");
      const bytes = honest.get(asked) ?? (await site.answer(asked));
      honest.set(asked, bytes);
      if (isIt) target = bytes;
      return isIt && bent !== null ? bent : bytes;
    };
    const database = await Database.open(source, NAME, { did: site.bob.did, seed: () => Promise.reject(new Refused("no_box")) });
    const read = async () => (await database.follower(site.main)).read(100);
    await read();
    await read(); // with what is remembered
    const bytes = target;
    for (let at = 0; at < bytes.length; at += 3) {
      bent = Uint8Array.from(bytes);
      bent[at] ^= 1 << at % 8;
      await assert.rejects(read(), (error) => error instanceof Lie || error instanceof ProofFault, `${of}: byte ${at} of ${bytes.length}`);
    }
  }
});
