// The proved states of a name and of the account behind it, as tables and facts.

import { hex } from "../hash.js";
import { didText, kidOf } from "../name.js";
import { BURNT } from "../rules/recovery.js";
import { decodeDidState, recoveryDueOf } from "../state.js";
import { el, fold, sign, spanText, table, tag, verdict, whenText } from "./dom.js";

export const LEVELS = { 1: "member", 2: "full device", 3: "service" };
const STATUS = { 1: ["good", "live"], 2: ["wait", "on probation"], 3: ["bad", "suspended"] };
const ACTS = {
  device_revoke: "Remove a device", device_suspend: "Suspend a device", id_rotate: "Replace the twelve words", policy: "Change the waiting time",
  transfer: "Give a name away", tombstone: "End the account", device_add: "Add a device", alias_unbind: "Unbind an e-mail address", recovery_set: "Change the recovery",
};
const TYPES = {
  1: "genesis", 2: "claim", 3: "device_add", 4: "device_suspend", 5: "device_revoke", 6: "id_rotate", 7: "policy", 8: "transfer", 9: "alias_bind",
  10: "alias_unbind", 11: "records", 13: "delegate", 14: "user_key", 15: "recovery_set", 16: "recover_open", 17: "recover_prove", 18: "recover_final", 19: "confirm", 20: "veto", 25: "tombstone", 26: "notary_add", 27: "notary_revoke", 28: "attest_login",
};

/** Returns the name of a type of certificate. */
export const typeText = (type) => TYPES[type] ?? `type ${type}`;
/** Returns what an act that waits would do. */
export const actText = (type) => ACTS[typeText(type)] ?? typeText(type);
/** Returns a device's short name, made of its key. */
export const kidText = (device) => hex(kidOf(device.sign)).slice(0, 8);

/** Returns the table of an account's devices. `named(device)` = what this browser calls it, `act(device)` = buttons, `times` = index -> ms. */
export function deviceTable(devices, { named = () => null, act = null, times = new Map() } = {}) {
  if (devices.length === 0) return el("p", { class: "soft" }, "No device: the twelve words alone speak for it.");
  const since = ({ index }) => (times.has(index) ? whenText(times.get(index)) : `entry ${index} of the log`);
  const row = (device) => {
    const [kind, word] = STATUS[device.status];
    const until = device.untilMs > 0n ? `, until ${whenText(device.untilMs)}` : "";
    const called = [el("strong", {}, named(device) ?? `Device ${kidText(device)}`), el("br"), el("span", { class: "soft small" }, `Key ${kidText(device)}, ${LEVELS[device.level]}`)];
    return [called, [tag(kind, word), el("span", { class: "soft small" }, until)], since(device), ...(act ? [act(device)] : [])];
  };
  return table([["Device"], ["State"], ["Since"], ...(act ? [["What you can do"]] : [])], devices.map(row));
}

/** Returns what waits and can still be stopped, or null. `act(pending)` = buttons. */
export function pendingList(pending, devices, act = () => null) {
  if (pending.length === 0) return null;
  const whose = (one) => {
    const target = one.body?.kid;
    const device = target && devices.find(({ sign: key }) => hex(kidOf(key)) === hex(target));
    return device ? ` (device ${kidText(device)})` : "";
  };
  const row = (one) => el("li", { class: "card" }, el("h3", {}, actText(one.type), whose(one)),
    el("p", {}, one.opponents.length > 0 ? "It is contested: nothing happens until one side has more devices, or the twelve words decide."
      : typeText(one.type) === "device_suspend" ? `It holds until ${whenText(one.dueMs)} and then lapses, unless it is stopped before.`
        : `Takes effect ${whenText(one.dueMs)}, unless it is stopped before.`),
    el("p", { class: "soft small" }, `Opened at entry ${one.index}; for it: ${one.supporters.length}, against: ${one.opponents.length}.`), act(one));
  return el("ul", { class: "plain" }, pending.map(row));
}

/** Returns the banner of an account that is frozen, or null. */
export function frozenBanner(found) {
  if (!found.frozen) return null;
  return verdict("bad", "This account is frozen",
    el("p", {}, "Two of its devices contradict each other. Until that is decided its keys are disputed: do not trust a new one, and expect no change."));
}

/** Returns a verdict over an account whose recovery is pending or was vetoed, for whoever looks it up; else null. */
export function recoveryBanner({ did }) {
  const { recovery } = did;
  const due = recoveryDueOf(did);
  if (due === null) return recovery?.phase === BURNT ? verdict("plain", "A recovery was vetoed", el("p", {}, "Somebody tried to take this account over; a device or its words said no. Nothing changed.")) : null;
  return due.isReady ? verdict("bad", `Recovery pending: a new device may take over until ${whenText(due.dueMs)}`, el("p", {}, "Nobody objected in time. Whoever proved the PIN may change every device now."))
    : verdict("wait", `Recovery pending until ${whenText(due.dueMs)}`, el("p", {}, "Somebody signed in and proved the PIN of this account. Until then its devices and words can veto; then every device may change. Wait with what matters."));
}

/** Returns the facts of an account's state. */
export function accountFacts(found) {
  const { did } = found;
  return [
    ["Account", el("code", {}, didText(did.did))],
    ["Kind", { 1: "a person", 2: "a database", 3: "a server", 4: "an account" }[decodeDidState(did.bytes).kind]],
    ["Since", `${whenText(did.bornMs)}, entry ${did.uid}`],
    ["Names", did.names.length > 0 ? el("span", {}, did.names.map((name, i) => [i > 0 ? ", " : "", el("a", { href: `/lookup?name=${name}` }, name)]).flat()) : "none"],
    ["Waiting time", `acts that could harm wait ${spanText(did.windowS * 1000n)}, an hour at most in the first day`],
    ["Majority", majorityText(did)],
    ["User key", did.userKey === undefined ? undefined : `generation ${did.userKey.generation}`],
  ];
}

/** Says who needs not wait. Devices on probation do not count, suspended ones do. */
function majorityText({ devices }) {
  const voters = devices.filter(({ level, status }) => level === 2 && status !== 2).length;
  const needed = Math.max(2, Math.floor(voters / 2) + 1);
  return `the twelve words act at once${voters > 1 ? `, and so do ${needed} of ${voters} full devices together` : "; with one full device there is no majority"}`;
}

/** Returns a note with its sign. */
export const note = (kind, ...text) => el("p", { class: `tell ${kind}` }, sign(kind), el("span", {}, ...text));

/** Returns the identity keys of an account, for those who compare keys. */
export function keysFold({ did }) {
  const row = (device) => el("li", {}, `Device ${kidText(device)}: signs `, el("span", { class: "hash" }, hex(device.sign)), ", opens ", el("span", { class: "hash" }, hex(device.kex)));
  return fold("All keys in full", el("ul", {}, el("li", {}, "The key of the twelve words: ", el("span", { class: "hash" }, hex(did.identity))), did.devices.map(row)));
}
