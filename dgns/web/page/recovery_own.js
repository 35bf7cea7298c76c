// Recovery of the accounts whose keys are in this browser (recovery.js begins): set up, looked at, set up anew, given up.

import { Refused, encode } from "../cbor.js";
import { equal } from "../hash.js";
import { drawnWords, choosePin } from "../pin.js";
import { note } from "./account.js";
import { PURPOSE } from "./desk.js";
import { el, facts, fill, fold, goTo, say, sign, tag, verdict, whenText, whileBusy } from "./dom.js";
import { signInFor } from "./goals.js";
import { deviceOf } from "./me.js";
import { put, recoveryOf } from "./recovery_log.js";
import { eraseAt, meetAll, together } from "./recovery_servers.js";
import { doubts, faultList, oddsText, serverRows, serverTable, standingOf } from "./recovery_view.js";
import { askSigned } from "./signed.js";
import { showTrouble, trouble } from "./trouble.js";
import { withUserKey } from "./user_keys.js";

const SERVERS = [2, 7];
/** The page that this is shown on: what it opened, and whom one signs in at. */
let [client, store, ways] = [];
const planKey = ({ id }) => `enrol/${client.origin}/${id}`;

/** Shows the accounts of `records` at `place`. */
export async function showOwn(page, place, records) {
  ({ client, store, ways } = page);
  const sections = records.map((record) => el("section", { "aria-labelledby": `of-${record.id}` }));
  fill(place, sections);
  await Promise.all(records.map((record, i) => draw(record, sections[i])));
}

/** Looks how the recovery of an account stands, and shows it, or goes on with what was begun. */
async function draw(record, section, said = null) {
  const title = el("h2", { id: `of-${record.id}` }, record.name);
  fill(section, title, el("p", { class: "tell" }, sign("turning"), "Looking, and checking …"));
  try {
    const logged = await recoveryOf(client, { did: record.did });
    const own = logged.found.did.devices.find(({ sign: key }) => equal(key, record.device.sign.key));
    const may = own !== undefined && own.level === 2 && own.status === 1 && logged.found.status === "present" && !logged.found.frozen;
    const all = { record, section, logged, may };
    const plan = await store.get(planKey(record));
    if (may && plan !== undefined && plan.proofs.length > 0) return fill(section, title, said, await pinForm(all, plan));
    fill(section, title, said, ...(logged.recovery === null ? [none(all), may && serversForm(all, [])] : [await status(all), may && anew(all)]),
      !may && note("know", "This device cannot change it: it is no full device of the account, or its time has not come."));
    if (said !== null) goTo(said.querySelector("h2"));
  } catch (error) {
    fill(section, title, trouble(error, () => draw(record, section)));
  }
}

function card(title, ...children) {
  return el("section", { class: "card" }, el("h3", {}, title), ...children);
}

function none({ logged }) {
  const waits = logged.found.pending.some(({ type }) => type === 15);
  return verdict("wait", waits ? "A recovery is enrolled, and waits" : "Nothing brings this account back yet", el("p", {}, waits ? "See \u201cWaits, and can still be stopped\u201d on the page of your devices."
    : "If every device is lost, only the twelve words on your paper help. A PIN, a sign-in and independent servers can do it too: none of them alone, and no guess unseen."));
}

/** How it stands: the state in the log, and the servers, asked now. */
async function status({ logged }) {
  const { recovery, enrolment, state } = logged;
  const met = await meetAll(client.origin, enrolment.servers);
  const [kind, word] = standingOf(recovery, client.now());
  const enough = met.peers.length >= Number(enrolment.threshold);
  return card("How it stands", facts([
    ["State", el("span", {}, tag(kind, word), recovery.dueMs > 0n && ` until ${whenText(recovery.dueMs)}`)],
    ["Needed", `the PIN, ${recovery.keys.needed} of ${recovery.keys.signIns} sign-ins, ${enrolment.threshold} of ${enrolment.servers.length} servers`],
    ["Guesses", `${recovery.guesses} of 10 spent`], ["Enrolment", `the ${recovery.epoch}${{ 1: "st", 2: "nd", 3: "rd" }[recovery.epoch] ?? "th"} of this account`],
  ]), serverTable(serverRows(enrolment.servers, met)), doubts(met.peers, together(met.peers, client.zone)),
  !enough && note("bad", "Too few servers answer: a recovery would fail now. Set it up anew, with others."),
  (state.flags & 2) !== 0 && note("wait", "What is sealed to you is not sealed to this recovery yet. Open the page of your devices."));
}

