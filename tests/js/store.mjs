// A database for tests: its people in a log of names, its logs and anchors as a server would answer for them, made by the definitions of PROTOCOL 25.

import { createCipheriv } from "node:crypto";

import { blake3 } from "../../dgns/web/blake3.js";
import { encodeEnvelope, signedBytes } from "../../dgns/web/certificate.js";
import { Client } from "../../dgns/web/client.js";
import { bigEndian, concat, domainHash, hex } from "../../dgns/web/hash.js";
import { derive } from "../../dgns/web/kdf.js";
import { kexOf } from "../../dgns/web/keys.js";
import { seal } from "../../dgns/web/sealed.js";
import { memoryStore } from "../../dgns/web/storage.js";
import { controlLogOf, logIdOf } from "../../dgns/web/store/entry.js";
import { keyInfo } from "../../dgns/web/store/control.js";
import { userKeyOf } from "../../dgns/web/user_key.js";
import * as dgns from "../../dgns/web/verify.js";
import { Log, ORIGIN, TIME_MS, certify, cborMap, consistencyPath, inclusionPath, makeKey, mapProof } from "./log.mjs";

const SEEN = [0, dgns.sha256(new Uint8Array(0))];
const [PERSON, DATABASE, SERVER] = [1, 2, 3];
const SALT = new Uint8Array(16).fill(9);
export const NAME = "photos.dgns.test";
export const SEED = new Uint8Array(32).fill(5);
export const GROUP_KEY = new Uint8Array(32).fill(6);

/** Seals as XChaCha20-Poly1305, under a nonce of zero bytes: the platform has ChaCha20-Poly1305, whose key HChaCha20 makes. */
function sealed(key, plaintext, aad) {
  const words = new Uint32Array([0x61707865, 0x3320646e, 0x79622d32, 0x6b206574, ...new Uint32Array(Uint8Array.from(key).buffer), 0, 0, 0, 0]);
  const turn = (a, b, c, n) => {
    words[a] += words[b];
    words[c] = ((words[c] ^ words[a]) << n) | ((words[c] ^ words[a]) >>> (32 - n));
  };
  const quarter = (a, b, c, d) => (turn(a, b, d, 16), turn(c, d, b, 12), turn(a, b, d, 8), turn(c, d, b, 7));
  for (let round = 0; round < 10; round++) {
    for (const i of [0, 1, 2, 3]) quarter(i, 4 + i, 8 + i, 12 + i);
    for (const i of [0, 1, 2, 3]) quarter(i, 4 + ((i + 1) % 4), 8 + ((i + 2) % 4), 12 + ((i + 3) % 4));
  }
  const made = new Uint8Array(Uint32Array.of(...words.subarray(0, 4), ...words.subarray(12)).buffer);
  const cipher = createCipheriv("chacha20-poly1305", made, new Uint8Array(12), { authTagLength: 16 });
  cipher.setAAD(aad, { plaintextLength: plaintext.length });
  return concat(new Uint8Array(24), new Uint8Array(cipher.update(plaintext)), new Uint8Array(cipher.final()), new Uint8Array(cipher.getAuthTag()));
}

/** Brings somebody into a log of names: `{did, key}`. */
async function joins(log, kind, names) {
  const [identity, key] = await Promise.all([makeKey(), makeKey()]);
  const index = log.leaves.length;
  const kex = new Uint8Array(32).fill(9);
  const body = new Map([[1, kind], [2, identity.bytes], [3, kex], [4, [key.bytes, kex, 2, new Uint8Array(32)]]]);
  const genesis = await certify([[0, 1], [2, 0], [4, SEEN], [5, 1_700_000_000], [6, body]], [identity, key]);
  const { sid } = dgns.decodeCertificate(genesis);
  const did = sid.subarray(0, 20);
  log.append(concat(Uint8Array.of(1), genesis));
  /** Lays down the state with this key of its one device. */
  const stands = (version, { bytes }) => log.set(dgns.labelOfDid(did), { version, ...leaf }, cborMap(state(version, bytes)));
  const leaf = { headIndex: BigInt(index), headHash: sid, flags: 0 };
  const state = (version, device) => [[0, Number(version)], [1, did], [2, kind], [4, [0, sid, index]], [5, identity.bytes], [6, kex], [7, [[device, kex, 2, 1, index, 0]]], [9, 259200], ...(names.length > 0 ? [[12, names]] : []), [15, index], [16, TIME_MS]];
  stands(1n, key);
  for (const name of names) log.set(dgns.labelOfName(name), { version: 2n, ...leaf }, cborMap([[0, 2], [1, name], [2, did], [3, 1], [4, 0]]));
  return { did, key, stands };
}

