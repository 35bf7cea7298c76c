// From the log keys that were pinned to those that sign now (PROTOCOL 7.3, 7.5).
//
// Entry 0 names the server's identity key, which signs every LogConf; each LogConf is signed by a log key of the one before. Who holds the
// identity key alone takes nobody along, nor does who holds a log key alone; all of it is in the tree of a head that continues the
// one remembered.

import { Reader, Refused, refusedAs } from "./cbor.js";
import { signedBytes, verifyCertificate } from "./certificate.js";
import { verifyStrict } from "./ed25519.js";
import { decodeEntry } from "./entry.js";
import { badField, listOf, oneOf, readMap, tuple, u64 } from "./fields.js";
import { equal, hex } from "./hash.js";
import { kidOf } from "./name.js";
import { formatVerifierKey } from "./note.js";
import { verifyResolution } from "./resolution.js";
import { has } from "./rules/draft.js";
import { leafHash, splitHashes, verifyInclusion } from "./tree.js";

const [RESOLUTION_BYTES_MAX, ENTRY_BYTES_MAX, ROWS_MAX, PATH_HASHES_MAX] = [65536, 4097, 512, 64];
const SERVER_KIND = 3;

const upTo = (most) => (reader) => {
  const bytes = reader.bstr();
  return bytes.length <= most ? bytes : badField("too long");
};
const path = (reader) => {
  const hashes = splitHashes(reader.bstr());
  return hashes !== null && hashes.length <= PATH_HASHES_MAX ? hashes : badField("path");
};
const CHAIN = {
  0: ["format", oneOf(1)],
  1: ["resolution", upTo(RESOLUTION_BYTES_MAX)],
  2: ["rows", listOf(tuple(u64, path, upTo(ENTRY_BYTES_MAX)), 0, ROWS_MAX)],
};

/**
 * Judges a LogConf, `{sid, conf, payloadBytes, signatures}` as `decodeEntry` gives it, under the server's identity key, after the one before
 * (null: it is the first). Returns "linked", or "repin" if it lacks nothing but the signature of an old log key.
 *
 * Refuses with `logconf_chain`, `unknown_signer`, `bad_signature`, `logconf_unsigned`.
 */
export async function verifyLogConf({ conf, payloadBytes, signatures }, origin, identity, previous) {
  const continues = previous === null ? conf.seq === 0n
    : conf.seq === previous.conf.seq + 1n && equal(conf.prev, previous.sid) && equal(conf.server, previous.conf.server);
  if (!continues || conf.origin !== origin) throw new Refused("logconf_chain");
  const old = previous === null ? [] : keysOf(previous.conf);
  const candidates = [identity, ...keysOf(conf), ...old];
  const message = signedBytes("logconf", conf.origin, payloadBytes);
  const signers = [];
  for (const { kid, signature } of signatures) {
    const key = candidates.find((one) => equal(kidOf(one), kid));
    if (key === undefined) throw new Refused("unknown_signer", hex(kid));
    if (!(await verifyStrict(key, message, signature))) throw new Refused("bad_signature", hex(kid));
    signers.push(key);
  }
  const newSigned = keysOf(conf).every((key) => has(old, key) || has(signers, key));
  if (!has(signers, identity) || !newSigned) throw new Refused("logconf_unsigned");
  return previous === null || signers.some((key) => has(old, key)) ? "linked" : "repin";
}

const keysOf = ({ logKeys }) => logKeys.map(({ key }) => key);
const vkeysOf = ({ conf }) => conf.logKeys.map(formatVerifierKey);

/**
 * Follows the log from the keys of `trust` (as in `verifyResolution`, `retired` = `[[vkey, size], ...]`) to those that sign now. `seq` is
 * that of the LogConf followed to before, or null; `bytes` the answer of `/v1/log/conf/chain`.
 *
 * Returns `{seq, vkeys, retired, resolved, memory}`; refuses with a code of PROTOCOL 7.5 or 11.4.
 */
