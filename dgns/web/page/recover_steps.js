// Coming back, step by step (recover.js begins): a PIN, a sign-in, the window, and this browser is the account's device. Closed at any step, the page
// goes on there.

import { Refused } from "../cbor.js";
import { guessesLeft, attemptKey, evaluate, forgetAttempt, hasArrived, inputOf, isMine, keepRho, neededNow, nextMs, openAttempt, prepare, prove, release, takeOver } from "./attempt.js";
import { keptDevice } from "../keys.js";
import { newLabel } from "../write.js";
import { note } from "./account.js";
import { PURPOSE } from "./desk.js";
import { el, fill, fold, goTo, say, sign, spanText, verdict, whenText, whileBusy } from "./dom.js";
import { signInFor } from "./goals.js";
import { isPasskey } from "./issuers.js";
import { idOf, keepAccount, keepForGood, ownLabel } from "./me.js";
import { BURNT, OPEN, PROVED, READY, recoveryOf } from "./recovery_log.js";
import { bundleFrom, meetAll } from "./recovery_servers.js";
import { countdown, faultList, serverRows, serverTable } from "./recovery_view.js";
import { showTrouble, trouble } from "./trouble.js";
import { withUserKey } from "./user_keys.js";

/** The page that these steps are of: what it opened, whom one signs in at, where it shows things, how it asks for a name and marks a step. */
let [client, store, ways, place, askName, at] = [];
const LOOK_MS = 15_000;
/** What ends an attempt: there is nothing to go on with, but another may begin. */
const OVER = ["open_expired", "bad_attempt", "bad_epoch", "key_reused", "signin_expired", "breaker", "too_few", "backoff", "burnt", "unknown_signin", "other_signin", "kid_taken", "guesses_spent"];

/** Takes the page over. */
export function stepsOf(page) {
  ({ client, store, ways, place, askName, at } = page);
  return { goOn, askPin };
}

/** Does what is next of the attempt of this browser; what fails is shown, and can be tried again. */
async function goOn(kept) {
  waitFor("Looking where this stands …");
  try {
    await step(kept, await recoveryOf(client, { did: kept.did }));
  } catch (error) {
    const over = OVER.includes(error.code) && !(await goesOnElsewhere(kept, error));
    if (over) await forgetAttempt(store, client.origin);
    fill(place, trouble(error, over ? () => askPin(kept.name).catch((again) => showTrouble(place, again)) : () => goOn(kept)), faultList(error.faults ?? []), over ? null : giveUp(kept.name));
    goTo(place.firstChild);
  }
}

/** Whether the attempt is in the log after all: another tab of this browser was faster. */
async function goesOnElsewhere(kept, { code }) {
  if (code === "open_expired" || code === "burnt") return false;
  return isMine(kept, await recoveryOf(client, { did: kept.did }).catch(() => ({ recovery: null })));
}

function step(kept, logged) {
  if (hasArrived(kept, logged)) return arrived(kept, logged.found);
  const { recovery } = logged;
  if (recovery === null || recovery.epoch !== BigInt(kept.epoch)) return over("This recovery is over", "It was given up, or enrolled anew by a device of the account. This attempt leads nowhere.");
  if (recovery.phase === BURNT) return vetoed();
  if (!isMine(kept, logged)) {
    if (Number(recovery.guesses) >= kept.attempt) return over("Another attempt was begun", "Somebody began an attempt after you signed in, perhaps you, elsewhere. Begin anew, or go on there.");
    return unopened(kept, logged);
  }
  if (recovery.phase === OPEN) return kept.rho === undefined ? evaluated(kept, logged) : proved(kept);
  if (recovery.phase === PROVED) return waits(kept, logged);
  if (recovery.phase === READY) return ready(kept, logged);
  return over("This attempt has lapsed", "Nobody finished it within 30 days. Begin anew.");
}

function waitFor(text) {
  fill(place, el("p", { class: "tell" }, sign("turning"), el("span", {}, text)));
}

async function over(title, text) {
  await forgetAttempt(store, client.origin);
  fill(place, verdict("wait", title, el("p", {}, text)), el("p", { class: "actions" }, el("button", { type: "button", onclick: () => askName("") }, "Begin anew")));
  goTo(place.querySelector("h2"));
}

