// Let a device in: who asks, and the six digits that tell whether it is really the one before you.

import { equal, hex, unhex } from "../hash.js";
import { kidOf } from "../name.js";
import { deviceTable } from "./account.js";
import { byId, el, facts, fill, goTo, say, sign, svg, tag, verdict, whenText, whileBusy } from "./dom.js";
import { accounts, deviceOf } from "./me.js";
import { openPage } from "./shell.js";
import { eventsOf } from "./signed.js";
import { showTrouble, trouble } from "./trouble.js";

/** The relay keeps messages for an hour. */
const ASKS_MS = 3_600_000;
const AGAIN_MS = 3_000;

const { client, store } = await openPage();
const place = byId("place");
place.removeAttribute("aria-busy");
const mine = (await accounts(store, client.origin)).filter(({ did }) => did !== undefined);
// Who has no account here needs none of this.
const [pairing, pair, attested, recovering] = mine.length === 0 ? [] : await Promise.all([import("./pairing.js"), import("../pair.js"), import("./attested.js"), import("./recovering.js")]);
if (mine.length === 0) {
  fill(place, verdict("plain", "No account has keys in this browser", el("p", {}, "Open this page on a device that belongs to your account already. If this is the new one: ", el("a", { href: "/signin" }, "sign in"), ".")));
} else {
  const asks = el("div", {});
  const none = el("p", { class: "tell", id: "none" }, sign("turning"), el("span", {}, "Nobody asks. This page says at once when a device does."));
  const attempts = mine.map(() => el("div", {}));
  fill(place, attempts, none, asks, mine.map(byHand));
  for (const [i, record] of mine.entries()) {
    const look = () => showRecovering(record, attempts[i]).catch((error) => fill(attempts[i], trouble(error, look)));
    look();
    watch(record, asks, none, look);
  }
}

/** Shows whether somebody recovers the account, and what this device can say to it. */
async function showRecovering(record, shown, told = null) {
  const found = await client.lookup({ did: record.did }, { genesis: true });
  const own = found.did.devices.find(({ sign: key }) => equal(key, record.device.sign.key));
  fill(shown, told, await recovering.recoveringPart(client, record, found, own, (said) => showRecovering(record, shown, said)));
  if (told !== null) goTo(told.querySelector("h2"));
}

/** Listens for devices that ask, and for recoveries (`look`); a stream that ended is opened again. */
async function watch(record, asks, none, look) {
  const seen = new Set();
  const logins = new Map(); // the kid of a device -> what the server told of a sign-in on it
  let after = 0;
  for (;;) {
    try {
      for await (const { kind, id, data } of eventsOf(client, record, after)) {
        after = id;
        if (recovering.isAboutRecovery(kind)) look();
        if (kind === "login" && data.kid !== undefined) logins.set(data.kid, { ...logins.get(data.kid), ...data });
        if (kind !== "pair" || data.at_ms < client.now() - ASKS_MS || seen.has(data.session)) continue;
        seen.add(data.session);
        await tried(asks, () => showAsk(record, asks, none, data, logins));
      }
    } catch (error) {
      if (error.code === "suspended" || error.code === "unknown_signer" || error.code === "ended") {
        return void asks.append(trouble(error));
      }
    }
    await new Promise((done) => setTimeout(done, AGAIN_MS));
  }
}

/** Shows what came of a device that asks; if that fails, why, and it can be tried again. */
async function tried(asks, task) {
  try {
    await task();
  } catch (error) {
    const card = trouble(error, () => (card.remove(), tried(asks, task)));
    asks.prepend(card);
  }
}

