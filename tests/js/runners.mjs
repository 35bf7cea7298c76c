// One runner per vector file: takes a case, fails unless verify.js says what the case says.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

import { bigEndian, concat } from "../../dgns/web/hash.js";
import { encodeAliasState, encodeDidState, encodeNameState } from "../../dgns/web/canonical.js";
import { Chain, World, apply, candidates, chainOf, settle } from "../../dgns/web/rules.js";
import {
  evidenceHash, issuerHash, nonceText, passkeySalt, passkeySecret, signinNonce, verifyFinish,
} from "../../dgns/web/attest.js";
import { decodeMemory, encodeMemory } from "../../dgns/web/memory.js";
import { decodeLogConf, decodeLogConfEnvelope } from "../../dgns/web/entry.js";
import { followLogConfs, verifyLogConf } from "../../dgns/web/rotation.js";
import { checkFault, convictionText, decodeFault } from "../../dgns/web/fault.js";
import { isAdmitted, verifyStrict } from "../../dgns/web/ed25519.js";
import { kexOf } from "../../dgns/web/keys.js";
import { keysOfWords, parseWords, slip10, wordsOf } from "../../dgns/web/words.js";
import { codeHash, leadingZeroBits, solve, workOf } from "../../dgns/web/work.js";
import { verifyLine } from "../../dgns/web/note.js";
import { verifyRequest } from "../../dgns/web/request.js";
import { PAIRING, SEALED, USER_KEYS } from "./boxes.mjs";
import { DATABASES, SNAPSHOTS, bodyOf, controlLog, storeFault } from "./databases.mjs";
import { LOBBY } from "./lobby.mjs";
import { ALIASES, MAIL, OPRF } from "./oprf.mjs";
import { outcome } from "./outcome.mjs";
import { RECOVERY, threshold } from "./recovery.mjs";
import {
  checkpointText, commitmentOf, consistencyFault, decodeAliasState, decodeCertificate, decodeDidState, decodeEntry, decodeEpochEntry, decodeHead,
  decodeMapProof, decodeNameState, didText, formatVerifierKey, hex, inclusionFault, kidOf, labelOfAlias, labelOfAnchors, labelOfDid, labelOfLogConf, labelOfName, leafHash, mapRoot, nodeHash,
  formatPolicy, openNote, parseCheckpoint, parseDid, parsePolicy, parseVerifierKey, quorumReached, verifiersOf, Refused, rootOf, sha256, stateHash, unhex, valueBytes, verifyCertificate,
  verifyInclusion, verifyMapProof, verifyProofBundle, verifyResolution,
} from "../../dgns/web/verify.js";

/** The rows of map `m` of the digest, as map.json describes them. */
function digestRows(m) {
  return Array.from({ length: (m * m) % 257 }, (_, i) => {
    const label = sha256(bigEndian(BigInt(m), 4), bigEndian(BigInt(i), 4));
    if (m % 2 === 1) label.fill(0, 0, m % 20);
    return [label, sha256(label)];
  });
}

const MAP = {
  label({ kind, name, did, alias }) {
    const labels = {
      name: () => labelOfName(name), did: () => labelOfDid(unhex(did)), alias: () => labelOfAlias(unhex(alias)), logconf: labelOfLogConf, anchors: labelOfAnchors,
    };
    return { label: hex(labels[kind]()) };
  },
  value({ version, head_index, head_hash, flags, state }) {
    const hash = stateHash(unhex(state));
    const fields = { version: BigInt(version), headIndex: BigInt(head_index), headHash: unhex(head_hash), stateHash: hash, flags };
    const value = valueBytes(fields);
    const opened = concat(value.subarray(0, 48), value.subarray(80));
    return { opened: hex(opened), state_hash: hex(hash), value: hex(value), commitment: hex(commitmentOf(value)) };
  },
  root({ rows }) {
    return { root: hex(mapRoot(rows.map((row) => row.map(unhex)))) };
  },
  proof({ proof, claims, root }) {
    const claimed = claims.map(([label, commitment]) => ({ label: unhex(label), commitment: commitment && unhex(commitment) }));
    const decoded = decodeMapProof(unhex(proof), claims.length);
    if (decoded === null) return "malformed";
    return verifyMapProof(decoded, claimed, unhex(root)) ? {} : "map_proof";
  },
  digest({ maps }) {
    return { digest: hex(sha256(...Array.from({ length: maps }, (_, m) => mapRoot(digestRows(m))))) };
  },
};

