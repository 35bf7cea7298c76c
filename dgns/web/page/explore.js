// The log, page by page: entries decoded, each led to the signed head before it is shown.

import { hex } from "../hash.js";
import { didText } from "../name.js";
import { decodeResolution } from "../resolution.js";
import { byId, el, facts, fill, fold, goTo, grouped, sign, table, tag, verdict, whenText } from "./dom.js";
import { proveEntry, readBundle, tilePath } from "./entries.js";
import { ladder, pathRanges, rangeRung } from "./proof.js";
import { openPage } from "./shell.js";
import { showTrouble } from "./trouble.js";

const PAGE = 25n;

const { client, info } = await openPage();
const place = byId("place");
place.removeAttribute("aria-busy");
addEventListener("popstate", () => read());
read();

/** Reads the newest head, and what of the log the address bar asks for. */
async function read({ moved = false } = {}) {
  const asked = new URLSearchParams(location.search);
  const number = (name) => (/^[0-9]{1,19}$/.test(asked.get(name) ?? "") ? BigInt(asked.get(name)) : null);
  try {
    const said = await info;
    const head = await client.lookup(said.server_did);
    const index = number("index");
    if (index === null) await list(head, number("before") ?? head.size, said);
    else await one(head, index);
    if (moved) goTo(place.querySelector("h2"));
  } catch (error) {
    showTrouble(place, error, () => read());
  }
}

/** Goes to another place of the log without a new page. */
function follow(event) {
  event.preventDefault();
  history.pushState(null, "", event.currentTarget.href);
  read({ moved: true });
}

const link = (query, text, properties = {}) => el("a", { href: `/explore${query}`, onclick: follow, ...properties }, text);

/** The field that leads to an entry. */
function jump(size) {
  const input = el("input", { type: "number", id: "index", min: 0, max: Number(size - 1n), required: true, inputmode: "numeric" });
  const form = el("form", { class: "field" }, el("label", { for: "index" }, `Go to entry, 0 to ${size - 1n}`), el("div", { class: "asks" }, input, el("button", { class: "quiet" }, "Go")));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    history.pushState(null, "", `/explore?index=${input.value}`);
    read({ moved: true });
  });
  return form;
}

// --- a page of entries -----------------------------------------------------------------------------------------------------

async function list(head, before, said) {
  const end = before < head.size ? before : head.size;
  const start = end > PAGE ? end - PAGE : 0n;
  const bundles = [await readBundle(client, start, head)];
  if (end > bundles[0].first + 256n) bundles.push(await readBundle(client, end - 1n, head));
  const entries = bundles.flatMap((bundle) => bundle.entries).filter(({ index }) => index >= start && index < end).reverse();
  const row = ({ index, entry }) => [link(`?index=${index}`, String(index)), tag(kindOf(entry), typeOf(entry)), lineOf(entry)];
  const pager = el("nav", { "aria-label": "Pages of the log", class: "actions" },
    end < head.size && link(`?before=${end + PAGE}`, "Newer", { class: "button quiet" }), start > 0n && link(`?before=${start}`, "Older", { class: "button quiet" }),
    end < head.size && link("", "Newest"));
  fill(place, headCard(head, said), el("section", { class: "card" },
    el("h2", {}, `Entries ${start} to ${end - 1n}`), el("p", { class: "tell good" }, sign("good"), el("span", {}, `All ${bundles.reduce((sum, bundle) => sum + bundle.entries.length, 0)} entries around them were hashed here, and lead to the signed root.`)),
    table([["Entry", "number"], ["Kind"], ["What it says"]], entries.map(row), "bare"),
    pager), jump(head.size));
}