async function vetoed() {
  await forgetAttempt(store, client.origin);
  const told = verdict("bad", "This recovery was vetoed", el("p", {}, "A device, or the words, of the account said no. Nothing was taken over, nothing was opened, and this attempt is dead. Only a device or the words can enrol for recovery anew."));
  fill(place, told);
  say("This recovery was vetoed");
  goTo(told.querySelector("h2"));
}

/** A way out of what was begun here. */
function giveUp(name) {
  const forget = () => forgetAttempt(store, client.origin).then(() => askName(name));
  return el("div", { class: "actions" }, el("button", { type: "button", class: "quiet", onclick: forget }, "Forget this attempt"));
}

// --- the PIN -----------------------------------------------------------------------------------------------------------------------------

/** Looks what the log and the servers say, and asks for the PIN, if an attempt may begin. */
async function askPin(name) {
  const logged = await recoveryOf(client, client.subject(name));
  const { found, recovery, enrolment } = logged;
  if (found.status !== "present") throw Object.assign(new Error(found.summary), { code: "no_account", detail: found.summary });
  const called = found.did.names[0] ?? found.subject;
  if (recovery === null) return stop("No recovery is enrolled", `Nobody enrolled for a recovery of ${called}. A device or the twelve words are all there is.`);
  if (recovery.phase === BURNT) return vetoed();
  if (recovery.phase === PROVED || recovery.phase === READY) return stop("A recovery is pending already", `Somebody proved the PIN of ${called}, in another browser; it is pending until ${whenText(recovery.dueMs)}.`);
  if (guessesLeft(logged) <= 0) return stop("Every guess is spent", `Ten PINs were tried for ${called}. Only a device or the twelve words can enrol anew.`);
  if (ways.length === 0) return stop("Nobody signs in here", "This server believes no issuer at the moment, this browser has no passkeys for it, and a recovery begins with a sign-in.");
  const met = await meetAll(client.origin, enrolment.servers);
  const needed = Number(enrolment.threshold);
  if (met.peers.length < needed) {
    return stop(`${met.peers.length} of ${enrolment.servers.length} recovery servers answer`, `${needed} are needed. No guess was spent: try again later.`, serverTable(serverRows(enrolment.servers, met)));
  }
  // A server says which sign-ins it judges; which of them is enrolled the log does not tell.
  const taken = ways.filter(({ issuer }) => met.peers.some(({ info }) => info.issuers.includes(issuer)));
  if (taken.length === 0) return stop("None of its sign-ins is offered here", "The recovery servers judge other sign-ins than this server, or this browser, has. No guess was spent.", serverTable(serverRows(enrolment.servers, met)));
  const bundle = await bundleFrom(met.peers, enrolment.bundle, { did: found.did.did, epoch: recovery.epoch });
  pinForm(called, logged, bundle, met, taken);
}

function stop(title, text, ...more) {
  fill(place, verdict("wait", title, el("p", {}, text)), ...more, el("p", { class: "actions" }, el("button", { type: "button", class: "quiet", onclick: () => askName("") }, "Another name")));
  goTo(place.querySelector("h2"));
}

