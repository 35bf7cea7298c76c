// Sign in: this browser becomes a device of an account that exists already, let in by another device, by a secret carried by hand, or
// by the twelve words.

import { equal } from "../hash.js";
import { deviceToKeep, newDevice } from "../keys.js";
import { LEVEL, certify, deviceRow, newLabel, placeAfter } from "../write.js";
import { deviceTable, kidText } from "./account.js";
import { byId, el, fill, fold, goTo, say, sign, verdict, whenText, whileBusy } from "./dom.js";
import { BRANCH, broughtBack, finish, issuersOf, keepAttested } from "./desk.js";
import { atIssuers, hasPasskeys, passkeyCard } from "./issuers.js";
import { accounts, idOf, keepAccount, keepForGood, ownLabel } from "./me.js";
import { openPage } from "./shell.js";
import { showTrouble } from "./trouble.js";

const { client, info, store } = await openPage();
const place = byId("place");
place.removeAttribute("aria-busy");
const KNOWN = "They tell this server, once, that it is you who holds the keys this browser makes now. It gives nobody power over your account: a device of yours still has to let this browser in.";
/** The name that was typed last, so that nobody types it twice. */
let typed = "";
const back = broughtBack(location.hash);
const said = await info.catch(() => ({}));
const issuers = issuersOf(said);
/** What a code led here with; the server never sees what stands behind the #. */
const carried = location.hash.startsWith("#dgns:pair?") ? location.hash.slice(1) : "";
if (carried !== "") scanned(carried);
else if (location.hash.startsWith("#program=")) await program(location.hash);
else if (back === null) choose();
else comeBack(back);

function field(id, label, properties, hint) {
  const input = el(properties.rows === undefined ? "input" : "textarea", { id, autocomplete: "off", autocapitalize: "none", spellcheck: "false", "aria-describedby": hint && `${id}-hint`, ...properties });
  return { input, whole: el("div", { class: "field" }, el("label", { for: id }, label), input, hint && el("p", { class: "hint", id: `${id}-hint` }, hint)) };
}

/** Returns a way in: a form in a card. `go` gets the form's button pressed. */
function way(title, text, fields, action, go) {
  const failed = el("div", { hidden: true });
  const button = el("button", {}, action);
  const form = el("form", { class: "card" }, el("h2", {}, title), el("p", {}, text), fields.map(({ whole }) => whole), failed, el("div", { class: "actions" }, button));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    failed.hidden = true;
    whileBusy(button, () => go().catch((error) => showTrouble(failed, error)));
  });
  return form;
}

/** Shows the ways in. */
function choose() {
  const name = field("name", "Your name", { type: "text", required: true, placeholder: `alice.${client.zone}`, value: typed });
  const secret = field("secret", "What the other device shows", { rows: 2, required: true }, "Twelve words, or a text that begins with dgns:pair?");
  const own = field("own-name", "Your name", { type: "text", required: true, placeholder: `alice.${client.zone}`, value: typed });
  const words = field("words", "Your twelve words", { rows: 2, required: true }, "They stay in this page, and are forgotten as soon as they have signed.");
  const label = field("label", "What you call this device", { type: "text", maxlength: 64, value: ownLabel() }, "Only you can read it: the log holds a hash of it.");
  const called = () => label.input.value.trim() || ownLabel();
  const byPasskey = hasPasskeys(said) && passkeyCard("With a passkey", "It finds your account by itself. A device of yours still has to let this browser in.", "Sign in with a passkey", async () => goOnWith(await (await import("./passkey.js")).signInWithPasskey(client)));
  fill(place, byPasskey, issuers.length > 0 && atIssuers(client, store, issuers, "With somebody who knows you", KNOWN),
    way("With another device of yours", "It shows you who asks, and lets this browser in when you type six digits there.", [name, label], "Ask my other device", () => online(name.input.value, called())),
    way("With a secret you carried here", "A device of yours made it: by \u201cLet a device in\u201d, or by dgns pair.", [secret], "Go on", () => byHand(secret.input.value, called())),
    way("With the words on your paper", "They let this browser in at once, without any other device.", [own, words], "Let this browser in", () => onPaper(own.input, words.input, called())),
    el("p", {}, "No account yet? ", el("a", { href: "/claim" }, "Claim a name"), ". Every device lost? ", el("a", { href: "/recover" }, "Recover your account"), "."));
}

/** A program on this computer asks for a passkey. */
async function program(hash) {
  history.replaceState(null, "", "/signin");
  const { askedByProgram, forProgram } = await import("./program.js");
  headed("Sign in for a program", "Its keys stay with it. Your passkey tells this server, once, whose they are.");
  forProgram(client, place, askedByProgram(hash));
}