const TREE = {
  leaf: ({ entry }) => ({ hash: hex(leafHash(unhex(entry))) }),
  node: ({ left, right }) => ({ hash: hex(nodeHash(unhex(left), unhex(right))) }),
  root: ({ leaves }) => ({ root: hex(rootOf(leaves.map(unhex))) }),
  inclusion: ({ leaf, index, size, path, root }) =>
    inclusionFault(unhex(leaf), BigInt(index), BigInt(size), path.map(unhex), unhex(root)) ?? {},
  consistency: ({ from, old_root, to, new_root, path }) =>
    consistencyFault(BigInt(from), unhex(old_root), BigInt(to), unhex(new_root), path.map(unhex)) ?? {},
};

const timeOf = (signature) => BigInt(`0x${hex(signature.subarray(0, 8))}`);

const NOTES = {
  vkey({ vkey }) {
    const key = parseVerifierKey(vkey);
    assert.equal(formatVerifierKey(key), vkey);
    return { name: key.name, id: hex(key.id), kind: key.type, key: hex(key.key) };
  },
  async open({ note, keys }) {
    const { text, verified } = await openNote(unhex(note), keys.map(parseVerifierKey));
    const signed = verified.map(({ key, signature }) => [formatVerifierKey(key), key.type === 4 ? Number(timeOf(signature)) : null]);
    return { text, signed };
  },
  checkpoint({ text }) {
    const { origin, size, root } = parseCheckpoint(text);
    return { origin, size: String(size), root: hex(root) };
  },
};

const POLICIES = {
  parse({ policy }) {
    const parsed = parsePolicy(policy);
    return { canonical: formatPolicy(parsed), verifiers: verifiersOf(parsed) };
  },
  reached({ policy, cosigned }) {
    const given = cosigned.map(([vkey, timeS]) => ({ key: parseVerifierKey(vkey), timeS: BigInt(timeS) }));
    const time = quorumReached(parsePolicy(policy), given);
    return { time_s: time === null ? null : Number(time) };
  },
};

/** An entry's fields as entries.json writes them. */
function viewOfEntry(entry) {
  const decoded = decodeEntry(entry);
  const { type } = decoded;
  const hexOrNull = (bytes) => (bytes === undefined ? null : hex(bytes));
  const views = {
    certificate: ({ certificate }) => ({ sid: hex(certificate.sid) }),
    epoch: ({ epoch }) => ({
      k: String(epoch.k), covers: String(epoch.covers), time_ms: String(epoch.timeMs),
      map_root: hex(epoch.mapRoot), history_root: hex(epoch.historyRoot),
    }),
    logconf: ({ sid, conf, signatures }) => ({
      sid: hex(sid), seq: String(conf.seq), prev: hexOrNull(conf.prev), origin: conf.origin, server: hex(conf.server),
      log_keys: conf.logKeys.map(formatVerifierKey), policy: conf.policy, prefixes: conf.prefixes,
      predecessor: conf.predecessor ? [conf.predecessor[0], String(conf.predecessor[1]), hex(conf.predecessor[2])] : null,
      kids: signatures.map(({ kid }) => hex(kid)),
    }),
    notice: ({ notice }) => ({
      kind: Number(notice.kind), origin: notice.origin, evidence_hash: hex(notice.evidenceHash), evidence: hexOrNull(notice.evidence),
    }),
    anchor: ({ anchor }) => ({ k: String(anchor.k), prev: hexOrNull(anchor.prev), root: hex(anchor.root), logs: String(anchor.logs) }),
  };
  return { type, leaf: hex(leafHash(entry)), ...views[type](decoded) };
}

