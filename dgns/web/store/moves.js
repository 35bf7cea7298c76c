// Databases that move to another server: which entries they have there, and where that is (PROTOCOL 25.17).

import { refusing } from "../cbor.js";
import { compare, equal, hex } from "../hash.js";
import { MOVES_MAX } from "./limits.js";

const refuse = refusing({
  not_allowed: "only an owner of the database moves it",
  stays: "a fork stays where the entries are that it goes on from",
  moved: "a database comes back to no server that it was at",
  full: "a database moves to at most 16 servers",
  bad_cuts: "a move says of each log how many entries it has, no fewer than it came with, and of no other log",
});

/** An owner is for another server; once half of them are it goes on there, with all that each log has then. */
export function moved(acl, author, { server, url, origin, key, heads }) {
  if (!acl.owners.has(author)) refuse("not_allowed");
  if (acl.sources.length > 0) refuse("stays");
  if (origin === acl.home || acl.places.some((place) => equal(place.server, server))) refuse("moved");
  if (acl.places.length >= MOVES_MAX) refuse("full");
  const logs = [...acl.logs.values()].map(({ id }) => id).sort(compare);
  if (logs.length !== heads.length || !logs.every((id, i) => equal(id, heads[i].log))) refuse("bad_cuts");
  const last = (log) => acl.partsOf(log).at(-1);
  const isLess = ({ log, size, root }) => last(log) !== undefined && (size < last(log).size || (size === last(log).size && !equal(root, last(log).root)));
  if (heads.some(isLess)) refuse("bad_cuts");
  const place = { server, url, origin, key };
  if (!acl.owners.go(author, place)) return;
  for (const { log, size, root } of heads.filter((head) => head.size > (last(head.log)?.size ?? 0n))) acl.parts.set(hex(log), [...acl.partsOf(log), { log, size, root }]);
  acl.places.push(place);
}
