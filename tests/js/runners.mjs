// One runner per vector file: takes a case, fails unless verify.js says what the case says.

import assert from "node:assert/strict";

import { bigEndian, concat } from "../../dgns/web/hash.js";
import {
  commitmentOf, decodeMapProof, hex, labelOfDid, labelOfLogConf, labelOfName, mapRoot, sha256, stateHash, unhex, valueBytes, verifyMapProof,
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
  label({ kind, name, did }) {
    return { label: hex(kind === "name" ? labelOfName(name) : kind === "did" ? labelOfDid(unhex(did)) : labelOfLogConf()) };
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

export const RUNNERS = {
  "map.json": ({ op, in: given, out, error }) => assert.deepEqual(MAP[op](given), out ?? error),
};
