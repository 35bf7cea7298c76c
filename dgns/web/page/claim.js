// Claim a name: choose it, write the words down, do the work, sign, post, and see the proof.
//
// Keys and signed certificates are kept before they are posted. Whoever is interrupted comes back to a page that goes on from there: the
// same bytes posted again get the same answer.

import { newDevice, deviceToKeep } from "../keys.js";
import { isReserved } from "../name.js";
import { ROAD, certify, genesis, newLabel, placeAfter, placeBehind } from "../write.js";
import { codeHash } from "../work.js";
import { parseCode } from "./code.js";
import { note } from "./account.js";
import { byId, el, fill, goTo, say, sign, verdict, whileBusy } from "./dom.js";
import { attestedOf, forgetAttested, issuersOf, keepAttested } from "./desk.js";
import { atIssuers, hasPasskeys, passkeyCard } from "./issuers.js";
import { accounts, deviceOf, forgetAccount, idOf, keepAccount, keepForGood, ownLabel } from "./me.js";
import { openPage } from "./shell.js";
import { meaningOf, showTrouble, trouble } from "./trouble.js";
import { workFor } from "./work.js";

const PAUSE_MS = 350;
const STEPS = { choose: 0, words: 1, claim: 2, proof: 3 };
/** How often the work was tried so far. */
let tried = 0;

const { client, info, store } = await openPage();
const place = byId("place");
place.removeAttribute("aria-busy");
const kept = await accounts(store, client.origin);
const attested = await attestedOf(store, client.origin, client.now());
const begun = kept.find((record) => record.begun !== undefined);
try {
  const said = await info;
  if (begun !== undefined) offerToGoOn(begun);
  else if (said.follows !== undefined) fill(place, verdict("wait", "This server only shows the log", el("p", {}, "It follows another server, which takes what is written: ", el("a", { href: new URL("/claim", said.follows.url).href }, said.follows.url))));
  else choose(said);
} catch (error) {
  showTrouble(place, error, () => location.reload());
}

/** Marks where in the task the reader is. */
function at(step) {
  [...byId("way").children].forEach((item, i) => {
    item.className = i < STEPS[step] ? "done" : "";
    if (i === STEPS[step]) item.setAttribute("aria-current", "step");
    else item.removeAttribute("aria-current");
  });
}

// --- 1: the name ---------------------------------------------------------------------------------------------------------