/** The checks of a head that need nothing else, in the order of PROTOCOL 11.3. */
async function viewOfHead({ head: bytes, origin, log_keys, cosigners }) {
  const head = decodeHead(unhex(bytes));
  const text = checkpointText(origin, head.size, head.root);
  const signed = await Promise.all(log_keys.map((key) => verifyLine(parseVerifierKey(key), text, head.signature)));
  if (!signed.includes(true)) throw new Refused("log_signature");
  const witnesses = [];
  for (const { id, timeS, signature } of head.cosignatures) {
    const vkey = cosigners.find((known) => hex(parseVerifierKey(known).id) === hex(id));
    if (vkey === undefined || witnesses.some(([known]) => known === vkey)) continue;
    if (!(await verifyLine(parseVerifierKey(vkey), text, concat(bigEndian(timeS, 8), signature)))) throw new Refused("quorum");
    witnesses.push([vkey, String(timeS)]);
  }
  const epoch = decodeEpochEntry(head.epochEntry);
  if (epoch === null || epoch.covers !== head.size - 1n) throw new Refused("epoch");
  if (!verifyInclusion(leafHash(head.epochEntry), head.size - 1n, head.size, head.path, head.root)) throw new Refused("last_leaf");
  return {
    size: String(head.size), root: hex(head.root), k: String(epoch.k), covers: String(epoch.covers), time_ms: String(epoch.timeMs),
    map_root: hex(epoch.mapRoot), history_root: hex(epoch.historyRoot), witnesses,
  };
}

/** Returns the memory that bytes spell, which come back as they were. */
function memoryOf(bytes) {
  const memory = decodeMemory(unhex(bytes));
  assert.equal(hex(encodeMemory(memory)), bytes);
  return memory;
}

/** The subject of a case as verify.js takes it. */
const subjectOf = ({ name, did, alias, anchors }) => (anchors ? { anchors } : name !== undefined ? { name } : did !== undefined ? { did: unhex(did) } : { alias: unhex(alias) });

/** What resolutions.json says of a lookup. */
async function resolution({ trust, memory_bytes, subject, bytes, now_ms }) {
  const asked = subjectOf(subject);
  const trusted = { origin: trust.origin, zone: trust.origin.replace("/log", ""), logKeys: trust.vkeys, policy: trust.policy ?? undefined, maxHeadAgeS: trust.head_age_s_max };
  const { resolved, memory: after } = await verifyResolution(trusted, memoryOf(memory_bytes), asked, unhex(bytes), now_ms);
  const row = ({ rtype, ttl, rdata, owner }) => [Number(rtype), Number(ttl), hex(rdata), owner];
  return {
    status: resolved.status,
    name: resolved.name && hex(resolved.name.bytes),
    did: resolved.did && hex(resolved.did.bytes),
    alias: resolved.alias && hex(resolved.alias.bytes),
    records: resolved.records && resolved.records.rows.map(row),
    ...(resolved.delegate && { delegate: resolved.delegate.servers }),
    frozen: resolved.frozen,
    pending: resolved.pending.length,
    size: Number(resolved.size),
    root: hex(resolved.root),
    epoch_ms: Number(resolved.epochMs),
    k: Number(decodeEpochEntry(decodeHead(after.head).epochEntry).k),
    quorum_ms: resolved.quorumMs === null ? null : Number(resolved.quorumMs),
    written: resolved.written.map(({ index }) => Number(index)),
    chain: resolved.chain.map(({ index, epochMs }) => [Number(index), Number(epochMs)]),
    footing: resolved.footing,
    remembers: {
      size: Number(after.size),
      dids: Object.entries(after.dids).map(([did, { version }]) => [did, Number(version)]),
    },
  };
}

/** What certificates.json says of an accepted certificate. */
async function viewOfCertificate({ origin, candidates, envelope }) {
  const certificate = decodeCertificate(unhex(envelope));
  const signers = await verifyCertificate(certificate, origin, candidates.map(unhex));
  const { sid, payload } = certificate;
  const view = { type: payload.type, sid: hex(sid), signers: signers.map(hex) };
  return payload.type === 1 ? { ...view, did: didText(sid.subarray(0, 20)) } : view;
}

/** What lookup_proofs.json says of a file. */
async function lookupProof({ trust, subject, file }) {
  const asked = subjectOf(subject);
  const trusted = { origin: trust.origin, zone: trust.origin.replace("/log", ""), logKeys: trust.vkeys, retired: trust.retired, policy: trust.policy ?? undefined };
  const { status, size, epochMs, name, did } = await verifyProofBundle(trusted, asked, new TextEncoder().encode(file));
  return { status, size: Number(size), epoch_ms: Number(epochMs), name: name && hex(name.bytes), did: did && hex(did.bytes) };
}

