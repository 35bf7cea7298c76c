// My devices: what the log says of the accounts whose keys are here, what waits, and how to stop it.

import { equal, hex } from "../hash.js";
import { didText, kidOf } from "../name.js";
import { certify, placeAfter } from "../write.js";
import { accountFacts, actText, deviceTable, frozenBanner, kidText, pendingList } from "./account.js";
import { byId, el, facts, fill, fold, goTo, say, sign, spanText, tag, verdict } from "./dom.js";
import { accounts, deviceOf, forgetAccount, keepAccount, keepForGood } from "./me.js";
import { drawLimits, drawProof } from "./proof.js";
import { openPage } from "./shell.js";
import { eventsOf } from "./signed.js";
import { trouble } from "./trouble.js";

const AGAIN_MS = 5_000;
const REASONS = [[2, "It was stolen"], [1, "It is lost"], [3, "It was replaced"], [0, "Something else"]];

const { client, info, store } = await openPage();
const place = byId("place");
const mine = (await accounts(store, client.origin)).filter(({ did }) => did !== undefined);
// What only an account's page needs comes when there is an account.
const needed = mine.length === 0 ? [] : [import("./aliases.js"), import("./desk.js"), import("./issuers.js"), import("./labels.js"), import("./letters.js"), import("./passkeys.js"), import("./recovering.js"), import("./sealing.js"), import("./signins.js"), import("./told.js"), import("./user_keys.js")];
const { aliasesPart, hasPasskeys, inbox, isAboutRecovery, issuersOf, labelsOf, openForm, passkeysPart, putLabel, recoveringPart, shareOwn, signInsPart, toldPart, withUserKey } = Object.assign({}, ...(await Promise.all(needed)));
place.removeAttribute("aria-busy");
if (mine.length === 0) {
  fill(place, verdict("plain", "No account has keys in this browser", el("p", {}, el("a", { href: "/claim" }, "Claim a name"), " and this browser becomes its first device. If you have an account, ", el("a", { href: "/signin" }, "sign in"), " to make this browser one of its devices; if every device is lost, ", el("a", { href: "/recover" }, "recover it"), ".")));
} else {
  const sections = mine.map((record) => el("section", { "aria-labelledby": `of-${record.id}` }));
  fill(place, sections);
  await Promise.all(mine.map((record, i) => draw(record, sections[i])));
  for (const [i, record] of mine.entries()) watch(record, sections[i]);
}

/** Shows an account anew when it is told of a recovery: whoever looks on sees it within seconds. */
async function watch(record, section) {
  for (let after = null; ; ) {
    try {
      for await (const { kind, id } of eventsOf(client, record, after)) {
        after = id;
        if (isAboutRecovery(kind)) await draw(record, section);
      }
    } catch (error) {
      if (["suspended", "unknown_signer", "ended"].includes(error.code)) return;
    }
    await new Promise((done) => setTimeout(done, AGAIN_MS));
  }
}

/** Looks an account up, and shows it. */
async function draw(record, section, said = null) {
  const title = el("h2", { id: `of-${record.id}` }, record.name);
  fill(section, title, el("p", { class: "tell" }, sign("turning"), "Looking, and checking …"));
  try {
    const shown = await client.lookup({ did: record.did }, { genesis: true });
    const found = await withUserKey(client, record, shown).catch(() => shown);
    const times = await timesOf(record, found);
    const own = ownDevice(record, found);
    const names = await namesOf(record, found, own);
    const act = (task) => (...given) => perform(record, section, task, ...given);
    const failed = el("div", { hidden: true });
    const takes = own !== undefined && own.status !== 3 && found.status === "present";
    const offered = takes ? await info.catch(() => ({})) : {};
    const issuers = issuersOf(offered);
    const signIns = takes && issuers.length > 0 && (await signInsPart(client, store, record, found, own, issuers, () => draw(record, section)).catch(() => null));
    const addresses = takes && (await aliasesPart(client, store, record, found, own, issuers, act).catch(() => null));
    const recovering = found.status === "present" && (await recoveringPart(client, record, found, own, (told) => draw(record, section, told)));
    const passkeys = takes && hasPasskeys(offered) && (await passkeysPart(client, record, found, own, () => draw(record, section)).catch(() => null));
    const told = takes && (await toldPart(client, store, record).catch(() => null));
    fill(section, title, said, frozenBanner(found), recovering, standing(own, found), failed,
      part("Devices", deviceTable(found.did.devices, { times, named: (device) => nameOf(record, names, device), act: own && ((device) => buttons(record, found, names, device, own, act, section)) }),
        own && el("div", { class: "actions" }, el("a", { class: "button quiet", href: "/approve" }, "Let another device in"), el("a", { class: "button quiet", href: "/recovery" }, "Recovery"))),
      waiting(found, own, act), told, passkeys, signIns, addresses,
      part("The account", facts(accountFacts(found)), fold("The proof", drawProof(found, client.trust), el("h3", {}, "What it does not prove"), drawLimits(found, client.trust))),
      own && own.status !== 3 && found.status === "present" && inbox(client, store, record),
      own && openForm(client, record, found),
      fold("This browser", ...thisBrowser(record)));
    if (said !== null) goTo(said.querySelector("h2"));
  } catch (error) {
    fill(section, title, trouble(error, () => draw(record, section)));
  }
}