export async function followLogConfs(trust, memory, seq, bytes, nowMs) {
  const { resolution, rows } = refusedAs("malformed", () => {
    const reader = new Reader(bytes);
    const chain = readMap(reader, CHAIN);
    reader.end();
    return chain;
  });
  const decoded = rows.map(([index, , entry]) => ({ index, entry: refusedAs("logconf_chain", () => decodeEntry(entry)) }));
  const { newest, retired } = await walk(trust, decoded);
  if (seq !== null && newest.conf.seq < seq) throw new Refused("rollback", "an older LogConf");
  const vkeys = vkeysOf(newest);
  const { resolved, memory: after } = await verifyResolution({ ...trust, logKeys: vkeys }, memory, { logConf: true }, resolution, nowMs);
  const isInMap = resolved.logConf !== null && equal(resolved.logConf.bytes, newest.payloadBytes);
  if (!isInMap) throw new Refused("logconf_chain", "the map holds another LogConf");
  for (const [index, hashes, entry] of rows) {
    if (!verifyInclusion(leafHash(entry), index, resolved.size, hashes, resolved.root)) throw new Refused("written", `entry ${index}`);
  }
  return { seq: newest.conf.seq, vkeys, retired, resolved, memory: after };
}

/** Goes through genesis, LogConfs and rotations of the server's identity key, each judged by the ones before. */
async function walk(trust, [genesis, first, ...rest]) {
  let identity = await identityOf(trust, genesis);
  if (first?.entry.type !== "logconf" || first.index !== 1n || !equal(first.entry.conf.server, genesis.entry.certificate.sid.subarray(0, 20))) {
    throw new Refused("logconf_chain", "row 1 is not the first LogConf of that server");
  }
  let newest = first.entry;
  await verifyLogConf(newest, trust.origin, identity, null);
  const { server } = newest.conf;
  const isTrusted = (conf) => vkeysOf(conf).some((vkey) => trust.logKeys.includes(vkey));
  let reached = isTrusted(newest);
  let retired = trust.retired ?? [];
  let last = first.index;
  for (const { index, entry } of rest) {
    if (index <= last) throw new Refused("logconf_chain", "rows ascend");
    last = index;
    if (entry.type === "logconf") {
      const succession = await verifyLogConf(entry, trust.origin, identity, newest);
      if (succession === "repin" && reached) throw new Refused("repin", "keys replaced without a signature of the trusted ones");
      // Heads up to this entry do not hold it: they were signed by the keys before it.
      if (reached) retired = retiredAt(retired, vkeysOf(newest), vkeysOf(entry), index);
      newest = entry;
      reached ||= isTrusted(newest);
    } else {
      identity = await rotated(trust, server, identity, entry);
    }
  }
  if (!reached) throw new Refused("log_key", "no LogConf lists a key that is trusted");
  return { newest, retired };
}

function retiredAt(retired, old, now, index) {
  const all = [...retired, ...old.filter((vkey) => !now.includes(vkey)).map((vkey) => [vkey, index])].filter(([vkey]) => !now.includes(vkey));
  return all.filter(([vkey, size], i) => i === 0 || vkey !== all[i - 1][0] || BigInt(size) !== BigInt(all[i - 1][1]));
}

async function identityOf({ origin }, row) {
  const { certificate } = row?.entry ?? {};
  const { body, typeName } = certificate?.payload ?? {};
  if (typeName !== "genesis" || row.index !== 0n || body.kind !== SERVER_KIND) throw new Refused("logconf_chain", "row 0 is no server's genesis");
  await verifyCertificate(certificate, origin, [body.identity, body.device.sign]);
  return body.identity;
}

/** The old identity key and the new one signed: then it holds at once, whatever devices say (PROTOCOL 5.3). */
async function rotated({ origin }, server, identity, { certificate }) {
  const { payload } = certificate ?? {};
  const isRotation = payload?.typeName === "id_rotate" && equal(payload.subject, server);
  if (!isRotation) throw new Refused("logconf_chain", "a row that is neither LogConf nor id_rotate");
  const signed = await verifyCertificate(certificate, origin, [identity, payload.body.identity], { oneParty: true });
  if (!has(signed, identity) || !has(signed, payload.body.identity)) throw new Refused("repin", "the identity key was replaced without the old one");
  return payload.body.identity;
}