/** What requests.json says of a signed request. */
async function signedRequest({ origin, did, method, target, body, authorization, key, now_s }) {
  const request = { origin, did: parseDid(did), method, target, body: unhex(body) };
  const { kid, unixS, nonce, signed } = await verifyRequest(request, authorization, unhex(key), now_s);
  return { kid: hex(kid), unix_s: Number(unixS), nonce: hex(nonce), signed: hex(signed) };
}

/** A log's story, step by step, as rules.json tells it; and each DID followed by its own certificates alone. */
async function rulesStory({ in: { zone, origin, server }, steps }, { signedBy = verifyCertificate, digits = 64, followed = true } = {}) {
  let world = new World(zone, { server: parseDid(server) });
  const chains = new Map();
  for (const [at, step] of steps.entries()) {
    const where = `step ${at}`;
    const epochMs = BigInt(step.epoch_ms);
    const changes = await outcome(() => (step.settle === undefined ? judgedStep(world, origin, step, signedBy) : settle(world, step.settle, epochMs)));
    if (step.error !== undefined) {
      assert.equal(changes, step.error, where);
      continue;
    }
    assert.notEqual(typeof changes, "string", `${where}: ${changes}`);
    const view = changes.map(([key, { headIndex, state }]) => [key, [Number(state.version), Number(headIndex), hex(sha256(stateBytes(state))).slice(0, digits)]]);
    assert.deepEqual(Object.fromEntries(view), step.out, where);
    for (const [, { state }] of changes) assert.deepEqual(stateBytes(decodeAgain(state)), stateBytes(state), where);
    world = world.with(changes);
    if (step.settle !== undefined || !followed) continue;
    // What the log took, the reader of that one chain takes too, and comes to the same state.
    const certificate = decodeCertificate(unhex(step.envelope));
    const did = chainOf(certificate);
    if (certificate.payload.typeName === "attest_login") continue;
    const chain = chains.get(hex(did)) ?? new Chain(origin, did);
    chains.set(hex(did), chain);
    await chain.follow(certificate, BigInt(step.index), { index: BigInt(step.index), epochMs });
    assert.ok(chain.leadsTo(world.did(did), BigInt(step.index), epochMs), `${where}: the chain leads elsewhere`);
  }
}

/** The keys that the kids of a certificate name, its signatures unchecked. */
const namedBy = ({ signatures }, origin, keys) => signatures.map(({ kid }) => keys.find((key) => hex(kidOf(key)) === hex(kid)));

async function judgedStep(world, origin, { envelope, index, epoch_ms }, signedBy) {
  const certificate = decodeCertificate(unhex(envelope));
  const signed = await signedBy(certificate, origin, candidates(world, certificate));
  return apply(world, certificate, signed, { index: BigInt(index), epochMs: BigInt(epoch_ms) });
}

const codecOf = ({ devices, attested }) =>
  devices !== undefined ? [encodeDidState, decodeDidState] : attested !== undefined ? [encodeAliasState, decodeAliasState] : [encodeNameState, decodeNameState];
const stateBytes = (state) => codecOf(state)[0](state);
const decodeAgain = (state) => codecOf(state)[1](stateBytes(state));

async function logConf({ origin, identity, previous, envelope }) {
  const decoded = decodeLogConfEnvelope(unhex(envelope));
  const before = previous && { sid: sha256(unhex(previous)), conf: decodeLogConf(unhex(previous)) };
  const succession = await verifyLogConf(decoded, origin, unhex(identity), before);
  return { sid: hex(decoded.sid), succession, seq: Number(decoded.conf.seq), log_keys: decoded.conf.logKeys.map(formatVerifierKey) };
}

async function logConfChain({ origin, vkeys, seq, now_ms, chain }) {
  const trust = { origin, zone: origin.replace("/log", ""), logKeys: vkeys };
  const found = await followLogConfs(trust, null, seq === null ? null : BigInt(seq), unhex(chain), now_ms);
  const retired = found.retired.map(([vkey, size]) => [vkey, Number(size)]);
  return { seq: Number(found.seq), log_keys: found.vkeys, retired, size: Number(found.resolved.size) };
}