/** The newest head, verified, and its witnesses as the server tells of them. */
function headCard(head, said) {
  const { head: sent } = decodeResolution(head.bytes);
  const witnesses = said.public?.witnesses ?? [];
  return el("section", { class: "card" }, el("h2", {}, "The signed head"), facts([
    ["Size", `${head.size} entries`],
    ["Root", el("code", {}, grouped(hex(head.root)))],
    ["Made", `${whenText(head.epochMs)}, Epoch ${head.epoch}`],
    ["Signed", el("span", {}, tag("good", "signature checked"), " by ", el("code", {}, client.origin))],
    ["Witnessed", head.unwitnessed ? el("span", {}, tag("wait", "by nobody"), " ", "this log asks no witness") : el("span", {}, tag("good", "checked"), ` by a quorum, ${whenText(head.quorumMs)}`)],
    ["Since last time", { first: "this browser meets this log for the first time", same: "nothing new", extends: `it continues the ${head.continuity.fromSize} entries met before: checked` }[head.continuity.kind]],
    ["Witnesses asked", witnesses.length > 0 ? `${witnesses.map(({ name, size }) => `${name} (${size})`).join(", ")}; this line is the server\u2019s word` : undefined],
  ]), sent && fold("Signature", el("p", { class: "hash" }, hex(sent.signature))));
}

// --- one entry -----------------------------------------------------------------------------------------------------------

async function one(head, index) {
  if (index >= head.size) {
    return fill(place, verdict("plain", `The log has no entry ${index} yet`, el("p", {}, `It has ${head.size}, and that is proved.`)), jump(head.size));
  }
  const { first, entries } = await readBundle(client, index, head);
  const found = entries.find((entry) => entry.index === index);
  const path = await proveEntry(client, found, head);
  const ranges = pathRanges(index, head.size);
  const bundleWidth = BigInt(entries.length);
  const near = el("nav", { "aria-label": "Entries beside it", class: "actions" }, index > 0n && link(`?index=${index - 1n}`, `Entry ${index - 1n}`, { class: "button quiet" }),
    index + 1n < head.size && link(`?index=${index + 1n}`, `Entry ${index + 1n}`, { class: "button quiet" }), link(`?before=${index + 13n < head.size ? index + 13n : head.size}`, "The page around it"));
  fill(place,
    el("section", { class: "card" }, el("h2", {}, `Entry ${index}: ${typeOf(found.entry)}`), el("p", {}, lineOf(found.entry)), facts(factsOf(found)), fold("Its bytes", el("p", { class: "hash" }, hex(found.bytes))), near),
    el("section", { class: "card" }, el("h2", {}, "It is in the log"),
      el("p", { class: "tell good" }, sign("good"), el("span", {}, `Proved: ${path.length} hashes lead from it to the root that the log signed over ${head.size} entries.`)),
      ladder({ top: `signed root of ${head.size} entries`, bottom: `entry ${index}`, rungs: ranges.map(rangeRung) }),
      fold("The hashes", el("ol", {}, el("li", {}, "of this entry: ", el("span", { class: "hash" }, hex(found.leaf))), path.map((hash, i) => el("li", {}, `${rangeRung(ranges[i]).text}: `, el("span", { class: "hash" }, hex(hash)))))),
      facts([
        ["Bundle", el("a", { href: tilePath("entries", first / 256n, bundleWidth) }, el("code", {}, tilePath("entries", first / 256n, bundleWidth)))],
        ["Tile", el("a", { href: tilePath(0, first / 256n, bundleWidth) }, el("code", {}, tilePath(0, first / 256n, bundleWidth)))],
        ["Proof file", el("a", { href: `/v1/log/entries/${index}.tlog-proof`, download: `entry-${index}.tlog-proof` }, `entry-${index}.tlog-proof`)],
      ])), jump(head.size));
}

// --- entries in words ------------------------------------------------------------------------------------------------------

const kindOf = ({ type }) => ({ certificate: "act", notice: "bad" })[type] ?? "";
const typeOf = ({ type, certificate }) => (type === "certificate" ? certificate.payload.typeName.replaceAll("_", " ") : { epoch: "Epoch", logconf: "log settings", notice: "notice", anchor: "anchor" }[type]);

const who = (did) => el("a", { href: `/lookup?name=${didText(did)}` }, el("code", {}, `${didText(did).slice(0, 17)}\u2026`));
const called = (name) => el("a", { href: `/lookup?name=${name}` }, name);

