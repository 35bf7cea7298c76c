// Look a name up: what is proved of it, and the proof, drawn.

import { didText } from "../name.js";
import { recoveryDueOf } from "../state.js";
import { accountFacts, deviceTable, frozenBanner, keysFold, pendingList, recoveryBanner } from "./account.js";
import { byId, el, facts, fill, foldLater, goTo, say, sign, verdict, whenText, whileBusy } from "./dom.js";
import { drawLimits, drawProof } from "./proof.js";
import { recordTable } from "./records.js";
import { download, proofBundle } from "./save.js";
import { openPage } from "./shell.js";
import { showTrouble, trouble } from "./trouble.js";

const [DATABASE, MAIN] = [2, "main"];
const { client, store } = await openPage();
const [form, input, place] = [byId("search"), byId("name"), byId("answer")];
input.placeholder = `alice.${client.zone}`;

form.addEventListener("submit", (event) => {
  event.preventDefault();
  history.pushState(null, "", `/lookup?name=${encodeURIComponent(input.value.trim())}`);
  look();
});
addEventListener("popstate", look);
look();

/** Looks up what the address bar asks for. */
async function look() {
  const asked = new URLSearchParams(location.search).get("name") ?? "";
  input.value = asked;
  if (asked === "") return fill(place);
  document.title = `${asked} · dgns`;
  await find(asked, {});
}

async function find(asked, how) {
  fill(place, el("p", { class: "tell" }, sign("turning"), "Asking, and checking what comes …"));
  try {
    const found = await whileBusy(form.querySelector("button"), () => client.lookup(asked, how));
    draw(found);
  } catch (error) {
    showTrouble(place, error, () => find(asked, how));
  }
}

function draw(found) {
  const title = answerOf(found);
  fill(place, title, frozenBanner(found), found.did !== null && recoveryBanner(found), database(found), found.did !== null && found.name !== null && what(found), proof(found), found.did !== null && account(found),
    part("What this does not prove", drawLimits(found, client.trust)));
  say(found.summary);
  goTo(title.querySelector("h2"));
}

/** The answer in one sentence. */
function answerOf(found) {
  const { status, subject, summary, name } = found;
  const claim = found.asked.name !== undefined && el("p", {}, el("a", { href: `/claim?name=${subject}` }, "Claim it"), " if you like.");
  if (status === "absent") return verdict("plain", summary, el("p", {}, "That nobody has it is proved as well: its place in the map of all names is empty."), claim);
  if (status === "present") {
    const owner = found.asked.name === undefined ? null : el("p", {}, "It belongs to ", el("code", {}, didText(found.did.did)), `, by entry ${name.claimIndex} of the log.`);
    return verdict(found.did !== null && recoveryDueOf(found.did) !== null ? "wait" : "good", summary, owner);
  }
  return verdict("wait", summary);
}

const part = (title, ...children) => el("section", { class: "card" }, el("h2", {}, title), ...children);

/** What the name leads to. */
function what(found) {
  return part("Records", recordTable(found.records, found.subject),
    el("p", { class: "hint" }, "DNS answers the same; here each is signed by the owner, and proved."));
}

/** What is in a database, for the accounts of this browser; the modules for it come when it is asked for. */
function database({ did, name, status, subject }) {
  if (status !== "present" || name === null || did.kind !== DATABASE) return null;
  const [log, failed] = [el("div", {}), el("div", {})];
  const read = el("button", { type: "button" }, "Read its entries");
  read.addEventListener("click", () => whileBusy(read, async () => {
    const [{ accounts }, { AtServer }, { showLog }] = await Promise.all([import("./me.js"), import("./at_server.js"), import("./database_log.js")]);
    const [record] = (await accounts(store, client.origin)).filter(({ did: own }) => own !== undefined);
    if (record === undefined) return fill(failed, el("p", { class: "tell" }, sign("know"), el("span", {}, "Only members read it, and no account has keys in this browser. ", el("a", { href: "/signin" }, "Sign in"), " if you are one.")));
    await showLog(new AtServer(client, record), record, subject, MAIN, log, caught);
  }));
  return el("div", {}, part("Database", el("p", { class: "hint" }, "What its members append, sealed by their devices. It is read as the first account of this browser, and checked here."), el("div", { class: "actions" }, read), failed), log);
}

/** What is shown where a database is not read to its end; `keep` saves the evidence, if there is any. */
function caught(error, keep) {
  const shown = trouble(error);
  if (keep) shown.append(el("div", { class: "actions" }, el("button", { type: "button", class: "quiet", onclick: keep }, "Save the evidence")));
  return shown;
}

/** The account behind it. */
function account(found) {
  const pending = pendingList(found.pending, found.did.devices);
  return part("Account and keys", facts(accountFacts(found)), deviceTable(found.did.devices, { times: timesOf(found) }), keysFold(found), found.status === "present" && writing(found),
    pending && el("h3", {}, "Waits, and can still be stopped"), pending);
}

/** What can be written to the person; the modules for it come when it is opened. */
function writing(found) {
  const letter = foldLater("Write a letter to this person", async () => (await import("./letters.js")).letterForm(client, store, found));
  const sealed = found.did.userKey !== undefined && foldLater("Seal a message to this person", async () => (await import("./sealing.js")).sealForm(found));
  return [letter, sealed];
}

/** When certificates were accepted, as far as this answer shows them. */
const timesOf = (found) => new Map([[found.did.uid, found.did.bornMs]].concat(found.chain.map(({ index, epochMs }) => [index, epochMs])));

/** The proof, and what one can do with it. */
function proof(found) {
  const weak = found.footing === "map";
  const genesis = weak && el("button", { type: "button", class: "quiet", onclick: () => find(found.subject, { genesis: true }) }, "Prove from the beginning");
  const save = el("button", { type: "button", class: "quiet", onclick: () => whileBusy(save, () => keep(found)) }, "Save the proof");
  const failed = el("div", { id: "save-failed", hidden: true });
  return part(`How it is proved`, drawProof(found, client.trust), el("div", { class: "actions" }, genesis, save), failed,
    el("p", { class: "hint" }, `As of ${whenText(found.epochMs)}. The saved proof can be checked by anyone, without this server: `, el("code", {}, "dgns verify FILE")));
}

async function keep(found) {
  try {
    download(`${found.asked.name ?? found.subject.slice(9)}.tlog-proof`, await proofBundle(client, found));
  } catch (error) {
    showTrouble(byId("save-failed"), error, () => keep(found));
  }
}