/** Says what this page is for, where it is not this browser that becomes a device. */
function headed(title, lead) {
  document.title = `${title} \u00b7 dgns`;
  byId("main").querySelector("h1").textContent = title;
  byId("main").querySelector(".lead").textContent = lead;
}

/** Asks whoever scanned a code before this browser becomes anybody's. */
function scanned(text) {
  history.replaceState(null, "", "/signin");
  const label = field("label", "What you call this device", { type: "text", maxlength: 64, value: ownLabel() }, "Only you can read it: the log holds a hash of it.");
  const form = way("The code you scanned lets this browser in", "Go on if you made it yourself, on a device of yours: this browser becomes one of the same account.", [label], "Let this browser in", () => byHand(text, label.input.value.trim() || ownLabel()));
  fill(place, form, el("div", { class: "actions" }, el("button", { type: "button", class: "quiet", onclick: choose }, "I did not make it")));
  goTo(form.querySelector("h2"));
}

// --- at an issuer ------------------------------------------------------------------------------------------------------------------

/** Finishes what an issuer led back to, and goes on where it leads. */
async function comeBack(brought) {
  history.replaceState(null, "", "/signin");
  fill(place, el("p", { class: "tell" }, sign("turning"), "Finishing the sign-in, and checking what was said \u2026"));
  try {
    await goOnWith(await finish(client, store, brought));
  } catch (error) {
    choose();
    showTrouble(place.insertBefore(el("div", {}), place.firstChild), error);
  }
}

/** Goes on where a finished sign-in leads. */
async function goOnWith(finished) {
  if (finished.goal !== undefined) {
    if (finished.goal.kind !== "proof") headed("Your account", "This browser is a device of it already; it signs what you signed in for.");
    return (await import("./goals.js")).reach(client, store, place, finished);
  }
  if (finished.branch === BRANCH.existing) return existing(finished);
  if (finished.names > 0n) await keepAttested(store, client.origin, finished);
  const who = finished.email ?? "this person";
  const good = finished.names > 0n ? "; it needs no work and no invitation" : ". The sign-in itself gives none here: take another way to it";
  const headline = finished.branch === BRANCH.new
    ? verdict("good", `Signed in with ${finished.issuerName}`, el("p", {}, `You are new here: no account knows ${who}. Choose a name${good}.`))
    : verdict("wait", `Signed in with ${finished.issuerName}, as somebody new`, el("p", {}, `${who} is known here under another account of ${finished.issuerName}. If you had a name, let a device of it approve this browser below.`));
  fill(place, headline, el("p", { class: "actions" }, el("a", { class: "button", href: "/claim" }, "Choose a name"), el("button", { type: "button", class: "quiet", onclick: choose }, "I have an account")));
  goTo(headline.querySelector("h2"));
}

/** A sign-in that leads to an account: a device of it is asked, with the keys that were attested. */
async function existing({ did, device, issuerName, boxes, opener }) {
  const mine = (await accounts(store, client.origin)).find((record) => record.did !== undefined && equal(record.did, did));
  if (mine !== undefined) {
    const headline = verdict("good", `Signed in with ${issuerName}`, el("p", {}, `This browser is a device of ${mine.name} already. There is nothing left to do.`));
    fill(place, headline, el("p", { class: "actions" }, el("a", { class: "button", href: "/devices" }, "My devices")));
    return goTo(headline.querySelector("h2"));
  }
  const found = await client.lookup({ did }, { genesis: true });
  const more = opener && (await import("./passkeys.js")).openerForm(found, boxes, opener);
  await meet(found, ownLabel(), device, more);
}

// --- by another device -----------------------------------------------------------------------------------------------------------

async function online(text, label) {
  typed = text;
  const found = await client.lookup(text, { genesis: true });
  if (found.status !== "present") throw Object.assign(new Error(found.summary), { code: "no_account", detail: found.summary });
  await meet(found, label);
}