/** Asks for the name, the road and whose it shall be. */
function choose(said) {
  at("choose");
  const name = el("input", { type: "text", id: "name", required: true, autocomplete: "off", autocapitalize: "none", spellcheck: "false", "aria-describedby": "free name-hint", value: wished() });
  const free = el("div", { id: "free", "aria-live": "polite", class: "hint" });
  const ways = {
    attested: attested && ["attested", `By your sign-in with ${attested.issuerName}`, "No work, and no invitation."],
    open: ["open", "By a little work", "Your computer solves a puzzle, for a second or less."], invite: ["invite", "By invitation", "Somebody gave you a code."],
  };
  const roads = ["attested", "open", "invite"].filter((road) => ways[road] && said.roads.includes(road));
  const code = el("input", { type: "text", id: "code", autocomplete: "off", spellcheck: "false", "aria-describedby": "code-hint" });
  const codeField = el("div", { class: "field" }, el("label", { for: "code" }, "Invitation"), code, el("p", { class: "hint", id: "code-hint" }, "The code you were given. It can be used once."));
  // A sign-in speaks for the keys it was made with, which are no account's yet.
  const mine = attested === undefined ? kept.filter(({ did }) => did !== undefined) : [];
  const label = el("input", { type: "text", id: "label", maxlength: 64, value: ownLabel(), "aria-describedby": "label-hint" });
  const labelField = el("div", { class: "field" }, el("label", { for: "label" }, "What you call this device"), label,
    el("p", { class: "hint", id: "label-hint" }, "Only you can read it: the log holds a hash of it."));
  const picked = (group) => form.querySelector(`input[name="${group}"]:checked`)?.value;
  const settle = () => {
    codeField.hidden = (picked("road") ?? roads[0]) !== "invite";
    code.required = !codeField.hidden;
    labelField.hidden = mine.length > 0 && picked("owner") !== "new";
  };
  const failed = el("div", { hidden: true });
  const next = el("button", {}, "Go on");
  const form = el("form", { class: "card", novalidate: true },
    el("div", { class: "field" }, el("label", { for: "name" }, "The name you want"),
      el("div", { class: "joined" }, name, el("span", { class: "suffix" }, `.${client.zone}`)), free,
      el("p", { class: "hint", id: "name-hint" }, "3 to 63 letters a to z, digits and hyphens. Everyone can see it.")),
    mine.length > 0 && group("Whose shall it be?", "owner", mine.map((record) => [record.id, `The account of ${record.name}`, "Its device in this browser signs."]).concat([["new", "A new account", "With keys and words of its own."]])),
    roads.length > 1 && group("How", "road", roads.map((road) => ways[road])),
    roads.length > 0 && codeField, labelField, failed, el("div", { class: "actions" }, next));
  form.addEventListener("change", settle);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    whileBusy(next, async () => {
      try {
        if (!(await check(name, free))) return name.focus();
        const wish = { name: client.subject(name.value).name, road: picked("road") ?? roads[0], bits: said.work_bits };
        if (wish.road === "invite") wish.code = parseCode(code.value);
        const record = mine.find(({ id }) => id === picked("owner"));
        await (record === undefined ? words({ ...wish, label: label.value }) : claimFor(record, wish));
      } catch (error) {
        showTrouble(failed, error);
      }
    });
  });
  let pause;
  name.addEventListener("input", () => {
    clearTimeout(pause);
    fill(free);
    name.removeAttribute("aria-invalid");
    pause = setTimeout(() => check(name, free).catch((error) => fill(free, note("bad", meaningOf(error).headline))), PAUSE_MS);
  });
  const issuers = attested === undefined && said.roads.includes("attested") ? issuersOf(said) : [];
  const signIn = issuers.length > 0 && atIssuers(client, store, issuers, roads.length > 0 ? "Or by signing in" : "Sign in first", "An account there gives you a name here, without work and without an invitation. They learn that you sign in, not which name you take.");
  const byPasskey = attested === undefined && said.roads.includes("attested") && hasPasskeys(said)
    && passkeyCard("Or with a passkey", "This device keeps it, and asks for your finger, face or PIN. It gives a name here without work and without an invitation, and finds the account again on any browser.",
      "Make a passkey", () => newcomer(name.value.trim()));
  const none = verdict("wait", "Names are not given out here", el("p", {}, "This zone grants names below others alone."));
  fill(place, roads.length > 0 ? form : issuers.length === 0 && !byPasskey && none, byPasskey, signIn);
  settle();
  if (name.value !== "") name.dispatchEvent(new Event("input"));
}

/** Makes a passkey for somebody who has no account, called by the name that is wished for; the page begins anew with it. */
async function newcomer(wish) {
  const { makePasskey } = await import("./passkey.js");
  const made = await makePasskey(client, wish === "" ? client.zone : `${wish}.${client.zone}`);
  await keepAttested(store, client.origin, made);
  location.assign(wish === "" ? "/claim" : `/claim?name=${encodeURIComponent(wish)}`);
}

/** The name an address bar asks for, without the zone. */
function wished() {
  return (new URLSearchParams(location.search).get("name") ?? "").replace(`.${client.zone}`, "");
}

/** Returns a group of choices, the first one picked. */
function group(title, name, choices) {
  const radio = ([value, text, hint], i) => el("label", { class: "choice" }, el("input", { type: "radio", name, value, checked: i === 0 }), el("span", {}, el("strong", {}, text), el("span", { class: "soft" }, hint)));
  return el("fieldset", {}, el("legend", {}, title), choices.map(radio));
}