/** What can be done with an enrolment. */
function anew(all) {
  const { logged } = all;
  const before = logged.enrolment.servers.map(({ url }) => url);
  return [fold("Choose a new PIN, or other servers", serversForm(all, before)), fold("Give recovery up", offForm(all))];
}

// --- servers, sign-in --------------------------------------------------------------------------------------------------------------------

function serversForm(all, before) {
  const given = new URLSearchParams(location.hash.slice(1)).get("servers")?.split(",") ?? before;
  const input = el("textarea", { id: `servers-${all.record.id}`, rows: 4, required: true, autocomplete: "off", autocapitalize: "none", spellcheck: "false", value: given.join("\n"), "aria-describedby": `servers-hint-${all.record.id}` });
  const [failed, met] = [el("div", { hidden: true }), el("div", { class: "below" })];
  const button = el("button", {}, "Look at these servers");
  const form = el("form", { class: "card" }, el("h3", {}, "Choose recovery servers"), el("p", {}, "Each keeps a share of a key, and none can try a PIN. Take three, run by people who do not know each other."),
    el("div", { class: "field" }, el("label", { for: input.id }, "Their addresses, one a line"), input, el("p", { class: "hint", id: `servers-hint-${all.record.id}` }, "Behind # stands the key of one, if its operator told you.")), failed, el("div", { class: "actions" }, button), met);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    failed.hidden = true;
    whileBusy(button, () => looked(all, input.value.split(/[\s,]+/).filter(Boolean), met).catch((error) => showTrouble(failed, error)));
  });
  return form;
}

/** Meets the servers, and shows who runs them; if they can be taken, leads to the sign-in. */
async function looked(all, urls, place) {
  fill(place);
  const distinct = [...new Set(urls)];
  if (distinct.length < SERVERS[0] || distinct.length > SERVERS[1]) throw Object.assign(new Refused("bad_threshold"), { detail: `Name ${SERVERS[0]} to ${SERVERS[1]} servers.` });
  const servers = distinct.map((url) => ({ url }));
  const met = await meetAll(client.origin, servers);
  const groups = together(met.peers, client.zone);
  const threshold = Math.floor(servers.length / 2) + 1;
  const most = servers.length;
  const count = el("select", { id: `threshold-${all.record.id}` }, Array.from({ length: most - threshold + 1 }, (_, i) => el("option", { value: threshold + i }, `${threshold + i} of ${most}`)));
  const parts = [el("h4", {}, "Who they are"), serverTable(serverRows(servers, met)), doubts(met.peers, groups)];
  if (met.peers.length < servers.length) return void fill(place, parts, note("bad", "Not every server answers as named: each has to take its share now. Leave those out."));
  const same = el("input", { type: "checkbox", id: `same-${all.record.id}` });
  const risky = () => groups.find((group) => group.count >= Number(count.value));
  const warn = el("div", {});
  const redraw = () => fill(warn, risky() && [note("bad", `${risky().count} servers of ${risky().whose} are as many as are needed: together they could try every PIN, unseen.`),
    el("label", { class: "choice", for: same.id }, same, el("span", {}, "I take them although they belong together"))]);
  redraw();
  count.addEventListener("change", redraw);
  const failed = el("div", { hidden: true });
  same.addEventListener("change", () => (failed.hidden = true));
  const takes = ways.filter(({ issuer }) => met.peers.every((peer) => peer.info.issuers.includes(issuer)));
  const lead = async (way) => {
    if (risky() !== undefined && !same.checked) throw Object.assign(new Refused("same_operator"), { detail: "Take others, or say that you take them." });
    await store.set(planKey(all.record), { servers: met.peers.map(({ url, info: { key } }) => ({ url, key })), threshold: Number(count.value), proofs: [], madeMs: client.now() });
    await signInBy(all, way);
  };
  const button = (way) => {
    const go = el("button", { type: "button", onclick: () => whileBusy(go, () => lead(way).catch((error) => showTrouble(failed, error))) }, `Go on with ${way.name}`);
    return go;
  };
  fill(place, parts, el("div", { class: "field below" }, el("label", { for: count.id }, "How many are needed"), count), warn, failed,
    takes.length === 0 ? note("bad", "These servers take no sign-in that this server knows.") : [el("p", {}, "Now sign in as you will when everything is lost. The servers keep a hash of who you are there."), el("div", { class: "actions" }, takes.map(button))]);
}

