// A log of a database, read at its server or through a private one: every entry in its order, checked, opened where this browser's account is a member, and followed.

import { hex } from "../hash.js";
import { Database } from "../store/database.js";
import { DELETING } from "../store/owners.js";
import { el, fill, goTo, show, sign, tag, whenText } from "./dom.js";
import { download } from "./save.js";
import { personOf } from "./user_keys.js";

/** Entries that are shown of before, and at most; asked for at once; how long a log may be followed before it is proved anew. */
const [BEFORE, SHOWN_MAX, LIMIT, PROVED_MS] = [200n, 1000, 256, 10_000];

/** Ends what is followed now: one log is shown at a time. */
let stop = new AbortController();

/**
 * Shows a log as it is, and as it grows, in `place`; returns when that is stopped, or what is shown is not believed. `source` as follow.js takes it; `told(error, keep)`
 * = what is shown of an error.
 */
export async function showLog(source, record, name, label, place, told) {
  const [list, state, failed] = [el("ol", { class: "entries", role: "log", tabindex: "0", "aria-label": `${label} of ${name}`, hidden: true }), el("div", { role: "status" }), el("div", { hidden: true })];
  stop.abort();
  const own = (stop = new AbortController());
  const halt = el("button", { type: "button", class: "quiet", onclick: () => own.abort() }, "Stop");
  const part = el("section", { class: "card" }, el("h2", {}, `${label} of ${name}`), state, list, failed, el("div", { class: "actions" }, halt));
  fill(state, el("p", { class: "tell" }, sign("turning"), "Reading who may write, and proving that this is the database of now \u2026"));
  fill(place, part);
  goTo(part.querySelector("h2"));
  try {
    await follow(await Database.open(source, name, personOf(source.client, record)), label, record, { list, state }, own.signal);
    fill(state, el("p", { class: "soft small" }, "Stopped: what is added from now on is not shown."));
  } catch (error) {
    fill(state);
    show(failed);
    fill(failed, told(error, error.evidence && (() => download(error.evidence.name, error.evidence.bytes))));
  }
  show(halt, false);
}

async function follow(database, label, record, { list, state }, signal) {
  const log = database.log(label);
  const follower = await database.follower(log.id, (size) => (size > BEFORE ? size - BEFORE : 0n));
  const first = follower.next;
  let [waitS, proved] = [0, Date.now()];
  while (!signal.aborted) {
    const { entries, size } = await database.read(follower, LIMIT, waitS);
    if (Date.now() - proved > PROVED_MS) {
      // It may serve the log and not the proof that this is all of it, or who may write: what came is shown behind that.
      await database.prove(log.id);
      proved = Date.now();
    }
    const rows = [];
    for (const [i, entry] of entries.entries()) rows.push(await rowOf(database, follower.next - BigInt(entries.length - i), entry));
    if (signal.aborted) return;
    append(list, rows);
    if (rows.length > 0 || waitS === 0) fill(state, standing(database, log, first, size, record));
    waitS = follower.next < size ? 0 : 1;
  }
}

/** Says what was checked, and whether this account opens it. */
function standing(database, { gid }, first, size, { did, name }) {
  const [isMember, opens] = [database.acl.groups.get(gid).members.has(hex(did)), database.opens(gid)];
  const why = isMember ? "You are a member, but the newest key does not open in this browser: another device of yours may do."
    : opens === "before" ? `${name} is no member of this database any more: what was written since then does not open. Who wrote, and when, you see.`
      : `${name} is no member of this database, and only members open what is in it. Who wrote, and when, you see.`;
  const checked = `${size} ${size === 1n ? "entry" : "entries"}, proved: each in its place, signed by a device of somebody who may write, in the log that its server anchored. What is added is shown as it comes.`;
  return [
    el("p", { class: "tell good" }, sign("good"), el("span", {}, checked)),
    database.acl.owners.stage === DELETING && el("p", { class: "tell wait" }, sign("wait"), "Half of its owners are for deleting it: nobody writes to it, unless one of them takes that back."),
    opens !== "all" && el("p", { class: "tell wait" }, sign("wait"), el("span", {}, el("strong", {}, "Sealed. "), why)),
    first > 0n && el("p", { class: "soft small" }, `The ${first} entries before these are not shown here: \u201cdgns db read\u201d prints all.`),
  ];
}

/** Returns an entry as it is shown. */
async function rowOf(database, pos, entry) {
  const { author, unixMs } = entry.header;
  const who = el("p", {}, el("strong", {}, database.people.nameOf(author)), el("span", { class: "soft small" }, ` entry ${pos}, ${whenText(unixMs)} by its device\u2019s clock`));
  if (!(await database.counts(pos, entry.header))) return el("li", {}, who, el("p", {}, tag("wait", "left out"), " Who wrote it was taken out of the database, and it does not count."));
  const records = await database.records(entry);
  return el("li", {}, who, records === null ? el("p", {}, tag("", "sealed"), ` ${entry.body.length} bytes`) : records.map((record) => el("pre", {}, textOf(record))));
}

function textOf(bytes) {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return `${bytes.length} bytes that are no text`;
  }
}

/** Adds rows; whoever reads the end goes along with it. */
function append(list, rows) {
  const isAtEnd = list.scrollTop + list.clientHeight >= list.scrollHeight - 8;
  list.append(...rows);
  show(list, list.children.length > 0);
  while (list.children.length > SHOWN_MAX) list.firstChild.remove();
  if (isAtEnd) list.scrollTop = list.scrollHeight;
}
