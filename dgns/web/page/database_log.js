// A log of a database, read at its server or through a private one: every entry in its order, checked, opened where this browser's account is a member, and followed.

import { NetworkError } from "../client.js";
import { hex } from "../hash.js";
import { Database } from "../store/database.js";
import { DELETING } from "../store/owners.js";
import { Rows, partsOf } from "./database_rows.js";
import { el, fill, goTo, show, sign, tag, whenText } from "./dom.js";
import { download } from "./save.js";
import { personOf } from "./user_keys.js";

/** Entries that are shown of before, and asked for at once; how long a log may be followed before it is proved anew, ms. */
const [BEFORE, LIMIT, PROVED_MS] = [200n, 256, 10_000];
/** Between two looks, ms, doubled while there is no connection; how often without one. */
const [BREATH_MS, AGAIN_MAX] = [1000, 4];

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
  let isWhole = false;
  try {
    isWhole = await follow(await Database.open(source, name, personOf(source.client, record)), label, record, { list, state }, own.signal);
    own.abort();
  } catch (error) {
    if (!own.signal.aborted) {
      show(failed);
      fill(failed, error.place && elsewhere(error.place), told(error, error.evidence && (() => download(error.evidence.name, error.evidence.bytes))));
    }
  }
  if (!isWhole) fill(state, own.signal.aborted && el("p", { class: "soft small" }, "Stopped: what is added from now on is not shown."));
  show(halt, false);
}

/** Shows what a log has as it comes; returns true once nothing more can come, since the database is elsewhere. */
async function follow(database, label, record, { list, state }, signal) {
  const log = database.log(label);
  const follower = await database.follower(log.id, (size) => (size > BEFORE ? size - BEFORE : 0n));
  const rows = new Rows();
  let [waitS, proved] = [0, Date.now()];
  while (!signal.aborted && list.isConnected) {
    await whileHidden(signal);
    const { entries, size } = await patiently(() => database.read(follower, LIMIT, waitS), signal);
    const isOld = Date.now() - proved > PROVED_MS;
    if (isOld) {
      // It may serve the log and not the proof that this is all of it, or who may write: what came is shown behind that, and what is shown is judged by it.
      follower.anchored = await patiently(() => database.prove(log.id), signal);
      proved = Date.now();
      for (const row of await patiently(() => rows.judged((pos, header) => database.counts(pos, header)), signal)) await shown(database, row);
    }
    const added = [];
    for (const [i, entry] of entries.entries()) added.push(await patiently(() => rowOf(database, follower.next - BigInt(entries.length - i), entry), signal));
    append(list, rows, added);
    if (added.length > 0 || isOld || waitS === 0 || database.place !== null) tell(state, standing(database, log, rows.all[0]?.pos ?? 0n, { k: follower.anchored.k, anchored: follower.anchored.size, size }, record));
    if (database.place !== null && follower.next >= size) return true;
    waitS = follower.next < size ? 0 : database.source.waitS;
    // Whoever answers may not wait as it was asked to.
    if (entries.length === 0) await pause(BREATH_MS, signal);
  }
  return false;
}

/** Does what may fail for want of a connection, a few times over, until the signal ends it. */
async function patiently(work, signal) {
  for (let again = 0; ; again++) {
    signal.throwIfAborted();
    try {
      return await orEnded(work(), signal);
    } catch (error) {
      if (!(error instanceof NetworkError) || again >= AGAIN_MAX) throw error;
      await pause(BREATH_MS << again, signal);
    }
  }
}

/** Returns when a time has passed. */
const pause = (ms, signal) => orEnded(new Promise((done) => setTimeout(done, ms)), signal);

/** Returns when somebody can see the page. */
async function whileHidden(signal) {
  while (document.hidden) await orEnded(new Promise((done) => document.addEventListener("visibilitychange", done, { once: true })), signal);
}

/** Returns what comes of a promise, unless the signal ends it. */
function orEnded(promise, signal) {
  const over = new AbortController();
  const ended = new Promise((_, failed) => signal.addEventListener("abort", () => failed(signal.reason), { signal: over.signal }));
  return Promise.race([promise, ended]).finally(() => over.abort());
}

