// Leases of logs as the page asks for them: what it shows, in which order, and how often it asks. The host is a few lines that answer by name.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Refused } from "../../dgns/web/cbor.js";
import { Connection } from "../../dgns/web/lobby/connection.js";
import { READ_AND_WRITE } from "../../dgns/web/lobby/share.js";

/** A connection to a host that says no to each credential, but for the one that comes as number `opens`. */
function connected(opens) {
  const connection = Object.create(Connection.prototype);
  const said = [];
  const signer = { sign: async () => new Uint8Array(64) };
  Object.assign(connection, { name: "db.alice.dgns.test", client: { origin: "dgns.test/log" }, who: { sign: signer }, shown: [], writes: new Map() });
  let shown = 0;
  connection.askLease = async (log, rights, credential) => {
    said.push(credential === undefined ? "asks" : "shows");
    if (credential === undefined && opens !== 0) return { t: "needproof", nonce: new Uint8Array(32) };
    if (credential !== undefined && ++shown !== opens) throw new Refused("token_scope", "for something else");
    return { t: "handle", handle: 7n, rights, lsn: 0n };
  };
  return { connection, said };
}

test("what is given twice is shown once, and the newest first", () => {
  const { connection } = connected(1);
  for (const text of ["dgt1.a.b", "dgg1.AAAA", "dgt1.a.b", " dgg1.AAAA "]) connection.shows(text);
  assert.deepEqual(connection.shown, [[new Uint8Array(3)], "dgt1.a.b"]);
  assert.throws(() => connection.shows("neither"), { code: "bad_proof" });
  for (let i = 0; i < 20; i++) connection.shows(`dgt1.${i}.b`);
  assert.equal(connection.shown.length, 8);
});

test("each thing is shown under a nonce of its own, and after the last nothing is asked for", async () => {
  const { connection, said } = connected(3);
  ["dgt1.a.b", "dgt1.c.d"].forEach((text) => connection.shows(text));
  await assert.rejects(connection.lease("logs/x"), { code: "token_scope" });
  assert.deepEqual(said, ["asks", "shows", "asks", "shows"]);
  const second = connected(2);
  ["dgt1.a.b", "dgt1.c.d", "dgt1.e.f"].forEach((text) => second.connection.shows(text));
  assert.equal((await second.connection.lease("logs/x")).handle, 7n);
  assert.deepEqual(second.said, ["asks", "shows", "asks", "shows"]);
  const empty = connected(1);
  await assert.rejects(empty.connection.lease("logs/x"), { code: "needproof" });
  assert.deepEqual(empty.said, ["asks"]);
});

test("a lease to write is kept until the host ends it", async () => {
  const { connection, said } = connected(0);
  assert.equal(await connection.mayWrite("logs/x"), true);
  assert.equal(await connection.mayWrite("logs/x"), true);
  assert.deepEqual(said, ["asks"]);
  assert.equal(connection.writes.get("logs/x").rights, READ_AND_WRITE);
  connection.asked = new Map();
  connection.reads = new Map();
  const revoke = Uint8Array.from([0xa3, 0x00, 0x18, 0x31, 0x01, 0x07, 0x02, 0x6a, ...new TextEncoder().encode("lease_over")]);
  connection.hear(revoke);
  assert.equal(connection.writes.size, 0);
  assert.equal(await connection.mayWrite("logs/x"), true);
  assert.deepEqual(said, ["asks", "asks"]);
});

test("with the connection every lease to write is over", async () => {
  const { connection } = connected(0);
  const nothing = () => undefined;
  Object.assign(connection, { over: null, asked: new Map(), stop: new AbortController(), link: { close: nothing }, lobby: { leave: nothing }, changed: nothing });
  assert.equal(await connection.mayWrite("logs/x"), true);
  connection.askLease = async () => { throw connection.over; };
  connection.end(new Refused("left", "closed by you"));
  assert.equal(await connection.mayWrite("logs/x"), false);
});