async function signInBy({ record, section }, way) {
  const goal = { kind: "proof", key: planKey(record), page: "/recovery" };
  if (await signInFor(client, store, way, { device: deviceOf(record), purpose: PURPOSE.enrolment, goal })) await draw(record, section);
}

// --- the PIN -----------------------------------------------------------------------------------------------------------------------------

async function pinForm(all, plan) {
  const { record, section } = all;
  const stop = async () => (await store.delete(planKey(record)), draw(record, section));
  if (plan.proofs.some(({ untilMs }) => untilMs <= client.now())) {
    await store.delete(planKey(record));
    return [trouble(Object.assign(new Refused("signin_expired"), {})), el("div", { class: "actions" }, el("button", { type: "button", onclick: stop }, "Begin again"))];
  }
  const { peers, missed } = await meetAll(client.origin, plan.servers);
  const pin = el("input", { type: "password", id: `pin-${record.id}`, required: true, autocomplete: "new-password", spellcheck: "false", "aria-describedby": `odds-${record.id}` });
  const again = el("input", { type: "password", id: `again-${record.id}`, required: true, autocomplete: "new-password", spellcheck: "false" });
  const needed = el("select", { id: `needed-${record.id}` }, plan.proofs.map((_, i) => el("option", { value: i + 1 }, `${i + 1}`)));
  const words = el("textarea", { id: `words-${record.id}`, rows: 2, autocomplete: "off", autocapitalize: "none", spellcheck: "false" });
  const odds = el("p", { class: "hint", id: `odds-${record.id}`, role: "status" }, "Six digits or more, or four words.");
  const [failed, drawn] = [el("div", { hidden: true }), el("div", { class: "below" })];
  const button = el("button", {}, "Set up recovery");
  const rate = () => {
    try {
      fill(odds, pin.value === "" ? "Six digits or more, or four words." : oddsText(choosePin(pin.value)));
    } catch (error) {
      fill(odds, error.code === "weak_pin" ? "A repeat, a run or a date is what everybody tries first." : "Six digits or more, or four words.");
    }
  };
  pin.addEventListener("input", rate);
  const draw4 = () => {
    pin.value = again.value = drawnWords();
    fill(drawn, el("p", {}, "Write these four words down. They are shown this once."), el("ol", { class: "words", translate: "no" }, pin.value.split(" ").map((word) => el("li", {}, word))));
    rate();
    say(`The four words are ${pin.value}`);
  };
  const others = ways.filter(({ issuer }) => plan.proofs.every((proof) => proof.issuer !== issuer) && peers.every((peer) => peer.info.issuers.includes(issuer)));
  const form = el("form", { class: "card" }, el("h3", {}, "Choose a PIN"),
    el("p", {}, "Signed in with ", plan.proofs.map(({ issuerName }) => issuerName).join(" and "), `. ${plan.threshold} of ${plan.servers.length} servers, this sign-in and the PIN will bring ${record.name} back.`),
    missed.length > 0 && faultList(missed),
    el("div", { class: "field" }, el("label", { for: pin.id }, "A PIN"), pin, odds), el("div", { class: "field" }, el("label", { for: again.id }, "Once more"), again),
    el("div", { class: "actions" }, el("button", { type: "button", class: "quiet small", onclick: draw4 }, "Draw four words instead")), drawn,
    plan.proofs.length > 1 && el("div", { class: "field" }, el("label", { for: needed.id }, "How many of these sign-ins a recovery needs"), needed),
    others.length > 0 && el("div", { class: "actions" }, others.map((way) => el("button", { type: "button", class: "quiet small", onclick: () => signInBy(all, way).catch((error) => showTrouble(failed, error)) }, `Add a sign-in with ${way.name}`))),
    fold("I have the twelve words at hand", el("div", { class: "field" }, el("label", { for: words.id }, "Your twelve words: with them it holds at once, where devices would have to wait"), words)),
    failed, el("div", { class: "actions" }, button, el("button", { type: "button", class: "quiet", onclick: stop }, "Not now")));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    failed.hidden = true;
    whileBusy(button, async () => {
      try {
        if (pin.value.trim() !== again.value.trim()) throw Object.assign(new Refused("other_pin"), { detail: "The two differ." });
        say("Hardening the PIN, dealing shares, trying them at every server …");
        await enrol(all, plan, { typed: pin.value, needed: Number(needed.value), words: words.value });
      } catch (error) {
        showTrouble(failed, error);
        failed.append(faultList(error.faults ?? []) ?? "");
      }
    });
  });
  return form;
}