/** Says whether a name can be had, proved; returns it too. */
async function check(input, place) {
  const typed = input.value.trim();
  if (typed === "") return false;
  const answer = (kind, ...text) => {
    if (input.value.trim() !== typed) return false; // typed on meanwhile
    fill(place, note(kind, ...text));
    input.setAttribute("aria-invalid", String(kind === "bad"));
    return kind !== "bad";
  };
  let asked;
  try {
    asked = client.subject(typed);
  } catch (error) {
    return answer("bad", meaningOf(error).lines[0]);
  }
  if (asked.name === undefined) return answer("bad", "That is an identifier, not a name.");
  if (isReserved(asked.name, client.zone)) return answer("bad", "This name is reserved for services.");
  if (asked.name.slice(0, -client.zone.length - 1).includes(".")) return answer("bad", "A name below another is granted by that one\u2019s owner: ", el("code", {}, `dgns claim ${asked.name}`));
  fill(place, el("p", { class: "tell" }, sign("turning"), "Looking …"));
  const found = await client.lookup(asked);
  if (found.status === "absent") return answer("good", "Free, and that is proved: nobody has it.", lookalike(typed));
  return answer("bad", found.status === "held" ? "Given up lately: nobody may claim it yet. " : "Taken. ", el("a", { href: `/lookup?name=${asked.name}` }, "See by whom"));
}

/** Warns of names that eyes confuse. */
function lookalike(name) {
  return /[01]|rn|vv/.test(name) ? " It has characters that look like others (0 and o, 1 and l, rn and m): people may mistype it." : null;
}

// --- 2: the words ----------------------------------------------------------------------------------------------------------

/** Makes the account's words and keys, shows the words once, and asks for two of them. Works on the claim meanwhile. */
async function words(wish) {
  at("words");
  const [{ newWords, keysOfWords }, { firstKey }] = await Promise.all([import("../words.js"), import("./user_keys.js")]);
  const phrase = newWords();
  const [top, device] = await Promise.all([keysOfWords(phrase), wish.road === "attested" ? attested.device : newDevice()]);
  const label = newLabel(wish.label.trim() || ownLabel());
  const head = client.lookup(wish.name).then(({ size, root }) => ({ size, root }));
  const first = Promise.all([head, firstKey([device.kex.key, top.wordsBox.key])]).then(async ([seen, { boxes, userKey }]) => (
    { boxes, ...(await genesis({ ...top, device, label: label.hash, userKey, head: seen, nowMs: client.now() }, client.origin)) }));
  const worked = first.then(({ did }) => proofOf(wish, did));
  worked.catch(() => {}); // told when it is asked for
  const list = phrase.split(" ");
  const go = el("button", {}, "I have written them down");
  const shown = el("form", { class: "card" },
    el("h2", {}, "Write down these twelve words"),
    el("p", {}, "They stand above every device: if all are lost, the words bring the account back, and whoever has them has it. They are shown this once and kept nowhere. Paper is best."),
    el("ol", { class: "words", translate: "no" }, list.map((word) => el("li", {}, word))),
    el("div", { class: "actions" }, go, el("button", { type: "button", class: "quiet", onclick: () => print() }, "Print")));
  shown.addEventListener("submit", (event) => {
    event.preventDefault();
    askForTwo(list, shown, () => sealClaim({ wish, device, label, first, worked }));
  });
  fill(place, shown);
  goTo(shown.querySelector("h2"));
}