function pinForm(name, logged, bundle, met, taken) {
  at("pin");
  const left = guessesLeft(logged);
  const words = bundle.isWords;
  const laterMs = nextMs(logged) > client.now() ? nextMs(logged) : null;
  const input = el("input", {
    type: words ? "text" : "password", id: "pin", required: true, inputmode: words ? "text" : "numeric", autocomplete: "off", autocapitalize: "none", spellcheck: "false", "aria-describedby": "pin-hint",
  });
  const failed = el("div", { hidden: true });
  const button = el("button", {}, "Sign in");
  const where = el("fieldset", {}, el("legend", {}, "Where you sign in"), taken.map((way, i) => el("label", { class: "choice" }, el("input", { type: "radio", name: "way", value: way.id, checked: i === 0 }), el("span", {}, isPasskey(way) ? "Your passkey" : way.name))));
  const form = el("form", { class: "card" }, el("h2", {}, `The PIN of ${name}`),
    el("p", {}, `${left} of 10 guesses are left. A guess is spent when you have signed in; each is public, and told to every device of the account at once.`),
    laterMs !== null && note("wait", `The next may begin ${whenText(laterMs)}.`),
    el("div", { class: "field" }, el("label", { for: "pin" }, words ? "Your four words" : "Your PIN"), input, el("p", { class: "hint", id: "pin-hint" }, "It stays in this page: the servers see nothing they could test it by.")),
    taken.length > 1 && where, failed, el("div", { class: "actions" }, button));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    failed.hidden = true;
    whileBusy(button, async () => {
      try {
        const waitMs = nextMs(logged) - client.now();
        if (waitMs > 0) throw Object.assign(new Refused("backoff"), { detail: `The next may begin in ${spanText(waitMs)}, ${whenText(nextMs(logged))}.` });
        say("Hardening the PIN …");
        const chosen = form.querySelector("input[name=way]:checked")?.value;
        const kept = await prepare(client, store, logged, name, input.value, bundle);
        input.value = "";
        const way = taken.find(({ id }) => id === chosen) ?? taken[0];
        await leadTo(kept, way).catch((error) => signIns(kept, kept.needed, error)); // the PIN is not typed again for it
      } catch (error) {
        showTrouble(failed, error);
      }
    });
  });
  fill(place, form, fold("The recovery servers", serverTable(serverRows(logged.enrolment.servers, met))));
  goTo(form.querySelector("h2"));
  input.focus();
}

// --- the sign-in, the attempt ------------------------------------------------------------------------------------------------------------------

async function leadTo(kept, way) {
  const goal = { kind: "proof", key: attemptKey(client.origin), page: "/recover" };
  const isHere = await signInFor(client, store, way, { device: keptDevice(kept.device), purpose: PURPOSE.recovery, blinded: kept.element, goal });
  if (isHere) await goOn(await store.get(goal.key));
}

/** The attempt is not in the log yet: sign-ins are missing, or it is put there. */
async function unopened(kept, logged) {
  const proofs = kept.proofs.filter(({ untilMs }) => untilMs > client.now());
  const missing = Math.max(kept.needed, neededNow(logged)) - proofs.length;
  if (missing > 0) return signIns({ ...kept, proofs }, missing);
  const asked = await inputOf(kept);
  if (asked === null) return typeAgain(kept, logged);
  const now = progress();
  now(0);
  await openAttempt(client, kept);
  await answered(kept, await recoveryOf(client, { did: kept.did }), asked, now);
}

function signIns(kept, missing, error) {
  at("signin");
  const failed = el("div", { hidden: true });
  const button = (way) => {
    const go = el("button", { type: "button", onclick: () => whileBusy(go, () => leadTo(kept, way).catch((again) => showTrouble(failed, again))) }, `Go on with ${way.name}`);
    return go;
  };
  const card = el("section", { class: "card" }, el("h2", {}, kept.proofs.length > 0 ? "One more sign-in" : "Sign in"),
    el("p", {}, kept.proofs.length > 0 && `You signed in with ${kept.proofs.map(({ issuerName }) => issuerName).join(" and ")}. `, missing > 1 && `${missing} sign-ins are missing. `, "Sign in as you did when you enrolled. No guess was spent yet."), failed, el("div", { class: "actions" }, ways.map(button)));
  fill(place, card, giveUp(kept.name));
  if (error === undefined) goTo(card.querySelector("h2"));
  else showTrouble(failed, error);
}

