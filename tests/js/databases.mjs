// Runners of the vectors of databases: `(op, in)` -> what the case says comes out.

import { blake3 } from "../../dgns/web/blake3.js";
import { decodeFault } from "../../dgns/web/fault.js";
import { hex, unhex } from "../../dgns/web/hash.js";
import { mapRoot } from "../../dgns/web/map.js";
import { Acl } from "../../dgns/web/store/acl.js";
import { anchorLabel, anchoredHash, decodeAnchoredHead, decodeChanges } from "../../dgns/web/store/anchor.js";
import { openRecords } from "../../dgns/web/store/body.js";
import { decodeControl } from "../../dgns/web/store/control.js";
import { controlLogOf, decodeEntry, logIdOf, verifyEntry } from "../../dgns/web/store/entry.js";
import { checkStoreFault } from "../../dgns/web/store/fault.js";
import { decodeStoreHead, verifyStoreHead } from "../../dgns/web/store/head.js";
import { decodeProof, decodeSealedInvitation, grantedTo, partitionSalt, readInvitation } from "../../dgns/web/store/partition.js";
import { openManifest, openPart } from "../../dgns/web/store/snapshot.js";

const HOME = "dgns.test/log";
/** The key of the seed 01 x 32. */
const KEY = unhex("8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c");

export const DATABASES = {
  log: ({ db, gid, kind, label }) => ({ id: hex(logIdOf(unhex(db), gid, kind, label)) }),
  async entry({ entry: bytes }) {
    const entry = decodeEntry(unhex(bytes));
    await verifyEntry(entry, HOME);
    return { leaf: hex(entry.leaf) };
  },
  control: ({ body }) => (decodeControl(unhex(body)), {}),
  async head({ head: bytes }) {
    const head = decodeStoreHead(unhex(bytes));
    await verifyStoreHead(head, HOME, [KEY]);
    return { size: Number(head.size), root: hex(head.root) };
  },
  anchored({ log, salt, head: bytes }) {
    const head = decodeAnchoredHead(unhex(bytes));
    return { label: hex(anchorLabel(unhex(log), unhex(salt))), hash: hex(anchoredHash(head)) };
  },
  changes({ changes }) {
    const { heads } = decodeChanges(unhex(changes));
    return { root: hex(mapRoot(heads.map(([label, head]) => [label, anchoredHash(head)]))) };
  },
  fork({ db, said, asked }) {
    const acl = replay(controlLogOf(unhex(db)), said);
    const logs = [...acl.logs.keys()].sort().map((log) => [log, acl.partsOf(unhex(log)).map((part) => [hex(part.log), Number(part.size), hex(part.root)]), Number(acl.first(unhex(log)))]);
    const standings = standingsOf(acl, asked);
    return { db: hex(acl.did), salt: hex(acl.salt), logs, standings };
  },
  proof({ body, user }) {
    const proof = decodeProof(unhex(body));
    if (proof.type === "open") return { salt: hex(proof.salt) };
    if (proof.type === "left") return { left: hex(proof.db) };
    const to = grantedTo(proof, unhex(user));
    return { db: hex(proof.db), pos: Number(proof.pos), epoch: Number(proof.epoch), to: to && [to.gid, Number(to.untilS)] };
  },
  partition_salt: async ({ seed, db }) => ({ salt: hex(await partitionSalt(unhex(seed), unhex(db))) }),
  sealed_invitation({ body }) {
    const { generation, ct } = decodeSealedInvitation(unhex(body));
    return { generation: Number(generation), bytes: ct.length };
  },
  invitation({ plain }) {
    const { db, text } = readInvitation(unhex(plain));
    return { db: db && hex(db), text };
  },
  owners({ db, said }) {
    const { owners } = replay(controlLogOf(unhex(db)), said);
    const tombstone = owners.tombstone?.map(({ log, size }) => [hex(log), Number(size)]) ?? null;
    return { owners: [...owners.all].sort(), lacking: owners.lacking, stage: owners.stage, tombstone };
  },
};

/** Replays a control log. */
function replay(log, said) {
  const statements = said.map(([author, body]) => [unhex(author), decodeControl(unhex(body))]);
  const acl = new Acl(log, ...statements[0]);
  for (const [author, statement] of statements.slice(1)) acl.apply(author, statement);
  return acl;
}

/** Asks what entries are worth, `[log, place, author, epoch]` each. */
const standingsOf = (acl, asked) => asked.map(([of, pos, author, epoch]) => acl.standing(unhex(of), BigInt(pos), unhex(author), BigInt(epoch)));

/** Replays a control log, and asks what entries of its logs are worth. */
export function controlLog({ log, said, asked }) {
  const acl = replay(unhex(log), said);
  const sorted = (rows) => rows.sort(([a, b], [c, d]) => (a === c ? (b < d ? -1 : 1) : a < c ? -1 : 1));
  const groups = [...acl.groups].sort(([a], [b]) => a - b);
  return {
    members: groups.flatMap(([gid, { members }]) => sorted([...members].map(([did, { rights, untilS }]) => [gid, did, rights, Number(untilS)]))),
    epochs: groups.map(([gid, { epochs, rekeyDue }]) => [gid, epochs.length, rekeyDue]),
    logs: sorted([...acl.logs].map(([id, { gid, label }]) => [id, gid, label, Number(acl.first(unhex(id))), Number(acl.trims.get(id)?.snapshot ?? 0n)])),
    standings: standingsOf(acl, asked),
  };
}

/** Opens a body, and names it. */
export async function bodyOf({ key, log, device, lsn, epoch, refs, body }) {
  const records = await openRecords(unhex(key), { log: unhex(log), device: unhex(device), lsn, epoch, refs: refs.map(unhex) }, unhex(body));
  return { id: hex(blake3(unhex(body))), records: records.map((record) => (record.pieces ? { bytes: record.bytes, pieces: record.pieces.map((piece) => piece.map(hex)) } : hex(record))) };
}

const shownRecord = (record) => (record.pieces ? { bytes: record.bytes, pieces: record.pieces.length } : hex(record));
const place = (pos) => (pos === null ? null : Number(pos));

/** Opens what snapshots consist of. */
export const SNAPSHOTS = {
  async manifest({ key, log, device, lsn, epoch, refs, body }) {
    const { size, root, before, parts } = await openManifest(unhex(key), { log: unhex(log), device: unhex(device), lsn, epoch, refs: refs.map(unhex) }, unhex(body));
    const shown = ({ at, id, key, records, bytes }) => ({ at: place(at), id: hex(id), key: hex(key), records: Number(records), bytes });
    return { size: Number(size), root: hex(root), before: place(before), parts: parts.map(shown) };
  },
  part({ part, chunk }) {
    const rows = openPart({ ...part, key: unhex(part.key) }, unhex(chunk));
    const shown = ({ pos, epoch, author, unixMs, records }) => ({ pos: Number(pos), epoch: Number(epoch), author: hex(author), unix_ms: Number(unixMs), records: records.map(shownRecord) });
    return { rows: rows.map(shown) };
  },
};

/** Judges evidence against a server. */
export async function storeFault({ file }) {
  const { key, what } = await checkStoreFault(decodeFault(unhex(file)));
  return { says: `${what} (proofs signed by ${key})` };
}