function part(title, ...children) {
  return el("div", { class: "card" }, el("h3", {}, title), ...children);
}

function ownDevice(record, { did }) {
  return did.devices.find(({ sign: key }) => equal(key, record.device.sign.key));
}

/** Returns what the person calls the devices, this one included; it is not worth a failure. */
async function namesOf(record, found, own) {
  try {
    const names = await labelsOf(client, record, found);
    if (own !== undefined && own.status !== 3 && !names.has(hex(kidOf(own.sign)))) await shareOwn(client, record, found);
    return names;
  } catch {
    return new Map();
  }
}

function nameOf(record, names, device) {
  const given = names.get(hex(kidOf(device.sign)));
  return equal(device.sign, record.device.sign.key) ? `${given ?? record.label.text} (this browser)` : given;
}

/** Returns when certificates were accepted, as lookups from here have shown; what is new is kept. */
async function timesOf(record, found) {
  const key = `times/${hex(record.did)}`;
  const times = new Map(await store.get(key));
  const known = times.size;
  times.set(found.did.uid, found.did.bornMs);
  for (const { index, epochMs } of found.chain) times.set(index, epochMs);
  if (times.size > known) await store.set(key, [...times]);
  return times;
}

/** What the device of this browser may do now. */
function standing(own, found) {
  if (found.status === "ended") return verdict("bad", "This account has ended", el("p", {}, "Its names are held back for a while, then free."));
  if (own === undefined) return verdict("bad", "This browser is no device of the account any more", el("p", {}, "It was removed. Its keys have no power; you may forget them below."));
  if (own.status === 3) return verdict("bad", "This device is suspended", el("p", {}, "Another device says it is lost or stolen. If that is false, contest it below: then nothing changes until it is decided."));
  if (own.status === 2) return verdict("wait", "This device is on probation", el("p", {}, "Until its time is over it cannot act for the account, and any full device removes it at once."));
  return null;
}

/** What can be done about a device. */
function buttons(record, found, names, device, own, act, section) {
  if (own.status === 3 || found.frozen) return null;
  const self = device === own;
  const votes = own.level === 2 && own.status === 1;
  const live = device.status !== 3;
  const remove = (self || votes) && el("button", { type: "button", class: "danger small", onclick: () => ask(record, found, names, device, own, "device_revoke", act) }, "Remove");
  const suspend = votes && !self && live && device.status === 1 && el("button", { type: "button", class: "quiet small", onclick: () => ask(record, found, names, device, own, "device_suspend", act) }, "Suspend");
  const rename = found.did.userKey !== undefined && el("button", { type: "button", class: "quiet small", onclick: () => askName(record, found, names, device, section) }, "Rename");
  return el("div", { class: "asks" }, rename, suspend, remove);
}

/** Asks once more, and says what will happen. */
function ask(record, found, names, device, own, type, act) {
  const self = device === own;
  const last = found.did.devices.filter(({ level, status }) => level === 2 && status === 1).length === 1 && self;
  const name = nameOf(record, names, device) ?? `device ${kidText(device)}`;
  const window = spanText(found.did.windowS * 1000n);
  const what = {
    device_suspend: `It can do nothing for ${window} or until you say otherwise. It may contest that.`,
    device_revoke: self ? "This browser can speak for the account no longer. There is no way back but to add it anew."
      : device.status === 2 || device.level !== 2 ? "It is gone at once."
        : `It is suspended at once and gone after ${window}, or as soon as most devices agree. Until then it can be stopped.`,
  }[type];
  const reasons = REASONS.map(([value, text], i) => el("label", { class: "choice" }, el("input", { type: "radio", name: "reason", value, checked: i === 0 }), el("span", {}, text)));
  const form = el("form", { method: "dialog" }, el("h2", { id: "ask" }, type === "device_revoke" ? `Remove ${name}?` : `Suspend ${name}?`), el("p", {}, what),
    last && el("p", { class: "is-bad" }, "It is the only one that can act. The server will refuse this: only the twelve words may do it."),
    el("fieldset", {}, el("legend", {}, "Why"), reasons),
    el("div", { class: "actions" }, el("button", { class: "danger", value: "yes" }, type === "device_revoke" ? "Remove it" : "Suspend it"), el("button", { class: "quiet", value: "no" }, "Leave it")));
  const dialog = el("dialog", { "aria-labelledby": "ask" }, form);
  document.body.append(dialog);
  dialog.addEventListener("close", () => {
    const reason = Number(form.querySelector("input:checked").value);
    dialog.remove();
    if (dialog.returnValue === "yes") act(type)({ kid: kidOf(device.sign), reason });
  });
  dialog.showModal();
}