/** A database of alice with one log, `main`; `entries` of each log by its hexadecimal name, changed as a test likes. */
export class Site {
  entries = new Map();
  /** Bends what the store answers: `(target, fields)`. */
  bend = () => {};
  heads = new Map();
  k = 0;
  /** What the server says is the time, ms: in its heads, in its log of names, to whoever looks. */
  timeMs = TIME_MS;

  /** Makes it, the first key sealed to alice, unless `isSealed` says that nothing opens. */
  static async begin({ isSealed = true } = {}) {
    const site = new Site();
    site.names = new Log(await makeKey());
    site.server = await joins(site.names, SERVER, []);
    site.alice = await joins(site.names, PERSON, ["alice.dgns.test"]);
    site.bob = await joins(site.names, PERSON, ["bob.dgns.test"]);
    site.db = await joins(site.names, DATABASE, [NAME]);
    site.control = controlLogOf(site.db.did);
    site.main = logIdOf(site.db.did, 1, 1, "main");
    const box = await seal((await userKeyOf(SEED)).key, keyInfo(site.db.did, 1, 1), new Uint8Array(0), GROUP_KEY);
    await site.says(site.db, [1, site.db.did, 1, ORIGIN, SALT]);
    await site.says(site.db, [2, 1, site.alice.did, 7, 4_000_000_000]);
    await site.says(site.db, [4, 1, 1, [[site.alice.did, 1, box.enc, isSealed ? box.ct : new Uint8Array(48)]], null]);
    await site.says(site.db, [8, 1, 1, "main"]);
    for (const text of ["one", "two", "three"]) await site.writes(site.alice, text);
    site.anchor();
    return site;
  }

  of(log) {
    return this.entries.get(hex(log)) ?? [];
  }

  /** The hashes of the headers of a log. */
  leaves(log) {
    return this.of(log).map(({ header }) => dgns.leafHash(header));
  }

  says(who, statement) {
    return this.append(this.control, who, dgns.encode(statement), { class: 1 });
  }

  writes(who, text, more = {}) {
    // Sealing is not the page's: what does not open is all that is needed here, and tests/vectors/bodies.json opens the rest.
    return this.append(this.main, who, new TextEncoder().encode(text), { class: 0, epoch: 1, ...more });
  }

  /** As `writes`, the records sealed under the key of the epoch. */
  async seals(who, key, records, more = {}) {
    const lsn = this.of(this.main).filter(({ device }) => hex(device) === hex(who.key.bytes)).length;
    const epoch = more.epoch ?? 1;
    const plaintext = dgns.encode(records.map((text) => [0, new TextEncoder().encode(text)]));
    const bodyKey = await derive("body", key, this.main, who.key.bytes);
    const body = sealed(bodyKey, plaintext, concat(this.main, who.key.bytes, bigEndian(lsn, 8), bigEndian(epoch, 8)));
    await this.append(this.main, who, body, { class: 0, epoch, ...more });
  }

  async append(log, { did, key }, body, more) {
    const own = this.of(log).filter(({ device }) => hex(device) === hex(key.bytes));
    const prev = own.length > 0 ? dgns.leafHash(own.at(-1).header) : undefined;
    const fields = { class: 0, log, author: did, device: key.bytes, lsn: own.length, prev, epoch: undefined, bytes: body.length, hash: blake3(body), expect: undefined, unixMs: TIME_MS, ...more };
    const keys = [1, 2, 3, 4, 5, 6, 7, 11, 12, 13, 14];
    const header = cborMap(Object.values(fields).map((value, i) => [keys[i], value]));
    const signature = await key.sign(signedBytes("entry", ORIGIN, header));
    this.entries.set(hex(log), [...this.of(log), { header, signature, body, device: key.bytes }]);
  }

  /** Gives the server another key, in place of the one before. */
  async turnsServerKey() {
    this.server.key = await makeKey();
    this.server.stands(2n, this.server.key);
    this.names.close(this.timeMs);
  }

  /** Anchors every log as it is now. */
  anchor() {
    this.k += 1;
    for (const log of [this.control, this.main]) {
      const before = this.heads.get(hex(log));
      const leaves = this.leaves(log);
      if (before?.size === leaves.length) continue;
      const prev = before && domainHash("anchor-leaf", before.bytes);
      const [version, size] = [(before?.version ?? 0) + 1, leaves.length];
      this.heads.set(hex(log), { version, size, bytes: cborMap([[0, version], [1, size], [2, dgns.rootOf(leaves)], [3, prev], [4, this.k]]) });
    }
    const prev = this.anchored && dgns.sha256(this.anchored);
    this.anchored = cborMap([[0, this.k], [1, prev], [2, dgns.mapRoot(this.pairs)], [3, this.heads.size]]);
    const index = this.names.append(concat(Uint8Array.of(5), this.anchored));
    this.names.set(dgns.labelOfAnchors(), { version: BigInt(this.k), headIndex: BigInt(index), headHash: dgns.sha256(this.anchored), flags: 0 }, this.anchored);
    this.names.close(this.timeMs);
  }