const LINES = {
  genesis: () => ["A new account, with its words and its first device."],
  claim: ({ body }) => [called(body.name), ` is claimed, ${{ 1: `by work of ${body.bits} bits`, 2: "by a sign-in", 3: "by invitation", 4: "by leave of the name above" }[body.road]}, for `],
  device_add: ({ body }) => [`Another device, level ${body.device.level}, of `],
  device_suspend: ({ body }) => [`Device ${hex(body.kid).slice(0, 8)} is to be suspended, of `],
  device_revoke: ({ body }) => [`Device ${hex(body.kid).slice(0, 8)} is to go, of `],
  records: ({ body }) => [`${body.rows.length} DNS ${body.rows.length === 1 ? "record" : "records"} of `, called(body.name), ", by "],
  delegate: ({ body }) => [called(body.name), body.servers === undefined ? " is answered here again, by leave of " : " is answered by another server, by leave of "],
  transfer: ({ body }) => [called(body.name), body.to === undefined ? " is given up by " : " goes to another account, from "],
  user_key: ({ body }) => [`The user key becomes generation ${body.generation}, of `],
  alias_bind: () => ["An e-mail address, which nobody can read here, is bound to "],
  alias_unbind: () => ["An e-mail address is to be given up by "],
  attest_login: () => ["Somebody signed in with an e-mail address that is bound; nobody can read here which."],
  notary_revoke: ({ body }) => [`The authority with the key ${hex(body.kid).slice(0, 8)} counts no more, of the server `],
  notary_add: ({ body }) => [`An authority for ${body.scope || "aliases"}, of the server `],
};

/** Returns an entry in one line. */
function lineOf({ type, certificate, epoch, conf, notice, anchor }) {
  if (type === "anchor") return el("span", {}, `Number ${anchor.k}: fixes the newest heads of ${anchor.logs} logs of databases.`);
  if (type === "epoch") return el("span", {}, `Number ${epoch.k}, ${whenText(epoch.timeMs)}: fixes the map of all names.`);
  if (type === "logconf") return el("span", {}, `Settings ${conf.seq}: ${conf.logKeys.length === 1 ? "one key" : `${conf.logKeys.length} keys`} of the log.`);
  if (type === "notice") return el("span", {}, `About ${notice.origin}: ${{ 1: "two histories of a log", 2: "two histories signed by a witness", 3: "consistency refused", 4: "the operator says" }[Number(notice.kind)]}.`);
  const { payload, sid } = certificate;
  const said = LINES[payload.typeName]?.(payload) ?? ["Of "];
  // An alias is no account: its chain is its own.
  const whose = payload.typeName === "genesis" ? sid.subarray(0, 20) : payload.subject.length === 20 && payload.subject;
  return el("span", {}, ...said, " ", whose && who(whose));
}

/** Returns everything an entry says. */
function factsOf({ entry: { type, certificate, epoch, conf, notice, anchor, sid, signatures } }) {
  if (type === "anchor") return Object.entries(anchor).map(([name, value]) => [name, plain(value)]);
  if (type === "epoch") return [["Number", String(epoch.k)], ["Time", whenText(epoch.timeMs)], ["Map root", plain(epoch.mapRoot)], ["History root", plain(epoch.historyRoot)]];
  if (type === "notice") return Object.entries(notice).map(([name, value]) => [name, plain(value)]);
  if (type === "logconf") {
    const { logKeys, ...rest } = conf;
    return [...Object.entries(rest).map(([name, value]) => [name, plain(value)]), ["Identity", plain(sid)], ["Signed by keys", signatures.map(({ kid }) => hex(kid)).join(", ")]];
  }
  const { payload } = certificate;
  const prev = payload.prev && ["Follows", plain(payload.prev)];
  return [["Certificate", plain(certificate.sid)], ["Number in its chain", String(payload.seq)], prev ?? ["Follows", undefined],
    ["Its author had seen", `a head of ${payload.seen[0]} entries`], ...Object.entries(payload.body).map(([name, value]) => [name, plain(value)]),
    ["Signed by keys", certificate.signatures.map(({ kid }) => hex(kid)).join(", ")]];
}

/** Returns any decoded value as a text. */
function plain(value) {
  if (value instanceof Uint8Array) return el("span", { class: "hash" }, hex(value));
  if (Array.isArray(value)) return value.length === 0 ? "none" : el("span", {}, value.map((item, i) => [i > 0 ? ", " : "", plain(item)]).flat());
  if (value !== null && typeof value === "object") return el("span", {}, Object.entries(value).map(([name, item], i) => [`${i > 0 ? ", " : ""}${name} `, plain(item)]).flat());
  return String(value);
}