/** Shows a device that asks, if it still does and the account has not got it. */
async function showAsk(record, asks, none, { session: text, at_ms }, logins) {
  const session = unhex(text);
  const found = await client.lookup({ did: record.did }, { genesis: true });
  const waiting = await pairing.readAsk(client, session, record.did);
  if (waiting === null || found.did.devices.some(({ sign: key }) => equal(key, waiting.ask.sign))) return;
  const own = found.did.devices.find(({ sign: key }) => equal(key, record.device.sign.key));
  const may = own !== undefined && own.level === 2 && own.status === 1;
  const told = logins.get(hex(kidOf(waiting.ask.sign)));
  const said = await whoAttested(record, found, waiting.ask, told);
  const card = el("section", { class: "card" });
  const failed = el("div", { hidden: true });
  const end = (node) => fill(card, node);
  const go = el("button", { type: "button", onclick: () => whileBusy(go, () => confirmDigits(record, card, waiting, session).catch((error) => fill(card, trouble(error)))) }, "It is mine");
  const no = el("button", { type: "button", class: "danger", onclick: () => whileBusy(no, () => pairing.reject(waiting).then(() => end(verdict("plain", "Turned away", el("p", {}, "Nothing changed. If you did not expect this, somebody tried your name."))), (error) => showTrouble(failed, error))) }, "Not me");
  fill(card, el("h2", {}, `A device asks to belong to ${record.name}`), facts([
    ["Asked", whenText(at_ms)], ["Its key", el("code", {}, hex(kidOf(waiting.ask.sign)))], ["It would be", "a full device, after its probation"],
    ["Signed in", said.fact],
  ]), said.more, failed, may ? el("div", { class: "actions" }, said.refused ? null : go, no) : el("p", { class: "is-wait" }, "This device cannot let it in: it has no full power itself."));
  none.hidden = true;
  asks.prepend(card);
  say(`A device asks to belong to ${record.name}`);
  goTo(card.querySelector("h2"));
}

/** Says who attested that somebody signed in on a device that asks: `{fact, more, refused}`. What the server told alone is said to be that. */
async function whoAttested(record, found, ask, told) {
  const only = (kind, word, text) => ({ fact: el("span", {}, tag(kind, word), ` ${text}`), more: null, refused: false });
  const signedIn = await lookedUp(record, found, ask, told);
  if (!signedIn && told === undefined) return only("wait", "attested by nobody", "Only the digits tell that it is yours.");
  if (!signedIn) return only("wait", "so the server says", `${whenText(told.at_ms)}, to an account that leads to you. The log does not show it: only the digits tell that it is yours.`);
  const { issuer, index, unixS, address, standing } = signedIn;
  const where = `${issuer?.startsWith("passkey:") ? "with a passkey" : issuer === undefined ? "somewhere the log does not know" : `at ${issuer}`}${address === undefined ? "" : ` as ${address}`}`;
  const proof = el("span", { class: "soft small" }, ` ${whenText(Number(unixS) * 1000)}, `, el("a", { href: `/explore?index=${index}` }, `entry ${index} of the log`), ".");
  const [kind, word, verdictOf] = {
    notary_revoked: ["bad", "by a revoked notary", verdict("bad", "Do not let it in by this sign-in", el("p", {}, "Whoever attested it was revoked since, so it counts for nothing: a thief may have signed in. If the device is yours, sign in there anew by your name, not by this account."))],
    disputed: ["bad", "disputed", verdict("bad", "You said that this was somebody else", el("p", {}, "This sign-in was disputed from a device of yours. It cannot be let in with these keys."))],
    breaker: ["wait", "doubtful", verdict("wait", "Look twice", el("p", {}, "Another sign-in with this address was disputed less than a week ago. Let it in only if you hold the device in your hands."))],
  }[standing] ?? ["good", "attested, and proved", null];
  return { fact: el("span", {}, tag(kind, word), ` ${where}.`, proof), more: verdictOf, refused: attested.REFUSED.includes(standing) };
}

/** Returns the sign-in that the log shows. If the server told of one, a head that shows it is waited for, not long: witnesses sign within seconds. */
async function lookedUp(record, found, ask, told) {
  for (let tries = 12; ; tries--) {
    const signedIn = await attested.signInOf(client, record, found, ask);
    if (signedIn !== null || told === undefined || tries === 0) return signedIn;
    await new Promise((done) => setTimeout(done, 250));
  }
}