/** Says how it stands, if it is not what was said. */
function tell(state, parts) {
  const said = el("div", {}, parts);
  if (said.textContent !== state.textContent) fill(state, parts);
}

/** Says what was checked, and whether this account opens it. */
function standing(database, { gid }, first, { k, size, anchored }, { did, name }) {
  const [isMember, opens] = [database.acl.groups.get(gid).members.has(hex(did)), database.opens(gid)];
  const why = isMember ? "You are a member, but the newest key does not open in this browser: another device of yours may do."
    : opens === "before" ? `${name} is no member of this database any more: what was written since then does not open. Who wrote, and when, you see.`
      : `${name} is no member of this database, and only members open what is in it. Who wrote, and when, you see.`;
  const { place } = database;
  const stands = anchored === 0n ? "None is in an anchor yet" : `${anchored < size ? anchored : "All"} of them ${anchored === 1n && size > 1n ? "is" : "are"} in anchor ${k} of its server`;
  const checked = `${size} ${size === 1n ? "entry" : "entries"}, proved: each in its place, signed by a device of somebody who may write. ${stands}. ${place === null ? "What is added is shown as it comes." : "Nothing is added here any more."}`;
  return [
    place !== null && elsewhere(place),
    el("p", { class: "tell good" }, sign("good"), el("span", {}, checked)),
    database.acl.owners.stage === DELETING && el("p", { class: "tell wait" }, sign("wait"), "Half of its owners are for deleting it: nobody writes to it, unless one of them takes that back."),
    opens !== "all" && el("p", { class: "tell wait" }, sign("wait"), el("span", {}, el("strong", {}, "Sealed. "), why)),
    first > 0n && el("p", { class: "soft small" }, `The ${first} entries before these are not shown here: \u201cdgns db read\u201d prints all.`),
  ];
}

/** Says where the owners of a database took it; the address is their word, and is led to if it is one of the web. */
function elsewhere({ url, origin }) {
  const at = isOfTheWeb(url) ? el("a", { href: url, rel: "noopener noreferrer" }, url) : el("code", {}, url);
  return el("p", { class: "tell wait" }, sign("wait"), el("span", {}, el("strong", {}, "The database moved. "), "Its owners took it to ", at, `, whose log is ${origin}. Here is what it had until then; \u201cdgns db read\u201d goes on there, and checks it.`));
}

function isOfTheWeb(url) {
  try {
    return ["https:", "http:"].includes(new URL(url).protocol);
  } catch {
    return false;
  }
}

/** Returns an entry as a row. */
async function rowOf(database, pos, entry) {
  return shown(database, { pos, entry, counts: await database.counts(pos, entry.header), item: el("li", {}) });
}

/** Shows a row as it is judged; returns it. */
async function shown(database, row) {
  const { pos, entry, counts, item } = row;
  const { author, unixMs } = entry.header;
  const who = el("p", {}, el("strong", {}, database.people.nameOf(author)), el("span", { class: "soft small" }, ` entry ${pos}, ${whenText(unixMs)} by its device\u2019s clock`));
  const records = counts ? await database.records(entry) : null;
  if (!counts) fill(item, who, el("p", {}, tag("wait", "left out"), " Who wrote it was taken out of the database, and it does not count."));
  else if (records === null) fill(item, who, el("p", {}, tag("", "sealed"), ` ${entry.body.length} bytes`));
  else fill(item, who, textsOf(records));
  return row;
}

/** Returns the first of the records of an entry, and how much there is besides. */
function textsOf(records) {
  const { parts, more } = partsOf(records);
  const andMore = (what) => el("p", { class: "soft small" }, `\u2026 and ${what} more: \u201cdgns db read\u201d prints all.`);
  return [parts.map(({ text, more: bytes }) => [el("pre", {}, text), bytes > 0 && andMore(`${bytes} bytes`)]), more > 0 && andMore(`${more} ${more === 1 ? "record" : "records"}`)];
}

/** Adds rows; whoever reads the end goes along with it. */
function append(list, rows, added) {
  const isAtEnd = list.scrollTop + list.clientHeight >= list.scrollHeight - 8;
  list.append(...added.map(({ item }) => item));
  for (const { item } of rows.add(added)) item.remove();
  show(list, list.children.length > 0);
  if (isAtEnd) list.scrollTop = list.scrollHeight;
}