/** Has the servers take their shares, puts the enrolment into the log, and seals the user key to it. */
async function enrol({ record, section, logged }, plan, { typed, needed, words }) {
  const [{ enrolled }, { peers, missed }] = await Promise.all([import("./enrol.js"), meetAll(client.origin, plan.servers)]);
  if (missed.length > 0) throw Object.assign(new Refused("not_registered"), { faults: missed });
  const device = deviceOf(record);
  const scope = { did: record.did, epoch: Number(logged.state.recovery?.epoch ?? 0n) + 1 };
  const proofs = plan.proofs.map((proof) => ({ ...proof, salt: crypto.getRandomValues(new Uint8Array(16)) }));
  const top = await keysOf(words);
  // So that a recovery's sign-in finds this account; whoever is led here already needs no second way. One that leads elsewhere the server refuses.
  for (const { account, evidence } of proofs) if (account === null || !equal(account, record.did)) await askSigned(client, record, "/v1/signin/link", { method: "POST", body: encode(new Map([[1, evidence]])) });
  const body = await enrolled(client, device, { scope, peers, threshold: plan.threshold, typed, proofs, needed });
  await ended({ record, section, logged, top }, await put(client, record.did, "recovery_set", body, [top?.identity ?? device.sign]), "Recovery is set up, and that is proved",
    `${plan.threshold} of ${plan.servers.length} servers, your sign-in and the PIN bring ${record.name} back. A recovery that is not yours is ended by any of your devices.`);
}

/** Returns the keys of the words that somebody typed, or null. */
async function keysOf(words) {
  return words.trim() === "" ? null : (await import("../words.js")).keysOfWords(words);
}

/** Shows what became of a change: in force, or waiting. */
async function ended({ record, section, logged, top }, { indexes, found }, title, text) {
  await store.delete(planKey(record));
  const act = found.pending.find(({ index }) => index === indexes[0]);
  if (act === undefined) {
    // What opens the user key: this device, or the words. If neither does, the state says so, and any other device turns it.
    await withUserKey(client, record, found, undefined, top ? { kex: top.wordsBox } : undefined).catch(() => {});
    if (logged.enrolment) await eraseAt(client.origin, logged.enrolment.servers, record.did);
  }
  say(act === undefined ? title : "Done, and it waits");
  await draw(record, section, act === undefined ? verdict("good", title, el("p", {}, text))
    : verdict("wait", "Done, and it waits", el("p", {}, `One device alone decides nothing like this at once: it takes effect ${whenText(act.dueMs)}, unless it is stopped before. What was enrolled before holds until then.`)));
}

function offForm(all) {
  const { record } = all;
  const words = el("textarea", { id: `off-${record.id}`, rows: 2, autocomplete: "off", autocapitalize: "none", spellcheck: "false" });
  const failed = el("div", { hidden: true });
  const button = el("button", { class: "danger" }, "Give recovery up");
  const form = el("form", { class: "card" }, el("p", {}, "The servers erase what they keep, and the PIN leads nowhere. Your devices and the twelve words are all there is then."),
    el("div", { class: "field" }, el("label", { for: words.id }, "Your twelve words, if it shall hold at once"), words), failed, el("div", { class: "actions" }, button));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    failed.hidden = true;
    whileBusy(button, async () => {
      try {
        const body = { epoch: Number(all.logged.state.recovery.epoch) + 1 };
        const top = await keysOf(words.value);
        await ended({ ...all, top }, await put(client, record.did, "recovery_set", body, [top?.identity ?? deviceOf(record).sign]), "Recovery is given up, and that is proved", "The servers were told to erase their shares.");
      } catch (error) {
        showTrouble(failed, error);
      }
    });
  });
  return form;
}