/** Asks what a device is to be called. */
function askName(record, found, names, device, section) {
  const input = el("input", { type: "text", id: "new-name", maxlength: 64, value: names.get(hex(kidOf(device.sign))) ?? "" });
  const form = el("form", { method: "dialog" }, el("h2", { id: "rename" }, `Rename device ${kidText(device)}`),
    el("div", { class: "field" }, el("label", { for: "new-name" }, "What you call it; only your own devices can read it"), input),
    el("div", { class: "actions" }, el("button", { value: "yes" }, "Call it so"), el("button", { class: "quiet", value: "no" }, "Leave it")));
  const dialog = el("dialog", { "aria-labelledby": "rename" }, form);
  document.body.append(dialog);
  dialog.addEventListener("close", async () => {
    dialog.remove();
    if (dialog.returnValue !== "yes") return;
    const [text, isOwn] = [input.value.trim(), equal(device.sign, record.device.sign.key)];
    try {
      const next = isOwn && text !== "" ? { ...record, label: { ...record.label, text } } : record;
      if (next !== record) await keepAccount(store, next);
      await putLabel(client, next, found, kidOf(device.sign), text);
      await draw(next, section);
    } catch (error) {
      await draw(record, section, trouble(error));
    }
  });
  dialog.showModal();
}

/** Acts that wait, with what this device can do about each. */
function waiting(found, own, act) {
  const vote = (one) => {
    if (own === undefined) return null;
    const is = (kid) => equal(kid, kidOf(own.sign));
    const [stands, opposes] = [one.supporters.some(is), one.opponents.some(is)];
    const aimed = one.body?.kid !== undefined && is(one.body.kid);
    const may = (own.level === 2 && own.status === 1) || aimed || stands || opposes;
    if (!may) return null;
    const veto = !opposes && el("button", { type: "button", class: "danger small", onclick: () => act("veto")({ act: one.sid }) }, stands && is(one.supporters[0]) ? "Withdraw it" : aimed ? "Contest it" : "Stop it");
    const confirm = !stands && el("button", { type: "button", class: "quiet small", onclick: () => act("confirm")({ act: one.sid }) }, aimed ? "Agree" : "Support it");
    return el("div", { class: "asks" }, veto, confirm);
  };
  const list = pendingList(found.pending, found.did.devices, vote);
  return list && part("Waits, and can still be stopped", list);
}

/** Signs what comes next in the account's chain, posts it, and shows what it made of the account. */
async function perform(record, section, type, body) {
  say("Signing and posting …");
  try {
    const found = await client.lookup({ did: record.did });
    const certificate = await certify(placeAfter(found), type, body, [deviceOf(record).sign], { origin: client.origin, nowMs: client.now() });
    const { indexes, found: after } = await client.post([certificate], { did: record.did });
    const waits = after.pending.some(({ index }) => index === indexes[0]);
    await draw(record, section, verdict(waits ? "wait" : "good", waits ? "Done, and it waits" : "Done, and proved",
      el("p", {}, `${actText(certificate.payload.type).replaceAll("_", " ")}: entry ${indexes[0]} of the log.`)));
  } catch (error) {
    await draw(record, section, trouble(error));
  }
}

/** What this browser itself holds. */
function thisBrowser(record) {
  const forget = el("button", { type: "button", class: "danger small", onclick: () => {
    const form = el("form", { method: "dialog" }, el("h2", { id: "forget" }, "Forget these keys?"), el("p", {}, `This browser can act for ${record.name} no longer. The account itself stays as it is: remove the device first if it shall have no power.`),
      el("div", { class: "actions" }, el("button", { class: "danger", value: "yes" }, "Forget them"), el("button", { class: "quiet", value: "no" }, "Keep them")));
    const dialog = el("dialog", { "aria-labelledby": "forget" }, form);
    document.body.append(dialog);
    dialog.addEventListener("close", async () => {
      dialog.remove();
      if (dialog.returnValue !== "yes") return;
      await forgetAccount(store, record);
      location.reload();
    });
    dialog.showModal();
  } }, "Forget the keys");
  const kept = el("span", {}, tag("", "asking"));
  keepForGood().then((good) => fill(kept, good ? tag("good", "kept for good") : tag("wait", "the browser may drop them when space is short")));
  return [el("p", {}, "The keys lie in this browser\u2019s own store; no script can read them. ", kept), el("p", { class: "soft small" }, "Identifier: ", el("code", {}, didText(record.did))), el("div", { class: "actions" }, forget)];
}