async function faultFile({ file }) {
  const fault = await checkFault(decodeFault(unhex(file)));
  const heads = fault.heads.map(({ origin, size, root }) => [origin, String(size), hex(root)]);
  return { key: fault.key, heads, says: convictionText(fault) };
}
/** What evidence.json says, by kind. */
const EVIDENCE = {
  nonce: ({ purpose, sign, kex, blinded, random }) => {
    const nonce = signinNonce({ purpose, sign: unhex(sign), kex: unhex(kex), blinded: blinded && unhex(blinded), random: unhex(random) });
    return { nonce: hex(nonce), text: nonceText(nonce) };
  },
  evidence: ({ statement, random }) => ({ hash: hex(evidenceHash(unhex(statement), unhex(random))) }),
  issuer: ({ issuer }) => ({ hash: hex(issuerHash(issuer)) }),
  salt: ({ origin }) => ({ hash: hex(passkeySalt(origin)) }),
  prf: async ({ output }) => {
    const secret = await passkeySecret(unhex(output));
    return { secret: hex(secret), key: hex((await kexOf(secret)).key) };
  },
  finish: ({ origin, state, key, signature }) => verifyFinish(origin, unhex(state), unhex(key), unhex(signature)),
};

const SIGNATURES = {
  async verify({ key, message, signature }) {
    const parts = [key, message, signature].map(unhex);
    const holds = await verifyStrict(...parts);
    // Where a browser has no Ed25519 the arithmetic of the page judges alone: it must say the same.
    assert.equal(await withoutPlatform(() => verifyStrict(...parts)), holds, "without WebCrypto's Ed25519");
    return { holds };
  },
  admit: ({ key }) => (isAdmitted(unhex(key)) ? {} : "weak_key"),
};

/** Runs a check as in a browser without Ed25519. */
async function withoutPlatform(run) {
  const { importKey } = crypto.subtle;
  crypto.subtle.importKey = async (format, key, algorithm, ...rest) => {
    if (algorithm === "Ed25519") throw new DOMException("no such algorithm", "NotSupportedError");
    return importKey.call(crypto.subtle, format, key, algorithm, ...rest);
  };
  try {
    return await run();
  } finally {
    delete crypto.subtle.importKey;
  }
}

const WORDS = {
  async words({ text }) {
    const { identity, wordsBox } = await keysOfWords(text);
    return { phrase: parseWords(text), identity: hex(identity.key), words_box: hex(wordsBox.key) };
  },
  entropy: ({ entropy }) => ({ phrase: wordsOf(unhex(entropy)) }),
  async slip10({ seed, path }) {
    const { key, chainCode } = await slip10(unhex(seed), path);
    return { key: hex(key), chain_code: hex(chainCode) };
  },
};

const WORK = {
  work({ name, did, nonce }) {
    const hash = workOf(name, unhex(did), unhex(nonce));
    return { hash: hex(hash), bits: leadingZeroBits(hash) };
  },
  solve: async ({ name, did, bits, start }) => ({ nonce: hex(await solve(name, unhex(did), bits, { start: BigInt(`0x${start}`) })) }),
  invite: ({ code }) => ({ hash: hex(codeHash(unhex(code))) }),
};

const byOp = (ops) => async ({ op, in: given, out, error }) => assert.deepEqual(await outcome(() => ops[op](given)), out ?? error);

/** Each answer of resolutions.json with bits flipped: the code with which it is refused, as mutations.json lists them. */
async function mutations({ case: title, from, step }) {
  const { in: given } = RESOLUTIONS.find(({ name }) => name === title);
  const codes = [];
  let flips = "";
  const bytes = unhex(given.bytes);
  for (let at = from; at < bytes.length; at += step) {
    const flipped = Uint8Array.from(bytes);
    flipped[at] ^= 1 << at % 8;
    const found = await outcome(() => resolution({ ...given, bytes: hex(flipped) }));
    const code = typeof found === "string" ? found : "believed";
    if (!codes.includes(code)) codes.push(code);
    flips += String.fromCharCode(97 + codes.indexOf(code));
  }
  return { codes, flips };
}