/** Asks for two of the words; `then` goes on. */
function askForTwo(list, shown, then) {
  const places = someTwo(list.length);
  const inputs = places.map((i) => el("input", { type: "text", id: `word-${i}`, autocomplete: "off", autocapitalize: "none", spellcheck: "false", required: true, "aria-describedby": "wrong" }));
  const wrong = el("p", { id: "wrong", class: "tell bad", role: "alert" });
  const form = el("form", { class: "card" }, el("h2", {}, "Two of your words"), el("p", {}, "So that a slip of the pen shows now, and not in years."),
    inputs.map((input, i) => el("div", { class: "field" }, el("label", { for: input.id }, `Word ${places[i] + 1}`), input)), wrong,
    el("div", { class: "actions" }, el("button", {}, "Claim the name"), el("button", { type: "button", class: "quiet", onclick: () => { fill(place, shown); goTo(shown.querySelector("h2")); } }, "Show the words again")));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const off = inputs.findIndex((input, i) => input.value.trim().toLowerCase() !== list[places[i]]);
    inputs.forEach((input, i) => input.setAttribute("aria-invalid", String(i === off)));
    if (off < 0) return then();
    fill(wrong, sign("bad"), `Word ${places[off] + 1} is another one. Look at your paper.`);
    inputs[off].focus();
  });
  fill(place, form);
  goTo(form.querySelector("h2"));
  inputs[0].focus();
}

/** Returns two different places, ascending. */
function someTwo(count) {
  const [a, b] = crypto.getRandomValues(new Uint8Array(2));
  const first = a % count;
  return [first, (first + 1 + (b % (count - 1))) % count].sort((x, y) => x - y);
}

// --- 3: the claim ----------------------------------------------------------------------------------------------------------

/** Returns what a claim shows on its road: the solved work, the invitation, the sign-in. */
async function proofOf({ name, road, bits, code }, did) {
  if (road === "invite") return { name, road: ROAD.invite, proof: codeHash(code) };
  if (road === "attested") return { name, road: ROAD.attested, proof: attested.evidence };
  const nonce = await workFor(name, did, bits, { onProgress: (tries) => (tried = tries) });
  return { name, road: ROAD.open, proof: nonce, bits };
}

/** Shows what is done and what is going on. Returns `now(i)`. */
function progress(title, lines) {
  at("claim");
  const items = lines.map(([text, more]) => el("li", {}, sign("open"), el("div", {}, text, more ?? null)));
  const list = el("section", { class: "card" }, el("h2", {}, title), el("ol", { class: "doing" }, items));
  fill(place, list);
  goTo(list.querySelector("h2"));
  return (step) => items.forEach((item, i) => {
    item.className = i < step ? "good" : i === step ? "now" : "";
    item.firstChild.replaceWith(sign(i < step ? "good" : i === step ? "turning" : "open"));
    if (i === step) say(item.textContent);
  });
}

/** Waits for the work, signs, keeps what was signed, posts it. */
async function sealClaim({ wish, device, label, first, worked }) {
  const bar = el("progress", { max: 1, "aria-label": "Work done, as far as can be told" });
  const now = progress(`Claiming ${wish.name}`, [
    ["Keys were made in this browser; no script can read them"], [{ open: "Your computer works for the name", invite: "Your invitation is shown", attested: "Your sign-in is shown" }[wish.road], wish.road === "open" ? bar : null],
    ["This device signs, and the words' key"], ["The server takes it into the log, and the proof is checked"],
  ]);
  // How far luck has to go nobody knows: the bar shows the chance that the work is done by now.
  const tick = setInterval(() => (bar.value = 1 - Math.exp(-tried / 2 ** wish.bits)), 100);
  try {
    now(1);
    const [start, body] = await Promise.all([first, worked]);
    now(2);
    const [seen, how] = [{ size: start.payload.seen[0], root: start.payload.seen[1] }, { origin: client.origin, nowMs: client.now() }];
    const claim = await certify(placeBehind(start, seen), "claim", body, [device.sign], how);
    const record = {
      id: idOf(device), origin: client.origin, name: wish.name, device: deviceToKeep(device), label: { text: label.label, nonce: label.nonce },
      begun: [start, claim], begunDid: start.did, begunBoxes: [start.boxes], madeMs: client.now(),
      passkey: wish.road === "attested" ? attested.passkey : undefined,
    };
    await keepAccount(store, record);
    await keepForGood();
    now(3);
    await finish(record);
  } catch (error) {
    fill(place, trouble(error, () => location.reload()));
    goTo(place);
  } finally {
    clearInterval(tick);
  }
}