  get pairs() {
    const label = (log) => domainHash("anchor-label", log, SALT);
    return [this.control, this.main].filter((log) => this.heads.has(hex(log))).map((log) => [label(log), domainHash("anchor-leaf", this.heads.get(hex(log)).bytes)]);
  }

  /** Signs a head of a log. */
  async head(log, { size = this.of(log).length, leaves = this.leaves(log).slice(0, size), since = this.k, timeMs = this.timeMs, root = dgns.rootOf(leaves), key = this.server.key } = {}) {
    const payload = cborMap([[1, log], [2, size], [3, root], [4, timeMs], [5, this.server.did], [6, since]]);
    const signature = await key.sign(signedBytes("receipt", ORIGIN, payload));
    return encodeEnvelope(payload, [{ kid: dgns.kidOf(key.bytes), signature }]);
  }

  /** Answers a request for the store. */
  async answer(target) {
    const { pathname, searchParams } = new URL(target, "http://store");
    const [, log, what] = /^\/v1\/logs\/([0-9a-f]{64})\/(entries|anchor)$/.exec(pathname);
    const [id, all] = [dgns.unhex(log), this.leaves(dgns.unhex(log))];
    const old = Number(searchParams.get("old") ?? 0);
    const consistency = old > 0 && old <= all.length ? consistencyPath(old, all) : [];
    if (what === "anchor") {
      const anchored = this.heads.get(log);
      const [label] = [domainHash("anchor-label", id, SALT)];
      const grown = anchored === undefined || anchored.size > all.length ? [] : consistencyPath(anchored.size, all);
      const fields = new Map([[0, this.anchored], [1, anchored?.bytes ?? null], [2, mapProof(this.pairs, [label])], [3, await this.head(id)], [4, grown], [5, consistency]]);
      await this.bend(what, fields, id);
      return dgns.encode(fields);
    }
    const from = Number(searchParams.get("from"));
    const entries = this.of(id).slice(from, from + Number(searchParams.get("limit"))).map(({ header, signature, body }) => [header, signature, body]);
    const end = from + entries.length;
    const edge = from === 0 ? [] : [all[from - 1], ...inclusionPath(from - 1, all.slice(0, from))];
    const fields = new Map([[1, from], [2, entries], [3, await this.head(id)], [4, edge], [5, consistency], [6, end === 0 ? [] : consistencyPath(end, all)]]);
    await this.bend(what, fields, id);
    return dgns.encode(fields);
  }

  /** Answers what the log of names, and the server itself, are asked. */
  async fetch(url) {
    const { pathname } = new URL(url);
    const json = (value, status = 200) => new Response(JSON.stringify(value), { status });
    const { names } = this;
    if (pathname === "/v1/info") return json({ origin: ORIGIN, vkey: names.vkey });
    if (pathname === "/v1/anchors/stand") return new Response(await this.stand());
    if (pathname === "/v1/log/anchors") return this.resolved(url, 5, [[5, dgns.labelOfAnchors()]]);
    if (pathname === `/v1/names/${NAME}`) return this.resolved(url, NAME, [[1, dgns.labelOfName(NAME)], [2, dgns.labelOfDid(this.db.did)]]);
    if (!pathname.startsWith("/v1/dids/")) return json({ code: "not_found", detail: "" }, 404);
    const did = dgns.parseDid(pathname.slice("/v1/dids/".length));
    return this.resolved(url, did, [[2, dgns.labelOfDid(did)]]);
  }

  async resolved(url, subject, asked) {
    const from = Number(new URL(url).searchParams.get("from") ?? 0);
    const { leaves } = this.names;
    const path = from > 0 && from < leaves.length ? concat(...consistencyPath(from, leaves)) : undefined;
    return new Response(await this.names.resolve(subject, asked, (fields) => path && fields.set(5, path)));
  }

  /** Says how far all databases are. */
  stand() {
    const root = dgns.mapRoot(this.pairs);
    return this.head(new Uint8Array(32), { size: this.k, root });
  }

  client(store = memoryStore()) {
    return Client.open("http://dgns.test", store, { now: () => this.timeMs, fetch: (url) => this.fetch(url) });
  }
}