/** Asks the devices of an account, shows the digits, and waits; `more` stands below, for as long. */
async function meet(found, label, device, more = null) {
  const called = found.did.names[0] ?? found.subject;
  const stop = new AbortController();
  const digits = el("output", { class: "digits-shown", "aria-label": "Six digits" });
  const what = el("p", {}, "It was told just now. Choose \u201cIt is mine\u201d there; six digits appear here then.");
  const card = el("section", { class: "card" }, el("h2", {}, `Now on another device of ${called}`), what, digits,
    el("p", { class: "tell" }, sign("turning"), el("span", {}, "Waiting for it \u2026")),
    el("p", {}, "Open ", el("code", {}, `${location.host}/approve`), " there, or run ", el("code", {}, "dgns devices watch"), "."),
    fold("Who can let you in", deviceTable(found.did.devices.filter(({ level, status }) => level === 2 && status === 1), { times: new Map() })),
    el("div", { class: "actions" }, el("button", { type: "button", class: "quiet", onclick: () => stop.abort(new DOMException("stopped", "AbortError")) }, "Stop")));
  fill(place, card, more);
  goTo(card.querySelector("h2"));
  const show = (six) => {
    fill(digits, six.slice(0, 3), " ", six.slice(3));
    fill(what, "Type these six digits there. If they do not fit, somebody is between you and the server: stop.");
    say(`The six digits are ${[...six].join(" ")}`);
  };
  const { askOnline } = await import("./pairing.js");
  await settle(() => askOnline(client, found, label, { device, show, signal: stop.signal }));
}

// --- by a secret, by the words ------------------------------------------------------------------------------------------------------

async function byHand(text, label) {
  const [{ parseInvitation }, { askWithSecret }] = await Promise.all([import("../pair.js"), import("./pairing.js")]);
  const { secret, origin } = parseInvitation(text);
  if (origin !== undefined && origin !== client.origin) throw Object.assign(new Error(origin), { code: "other_log", detail: `This secret is for the log ${origin}. Open the pages of that server.` });
  const stop = new AbortController();
  const whose = el("p", { class: "tell" }, sign("turning"), el("span", {}, "Looking for the device that made it \u2026"));
  const card = el("section", { class: "card" }, el("h2", {}, "The other device lets this browser in"), whose,
    el("div", { class: "actions" }, el("button", { type: "button", class: "quiet", onclick: () => stop.abort(new DOMException("stopped", "AbortError")) }, "Stop")));
  fill(place, card);
  goTo(card.querySelector("h2"));
  const see = (found) => fill(whose, sign("turning"), el("span", {}, `It belongs to ${found.did.names[0] ?? found.subject}. Waiting for it to sign \u2026`));
  await settle(() => askWithSecret(client, secret, label, { see, signal: stop.signal }));
}

async function onPaper(name, words, label) {
  typed = name.value;
  const { keysOfWords } = await import("../words.js");
  const { identity } = await keysOfWords(words.value);
  const found = await client.lookup(name.value, { genesis: true });
  if (found.status !== "present") throw Object.assign(new Error(found.summary), { code: "no_account", detail: found.summary });
  const [device, named] = [await newDevice(), newLabel(label)];
  const body = { device: deviceRow(device, LEVEL.admin, named.hash) };
  const added = await certify(placeAfter(found), "device_add", body, [identity, device.sign], { origin: client.origin, nowMs: client.now() });
  words.value = "";
  await settle(async () => ({ device, label: named, found: (await client.post([added], { did: found.did.did })).found }));
}

// --- in ----------------------------------------------------------------------------------------------------------------------------

/** Waits for a way to lead in, keeps the keys, and says what this device may do. */
async function settle(task) {
  try {
    const { device, label, found } = await task();
    const name = found.did.names[0] ?? found.subject;
    const record = { id: idOf(device), origin: client.origin, name, did: found.did.did, device: deviceToKeep(device), label: { text: label.label, nonce: label.nonce }, madeMs: client.now() };
    await keepAccount(store, record);
    await keepForGood();
    import("./labels.js").then(({ shareOwn }) => shareOwn(client, record, found)).catch(() => {}); // the page of devices tries again
    done(name, found, found.did.devices.find(({ sign: key }) => kidText({ sign: key }) === kidText({ sign: device.sign.key })));
  } catch (error) {
    if (error.name === "AbortError") return choose();
    choose();
    const failed = place.insertBefore(el("div", {}), place.firstChild);
    showTrouble(failed, error);
  }
}

function done(name, found, own) {
  const fresh = own.status === 2;
  const headline = verdict("good", `This browser is a device of ${name}, and that is proved`,
    fresh && el("p", {}, `It is on probation until ${whenText(own.untilMs)}: it reads what is yours, and acts for the account only then. Any other device can remove it at once until then.`));
  fill(place, headline, el("section", { class: "card" }, el("h2", {}, "Devices"), deviceTable(found.did.devices), el("div", { class: "actions" }, el("a", { class: "button", href: "/devices" }, "My devices"))));
  say(`This browser is a device of ${name}`);
  goTo(headline.querySelector("h2"));
}