/** The tab in which the PIN was typed is gone. */
async function typeAgain(kept, logged) {
  at("signin");
  const { peers } = await meetAll(client.origin, logged.enrolment.servers);
  const bundle = await bundleFrom(peers, logged.enrolment.bundle, kept);
  const input = el("input", { type: bundle.isWords ? "text" : "password", id: "pin", required: true, autocomplete: "off", autocapitalize: "none", spellcheck: "false" });
  const failed = el("div", { hidden: true });
  const button = el("button", {}, "Go on");
  const form = el("form", { class: "card" }, el("h2", {}, "Type the PIN again"), el("p", {}, "This attempt was begun with it, and goes on where it stopped; no other guess is spent."),
    el("div", { class: "field" }, el("label", { for: "pin" }, bundle.isWords ? "Your four words" : "Your PIN"), input), failed, el("div", { class: "actions" }, button));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    failed.hidden = true;
    whileBusy(button, async () => {
      try {
        const asked = await inputOf(kept, input.value, bundle.hardening);
        const now = progress();
        if (!isMine(kept, logged)) await openAttempt(client, kept);
        await answered(kept, await recoveryOf(client, { did: kept.did }), asked, now);
      } catch (error) {
        if (!form.isConnected) fill(place, form);
        showTrouble(failed, error);
      }
    });
  });
  fill(place, form, giveUp(kept.name));
  goTo(form.querySelector("h2"));
}

async function evaluated(kept, logged) {
  const asked = await inputOf(kept);
  if (asked === null) return typeAgain(kept, logged);
  return answered(kept, logged, asked, progress());
}

function progress() {
  at("signin");
  const items = ["Your attempt stands in the log", "The recovery servers answer, and prove their answers", "That the PIN is right stands in the log"].map((text) => el("li", {}, sign("open"), el("div", {}, text)));
  const list = el("section", { class: "card" }, el("h2", {}, "Trying the PIN"), el("ol", { class: "doing" }, items));
  fill(place, list);
  goTo(list.querySelector("h2"));
  return (done) => items.forEach((item, i) => {
    item.className = i < done ? "good" : i === done ? "now" : "";
    item.firstChild.replaceWith(sign(i < done ? "good" : i === done ? "turning" : "open"));
  });
}

/** Asks the servers; right or wrong, what came of it is shown. */
async function answered(kept, logged, asked, now) {
  now(1);
  const { rho, faults } = await evaluate(client, kept, logged.enrolment, asked);
  if (rho === null) return wrong(kept, logged, faults);
  now(2);
  const next = await keepRho(client, store, { ...kept, faults }, rho);
  await proved(next);
}

async function proved(kept) {
  await prove(client, kept);
  await goOn(kept);
}

async function wrong(kept, logged, faults) {
  await forgetAttempt(store, client.origin);
  const left = guessesLeft(logged);
  const from = nextMs(logged);
  const told = verdict("bad", "The PIN is wrong", el("p", {}, left === 0 ? "No guess is left. Only a device or the twelve words can enrol anew." : `${left} ${left === 1 ? "guess is" : "guesses are"} left. The next may begin ${whenText(from)}.`),
    el("p", {}, "This guess is public, and the devices of the account were told."));
  fill(place, told, faultList(faults), left > 0 && el("p", { class: "actions" }, el("button", { type: "button", onclick: () => askPin(kept.name).catch((error) => showTrouble(place, error)) }, "Try again")));
  say(`The PIN is wrong. ${left} guesses are left.`);
  goTo(told.querySelector("h2"));
}

// --- the window, the end -------------------------------------------------------------------------------------------------------------------------

/** The window runs: shows it, and looks now and then whether a device approved or vetoed. */
function waits(kept, { recovery }) {
  at("wait");
  const due = Number(recovery.dueMs);
  const clock = countdown(due, () => client.now());
  const card = el("section", { class: "card" }, el("h2", {}, `The PIN is right; ${kept.name} is yours in`), clock.shown,
    el("p", {}, `Until ${whenText(due)} every device of the account, and its words, can veto this, and every lookup says that a recovery is pending. A device that approves ends the wait at once.`),
    el("p", { class: "soft" }, "You may close this page, and come back with this browser."));
  fill(place, card, kept.faults?.length > 0 && [el("h2", {}, "Skipped"), faultList(kept.faults)]);
  say("The PIN is right. The window runs.");
  goTo(card.querySelector("h2"));
  const look = async () => {
    const logged = await recoveryOf(client, { did: kept.did }).catch(() => null);
    if (!card.isConnected) return clock.stop();
    if (logged !== null && (logged.recovery?.phase !== PROVED || !isMine(kept, logged))) {
      clock.stop();
      return goOn(kept);
    }
    setTimeout(look, Math.min(LOOK_MS, Math.max(1000, due - client.now())));
  };
  setTimeout(look, Math.min(LOOK_MS, Math.max(1000, due - client.now())));
}

