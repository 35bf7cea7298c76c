// The client of the pages before a real server, one visit a run: node journey.mjs <visit> <URL> <file of the store>. Prints one JSON value.
//
// newcomer: words, keys, a claimed name, records, a second device, new words, a policy that waits and is withdrawn.
// return:   the name is looked up again, whatever keys the log has by now.
// liar:     the server's answers come back with a byte flipped.

import { readFileSync, writeFileSync, existsSync } from "node:fs";
import { deserialize, serialize } from "node:v8";

import { verifyProofBundle } from "../../dgns/web/bundle.js";
import { Client } from "../../dgns/web/client.js";
import { hex } from "../../dgns/web/hash.js";
import { newDevice } from "../../dgns/web/keys.js";
import { memoryStore } from "../../dgns/web/storage.js";
import { solve } from "../../dgns/web/work.js";
import { keysOfWords, newWords } from "../../dgns/web/words.js";
import { ROAD, certify, deviceRow, genesis, newLabel, placeAfter, placeBehind } from "../../dgns/web/write.js";

const NAME = process.argv[5] ?? "alice";
const [visit, url, file] = process.argv.slice(2);

/** A store that outlives the process: what a browser keeps, keys apart. */
function fileStore(path) {
  const kept = existsSync(path) ? deserialize(readFileSync(path)) : new Map();
  const inMemory = memoryStore();
  const write = () => writeFileSync(path, serialize(kept));
  return {
    get: async (key) => kept.get(key),
    set: async (key, value) => (kept.set(key, value), write()),
    delete: async (key) => (kept.delete(key), write()),
    alone: inMemory.alone,
  };
}

const codeOf = (promise) => promise.then(() => "believed", (error) => error.code ?? Promise.reject(error));

const VISITS = {
  async newcomer(client) {
    const nowMs = Date.now();
    const told = { origin: client.origin, nowMs };
    const before = await client.lookup(NAME);
    const [root, device] = await Promise.all([keysOfWords(newWords()), newDevice()]);
    const head = { size: before.size, root: before.root };
    const first = await genesis({ ...root, device, label: newLabel("browser").hash, head, nowMs }, client.origin);
    const { work_bits: bits } = await client.info();
    const name = before.asked.name;
    const proof = await solve(name, first.did, bits);
    const claim = await certify(placeBehind(first, head), "claim", { name, road: ROAD.open, proof, bits }, [device.sign], told);
    const posted = await client.post([first, claim], NAME);
    const taken = await codeOf(client.post([first, claim], NAME)); // the same bytes: the same answer
    const does = async (type, body, signers) => {
      const place = placeAfter(await client.lookup(NAME));
      return client.post([await certify(place, type, body, signers, { ...told, nowMs: Date.now() })], NAME);
    };
    const rows = [{ rtype: 1, ttl: 60, rdata: Uint8Array.of(192, 0, 2, 7), owner: "" }];
    await does("records", { name, rows }, [device.sign]);
    const second = await newDevice();
    const added = await does("device_add", { device: deviceRow(second, 2, newLabel("phone").hash) }, [device.sign, second.sign]);
    const words = await keysOfWords(newWords());
    const rotated = await does("id_rotate", { identity: words.identity.key, wordsBox: words.wordsBox.key }, [root.identity, words.identity]);
    const waiting = await does("policy", { windowS: 400_000 }, [device.sign]);
    const [act] = waiting.found.pending;
    const withdrawn = await does("veto", { act: act.sid }, [device.sign]);
    const stale = await codeOf(client.post([await certify(placeBehind(first, head), "policy", { windowS: 500_000 }, [device.sign], told)], NAME));
    const stranger = await Client.open(url, memoryStore());
    const whole = await stranger.lookup(NAME, { genesis: true });
    const bundle = await client.proofFile(whole);
    const offline = await verifyProofBundle(client.trust, whole.asked, bundle);
    writeFileSync(`${file}.proof`, bundle);
    return {
      before: before.status, indexes: posted.indexes.map(Number), taken, summary: posted.found.summary, footings: [posted, added, rotated, withdrawn].map(({ found }) => found.footing),
      fresh: added.found.did.devices.some(({ status }) => status === 2), identity: hex(rotated.found.did.identity) === hex(words.identity.key), type: act.type,
      pending: withdrawn.found.pending.length, stale, whole: whole.footing, steps: whole.steps.map(({ check }) => check), certificates: whole.chain.length,
      offline: offline.status, records: offline.records.rows.length, did: whole.subject, devices: whole.did.devices.length,
    };
  },

  async return(client) {
    const outcome = await client.lookup(NAME).catch((error) => error);
    if (outcome instanceof Error) return { code: outcome.code, evidence: outcome.evidence?.kind ?? null };
    return { continuity: outcome.continuity.kind, footing: outcome.footing, vkeys: client.trust.logKeys, retired: client.trust.retired.map(([vkey]) => vkey) };
  },

  async liar() {
    let tale = (bytes) => bytes;
    const kept = [];
    const fetch = async (...asked) => {
      const response = await globalThis.fetch(...asked);
      if (!String(asked[0]).includes("/v1/names/")) return response;
      const bytes = new Uint8Array(await response.arrayBuffer());
      kept.push(bytes);
      return new Response(tale(bytes));
    };
    const client = await Client.open(url, memoryStore(), { fetch });
    await client.lookup(NAME, { genesis: true });
    const codes = new Set();
    for (let at = 0; at < kept[0].length; at += 9) {
      tale = (bytes) => bytes.map((byte, i) => (i === at % bytes.length ? byte ^ 0x10 : byte));
      codes.add(await codeOf(client.lookup(NAME)));
    }
    return { codes: [...codes].sort() };
  },
};

const client = await Client.open(url, fileStore(file));
process.stdout.write(`${JSON.stringify(await VISITS[visit](client))}\n`);