/** One more name for an account whose device is here: no words, no new keys. */
async function claimFor(record, wish) {
  const now = progress(`Claiming ${wish.name}`, [["The account is looked up"], ["Your computer works for the name"], ["This device signs"], ["The server takes it into the log, and the proof is checked"]]);
  try {
    now(0);
    const found = await client.lookup({ did: record.did });
    now(1);
    const body = await proofOf(wish, record.did);
    now(2);
    const claim = await certify(placeAfter(found), "claim", body, [deviceOf(record).sign], { origin: client.origin, nowMs: client.now() });
    const next = { ...record, begun: [claim], begunName: wish.name };
    await keepAccount(store, next);
    now(3);
    await finish(next);
  } catch (error) {
    fill(place, trouble(error, () => location.reload()));
    goTo(place);
  }
}

/** Posts what was signed; the same bytes again get the same answer. */
async function finish(record) {
  const { begun: certificates, begunDid, begunName, begunBoxes, passkey, ...rest } = record;
  const name = begunName ?? record.name;
  await client.post(certificates, name, begunBoxes);
  const found = await client.lookup(name, { genesis: true });
  const whole = { ...rest, did: record.did ?? begunDid };
  await keepAccount(store, whole);
  await forgetAttested(store, client.origin);
  // Before the reader is told that all is done, and goes: what the passkey opens. If that fails it signs in all the same.
  const now = passkey?.recipient === undefined ? found : await import("./passkeys.js").then(({ letOpen }) => letOpen(client, whole, found, passkey)).catch(() => found);
  await done(found);
  await import("./labels.js").then(({ shareOwn }) => shareOwn(client, whole, now)).catch(() => {}); // the page of devices tries again
}

// --- 4: the proof ----------------------------------------------------------------------------------------------------------

async function done(found) {
  at("proof");
  const { drawLimits, drawProof } = await import("./proof.js");
  const part = (title, ...children) => el("section", { class: "card" }, el("h2", {}, title), ...children);
  const headline = verdict("good", `${found.subject} is yours, and that is proved`,
    el("p", {}, "Every certificate of your account, from the first one on, was judged in this browser and leads to the signed head of the log."));
  fill(place, headline, part("The proof", drawProof(found, client.trust)),
    part("What now", el("ul", {},
      el("li", {}, "Show it to others: ", el("a", { href: `/lookup?name=${found.subject}` }, `${location.host}/lookup?name=${found.subject}`)),
      el("li", {}, el("a", { href: "/devices" }, "Your devices"), ": what they may do, and how to stop a stolen one."),
      el("li", {}, "Addresses and other records: ", el("code", {}, `dgns records set ${found.subject} A 192.0.2.1`), " on a device of this account."))),
    part("What this does not prove", drawLimits(found, client.trust)));
  say(found.summary);
  goTo(headline.querySelector("h2"));
}

// --- after an interruption ---------------------------------------------------------------------------------------------------

/** A claim was signed here, and not seen through. */
function offerToGoOn(record) {
  at("claim");
  const name = record.begunName ?? record.name;
  const failed = el("div", { hidden: true });
  const go = el("button", { type: "button", onclick: () => whileBusy(go, () => goOn()) }, "Finish it");
  const goOn = () => finish(record).catch((error) => showTrouble(failed, error));
  const drop = async () => {
    if (record.did === undefined) await forgetAccount(store, record);
    else await keepAccount(store, Object.fromEntries(Object.entries(record).filter(([key]) => !key.startsWith("begun"))));
    location.reload();
  };
  fill(place, el("section", { class: "card" }, el("h2", {}, `You began to claim ${name}`), el("p", {}, "Everything is signed and kept in this browser. Whether the server took it is not known here; posting the same again does no harm."), failed,
    el("div", { class: "actions" }, go, el("button", { type: "button", class: "quiet", onclick: drop }, "Start over"))));
}
