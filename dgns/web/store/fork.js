// Databases that go on from others: what a fork takes over, and what is its own (PROTOCOL 25.13).

import { refusing } from "../cbor.js";
import { compare, equal, hex } from "../hash.js";
import { logIdOf } from "./entry.js";
import { FORKS_MAX } from "./limits.js";
import { Owners } from "./owners.js";

const refuse = refusing({
  not_allowed: "only an owner of the database forks it",
  bad_genesis: "a fork goes on from the database that it names, as another one",
  full: "a database goes on from at most 16 others",
  trim_unsafe: "a fork of a trimmed log has the snapshot that stands for what is gone",
  bad_cuts: "a fork says of each log how much of it is its own, and of no other log",
});

/** The parts of a log that goes on from the first `size` entries of `log`, which has `parts` itself. */
function cut(parts, { log, size, root }) {
  const kept = parts.filter((part) => part.size < size);
  if (size === 0n) return kept;
  const from = parts.find((part) => part.size >= size)?.log ?? log;
  return [...kept, { log: from, size, root }];
}

/** Goes on as another database: its members, keys and logs are those of the source; its one owner is itself. */
export function fork(acl, author, { source, did, salt, base }) {
  if (!acl.owners.has(author)) refuse("not_allowed");
  const known = acl.sources.some((before) => equal(before.did, did));
  if (!equal(source, acl.did) || equal(did, acl.did) || known) refuse("bad_genesis");
  if (acl.sources.length >= FORKS_MAX) refuse("full");
  const logs = [...acl.logs.values()].sort((a, b) => compare(a.id, b.id));
  if (logs.length !== base.length || !logs.every(({ id }, i) => equal(id, base[i].log))) refuse("bad_cuts");
  if (base.some(({ log, size }) => size <= (acl.trims.get(hex(log))?.snapshot ?? -1n))) refuse("trim_unsafe");
  const epochs = new Map([...acl.groups].map(([gid, group]) => [gid, BigInt(group.epochs.length)]));
  const names = new Map(logs.map(({ id, gid, kind, label }) => [hex(id), logIdOf(did, gid, kind, label)]));
  const parts = base.map((row) => [hex(names.get(hex(row.log))), cut(acl.partsOf(row.log), row)]);
  for (const { terms } of acl.groups.values()) {
    const ended = [...terms.values()].flat().map((term) => term.ended);
    for (const end of ended.filter((end) => end !== null)) end.cuts = new Map([...end.cuts].map(([log, size]) => [hex(names.get(log)), size]));
  }
  acl.trims = new Map([...acl.trims].map(([log, trim]) => [hex(names.get(log)), trim]));
  acl.sources.push({ did: acl.did, epochs });
  acl.logs = new Map(logs.map((log) => [hex(names.get(hex(log.id))), { ...log, id: names.get(hex(log.id)) }]));
  Object.assign(acl, { parts: new Map(parts), did, salt, owners: new Owners(did), begun: false });
}