const RESOLUTIONS = JSON.parse(readFileSync(new URL("../vectors/resolutions.json", import.meta.url), "utf8")).cases;

export const RUNNERS = {
  ...LOBBY,
  "mutations.json": async ({ in: given, out }) => assert.deepEqual(await mutations(given), out),
  "signatures.json": byOp(SIGNATURES),
  "words.json": byOp(WORDS),
  "work.json": byOp(WORK),
  "oprf.json": async ({ op, in: given, out, error }) => assert.deepEqual(await outcome(() => OPRF[op](given)), out ?? error),
  "oprf_threshold.json": async ({ in: given, out, error }) => assert.deepEqual(await outcome(() => threshold(given)), out ?? error),
  "recovery.json": byOp(RECOVERY),
  "databases.json": byOp(DATABASES),
  "database_acls.json": async ({ in: given, out, error }) => assert.deepEqual(await outcome(() => controlLog(given)), out ?? error),
  "store_faults.json": async ({ in: given, out, error }) => assert.deepEqual(await outcome(() => storeFault(given)), out ?? error),
  "bodies.json": async ({ in: given, out, error }) => assert.deepEqual(await outcome(() => bodyOf(given)), out ?? error),
  "snapshots.json": byOp(SNAPSHOTS),
  "aliases.json": async ({ op, in: given, out, error }) => assert.deepEqual(await outcome(() => ALIASES[op](given)), out ?? error),
  "mail.json": async ({ op, in: given, out, error }) => assert.deepEqual(await outcome(() => MAIL[op](given)), out ?? error),
  "sealed.json": async ({ op, in: given, out, error }) => assert.deepEqual(await outcome(() => SEALED[op](given)), out ?? error),
  "pairing.json": async ({ op, in: given, out, error }) => assert.deepEqual(await outcome(() => PAIRING[op](given)), out ?? error),
  "user_keys.json": async ({ op, in: given, out, error }) => assert.deepEqual(await outcome(() => USER_KEYS[op](given)), out ?? error),
  "faults.json": async ({ in: given, out, error }) => assert.deepEqual(await outcome(() => faultFile(given)), out ?? error),
  "logconfs.json": async ({ in: given, out, error }) => assert.deepEqual(await outcome(() => logConf(given)), out ?? error),
  "logconf_chains.json": async ({ in: given, out, error }) => assert.deepEqual(await outcome(() => logConfChain(given)), out ?? error),
  "evidence.json": async ({ kind, in: given, out, error }) =>
    assert.deepEqual(await outcome(() => EVIDENCE[kind](given)), out ?? error),
  "requests.json": async ({ in: given, out, error }) => assert.deepEqual(await outcome(() => signedRequest(given)), out ?? error),
  "lookup_proofs.json": async ({ in: given, out, error }) =>
    assert.deepEqual(await outcome(() => lookupProof(given)), out ?? error),
  "certificates.json": async ({ in: given, out, error }) =>
    assert.deepEqual(await outcome(() => viewOfCertificate(given)), out ?? error),
  "resolutions.json": async ({ in: given, out, error }) => assert.deepEqual(await outcome(() => resolution(given)), out ?? error),
  "rules.json": (given) => rulesStory(given),
  "rules_random.json": (given) => rulesStory(given, { signedBy: namedBy, digits: 16, followed: false }),
  "tree.json": ({ op, in: given, out, error }) => assert.deepEqual(TREE[op](given), out ?? error),
  "notes.json": async ({ op, in: given, out, error }) => assert.deepEqual(await outcome(() => NOTES[op](given)), out ?? error),
  "policies.json": ({ op, in: given, out, error, line }) => {
    if (error === undefined) return assert.deepEqual(POLICIES[op](given), out);
    assert.throws(() => POLICIES[op](given), { code: error, line });
  },
  "entries.json": async ({ in: given, out, error }) =>
    assert.deepEqual(await outcome(() => viewOfEntry(unhex(given.entry))), out ?? error),
  "heads.json": async ({ in: given, out, error }) => assert.deepEqual(await outcome(() => viewOfHead(given)), out ?? error),
  "map.json": ({ op, in: given, out, error }) => assert.deepEqual(MAP[op](given), out ?? error),
};