/** Asks for the digits, and lets the device in when they are right. */
async function confirmDigits(record, card, waiting, session) {
  const own = deviceOf(record);
  fill(card, el("h2", {}, "Look at the new device"), el("p", { class: "tell" }, sign("turning"), el("span", {}, "Waiting for it to show six digits \u2026")));
  const { check } = await pairing.answer(waiting, session, own);
  const input = el("input", { type: "text", id: "digits", class: "digits", inputmode: "numeric", autocomplete: "off", maxlength: 7, required: true, "aria-describedby": "wrong" });
  const wrong = el("p", { id: "wrong", class: "tell bad", role: "alert" });
  const button = el("button", {}, "Let it in");
  const form = el("form", {}, el("h2", {}, "The six digits on the new device"), el("p", {}, "Type what it shows. They fit only if its keys came here unchanged."),
    el("div", { class: "field" }, el("label", { for: "digits" }, "Six digits"), input), wrong,
    el("div", { class: "actions" }, button, el("button", { type: "button", class: "danger", onclick: () => pairing.reject(waiting).then(() => fill(card, verdict("plain", "Turned away"))) }, "Not me")));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    whileBusy(button, async () => {
      try {
        if (!(await check(input.value.replaceAll(/\D/g, "")))) {
          input.setAttribute("aria-invalid", "true");
          fill(wrong, sign("bad"), "Those are others. Look again; after three wrong ones it has to ask anew.");
          return input.select();
        }
        fill(card, el("h2", {}, "Letting it in"), el("p", { class: "tell" }, sign("turning"), el("span", {}, "This device signs; the new one posts it, and the proof is checked \u2026")));
        belongs(card, record, await pairing.letIn(client, record, waiting, own, AbortSignal.timeout(120_000)));
      } catch (error) {
        fill(card, trouble(error));
      }
    });
  });
  fill(card, form);
  input.focus();
}

function belongs(card, record, found) {
  const told = verdict("good", `It belongs to ${record.name} now, and that is proved`, el("p", {}, "It is on probation for a while: it reads what is yours, and acts only later."));
  fill(card, told, deviceTable(found.did.devices), el("p", {}, el("a", { href: "/devices" }, "My devices")));
  goTo(told.querySelector("h2"));
}

/** Another way, without digits: a secret that is carried to the new device. */
function byHand(record) {
  const card = el("section", { class: "card" });
  const begin = el("button", { type: "button", class: "quiet", onclick: () => whileBusy(begin, async () => {
    const { qrCode } = await import("../qr.js");
    const stop = new AbortController();
    const { secret, done } = pairing.offerSecret(client, record, deviceOf(record), stop.signal);
    const stopButton = el("button", { type: "button", class: "quiet", onclick: () => stop.abort(new DOMException("stopped", "AbortError")) }, "Stop");
    const text = pair.invitationText({ origin: client.origin, did: record.did, secret });
    fill(card, el("h2", {}, "Show this to the new device"), el("p", {}, "Its camera opens the page that lets it in. Whoever sees this, or the words, within the hour gets in, once."),
      codePicture(qrCode(`${location.origin}/signin#${text}`)),
      el("p", {}, "Without a camera, type these words there: under \u201cSign in\u201d, or in ", el("code", {}, "dgns join"), "."),
      el("ol", { class: "words", translate: "no" }, pair.secretWords(secret).split(" ").map((word) => el("li", {}, word))),
      el("p", { class: "small" }, "The same as a text: ", el("code", {}, text)),
      el("p", { class: "tell" }, sign("turning"), el("span", {}, "Waiting for it \u2026")), el("div", { class: "actions" }, stopButton));
    done.then((found) => belongs(card, record, found), (error) => (error.name === "AbortError" ? fill(card, ...first) : fill(card, trouble(error))));
    goTo(card.querySelector("h2"));
  }) }, "Make a secret");
  const first = [el("h2", {}, `No network between the two? Carry a secret (${record.name})`), el("p", {}, "A code for its camera, or twelve words: they let one device in, without digits. For a device beside you."), el("div", { class: "actions" }, begin)];
  return fill(card, ...first);
}

/** Draws a code, with the white margin that readers need. */
function codePicture(rows) {
  const path = rows.map((row, y) => row.map((dark, x) => (dark ? `M${x} ${y}h1v1h-1z` : "")).join("")).join("");
  const side = rows.length + 8;
  return svg("svg", { viewBox: `-4 -4 ${side} ${side}`, class: "qr", role: "img", "aria-label": "QR code of the secret", "shape-rendering": "crispEdges" },
    svg("rect", { x: -4, y: -4, width: side, height: side, fill: "#fff" }), svg("path", { d: path, fill: "#000" }));
}