/** Nobody objected: asks how this browser is called, and whether the words are lost too. */
function ready(kept, logged) {
  at("back");
  const label = el("input", { type: "text", id: "label", maxlength: 64, autocomplete: "off", value: ownLabel(), "aria-describedby": "label-hint" });
  const words = el("input", { type: "checkbox", id: "new-words" });
  const failed = el("div", { hidden: true });
  const button = el("button", {}, "Take my account back");
  const form = el("form", { class: "card" }, el("h2", {}, "Nobody objected"), el("p", {}, `Take ${kept.name} back until ${whenText(logged.recovery.dueMs)}. Every other device is out then, and what was sealed to you opens here.`),
    el("div", { class: "field" }, el("label", { for: "label" }, "What you call this device"), label, el("p", { class: "hint", id: "label-hint" }, "Only you can read it: the log holds a hash of it.")),
    el("label", { class: "choice" }, words, el("span", {}, "The twelve words are lost too: make new ones")), failed, el("div", { class: "actions" }, button));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    failed.hidden = true;
    whileBusy(button, () => end(kept, logged, label.value.trim() || ownLabel(), words.checked).catch((error) => {
      if (!form.isConnected) fill(place, form);
      showTrouble(failed, error);
      failed.append(faultList(error.faults ?? []) ?? "");
    }));
  });
  fill(place, form);
  goTo(form.querySelector("h2"));
}

async function end(kept, logged, text, withWords) {
  const opened = kept.backup === undefined ? await release(client, store, kept, logged.enrolment) : { kept, faults: [] };
  const fresh = withWords ? await newWordsOf() : undefined;
  const label = newLabel(text);
  const next = { ...opened.kept, label, faults: opened.faults };
  await store.set(attemptKey(client.origin), next);
  const { found } = await takeOver(client, next, label, fresh);
  await arrived(next, found);
}

/** Shows new words once, until they are written down; returns their keys. */
async function newWordsOf() {
  const { newWords, keysOfWords } = await import("../words.js");
  const phrase = newWords();
  const go = el("button", {}, "I have written them down");
  const shown = el("form", { class: "card" }, el("h2", {}, "Write down these twelve words"), el("p", {}, "They stand above every device from now on. They are shown this once and kept nowhere."),
    el("ol", { class: "words", translate: "no" }, phrase.split(" ").map((word) => el("li", {}, word))), el("div", { class: "actions" }, go));
  const written = new Promise((done) => shown.addEventListener("submit", (event) => (event.preventDefault(), done())));
  fill(place, shown);
  goTo(shown.querySelector("h2"));
  await written;
  waitFor("Signing, and checking the proof …");
  return keysOfWords(phrase);
}

/** This browser is a device of the account: what was sealed to the person is opened, and sealed anew. */
async function arrived(kept, found) {
  at("back");
  waitFor("Opening what was sealed to you …");
  const { label = newLabel(ownLabel()) } = kept;
  const record = { id: idOf(keptDevice(kept.device)), origin: client.origin, name: kept.name, did: kept.did, device: kept.device, label: { text: label.label, nonce: label.nonce }, madeMs: client.now() };
  await keepAccount(store, record);
  await keepForGood();
  const failed = await withUserKey(client, record, found, undefined, { kex: kept.backup }).then(() => null, (error) => error);
  if (failed === null || failed.code === "no_box" || failed.code === "not_opened") await forgetAttempt(store, client.origin);
  const told = verdict("good", `${kept.name} is yours again, and that is proved`, el("p", {}, "Every other device is out. The PIN is used up: set up recovery anew, for the next time."));
  fill(place, told, failed && el("section", { class: "card" }, el("h3", {}, "What was sealed before does not open"), trouble(failed, failed.code === "network" ? () => goOn(kept) : undefined)), kept.faults?.length > 0 && faultList(kept.faults),
    el("p", { class: "actions" }, el("a", { class: "button", href: "/devices" }, "My devices"), el("a", { class: "button quiet", href: "/recovery" }, "Set up recovery")));
  say(`${kept.name} is yours again`);
  goTo(told.querySelector("h2"));
}
